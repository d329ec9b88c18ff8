//! Links, addresses and routes as plain data (`linux/if_link.h`, `if_addr.h`, `rtnetlink.h`).
//!
//! No I/O. Texts are what `ip` takes; a link known by its index alone is written `if7`, which
//! `ip` understands.

use std::fmt;
use std::net::IpAddr;

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

/// A route with one next hop at most; of several next hops the first is shown.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    AddAddress(Address),
    DelAddress(Address),
    ReplaceRoute(Route),
    DelRoute(Route),
}

/// Something of a link, printed with the link's name.
#[derive(Debug, Clone, Copy)]
pub struct On<'a, T> {
    what: &'a T,
    link: &'a str,
}

/// What happened to links, addresses or routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A link appeared or changed.
    Link(Link),
    LinkGone(Link),
    Address(Address),
    AddressGone(Address),
    Route(Route),
    RouteGone(Route),
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

// === impl Scope ===

impl Scope {
    pub const GLOBAL: Self = Self(0);
    pub const SITE: Self = Self(200);
    pub const LINK: Self = Self(253);
    pub const HOST: Self = Self(254);
    pub const NOWHERE: Self = Self(255);
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
        On { what: self, link }
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
        On { what: self, link }
    }

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

// === impl Change ===

impl Change {
    /// The command with the link's name.
    #[must_use]
    pub fn on<'a>(&'a self, link: &'a str) -> On<'a, Self> {
        On { what: self, link }
    }

    /// Index of the link it is about.
    #[must_use]
    pub fn link(&self) -> Option<u32> {
        match self {
            Self::AddAddress(address) | Self::DelAddress(address) => Some(address.link),
            Self::ReplaceRoute(route) | Self::DelRoute(route) => route.link,
        }
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
