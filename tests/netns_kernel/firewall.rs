//! Both backends of the neutral rules on the real kernel: filled, changed, adopted, meddled with
//! and taken away.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kube_router::firewall::{
    Action, Backend, Chain, Change, ConnectionState, Direction, Dispatch, IcmpType, Jump, Match,
    Member, Name, Names, Nftables, Position, Rule, Seen, SetDef, SetKey, SetKind, Table, TargetKey,
    Wanted, Xtables, apply, changes, iptables_script, nftables_script,
};
use kube_router::kernel::ipset::{Ipset, SetType, Sets};
use kube_router::kernel::iptables::{Iptables, RuleTables, Variant};
use kube_router::kernel::nft::{Monitor, Name as NftName, Nft, Tables};
use kube_router::net::{ByFamily, Family, Prefix, Protocol};

use super::{in_namespace, tool, try_tool};

#[path = "firewall/others.rs"]
mod others;

const TABLE: &str = "kube-router-netpol";
const EGRESS: Dispatch = Dispatch {
    name: Name::of("KUBE-ROUTER-EGRESS"),
    direction: Direction::Source,
};
const INGRESS: Dispatch = Dispatch {
    name: Name::of("KUBE-ROUTER-INGRESS"),
    direction: Direction::Destination,
};
const GATE: SetDef = set("kube-router-local-pods", SetKind::Address);
const OWN: SetDef = set("kube-router-self", SetKind::AddressPair);
const ANY: SetDef = set("KUBE-SRC-AAAAAAAAAAAAAAAA", SetKind::Address);
const PORTS: SetDef = set("KUBE-SRC-BBBBBBBBBBBBBBBB", SetKind::AddressPort);
const NETS: SetDef = set("KUBE-SRC-CCCCCCCCCCCCCCCC", SetKind::Prefix);
const NET_PORTS: SetDef = set("KUBE-SRC-DDDDDDDDDDDDDDDD", SetKind::PrefixPort);
const CLOSED: Name = Name::of("KUBE-NWPLCY-CLOSED");
const ONE: Name = Name::of("KUBE-NWPLCY-AAAAAAAAAAAAAAAA");
const OTHER: Name = Name::of("KUBE-NWPLCY-BBBBBBBBBBBBBBBB");

const NAMES: Names = Names {
    chains: &[
        Name::of("KUBE-ROUTER-NETPOL"),
        Name::of("KUBE-ROUTER-FORWARD"),
        Name::of("KUBE-ROUTER-OUTPUT"),
        Name::of("KUBE-ROUTER-INPUT"),
    ],
    chain_prefixes: &["KUBE-NWPLCY-", "KUBE-POD-FW-"],
    dispatches: &[EGRESS, INGRESS],
    sets: &[GATE, OWN],
};

const fn set(name: &'static str, kind: SetKind) -> SetDef {
    SetDef {
        name: Name::of(name),
        kind,
    }
}

fn pod(family: Family, number: u8) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([10, 244, 1, number]),
        Family::V6 => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(number)]),
    }
}

fn prefix(family: Family, number: u8, host_bits: u8) -> Prefix {
    let address = match family {
        Family::V4 => IpAddr::from([192, 0, 2, number]),
        Family::V6 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number)]),
    };
    Prefix::new(address, family.host_bits() - host_bits)
        .unwrap()
        .trunc()
}

fn rule(matches: Vec<Match>, action: Action) -> Rule {
    Rule {
        matches,
        action,
        comment: "a reason".into(),
    }
}

fn chain(name: &'static str, rules: Vec<Rule>) -> Arc<Chain> {
    Arc::new(Chain {
        table: Table::Filter,
        name: Name::of(name),
        rules,
    })
}

fn is_in(set: SetDef, directions: &'static [Direction]) -> Match {
    Match::InSet { set, directions }
}

const FROM: &[Direction] = &[Direction::Source];
const TO: &[Direction] = &[Direction::Destination];
const FROM_TO: &[Direction] = &[Direction::Source, Direction::Destination];

