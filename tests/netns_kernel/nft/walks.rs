//! Random rules, sets and transactions: the kernel gives back what it was given, and the fake does
//! what the kernel does.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::refusals::outcome;
use super::*;

fn address(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::V4 => any::<[u8; 4]>().prop_map(IpAddr::from).boxed(),
        Family::V6 => any::<[u8; 16]>().prop_map(IpAddr::from).boxed(),
    }
}

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Source), Just(Side::Destination)]
}

fn test<T: Ord + Clone + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = Test<T>> {
    (0..4, value.clone(), value).prop_map(|(kind, one, other)| {
        let (low, high) = (one.clone().min(other.clone()), one.clone().max(other));
        match kind {
            0 => Test::Is(one),
            1 => Test::Not(one),
            2 => Test::Within(low, high),
            _ => Test::Outside(low, high),
        }
    })
}

fn states() -> impl Strategy<Value = CtStates> {
    const ALL: [CtStates; 5] = [
        CtStates::INVALID,
        CtStates::ESTABLISHED,
        CtStates::RELATED,
        CtStates::NEW,
        CtStates::UNTRACKED,
    ];
    proptest::sample::subsequence(&ALL[..], 1..5).prop_map(|some| {
        some.into_iter()
            .fold(CtStates::default(), |all, one| all | one)
    })
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        (family(), side()).prop_map(|(family, side)| Field::Address(family, side)),
        Just(Field::L4proto),
        side().prop_map(Field::Port),
    ]
}

fn limit() -> impl Strategy<Value = Limit> {
    let units = [Unit::Second, Unit::Minute, Unit::Hour, Unit::Day];
    let unit = proptest::sample::select(units.to_vec());
    (1..100_000_u32, unit, 0..1000_u32, any::<bool>()).prop_map(|(rate, unit, burst, is_over)| {
        Limit {
            rate,
            unit,
            burst,
            is_over,
        }
    })
}

/// Any expression but verdicts and lookups, which name other things.
fn expr() -> impl Strategy<Value = Expr> {
    let kinds = [
        AddressType::Unicast,
        AddressType::Local,
        AddressType::Broadcast,
        AddressType::Anycast,
        AddressType::Multicast,
    ];
    prop_oneof![
        family().prop_map(Expr::Nfproto),
        test(any::<u8>()).prop_map(Expr::L4proto),
        (
            side(),
            family().prop_flat_map(|family| test(address(family)))
        )
            .prop_map(|(side, test)| Expr::Address(side, test)),
        (side(), test(any::<u16>())).prop_map(|(side, test)| Expr::Port(side, test)),
        (family(), test(any::<u8>())).prop_map(|(family, test)| Expr::IcmpType(family, test)),
        (states(), any::<bool>())
            .prop_map(|(states, is_negated)| Expr::CtState { states, is_negated }),
        (
            side(),
            proptest::sample::select(kinds.to_vec()),
            any::<bool>()
        )
            .prop_map(|(side, kind, is_negated)| Expr::AddressType {
                side,
                kind,
                is_negated
            }),
        Just(Expr::Counter),
        limit().prop_map(Expr::Limit),
        (any::<u16>(), "[ -~äß]{0,140}", any::<u32>()).prop_map(|(group, prefix, snaplen)| {
            Expr::Log {
                group,
                prefix: Label::new(&prefix),
                snaplen,
            }
        }),
        Just(Expr::Reject(Reject::PortUnreachable)),
        Just(Expr::Reject(Reject::TcpReset)),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Accept),
        Just(Verdict::Drop),
        Just(Verdict::Return),
        Just(Verdict::Continue),
        Just(Verdict::Jump(name("other"))),
        Just(Verdict::Goto(name("other"))),
    ]
}

