//! All routes of all peers and our own, and the choice among them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::changes::{AttributeChanges, NextHopChange};
use super::decision::{Facts, Reachability, Selection};
use super::hash::Seed;
use super::import::{Exclusion, Filter, Speaker};
use super::path::Path;
use super::peer::{AdjRibIn, Counters, PeerFacts, PeerId, Peers};
use super::route::{Interner, Route};
use super::table::{Key, Table, V4Key, V6Key};
use crate::bgp::wire::{Community, Nlri, PeerKind};
use crate::net::{Family, Prefix};

/// Adj-RIBs-In and Loc-RIB of one speaker: each prefix once, with the paths of everybody, those
/// that are excluded among them.
#[derive(Debug)]
pub struct Rib {
    pub(super) speaker: Speaker,
    pub(super) facts: Facts,
    pub(super) v4: Table<V4Key>,
    pub(super) v6: Table<V6Key>,
    pub(super) routes: Interner,
    pub(super) seed: Seed,
}

/// Runs the same on the table of either family.
macro_rules! with_table {
    ($rib:expr, $family:expr, $table:ident => $body:expr) => {
        match $family {
            crate::net::Family::V4 => {
                let $table = &mut $rib.v4;
                $body
            }
            crate::net::Family::V6 => {
                let $table = &mut $rib.v6;
                $body
            }
        }
    };
}
pub(super) use with_table;

// === impl Rib ===

impl Rib {
    /// `random` keeps peers from choosing prefixes whose hashes collide.
    #[must_use]
    pub fn new(speaker: Speaker, selection: Selection, random: u64) -> Self {
        let seed = Seed::new(random);
        Self {
            speaker,
            facts: Facts {
                selection,
                peers: Peers::default(),
                dropped: 0,
                next_hops: HashMap::default(),
            },
            v4: Table::new(seed),
            v6: Table::new(seed),
            routes: Interner::new(seed),
            seed,
        }
    }

    #[must_use]
    pub fn speaker(&self) -> &Speaker {
        &self.speaker
    }

    /// What is chosen so far stays until [`Rib::import_again`] is called for the peers.
    pub fn set_speaker(&mut self, speaker: Speaker) {
        self.speaker = speaker;
    }

    /// Selects otherwise from now on; every prefix is decided again.
    pub fn set_selection(&mut self, selection: Selection) {
        if std::mem::replace(&mut self.facts.selection, selection) != selection {
            decide_where(&mut self.v4, &self.facts, |_| true);
            decide_where(&mut self.v6, &self.facts, |_| true);
        }
    }

    /// `None` once 65,535 peers are there.
    pub fn add_peer(&mut self, facts: PeerFacts) -> Option<PeerId> {
        self.facts.peers.add(facts)
    }

    #[must_use]
    pub fn peer(&self, id: PeerId) -> Option<&PeerFacts> {
        self.facts.peers.facts(id)
    }

    /// For a new OPEN of the peer, or new settings; its prefixes are decided again if they differ.
    pub fn set_peer(&mut self, id: PeerId, facts: PeerFacts) {
        let Some(peer) = self.facts.peers.get_mut(id) else {
            return;
        };
        if std::mem::replace(&mut peer.facts, facts) == facts {
            return;
        }
        for family in Family::ALL {
            for prefix in self.ids_of(id, family) {
                with_table!(self, family, table => {
                    decide(table, &self.facts, prefix);
                    table.mark_dirty(prefix);
                });
            }
        }
    }

    /// Withdraws all that the peer has told, and forgets it.
    pub fn remove_peer(&mut self, id: PeerId) {
        for family in Family::ALL {
            self.clear(id, family);
        }
        if id != PeerId::LOCAL {
            self.facts.peers.remove(id);
        }
    }

    #[must_use]
    pub fn counters(&self, peer: PeerId, family: Family) -> Counters {
        let peer = self.facts.peers.get(peer);
        peer.map_or_else(Counters::default, |peer| *peer.counters.get(family))
    }

    /// The one allocation of a route.
    pub fn intern(&mut self, route: Route) -> Arc<Route> {
        self.routes.intern(route)
    }

