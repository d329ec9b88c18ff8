//! Groups of pods that rules name, and the members of sets that follow from them.
//!
//! Only groups that a rule of this node names are held. A pod's change looks at the groups that
//! insist on one of its labels, or on none.

use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::firewall::{Member, Members, Name, SetDef, SetKey};
use crate::model::{Labels, Pod, Selector};
use crate::net::{Family, Protocol};
use crate::netpol::plan::content::Within;
use crate::netpol::plan::index::{Index, demand};
use crate::netpol::plan::pods::{Namespaces, PodId, Pods};

/// Stands for one group as long as a rule names it.
pub(super) type PeerId = u64;

/// Whose pods a group is taken from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Reach {
    Namespace(Arc<str>),
    Namespaces(Selector),
}

/// A group of pods.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PeerKey {
    pub(super) reach: Reach,
    pub(super) pods: Selector,
}

/// How a pod of a group stands in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Address,
    Port(Protocol, u16),
    /// On each port of that name.
    Named(Protocol, Arc<str>, Within),
}

/// A set of a chain that a group's pods stand in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sink {
    pub(super) chain: Name,
    pub(super) set: SetDef,
    pub(super) shape: Shape,
}

/// A member may stand in a set for more than one reason.
#[derive(Debug, Default)]
pub(super) struct Reasons(FxHashMap<SetKey, FxHashMap<Member, u32>>);

#[derive(Debug)]
struct Group {
    key: PeerKey,
    pods: FxHashSet<PodId>,
    sinks: Vec<Sink>,
}

/// All groups that rules name.
#[derive(Debug, Default)]
pub(super) struct Peers {
    next: PeerId,
    ids: FxHashMap<PeerKey, PeerId>,
    groups: FxHashMap<PeerId, Group>,
    by_namespace: FxHashMap<Arc<str>, Index>,
    by_pod_label: Index,
    by_namespace_label: Index,
}

// === impl PeerKey ===

impl PeerKey {
    /// Of a namespace that is not known yet nothing but its name can be said.
    pub(super) fn reaches(&self, namespace: &str, namespaces: &Namespaces) -> bool {
        match &self.reach {
            Reach::Namespace(name) => **name == *namespace,
            Reach::Namespaces(selector) => {
                selector.is_everything()
                    || namespaces
                        .get(namespace)
                        .is_some_and(|known| selector.matches(&known.labels))
            }
        }
    }

    pub(super) fn selects(&self, pod: &Pod, namespaces: &Namespaces) -> bool {
        self.pods.matches(&pod.labels) && self.reaches(&pod.name.namespace, namespaces)
    }
}

// === impl Reasons ===

impl Reasons {
    fn add(&mut self, members: &mut Members, member: Member, set: SetDef) {
        let key = SetKey::new(member.family(), set);
        if members.get(&key).is_some_and(|held| held.contains(&member)) {
            let more = self.0.entry(key).or_default();
            *more.entry(member).or_default() += 1;
        } else {
            members.add(key, member);
        }
    }

    fn remove(&mut self, members: &mut Members, member: Member, set: SetDef) {
        let key = SetKey::new(member.family(), set);
        let others = self.0.get_mut(&key);
        match others.and_then(|others| Some((others.get(&member).copied()?, others))) {
            Some((1, others)) => {
                others.remove(&member);
            }
            Some((count, others)) => {
                others.insert(member, count - 1);
            }
            None => members.remove(&key, &member),
        }
    }

    /// The set is gone.
    pub(super) fn forget(&mut self, key: &SetKey) {
        self.0.remove(key);
    }
}

// === impl Sink ===

impl Sink {
    fn each(&self, pod: &Pod, addresses: &[IpAddr], mut take: impl FnMut(Member, SetDef)) {
        for address in addresses.iter().copied() {
            match &self.shape {
                Shape::Address => take(Member::Address(address), self.set),
                Shape::Port(protocol, port) => {
                    take(Member::AddressPort(address, *protocol, *port), self.set);
                }
                Shape::Named(protocol, name, within) if within.has(address) => {
                    let ports = pod.ports.iter();
                    let ports = ports.filter(|p| p.protocol == *protocol && p.name == *name);
                    ports.for_each(|p| {
                        take(Member::AddressPort(address, *protocol, p.port), self.set)
                    });
                }
                Shape::Named(..) => {}
            }
        }
    }
}

// === impl Peers ===

impl Peers {
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Sends a group's pods into a set.
    pub(super) fn connect(
        &mut self,
        key: &PeerKey,
        sink: Sink,
        pods: &mut Pods,
        namespaces: &Namespaces,
        (members, reasons): (&mut Members, &mut Reasons),
    ) {
        let id = match self.ids.get(key) {
            Some(id) => *id,
            None => self.hold(key, pods, namespaces),
        };
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        for pod in &group.pods {
            if let Some(shown) = pods.get(*pod).map(|record| &record.shown)
                && let Some(pod) = &shown.pod
            {
                sink.each(pod, &shown.addresses, |member, set| {
                    reasons.add(members, member, set);
                });
            }
        }
        group.sinks.push(sink);
    }

