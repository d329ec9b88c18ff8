//! Values of the smaller attributes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{AttributeCode, AttributeFlags};

/// How a route came into BGP; the smaller is preferred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    #[default]
    Igp,
    Egp,
    Incomplete,
}

/// Who made an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Aggregator {
    pub asn: u32,
    pub router_id: Ipv4Addr,
}

/// Where to send packets to. For IPv6 with a link-local address beside the global one if the peer
/// shares our link (RFC 2545); a peer without global address sends the link-local one as global.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    V4(Ipv4Addr),
    V6 {
        global: Ipv6Addr,
        link_local: Option<Ipv6Addr>,
    },
}

/// An optional transitive attribute that we don't know, to be passed on. Its partial bit is set,
/// its extended length bit cleared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnknownAttribute {
    pub flags: AttributeFlags,
    pub code: AttributeCode,
    pub value: Box<[u8]>,
}

// === impl Origin ===

impl Origin {
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Igp => 0,
            Self::Egp => 1,
            Self::Incomplete => 2,
        }
    }

    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Igp),
            1 => Some(Self::Egp),
            2 => Some(Self::Incomplete),
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Igp => "IGP",
            Self::Egp => "EGP",
            Self::Incomplete => "incomplete",
        })
    }
}

// === impl NextHop ===

impl NextHop {
    /// The address itself, the global one for IPv6.
    #[must_use]
    pub fn address(self) -> IpAddr {
        match self {
            Self::V4(address) => address.into(),
            Self::V6 { global, .. } => global.into(),
        }
    }

    /// Whether it can be an address of a host at all.
    pub(crate) fn is_host(self) -> bool {
        match self {
            Self::V4(address) => is_host_v4(address),
            Self::V6 { global, link_local } => {
                let global = !global.is_unspecified() && !global.is_multicast();
                global && link_local.is_none_or(|address| address.is_unicast_link_local())
            }
        }
    }
}

/// Not of 0/8, multicast, reserved or broadcast.
fn is_host_v4(address: Ipv4Addr) -> bool {
    !matches!(address.octets(), [0 | 224..=255, ..])
}

impl From<IpAddr> for NextHop {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(global) => Self::V6 {
                global,
                link_local: None,
            },
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V6 {
                global,
                link_local: Some(link_local),
            } => write!(f, "{global} ({link_local})"),
            other => write!(f, "{}", other.address()),
        }
    }
}

impl fmt::Display for Aggregator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.asn, self.router_id)
    }
}
