//! Looking at peers and routes a few at a time, so that nobody's question holds the speaker up.

use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use super::core::SpeakerCore;
use super::desired::PeerKey;
use super::status::SpeakerStatus;
use crate::bgp::rib::{Path, PrefixView, Route, Standing};
use crate::net::{ByFamily, Family, Prefix};

/// The tables of RFC 4271 section 3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RibTable {
    /// What was chosen among; with our own routes.
    Loc,
    AdjIn,
    AdjOut,
}

/// A path in one of the tables.
#[derive(Debug, Clone)]
pub struct RibEntry {
    pub prefix: Prefix,
    /// Who tells it, or is told it; `None` for our own.
    pub peer: Option<PeerKey>,
    /// RFC 7911; 0 without.
    pub path_id: u32,
    /// As it is in that table.
    pub route: Arc<Route>,
    /// `None` in [`RibTable::AdjOut`].
    pub standing: Option<Standing>,
    pub is_stale: bool,
    pub is_long_lived: bool,
    /// In [`RibTable::AdjOut`]: the peer has it already.
    pub is_written: bool,
}

impl SpeakerCore {
    /// The speaker without its peers.
    #[must_use]
    pub fn summary(&self) -> SpeakerStatus {
        let per_family = |f: &dyn Fn(Family) -> usize| ByFamily {
            v4: f(Family::V4),
            v6: f(Family::V6),
        };
        SpeakerStatus {
            speaker: self.desired.speaker.clone(),
            deferred: ByFamily {
                v4: self.is_deferred(Family::V4),
                v6: self.is_deferred(Family::V6),
            },
            prefixes: per_family(&|family| self.tables.rib.len(family)),
            neighbors: Vec::new(),
        }
    }

    /// At most `limit` peers behind `after`, by address.
    #[must_use]
    pub fn peers(&self, after: Option<PeerKey>, limit: usize) -> Vec<PeerKey> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.neighbors.range((from, Bound::Unbounded));
        keys.take(limit).map(|(key, _)| *key).collect()
    }

    /// Looks at no more than `limit` prefixes of a family, from number `from` on (0 at first), and
    /// shows those that stand in the table, of one peer if it is named; gives the number to go on
    /// with.
    pub fn look_through(
        &mut self,
        (table, peer): (RibTable, Option<PeerKey>),
        family: Family,
        from: u32,
        limit: usize,
        mut show: impl FnMut(Prefix),
    ) -> Option<u32> {
        let ids = self.neighbors.iter();
        let ids = ids.filter(|(key, _)| peer.is_none_or(|peer| peer == **key));
        let ids: Vec<_> = ids.map(|(_, neighbor)| neighbor.id).collect();
        let limit = match table {
            RibTable::Loc | RibTable::AdjIn => limit,
            // Each prefix costs a look at each peer.
            RibTable::AdjOut => (limit / ids.len().max(1)).max(1),
        };
        let groups = &self.tables.groups;
        let stands = |view: &PrefixView<'_>| match (table, peer) {
            (RibTable::Loc, None) => view.paths.iter().any(|path| path.exclusion().is_none()),
            (RibTable::Loc, Some(_)) => view
                .paths
                .iter()
                .any(|path| path.exclusion().is_none() && ids.contains(&path.peer())),
            (RibTable::AdjIn, None) => view.paths.iter().any(|path| !path.is_local()),
            (RibTable::AdjIn, Some(_)) => view.paths.iter().any(|path| ids.contains(&path.peer())),
            (RibTable::AdjOut, _) => ids.iter().any(|id| groups.told(*id, view.id).is_some()),
        };
        self.tables.rib.walk(family, from, limit, |view, _| {
            if stands(&view) {
                show(view.prefix);
            }
        })
    }

    /// What stands in the table for one prefix, of one peer if it is named.
    #[must_use]
    pub fn entries(
        &self,
        (table, peer): (RibTable, Option<PeerKey>),
        prefix: &Prefix,
    ) -> Vec<RibEntry> {
        let of_peer = |entry: &RibEntry| peer.is_none() || entry.peer == peer;
        if table == RibTable::AdjOut {
            return self.entries_out(prefix).filter(of_peer).collect();
        }
        let explained = self.tables.rib.explain(prefix).into_iter();
        explained
            .filter(|(path, standing)| match table {
                RibTable::Loc => !matches!(standing, Standing::Excluded(_)),
                RibTable::AdjIn | RibTable::AdjOut => !path.is_local(),
            })
            .map(|(path, standing)| self.entry(table, *prefix, &path, standing))
            .filter(of_peer)
            .collect()
    }

    /// The longest prefix with a path that contains the address.
    #[must_use]
    pub fn longest_match(&self, address: IpAddr) -> Option<Prefix> {
        let lengths = (0..=Family::of(address).host_bits()).rev();
        lengths
            .filter_map(|length| Prefix::new(address, length).ok())
            .map(|prefix| prefix.trunc())
            .find(|prefix| {
                let view = self.tables.rib.get(prefix);
                view.is_some_and(|view| !view.paths.is_empty())
            })
    }

    fn entry(&self, table: RibTable, prefix: Prefix, path: &Path, standing: Standing) -> RibEntry {
        let route = match table {
            RibTable::AdjIn => path.route().received(),
            RibTable::Loc | RibTable::AdjOut => path.route(),
        };
        let facts = self.tables.rib.peer(path.peer());
        RibEntry {
            prefix,
            peer: facts
                .filter(|_| !path.is_local())
                .map(|facts| facts.address),
            path_id: path.path_id(),
            route: Arc::clone(route),
            standing: Some(standing),
            is_stale: path.is_stale(),
            is_long_lived: path.is_long_lived(),
            is_written: false,
        }
    }

    fn entries_out(&self, prefix: &Prefix) -> impl Iterator<Item = RibEntry> {
        let view = self.tables.rib.get(prefix);
        let each = move |(key, neighbor): (&PeerKey, &super::neighbor::Neighbor)| {
            let view = view?;
            let (route, is_written) = self.tables.groups.told(neighbor.id, view.id)?;
            let best = view.best();
            Some(RibEntry {
                prefix: view.prefix,
                peer: Some(*key),
                path_id: 0,
                route: Arc::clone(route),
                standing: None,
                is_stale: best.is_some_and(Path::is_stale),
                is_long_lived: best.is_some_and(Path::is_long_lived),
                is_written,
            })
        };
        self.neighbors.iter().filter_map(each)
    }
}
