//! Looking at the routes: what has changed, all of them, one of them, and why.

use std::cmp::Ordering;
use std::fmt;

use super::decision::{Reachability, Reason};
use super::export::Routes;
use super::import::Exclusion;
use super::path::Path;
use super::peer::PeerId;
use super::rib::Rib;
use super::table::{Entry, Key, Table, V4Key, V6Key};
use crate::net::{Family, Prefix};

/// A prefix by number, for as long as it has paths and until its end has been shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId {
    pub family: Family,
    pub(super) id: u32,
}

/// A prefix with its paths.
#[derive(Debug, Clone, Copy)]
pub struct PrefixView<'a> {
    pub id: RouteId,
    pub prefix: Prefix,
    /// By peer and path identifier; empty if the prefix is gone.
    pub paths: &'a [Path],
}

/// Where a path stands among those of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Best,
    /// Used with the best path; behind it by this step.
    Multipath(Reason),
    /// Left behind at this step.
    Behind(Reason),
    Unreachable,
    Excluded(Exclusion),
}

// === impl Standing ===

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best => f.write_str("best"),
            Self::Multipath(reason) => write!(f, "used; the best is: {reason}"),
            Self::Behind(reason) => write!(f, "the better ones are: {reason}"),
            Self::Unreachable => f.write_str("its next hop can't be reached"),
            Self::Excluded(exclusion) => write!(f, "excluded: {exclusion}"),
        }
    }
}

// === impl PrefixView ===

impl<'a> PrefixView<'a> {
    fn of<K: Key>(id: u32, entry: &'a Entry<K>) -> Self {
        Self {
            id: RouteId {
                family: K::FAMILY,
                id,
            },
            prefix: entry.key.prefix(),
            paths: entry.paths.as_slice(),
        }
    }

    #[must_use]
    pub fn best(&self) -> Option<&'a Path> {
        self.paths.iter().find(|path| path.is_best())
    }

    /// The best path and those used with it.
    pub fn used(&self) -> impl Iterator<Item = &'a Path> + use<'a> {
        self.paths.iter().filter(|path| path.is_used())
    }
}

// === impl Rib ===

