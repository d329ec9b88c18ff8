//! What the prefixes of one UPDATE share, held once: next hop, attributes, and what the decision
//! asks of them, worked out beforehand.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;

use super::hash::Seed;
use crate::bgp::wire::{Attributes, Community, NextHop, Origin};

/// Where a route comes from, as far as policies ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// From a peer.
    #[default]
    Learned,
    /// Our own: a range of this node's pods.
    PodCidr,
    /// Our own: an address of a Service.
    ServiceVip,
    /// Our own, for another reason.
    Other,
}

/// A next hop with attributes. Immutable; equal ones of one [`super::Rib`] are one allocation, so
/// they are compared by pointer.
#[derive(Debug)]
pub struct Route {
    pub next_hop: NextHop,
    pub attributes: Attributes,
    pub kind: RouteKind,
    /// As it came, if the import changed it.
    received: Option<Arc<Route>>,
    pub(super) rank: Rank,
    hash: u64,
}

/// What the decision compares, so that it need not read the attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rank {
    pub(super) local_pref: u32,
    pub(super) hops: u32,
    pub(super) origin: Origin,
    /// Missing counts as 0 (RFC 4271 section 9.1.2.2 c).
    pub(super) med: u32,
    pub(super) neighbor_as: Option<u32>,
    /// Came with the community LLGR_STALE.
    pub(super) is_llgr_stale: bool,
}

/// Holds each route once.
#[derive(Debug)]
pub(super) struct Interner {
    seed: Seed,
    routes: HashTable<Arc<Route>>,
    /// So many routes start the next sweep.
    sweep_at: usize,
}

const SMALLEST_SWEEP: usize = 1024;
/// LOCAL_PREF where none is said; by custom of all speakers.
pub(super) const DEFAULT_LOCAL_PREF: u32 = 100;

// === impl Route ===

impl Route {
    /// What a peer has told.
    #[must_use]
    pub fn learned(next_hop: NextHop, attributes: Attributes) -> Self {
        Self::new(RouteKind::Learned, next_hop, attributes)
    }

    /// What we originate; the next hop is told to peers as it is.
    #[must_use]
    pub fn originated(kind: RouteKind, next_hop: NextHop) -> Self {
        Self::new(kind, next_hop, Attributes::default())
    }

    #[must_use]
    pub fn new(kind: RouteKind, next_hop: NextHop, attributes: Attributes) -> Self {
        Self {
            rank: Rank::of(&attributes),
            next_hop,
            attributes,
            kind,
            received: None,
            hash: 0,
        }
    }

    /// As the import policy has made it of `received`.
    pub(super) fn imported(
        received: &Arc<Self>,
        next_hop: NextHop,
        attributes: Attributes,
    ) -> Self {
        Self {
            received: Some(Arc::clone(received)),
            ..Self::new(received.kind, next_hop, attributes)
        }
    }

    /// As the peer sent it, before import.
    #[must_use]
    pub fn received(self: &Arc<Self>) -> &Arc<Self> {
        self.received.as_ref().unwrap_or(self)
    }

    #[must_use]
    pub fn has_community(&self, community: Community) -> bool {
        self.attributes.communities.contains(&community)
    }

    /// LOCAL_PREF, or what counts without.
    #[must_use]
    pub fn local_pref(&self) -> u32 {
        self.rank.local_pref
    }

    fn is_same(&self, other: &Self) -> bool {
        let same_received = match (&self.received, &other.received) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        same_received
            && self.kind == other.kind
            && self.next_hop == other.next_hop
            && self.attributes == other.attributes
    }
}

// === impl Rank ===

impl Rank {
    fn of(attributes: &Attributes) -> Self {
        let path = &attributes.as_path;
        Self {
            local_pref: attributes.local_pref.unwrap_or(DEFAULT_LOCAL_PREF),
            hops: u32::try_from(path.hops()).unwrap_or(u32::MAX),
            origin: attributes.origin,
            med: attributes.multi_exit_disc.unwrap_or(0),
            neighbor_as: path.neighbor_as(),
            is_llgr_stale: attributes.communities.contains(&Community::LLGR_STALE),
        }
    }
}

// === impl Interner ===

impl Interner {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            seed,
            routes: HashTable::new(),
            sweep_at: SMALLEST_SWEEP,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.routes.len()
    }

    /// The one allocation of this content. Routes that nobody else holds go when as many have
    /// come as were left by the last sweep.
    pub(super) fn intern(&mut self, mut route: Route) -> Arc<Route> {
        route.hash = self.hash(&route);
        if self.routes.len() >= self.sweep_at {
            self.sweep();
        }
        let is_it = |other: &Arc<Route>| other.hash == route.hash && other.is_same(&route);
        match self.routes.entry(route.hash, is_it, |other| other.hash) {
            hashbrown::hash_table::Entry::Occupied(found) => Arc::clone(found.get()),
            hashbrown::hash_table::Entry::Vacant(slot) => {
                let route = Arc::new(route);
                slot.insert(Arc::clone(&route));
                route
            }
        }
    }

    /// Drops what only the interner holds. A changed route holds the one it was made of, so that
    /// one may go only the next time.
    pub(super) fn sweep(&mut self) {
        self.routes.retain(|route| Arc::strong_count(route) > 1);
        self.routes.shrink_to(self.routes.len(), |route| route.hash);
        self.sweep_at = (2 * self.routes.len()).max(SMALLEST_SWEEP);
    }

    fn hash(&self, route: &Route) -> u64 {
        self.seed.hash_one((&route.next_hop, &route.attributes))
    }
}