/// Every kind of rule, set and dispatch, in both families.
fn wanted() -> Wanted {
    let mut wanted = Wanted::new(GATE, CLOSED);
    for family in Family::ALL {
        frame(&mut wanted, family);
        isolation(&mut wanted, family, ONE);
        for number in 1..=3 {
            let address = pod(family, number);
            let members = &mut wanted.members;
            members.add(SetKey::new(family, GATE), Member::Address(address));
            let own = Member::AddressPair(address, address);
            members.add(SetKey::new(family, OWN), own);
        }
        let key = TargetKey {
            dispatch: INGRESS,
            address: pod(family, 1),
        };
        wanted.targets.set(key, ONE);
    }
    wanted
}

fn frame(wanted: &mut Wanted, family: Family) {
    let mut judge = vec![
        rule(vec![Match::State(ConnectionState::Known)], Action::Accept),
        rule(
            vec![Match::Icmp(IcmpType::DestinationUnreachable)],
            Action::Accept,
        ),
        rule(vec![is_in(OWN, FROM_TO)], Action::Accept),
        rule(vec![Match::State(ConnectionState::Invalid)], Action::Drop),
        rule(
            vec![
                Match::Prefix(Direction::Source, prefix(family, 0, 7)),
                Match::NotInSet {
                    set: GATE,
                    directions: FROM,
                },
                Match::NotLocal(Direction::Source),
            ],
            Action::RejectPort,
        ),
    ];
    judge.push(rule(vec![], Action::Dispatch(EGRESS)));
    judge.push(rule(vec![], Action::Dispatch(INGRESS)));
    judge.push(rule(vec![], Action::Accept));
    wanted.set_chain(family, chain("KUBE-ROUTER-NETPOL", judge));
    let judge = || Action::Jump(Name::of("KUBE-ROUTER-NETPOL"));
    let gates = |first: Rule| {
        vec![
            first,
            rule(vec![is_in(GATE, FROM)], judge()),
            rule(vec![is_in(GATE, TO)], judge()),
        ]
    };
    let from_node = rule(vec![Match::Local(Direction::Source)], Action::Return);
    let served = rule(vec![Match::ServedByIpvs], Action::Return);
    wanted.set_chain(
        family,
        chain(
            "KUBE-ROUTER-FORWARD",
            vec![rule(vec![is_in(GATE, FROM)], judge())],
        ),
    );
    wanted.set_chain(family, chain("KUBE-ROUTER-OUTPUT", gates(from_node)));
    wanted.set_chain(family, chain("KUBE-ROUTER-INPUT", gates(served)));
    let refuse = rule(vec![], Action::RejectPort);
    wanted.set_chain(family, chain("KUBE-NWPLCY-CLOSED", vec![refuse]));
    for (from, to) in [
        ("INPUT", "KUBE-ROUTER-INPUT"),
        ("FORWARD", "KUBE-ROUTER-FORWARD"),
        ("OUTPUT", "KUBE-ROUTER-OUTPUT"),
    ] {
        let jump = Jump {
            table: Table::Filter,
            from,
            matches: Vec::new(),
            to: Name::of(to),
            comment: "network policy".into(),
            position: Position::First,
        };
        wanted.jumps.push((family, jump));
    }
}

fn isolation(wanted: &mut Wanted, family: Family, name: Name) {
    let rules = vec![
        rule(vec![is_in(ANY, FROM)], Action::Return),
        rule(vec![is_in(PORTS, FROM_TO)], Action::Return),
        rule(
            vec![is_in(ANY, FROM), Match::Ports(Protocol::Sctp, 0, u16::MAX)],
            Action::Return,
        ),
        rule(vec![is_in(NETS, FROM)], Action::Return),
        rule(vec![is_in(NET_PORTS, FROM_TO)], Action::Return),
        rule(
            vec![Match::Ports(Protocol::Tcp, 8000, 9000)],
            Action::Return,
        ),
        rule(vec![], Action::Log(name)),
        rule(vec![], Action::RejectPort),
    ];
    let table = Table::Filter;
    wanted.set_chain(family, Arc::new(Chain { table, name, rules }));
    let members = &mut wanted.members;
    for number in 10..14 {
        let address = pod(family, number);
        members.add(SetKey::new(family, ANY), Member::Address(address));
        let port = Member::AddressPort(address, Protocol::Udp, 53);
        members.add(SetKey::new(family, PORTS), port);
    }
    for net in [
        prefix(family, 0, 4),
        prefix(family, 16, 4),
        prefix(family, 129, 0),
    ] {
        members.add(SetKey::new(family, NETS), Member::Prefix(net));
        let port = Member::PrefixPort(net, Protocol::Tcp, 443);
        members.add(SetKey::new(family, NET_PORTS), port);
    }
}

