//! Where log lines go: the journal with fields under systemd, readable text elsewhere.
//!
//! ```text
//! tracing events ─► level filter ─► bounded queue ─► one thread ─► journal, or standard error
//!    (any thread)    (reloadable)      (never waits)
//! ```
//!
//! Sending to journald blocks while journald stalls, so nothing but the queue's own thread sends.
//! What doesn't fit the queue is dropped, counted and reported once there is room again.
//!
//! References: systemd.exec(5) (`JOURNAL_STREAM`), `systemd.journal-fields(7)`.

mod queue;
mod sink;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::{Layer, reload};

use crate::config::{LogConfig, LogLevel, LogTarget};

use queue::Queue;
use sink::Sink;

/// How the names of our own events begin; others are libraries'.
const OWN_EVENTS: &str = "kube_router";

/// The running log. Dropping it waits a little for what is still queued.
#[derive(Debug)]
pub struct Log {
    level: reload::Handle<Targets, Registry>,
    queue: Queue,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the thread that writes the log did not start")]
    Thread(#[source] io::Error),
    #[error("a log is set up already")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

// === impl Log ===

impl Log {
    /// Sets up the log of the whole process. When the journal can't be reached, standard error
    /// takes its place.
    ///
    /// # Errors
    /// When its thread doesn't start, or when there is one already.
    pub fn start(config: &LogConfig) -> Result<Self, LogError> {
        let (sink, fault) = sink(config.target);
        let (queue, layer) = Queue::start(sink).map_err(LogError::Thread)?;
        let (filter, level) = reload::Layer::new(targets(config.level));
        let subscriber = Registry::default().with(layer.with_filter(filter));
        tracing::subscriber::set_global_default(subscriber)?;
        if let Some(fault) = fault {
            tracing::warn!(reason = %fault, "the journal cannot be reached, logging to standard error");
        }
        Ok(Self { level, queue })
    }

    /// Changes the level from now on.
    pub fn set_level(&self, level: LogLevel) {
        // It fails only when the subscriber is gone, and then there is nothing to set.
        let _ = self.level.reload(targets(level));
    }

    /// How many events were dropped since the start because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }
}

// === free functions ===

/// Our own events at the level, libraries' one level quieter.
fn targets(level: LogLevel) -> Targets {
    let (own, others) = match level {
        LogLevel::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
        LogLevel::Warn => (LevelFilter::WARN, LevelFilter::ERROR),
        LogLevel::Info => (LevelFilter::INFO, LevelFilter::WARN),
        LogLevel::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
        LogLevel::Trace => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    Targets::new()
        .with_default(others)
        .with_target(OWN_EVENTS, own)
}

/// The sink for a target, and why it is not the journal although it should be.
fn sink(target: LogTarget) -> (Sink, Option<io::Error>) {
    let stream = std::env::var_os("JOURNAL_STREAM");
    let is_journaled = stream.is_some_and(|stream| is_stderr(&stream));
    let text = || Sink::text(io::stderr, io::stderr().is_terminal(), !is_journaled);
    match target {
        LogTarget::Stderr => (text(), None),
        LogTarget::Auto if !is_journaled => (text(), None),
        LogTarget::Auto | LogTarget::Journal => match tracing_journald::Layer::new() {
            Ok(journal) => (Sink::journal(journal, text()), None),
            Err(fault) => (text(), Some(fault)),
        },
    }
}

/// Whether `JOURNAL_STREAM` (`DEVICE:INODE`) names standard error, so that it leads to the journal.
fn is_stderr(stream: &OsStr) -> bool {
    let place = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    let place = place.and_then(|file| file.metadata());
    place.is_ok_and(|place| names(stream, place.dev(), place.ino()))
}

fn names(stream: &OsStr, device: u64, inode: u64) -> bool {
    let stream = stream.to_str().and_then(|text| text.split_once(':'));
    stream.is_some_and(|(d, i)| d.parse() == Ok(device) && i.parse() == Ok(inode))
}
