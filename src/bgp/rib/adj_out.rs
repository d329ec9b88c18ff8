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

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::export::Withheld;
use super::hash::Seed;
use super::id_set::IdSet;
use super::peer::PeerId;
use super::rib::Rib;
use super::route::Route;
use super::view::RouteId;
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

/// What a member has still to be told of one family.
#[derive(Debug)]
struct Queue {
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
            let seen = |told: &Option<Told>| {
                let told = told.as_ref().filter(|told| member.sees(*peer, told));
                told.map(|told| Arc::clone(&told.route))
            };
            let (before, now) = (seen(&before), seen(&now));
            if let Some(queue) = member.families.get_mut(id.family) {
                queue.change(id.id, prefix, before.as_ref(), now.as_ref());
            }
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
            if member.sees(peer, told) {
                queue.pending.insert(*id);
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
            let seen = |told: Option<&Told>| {
                let told = told.filter(|told| member.sees(peer, told));
                told.map(|told| Arc::clone(&told.route))
            };
            let known = queue.announced.iter().chain(queue.pending.iter());
            let gone = known.filter(|id| !new.contains_key(id));
            let ids: Vec<u32> = gone.chain(new.keys().copied()).collect();
            for id in ids {
                if let Some(view) = rib.by_id(RouteId { family, id }) {
                    let (before, now) = (seen(old.get(&id)), seen(new.get(&id)));
                    queue.change(id, view.prefix, before.as_ref(), now.as_ref());
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
        let Some(queue) = queue else { return };
        let refresh = Round::Refresh {
            enhanced,
            begun: false,
        };
        if queue.round == Round::Changes {
            queue.begin(refresh);
        } else {
            queue.next = Some(refresh);
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
        queue.is_some_and(|queue| queue.announced.contains(id.id) && !queue.pending.contains(id.id))
    }

    /// How many prefixes of the family the peer has been told.
    #[must_use]
    pub fn announced(&self, peer: PeerId, family: Family) -> usize {
        let member = self.members.get(&peer);
        let queue = member.and_then(|member| member.families.get(family).as_ref());
        queue.map_or(0, |queue| queue.announced.len())
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
    fn sees(&self, peer: PeerId, told: &Told) -> bool {
        self.permits(peer, told).is_ok()
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

// === impl Queue ===

impl Queue {
    fn new(seed: Seed) -> Self {
        Self {
            pending: IdSet::default(),
            announced: IdSet::default(),
            withdrawn: HashSet::with_hasher(seed),
            cursor: 0,
            round: Round::Initial,
            next: None,
        }
    }

    fn change(
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

    fn begin(&mut self, round: Round) {
        self.round = round;
        self.cursor = 0;
        if matches!(round, Round::Refresh { .. }) {
            for id in self.announced.iter() {
                self.pending.insert(id);
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.pending.is_empty()
            && self.withdrawn.is_empty()
            && self.round == Round::Changes
            && self.next.is_none()
    }

    fn drain(
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
        while ids.len() < limit {
            let Some(id) = self.pending.next_from(self.cursor) else {
                if self.round == Round::Changes && self.cursor != 0 {
                    self.cursor = 0;
                    continue;
                }
                break;
            };
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
    for &id in ids {
        let (Some(told), Some(view)) = (told.get(&id), rib.by_id(RouteId { family, id })) else {
            continue;
        };
        let at = *by_route
            .entry(Arc::as_ptr(&told.route))
            .or_insert(groups.len());
        if at == groups.len() {
            groups.push((&told.route, Vec::new()));
        }
        if let Some((_, prefixes)) = groups.get_mut(at) {
            prefixes.push(Nlri::from(view.prefix));
        }
    }
    out.extend(
        groups
            .into_iter()
            .map(|(route, prefixes)| Outgoing::Announce {
                family,
                route: Arc::clone(route),
                prefixes,
            }),
    );
}
