//! Who tells routes, and what each has told.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::id_set::IdSet;
use crate::bgp::wire::PeerKind;
use crate::net::{ByFamily, Family};

/// A peer of one [`super::Rib`]; numbers of removed peers are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub(super) u16);

/// What decision and reflection ask of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerFacts {
    pub address: IpAddr,
    pub asn: u32,
    pub kind: PeerKind,
    /// Of its last OPEN.
    pub router_id: Ipv4Addr,
    /// We reflect for it (RFC 4456).
    pub is_client: bool,
}

/// Paths of one peer and family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// All that it has told; what a limit of prefixes is held against.
    pub received: usize,
    /// Those that may be chosen.
    pub accepted: usize,
    /// Those that wait for being told again.
    pub stale: usize,
    /// How often a path was not taken because the peer has told hundreds of others of that prefix
    /// (RFC 7911); only grows.
    pub refused: usize,
}

/// One peer with the ids of the prefixes it has told, by which its paths are found.
#[derive(Debug)]
pub(super) struct AdjRibIn {
    pub(super) facts: PeerFacts,
    pub(super) prefixes: ByFamily<IdSet>,
    pub(super) counters: ByFamily<Counters>,
}

/// All peers, by number.
#[derive(Debug)]
pub(super) struct Peers {
    /// The first place is our own.
    peers: Vec<Option<AdjRibIn>>,
}

// === impl PeerId ===

impl PeerId {
    /// Ourselves.
    pub const LOCAL: Self = Self(0);
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LOCAL => f.write_str("local"),
            Self(number) => write!(f, "peer {number}"),
        }
    }
}

// === impl PeerFacts ===

impl PeerFacts {
    fn ourselves() -> Self {
        Self {
            address: Ipv4Addr::UNSPECIFIED.into(),
            asn: 0,
            kind: PeerKind::Internal,
            router_id: Ipv4Addr::UNSPECIFIED,
            is_client: false,
        }
    }
}

// === impl AdjRibIn ===

impl AdjRibIn {
    fn new(facts: PeerFacts) -> Self {
        Self {
            facts,
            prefixes: ByFamily::default(),
            counters: ByFamily::default(),
        }
    }

    pub(super) fn ids(&self, family: Family) -> Vec<u32> {
        self.prefixes.get(family).iter().collect()
    }
}

// === impl Peers ===

impl Default for Peers {
    fn default() -> Self {
        Self {
            peers: vec![Some(AdjRibIn::new(PeerFacts::ourselves()))],
        }
    }
}

impl Peers {
    /// `None` once 65,535 are there.
    pub(super) fn add(&mut self, facts: PeerFacts) -> Option<PeerId> {
        let free = self.peers.iter().position(Option::is_none);
        let at = free.unwrap_or(self.peers.len());
        let id = PeerId(u16::try_from(at).ok()?);
        if free.is_none() {
            self.peers.push(None);
        }
        *self.peers.get_mut(at)? = Some(AdjRibIn::new(facts));
        Some(id)
    }

    pub(super) fn remove(&mut self, id: PeerId) {
        if let Some(slot) = self.peers.get_mut(usize::from(id.0)) {
            *slot = None;
        }
    }

    pub(super) fn get(&self, id: PeerId) -> Option<&AdjRibIn> {
        self.peers.get(usize::from(id.0))?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: PeerId) -> Option<&mut AdjRibIn> {
        self.peers.get_mut(usize::from(id.0))?.as_mut()
    }

    pub(super) fn facts(&self, id: PeerId) -> Option<&PeerFacts> {
        self.get(id).map(|peer| &peer.facts)
    }
}
