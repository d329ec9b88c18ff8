//! Builds the rooms, connects them, starts, reloads and ends in order.
//!
//! ```text
//!  watch (cluster) ──► Snapshot ──┬──────────────► Daemon ──► Slot ──► controller thread
//!  host (rtnetlink) ─► Host ──► node ──► NodeFacts ──┘  │                   │
//!  signals ─────────────────────────────────────────────┤                   ▼
//!  systemd ◄── READY STATUS WATCHDOG ◄── HealthReport ──┴─────────── HealthBoard ──► http
//! ```

mod cleanup;
mod daemon;
mod feeds;
mod host;
mod log;
mod node;
mod plan;
mod privileges;
mod run;
mod scrape;
mod systemd;

#[cfg(test)]
mod tests;

pub use cleanup::cleanup;
pub use log::{Log, LogError};
pub use plan::plan;
pub use run::run;
