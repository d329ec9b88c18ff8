//! When the next pass is due, and what it has to do. Pure: time is an argument.
//!
//! New input runs at once; what arrives while a pass is in flight is coalesced by the slot it
//! waits in, so there is no quiet window. Everything else is a point in time: the periodic
//! read-back, the retry after failures (backing off), the read-back after a foreign change, and
//! the deadline that the controller names.

use std::time::{Duration, Instant};

/// The first retry after a failure, and the longest wait between two.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Read-backs that foreign changes cause keep this distance, so that somebody who writes all the
/// time, our own echo included, cannot make us read all the time.
const FOREIGN: Duration = Duration::from_secs(1);

/// From this many failed passes in a row on, a retry reads the kernel back first.
const DOUBT: u32 = 2;

/// What a pass has to do besides comparing and applying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// The input changed.
    pub plan: bool,
    /// The belief about the kernel may be wrong.
    pub observe: bool,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Worked,
    /// Some steps did not work, or the kernel could not be read.
    Failed,
}

/// The schedule of one controller.
#[derive(Debug)]
pub struct Pacer {
    resync: Duration,
    /// Whether there was any input yet.
    started: bool,
    input: bool,
    read_back: Option<Instant>,
    foreign: bool,
    retry: Option<Instant>,
    failed: u32,
    deadline: Option<Instant>,
    /// The last deadline that was served; one that stays behind is not served again.
    served: Option<Instant>,
}

// === impl Pacer ===

impl Pacer {
    /// Nothing is due before the first input.
    #[must_use]
    pub fn new(resync: Duration) -> Self {
        Self {
            resync,
            started: false,
            input: false,
            read_back: None,
            foreign: false,
            retry: None,
            failed: 0,
            deadline: None,
            served: None,
        }
    }

    pub fn input_arrived(&mut self) {
        self.started = true;
        self.input = true;
    }

    pub fn foreign_change(&mut self) {
        self.foreign = true;
    }

    /// How often the kernel is read back; counts from the last time it was.
    pub fn set_resync(&mut self, resync: Duration) {
        self.resync = resync;
    }

    /// When the controller wants to be woken.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline.filter(|at| Some(*at) != self.served);
    }

    /// The pass that is due now, if any.
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<Pass> {
        if !self.started {
            return None;
        }
        let retry = is_past(self.retry, now);
        let observe = self.reads(now) || (retry && self.failed >= DOUBT);
        let due = self.input || retry || observe || is_past(self.deadline, now);
        due.then_some(Pass {
            plan: self.input,
            observe: observe || self.read_back.is_none(),
        })
    }

    /// Until when nothing is due; `None`: until something arrives.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let reads = self.resync_at().into_iter().chain(self.foreign_at());
        let all = reads.chain(self.retry).chain(self.deadline);
        all.min().filter(|_| self.started)
    }

    /// The kernel was read back.
    pub fn observed(&mut self, now: Instant) {
        self.read_back = Some(now);
        self.foreign = false;
    }

    /// A pass that was due at `began` ended.
    pub fn passed(&mut self, pass: Pass, began: Instant, now: Instant, outcome: Outcome) {
        self.input = false;
        if is_past(self.deadline, began) {
            self.served = self.deadline.take();
        }
        match outcome {
            Outcome::Worked => {
                self.retry = None;
                self.failed = 0;
            }
            // New input in between neither hurries a retry nor puts it off.
            Outcome::Failed if pass.plan && self.retry.is_some_and(|at| at > now) => {}
            Outcome::Failed => {
                self.failed = self.failed.saturating_add(1);
                self.retry = Some(now + backoff(self.failed));
            }
        }
    }

    /// Failed passes in a row.
    #[must_use]
    pub fn failed(&self) -> u32 {
        self.failed
    }

    fn reads(&self, now: Instant) -> bool {
        // A read-back that fails comes back with the retry, not at once.
        let retrying = self.retry.is_some_and(|at| at > now);
        !retrying && (is_past(self.resync_at(), now) || is_past(self.foreign_at(), now))
    }

    fn resync_at(&self) -> Option<Instant> {
        self.after_retry(self.read_back?.checked_add(self.resync)?)
    }

    fn foreign_at(&self) -> Option<Instant> {
        self.after_retry(self.read_back.filter(|_| self.foreign)? + FOREIGN)
    }

    fn after_retry(&self, at: Instant) -> Option<Instant> {
        Some(self.retry.map_or(at, |retry| retry.max(at)))
    }
}

fn is_past(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| at <= now)
}

fn backoff(failed: u32) -> Duration {
    let (first, longest) = RETRY;
    let doubled = 2_u32
        .checked_pow(failed.saturating_sub(1))
        .and_then(|factor| first.checked_mul(factor));
    doubled.map_or(longest, |wait| wait.min(longest))
}
