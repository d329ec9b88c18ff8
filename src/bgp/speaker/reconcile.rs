//! From one [`Desired`] to the next, touching just what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::core::SpeakerCore;
use super::desired::{Desired, ListenRange, Originated, PeerDesired, PeerKey};
use super::input::Output;
use super::neighbor::{Neighbor, first_facts};
use crate::bgp::fsm::{Event, Peer, PeerConfig, Restart, Restarting, Stop};
use crate::bgp::rib::Route;
use crate::net::{Family, Prefix};

impl SpeakerCore {
    /// Wants this from now on.
    #[must_use]
    pub fn set_desired(&mut self, now: Instant, desired: Desired) -> Vec<Output> {
        let mut out = Vec::new();
        let old = std::mem::replace(&mut self.desired, desired);
        self.begin_restart(now);
        self.remove_unwanted(now, &mut out);
        self.set_speaker(&old);
        self.set_originated(&old);
        let keys = self.neighbors.keys().chain(self.desired.peers.keys());
        let keys: BTreeSet<PeerKey> = keys.copied().collect();
        for key in keys {
            let Some((wanted, is_dynamic)) = self.wanted(key) else {
                continue;
            };
            if self.neighbors.contains_key(&key) {
                self.change(now, key, wanted, is_dynamic, &mut out);
            } else if self.add(now, key, wanted, false, &mut out).is_none() {
                // 65,535 peers: the rest waits until others go.
                break;
            }
        }
        self.settle(now, &mut out);
        out
    }

    /// What a peer is to be now, and whether only by its range.
    fn wanted(&self, key: PeerKey) -> Option<(Arc<PeerDesired>, bool)> {
        if let Some(peer) = self.desired.peers.get(&key) {
            return Some((Arc::clone(peer), false));
        }
        let neighbor = self.neighbors.get(&key)?;
        let range = neighbor.is_dynamic.then(|| self.desired.range(key))??;
        Some((Arc::clone(&range.peer), true))
    }

    /// Who may connect without being configured.
    pub(super) fn ranges(&self) -> &[ListenRange] {
        &self.desired.ranges
    }

    /// The settings that a peer from this address would have.
    pub(super) fn wanted_by(&self, key: PeerKey) -> Option<&PeerDesired> {
        let peer = self.desired.peers.get(&key);
        let range = || self.desired.range(key).map(|range| &range.peer);
        peer.or_else(range).map(AsRef::as_ref)
    }

    /// With the first [`Desired`] after a restart, waiting for helpers begins.
    fn begin_restart(&mut self, now: Instant) {
        let Some(restarted) = self.restarted.take() else {
            return;
        };
        let helpers = self.desired.peers.iter();
        let helpers = helpers
            .filter(|(_, peer)| peer.session.graceful.is_some() && peer.shutdown.is_none())
            .map(|(key, peer)| (*key, peer.session.families));
        let restarting = Restarting::new(now, restarted.deferral, restarted.preserved, helpers);
        for family in Family::ALL {
            if !restarting.may_select(family) {
                self.tables.defer(family);
            }
        }
        if !restarting.is_over() {
            self.restarting = Some(restarting);
        }
    }

    fn remove_unwanted(&mut self, now: Instant, out: &mut Vec<Output>) {
        let keys: Vec<PeerKey> = self.neighbors.keys().copied().collect();
        for key in keys {
            if self.wanted(key).is_none() {
                self.event(now, key, Event::Stop(Stop::Deconfigured), out);
                self.forget(key);
                out.push(Output::Forget { peer: key });
            }
        }
    }

    /// Removes a peer whose connections are closed.
    pub(super) fn forget(&mut self, key: PeerKey) {
        if let Some(neighbor) = self.neighbors.remove(&key) {
            self.tables.remove_peer(neighbor.id);
        }
        if let Some(restarting) = &mut self.restarting {
            let released = restarting.removed(&key);
            self.release(released);
        }
    }

    fn set_speaker(&mut self, old: &Desired) {
        let Desired {
            speaker, selection, ..
        } = &self.desired;
        self.tables.rib.set_selection(*selection);
        if *speaker == old.speaker {
            return;
        }
        self.tables.rib.set_speaker(speaker.clone());
        for neighbor in self.neighbors.values() {
            self.tables
                .import_again(neighbor.id, &neighbor.desired.import);
        }
        self.tables.export_again();
    }

