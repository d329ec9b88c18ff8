//! The service firewall and the masquerade: rules that hardly change, and the sets they read.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::firewall::{
    Action, Chain, Direction, IcmpType, Jump, Match, Member, Name, Position, Rule, Ruleset, SERVED,
    SetDef, SetKind, Table,
};
use crate::kernel::ipvs::object::VirtualKey;
use crate::model::NodeFacts;
use crate::net::{Family, Prefix, Protocol, host_prefix, is_usable};
use crate::proxy::Settings;
use crate::proxy::plan::service::{Entry, Verdict};

/// Addresses of the node's own links.
pub const LOCAL_IPS: SetDef = SetDef {
    name: Name::of("kube-router-local-ips"),
    kind: SetKind::Address,
};
/// This node and its pods: who may keep its address, and who counts as inside.
pub const INSIDE: SetDef = SetDef {
    name: Name::of("kube-router-inside"),
    kind: SetKind::Prefix,
};
/// Every address of a Service on this node.
pub const SVIP: SetDef = SetDef {
    name: Name::of("kube-router-svip"),
    kind: SetKind::Address,
};
/// Every address and port that IPVS serves.
pub const SVIP_PORT: SetDef = SERVED;
/// No endpoint anywhere.
pub const REFUSE: SetDef = SetDef {
    name: Name::of("kube-router-svip-refuse"),
    kind: SetKind::AddressPort,
};
/// Policy Local without a local endpoint.
pub const DROP: SetDef = SetDef {
    name: Name::of("kube-router-svip-drop"),
    kind: SetKind::AddressPort,
};
/// The same, but clients inside are served.
pub const INSIDE_ONLY: SetDef = SetDef {
    name: Name::of("kube-router-svip-inside"),
    kind: SetKind::AddressPort,
};
/// `loadBalancerSourceRanges` are given.
pub const LIMITED: SetDef = SetDef {
    name: Name::of("kube-router-svip-limit"),
    kind: SetKind::AddressPort,
};
/// … and these are they.
pub const FROM: SetDef = SetDef {
    name: Name::of("kube-router-svip-from"),
    kind: SetKind::AddressPortPrefix,
};

/// All sets of the proxy.
pub const SETS: [SetDef; 9] = [
    LOCAL_IPS,
    INSIDE,
    SVIP,
    SVIP_PORT,
    REFUSE,
    DROP,
    INSIDE_ONLY,
    LIMITED,
    FROM,
];

/// The chain of the service firewall (table filter).
pub const SERVICES_CHAIN: &str = "KUBE-ROUTER-SERVICES";
/// The chain of the masquerade (table nat).
pub const MASQUERADE_CHAIN: &str = "KUBE-ROUTER-SVC-MASQ";

const ONE: &[Direction] = &[Direction::Destination];
const TWO: &[Direction] = &[Direction::Destination, Direction::Destination];
const THREE: &[Direction] = &[
    Direction::Destination,
    Direction::Destination,
    Direction::Source,
];
const FROM_SOURCE: &[Direction] = &[Direction::Source];