    /// Takes what a peer announces: prefixes with one route. `policy` is asked for each prefix
    /// unless the route can't be used anyway. A path that the peer told before is superseded.
    pub fn announce<'p>(
        &mut self,
        peer: PeerId,
        route: &Arc<Route>,
        prefixes: impl IntoIterator<Item = Nlri>,
        mut policy: impl FnMut(&Prefix, &Route) -> Filter<'p>,
    ) {
        let Some(kind) = self.peer(peer).map(|facts| facts.kind) else {
            return;
        };
        let check = self.speaker.check(route);
        let mut last: Option<(Cow<'p, AttributeChanges>, Arc<Route>)> = None;
        for Nlri { prefix, path_id } in prefixes {
            let import = match check {
                Err(exclusion) => Err(exclusion),
                Ok(()) => imported(kind, route, policy(&prefix, route)),
            };
            let (route, exclusion) = match import {
                Err(exclusion) => (Arc::clone(route), Some(exclusion)),
                Ok(None) => (Arc::clone(route), None),
                Ok(Some(changes)) => {
                    let known = last.as_ref().filter(|(last, _)| *last == changes);
                    let changed = match known {
                        Some((_, changed)) => Arc::clone(changed),
                        None => self.routes.intern(made_of(route, &changes)),
                    };
                    last = Some((changes, Arc::clone(&changed)));
                    (changed, None)
                }
            };
            self.put(&prefix, Path::new(peer, path_id, route, exclusion));
        }
    }

    pub fn withdraw(&mut self, peer: PeerId, prefixes: impl IntoIterator<Item = Nlri>) {
        for Nlri { prefix, path_id } in prefixes {
            match prefix {
                Prefix::V4(_) => withdraw(&mut self.v4, &mut self.facts, peer, &prefix, path_id),
                Prefix::V6(_) => withdraw(&mut self.v6, &mut self.facts, peer, &prefix, path_id),
            }
        }
    }

    /// Adds a route of our own, or changes it.
    pub fn originate(&mut self, prefix: Prefix, route: Route) {
        let route = self.routes.intern(route);
        self.put(&prefix.trunc(), Path::new(PeerId::LOCAL, 0, route, None));
    }

    pub fn withdraw_own(&mut self, prefix: Prefix) {
        self.withdraw(PeerId::LOCAL, [Nlri::from(prefix)]);
    }

    /// Asks the import policy again for all that a peer has told, after a change of the policy or
    /// of [`Speaker`]. Only what comes out differently is a change.
    pub fn import_again<'p>(
        &mut self,
        peer: PeerId,
        family: Family,
        mut policy: impl FnMut(&Prefix, &Route) -> Filter<'p>,
    ) {
        let Some(kind) = self.peer(peer).map(|facts| facts.kind) else {
            return;
        };
        for id in self.ids_of(peer, family) {
            let (prefix, paths) = match family {
                Family::V4 => paths_of(&self.v4, id, peer),
                Family::V6 => paths_of(&self.v6, id, peer),
            };
            let Some(prefix) = prefix else { continue };
            for path in paths {
                let received = Arc::clone(path.route().received());
                let import = match self.speaker.check(&received) {
                    Err(exclusion) => Err(exclusion),
                    Ok(()) => imported(kind, &received, policy(&prefix, &received)),
                };
                let (route, exclusion) = match import {
                    Err(exclusion) => (received, Some(exclusion)),
                    Ok(None) => (received, None),
                    Ok(Some(changes)) => (self.routes.intern(made_of(&received, &changes)), None),
                };
                let again = path.reimported(route, exclusion);
                if !again.is_same(&path) {
                    self.put(&prefix, again);
                }
            }
        }
    }

    /// Says how far a next hop is. Costs a walk through all routes if it differs.
    pub fn set_next_hop(&mut self, address: IpAddr, reachability: Reachability) {
        let is_plain = reachability == Reachability::Cost(0);
        let old = if is_plain {
            self.facts.next_hops.remove(&address)
        } else {
            self.facts.next_hops.insert(address, reachability)
        };
        if old.unwrap_or(Reachability::Cost(0)) != reachability {
            let by_it = |path: &Path| path.route().next_hop.address() == address;
            decide_where(&mut self.v4, &self.facts, by_it);
            decide_where(&mut self.v6, &self.facts, by_it);
        }
    }

    pub(super) fn ids_of(&self, peer: PeerId, family: Family) -> Vec<u32> {
        let peer = self.facts.peers.get(peer);
        peer.map(|peer| peer.ids(family)).unwrap_or_default()
    }

    fn put(&mut self, prefix: &Prefix, path: Path) {
        match prefix {
            Prefix::V4(_) => put(&mut self.v4, &mut self.facts, prefix, path),
            Prefix::V6(_) => put(&mut self.v6, &mut self.facts, prefix, path),
        }
    }
}

/// The verdict of the import policy, and RFC 8326: a route that will go soon is used last.
fn imported<'p>(
    kind: PeerKind,
    route: &Route,
    import: Filter<'p>,
) -> Result<Option<Cow<'p, AttributeChanges>>, Exclusion> {
    let mut changes = match import {
        Filter::Reject => return Err(Exclusion::Policy),
        Filter::Accept => None,
        Filter::Change(changes) => Some(changes),
    };
    if kind == PeerKind::External && route.has_community(Community::GRACEFUL_SHUTDOWN) {
        let unchanged = || Cow::Owned(AttributeChanges::default());
        changes.get_or_insert_with(unchanged).to_mut().local_pref = Some(0);
    }
    Ok(changes.filter(|changes| !changes.is_empty()))
}

