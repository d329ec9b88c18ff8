//! Asking the speaker piece by piece.

use std::collections::BinaryHeap;

use super::view::{Rib, Route, Table};
use super::{PAGE_OCTETS, PIECE};
use crate::bgp::speaker::Handle;
use crate::bgp::speaker::{PeerKey, RibTable};
use crate::net::{Family, Prefix};

/// Prefixes whose routes are taken along in one turn of the speaker.
const TAKEN: usize = 64;

/// What stands in a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) table: Table,
    pub(super) peer: Option<PeerKey>,
    pub(super) after: Option<Prefix>,
    pub(super) limit: usize,
}

/// The smallest prefixes behind the one that was shown last.
#[derive(Debug)]
struct Smallest {
    after: Option<Prefix>,
    limit: usize,
    found: BinaryHeap<Prefix>,
}

// === impl Smallest ===

impl Smallest {
    fn offer(&mut self, prefix: Prefix) {
        if self.after.is_some_and(|after| prefix <= after) {
            return;
        }
        if self.found.len() < self.limit {
            self.found.push(prefix);
        } else if let Some(mut greatest) = self.found.peek_mut()
            && prefix < *greatest
        {
            *greatest = prefix;
        }
    }

    fn is_full(&self) -> bool {
        self.found.len() >= self.limit
    }
}

// === impl Ask ===

impl Ask {
    fn of(self) -> (RibTable, Option<PeerKey>) {
        let table = match self.table {
            Table::Loc => RibTable::Loc,
            Table::In => RibTable::AdjIn,
            Table::Out => RibTable::AdjOut,
        };
        (table, self.peer)
    }

    /// One page; `None` if the speaker has ended.
    pub(super) async fn page(self, speaker: &Handle) -> Option<Rib> {
        let prefixes = self.prefixes(speaker).await?;
        let is_last = prefixes.len() < self.limit;
        let mut routes = Vec::new();
        let mut octets = 0;
        for some in prefixes.chunks(TAKEN) {
            let some = some.to_vec();
            let entries = speaker.ask(move |core| {
                let each = some.iter().map(|prefix| core.entries(self.of(), prefix));
                each.collect::<Vec<_>>()
            });
            for of_prefix in entries.await? {
                let last = of_prefix.first().map(|entry| entry.prefix);
                for entry in &of_prefix {
                    let route = Route::from(entry);
                    octets += size(&route);
                    routes.push(route);
                }
                if octets >= PAGE_OCTETS {
                    return Some(self.rib(routes, last));
                }
            }
        }
        let last = prefixes.last().copied().filter(|_| !is_last);
        Some(self.rib(routes, last))
    }

    /// What stands in the table for one prefix.
    pub(super) async fn one(self, speaker: &Handle, prefix: Prefix) -> Option<Rib> {
        let entries = speaker.ask(move |core| core.entries(self.of(), &prefix));
        let entries = entries.await?;
        let routes = entries.iter().map(Route::from).collect();
        Some(self.rib(routes, None))
    }

    fn rib(self, routes: Vec<Route>, next: Option<Prefix>) -> Rib {
        Rib {
            table: self.table,
            routes,
            next,
        }
    }

    async fn prefixes(self, speaker: &Handle) -> Option<Vec<Prefix>> {
        let mut smallest = Smallest {
            after: self.after,
            limit: self.limit,
            found: BinaryHeap::new(),
        };
        for family in Family::ALL {
            // All of IPv4 is smaller than all of IPv6.
            let is_behind = self
                .after
                .is_some_and(|after| Family::of_prefix(&after) > family);
            let mut from = Some(0).filter(|_| !is_behind && !smallest.is_full());
            while let Some(at) = from {
                let piece = speaker.ask(move |core| {
                    let next = core.look_through(self.of(), family, at, PIECE, |prefix| {
                        smallest.offer(prefix);
                    });
                    (smallest, next)
                });
                (smallest, from) = piece.await?;
            }
        }
        Some(smallest.found.into_sorted_vec())
    }
}

/// About how long the JSON of a route is, in octets.
fn size(route: &Route) -> usize {
    let attributes = &route.attributes;
    let lists = [
        &attributes.communities,
        &attributes.extended_communities,
        &attributes.large_communities,
    ];
    let texts = lists.into_iter().flatten().map(|text| text.len() + 3);
    let clusters = 18 * attributes.cluster_list.len();
    let unknown = 4 * attributes.unknown_attributes.len();
    // The names of the fields, and values of limited length.
    700 + attributes.as_path.len() + texts.sum::<usize>() + clusters + unknown
}
