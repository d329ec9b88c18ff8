//! A running watch: initial events, changes, bookmarks, errors; and what faults make of them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use hyper::body::{Bytes, Frame};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::faults::{FaultKind, Taken};
use crate::kinds::Kind;
use crate::object::Object;
use crate::route::Query;
use crate::selector::Selector;
use crate::shared::Shared;
use crate::status::Status;
use crate::store::Change;
use crate::wire::Switch;

/// Frames are filled up to about this size.
const FRAME: usize = 32 * 1024;
/// Changes looked at under one lock.
const BATCH: usize = 256;
/// Life of a watch that names none.
const LIFE: Duration = Duration::from_secs(1800);

/// What the parameters of a watch ask for, checked.
#[derive(Debug)]
pub(crate) struct Ask {
    from: From,
    bookmarks: bool,
    life: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum From {
    /// State first, no older than a revision, as ADDED events; then the bookmark that ends them, where `mark` says so.
    Start { mark: bool, least: u64 },
    /// Changes after this revision.
    Revision(u64),
    /// Changes from now on.
    Now,
}

impl Ask {
    /// Reads and checks the parameters as the real server's `ValidateListOptions` does.
    pub(crate) fn parse(query: &Query, streaming_lists: bool) -> Result<Self, Status> {
        let refuse = |text: &str| {
            Err(Status::invalid(format!(
                "ListOptions.meta.k8s.io \"\" is invalid: {text}"
            )))
        };
        let revision = parse_revision(query.get("resourceVersion"))?;
        let rule = query.get("resourceVersionMatch");
        let initial = query.flag("sendInitialEvents");
        match (initial, rule) {
            (Some(_), _) if !streaming_lists => {
                return refuse(
                    "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
                );
            }
            (Some(_), None) => {
                return refuse(
                    "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                );
            }
            (Some(_), Some(rule)) if rule != "NotOlderThan" => {
                return refuse(
                    "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                );
            }
            (None, Some(_)) => {
                return refuse(
                    "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                );
            }
            _ => {}
        }
        let from = match (initial, revision) {
            (Some(true), least) => From::Start { mark: true, least },
            (None, 0) => From::Start {
                mark: false,
                least: 0,
            },
            (Some(false), 0) => From::Now,
            (_, revision) => From::Revision(revision),
        };
        let life = Some(query.number("timeoutSeconds")?).filter(|seconds| *seconds > 0);
        Ok(Self {
            from,
            bookmarks: query.flag("allowWatchBookmarks") == Some(true),
            life: life.map_or(LIFE, Duration::from_secs),
        })
    }
}

/// `resourceVersion`; nothing is 0.
pub(crate) fn parse_revision(text: Option<&str>) -> Result<u64, Status> {
    text.map_or(Ok(0), |text| {
        text.parse().map_err(|_| {
            Status::bad_request(format!(
                "resourceVersion: Invalid value: {text:?}: must be a number"
            ))
        })
    })
}

/// A watch on its way to one client.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
    switch: Arc<Switch>,
    kind: &'static Kind,
    selector: Selector,
    wake: watch::Receiver<u64>,
    /// Changes up to here are told.
    cursor: u64,
    initial: std::vec::IntoIter<Arc<Object>>,
    mark_pending: bool,
    bookmarks: bool,
    bookmarks_forced: u64,
    next_bookmark: Instant,
    deadline: Instant,
    faults_seen: Vec<u64>,
    /// Why there is nothing to be told at all.
    refused: Option<Status>,
    ended: bool,
}

impl Watch {
    /// Starts a watch; a revision that is forgotten is told at once where the server is set to 410 as HTTP status.
    pub(crate) fn start(
        shared: Arc<Shared>,
        switch: Arc<Switch>,
        kind: &'static Kind,
        selector: Selector,
        ask: &Ask,
        taken: Option<Taken>,
    ) -> Result<Self, Status> {
        let wake = shared.store.subscribe();
        let mut refused = None;
        let (cursor, initial, mark_pending) = match ask.from {
            From::Start { mark, least } => {
                let (revision, objects) = shared.store.list(kind, &selector);
                refused = (revision < least).then(|| Status::too_large(least, revision));
                (revision, objects, mark && ask.bookmarks)
            }
            From::Revision(revision) => {
                if shared.gone_as_status() {
                    shared.store.changes_after(kind, revision, 0)?;
                }
                (revision, Vec::new(), false)
            }
            From::Now => (shared.store.revision(), Vec::new(), false),
        };
        let now = Instant::now();
        Ok(Self {
            wake,
            cursor,
            initial: initial.into_iter(),
            mark_pending,
            bookmarks: ask.bookmarks,
            bookmarks_forced: shared.bookmarks_forced(),
            next_bookmark: now + shared.bookmark_every,
            deadline: now + ask.life,
            faults_seen: taken.map(|taken| taken.id).into_iter().collect(),
            refused,
            ended: false,
            shared,
            switch,
            kind,
            selector,
        })
    }

    /// The response body.
    pub(crate) fn into_stream(self) -> impl Stream<Item = io::Result<Frame<Bytes>>> + Send {
        stream::unfold(self, |mut watch| async move {
            let frame = watch.next().await?;
            Some((frame.map(|bytes| Frame::data(Bytes::from(bytes))), watch))
        })
    }

    async fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        while !self.ended {
            self.wake.borrow_and_update();
            if let Some(status) = self.refused.take() {
                return Some(Ok(self.gone(&status)));
            }
            if let Some(frame) = self.take_fault().await {
                return Some(frame);
            }
            let ready = self.initial_frame().or_else(|| self.change_frame());
            if let Some(frame) = ready.or_else(|| self.forced_bookmark()) {
                return Some(Ok(frame));
            }
            tokio::select! {
                woken = self.wake.changed() => woken.ok()?,
                () = sleep_until(self.next_bookmark), if self.bookmarks => {
                    return Some(Ok(self.bookmark(false)));
                }
                () = sleep_until(self.deadline) => {
                    self.ended = true;
                    return self.bookmarks.then(|| Ok(self.bookmark(false)));
                }
            }
        }
        None
    }

    /// The next fault that concerns this watch; a frame if it says something.
    async fn take_fault(&mut self) -> Option<io::Result<Vec<u8>>> {
        let taken = self
            .shared
            .faults
            .take_for_watch(self.kind.plural, &self.faults_seen)?;
        self.faults_seen.push(taken.id);
        self.switch.take(&taken);
        match taken.kind {
            FaultKind::Stall | FaultKind::Silent => {
                self.shared.cleared(taken.epoch).await;
                None
            }
            FaultKind::Reset { after_bytes: 0 } => Some(Err(io::ErrorKind::ConnectionReset.into())),
            FaultKind::Truncate { .. } => Some(Ok(self.bookmark(false))),
            FaultKind::Garbage => Some(Ok(
                b"{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\n".to_vec(),
            )),
            FaultKind::Gone | FaultKind::GoneEvent => Some(Ok(
                self.gone(&Status::too_old(self.cursor, self.shared.store.revision()))
            )),
            _ => None,
        }
    }

    fn initial_frame(&mut self) -> Option<Vec<u8>> {
        let mut frame = Vec::new();
        while frame.len() < FRAME
            && let Some(object) = self.initial.next()
        {
            self.write_event("ADDED", &object, &mut frame);
        }
        if frame.len() < FRAME && self.mark_pending {
            self.mark_pending = false;
            frame.extend(self.bookmark(true));
        }
        (!frame.is_empty()).then_some(frame)
    }

    fn change_frame(&mut self) -> Option<Vec<u8>> {
        let mut frame = Vec::new();
        loop {
            let found = self
                .shared
                .store
                .changes_after(self.kind, self.cursor, BATCH);
            let (changes, reached) = match found {
                Ok(found) => found,
                Err(status) if frame.is_empty() => return Some(self.gone(&status)),
                Err(_) => return Some(frame),
            };
            if changes.is_empty() {
                self.cursor = reached;
                return (!frame.is_empty()).then_some(frame);
            }
            for change in changes {
                self.write_change(&change, &mut frame);
                self.cursor = change.now.revision;
                if frame.len() >= FRAME {
                    return Some(frame);
                }
            }
        }
    }

    /// An object that enters the selection is ADDED, one that leaves it is DELETED as it last was.
    fn write_change(&self, change: &Change, frame: &mut Vec<u8>) {
        let before = change
            .before
            .as_ref()
            .filter(|object| self.selector.matches(object));
        let chosen = !change.deleted && self.selector.matches(&change.now);
        match (before, chosen) {
            (None, true) => self.write_event("ADDED", &change.now, frame),
            (Some(_), true) => self.write_event("MODIFIED", &change.now, frame),
            (Some(_), false) if change.deleted => self.write_event("DELETED", &change.now, frame),
            (Some(before), false) => {
                if let Ok(last) = Object::new(change.now.revision, before.to_json()) {
                    self.write_event("DELETED", &last, frame);
                }
            }
            (None, false) => {}
        }
    }

    fn write_event(&self, event: &str, object: &Object, frame: &mut Vec<u8>) {
        frame.extend_from_slice(b"{\"type\":\"");
        frame.extend_from_slice(event.as_bytes());
        frame.extend_from_slice(b"\",\"object\":");
        object.write_typed(self.kind, frame);
        frame.extend_from_slice(b"}\n");
    }

    fn forced_bookmark(&mut self) -> Option<Vec<u8>> {
        let forced = self.shared.bookmarks_forced();
        let due = self.bookmarks && forced != self.bookmarks_forced;
        self.bookmarks_forced = forced;
        due.then(|| self.bookmark(false))
    }

    /// A bookmark at the cursor; `initial_end` marks the end of the initial events.
    fn bookmark(&mut self, initial_end: bool) -> Vec<u8> {
        self.next_bookmark = Instant::now() + self.shared.bookmark_every;
        let mut meta =
            json!({"resourceVersion": self.cursor.to_string(), "creationTimestamp": null});
        if initial_end {
            meta["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let mut object = json!({"kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": meta});
        if let (Some(object), Ok(serde_json::Value::Object(hollow))) = (
            object.as_object_mut(),
            serde_json::from_str(self.kind.hollow),
        ) {
            object.extend(hollow);
        }
        line(&json!({"type": "BOOKMARK", "object": object}))
    }

    fn gone(&mut self, status: &Status) -> Vec<u8> {
        self.ended = true;
        line(&json!({"type": "ERROR", "object": status.to_json()}))
    }
}

fn line(event: &serde_json::Value) -> Vec<u8> {
    let mut text = event.to_string().into_bytes();
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests;
