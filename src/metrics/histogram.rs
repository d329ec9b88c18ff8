//! A histogram of durations with the Go client library's default buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in seconds, as `prometheus.DefBuckets` of the Go client library.
pub(super) const BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Observations per bucket, not cumulated; longer ones are only in `count`.
    buckets: [AtomicU64; BOUNDS.len()],
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

// === impl Histogram ===

impl Histogram {
    pub fn observe(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        // The whole before its bucket: a scrape reads them the other way round, so that no bucket
        // is ever larger than the whole.
        self.count.fetch_add(1, Ordering::Relaxed);
        let seconds = duration.as_secs_f64();
        let fitting = BOUNDS.iter().position(|bound| seconds <= *bound);
        if let Some(bucket) = fitting.and_then(|index| self.buckets.get(index)) {
            bucket.fetch_add(1, Ordering::Release);
        }
    }

    /// Bounds with the number of observations up to each.
    pub(super) fn cumulated(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        BOUNDS
            .into_iter()
            .zip(&self.buckets)
            .scan(0, |sum, (bound, bucket)| {
                *sum += bucket.load(Ordering::Acquire);
                Some((bound, *sum))
            })
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}
