//! What all connections of a server share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::faults::{Fault, Faults};
use crate::store::Store;

/// Requests that the log keeps.
const LOG: usize = 100_000;

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Everyone.
    None,
    /// Bearers of the token.
    Token,
    /// Holders of a client certificate.
    ClientCertificate,
    /// Either.
    Any,
}

/// A request as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// HTTP method.
    pub method: String,
    /// Path, undecoded.
    pub path: String,
    /// Query, undecoded, without the question mark.
    pub query: String,
    /// `list`, `watch`, `get`, `create`, `update`, `patch`, `delete` or `other`.
    pub verb: &'static str,
    /// Plural of the resource, empty for other paths.
    pub resource: &'static str,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) faults: Arc<Faults>,
    pub(crate) bookmark_every: Duration,
    pub(crate) sent: Arc<AtomicU64>,
    pub(crate) streaming_lists: AtomicBool,
    pub(crate) gone_as_status: AtomicBool,
    bookmarks_forced: AtomicU64,
    auth: Mutex<(AuthMode, String)>,
    requests: Mutex<VecDeque<Request>>,
}

impl Shared {
    pub(crate) fn new(
        store: Store,
        bookmark_every: Duration,
        auth: AuthMode,
        token: String,
    ) -> Self {
        Self {
            store,
            faults: Arc::default(),
            bookmark_every,
            sent: Arc::default(),
            streaming_lists: AtomicBool::new(true),
            gone_as_status: AtomicBool::new(false),
            bookmarks_forced: AtomicU64::new(0),
            auth: Mutex::new((auth, token)),
            requests: Mutex::default(),
        }
    }

    pub(crate) fn set_fault(&self, fault: Fault) {
        self.faults.set(fault);
        self.store.wake_all();
    }

    pub(crate) fn clear_faults(&self) {
        self.faults.clear();
        self.store.wake_all();
    }

    /// Returns when the faults of this epoch are cleared.
    pub(crate) async fn cleared(&self, epoch: u64) {
        let mut wake = self.store.subscribe();
        while self.faults.epoch() == epoch && wake.changed().await.is_ok() {}
    }

    pub(crate) fn gone_as_status(&self) -> bool {
        self.gone_as_status.load(Ordering::Relaxed)
    }

    pub(crate) fn bookmarks_forced(&self) -> u64 {
        self.bookmarks_forced.load(Ordering::Relaxed)
    }

    pub(crate) fn force_bookmarks(&self) {
        self.bookmarks_forced.fetch_add(1, Ordering::Relaxed);
        self.store.wake_all();
    }

    pub(crate) fn set_auth(&self, mode: AuthMode, token: Option<&str>) {
        let mut auth = self.auth.lock().unwrap_or_else(PoisonError::into_inner);
        auth.0 = mode;
        if let Some(token) = token {
            token.clone_into(&mut auth.1);
        }
    }

    pub(crate) fn token(&self) -> String {
        self.auth
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .clone()
    }

    /// Judges a request by its Authorization header and by whether its client certificate is known.
    pub(crate) fn admits(&self, authorization: Option<&str>, known_certificate: bool) -> bool {
        let auth = self.auth.lock().unwrap_or_else(PoisonError::into_inner);
        let (mode, token) = &*auth;
        let bearer = authorization.and_then(|header| header.strip_prefix("Bearer "));
        let by_token = bearer.is_some_and(|bearer| bearer.trim() == token);
        match mode {
            AuthMode::None => true,
            AuthMode::Token => by_token,
            AuthMode::ClientCertificate => known_certificate,
            AuthMode::Any => by_token || known_certificate,
        }
    }

    pub(crate) fn log(&self, request: Request) {
        let mut log = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == LOG {
            log.pop_front();
        }
        log.push_back(request);
    }

    pub(crate) fn clear_requests(&self) {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}
