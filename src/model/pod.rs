//! A Pod, in the fields that network policy reads (`v1.Pod`).

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{Labels, ObjectName};
use crate::net::Protocol;

/// A port of a container that has a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedPort {
    pub name: Arc<str>,
    pub protocol: Protocol,
    pub port: u16,
}

/// A Pod of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    pub name: ObjectName,
    /// Seconds since the epoch; of two Pods that claim one address the younger has it.
    pub created: i64,
    /// `spec.nodeName`; `None` before it is scheduled.
    pub node: Option<Arc<str>>,
    /// `status.hostIPs`, else `status.hostIP`.
    pub host_ips: Vec<IpAddr>,
    /// Every address: the union of `status.podIPs` and `status.podIP`, in that order.
    pub addresses: Vec<IpAddr>,
    /// `spec.hostNetwork`: its address is the node's, no policy applies to it or names it.
    pub host_network: bool,
    /// `status.phase` is `Succeeded` or `Failed`: its addresses may belong to another Pod.
    pub finished: bool,
    pub labels: Labels,
    /// Of containers, and of init containers that run on (`restartPolicy: Always`); sorted.
    pub ports: Vec<NamedPort>,
}

// === impl Pod ===

impl Pod {
    /// Whether policies can apply to it or name it.
    #[must_use]
    pub fn is_actionable(&self) -> bool {
        !self.finished && !self.host_network && !self.addresses.is_empty()
    }
}