/// A rule, and the set that it looks up in if it does.
fn rule() -> impl Strategy<Value = (Rule, Option<Set>)> {
    let key = proptest::collection::vec(field(), 1..4).prop_filter(
        "one family only, as packets have",
        |key| {
            let has = |family| {
                key.iter()
                    .any(|f| matches!(f, Field::Address(g, _) if *g == family))
            };
            !(has(Family::V4) && has(Family::V6))
        },
    );
    let lookup = (key, any::<bool>(), any::<bool>());
    (
        proptest::collection::vec(expr(), 1..6),
        proptest::option::of(lookup),
        proptest::option::of(verdict()),
        proptest::option::of("[ -~äß]{1,140}"),
    )
        .prop_map(|(mut exprs, lookup, verdict, comment)| {
            let mut set = None;
            if let Some((key, is_map, is_negated)) = lookup {
                let kinds: Vec<KeyType> = key.iter().map(|field| field.key_type()).collect();
                let title = kinds
                    .iter()
                    .map(|kind| kind.name())
                    .collect::<Vec<_>>()
                    .join(".");
                let title = name(&format!("{}{title}", if is_map { "map." } else { "set." }));
                set = Some(Set {
                    is_map,
                    ..Set::new(title.clone(), kinds)
                });
                exprs.push(match is_map {
                    true => Expr::VerdictMap { key, map: title },
                    false => Expr::Lookup {
                        key,
                        set: title,
                        is_negated,
                    },
                });
            }
            exprs.extend(verdict.map(Expr::Verdict));
            let rule = Rule::new(exprs);
            match comment {
                Some(comment) => (rule.with_comment(Label::new(&comment)), set),
                None => (rule, set),
            }
        })
}

pub(super) fn runner() -> TestRunner {
    let seed = [7; 32];
    TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, &seed),
    )
}

pub(super) fn sample<T>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).unwrap().current()
}

#[test]
fn a_thousand_random_rules_are_read_back_as_they_were_written() {
    in_namespace(|| {
        let (mut runner, rules) = (runner(), rule());
        let mut nft = Nft::open().unwrap();
        for round in 0..10 {
            let mut transaction = Transaction::new(name("t"));
            transaction.add_table(false);
            if round > 0 {
                transaction.delete_table().add_table(false);
            }
            transaction
                .add_chain(plain("other"))
                .add_chain(plain("rules"));
            let mut expected = Vec::new();
            for _ in 0..100 {
                let (rule, set) = sample(&mut runner, &rules);
                if let Some(set) = set {
                    transaction.add_set(&Arc::new(set));
                }
                transaction.add_rule(&name("rules"), rule.clone());
                expected.push(rule);
            }
            nft.commit(&transaction, None).unwrap();
            let table = observe(&mut nft, "t");
            for (found, expected) in table.chains[&name("rules")].rules().zip(&expected) {
                assert_eq!(found, expected, "{found} / {expected}");
            }
            assert_eq!(table.chains[&name("rules")].rules.len(), 100);
        }
    });
}

/// Commands on few names, so that they meet one another.
fn command() -> impl Strategy<Value = Command> {
    let chain = || proptest::sample::select(vec!["b", "c", "d", "e"]).prop_map(name);
    let set = || proptest::sample::select(known_sets());
    let existing = prop_oneof![Just(Existing::Ignored), Just(Existing::Refused)];
    let elements = |set: Arc<Set>| {
        let elements = proptest::collection::vec(element(Arc::clone(&set)), 1..5);
        (Just(set), elements)
    };
    prop_oneof![
        1 => any::<bool>().prop_map(|is_base| Command::AddChain(match is_base {
            true => base("b", Hook::Input, Policy::Accept),
            false => plain("b"),
        })),
        3 => chain().prop_map(|chain| Command::AddChain(plain(chain.as_str()))),
        1 => chain().prop_map(Command::DeleteChain),
        1 => chain().prop_map(Command::FlushChain),
        4 => (chain(), chain()).prop_map(|(chain, to)| {
            Command::AddRule(chain, Rule::new([Expr::jump(to)]))
        }),
        4 => (chain(), set()).prop_map(|(chain, set)| Command::AddRule(chain, use_of(&set))),
        3 => set().prop_map(Command::AddSet),
        1 => set().prop_map(Command::DeleteSet),
        1 => set().prop_map(Command::FlushSet),
        8 => (set().prop_flat_map(elements), existing)
            .prop_map(|((set, elements), existing)| Command::AddElements(set, elements, existing)),
        4 => set().prop_flat_map(elements)
            .prop_map(|(set, elements)| Command::DeleteElements(set, elements)),
    ]
}

