//! nf_tables, with the `nft` tool as witness.

use std::io::Write;
use std::net::IpAddr;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;

use kube_router::kernel::nft::*;
use kube_router::net::{Family, Prefix};

use super::{in_namespace, tool};

#[path = "nft/owners.rs"]
mod owners;
#[path = "nft/packets.rs"]
mod packets;
#[path = "nft/refusals.rs"]
mod refusals;
#[path = "nft/walks.rs"]
mod walks;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Feeds a text to `nft -f -` of the namespace.
fn feed(text: &str) -> Result<(), String> {
    let mut child = Process::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8(output.stderr).unwrap())
}

fn base(chain: &str, hook: Hook, policy: Policy) -> Chain {
    let priority = -5;
    Chain {
        name: name(chain),
        base: Some(Base {
            hook,
            priority,
            policy,
        }),
        comment: None,
    }
}

fn plain(chain: &str) -> Chain {
    Chain {
        name: name(chain),
        base: None,
        comment: Some(Label::new("made by a test")),
    }
}

fn terms(family: Family) -> Vec<KeyType> {
    vec![
        KeyType::of_address(family),
        KeyType::InetProto,
        KeyType::InetService,
    ]
}

fn key(family: Family) -> Vec<Field> {
    vec![
        Field::Address(family, Side::Source),
        Field::L4proto,
        Field::Port(Side::Destination),
    ]
}

/// One rule for each thing that rules can say, on sets of [`vocabulary`].
fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut rule = |exprs: Vec<Expr>| rules.push(Rule::new(exprs));
    let accept = || Expr::Verdict(Verdict::Accept);
    for (family, suffix) in [(Family::V4, "4"), (Family::V6, "6")] {
        for (set, is_negated) in [("plain", false), ("ranges", false), ("plain", true)] {
            rule(vec![
                Expr::Lookup {
                    key: key(family),
                    set: name(&format!("{set}{suffix}")),
                    is_negated,
                },
                Expr::Verdict(Verdict::Return),
            ]);
        }
        rule(vec![
            Expr::Lookup {
                key: vec![Field::Address(family, Side::Destination)],
                set: name(&format!("nets{suffix}")),
                is_negated: true,
            },
            Expr::Verdict(Verdict::Drop),
        ]);
        rule(vec![Expr::VerdictMap {
            key: vec![Field::Address(family, Side::Source)],
            map: name(&format!("map{suffix}")),
        }]);
        rule(vec![Expr::IcmpType(family, Test::Is(3)), accept()]);
        rule(vec![
            Expr::IcmpType(family, Test::Within(133, 137)),
            accept(),
        ]);
        rule(vec![Expr::Nfproto(family), accept()]);
        let (low, high) = match family {
            Family::V4 => (ip("10.0.0.3"), ip("10.0.0.9")),
            Family::V6 => (ip("fd00::3"), ip("fd00::9")),
        };
        for test in [
            Test::Is(low),
            Test::Not(low),
            Test::Within(low, high),
            Test::Outside(low, high),
        ] {
            rule(vec![Expr::Address(Side::Source, test), accept()]);
            rule(vec![Expr::Address(Side::Destination, test), Expr::Counter]);
        }
    }
    rules.extend(rules_of_both_families());
    rules.push(Rule::new([Expr::Verdict(Verdict::Drop)]).with_comment(Label::new("why: \"so\"")));
    rules
}

/// Those that name no address and no set.
fn rules_of_both_families() -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut rule = |exprs: Vec<Expr>| rules.push(Rule::new(exprs));
    let accept = || Expr::Verdict(Verdict::Accept);
    for test in [
        Test::Is(80),
        Test::Not(80),
        Test::Within(80, 90),
        Test::Outside(80, 90),
    ] {
        rule(vec![Expr::Port(Side::Destination, test), accept()]);
        rule(vec![
            Expr::L4proto(Test::Is(6)),
            Expr::Port(Side::Source, test),
            accept(),
        ]);
    }
    for test in [Test::Is(17), Test::Not(132), Test::Within(6, 17)] {
        rule(vec![Expr::L4proto(test), accept()]);
    }
    for is_negated in [false, true] {
        let states = CtStates::ESTABLISHED | CtStates::RELATED;
        rule(vec![Expr::CtState { states, is_negated }, accept()]);
        let states = CtStates::INVALID;
        rule(vec![Expr::CtState { states, is_negated }, accept()]);
        rule(vec![Expr::TcpSyn { is_negated }, accept()]);
        for side in [Side::Source, Side::Destination] {
            let kind = AddressType::Local;
            rule(vec![
                Expr::AddressType {
                    side,
                    kind,
                    is_negated,
                },
                accept(),
            ]);
        }
    }
    rule(vec![Expr::Reject(Reject::PortUnreachable)]);
    rule(vec![Expr::Reject(Reject::TcpReset)]);
    for is_over in [false, true] {
        let limit = Limit {
            rate: 10,
            unit: Unit::Minute,
            burst: 0,
            is_over,
        };
        rule(vec![
            Expr::Limit(limit),
            Expr::Log {
                group: 100,
                prefix: Label::new("DROP by policy x"),
                snaplen: 64,
            },
            Expr::Counter,
            Expr::Verdict(Verdict::Continue),
        ]);
    }
    rule(vec![Expr::jump(name("other"))]);
    rule(vec![Expr::Verdict(Verdict::Goto(name("other")))]);
    rules
}

