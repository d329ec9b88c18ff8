//! The sockets: requests and batches, and a monitor of events.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::object::{
    Address, Change, Encap, Event, Link, LinkKind, PathQuery, PathRoute, Route, Rule,
};
use super::{Error, Interfaces, Outcome, RouteQuery, vip, wire, wire_link, wire_path, wire_rule};
use crate::kernel::netlink::{self, NetlinkError, Only, Socket, Stats};
use crate::net::Family;

/// How long the kernel may take to make its own routes to new IPv6 addresses, which it does
/// from a work queue after the request has ended.
const ROUTE_LATENCY: Duration = Duration::from_millis(250);

/// Events are waited for together while they follow one another this quickly, up to a number.
const BURST_PAUSE: Duration = Duration::from_millis(2);
const BURST: usize = 1000;

/// Links, addresses and routes of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Rtnl {
    socket: Socket,
}

/// Reports changes of links, addresses, routes and rules as they happen.
///
/// When a link goes down or is deleted, or an address goes, the kernel takes the IPv4 routes by
/// it away without a word: whoever minds routes lists them again after such an event.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    with_paths: bool,
}

// === impl Rtnl ===

impl Rtnl {
    pub fn open() -> Result<Self, Error> {
        let mut socket = Socket::open(libc::NETLINK_ROUTE)?;
        socket.set_strict(true)?;
        Ok(Self { socket })
    }

    /// What was sent and received so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.socket.stats()
    }

    /// The number that the kernel gave its socket, for [`Monitor::ignore`]; another one after a
    /// fault.
    pub fn port(&self) -> Result<u32, Error> {
        Ok(self.socket.port()?)
    }

    fn routes_of(&mut self, family: Family, query: RouteQuery) -> Result<Vec<Route>, Error> {
        let replies = match self.socket.dump(&wire::get_routes(family, query)) {
            Ok(replies) => replies,
            // A table that nothing was ever put into.
            Err(error) if error.is(libc::ENOENT) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut routes = Vec::new();
        for message in &replies {
            routes.extend(wire::route_of(&message)?);
        }
        // Without the IPv6 module the kernel answers with the routes of all families.
        routes.retain(|route| route.family() == family && query.matches(route));
        Ok(routes)
    }
}

impl Interfaces for Rtnl {
    fn links(&mut self) -> Result<Vec<Link>, Error> {
        let replies = self.socket.dump(&wire_link::get_links())?;
        let mut links = Vec::new();
        for message in &replies {
            links.extend(wire_link::link(&message)?);
        }
        Ok(links)
    }

