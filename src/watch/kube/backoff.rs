//! How long to wait before the next try.

use std::time::Duration;

/// Doubles from failure to failure up to a limit, and scatters, so that nodes do not come in step.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    /// State of a xorshift generator; never zero.
    chance: u64,
}

// === impl Backoff ===

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration, seed: u64) -> Self {
        Self {
            first,
            longest,
            next: first,
            chance: seed | 1,
        }
    }

    /// Between half and all of the time that is due.
    pub(super) fn wait(&mut self) -> Duration {
        let due = self.next.min(self.longest);
        self.next = due.saturating_mul(2);
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let thousandths = u32::try_from(self.chance % 501).unwrap_or(0);
        due / 2 + due * thousandths / 1000
    }

    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_scatter() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::new(Duration::from_millis(500), seconds(10), 7);
        let mut due = Duration::from_millis(500);
        let mut waits = Vec::new();
        for _ in 0..20 {
            let wait = backoff.wait();
            assert!(wait >= due / 2 && wait <= due, "{wait:?} of {due:?}");
            due = seconds(10).min(due * 2);
            waits.push(wait);
        }
        waits.dedup();
        assert_eq!(waits.len(), 20);
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_millis(500));
    }
}
