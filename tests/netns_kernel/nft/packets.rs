//! Real packets take the way that the fake says they take: through random rules, past the same
//! log statements, to the same end.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use kube_router::kernel::nflog::{Nflog, Notice, Transport as Logged};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::walks::{runner, sample};
use super::*;

const GROUP: u16 = 4712;
const UDP: u8 = 17;
const ROUNDS: usize = 15;

/// The addresses that packets are sent between; all are this host's own.
fn addresses(family: Family) -> Vec<IpAddr> {
    let number = |n: u8| match family {
        Family::V4 => IpAddr::from([127, 0, 0, n]),
        Family::V6 => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(n)]),
    };
    (1..5).map(number).collect()
}

const PORTS: [u16; 3] = [2001, 2002, 2003];

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Source), Just(Side::Destination)]
}

/// A test of one of few values.
fn of<T: Copy + Ord + std::fmt::Debug + 'static>(all: Vec<T>) -> impl Strategy<Value = Test<T>> {
    let one = proptest::sample::select(all);
    (0..4, one.clone(), one).prop_map(|(kind, one, other)| match kind {
        0 => Test::Is(one),
        1 => Test::Not(one),
        2 => Test::Within(one.min(other), one.max(other)),
        _ => Test::Outside(one.min(other), one.max(other)),
    })
}

/// Conditions of which about half hold for a packet.
fn condition() -> impl Strategy<Value = Expr> {
    let states = [
        CtStates::NEW,
        CtStates::ESTABLISHED | CtStates::RELATED,
        CtStates::NEW | CtStates::INVALID,
    ];
    let kinds = vec![AddressType::Local, AddressType::Unicast];
    let states = proptest::sample::select(states.to_vec());
    let key = |family, side, name: &str| {
        let address = Field::Address(family, side);
        match name {
            "triple" => vec![address, Field::L4proto, Field::Port(Side::Destination)],
            _ => vec![address],
        }
    };
    let set = proptest::sample::select(vec!["hosts", "nets", "triple"]);
    prop_oneof![
        family().prop_map(Expr::Nfproto),
        of(vec![6, UDP, 132]).prop_map(Expr::L4proto),
        (
            side(),
            family().prop_flat_map(|family| of(addresses(family)))
        )
            .prop_map(|(side, test)| Expr::Address(side, test)),
        of(PORTS.to_vec()).prop_map(|test| Expr::Port(Side::Destination, test)),
        (states, any::<bool>())
            .prop_map(|(states, is_negated)| Expr::CtState { states, is_negated }),
        (side(), proptest::sample::select(kinds), any::<bool>()).prop_map(
            |(side, kind, is_negated)| Expr::AddressType {
                side,
                kind,
                is_negated
            }
        ),
        (family(), side(), set, any::<bool>()).prop_map(move |(family, side, set, is_negated)| {
            Expr::Lookup {
                key: key(family, side, set),
                set: name(&format!("{set}{}", family.host_bits())),
                is_negated,
            }
        }),
    ]
}

/// The end of a rule; chains lead on to later ones only.
fn end(chain: usize) -> impl Strategy<Value = Option<Expr>> {
    let verdicts = vec![
        Verdict::Accept,
        Verdict::Drop,
        Verdict::Return,
        Verdict::Continue,
    ];
    let verdict =
        proptest::sample::select(verdicts).prop_map(|verdict| Some(Expr::Verdict(verdict)));
    let jump = (chain + 1..chain + 3, any::<bool>()).prop_map(|(to, is_jump)| {
        let to = name(&format!("c{}", to.min(LAST)));
        let verdict = if is_jump {
            Verdict::Jump(to)
        } else {
            Verdict::Goto(to)
        };
        Some(Expr::Verdict(verdict))
    });
    let map = (family(), side()).prop_map(|(family, side)| {
        Some(Expr::VerdictMap {
            key: vec![Field::Address(family, side)],
            map: name(&format!("map{}", family.host_bits())),
        })
    });
    prop_oneof![
        3 => Just(None),
        2 => verdict,
        1 => Just(Some(Expr::Reject(Reject::PortUnreachable))),
        if chain < LAST { 3 } else { 0 } => jump,
        // The maps lead to the last chain, which has none.
        if chain < LAST { 2 } else { 0 } => map,
    ]
}

