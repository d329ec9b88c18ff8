//! Chunked lists: `limit` and `continue` over one consistent snapshot.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::kinds::Kind;
use crate::object::Object;
use crate::route::Query;
use crate::selector::Selector;
use crate::status::Status;
use crate::store::Store;
use crate::watch;

/// Snapshots kept for lists that were begun; the oldest go first.
const KEPT: usize = 64;

/// The snapshots behind `continue` tokens.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    made: u64,
    kept: VecDeque<Snapshot>,
}

#[derive(Debug, Clone)]
struct Snapshot {
    id: u64,
    revision: u64,
    objects: Arc<[Arc<Object>]>,
    everything: bool,
}

/// One chunk of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) revision: u64,
    pub(crate) objects: Vec<Arc<Object>>,
    pub(crate) next: Option<String>,
    /// How many follow; only told when nothing is selected, as the real server does.
    pub(crate) remaining: Option<usize>,
}

impl Snapshots {
    pub(crate) fn clear(&mut self) {
        self.kept.clear();
    }

    fn keep(&mut self, revision: u64, objects: Vec<Arc<Object>>, everything: bool) -> Snapshot {
        self.made += 1;
        let snapshot = Snapshot {
            id: self.made,
            revision,
            objects: objects.into(),
            everything,
        };
        self.kept.push_back(snapshot.clone());
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
        snapshot
    }
}

impl Snapshot {
    fn page(&self, from: usize, limit: usize) -> Page {
        let objects: Vec<_> = self
            .objects
            .iter()
            .skip(from)
            .take(limit)
            .cloned()
            .collect();
        let end = from + objects.len();
        let left = self.objects.len().saturating_sub(end);
        Page {
            revision: self.revision,
            objects,
            next: (left > 0).then(|| format!("{:x}.{end:x}", self.id)),
            remaining: (left > 0 && self.everything).then_some(left),
        }
    }
}

/// Checks `resourceVersion` and its match rule; whether the list comes from the cache, which knows no chunks.
pub(crate) fn is_cached(store: &Store, query: &Query) -> Result<bool, Status> {
    let refuse = |text: &str| {
        Err(Status::invalid(format!(
            "ListOptions.meta.k8s.io \"\" is invalid: {text}"
        )))
    };
    if query.get("sendInitialEvents").is_some() {
        return refuse("sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list");
    }
    let asked = watch::parse_revision(query.get("resourceVersion"))?;
    let now = store.revision();
    match query.get("resourceVersionMatch") {
        Some(_) if query.get("resourceVersion").is_none() => refuse(
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        Some("Exact") if asked == 0 => refuse(
            "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ),
        Some("Exact") if asked < now => Err(Status::too_old(asked, now)),
        Some("Exact" | "NotOlderThan") | None if asked > now => Err(Status::too_large(asked, now)),
        Some("Exact" | "NotOlderThan") | None => Ok(query.get("resourceVersion") == Some("0")),
        Some(other) => refuse(&format!(
            "resourceVersionMatch: Unsupported value: {other:?}"
        )),
    }
}

/// The first chunk; `limit` 0 is the whole list.
pub(crate) fn first(store: &Store, kind: &Kind, selector: &Selector, limit: usize) -> Page {
    let mut inner = store.lock();
    let objects = inner.chosen(kind, selector);
    let revision = inner.revision();
    if limit == 0 || objects.len() <= limit {
        return Page {
            revision,
            objects,
            next: None,
            remaining: None,
        };
    }
    let snapshot = inner
        .snapshots
        .keep(revision, objects, selector.is_everything());
    drop(inner);
    snapshot.page(0, limit)
}

/// A later chunk; 410 when its snapshot is gone, 400 when the token was never ours.
pub(crate) fn next(store: &Store, token: &str, limit: usize) -> Result<Page, Status> {
    let (id, from) = token
        .split_once('.')
        .and_then(|(id, from)| {
            Some((
                u64::from_str_radix(id, 16).ok()?,
                usize::from_str_radix(from, 16).ok()?,
            ))
        })
        .ok_or_else(|| Status::bad_request("continue key is not valid"))?;
    let found = store
        .lock()
        .snapshots
        .kept
        .iter()
        .find(|one| one.id == id)
        .cloned();
    let snapshot = found.ok_or_else(|| {
        Status::expired(
            "The provided continue parameter is too old to display a consistent list result. \
             You can start a new list without the continue parameter.",
        )
    })?;
    Ok(snapshot.page(from, if limit == 0 { usize::MAX } else { limit }))
}
