//! The routes, and what follows from them: groups of peers to be told, and the view of best paths.

use std::net::IpAddr;

use super::groups::{GroupKey, Groups};
use crate::bgp::fsm::Fate;
use crate::bgp::policy;
use crate::bgp::policy::{Policy, Source, evaluate};
use crate::bgp::rib::{
    BestPaths, BestPathsBuilder, PeerFacts, PeerId, Rib, Route, Selection, Speaker,
};
use crate::bgp::wire::Update;
use crate::net::{ByFamily, Family};

#[derive(Debug)]
pub(super) struct Tables {
    pub(super) rib: Rib,
    pub(super) groups: Groups,
    builder: BestPathsBuilder,
    /// Families whose routes may be told and shown.
    chosen: ByFamily<bool>,
}

// === impl Tables ===

impl Tables {
    pub(super) fn new(speaker: Speaker, selection: Selection, random: u64) -> Self {
        let rib = Rib::new(speaker, selection, random);
        Self {
            builder: BestPathsBuilder::new(&rib),
            groups: Groups::default(),
            rib,
            chosen: ByFamily { v4: true, v6: true },
        }
    }

    /// Nothing of the family is told or shown before [`Tables::release`].
    pub(super) fn defer(&mut self, family: Family) {
        *self.chosen.get_mut(family) = false;
    }

    pub(super) fn is_chosen(&self, family: Family) -> bool {
        *self.chosen.get(family)
    }

    /// Passes on what has changed.
    pub(super) fn settle(&mut self) {
        let Self {
            rib,
            groups,
            builder,
            chosen,
        } = self;
        rib.drain_changes(|view, routes| {
            if *chosen.get(view.id.family) {
                groups.show(&view, routes);
                builder.update(view, routes);
            }
        });
    }

    /// The family may be told and shown from now on. Its members have not joined yet.
    pub(super) fn release(&mut self, family: Family) {
        self.settle();
        *self.chosen.get_mut(family) = true;
        let Self {
            rib,
            groups,
            builder,
            ..
        } = self;
        rib.walk(family, 0, usize::MAX, |view, routes| {
            groups.show(&view, routes);
            builder.update(view, routes);
        });
    }

    /// Evaluates all exports again, after a change of the [`Speaker`].
    pub(super) fn export_again(&mut self) {
        self.settle();
        for family in Family::ALL {
            if self.is_chosen(family) {
                self.groups.refill(&mut self.rib, family);
            }
        }
    }

    pub(super) fn set_peer(&mut self, peer: PeerId, facts: PeerFacts) {
        if self.rib.peer(peer) != Some(&facts) {
            self.rib.set_peer(peer, facts);
            self.groups.forget();
            self.settle();
        }
    }

    /// Withdraws what the peer has told, for all others to see before its number is used again.
    pub(super) fn remove_peer(&mut self, peer: PeerId) {
        self.groups.leave(peer);
        self.rib.remove_peer(peer);
        self.settle();
        self.groups.forget();
    }

    pub(super) fn enter(&mut self, peer: PeerId, key: GroupKey) {
        self.settle();
        self.groups.enter(peer, key, &mut self.rib, self.chosen);
    }

    pub(super) fn import(&mut self, peer: PeerId, update: &Update, import: &Policy) {
        let Some(facts) = self.rib.peer(peer).copied() else {
            return;
        };
        for list in update.withdrawn() {
            self.rib.withdraw(peer, list.iter());
        }
        for announcement in update.announced() {
            let attributes = update.attributes.clone();
            let route = Route::new(Default::default(), announcement.next_hop, attributes);
            let route = self.rib.intern(route);
            let source = Source::Peer(facts.kind);
            let asked = policy::Peer::from(&facts);
            self.rib
                .announce(peer, &route, announcement.nlri.iter(), |prefix, route| {
                    let route = policy::Route {
                        prefix,
                        route,
                        source,
                    };
                    evaluate(import, &route, &asked).into()
                });
        }
    }

    /// Asks a changed import policy, or one under a changed [`Speaker`].
    pub(super) fn import_again(&mut self, peer: PeerId, import: &Policy) {
        let Some(facts) = self.rib.peer(peer).copied() else {
            return;
        };
        let source = Source::Peer(facts.kind);
        let asked = policy::Peer::from(&facts);
        for family in Family::ALL {
            self.rib.import_again(peer, family, |prefix, route| {
                let route = policy::Route {
                    prefix,
                    route,
                    source,
                };
                evaluate(import, &route, &asked).into()
            });
        }
    }

    pub(super) fn suffer(&mut self, peer: PeerId, family: Family, fate: Fate) {
        match fate {
            Fate::Drop => self.rib.clear(peer, family),
            Fate::Stale => {
                self.rib.flush_stale(peer, family);
                self.rib.mark_stale(peer, family);
            }
            Fate::LongLived => {
                self.rib.mark_stale(peer, family);
                self.rib.keep_long_lived(peer, family);
            }
            Fate::Flush => self.rib.flush_stale(peer, family),
        }
    }

    pub(super) fn join(&mut self, peer: PeerId, address: IpAddr, family: Family) {
        self.groups.join(peer, address, family);
    }

    pub(super) fn has_new_best_paths(&self) -> bool {
        self.builder.has_changes()
    }

    pub(super) fn best_paths(&mut self) -> BestPaths {
        self.builder.publish()
    }
}
