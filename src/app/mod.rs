//! Builds the rooms, connects them, starts, reloads and ends in order.
//!
//! ```text
//!  watch::Cluster ─► Snapshot, NodeFacts, faults ─┐
//!  signals ───────────────────────────────────────┼─► Daemon ─► Slot ─► controller thread
//!  config.toml ─► Settings ───────────────────────┘     │                     │
//!  systemd ◄─ READY STATUS WATCHDOG ◄─ HealthReport ◄───┴──── HealthBoard ◄───┘
//!  http    ◄─ /healthz /readyz /metrics ◄─────────────────────────┘
//! ```

mod bgp_metrics;
mod cleanup;
mod control;
mod daemon;
mod drops;
mod explain;
mod log;
mod notes;
mod plan;
mod policy_metrics;
mod privileges;
mod run;
mod scrape;
mod slots;
mod speaker;
mod systemd;

#[cfg(test)]
mod tests;

pub use cleanup::cleanup;
pub use explain::explain;
pub use log::{Log, LogError};
pub use plan::plan;
pub use run::run;
