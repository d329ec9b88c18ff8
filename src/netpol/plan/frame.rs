//! The chains that are always there: who is judged, what passes without judgement, and the way to
//! the chains of isolations.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use crate::firewall::{
    Action, Chain, ConnectionState, Direction, Dispatch, IcmpType, Jump, Match, Member,
    MulticastListener, Name, Position, Rule, SetDef, SetKey, SetKind, Table, TargetKey, Wanted,
};
use crate::net::{Family, Prefix};
use crate::netpol::plan::chain::refusal;
use crate::netpol::plan::{Flow, Ground};

/// Addresses of this node's pods whose isolation stands.
pub const LOCAL_PODS: SetDef = SetDef {
    name: Name::of("kube-router-local-pods"),
    kind: SetKind::Address,
};
/// Each of them with itself.
pub const SELF: SetDef = SetDef {
    name: Name::of("kube-router-self"),
    kind: SetKind::AddressPair,
};

const NETPOL: Name = Name::of("KUBE-ROUTER-NETPOL");
/// Refuses everything.
pub const CLOSED: Name = Name::of("KUBE-NWPLCY-CLOSED");
/// What refused packets of no isolation are logged with.
pub const CLOSED_LOG: Name = Name::of("closed:");
const INPUT: Name = Name::of("KUBE-ROUTER-INPUT");
const FORWARD: Name = Name::of("KUBE-ROUTER-FORWARD");
const OUTPUT: Name = Name::of("KUBE-ROUTER-OUTPUT");

const EGRESS: Dispatch = Dispatch {
    name: Name::of("KUBE-ROUTER-EGRESS"),
    direction: Direction::Source,
};
const INGRESS: Dispatch = Dispatch {
    name: Name::of("KUBE-ROUTER-INGRESS"),
    direction: Direction::Destination,
};

/// The chains that are always there.
pub const CHAINS: &[Name] = &[NETPOL, INPUT, FORWARD, OUTPUT];
/// Chains of isolations; the second is what upstream's chains of pods begin with.
pub const CHAIN_PREFIXES: &[&str] = &["KUBE-NWPLCY-", "KUBE-POD-FW-"];
pub const DISPATCHES: &[Dispatch] = &[EGRESS, INGRESS];
pub const SETS: &[SetDef] = &[LOCAL_PODS, SELF];

/// Without these a network does not work (RFC 1812, RFC 4890).
const NEEDED_V4: &[IcmpType] = &[
    IcmpType::DestinationUnreachable,
    IcmpType::TimeExceeded,
    IcmpType::ParameterProblem,
];
const NEEDED_V6: &[IcmpType] = &[
    IcmpType::DestinationUnreachable,
    IcmpType::PacketTooBig,
    IcmpType::TimeExceeded,
    IcmpType::ParameterProblem,
    IcmpType::RouterSolicitation,
    IcmpType::RouterAdvertisement,
    IcmpType::NeighbourSolicitation,
    IcmpType::NeighbourAdvertisement,
    IcmpType::MulticastListener(MulticastListener::Query),
    IcmpType::MulticastListener(MulticastListener::Report),
    IcmpType::MulticastListener(MulticastListener::Done),
    IcmpType::MulticastListener(MulticastListener::ReportV2),
];

/// What is wanted where there are no pods.
pub(super) fn frame(ground: &Ground) -> Wanted {
    let mut wanted = Wanted::new(LOCAL_PODS, CLOSED);
    let closed_log = ground.log_drops.then_some(CLOSED_LOG);
    for family in ground.families() {
        wanted.members.declare(SetKey::new(family, LOCAL_PODS));
        wanted.members.declare(SetKey::new(family, SELF));
        let ranges: Vec<Prefix> = ground.refused(family).collect();
        for (name, rules) in [
            (CLOSED, refusal(closed_log).collect()),
            (NETPOL, netpol(family, &ranges, ground.rechecks)),
            (INPUT, input(&ranges)),
            (FORWARD, forward(&ranges)),
            (OUTPUT, output(&ranges)),
        ] {
            let table = Table::Filter;
            wanted.set_chain(family, Arc::new(Chain { table, name, rules }));
        }
        for (from, to) in [("INPUT", INPUT), ("FORWARD", FORWARD), ("OUTPUT", OUTPUT)] {
            let jump = Jump {
                table: Table::Filter,
                from,
                matches: Vec::new(),
                to,
                comment: Cow::Borrowed("kube-router network policy"),
                position: Position::First,
            };
            wanted.jumps.push((family, jump));
        }
    }
    wanted
}

fn rule(matches: Vec<Match>, action: Action, comment: &'static str) -> Rule {
    Rule {
        matches,
        action,
        comment: Cow::Borrowed(comment),
    }
}

fn in_local(directions: &'static [Direction]) -> Match {
    Match::InSet {
        set: LOCAL_PODS,
        directions,
    }
}