/// The backends, each freshly opened.
fn open(kind: &str) -> Box<dyn Backend> {
    if kind == "nftables" {
        let nft = Nft::open().unwrap();
        let mut monitor = Monitor::open(NftName::new(TABLE).unwrap()).unwrap();
        monitor.leave_out(nft.port().unwrap()).unwrap();
        Box::new(Nftables::new(nft, TABLE, &[EGRESS, INGRESS], Some(monitor)).unwrap())
    } else {
        let tools = ByFamily {
            v4: Some(Iptables::open(Family::V4).unwrap()),
            v6: Some(Iptables::open(Family::V6).unwrap()),
        };
        let room = Xtables::new(Ipset::open().unwrap(), tools, NAMES);
        Box::new(listening(room))
    }
}

/// The host's tools are of the nft variant, or it is not told what others do.
fn tells() -> bool {
    Iptables::open(Family::V4).unwrap().variant() == Variant::Nft
}

fn listening<T: RuleTables>(room: Xtables<Ipset, T>) -> Xtables<Ipset, T> {
    if !tells() {
        eprintln!("NOT RUN for changes by others: iptables is of the legacy variant");
        return room;
    }
    let filter = NftName::new("filter").unwrap();
    let monitor = Monitor::open_chains(filter, |chain| NAMES.concerns(chain)).unwrap();
    room.listening(Nft::open().unwrap(), monitor)
}

/// Everything that has to change, carried out without any failure.
fn settle(backend: &mut dyn Backend, wanted: &mut Wanted, seen: &mut Seen, touched_only: bool) {
    let steps = changes(wanted, seen, touched_only);
    let number = steps.len();
    let applied = apply(backend, steps, wanted, seen, &|| {});
    let failures: Vec<String> = applied
        .failures
        .iter()
        .map(|failed| format!("{}: {}", failed.step, failed.reason))
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(applied.done, number);
    wanted.chains.settle_all();
    wanted.targets.settle_all();
    let sets: Vec<SetKey> = wanted.members.touched().keys().copied().collect();
    sets.iter().for_each(|key| wanted.members.settle(key));
}

/// A look at the kernel finds nothing to do.
fn nothing_to_do(backend: &mut dyn Backend, wanted: &Wanted, when: &str) -> Seen {
    let seen = backend.observe(wanted).unwrap();
    let left: Vec<String> = changes(wanted, &seen, false)
        .iter()
        .map(Change::to_string)
        .collect();
    assert!(left.is_empty(), "{when}: {left:#?}");
    seen
}

/// A program that another test starts at this moment has our socket, too, until it begins to run;
/// the table is ours so long.
fn wait_for_release(backend: &mut dyn Backend, wanted: &Wanted) {
    let end = Instant::now() + Duration::from_secs(10);
    while let Err(fault) = backend.observe(wanted) {
        let is_held = fault
            .to_string()
            .contains("belongs to another running process");
        assert!(is_held && Instant::now() < end, "{fault}");
        thread::yield_now();
    }
}

