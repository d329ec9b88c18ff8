//! Tunnels as plain data (`linux/if_tunnel.h`, `ip6_tunnel.h`, ip-link(8)).
//!
//! No I/O. All that decides where packets of a tunnel go, and in what, is here, so that a tunnel
//! that is there already can be compared with the wanted one.

use std::fmt;
use std::net::IpAddr;

use crate::net::Family;

/// `TUNNEL_ENCAP_FLAG_CSUM`: with UDP checksums over IPv4.
pub const ENCAP_CHECKSUM_V4: u16 = 1;
/// `TUNNEL_ENCAP_FLAG_CSUM6`: with UDP checksums over IPv6, without which hosts drop them.
pub const ENCAP_CHECKSUM_V6: u16 = 2;

/// What travels in a tunnel, and thereby its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelMode {
    /// `ipip`: IPv4 in IPv4.
    Ipip,
    /// `ipip` in mode `any`: IPv4 and MPLS in IPv4.
    IpipAny,
    /// `ip6tnl` in mode `ip6ip6`: IPv6 in IPv6.
    Ip6Ip6,
    /// `ip6tnl` in mode `ipip6`: IPv4 in IPv6.
    IpIp6,
    /// `ip6tnl` in mode `any`: both in IPv6.
    Ip6Any,
    /// Another number of `IFLA_IPTUN_PROTO`, over this family.
    Other(Family, u8),
}

/// How packets of a tunnel are wrapped into UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EncapKind {
    /// `TUNNEL_ENCAP_FOU`: straight after the UDP header.
    Fou,
    /// `TUNNEL_ENCAP_GUE`: with a header that names the protocol.
    Gue,
    Other(u16),
}

/// Foo over UDP of a tunnel (`IFLA_IPTUN_ENCAP_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Encap {
    pub kind: EncapKind,
    /// 0: by the flow inside, so that switches can spread flows.
    pub source_port: u16,
    pub destination_port: u16,
    /// `TUNNEL_ENCAP_FLAG_*`.
    pub flags: u16,
}

/// A tunnel between two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tunnel {
    pub mode: TunnelMode,
    pub local: IpAddr,
    pub remote: IpAddr,
    /// Index of the link that its packets are bound to.
    pub link: Option<u32>,
    /// 0: that of the packet inside.
    pub ttl: u8,
    /// 1: that of the packet inside.
    pub tos: u8,
    /// IPv4: whether its packets may not be fragmented. With a TTL they never may, whatever was
    /// asked for; over IPv6 nobody fragments, and this is `true`.
    pub pmtudisc: bool,
    /// IPv6: how many tunnels there may be inside, told in a header of 8 bytes (RFC 2473).
    pub encap_limit: Option<u8>,
    /// IPv6: `IP6_TNL_F_*` beside those that other fields stand for.
    pub flags: u32,
    pub encap: Option<Encap>,
}

// === impl TunnelMode ===

impl TunnelMode {
    /// The kernel's name of the type of link.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self.family() {
            Family::V4 => "ipip",
            Family::V6 => "ip6tnl",
        }
    }

    /// The module of the kernel that has this type.
    #[must_use]
    pub fn module(self) -> &'static str {
        match self.family() {
            Family::V4 => "ipip",
            Family::V6 => "ip6_tunnel",
        }
    }

    /// The family of its two ends.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::Ipip | Self::IpipAny => Family::V4,
            Self::Ip6Ip6 | Self::IpIp6 | Self::Ip6Any => Family::V6,
            Self::Other(family, _) => family,
        }
    }

    /// `IFLA_IPTUN_PROTO`.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Ipip | Self::IpIp6 => 4,
            Self::Ip6Ip6 => 41,
            Self::IpipAny | Self::Ip6Any => 0,
            Self::Other(_, number) => number,
        }
    }

    pub(super) fn from_number(family: Family, number: u8) -> Self {
        match (family, number) {
            (Family::V4, 4) => Self::Ipip,
            (Family::V4, 0) => Self::IpipAny,
            (Family::V6, 4) => Self::IpIp6,
            (Family::V6, 41) => Self::Ip6Ip6,
            (Family::V6, 0) => Self::Ip6Any,
            (family, other) => Self::Other(family, other),
        }
    }
}

