//! Branched chains against their ranges one by one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::firewall::{Action, Chain, Direction, Match, Name, Rule, Table};
use crate::net::{Prefix, Protocol};
use crate::netpol::plan::branches::{Branches, Ranged};
use crate::netpol::plan::chain::refusal;

const ROOT: Name = Name::of("KUBE-NWPLCY-ROOT");

/// A range, and a condition that stands for a set by a number of its own.
type Range = (Protocol, u16, u16, u8);

fn any_range() -> impl Strategy<Value = Range> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    let low = prop_oneof![0..200_u16, 65_400..=65_535_u16];
    let more = prop_oneof![4..30_u16, Just(u16::MAX)];
    (protocol, low, more, 0..4_u8)
        .prop_map(|(protocol, low, more, set)| (protocol, low, low.saturating_add(more), set))
}

fn prefix(set: u8) -> Prefix {
    format!("10.{set}.0.0/16").parse().unwrap()
}

fn lay(ranges: &[Range]) -> BTreeMap<Name, Chain> {
    let ranged: Vec<Ranged> = ranges
        .iter()
        .map(|(protocol, low, high, set)| Ranged {
            protocol: *protocol,
            ports: (*low, *high),
            matches: vec![Match::Prefix(Direction::Source, prefix(*set))],
            comment: Cow::Borrowed(""),
        })
        .collect();
    let refusal: Vec<Rule> = refusal(None).collect();
    let mut branches = Branches {
        root: ROOT,
        refusal: &refusal,
        chains: Vec::new(),
    };
    let mut rules = branches.lay(&ranged);
    rules.extend(refusal.iter().cloned());
    let mut chains = branches.chains;
    chains.push(Chain {
        table: Table::Filter,
        name: ROOT,
        rules,
    });
    let count = chains.len();
    let chains: BTreeMap<_, _> = chains.into_iter().map(|one| (one.name, one)).collect();
    assert_eq!(chains.len(), count, "a name twice");
    chains
}

/// Whether a packet is let pass, how many rules it met and how many chains.
fn walk(chains: &BTreeMap<Name, Chain>, packet: (Protocol, u16, u8)) -> (bool, usize, usize) {
    let (mut name, mut rules, mut depth) = (ROOT, 0, 1);
    'chain: loop {
        for rule in &chains[&name].rules {
            rules += 1;
            let holds = rule.matches.iter().all(|condition| match condition {
                Match::Ports(protocol, low, high) => {
                    *protocol == packet.0 && (*low..=*high).contains(&packet.1)
                }
                Match::Prefix(_, one) => *one == prefix(packet.2),
                other => panic!("{other:?}"),
            });
            match (&rule.action, holds) {
                (_, false) => {}
                (Action::Return, true) => return (true, rules, depth),
                (Action::RejectPort, true) => return (false, rules, depth),
                (Action::Goto(to), true) => {
                    (name, depth) = (*to, depth + 1);
                    continue 'chain;
                }
                (other, true) => panic!("{other:?}"),
            }
        }
        panic!("{name} ends without a verdict");
    }
}

proptest! {
    #[test]
    fn branches_let_pass_what_their_ranges_do(
        ranges in proptest::collection::vec(any_range(), 0..40),
    ) {
        let chains = lay(&ranges);
        for port in (0..250).chain(65_390..=65_535).step_by(3) {
            for (protocol, set) in [(Protocol::Tcp, 0), (Protocol::Udp, 1), (Protocol::Sctp, 0)] {
                let expected = ranges.iter().any(|(carried, low, high, of)| {
                    *carried == protocol && (*low..=*high).contains(&port) && *of == set
                });
                prop_assert_eq!(walk(&chains, (protocol, port, set)).0, expected);
            }
        }
    }
}

#[test]
fn a_packet_meets_few_of_thousands_of_ranges() {
    for count in [1, 4, 5, 100, 5000] {
        let ranges: Vec<Range> = (0..count)
            .map(|at| (Protocol::Udp, at * 13, at * 13 + 7, 1))
            .collect();
        let chains = lay(&ranges);
        let met = (0..=u16::MAX)
            .step_by(13)
            .map(|port| walk(&chains, (Protocol::Udp, port, 2)));
        let (rules, depth) = met.fold((0, 0), |most, (_, rules, depth)| {
            (rules.max(most.0), depth.max(most.1))
        });
        assert!(
            rules <= 40 && depth <= 8,
            "{count}: {rules} rules, {depth} chains"
        );
        let all: usize = chains.values().map(|chain| chain.rules.len()).sum();
        assert!(
            all <= usize::from(count) * 5 + 2,
            "{count}: {all} rules in all"
        );
    }
}
