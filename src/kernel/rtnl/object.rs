//! Links, addresses and routes as plain data (`linux/if_link.h`, `if_addr.h`, `rtnetlink.h`).
//!
//! No I/O. Texts are what `ip` takes; a link known by its index alone is written `if7`, which
//! `ip` understands.

use std::net::IpAddr;

pub use super::path::{
    DEVICE_GATEWAY, Hop, PROTOCOL_KUBE_ROUTER, PathKey, PathQuery, PathRoute, TABLE_KUBE_ROUTER,
};
pub use super::rule::Rule;
pub use super::text::On;
pub use super::tunnel::{
    ENCAP_CHECKSUM_V4, ENCAP_CHECKSUM_V6, Encap, EncapKind, Tunnel, TunnelMode,
};
use crate::net::{Family, Prefix, host_prefix};

/// `RT_TABLE_MAIN`.
pub const TABLE_MAIN: u32 = 254;
/// `RT_TABLE_LOCAL`: the addresses that are the host's own.
pub const TABLE_LOCAL: u32 = 255;
/// `RTPROT_KERNEL`.
pub const PROTOCOL_KERNEL: u8 = 2;
/// `IFA_F_NODAD`: no duplicate address detection.
pub const ADDRESS_NODAD: u32 = 0x02;
/// `IFA_F_TENTATIVE`: duplicate address detection has not ended.
pub const ADDRESS_TENTATIVE: u32 = 0x40;
/// `IFA_F_PERMANENT`: without end of life; the kernel's own flag.
pub const ADDRESS_PERMANENT: u32 = 0x80;
/// `IFA_F_NOPREFIXROUTE`: no route to the prefix in the main table.
pub const ADDRESS_NOPREFIXROUTE: u32 = 0x200;

/// What a link is (`IFLA_INFO_KIND`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkKind {
    Dummy,
    Bridge,
    Veth,
    /// IPIP and its forms over IPv6.
    Tunnel(Tunnel),
    /// Hardware and loopback, which carry no kind.
    Plain,
    /// Any other, by its name in the kernel.
    Other(String),
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub kind: LinkKind,
    /// `IFF_UP`: switched on by the administrator.
    pub is_up: bool,
    /// `IFF_LOOPBACK`.
    pub is_loopback: bool,
    /// Bytes.
    pub mtu: u32,
    /// The bridge or bond that the link is a port of.
    pub master: Option<u32>,
}

/// How far an address or route reaches (`RT_SCOPE_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(pub u8);

/// An address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Index of the link.
    pub link: u32,
    /// The address with its prefix length; not masked.
    pub prefix: Prefix,
    pub scope: Scope,
    /// `IFA_F_*`.
    pub flags: u32,
}

/// What a route does with a packet (`RTN_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    Unicast,
    Local,
    Broadcast,
    Anycast,
    Multicast,
    Blackhole,
    Unreachable,
    Prohibit,
    Other(u8),
}

/// A route with one next hop at most; of several next hops the first is shown. [`PathRoute`] is the
/// one with all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    pub kind: RouteKind,
    /// Masked; a default route has length 0.
    pub destination: Prefix,
    pub table: u32,
    /// Who made the route (`RTPROT_*`).
    pub protocol: u8,
    pub scope: Scope,
    /// Index of the outgoing link.
    pub link: Option<u32>,
    pub gateway: Option<IpAddr>,
    /// Source address of packets that the host itself sends by this route (`RTA_PREFSRC`).
    pub source: Option<IpAddr>,
    /// `RTA_PRIORITY`; `None` when adding lets the kernel choose, when deleting matches any.
    pub metric: Option<u32>,
}

/// One change, printed as `ip` would be typed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    AddAddress(Address),
    DelAddress(Address),
    ReplaceRoute(Route),
    DelRoute(Route),
    /// Puts a route in the place of whatever has the same key, in one request. IPv4 does it in
    /// one step; IPv6 puts the first next hop in the place of all that were there and adds the
    /// others after it. So there is always a way, and nothing is left of the old one.
    ReplacePath(PathRoute),
    /// Deletes the route of this key and protocol, whatever its next hops have become.
    DelPath(PathRoute),
    AddRule(Rule),
    DelRule(Rule),
    /// Bytes of the largest packet of a link.
    SetMtu {
        link: u32,
        mtu: u32,
    },
    /// Gives a tunnel other ends or another encapsulation; its routes stay. Its mode stays too.
    SetTunnel {
        link: u32,
        tunnel: Tunnel,
    },
}

/// What happened to links, addresses, routes or rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A link appeared or changed.
    Link(Link),
    LinkGone(Link),
    Address(Address),
    AddressGone(Address),
    Route(Route),
    RouteGone(Route),
    Path(PathRoute),
    /// A route, or one next hop of it where IPv6 loses that alone: list again what is left.
    PathGone(PathRoute),
    Rule(Rule),
    RuleGone(Rule),
    /// Events were lost: what is known must be read anew.
    Overflow,
}

// === impl LinkKind ===

