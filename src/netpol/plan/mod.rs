//! Policies, pods and namespaces to every rule this node wants.
//!
//! ```text
//! policies that select a pod of this node ─► Content (merged, canonical) ─► chain, named by it
//! pods, namespaces ─► groups that those rules name ─► members of the chain's sets
//! pods of this node ─► gate, and (direction, address) ─► chain
//! ```
//!
//! The result depends on the present input only. What is remembered saves work: a pod's change
//! looks at the groups it may belong to, a policy's at the pods of this node in its namespace.
//! `tests/netpol_oracle.rs` holds the rules against a plain reading of the API's text, and random
//! histories against a fresh plan.

mod blocks;
mod branches;
mod chain;
mod content;
mod frame;
mod index;
mod isolation;
mod names;
mod parts;
mod peers;
mod pods;
mod policy;
mod ports;
mod reason;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::Established;
use crate::firewall::{Name, Payload, Wanted};
use crate::model::{Note, ObjectName, Pod, Snapshot};
use crate::net::{ByFamily, Family, Prefix, is_usable};
use crate::netpol::Input;
use crate::netpol::plan::parts::Parts;
use crate::netpol::plan::reason::{Other, admits};

pub use frame::{CHAIN_PREFIXES, CHAINS, CLOSED, CLOSED_LOG, DISPATCHES, LOCAL_PODS, SELF, SETS};

/// What a policy isolates a pod from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flow {
    Ingress,
    Egress,
}

/// A chain of an isolation: what it judges and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub flow: Flow,
    /// Sorted. Empty where only the namespace itself isolates its pods.
    pub policies: Vec<ObjectName>,
    /// Sorted.
    pub pods: Vec<ObjectName>,
}

/// A rule of a policy that lets something pass.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Admission {
    pub policy: ObjectName,
    pub flow: Flow,
    /// Its place in `spec.ingress` or `spec.egress`, from 0.
    pub rule: usize,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub policies: usize,
    /// Of those, such as select a pod of this node.
    pub policies_here: usize,
    /// Pods that count, of the whole cluster.
    pub pods: usize,
    pub pods_here: usize,
    /// Isolations; pods share them.
    pub chains: usize,
    /// Groups of pods that rules name.
    pub groups: usize,
}

/// Everything that network policy wants of this node.
#[derive(Debug)]
pub struct Plan {
    wanted: Wanted,
    parts: Parts,
    ground: Option<Ground>,
    last: Option<Input>,
}

/// What everything else stands on; another one means to plan anew.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ground {
    node: Arc<str>,
    /// The node's own addresses that anybody else can speak of; sorted. Not the link-local ones,
    /// which come and go with every pod.
    own: Vec<IpAddr>,
    ranges: Vec<Prefix>,
    families: ByFamily<bool>,
    default_deny: bool,
    log_drops: bool,
    /// Connections that policies allow no more are cut off.
    rechecks: bool,
}

// === impl Flow ===

impl Flow {
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// As `policyTypes` has it, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

// === impl Ground ===

impl Ground {
    fn of(input: &Input) -> Self {
        let facts = &input.facts;
        let own = facts.addresses.iter().map(|local| local.address);
        let mut own: Vec<IpAddr> = own.filter(|one| is_usable(*one)).collect();
        own.sort_unstable();
        own.dedup();
        Self {
            node: Arc::clone(&facts.name),
            own,
            ranges: facts.pod_cidrs.clone(),
            families: input.settings.families,
            default_deny: input.settings.default_deny,
            log_drops: input.settings.log_drops,
            rechecks: input.settings.established == Established::Recheck,
        }
    }

    fn is_own(&self, address: IpAddr) -> bool {
        self.own.binary_search(&address).is_ok()
    }

    fn families(&self) -> impl Iterator<Item = Family> {
        let families = self.families;
        Family::ALL
            .into_iter()
            .filter(move |family| *families.get(*family))
    }

    fn has(&self, address: IpAddr) -> bool {
        *self.families.get(Family::of(address))
    }

    /// Ranges whose unknown addresses are refused.
    fn refused(&self, family: Family) -> impl Iterator<Item = Prefix> {
        let ranges = self.ranges.iter().copied();
        let wanted = self.default_deny;
        ranges.filter(move |range| wanted && Family::of_prefix(range) == family)
    }

