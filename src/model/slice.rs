//! EndpointSlices, in the fields a node must know (`discovery.k8s.io/v1`).

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::ObjectName;
use crate::net::{Family, Protocol};

/// One of a slice's `ports`; entries without a number are left out at conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicePort {
    /// Empty for an unnamed port.
    pub name: Arc<str>,
    pub protocol: Protocol,
    pub port: u16,
}

/// One address of one of a slice's `endpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub address: IpAddr,
    /// `conditions.ready`; absent means ready.
    pub ready: bool,
    /// `conditions.serving`; absent means as `ready`.
    pub serving: bool,
    /// `conditions.terminating`; absent means not terminating.
    pub terminating: bool,
    pub node: Option<Arc<str>>,
    pub zone: Option<Arc<str>>,
    /// `hints.forZones`, shared between equal endpoints.
    pub for_zones: Arc<[Arc<str>]>,
    /// `hints.forNodes`.
    pub for_nodes: Arc<[Arc<str>]>,
}

/// A slice of the endpoints of one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSlice {
    pub name: ObjectName,
    /// Name of the owning Service, in the slice's namespace.
    pub service: Arc<str>,
    pub family: Family,
    pub ports: Vec<SlicePort>,
    pub endpoints: Vec<Endpoint>,
}

/// All slices of one Service, ordered by name.
pub type SliceSet = Vec<Arc<EndpointSlice>>;

// === impl Endpoint ===

impl Endpoint {
    /// Takes new connections, and goes on doing so.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready && !self.terminating
    }

    /// Still serves while it terminates: for when nobody is ready (KEP-1669).
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        self.serving && self.terminating
    }
}