    fn hold(&mut self, key: &PeerKey, pods: &mut Pods, namespaces: &Namespaces) -> PeerId {
        self.next += 1;
        let id = self.next;
        let selected: FxHashSet<PodId> = pods.selected(key, namespaces).into_iter().collect();
        for pod in &selected {
            if let Some(record) = pods.get_mut(*pod) {
                record.shown.peers.insert(id);
            }
        }
        self.ids.insert(key.clone(), id);
        self.index_of(key, |index, selector| index.add(id, selector));
        let group = Group {
            key: key.clone(),
            pods: selected,
            sinks: Vec::new(),
        };
        self.groups.insert(id, group);
        id
    }

    /// The chain and its sets are gone; a group that no other chain names goes too.
    pub(super) fn disconnect(&mut self, key: &PeerKey, chain: Name, pods: &mut Pods) {
        let Some(id) = self.ids.get(key).copied() else {
            return;
        };
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        group.sinks.retain(|sink| sink.chain != chain);
        if !group.sinks.is_empty() {
            return;
        }
        let gone = self.groups.remove(&id);
        self.ids.remove(key);
        for pod in gone.into_iter().flat_map(|group| group.pods) {
            if let Some(record) = pods.get_mut(pod) {
                record.shown.peers.remove(&id);
            }
        }
        self.index_of(key, |index, selector| index.remove(id, selector));
        if let Reach::Namespace(name) = &key.reach
            && self.by_namespace.get(name).is_some_and(Index::is_empty)
        {
            self.by_namespace.remove(name);
        }
    }

    /// The index that a group stands in, with the selector whose label decides its place.
    fn index_of(&mut self, key: &PeerKey, act: impl FnOnce(&mut Index, &Selector)) {
        match &key.reach {
            Reach::Namespace(name) => {
                let index = self.by_namespace.entry(Arc::clone(name)).or_default();
                act(index, &key.pods);
            }
            Reach::Namespaces(namespaces) => {
                if demand(&key.pods).is_some() || demand(namespaces).is_none() {
                    act(&mut self.by_pod_label, &key.pods);
                } else {
                    act(&mut self.by_namespace_label, namespaces);
                }
            }
        }
    }

    /// The groups that a pod belongs to.
    pub(super) fn of(&self, pod: &Pod, namespaces: &Namespaces) -> FxHashSet<PeerId> {
        let mut found = FxHashSet::default();
        let mut look = |id: PeerId| {
            let group = self.groups.get(&id);
            if group.is_some_and(|group| group.key.selects(pod, namespaces)) {
                found.insert(id);
            }
        };
        let namespace = &pod.name.namespace;
        if let Some(index) = self.by_namespace.get(namespace) {
            index.each(&pod.labels, &mut look);
        }
        self.by_pod_label.each(&pod.labels, &mut look);
        match namespaces.get(namespace) {
            Some(known) => self.by_namespace_label.each(&known.labels, &mut look),
            None => self.by_namespace_label.each(&Labels::default(), &mut look),
        }
        found
    }

    /// Shows a pod as it is now: in the groups it belongs to, with its addresses and ports.
    pub(super) fn show(
        &mut self,
        id: PodId,
        pods: &mut Pods,
        (pod, addresses): (Option<Arc<Pod>>, Vec<IpAddr>),
        namespaces: &Namespaces,
        (members, reasons): (&mut Members, &mut Reasons),
    ) {
        let belongs = pod
            .as_ref()
            .map(|pod| self.of(pod, namespaces))
            .unwrap_or_default();
        let Some(record) = pods.get_mut(id) else {
            return;
        };
        let shown = &mut record.shown;
        let same = match (&shown.pod, &pod) {
            (Some(had), Some(has)) => had.ports == has.ports && shown.addresses == addresses,
            (had, has) => had.is_none() && has.is_none(),
        };
        if let Some(had) = &shown.pod {
            for group in shown
                .peers
                .iter()
                .filter(|id| !same || !belongs.contains(id))
            {
                for sink in self
                    .groups
                    .get(group)
                    .into_iter()
                    .flat_map(|group| &group.sinks)
                {
                    sink.each(had, &shown.addresses, |member, set| {
                        reasons.remove(members, member, set);
                    });
                }
            }
        }
        if let Some(has) = &pod {
            for group in belongs
                .iter()
                .filter(|id| !same || !shown.peers.contains(id))
            {
                for sink in self
                    .groups
                    .get(group)
                    .into_iter()
                    .flat_map(|group| &group.sinks)
                {
                    sink.each(has, &addresses, |member, set| {
                        reasons.add(members, member, set)
                    });
                }
            }
        }
        for gone in shown.peers.difference(&belongs) {
            if let Some(group) = self.groups.get_mut(gone) {
                group.pods.remove(&id);
            }
        }
        for new in belongs.difference(&shown.peers) {
            if let Some(group) = self.groups.get_mut(new) {
                group.pods.insert(id);
            }
        }
        shown.peers = belongs;
        shown.pod = pod;
        shown.addresses = addresses;
    }
}

/// Families that a set is wanted in.
pub(super) fn set_keys(set: SetDef, families: &[Family]) -> impl Iterator<Item = SetKey> {
    families.iter().map(move |family| SetKey::new(*family, set))
}
