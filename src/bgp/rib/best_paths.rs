//! The next hops of every learned prefix, as a value that others may keep: immutable, cheap to
//! pass on, and told apart from an older one without looking at what is the same.
//!
//! Sorted runs of prefixes behind shared pointers; a change copies one run and the list of runs.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use super::export::Routes;
use super::hash::Seed;
use super::rib::Rib;
use super::view::PrefixView;
use crate::bgp::wire::NextHop;
use crate::net::Prefix;

/// Learned prefixes with their next hops, in order. Our own prefixes are not in it.
#[derive(Debug, Clone, Default)]
pub struct BestPaths {
    runs: Arc<Vec<Arc<Run>>>,
}

/// Where packets to a prefix go: one next hop, or several of equal cost, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NextHops(Vec<Hop>);

/// A next hop, and the peer that told it: link-local next hops are on the link towards it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    pub next_hop: NextHop,
    pub peer: IpAddr,
}

/// A prefix whose next hops differ between two views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BestPathChange {
    pub prefix: Prefix,
    pub before: Option<Arc<NextHops>>,
    pub after: Option<Arc<NextHops>>,
}

/// Gathers changes and makes the next view of them.
#[derive(Debug)]
pub struct BestPathsBuilder {
    view: BestPaths,
    known: HashSet<Arc<NextHops>, Seed>,
    sweep_at: usize,
    changed: Vec<(Prefix, Option<Arc<NextHops>>)>,
}

type Pair = (Prefix, Arc<NextHops>);

/// Never empty.
#[derive(Debug)]
struct Run(Vec<Pair>);

const MAX_RUN: usize = 128;
const SMALLEST_SWEEP: usize = 256;

// === impl NextHops ===

impl NextHops {
    /// At least one.
    #[must_use]
    pub fn hops(&self) -> &[Hop] {
        &self.0
    }
}

// === impl BestPaths ===

impl BestPaths {
    #[must_use]
    pub fn get(&self, prefix: &Prefix) -> Option<&Arc<NextHops>> {
        let after = self.runs.partition_point(|run| run.first() <= Some(prefix));
        let run = self.runs.get(after.checked_sub(1)?)?;
        let at = run.0.binary_search_by_key(prefix, |(prefix, _)| *prefix);
        run.0.get(at.ok()?).map(|(_, hops)| hops)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Prefix, &Arc<NextHops>)> {
        let runs = self.runs.iter();
        runs.flat_map(|run| run.0.iter().map(|(prefix, hops)| (prefix, hops)))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.iter().map(|run| run.0.len()).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// What has changed since `older`, in order. Costs the runs that differ.
    #[must_use]
    pub fn changes_since(&self, older: &Self) -> Vec<BestPathChange> {
        let shared: HashSet<*const Run, FxBuildHasher> = {
            let ours: HashSet<_, FxBuildHasher> = self.runs.iter().map(Arc::as_ptr).collect();
            let theirs = older.runs.iter().map(Arc::as_ptr);
            theirs.filter(|run| ours.contains(run)).collect()
        };
        // A prefix of a shared run is in no other run of either view, so both sides skip it.
        let mut before = older.pairs_but(&shared).peekable();
        let mut after = self.pairs_but(&shared).peekable();
        let mut changes = Vec::new();
        while let Some(prefix) = [before.peek(), after.peek()]
            .into_iter()
            .flatten()
            .map(|(prefix, _)| *prefix)
            .min()
        {
            let old = before.next_if(|pair| pair.0 == prefix);
            let new = after.next_if(|pair| pair.0 == prefix);
            let (old, new) = (old.map(|pair| &pair.1), new.map(|pair| &pair.1));
            if old != new {
                changes.push(BestPathChange {
                    prefix,
                    before: old.cloned(),
                    after: new.cloned(),
                });
            }
        }
        changes
    }

    /// Runs of each side that the other does not have.
    #[cfg(test)]
    pub(super) fn unshared(&self, other: &Self) -> (usize, usize) {
        let missing = |a: &Self, b: &Self| {
            let is_in_b = |run: &&Arc<Run>| b.runs.iter().any(|other| Arc::ptr_eq(run, other));
            a.runs.iter().filter(|run| !is_in_b(run)).count()
        };
        (missing(self, other), missing(other, self))
    }

    fn pairs_but<'a>(
        &'a self,
        shared: &'a HashSet<*const Run, FxBuildHasher>,
    ) -> impl Iterator<Item = &'a Pair> {
        let runs = self.runs.iter();
        runs.filter(|run| !shared.contains(&Arc::as_ptr(run)))
            .flat_map(|run| &run.0)
    }
}

/// A view that no table stands behind, for those who read views.
impl FromIterator<(Prefix, Vec<Hop>)> for BestPaths {
    fn from_iter<I: IntoIterator<Item = (Prefix, Vec<Hop>)>>(paths: I) -> Self {
        let next_hops = |mut hops: Vec<Hop>| {
            hops.sort_unstable();
            hops.dedup_by_key(|hop| hop.next_hop);
            (!hops.is_empty()).then(|| Arc::new(NextHops(hops)))
        };
        let paths = paths.into_iter();
        let mut paths: Vec<_> = paths
            .map(|(prefix, hops)| (prefix, next_hops(hops)))
            .collect();
        paths.sort_by_key(|(prefix, _)| *prefix);
        Self::default().with(&paths)
    }
}

