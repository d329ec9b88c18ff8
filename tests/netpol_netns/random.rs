//! Random small clusters: packets fare as the oracle says, then the cluster changes under them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use kube_router::config::NetpolBackend;
use kube_router::model::PortSpec;
use kube_router::net::Protocol;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::driver::{Driver, NODE};
use crate::lab::{GATEWAY, Joint, Lab};
use crate::policy_cluster::{Cluster, any_cluster, any_labels, any_namespace, any_policy};
use crate::policy_oracle::{pod_at, runs_here};
use crate::probe::Probe;
use crate::server::PORTS;
use crate::{in_lab, number_from_environment};

/// Probes per pair of addresses of a fresh cluster, and after a change.
const SAMPLE: usize = 2;
const SAMPLE_LATER: usize = 1;

/// A small change of a running cluster.
#[derive(Debug, Clone)]
enum Edit {
    Labels(prop::sample::Index, kube_router::model::Labels),
    PodGone(prop::sample::Index),
    PodFinished(prop::sample::Index),
    Policy(kube_router::model::NetworkPolicy),
    PolicyGone(prop::sample::Index),
    Namespace(kube_router::model::Namespace),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        3 => (at(), any_labels()).prop_map(|(at, labels)| Edit::Labels(at, labels)),
        1 => at().prop_map(Edit::PodGone),
        1 => at().prop_map(Edit::PodFinished),
        2 => any_policy().prop_map(Edit::Policy),
        2 => at().prop_map(Edit::PolicyGone),
        2 => any_namespace().prop_map(Edit::Namespace),
    ]
}

impl Edit {
    fn make(self, cluster: &mut Cluster) {
        let (pods, policies) = (&mut cluster.pods, &mut cluster.policies);
        match self {
            Self::Labels(at, labels) if !pods.is_empty() => at.get_mut(pods).labels = labels,
            Self::PodGone(at) if !pods.is_empty() => drop(pods.remove(at.index(pods.len()))),
            Self::PodFinished(at) if !pods.is_empty() => at.get_mut(pods).finished = true,
            Self::PolicyGone(at) if !policies.is_empty() => {
                policies.remove(at.index(policies.len()));
            }
            Self::Policy(policy) => {
                policies.retain(|one| one.name != policy.name);
                policies.push(policy);
            }
            Self::Namespace(namespace) => {
                cluster.namespaces.retain(|one| one.name != namespace.name);
                cluster.namespaces.push(namespace);
            }
            _ => {}
        }
    }
}

/// The ports that answer, those next to the ends of what policies name first.
fn payloads(cluster: &Cluster) -> Vec<(Protocol, u16)> {
    let rules = cluster.policies.iter();
    let rules = rules.flat_map(|one| one.ingress.iter().chain(&one.egress).flatten());
    let mut found = BTreeSet::from([(Protocol::Tcp, 7), (Protocol::Udp, 9)]);
    for port in rules.flat_map(|rule| rule.ports.iter().flatten()) {
        let numbers = match &port.port {
            PortSpec::All => vec![2, 65535],
            PortSpec::Range(range) => {
                let (low, high) = (*range.start(), *range.end());
                vec![low.saturating_sub(1), low, high, high.saturating_add(1)]
            }
            PortSpec::Named(_) => vec![53, 80, 81, 8080],
        };
        found.extend(numbers.into_iter().map(|number| (port.protocol, number)));
    }
    let pods = cluster.pods.iter().flat_map(|pod| &pod.ports);
    found.extend(pods.map(|port| (port.protocol, port.port)));
    found
        .into_iter()
        .filter(|(_, port)| PORTS.contains(port))
        .collect()
}

