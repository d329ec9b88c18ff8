//! The objects, their revisions and the history that watches read: what etcd and the watch cache are to the real server.
//!
//! Every version of an object is serialised once; lists and watches share its bytes. All writes take one lock, so
//! revisions are dense and ordered across kinds.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use crate::kinds::{KINDS, Kind};
use crate::object::Object;
use crate::page::Snapshots;
use crate::selector::Selector;
use crate::status::Status;
use crate::time;
use crate::write::{self, Part, Patch, Stamp};

/// Revision of an empty store; above the small numbers that tests like to invent.
const FIRST_REVISION: u64 = 1000;

/// Namespace and name.
type Key = (Box<str>, Box<str>);

/// One entry of the history.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// The version before, when there was one.
    pub(crate) before: Option<Arc<Object>>,
    /// The new version, or the last one with the revision of the deletion.
    pub(crate) now: Arc<Object>,
    pub(crate) deleted: bool,
}

#[derive(Debug, Default)]
struct Table {
    objects: BTreeMap<Key, Arc<Object>>,
    history: VecDeque<Change>,
    /// Changes up to this revision are forgotten.
    floor: u64,
}

#[derive(Debug)]
pub(crate) struct Inner {
    revision: u64,
    made: u64,
    tables: Vec<Table>,
    pub(crate) snapshots: Snapshots,
}

/// The store.
#[derive(Debug)]
pub(crate) struct Store {
    inner: Mutex<Inner>,
    wake: watch::Sender<u64>,
    history: usize,
    managed_fields: bool,
}

/// Which object, by URL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) kind: &'static Kind,
    /// Empty for cluster-wide kinds.
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

