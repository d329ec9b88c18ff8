use std::net::IpAddr;
use std::sync::Arc;

use super::*;
use crate::kernel::netlink::{AttrWriter, Message, Messages, Request};
use crate::kernel::test_mutation::Chance;
use crate::net::Family;

#[test]
fn names_that_the_tool_could_not_read_back_are_refused() {
    assert!(Name::new("a".repeat(255)).is_ok());
    for good in ["_x", "kube-router-policy", "a.b/c"] {
        assert!(Name::new(good).is_ok(), "{good}");
    }
    for bad in ["", "-a", "1a", "a b", "a\"b", "ä", &"a".repeat(256)] {
        assert!(Name::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn labels_fit_between_quotes_and_are_cut_off_between_characters() {
    for (text, label) in [
        ("why: \"so\"\n", "why: 'so' "),
        ("a\\b $c", "a/b _c"),
        (&"a".repeat(200), &"a".repeat(127)),
        (&"ä".repeat(100), &"ä".repeat(63)),
    ] {
        assert_eq!(Label::new(text).as_str(), label);
    }
}

#[test]
fn what_an_expression_depends_on_is_put_before_it_once() {
    let v4 = || Expr::Nfproto(Family::V4);
    let source = || Expr::Address(Side::Source, Test::Is("10.0.0.1".parse().unwrap()));
    let icmp = || Expr::IcmpType(Family::V4, Test::Is(8));
    let is_icmp = || Expr::L4proto(Test::Is(1));
    for (given, expected) in [
        (vec![source()], vec![v4(), source()]),
        (vec![v4(), source()], vec![v4(), source()]),
        (vec![source(), source()], vec![v4(), source(), source()]),
        (vec![icmp()], vec![v4(), is_icmp(), icmp()]),
        (
            vec![source(), icmp()],
            vec![v4(), source(), is_icmp(), icmp()],
        ),
    ] {
        assert_eq!(Rule::new(given).exprs(), expected);
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn port_of(side: Side) -> Expr {
    Expr::Port(side, Test::Is(80))
}

fn triple(family: Family) -> Set {
    let kinds = [
        KeyType::of_address(family),
        KeyType::InetProto,
        KeyType::InetService,
    ];
    Set::new(name("s"), kinds)
}

fn key(family: Family) -> Vec<Field> {
    vec![
        Field::Address(family, Side::Source),
        Field::L4proto,
        Field::Port(Side::Destination),
    ]
}

#[test]
fn rules_are_written_as_the_tool_reads_them() {
    let lookup = |family, is_negated| Expr::Lookup {
        key: key(family),
        set: name("s"),
        is_negated,
    };
    let states = CtStates::ESTABLISHED | CtStates::RELATED;
    let limit = Limit {
        rate: 10,
        unit: Unit::Minute,
        burst: 0,
        is_over: true,
    };
    let log = Expr::Log {
        group: 100,
        prefix: Label::new("x"),
        snaplen: 64,
    };
    let within = Test::Within(ip("fd00::1"), ip("fd00::9"));
    for (exprs, text) in [
        (
            vec![lookup(Family::V4, false), Expr::Verdict(Verdict::Return)],
            "ip saddr . meta l4proto . th dport @s return",
        ),
        (
            vec![lookup(Family::V6, true), Expr::Counter],
            "ip6 saddr . meta l4proto . th dport != @s counter",
        ),
        (
            vec![Expr::Nfproto(Family::V6), Expr::Verdict(Verdict::Accept)],
            "meta nfproto ipv6 accept",
        ),
        (
            vec![Expr::Address(Side::Destination, within)],
            "ip6 daddr fd00::1-fd00::9",
        ),
        (
            vec![Expr::L4proto(Test::Not(58)), port_of(Side::Source)],
            "meta l4proto != ipv6-icmp th sport 80",
        ),
        (
            vec![Expr::IcmpType(Family::V6, Test::Outside(133, 137))],
            "icmpv6 type != 133-137",
        ),
        (
            vec![Expr::TcpSyn { is_negated: false }],
            "tcp flags & (fin | syn | rst | ack) == syn",
        ),
        (
            vec![Expr::CtState {
                states,
                is_negated: true,
            }],
            "ct state ! established,related",
        ),
        (
            vec![Expr::Limit(limit), log],
            "limit rate over 10/minute burst 5 packets log prefix \"x\" group 100 snaplen 64",
        ),
        (
            vec![Expr::Reject(Reject::TcpReset)],
            "meta l4proto tcp reject with tcp reset",
        ),
    ] {
        assert_eq!(Rule::new(exprs).to_string(), text);
    }
}

#[test]
fn transactions_are_written_as_the_tool_reads_them() {
    let chain = Chain {
        name: name("c"),
        base: Some(Base {
            hook: Hook::Forward,
            priority: -10,
            policy: Policy::Drop,
        }),
        comment: Some(Label::new("why")),
    };
    let set = Arc::new(Set {
        is_interval: true,
        is_map: true,
        size: Some(9),
        ..triple(Family::V4)
    });
    let element = Element::new([
        Term::Prefix("10.0.0.0/8".parse().unwrap()),
        Term::Protocol(17),
        Term::Ports(1, 9),
    ]);
    let element = element.to(Verdict::Goto(name("c")));
    let rule = Rule::new([Expr::jump(name("d"))]).with_comment(Label::new("to d"));
    let mut transaction = Transaction::new(name("t"));
    transaction
        .add_table(true)
        .add_chain(chain)
        .replace_chain(&name("c"), [rule])
        .add_set(&set)
        .add_elements(&set, vec![element.clone()], Existing::Refused)
        .delete_elements(&set, vec![element])
        .add_elements(&set, Vec::new(), Existing::Ignored)
        .flush_set(&set)
        .delete_set(&set)
        .delete_chain(&name("c"))
        .delete_table();
    let expected = "\
add table inet t { flags owner, persist; }
add chain inet t c { type filter hook forward priority -10; policy drop; comment \"why\"; }
flush chain inet t c
add rule inet t c jump d comment \"to d\"
add map inet t s { type ipv4_addr . inet_proto . inet_service : verdict; size 9; flags interval; }
create element inet t s { 10.0.0.0/8 . udp . 1-9 : goto c }
delete element inet t s { 10.0.0.0/8 . udp . 1-9 }
flush map inet t s
delete map inet t s
delete chain inet t c
delete table inet t
";
    assert_eq!(transaction.to_string(), expected);
}

#[test]
fn a_member_is_as_the_kernel_wants_it() {
    let set = Arc::new(Set {
        is_interval: true,
        ..triple(Family::V4)
    });
    let element = Element::new([
        Term::Prefix("10.0.0.0/24".parse().unwrap()),
        Term::Protocol(6),
        Term::Ports(80, 90),
    ]);
    let mut transaction = Transaction::new(name("t"));
    transaction.add_elements(&set, vec![element], Existing::Refused);
    let expected: &[u8] = &[
        84, 0, 0, 0, 12, 10, 1, 6, 1, 0, 0, 0, 0, 0, 0,
        0, // nlmsghdr: NEWSETELEM, CREATE | EXCL
        1, 0, 0, 0, // nfgenmsg: NFPROTO_INET
        6, 0, 1, 0, b't', 0, 0, 0, // TABLE
        6, 0, 2, 0, b's', 0, 0, 0, // SET
        48, 0, 3, 0x80, // ELEMENTS
        44, 0, 1, 0x80, // LIST_ELEM
        20, 0, 1, 0x80, 16, 0, 1, 0, 10, 0, 0, 0, 6, 0, 0, 0, 0, 80, 0, 0, // KEY
        20, 0, 10, 0x80, 16, 0, 1, 0, 10, 0, 0, 255, 6, 0, 0, 0, 0, 90, 0, 0, // KEY_END
    ];
    let bytes = encode(&transaction)[0].to_bytes(1).unwrap();
    assert_eq!(
        (&bytes[..8], &bytes[16..]),
        (&expected[..8], &expected[16..])
    );
}

#[test]
fn keys_too_long_for_any_set_are_sent_empty() {
    let address = Term::Address(ip("fd00::1"));
    let element = Element::new([address, address, address, Term::Port(1)]);
    assert_eq!(element.low.as_bytes(), &[] as &[u8]);
    assert_eq!(element.terms(&[KeyType::Ipv6Addr; 3]), None);
}

#[test]
fn a_walk_follows_jumps_and_ends_where_a_chain_does() {
    let mut fake = FakeNft::new();
    let mut transaction = Transaction::new(name("t"));
    let base = Some(Base {
        hook: Hook::Forward,
        priority: 0,
        policy: Policy::Drop,
    });
    let chain = |text, base| Chain {
        name: name(text),
        base,
        comment: None,
    };
    let udp = || Expr::L4proto(Test::Is(17));
    transaction
        .add_table(false)
        .add_chain(chain("forward", base))
        .add_chain(chain("to", None))
        .add_rule(
            &name("to"),
            Rule::new([udp(), Expr::Verdict(Verdict::Return)]),
        )
        .add_rule(
            &name("to"),
            Rule::new([Expr::Reject(Reject::PortUnreachable)]),
        )
        .add_rule(&name("forward"), Rule::new([Expr::jump(name("to"))]))
        .add_rule(
            &name("forward"),
            Rule::new([port_of(Side::Destination), Expr::Verdict(Verdict::Accept)]),
        );
    fake.commit(&transaction, None).unwrap();
    for (protocol, destination, verdict) in [
        (17, 80, WalkVerdict::Accepted),
        (17, 81, WalkVerdict::Dropped),
        (6, 80, WalkVerdict::Rejected(Reject::PortUnreachable)),
    ] {
        let packet = Packet {
            hook: Hook::Forward,
            source: ip("10.0.0.1"),
            destination: ip("10.0.0.2"),
            protocol,
            transport: Transport::Ports {
                source: 1,
                destination,
            },
            is_syn: true,
            state: CtStates::NEW,
            is_source_local: false,
            is_destination_local: false,
        };
        assert_eq!(fake.walk(&packet).verdict, verdict);
    }
}

/// Messages as the kernel lists a table: set, members in ranges and in a map, and a rule.
fn listing() -> Vec<Vec<u8>> {
    let ranges = Arc::new(Set {
        is_interval: true,
        ..triple(Family::V6)
    });
    let nets = Arc::new(Set {
        is_interval: true,
        ..Set::new(name("s"), [KeyType::Ipv4Addr])
    });
    let map = Arc::new(Set::map(name("s"), [KeyType::Ipv4Addr]));
    let lookup = Expr::Lookup {
        key: key(Family::V6),
        set: name("s"),
        is_negated: false,
    };
    let rule = Rule::new([
        lookup,
        Expr::CtState {
            states: CtStates::NEW,
            is_negated: false,
        },
        Expr::Port(Side::Source, Test::Within(1, 9)),
        Expr::jump(name("d")),
    ]);
    let chain = Chain {
        name: name("c"),
        base: Some(Base {
            hook: Hook::Input,
            priority: 0,
            policy: Policy::Drop,
        }),
        comment: Some(Label::new("why")),
    };
    let net = Term::Prefix("10.0.0.0/24".parse().unwrap());
    let six = [
        Term::Address(ip("fd00::1")),
        Term::Protocol(6),
        Term::Ports(1, 9),
    ];
    let to = Element::new([Term::Address(ip("10.0.0.1"))]).to(Verdict::Jump(name("d")));
    let mut transaction = Transaction::new(name("t"));
    transaction
        .add_table(true)
        .add_chain(chain)
        .add_set(&ranges)
        .add_rule(&name("c"), rule.with_comment(Label::new("why")))
        .add_elements(&ranges, vec![Element::new(six)], Existing::Ignored)
        .add_elements(&nets, vec![Element::new([net])], Existing::Ignored)
        .add_elements(&map, vec![to], Existing::Ignored);
    let requests = encode(&transaction).into_iter().enumerate();
    let with_handle = |(index, mut request): (usize, Request)| {
        if index == 3 {
            request.attributes().bytes(3, &7_u64.to_be_bytes());
        }
        request.to_bytes(1).unwrap()
    };
    requests.map(with_handle).collect()
}

/// How much of a message can be read, as each of the things that it could be.
fn read(message: &Message<'_>) -> u32 {
    let t = name("t");
    let interval = |set: Set| Set {
        is_interval: true,
        ..set
    };
    let sets = [
        interval(triple(Family::V6)),
        interval(Set::new(name("s"), [KeyType::Ipv4Addr])),
        Set::map(name("s"), [KeyType::Ipv4Addr]),
    ];
    let members = sets
        .iter()
        .map(|set| match decode_members(set, [*message]) {
            Ok((members, _)) => u32::from(!members.is_empty()),
            Err(_) => 0,
        });
    members.sum::<u32>()
        + u32::from(matches!(decode_table(message, 7), Ok(Some(_))))
        + u32::from(matches!(decode_chain(message, &t), Ok(Some(_))))
        + u32::from(matches!(decode_set(message, &t), Ok(Some(_))))
        + u32::from(matches!(decode_rule(message, &t), Ok(Some(_))))
}

fn encoded(command: Command) -> Vec<Request> {
    let mut transaction = Transaction::new(name("t"));
    transaction.extend([command]);
    encode(&transaction)
}

/// What can be read of a message is the same when it is written by us and read again.
fn assert_survives(message: &Message<'_>) {
    let bytes = |requests: Vec<Request>| -> Vec<u8> {
        let bytes = requests.iter().map(|request| request.to_bytes(1).unwrap());
        bytes.flatten().collect()
    };
    let nets = Arc::new(Set {
        is_interval: true,
        ..Set::new(name("s"), [KeyType::Ipv4Addr])
    });
    if let Ok((members, _)) = decode_members(&nets, [*message]) {
        let command = Command::AddElements(Arc::clone(&nets), members.clone(), Existing::Ignored);
        let bytes = bytes(encoded(command));
        let again = decode_members(&nets, Messages::new(&bytes));
        assert_eq!(again, Ok((members, 0)));
    }
    if let Ok(Some((chain, found))) = decode_rule(message, &name("t")) {
        let is_foreign = |expr: &Expr| matches!(expr, Expr::Foreign(_));
        if found.rule.exprs().iter().any(is_foreign) {
            return;
        }
        let mut requests = encoded(Command::AddRule(chain.clone(), found.rule.clone()));
        for request in &mut requests {
            request.attributes().bytes(3, &found.handle.to_be_bytes());
        }
        let bytes = bytes(requests);
        let again = Messages::new(&bytes).next().unwrap();
        assert_eq!(decode_rule(&again, &name("t")), Ok(Some((chain, found))));
    }
}

#[test]
fn a_hundred_thousand_damaged_messages_do_no_harm() {
    let samples = listing();
    for sample in &samples {
        assert!(
            read(&Messages::new(sample).next().unwrap()) > 0,
            "{sample:?}"
        );
    }
    let (mut chance, mut readable) = (Chance(7), 0);
    for round in 0..100_000 {
        let mut bytes = samples[round % samples.len()][20..].to_vec();
        chance.damage(&mut bytes);
        let payload = [&[1, 0, 0, 0], bytes.as_slice()].concat();
        let message = Message {
            kind: 0x0a00,
            flags: 0,
            sequence: 1,
            port: 0,
            payload: &payload,
        };
        readable += u32::from(read(&message) > 0);
        assert_survives(&message);
    }
    assert!((10_000..100_000).contains(&readable), "{readable}");
}

/// Attributes of an expression that we would not write, in a rule with a verdict.
fn decoded(fill: impl FnOnce(&mut AttrWriter<'_>)) -> Rule {
    let mut request = wire::request_in(6, 0, &name("t"));
    let mut attributes = request.attributes();
    attributes.strz(2, "c").bytes(3, &7_u64.to_be_bytes());
    attributes.nest(4, fill);
    let bytes = request.to_bytes(1).unwrap();
    let message = Messages::new(&bytes).next().unwrap();
    decode_rule(&message, &name("t")).unwrap().unwrap().1.rule
}

#[test]
fn what_is_not_spoken_here_stays_in_the_rule_as_foreign() {
    let masquerade = decoded(|list| {
        list.nest(1, |expr| {
            expr.strz(1, "masq");
        });
    });
    assert_eq!(masquerade.exprs(), [Expr::Foreign("masq".to_owned())]);
    let meta = |list: &mut AttrWriter<'_>, key: u32| {
        list.nest(1, |expr| {
            expr.strz(1, "meta").nest(2, |data| {
                data.be32(2, key).be32(1, 1);
            });
        });
    };
    let mark = decoded(|list| meta(list, 3));
    assert_eq!(mark.exprs(), [Expr::Foreign("meta".to_owned())]);
    let unused = decoded(|list| meta(list, 16));
    assert_eq!(unused.exprs(), [Expr::Foreign("unused load".to_owned())]);
}
