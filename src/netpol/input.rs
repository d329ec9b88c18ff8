//! What network policy reads.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Established, NetpolBackend};
use crate::model::{NodeFacts, Snapshot};
use crate::net::ByFamily;

/// The checked configuration that the plan needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Families for which there are rules at all.
    pub families: ByFamily<bool>,
    /// Refuse addresses of the pod range that are not known yet.
    pub default_deny: bool,
    /// Send a copy of refused packets to whoever reads them.
    pub log_drops: bool,
    pub backend: NetpolBackend,
    /// What becomes of connections that a changed policy no longer allows.
    pub established: Established,
    /// How often the kernel is read back and repaired.
    pub sync_period: Duration,
}

/// Immutable values behind `Arc`s; equal identity means nothing changed.
#[derive(Debug, Clone)]
pub struct Input {
    pub snapshot: Arc<Snapshot>,
    pub facts: Arc<NodeFacts>,
    pub settings: Arc<Settings>,
}
