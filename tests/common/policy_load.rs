//! Nodes under a heavy load of network policy, for benches with a real kernel.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by several benches, each using a part"
)]

use std::net::IpAddr;

use kube_router::config::NetpolBackend;
use kube_router::model::{NetworkPolicy, Peer, Pod, PolicyPort, PolicyRule, PortSpec};
use kube_router::net::Protocol;
use kube_router::netpol::{HostKernel, Netpol};
use kube_router::reconcile::{Controller, Scope};

use crate::policy_cluster::{
    Cluster, block, ip, named, namespace, namespaces, pod, policy, port, remote, rule,
    same_namespace, selector, tcp,
};

/// Pods of this node.
pub const LOCAL: usize = 100;
pub const POLICIES: usize = 100;
/// Of each policy in each direction.
pub const RULES: usize = 50;
/// The port on which the measured pod answers: in the highest of all ranges, which comes last.
pub const PORT: u16 = 65_007;

/// How 100 policies of 100 rules lie on 100 pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Each policy selects a pod of its own.
    Spread,
    /// Every policy selects every pod: each is judged by all 10,000 rules.
    Heap,
}

/// The addresses of a pod of this node, from 0.
pub fn addresses(at: usize) -> [IpAddr; 2] {
    let at = at + 1;
    [
        ip(&format!("10.42.0.{at}")),
        ip(&format!("fd00:42::{at:x}")),
    ]
}

/// 100 policies with 50 rules in and 50 out. Of ten rules five name a group of pods elsewhere,
/// four a block of each family, and those a single port; one names blocks and a range of ports.
/// No two rules of a direction are alike. The last rule of the first policies (of the last one,
/// where each selects all) lets the first two pods talk, by blocks and a range of ports.
pub fn ten_thousand_rules(shape: Shape) -> Cluster {
    let mut cluster = Cluster {
        namespaces: vec![namespace("load", &[])],
        ..Cluster::default()
    };
    for at in 0..LOCAL {
        let own = format!("own-{at}");
        let [v4, v6] = addresses(at).map(|one| one.to_string());
        let name = format!("load/pod-{at}");
        cluster.pods.push(pod(&name, &[&v4, &v6], &[("own", &own)]));
    }
    for at in 0..GROUPS {
        let (v4, v6) = (
            format!("10.43.{}.{}", at / 250, at % 250 + 1),
            format!("fd00:43::{at:x}"),
        );
        let peer = format!("peer-{at}");
        let one = pod(&format!("load/{peer}"), &[&v4, &v6], &[("peer", &peer)]);
        cluster.pods.push(remote(one));
    }
    cluster.policies = (0..POLICIES).map(|at| load_policy(at, shape)).collect();
    cluster
}

const GROUPS: usize = 500;

fn load_policy(at: usize, shape: Shape) -> NetworkPolicy {
    let own = format!("own-{at}");
    let (selected, opens) = match shape {
        Shape::Spread => (selector(&[("own", &own)]), at < 2),
        Shape::Heap => (selector(&[]), at == POLICIES - 1),
    };
    let rules = || {
        let mut rules: Vec<PolicyRule> =
            (0..RULES).map(|one| load_rule(at * RULES + one)).collect();
        if opens && let Some(last) = rules.last_mut() {
            let peers = (0..2).flat_map(addresses).map(|one| {
                let length = if one.is_ipv4() { 32 } else { 128 };
                block(&format!("{one}/{length}"), &[])
            });
            *last = rule(Some(peers.collect()), Some(vec![udp(PORT, PORT + 6)]));
        }
        rules
    };
    let name = format!("load/policy-{at:03}");
    policy(&name, selected, Some(rules()), Some(rules()))
}

fn load_rule(number: usize) -> PolicyRule {
    let low = u16::try_from(8 * number).unwrap() % 40_000 + 10_000;
    let (peers, ports) = match number % 10 {
        0..5 => {
            let peer = format!("peer-{}", number % GROUPS);
            (
                vec![same_namespace(selector(&[("peer", &peer)]))],
                udp(low, low),
            )
        }
        5..9 => (blocks(number), udp(low, low)),
        _ => (blocks(number), udp(low, low + 6)),
    };
    rule(Some(peers), Some(vec![ports]))
}

fn blocks(number: usize) -> Vec<Peer> {
    let (high, low) = (number / 250, number % 250);
    vec![
        block(&format!("172.{}.{low}.0/24", 16 + high), &[]),
        block(&format!("fd00:b:{number:x}::/64"), &[]),
    ]
}

fn udp(from: u16, to: u16) -> PolicyPort {
    PolicyPort {
        protocol: Protocol::Udp,
        port: PortSpec::Range(from..=to),
    }
}