impl LinkKind {
    /// The kernel's name; empty for [`LinkKind::Plain`].
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Dummy => "dummy",
            Self::Bridge => "bridge",
            Self::Veth => "veth",
            Self::Tunnel(tunnel) => tunnel.mode.kind(),
            Self::Plain => "",
            Self::Other(name) => name,
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "dummy" => Self::Dummy,
            "bridge" => Self::Bridge,
            "veth" => Self::Veth,
            "" => Self::Plain,
            other => Self::Other(other.to_owned()),
        }
    }
}

// === impl Link ===

// === impl Scope ===

impl Scope {
    pub const GLOBAL: Self = Self(0);
    pub const SITE: Self = Self(200);
    pub const LINK: Self = Self(253);
    pub const HOST: Self = Self(254);
    pub const NOWHERE: Self = Self(255);
}

// === impl Address ===

impl Address {
    /// A VIP: one address of scope link, for IPv6 without duplicate address detection (a
    /// virtual address stands on every node) and without a route in the main table.
    #[must_use]
    pub fn vip(link: u32, vip: IpAddr) -> Self {
        let flags = match vip {
            IpAddr::V4(_) => 0,
            IpAddr::V6(_) => ADDRESS_NODAD | ADDRESS_NOPREFIXROUTE,
        };
        Self {
            link,
            prefix: host_prefix(vip),
            scope: Scope::LINK,
            flags,
        }
    }

    #[must_use]
    pub fn family(&self) -> Family {
        Family::of_prefix(&self.prefix)
    }

    /// The text of `ip address add`, with the link's name.
    #[must_use]
    pub fn on<'a>(&'a self, link: &'a str) -> On<'a, Self> {
        On::new(self, link)
    }
}

// === impl RouteKind ===

impl RouteKind {
    /// `RTN_*`.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Unicast => 1,
            Self::Local => 2,
            Self::Broadcast => 3,
            Self::Anycast => 4,
            Self::Multicast => 5,
            Self::Blackhole => 6,
            Self::Unreachable => 7,
            Self::Prohibit => 8,
            Self::Other(number) => number,
        }
    }

    #[must_use]
    pub fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Unicast,
            2 => Self::Local,
            3 => Self::Broadcast,
            4 => Self::Anycast,
            5 => Self::Multicast,
            6 => Self::Blackhole,
            7 => Self::Unreachable,
            8 => Self::Prohibit,
            other => Self::Other(other),
        }
    }
}

// === impl Route ===

impl Route {
    /// The local route of a VIP: packets of the host itself to the VIP leave with `source`, an
    /// address of the node, instead of the VIP.
    #[must_use]
    pub fn vip(link: u32, vip: IpAddr, source: IpAddr) -> Self {
        Self {
            kind: RouteKind::Local,
            destination: host_prefix(vip),
            table: TABLE_LOCAL,
            protocol: PROTOCOL_KERNEL,
            // IPv6 routes have no scope; the kernel shows them as global.
            scope: match vip {
                IpAddr::V4(_) => Scope::HOST,
                IpAddr::V6(_) => Scope::GLOBAL,
            },
            link: Some(link),
            gateway: None,
            source: Some(source),
            metric: None,
        }
    }

    #[must_use]
    pub fn family(&self) -> Family {
        Family::of_prefix(&self.destination)
    }

    /// The text of `ip route replace`, with the link's name.
    #[must_use]
    pub fn on<'a>(&'a self, link: &'a str) -> On<'a, Self> {
        On::new(self, link)
    }
}

// === impl Change ===

impl Change {
    /// The command with the link's name.
    #[must_use]
    pub fn on<'a>(&'a self, link: &'a str) -> On<'a, Self> {
        On::new(self, link)
    }

    /// Index of the one link it is about.
    #[must_use]
    pub fn link(&self) -> Option<u32> {
        match self {
            Self::AddAddress(address) | Self::DelAddress(address) => Some(address.link),
            Self::ReplaceRoute(route) | Self::DelRoute(route) => route.link,
            Self::SetMtu { link, .. } | Self::SetTunnel { link, .. } => Some(*link),
            Self::ReplacePath(_) | Self::DelPath(_) | Self::AddRule(_) | Self::DelRule(_) => None,
        }
    }
}

/// Routes that spoil the source address of a VIP: same destination as a VIP of ours, on our
/// link, in the local or the main table, but without the source that was wanted.
///
/// The kernel makes such routes itself for every IPv6 address, with a better metric than ours.
/// Routes of other links are never named, whoever made them.
#[must_use]
pub fn stray_routes(link: u32, vips: &[(IpAddr, IpAddr)], present: &[Route]) -> Vec<Route> {
    let wanted: rustc_hash::FxHashMap<IpAddr, IpAddr> = vips.iter().copied().collect();
    let is_stray = |route: &&Route| {
        route.link == Some(link)
            && matches!(route.table, TABLE_LOCAL | TABLE_MAIN)
            && route.destination.prefix_len() == route.family().host_bits()
            && wanted
                .get(&route.destination.addr())
                .is_some_and(|source| route.source != Some(*source))
    };
    present.iter().filter(is_stray).copied().collect()
}
