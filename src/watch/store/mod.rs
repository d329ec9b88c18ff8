//! Events in, snapshots out.
//!
//! An object that converts to what is already known keeps its old `Arc`, so that a change of
//! status alone publishes nothing. Nothing is published before Services, EndpointSlices and Nodes
//! were listed once; that Pods or policies can't be listed must not keep Services waiting, so a
//! snapshot says whether it has them. What is published depends on the last word about each object
//! only, not on the way there.

mod kind;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use self::kind::{Door, Listed, Step};
use super::convert::{self, Interner};
use super::source::ClusterEvent;
use crate::model::{
    EndpointSlice, Namespace, NetworkPolicy, Node, Note, ObjectName, Pod, Service, SliceSet,
    Snapshot, Table,
};

/// The most events that are taken in before a snapshot goes out.
const BATCH: usize = 4096;

type ByName<T> = BTreeMap<Arc<str>, Arc<T>>;

/// What the sources said so far.
#[derive(Debug, Default)]
pub(super) struct Store {
    intern: Interner,
    services: Listed,
    slices: Listed,
    nodes: Listed,
    pods: Listed,
    namespaces: Listed,
    policies: Listed,
    service_table: Table<Service>,
    /// By their own names.
    slice_by_name: BTreeMap<ObjectName, Arc<EndpointSlice>>,
    /// By the name of the owning Service.
    slice_table: Table<SliceSet>,
    node_table: Arc<ByName<Node>>,
    pod_table: Table<Pod>,
    namespace_table: Arc<ByName<Namespace>>,
    policy_table: Table<NetworkPolicy>,
    source_notes: Vec<Note>,
    notes: Arc<Vec<Note>>,
    notes_changed: bool,
    changed: bool,
    generation: u64,
}

// === impl Store ===

impl Store {
    /// Takes in one event. Says nothing to anybody until [`Store::publish`].
    pub(super) fn handle(&mut self, event: ClusterEvent) {
        let intern = &mut self.intern;
        match event {
            ClusterEvent::Service(event) => {
                let step = self
                    .services
                    .step(event, intern, &Door::of(convert::service));
                self.take_in(step, |store| &mut store.service_table, put);
            }
            ClusterEvent::Slice(event) => {
                let step = self.slices.step(event, intern, &Door::of(convert::slice));
                self.take_in(step, |store| store, Self::put_slice);
            }
            ClusterEvent::Node(event) => {
                let step = self.nodes.step(event, intern, &Door::of(convert::node));
                self.take_in(step, |store| &mut store.node_table, put_by_name);
            }
            ClusterEvent::Pod(event) => {
                let step = self.pods.step(event, intern, &Door::of(convert::pod));
                self.take_in(step, |store| &mut store.pod_table, put);
            }
            ClusterEvent::Namespace(event) => {
                let door = Door::of(convert::namespace);
                let step = self.namespaces.step(event, intern, &door);
                self.take_in(step, |store| &mut store.namespace_table, put_by_name);
            }
            ClusterEvent::Policy(event) => {
                let door = Door {
                    convert: convert::policy,
                    unreadable: |name| Some(convert::closed(name)),
                };
                let step = self.policies.step(event, intern, &door);
                self.take_in(step, |store| &mut store.policy_table, put);
            }
            ClusterEvent::Source(notes) => {
                let changed = self.source_notes != notes;
                self.source_notes = notes;
                self.notes_changed |= changed;
                self.changed |= changed;
            }
        }
    }

    /// Whether every kind that Services are made of was listed at least once.
    #[must_use]
    pub(super) fn is_synced(&self) -> bool {
        self.for_services().iter().all(|kind| kind.synced)
    }

    fn for_services(&self) -> [&Listed; 3] {
        [&self.services, &self.slices, &self.nodes]
    }

    fn for_policies(&self) -> [&Listed; 3] {
        [&self.pods, &self.namespaces, &self.policies]
    }

