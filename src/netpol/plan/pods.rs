//! Pods that count, who has which address, and indexes to find pods by namespace and label.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{Namespace, Note, ObjectName, ObjectRef, Pod, Requirement, Selector};
use crate::net::is_usable;
use crate::netpol::plan::isolation::IsolationKey;
use crate::netpol::plan::peers::{PeerId, PeerKey, Reach};
use crate::netpol::plan::{Flow, Ground};

/// Stands for one pod of the plan as long as it is there.
pub(super) type PodId = u64;

pub(super) type Namespaces = BTreeMap<Arc<str>, Arc<Namespace>>;

/// A pod as it is, and as sets and targets show it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) name: ObjectName,
    /// `None` once it is gone or no longer counts.
    pub(super) now: Option<Arc<Pod>>,
    pub(super) shown: Shown,
}

/// What the rules show of a pod.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) pod: Option<Arc<Pod>>,
    /// Those of its addresses that no other pod has; sorted.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) is_local: bool,
    pub(super) peers: FxHashSet<PeerId>,
    pub(super) ingress: Option<Arc<IsolationKey>>,
    pub(super) egress: Option<Arc<IsolationKey>>,
}

/// A pod that says it has an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    created: i64,
    name: ObjectName,
    id: PodId,
}

/// All pods that count.
#[derive(Debug, Default)]
pub(super) struct Pods {
    next: PodId,
    ids: FxHashMap<ObjectName, PodId>,
    records: FxHashMap<PodId, Record>,
    /// Oldest pod first: the last one has the address.
    claims: FxHashMap<IpAddr, Vec<Claim>>,
    /// Addresses that more than one pod claims.
    disputed: BTreeSet<IpAddr>,
    /// Addresses that no pod can have, as notes.
    wrong: BTreeMap<ObjectName, Vec<IpAddr>>,
    namespaces: FxHashMap<Arc<str>, FxHashSet<PodId>>,
    labels: FxHashMap<Arc<str>, FxHashMap<Arc<str>, FxHashSet<PodId>>>,
    local: FxHashMap<Arc<str>, BTreeSet<PodId>>,
}

// === impl Shown ===

impl Shown {
    pub(super) fn isolation(&mut self, flow: Flow) -> &mut Option<Arc<IsolationKey>> {
        match flow {
            Flow::Ingress => &mut self.ingress,
            Flow::Egress => &mut self.egress,
        }
    }
}

// === impl Claim ===

impl Claim {
    fn of(id: PodId, pod: &Pod) -> Self {
        Self {
            created: pod.created,
            name: pod.name.clone(),
            id,
        }
    }
}

// === impl Pods ===

impl Pods {
    pub(super) fn get(&self, id: PodId) -> Option<&Record> {
        self.records.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: PodId) -> Option<&mut Record> {
        self.records.get_mut(&id)
    }

