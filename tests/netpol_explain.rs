//! What `kube-router explain` answers, for every pair of random small clusters: the verdict is the
//! oracle's on every node that has a say, and so is every rule that is named.
//!
//! `PROPTEST_CASES` says how many clusters.
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "common/policy_cluster.rs"]
mod policy_cluster;
#[path = "common/policy_oracle.rs"]
mod policy_oracle;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use kube_router::firewall::{Hook, IcmpType, Packet, Payload, Tracked};
use kube_router::model::{LocalAddress, NodeFacts, ObjectName, Pod};
use kube_router::net::{ByFamily, Protocol};
use kube_router::netpol::{Answer, End, Flow, Judgement, Question};
use policy_cluster::{Cluster, NODE, any_cluster, facts, ip, prefix};
use policy_oracle::{passes, pod_at};
use proptest::prelude::*;

const STRANGERS: [&str; 5] = [
    "203.0.113.9",
    "198.51.100.1",
    "10.42.0.200",
    "2001:db8::9",
    "fd00:42::7",
];

/// The node of the other pods.
fn facts_there() -> NodeFacts {
    let address = |text: &str, prefix_length| LocalAddress {
        address: ip(text),
        prefix_length,
        link: "eth0".into(),
    };
    NodeFacts {
        name: "there".into(),
        primary: ByFamily {
            v4: Some(ip("192.168.7.2")),
            v6: Some(ip("fd00:7::2")),
        },
        addresses: vec![address("192.168.7.2", 24), address("fd00:7::2", 64)],
        pod_cidrs: vec![prefix("10.42.1.0/24"), prefix("fd00:42:1::/64")],
        ..facts()
    }
}

fn facts_of(node: &str) -> NodeFacts {
    match node {
        NODE => facts(),
        _ => facts_there(),
    }
}

/// A running pod knows its node; of those that claim one address the last one has it.
fn settled(mut cluster: Cluster) -> Cluster {
    for pod in &mut cluster.pods {
        pod.node.get_or_insert_with(|| NODE.into());
        pod.host_ips.clear();
    }
    cluster
}

fn end_at(cluster: &Cluster, address: IpAddr) -> End {
    match pod_at(cluster, address) {
        Some(pod) => End::Pod(Arc::new(Pod {
            addresses: vec![address],
            ..pod.clone()
        })),
        None => End::Address(address),
    }
}

fn packet(node: &NodeFacts, source: IpAddr, destination: IpAddr, payload: Payload) -> Packet {
    let (from_node, to_node) = (node.is_local(source), node.is_local(destination));
    Packet {
        hook: match (from_node, to_node) {
            (true, _) => Hook::Output,
            (false, true) => Hook::Input,
            (false, false) => Hook::Forward,
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

/// The rules that let the packet through when nothing else stands beside them.
fn alone(cluster: &Cluster, judgement: &Judgement, packet: &Packet) -> Vec<(ObjectName, usize)> {
    let isolating = cluster
        .policies
        .iter()
        .filter(|policy| judgement.isolated_by.contains(&policy.name));
    let rules = isolating.flat_map(|policy| {
        let rules = match judgement.flow {
            Flow::Ingress => &policy.ingress,
            Flow::Egress => &policy.egress,
        };
        (1..)
            .zip(rules.iter().flatten())
            .map(move |(at, rule)| (policy, at, rule))
    });
    let lets = rules.filter(|(policy, _, rule)| {
        let mut only = cluster.clone();
        only.settings.default_deny = false;
        for namespace in &mut only.namespaces {
            namespace.default_deny = false;
        }
        let mut policy = (*policy).clone();
        let one = Some(vec![(*rule).clone()]);
        (policy.ingress, policy.egress) = match judgement.flow {
            Flow::Ingress => (one, None),
            Flow::Egress => (None, one),
        };
        // The other end may be of the same policy: only this direction is asked.
        only.policies = vec![policy];
        passes(&only, &facts_of(&judgement.node), packet)
    });
    lets.map(|(policy, at, _)| (policy.name.clone(), at))
        .collect()
}

fn check(cluster: &Cluster, answer: &Answer, payload: Payload) -> Result<(), TestCaseError> {
    let (source, destination) = (answer.source, answer.destination);
    let ends = [source, destination].map(|address| pod_at(cluster, address));
    let nodes: BTreeSet<&str> = ends
        .iter()
        .flatten()
        .filter_map(|pod| pod.node.as_deref())
        .collect();
    let expected = nodes.iter().all(|node| {
        let node = facts_of(node);
        passes(cluster, &node, &packet(&node, source, destination, payload))
    });
    prop_assert_eq!(answer.is_allowed, expected, "{}", answer);
    if source == destination {
        return Ok(());
    }
    for judgement in &answer.judgements {
        let node = facts_of(&judgement.node);
        let packet = packet(&node, source, destination, payload);
        let mut told = judgement.allowed_by.clone();
        told.sort();
        let mut rules = alone(cluster, judgement, &packet);
        rules.sort();
        prop_assert_eq!(told, rules, "{}", judgement);
    }
    let all = answer.judgements.iter().all(Judgement::allows);
    prop_assert!(all || !answer.is_allowed, "{}", answer);
    prop_assert!(
        all == answer.is_allowed || cluster.settings.default_deny,
        "no reason for the refusal: {}",
        answer
    );
    Ok(())
}

fn cases() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 200;
    }
    config
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn explain_answers_as_the_oracle_does_and_names_the_rules(cluster in any_cluster()) {
        let cluster = settled(cluster);
        let input = cluster.input();
        let pods = cluster.pods.iter().flat_map(|pod| pod.addresses.clone());
        let addresses: BTreeSet<IpAddr> = pods.chain(STRANGERS.map(ip)).collect();
        let payloads = [
            Payload::Ports(Protocol::Tcp, 80),
            Payload::Ports(Protocol::Udp, 53),
            Payload::Ports(Protocol::Sctp, 8080),
            Payload::Icmp(IcmpType::EchoRequest),
        ];
        for (turn, source) in addresses.iter().enumerate() {
            for (step, destination) in addresses.iter().enumerate() {
                let payload = payloads[(turn + step) % payloads.len()];
                let question = Question {
                    snapshot: &input.snapshot,
                    settings: &input.settings,
                    from: &end_at(&cluster, *source),
                    to: &end_at(&cluster, *destination),
                    payload,
                };
                for answer in question.answers(&facts_of) {
                    check(&cluster, &answer, payload)?;
                }
            }
        }
    }
}
