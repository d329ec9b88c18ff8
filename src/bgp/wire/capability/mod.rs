//! Capabilities (RFC 5492): what a speaker can do beyond RFC 4271.
//!
//! One of ours whose value is malformed is kept as [`Capability::Unknown`], that is, it counts as
//! not sent; only the AS number of four octets has to be right, for it names the peer.

mod decode;
mod encode;

use super::family::{AddressFamily, Afi};

/// One capability.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Capability {
    /// Code 1 (RFC 4760).
    Multiprotocol(AddressFamily),
    /// Code 2 (RFC 2918).
    RouteRefresh,
    /// Code 5 (RFC 8950).
    ExtendedNextHop(Vec<ExtendedNextHop>),
    /// Code 6 (RFC 8654).
    ExtendedMessage,
    /// Code 64 (RFC 4724, 8538).
    GracefulRestart(GracefulRestart),
    /// Code 65 (RFC 6793).
    FourOctetAs(u32),
    /// Code 69 (RFC 7911).
    AddPath(Vec<AddPathFamily>),
    /// Code 70 (RFC 7313).
    EnhancedRouteRefresh,
    /// Code 71 (RFC 9494).
    LongLivedGracefulRestart(Vec<LongLivedFamily>),
    /// Code 73 (draft-walton-bgp-hostname-capability), for people to read.
    Fqdn(Fqdn),
    Unknown {
        code: u8,
        value: Box<[u8]>,
    },
}

/// Prefixes of `family` may have next hops of `next_hop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExtendedNextHop {
    pub family: AddressFamily,
    pub next_hop: Afi,
}

/// ```text
/// +--------------------------------------------------+
/// | R | N | reserved (2 bits) | restart time (12)    |
/// +--------------------------------------------------+
/// | AFI (16) | SAFI (8) | F + reserved (8) | ...     |
/// +--------------------------------------------------+
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct GracefulRestart {
    /// R: the speaker has restarted and wants not to be waited for.
    pub restarting: bool,
    /// N: NOTIFICATIONs and hold timer expiry are graceful, too (RFC 8538).
    pub notification: bool,
    /// Until the session is to be back, in seconds: 0 to 4095; a longer one is sent as 4095.
    pub restart_time: u16,
    pub families: Vec<GracefulFamily>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GracefulFamily {
    pub family: AddressFamily,
    /// F: forwarding went on over the restart.
    pub forwarding: bool,
}

/// How long a family's routes may be stale after the restart time (RFC 9494 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LongLivedFamily {
    pub family: AddressFamily,
    /// F: forwarding went on over the restart.
    pub forwarding: bool,
    /// In seconds, 24 bits; a longer one is sent as the greatest.
    pub stale_time: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddPathFamily {
    pub family: AddressFamily,
    pub mode: AddPathMode,
}

/// Which directions of several paths per prefix a speaker is able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddPathMode {
    Receive,
    Send,
    Both,
}

/// The name of the router, as it calls itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Fqdn {
    pub host: String,
    pub domain: String,
}

// === impl AddPathMode ===

impl AddPathMode {
    #[must_use]
    pub fn receives(self) -> bool {
        self != Self::Send
    }

    #[must_use]
    pub fn sends(self) -> bool {
        self != Self::Receive
    }

    fn number(self) -> u8 {
        match self {
            Self::Receive => 1,
            Self::Send => 2,
            Self::Both => 3,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Receive),
            2 => Some(Self::Send),
            3 => Some(Self::Both),
            _ => None,
        }
    }
}

// === impl Capability ===

impl Capability {
    /// The number IANA gave it.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Multiprotocol(_) => 1,
            Self::RouteRefresh => 2,
            Self::ExtendedNextHop(_) => 5,
            Self::ExtendedMessage => 6,
            Self::GracefulRestart(_) => 64,
            Self::FourOctetAs(_) => 65,
            Self::AddPath(_) => 69,
            Self::EnhancedRouteRefresh => 70,
            Self::LongLivedGracefulRestart(_) => 71,
            Self::Fqdn(_) => 73,
            Self::Unknown { code, .. } => *code,
        }
    }
}
