//! The loop itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::causes::with_causes;
use super::{Controller, Failure, Inbox, Outcome, Pacer, PartHealth, Pass, PassRecord, Scope};
use crate::metrics::ControllerMetrics;

/// The loop wakes up at least this often to show that it is alive and to glance at the kernel.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// One controller with its loop and its belief about the kernel.
pub struct Runner<C: Controller, B> {
    controller: C,
    inbox: B,
    resync_of: fn(&C::Input) -> Duration,
    health: PartHealth,
    metrics: Arc<ControllerMetrics>,
    pacer: Pacer,
    input: Option<(C::Input, Instant)>,
    seen: Option<C::Observed>,
    /// The failures of the last pass, as they were logged.
    failing: BTreeSet<String>,
}

// === impl Runner ===

impl<C: Controller, B: Inbox<C::Input>> Runner<C, B> {
    /// `resync_of` tells from the input how often the kernel is read back.
    pub fn new(
        controller: C,
        inbox: B,
        resync_of: fn(&C::Input) -> Duration,
        health: PartHealth,
        metrics: Arc<ControllerMetrics>,
    ) -> Self {
        Self {
            controller,
            inbox,
            resync_of,
            health,
            metrics,
            pacer: Pacer::new(Duration::MAX),
            input: None,
            seen: None,
            failing: BTreeSet::new(),
        }
    }

    /// Reconciles until it is asked to stop.
    pub fn run(&mut self) {
        loop {
            let now = self.inbox.now();
            let wake = self
                .pacer
                .next()
                .map_or(now + HEARTBEAT, |at| at.min(now + HEARTBEAT));
            let news = self.inbox.wait(wake);
            if news.stop {
                return;
            }
            if news.foreign {
                self.pacer.foreign_change();
            }
            if let Some((input, arrived)) = news.input {
                self.pacer.set_resync((self.resync_of)(&input));
                self.pacer.input_arrived();
                self.input = Some((input, arrived));
            }
            let now = self.inbox.now();
            self.health.beat(now);
            if let Some(pass) = self.pacer.due(now) {
                self.pass(pass, now);
            } else if self
                .seen
                .as_ref()
                .is_some_and(|seen| self.controller.glance(seen))
            {
                // What was programmed is not there any more: at once, not at the next timer.
                self.pacer.foreign_change();
            }
        }
    }

    /// One pass: plan, look if there is doubt, compare, apply, tell.
    fn pass(&mut self, pass: Pass, began: Instant) {
        if pass.plan {
            self.plan(began);
        }
        let mut record = PassRecord {
            input: self.input.as_ref().map(|(_, at)| *at),
            ..PassRecord::default()
        };
        let steps = self.look(pass, &mut record).then(|| self.step(&mut record));
        record.summary = self.controller.summary();
        // Of the input, and of what the kernel would not take.
        for note in self.health.set_notes(self.controller.notes()) {
            warn!(controller = C::NAME, note, "left out");
        }
        let now = self.inbox.now();
        let outcome = if record.error.is_none() && record.failed == 0 {
            Outcome::Worked
        } else {
            Outcome::Failed
        };
        self.pacer.passed(pass, began, now, outcome);
        self.pacer.set_deadline(self.controller.next_deadline());
        let took = now.saturating_duration_since(began);
        self.metrics.pass.observe(took);
        self.metrics.count_failures(record.failed);
        if steps.is_some_and(|number| number > 0) {
            let (applied, failed) = (record.applied, record.failed);
            info!(
                controller = C::NAME,
                applied,
                failed,
                ?took,
                state = record.summary,
                "pass"
            );
        }
        self.health.passed(record, now);
    }

    fn plan(&mut self, began: Instant) {
        let Some((input, _)) = &self.input else {
            return;
        };
        self.controller.plan(input);
        self.metrics
            .plan
            .observe(self.inbox.now().saturating_duration_since(began));
    }

    /// Reads the kernel back if the pass wants it; whether there is a belief to go on with.
    fn look(&mut self, pass: Pass, record: &mut PassRecord) -> bool {
        if !pass.observe && self.seen.is_some() {
            return true;
        }
        let began = self.inbox.now();
        let seen = self.controller.observe();
        let now = self.inbox.now();
        self.metrics
            .observe
            .observe(now.saturating_duration_since(began));
        match seen {
            Ok(seen) => {
                self.seen = Some(seen);
                self.pacer.observed(now);
                record.read_back = true;
                true
            }
            Err(error) => {
                let reason = with_causes(&error);
                self.tell(BTreeSet::from([format!("read back: {reason}")]));
                self.metrics.count_failures(1);
                record.error = Some(format!("read back: {reason}"));
                false
            }
        }
    }

    /// Compares and applies; the number of steps.
    fn step(&mut self, record: &mut PassRecord) -> usize {
        let Some(seen) = &mut self.seen else { return 0 };
        let scope = if record.read_back {
            Scope::Everything
        } else {
            Scope::Touched
        };
        let changes = self.controller.changes(seen, scope);
        let number = changes.len();
        for change in &changes {
            debug!(controller = C::NAME, kind = C::kind(change), %change, "change");
        }
        if number > 0 {
            self.metrics.count_changes(changes.iter().map(C::kind));
            let began = self.inbox.now();
            let (health, inbox) = (&self.health, &self.inbox);
            let report = self
                .controller
                .apply(changes, seen, &|| health.beat(inbox.now()));
            self.metrics
                .apply
                .observe(self.inbox.now().saturating_duration_since(began));
            record.applied = report.applied;
            record.failed = report.failures.len();
            let mut failures = report.failures.iter();
            record.error = failures.find(|one| !one.is_isolated()).map(describe);
            self.tell(report.failures.iter().map(describe).collect());
        } else {
            self.tell(BTreeSet::new());
        }
        number
    }

    /// Logs failures when they begin; as long as they stay the same they are only counted.
    fn tell(&mut self, failing: BTreeSet<String>) {
        for failure in failing.difference(&self.failing) {
            let in_a_row = self.pacer.failed() + 1;
            warn!(
                controller = C::NAME,
                failure, in_a_row, "did not work, will be tried again"
            );
        }
        if failing.is_empty() && !self.failing.is_empty() {
            info!(
                controller = C::NAME,
                failures = self.failing.len(),
                "failures are over"
            );
        }
        self.failing = failing;
    }
}

impl<C: Controller, B> std::fmt::Debug for Runner<C, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("controller", &C::NAME)
            .field("pacer", &self.pacer)
            .finish_non_exhaustive()
    }
}

/// The step and its reason, as the command that failed.
fn describe<C: std::fmt::Display>(failure: &Failure<C>) -> String {
    format!(
        "{}: {}",
        failure.change,
        with_causes(failure.reason.as_ref())
    )
}
