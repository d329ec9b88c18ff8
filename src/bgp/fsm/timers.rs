//! Deadlines and the chance in them: back-off that doubles, and jitter (RFC 4271 section 10).

use std::time::{Duration, Instant};

/// Waits that double from one failure to the next, up to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure; at least [`Backoff::SHORTEST`] is waited whatever stands here.
    pub first: Duration,
    pub limit: Duration,
}

/// A source of numbers that spread the speakers of a mesh in time (splitmix64). The same seed gives
/// the same numbers; nothing secret may hang on them.
#[derive(Debug, Clone)]
pub(super) struct Jitter {
    state: u64,
}

// === impl Backoff ===

impl Backoff {
    /// So that a wait is never none, even with jitter.
    pub const SHORTEST: Duration = Duration::from_millis(100);

    /// The wait after so many failures in a row, before jitter; the first failure is number 1.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let wait = self.first.saturating_mul(1 << doublings);
        wait.max(Self::SHORTEST).min(self.longest())
    }

    pub(super) fn longest(&self) -> Duration {
        self.limit.max(Self::SHORTEST)
    }
}

// === impl Jitter ===

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between three quarters and the whole of `wait`, as RFC 4271 section 10 has it.
    pub(super) fn spread(&mut self, wait: Duration) -> Duration {
        let quarter = wait / 4;
        let part = u32::try_from(self.next() >> 32).unwrap_or(u32::MAX);
        let share = quarter.mul_f64(f64::from(part) / f64::from(u32::MAX));
        wait.saturating_sub(quarter).saturating_add(share)
    }
}

/// A deadline; none if it is beyond what an `Instant` can say.
pub(super) fn after(now: Instant, wait: Duration) -> Option<Instant> {
    now.checked_add(wait)
}

pub(super) fn is_due(deadline: Option<Instant>, now: Instant) -> bool {
    deadline.is_some_and(|deadline| deadline <= now)
}

/// The first of several deadlines.
pub(super) fn earliest(deadlines: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    deadlines.into_iter().flatten().min()
}
