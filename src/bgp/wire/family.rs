//! Address families as BGP numbers them (RFC 4760; IANA "Address Family Numbers", "SAFI").

use std::fmt;

use crate::net::Family;

/// An Address Family Identifier; any number a peer sends has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Afi(pub u16);

/// A Subsequent Address Family Identifier; any number a peer sends has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Safi(pub u8);

/// What capabilities, ROUTE-REFRESH and the multiprotocol attributes speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressFamily {
    pub afi: Afi,
    pub safi: Safi,
}

// === impl Afi ===

impl Afi {
    pub const IPV4: Self = Self(1);
    pub const IPV6: Self = Self(2);
}

impl From<Family> for Afi {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => Self::IPV4,
            Family::V6 => Self::IPV6,
        }
    }
}

impl fmt::Display for Afi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV4 => f.write_str("IPv4"),
            Self::IPV6 => f.write_str("IPv6"),
            Self(other) => write!(f, "AFI {other}"),
        }
    }
}

// === impl Safi ===

impl Safi {
    pub const UNICAST: Self = Self(1);
    pub const MULTICAST: Self = Self(2);
}

impl fmt::Display for Safi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UNICAST => f.write_str("unicast"),
            Self::MULTICAST => f.write_str("multicast"),
            Self(other) => write!(f, "SAFI {other}"),
        }
    }
}

// === impl AddressFamily ===

impl AddressFamily {
    pub const IPV4_UNICAST: Self = Self {
        afi: Afi::IPV4,
        safi: Safi::UNICAST,
    };
    pub const IPV6_UNICAST: Self = Self {
        afi: Afi::IPV6,
        safi: Safi::UNICAST,
    };

    /// The family whose unicast routes we exchange, if it is one of the two.
    #[must_use]
    pub fn unicast(self) -> Option<Family> {
        match self {
            Self::IPV4_UNICAST => Some(Family::V4),
            Self::IPV6_UNICAST => Some(Family::V6),
            _ => None,
        }
    }
}

impl From<Family> for AddressFamily {
    fn from(family: Family) -> Self {
        Self {
            afi: family.into(),
            safi: Safi::UNICAST,
        }
    }
}

impl fmt::Display for AddressFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.afi, self.safi)
    }
}
