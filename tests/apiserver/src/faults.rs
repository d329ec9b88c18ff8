//! Faults on demand: what to do wrong, to which requests, how often.

use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// New connections are accepted and nothing is ever said, not even TLS.
    Mute,
    /// The request is read and not answered; a running watch goes silent. Ends with [`crate::TestApiServer::clear_faults`].
    Stall,
    /// A watch is answered 200 and then silent, for as long as a stall.
    Silent,
    /// The connection is reset (RST) after this many more bytes on the wire; a running watch at 0 at once.
    Reset {
        /// Bytes still sent, TLS included.
        after_bytes: usize,
    },
    /// The connection is closed in the middle of a chunk after this many more bytes on the wire.
    Truncate {
        /// Bytes still sent, TLS included.
        after_bytes: usize,
    },
    /// Everything on this connection trickles.
    Slow {
        /// Speed on the wire, TLS included.
        bytes_per_second: u32,
    },
    /// A list that is no JSON, a watch line that is no JSON between good ones.
    Garbage,
    /// This HTTP status with a Status body that says `InternalError`. Running watches don't see it.
    Status(u16),
    /// 410: as HTTP status to a list or a new watch, as ERROR event in a running watch, which then ends.
    Gone,
    /// 410 always as ERROR event of a watch that was answered 200, as the real server mostly does.
    GoneEvent,
}

/// A fault and whom it hits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    kind: FaultKind,
    verb: Option<String>,
    resource: Option<String>,
    times: Option<u32>,
}

impl Fault {
    /// Hits every request until cleared.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            verb: None,
            resource: None,
            times: None,
        }
    }

    /// Only requests with this verb: `list`, `watch`, `get`, `create`, `update`, `patch`, `delete`, `other`.
    #[must_use]
    pub fn verb(mut self, verb: &str) -> Self {
        self.verb = Some(verb.to_owned());
        self
    }

    /// Only requests for this resource, by plural name.
    #[must_use]
    pub fn resource(mut self, plural: &str) -> Self {
        self.resource = Some(plural.to_owned());
        self
    }

    /// Only this many requests, then no more.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Reads `{"kind": …, "verb": …, "resource": …, "times": …, "afterBytes": …, "bytesPerSecond": …, "status": …}`.
    pub fn from_json(text: &Value) -> Result<Self, String> {
        let number = |key: &str| text.get(key).and_then(Value::as_u64);
        let word = |key: &str| text.get(key).and_then(Value::as_str).map(str::to_owned);
        let known = [
            "kind",
            "verb",
            "resource",
            "times",
            "afterBytes",
            "bytesPerSecond",
            "status",
        ];
        let fields = text.as_object().ok_or("a fault is a JSON object")?;
        if let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("unknown field {unknown:?}; known are {known:?}"));
        }
        let after_bytes = number("afterBytes")
            .and_then(|n| n.try_into().ok())
            .unwrap_or(0);
        let kind = match word("kind").unwrap_or_default().as_str() {
            "mute" => FaultKind::Mute,
            "stall" => FaultKind::Stall,
            "silent" => FaultKind::Silent,
            "reset" => FaultKind::Reset { after_bytes },
            "truncate" => FaultKind::Truncate { after_bytes },
            "slow" => FaultKind::Slow {
                bytes_per_second: number("bytesPerSecond")
                    .and_then(|n| n.try_into().ok())
                    .unwrap_or(1000),
            },
            "garbage" => FaultKind::Garbage,
            "status" => FaultKind::Status(
                number("status")
                    .and_then(|n| n.try_into().ok())
                    .unwrap_or(500),
            ),
            "gone" => FaultKind::Gone,
            "goneEvent" => FaultKind::GoneEvent,
            other => {
                return Err(format!(
                    "unknown kind {other:?}; known are mute, stall, silent, reset, truncate, slow, garbage, status, gone, goneEvent"
                ));
            }
        };
        let times = number("times").and_then(|n| n.try_into().ok());
        Ok(Self {
            kind,
            verb: word("verb"),
            resource: word("resource"),
            times,
        })
    }

    fn hits(&self, verb: Verb, plural: &str) -> bool {
        self.verb
            .as_deref()
            .is_none_or(|wanted| wanted == verb.name())
            && self
                .resource
                .as_deref()
                .is_none_or(|wanted| wanted == plural)
    }
}

