//! What passes the node, and what leaves the cluster under the node's address.
//!
//! Only packets of this node's own pods are accepted for forwarding, in either direction, and only
//! behind the jump of network policy: what it refused never comes here. On a host whose other
//! rules refuse forwarded packets nothing else is let through.

use std::collections::BTreeSet;

use crate::firewall::{
    Action, Chain, Direction, Jump, Match, Member, Name, Position, Rule, Ruleset, SetDef, SetKind,
    Table,
};
use crate::model::{NodeFacts, Snapshot};
use crate::net::{Family, Prefix, is_usable};

/// Pods of the whole cluster.
pub const POD_SUBNETS: SetDef = SetDef {
    name: Name::of("kube-router-pod-subnets"),
    kind: SetKind::Prefix,
};
/// Internal and external addresses of all nodes.
pub const NODE_IPS: SetDef = SetDef {
    name: Name::of("kube-router-node-ips"),
    kind: SetKind::Address,
};

/// All sets of routing.
pub const SETS: [SetDef; 2] = [POD_SUBNETS, NODE_IPS];

/// What the names of all chains of routing start with.
pub const CHAINS: &str = "KUBE-ROUTER-POD-";
/// Which forwarded packets are accepted (table filter).
pub const FORWARD_CHAIN: &str = "KUBE-ROUTER-POD-FORWARD";
/// Which packets leave with an address of the node (table nat).
pub const EGRESS_CHAIN: &str = "KUBE-ROUTER-POD-EGRESS";

const SOURCE: &[Direction] = &[Direction::Source];
const DESTINATION: &[Direction] = &[Direction::Destination];

/// The ruleset of one family; `None` where the node takes no part in it.
#[must_use]
pub fn ruleset(family: Family, facts: &NodeFacts, egress: bool) -> Option<Ruleset> {
    if !facts.has(family) {
        return None;
    }
    let mut chains = vec![forward(family, facts)];
    let mut jumps = vec![Jump {
        table: Table::Filter,
        from: "FORWARD",
        matches: Vec::new(),
        to: Name::of(FORWARD_CHAIN),
        comment: "packets of this node's pods".into(),
        position: Position::Behind,
    }];
    if egress {
        chains.push(masquerade());
        jumps.push(Jump {
            table: Table::Nat,
            from: "POSTROUTING",
            matches: vec![in_set(POD_SUBNETS, SOURCE)],
            to: Name::of(EGRESS_CHAIN),
            comment: "packets of pods".into(),
            position: Position::First,
        });
    }
    Some(Ruleset {
        family,
        sets: SETS.to_vec(),
        chains,
        jumps,
    })
}

fn forward(family: Family, facts: &NodeFacts) -> Chain {
    let own: BTreeSet<Prefix> = pod_cidrs(facts, family).collect();
    let rules = own.iter().flat_map(|range| {
        [
            (Direction::Source, "from pods of this node"),
            (Direction::Destination, "to pods of this node"),
        ]
        .map(|(end, comment)| Rule {
            matches: vec![Match::Prefix(end, *range)],
            action: Action::Accept,
            comment: comment.into(),
        })
    });
    Chain {
        table: Table::Filter,
        name: Name::of(FORWARD_CHAIN),
        rules: rules.collect(),
    }
}

fn masquerade() -> Chain {
    let inside = |set, comment: &'static str| Rule {
        matches: vec![in_set(set, DESTINATION)],
        action: Action::Return,
        comment: comment.into(),
    };
    Chain {
        table: Table::Nat,
        name: Name::of(EGRESS_CHAIN),
        rules: vec![
            inside(POD_SUBNETS, "to pods: the source stays"),
            inside(NODE_IPS, "to nodes: the source stays"),
            Rule {
                matches: Vec::new(),
                action: Action::Masquerade,
                comment: "out of the cluster".into(),
            },
        ],
    }
}

fn in_set(set: SetDef, directions: &'static [Direction]) -> Match {
    Match::InSet { set, directions }
}

/// Ranges of this node's own pods.
pub(super) fn pod_cidrs(facts: &NodeFacts, family: Family) -> impl Iterator<Item = Prefix> + '_ {
    let ranges = facts.pod_cidrs.iter().map(Prefix::trunc);
    ranges.filter(move |range| Family::of_prefix(range) == family && facts.has(family))
}

/// Members of both sets: they follow the nodes of the cluster as they come and go.
#[must_use]
pub fn members(snapshot: &Snapshot, facts: &NodeFacts) -> BTreeSet<(SetDef, Member)> {
    let nodes = snapshot.nodes.values();
    let ranges = nodes.clone().flat_map(|node| node.pod_cidrs.iter());
    let ranges = ranges.chain(&facts.pod_cidrs);
    let addresses = nodes.flat_map(|node| node.addresses.iter().copied());
    let own = Family::ALL
        .into_iter()
        .filter_map(|family| *facts.primary.get(family));
    let mut members: BTreeSet<(SetDef, Member)> = ranges
        .filter(|range| facts.has(Family::of_prefix(range)))
        .flat_map(halves)
        .map(|half| (POD_SUBNETS, Member::Prefix(half)))
        .collect();
    members.extend(
        addresses
            .chain(own)
            .filter(|address| is_usable(*address) && facts.has(Family::of(*address)))
            .map(|address| (NODE_IPS, Member::Address(address))),
    );
    members
}

/// The prefix itself; of the whole address space its two halves, since ipset knows no `/0`.
fn halves(prefix: &Prefix) -> impl Iterator<Item = Prefix> + use<> {
    let whole = prefix.prefix_len() == 0;
    let halves = if whole { prefix.subnets(1).ok() } else { None };
    let single = (!whole).then_some(prefix.trunc());
    halves.into_iter().flatten().chain(single)
}