fn made_of(received: &Arc<Route>, changes: &AttributeChanges) -> Route {
    let mut attributes = received.attributes.clone();
    changes.apply(&mut attributes);
    let next_hop = match changes.next_hop {
        Some(NextHopChange::To(next_hop)) => next_hop,
        Some(NextHopChange::Own) | None => received.next_hop,
    };
    Route::imported(received, next_hop, attributes)
}

fn paths_of<K: Key>(table: &Table<K>, id: u32, peer: PeerId) -> (Option<Prefix>, Vec<Path>) {
    let Some(entry) = table.get(id) else {
        return (None, Vec::new());
    };
    let paths = entry.paths.of_peer(peer).cloned().collect();
    (Some(entry.key.prefix()), paths)
}

fn put<K: Key>(table: &mut Table<K>, facts: &mut Facts, prefix: &Prefix, path: Path) {
    let peer = path.peer();
    let Some(id) = K::of(prefix).and_then(|key| table.find_or_insert(key)) else {
        return;
    };
    let Some(entry) = table.get_mut(id) else {
        return;
    };
    let (path_id, is_accepted, is_stale) =
        (path.path_id(), path.exclusion().is_none(), path.is_stale());
    if path_id != 0 && entry.paths.is_full(peer, path_id) {
        if let Some(adj) = facts.peers.get_mut(peer) {
            adj.counters.get_mut(K::FAMILY).refused += 1;
        }
        return;
    }
    let old = entry.paths.put(path);
    if let Some(adj) = facts.peers.get_mut(peer) {
        if old.is_none() {
            adj.prefixes.get_mut(K::FAMILY).insert(id);
        }
        let counters = adj.counters.get_mut(K::FAMILY);
        counters.received += usize::from(old.is_none());
        counters.accepted += usize::from(is_accepted);
        counters.stale += usize::from(is_stale);
        if let Some(old) = &old {
            counters.accepted -= usize::from(old.exclusion().is_none());
            counters.stale -= usize::from(old.is_stale());
        }
    }
    facts.dropped += usize::from(old.is_some());
    let selection = old.as_ref().map_or(0, |old| old.marks().selection());
    if let Some(old) = &old
        && let Some(path) = entry.paths.find_mut(peer, path_id)
        && path.is_same(old)
        && !old.is_long_lived()
    {
        // Told again: only stale no more.
        path.mark(selection, true);
        return;
    }
    let others = facts.select(entry.paths.as_mut_slice());
    if others || selection != 0 {
        table.mark_dirty(id);
    }
}

fn withdraw<K: Key>(
    table: &mut Table<K>,
    facts: &mut Facts,
    peer: PeerId,
    prefix: &Prefix,
    path_id: u32,
) {
    if let Some(id) = K::of(prefix).and_then(|key| table.find(&key)) {
        remove(table, facts, id, peer, path_id);
    }
}

/// Takes one path out.
pub(super) fn remove<K: Key>(
    table: &mut Table<K>,
    facts: &mut Facts,
    id: u32,
    peer: PeerId,
    path_id: u32,
) {
    let Some(entry) = table.get_mut(id) else {
        return;
    };
    let Some(gone) = entry.paths.remove(peer, path_id) else {
        return;
    };
    facts.dropped += 1;
    let was_last = entry.paths.of_peer(peer).next().is_none();
    if let Some(adj) = facts.peers.get_mut(peer) {
        forget(adj, K::FAMILY, &gone);
        if was_last {
            adj.prefixes.get_mut(K::FAMILY).remove(id);
        }
    }
    let others = facts.select(entry.paths.as_mut_slice());
    if others || gone.marks().selection() != 0 {
        table.mark_dirty(id);
    }
    table.remove_if_empty(id);
}

fn forget(adj: &mut AdjRibIn, family: Family, gone: &Path) {
    let counters = adj.counters.get_mut(family);
    counters.received -= 1;
    counters.accepted -= usize::from(gone.exclusion().is_none());
    counters.stale -= usize::from(gone.is_stale());
}

/// Decides a prefix again whose paths are as they were.
pub(super) fn decide<K: Key>(table: &mut Table<K>, facts: &Facts, id: u32) {
    let Some(entry) = table.get_mut(id) else {
        return;
    };
    if facts.select(entry.paths.as_mut_slice()) {
        table.mark_dirty(id);
    }
}

/// Decides the prefixes again that have such a path.
fn decide_where<K: Key>(table: &mut Table<K>, facts: &Facts, which: impl Fn(&Path) -> bool) {
    let hurt: Vec<u32> = table
        .iter_from(0)
        .filter(|(_, entry)| entry.paths.as_slice().iter().any(&which))
        .map(|(id, _)| id)
        .collect();
    for id in hurt {
        decide(table, facts, id);
    }
}
