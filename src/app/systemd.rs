//! What systemd is told, and when (`sd_notify(3)`, `Type=notify-reload`).
//!
//! What to say follows from the health report and the time alone, so it is worked out by a pure
//! function; sending is one line.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tracing::debug;

use crate::reconcile::HealthReport;

/// How much longer a start may take, said again while it makes progress: an API server that is
/// not there yet is no reason to be killed.
const EXTENSION: Duration = Duration::from_secs(60);

/// How often a status is said again that differs in its ages only.
const REFRESH: Duration = Duration::from_secs(5);

/// One thing to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    Ready,
    Status(String),
    Watchdog,
    Extend(Duration),
    Reloading,
    Stopping,
}

/// What was said so far.
#[derive(Debug)]
pub(super) struct Dialogue {
    /// How often the watchdog wants to hear of us, if at all.
    watchdog: Option<Duration>,
    ready: bool,
    status: String,
    /// The status without what changes by itself.
    essence: String,
    told: Option<Instant>,
    fed: Option<Instant>,
    extended: Option<Instant>,
}

// === impl Dialogue ===

impl Dialogue {
    pub(super) fn new(watchdog: Option<Duration>) -> Self {
        Self {
            watchdog,
            ready: false,
            status: String::new(),
            essence: String::new(),
            told: None,
            fed: None,
            extended: None,
        }
    }

    /// Whether READY was said.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// How long to wait before asking again.
    pub(super) fn pause(&self) -> Duration {
        let calm = if self.ready {
            Duration::from_secs(5)
        } else {
            Duration::from_millis(100)
        };
        self.watchdog
            .map_or(calm, |watchdog| calm.min(watchdog / 4))
    }

    /// What is to be said now. The watchdog is fed only while every loop makes progress.
    pub(super) fn words(&mut self, report: &HealthReport, now: Instant) -> Vec<Word> {
        let mut words = Vec::new();
        if !self.ready && report.unready().is_empty() {
            self.ready = true;
            words.push(Word::Ready);
        }
        let elapsed = |since: Option<Instant>, pause: Duration| {
            since.is_none_or(|at| now.saturating_duration_since(at) >= pause)
        };
        let status = report.status();
        let essence = report.status_without_ages();
        if essence != self.essence || (status != self.status && elapsed(self.told, REFRESH)) {
            self.essence = essence;
            self.told = Some(now);
            self.status.clone_from(&status);
            words.push(Word::Status(status));
        }
        if !report.makes_progress() {
            return words;
        }
        if !self.ready && elapsed(self.extended, EXTENSION / 4) {
            self.extended = Some(now);
            words.push(Word::Extend(EXTENSION));
        }
        if let Some(watchdog) = self.watchdog
            && elapsed(self.fed, watchdog / 4)
        {
            self.fed = Some(now);
            words.push(Word::Watchdog);
        }
        words
    }
}

/// How often the watchdog wants to hear of us.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Says it, if there is a service manager that listens.
pub(super) fn say(words: &[Word]) {
    let states: Vec<NotifyState<'_>> = words.iter().flat_map(states).collect();
    if states.is_empty() {
        return;
    }
    if let Err(error) = sd_notify::notify(&states) {
        debug!(%error, "the service manager does not listen");
    }
}

fn states(word: &Word) -> Vec<NotifyState<'_>> {
    match word {
        Word::Ready => vec![NotifyState::Ready],
        Word::Status(status) => vec![NotifyState::Status(status)],
        Word::Watchdog => vec![NotifyState::Watchdog],
        Word::Extend(by) => {
            let microseconds = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
            vec![NotifyState::ExtendTimeoutUsec(microseconds)]
        }
        // Without the time systemd 253 and later take the reload for failed.
        Word::Reloading => {
            let time = NotifyState::monotonic_usec_now().ok();
            [NotifyState::Reloading].into_iter().chain(time).collect()
        }
        Word::Stopping => vec![NotifyState::Stopping],
    }
}
