//! Events as owned records in a bounded queue, and the thread that drains it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::sink::Sink;

/// Events that may wait: a few seconds of a busy debug log.
const CAPACITY: usize = 4096;

/// How long the end of the process waits for the queue.
const FLUSH: Duration = Duration::from_secs(2);

/// An event that has left its thread.
pub(super) struct Record {
    pub metadata: &'static Metadata<'static>,
    pub values: Vec<(Field, Scalar)>,
}

/// The value of a field.
pub(super) enum Scalar {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Str(String),
    /// What a value's `Debug` or `Display` made.
    Text(String),
}

/// What travels through the queue.
enum Item {
    Record(Record),
    /// Everything before it has been written when this is answered.
    Flush(SyncSender<()>),
}

/// The near end of the queue.
#[derive(Debug)]
pub(super) struct Queue {
    sender: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

/// Puts each event into the queue, or counts it as dropped.
pub(super) struct QueueLayer {
    sender: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

// === impl Queue ===

impl Queue {
    pub(super) fn start(sink: Sink) -> io::Result<(Self, QueueLayer)> {
        let (sender, receiver) = mpsc::sync_channel(CAPACITY);
        let dropped = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&dropped);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || drain(&receiver, &sink, &seen))?;
        let layer = QueueLayer {
            sender: sender.clone(),
            dropped: Arc::clone(&dropped),
        };
        Ok((Self { sender, dropped }, layer))
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let (done, written) = mpsc::sync_channel(1);
        // A full queue is one whose reader stalls: there is nothing to wait for.
        if self.sender.try_send(Item::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH);
        }
    }
}

// === impl QueueLayer ===

impl<S: Subscriber> Layer<S> for QueueLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut record = Record {
            metadata: event.metadata(),
            values: Vec::new(),
        };
        event.record(&mut record);
        if self.sender.try_send(Item::Record(record)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// === impl Record ===

impl Visit for Record {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.values.push((field.clone(), Scalar::Bool(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.values.push((field.clone(), Scalar::Signed(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.values.push((field.clone(), Scalar::Unsigned(value)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.values.push((field.clone(), Scalar::Float(value)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.values
            .push((field.clone(), Scalar::Str(value.to_owned())));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.values
            .push((field.clone(), Scalar::Text(format!("{value:?}"))));
    }
}

// === free functions ===

fn drain(receiver: &Receiver<Item>, sink: &Sink, dropped: &AtomicU64) {
    let mut reported = 0;
    while let Ok(item) = receiver.recv() {
        match item {
            Item::Record(record) => sink.write(record),
            Item::Flush(done) => {
                let _ = done.try_send(());
            }
        }
        let now = dropped.load(Ordering::Relaxed);
        if now > reported {
            // It goes through the queue like any other event; if it is dropped too, the next one
            // says more.
            tracing::warn!(
                dropped = now - reported,
                total = now,
                "log events were dropped"
            );
            reported = now;
        }
    }
}