/// Sets of every kind with members.
fn sets() -> Vec<(Arc<Set>, Vec<Element>)> {
    let mut sets = Vec::new();
    for (family, suffix) in [(Family::V4, "4"), (Family::V6, "6")] {
        let (host, net, low, high) = match family {
            Family::V4 => ("10.0.0.1", "10.1.0.0/16", "10.3.0.1", "10.3.0.5"),
            Family::V6 => ("fd00::1", "fd00:1::/32", "fd00:3::1", "fd00:3::5"),
        };
        let net = net.parse().unwrap();
        let named = |text: &str| name(&format!("{text}{suffix}"));
        let address = KeyType::of_address(family);
        let mut plain = Set::new(named("plain"), terms(family));
        plain.comment = Some(Label::new("who may"));
        let element = Element::new([Term::Address(ip(host)), Term::Protocol(17), Term::Port(53)]);
        sets.push((Arc::new(plain), vec![element]));

        let mut ranges = Set::new(named("ranges"), terms(family));
        ranges.is_interval = true;
        ranges.size = Some(1000);
        let elements = [
            [Term::Prefix(net), Term::Protocol(6), Term::Ports(80, 90)],
            [Term::Address(ip(host)), Term::Protocol(6), Term::Port(1)],
            [
                Term::Addresses(ip(low), ip(high)),
                Term::Protocol(132),
                Term::Ports(0, 65_535),
            ],
        ];
        sets.push((Arc::new(ranges), elements.map(Element::new).to_vec()));

        let mut nets = Set::new(named("nets"), [address]);
        nets.is_interval = true;
        let last = match family {
            Family::V4 => "255.255.255.0/24",
            Family::V6 => "ffff:ffff::/32",
        };
        let first = match family {
            Family::V4 => "0.0.0.0/9",
            Family::V6 => "::/9",
        };
        // Next to each other, and up to both ends of what there is.
        let next = match family {
            Family::V4 => "10.2.0.0/16",
            Family::V6 => "fd00:2::/32",
        };
        let elements = [
            Term::Prefix(first.parse().unwrap()),
            Term::Prefix(net),
            Term::Prefix(next.parse().unwrap()),
            Term::Addresses(ip(low), ip(high)),
            Term::Prefix(last.parse().unwrap()),
        ];
        sets.push((
            Arc::new(nets),
            elements.map(|term| Element::new([term])).to_vec(),
        ));

        let map = Set::map(named("map"), [address]);
        let elements = vec![
            Element::new([Term::Address(ip(low))]).to(Verdict::Jump(name("other"))),
            Element::new([Term::Address(ip(high))]).to(Verdict::Accept),
        ];
        sets.push((Arc::new(map), elements));
    }
    sets
}

/// A table with everything that this room can write.
fn vocabulary(table: &str, is_owned: bool) -> Transaction {
    let mut transaction = Transaction::new(name(table));
    transaction.add_table(is_owned);
    for (hook, chain) in Hook::ALL.into_iter().zip(["a", "b", "c", "d", "e"]) {
        transaction.add_chain(base(chain, hook, Policy::Accept));
    }
    transaction
        .add_chain(plain("other"))
        .add_chain(plain("rules"));
    for (set, elements) in sets() {
        transaction.add_set(&set);
        transaction.add_elements(&set, elements, Existing::Ignored);
    }
    for rule in rules() {
        transaction.add_rule(&name("rules"), rule);
    }
    transaction
}

/// What was committed is what is read back: every rule and every set.
fn assert_vocabulary(table: &ObservedTable) {
    let found: Vec<&Rule> = table.chains[&name("rules")].rules().collect();
    let expected = rules();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(*found, expected, "{found} / {expected}");
    }
    assert_eq!(found.len(), expected.len());
    for (set, mut elements) in sets() {
        let found = &table.sets[&set.name];
        elements.sort_unstable();
        assert_eq!((&found.set, &found.elements), (&set, &elements));
        assert!(!found.is_foreign && found.foreign_elements == 0, "{set}");
    }
}

fn observe(nft: &mut impl Tables, table: &str) -> ObservedTable {
    nft.observe(&name(table)).unwrap().table.unwrap()
}

