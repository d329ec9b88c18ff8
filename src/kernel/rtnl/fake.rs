//! Links, addresses and routes in memory, for tests of those who use them.
//!
//! Models, each proved against the kernel in `tests/netns_kernel.rs`: the routes that the kernel
//! makes for an address (late for IPv6), which of them go with it, that with the last IPv4 address of a link all
//! its IPv4 routes go, that a route of IPv6 with another metric is
//! another route, and that a deleted link takes all of its own along.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::object::{
    ADDRESS_NOPREFIXROUTE, Address, Change, Link, LinkKind, PROTOCOL_KERNEL, PathKey, PathQuery,
    PathRoute, Route, RouteKind, Rule, Scope, TABLE_LOCAL, TABLE_MAIN,
};
use super::{Error, Interfaces, Outcome, RouteQuery, vip};
use crate::kernel::netlink::NetlinkError;
use crate::net::{Family, host_prefix};

/// The metric that IPv6 gives to routes made without one (`IP6_RT_PRIO_USER`).
const METRIC_V6_USER: u32 = 1024;
/// And to those of its own (`IP6_RT_PRIO_ADDRCONF`).
const METRIC_V6_KERNEL: u32 = 256;

/// A host without a kernel.
#[derive(Debug, Clone, Default)]
pub struct FakeRtnl {
    pub links: BTreeMap<u32, Link>,
    pub addresses: BTreeSet<Address>,
    pub routes: BTreeSet<Route>,
    /// Routes with any number of next hops; a world of their own beside `routes`.
    pub paths: BTreeMap<PathKey, PathRoute>,
    pub rules: BTreeSet<Rule>,
    /// Every change that had an effect, in order.
    pub log: Vec<Change>,
    /// Changes that the kernel refuses, with the errno.
    pub refuse: BTreeMap<Change, i32>,
    last_index: u32,
    /// Routes to IPv6 addresses that the kernel has yet to make.
    late: Vec<Route>,
}

// === impl FakeRtnl ===

impl FakeRtnl {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the routes to IPv6 addresses that the kernel makes from its work queue some time
    /// after the address was added; whether there were any.
    pub fn make_late_routes(&mut self) -> bool {
        let late = std::mem::take(&mut self.late);
        let is_any = !late.is_empty();
        self.routes.extend(late);
        is_any
    }

    fn apply(&mut self, change: &Change) -> Result<Outcome, i32> {
        if let Some(errno) = self.refuse.get(change) {
            return Err(*errno);
        }
        let link = change.link();
        let is_missing = link.is_some_and(|link| !self.links.contains_key(&link));
        match change {
            Change::DelAddress(_) | Change::DelRoute(_) if is_missing => Ok(Outcome::Unchanged),
            _ if is_missing => Err(libc::ENODEV),
            Change::AddAddress(address) => Ok(self.add_address(address)),
            Change::DelAddress(address) => Ok(self.del_address(address)),
            Change::ReplaceRoute(route) => Ok(self.replace_route(*route)),
            Change::DelRoute(route) => Ok(self.del_route(route)),
            Change::ReplacePath(path) => self.replace_path(path),
            Change::DelPath(path) => Ok(self.del_path(path)),
            Change::AddRule(rule) => Ok(outcome(self.rules.insert(*rule))),
            Change::DelRule(rule) => Ok(outcome(self.rules.remove(rule))),
            Change::SetMtu { link, mtu } => Ok(self.set_link(*link, |link| link.mtu = *mtu)),
            Change::SetTunnel { link, tunnel } => {
                Ok(self.set_link(*link, |link| link.kind = LinkKind::Tunnel(*tunnel)))
            }
        }
    }

    fn set_link(&mut self, link: u32, set: impl FnOnce(&mut Link)) -> Outcome {
        self.links.get_mut(&link).map(set);
        Outcome::Changed
    }