fn on_both(test: impl Fn(&'static str) + Send + Sync + Copy + 'static) {
    for kind in ["nftables", "iptables"] {
        in_namespace(move || test(kind));
    }
}

#[test]
fn an_empty_kernel_is_filled_changed_adopted_and_emptied() {
    on_both(|kind| {
        let mut wanted = wanted();
        let mut backend = open(kind);
        let mut seen = backend.observe(&wanted).unwrap();
        assert!(seen.chains.is_empty() && seen.targets.is_empty(), "{kind}");
        assert_eq!(seen.jumps, None, "{kind}");
        settle(&mut *backend, &mut wanted, &mut seen, false);
        let read = nothing_to_do(&mut *backend, &wanted, kind);
        assert_eq!(read, seen, "{kind}: what is believed is what stands");
        for family in Family::ALL {
            change(&mut wanted, family);
        }
        settle(&mut *backend, &mut wanted, &mut seen, true);
        let read = nothing_to_do(&mut *backend, &wanted, kind);
        assert_eq!(read, seen, "{kind}: after changes");
        assert!(!backend.is_meddled_with(), "{kind}: nobody else was there");
        drop(backend);
        let mut next = open(kind);
        wait_for_release(&mut *next, &wanted);
        nothing_to_do(&mut *next, &wanted, "the next process");
        let mut later = seen;
        wanted.targets.set(
            TargetKey {
                dispatch: EGRESS,
                address: pod(Family::V4, 2),
            },
            CLOSED,
        );
        settle(&mut *next, &mut wanted, &mut later, true);
        nothing_to_do(&mut *next, &wanted, "and goes on from there");
        assert!(next.remove().unwrap(), "{kind}");
        assert!(!next.remove().unwrap(), "{kind}: once");
        let rest = tool("nft list tables");
        assert!(!rest.contains("kube-router"), "{rest}");
        assert!(!tool("iptables-save").contains("KUBE-"), "{kind}");
        // The service proxy's set, which we only made sure of.
        assert_eq!(
            tool("ipset list -n")
                .replace("kube-router-svip-prt", "")
                .replace("inet6:", "")
                .trim(),
            ""
        );
    });
}

/// Another isolation takes the place of the first, with its sets; members and targets move.
fn change(wanted: &mut Wanted, family: Family) {
    let mut rules = vec![rule(vec![is_in(ANY, FROM)], Action::Return)];
    rules.push(rule(vec![], Action::RejectPort));
    let table = Table::Filter;
    let (name, old) = (OTHER, ONE);
    wanted.set_chain(family, Arc::new(Chain { table, name, rules }));
    wanted
        .chains
        .unset(&kube_router::firewall::ChainKey { family, name: old });
    for gone in [PORTS, NETS, NET_PORTS] {
        wanted.members.drop_set(&SetKey::new(family, gone));
    }
    let any = SetKey::new(family, ANY);
    wanted
        .members
        .remove(&any, &Member::Address(pod(family, 10)));
    wanted.members.add(any, Member::Address(pod(family, 20)));
    let gate = SetKey::new(family, GATE);
    wanted
        .members
        .remove(&gate, &Member::Address(pod(family, 3)));
    for (dispatch, number) in [(INGRESS, 1), (INGRESS, 2), (EGRESS, 1)] {
        let address = pod(family, number);
        wanted.targets.set(TargetKey { dispatch, address }, OTHER);
    }
}

#[test]
fn what_others_change_is_put_right() {
    on_both(|kind| {
        let mut wanted = wanted();
        let mut backend = open(kind);
        let mut seen = backend.observe(&wanted).unwrap();
        settle(&mut *backend, &mut wanted, &mut seen, false);
        let meddling: &[&str] = if kind == "nftables" {
            &[
                "nft flush chain inet kube-router-netpol KUBE-ROUTER-NETPOL-v4",
                "nft insert rule inet kube-router-netpol KUBE-NWPLCY-AAAAAAAAAAAAAAAA-v6 accept",
                "nft delete element inet kube-router-netpol kube-router-local-pods-v4 {10.244.1.1}",
                "nft add element inet kube-router-netpol KUBE-SRC-AAAAAAAAAAAAAAAA-v4 {10.9.9.9}",
                "nft flush map inet kube-router-netpol KUBE-ROUTER-INGRESS-v6",
                "nft flush chain inet kube-router-netpol forward",
                "nft add chain inet kube-router-netpol stranger",
                "nft add set inet kube-router-netpol odd {type ipv4_addr;}",
                "nft delete table inet kube-router-netpol",
            ]
        } else {
            &[
                "iptables -F KUBE-ROUTER-NETPOL",
                "ip6tables -I KUBE-NWPLCY-AAAAAAAAAAAAAAAA -j ACCEPT",
                "ipset del kube-router-local-pods 10.244.1.1",
                "ipset add KUBE-SRC-AAAAAAAAAAAAAAAA 10.9.9.9",
                "ipset flush inet6:KUBE-ING-AAAAAAAAAAAAAAAA",
                "iptables -D FORWARD 1",
                "iptables -I OUTPUT -j ACCEPT",
                "ip6tables -F KUBE-ROUTER-INGRESS",
                "ip6tables -F",
                "iptables -N KUBE-POD-FW-ZZZZZZZZZZZZZZZZ",
                "ipset create KUBE-DST-ZZZZZZZZZZZZZZZZ hash:ip",
            ]
        };
        for command in meddling {
            let command = command.replace(" {", "{");
            let (worked, _, reason) = try_tool(&command.replace('{', " {"));
            if !worked {
                // A table that only its owner can change.
                assert_eq!(kind, "nftables", "{command}: {reason}");
                assert!(reason.contains("not permitted"), "{command}: {reason}");
                nothing_to_do(&mut *backend, &wanted, &command);
                continue;
            }
            let is_told = kind == "nftables" || tells() && !command.starts_with("ipset");
            assert_eq!(backend.is_meddled_with(), is_told, "{command} is told");
            while backend.is_meddled_with() {}
            let mut seen = backend.observe(&wanted).unwrap();
            let steps = changes(&wanted, &seen, false);
            assert!(!steps.is_empty(), "{command} is seen");
            settle(&mut *backend, &mut wanted, &mut seen, false);
            nothing_to_do(&mut *backend, &wanted, &command);
            assert!(!backend.is_meddled_with(), "what we did after {command}");
        }
        if kind == "iptables" {
            let first = tool("iptables -S OUTPUT 1");
            assert!(first.contains("KUBE-ROUTER-OUTPUT"), "{first}");
            assert!(tool("iptables -S OUTPUT").contains("-A OUTPUT -j ACCEPT"));
        }
    });
}

/// Feeds a text to a tool.
fn feed(command: &str, text: &str) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("input");
    std::fs::write(&file, text).unwrap();
    let command = format!("{command} {}", file.display());
    let (worked, _, reason) = try_tool(&command);
    assert!(worked, "{command}: {reason}\n{text}");
}

