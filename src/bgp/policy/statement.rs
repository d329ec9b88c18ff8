//! Policies as they are written.

use std::net::IpAddr;
use std::sync::Arc;

use super::prefix_set::{PrefixRange, PrefixSet};
use crate::bgp::rib::{AttributeChanges, RouteKind};
use crate::bgp::wire::{Community, LargeCommunity, PeerKind};
use crate::net::{Prefix, host_prefix};

/// Statements in order, and what happens to routes on which none decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub name: Arc<str>,
    pub statements: Vec<Statement>,
    /// Never [`Action::Next`] in effect: that one counts as a rejection here.
    pub otherwise: Action,
}

/// Conditions that all have to hold, and what is done then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub name: Arc<str>,
    pub conditions: Vec<Condition>,
    pub changes: AttributeChanges,
    pub action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    Accept,
    Reject,
    /// The next statements go on.
    Next,
}

/// Something that holds for a route and a peer, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    Prefix(Arc<PrefixSet>),
    /// The peer that the route comes from (import) or goes to (export).
    Neighbor(Arc<NeighborSet>),
    /// The kind of that peer.
    NeighborKind(PeerKind),
    /// Any of these.
    Kind(Vec<RouteKind>),
    Source(Source),
    /// Any of these.
    Community(Vec<Community>),
    /// Any of these.
    LargeCommunity(Vec<LargeCommunity>),
    /// The AS is in the path.
    AsInPath(u32),
    /// The AS originated it.
    OriginAs(u32),
    NextHop(Arc<PrefixSet>),
    Not(Box<Condition>),
}

/// Where a route was learnt, whoever is asked about now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    Local,
    Peer(PeerKind),
}

/// Addresses of peers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NeighborSet(PrefixSet);

/// The peer a policy is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer {
    pub address: IpAddr,
    pub asn: u32,
    pub kind: PeerKind,
}

// === impl Policy ===

impl Policy {
    /// Accepts everything as it is.
    #[must_use]
    pub fn accept_all() -> Self {
        Self::new("accept all", [], Action::Accept)
    }

    #[must_use]
    pub fn reject_all() -> Self {
        Self::new("reject all", [], Action::Reject)
    }

    #[must_use]
    pub fn new(
        name: &str,
        statements: impl IntoIterator<Item = Statement>,
        otherwise: Action,
    ) -> Self {
        Self {
            name: name.into(),
            statements: statements.into_iter().collect(),
            otherwise,
        }
    }
}

// === impl Statement ===

impl Statement {
    #[must_use]
    pub fn new(
        name: &str,
        conditions: impl IntoIterator<Item = Condition>,
        action: Action,
    ) -> Self {
        Self {
            name: name.into(),
            conditions: conditions.into_iter().collect(),
            changes: AttributeChanges::default(),
            action,
        }
    }

    #[must_use]
    pub fn with_changes(self, changes: AttributeChanges) -> Self {
        Self { changes, ..self }
    }
}

// === impl NeighborSet ===

impl NeighborSet {
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains_address(address)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<IpAddr> for NeighborSet {
    fn from_iter<T: IntoIterator<Item = IpAddr>>(addresses: T) -> Self {
        addresses.into_iter().map(host_prefix).collect()
    }
}

impl FromIterator<Prefix> for NeighborSet {
    fn from_iter<T: IntoIterator<Item = Prefix>>(prefixes: T) -> Self {
        let ranges = prefixes.into_iter().map(PrefixRange::or_longer);
        Self(ranges.collect())
    }
}
