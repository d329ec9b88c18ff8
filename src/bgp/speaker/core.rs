//! The speaker's turn: an input goes through the state machine of its peer into the tables, and
//! what follows from that goes out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::connection::Connection;
use super::desired::{Desired, PeerKey};
use super::input::{ConnectionKey, Input, Note, Output, Refusal};
use super::neighbor::Neighbor;
use super::tables::Tables;
use crate::bgp::fsm::{Action, ConnectionId, Direction, Event, Restarting, Stop};
use crate::bgp::rib::BestPaths;
use crate::net::{ByFamily, Family};

/// A speaker without sockets or clocks: it is told what is wanted and what happens, and says what
/// to do.
#[derive(Debug)]
pub struct SpeakerCore {
    pub(super) desired: Desired,
    pub(super) neighbors: BTreeMap<PeerKey, Neighbor>,
    pub(super) tables: Tables,
    pub(super) restarting: Option<Restarting<PeerKey>>,
    /// For the first [`Desired`].
    pub(super) restarted: Option<Restarted>,
    seed: u64,
}

/// The speaker starts after a restart, while its helpers and its kernel still forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restarted {
    /// How long at most to wait for all helpers.
    pub deferral: Duration,
    /// The families whose routes the kernel has kept.
    pub preserved: ByFamily<bool>,
}

// === impl SpeakerCore ===

impl SpeakerCore {
    /// A speaker that wants nothing yet. `seed` spreads timers and keeps peers from choosing
    /// prefixes whose hashes collide; it should be random.
    #[must_use]
    pub fn new(seed: u64, restarted: Option<Restarted>) -> Self {
        let desired = Desired::nothing();
        Self {
            tables: Tables::new(desired.speaker.clone(), desired.selection, seed),
            desired,
            neighbors: BTreeMap::new(),
            restarting: None,
            restarted,
            seed,
        }
    }

    /// What is to be done about `input`, in this order.
    #[must_use]
    pub fn handle(&mut self, now: Instant, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.apply(now, input, &mut out);
        self.settle(now, &mut out);
        out
    }