/// What a request does, in RBAC's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    List,
    Watch,
    Get,
    Create,
    Update,
    Patch,
    Delete,
    /// Discovery, health, and paths that don't exist.
    Other,
}

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Watch => "watch",
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Other => "other",
        }
    }
}

/// A fault that a request has taken upon itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) id: u64,
    pub(crate) kind: FaultKind,
    /// Clearing moves the epoch on, which ends stalls and trickles.
    pub(crate) epoch: u64,
}

#[derive(Debug, Default)]
struct Inner {
    made: u64,
    epoch: u64,
    active: Vec<(u64, Fault)>,
}

/// The faults in force.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    inner: Mutex<Inner>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, fault: Fault) {
        let mut inner = self.lock();
        inner.made += 1;
        let id = inner.made;
        inner.active.push((id, fault));
    }

    pub(crate) fn clear(&self) {
        let mut inner = self.lock();
        inner.active.clear();
        inner.epoch += 1;
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    pub(crate) fn describe(&self) -> Vec<String> {
        self.lock()
            .active
            .iter()
            .map(|(_, fault)| format!("{fault:?}"))
            .collect()
    }

    /// Whether a new connection stays mute.
    pub(crate) fn take_mute(&self) -> Option<Taken> {
        self.take_if(|_, fault| fault.kind == FaultKind::Mute)
    }

    /// The fault for a new request, if any.
    pub(crate) fn take_for_request(&self, verb: Verb, plural: &str) -> Option<Taken> {
        self.take_if(|_, fault| {
            let fits = match fault.kind {
                FaultKind::Mute | FaultKind::Silent | FaultKind::GoneEvent => false,
                FaultKind::Garbage => verb != Verb::Watch,
                _ => true,
            };
            fits && fault.hits(verb, plural)
        })
    }

    /// The next fault for a running watch that has already had those in `seen`.
    pub(crate) fn take_for_watch(&self, plural: &str, seen: &[u64]) -> Option<Taken> {
        self.take_if(|id, fault| {
            !matches!(fault.kind, FaultKind::Mute | FaultKind::Status(_))
                && fault.hits(Verb::Watch, plural)
                && !seen.contains(&id)
        })
    }

    fn take_if(&self, chosen: impl Fn(u64, &Fault) -> bool) -> Option<Taken> {
        let mut inner = self.lock();
        let epoch = inner.epoch;
        let at = inner
            .active
            .iter()
            .position(|(id, fault)| chosen(*id, fault))?;
        let (id, fault) = &mut inner.active[at];
        let taken = Taken {
            id: *id,
            kind: fault.kind,
            epoch,
        };
        if let Some(times) = &mut fault.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                inner.active.remove(at);
            }
        }
        Some(taken)
    }
}

/// How long one slice of a trickle takes.
pub(crate) const TRICKLE: Duration = Duration::from_millis(20);

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Self::from_json(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_whom_it_names_and_as_often_as_it_says() {
        let faults = Faults::default();
        faults.set(
            r#"{"kind":"status","status":503,"verb":"list","resource":"pods","times":2}"#
                .parse()
                .unwrap(),
        );
        assert!(faults.take_for_request(Verb::Watch, "pods").is_none());
        assert!(faults.take_for_request(Verb::List, "services").is_none());
        assert_eq!(
            faults.take_for_request(Verb::List, "pods").unwrap().kind,
            FaultKind::Status(503)
        );
        assert!(faults.take_for_request(Verb::List, "pods").is_some());
        assert!(faults.take_for_request(Verb::List, "pods").is_none());
    }

    #[test]
    fn a_running_watch_takes_each_fault_once() {
        let faults = Faults::default();
        faults.set(Fault::new(FaultKind::Garbage));
        let taken = faults.take_for_watch("pods", &[]).unwrap();
        assert!(faults.take_for_watch("pods", &[taken.id]).is_none());
        faults.clear();
        assert!(faults.take_for_watch("pods", &[]).is_none());
        assert_ne!(faults.epoch(), taken.epoch);
    }

    #[test]
    fn unknown_fields_and_kinds_are_refused() {
        assert!(r#"{"kind":"stall","verbs":"list"}"#.parse::<Fault>().is_err());
        assert!(r#"{"kind":"boom"}"#.parse::<Fault>().is_err());
        assert!("[]".parse::<Fault>().is_err());
    }
}