/// The number of the last chain; 0 is at the output hook, 1 at the input hook.
const LAST: usize = 4;

/// Sets of each family: some hosts, some nets, some (net, protocol, ports), and a map.
fn filled(runner: &mut TestRunner, transaction: &mut Transaction) {
    for family in Family::ALL {
        let titled = |text: &str| name(&format!("{text}{}", family.host_bits()));
        let address = KeyType::of_address(family);
        let pick = |runner: &mut TestRunner| {
            let mut some = Vec::new();
            for address in addresses(family) {
                if sample(runner, &any::<bool>()) {
                    some.push((address, sample(runner, &(0..4_u16))));
                }
            }
            some
        };
        let hosts = pick(runner).into_iter();
        let hosts = hosts
            .map(|(host, _)| Element::new([Term::Address(host)]))
            .collect();
        let plain = Arc::new(Set::new(titled("hosts"), [address]));
        let ranges = |title: &str, key: Vec<KeyType>| {
            Arc::new(Set {
                is_interval: true,
                ..Set::new(titled(title), key)
            })
        };
        let (nets, triple) = (
            ranges("nets", vec![address]),
            ranges("triple", terms(family)),
        );
        let all = addresses(family);
        let (from, to) = (sample(runner, &(0..2_usize)), sample(runner, &(2..4_usize)));
        let range = Element::new([Term::Addresses(all[from], all[to])]);
        let ports = pick(runner).into_iter().map(|(host, n)| {
            Element::new([
                Term::Address(host),
                Term::Protocol(UDP),
                Term::Ports(1999 + n, 2002),
            ])
        });
        let ports = ports.collect();
        let verdicts = [
            Verdict::Accept,
            Verdict::Drop,
            Verdict::Jump(name("c4")),
            Verdict::Goto(name("c4")),
        ];
        let members = pick(runner).into_iter().map(|(host, n)| {
            Element::new([Term::Address(host)]).to(verdicts[usize::from(n)].clone())
        });
        let map = Arc::new(Set::map(titled("map"), [address]));
        let members = members.collect();
        for (set, elements) in [
            (plain, hosts),
            (nets, vec![range]),
            (triple, ports),
            (map, members),
        ] {
            transaction.add_set(&set);
            transaction.add_elements(&set, elements, Existing::Refused);
        }
    }
}

fn ruleset(runner: &mut TestRunner) -> Transaction {
    let mut transaction = Transaction::new(name("t"));
    transaction.add_table(false).delete_table().add_table(false);
    for chain in (0..=LAST).rev() {
        let title = format!("c{chain}");
        let policy = if sample(runner, &any::<bool>()) {
            Policy::Accept
        } else {
            Policy::Drop
        };
        transaction.add_chain(match chain {
            0 => base(&title, Hook::Output, Policy::Accept),
            1 => base(&title, Hook::Input, policy),
            _ => plain(&title),
        });
    }
    filled(runner, &mut transaction);
    for chain in (0..=LAST).rev() {
        for rule in 0..4 {
            let conditions = proptest::collection::vec(condition(), 0..3);
            let mut exprs = sample(runner, &conditions);
            exprs.push(Expr::Log {
                group: GROUP,
                prefix: Label::new(&format!("{chain}.{rule}")),
                snaplen: 0,
            });
            // A chain at a hook cannot be jumped to.
            let end = if chain == 0 {
                end(1).boxed()
            } else {
                end(chain).boxed()
            };
            exprs.extend(sample(runner, &end));
            transaction.add_rule(&name(&format!("c{chain}")), Rule::new(exprs));
        }
    }
    transaction
}

