//! A Node object, in the fields a node must know about itself (`v1.Node`).

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::NodeBgp;
use crate::net::Prefix;

/// A Node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub name: Arc<str>,
    /// `status.addresses`: all of type `InternalIP`, then all of type `ExternalIP`.
    pub addresses: Vec<IpAddr>,
    /// Annotation `kube-router.io/pod-cidrs`, else `kube-router.io/pod-cidr`, else
    /// `spec.podCIDRs`, else `spec.podCIDR`: one resolver for every use.
    pub pod_cidrs: Vec<Prefix>,
    /// Label `topology.kubernetes.io/zone`.
    pub zone: Option<Arc<str>>,
    pub bgp: NodeBgp,
}
