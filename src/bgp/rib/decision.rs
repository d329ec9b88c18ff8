//! Which path of a prefix is the best: RFC 4271 section 9.1.2.2 with RFC 4456 section 9, RFC 5065
//! section 5.3 and RFC 9494 section 4.3.
//!
//! The steps are taken one after the other over all candidates, as the RFC has it, so the result
//! depends on no order. That matters for MED: it is compared only among paths of one neighbouring
//! AS, so "better than" between pairs is not transitive.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use rustc_hash::FxBuildHasher;

use super::path::{Marks, Path};
use super::peer::{PeerFacts, Peers};
use super::route::Rank;
use crate::bgp::wire::PeerKind;

/// How paths are selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// Compare MEDs of different neighbouring ASes, too.
    pub always_compare_med: bool,
    /// At most so many paths are used for forwarding; 1 for no multipath.
    pub max_paths: usize,
    /// Use paths of different neighbouring ASes together.
    pub multipath_any_as: bool,
}

/// A step of the decision: why one path comes before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The other is stale for long (RFC 9494).
    NotLongLivedStale,
    /// We originate it.
    LocalOrigin,
    LocalPref,
    AsPathLength,
    Origin,
    MultiExitDisc,
    /// From an external peer, the other from an internal one.
    External,
    InteriorCost,
    /// The smaller identifier of its originator.
    RouterId,
    ClusterListLength,
    PeerAddress,
    PathId,
}

/// Whether a next hop can be reached, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachability {
    /// At this interior cost; 0 is what next hops have that nothing was said of.
    Cost(u32),
    Unreachable,
}

/// What the decision knows beside the paths.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) selection: Selection,
    pub(super) peers: Peers,
    /// So many paths went or were superseded since routes were last swept.
    pub(super) dropped: usize,
    /// Next hops that are not simply there.
    pub(super) next_hops: HashMap<IpAddr, Reachability, FxBuildHasher>,
}

// === impl Selection ===

impl Default for Selection {
    fn default() -> Self {
        Self {
            always_compare_med: false,
            max_paths: 16,
            multipath_any_as: false,
        }
    }
}

// === impl Reason ===

impl Reason {
    /// In the order of the decision.
    pub const STEPS: [Self; 12] = [
        Self::NotLongLivedStale,
        Self::LocalOrigin,
        Self::LocalPref,
        Self::AsPathLength,
        Self::Origin,
        Self::MultiExitDisc,
        Self::External,
        Self::InteriorCost,
        Self::RouterId,
        Self::ClusterListLength,
        Self::PeerAddress,
        Self::PathId,
    ];

    /// Paths that are equal up to here can be used together.
    const LAST_OF_MULTIPATH: Self = Self::InteriorCost;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotLongLivedStale => "not stale for long",
            Self::LocalOrigin => "our own",
            Self::LocalPref => "higher LOCAL_PREF",
            Self::AsPathLength => "shorter AS_PATH",
            Self::Origin => "lower ORIGIN",
            Self::MultiExitDisc => "lower MULTI_EXIT_DISC",
            Self::External => "from an external peer",
            Self::InteriorCost => "nearer next hop",
            Self::RouterId => "lower router id of the originator",
            Self::ClusterListLength => "shorter CLUSTER_LIST",
            Self::PeerAddress => "lower address of the peer",
            Self::PathId => "lower path identifier",
        })
    }
}

// === impl Facts ===

impl Facts {
    pub(super) fn reachability(&self, path: &Path) -> Reachability {
        if self.next_hops.is_empty() || path.is_local() {
            return Reachability::Cost(0);
        }
        let known = self.next_hops.get(&path.route().next_hop.address());
        known.copied().unwrap_or(Reachability::Cost(0))
    }

    pub(super) fn is_eligible(&self, path: &Path) -> bool {
        path.exclusion().is_none() && self.reachability(path) != Reachability::Unreachable
    }

    fn peer(&self, path: &Path) -> Option<&PeerFacts> {
        self.peers.facts(path.peer())
    }