/// The prefixes of the log statements that a packet comes by, and whether it arrives.
fn expected(fake: &FakeNft, source: IpAddr, to: SocketAddr) -> (Vec<String>, bool) {
    let mut packet = Packet {
        hook: Hook::Output,
        source,
        destination: to.ip(),
        protocol: UDP,
        transport: Transport::Ports {
            source: 0,
            destination: to.port(),
        },
        is_syn: false,
        state: CtStates::NEW,
        is_source_local: true,
        is_destination_local: true,
    };
    let mut logged = Vec::new();
    for hook in [Hook::Output, Hook::Input] {
        packet.hook = hook;
        let walk = fake.walk(&packet);
        logged.extend(walk.logged.iter().map(|(_, prefix)| prefix.to_string()));
        if walk.verdict != WalkVerdict::Accepted {
            return (logged, false);
        }
    }
    (logged, true)
}

/// Where a packet comes from: port numbers alone are given out twice.
type Source = (IpAddr, u16);

fn source_of(address: SocketAddr) -> Source {
    (address.ip(), address.port())
}

/// What was logged of each packet; ICMP errors are left out.
fn logged(
    nflog: &mut Nflog,
    packets: &BTreeMap<Source, (Vec<String>, bool)>,
) -> BTreeMap<Source, Vec<String>> {
    let mut found: BTreeMap<Source, Vec<String>> =
        packets.keys().map(|from| (*from, Vec::new())).collect();
    let mut missing: usize = packets.values().map(|(prefixes, _)| prefixes.len()).sum();
    // Records are handed over within a tenth of a second, on a busy host later: those that are
    // expected are waited for, and then a look is taken whether there are more.
    let within = |missing| match missing {
        0 => Duration::from_millis(300),
        _ => Duration::from_secs(20),
    };
    while let Notice::Records(records) = nflog.next(Some(within(missing))).unwrap() {
        for record in records {
            let header = record.header().unwrap();
            if let (UDP, Logged::Ports { source, .. }) = (header.protocol, header.transport) {
                let from = (header.source, source);
                found.get_mut(&from).unwrap().push(record.prefix);
                missing = missing.saturating_sub(1);
            }
        }
    }
    found
}

#[test]
fn packets_take_the_way_that_the_fake_says() {
    in_namespace(|| {
        for address in addresses(Family::V6) {
            tool(&format!("ip -6 addr add {address}/128 dev lo nodad"));
        }
        let (mut nft, mut nflog) = (Nft::open().unwrap(), Nflog::open(GROUP).unwrap());
        let everywhere = Family::ALL.into_iter().flat_map(addresses);
        let targets =
            everywhere.flat_map(|address| PORTS.map(|port| SocketAddr::new(address, port)));
        let receivers: Vec<UdpSocket> = targets.map(|to| UdpSocket::bind(to).unwrap()).collect();
        let mut runner = runner();
        let (mut arrived, mut lost, mut lines) = (0, 0, 0);
        for round in 0..ROUNDS {
            let rules = ruleset(&mut runner);
            let mut fake = FakeNft::new();
            fake.commit(&rules, None).unwrap();
            nft.commit(&rules, None).unwrap();
            let mut packets = BTreeMap::new();
            let mut senders = Vec::new();
            for to in receivers
                .iter()
                .map(|receiver| receiver.local_addr().unwrap())
            {
                let from = proptest::sample::select(addresses(Family::of(to.ip())));
                let from = sample(&mut runner, &from);
                let sender = UdpSocket::bind((from, 0)).unwrap();
                packets.insert(
                    source_of(sender.local_addr().unwrap()),
                    expected(&fake, from, to),
                );
                let _may_be_refused = sender.send_to(b"x", to);
                senders.push(sender);
            }
            let logged = logged(&mut nflog, &packets);
            let mut delivered = Vec::new();
            for receiver in &receivers {
                receiver.set_nonblocking(true).unwrap();
                while let Ok((_, from)) = receiver.recv_from(&mut [0; 9]) {
                    delivered.push(source_of(from));
                }
            }
            for (from, (prefixes, arrives)) in &packets {
                assert_eq!(
                    (&logged[from], delivered.contains(from)),
                    (prefixes, *arrives),
                    "{round}: {rules}"
                );
                lines += prefixes.len();
                if *arrives { arrived += 1 } else { lost += 1 }
            }
        }
        assert!(arrived > 50 && lost > 50 && lines > 500);
    });
}
