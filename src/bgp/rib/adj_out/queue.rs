//! What one member of a group has still to be told of one family, and in which order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::{Outgoing, Told};
use crate::bgp::rib::hash::Seed;
use crate::bgp::rib::id_set::IdSet;
use crate::bgp::rib::rib::Rib;
use crate::bgp::rib::route::Route;
use crate::bgp::rib::view::RouteId;
use crate::bgp::wire::Nlri;
use crate::net::{Family, Prefix};

/// What a member has still to be told of one family.
#[derive(Debug)]
pub(super) struct Queue {
    pending: IdSet,
    /// What the peer has been told and not been told to forget.
    announced: IdSet,
    withdrawn: HashSet<Prefix, Seed>,
    /// Ids below have been looked at since the round began.
    cursor: u32,
    round: Round,
    next: Option<Round>,
}

/// What a walk through all pending prefixes is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    Changes,
    /// Ends with End-of-RIB.
    Initial,
    /// Begins with BoRR and ends with EoRR if the flag is set.
    Refresh {
        enhanced: bool,
        begun: bool,
    },
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            pending: IdSet::default(),
            announced: IdSet::default(),
            withdrawn: HashSet::with_hasher(seed),
            cursor: 0,
            round: Round::Initial,
            next: None,
        }
    }

    pub(super) fn change(
        &mut self,
        id: u32,
        prefix: Prefix,
        before: Option<&Arc<Route>>,
        now: Option<&Arc<Route>>,
    ) {
        match (before, now) {
            (Some(before), Some(now)) if Arc::ptr_eq(before, now) => {}
            (_, Some(_)) => {
                self.pending.insert(id);
                if self.withdrawn.remove(&prefix) {
                    // The peer still has it.
                    self.announced.insert(id);
                }
            }
            (_, None) => {
                self.pending.remove(id);
                if self.announced.remove(id) {
                    self.withdrawn.insert(prefix);
                }
            }
        }
    }

    /// Of a session that begins.
    pub(super) fn announce(&mut self, id: u32) {
        self.pending.insert(id);
    }

    /// What the peer has, or would have.
    pub(super) fn known(&self) -> impl Iterator<Item = u32> {
        self.announced.iter().chain(self.pending.iter())
    }

    pub(super) fn is_written(&self, id: u32) -> bool {
        self.announced.contains(id) && !self.pending.contains(id)
    }

    pub(super) fn announced(&self) -> usize {
        self.announced.len()
    }

    /// Tells all again, once the round that is under way has ended.
    pub(super) fn refresh(&mut self, enhanced: bool) {
        let refresh = Round::Refresh {
            enhanced,
            begun: false,
        };
        if self.round == Round::Changes {
            self.begin(refresh);
        } else {
            self.next = Some(refresh);
        }
    }

    fn begin(&mut self, round: Round) {
        self.round = round;
        self.cursor = 0;
        if matches!(round, Round::Refresh { .. }) {
            for id in self.announced.iter() {
                self.pending.insert(id);
            }
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty()
            && self.withdrawn.is_empty()
            && self.round == Round::Changes
            && self.next.is_none()
    }

    pub(super) fn drain(
        &mut self,
        family: Family,
        told: &HashMap<u32, Told, FxBuildHasher>,
        rib: &Rib,
        limit: usize,
        out: &mut Vec<Outgoing>,
    ) {
        if let Round::Refresh { enhanced, begun } = &mut self.round
            && !std::mem::replace(begun, true)
            && *enhanced
        {
            out.push(Outgoing::BeginOfRefresh(family));
        }
        let gone = self.withdrawn.extract_if(|_| true).take(limit);
        let prefixes: Vec<Nlri> = gone.map(Nlri::from).collect();
        let left = limit - prefixes.len();
        if !prefixes.is_empty() {
            out.push(Outgoing::Withdraw { family, prefixes });
        }
        let ids = self.take_pending(left);
        pack(family, &ids, told, rib, out);
        if self.withdrawn.is_empty() && self.pending.next_from(self.cursor).is_none() {
            self.end_round(family, out);
        }
    }

    fn take_pending(&mut self, limit: usize) -> Vec<u32> {
        let mut ids = Vec::new();
        while ids.len() < limit
            && let Some(id) = self.pending.next_from(self.cursor)
        {
            self.pending.remove(id);
            self.announced.insert(id);
            ids.push(id);
            self.cursor = id.saturating_add(1);
        }
        ids
    }

    fn end_round(&mut self, family: Family, out: &mut Vec<Outgoing>) {
        match self.round {
            Round::Initial => out.push(Outgoing::EndOfRib(family)),
            Round::Refresh { enhanced: true, .. } => out.push(Outgoing::EndOfRefresh(family)),
            Round::Refresh { .. } | Round::Changes => {}
        }
        self.round = Round::Changes;
        self.cursor = 0;
        if let Some(next) = self.next.take() {
            self.begin(next);
        }
    }
}

/// Puts prefixes with one route together, in the order of their first ones.
fn pack(
    family: Family,
    ids: &[u32],
    told: &HashMap<u32, Told, FxBuildHasher>,
    rib: &Rib,
    out: &mut Vec<Outgoing>,
) {
    let mut groups: Vec<(&Arc<Route>, Vec<Nlri>)> = Vec::new();
    let mut by_route: FxHashMap<*const Route, usize> = FxHashMap::default();
    let mut last = (std::ptr::null(), 0);
    for &id in ids {
        let (Some(told), Some(view)) = (told.get(&id), rib.by_id(RouteId { family, id })) else {
            continue;
        };
        let route = Arc::as_ptr(&told.route);
        if last.0 != route {
            last = (route, *by_route.entry(route).or_insert(groups.len()));
        }
        if last.1 == groups.len() {
            groups.push((&told.route, Vec::new()));
        }
        if let Some((_, prefixes)) = groups.get_mut(last.1) {
            prefixes.push(Nlri::from(view.prefix));
        }
    }
    let groups = groups.into_iter();
    out.extend(groups.map(|(route, prefixes)| Outgoing::Announce {
        family,
        route: Arc::clone(route),
        prefixes,
    }));
}
