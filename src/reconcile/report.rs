//! The board as a value: who is well, who is not, and why. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::health::{Condition, HealthLimits, PartState};

/// The health of everything at one moment; all times are ages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthReport {
    pub parts: Vec<PartReport>,
    pub conditions: Vec<ConditionReport>,
    /// What users got wrong, beside what the parts say themselves.
    pub notes: Vec<String>,
}

/// One controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartReport {
    pub name: &'static str,
    /// Why the part is unhealthy: it makes no progress, has panicked, or has failed for long.
    pub fault: Option<String>,
    /// Whether it makes progress at all; what the watchdog asks.
    pub stalled: bool,
    /// Whether a whole pass was made since the start.
    pub complete: bool,
    pub progress: Duration,
    pub last_success: Option<Duration>,
    pub failing: Option<Duration>,
    /// The last error, also when it is over.
    pub last_error: Option<(Duration, String)>,
    pub read_back: Option<Duration>,
    /// Since the input arrived that the kernel stands for.
    pub snapshot: Option<Duration>,
    pub passes: u64,
    pub changes: u64,
    pub failures: u64,
    pub panics: u64,
    /// Steps that failed in the last pass.
    pub failed_now: usize,
    pub summary: String,
    /// What users got wrong.
    pub notes: Vec<String>,
}

/// One condition outside the controllers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionReport {
    pub name: &'static str,
    pub fault: Option<String>,
    pub needed: bool,
    /// How long it has been so.
    pub age: Duration,
}

// === impl HealthReport ===

impl HealthReport {
    /// Why the process is unhealthy; empty when it is well.
    #[must_use]
    pub fn unhealthy(&self) -> Vec<String> {
        let of = |part: &PartReport| {
            part.fault
                .as_ref()
                .map(|fault| format!("{}: {fault}", part.name))
        };
        self.parts.iter().filter_map(of).collect()
    }

    /// Why the node is not ready; empty when it is.
    #[must_use]
    pub fn unready(&self) -> Vec<String> {
        let conditions = self.conditions.iter().filter(|condition| condition.needed);
        let outside = conditions.filter_map(|condition| {
            condition
                .fault
                .as_ref()
                .map(|fault| format!("{}: {fault}", condition.name))
        });
        let incomplete = self
            .parts
            .iter()
            .filter(|part| !part.complete && part.fault.is_none());
        let waiting = incomplete.map(|part| match &part.last_error {
            Some((_, error)) => format!("{}: no complete pass yet: {error}", part.name),
            None => format!("{}: no complete pass yet", part.name),
        });
        outside.chain(waiting).chain(self.unhealthy()).collect()
    }

    /// Whether every loop makes progress.
    #[must_use]
    pub fn makes_progress(&self) -> bool {
        !self.parts.iter().any(|part| part.stalled)
    }

    /// One line for the service manager:
    /// `ready: 12 services, 40 endpoints, 0 failed; snapshot 3 s old`.
    #[must_use]
    pub fn status(&self) -> String {
        let unready = self.unready();
        let mut line = if unready.is_empty() {
            let parts: Vec<String> = self.parts.iter().map(PartReport::status).collect();
            format!("ready: {}", parts.join("; "))
        } else {
            format!("not ready: {}", unready.join("; "))
        };
        for condition in self.conditions.iter().filter(|condition| !condition.needed) {
            if let Some(fault) = &condition.fault {
                line.push_str(&format!("; {}: {fault}", condition.name));
            }
        }
        line
    }

    /// The same line without what changes by itself: whether there is anything new in it.
    #[must_use]
    pub fn status_without_ages(&self) -> String {
        let parts = self.parts.iter().map(PartReport::without_ages).collect();
        Self {
            parts,
            conditions: self.conditions.clone(),
            notes: Vec::new(),
        }
        .status()
    }
}

// === impl PartReport ===

impl PartReport {
    fn without_ages(&self) -> Self {
        let fault = self.fault.as_ref().map(|_| String::new());
        Self {
            fault,
            snapshot: None,
            ..self.clone()
        }
    }

    fn status(&self) -> String {
        let mut line = format!("{}, {} failed", self.summary, self.failed_now);
        if let Some(age) = self.snapshot {
            line.push_str(&format!("; snapshot {} s old", age.as_secs()));
        }
        if let (Some(_), Some((_, error))) = (self.failing, &self.last_error) {
            line.push_str(&format!(" ({error})"));
        }
        line
    }
}

pub(super) fn report(
    parts: &[(&'static str, PartState)],
    conditions: &BTreeMap<&'static str, Condition>,
    limits: HealthLimits,
    now: Instant,
) -> HealthReport {
    let condition = |(name, condition): (&&'static str, &Condition)| ConditionReport {
        name,
        fault: condition.fault.clone(),
        needed: condition.needed,
        age: now.saturating_duration_since(condition.since),
    };
    HealthReport {
        parts: parts
            .iter()
            .map(|(name, state)| part(name, state, limits, now))
            .collect(),
        conditions: conditions.iter().map(condition).collect(),
        notes: Vec::new(),
    }
}

fn part(name: &'static str, state: &PartState, limits: HealthLimits, now: Instant) -> PartReport {
    let age = |at: Instant| now.saturating_duration_since(at);
    let progress = state.beat.map_or(Duration::ZERO, age);
    let failing = state.failing_since.map(age);
    let last_error = state
        .last_error
        .as_ref()
        .map(|(at, error)| (age(*at), error.clone()));
    let stalled = progress > limits.stalled;
    let fault = if stalled {
        Some(format!("no progress for {} s", progress.as_secs()))
    } else if let Some(message) = &state.panic {
        Some(format!("panic: {message}"))
    } else {
        failing.filter(|age| *age > limits.failing).map(|age| {
            let reason = last_error.as_ref().map_or("", |(_, error)| error);
            format!("failing for {} s: {reason}", age.as_secs())
        })
    };
    PartReport {
        name,
        fault,
        stalled,
        complete: state.complete,
        progress,
        last_success: state.last_success.map(age),
        failing,
        last_error,
        read_back: state.read_back.map(age),
        snapshot: state.input.map(age),
        passes: state.passes,
        changes: state.changes,
        failures: state.failures,
        panics: state.panics,
        failed_now: state.failed_now,
        summary: state.summary.clone(),
        notes: state.notes.clone(),
    }
}