/// 100 policies as a cluster of tenants has them: 20 namespaces of 5 pods here and 60 elsewhere,
/// and in each 5 policies that select some pods and let in their neighbours, a team's monitoring
/// and an office's blocks, and out the database, the resolvers and the internet.
pub fn tenants() -> Cluster {
    let mut cluster = Cluster::default();
    for space in 0..SPACES {
        let (name, team) = (format!("ns-{space}"), format!("team-{}", space % 4));
        let one = namespace(&name, &[("name", &name), ("team", &team)]);
        cluster.namespaces.push(one);
        cluster.pods.extend((0..65).map(|at| tenant(space, at)));
        cluster
            .policies
            .extend((0..5).map(|at| tenants_policy(space, at)));
    }
    assert_eq!(cluster.policies.len(), POLICIES);
    cluster
}

const SPACES: usize = 20;

fn tenant(space: usize, at: usize) -> Pod {
    let app = format!("app-{}", at % 5);
    let name = format!("ns-{space}/pod-{at}");
    let pairs = [("app", app.as_str()), ("pod-template-hash", "5d4f8c7b9")];
    let mut one = if at < 5 {
        let [v4, v6] = addresses(space * 5 + at).map(|one| one.to_string());
        pod(&name, &[&v4, &v6], &pairs)
    } else {
        let number = space * 60 + at - 5;
        let v4 = format!("10.44.{}.{}", number / 250, number % 250 + 1);
        remote(pod(&name, &[&v4, &format!("fd00:44::{number:x}")], &pairs))
    };
    one.ports = vec![
        port("http", Protocol::Tcp, 8080),
        port("metrics", Protocol::Tcp, 9090),
    ];
    one
}

fn tenants_policy(space: usize, at: usize) -> NetworkPolicy {
    let app = |at: usize| format!("app-{}", at % 5);
    let (own, next, team) = (app(at), app(at + 1), format!("team-{}", space % 4));
    let office = (0..10).map(|office| block(&format!("198.18.{}.0/24", space * 10 + office), &[]));
    let ingress = vec![
        rule(
            Some(vec![same_namespace(selector(&[("app", &next)]))]),
            Some(vec![named(Protocol::Tcp, "http"), tcp(8443, 8443)]),
        ),
        rule(
            Some(vec![namespaces(
                selector(&[("team", &team)]),
                selector(&[("app", "app-0")]),
            )]),
            Some(vec![named(Protocol::Tcp, "metrics")]),
        ),
        rule(Some(office.collect()), Some(vec![tcp(443, 443)])),
    ];
    let egress = vec![
        rule(
            Some(vec![same_namespace(selector(&[("app", &next)]))]),
            Some(vec![tcp(5432, 5432), named(Protocol::Tcp, "http")]),
        ),
        rule(
            Some(vec![namespaces(
                selector(&[("name", "ns-0")]),
                selector(&[("app", "app-4")]),
            )]),
            Some(vec![udp(53, 53), tcp(53, 53)]),
        ),
        rule(
            Some(vec![
                block(
                    "0.0.0.0/0",
                    &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
                ),
                block("::/0", &["fc00::/7"]),
            ]),
            Some(vec![tcp(443, 443), tcp(30_000, 32_767)]),
        ),
    ];
    let name = format!("ns-{space}/policy-{at}");
    let selected = selector(&[("app", &own)]);
    policy(&name, selected, Some(ingress), Some(egress))
}

/// The controller with a plan, and nothing programmed yet.
pub fn planned(cluster: &Cluster, backend: NetpolBackend) -> Netpol<HostKernel> {
    let mut cluster = cluster.clone();
    cluster.settings.backend = backend;
    let mut netpol = Netpol::new(HostKernel::new());
    netpol.plan(&cluster.input());
    netpol
}

/// Brings the plan to the kernel of the calling thread's namespace, as a daemon that has just
/// started does; how many steps it took.
pub fn program(netpol: &mut Netpol<HostKernel>) -> usize {
    let mut seen = netpol.observe().unwrap();
    let steps = netpol.changes(&seen, Scope::Everything);
    let report = netpol.apply(steps, &mut seen, &|| {});
    let failures = report.failures.iter();
    let failures: Vec<String> = failures.map(|one| one.change.to_string()).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    report.applied
}

/// What a read-back finds missing or too much.
pub fn left(netpol: &mut Netpol<HostKernel>) -> Vec<String> {
    let seen = netpol.observe().unwrap();
    let steps = netpol.changes(&seen, Scope::Everything);
    steps.iter().map(ToString::to_string).collect()
}
