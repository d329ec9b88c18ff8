//! A NetworkPolicy after conversion (`networking.k8s.io/v1.NetworkPolicy`).
//!
//! What could not be read is already gone, in the sense that refuses: a peer or a port that means
//! nothing matches nothing, a pod selector selects more rather than less, and then its policy
//! allows nothing.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::model::{ObjectName, Selector};
use crate::net::{Prefix, Protocol};

/// A NetworkPolicy of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPolicy {
    pub name: ObjectName,
    /// `spec.podSelector`, within the policy's namespace.
    pub pods: Selector,
    /// What may come in; `None` where the policy says nothing about it (`policyTypes`).
    pub ingress: Option<Vec<PolicyRule>>,
    /// What may go out; likewise.
    pub egress: Option<Vec<PolicyRule>>,
}

/// One of `spec.ingress` or `spec.egress`: a peer and a port of the lists must both match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRule {
    /// `from` or `to`; `None` for everybody (missing or empty). An empty list is nobody.
    pub peers: Option<Vec<Peer>>,
    /// `ports`; `None` for everything, whatever the protocol. An empty list is nothing.
    pub ports: Option<Vec<PolicyPort>>,
}

/// `networking.k8s.io/v1.NetworkPolicyPeer`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    Pods {
        /// `None`: the policy's own namespace.
        namespaces: Option<Selector>,
        /// Everything where the peer has a `namespaceSelector` alone.
        pods: Selector,
    },
    Block(IpBlock),
}

/// `networking.k8s.io/v1.IPBlock`; the exceptions lie within the block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpBlock {
    pub prefix: Prefix,
    pub except: Vec<Prefix>,
}

/// `networking.k8s.io/v1.NetworkPolicyPort`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyPort {
    pub protocol: Protocol,
    pub port: PortSpec,
}

/// Which ports of a protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PortSpec {
    All,
    Range(RangeInclusive<u16>),
    /// The port of this name, of each Pod that traffic goes to.
    Named(Arc<str>),
}

// === impl PortSpec ===

impl Ord for PortSpec {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let rank = |spec: &Self| match spec {
            Self::All => (0, 0, 0, None),
            Self::Range(range) => (1, *range.start(), *range.end(), None),
            Self::Named(name) => (2, 0, 0, Some(Arc::clone(name))),
        };
        rank(self).cmp(&rank(other))
    }
}

impl PartialOrd for PortSpec {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
