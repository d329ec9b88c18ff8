//! Isolations: which there are, the chain of each, and the pods that share it.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::firewall::{ChainKey, Members, Name, SetKey, Wanted};
use crate::model::{NamedPort, ObjectName, Pod};
use crate::net::Family;
use crate::netpol::plan::chain::Built;
use crate::netpol::plan::content::Content;
use crate::netpol::plan::peers::{PeerKey, Peers, Reasons, set_keys};
use crate::netpol::plan::pods::{Namespaces, PodId, Pods};
use crate::netpol::plan::policy::{Compiled, Policies, PolicyId, named_ports};
use crate::netpol::plan::{Flow, Ground};

/// What an isolation is made from; pods with the same key share it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct IsolationKey {
    pub(super) flow: Flow,
    policies: Vec<PolicyId>,
    /// Of the pod itself, as far as the policies name them.
    ports: Vec<NamedPort>,
}

#[derive(Debug)]
struct Isolation {
    chain: Name,
    policies: Vec<ObjectName>,
    pods: BTreeSet<PodId>,
}

/// A chain that stands, and what goes with it.
#[derive(Debug)]
struct Standing {
    flow: Flow,
    /// Its own of each family, and such as branch off.
    chains: Vec<ChainKey>,
    sets: Vec<SetKey>,
    peers: BTreeSet<PeerKey>,
    isolations: BTreeSet<Arc<IsolationKey>>,
}

/// All isolations of pods of this node.
#[derive(Debug, Default)]
pub(super) struct Isolations {
    all: FxHashMap<Arc<IsolationKey>, Isolation>,
    chains: FxHashMap<Name, Standing>,
    /// Whose last pod has left.
    empty: Vec<Arc<IsolationKey>>,
}

/// What a chain is made of besides its policies.
#[derive(Debug)]
pub(super) struct Materials<'a> {
    pub(super) ground: &'a Ground,
    pub(super) namespaces: &'a Namespaces,
    pub(super) pods: &'a mut Pods,
    pub(super) peers: &'a mut Peers,
    pub(super) reasons: &'a mut Reasons,
    pub(super) wanted: &'a mut Wanted,
}

/// Who isolates a pod in one direction; `None` for nobody.
pub(super) fn key(
    pod: &Pod,
    flow: Flow,
    policies: &[&Arc<Compiled>],
    default_deny: bool,
) -> Option<IsolationKey> {
    if policies.is_empty() && !default_deny {
        return None;
    }
    Some(IsolationKey {
        flow,
        policies: policies.iter().map(|one| one.id).collect(),
        ports: match flow {
            Flow::Ingress => named_ports(pod, policies),
            Flow::Egress => Vec::new(),
        },
    })
}

// === impl Isolations ===

impl Isolations {
    /// Isolates a pod of this node anew in one direction; the chain that judges it from now on.
    pub(super) fn isolate(
        &mut self,
        id: PodId,
        pod: &Pod,
        flow: Flow,
        policies: &Policies,
        with: &mut Materials<'_>,
    ) -> Option<Name> {
        let selecting = policies.isolating(pod, flow);
        let namespace = with.namespaces.get(&pod.name.namespace);
        let default_deny =
            flow == Flow::Ingress && namespace.is_some_and(|namespace| namespace.default_deny);
        let wanted = key(pod, flow, &selecting, default_deny);
        let shown = &mut with.pods.get_mut(id)?.shown;
        let held = shown.isolation(flow);
        if held.as_deref() != wanted.as_ref() {
            let wanted = wanted.map(Arc::new);
            let old = std::mem::replace(held, wanted.clone());
            if let Some(wanted) = &wanted {
                self.join(id, wanted, &selecting, with);
            }
            self.leave(id, old);
        }
        let held = with.pods.get_mut(id)?.shown.isolation(flow).as_ref()?;
        self.all.get(held).map(|isolation| isolation.chain)
    }

    fn join(
        &mut self,
        id: PodId,
        key: &Arc<IsolationKey>,
        policies: &[&Arc<Compiled>],
        with: &mut Materials<'_>,
    ) {
        if let Some(isolation) = self.all.get_mut(key) {
            isolation.pods.insert(id);
            return;
        }
        let parts = policies.iter().flat_map(|one| one.parts(key.flow));
        let content = Content::of(key.flow, parts, &key.ports);
        let chain = content.name();
        if let Some(standing) = self.chains.get_mut(&chain) {
            standing.isolations.insert(Arc::clone(key));
        } else {
            let standing = raise(&content, chain, key, with);
            self.chains.insert(chain, standing);
        }
        let policies = policies.iter().map(|one| one.policy.name.clone());
        let isolation = Isolation {
            chain,
            policies: policies.collect(),
            pods: BTreeSet::from([id]),
        };
        self.all.insert(Arc::clone(key), isolation);
    }

