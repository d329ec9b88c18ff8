//! A packet's way through tables and sets in memory, read from the rules' own text: what the
//! kernel would do with what was programmed, written without a look at how it is rendered.
#![allow(unreachable_pub, reason = "a part of test binaries")]

use std::net::IpAddr;

use kube_router::firewall::{Hook, IcmpType, Packet, Payload, Tracked, Verdict};
use kube_router::kernel::ipset::{Entry, FakeIpset, SetName};
use kube_router::kernel::iptables::{FakeIptables, Table, split_words};
use kube_router::net::Family;

/// The verdict of the table `filter` of the packet's family.
pub fn walk(tables: &FakeIptables, sets: &FakeIpset, packet: &Packet) -> Verdict {
    let verdict = chain(tables, sets, packet, packet.hook.chain(), 0);
    verdict.unwrap_or(Verdict::Accept)
}

fn chain(
    tables: &FakeIptables,
    sets: &FakeIpset,
    packet: &Packet,
    name: &str,
    depth: usize,
) -> Option<Verdict> {
    assert!(depth < 16, "a loop of chains at {name}");
    let filter = &tables.tables[&Table::Filter];
    let chain_of = filter.chains.get(name);
    let rules = &chain_of.unwrap_or_else(|| panic!("no chain {name}")).rules;
    for rule in rules {
        let words = split_words(&rule.text);
        let Some((option, target)) = applies(&words, sets, packet) else {
            continue;
        };
        if option == "-g" {
            return chain(tables, sets, packet, &target, depth + 1);
        }
        match target.as_str() {
            "ACCEPT" => return Some(Verdict::Accept),
            "DROP" => return Some(Verdict::Drop),
            "REJECT" => return Some(Verdict::Reject),
            "RETURN" => return None,
            "NFLOG" => {}
            other => {
                let verdict = chain(tables, sets, packet, other, depth + 1);
                if verdict.is_some() {
                    return verdict;
                }
            }
        }
    }
    None
}

/// The target with its option, if every condition holds.
fn applies(words: &[String], sets: &FakeIpset, packet: &Packet) -> Option<(String, String)> {
    let mut words = words.iter().map(String::as_str);
    let mut is_negated = false;
    let mut holds = true;
    while let Some(word) = words.next() {
        let mut next = || words.next().expect("a value after an option");
        let condition = match word {
            "!" => {
                is_negated = true;
                continue;
            }
            "-m" => {
                next();
                continue;
            }
            "--comment" | "--limit" | "--limit-burst" => {
                next();
                continue;
            }
            "-j" | "-g" => return holds.then(|| (word.to_owned(), next().to_owned())),
            "-p" => protocol(next(), packet),
            "--dport" => port(next(), packet),
            "--icmp-type" | "--icmpv6-type" => {
                let number: u8 = next().parse().expect("a number");
                icmp_number(packet) == Some(number)
            }
            "-s" => next()
                .parse::<ipnet::IpNet>()
                .unwrap()
                .contains(&packet.source),
            "-d" => next()
                .parse::<ipnet::IpNet>()
                .unwrap()
                .contains(&packet.destination),
            "--ctstate" => match next() {
                "RELATED,ESTABLISHED" => packet.tracked == Tracked::Known,
                "INVALID" => packet.tracked == Tracked::Invalid,
                "NEW" => matches!(packet.tracked, Tracked::New | Tracked::Midway),
                other => panic!("state {other}"),
            },
            "--tcp-flags" => {
                assert_eq!((next(), next()), ("FIN,SYN,RST,ACK", "SYN"));
                packet.tracked == Tracked::New
            }
            "--src-type" => next() == "LOCAL" && packet.from_node,
            "--dst-type" => next() == "LOCAL" && packet.to_node,
            "--match-set" => {
                let (name, ends) = (next(), next());
                is_in(sets, name, ends, packet)
            }
            other => panic!("the option {other} is not known here"),
        };
        holds &= condition != is_negated;
        is_negated = false;
    }
    panic!("a rule without a target")
}

fn protocol(name: &str, packet: &Packet) -> bool {
    match (name, packet.payload) {
        ("icmp", Payload::Icmp(_)) => Family::of(packet.source) == Family::V4,
        ("ipv6-icmp", Payload::Icmp(_)) => Family::of(packet.source) == Family::V6,
        (name, Payload::Ports(protocol, _)) => protocol.name() == name,
        _ => false,
    }
}

fn port(range: &str, packet: &Packet) -> bool {
    let Payload::Ports(_, port) = packet.payload else {
        return false;
    };
    let (low, high) = range.split_once(':').unwrap_or((range, range));
    (low.parse().unwrap()..=high.parse().unwrap()).contains(&port)
}

fn icmp_number(packet: &Packet) -> Option<u8> {
    let Payload::Icmp(kind) = packet.payload else {
        return None;
    };
    // Those that the tests send.
    let (v4, v6) = match kind {
        IcmpType::EchoRequest => (8, 128),
        IcmpType::EchoReply => (0, 129),
        IcmpType::DestinationUnreachable => (3, 1),
        IcmpType::TimeExceeded => (11, 3),
        IcmpType::NeighbourSolicitation => (255, 135),
        _ => (255, 255),
    };
    match Family::of(packet.source) {
        Family::V4 => Some(v4),
        Family::V6 => Some(v6),
    }
}

fn is_in(sets: &FakeIpset, name: &str, ends: &str, packet: &Packet) -> bool {
    if name.ends_with("kube-router-svip-prt") {
        return packet.hook == Hook::Input && packet.served;
    }
    let ends: Vec<IpAddr> = ends
        .split(',')
        .map(|end| match end {
            "src" => packet.source,
            "dst" => packet.destination,
            other => panic!("the end {other}"),
        })
        .collect();
    let set = SetName::new(name).unwrap();
    let entries = sets
        .entries(&set)
        .unwrap_or_else(|| panic!("no set {name}"));
    entries.iter().any(|entry| match *entry {
        Entry::Ip(address) => address == ends[0],
        Entry::Net(net) => net.contains(&ends[0]),
        Entry::NetNet(one, other) => one.contains(&ends[0]) && other.contains(&ends[1]),
        Entry::IpPort(address, number, port) => {
            // The port is that of the second end.
            assert_eq!(
                ends[1], packet.destination,
                "only destination ports are compared"
            );
            address == ends[0] && carries(packet, number.0, port)
        }
        Entry::NetPort(net, number, port) => {
            assert_eq!(
                ends[1], packet.destination,
                "only destination ports are compared"
            );
            net.contains(&ends[0]) && carries(packet, number.0, port)
        }
        Entry::IpPortNet(address, number, port, net) => {
            address == ends[0] && carries(packet, number.0, port) && net.contains(&ends[2])
        }
    })
}

fn carries(packet: &Packet, number: u8, port: u16) -> bool {
    matches!(packet.payload, Payload::Ports(protocol, carried)
        if protocol.number() == number && carried == port)
}
