//! How each source is doing, for the health page: a few values behind a lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

/// Shared by all sources of a cluster and by who asks; cheap to clone.
#[derive(Debug, Clone)]
pub struct SourceStatus {
    parts: Arc<Mutex<Parts>>,
    fault: watch::Sender<Option<String>>,
}

type Parts = BTreeMap<&'static str, PartStatus>;

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

impl Default for SourceStatus {
    fn default() -> Self {
        Self {
            parts: Arc::default(),
            fault: watch::channel(None).0,
        }
    }
}

impl SourceStatus {
    /// All parts by name.
    #[must_use]
    pub fn parts(&self) -> BTreeMap<&'static str, PartStatus> {
        self.lock().clone()
    }

    /// Why the cluster is not known as it is now: everything that is wrong, or what is awaited;
    /// `None` when all is well.
    #[must_use]
    pub fn fault(&self) -> watch::Receiver<Option<String>> {
        self.fault.subscribe()
    }

    /// The part is there and has said nothing yet.
    pub(super) fn announce(&self, part: &'static str) {
        self.change(part, |_| {});
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
        let mut parts = self.lock();
        let result = change(parts.entry(part).or_default());
        let fault = fault_of(&parts);
        self.fault.send_if_modified(|known| {
            let is_new = *known != fault;
            *known = fault;
            is_new
        });
        result
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fault_of(parts: &Parts) -> Option<String> {
    let faults = parts.iter().filter_map(|(name, part)| {
        let fault = part.fault.as_ref()?;
        Some(format!("{name}: {fault}"))
    });
    let faults: Vec<String> = faults.collect();
    if !faults.is_empty() {
        return Some(faults.join("; "));
    }
    let awaited = parts.iter().filter(|(_, part)| !part.synced);
    let awaited: Vec<&str> = awaited.map(|(name, _)| *name).collect();
    (!awaited.is_empty()).then(|| format!("waiting for {}", awaited.join(", ")))
}
