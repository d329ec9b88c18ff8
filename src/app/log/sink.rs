//! Where records end: the journal or a stream of text. Only the queue's thread comes here.

use std::fmt::{self, Write as _};
use std::os::unix::net::UnixDatagram;

use tracing::field::{self, Field, Value};
use tracing::{Event, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use super::queue::{Record, Scalar};

/// The socket of journald's native protocol.
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// Fields that an event of `tracing` can carry; more are left out.
const MAX_FIELDS: usize = 32;

pub(super) enum Sink {
    Text(Box<dyn Subscriber + Send + Sync>),
    Journal {
        journal: Box<dyn Subscriber + Send + Sync>,
        /// Tells whether journald is there, for the layer itself never says.
        probe: UnixDatagram,
        /// Takes over while journald is away.
        text: Box<Self>,
    },
}

/// A text field as `tracing` records what implements `Display`.
struct Shown<'a>(&'a str);

// === impl Sink ===

impl Sink {
    /// Lines of text; colours for a terminal, times where nobody else adds them.
    pub(super) fn text<W>(writer: W, ansi: bool, times: bool) -> Self
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(writer)
            .with_ansi(ansi);
        let registry = Registry::default();
        Self::Text(match times {
            true => Box::new(registry.with(layer)),
            false => Box::new(registry.with(layer.without_time())),
        })
    }

    /// The journal, with our fields under their own names (`OBJECT=`, `KEY=`, `REASON=`).
    pub(super) fn journal(journal: tracing_journald::Layer, text: Self) -> Self {
        let Ok(probe) = UnixDatagram::unbound() else {
            return text;
        };
        let priorities = PriorityMappings {
            info: Priority::Informational,
            debug: Priority::Debug,
            ..PriorityMappings::new()
        };
        let journal = journal
            .with_field_prefix(None)
            .with_priority_mappings(priorities);
        let journal = Box::new(Registry::default().with(journal));
        Self::Journal {
            journal,
            probe,
            text: Box::new(text),
        }
    }

    pub(super) fn write(&self, record: Record) {
        match self {
            Self::Text(subscriber) => emit(subscriber.as_ref(), &record),
            Self::Journal {
                journal,
                probe,
                text,
            } => match probe.connect(JOURNAL_SOCKET) {
                Ok(()) => emit(journal.as_ref(), &with_fields_in_message(record)),
                Err(_) => text.write(record),
            },
        }
    }
}

// === impl Shown ===

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

// === free functions ===

/// Makes an event of a record again, without its span.
fn emit(subscriber: &(dyn Subscriber + Send + Sync), record: &Record) {
    let values: Vec<(&Field, Box<dyn Value + '_>)> = record
        .values
        .iter()
        .map(|(field, scalar)| (field, value(scalar)))
        .collect();
    let Some((first, _)) = values.first() else {
        return;
    };
    // What is left of the array holds nothing, which tracing passes over.
    let mut slots: [(&Field, Option<&dyn Value>); MAX_FIELDS] = [(first, None); MAX_FIELDS];
    for (slot, (field, value)) in slots.iter_mut().zip(&values) {
        *slot = (field, Some(value.as_ref()));
    }
    let values = record.metadata.fields().value_set(&slots);
    subscriber.event(&Event::new_child_of(None, record.metadata, &values));
}

fn value(scalar: &Scalar) -> Box<dyn Value + '_> {
    match scalar {
        Scalar::Bool(b) => Box::new(*b),
        Scalar::Signed(n) => Box::new(*n),
        Scalar::Unsigned(n) => Box::new(*n),
        Scalar::Float(n) => Box::new(*n),
        Scalar::Str(text) => Box::new(text.as_str()),
        Scalar::Text(text) => Box::new(field::debug(Shown(text))),
    }
}

/// `journalctl` shows the message alone, so the message repeats the fields.
fn with_fields_in_message(mut record: Record) -> Record {
    let mut fields = String::new();
    for (field, scalar) in record
        .values
        .iter()
        .filter(|(field, _)| field.name() != "message")
    {
        // Writing to a String cannot fail.
        let _ = write!(fields, " {}={scalar}", field.name());
    }
    for (field, scalar) in &mut record.values {
        if let ("message", Scalar::Text(message)) = (field.name(), scalar) {
            message.push_str(&fields);
        }
    }
    record
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(b) => b.fmt(f),
            Self::Signed(n) => n.fmt(f),
            Self::Unsigned(n) => n.fmt(f),
            Self::Float(n) => n.fmt(f),
            Self::Str(text) => write!(f, "{text:?}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}