    /// A snapshot, if Services are in sync and anything changed since the last one.
    pub(super) fn publish(&mut self) -> Option<Arc<Snapshot>> {
        if !self.is_synced() || !self.changed {
            return None;
        }
        self.changed = false;
        if std::mem::take(&mut self.notes_changed) {
            self.notes = Arc::new(self.all_notes());
        }
        self.generation += 1;
        Some(Arc::new(self.snapshot()))
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            generation: self.generation,
            services: self.service_table.clone(),
            slices: self.slice_table.clone(),
            nodes: Arc::clone(&self.node_table),
            pods: self.pod_table.clone(),
            namespaces: Arc::clone(&self.namespace_table),
            policies: self.policy_table.clone(),
            knows_policies: self.for_policies().iter().all(|kind| kind.synced),
            notes: Arc::clone(&self.notes),
        }
    }

    /// Puts what an event came to in its place, and sees whether anything is new.
    fn take_in<P: ?Sized, T>(
        &mut self,
        step: Step<T>,
        place: fn(&mut Self) -> &mut P,
        put: fn(&mut P, &ObjectName, Option<T>) -> bool,
    ) {
        let mut changed = step.notes_changed;
        for (name, object) in step.objects {
            changed |= put(place(self), &name, object);
        }
        self.notes_changed |= step.notes_changed;
        // The first complete list of a kind is a change even if it is empty.
        self.changed |= step.synced || changed && step.known;
    }

    fn all_notes(&self) -> Vec<Note> {
        let kinds = self.for_services().into_iter().chain(self.for_policies());
        let of_objects = kinds.flat_map(Listed::notes);
        let mut notes: Vec<Note> = self
            .source_notes
            .iter()
            .chain(of_objects)
            .cloned()
            .collect();
        notes.sort_unstable();
        notes.dedup();
        notes
    }

    fn put_slice(&mut self, name: &ObjectName, slice: Option<EndpointSlice>) -> bool {
        let known = self.slice_by_name.get(name).map(Arc::clone);
        if known.as_deref() == slice.as_ref() {
            return false;
        }
        if let Some(known) = known {
            self.slice_by_name.remove(name);
            self.edit_set(&owner(&known), |set| {
                set.retain(|other| other.name != *name)
            });
        }
        if let Some(slice) = slice {
            let slice = Arc::new(slice);
            self.slice_by_name
                .insert(slice.name.clone(), Arc::clone(&slice));
            self.edit_set(&owner(&slice), |set| {
                let at = set.partition_point(|other| other.name < slice.name);
                set.insert(at, Arc::clone(&slice));
            });
        }
        true
    }

    /// Puts a changed copy of a Service's set of slices in the place of the old one.
    fn edit_set(&mut self, owner: &ObjectName, edit: impl FnOnce(&mut SliceSet)) {
        let known = self.slice_table.get(owner);
        let mut set = known.map(|set| SliceSet::clone(set)).unwrap_or_default();
        edit(&mut set);
        if set.is_empty() {
            self.slice_table.remove(owner);
        } else {
            self.slice_table.insert(owner, Arc::new(set));
        }
    }
}

/// Whether the object is another than before, which keeps its place if it is not.
fn put<T: PartialEq>(table: &mut Table<T>, name: &ObjectName, object: Option<T>) -> bool {
    if table.get(name).map(|known| &**known) == object.as_ref() {
        return false;
    }
    match object {
        Some(object) => table.insert(name, Arc::new(object)),
        None => table.remove(name),
    };
    true
}

/// The same for kinds without a namespace.
fn put_by_name<T: PartialEq>(
    table: &mut Arc<ByName<T>>,
    name: &ObjectName,
    object: Option<T>,
) -> bool {
    if table.get(&name.name).map(|known| &**known) == object.as_ref() {
        return false;
    }
    let table = Arc::make_mut(table);
    match object {
        Some(object) => table.insert(Arc::clone(&name.name), Arc::new(object)),
        None => table.remove(&name.name),
    };
    true
}

/// Feeds the store until every source has hung up; readers see the newest snapshot.
pub(super) async fn run(
    mut store: Store,
    mut events: mpsc::Receiver<ClusterEvent>,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
) {
    while let Some(event) = events.recv().await {
        store.handle(event);
        for _ in 0..BATCH {
            match events.try_recv() {
                Ok(event) => store.handle(event),
                Err(_) => break,
            }
        }
        if let Some(snapshot) = store.publish() {
            snapshots.send_replace(Some(snapshot));
        }
    }
}

fn owner(slice: &EndpointSlice) -> ObjectName {
    ObjectName {
        namespace: Arc::clone(&slice.name.namespace),
        name: Arc::clone(&slice.service),
    }
}

#[cfg(test)]
mod tests;