    fn replace_path(&mut self, path: &PathRoute) -> Result<Outcome, i32> {
        let mut links = path.next_hops.iter().filter_map(|hop| hop.link);
        if links.any(|link| !self.links.contains_key(&link)) {
            return Err(libc::ENODEV);
        }
        self.paths.insert(path.key(), path.clone());
        Ok(Outcome::Changed)
    }

    /// A deleted link takes every IPv4 route along that has a next hop by it; of an IPv6 route
    /// that next hop only.
    fn drop_hops(&mut self, link: u32) {
        self.paths.retain(|_, path| {
            let before = path.next_hops.len();
            path.next_hops.retain(|hop| hop.link != Some(link));
            let is_whole = path.next_hops.len() == before;
            is_whole || (path.family() == Family::V6 && !path.next_hops.is_empty())
        });
    }

    fn del_path(&mut self, path: &PathRoute) -> Outcome {
        let is_of_protocol = |present: &PathRoute| present.protocol == path.protocol;
        let is_there = self.paths.get(&path.key()).is_some_and(is_of_protocol);
        outcome(is_there && self.paths.remove(&path.key()).is_some())
    }

    fn add_address(&mut self, address: &Address) -> Outcome {
        let same =
            |present: &Address| present.link == address.link && present.prefix == address.prefix;
        if self.addresses.iter().any(same) {
            return Outcome::Unchanged;
        }
        match address.family() {
            Family::V4 => self.routes.extend(kernel_routes(address)),
            Family::V6 => self.late.extend(kernel_routes(address)),
        }
        self.addresses.insert(match address.family() {
            Family::V4 => *address,
            // IPv6 tells the scope from the address.
            Family::V6 => Address {
                scope: Scope::GLOBAL,
                ..*address
            },
        });
        Outcome::Changed
    }

    fn del_address(&mut self, address: &Address) -> Outcome {
        let before = self.addresses.len();
        self.addresses
            .retain(|present| present.link != address.link || present.prefix != address.prefix);
        if self.addresses.len() == before {
            return Outcome::Unchanged;
        }
        for route in kernel_routes(address) {
            self.routes.remove(&route);
            self.late.retain(|late| *late != route);
        }
        let is_v4_of_link =
            |other: &Address| other.link == address.link && other.family() == Family::V4;
        if is_v4_of_link(address) && !self.addresses.iter().any(is_v4_of_link) {
            // `fib_disable_ip`: a link without addresses has no routes.
            self.routes
                .retain(|route| route.family() != Family::V4 || route.link != Some(address.link));
        }
        Outcome::Changed
    }

    fn replace_route(&mut self, route: Route) -> Outcome {
        let metric = route.metric.or(match route.family() {
            Family::V4 => None,
            Family::V6 => Some(METRIC_V6_USER),
        });
        self.routes.retain(|present| {
            present.table != route.table
                || present.destination != route.destination
                || present.metric != metric
        });
        self.routes.insert(Route { metric, ..route });
        Outcome::Changed
    }

    fn del_route(&mut self, route: &Route) -> Outcome {
        let matches = |present: &&Route| {
            present.table == route.table
                && present.destination == route.destination
                && (route.link.is_none() || present.link == route.link)
                && (route.metric.is_none_or(|metric| metric == 0) || present.metric == route.metric)
                && (route.source.is_none()
                    || route.family() == Family::V6
                    || present.source == route.source)
        };
        let candidates = self.routes.iter().filter(matches);
        let first = candidates.min_by_key(|route| route.metric).copied();
        match first.is_some_and(|route| self.routes.remove(&route)) {
            true => Outcome::Changed,
            false => Outcome::Unchanged,
        }
    }
}

fn outcome(is_changed: bool) -> Outcome {
    match is_changed {
        true => Outcome::Changed,
        false => Outcome::Unchanged,
    }
}