    fn link(&mut self, name: &str) -> Result<Option<Link>, Error> {
        match self.socket.request(&wire_link::get_link(name)) {
            Ok(replies) => Ok(wire_link::link(&replies.first()?)?),
            Err(error) if error.is(libc::ENODEV) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn addresses(&mut self, link: Option<u32>) -> Result<Vec<Address>, Error> {
        let replies = match self.socket.dump(&wire::get_addresses(link)) {
            Ok(replies) => replies,
            Err(error) if link.is_some() && error.is(libc::ENODEV) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut addresses = Vec::new();
        for message in &replies {
            addresses.extend(wire::address_of(&message)?);
        }
        addresses.retain(|address| link.is_none_or(|link| address.link == link));
        Ok(addresses)
    }

    fn routes(&mut self, query: RouteQuery) -> Result<Vec<Route>, Error> {
        let mut routes = Vec::new();
        for family in Family::ALL {
            if query.family.is_none_or(|wanted| wanted == family) {
                routes.extend(self.routes_of(family, query)?);
            }
        }
        Ok(routes)
    }

    fn paths(&mut self, query: PathQuery) -> Result<Vec<PathRoute>, Error> {
        let mut paths = Vec::new();
        let families = Family::ALL.into_iter();
        for family in families.filter(|family| query.family.is_none_or(|it| it == *family)) {
            let replies = match self.socket.dump(&wire_path::get(family, query)) {
                Ok(replies) => replies,
                // A table that nothing was ever put into.
                Err(error) if error.is(libc::ENOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let before = paths.len();
            for message in &replies {
                paths.extend(wire_path::path(&message)?);
            }
            // Without the IPv6 module the kernel answers with the routes of all families.
            let listed = paths.split_off(before).into_iter();
            paths.extend(listed.filter(|path| path.family() == family && query.matches(path)));
        }
        Ok(paths)
    }

    fn rules(&mut self) -> Result<Vec<Rule>, Error> {
        let mut rules = Vec::new();
        for family in Family::ALL {
            let replies = match self.socket.dump(&wire_rule::get(family)) {
                Ok(replies) => replies,
                Err(error) if error.is(libc::EAFNOSUPPORT) => continue,
                Err(error) => return Err(error.into()),
            };
            for message in &replies {
                rules.extend(wire_rule::rule(&message)?.filter(|rule| rule.family == family));
            }
        }
        Ok(rules)
    }

    fn ensure_link(&mut self, name: &str, kind: &LinkKind) -> Result<Link, Error> {
        let created = self.socket.request(&wire_link::new_link(name, kind));
        let exists = match created {
            Ok(_) => false,
            Err(error) if error.is(libc::EEXIST) => true,
            Err(error) => return Err(not_created(name, kind, error)),
        };
        let link = self.link(name)?.ok_or_else(|| match exists {
            true => Error::EndsTaken {
                name: name.to_owned(),
                kind: kind.to_string(),
            },
            false => Error::NoLink(name.to_owned()),
        })?;
        if link.kind != *kind {
            return Err(Error::OtherKind {
                name: name.to_owned(),
                found: link.kind.to_string(),
                wanted: kind.to_string(),
            });
        }
        if !link.is_up {
            self.socket.request(&wire_link::set_up(link.index))?;
        }
        Ok(Link {
            is_up: true,
            ..link
        })
    }

    fn delete_link(&mut self, index: u32) -> Result<Outcome, Error> {
        match self.socket.request(&wire_link::del_link(index)) {
            Ok(_) => Ok(Outcome::Changed),
            Err(error) if error.is(libc::ENODEV) => Ok(Outcome::Unchanged),
            Err(error) => Err(error.into()),
        }
    }

    fn change(&mut self, changes: &[Change]) -> Vec<Result<Outcome, Error>> {
        let verdicts = self.socket.batch(changes.iter().map(wire::change));
        let judged = changes.iter().zip(verdicts);
        judged
            .map(|(change, verdict)| judge(change, verdict))
            .collect()
    }

    fn add_vips(&mut self, link: u32, vips: &[(IpAddr, IpAddr)]) -> Vec<Result<Outcome, Error>> {
        // Subscribed before the addresses are added, so that no route is missed.
        let monitor = match vips.iter().any(|(vip, _)| vip.is_ipv6()) {
            true => Monitor::open_groups(&[libc::RTNLGRP_IPV6_ROUTE]),
            false => return vip::add(self, link, vips, |_| false),
        };
        match monitor {
            Ok(mut monitor) => vip::add(self, link, vips, |_| monitor.wait(ROUTE_LATENCY)),
            Err(error) => vips.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

/// What a refusal to create a link means.
fn not_created(name: &str, kind: &LinkKind, source: NetlinkError) -> Error {
    let (name, text) = (name.to_owned(), kind.to_string());
    match kind {
        _ if source.is(libc::EOPNOTSUPP) => Error::NoSuchKind {
            name,
            kind: text,
            module: match kind {
                LinkKind::Tunnel(tunnel) => tunnel.mode.module().to_owned(),
                other => other.name().to_owned(),
            },
        },
        LinkKind::Tunnel(tunnel) if tunnel.encap.is_some() && source.is(libc::EINVAL) => {
            Error::NoEncap {
                name,
                kind: text,
                module: Encap::module(tunnel.mode.family()),
                source,
            }
        }
        _ => Error::Create {
            name,
            kind: text,
            source,
        },
    }
}

/// What is already as wanted is no error.
fn judge(change: &Change, verdict: Result<(), NetlinkError>) -> Result<Outcome, Error> {
    let settled = match change {
        Change::AddAddress(_) => &[libc::EEXIST][..],
        Change::DelAddress(_) => &[libc::EADDRNOTAVAIL, libc::ENODEV],
        Change::DelRoute(_) => &[libc::ESRCH, libc::ENODEV],
        Change::DelPath(_) => &[libc::ESRCH],
        Change::AddRule(_) => &[libc::EEXIST],
        Change::DelRule(_) => &[libc::ENOENT],
        Change::ReplaceRoute(_)
        | Change::ReplacePath(_)
        | Change::SetMtu { .. }
        | Change::SetTunnel { .. } => &[],
    };
    match verdict {
        Ok(()) => Ok(Outcome::Changed),
        Err(error) if error.errno().is_some_and(|errno| settled.contains(&errno)) => {
            Ok(Outcome::Unchanged)
        }
        Err(source) => Err(Error::Change {
            change: Box::new(change.clone()),
            source,
        }),
    }
}

// === impl Monitor ===

impl Monitor {
    /// Watches links, addresses and routes of both families.
    pub fn open() -> Result<Self, Error> {
        Self::open_groups(&[
            libc::RTNLGRP_LINK,
            libc::RTNLGRP_IPV4_IFADDR,
            libc::RTNLGRP_IPV6_IFADDR,
            libc::RTNLGRP_IPV4_ROUTE,
            libc::RTNLGRP_IPV6_ROUTE,
        ])
    }

    /// Watches links, addresses and rules, and of routes those of one protocol, with all their
    /// next hops. The kernel leaves out the others before they cost us anything, however many a
    /// routing daemon beside us may have.
    pub fn open_paths(protocol: u8) -> Result<Self, Error> {
        let mut socket = Socket::open(libc::NETLINK_ROUTE)?;
        socket.keep_only(Some(Only {
            kinds: [libc::RTM_NEWROUTE, libc::RTM_DELROUTE],
            offset: wire::ROUTE_PROTOCOL_OFFSET,
            value: protocol,
        }))?;
        for group in [
            libc::RTNLGRP_LINK,
            libc::RTNLGRP_IPV4_IFADDR,
            libc::RTNLGRP_IPV6_IFADDR,
            libc::RTNLGRP_IPV4_ROUTE,
            libc::RTNLGRP_IPV6_ROUTE,
            libc::RTNLGRP_IPV4_RULE,
            libc::RTNLGRP_IPV6_RULE,
        ] {
            socket.subscribe(group)?;
        }
        Ok(Self {
            socket,
            with_paths: true,
        })
    }

    fn open_groups(groups: &[u32]) -> Result<Self, Error> {
        let mut socket = Socket::open(libc::NETLINK_ROUTE)?;
        for group in groups {
            socket.subscribe(*group)?;
        }
        Ok(Self {
            socket,
            with_paths: false,
        })
    }

    /// Leaves out what the sockets of these ports did, in place of those named before.
    pub fn ignore(&mut self, ports: &[u32]) -> Result<(), Error> {
        Ok(self.socket.ignore_ports(ports)?)
    }

    /// Bytes that the kernel may queue for us before events are lost.
    pub fn set_receive_buffer(&mut self, bytes: i32) -> Result<(), Error> {
        Ok(self.socket.set_receive_buffer(bytes)?)
    }

    /// The next events; waits at most `within`, for ever with `None`. Empty when time is up.
    /// The descriptor can be polled (readable) together with others; then pass zero.
    pub fn next(&mut self, within: Option<Duration>) -> Result<Vec<Event>, Error> {
        let replies = match self.socket.next_event(within)? {
            netlink::Event::Messages(replies) => replies,
            netlink::Event::Overflow => return Ok(vec![Event::Overflow]),
            netlink::Event::Quiet => return Ok(Vec::new()),
        };
        let with_paths = self.with_paths;
        let decode = |message| match wire::event(&message, with_paths) {
            Ok(event) => event,
            // What could not be read may have been anything.
            Err(_) => Some(Event::Overflow),
        };
        Ok(replies.iter().filter_map(decode).collect())
    }

    /// Waits for any event and for the end of a burst of them; `false` if there was none.
    fn wait(&mut self, within: Duration) -> bool {
        let mut within = within;
        for count in 0..BURST {
            let event = self.socket.next_event(Some(within));
            if !matches!(
                event,
                Ok(netlink::Event::Messages(_) | netlink::Event::Overflow)
            ) {
                return count > 0;
            }
            within = BURST_PAUSE;
        }
        true
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
