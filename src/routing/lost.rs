//! Routes of ours that somebody deleted, on their way from who heard of it to the controller.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::routing::plan::routes::RouteKey;

/// Shared by the thread that listens to the kernel and the controller; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Lost(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    keys: Mutex<BTreeSet<RouteKey>>,
    /// Number of the controller's own socket; 0 before there is one.
    port: AtomicU32,
}

// === impl Lost ===

impl Lost {
    /// What this socket does is our own doing
    /// ([`HostKernel::port`](crate::routing::HostKernel::port)).
    pub fn leave_out(&self, port: u32) {
        self.0.port.store(port, Ordering::Relaxed);
    }

    /// Somebody deleted it, or we did: the controller knows what it wants.
    pub fn put(&self, key: RouteKey) {
        let keys = self.0.keys.lock();
        keys.unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    pub(super) fn take(&self) -> BTreeSet<RouteKey> {
        let keys = self.0.keys.lock();
        std::mem::take(&mut *keys.unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn port(&self) -> u32 {
        self.0.port.load(Ordering::Relaxed)
    }

    /// Whether nobody else holds it.
    pub(super) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) < 2
    }
}