/// The ruleset of one family; `None` where the node takes no part in it.
#[must_use]
pub fn ruleset(family: Family, facts: &NodeFacts, settings: &Settings) -> Option<Ruleset> {
    let node = (*facts.primary.get(family))?;
    let mut chains = vec![masquerade(node, settings.proxy.masquerade_all)];
    let mut jumps = vec![Jump {
        table: Table::Nat,
        from: "POSTROUTING",
        matches: vec![Match::IpvsMasqueraded],
        to: Name::of(MASQUERADE_CHAIN),
        comment: "source of proxied connections".into(),
        position: Position::First,
    }];
    if settings.proxy.service_firewall {
        chains.push(services(family));
        jumps.push(Jump {
            table: Table::Filter,
            from: "INPUT",
            matches: vec![Match::InSet {
                set: SVIP,
                directions: ONE,
            }],
            to: Name::of(SERVICES_CHAIN),
            comment: "traffic to Service addresses".into(),
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

/// Local pods and the node itself keep their address, and whoever speaks to them keeps his: the
/// answer comes back here anyway. Everybody else must get the answer through this node.
fn masquerade(node: IpAddr, all: bool) -> Chain {
    let inside = |directions| {
        vec![Match::InSet {
            set: INSIDE,
            directions,
        }]
    };
    let nat = Action::SourceNat(node);
    let rules = if all {
        vec![Rule {
            matches: Vec::new(),
            action: nat,
            comment: "proxy.masquerade_all".into(),
        }]
    } else {
        vec![
            Rule {
                matches: inside(FROM_SOURCE),
                action: Action::Return,
                comment: "from this node or its pods: the source stays".into(),
            },
            Rule {
                matches: inside(ONE),
                action: Action::Return,
                comment: "to this node or its pods: the source stays".into(),
            },
            Rule {
                matches: Vec::new(),
                action: nat,
                comment: "answers must come back through this node".into(),
            },
        ]
    };
    Chain {
        table: Table::Nat,
        name: Name::of(MASQUERADE_CHAIN),
        rules,
    }
}

fn services(family: Family) -> Chain {
    let in_set = |set, directions| Match::InSet { set, directions };
    let mut rules: Vec<Rule> = icmp(family)
        .iter()
        .map(|kind| Rule {
            matches: vec![Match::Icmp(*kind)],
            action: Action::Accept,
            comment: "ICMP that networks need".into(),
        })
        .collect();
    rules.extend([
        Rule {
            matches: vec![
                in_set(LIMITED, TWO),
                Match::NotInSet {
                    set: FROM,
                    directions: THREE,
                },
            ],
            action: Action::Drop,
            comment: "outside loadBalancerSourceRanges".into(),
        },
        Rule {
            matches: vec![in_set(DROP, TWO)],
            action: Action::Drop,
            comment: "policy Local without a local endpoint".into(),
        },
        Rule {
            matches: vec![
                in_set(INSIDE_ONLY, TWO),
                Match::NotInSet {
                    set: INSIDE,
                    directions: FROM_SOURCE,
                },
            ],
            action: Action::Drop,
            comment: "external policy Local without a local endpoint".into(),
        },
        Rule {
            matches: vec![Match::Protocol(Protocol::Tcp), in_set(REFUSE, TWO)],
            action: Action::RejectReset,
            comment: "no endpoint".into(),
        },
        Rule {
            matches: vec![in_set(REFUSE, TWO)],
            action: Action::RejectPort,
            comment: "no endpoint".into(),
        },
        Rule {
            matches: vec![in_set(SVIP_PORT, TWO)],
            action: Action::Accept,
            comment: "allow input traffic to ipvs services".into(),
        },
        Rule {
            matches: vec![Match::NotInSet {
                set: LOCAL_IPS,
                directions: ONE,
            }],
            action: Action::RejectPort,
            comment: "reject all unexpected traffic to service IPs".into(),
        },
    ]);
    Chain {
        table: Table::Filter,
        name: Name::of(SERVICES_CHAIN),
        rules,
    }
}

fn icmp(family: Family) -> &'static [IcmpType] {
    match family {
        Family::V4 => &[
            IcmpType::EchoRequest,
            IcmpType::DestinationUnreachable,
            IcmpType::TimeExceeded,
        ],
        Family::V6 => &[
            IcmpType::EchoRequest,
            IcmpType::EchoReply,
            IcmpType::DestinationUnreachable,
            IcmpType::TimeExceeded,
            IcmpType::PacketTooBig,
            IcmpType::NeighbourSolicitation,
            IcmpType::NeighbourAdvertisement,
        ],
    }
}

/// Members that follow from the node's facts.
#[must_use]
pub fn node_members(facts: &NodeFacts) -> BTreeSet<(SetDef, Member)> {
    let mut members = BTreeSet::new();
    let own = facts.addresses.iter().map(|local| local.address);
    for address in own.filter(|a| is_usable(*a) && facts.has(Family::of(*a))) {
        members.insert((LOCAL_IPS, Member::Address(address)));
        members.insert((INSIDE, Member::Prefix(host_prefix(address))));
    }
    for prefix in facts
        .pod_cidrs
        .iter()
        .filter(|p| facts.has(Family::of_prefix(p)))
    {
        members.extend(halves(prefix).map(|half| (INSIDE, Member::Prefix(half))));
    }
    members
}

/// Members that follow from one virtual server, but for the address itself ([`SVIP`]), which
/// several share.
pub fn entry_members(entry: &Entry) -> Vec<(SetDef, Member)> {
    let VirtualKey::Address {
        address,
        protocol,
        port,
    } = entry.key()
    else {
        return Vec::new();
    };
    let member = Member::AddressPort(address, protocol, port);
    let guard = &entry.guard;
    let verdict = match guard.verdict {
        Verdict::Accept => SVIP_PORT,
        Verdict::Refuse => REFUSE,
        Verdict::Drop => DROP,
    };
    let mut members = vec![(verdict, member)];
    if guard.inside_only {
        members.push((INSIDE_ONLY, member));
    }
    if let Some(sources) = &guard.sources {
        members.push((LIMITED, member));
        let family = Family::of(address);
        let sources = sources
            .iter()
            .filter(|prefix| Family::of_prefix(prefix) == family);
        members.extend(sources.flat_map(halves).map(|prefix| {
            (
                FROM,
                Member::AddressPortPrefix(address, protocol, port, prefix.trunc()),
            )
        }));
    }
    members
}

/// The prefix itself; of the whole address space its two halves, since ipset knows no `/0`.
fn halves(prefix: &Prefix) -> impl Iterator<Item = Prefix> + use<> {
    let whole = prefix.prefix_len() == 0;
    let halves = if whole { prefix.subnets(1).ok() } else { None };
    let single = (!whole).then_some(prefix.trunc());
    halves.into_iter().flatten().chain(single)
}
