//! What an established session brings: its place in the tables, UPDATEs, refreshes, and the end of
//! our own restart.

use std::time::Instant;

use super::core::SpeakerCore;
use super::desired::PeerKey;
use super::input::{Note, Output};
use crate::bgp::fsm::{Event, Released, Restart, Restarting, Terms};
use crate::bgp::wire::{FaultAction, ParsedUpdate, RefreshSubtype, RouteRefresh, Update, validate};
use crate::net::Family;

impl SpeakerCore {
    pub(super) fn up(&mut self, key: PeerKey, terms: &Terms) {
        let Some(neighbor) = self.neighbors.get(&key) else {
            return;
        };
        let id = neighbor.id;
        let (facts, group) = (neighbor.facts(&terms.negotiated), neighbor.group(terms));
        self.tables.set_peer(id, facts);
        self.tables.enter(id, group);
        for family in Family::ALL {
            if terms.negotiated.family(family).is_some() && self.tables.is_chosen(family) {
                self.tables.join(id, key, family);
            }
        }
        if let Some(restarting) = &mut self.restarting {
            let released = restarting.up(&key, terms);
            self.release(released);
        }
    }

    /// The families may be chosen from now on: everybody is told.
    pub(super) fn release(&mut self, released: Vec<Released>) {
        for Released(family) in released {
            self.tables.release(family);
            for (key, neighbor) in &self.neighbors {
                let established = neighbor.peer.established();
                if established.is_some_and(|(_, terms)| terms.negotiated.family(family).is_some()) {
                    self.tables.join(neighbor.id, *key, family);
                }
            }
        }
        if self.restarting.as_ref().is_some_and(Restarting::is_over) {
            self.restarting = None;
            for neighbor in self.neighbors.values_mut() {
                neighbor.peer.set_restart(Restart::NONE);
            }
        }
    }

    pub(super) fn deliver(
        &mut self,
        now: Instant,
        key: PeerKey,
        parsed: &ParsedUpdate,
        out: &mut Vec<Output>,
    ) {
        let Some(neighbor) = self.neighbors.get(&key) else {
            return;
        };
        let Some((id, terms)) = neighbor.peer.established() else {
            return;
        };
        match validate(parsed, &terms.negotiated) {
            Ok(update) => {
                self.tables
                    .import(neighbor.id, &update, &neighbor.desired.import);
                self.imported(now, key, update, out);
            }
            Err(fault) => {
                debug_assert_eq!(fault.action, FaultAction::Reset);
                let event = Event::Fault(id, fault.notification());
                self.event(now, key, event, out);
            }
        }
    }

    fn imported(&mut self, now: Instant, key: PeerKey, update: Update, out: &mut Vec<Output>) {
        if let Some(family) = update.end_of_rib {
            self.event(now, key, Event::EndOfRib(family), out);
            if let Some(restarting) = &mut self.restarting {
                let released = restarting.end_of_rib(&key, family);
                self.release(released);
            }
        }
        for announcement in update.announced() {
            let family = announcement.nlri.family();
            let Some(neighbor) = self.neighbors.get(&key) else {
                return;
            };
            let count = self.tables.rib.counters(neighbor.id, family).received;
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            self.event(now, key, Event::Prefixes(family, count), out);
        }
        if !update.faults.is_empty() {
            let note = Note::Faults(update.faults);
            out.push(Output::Note { peer: key, note });
        }
    }

    pub(super) fn refresh(&mut self, key: PeerKey, refresh: RouteRefresh) {
        let Some(neighbor) = self.neighbors.get(&key) else {
            return;
        };
        let (Some(family), Some((_, terms))) =
            (refresh.family.unicast(), neighbor.peer.established())
        else {
            return;
        };
        let id = neighbor.id;
        match refresh.subtype {
            RefreshSubtype::Request => {
                let enhanced = terms.negotiated.enhanced_refresh;
                self.tables.groups.refresh(id, family, enhanced);
            }
            RefreshSubtype::Begin => self.tables.rib.mark_stale(id, family),
            RefreshSubtype::End => self.tables.rib.flush_stale(id, family),
            RefreshSubtype::Unknown(_) => {}
        }
    }
}