/// What `kube-router plan` prints is what the tools take, and means what we program ourselves.
#[test]
fn the_printed_plan_is_taken_by_the_tools_and_leaves_nothing_to_do() {
    in_namespace(|| {
        let wanted = wanted();
        let script = nftables_script(TABLE, &[EGRESS, INGRESS], &wanted).unwrap();
        feed("nft -f", &script);
        let seen = open("nftables").observe(&wanted).unwrap();
        let left = changes(&wanted, &seen, false);
        // The tool writes the range of a prefix as a mask: the same to packets, not to us.
        let is_masked = |step: &Change| matches!(step, Change::SetChain(_, chain) if chain.name.as_str() == "KUBE-ROUTER-NETPOL");
        assert!(left.iter().all(is_masked) && left.len() == 2, "{left:#?}");
        let listed = tool("nft list table inet kube-router-netpol");
        assert_eq!(
            listed.matches("fib saddr type != local reject").count(),
            2,
            "{listed}"
        );
    });
    in_namespace(|| {
        let wanted = wanted();
        let mut sets = Ipset::open().unwrap();
        for family in Family::ALL {
            // The service proxy makes this one.
            let served = match family {
                Family::V4 => "kube-router-svip-prt hash:ip,port family inet",
                Family::V6 => "inet6:kube-router-svip-prt hash:ip,port family inet6",
            };
            tool(&format!("ipset create {served}"));
            let script = iptables_script(&NAMES, &wanted, family);
            let (members, rules) = script.split_once("*filter\n").unwrap();
            let rules = format!("*filter\n{rules}");
            if !sets.has_type(SetType::HashNetNet, family).unwrap() {
                eprintln!("NOT RUN for pairs: this kernel has no hash:net,net");
                let without = |text: &str| -> String {
                    let lines = text
                        .lines()
                        .filter(|line| !line.contains("kube-router-self"));
                    lines.map(|line| format!("{line}\n")).collect()
                };
                feed("ipset restore -f", &without(members));
                feed(restore(family), &without(&rules));
            } else {
                feed("ipset restore -f", members);
                feed(restore(family), &rules);
            }
        }
        nothing_to_do(&mut *open("iptables"), &wanted, "iptables-restore");
    });
}

fn restore(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables-restore --noflush",
        Family::V6 => "ip6tables-restore --noflush",
    }
}
