//! One kind: list, then watch, and again from where it broke off.

use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Timing;
use super::backoff::Backoff;
use super::error::KubeError;
use super::request::{self, Resource, head};
use super::servers::{Server, Servers};
use crate::watch::source::{ClusterEvent, Event, Kind};
use crate::watch::status::SourceStatus;
use crate::watch::wire::{self, Field};

/// Objects per page of a list.
const PAGE: u32 = 250;
/// The largest page, in bytes; a larger one is asked for again in smaller pieces.
const LARGEST_PAGE: usize = 64 << 20;
/// So many refusals in a row without an event between, and everything is listed anew.
const REFUSALS: u32 = 3;
/// A watch that ends sooner than this was no watch.
const SHORT: Duration = Duration::from_secs(5);
/// Beyond the time for which the server was asked to watch.
const GRACE: Duration = Duration::from_secs(15);

/// Keeps one kind up to date.
pub(super) struct Reflector<K> {
    resource: Resource,
    servers: watch::Receiver<Option<Servers>>,
    events: mpsc::Sender<ClusterEvent>,
    timing: Timing,
    status: SourceStatus,
    backoff: Backoff,
    /// Whom the last list or watch went to.
    known: Option<Vec<u64>>,
    /// Which server is tried.
    turn: usize,
    /// Up to where we know; `None` before the first list and after a 410.
    version: Option<String>,
    /// Whether the next list is a stream.
    streaming: bool,
    /// The servers have refused streaming lists.
    never_streaming: bool,
    page: u32,
    refusals: u32,
    /// The servers send bookmarks, so that long silence is worth a new watch.
    bookmarks: bool,
    /// Something was heard since the last list.
    progressed: bool,
    kind: PhantomData<fn() -> K>,
}

/// How a list or watch ended when nothing went wrong.
enum End {
    /// A list is complete, the watch may begin.
    Listed,
    /// The server ended it.
    Closed,
    /// There are other servers now.
    Replaced,
}

// === impl Reflector ===

impl<K: Kind> Reflector<K> {
    pub(super) fn new(
        resource: Resource,
        servers: watch::Receiver<Option<Servers>>,
        events: mpsc::Sender<ClusterEvent>,
        timing: Timing,
        status: SourceStatus,
    ) -> Self {
        let seed = RandomState::new().hash_one(resource.part);
        Self {
            resource,
            servers,
            events,
            timing,
            status,
            backoff: Backoff::new(timing.first_retry, timing.longest_retry, seed),
            known: None,
            turn: 0,
            version: None,
            streaming: true,
            never_streaming: false,
            page: PAGE,
            refusals: 0,
            bookmarks: false,
            progressed: false,
            kind: PhantomData,
        }
    }

    /// Runs until nobody takes the events.
    pub(super) async fn run(mut self) {
        loop {
            let found = self.servers.wait_for(Option::is_some).await;
            let Ok(Some(servers)) = found.map(|servers| servers.clone()) else {
                return;
            };
            self.meet(&servers);
            let begun = Instant::now();
            match self.session(&servers).await {
                Ok(End::Listed) => {}
                Ok(End::Replaced) => self.backoff.reset(),
                Ok(End::Closed) if begun.elapsed() >= SHORT.min(self.timing.watch) => {
                    self.backoff.reset();
                }
                Ok(End::Closed) => self.pause().await,
                Err(KubeError::Unheard) => return,
                Err(error) => self.recover(error, servers.len()).await,
            }
        }
    }

    /// Other servers may be another cluster: its revisions are others, and a watch from ours would
    /// pass over all up to there without a word. New credentials alone change nothing.
    fn meet(&mut self, servers: &Servers) {
        let ids: Vec<u64> = servers.iter().map(|server| server.id).collect();
        if self.known.as_ref().is_some_and(|known| *known != ids) {
            self.version = None;
            self.streaming = !self.never_streaming;
        }
        self.known = Some(ids);
    }

