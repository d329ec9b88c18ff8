//! The one loop: plan, compare, apply, and look again.

mod controller;

pub use controller::{Controller, Failure, ObserveError, Report, Scope};
