//! The one loop: plan, compare, apply, and look again.
//!
//! ```text
//! wait for: new input | resync due | retry due | deadline | foreign change | stop   (Pacer)
//! plan    when the input changed          observe  at start, on doubt, on the timer
//! changes, apply                          HealthBoard, metrics, log
//! ```
//!
//! A [`Controller`] lives on a thread of its own ([`spawn`]); [`Slot`] is the only way in. Nothing
//! changes in the kernel before the first input and the first read-back.

mod causes;
mod controller;
mod health;
mod pacer;
mod report;
mod runner;
mod slot;
mod thread;

#[cfg(test)]
mod tests;

pub use causes::with_causes;
pub use controller::{Controller, Failure, Isolated, ObserveError, Report, Scope};
pub use health::{HealthBoard, HealthLimits, PartHealth, PassRecord};
pub use pacer::{Outcome, Pacer, Pass};
pub use report::{ConditionReport, HealthReport, PartReport};
pub use runner::Runner;
pub use slot::{Inbox, News, Slot, SlotInbox};
pub use thread::{Ended, Supervision, spawn, supervise};
