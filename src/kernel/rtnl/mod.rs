//! Links, addresses, routes and rules by rtnetlink (rtnetlink(7), `linux/rtnetlink.h`).
//!
//! What is already as wanted is no error but [`Outcome::Unchanged`]. Changes go out in batches
//! with a verdict each. Routes and addresses of other links are never touched by the functions
//! for VIPs.

mod fake;
mod handle;
pub mod object;
mod path;
mod rule;
mod text;
mod tunnel;
mod vip;
mod wire;
mod wire_link;
mod wire_path;
mod wire_rule;

use std::net::IpAddr;

pub use fake::FakeRtnl;
pub use handle::{Monitor, Rtnl};
pub use object::{
    Address, Change, Encap, EncapKind, Event, Hop, Link, LinkKind, PROTOCOL_KUBE_ROUTER, PathKey,
    PathQuery, PathRoute, Route, RouteKind, Rule, Scope, TABLE_KUBE_ROUTER, Tunnel, TunnelMode,
    stray_routes,
};

use crate::kernel::netlink::NetlinkError;
use crate::net::Family;

/// What went wrong with a link, address, route or rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{change}: {source}")]
    Change {
        change: Box<Change>,
        source: NetlinkError,
    },
    #[error("ip link add {name} type {kind}: {source}")]
    Create {
        name: String,
        kind: String,
        source: NetlinkError,
    },
    #[error(
        "ip link add {name} type {kind}: this kernel has no such links: \
         the module {module} is neither built in nor can it be loaded"
    )]
    NoSuchKind {
        name: String,
        kind: String,
        module: String,
    },
    /// The kernel says no more than `EINVAL`.
    #[error("ip link add {name} type {kind}: {source}: is the module {module} loaded?")]
    NoEncap {
        name: String,
        kind: String,
        module: &'static str,
        source: NetlinkError,
    },
    /// The kernel has one tunnel at most between two addresses.
    #[error("ip link add {name} type {kind}: another link has these ends")]
    EndsTaken { name: String, kind: String },
    #[error("link {name} is of type {found:?}, not {wanted:?}")]
    OtherKind {
        name: String,
        found: String,
        wanted: String,
    },
    #[error("no link {0}")]
    NoLink(String),
    #[error("{vip} and its source address {node} are of different families")]
    MixedFamilies { vip: IpAddr, node: IpAddr },
    #[error("no verdict for a change")]
    NoVerdict,
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// What a change came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Changed,
    /// It was so already.
    Unchanged,
}

/// Which routes to list; `None` is any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteQuery {
    pub family: Option<Family>,
    pub table: Option<u32>,
    /// Index of the outgoing link.
    pub link: Option<u32>,
}

/// What the host can do with its links, addresses and routes; [`Rtnl`] and [`FakeRtnl`] do.
pub trait Interfaces {
    fn links(&mut self) -> Result<Vec<Link>, Error>;

    fn link(&mut self, name: &str) -> Result<Option<Link>, Error>;

    /// Addresses of one link (none if there is no such link), or of all.
    fn addresses(&mut self, link: Option<u32>) -> Result<Vec<Address>, Error>;

    fn routes(&mut self, query: RouteQuery) -> Result<Vec<Route>, Error>;

    /// Unicast routes of one protocol with all their next hops.
    fn paths(&mut self, query: PathQuery) -> Result<Vec<PathRoute>, Error>;

    /// Rules by source and destination alone, of both families, whoever made them.
    fn rules(&mut self) -> Result<Vec<Rule>, Error>;

    /// Creates the link unless it is there, and switches it on. A link of that name that is of
    /// another type, or a tunnel with other ends or another encapsulation, is
    /// [`Error::OtherKind`].
    ///
    /// The first tunnel of a type makes a link of the kernel's own appear (`tunl0`, `ip6tnl0`),
    /// which belongs to nobody.
    fn ensure_link(&mut self, name: &str, kind: &LinkKind) -> Result<Link, Error>;

    fn delete_link(&mut self, index: u32) -> Result<Outcome, Error>;

    /// Carries out changes in order; one verdict each.
    fn change(&mut self, changes: &[Change]) -> Vec<Result<Outcome, Error>>;

    /// Adds VIPs, each with the source address that the host is to use towards it, to a link;
    /// one verdict each. Also repairs VIPs that are there but whose routes are not right.
    fn add_vips(&mut self, link: u32, vips: &[(IpAddr, IpAddr)]) -> Vec<Result<Outcome, Error>>;

    /// Removes VIPs and the routes to them from a link; one verdict each.
    fn remove_vips(&mut self, link: u32, vips: &[IpAddr]) -> Vec<Result<Outcome, Error>> {
        vip::remove(self, link, vips)
    }
}

// === impl Error ===

impl Error {
    /// The link was deleted under us.
    #[must_use]
    pub fn is_link_gone(&self) -> bool {
        match self {
            Self::Change { source, .. } | Self::Netlink(source) => source.is(libc::ENODEV),
            Self::NoLink(_) => true,
            _ => false,
        }
    }

    /// The host has no way to the gateway of a route now; it may have one later.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        let errnos = [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::ENETDOWN];
        match self {
            Self::Change { source, .. } => errnos.iter().any(|errno| source.is(*errno)),
            _ => false,
        }
    }
}

// === impl RouteQuery ===

impl RouteQuery {
    #[must_use]
    pub fn matches(&self, route: &Route) -> bool {
        self.family.is_none_or(|family| route.family() == family)
            && self.table.is_none_or(|table| route.table == table)
            && self.link.is_none_or(|link| route.link == Some(link))
    }
}

#[cfg(test)]
mod path_tests;
#[cfg(test)]
mod tests;