    /// One list if it is needed, and one watch.
    async fn session(&mut self, servers: &Servers) -> Result<End, KubeError> {
        let Some(server) = servers.get(self.turn % servers.len().max(1)) else {
            return Ok(End::Closed);
        };
        if let Some(version) = self.version.clone() {
            let uri = self.resource.watch(&version, self.seconds());
            return self.follow(server, &uri, false).await;
        }
        if self.streaming {
            let uri = self.resource.stream(self.seconds());
            return self.follow(server, &uri, true).await;
        }
        self.list(server).await?;
        Ok(End::Listed)
    }

    /// What an error asks for: another way, another server, another try.
    async fn recover(&mut self, error: KubeError, servers: usize) {
        if self.try_otherwise(&error) {
            tracing::debug!(kind = self.resource.part, %error, "trying otherwise");
            return;
        }
        if self.status.failed(self.resource.part, error.to_string()) {
            tracing::warn!(kind = self.resource.part, %error, "not watching, the last objects stay");
        }
        if self.version.is_none() {
            // The other kind of list may get through where this one did not.
            self.streaming = !self.streaming && !self.never_streaming;
        }
        if is_refusal(&error) {
            self.refusals += 1;
            if self.refusals >= REFUSALS {
                self.refusals = 0;
                self.version = None;
            }
        }
        self.turn = (self.turn + 1) % servers.max(1);
        if self.turn == 0 {
            self.pause().await;
        }
    }

    /// Whether there is another way that need not wait.
    fn try_otherwise(&mut self, error: &KubeError) -> bool {
        let listing = self.version.is_none();
        match error {
            KubeError::NoStreaming { .. } => {
                self.never_streaming = true;
                self.streaming = false;
                true
            }
            KubeError::Expired { .. } if !listing => {
                self.version = None;
                // A server that forgets at once is asked again no sooner than after a failure.
                std::mem::take(&mut self.progressed)
            }
            KubeError::TooLarge { .. } if listing && self.page > 1 => {
                self.page /= 2;
                self.streaming = false;
                true
            }
            _ => false,
        }
    }

