//! What the proxy reads.

use std::sync::Arc;

use crate::config::{ClusterConfig, ProxyConfig};
use crate::model::{NodeFacts, Snapshot};
use crate::net::ByFamily;

/// The checked configuration the proxy needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub proxy: ProxyConfig,
    pub cluster: ClusterConfig,
    pub families: ByFamily<bool>,
}

/// Immutable values behind `Arc`s; equal identity means nothing changed.
#[derive(Debug, Clone)]
pub struct Input {
    pub snapshot: Arc<Snapshot>,
    pub facts: Arc<NodeFacts>,
    pub settings: Arc<Settings>,
}
