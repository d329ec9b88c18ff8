//! How each source is doing, for the health page: a few values behind a lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// Shared by all sources of a cluster and by who asks; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct SourceStatus {
    parts: Arc<Mutex<BTreeMap<&'static str, PartStatus>>>,
}

/// One source: a kind of the API server, the kubeconfig, the directory of manifests, the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartStatus {
    /// A watch is open.
    pub connected: bool,
    /// Everything was listed at least once.
    pub synced: bool,
    /// Whom the last request went to.
    pub server: Option<Arc<str>>,
    /// When something was last heard: an object or a bookmark.
    pub last_event: Option<Instant>,
    /// Why it is not connected, or what cannot be read; `None` when all is well.
    pub fault: Option<String>,
    /// The last fault, also when it is over.
    pub last_error: Option<(Instant, String)>,
}

// === impl SourceStatus ===

impl SourceStatus {
    /// All parts by name.
    #[must_use]
    pub fn parts(&self) -> BTreeMap<&'static str, PartStatus> {
        self.lock().clone()
    }

    /// One line: everything that is wrong, or that all is well.
    #[must_use]
    pub fn summary(&self) -> String {
        let parts = self.lock();
        let faults: Vec<String> = parts
            .iter()
            .filter_map(|(name, part)| part.fault.as_ref().map(|fault| format!("{name}: {fault}")))
            .collect();
        if !faults.is_empty() {
            return faults.join("; ");
        }
        let awaited: Vec<&str> = parts
            .iter()
            .filter_map(|(name, part)| (!part.synced).then_some(*name))
            .collect();
        if awaited.is_empty() {
            return "in sync".to_owned();
        }
        format!("waiting for {}", awaited.join(", "))
    }

    /// The part is there and has said nothing yet.
    pub(super) fn announce(&self, part: &'static str) {
        self.lock().entry(part).or_default();
    }

    pub(super) fn connected(&self, part: &'static str, server: Option<&Arc<str>>) {
        self.change(part, |status| {
            status.connected = true;
            status.fault = None;
            status.server = server.cloned();
        });
    }

    pub(super) fn synced(&self, part: &'static str) {
        self.change(part, |status| {
            status.synced = true;
            status.fault = None;
            status.last_event = Some(Instant::now());
        });
    }

    pub(super) fn heard(&self, part: &'static str) {
        self.change(part, |status| status.last_event = Some(Instant::now()));
    }

    /// Whether the fault is another one than before, and so worth a line in the log.
    pub(super) fn failed(&self, part: &'static str, fault: String) -> bool {
        self.change(part, |status| {
            let is_news = status.fault.as_ref() != Some(&fault);
            status.connected = false;
            status.last_error = Some((Instant::now(), fault.clone()));
            status.fault = Some(fault);
            is_news
        })
    }

    fn change<T>(&self, part: &'static str, change: impl FnOnce(&mut PartStatus) -> T) -> T {
        change(self.lock().entry(part).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, PartStatus>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
