//! A Service, in the fields a node must know (`v1.Service`).

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{ObjectName, ServiceAnnotations};
use crate::net::{Prefix, Protocol};

/// `spec.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKind {
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
}

/// `spec.internalTrafficPolicy` and `spec.externalTrafficPolicy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrafficPolicy {
    #[default]
    Cluster,
    Local,
}

/// `spec.trafficDistribution` (KEP-4444, KEP-3015).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrafficDistribution {
    /// `PreferClose` and `PreferSameZone`.
    PreferSameZone,
    PreferSameNode,
}

/// One of `spec.ports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Empty for the only, unnamed port; slices are joined by this name.
    pub name: Arc<str>,
    pub protocol: Protocol,
    pub port: u16,
    /// `None` where the Service has no NodePort.
    pub node_port: Option<u16>,
}

/// A Service that passed conversion; addresses are parsed, unknown words are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub name: ObjectName,
    /// Seconds since the epoch; of two Services that claim one address the older wins.
    pub created: i64,
    pub kind: ServiceKind,
    /// Union of `spec.clusterIP` and `spec.clusterIPs`; empty for a headless Service.
    pub cluster_ips: Vec<IpAddr>,
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress[].ip` without those of `ipMode: Proxy`.
    pub load_balancer_ips: Vec<IpAddr>,
    pub ports: Vec<ServicePort>,
    /// `sessionAffinity: ClientIP` with its timeout in seconds.
    pub affinity: Option<u32>,
    pub internal_policy: TrafficPolicy,
    pub external_policy: TrafficPolicy,
    /// `spec.loadBalancerSourceRanges`; empty admits everyone.
    pub source_ranges: Vec<Prefix>,
    /// One of the source ranges could not be read: nobody else is admitted because of it.
    pub source_ranges_restricted: bool,
    pub traffic_distribution: Option<TrafficDistribution>,
    pub health_check_node_port: Option<u16>,
    /// Label `service.kubernetes.io/service-proxy-name` names another proxy than `kube-router`.
    pub foreign_proxy: bool,
    /// Label `service.kubernetes.io/headless`.
    pub labelled_headless: bool,
    pub annotations: ServiceAnnotations,
}

// === impl Service ===

impl Service {
    /// Whether the service proxy has anything to do for it.
    #[must_use]
    pub fn is_proxied(&self) -> bool {
        self.kind != ServiceKind::ExternalName
            && !self.cluster_ips.is_empty()
            && !self.foreign_proxy
            && !self.labelled_headless
    }

    /// Internal and external policy in force: `service.local` overrides both.
    #[must_use]
    pub fn policies(&self) -> (TrafficPolicy, TrafficPolicy) {
        if self.annotations.local {
            return (TrafficPolicy::Cluster, TrafficPolicy::Local);
        }
        (self.internal_policy, self.external_policy)
    }
}