impl PartialEq for BestPaths {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.runs, &other.runs) || self.iter().eq(other.iter())
    }
}

impl Eq for BestPaths {}

// === impl Run ===

impl Run {
    fn first(&self) -> Option<&Prefix> {
        self.0.first().map(|(prefix, _)| prefix)
    }
}

// === impl BestPathsBuilder ===

impl BestPathsBuilder {
    /// For routes of `rib`; the first view is empty.
    #[must_use]
    pub fn new(rib: &Rib) -> Self {
        Self {
            view: BestPaths::default(),
            known: HashSet::with_hasher(rib.seed),
            sweep_at: SMALLEST_SWEEP,
            changed: Vec::new(),
        }
    }

    /// Takes a prefix as it is now.
    pub fn update(&mut self, view: PrefixView<'_>, routes: &Routes<'_>) {
        let is_own = view.best().is_some_and(super::Path::is_local);
        let mut hops: Vec<Hop> = Vec::new();
        if !is_own {
            hops.extend(view.used().filter_map(|path| {
                Some(Hop {
                    next_hop: path.route().next_hop,
                    peer: routes.source(path)?.address,
                })
            }));
        }
        hops.sort_unstable();
        hops.dedup_by_key(|hop| hop.next_hop);
        let hops = (!hops.is_empty()).then(|| self.intern(NextHops(hops)));
        self.changed.push((view.prefix, hops));
    }

    /// Whether [`BestPathsBuilder::publish`] may give something new.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The view with all that was taken so far.
    pub fn publish(&mut self) -> BestPaths {
        let mut changed = std::mem::take(&mut self.changed);
        // Stable: of a prefix that changed twice the later one is behind.
        changed.sort_by_key(|(prefix, _)| *prefix);
        if !changed.is_empty() {
            self.view = self.view.with(&changed);
        }
        self.view.clone()
    }

    fn intern(&mut self, hops: NextHops) -> Arc<NextHops> {
        if let Some(known) = self.known.get(&hops) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|hops| Arc::strong_count(hops) > 1);
            self.sweep_at = (2 * self.known.len()).max(SMALLEST_SWEEP);
        }
        let hops = Arc::new(hops);
        self.known.insert(Arc::clone(&hops));
        hops
    }
}

impl BestPaths {
    /// Merges sorted changes in; runs that they don't touch are shared.
    fn with(&self, changed: &[(Prefix, Option<Arc<NextHops>>)]) -> Self {
        let mut runs: Vec<Arc<Run>> = Vec::with_capacity(self.runs.len() + 1);
        let mut rest = changed;
        for (at, run) in self.runs.iter().enumerate() {
            let next_first = self.runs.get(at + 1).and_then(|next| next.first());
            let ends = next_first.map_or(rest.len(), |first| {
                rest.partition_point(|(prefix, _)| prefix < first)
            });
            let (mine, others) = rest.split_at(ends);
            rest = others;
            if mine.is_empty() {
                runs.push(Arc::clone(run));
            } else {
                push_runs(&mut runs, merged(&run.0, mine));
            }
        }
        push_runs(&mut runs, merged(&[], rest));
        Self {
            runs: Arc::new(runs),
        }
    }
}

fn merged(old: &[Pair], changed: &[(Prefix, Option<Arc<NextHops>>)]) -> Vec<Pair> {
    let mut pairs = Vec::with_capacity(old.len() + changed.len());
    let mut old = old.iter().peekable();
    let mut changed = changed.iter().peekable();
    while let Some((prefix, hops)) = changed.next() {
        while let Some(pair) = old.next_if(|pair| pair.0 < *prefix) {
            pairs.push(pair.clone());
        }
        old.next_if(|pair| pair.0 == *prefix);
        let is_superseded = changed.peek().is_some_and(|next| next.0 == *prefix);
        if let (Some(hops), false) = (hops, is_superseded) {
            pairs.push((*prefix, Arc::clone(hops)));
        }
    }
    pairs.extend(old.cloned());
    pairs
}

/// Cuts what is too long for one run, and joins what is short to its predecessor, so that runs
/// don't wear away.
fn push_runs(runs: &mut Vec<Arc<Run>>, pairs: Vec<Pair>) {
    let pieces = pairs.len().div_ceil(MAX_RUN);
    if pieces == 0 {
        return;
    }
    if let Some(last) = runs.last()
        && last.0.len() + pairs.len() <= MAX_RUN / 2
    {
        let joined = last.0.iter().cloned().chain(pairs).collect();
        runs.pop();
        runs.push(Arc::new(Run(joined)));
        return;
    }
    let each = pairs.len().div_ceil(pieces);
    runs.extend(
        pairs
            .chunks(each)
            .map(|piece| Arc::new(Run(piece.to_vec()))),
    );
}
