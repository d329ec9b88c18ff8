//! Events in, snapshots out.
//!
//! An object that converts to what is already known keeps its old `Arc`, so that a change of
//! status alone publishes nothing. Nothing is published before every kind was listed once. What
//! is published depends on the last word about each object only, not on the way there.

mod kind;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use self::kind::Listed;
use super::convert::{self, Interner};
use super::source::ClusterEvent;
use crate::model::{EndpointSlice, Node, Note, ObjectName, Service, SliceSet, Snapshot, Table};

/// The most events that are taken in before a snapshot goes out.
const BATCH: usize = 4096;

/// What the sources said so far.
#[derive(Debug, Default)]
pub(super) struct Store {
    intern: Interner,
    services: Listed,
    slices: Listed,
    nodes: Listed,
    service_table: Table<Service>,
    /// By their own names.
    slice_by_name: BTreeMap<ObjectName, Arc<EndpointSlice>>,
    /// By the name of the owning Service.
    slice_table: Table<SliceSet>,
    node_table: Arc<BTreeMap<Arc<str>, Arc<Node>>>,
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
        match event {
            ClusterEvent::Service(event) => {
                let step = self
                    .services
                    .step(event, &mut self.intern, convert::service);
                for (name, service) in step.objects {
                    self.set_service(&name, service);
                }
                self.after(step.notes_changed, step.synced);
            }
            ClusterEvent::Slice(event) => {
                let step = self.slices.step(event, &mut self.intern, convert::slice);
                for (name, slice) in step.objects {
                    self.set_slice(&name, slice);
                }
                self.after(step.notes_changed, step.synced);
            }
            ClusterEvent::Node(event) => {
                let step = self.nodes.step(event, &mut self.intern, convert::node);
                for (name, node) in step.objects {
                    self.set_node(&name.name, node);
                }
                self.after(step.notes_changed, step.synced);
            }
            ClusterEvent::Source(notes) => {
                let changed = self.source_notes != notes;
                self.source_notes = notes;
                self.after(changed, false);
            }
        }
    }

    /// Whether every kind was listed at least once.
    #[must_use]
    pub(super) fn is_synced(&self) -> bool {
        self.services.synced && self.slices.synced && self.nodes.synced
    }

    /// A snapshot, if every kind is in sync and anything changed since the last one.
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
            notes: Arc::clone(&self.notes),
            ..Snapshot::default()
        }
    }

    /// The first complete list of a kind is a change even if it is empty.
    fn after(&mut self, notes_changed: bool, synced: bool) {
        self.notes_changed |= notes_changed;
        self.changed |= notes_changed || synced;
    }

    fn all_notes(&self) -> Vec<Note> {
        let kinds = [&self.services, &self.slices, &self.nodes];
        let of_objects = kinds.into_iter().flat_map(Listed::notes);
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

    fn set_service(&mut self, name: &ObjectName, service: Option<Service>) {
        let known = self.service_table.get(name).map(|known| &**known);
        if known == service.as_ref() {
            return;
        }
        self.changed = true;
        match service {
            Some(service) => {
                let name = service.name.clone();
                self.service_table.insert(&name, Arc::new(service));
            }
            None => {
                self.service_table.remove(name);
            }
        }
    }

    fn set_slice(&mut self, name: &ObjectName, slice: Option<EndpointSlice>) {
        let known = self.slice_by_name.get(name).map(Arc::clone);
        if known.as_deref() == slice.as_ref() {
            return;
        }
        self.changed = true;
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

    fn set_node(&mut self, name: &Arc<str>, node: Option<Node>) {
        let known = self.node_table.get(name).map(|known| &**known);
        if known == node.as_ref() {
            return;
        }
        self.changed = true;
        let table = Arc::make_mut(&mut self.node_table);
        match node {
            Some(node) => table.insert(Arc::clone(name), Arc::new(node)),
            None => table.remove(name),
        };
    }
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
