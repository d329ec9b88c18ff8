//! The shape of a controller.

use std::error::Error;
use std::fmt;
use std::time::Instant;

/// How much of the plan a comparison looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Only what the last plans touched and what failed before: cost follows the change.
    Touched,
    /// Everything: after a read-back.
    Everything,
}

/// A step that did not work; it stays different and comes back.
#[derive(Debug)]
pub struct Failure<C> {
    pub change: C,
    pub reason: Box<dyn Error + Send + Sync>,
}

/// The reason of a failure that costs its own object only, which is kept safe meanwhile: it is told
/// and tried again, but the node is not ill for it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Isolated(pub Box<dyn Error + Send + Sync>);

/// What became of a list of changes.
#[derive(Debug)]
#[must_use]
pub struct Report<C> {
    pub applied: usize,
    pub failures: Vec<Failure<C>>,
}

/// The kernel could not be read back; nothing is changed on guesses.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ObserveError {
    /// What could not be read: `IPVS services`, `addresses of kube-dummy-if`.
    pub what: &'static str,
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

// === impl Failure ===

impl<C> Failure<C> {
    /// Whether only its own object is concerned.
    #[must_use]
    pub fn is_isolated(&self) -> bool {
        self.reason.is::<Isolated>()
    }
}

/// What should be, what is, and the steps between.
///
/// The `Runner` calls, on one thread: `plan` when the input changed, `observe` at the start, after
/// failures, on a timer and after foreign changes, then `changes` and `apply`.
pub trait Controller {
    /// Immutable and cheap to clone.
    type Input: Clone + Send;
    /// What the kernel is believed to hold.
    type Observed;
    /// One step, printed as an administrator would type it.
    type Change: fmt::Display + fmt::Debug;

    const NAME: &'static str;

    /// Brings the plan (held by the controller) up to the input. Pure: depends on the input only,
    /// however the controller got there; the memory of the last plan only saves work.
    fn plan(&mut self, input: &Self::Input);

    /// Reads what the kernel holds.
    ///
    /// # Errors
    /// Where a part cannot be read; the belief stays as it was.
    fn observe(&mut self) -> Result<Self::Observed, ObserveError>;

    /// The ordered steps from what is seen to what is planned. Pure.
    fn changes(&self, seen: &Self::Observed, scope: Scope) -> Vec<Self::Change>;

    /// Executes steps; what worked goes into `seen`, what failed stays touched. `beat` is called
    /// after every part of a long list: it shows the watchdog that the work goes on.
    fn apply(
        &mut self,
        changes: Vec<Self::Change>,
        seen: &mut Self::Observed,
        beat: &dyn Fn(),
    ) -> Report<Self::Change>;

    /// What sort of step it is, for the count of changes: `add-vip`.
    fn kind(_change: &Self::Change) -> &'static str {
        "change"
    }

    /// A cheap look whether somebody else changed what is ours, between read-backs: at most a few
    /// requests. `true` asks for a read-back now.
    fn glance(&mut self, _seen: &Self::Observed) -> bool {
        false
    }

    /// When the controller wants to be woken without any event, `None` for never.
    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// One line for `systemctl status` and the health page: `17 services, 40 endpoints`.
    fn summary(&self) -> String;

    /// What users got wrong and what the kernel will not take, as of the last pass.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}