/// Some payloads for every pair of addresses that concerns a pod of this node, and a few others.
fn probes(lab: &Lab, cluster: &Cluster, sample: usize, turn: &mut usize) -> Vec<Probe> {
    let payloads = payloads(cluster);
    let all: Vec<(usize, IpAddr)> = lab
        .places
        .iter()
        .enumerate()
        .flat_map(|(number, place)| place.addresses.iter().map(move |one| (number, *one)))
        .filter(|(_, address)| !GATEWAY.contains(&address.to_string().as_str()))
        .collect();
    let is_here = |address: IpAddr| {
        let in_range = NODE.pod_cidrs.iter().any(|range| range.contains(&address));
        pod_at(cluster, address).is_some_and(|pod| runs_here(pod, &NODE))
            || (in_range && cluster.settings.default_deny)
    };
    let mut probes = Vec::new();
    for (from_place, from) in &all {
        for (to_place, to) in &all {
            *turn += 1;
            let concerns = is_here(*from) || is_here(*to) || turn.is_multiple_of(16);
            if from_place == to_place || from.is_ipv4() != to.is_ipv4() || !concerns {
                continue;
            }
            let mut has_sctp = false;
            let round = payloads.iter().cycle().skip(*turn % payloads.len());
            let step = payloads.len().div_ceil(sample);
            for (protocol, port) in round.step_by(step).take(sample) {
                let is_sctp = *protocol == Protocol::Sctp;
                if is_sctp && std::mem::replace(&mut has_sctp, true) {
                    continue;
                }
                probes.push(Probe {
                    from: *from,
                    to: *to,
                    protocol: *protocol,
                    port: *port,
                });
            }
        }
    }
    probes.sort_unstable();
    probes.dedup();
    probes
}

/// Says at a failure which cluster it was.
struct Case(String);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("again with {}", self.0);
        }
    }
}

fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(Config::default(), rng)
}

/// `KUBE_ROUTER_CLUSTERS` says how many, `KUBE_ROUTER_SEED` which is the first.
fn clusters(joint: Joint, backend: NetpolBackend, number: u64, first: u64) {
    in_lab(joint, move |lab| {
        let number = number_from_environment("KUBE_ROUTER_CLUSTERS").unwrap_or(number);
        let first = number_from_environment("KUBE_ROUTER_SEED").unwrap_or(first);
        let mut driver = Driver::new(backend);
        let (mut count, mut turn) = (0, 0);
        for seed in first..first + number {
            let _case = Case(format!("KUBE_ROUTER_SEED={seed} {backend:?} {joint:?}"));
            let mut runner = runner(seed);
            let mut cluster = any_cluster().new_tree(&mut runner).unwrap().current();
            if seed % 4 == 0 {
                // Another process adopts what the last one left.
                driver = Driver::new(backend);
            }
            let mut check =
                |driver: &mut Driver, cluster: &Cluster, sample, what: &dyn Fn() -> String| {
                    driver.bring(cluster);
                    let probes = probes(lab, cluster, sample, &mut turn);
                    count += probes.len();
                    let wrong = lab.disagreements(cluster, driver.plan(), &probes);
                    assert!(wrong.is_empty(), "{}\n{wrong:#?}\n{cluster:#?}", what());
                };
            check(&mut driver, &cluster, SAMPLE, &|| "fresh".to_owned());
            for _ in 0..2 {
                let edit = any_edit().new_tree(&mut runner).unwrap().current();
                edit.clone().make(&mut cluster);
                check(&mut driver, &cluster, SAMPLE_LATER, &|| format!("{edit:?}"));
            }
            driver.audit();
        }
        println!("{number} clusters, {count} packets, {backend:?}, {joint:?}");
    });
}

#[test]
fn packets_through_nftables_fare_as_the_api_says() {
    clusters(Joint::Routed, NetpolBackend::Nftables, 220, 0);
}

#[test]
fn packets_through_iptables_fare_as_the_api_says() {
    clusters(Joint::Routed, NetpolBackend::Iptables, 220, 0);
}

#[test]
fn frames_over_a_bridge_with_nftables_fare_as_the_api_says() {
    clusters(Joint::Bridged, NetpolBackend::Nftables, 80, 1000);
}

#[test]
fn frames_over_a_bridge_with_iptables_fare_as_the_api_says() {
    clusters(Joint::Bridged, NetpolBackend::Iptables, 80, 1000);
}