fn known_sets() -> Vec<Arc<Set>> {
    let v4 = [KeyType::Ipv4Addr];
    let ranges = |set: Set| Set {
        is_interval: true,
        ..set
    };
    let all = [
        Set::new(name("hosts"), v4),
        ranges(Set::new(name("nets"), v4)),
        ranges(Set::new(
            name("fields"),
            [KeyType::Ipv4Addr, KeyType::InetService],
        )),
        Set::map(name("map"), v4),
        ranges(Set::map(name("netmap"), v4)),
        Set {
            size: Some(3),
            ..Set::new(name("small"), [KeyType::InetProto])
        },
    ];
    all.map(Arc::new).to_vec()
}

fn use_of(set: &Set) -> Rule {
    let key = set.key.iter().map(|kind| match kind {
        KeyType::Ipv4Addr => Field::Address(Family::V4, Side::Source),
        KeyType::Ipv6Addr => Field::Address(Family::V6, Side::Source),
        KeyType::InetProto => Field::L4proto,
        KeyType::InetService => Field::Port(Side::Source),
    });
    let (key, set, is_map) = (key.collect(), set.name.clone(), set.is_map);
    Rule::new([match is_map {
        true => Expr::VerdictMap { key, map: set },
        false => Expr::Lookup {
            key,
            set,
            is_negated: false,
        },
    }])
}

/// Ranges are the same as others or apart from them, as the kernel's users must see to.
fn element(set: Arc<Set>) -> impl Strategy<Value = Element> {
    let verdicts = prop_oneof![
        Just(Verdict::Accept),
        Just(Verdict::Drop),
        Just(Verdict::Jump(name("c"))),
        Just(Verdict::Goto(name("d"))),
    ];
    (any::<[u8; 2]>(), verdicts).prop_map(move |([a, b], verdict)| {
        let is_range = set.is_interval;
        let port = u16::from(b % 4) * 4;
        let terms = set.key.iter().map(|kind| match kind {
            KeyType::InetProto => Term::Protocol(a % 5),
            KeyType::InetService if is_range => Term::Ports(port, port + 3),
            KeyType::InetService => Term::Port(port),
            // Next to each other, apart by one, and hosts among nets; none overlaps another.
            _ if is_range && a % 8 == 7 => Term::Address(IpAddr::from([10, 0, 0, 30])),
            _ if is_range => {
                let net = Prefix::new(IpAddr::from([10, 0, 0, a % 8 * 4]), 30).unwrap();
                Term::Prefix(net)
            }
            _ => Term::Address(IpAddr::from([10, 0, 0, a % 8])),
        });
        let element = Element::new(terms);
        if set.is_map {
            element.to(verdict)
        } else {
            element
        }
    })
}

/// What stands in the table, without the numbers that the kernel chooses.
fn contents(tables: &mut impl Tables) -> Option<String> {
    let table = tables.observe(&name("t")).unwrap().table?;
    let mut text = String::new();
    for chain in table.chains.values() {
        let rules: Vec<&Rule> = chain.rules().collect();
        text.push_str(&format!("{} {rules:?}\n", chain.chain));
    }
    for set in table.sets.values() {
        text.push_str(&format!("{} {:?}\n", set.set, set.elements));
    }
    Some(text)
}

#[test]
fn random_transactions_end_alike_in_the_kernel_and_in_the_fake() {
    in_namespace(|| {
        let (mut nft, mut fake) = (Nft::open().unwrap(), FakeNft::new());
        let mut runner = runner();
        let commands = proptest::collection::vec(command(), 1..6);
        let (mut accepted, mut refused) = (0, 0);
        for round in 0..250 {
            let mut transaction = Transaction::new(name("t"));
            transaction.add_table(false);
            if round % 200 == 199 {
                transaction.delete_table();
            }
            transaction.extend(sample(&mut runner, &commands));
            let before = contents(&mut fake);
            // What a refusal leaves behind for later commands of the same transaction differs.
            let first = |outcome: Vec<String>| outcome.into_iter().next();
            let (real, faked) = (
                first(outcome(&mut nft, &transaction)),
                first(outcome(&mut fake, &transaction)),
            );
            let shown = before.unwrap_or_default();
            assert_eq!(real, faked, "{round}: {transaction}on\n{shown}");
            assert_eq!(
                contents(&mut nft),
                contents(&mut fake),
                "{round}: {transaction}on\n{shown}"
            );
            if real.is_none() {
                accepted += 1
            } else {
                refused += 1
            }
        }
        assert!(accepted > 20 && refused > 20);
    });
}
