//! The thread around the loop: a bug in one controller restarts that controller, not the process.

use std::any::Any;
use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use tracing::error;

use super::{Controller, Inbox, PartHealth, Runner};
use crate::metrics::ControllerMetrics;

/// So many panics within this time end the process.
const PANICS: (usize, Duration) = (3, Duration::from_secs(60));

/// Why a controller's thread ended.
#[derive(Debug)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// It could not be built: what it needs of the kernel is not to be had.
    Unavailable(Box<dyn Error + Send + Sync>),
    /// It panicked too often; the last message.
    Panicked(String),
}

/// What a controller's thread shares with the rest of the process.
#[derive(Debug, Clone)]
pub struct Supervision {
    pub health: PartHealth,
    pub metrics: Arc<ControllerMetrics>,
}

/// Runs a controller on a thread of its own, called after it; `ended` is told on that thread.
///
/// # Errors
/// Where the system has no thread left.
pub fn spawn<C, B>(
    make: impl FnMut() -> Result<C, Box<dyn Error + Send + Sync>> + Send + 'static,
    inbox: impl FnMut() -> B + Send + 'static,
    resync_of: fn(&C::Input) -> Duration,
    shared: Supervision,
    ended: impl FnOnce(Ended) + Send + 'static,
) -> io::Result<JoinHandle<()>>
where
    C: Controller,
    C::Input: 'static,
    B: Inbox<C::Input>,
{
    Builder::new()
        .name(C::NAME.to_owned())
        .spawn(move || ended(supervise(make, inbox, resync_of, &shared)))
}

/// Runs a controller, again with an empty memory after each panic, until it stops or panics too
/// often. A panic leaves the kernel as it is; the fresh controller reads it back.
pub fn supervise<C, B>(
    mut make: impl FnMut() -> Result<C, Box<dyn Error + Send + Sync>>,
    mut inbox: impl FnMut() -> B,
    resync_of: fn(&C::Input) -> Duration,
    shared: &Supervision,
) -> Ended
where
    C: Controller,
    B: Inbox<C::Input>,
{
    let mut panics = VecDeque::new();
    loop {
        let controller = match make() {
            Ok(controller) => controller,
            Err(error) => return Ended::Unavailable(error),
        };
        let inbox = inbox();
        let clock = AssertUnwindSafe(|| {
            let mut runner = Runner::new(
                controller,
                inbox,
                resync_of,
                shared.health.clone(),
                Arc::clone(&shared.metrics),
            );
            runner.run();
        });
        let Err(panic) = catch_unwind(clock) else {
            return Ended::Stopped;
        };
        let message = message(panic.as_ref());
        let now = now();
        error!(
            controller = C::NAME,
            message, "panic: the controller starts again with an empty memory"
        );
        shared.metrics.count_panic();
        shared.health.panicked(&message, now);
        if too_many(&mut panics, now) {
            return Ended::Panicked(message);
        }
    }
}

/// Notes one more panic.
pub(super) fn too_many(panics: &mut VecDeque<Instant>, now: Instant) -> bool {
    let (most, within) = PANICS;
    panics.retain(|at| now.saturating_duration_since(*at) < within);
    panics.push_back(now);
    panics.len() >= most
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the loop's own clock is gone with its panic"
)]
fn now() -> Instant {
    Instant::now()
}
