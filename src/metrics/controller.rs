//! What every controller counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Histogram, Kind, Text};

/// Times and counts of one controller's passes.
#[derive(Debug)]
pub struct ControllerMetrics {
    name: &'static str,
    /// From waking up to the last step.
    pub pass: Histogram,
    pub plan: Histogram,
    pub observe: Histogram,
    pub apply: Histogram,
    changes: Mutex<BTreeMap<&'static str, u64>>,
    failures: AtomicU64,
    panics: AtomicU64,
}

/// What only the moment of the scrape can tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ages {
    /// Since the input arrived that the kernel now stands for.
    pub snapshot: Option<Duration>,
    /// Since the kernel was last read back.
    pub read_back: Option<Duration>,
}

// === impl ControllerMetrics ===

impl ControllerMetrics {
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            pass: Histogram::default(),
            plan: Histogram::default(),
            observe: Histogram::default(),
            apply: Histogram::default(),
            changes: Mutex::default(),
            failures: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }
    }

    /// Counts steps that were tried, by their kind.
    pub fn count_changes(&self, kinds: impl Iterator<Item = &'static str>) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        for kind in kinds {
            *changes.entry(kind).or_default() += 1;
        }
    }

    /// Counts steps and read-backs that did not work.
    pub fn count_failures(&self, number: usize) {
        self.failures.fetch_add(number as u64, Ordering::Relaxed);
    }

    pub fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes the families of all controllers.
pub(super) fn encode(text: &mut Text, controllers: &[(&ControllerMetrics, Ages)]) {
    histogram(text, controllers, "pass", "Duration of one pass", |c| {
        &c.pass
    });
    histogram(
        text,
        controllers,
        "plan",
        "Time to work out the desired state",
        |c| &c.plan,
    );
    histogram(
        text,
        controllers,
        "observe",
        "Time to read the kernel back",
        |c| &c.observe,
    );
    histogram(
        text,
        controllers,
        "apply",
        "Time to carry out the changes",
        |c| &c.apply,
    );
    text.family(
        "controller_changes_total",
        Kind::Counter,
        "Changes tried, by kind",
    );
    for (controller, _) in controllers {
        let changes = controller
            .changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (kind, number) in changes.iter() {
            let labels = [("controller", controller.name), ("kind", kind)];
            text.sample("controller_changes_total", &labels, number);
        }
    }
    numbers(
        text,
        controllers,
        "failures_total",
        Kind::Counter,
        "Changes and read-backs that did not work",
        |c, _| Some(c.failures.load(Ordering::Relaxed) as f64),
    );
    numbers(
        text,
        controllers,
        "panics_total",
        Kind::Counter,
        "Restarts after a bug",
        |c, _| Some(c.panics.load(Ordering::Relaxed) as f64),
    );
    numbers(
        text,
        controllers,
        "snapshot_age_seconds",
        Kind::Gauge,
        "Age of the applied snapshot",
        |_, ages| ages.snapshot.map(|age| age.as_secs_f64()),
    );
    numbers(
        text,
        controllers,
        "read_back_age_seconds",
        Kind::Gauge,
        "Time since the kernel was read back",
        |_, ages| ages.read_back.map(|age| age.as_secs_f64()),
    );
}

fn histogram(
    text: &mut Text,
    controllers: &[(&ControllerMetrics, Ages)],
    name: &str,
    help: &str,
    which: fn(&ControllerMetrics) -> &Histogram,
) {
    let name = format!("controller_{name}_time");
    text.family(&name, Kind::Histogram, help);
    for (controller, _) in controllers {
        text.histogram(&name, &[("controller", controller.name)], which(controller));
    }
}

fn numbers(
    text: &mut Text,
    controllers: &[(&ControllerMetrics, Ages)],
    name: &str,
    kind: Kind,
    help: &str,
    value: fn(&ControllerMetrics, &Ages) -> Option<f64>,
) {
    let name = format!("controller_{name}");
    text.family(&name, kind, help);
    for (controller, ages) in controllers {
        if let Some(value) = value(controller, ages) {
            text.sample(&name, &[("controller", controller.name)], value);
        }
    }
}
