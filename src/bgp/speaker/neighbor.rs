//! One peer of the speaker: its state machine, its connections, and its place in the tables.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::connection::Connection;
use super::desired::{PeerDesired, PeerKey};
use super::groups::{GroupKey, Groups};
use super::input::{ConnectionKey, Output};
use crate::bgp::fsm::{Action, ConnectionId, Event, Peer, PeerAs, State, Terms};
use crate::bgp::policy;
use crate::bgp::rib::{Outgoing, PeerFacts, PeerId, Rib, Target};
use crate::bgp::wire::{
    Codec, Message, Negotiated, PeerKind, RefreshSubtype, RouteRefresh, UpdateWriter,
};
use crate::net::{ByFamily, Family};

/// Prefixes of a family that are made UPDATEs of at a time.
const PORTION: usize = 256;

#[derive(Debug)]
pub(super) struct Neighbor {
    pub(super) key: PeerKey,
    pub(super) id: PeerId,
    pub(super) peer: Peer,
    pub(super) desired: Arc<PeerDesired>,
    /// It came by a range, and goes when its session does.
    pub(super) is_dynamic: bool,
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
}

/// What a peer is to decision and reflection before its first OPEN.
pub(super) fn first_facts(key: PeerKey, desired: &PeerDesired) -> PeerFacts {
    let local_as = desired.session.local_as;
    let asn = match desired.session.peer_as {
        PeerAs::Exactly(asn) => asn,
        PeerAs::External => 0,
    };
    PeerFacts {
        address: key,
        asn,
        kind: if asn == local_as {
            PeerKind::Internal
        } else {
            PeerKind::External
        },
        router_id: Ipv4Addr::UNSPECIFIED,
        is_client: desired.is_client,
    }
}

// === impl Neighbor ===

impl Neighbor {
    pub(super) fn codec(&self, id: ConnectionId) -> Codec {
        let terms = self.peer.terms(id);
        terms.map_or_else(Codec::default, |terms| Codec::new(&terms.negotiated))
    }

    pub(super) fn facts(&self, negotiated: &Negotiated) -> PeerFacts {
        PeerFacts {
            address: self.key,
            asn: negotiated.peer_as,
            kind: negotiated.peer,
            router_id: negotiated.peer_id,
            is_client: self.desired.is_client,
        }
    }

    /// The group of an established session.
    pub(super) fn group(&self, terms: &Terms) -> GroupKey {
        let negotiated = &terms.negotiated;
        let v4 = negotiated.family(Family::V4);
        let target = Target {
            kind: negotiated.peer,
            is_client: self.desired.is_client,
            own_next_hop: self.desired.own_next_hop,
            next_hop_self: self.desired.next_hop_self,
            ipv6_next_hop: v4.is_some_and(|terms| terms.ipv6_next_hop),
            long_lived: knows_long_lived(terms),
        };
        let peer = policy::Peer::from(&self.facts(negotiated));
        GroupKey::new(target, Arc::clone(&self.desired.export), peer)
    }

    /// Queues a message of the state machine; these are few, and are never held back.
    pub(super) fn send(&mut self, id: ConnectionId, message: &Message, out: &mut Vec<Output>) {
        let mut octets = Vec::new();
        if self.codec(id).encode(message, &mut octets).is_ok() {
            self.queue(id, octets, out);
        }
    }

    fn queue(&mut self, id: ConnectionId, octets: Vec<u8>, out: &mut Vec<Output>) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !octets.is_empty()
        {
            connection.queued(octets.len());
            let key = ConnectionKey { peer: self.key, id };
            out.push(Output::Send(key, Bytes::from(octets)));
        }
    }

    /// Makes UPDATEs of what the peer has still to be told, as long as it reads.
    #[must_use]
    pub(super) fn tell(
        &mut self,
        now: Instant,
        groups: &mut Groups,
        rib: &Rib,
        out: &mut Vec<Output>,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some((id, terms)) = self.peer.established()
            && self.connections.get(&id).is_some_and(Connection::has_room)
            && groups.has_pending(self.id)
        {
            let mut octets = Vec::new();
            let mut count = 0;
            for outgoing in groups.drain(self.id, rib, PORTION) {
                count += encode(&terms.negotiated, &outgoing, &mut octets);
            }
            self.queue(id, octets, out);
            if count > 0 {
                let sent = Event::UpdatesSent(id, count);
                actions.extend(self.peer.handle(now, sent));
            }
        }
        actions
    }

    /// Whether nothing is left of a peer that came by a range. One that is held back for an error
    /// stays, or it would come again at once.
    pub(super) fn is_spent(&self) -> bool {
        let has_stale = |family| self.peer.has_stale(family);
        self.is_dynamic
            && self.connections.is_empty()
            && (self.peer.state() != State::Idle || self.peer.status().stopped)
            && !Family::ALL.into_iter().any(has_stale)
    }
}

fn knows_long_lived(terms: &Terms) -> bool {
    let families = terms.graceful.as_ref().map(|graceful| graceful.families);
    let ByFamily { v4, v6 } = families.unwrap_or_default();
    [v4, v6]
        .into_iter()
        .flatten()
        .any(|family| family.long_lived.is_some())
}

/// Gives the number of UPDATEs. What can't be encoded for this peer is withdrawn (RFC 8654
/// section 4).
fn encode(terms: &Negotiated, outgoing: &Outgoing, into: &mut Vec<u8>) -> u64 {
    let writer = UpdateWriter::new(terms);
    let written = match outgoing {
        Outgoing::BeginOfRefresh(family) => {
            return mark(terms, *family, RefreshSubtype::Begin, into);
        }
        Outgoing::EndOfRefresh(family) => return mark(terms, *family, RefreshSubtype::End, into),
        Outgoing::EndOfRib(family) => writer.end_of_rib(*family, into).map(|()| 1),
        Outgoing::Withdraw { family, prefixes } => {
            writer.withdraw(*family, prefixes.iter().copied(), into)
        }
        Outgoing::Announce {
            family,
            route,
            prefixes,
        } => {
            let (attributes, next_hop) = (&route.attributes, route.next_hop);
            let all = || prefixes.iter().copied();
            writer
                .announce(*family, attributes, next_hop, all(), into)
                .or_else(|_| writer.withdraw(*family, all(), into))
        }
    };
    written.map_or(0, |count| u64::try_from(count).unwrap_or(u64::MAX))
}

fn mark(terms: &Negotiated, family: Family, subtype: RefreshSubtype, into: &mut Vec<u8>) -> u64 {
    let message = Message::RouteRefresh(RouteRefresh {
        family: family.into(),
        subtype,
    });
    // Of 23 octets: it always fits.
    let _ = Codec::new(terms).encode(&message, into);
    0
}