#[test]
fn all_that_can_be_said_is_read_back_as_it_was_written() {
    in_namespace(|| {
        let mut nft = Nft::open().unwrap();
        let before = nft.generation().unwrap();
        nft.commit(&vocabulary("t", false), None).unwrap();
        let observed = nft.observe(&name("t")).unwrap();
        assert!(observed.generation > before);
        let table = observed.table.unwrap();
        assert_vocabulary(&table);
        for (hook, chain) in Hook::ALL.into_iter().zip(["a", "b", "c", "d", "e"]) {
            let found = &table.chains[&name(chain)].chain;
            assert_eq!(*found, base(chain, hook, Policy::Accept));
        }
        assert_eq!(table.chains[&name("other")].chain, plain("other"));
    });
}

#[test]
fn the_tool_lists_what_was_written_and_takes_it_back() {
    in_namespace(|| {
        Nft::open()
            .unwrap()
            .commit(&vocabulary("t", false), None)
            .unwrap();
        let listing = tool("nft list ruleset");
        in_namespace(move || {
            feed(&listing).unwrap();
            let mut nft = Nft::open().unwrap();
            assert_vocabulary(&observe(&mut nft, "t"));
        });
        let text = vocabulary("t", false).to_string();
        in_namespace(move || {
            feed(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            let mut nft = Nft::open().unwrap();
            assert_vocabulary(&observe(&mut nft, "t"));
        });
    });
}

/// Members of a set, all different: addresses of a family with protocol and port, or alone.
fn many(set: &Set, family: Family, count: u32) -> Vec<Element> {
    let element = |n: u32| {
        let [a, b, c, d] = (n * 2).to_be_bytes();
        let address = match family {
            Family::V4 => IpAddr::from([10, b, c, d]),
            Family::V6 => IpAddr::from([
                0xfd00,
                0,
                0,
                0,
                0,
                0,
                u16::from(a) << 8 | u16::from(b),
                u16::from(c) << 8 | u16::from(d),
            ]),
        };
        let all = [Term::Address(address), Term::Protocol(6), Term::Port(80)];
        Element::new(all.into_iter().take(set.key.len()))
    };
    (0..count).map(element).collect()
}

#[test]
fn a_hundred_thousand_members_take_one_send() {
    in_namespace(|| {
        let mut nft = Nft::open().unwrap();
        for (family, is_interval, is_long, count) in [
            (Family::V4, false, false, 100_000),
            (Family::V6, false, true, 30_000),
            (Family::V4, true, false, 30_000),
        ] {
            let key = terms(family);
            let key = if is_long { key } else { vec![key[0]] };
            let set = Arc::new(Set {
                is_interval,
                ..Set::new(name("many"), key)
            });
            let elements = many(&set, family, count);
            let mut transaction = Transaction::new(name("t"));
            transaction
                .add_table(false)
                .delete_table()
                .add_table(false)
                .add_set(&set);
            transaction.add_elements(&set, elements.clone(), Existing::Refused);
            let before = nft.stats();
            nft.commit(&transaction, None).unwrap();
            let spent = nft.stats().since(&before);
            assert_eq!(spent.sends, 1);
            assert!(spent.bytes < u64::from(count) * 48, "{} bytes", spent.bytes);
            // The kernel may still be enlarging its table.
            let table = observe(&mut nft, "t");
            assert!(table.sets[&set.name].elements == elements, "{set}");
        }
    });
}

#[test]
fn a_refused_member_is_named_however_many_messages_come_before_it() {
    in_namespace(|| {
        let mut nft = Nft::open().unwrap();
        for is_interval in [false, true] {
            let set = Arc::new(Set {
                is_interval,
                ..Set::new(name("many"), [KeyType::Ipv4Addr])
            });
            let elements = many(&set, Family::V4, 20_000);
            let mut transaction = Transaction::new(name("t"));
            transaction
                .add_table(false)
                .delete_table()
                .add_table(false)
                .add_set(&set);
            transaction.add_elements(&set, vec![elements[15_000].clone()], Existing::Refused);
            nft.commit(&transaction, None).unwrap();
            let mut again = Transaction::new(name("t"));
            again.add_table(false);
            again.add_elements(&set, elements.clone(), Existing::Refused);
            let Err(Error::Refused(refused)) = nft.commit(&again, None) else {
                panic!("one is there already");
            };
            let [refused] = refused.as_slice() else {
                panic!("{refused:?}");
            };
            assert_eq!((refused.command, refused.element), (1, Some(15_000)));
            assert_eq!(
                refused.to_string(),
                "create element inet t many { 10.0.117.48 }: is there already"
            );
            assert_eq!(observe(&mut nft, "t").sets[&set.name].elements.len(), 1);
            let mut missing = Transaction::new(name("t"));
            missing.delete_elements(&set, elements[14_999..15_002].to_vec());
            let error = nft.commit(&missing, None).unwrap_err().to_string();
            assert_eq!(
                error,
                "delete element inet t many { 10.0.117.46 }: is not there, or names something that is not"
            );
        }
    });
}
