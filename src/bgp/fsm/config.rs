//! What one peer is told to be, and which change of it needs a new session.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::open::Restart;
use super::timers::Backoff;
use crate::bgp::wire::HoldTime;
use crate::net::ByFamily;

/// The settings of one peer that the state machine needs. Addresses, ports, passwords and TTLs are
/// the connection's, not the machine's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    pub local_as: u32,
    /// Our BGP identifier; never 0.0.0.0.
    pub router_id: Ipv4Addr,
    pub peer_as: PeerAs,
    /// The families to be exchanged; at least one.
    pub families: ByFamily<bool>,
    /// What we propose; the smaller of both sides' counts.
    pub hold_time: HoldTime,
    /// Between KEEPALIVEs; a third of the hold time if not set, and never more than that.
    pub keepalive: Option<Duration>,
    /// How long nothing may get out (RFC 9687); eight minutes or twice the hold time, whichever is
    /// longer, if not set, and never less than the hold time.
    pub send_hold: Option<Duration>,
    /// Never connects, only waits for the peer to do so.
    pub passive: bool,
    /// Waits so long for the peer's OPEN before it sends its own.
    pub delay_open: Option<Duration>,
    /// Between attempts to connect; the limit is also how long one attempt may take.
    pub connect_retry: Backoff,
    /// In Idle after an error (RFC 4271 section 8.1, "DampPeerOscillations"). A session that lasted
    /// longer than the limit starts over with the first wait.
    pub idle_hold: Backoff,
    /// Messages beyond 4096 octets (RFC 8654).
    pub extended_messages: bool,
    /// IPv4 prefixes with IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// Takes several paths per prefix (RFC 7911).
    pub add_path_receive: ByFamily<bool>,
    /// Whether external paths have to start with the peer's AS; off for route servers.
    pub enforce_first_as: bool,
    pub graceful: Option<GracefulConfig>,
    pub max_prefixes: ByFamily<Option<MaxPrefixes>>,
}

/// Which AS the peer may be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAs {
    Exactly(u32),
    /// Any but ours; for peers by listen range.
    External,
}

/// Graceful restart (RFC 4724), for ourselves and as a helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GracefulConfig {
    /// How long the peer is asked to wait for us; 4095 s at most.
    pub restart_time: Duration,
    /// How long the peer's stale routes are kept after it is back and before its End-of-RIB.
    pub stale_time: Duration,
    /// Also over NOTIFICATIONs and hold timer expiry (RFC 8538).
    pub notification: bool,
    pub long_lived: Option<LongLivedConfig>,
}

/// Long-lived graceful restart (RFC 9494).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongLivedConfig {
    /// How long the peer is asked to keep our routes after the restart time; 24 bits of seconds.
    pub stale_time: Duration,
    /// A limit to what the peer asks of us.
    pub helper_limit: Option<Duration>,
}

/// How many prefixes of a family a peer may tell us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPrefixes {
    pub limit: u32,
    /// From how many on to warn, once.
    pub warn_at: Option<u32>,
    /// How long to stay away from a peer that told more; until an operator says so if not set.
    pub restart: Option<Duration>,
}

// === impl PeerAs ===

impl fmt::Display for PeerAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(asn) => asn.fmt(f),
            Self::External => f.write_str("another one than ours"),
        }
    }
}

// === impl PeerConfig ===

impl PeerConfig {
    /// With the values that RFC 4271 section 10 suggests, shorter waits, and every extension that
    /// costs nothing; no graceful restart, no limits.
    #[must_use]
    pub fn new(local_as: u32, router_id: Ipv4Addr, peer_as: PeerAs) -> Self {
        Self {
            local_as,
            router_id,
            peer_as,
            families: ByFamily { v4: true, v6: true },
            hold_time: HoldTime::SUGGESTED,
            keepalive: None,
            send_hold: None,
            passive: false,
            delay_open: None,
            connect_retry: Backoff {
                first: Duration::from_secs(2),
                limit: Duration::from_secs(120),
            },
            idle_hold: Backoff {
                first: Duration::from_secs(1),
                limit: Duration::from_secs(60),
            },
            extended_messages: true,
            extended_next_hop: true,
            add_path_receive: ByFamily::default(),
            enforce_first_as: true,
            graceful: None,
            max_prefixes: ByFamily::default(),
        }
    }
}

/// Whether a session made under `old` can't go on under `new`: when our OPEN would say something
/// else, or the peer's would be judged in another way. Timers, limits and waits change in place.
#[must_use]
pub fn needs_reset(old: &PeerConfig, new: &PeerConfig) -> bool {
    old.open(&Restart::NONE) != new.open(&Restart::NONE)
        || old.peer_as != new.peer_as
        || old.enforce_first_as != new.enforce_first_as
}
