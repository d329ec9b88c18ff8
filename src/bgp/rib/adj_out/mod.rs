//! Adj-RIB-Out of peers that are told the same, and what each of them has still to be told.
//!
//! ```text
//! changed prefix ─► Exporter ─► set(id, told) ─► per member: pending ids, withdrawn prefixes
//!                                                   └─► drain(peer) ─► what fits one write, packed by route
//! ```
//!
//! - What is told is held once for all members, a member costs two bits per prefix.
//! - A change that is taken back before it was written is never seen by the peer.
//! - Nothing that comes out as it was is told again, but for a refresh.
//! - A peer is told neither its own routes nor routes whose next hop it is itself.

mod queue;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};

use self::queue::Queue;
use crate::bgp::rib::export::Withheld;
use crate::bgp::rib::hash::Seed;
use crate::bgp::rib::peer::PeerId;
use crate::bgp::rib::rib::Rib;
use crate::bgp::rib::route::Route;
use crate::bgp::rib::view::RouteId;
use crate::bgp::wire::Nlri;
use crate::net::{ByFamily, Family, Prefix};

/// What the members of a group are told, and how far each is.
#[derive(Debug)]
pub struct AdjRibOut {
    seed: Seed,
    told: ByFamily<HashMap<u32, Told, FxBuildHasher>>,
    members: FxHashMap<PeerId, Member>,
}

/// One prefix as the group is told it.
#[derive(Debug, Clone)]
pub struct Told {
    pub route: Arc<Route>,
    /// Who has told it to us, and is not told it back.
    pub source: PeerId,
}

/// What is to be written next, in this order.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// BoRR (RFC 7313).
    BeginOfRefresh(Family),
    Withdraw {
        family: Family,
        prefixes: Vec<Nlri>,
    },
    Announce {
        family: Family,
        route: Arc<Route>,
        prefixes: Vec<Nlri>,
    },
    EndOfRib(Family),
    /// EoRR (RFC 7313).
    EndOfRefresh(Family),
}

#[derive(Debug)]
struct Member {
    address: IpAddr,
    families: ByFamily<Option<Queue>>,
}

// === impl Told ===

impl Told {
    fn is_same(&self, other: &Self) -> bool {
        self.source == other.source && Arc::ptr_eq(&self.route, &other.route)
    }
}

// === impl AdjRibOut ===

