//! Links, addresses and routes as `ip` takes them (ip-address(8), ip-route(8)).

use std::fmt;

use super::object::{
    ADDRESS_NODAD, ADDRESS_NOPREFIXROUTE, Address, Change, Link, PROTOCOL_KERNEL, Route, RouteKind,
    Scope, TABLE_LOCAL, TABLE_MAIN,
};
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
        if !self.kind.name().is_empty() {
            write!(f, " type {}", self.kind.name())?;
        }
        write!(f, " mtu {}", self.mtu)?;
        f.write_str(if self.is_up { " up" } else { " down" })
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