// === impl EncapKind ===

impl EncapKind {
    /// `TUNNEL_ENCAP_*`.
    pub(super) fn number(self) -> u16 {
        match self {
            Self::Fou => 1,
            Self::Gue => 2,
            Self::Other(number) => number,
        }
    }

    pub(super) fn from_number(number: u16) -> Self {
        match number {
            1 => Self::Fou,
            2 => Self::Gue,
            other => Self::Other(other),
        }
    }
}

// === impl Encap ===

impl Encap {
    /// Generic UDP encapsulation as all nodes use it, with what checksums the family demands.
    #[must_use]
    pub fn gue(family: Family, destination_port: u16) -> Self {
        Self {
            kind: EncapKind::Gue,
            source_port: 0,
            destination_port,
            flags: match family {
                Family::V4 => 0,
                Family::V6 => ENCAP_CHECKSUM_V6,
            },
        }
    }

    /// The module of the kernel that wraps packets of tunnels over this family.
    #[must_use]
    pub fn module(family: Family) -> &'static str {
        match family {
            Family::V4 => "fou",
            Family::V6 => "fou6",
        }
    }
}

// === impl Tunnel ===

impl Tunnel {
    /// A tunnel with everything else at the packet's own: TTL and no type of service, fragments
    /// allowed over IPv4.
    #[must_use]
    pub fn new(mode: TunnelMode, local: IpAddr, remote: IpAddr) -> Self {
        Self {
            mode,
            local,
            remote,
            link: None,
            ttl: 0,
            tos: 0,
            pmtudisc: mode.family() == Family::V6,
            encap_limit: None,
            flags: 0,
            encap: None,
        }
    }
}

impl fmt::Display for TunnelMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipip => "ipip",
            Self::Ip6Ip6 => "ip6ip6",
            Self::IpIp6 => "ipip6",
            Self::IpipAny | Self::Ip6Any => "any",
            Self::Other(_, number) => return write!(f, "{number}"),
        })
    }
}

impl fmt::Display for EncapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fou => f.write_str("fou"),
            Self::Gue => f.write_str("gue"),
            Self::Other(number) => write!(f, "{number}"),
        }
    }
}

/// What follows `ip link add NAME type`.
impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, mode) = (self.mode.kind(), self.mode);
        write!(
            f,
            "{kind} mode {mode} local {} remote {}",
            self.local, self.remote
        )?;
        if let Some(link) = self.link {
            write!(f, " dev if{link}")?;
        }
        match self.ttl {
            0 => f.write_str(" ttl inherit")?,
            ttl => write!(f, " ttl {ttl}")?,
        }
        let class = match mode.family() {
            Family::V4 => "tos",
            Family::V6 => "tclass",
        };
        match self.tos {
            0 => {}
            1 => write!(f, " {class} inherit")?,
            tos => write!(f, " {class} {tos:#x}")?,
        }
        match (mode.family(), self.encap_limit) {
            (Family::V4, _) if !self.pmtudisc => f.write_str(" nopmtudisc")?,
            (Family::V4, _) => {}
            (Family::V6, None) => f.write_str(" encaplimit none")?,
            (Family::V6, Some(limit)) => write!(f, " encaplimit {limit}")?,
        }
        let Some(encap) = self.encap else {
            return Ok(());
        };
        write!(f, " encap {} encap-sport ", encap.kind)?;
        match encap.source_port {
            0 => f.write_str("auto")?,
            port => write!(f, "{port}")?,
        }
        write!(f, " encap-dport {}", encap.destination_port)?;
        for (bit, word) in [
            (ENCAP_CHECKSUM_V4, "encap-csum"),
            (ENCAP_CHECKSUM_V6, "encap-udp6-csum"),
        ] {
            let no = if encap.flags & bit == 0 { "no" } else { "" };
            write!(f, " {no}{word}")?;
        }
        Ok(())
    }
}