    pub(super) fn find(&self, name: &ObjectName) -> Option<&Record> {
        self.records.get(self.ids.get(name)?)
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn local_count(&self) -> usize {
        self.local.values().map(BTreeSet::len).sum()
    }

    pub(super) fn local_in(&self, namespace: &str) -> impl Iterator<Item = PodId> {
        self.local.get(namespace).into_iter().flatten().copied()
    }

    pub(super) fn all_in(&self, namespace: &str) -> impl Iterator<Item = PodId> {
        self.namespaces
            .get(namespace)
            .into_iter()
            .flatten()
            .copied()
    }

    /// Takes in a pod or its end; names the pods that are to be shown anew.
    pub(super) fn set(
        &mut self,
        name: &ObjectName,
        pod: Option<&Arc<Pod>>,
        ground: &Ground,
        stale: &mut BTreeSet<PodId>,
    ) {
        let pod = pod.filter(|pod| pod.is_actionable());
        let id = self.ids.get(name).copied();
        let old = id.and_then(|id| self.records.get(&id)?.now.clone());
        if old.as_ref() == pod {
            return;
        }
        let id = match (id, pod) {
            (None, None) => return,
            (Some(id), _) => id,
            (None, Some(_)) => self.add(name),
        };
        stale.insert(id);
        let had = old.iter().flat_map(|old| &old.addresses);
        let has = pod.iter().flat_map(|pod| &pod.addresses);
        let addresses: BTreeSet<IpAddr> = had.chain(has).copied().collect();
        stale.extend(addresses.iter().filter_map(|one| self.owner(*one)));
        if let Some(old) = &old {
            self.unindex(id, old, pod);
        }
        if let Some(record) = self.records.get_mut(&id) {
            record.now = pod.cloned();
        }
        if let Some(pod) = pod {
            self.index(id, pod, old.as_ref(), ground);
        }
        stale.extend(addresses.iter().filter_map(|one| self.owner(*one)));
    }

    fn add(&mut self, name: &ObjectName) -> PodId {
        self.next += 1;
        self.ids.insert(name.clone(), self.next);
        let record = Record {
            name: name.clone(),
            now: None,
            shown: Shown::default(),
        };
        self.records.insert(self.next, record);
        self.next
    }

    /// Forgets a pod that nothing shows any more.
    pub(super) fn forget(&mut self, id: PodId) {
        if let Some(record) = self.records.remove(&id) {
            self.ids.remove(&record.name);
        }
    }

    fn index(&mut self, id: PodId, pod: &Arc<Pod>, old: Option<&Arc<Pod>>, ground: &Ground) {
        let namespace = &pod.name.namespace;
        let mut wrong = Vec::new();
        for address in &pod.addresses {
            if !is_usable(*address) || ground.is_own(*address) {
                wrong.push(*address);
                continue;
            }
            let claims = self.claims.entry(*address).or_default();
            let claim = Claim::of(id, pod);
            if let Err(at) = claims.binary_search(&claim) {
                claims.insert(at, claim);
            }
            if claims.len() > 1 {
                self.disputed.insert(*address);
            }
        }
        if !wrong.is_empty() {
            self.wrong.insert(pod.name.clone(), wrong);
        }
        if ground.is_local(pod) {
            let local = self.local.entry(Arc::clone(namespace)).or_default();
            local.insert(id);
        }
        if old.is_some_and(|old| old.labels == pod.labels) {
            return;
        }
        let all = self.namespaces.entry(Arc::clone(namespace)).or_default();
        all.insert(id);
        for (key, value) in pod.labels.iter() {
            let values = self.labels.entry(Arc::clone(key)).or_default();
            values.entry(Arc::clone(value)).or_default().insert(id);
        }
    }

    fn unindex(&mut self, id: PodId, old: &Arc<Pod>, new: Option<&Arc<Pod>>) {
        for address in &old.addresses {
            if let Some(claims) = self.claims.get_mut(address) {
                if let Ok(at) = claims.binary_search(&Claim::of(id, old)) {
                    claims.remove(at);
                }
                if claims.len() < 2 {
                    self.disputed.remove(address);
                }
                if claims.is_empty() {
                    self.claims.remove(address);
                }
            }
        }
        let namespace = &old.name.namespace;
        self.wrong.remove(&old.name);
        take_out(&mut self.local, namespace, |local| {
            local.remove(&id);
            local.is_empty()
        });
        if new.is_some_and(|new| new.labels == old.labels) {
            return;
        }
        take_out(&mut self.namespaces, namespace, |all| {
            all.remove(&id);
            all.is_empty()
        });
        for (key, value) in old.labels.iter() {
            take_out(&mut self.labels, key, |values| {
                take_out(values, value, |pods| {
                    pods.remove(&id);
                    pods.is_empty()
                });
                values.is_empty()
            });
        }
    }

    /// The pod that has an address: of several that claim it the youngest.
    pub(super) fn owner(&self, address: IpAddr) -> Option<PodId> {
        self.claims.get(&address)?.last().map(|claim| claim.id)
    }

    /// The addresses that are the pod's own, of families that have rules; sorted.
    pub(super) fn addresses(&self, id: PodId, pod: &Pod, ground: &Ground) -> Vec<IpAddr> {
        let own = pod.addresses.iter().copied();
        let own = own.filter(|one| ground.has(*one) && self.owner(*one) == Some(id));
        let mut own: Vec<IpAddr> = own.collect();
        own.sort_unstable();
        own.dedup();
        own
    }

    /// Pods that a peer selects.
    pub(super) fn selected(&self, peer: &PeerKey, namespaces: &Namespaces) -> Vec<PodId> {
        let own = match &peer.reach {
            Reach::Namespace(name) => self.namespaces.get(name).map_or(0, FxHashSet::len),
            Reach::Namespaces(_) => usize::MAX,
        };
        let labelled = self.labelled(&peer.pods).filter(|lists| size(lists) < own);
        let pods: Vec<PodId> = match (labelled, &peer.reach) {
            (Some(lists), _) => lists.into_iter().flatten().copied().collect(),
            (None, Reach::Namespace(name)) => self.all_in(name).collect(),
            (None, Reach::Namespaces(_)) => {
                let all = self.namespaces.iter();
                all.filter(|(name, _)| peer.reaches(name, namespaces))
                    .flat_map(|(_, pods)| pods.iter().copied())
                    .collect()
            }
        };
        let selects = |id: &PodId| {
            let pod = self.records.get(id).and_then(|record| record.now.as_ref());
            pod.is_some_and(|pod| peer.selects(pod, namespaces))
        };
        pods.into_iter().filter(selects).collect()
    }

    /// Pods with one of the labels that a selector insists on; `None` where it insists on none.
    fn labelled(&self, selector: &Selector) -> Option<Vec<&FxHashSet<PodId>>> {
        let requirements = selector.requirements().iter();
        let found = requirements.filter_map(|requirement| {
            let of_key = self.labels.get(requirement.key());
            let lists: Vec<&FxHashSet<PodId>> = match requirement {
                Requirement::In(_, values) => {
                    let of_value = |value| of_key.and_then(|of_key| of_key.get(value));
                    values.iter().filter_map(of_value).collect()
                }
                Requirement::Exists(_) => of_key.into_iter().flat_map(FxHashMap::values).collect(),
                _ => return None,
            };
            Some(lists)
        });
        found.min_by_key(|lists| size(lists))
    }

    pub(super) fn notes(&self, ground: &Ground) -> Vec<Note> {
        let about = |name: &ObjectName, reason: String| {
            Note::new(
                ObjectRef::new("Pod", name.to_string()),
                "status.podIPs",
                reason,
            )
        };
        let mut notes = Vec::new();
        for (name, addresses) in &self.wrong {
            for address in addresses {
                let whose = if ground.is_own(*address) {
                    "belongs to the node"
                } else {
                    "can't be that of a pod"
                };
                notes.push(about(name, format!("the address {address} {whose}")));
            }
        }
        for address in &self.disputed {
            let claims = self.claims.get(address).map(Vec::as_slice);
            let Some([losers @ .., winner]) = claims else {
                continue;
            };
            let winner = &winner.name;
            notes.extend(losers.iter().map(|loser| {
                let reason = format!("the address {address} belongs to {winner}, which is younger");
                about(&loser.name, reason)
            }));
        }
        notes.sort_unstable();
        notes
    }
}

fn size(lists: &[&FxHashSet<PodId>]) -> usize {
    lists.iter().map(|list| list.len()).sum()
}

/// Changes what stands under a key; takes it out when the change says it is empty.
fn take_out<V>(
    map: &mut FxHashMap<Arc<str>, V>,
    key: &Arc<str>,
    change: impl FnOnce(&mut V) -> bool,
) {
    if map.get_mut(key).is_some_and(change) {
        map.remove(key);
    }
}
