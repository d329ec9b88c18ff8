//! What operators are shown, as plain data.

use std::sync::Arc;
use std::time::Instant;

use super::core::SpeakerCore;
use super::desired::{PeerDesired, PeerKey};
use crate::bgp::fsm::{Counters, Failure, Mishap, Reason, State, Terms, Timers};
use crate::bgp::rib;
use crate::bgp::rib::{Path, Route, Speaker};
use crate::bgp::wire::Notification;
use crate::net::{ByFamily, Family, Prefix};

/// The speaker at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpeakerStatus {
    pub speaker: Speaker,
    /// The families that still wait for helpers after our restart.
    pub deferred: ByFamily<bool>,
    /// Prefixes with a path.
    pub prefixes: ByFamily<usize>,
    /// By address.
    pub neighbors: Vec<NeighborStatus>,
}

/// One peer at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeighborStatus {
    pub peer: PeerKey,
    pub desired: Arc<PeerDesired>,
    /// It came by a listen range.
    pub is_dynamic: bool,
    pub state: State,
    pub since: Instant,
    pub stopped: bool,
    pub timers: Timers,
    pub connect_retries: u32,
    /// Of the established session.
    pub terms: Option<Terms>,
    pub counters: Counters,
    pub last_sent: Option<Mishap<Notification>>,
    pub last_received: Option<Mishap<Notification>>,
    /// Why the last attempt at a session failed; none since one was established.
    pub last_failure: Option<Mishap<Failure>>,
    pub last_down: Option<Mishap<Reason>>,
    /// What the peer has told.
    pub received: ByFamily<rib::Counters>,
    /// How many prefixes the peer has been told.
    pub announced: ByFamily<usize>,
    /// It has still to be told something.
    pub has_pending: bool,
    /// Octets that wait for the wire.
    pub unwritten: usize,
}

/// A path that a peer has told.
#[derive(Debug, Clone)]
pub struct RibInEntry {
    pub prefix: Prefix,
    pub peer: PeerKey,
    /// As it is after import; [`Route::received`] is as it came.
    pub path: Path,
}

/// A route that a peer is told.
#[derive(Debug, Clone)]
pub struct RibOutEntry {
    pub prefix: Prefix,
    pub peer: PeerKey,
    pub route: Arc<Route>,
    /// The peer has it already.
    pub is_written: bool,
}

impl SpeakerCore {
    #[must_use]
    pub fn status(&self) -> SpeakerStatus {
        SpeakerStatus {
            neighbors: self
                .neighbors
                .keys()
                .filter_map(|key| self.neighbor_status(*key))
                .collect(),
            ..self.summary()
        }
    }

    #[must_use]
    pub fn neighbor_status(&self, peer: PeerKey) -> Option<NeighborStatus> {
        let neighbor = self.neighbors.get(&peer)?;
        let status = neighbor.peer.status();
        let received = |family| self.tables.rib.counters(neighbor.id, family);
        let announced = |family| self.tables.groups.announced(neighbor.id, family);
        let connections = neighbor.connections.values();
        Some(NeighborStatus {
            peer,
            desired: Arc::clone(&neighbor.desired),
            is_dynamic: neighbor.is_dynamic,
            state: status.state,
            since: status.since,
            stopped: status.stopped,
            timers: status.timers,
            connect_retries: status.connect_retries,
            terms: status.terms.cloned(),
            counters: status.counters,
            last_sent: status.last_sent.cloned(),
            last_received: status.last_received.cloned(),
            last_failure: status.last_failure.cloned(),
            last_down: status.last_down.cloned(),
            received: ByFamily {
                v4: received(Family::V4),
                v6: received(Family::V6),
            },
            announced: ByFamily {
                v4: announced(Family::V4),
                v6: announced(Family::V6),
            },
            has_pending: self.tables.groups.has_pending(neighbor.id),
            unwritten: connections.map(|connection| connection.unwritten()).sum(),
        })
    }

    /// How many connections a peer has, attempts among them.
    #[must_use]
    pub fn connections(&self, peer: PeerKey) -> usize {
        let neighbor = self.neighbors.get(&peer);
        neighbor.map_or(0, |neighbor| neighbor.connections.len())
    }

    /// What a peer has told of a family, sorted by prefix; nothing for an unknown peer.
    #[must_use]
    pub fn rib_in(&self, peer: PeerKey, family: Family) -> Vec<RibInEntry> {
        let Some(neighbor) = self.neighbors.get(&peer) else {
            return Vec::new();
        };
        let mut entries = Vec::new();
        for view in self.tables.rib.of_peer(neighbor.id, family) {
            let paths = view.paths.iter();
            let own = paths.filter(|path| path.peer() == neighbor.id);
            entries.extend(own.map(|path| RibInEntry {
                prefix: view.prefix,
                peer,
                path: path.clone(),
            }));
        }
        entries.sort_by_key(|entry| (entry.prefix, entry.path.path_id()));
        entries
    }

    /// What a peer is told of a family, sorted by prefix; nothing unless its session is up.
    #[must_use]
    pub fn rib_out(&self, peer: PeerKey, family: Family) -> Vec<RibOutEntry> {
        let Some(neighbor) = self.neighbors.get(&peer) else {
            return Vec::new();
        };
        let views = self.tables.rib.iter(family);
        let mut entries: Vec<_> = views
            .filter_map(|view| {
                let (route, is_written) = self.tables.groups.told(neighbor.id, view.id)?;
                Some(RibOutEntry {
                    prefix: view.prefix,
                    peer,
                    route: Arc::clone(route),
                    is_written,
                })
            })
            .collect();
        entries.sort_by_key(|entry| entry.prefix);
        entries
    }
}
