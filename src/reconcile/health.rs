//! What is known about each part's health: progress, successes, failures and their reasons.
//!
//! Written by the controllers' loops and by whoever watches a source; read by the health pages,
//! the status line and the watchdog as one [`HealthReport`], a plain value.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::report::{self, HealthReport};

/// When bad becomes unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthLimits {
    /// The longest time without progress: a loop that neither ends its pass nor wakes up.
    pub stalled: Duration,
    /// The longest time of passes that fail.
    pub failing: Duration,
}

/// The board of all parts.
#[derive(Debug)]
pub struct HealthBoard {
    limits: HealthLimits,
    parts: Mutex<Vec<PartHealth>>,
    conditions: Mutex<BTreeMap<&'static str, Condition>>,
    notes: Mutex<Vec<String>>,
}

/// One part's line on the board; cheap to clone.
#[derive(Debug, Clone)]
pub struct PartHealth {
    pub(super) name: &'static str,
    state: Arc<Mutex<PartState>>,
}

/// Something outside the controllers that has to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    /// Why it does not hold.
    pub(super) fault: Option<String>,
    pub(super) since: Instant,
    /// Whether the node is not ready while it does not hold.
    pub(super) needed: bool,
}

/// How one pass went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassRecord {
    /// Steps that worked.
    pub applied: usize,
    /// Steps that did not.
    pub failed: usize,
    /// The reason of the first failure that is not isolated, or why the kernel could not be read.
    pub error: Option<String>,
    /// When the input arrived that was applied.
    pub input: Option<Instant>,
    /// Whether the kernel was read back.
    pub read_back: bool,
    /// The controller's own line.
    pub summary: String,
}

#[derive(Debug, Clone, Default)]
pub(super) struct PartState {
    /// The last sign of progress.
    pub(super) beat: Option<Instant>,
    /// Whether a whole pass was made; see [`PassRecord::is_complete`].
    pub(super) complete: bool,
    pub(super) last_success: Option<Instant>,
    pub(super) failing_since: Option<Instant>,
    pub(super) last_error: Option<(Instant, String)>,
    pub(super) read_back: Option<Instant>,
    pub(super) input: Option<Instant>,
    pub(super) passes: u64,
    pub(super) changes: u64,
    pub(super) failures: u64,
    pub(super) panics: u64,
    /// The message of a panic that no successful pass has followed yet.
    pub(super) panic: Option<String>,
    /// Steps that failed in the last pass.
    pub(super) failed_now: usize,
    pub(super) summary: String,
    pub(super) notes: Vec<String>,
}

// === impl HealthBoard ===

impl HealthBoard {
    #[must_use]
    pub fn new(limits: HealthLimits) -> Self {
        Self {
            limits,
            parts: Mutex::default(),
            conditions: Mutex::default(),
            notes: Mutex::default(),
        }
    }

    /// Adds a part; from now on it has to show progress.
    #[must_use]
    pub fn part(&self, name: &'static str, now: Instant) -> PartHealth {
        let state = PartState {
            beat: Some(now),
            ..PartState::default()
        };
        let part = PartHealth {
            name,
            state: Arc::new(Mutex::new(state)),
        };
        lock(&self.parts).push(part.clone());
        part
    }

    /// Sets what a part outside the controllers is like; `fault` says why it is not well. While a
    /// `needed` one is not, the node is not ready.
    pub fn condition(&self, name: &'static str, needed: bool, fault: Option<String>, now: Instant) {
        let mut conditions = lock(&self.conditions);
        let since = conditions
            .get(name)
            .filter(|old| old.fault.is_some() == fault.is_some())
            .map_or(now, |old| old.since);
        conditions.insert(
            name,
            Condition {
                fault,
                since,
                needed,
            },
        );
    }

    /// What users got wrong in what the parts are fed with.
    pub fn set_notes(&self, notes: Vec<String>) {
        *lock(&self.notes) = notes;
    }

    /// Everything, as of now.
    #[must_use]
    pub fn report(&self, now: Instant) -> HealthReport {
        let parts: Vec<_> = lock(&self.parts)
            .iter()
            .map(|part| (part.name, lock(&part.state).clone()))
            .collect();
        let conditions = lock(&self.conditions);
        let report = report::report(&parts, &conditions, self.limits, now);
        HealthReport {
            notes: lock(&self.notes).clone(),
            ..report
        }
    }
}

// === impl PartHealth ===

impl PartHealth {
    /// The loop is alive: an idle wait ended on schedule.
    pub fn beat(&self, now: Instant) {
        lock(&self.state).beat = Some(now);
    }

    /// A pass ended.
    pub fn passed(&self, record: PassRecord, now: Instant) {
        let mut state = lock(&self.state);
        state.beat = Some(now);
        state.passes += 1;
        state.changes += record.applied as u64;
        state.failures += record.failed as u64;
        state.failed_now = record.failed;
        if record.is_complete() {
            state.complete = true;
            state.input = record.input;
        }
        if record.read_back {
            state.read_back = Some(now);
        }
        match record.error {
            None => {
                state.last_success = Some(now);
                state.failing_since = None;
                state.panic = None;
            }
            Some(error) => {
                state.failing_since.get_or_insert(now);
                state.last_error = Some((now, error));
            }
        }
        state.summary = record.summary;
    }

    /// The thread panicked and starts again with an empty memory.
    pub fn panicked(&self, message: &str, now: Instant) {
        let mut state = lock(&self.state);
        state.panics += 1;
        state.failing_since.get_or_insert(now);
        state.last_error = Some((now, format!("panic: {message}")));
        state.panic = Some(message.to_owned());
    }

    /// What users got wrong, as of the last plan; yields what is new in it.
    pub fn set_notes(&self, notes: Vec<String>) -> Vec<String> {
        let mut state = lock(&self.state);
        let new = notes
            .iter()
            .filter(|note| !state.notes.contains(note))
            .cloned()
            .collect();
        state.notes = notes;
        new
    }

    /// Since when the applied input has been known, and since the last read-back.
    #[must_use]
    pub fn ages(&self, now: Instant) -> (Option<Duration>, Option<Duration>) {
        let state = lock(&self.state);
        let age = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        (age(state.input), age(state.read_back))
    }
}

// === impl PassRecord ===

impl PassRecord {
    /// Whether the kernel was read and not everything was refused: one object that cannot be
    /// programmed must not keep a node from ever being ready.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.error.is_none() || (self.failed > 0 && self.applied > 0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