fn netpol(family: Family, ranges: &[Prefix], rechecks: bool) -> Vec<Rule> {
    use Direction::{Destination, Source};
    let known = Match::State(ConnectionState::Known);
    let mut rules = vec![rule(
        vec![known],
        Action::Accept,
        "known connections and their errors",
    )];
    let needed = match family {
        Family::V4 => NEEDED_V4,
        Family::V6 => NEEDED_V6,
    };
    rules.extend(needed.iter().map(|kind| {
        let icmp = Match::Icmp(*kind);
        rule(vec![icmp], Action::Accept, "messages that networks need")
    }));
    let itself = Match::InSet {
        set: SELF,
        directions: &[Source, Destination],
    };
    rules.push(rule(vec![itself], Action::Accept, "a pod to itself"));
    let invalid = Match::State(ConnectionState::Invalid);
    rules.push(rule(
        vec![invalid],
        Action::Drop,
        "begins no connection and belongs to none",
    ));
    if rechecks {
        // A connection that was cut off would begin anew with what its server sends, and what the
        // client may not send would pass as the reply.
        rules.push(rule(
            vec![Match::State(ConnectionState::Midway)],
            Action::RejectReset,
            "of a connection that is not known, or was cut off",
        ));
    }
    rules.extend(unknown(ranges));
    rules.push(rule(
        Vec::new(),
        Action::Dispatch(EGRESS),
        "what its source may send",
    ));
    rules.push(rule(
        Vec::new(),
        Action::Dispatch(INGRESS),
        "what its destination may be sent",
    ));
    // Once more: a pod may have gone since, and with it what judged it.
    rules.extend(unknown(ranges));
    rules.push(rule(Vec::new(), Action::Accept, "nothing forbids it"));
    rules
}

/// Refuses addresses of these ranges that are no pod's whose isolation stands. Targets come before
/// their address enters the gate and go after it has left: asked before and after the dispatches,
/// this leaves no gap even for a packet that is on its way through the rules meanwhile.
fn unknown(ranges: &[Prefix]) -> impl Iterator<Item = Rule> {
    use Direction::{Destination, Source};
    const ENDS: [(Direction, &[Direction]); 2] =
        [(Source, &[Source]), (Destination, &[Destination])];
    ranges.iter().flat_map(|range| {
        ENDS.map(|(end, directions)| {
            let set = LOCAL_PODS;
            let unknown = Match::NotInSet { set, directions };
            let matches = vec![Match::Prefix(end, *range), unknown, Match::NotLocal(end)];
            let comment = "in the range of pods, but none we know";
            rule(matches, Action::Jump(CLOSED), comment)
        })
    })
}

fn input(ranges: &[Prefix]) -> Vec<Rule> {
    use Direction::Source;
    let to_netpol = Action::Jump(NETPOL);
    let served = vec![Match::ServedByIpvs];
    let mut rules = vec![
        rule(
            served,
            Action::Return,
            "a Service: judged on its way to the pod behind",
        ),
        rule(
            vec![in_local(&[Source])],
            to_netpol.clone(),
            "from a pod of this node",
        ),
    ];
    rules.extend(ranges.iter().map(|range| {
        let matches = vec![Match::Prefix(Source, *range), Match::NotLocal(Source)];
        rule(matches, to_netpol.clone(), "from the range of pods")
    }));
    rules
}

fn forward(ranges: &[Prefix]) -> Vec<Rule> {
    use Direction::{Destination, Source};
    let to_netpol = Action::Jump(NETPOL);
    let mut rules = vec![
        rule(
            vec![in_local(&[Source])],
            to_netpol.clone(),
            "from a pod of this node",
        ),
        rule(
            vec![in_local(&[Destination])],
            to_netpol.clone(),
            "to a pod of this node",
        ),
    ];
    for range in ranges {
        for (end, says) in [
            (Source, "from the range of pods"),
            (Destination, "to the range of pods"),
        ] {
            rules.push(rule(
                vec![Match::Prefix(end, *range)],
                to_netpol.clone(),
                says,
            ));
        }
    }
    rules
}

fn output(ranges: &[Prefix]) -> Vec<Rule> {
    let node = vec![Match::Local(Direction::Source)];
    let mut rules = vec![rule(node, Action::Return, "the node reaches its pods")];
    rules.extend(forward(ranges));
    rules
}

/// Members and targets of one address of this node's pods.
pub(super) fn gate(address: IpAddr) -> [(SetKey, Member); 2] {
    let family = Family::of(address);
    [
        (SetKey::new(family, LOCAL_PODS), Member::Address(address)),
        (
            SetKey::new(family, SELF),
            Member::AddressPair(address, address),
        ),
    ]
}

pub(super) fn target(flow: Flow, address: IpAddr) -> TargetKey {
    let dispatch = match flow {
        Flow::Ingress => INGRESS,
        Flow::Egress => EGRESS,
    };
    TargetKey { dispatch, address }
}