    /// Waits for the time that is due, or for other servers.
    async fn pause(&mut self) {
        let wait = self.backoff.wait();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = self.servers.changed() => if changed.is_ok() {
                self.backoff.reset();
                self.turn = 0;
            },
        }
    }

    /// A list in pages.
    async fn list(&mut self, server: &Server) -> Result<(), KubeError> {
        self.send(Event::Init).await?;
        let mut next = None;
        loop {
            let uri = self.resource.page(self.page, next.as_deref());
            let answer = request::get(server, &uri, self.timing.answer).await?;
            self.connected(server);
            let body = answer.all(self.timing.answer, LARGEST_PAGE).await?;
            let garbage = |what: String| KubeError::Garbage {
                server: server.name.to_string(),
                what,
            };
            let head = head(&body).map_err(garbage)?;
            for item in wire::elements(head.items) {
                let item = item.map_err(|error| garbage(error.to_string()))?;
                self.send(Event::InitApply(wire::decode::<K>(item))).await?;
            }
            next = head.next;
            if next.is_none() {
                self.synced(head.version);
                return self.send(Event::InitDone).await;
            }
        }
    }

    /// A watch; if `listing`, one that begins with a list.
    async fn follow(
        &mut self,
        server: &Server,
        uri: &str,
        mut listing: bool,
    ) -> Result<End, KubeError> {
        let mut lines = match request::get(server, uri, self.timing.answer).await {
            Err(KubeError::Status {
                server,
                code: 400 | 422,
                ..
            }) if listing => {
                return Err(KubeError::NoStreaming { server });
            }
            other => other?,
        };
        self.connected(server);
        if listing {
            self.send(Event::Init).await?;
        }
        // Once a watch has had a bookmark, another follows every minute; before anything has
        // changed there is none.
        let mut marked = false;
        loop {
            let patience = self.patience(listing);
            let line = tokio::select! {
                line = lines.next(patience) => line,
                Ok(()) = self.servers.changed() => return Ok(End::Replaced),
            };
            let line = match line {
                Err(KubeError::Silent { .. }) if !listing && !marked && self.bookmarks => {
                    return Ok(End::Closed);
                }
                line => line?,
            };
            let Some(line) = line else {
                return match listing {
                    true => Err(lines.garbage("the list ends before its end")),
                    false => Ok(End::Closed),
                };
            };
            let Some((kind, object)) = event(line) else {
                return Err(lines.garbage("a watch event that is none"));
            };
            match kind {
                b"BOOKMARK" => {
                    self.bookmarks = true;
                    marked = !listing;
                    if self.bookmark(object, listing).await? {
                        listing = false;
                    }
                }
                b"ERROR" => return Err(request::refusal(server.name.to_string(), 500, object)),
                kind => self.change(kind, object, listing).await?,
            }
            self.status.heard(self.resource.part);
        }
    }

    /// An object was added, modified or deleted.
    async fn change(&mut self, kind: &[u8], object: &[u8], listing: bool) -> Result<(), KubeError> {
        let object = wire::decode::<K>(object);
        let version = object.as_ref().ok().and_then(|object| version(&**object));
        let event = match (kind, object) {
            (b"DELETED", Ok(object)) => wire::name_of(&*object).map(Event::Delete),
            (b"DELETED", Err(unreadable)) => unreadable.name.map(Event::Delete),
            (b"ADDED", object) if listing => Some(Event::InitApply(object)),
            (b"ADDED" | b"MODIFIED", object) => Some(Event::Apply(object)),
            _ => None,
        };
        if let Some(event) = event {
            self.send(event).await?;
        }
        if !listing {
            self.progress(version);
        }
        Ok(())
    }

    /// How far the server is; whether this ends a list.
    async fn bookmark(&mut self, object: &[u8], listing: bool) -> Result<bool, KubeError> {
        let Ok(object) = wire::decode::<K>(object) else {
            return Ok(false);
        };
        let version = version(&*object);
        if !listing {
            self.progress(version);
            return Ok(false);
        }
        let annotations = object.metadata().good().and_then(|m| m.annotations.good());
        let end = annotations.map(|marks| marks.get("k8s.io/initial-events-end"));
        let (Some(Field::Good(text)), Some(version)) = (end, version) else {
            return Ok(false);
        };
        if &**text != "true" {
            return Ok(false);
        }
        self.synced(version);
        self.send(Event::InitDone).await?;
        Ok(true)
    }

    fn progress(&mut self, version: Option<String>) {
        if version.is_some() {
            self.version = version;
        }
        self.refusals = 0;
        self.progressed = true;
        self.backoff.reset();
    }

    fn synced(&mut self, version: String) {
        self.version = Some(version);
        self.refusals = 0;
        self.progressed = false;
        self.page = PAGE;
        self.status.synced(self.resource.part);
        tracing::info!(kind = self.resource.part, "listed");
    }

    fn connected(&self, server: &Server) {
        self.status
            .connected(self.resource.part, Some(&Arc::clone(&server.name)));
    }

    async fn send(&self, event: Event<K>) -> Result<(), KubeError> {
        let sent = self.events.send(K::event(event)).await;
        sent.map_err(|_| KubeError::Unheard)
    }

    /// How long the server may be silent.
    fn patience(&self, listing: bool) -> Duration {
        let longest = self.timing.watch + GRACE;
        match (listing, self.bookmarks) {
            (true, _) => self.timing.answer,
            (false, true) => self.timing.silence.min(longest),
            (false, false) => longest,
        }
    }

    fn seconds(&self) -> u64 {
        self.timing.watch.as_secs().max(1)
    }
}

/// The server answered, and would answer the same again.
fn is_refusal(error: &KubeError) -> bool {
    matches!(
        error,
        KubeError::Status { .. } | KubeError::Garbage { .. } | KubeError::TooLarge { .. }
    )
}

fn version<K: Kind>(object: &K) -> Option<String> {
    let version = object.metadata().good()?.resource_version.good()?;
    (!version.is_empty()).then(|| version.to_string())
}

/// Type and object of a watch event.
fn event(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut kind, mut object) = (None, None);
    for member in wire::members(line) {
        match member.ok()? {
            (b"type", value) => kind = value.strip_prefix(b"\"")?.strip_suffix(b"\""),
            (b"object", value) => object = Some(value),
            _ => {}
        }
    }
    Some((kind?, object?))
}
