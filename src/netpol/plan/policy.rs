//! One policy as the planner works with it, and which policies isolate a pod.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashMap;

use crate::model::{NamedPort, NetworkPolicy, ObjectName, Peer, Pod, PolicyRule, PortSpec};
use crate::net::Protocol;
use crate::netpol::plan::Flow;
use crate::netpol::plan::blocks::Blocks;
use crate::netpol::plan::peers::{PeerKey, Reach};
use crate::netpol::plan::ports::Ports;

/// Stands for one version of one policy.
pub(super) type PolicyId = u64;

/// A rule of a policy, in one direction.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) peers: PartPeers,
    pub(super) ports: Ports,
    /// Ports whose number each pod that traffic goes to says itself.
    pub(super) named: Vec<(Protocol, Arc<str>)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum PartPeers {
    Everyone,
    These(Vec<PeerKey>, Blocks),
}

/// A policy; its rules are read when a pod of this node needs them.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) id: PolicyId,
    pub(super) policy: Arc<NetworkPolicy>,
    ingress: OnceLock<Vec<Part>>,
    egress: OnceLock<Vec<Part>>,
}

/// All policies of the cluster by namespace.
#[derive(Debug, Default)]
pub(super) struct Policies {
    next: PolicyId,
    all: FxHashMap<Arc<str>, BTreeMap<Arc<str>, Arc<Compiled>>>,
}

// === impl Compiled ===

impl Compiled {
    pub(super) fn isolates(&self, flow: Flow) -> bool {
        match flow {
            Flow::Ingress => self.policy.ingress.is_some(),
            Flow::Egress => self.policy.egress.is_some(),
        }
    }

    pub(super) fn parts(&self, flow: Flow) -> &[Part] {
        let (cell, rules) = match flow {
            Flow::Ingress => (&self.ingress, &self.policy.ingress),
            Flow::Egress => (&self.egress, &self.policy.egress),
        };
        cell.get_or_init(|| {
            let rules = rules.iter().flatten();
            rules.map(|rule| part(rule, &self.policy.name)).collect()
        })
    }
}

fn part(rule: &PolicyRule, policy: &ObjectName) -> Part {
    let mut named = Vec::new();
    let ports = match &rule.ports {
        None => Ports::everything(),
        Some(list) => {
            let numbers = list.iter().filter_map(|port| match &port.port {
                PortSpec::All => Some((port.protocol, 0, u16::MAX)),
                PortSpec::Range(range) => Some((port.protocol, *range.start(), *range.end())),
                PortSpec::Named(name) => {
                    named.push((port.protocol, Arc::clone(name)));
                    None
                }
            });
            numbers.collect()
        }
    };
    Part {
        peers: rule.peers.as_deref().map_or(PartPeers::Everyone, |peers| {
            part_peers(peers, &policy.namespace)
        }),
        ports,
        named,
    }
}

fn part_peers(peers: &[Peer], own: &Arc<str>) -> PartPeers {
    let (mut keys, mut blocks) = (Vec::new(), Vec::new());
    for peer in peers {
        match peer {
            Peer::Pods { namespaces, pods } => keys.push(PeerKey {
                reach: match namespaces {
                    None => Reach::Namespace(Arc::clone(own)),
                    Some(selector) => Reach::Namespaces(selector.clone()),
                },
                pods: pods.clone(),
            }),
            Peer::Block(block) => blocks.extend_from_slice(Blocks::of(block).ranges()),
        }
    }
    PartPeers::These(keys, blocks.into_iter().collect())
}

// === impl Policies ===

impl Policies {
    /// Takes in a policy or its end; `false` where nothing changed but its identity.
    pub(super) fn set(&mut self, name: &ObjectName, policy: Option<&Arc<NetworkPolicy>>) -> bool {
        let Some(policy) = policy else {
            let Some(others) = self.all.get_mut(&name.namespace) else {
                return false;
            };
            let removed = others.remove(&name.name);
            if others.is_empty() {
                self.all.remove(&name.namespace);
            }
            return removed.is_some();
        };
        let namespace = self.all.entry(Arc::clone(&name.namespace)).or_default();
        let known = namespace.get(&name.name);
        if known.is_some_and(|known| known.policy == *policy) {
            return false;
        }
        self.next += 1;
        let compiled = Compiled {
            id: self.next,
            policy: Arc::clone(policy),
            ingress: OnceLock::new(),
            egress: OnceLock::new(),
        };
        namespace.insert(Arc::clone(&name.name), Arc::new(compiled));
        true
    }

    pub(super) fn len(&self) -> usize {
        self.all.values().map(BTreeMap::len).sum()
    }

    /// Those that isolate the pod in a direction, in the order of their names.
    pub(super) fn isolating(&self, pod: &Pod, flow: Flow) -> Vec<&Arc<Compiled>> {
        let all = self.all.get(&pod.name.namespace).into_iter();
        let all = all.flat_map(BTreeMap::values);
        all.filter(|one| one.isolates(flow) && one.policy.pods.matches(&pod.labels))
            .collect()
    }
}

/// The ports of the pod that rules for what comes in speak of by name; sorted.
pub(super) fn named_ports(pod: &Pod, policies: &[&Arc<Compiled>]) -> Vec<NamedPort> {
    if pod.ports.is_empty() {
        return Vec::new();
    }
    let is_named = |port: &&NamedPort| {
        let parts = policies.iter().flat_map(|one| one.parts(Flow::Ingress));
        let mut named = parts.flat_map(|part| &part.named);
        named.any(|(protocol, name)| *protocol == port.protocol && *name == port.name)
    };
    let mut ports: Vec<NamedPort> = pod.ports.iter().filter(is_named).cloned().collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}
