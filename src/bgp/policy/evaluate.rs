//! A policy's word on one route and one peer.

use std::borrow::Cow;

use super::statement::{Action, Condition, Peer, Policy, Source, Statement};
use crate::bgp::rib;
use crate::bgp::rib::{AttributeChanges, Filter, PeerFacts};
use crate::net::Prefix;

/// A prefix with the route to it and where that was learnt.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    pub prefix: &'a Prefix,
    pub route: &'a rib::Route,
    pub source: Source,
}

/// What a policy says, and which statement said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'p> {
    pub is_accepted: bool,
    /// Of no effect if it is rejected.
    pub changes: Cow<'p, AttributeChanges>,
    /// `None`: no statement decided, but the policy's last word.
    pub decided_by: Option<&'p Statement>,
}

/// Asks a policy: import for the peer that a route comes from, export for the one it may go to.
#[must_use]
pub fn evaluate<'p>(policy: &'p Policy, route: &Route<'_>, peer: &Peer) -> Verdict<'p> {
    let mut changes: Cow<'p, AttributeChanges> = Cow::Owned(AttributeChanges::default());
    for statement in &policy.statements {
        if !statement
            .conditions
            .iter()
            .all(|condition| condition.holds(route, peer))
        {
            continue;
        }
        if changes.is_empty() {
            changes = Cow::Borrowed(&statement.changes);
        } else {
            changes.to_mut().extend(&statement.changes);
        }
        if statement.action != Action::Next {
            return Verdict {
                is_accepted: statement.action == Action::Accept,
                changes,
                decided_by: Some(statement),
            };
        }
    }
    Verdict {
        is_accepted: policy.otherwise == Action::Accept,
        changes,
        decided_by: None,
    }
}

// === impl Condition ===

impl Condition {
    fn holds(&self, route: &Route<'_>, peer: &Peer) -> bool {
        let attributes = &route.route.attributes;
        match self {
            Self::Prefix(set) => set.contains(route.prefix),
            Self::Neighbor(set) => set.contains(peer.address),
            Self::NeighborKind(kind) => peer.kind == *kind,
            Self::Kind(kinds) => kinds.contains(&route.route.kind),
            Self::Source(source) => route.source == *source,
            Self::Community(any) => any.iter().any(|one| attributes.communities.contains(one)),
            Self::LargeCommunity(any) => any
                .iter()
                .any(|one| attributes.large_communities.contains(one)),
            Self::AsInPath(asn) => attributes.as_path.contains(*asn),
            Self::OriginAs(asn) => attributes.as_path.origin_as() == Some(*asn),
            Self::NextHop(set) => set.contains_address(route.route.next_hop.address()),
            Self::Not(condition) => !condition.holds(route, peer),
        }
    }
}

// === impl Peer ===

impl From<&PeerFacts> for Peer {
    fn from(facts: &PeerFacts) -> Self {
        Self {
            address: facts.address,
            asn: facts.asn,
            kind: facts.kind,
        }
    }
}

// === impl Source ===

/// `None` for our own, as [`rib::Routes::source`] gives it.
impl From<Option<&PeerFacts>> for Source {
    fn from(peer: Option<&PeerFacts>) -> Self {
        peer.map_or(Self::Local, |peer| Self::Peer(peer.kind))
    }
}

// === impl Verdict ===

impl<'p> From<Verdict<'p>> for Filter<'p> {
    fn from(verdict: Verdict<'p>) -> Self {
        if !verdict.is_accepted {
            Self::Reject
        } else if verdict.changes.is_empty() {
            Self::Accept
        } else {
            Self::Change(verdict.changes)
        }
    }
}
