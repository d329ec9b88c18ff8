//! Routes to pods and Services of other nodes: any number of next hops, told apart by protocol.
//!
//! No I/O. A [`PathRoute`] read back from the kernel equals the one that was written, unless the
//! kernel was left to choose (a gateway without a link): [`PathRoute::is_met_by`] allows for that.

use std::net::{IpAddr, Ipv6Addr};

use super::object::TABLE_MAIN;
use crate::net::{Family, Prefix};

/// Who made our routes and rules (`RTA_PROTOCOL`, `FRA_PROTOCOL`): a number that neither
/// `linux/rtnetlink.h` nor iproute2's `rt_protos` nor a routing daemon gives to anybody.
///
/// Upstream writes 17, which is mrouted's. `etc/rt_protos.d/kube-router.conf` names it for `ip`.
pub const PROTOCOL_KUBE_ROUTER: u8 = 77;

/// The table of routes to nodes through tunnels; upstream's number and name.
pub const TABLE_KUBE_ROUTER: u32 = 77;

/// Stands for "no gateway" among several next hops of an IPv6 route.
///
/// The kernel takes several only with a gateway each ("Device only routes can not be added for
/// IPv6 using the multipath API"). A tunnel asks no neighbour for its gateway, so that any
/// link-local address will do.
pub const DEVICE_GATEWAY: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x6b75, 0x6265, 0x2d72, 0x7472);

/// The metric of IPv4 routes made without one.
const METRIC_V4: u32 = 0;
/// The metric of IPv6 routes made without one (`IP6_RT_PRIO_USER`).
const METRIC_V6: u32 = 1024;

/// One of the ways that packets of a route take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// `None` where the link itself leads there, as tunnels do.
    pub gateway: Option<IpAddr>,
    /// Index of the link; `None` leaves it to the kernel, which knows how to reach the gateway.
    pub link: Option<u32>,
    /// Share of the flows, 1 to 255; 1 in a route with one next hop.
    pub weight: u8,
    /// The gateway is a neighbour although no address of the link says so (`RTNH_F_ONLINK`).
    pub onlink: bool,
}

/// A unicast route with one or several next hops.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathRoute {
    /// Masked.
    pub destination: Prefix,
    pub table: u32,
    /// Who made it (`RTPROT_*`).
    pub protocol: u8,
    /// `None` is the family's default: 0 for IPv4, 1024 for IPv6.
    pub metric: Option<u32>,
    /// Source address of packets that the host itself sends (`RTA_PREFSRC`).
    pub source: Option<IpAddr>,
    /// Bytes of the largest packet (`RTAX_MTU`).
    pub mtu: Option<u32>,
    /// Sorted, at least one.
    pub next_hops: Vec<Hop>,
}

/// What makes a route the one that another replaces, and by what it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathKey {
    pub destination: Prefix,
    pub table: u32,
    pub metric: Option<u32>,
}

/// Which routes to list: of one protocol, filtered by the kernel. `None` is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathQuery {
    pub protocol: u8,
    pub family: Option<Family>,
    pub table: Option<u32>,
}

// === impl Hop ===

impl Hop {
    /// By a gateway on a link.
    #[must_use]
    pub fn via(gateway: IpAddr, link: u32) -> Self {
        Self {
            gateway: Some(gateway),
            link: Some(link),
            weight: 1,
            onlink: false,
        }
    }

    /// Through a link that leads there by itself.
    #[must_use]
    pub fn through(link: u32) -> Self {
        Self {
            gateway: None,
            link: Some(link),
            weight: 1,
            onlink: false,
        }
    }

    fn is_met_by(&self, present: &Self) -> bool {
        let any_link = Self {
            link: self.link.or(present.link),
            ..*self
        };
        any_link == *present
    }
}

// === impl PathRoute ===

impl PathRoute {
    /// A route of ours in the main table. Sorts the next hops and drops repeated ones.
    #[must_use]
    pub fn new(destination: Prefix, mut next_hops: Vec<Hop>) -> Self {
        next_hops.sort_unstable();
        next_hops.dedup();
        if let [only] = next_hops.as_mut_slice() {
            only.weight = 1;
        }
        Self {
            destination: destination.trunc(),
            table: TABLE_MAIN,
            protocol: PROTOCOL_KUBE_ROUTER,
            metric: None,
            source: None,
            mtu: None,
            next_hops,
        }
    }

    #[must_use]
    pub fn family(&self) -> Family {
        Family::of_prefix(&self.destination)
    }

    #[must_use]
    pub fn key(&self) -> PathKey {
        PathKey {
            destination: self.destination,
            table: self.table,
            metric: self.metric,
        }
    }

    /// Whether a route that the kernel lists is as this one asks for: the same but for links
    /// that were left to the kernel.
    #[must_use]
    pub fn is_met_by(&self, present: &Self) -> bool {
        let is_left_open = self.next_hops.iter().any(|hop| hop.link.is_none());
        if !is_left_open {
            return self == present;
        }
        let (wanted, listed) = (self.attributes(), present.attributes());
        wanted == listed
            && self.next_hops.len() == present.next_hops.len()
            && self.next_hops.iter().all(|hop| {
                let mut present = present.next_hops.iter();
                present.any(|present| hop.is_met_by(present))
            })
    }

    fn attributes(&self) -> (PathKey, u8, Option<IpAddr>, Option<u32>) {
        (self.key(), self.protocol, self.source, self.mtu)
    }

    /// The metric in numbers.
    pub(super) fn metric_number(&self) -> u32 {
        self.metric.unwrap_or(default_metric(self.family()))
    }
}

pub(super) fn default_metric(family: Family) -> u32 {
    match family {
        Family::V4 => METRIC_V4,
        Family::V6 => METRIC_V6,
    }
}

/// IPv6 takes several next hops only with a gateway each.
pub(super) fn with_gateway(hop: Hop, family: Family) -> Hop {
    match (family, hop.gateway) {
        (Family::V6, None) => Hop {
            gateway: Some(IpAddr::V6(DEVICE_GATEWAY)),
            onlink: true,
            ..hop
        },
        _ => hop,
    }
}

/// And back.
pub(super) fn without_device_gateway(hop: Hop) -> Hop {
    match hop.gateway {
        Some(IpAddr::V6(DEVICE_GATEWAY)) if hop.onlink => Hop {
            gateway: None,
            onlink: false,
            ..hop
        },
        _ => hop,
    }
}

// === impl PathQuery ===

impl PathQuery {
    /// All our routes.
    pub const OURS: Self = Self {
        protocol: PROTOCOL_KUBE_ROUTER,
        family: None,
        table: None,
    };

    #[must_use]
    pub fn matches(&self, route: &PathRoute) -> bool {
        route.protocol == self.protocol
            && self.family.is_none_or(|family| route.family() == family)
            && self.table.is_none_or(|table| route.table == table)
    }
}