impl AdjRibOut {
    /// For routes of `rib`; without members.
    #[must_use]
    pub fn new(rib: &Rib) -> Self {
        Self {
            seed: rib.seed,
            told: ByFamily::default(),
            members: FxHashMap::default(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    #[must_use]
    pub fn has_member(&self, peer: PeerId) -> bool {
        self.members.contains_key(&peer)
    }

    /// Changes what the group is told of a prefix; members get what that means for them.
    pub fn set(&mut self, id: RouteId, prefix: Prefix, now: Option<Told>) {
        let told = self.told.get_mut(id.family);
        let before = match &now {
            Some(now) => told.insert(id.id, now.clone()),
            None => told.remove(&id.id),
        };
        let is_same = match (&before, &now) {
            (Some(before), Some(now)) => before.is_same(now),
            (None, None) => true,
            _ => false,
        };
        if is_same {
            return;
        }
        for (peer, member) in &mut self.members {
            let before = member.seen(*peer, before.as_ref());
            let now = member.seen(*peer, now.as_ref());
            if let Some(queue) = member.families.get_mut(id.family) {
                queue.change(id.id, prefix, before, now);
            }
        }
        if told.is_empty() {
            told.shrink_to_fit();
        }
    }

    /// Starts to tell a peer a family: all there is, then End-of-RIB. What it has been told by an
    /// earlier session does not count any more.
    pub fn join(&mut self, peer: PeerId, address: IpAddr, family: Family) {
        let member = self.members.entry(peer).or_insert_with(|| Member {
            address,
            families: ByFamily::default(),
        });
        member.address = address;
        let mut queue = Queue::new(self.seed);
        for (id, told) in self.told.get(family) {
            if member.permits(peer, told).is_ok() {
                queue.announce(*id);
            }
        }
        *member.families.get_mut(family) = Some(queue);
    }

    /// The session is over.
    pub fn leave(&mut self, peer: PeerId) {
        self.members.remove(&peer);
    }

    /// Takes a member of another group over whose session stays up: it is told what differs.
    pub fn take_over(&mut self, peer: PeerId, from: &mut Self, rib: &Rib) {
        let Some(mut member) = from.members.remove(&peer) else {
            return;
        };
        for family in Family::ALL {
            let Some(mut queue) = member.families.get_mut(family).take() else {
                continue;
            };
            let (old, new) = (from.told.get(family), self.told.get(family));
            let gone = queue.known().filter(|id| !new.contains_key(id));
            let ids: Vec<u32> = gone.chain(new.keys().copied()).collect();
            for id in ids {
                if let Some(view) = rib.by_id(RouteId { family, id }) {
                    let before = member.seen(peer, old.get(&id));
                    let now = member.seen(peer, new.get(&id));
                    queue.change(id, view.prefix, before, now);
                }
            }
            *member.families.get_mut(family) = Some(queue);
        }
        self.members.insert(peer, member);
    }

    /// The peer wants to hear all again (RFC 2918); with `enhanced` between BoRR and EoRR.
    pub fn refresh(&mut self, peer: PeerId, family: Family, enhanced: bool) {
        let queue = self
            .members
            .get_mut(&peer)
            .and_then(|member| member.families.get_mut(family).as_mut());
        if let Some(queue) = queue {
            queue.refresh(enhanced);
        }
    }

    /// Whether [`AdjRibOut::drain`] has something for the peer.
    #[must_use]
    pub fn has_pending(&self, peer: PeerId) -> bool {
        self.members.get(&peer).is_some_and(|member| {
            let families = Family::ALL.into_iter();
            families
                .filter_map(|family| member.families.get(family).as_ref())
                .any(|queue| !queue.is_idle())
        })
    }

    /// What the peer is told of a prefix, or will be, or why not although the group is; `None` if
    /// nobody of the group is told.
    #[must_use]
    pub fn told(&self, peer: PeerId, id: RouteId) -> Option<Result<&Arc<Route>, Withheld>> {
        let member = self.members.get(&peer)?;
        let told = self.told.get(id.family).get(&id.id)?;
        Some(member.permits(peer, told).map(|()| &told.route))
    }

    /// Whether the peer has been told the prefix as it is now.
    #[must_use]
    pub fn is_written(&self, peer: PeerId, id: RouteId) -> bool {
        let member = self.members.get(&peer);
        let queue = member.and_then(|member| member.families.get(id.family).as_ref());
        queue.is_some_and(|queue| queue.is_written(id.id))
    }

    /// How many prefixes of the family the peer has been told.
    #[must_use]
    pub fn announced(&self, peer: PeerId, family: Family) -> usize {
        let member = self.members.get(&peer);
        let queue = member.and_then(|member| member.families.get(family).as_ref());
        queue.map_or(0, |queue| queue.announced())
    }

    /// Takes at most about `limit` prefixes that the peer has still to be told, each family by
    /// itself. What can't be encoded has to be withdrawn by whoever writes it (RFC 8654
    /// section 4).
    pub fn drain(&mut self, peer: PeerId, rib: &Rib, limit: usize) -> Vec<Outgoing> {
        let mut out = Vec::new();
        let Some(member) = self.members.get_mut(&peer) else {
            return out;
        };
        for family in Family::ALL {
            if let Some(queue) = member.families.get_mut(family) {
                let told = self.told.get(family);
                queue.drain(family, told, rib, limit, &mut out);
            }
        }
        out
    }
}

// === impl Member ===

impl Member {
    /// What the member is told of it.
    fn seen<'t>(&self, peer: PeerId, told: Option<&'t Told>) -> Option<&'t Arc<Route>> {
        let told = told.filter(|told| self.permits(peer, told).is_ok());
        told.map(|told| &told.route)
    }

    fn permits(&self, peer: PeerId, told: &Told) -> Result<(), Withheld> {
        if told.source == peer {
            Err(Withheld::OwnRoute)
        } else if told.route.next_hop.address() == self.address {
            Err(Withheld::PeerIsNextHop)
        } else {
            Ok(())
        }
    }
}
