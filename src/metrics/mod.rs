//! Counters, histograms and their text exposition (Prometheus text format 0.0.4).
//!
//! Written here rather than taken from a package because the original's names are kept to the
//! letter: OpenMetrics encoders add `_total` to counters such as `service_total_connections`.
//! Series that the kernel already counts are written straight from what a scrape reads; nothing
//! of them is held between scrapes.

mod controller;
mod histogram;
mod registry;
mod text;

pub use controller::{Ages, ControllerMetrics};
pub use histogram::Histogram;
pub use registry::Registry;
pub use text::{Kind, Text};

#[cfg(test)]
mod tests;
