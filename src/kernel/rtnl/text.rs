//! Links, addresses, routes and rules as `ip` takes them (ip-address(8), ip-route(8), ip-rule(8)).

use std::fmt;

use super::object::{
    ADDRESS_NODAD, ADDRESS_NOPREFIXROUTE, Address, Change, Hop, Link, LinkKind, PROTOCOL_KERNEL,
    PathRoute, Route, RouteKind, Rule, Scope, TABLE_LOCAL, TABLE_MAIN,
};
use super::path::with_gateway;
use crate::net::Family;

/// Something of a link, printed with the link's name.
#[derive(Debug, Clone, Copy)]
pub struct On<'a, T> {
    what: &'a T,
    link: &'a str,
}

impl<'a, T> On<'a, T> {
    pub(super) fn new(what: &'a T, link: &'a str) -> Self {
        Self { what, link }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if self.kind != LinkKind::Plain {
            write!(f, " type {}", self.kind)?;
        }
        write!(f, " mtu {}", self.mtu)?;
        f.write_str(if self.is_up { " up" } else { " down" })
    }
}

/// What follows `ip link add NAME type`; empty for [`LinkKind::Plain`].
impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tunnel(tunnel) => tunnel.fmt(f),
            other => f.write_str(other.name()),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::GLOBAL => f.write_str("global"),
            Self::SITE => f.write_str("site"),
            Self::LINK => f.write_str("link"),
            Self::HOST => f.write_str("host"),
            Self::NOWHERE => f.write_str("nowhere"),
            Self(other) => write!(f, "{other}"),
        }
    }
}

impl fmt::Display for On<'_, Address> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.what;
        write!(
            f,
            "{} dev {} scope {}",
            address.prefix, self.link, address.scope
        )?;
        for (bit, word) in [
            (ADDRESS_NODAD, " nodad"),
            (ADDRESS_NOPREFIXROUTE, " noprefixroute"),
        ] {
            if address.flags & bit != 0 {
                f.write_str(word)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.on(&by_index(self.link)).fmt(f)
    }
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unicast => "unicast",
            Self::Local => "local",
            Self::Broadcast => "broadcast",
            Self::Anycast => "anycast",
            Self::Multicast => "multicast",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
            Self::Other(number) => return write!(f, "{number}"),
        })
    }
}

impl Route {
    fn write(&self, f: &mut fmt::Formatter<'_>, link: Option<&str>) -> fmt::Result {
        if self.kind != RouteKind::Unicast {
            write!(f, "{} ", self.kind)?;
        }
        if self.destination.prefix_len() == self.family().host_bits() {
            write!(f, "{}", self.destination.addr())?;
        } else {
            write!(f, "{}", self.destination)?;
        }
        if let Some(gateway) = self.gateway {
            let inet = if Family::of(gateway) == self.family() {
                ""
            } else {
                " inet6"
            };
            write!(f, " via{inet} {gateway}")?;
        }
        if let Some(link) = link {
            write!(f, " dev {link}")?;
        }
        match self.table {
            TABLE_LOCAL => f.write_str(" table local")?,
            TABLE_MAIN => {}
            other => write!(f, " table {other}")?,
        }
        match self.protocol {
            PROTOCOL_KERNEL => f.write_str(" proto kernel")?,
            other => write!(f, " proto {other}")?,
        }
        if self.family() == Family::V4 {
            write!(f, " scope {}", self.scope)?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if let Some(metric) = self.metric {
            write!(f, " metric {metric}")?;
        }
        Ok(())
    }
}

impl fmt::Display for On<'_, Route> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.write(f, self.what.link.map(|_| self.link))
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, self.link.map(by_index).as_deref())
    }
}

/// Writes a route's gateway, link and `onlink`.
fn write_hop(
    f: &mut impl fmt::Write,
    hop: &Hop,
    family: Family,
    name: &impl Fn(u32) -> String,
) -> fmt::Result {
    if let Some(gateway) = hop.gateway {
        let inet = if Family::of(gateway) == family {
            ""
        } else {
            " inet6"
        };
        write!(f, " via{inet} {gateway}")?;
    }
    if let Some(link) = hop.link {
        write!(f, " dev {}", name(link))?;
    }
    Ok(())
}

impl PathRoute {
    /// What follows `ip route replace`, with links named by their index.
    #[must_use]
    pub fn text(&self, name: impl Fn(u32) -> String) -> String {
        let mut text = String::new();
        // Writing to a string cannot go wrong.
        let _written = self.write(&mut text, &name);
        text
    }

    fn write(&self, f: &mut impl fmt::Write, name: &impl Fn(u32) -> String) -> fmt::Result {
        let family = self.family();
        write!(f, "{}", self.destination)?;
        if let [only] = self.next_hops.as_slice() {
            write_hop(f, only, family, name)?;
        }
        match self.table {
            TABLE_MAIN => {}
            other => write!(f, " table {other}")?,
        }
        write!(f, " proto {}", self.protocol)?;
        for (word, value) in [("metric", self.metric), ("mtu", self.mtu)] {
            if let Some(value) = value {
                write!(f, " {word} {value}")?;
            }
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        match self.next_hops.as_slice() {
            [only] if only.onlink => f.write_str(" onlink"),
            [_] => Ok(()),
            several => {
                for hop in several {
                    let hop = with_gateway(*hop, family);
                    f.write_str(" nexthop")?;
                    write_hop(f, &hop, family, name)?;
                    write!(f, " weight {}", hop.weight)?;
                    f.write_str(if hop.onlink { " onlink" } else { "" })?;
                }
                Ok(())
            }
        }
    }

    fn write_key(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        match self.table {
            TABLE_MAIN => {}
            other => write!(f, " table {other}")?,
        }
        write!(f, " proto {}", self.protocol)?;
        match self.metric {
            Some(metric) => write!(f, " metric {metric}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PathRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, &by_index)
    }
}

/// What follows `ip rule add`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Some(source) => write!(f, "from {source}")?,
            None => f.write_str("from all")?,
        }
        if let Some(destination) = self.destination {
            write!(f, " to {destination}")?;
        }
        write!(
            f,
            " lookup {} pref {} protocol {}",
            self.table, self.priority, self.protocol
        )
    }
}

/// `ip` with the family where the text that follows does not tell it.
fn ip_of(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip -6",
    }
}

impl fmt::Display for On<'_, Change> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = self.link;
        match self.what {
            Change::AddAddress(address) => write!(f, "ip address add {}", address.on(link)),
            Change::DelAddress(address) => {
                write!(f, "ip address delete {} dev {link}", address.prefix)
            }
            Change::ReplaceRoute(route) => write!(f, "ip route replace {}", route.on(link)),
            Change::DelRoute(route) => write!(f, "ip route delete {}", route.on(link)),
            Change::ReplacePath(path) => write!(f, "ip route replace {path}"),
            Change::DelPath(path) => {
                f.write_str("ip route delete ")?;
                path.write_key(f)
            }
            Change::AddRule(rule) => write!(f, "{} rule add {rule}", ip_of(rule.family)),
            Change::DelRule(rule) => write!(f, "{} rule delete {rule}", ip_of(rule.family)),
            Change::SetMtu { mtu, .. } => write!(f, "ip link set {link} mtu {mtu}"),
            Change::SetTunnel { tunnel, .. } => write!(f, "ip link set {link} type {tunnel}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.on(&self.link().map(by_index).unwrap_or_default())
            .fmt(f)
    }
}

/// The name that `ip` takes for a link of which only the index is known.
fn by_index(index: u32) -> String {
    format!("if{index}")
}