impl Rib {
    /// Whether [`Rib::drain_changes`] has something to show.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.v4.has_dirty() || self.v6.has_dirty()
    }

    /// Shows each prefix whose best path, or set of used paths, has changed since the last time,
    /// as it is now. Routes that nobody has any more go behind that.
    pub fn drain_changes(&mut self, mut show: impl FnMut(PrefixView<'_>, &mut Routes<'_>)) {
        let mut routes = Routes {
            speaker: &self.speaker,
            peers: &self.facts.peers,
            interner: &mut self.routes,
        };
        self.v4
            .drain_dirty(|id, entry| show(PrefixView::of(id, entry), &mut routes));
        self.v6
            .drain_dirty(|id, entry| show(PrefixView::of(id, entry), &mut routes));
        if 2 * self.facts.dropped > self.routes.len() {
            self.routes.sweep();
            self.facts.dropped = 0;
        }
    }

    /// Shows at most `limit` prefixes of a family, from number `from` on (0 at first), changed or
    /// not; gives the number to go on with. What is new meanwhile is in the changes.
    pub fn walk(
        &mut self,
        family: Family,
        from: u32,
        limit: usize,
        mut show: impl FnMut(PrefixView<'_>, &mut Routes<'_>),
    ) -> Option<u32> {
        let mut routes = Routes {
            speaker: &self.speaker,
            peers: &self.facts.peers,
            interner: &mut self.routes,
        };
        let show = |view: PrefixView<'_>| show(view, &mut routes);
        match family {
            Family::V4 => walk(&self.v4, from, limit, show),
            Family::V6 => walk(&self.v6, from, limit, show),
        }
    }

    /// Shows one prefix, as [`Rib::walk`] does all, if it has a path.
    pub fn look_at(
        &mut self,
        prefix: &Prefix,
        mut show: impl FnMut(PrefixView<'_>, &mut Routes<'_>),
    ) {
        if let Some(RouteId { family, id }) = self.get(prefix).map(|view| view.id) {
            self.walk(family, id, 1, |view, routes| {
                if view.prefix == *prefix {
                    show(view, routes);
                }
            });
        }
    }

    #[must_use]
    pub fn get(&self, prefix: &Prefix) -> Option<PrefixView<'_>> {
        match prefix {
            Prefix::V4(_) => find(&self.v4, V4Key::of(prefix)?),
            Prefix::V6(_) => find(&self.v6, V6Key::of(prefix)?),
        }
    }

    #[must_use]
    pub fn by_id(&self, RouteId { family, id }: RouteId) -> Option<PrefixView<'_>> {
        match family {
            Family::V4 => Some(PrefixView::of(id, self.v4.get(id)?)),
            Family::V6 => Some(PrefixView::of(id, self.v6.get(id)?)),
        }
    }

    /// All prefixes of a family that have a path, in no order that means anything.
    pub fn iter(&self, family: Family) -> Box<dyn Iterator<Item = PrefixView<'_>> + '_> {
        match family {
            Family::V4 => Box::new(self.v4.iter_from(0).map(|(id, e)| PrefixView::of(id, e))),
            Family::V6 => Box::new(self.v6.iter_from(0).map(|(id, e)| PrefixView::of(id, e))),
        }
    }

    /// What a peer has told of a family, with all paths of these prefixes.
    pub fn of_peer(&self, peer: PeerId, family: Family) -> impl Iterator<Item = PrefixView<'_>> {
        let ids = self.ids_of(peer, family).into_iter();
        ids.filter_map(move |id| self.by_id(RouteId { family, id }))
    }

    /// Prefixes with a path.
    #[must_use]
    pub fn len(&self, family: Family) -> usize {
        match family {
            Family::V4 => self.v4.len(),
            Family::V6 => self.v6.len(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        Family::ALL.into_iter().all(|family| self.len(family) == 0)
    }

    /// Distinct sets of attributes and next hop, those that nobody uses any more among them.
    #[must_use]
    pub fn distinct_routes(&self) -> usize {
        self.routes.len()
    }

    /// Which of two paths of a prefix comes first, and by which step; `None` for a path and
    /// itself. With three paths and MEDs of two ASes this may go round in a circle, the choice
    /// among them does not.
    #[must_use]
    pub fn compare(&self, a: &Path, b: &Path) -> (Ordering, Option<Reason>) {
        self.facts.compare(a, b)
    }

    /// Each path of a prefix, and why it is where it is.
    #[must_use]
    pub fn explain(&self, prefix: &Prefix) -> Vec<(Path, Standing)> {
        let Some(view) = self.get(prefix) else {
            return Vec::new();
        };
        let mut paths = view.paths.to_vec();
        let mut behind: Vec<Option<Reason>> = vec![None; paths.len()];
        self.facts.select_of_many(&mut paths, |at, reason| {
            if let Some(slot) = behind.get_mut(at) {
                *slot = Some(reason);
            }
        });
        let standing = |path: &Path, behind| match (path.exclusion(), behind) {
            (Some(exclusion), _) => Standing::Excluded(exclusion),
            _ if self.facts.reachability(path) == Reachability::Unreachable => {
                Standing::Unreachable
            }
            (None, Some(reason)) if path.is_used() => Standing::Multipath(reason),
            (None, Some(reason)) => Standing::Behind(reason),
            (None, None) => Standing::Best,
        };
        let paths = paths.into_iter().zip(behind);
        paths
            .map(|(path, behind)| {
                let standing = standing(&path, behind);
                (path, standing)
            })
            .collect()
    }
}

fn find<K: Key>(table: &Table<K>, key: K) -> Option<PrefixView<'_>> {
    let id = table.find(&key)?;
    Some(PrefixView::of(id, table.get(id)?))
}

fn walk<K: Key>(
    table: &Table<K>,
    from: u32,
    limit: usize,
    mut show: impl FnMut(PrefixView<'_>),
) -> Option<u32> {
    let mut entries = table.iter_from(from);
    for (id, entry) in entries.by_ref().take(limit) {
        show(PrefixView::of(id, entry));
    }
    entries.next().map(|(id, _)| id)
}