/// What the kernel adds to its tables for an address.
fn kernel_routes(address: &Address) -> Vec<Route> {
    let vip = address.prefix.addr();
    let local = Route::vip(address.link, vip, vip);
    match address.family() {
        Family::V4 => vec![local],
        Family::V6 => {
            let local = Route {
                source: None,
                metric: Some(0),
                ..local
            };
            let prefix = Route {
                kind: RouteKind::Unicast,
                destination: host_prefix(vip),
                table: TABLE_MAIN,
                protocol: PROTOCOL_KERNEL,
                metric: Some(METRIC_V6_KERNEL),
                ..local
            };
            debug_assert_eq!(local.table, TABLE_LOCAL);
            let has_prefix_route = address.flags & ADDRESS_NOPREFIXROUTE == 0;
            std::iter::once(local)
                .chain(has_prefix_route.then_some(prefix))
                .collect()
        }
    }
}

impl Interfaces for FakeRtnl {
    fn links(&mut self) -> Result<Vec<Link>, Error> {
        Ok(self.links.values().cloned().collect())
    }

    fn link(&mut self, name: &str) -> Result<Option<Link>, Error> {
        Ok(self.links.values().find(|link| link.name == name).cloned())
    }

    fn addresses(&mut self, link: Option<u32>) -> Result<Vec<Address>, Error> {
        let of_link = |address: &&Address| link.is_none_or(|link| address.link == link);
        Ok(self.addresses.iter().filter(of_link).copied().collect())
    }

    fn routes(&mut self, query: RouteQuery) -> Result<Vec<Route>, Error> {
        let routes = self.routes.iter();
        Ok(routes
            .filter(|route| query.matches(route))
            .copied()
            .collect())
    }

    fn paths(&mut self, query: PathQuery) -> Result<Vec<PathRoute>, Error> {
        let paths = self.paths.values().filter(|path| query.matches(path));
        Ok(paths.cloned().collect())
    }

    fn rules(&mut self) -> Result<Vec<Rule>, Error> {
        Ok(self.rules.iter().copied().collect())
    }

    fn ensure_link(&mut self, name: &str, kind: &LinkKind) -> Result<Link, Error> {
        if let Some(link) = self.links.values_mut().find(|link| link.name == name) {
            if link.kind != *kind {
                return Err(Error::OtherKind {
                    name: name.to_owned(),
                    found: link.kind.to_string(),
                    wanted: kind.to_string(),
                });
            }
            link.is_up = true;
            return Ok(link.clone());
        }
        self.last_index += 1;
        let link = Link {
            index: self.last_index,
            name: name.to_owned(),
            kind: kind.clone(),
            is_up: true,
            is_loopback: false,
            mtu: 1500,
            master: None,
        };
        self.links.insert(link.index, link.clone());
        Ok(link)
    }

    fn delete_link(&mut self, index: u32) -> Result<Outcome, Error> {
        self.addresses.retain(|address| address.link != index);
        self.routes.retain(|route| route.link != Some(index));
        self.late.retain(|route| route.link != Some(index));
        self.drop_hops(index);
        Ok(match self.links.remove(&index) {
            Some(_) => Outcome::Changed,
            None => Outcome::Unchanged,
        })
    }

    fn change(&mut self, changes: &[Change]) -> Vec<Result<Outcome, Error>> {
        let mut verdicts = Vec::with_capacity(changes.len());
        for change in changes {
            let outcome = self.apply(change);
            if outcome == Ok(Outcome::Changed) {
                self.log.push(change.clone());
            }
            verdicts.push(outcome.map_err(|errno| Error::Change {
                change: Box::new(change.clone()),
                source: NetlinkError::Refused {
                    errno,
                    message: None,
                    offset: None,
                },
            }));
        }
        verdicts
    }

    fn add_vips(&mut self, link: u32, vips: &[(IpAddr, IpAddr)]) -> Vec<Result<Outcome, Error>> {
        vip::add(self, link, vips, Self::make_late_routes)
    }
}