    /// `Less` if `a` comes first by this step alone.
    fn compare_by(&self, step: Reason, a: &Path, b: &Path) -> Ordering {
        let rank = |path: &Path| path.route().rank;
        let (ra, rb) = (rank(a), rank(b));
        match step {
            Reason::NotLongLivedStale => is_long_lived(a).cmp(&is_long_lived(b)),
            Reason::LocalOrigin => b.is_local().cmp(&a.is_local()),
            Reason::LocalPref => rb.local_pref.cmp(&ra.local_pref),
            Reason::AsPathLength => ra.hops.cmp(&rb.hops),
            Reason::Origin => ra.origin.cmp(&rb.origin),
            Reason::MultiExitDisc if self.meds_compare(&ra, &rb) => ra.med.cmp(&rb.med),
            Reason::MultiExitDisc => Ordering::Equal,
            Reason::External => self.is_external(b).cmp(&self.is_external(a)),
            Reason::InteriorCost => self.cost(a).cmp(&self.cost(b)),
            Reason::RouterId => self.originator(a).cmp(&self.originator(b)),
            Reason::ClusterListLength => clusters(a).cmp(&clusters(b)),
            Reason::PeerAddress => self.address(a).cmp(&self.address(b)),
            Reason::PathId => (a.path_id(), a.peer()).cmp(&(b.path_id(), b.peer())),
        }
    }

    fn meds_compare(&self, a: &Rank, b: &Rank) -> bool {
        self.selection.always_compare_med || a.neighbor_as == b.neighbor_as
    }

    fn is_external(&self, path: &Path) -> bool {
        self.peer(path)
            .is_some_and(|peer| peer.kind == PeerKind::External)
    }

    fn cost(&self, path: &Path) -> u32 {
        match self.reachability(path) {
            Reachability::Cost(cost) => cost,
            Reachability::Unreachable => u32::MAX,
        }
    }

    fn originator(&self, path: &Path) -> Option<Ipv4Addr> {
        let told = path.route().attributes.originator_id;
        told.or_else(|| self.peer(path).map(|peer| peer.router_id))
    }

    fn address(&self, path: &Path) -> Option<IpAddr> {
        self.peer(path).map(|peer| peer.address)
    }

    /// Which of two paths comes first, and by which step; equal only for a path and itself. With
    /// three paths and MEDs of two ASes this can go round in a circle; [`Facts::select`] can't.
    pub(super) fn compare(&self, a: &Path, b: &Path) -> (Ordering, Option<Reason>) {
        for step in Reason::STEPS {
            let order = self.compare_by(step, a, b);
            if order != Ordering::Equal {
                return (order, Some(step));
            }
        }
        (Ordering::Equal, None)
    }

    /// Marks the best path and those used with it; whether the marks of any has changed.
    pub(super) fn select(&self, paths: &mut [Path]) -> bool {
        match paths {
            [] => false,
            [only] => {
                let eligible = self.is_eligible(only);
                let selection = if eligible { Marks::SELECTION } else { 0 };
                let changed = only.marks().selection() != selection;
                only.mark(Marks::SELECTION, eligible);
                changed
            }
            many => self.select_of_many(many, |_, _| ()),
        }
    }

    /// As [`Facts::select`], telling at which step each candidate was left behind.
    pub(super) fn select_of_many(
        &self,
        paths: &mut [Path],
        mut lost: impl FnMut(usize, Reason),
    ) -> bool {
        let mut changed = false;
        for path in &mut *paths {
            let eligible = self.is_eligible(path);
            path.mark(Marks::CANDIDATE, eligible);
        }
        let mut used: Vec<usize> = Vec::new();
        for step in Reason::STEPS {
            if candidates(paths).nth(1).is_some() {
                if step == Reason::MultiExitDisc && !self.selection.always_compare_med {
                    self.eliminate_by_med(paths, &mut lost);
                } else {
                    self.eliminate(step, paths, &mut lost);
                }
            }
            if step == Reason::LAST_OF_MULTIPATH {
                used.extend(candidates(paths).map(|(at, _)| at));
            }
        }
        let best = candidates(paths).next().map(|(at, _)| at);
        self.trim(paths, best, &mut used);
        for (at, path) in paths.iter_mut().enumerate() {
            let old = path.marks().selection();
            path.mark(Marks::BEST, Some(at) == best);
            path.mark(Marks::USED, used.contains(&at));
            path.mark(Marks::CANDIDATE, false);
            changed |= old != path.marks().selection();
        }
        changed
    }

