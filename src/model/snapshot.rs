//! The cluster at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Namespace, NetworkPolicy, Node, Note, Pod, Service, SliceSet, Table};

/// Everything the controllers may know of the cluster; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Counts published snapshots; two with the same number are the same.
    pub generation: u64,
    pub services: Table<Service>,
    /// By the name of the owning Service.
    pub slices: Table<SliceSet>,
    pub nodes: Arc<BTreeMap<Arc<str>, Arc<Node>>>,
    pub pods: Table<Pod>,
    pub namespaces: Arc<BTreeMap<Arc<str>, Arc<Namespace>>>,
    pub policies: Table<NetworkPolicy>,
    /// Whether Pods, Namespaces and NetworkPolicies were all listed. Until then, and where they
    /// are not watched, nothing may be concluded from their absence.
    pub knows_policies: bool,
    /// What had to be left out at the door.
    pub notes: Arc<Vec<Note>>,
}
