//! How much stands in the kernel, for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::firewall::{SERVED, Seen, Wanted};
use crate::netpol::plan::{CHAINS, SETS};

/// Counts that the controller keeps and the page of metrics reads.
#[derive(Debug, Default)]
pub struct Standing {
    chains: AtomicU64,
    sets: AtomicU64,
    quarantined: AtomicU64,
}

// === impl Standing ===

impl Standing {
    /// Chains that judge the pods of isolations, of both families.
    #[must_use]
    pub fn chains(&self) -> u64 {
        self.chains.load(Ordering::Relaxed)
    }

    /// Sets that rules of policies read, of both families.
    #[must_use]
    pub fn sets(&self) -> u64 {
        self.sets.load(Ordering::Relaxed)
    }

    /// Chains and sets that the kernel will not take.
    #[must_use]
    pub fn quarantined(&self) -> u64 {
        self.quarantined.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, seen: &Seen, wanted: &Wanted) {
        let chains = seen.chains.iter().filter(|(key, chain)| {
            chain.is_some() && key.name != wanted.closed && !CHAINS.contains(&key.name)
        });
        let sets = seen
            .sets
            .keys()
            .filter(|key| key.def != SERVED && !SETS.contains(&key.def));
        self.chains.store(number(chains.count()), Ordering::Relaxed);
        self.sets.store(number(sets.count()), Ordering::Relaxed);
    }

    pub(super) fn count_quarantined(&self, quarantined: usize) {
        self.quarantined
            .store(number(quarantined), Ordering::Relaxed);
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
