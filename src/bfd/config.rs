//! What a session is wanted to be.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

/// Where single-hop packets go to (RFC 5881 section 4).
pub const SINGLE_HOP_PORT: u16 = 3784;
/// Where multihop packets go to (RFC 5883 section 5).
pub const MULTIHOP_PORT: u16 = 4784;

/// What all packets are sent with, and single-hop packets must arrive with (RFC 5881 section 5).
pub(super) const MAX_TTL: u8 = 255;

/// Whom a session is with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    pub remote: IpAddr,
    /// Our end; `None`: what the routes say.
    pub local: Option<IpAddr>,
    /// The index of the interface that packets must arrive at; needed for link-local addresses.
    pub interface: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    pub reach: Reach,
    /// Where we send to and listen at.
    pub port: u16,
    pub timers: Timers,
}

/// How far away the other end may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// On a shared link (RFC 5881).
    SingleHop,
    /// Behind routers (RFC 5883); packets that arrive with a lower TTL are dropped. We send with
    /// 255, and so does FRR; BIRD sends with 64.
    Multihop { min_ttl: u8 },
}

/// What we propose to the other end; the slower of the two ends counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timers {
    /// Between the packets that we send; at most 2^32 - 1 us, at least 1 us.
    pub desired_min_tx: Duration,
    /// Between the packets that we receive; at most 2^32 - 1 us, at least 1 us.
    pub required_min_rx: Duration,
    /// Intervals without a packet after which the other end takes us for lost.
    pub multiplier: NonZeroU8,
}

// === impl SessionKey ===

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.remote)?;
        if let Some(local) = self.local {
            write!(f, " from {local}")?;
        }
        if let Some(interface) = self.interface {
            write!(f, " over interface {interface}")?;
        }
        Ok(())
    }
}

// === impl SessionConfig ===

impl SessionConfig {
    /// A single-hop session with the default port and timers.
    #[must_use]
    pub fn single_hop() -> Self {
        Self {
            reach: Reach::SingleHop,
            port: SINGLE_HOP_PORT,
            timers: Timers::default(),
        }
    }

    /// A multihop session with the default port and timers.
    #[must_use]
    pub fn multihop(min_ttl: u8) -> Self {
        Self {
            reach: Reach::Multihop { min_ttl },
            port: MULTIHOP_PORT,
            timers: Timers::default(),
        }
    }

    /// Whether only what a session can change while it is Up differs.
    pub(super) fn is_same_session(&self, other: &Self) -> bool {
        self.reach == other.reach && self.port == other.port
    }
}

// === impl Reach ===

impl Reach {
    /// The TTL or hop limit that a packet must have when it arrives.
    #[must_use]
    pub fn least_ttl(self) -> u8 {
        match self {
            Self::SingleHop => MAX_TTL,
            Self::Multihop { min_ttl } => min_ttl,
        }
    }
}

// === impl Timers ===

impl Default for Timers {
    /// 3 x 1 s.
    fn default() -> Self {
        Self {
            desired_min_tx: Duration::from_secs(1),
            required_min_rx: Duration::from_secs(1),
            multiplier: NonZeroU8::MIN.saturating_add(2),
        }
    }
}

/// As a packet says it; 0 would mean something else.
pub(super) fn microseconds(interval: Duration) -> u32 {
    u32::try_from(interval.as_micros())
        .unwrap_or(u32::MAX)
        .max(1)
}