    /// When `handle_timeout` is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let peers = self.neighbors.values();
        let restarting = self.restarting.as_ref().and_then(Restarting::poll_timeout);
        peers
            .filter_map(|neighbor| neighbor.peer.poll_timeout())
            .chain(restarting)
            .min()
    }

    /// Whatever is due. All input that is there has to be handled first.
    #[must_use]
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Output> {
        let mut out = Vec::new();
        if let Some(restarting) = &mut self.restarting {
            let released = restarting.handle_timeout(now);
            self.release(released);
        }
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let due = self.neighbors.iter();
        let due: Vec<PeerKey> = due
            .filter(|(_, neighbor)| is_due(neighbor.peer.poll_timeout()))
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            if let Some(neighbor) = self.neighbors.get_mut(&key) {
                let actions = neighbor.peer.handle_timeout(now);
                self.carry_out(now, key, actions, &mut out);
            }
        }
        self.settle(now, &mut out);
        out
    }

    /// The best paths as they are now; cheap to keep.
    #[must_use]
    pub fn best_paths(&mut self) -> BestPaths {
        self.tables.best_paths()
    }

    /// Whether the routes of a family still wait for helpers: what the kernel has from before may
    /// not be taken away on account of [`SpeakerCore::best_paths`].
    #[must_use]
    pub fn is_deferred(&self, family: Family) -> bool {
        self.restarted.is_some() || !self.tables.is_chosen(family)
    }

    fn apply(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Connected(key) => self.on_connection(now, key, Event::Connected, out),
            Input::Accepted { key, local } => self.accepted(now, key, local, out),
            Input::Received(key, octets) => self.received(now, key, &octets, out),
            Input::Written(key, octets) => {
                if let Some(connection) = self.connection_mut(key) {
                    connection.written(octets);
                }
                self.on_connection(now, key, Event::Written, out);
            }
            Input::Closed(key) => {
                self.on_connection(now, key, Event::Closed, out);
                self.gone(key);
            }
            Input::Unreachable(key, words) => {
                let event = |id| Event::Unreachable(id, words);
                self.on_connection(now, key, event, out);
                self.gone(key);
            }
            Input::BfdDown {
                peer,
                control_plane_independent,
            } => {
                let event = Event::BfdDown {
                    control_plane_independent,
                };
                self.event(now, peer, event, out);
            }
            Input::NextHop(address, reachability) => {
                self.tables.rib.set_next_hop(address, reachability);
            }
            Input::Reset { peer, text } => self.event(now, peer, Event::Reset(text), out),
            Input::Start { peer } => self.event(now, peer, Event::Start, out),
            Input::Refresh { peer, family } => {
                self.event(now, peer, Event::Refresh(family), out);
            }
            Input::StopAll(stop) => self.stop_all(now, &stop, out),
        }
    }

    fn stop_all(&mut self, now: Instant, stop: &Stop, out: &mut Vec<Output>) {
        let keys: Vec<PeerKey> = self.neighbors.keys().copied().collect();
        for key in keys {
            self.event(now, key, Event::Stop(stop.clone()), out);
        }
    }

    pub(super) fn event(
        &mut self,
        now: Instant,
        key: PeerKey,
        event: Event,
        out: &mut Vec<Output>,
    ) {
        if let Some(neighbor) = self.neighbors.get_mut(&key) {
            let actions = neighbor.peer.handle(now, event);
            self.carry_out(now, key, actions, out);
        }
    }

    fn on_connection(
        &mut self,
        now: Instant,
        key: ConnectionKey,
        event: impl FnOnce(ConnectionId) -> Event,
        out: &mut Vec<Output>,
    ) {
        if self.connection_mut(key).is_some() {
            self.event(now, key.peer, event(key.id), out);
        }
    }

    fn gone(&mut self, key: ConnectionKey) {
        if let Some(neighbor) = self.neighbors.get_mut(&key.peer) {
            neighbor.connections.remove(&key.id);
        }
    }

    fn connection_mut(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        let neighbor = self.neighbors.get_mut(&key.peer)?;
        neighbor.connections.get_mut(&key.id)
    }

    fn accepted(&mut self, now: Instant, key: ConnectionKey, local: IpAddr, out: &mut Vec<Output>) {
        if key.id.direction == Direction::Outgoing {
            return;
        }
        if let Err(refusal) = self.admit(now, key.peer, local, out) {
            out.push(Output::Close(key));
            let note = Note::Refused(refusal);
            out.push(Output::Note {
                peer: key.peer,
                note,
            });
            return;
        }
        if let Some(neighbor) = self.neighbors.get_mut(&key.peer) {
            let connection = Connection::default();
            neighbor.connections.insert(key.id, connection);
        }
        self.event(now, key.peer, Event::Accepted(key.id), out);
    }

    /// Finds the peer that connects, or makes it by its range.
    fn admit(
        &mut self,
        now: Instant,
        peer: PeerKey,
        local: IpAddr,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let known = self.neighbors.get(&peer);
        let known = known.map(|neighbor| &neighbor.desired);
        let range = self.desired.range(peer);
        let desired = known.or(range.map(|range| &range.peer));
        let transport = &desired.ok_or(Refusal::Unknown)?.transport;
        if let Some(expected) = transport.local_address
            && expected != local
        {
            let found = local;
            return Err(Refusal::LocalAddress { expected, found });
        }
        if known.is_some() {
            return Ok(());
        }
        let Some(range) = range.cloned() else {
            return Err(Refusal::Unknown);
        };
        let of_range = |neighbor: &&Neighbor| {
            let by = self.desired.range(neighbor.key);
            neighbor.is_dynamic && by.is_some_and(|by| by.prefix == range.prefix)
        };
        if self.neighbors.values().filter(of_range).count() >= range.limit {
            return Err(Refusal::RangeFull(range.limit));
        }
        self.add(now, peer, range.peer, true, out)
            .ok_or(Refusal::NoRoom)
    }

    /// Reads as many messages as there are; those behind one that ends the connection are not
    /// looked at.
    fn received(
        &mut self,
        now: Instant,
        key: ConnectionKey,
        octets: &Bytes,
        out: &mut Vec<Output>,
    ) {
        if let Some(connection) = self.connection_mut(key) {
            connection.received(octets);
        }
        while let Some(neighbor) = self.neighbors.get_mut(&key.peer) {
            let codec = neighbor.codec(key.id);
            let Some(connection) = neighbor.connections.get_mut(&key.id) else {
                break;
            };
            let event = match connection.next(codec) {
                Ok(Some(message)) => Event::Message(key.id, message),
                Ok(None) => break,
                Err(error) => Event::Fault(key.id, error.notification()),
            };
            let is_fault = matches!(event, Event::Fault(..));
            let actions = neighbor.peer.handle(now, event);
            self.carry_out(now, key.peer, actions, out);
            if is_fault {
                break;
            }
        }
    }

    pub(super) fn carry_out(
        &mut self,
        now: Instant,
        key: PeerKey,
        actions: Vec<Action>,
        out: &mut Vec<Output>,
    ) {
        for action in actions {
            let Some(neighbor) = self.neighbors.get_mut(&key) else {
                return;
            };
            let connection = |id| ConnectionKey { peer: key, id };
            let note = |note| Output::Note { peer: key, note };
            match action {
                Action::Connect(id) => {
                    neighbor.connections.insert(id, Connection::default());
                    let to = Arc::clone(&neighbor.desired);
                    let key = connection(id);
                    out.push(Output::Connect { key, to });
                }
                Action::Send(id, message) => neighbor.send(id, &message, out),
                Action::Close(id) => {
                    neighbor.connections.remove(&id);
                    out.push(Output::Close(connection(id)));
                }
                Action::Up(_, terms) => {
                    self.up(key, &terms);
                    out.push(note(Note::Up));
                }
                Action::Down(down) => {
                    self.tables.groups.leave(neighbor.id);
                    out.push(note(Note::Down(down)));
                }
                Action::Routes(family, fate) => self.tables.suffer(neighbor.id, family, fate),
                Action::Deliver(update) => self.deliver(now, key, &update, out),
                Action::Refresh(refresh) => self.refresh(key, refresh),
                Action::Failed(failure) => out.push(note(Note::Failed(failure))),
                Action::ManyPrefixes { family, count } => {
                    out.push(note(Note::ManyPrefixes { family, count }));
                }
            }
        }
    }

    /// The end of every turn: changes reach the groups, and peers that read are told.
    pub(super) fn settle(&mut self, now: Instant, out: &mut Vec<Output>) {
        let spent = self.neighbors.iter();
        let spent: Vec<PeerKey> = spent
            .filter(|(_, neighbor)| neighbor.is_spent())
            .map(|(key, _)| *key)
            .collect();
        for key in spent {
            self.forget(key);
        }
        self.tables.settle();
        let keys: Vec<PeerKey> = self.neighbors.keys().copied().collect();
        for key in keys {
            let Tables { groups, rib, .. } = &mut self.tables;
            if let Some(neighbor) = self.neighbors.get_mut(&key) {
                let actions = neighbor.tell(now, groups, rib, out);
                self.carry_out(now, key, actions, out);
            }
        }
        if self.tables.has_new_best_paths() {
            out.push(Output::BestPathsChanged);
        }
    }

    /// The next number for a peer's timers.
    pub(super) fn next_seed(&mut self) -> u64 {
        // Knuth's linear congruential generator (MMIX); the state machine mixes the bits.
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.seed
    }
}
