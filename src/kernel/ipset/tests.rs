use std::net::IpAddr;

use proptest::prelude::*;

use super::object::*;
use super::wire::{self, Verb};
use super::*;
use crate::kernel::netlink::{Message, Messages, Request};
use crate::kernel::test_mutation::Chance;
use crate::net::{Prefix, Protocol};

const KINDS: [SetType; 6] = [
    SetType::HashIp,
    SetType::HashIpPort,
    SetType::HashNet,
    SetType::HashIpPortNet,
    SetType::HashNetPort,
    SetType::HashNetNet,
];

fn name(text: &str) -> SetName {
    SetName::new(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// The attributes that a listing has before its members.
fn header(kind: &str, family: Option<u8>) -> Request {
    let mut request = Request::new(0x0607, 0).payload(&[2, 0, 0, 0]);
    let mut attributes = request.attributes();
    attributes.u8(1, 7).strz(2, "kube").strz(3, kind).u8(4, 6);
    if let Some(family) = family {
        attributes.u8(5, family);
    }
    attributes.nest(7, |data| {
        data.be32(18, 64).be32(19, 65_536).be32(25, 2).be32(24, 3);
    });
    request
}

fn gather(bytes: &[u8], sets: &mut Vec<Listed>) -> Result<(), Error> {
    for message in Messages::new(bytes) {
        wire::gather(&message, sets)?;
    }
    Ok(())
}

/// The first set of a listing made of a header and messages of members, as the kernel sends it.
fn listed(kind: SetType, family: Family, entries: &[Entry]) -> Listed {
    let af = if family == Family::V4 { 2 } else { 10 };
    let mut bytes = header(kind.name().unwrap(), Some(af)).to_bytes(1).unwrap();
    let verb = Verb::Add { exclusive: false };
    for (message, _) in wire::entries(verb, &name("kube"), entries) {
        bytes.extend(message.to_bytes(1).unwrap());
    }
    let mut sets = Vec::new();
    gather(&bytes, &mut sets).unwrap();
    sets.remove(0)
}

#[test]
fn entries_are_written_as_ipset_prints_them() {
    let (v4, v6) = (ip("10.0.0.1"), ip("fd00::1"));
    for (entry, text) in [
        (Entry::Ip(v4), "10.0.0.1"),
        (Entry::ip_port(v4, Protocol::Tcp, 80), "10.0.0.1,tcp:80"),
        (Entry::ip_port(v6, Protocol::Sctp, 9), "fd00::1,sctp:9"),
        (Entry::IpPort(v4, IpProtocol(136), 1), "10.0.0.1,udplite:1"),
        (Entry::Net(net("192.0.2.0/24")), "192.0.2.0/24"),
        (Entry::Net(net("192.0.2.1/32")), "192.0.2.1"),
        (
            Entry::ip_port_net(v4, Protocol::Udp, 53, net("192.0.2.7/24")),
            "10.0.0.1,udp:53,192.0.2.0/24",
        ),
        (
            Entry::ip_port_net(v6, Protocol::Tcp, 80, net("2001:db8::5/128")),
            "fd00::1,tcp:80,2001:db8::5",
        ),
    ] {
        assert_eq!(entry.to_string(), text);
    }
}

#[test]
fn commands_are_lines_of_ipset_restore() {
    let set = name("inet6:kube-svip");
    let definition = Definition::sized_for(set.clone(), SetType::HashIpPort, Family::V6, 1000);
    let entries = vec![Entry::Ip(ip("fd00::1")), Entry::Ip(ip("fd00::2"))];
    for (command, text) in [
        (
            Command::Create(definition),
            "create inet6:kube-svip hash:ip,port family inet6 hashsize 1024 maxelem 65536",
        ),
        (
            Command::Add(set.clone(), entries),
            "add inet6:kube-svip fd00::1\nadd inet6:kube-svip fd00::2",
        ),
        (
            Command::Swap(set.clone(), name("tmp")),
            "swap inet6:kube-svip tmp",
        ),
        (Command::Flush(set.clone()), "flush inet6:kube-svip"),
        (Command::Destroy(set), "destroy inet6:kube-svip"),
    ] {
        assert_eq!(command.to_string(), text);
    }
}

#[test]
fn sets_are_sized_for_what_they_shall_hold() {
    let sized = |wanted| Definition::sized_for(name("x"), SetType::HashIp, Family::V4, wanted);
    for (wanted, hash_size, max_entries) in [
        (0, 64, 65_536),
        (65, 128, 65_536),
        (10_000, 16_384, 65_536),
        (50_000, 65_536, 131_072),
        (100_000_000, 1 << 22, 1 << 28),
        (usize::MAX, 1 << 22, 1 << 31),
    ] {
        let definition = sized(wanted);
        assert_eq!(
            (definition.hash_size, definition.max_entries),
            (hash_size, max_entries),
            "{wanted}"
        );
    }
}

#[test]
fn names_that_the_kernel_or_its_tools_would_not_take_are_refused() {
    assert!(SetName::new("a".repeat(31)).is_ok());
    for bad in [
        "",
        "a b",
        "a\"b",
        "a,b",
        "a\nb",
        &"a".repeat(32),
        &"ä".repeat(16),
    ] {
        assert!(SetName::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_length_of_zero_becomes_two_halves() {
    for (whole, halves) in [
        ("0.0.0.0/0", ["0.0.0.0/1", "128.0.0.0/1"]),
        ("::/0", ["::/1", "8000::/1"]),
    ] {
        assert_eq!(without_zero_length(net(whole)), halves.map(net));
    }
    assert_eq!(
        without_zero_length(net("192.0.2.9/24")),
        [net("192.0.2.0/24")]
    );
}

#[test]
fn an_add_message_is_as_the_kernel_wants_it() {
    let verb = Verb::Add { exclusive: true };
    let entry = Entry::ip_port(ip("10.0.0.1"), Protocol::Tcp, 80);
    let request = wire::single(verb, &name("s"), &entry);
    let expected: &[u8] = &[
        80, 0, 0, 0, 9, 6, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, // nlmsghdr: ADD, EXCL
        2, 0, 0, 0, // nfgenmsg
        5, 0, 1, 0, 7, 0, 0, 0, // PROTOCOL 7
        8, 0, 9, 0x40, 0, 0, 0, 0, // LINENO
        6, 0, 2, 0, b's', 0, 0, 0, // SETNAME
        36, 0, 8, 0x80, // ADT
        32, 0, 7, 0x80, // DATA
        12, 0, 1, 0x80, 8, 0, 1, 0x40, 10, 0, 0, 1, // IP
        5, 0, 7, 0, 6, 0, 0, 0, // PROTO
        6, 0, 4, 0x40, 0, 80, 0, 0, // PORT
    ];
    let bytes = request.to_bytes(1).unwrap();
    assert_eq!(bytes[16..], expected[16..]);
    assert_eq!(bytes[4..8], expected[4..8]);
}

#[test]
fn sixty_thousand_bytes_go_into_one_message() {
    let entries: Vec<Entry> = (0..10_000_u32)
        .map(|n| Entry::Ip(IpAddr::from((0x0a00_0000 + n).to_be_bytes())))
        .collect();
    let messages = wire::entries(Verb::Del { exclusive: false }, &name("s"), &entries);
    let counts: Vec<usize> = messages.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts.iter().sum::<usize>(), 10_000);
    assert_eq!(counts.len(), 3);
    assert!(
        messages
            .iter()
            .all(|(message, _)| message.to_bytes(1).is_ok())
    );
}

#[test]
fn headers_are_read_and_long_sets_are_joined() {
    let entries: Vec<Entry> = (0..5000_u32)
        .map(|n| Entry::Ip(IpAddr::from((0x0a00_0000 + n).to_be_bytes())))
        .collect();
    let set = listed(SetType::HashIp, Family::V4, &entries);
    assert_eq!((set.references, set.entry_count), (2, 3));
    assert_eq!(
        (set.definition.hash_size, set.definition.max_entries),
        (64, 65_536)
    );
    assert_eq!(set.entries, entries);
}

#[test]
fn foreign_types_are_listed_without_members() {
    for request in [header("bitmap:port", None), header("hash:mac", Some(2))] {
        let mut sets = Vec::new();
        gather(&request.to_bytes(1).unwrap(), &mut sets).unwrap();
        assert_eq!(sets[0].definition.kind, SetType::Foreign);
    }
}

#[test]
fn errors_of_many_entries_name_a_few() {
    let refused = (0..5).map(|n| Refusal {
        entry: Entry::Ip(IpAddr::from([10, 0, 0, n])),
        reason: Reason::Full,
    });
    let error = Error::Entries {
        set: name("s"),
        refused: refused.collect(),
    };
    assert_eq!(
        error.to_string(),
        "set s: 10.0.0.0 does not fit, the set is full; 10.0.0.1 does not fit, the set is full; \
         10.0.0.2 does not fit, the set is full; and 2 more"
    );
}

fn address(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::V4 => any::<[u8; 4]>().prop_map(IpAddr::from).boxed(),
        Family::V6 => any::<[u8; 16]>().prop_map(IpAddr::from).boxed(),
    }
}

fn entry(kind: SetType, family: Family) -> impl Strategy<Value = Entry> {
    let length = 1..=family.host_bits();
    (
        address(family),
        address(family),
        length,
        any::<u8>(),
        any::<u16>(),
    )
        .prop_map(move |(ip, other, length, protocol, port)| {
            let net = Prefix::new(other, length).unwrap().trunc();
            match kind {
                SetType::HashIp => Entry::Ip(ip),
                SetType::HashIpPort => Entry::IpPort(ip, IpProtocol(protocol), port),
                SetType::HashNet => Entry::Net(net),
                SetType::HashNetPort => Entry::NetPort(net, IpProtocol(protocol), port),
                SetType::HashNetNet => Entry::NetNet(net, Prefix::from(ip)),
                SetType::HashIpPortNet | SetType::Foreign => {
                    Entry::IpPortNet(ip, IpProtocol(protocol), port, net)
                }
            }
        })
}

proptest! {
    #[test]
    fn entries_written_are_read_back(
        (kind, family, entries) in (0..6_usize, any::<bool>()).prop_flat_map(|(kind, v6)| {
            let (kind, family) = (KINDS[kind], if v6 { Family::V6 } else { Family::V4 });
            let entries = proptest::collection::vec(entry(kind, family), 1..50);
            (Just(kind), Just(family), entries)
        })
    ) {
        prop_assert!(entries.iter().all(|entry| entry.kind() == kind && entry.family() == family));
        prop_assert_eq!(listed(kind, family, &entries).entries, entries);
    }
}

fn message(payload: &[u8]) -> Message<'_> {
    Message {
        kind: 0x0606,
        flags: 0,
        sequence: 1,
        port: 0,
        payload,
    }
}

#[test]
fn a_hundred_thousand_damaged_messages_do_no_harm() {
    let (v4, v6) = (ip("10.0.0.1"), ip("fd00::1"));
    let samples = [
        ("hash:ip", 2, Entry::Ip(v4)),
        ("hash:ip,port", 2, Entry::ip_port(v4, Protocol::Tcp, 80)),
        ("hash:net", 10, Entry::Net(net("2001:db8::/32"))),
        (
            "hash:ip,port,net",
            10,
            Entry::ip_port_net(v6, Protocol::Udp, 53, net("fd00::/8")),
        ),
    ];
    let verb = Verb::Add { exclusive: false };
    let messages: Vec<(Vec<u8>, Vec<u8>)> = samples
        .iter()
        .map(|(kind, family, entry)| {
            let header = header(kind, Some(*family))
                .to_bytes(1)
                .unwrap()
                .split_off(16);
            let member = wire::single(verb, &name("kube"), entry)
                .to_bytes(1)
                .unwrap();
            (header, member[16..].to_vec())
        })
        .collect();
    let (mut chance, mut read) = (Chance(7), 0_u32);
    for round in 0..100_000 {
        let (mut header, mut member) = messages[round % messages.len()].clone();
        chance.damage(if round % 2 == 0 {
            &mut header
        } else {
            &mut member
        });
        let mut sets = Vec::new();
        if wire::gather(&message(&header), &mut sets).is_ok()
            && wire::gather(&message(&member), &mut sets).is_ok()
        {
            read += u32::from(sets.iter().any(|set| !set.entries.is_empty()));
        }
        let _either = wire::revision(&message(&member));
    }
    assert!(
        (10_000..100_000).contains(&read),
        "{read} could still be read"
    );
}