    fn is_local(&self, pod: &Pod) -> bool {
        match &pod.node {
            Some(node) => *node == self.node,
            None => pod.host_ips.iter().any(|host| self.is_own(*host)),
        }
    }
}

// === impl Plan ===

impl Default for Plan {
    fn default() -> Self {
        Self {
            wanted: Wanted::new(LOCAL_PODS, CLOSED),
            parts: Parts::default(),
            ground: None,
            last: None,
        }
    }
}

impl Plan {
    /// Brings the plan up to the input. Cost: one comparison per namespace and per object of
    /// namespaces that changed, and the work for what changed; everything where the node's name,
    /// addresses or ranges or the settings did.
    pub fn update(&mut self, input: &Input) {
        let ground = Ground::of(input);
        match &self.last {
            Some(last) if self.ground.as_ref() == Some(&ground) => {
                let (old, new) = (&last.snapshot, &input.snapshot);
                self.parts.step(&mut self.wanted, &ground, old, new);
            }
            _ => {
                let mut wanted = frame::frame(&ground);
                self.parts = Parts::default();
                let nothing = Snapshot::default();
                self.parts
                    .step(&mut wanted, &ground, &nothing, &input.snapshot);
                if self.last.is_some() {
                    become_like(&mut self.wanted, wanted);
                } else {
                    self.wanted = wanted;
                }
            }
        }
        self.ground = Some(ground);
        self.last = Some(input.clone());
    }

    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// To settle what was done.
    pub fn wanted_mut(&mut self) -> &mut Wanted {
        &mut self.wanted
    }

    /// What users got wrong, sorted.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        let ground = self.ground.as_ref();
        let notes = ground.map(|ground| self.parts.pods.notes(ground));
        notes.unwrap_or_default()
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            policies: self.parts.policies.len(),
            policies_here: self.parts.isolations.policy_count(),
            pods: self.parts.pods.len(),
            pods_here: self.parts.pods.local_count(),
            chains: self.parts.isolations.chain_count(),
            groups: self.parts.peers.len(),
        }
    }

    /// The pod that has an address, of the whole cluster.
    #[must_use]
    pub fn pod_at(&self, address: IpAddr) -> Option<&Arc<Pod>> {
        let id = self.parts.pods.owner(address)?;
        self.parts.pods.get(id)?.now.as_ref()
    }

    /// What a chain judges and for whom; `None` for a chain of no isolation.
    #[must_use]
    pub fn judged(&self, chain: Name) -> Option<Judged> {
        let flow = self.parts.isolations.flow(chain)?;
        let (mut policies, mut pods) = (BTreeSet::new(), BTreeSet::new());
        for (names, ids) in self.parts.isolations.of_chain(chain) {
            policies.extend(names.iter().cloned());
            let records = ids.iter().filter_map(|id| self.parts.pods.get(*id));
            pods.extend(records.map(|record| record.name.clone()));
        }
        Some(Judged {
            flow,
            policies: policies.into_iter().collect(),
            pods: pods.into_iter().collect(),
        })
    }

    /// The chain that judges a pod of this node, and the policies that isolate it, sorted;
    /// `None` where nothing isolates it in this direction.
    #[must_use]
    pub fn isolation(&self, pod: &ObjectName, flow: Flow) -> Option<(Name, &[ObjectName])> {
        let shown = &self.parts.pods.find(pod)?.shown;
        let key = match flow {
            Flow::Ingress => shown.ingress.as_deref(),
            Flow::Egress => shown.egress.as_deref(),
        };
        self.parts.isolations.get(key?)
    }

    /// The rules that let a payload pass between a pod and an address: to the pod on `Ingress`,
    /// from it on `Egress`. Empty where none does, and where nothing isolates the pod.
    #[must_use]
    pub fn admissions(
        &self,
        pod: &ObjectName,
        flow: Flow,
        other: IpAddr,
        payload: Payload,
    ) -> Vec<Admission> {
        let pod = self.parts.pods.find(pod).and_then(|one| one.now.as_ref());
        let (Some(pod), Some(input)) = (pod, &self.last) else {
            return Vec::new();
        };
        let other = Other {
            address: other,
            pod: self.pod_at(other).map(|pod| &**pod),
        };
        let namespaces = &input.snapshot.namespaces;
        let policies = self.parts.policies.isolating(pod, flow);
        let rules = policies.into_iter().flat_map(|one| {
            let parts = one.parts(flow).iter().enumerate();
            parts.map(|(rule, part)| (&one.policy.name, rule, part))
        });
        rules
            .filter(|(_, _, part)| admits(part, flow, pod, other, payload, namespaces))
            .map(|(policy, rule, _)| Admission {
                policy: policy.clone(),
                flow,
                rule,
            })
            .collect()
    }

    /// The input of the last update.
    #[must_use]
    pub fn input(&self) -> Option<&Input> {
        self.last.as_ref()
    }
}

/// Makes `wanted` say what `new` says, touching only what differs.
fn become_like(wanted: &mut Wanted, new: Wanted) {
    let chains = new
        .chains
        .iter()
        .map(|(key, chain)| (*key, Arc::clone(chain)));
    wanted.chains.replace_all(chains.collect());
    let targets = new.targets.iter().map(|(key, chain)| (*key, *chain));
    wanted
        .targets
        .replace_all(targets.collect::<BTreeMap<_, _>>());
    let gone: Vec<_> = wanted.members.iter().map(|(key, _)| *key).collect();
    for key in gone
        .into_iter()
        .filter(|key| new.members.get(key).is_none())
    {
        wanted.members.drop_set(&key);
    }
    for (key, members) in new.members.iter() {
        wanted.members.replace(*key, members.clone());
    }
    wanted.jumps = new.jumps;
}

#[cfg(test)]
mod tests;
