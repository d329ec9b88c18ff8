//! What this node is: its Node object and its kernel's links and addresses, put together.

use std::net::IpAddr;
use std::sync::Arc;

use crate::net::{ByFamily, Family, Prefix};

/// An address of one of the node's own links (never one of `kube-dummy-if`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddress {
    pub address: IpAddr,
    pub prefix_length: u8,
    /// Name of the link that carries it.
    pub link: Arc<str>,
}

/// Facts about this node, gathered once per change and never looked up inside a planner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFacts {
    pub name: Arc<str>,
    /// The address of each family that stands for the node: its primary address where it is of
    /// that family, else the first InternalIP, else the first ExternalIP. `None` where the family
    /// is switched off or the node has no address of it.
    pub primary: ByFamily<Option<IpAddr>>,
    /// Sorted by address; loopback and link-local ones are included, ours on the dummy link are not.
    pub addresses: Vec<LocalAddress>,
    /// Name of the link that carries the primary address.
    pub primary_link: Option<Arc<str>>,
    /// Its MTU in octets.
    pub primary_mtu: Option<u32>,
    pub pod_cidrs: Vec<Prefix>,
    pub zone: Option<Arc<str>>,
    /// Names of all links, sorted.
    pub links: Vec<Arc<str>>,
}

// === impl NodeFacts ===

impl NodeFacts {
    /// Whether this node takes part in a family.
    #[must_use]
    pub fn has(&self, family: Family) -> bool {
        self.primary.get(family).is_some()
    }

    /// Whether the address is one of the node's own.
    #[must_use]
    pub fn is_local(&self, address: IpAddr) -> bool {
        self.addresses
            .binary_search_by(|local| local.address.cmp(&address))
            .is_ok()
    }
}