    /// The pod is not isolated so any more; [`Isolations::sweep`] follows.
    pub(super) fn leave(&mut self, id: PodId, key: Option<Arc<IsolationKey>>) {
        let Some(key) = key else { return };
        if let Some(isolation) = self.all.get_mut(&key) {
            isolation.pods.remove(&id);
            if isolation.pods.is_empty() {
                self.empty.push(key);
            }
        }
    }

    /// Takes down what no pod needs any more.
    pub(super) fn sweep(&mut self, with: &mut Materials<'_>) {
        for key in std::mem::take(&mut self.empty) {
            let gone = self.all.get(&key).filter(|one| one.pods.is_empty());
            let Some(chain) = gone.map(|one| one.chain) else {
                continue;
            };
            self.all.remove(&key);
            let Some(standing) = self.chains.get_mut(&chain) else {
                continue;
            };
            standing.isolations.remove(&key);
            if standing.isolations.is_empty()
                && let Some(standing) = self.chains.remove(&chain)
            {
                raze(&standing, chain, with);
            }
        }
    }

    pub(super) fn chain_count(&self) -> usize {
        self.chains.len()
    }

    /// The direction a chain judges.
    pub(super) fn flow(&self, chain: Name) -> Option<Flow> {
        self.chains.get(&chain).map(|standing| standing.flow)
    }

    /// The policies and pods of each isolation that shares a chain.
    pub(super) fn of_chain(
        &self,
        chain: Name,
    ) -> impl Iterator<Item = (&[ObjectName], &BTreeSet<PodId>)> {
        let standing = self.chains.get(&chain).into_iter();
        let keys = standing.flat_map(|standing| &standing.isolations);
        let all = keys.filter_map(|key| self.all.get(key));
        all.map(|one| (one.policies.as_slice(), &one.pods))
    }

    pub(super) fn get(&self, key: &IsolationKey) -> Option<(Name, &[ObjectName])> {
        let isolation = self.all.get(key)?;
        Some((isolation.chain, &isolation.policies))
    }

    /// Policies that select a pod of this node.
    pub(super) fn policy_count(&self) -> usize {
        let all = self.all.values().flat_map(|one| &one.policies);
        all.collect::<BTreeSet<_>>().len()
    }
}

/// Wants a chain and its sets.
fn raise(
    content: &Content,
    name: Name,
    key: &Arc<IsolationKey>,
    with: &mut Materials<'_>,
) -> Standing {
    let mut built = Built::of(content, name);
    let families: Vec<Family> = with.ground.families().collect();
    let members: &mut Members = &mut with.wanted.members;
    let mut sets: Vec<SetKey> = Vec::new();
    for set in built.pod_sets() {
        sets.extend(set_keys(set, &families));
    }
    for set in &sets {
        members.declare(*set);
    }
    let mut peers = BTreeSet::new();
    for (peer, sink) in std::mem::take(&mut built.sinks) {
        let into = (&mut *members, &mut *with.reasons);
        with.peers
            .connect(&peer, sink, with.pods, with.namespaces, into);
        peers.insert(peer);
    }
    let mut chains = Vec::new();
    for family in families {
        for (set, list) in built.block_members(family) {
            let set = SetKey::new(family, set);
            sets.push(set);
            list.into_iter().for_each(|member| members.add(set, member));
        }
        for chain in built.chains(family, with.ground.log_drops) {
            let key = ChainKey {
                family,
                name: chain.name,
            };
            with.wanted.chains.set(key, Arc::new(chain));
            chains.push(key);
        }
    }
    Standing {
        flow: content.flow,
        chains,
        sets,
        peers,
        isolations: BTreeSet::from([Arc::clone(key)]),
    }
}

fn raze(standing: &Standing, name: Name, with: &mut Materials<'_>) {
    for peer in &standing.peers {
        with.peers.disconnect(peer, name, with.pods);
    }
    for set in &standing.sets {
        with.wanted.members.drop_set(set);
        with.reasons.forget(set);
    }
    for key in &standing.chains {
        with.wanted.chains.unset(key);
    }
}
