//! What is taken from peers, and what they are told.
//!
//! The addresses of Services are in no import policy: a route of our own beats every learned one
//! of the same prefix, whatever its attributes, so that the policies and with them all learned
//! routes need not be judged anew when a Service changes.

use std::sync::Arc;

use super::Context;
use crate::bgp::policy::{Action, Condition, Policy, PrefixRange, PrefixSet, Source, Statement};
use crate::bgp::rib::{AttributeChanges, NextHopChange, Prepend, RouteKind};
use crate::bgp::wire::PeerKind;
use crate::config::BgpSession;

/// The other nodes are told our pod ranges, and by a reflector what other nodes told it.
pub(super) fn to_mesh(context: &Context<'_>) -> Policy {
    let mut statements = vec![Statement::new(
        "own pod ranges",
        [Condition::Kind(vec![RouteKind::PodCidr])],
        Action::Accept,
    )];
    if context.reflects().is_some() {
        let condition = Condition::Source(Source::Peer(PeerKind::Internal));
        statements.push(Statement::new("reflected", [condition], Action::Accept));
    }
    Policy::new("to nodes", statements, Action::Reject)
}

pub(super) fn from_mesh(context: &Context<'_>) -> Policy {
    let statements = refused(context, false, false);
    Policy::new("from nodes", statements, Action::Accept)
}

/// External peers are told the addresses of Services and, if wanted, our pod ranges; never what
/// others told us.
pub(super) fn to_external(context: &Context<'_>, session: &BgpSession, peer: &str) -> Policy {
    let changes = exported(context, session);
    let mut kinds = vec![("addresses of Services", RouteKind::ServiceVip)];
    if context.bgp().advertise_pod_cidr {
        kinds.push(("own pod ranges", RouteKind::PodCidr));
    }
    let statements = kinds.into_iter().map(|(name, kind)| {
        Statement::new(name, [Condition::Kind(vec![kind])], Action::Accept)
            .with_changes(changes.clone())
    });
    let usual = context.bgp().session();
    let is_usual = (session.med, session.override_nexthop) == (None, usual.override_nexthop);
    let name = match is_usual {
        true => "to external peers".to_owned(),
        false => format!("to {peer}"),
    };
    Policy::new(&name, statements, Action::Reject)
}

fn exported(context: &Context<'_>, session: &BgpSession) -> AttributeChanges {
    let own = context.own;
    AttributeChanges {
        multi_exit_disc: session.med,
        local_pref: None,
        add_communities: own.communities.plain.clone(),
        add_large_communities: own.communities.large.clone(),
        prepend: own.prepend.map(|prepend| Prepend {
            asn: prepend.asn,
            times: prepend.times,
        }),
        next_hop: session.override_nexthop.then_some(NextHopChange::Own),
    }
}

pub(super) fn from_external(context: &Context<'_>, session: &BgpSession, peer: &str) -> Policy {
    let (defaults, martians) = (session.import_default_route, session.import_martians);
    let mut statements = refused(context, defaults, martians);
    if session.local_preference.is_some() {
        let changes = AttributeChanges {
            local_pref: session.local_preference,
            ..AttributeChanges::default()
        };
        statements.push(Statement::new("preference", [], Action::Accept).with_changes(changes));
    }
    let name = match (defaults, martians, session.local_preference) {
        (false, false, None) => "from external peers".to_owned(),
        _ => format!("from {peer}"),
    };
    Policy::new(&name, statements, Action::Accept)
}

/// What is never taken unless it is asked for.
fn refused(context: &Context<'_>, defaults: bool, martians: bool) -> Vec<Statement> {
    let mut sets = Vec::new();
    if !defaults {
        sets.push(("default routes", PrefixSet::default_routes()));
    }
    if !martians {
        sets.push(("martians", PrefixSet::martians()));
    }
    let rejected = context.own.import_reject.iter().copied();
    let rejected: PrefixSet = rejected.map(PrefixRange::or_longer).collect();
    if !rejected.is_empty() {
        sets.push(("rejected by the node", rejected));
    }
    let reject =
        |(name, set)| Statement::new(name, [Condition::Prefix(Arc::new(set))], Action::Reject);
    sets.into_iter().map(reject).collect()
}
