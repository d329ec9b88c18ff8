//! Questions to a plan, in one line each.

use kube_router::firewall::{Hook, IcmpType, Packet, Payload, Tracked, Verdict, walk};
use kube_router::netpol::Plan;

use crate::policy_cluster::{Cluster, facts, ip};
use crate::policy_oracle;

pub(crate) fn planned(cluster: &Cluster) -> Plan {
    let mut plan = Plan::default();
    plan.update(&cluster.input());
    plan
}

/// `10.42.0.1 > 10.42.1.2 tcp/80`, `… ping`, `… too-big`, `… proto/47`.
pub(crate) fn packet(line: &str) -> Packet {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [from, ">", to, what] = words[..] else {
        panic!("{line}");
    };
    let payload = match what.split_once('/') {
        None if what == "ping" => Payload::Icmp(IcmpType::EchoRequest),
        None if what == "unreachable" => Payload::Icmp(IcmpType::DestinationUnreachable),
        None if what == "too-big" => Payload::Icmp(IcmpType::PacketTooBig),
        Some(("proto", number)) => Payload::Other(number.parse().unwrap()),
        Some((protocol, port)) => Payload::Ports(protocol.parse().unwrap(), port.parse().unwrap()),
        None => panic!("{line}"),
    };
    let (source, destination) = (ip(from), ip(to));
    let (from_node, to_node) = (facts().is_local(source), facts().is_local(destination));
    Packet {
        hook: match (from_node, to_node) {
            (true, _) => Hook::Output,
            (_, true) => Hook::Input,
            _ => Hook::Forward,
        },
        source,
        destination,
        payload,
        tracked: Tracked::New,
        from_node,
        to_node,
        served: false,
    }
}

pub(crate) fn passes(cluster: &Cluster, plan: &Plan, packet: &Packet) -> bool {
    let (verdict, steps) = walk(plan.wanted(), packet);
    let passes = verdict == Verdict::Accept;
    let oracle = policy_oracle::passes(cluster, &facts(), packet);
    assert_eq!(passes, oracle, "rules and oracle: {packet:?} {steps:#?}");
    passes
}

/// Lines that pass, and lines that do not.
#[track_caller]
pub(crate) fn expect(cluster: &Cluster, pass: &[&str], refused: &[&str]) {
    expect_of(cluster, &planned(cluster), pass, refused);
}

#[track_caller]
pub(crate) fn expect_of(cluster: &Cluster, plan: &Plan, pass: &[&str], refused: &[&str]) {
    for line in pass {
        assert!(passes(cluster, plan, &packet(line)), "refused: {line}");
    }
    for line in refused {
        assert!(!passes(cluster, plan, &packet(line)), "passed: {line}");
    }
}