    fn set_originated(&mut self, old: &Desired) {
        let rib = &mut self.tables.rib;
        let (originate, old) = (by_prefix(&self.desired), by_prefix(old));
        for prefix in old.keys() {
            if !originate.contains_key(prefix) {
                rib.withdraw_own(*prefix);
            }
        }
        for (prefix, wanted) in originate {
            if old.get(&prefix) == Some(&wanted) {
                continue;
            }
            let route = Route::new(wanted.kind, wanted.next_hop, wanted.attributes.clone());
            rib.originate(prefix, route);
        }
    }

    /// `None` if there is no room for more peers.
    pub(super) fn add(
        &mut self,
        now: Instant,
        key: PeerKey,
        desired: Arc<PeerDesired>,
        is_dynamic: bool,
        out: &mut Vec<Output>,
    ) -> Option<()> {
        let id = self.tables.rib.add_peer(first_facts(key, &desired))?;
        let restart = match &self.restarting {
            Some(restarting) => restarting.open_bits(),
            None => Restart::NONE,
        };
        let seed = self.next_seed();
        let peer = Peer::new(now, session(&desired, is_dynamic), restart, seed);
        let is_stopped = desired.shutdown.is_some();
        let as_wanted = Arc::clone(&desired);
        let neighbor = Neighbor {
            key,
            id,
            peer,
            desired,
            is_dynamic,
            connections: BTreeMap::new(),
        };
        self.neighbors.insert(key, neighbor);
        if !is_dynamic {
            let peer = key;
            out.push(Output::Expect { peer, as_wanted });
        }
        if !is_stopped {
            self.event(now, key, Event::Start, out);
        }
        Some(())
    }

    fn change(
        &mut self,
        now: Instant,
        key: PeerKey,
        wanted: Arc<PeerDesired>,
        is_dynamic: bool,
        out: &mut Vec<Output>,
    ) {
        let Some(neighbor) = self.neighbors.get_mut(&key) else {
            return;
        };
        let was_dynamic = std::mem::replace(&mut neighbor.is_dynamic, is_dynamic);
        let old = std::mem::replace(&mut neighbor.desired, Arc::clone(&wanted));
        let is_same = Arc::ptr_eq(&old, &wanted) || old == wanted;
        if is_same && was_dynamic == is_dynamic {
            return;
        }
        if !is_dynamic {
            let as_wanted = Arc::clone(&wanted);
            out.push(Output::Expect {
                peer: key,
                as_wanted,
            });
        }
        let config = session(&wanted, is_dynamic);
        if *neighbor.peer.config() != config {
            let actions = neighbor.peer.set_config(now, config);
            self.carry_out(now, key, actions, out);
        }
        if old.transport != wanted.transport {
            let text = "the connection's settings have changed".to_owned();
            self.event(now, key, Event::Reset(text), out);
        }
        if old.shutdown != wanted.shutdown {
            let event = match &wanted.shutdown {
                Some(text) => Event::Stop(Stop::Shutdown(text.clone())),
                None => Event::Start,
            };
            self.event(now, key, event, out);
        }
        self.change_routes(key, &old, &wanted);
    }

    /// Policies and roles, without a new session.
    fn change_routes(&mut self, key: PeerKey, old: &PeerDesired, wanted: &PeerDesired) {
        let Some(neighbor) = self.neighbors.get(&key) else {
            return;
        };
        let id = neighbor.id;
        let now = neighbor.peer.established();
        let now = now.map(|(_, terms)| (neighbor.facts(&terms.negotiated), neighbor.group(terms)));
        if let Some((facts, group)) = now {
            self.tables.set_peer(id, facts);
            self.tables.enter(id, group);
        }
        if old.import != wanted.import {
            self.tables.import_again(id, &wanted.import);
        }
        if let (Some(restarting), true) = (&mut self.restarting, wanted.shutdown.is_some()) {
            let released = restarting.removed(&key);
            self.release(released);
        }
    }
}

fn session(desired: &PeerDesired, is_dynamic: bool) -> PeerConfig {
    let mut config = desired.session.clone();
    config.passive |= is_dynamic;
    config
}

fn by_prefix(desired: &Desired) -> BTreeMap<Prefix, &Originated> {
    let originate = desired.originate.iter();
    originate.map(|(prefix, it)| (prefix.trunc(), it)).collect()
}