    /// Leaves the candidates that are first by `step`, which is a weak order.
    fn eliminate(&self, step: Reason, paths: &mut [Path], lost: &mut impl FnMut(usize, Reason)) {
        let by_step = |a: &(usize, &Path), b: &(usize, &Path)| self.compare_by(step, a.1, b.1);
        let Some((first, _)) = candidates(paths).min_by(by_step) else {
            return;
        };
        for at in 0..paths.len() {
            let (Some(path), Some(first)) = (paths.get(at), paths.get(first)) else {
                continue;
            };
            let is_behind = path.marks().has(Marks::CANDIDATE)
                && self.compare_by(step, path, first) == Ordering::Greater;
            if is_behind && let Some(path) = paths.get_mut(at) {
                path.mark(Marks::CANDIDATE, false);
                lost(at, step);
            }
        }
    }

    /// Drops the candidates that another one of the same neighbouring AS undercuts (RFC 4271
    /// section 9.1.2.2 c).
    fn eliminate_by_med(&self, paths: &mut [Path], lost: &mut impl FnMut(usize, Reason)) {
        let med = |(_, path): (usize, &Path)| path.route().rank.med;
        let first = candidates(paths).next().map(med);
        if candidates(paths).all(|path| Some(med(path)) == first) {
            return;
        }
        let mut lowest: HashMap<Option<u32>, u32, FxBuildHasher> = HashMap::default();
        for (_, path) in candidates(paths) {
            let rank = path.route().rank;
            let med = lowest.entry(rank.neighbor_as).or_insert(rank.med);
            *med = rank.med.min(*med);
        }
        for (at, path) in paths.iter_mut().enumerate() {
            let rank = path.route().rank;
            let is_behind = lowest
                .get(&rank.neighbor_as)
                .is_some_and(|med| *med < rank.med);
            if is_behind && path.marks().has(Marks::CANDIDATE) {
                path.mark(Marks::CANDIDATE, false);
                lost(at, Reason::MultiExitDisc);
            }
        }
    }

    /// Leaves what may be used beside the best: as many as allowed, the best ones.
    fn trim(&self, paths: &[Path], best: Option<usize>, used: &mut Vec<usize>) {
        let Some(best_path) = best.and_then(|at| paths.get(at)) else {
            used.clear();
            return;
        };
        if !self.selection.multipath_any_as {
            let asn = best_path.route().rank.neighbor_as;
            used.retain(|at| {
                let path = paths.get(*at);
                path.is_some_and(|path| path.route().rank.neighbor_as == asn)
            });
        }
        let limit = self.selection.max_paths.max(1);
        if used.len() > limit {
            // They are equal up to the interior cost, so MED is out of the way: a total order.
            used.sort_by(|a, b| match (paths.get(*a), paths.get(*b)) {
                (Some(a), Some(b)) => self.tie_break(a, b),
                _ => Ordering::Equal,
            });
            used.truncate(limit);
        }
    }

    /// The steps behind those of multipath.
    fn tie_break(&self, a: &Path, b: &Path) -> Ordering {
        let steps = Reason::STEPS.into_iter();
        steps
            .filter(|step| *step > Reason::LAST_OF_MULTIPATH)
            .map(|step| self.compare_by(step, a, b))
            .find(|order| *order != Ordering::Equal)
            .unwrap_or(Ordering::Equal)
    }
}

fn candidates(paths: &[Path]) -> impl Iterator<Item = (usize, &Path)> {
    let paths = paths.iter().enumerate();
    paths.filter(|(_, path)| path.marks().has(Marks::CANDIDATE))
}

fn is_long_lived(path: &Path) -> bool {
    path.is_long_lived() || path.route().rank.is_llgr_stale
}

fn clusters(path: &Path) -> usize {
    path.route().attributes.cluster_list.len()
}
