//! What the speaker is told to be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::bgp::fsm::PeerConfig;
use crate::bgp::policy::Policy;
use crate::bgp::rib::{RouteKind, Selection, Speaker};
use crate::bgp::wire::{Attributes, NextHop};
use crate::net::{ByFamily, Prefix};

/// A peer, by its address: there is one peer per address.
pub type PeerKey = IpAddr;

/// Everything; what is not in it is not wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Our AS, BGP identifier, cluster and addresses. Peers whose settings name another AS or
    /// identifier speak as that.
    pub speaker: Speaker,
    pub selection: Selection,
    pub peers: BTreeMap<PeerKey, Arc<PeerDesired>>,
    /// Who may connect without being among `peers`; the longest prefix counts.
    pub ranges: Vec<ListenRange>,
    pub originate: BTreeMap<Prefix, Originated>,
}

/// One peer, or all of a [`ListenRange`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerDesired {
    pub session: PeerConfig,
    pub transport: Transport,
    pub import: Arc<Policy>,
    pub export: Arc<Policy>,
    /// We reflect for it (RFC 4456).
    pub is_client: bool,
    /// Internal peers are told our own address for what comes from external ones.
    pub next_hop_self: bool,
    /// Our own address on the session, by family of the prefix.
    pub own_next_hop: ByFamily<Option<NextHop>>,
    /// Stopped by an operator, with words for the one at the other end (RFC 9003).
    pub shutdown: Option<String>,
}

/// How the peer is reached; a change of it needs a new session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transport {
    /// Connections come from and to this address alone.
    pub local_address: Option<IpAddr>,
    /// Index of the interface that a peer with a link-local address is reached by; such a peer
    /// can't do without. Connections from that address on other links are refused.
    pub interface: Option<u32>,
    /// TCP port of the peer.
    pub port: u16,
    /// TCP MD5 (RFC 2385).
    pub password: Option<Arc<[u8]>>,
    pub ttl: Ttl,
}

/// The hops that packets of the session may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ttl {
    /// What the kernel does; for internal peers.
    #[default]
    Default,
    /// Sent with this TTL: 1 for external peers on the link, more for multihop.
    Send(u8),
    /// Sent with 255, and taken only from at most so many hops away (RFC 5082).
    Security { hops: u8 },
}

/// Peers that connect from a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenRange {
    pub prefix: Prefix,
    /// They are passive whatever stands there.
    pub peer: Arc<PeerDesired>,
    /// At most so many at a time.
    pub limit: usize,
}

/// A route of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Originated {
    pub kind: RouteKind,
    pub next_hop: NextHop,
    pub attributes: Attributes,
}

// === impl Desired ===

impl Desired {
    /// Without peers and routes.
    #[must_use]
    pub fn new(speaker: Speaker) -> Self {
        Self {
            speaker,
            selection: Selection::default(),
            peers: BTreeMap::new(),
            ranges: Vec::new(),
            originate: BTreeMap::new(),
        }
    }

    /// What nothing is wanted from.
    pub(super) fn nothing() -> Self {
        Self::new(Speaker {
            asn: 0,
            confederation: None,
            router_id: Ipv4Addr::UNSPECIFIED,
            cluster_id: None,
            addresses: BTreeSet::new(),
        })
    }

    /// The range that a peer may connect by.
    pub(super) fn range(&self, peer: PeerKey) -> Option<&ListenRange> {
        let ranges = self.ranges.iter();
        ranges
            .filter(|range| range.prefix.contains(&peer))
            .max_by_key(|range| range.prefix.prefix_len())
    }
}

// === impl PeerDesired ===

impl PeerDesired {
    /// A peer at port 179 of which nothing but its session is said: all is taken and told.
    #[must_use]
    pub fn new(session: PeerConfig) -> Self {
        Self {
            session,
            transport: Transport::default(),
            import: Arc::new(Policy::accept_all()),
            export: Arc::new(Policy::accept_all()),
            is_client: false,
            next_hop_self: false,
            own_next_hop: ByFamily::default(),
            shutdown: None,
        }
    }
}

// === impl Transport ===

impl Transport {
    /// The port that IANA gave to BGP.
    pub const PORT: u16 = 179;
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            local_address: None,
            interface: None,
            port: Self::PORT,
            password: None,
            ttl: Ttl::Default,
        }
    }
}
