//! What waits for a controller: its newest input, a hint of foreign changes, and the wish to stop.
//!
//! Inputs overwrite one another, so whatever arrives while a pass is in flight is one input when
//! the controller comes back, and no sender ever waits for a controller.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Everything that happened since the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News<I> {
    /// The newest input with the moment it arrived, if it is a new one.
    pub input: Option<(I, Instant)>,
    /// Somebody else changed the kernel.
    pub foreign: bool,
    pub stop: bool,
}

/// Where a controller's loop gets its news and its time from.
pub trait Inbox<I> {
    /// The current time.
    fn now(&self) -> Instant;

    /// Blocks until there is news, at the latest until `until`.
    fn wait(&mut self, until: Instant) -> News<I>;
}

/// The sending side; cheap to clone.
pub struct Slot<I> {
    shared: Arc<Shared<I>>,
}

/// The receiving side. A new one starts with the newest input, however old.
pub struct SlotInbox<I> {
    shared: Arc<Shared<I>>,
    seen: u64,
}

struct Shared<I> {
    state: Mutex<State<I>>,
    arrival: Condvar,
}

struct State<I> {
    input: Option<(I, Instant)>,
    version: u64,
    foreign: bool,
    stop: bool,
}

// === impl Slot ===

impl<I: Clone> Slot<I> {
    #[must_use]
    pub fn new() -> Self {
        let state = State {
            input: None,
            version: 0,
            foreign: false,
            stop: false,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                arrival: Condvar::new(),
            }),
        }
    }

    /// Replaces the input, seen or not.
    pub fn put(&self, input: I) {
        let now = now();
        self.change(|state| {
            state.input = Some((input, now));
            state.version += 1;
        });
    }

    /// Hands the newest input out once more, at once: what the controller learns beside it calls for
    /// a pass.
    pub fn again(&self) {
        let now = now();
        self.change(|state| {
            if let Some((_, arrived)) = &mut state.input {
                *arrived = now;
                state.version += 1;
            }
        });
    }

    /// Tells that somebody else changed the kernel.
    pub fn foreign_change(&self) {
        self.change(|state| state.foreign = true);
    }

    /// Asks the controller to end after the pass it is in.
    pub fn stop(&self) {
        self.change(|state| state.stop = true);
    }

    /// A receiving side.
    #[must_use]
    pub fn inbox(&self) -> SlotInbox<I> {
        SlotInbox {
            shared: Arc::clone(&self.shared),
            seen: 0,
        }
    }

    fn change(&self, change: impl FnOnce(&mut State<I>)) {
        change(&mut self.shared.lock());
        self.shared.arrival.notify_all();
    }
}

impl<I: Clone> Default for Slot<I> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I> Clone for Slot<I> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<I> fmt::Debug for Slot<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

// === impl SlotInbox ===

impl<I: Clone> Inbox<I> for SlotInbox<I> {
    fn now(&self) -> Instant {
        now()
    }

    fn wait(&mut self, until: Instant) -> News<I> {
        let mut state = self.shared.lock();
        loop {
            let left = until.saturating_duration_since(now());
            let news = state.version > self.seen || state.foreign || state.stop;
            if news || left.is_zero() {
                break;
            }
            let woken = self.shared.arrival.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        let input = if state.version > self.seen {
            state.input.clone()
        } else {
            None
        };
        self.seen = state.version;
        News {
            input,
            foreign: std::mem::take(&mut state.foreign),
            stop: state.stop,
        }
    }
}

impl<I> fmt::Debug for SlotInbox<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotInbox")
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

impl<I> Shared<I> {
    fn lock(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge where a controller's time comes from"
)]
fn now() -> Instant {
    Instant::now()
}