impl Store {
    /// Keeps `history` changes per kind; `managed_fields` adds ballast to every object.
    pub(crate) fn new(history: usize, managed_fields: bool) -> Self {
        let tables = KINDS
            .iter()
            .map(|_| Table {
                floor: FIRST_REVISION,
                ..Table::default()
            })
            .collect();
        let inner = Inner {
            revision: FIRST_REVISION,
            made: 0,
            tables,
            snapshots: Snapshots::default(),
        };
        Self {
            inner: Mutex::new(inner),
            wake: watch::Sender::new(0),
            history,
            managed_fields,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Woken after every change, and by [`Store::wake_all`].
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.wake.subscribe()
    }

    /// Makes every watch look again.
    pub(crate) fn wake_all(&self) {
        self.wake
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn revision(&self) -> u64 {
        self.lock().revision
    }

    pub(crate) fn get(&self, target: Target<'_>) -> Result<Arc<Object>, Status> {
        let inner = self.lock();
        inner
            .find(target)
            .ok_or_else(|| Status::no_such_object(target.kind.plural, target.name))
    }

    pub(crate) fn create(
        &self,
        target: Target<'_>,
        body: Value,
        part: Part,
    ) -> Result<Arc<Object>, Status> {
        let mut inner = self.lock();
        if inner.find(target).is_some() {
            return Err(Status::already_exists(target.kind.plural, target.name));
        }
        self.put(&mut inner, target, None, body, part)
    }

    /// PUT; also reports whether the object is new.
    pub(crate) fn replace(
        &self,
        target: Target<'_>,
        body: Value,
        part: Part,
    ) -> Result<(Arc<Object>, bool), Status> {
        let mut inner = self.lock();
        let Some(old) = inner.find(target) else {
            if part == Part::Whole || (part == Part::Main && target.kind.create_on_put) {
                return Ok((self.put(&mut inner, target, None, body, part)?, true));
            }
            return Err(Status::no_such_object(target.kind.plural, target.name));
        };
        if part != Part::Whole {
            check_version(target, &old, &body, target.kind.conditional_put)?;
        }
        Ok((self.put(&mut inner, target, Some(&old), body, part)?, false))
    }

    /// PATCH; `create` makes a missing object, as server-side apply does.
    pub(crate) fn patch(
        &self,
        target: Target<'_>,
        patch: &Patch,
        part: Part,
        create: bool,
    ) -> Result<Arc<Object>, Status> {
        let mut inner = self.lock();
        let old = inner.find(target);
        if old.is_none() && !create {
            return Err(Status::no_such_object(target.kind.plural, target.name));
        }
        let mut body = old.as_ref().map_or_else(
            || Value::Object(serde_json::Map::new()),
            |old| old.to_typed_json(target.kind),
        );
        patch.apply(&mut body)?;
        if let Some(old) = old.as_ref().filter(|_| part != Part::Whole) {
            check_version(target, old, &body, false)?;
        }
        self.put(&mut inner, target, old.as_ref(), body, part)
    }

    pub(crate) fn delete(&self, target: Target<'_>) -> Result<Arc<Object>, Status> {
        let mut inner = self.lock();
        let old = inner
            .find(target)
            .ok_or_else(|| Status::no_such_object(target.kind.plural, target.name))?;
        inner.revision += 1;
        let gone = Arc::new(Object::new(inner.revision, old.to_json())?);
        let table = inner.table_mut(target.kind);
        table.objects.remove(&key_of(target.namespace, target.name));
        let change = Change {
            before: Some(old),
            now: Arc::clone(&gone),
            deleted: true,
        };
        table.record(change, self.history);
        drop(inner);
        self.wake_all();
        Ok(gone)
    }

    /// Everything chosen, in order of namespace and name, with the revision it stands for.
    pub(crate) fn list(&self, kind: &Kind, selector: &Selector) -> (u64, Vec<Arc<Object>>) {
        let inner = self.lock();
        (inner.revision, inner.chosen(kind, selector))
    }

    /// Changes after `revision`, at most `max`, and the revision up to which they reach.
    ///
    /// Fails with 410 when they are forgotten.
    pub(crate) fn changes_after(
        &self,
        kind: &Kind,
        revision: u64,
        max: usize,
    ) -> Result<(Vec<Change>, u64), Status> {
        let inner = self.lock();
        let Some(table) = inner.tables.get(kind.index()) else {
            return Ok((Vec::new(), revision));
        };
        if revision < table.floor {
            return Err(Status::too_old(revision, table.floor));
        }
        let first = table
            .history
            .partition_point(|change| change.now.revision <= revision);
        let found: Vec<Change> = table
            .history
            .iter()
            .skip(first)
            .take(max)
            .cloned()
            .collect();
        let more = table.history.len() - first > found.len();
        let reached = match found.last() {
            Some(last) if more => last.now.revision,
            _ => inner.revision.max(revision),
        };
        Ok((found, reached))
    }

    /// Forgets the history and the snapshots of paged lists, as etcd's compaction does.
    pub(crate) fn compact(&self) -> u64 {
        let mut inner = self.lock();
        let revision = inner.revision;
        for table in &mut inner.tables {
            table.history.clear();
            table.floor = revision;
        }
        inner.snapshots.clear();
        revision
    }

    fn put(
        &self,
        inner: &mut Inner,
        target: Target<'_>,
        old: Option<&Arc<Object>>,
        body: Value,
        part: Part,
    ) -> Result<Arc<Object>, Status> {
        let kind = target.kind;
        let before = old.map(|old| old.to_typed_json(kind));
        let mut body = write::combine(kind, before.as_ref(), body, part);
        inner.made += 1;
        let stamp = Stamp {
            namespace: target.namespace,
            name: target.name,
            uid: format!("00000000-0000-4000-8000-{:012x}", inner.made),
            now: time::now(),
            managed_fields: self.managed_fields,
        };
        write::stamp(kind, before.as_ref(), &mut body, part, stamp)?;
        let next = Object::new(inner.revision + 1, body)?;
        if let (Some(old), Some(before)) = (old, before)
            && same_but_for_version(before, next.to_typed_json(kind))
        {
            return Ok(Arc::clone(old));
        }
        inner.revision += 1;
        let now = Arc::new(next);
        let table = inner.table_mut(kind);
        table
            .objects
            .insert(key_of(target.namespace, target.name), Arc::clone(&now));
        let change = Change {
            before: old.cloned(),
            now: Arc::clone(&now),
            deleted: false,
        };
        table.record(change, self.history);
        self.wake_all();
        Ok(now)
    }
}

impl Inner {
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    fn table_mut(&mut self, kind: &Kind) -> &mut Table {
        &mut self.tables[kind.index()]
    }

    fn find(&self, target: Target<'_>) -> Option<Arc<Object>> {
        let table = self.tables.get(target.kind.index())?;
        table
            .objects
            .get(&key_of(target.namespace, target.name))
            .cloned()
    }

    pub(crate) fn chosen(&self, kind: &Kind, selector: &Selector) -> Vec<Arc<Object>> {
        let Some(table) = self.tables.get(kind.index()) else {
            return Vec::new();
        };
        let Some(namespace) = selector.namespace.as_deref() else {
            return table
                .objects
                .values()
                .filter(|one| selector.matches(one))
                .cloned()
                .collect();
        };
        let from = Bound::Included(key_of(namespace, ""));
        table
            .objects
            .range((from, Bound::Unbounded))
            .take_while(|((place, _), _)| &**place == namespace)
            .map(|(_, object)| object)
            .filter(|one| selector.matches(one))
            .cloned()
            .collect()
    }
}

impl Table {
    fn record(&mut self, change: Change, limit: usize) {
        self.history.push_back(change);
        while self.history.len() > limit {
            if let Some(forgotten) = self.history.pop_front() {
                self.floor = forgotten.now.revision;
            }
        }
    }
}

fn key_of(namespace: &str, name: &str) -> Key {
    (namespace.into(), name.into())
}

/// The resourceVersion of a request must be that of the stored object.
fn check_version(
    target: Target<'_>,
    old: &Object,
    body: &Value,
    needed: bool,
) -> Result<(), Status> {
    let asked = body
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str)
        .unwrap_or("");
    if asked.is_empty() && needed {
        let what = format!(
            "{}.{} \"{}\"",
            target.kind.plural, target.kind.group, target.name
        );
        return Err(Status::invalid(format!(
            "{what} is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
        )));
    }
    if !asked.is_empty() && asked != old.revision.to_string() {
        return Err(Status::conflict(target.kind.plural, target.name));
    }
    Ok(())
}

fn same_but_for_version(mut a: Value, mut b: Value) -> bool {
    for object in [&mut a, &mut b] {
        if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.shift_remove("resourceVersion");
        }
    }
    a == b
}
