//! The configuration after checking: every value is in range and means one thing.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::checked_bgp::{BgpConfig, RoutingConfig};
use crate::net::{ByFamily, Prefix};

/// All of it. Each controller receives its own part only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub node: NodeConfig,
    pub cluster: ClusterConfig,
    pub proxy: ProxyConfig,
    pub netpol: NetpolConfig,
    pub routing: RoutingConfig,
    pub bgp: BgpConfig,
    pub health: HealthConfig,
    pub control: ControlConfig,
    pub metrics: MetricsConfig,
    pub log: LogConfig,
}

/// `[node]`: who we are. Changing it needs a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// `None`: the operating system's host name.
    pub name: Option<String>,
    /// Which families take part (`enable_ipv4`, `enable_ipv6`).
    pub families: ByFamily<bool>,
}

/// Where the cluster's objects come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterSource {
    /// An API server; `servers` replace the kubeconfig's server and are tried in turn.
    Kubeconfig { path: PathBuf, servers: Vec<String> },
    /// A directory of YAML files.
    Manifests(PathBuf),
}

/// `[cluster]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    pub source: ClusterSource,
    /// At most two, one per family (`service_cluster_ip_range`).
    pub service_ranges: Vec<Prefix>,
    pub external_ip_ranges: Vec<Prefix>,
    pub load_balancer_ranges: Vec<Prefix>,
    /// `service_node_port_range`.
    pub node_ports: RangeInclusive<u16>,
    /// `strict_external_ip_validation`: external and LoadBalancer addresses must lie in the ranges
    /// above and outside the cluster's.
    pub strict_external_ips: bool,
    /// How long the first lists may take before the start is reported as late.
    pub cache_sync_timeout: Duration,
}

/// On which of the node's addresses NodePorts answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// The node's address of each family.
    Primary,
    /// Every address of the node's own links.
    All,
    /// The addresses inside a prefix.
    Within(Prefix),
    /// The addresses of a link.
    Link(String),
}

/// IPVS timeouts in whole seconds; zero leaves the kernel's value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IpvsTimeouts {
    pub tcp: u32,
    pub tcp_fin: u32,
    pub udp: u32,
}

/// `[proxy]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyConfig {
    pub enabled: bool,
    pub node_port_addresses: Vec<NodePortAddresses>,
    pub masquerade_all: bool,
    /// IPVS services with addresses inside are never touched.
    pub excluded_cidrs: Vec<Prefix>,
    pub timeouts: IpvsTimeouts,
    /// `service_firewall` (upstream's `ipvs-permit-all`): refuse what no Service offers on a Service's address.
    pub service_firewall: bool,
    /// `sync_period`: how often the kernel is read back and repaired.
    pub sync_period: Duration,
}

/// What programs network policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetpolBackend {
    /// nftables where the kernel has it, else iptables.
    Auto,
    /// iptables with ipset.
    Iptables,
    Nftables,
}

/// What becomes of open connections that a changed policy no longer allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Established {
    Keep,
    /// They are forgotten by connection tracking, and so judged anew.
    Recheck,
}

/// `[netpol]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetpolConfig {
    /// Whether NetworkPolicies are enforced; Pods, Namespaces and NetworkPolicies are only
    /// watched where they are. Changing it needs a restart.
    pub enabled: bool,
    pub backend: NetpolBackend,
    /// Refuse addresses of this node's pod ranges that no pod is known to have.
    pub default_deny: bool,
    /// `sync_period`: how often the kernel is read back and repaired.
    pub sync_period: Duration,
    /// Log refused packets, for each pod 10 a minute after the first 10.
    pub log_drops: bool,
    pub established: Established,
}

/// `[health]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthConfig {
    /// `None`: no health server.
    pub listen: Option<SocketAddr>,
}

/// `[control]`. Changing it needs a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlConfig {
    /// `None`: no local socket.
    pub socket: Option<PathBuf>,
}

/// `[metrics]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    /// `None`: no metrics server.
    pub listen: Option<SocketAddr>,
    /// Absolute path of the page, `/metrics`.
    pub path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogTarget {
    /// The journal under systemd, else standard error.
    Auto,
    Journal,
    Stderr,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    pub level: LogLevel,
    pub target: LogTarget,
}

// === impl Config ===

impl Config {
    /// The keys in which `new` differs and that a running daemon cannot take up; a reload with any
    /// of them is refused with the hint to restart.
    #[must_use]
    pub fn restart_needed(&self, new: &Self) -> Vec<&'static str> {
        let source = match (&self.cluster.source, &new.cluster.source) {
            (
                ClusterSource::Kubeconfig { path: a, .. },
                ClusterSource::Kubeconfig { path: b, .. },
            ) if a == b => "cluster.api_servers",
            (ClusterSource::Kubeconfig { .. }, ClusterSource::Kubeconfig { .. }) => {
                "cluster.kubeconfig"
            }
            _ => "cluster.manifests",
        };
        let (v4, v6) = (new.node.families.v4, new.node.families.v6);
        let fixed = [
            ("node.name", self.node.name != new.node.name),
            ("node.enable_ipv4", self.node.families.v4 != v4),
            ("node.enable_ipv6", self.node.families.v6 != v6),
            (source, self.cluster.source != new.cluster.source),
            ("proxy.enabled", self.proxy.enabled != new.proxy.enabled),
            ("netpol.enabled", self.netpol.enabled != new.netpol.enabled),
            (
                "routing.enabled",
                self.routing.enabled != new.routing.enabled,
            ),
            ("health.listen", self.health.listen != new.health.listen),
            ("control.socket", self.control.socket != new.control.socket),
            ("metrics.listen", self.metrics.listen != new.metrics.listen),
            ("metrics.path", self.metrics.path != new.metrics.path),
            ("log.target", self.log.target != new.log.target),
        ];
        fixed
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(key, _)| key)
            .collect()
    }
}
