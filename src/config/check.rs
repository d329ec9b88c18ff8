//! The rules between keys: families, ranges, the cluster's source, listen addresses.
//!
//! A rule over a key whose value was refused already is passed over: it would judge a value that
//! nobody wrote.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::check_bgp;
use super::checked::{
    ClusterConfig, ClusterSource, Config, ControlConfig, HealthConfig, IpvsTimeouts, LogConfig,
    MetricsConfig, NetpolConfig, NodeConfig, NodePortAddresses, ProxyConfig,
};
use super::checked_bgp::{BgpConfig, RoutingConfig};
use super::layer::entry_path;
use super::load::Merged;
use super::problem::{Origin, Problem};
use super::raw::{Cluster, Raw};
use crate::net::{ByFamily, Family, Prefix};

pub(super) const IPV4: &str = "node.enable_ipv4";
pub(super) const IPV6: &str = "node.enable_ipv6";
const KUBECONFIG: &str = "cluster.kubeconfig";
const API_SERVERS: &str = "cluster.api_servers";
const MANIFESTS: &str = "cluster.manifests";
const CLUSTER_RANGE: &str = "cluster.service_cluster_ip_range";
const EXTERNAL_RANGE: &str = "cluster.service_external_ip_range";
const BALANCER_RANGE: &str = "cluster.loadbalancer_ip_range";
const NODE_PORT_ADDRESSES: &str = "proxy.node_port_addresses";
const HEALTH: &str = "health.listen";
const METRICS: &str = "metrics.listen";

/// Collects what the rules find.
pub(super) struct Rules<'a> {
    merged: &'a Merged<'a>,
    problems: Vec<Problem>,
}

/// The checked configuration, or `None` when its source is unclear, and all problems.
pub(super) fn check(raw: &Raw, merged: &Merged<'_>) -> (Option<Config>, Vec<Problem>) {
    let mut rules = Rules {
        merged,
        problems: Vec::new(),
    };
    rules.families(raw);
    rules.ranges(&raw.cluster);
    rules.listeners(raw.health.listen, raw.metrics.listen);
    if raw.proxy.enabled && raw.proxy.node_port_addresses.is_empty() {
        rules.problem(
            NODE_PORT_ADDRESSES,
            "expected at least one entry, such as \"primary\"",
        );
    }
    let source = rules.source(&raw.cluster);
    let routing = check_bgp::routing(&mut rules, &raw.routing);
    let bgp = check_bgp::bgp(&mut rules, &raw.bgp, families(raw));
    let config = source.map(|source| config(raw, source, routing, bgp));
    (config, rules.problems)
}

// === impl Rules ===

impl Rules<'_> {
    pub(super) fn problem(&mut self, key: &str, text: impl Into<String>) {
        self.problems.push(Problem {
            origin: self.merged.origin(key),
            key: key.to_owned(),
            value: Some(self.merged.shown(key)),
            text: text.into(),
        });
    }

    /// A problem of one field of a table.
    pub(super) fn entry_problem(
        &mut self,
        key: &str,
        index: usize,
        field: &str,
        text: impl Into<String>,
    ) {
        self.problems.push(Problem {
            origin: self.merged.entry_origin(key, index, Some(field)),
            key: entry_path(key, index, Some(field)),
            value: Some(self.merged.shown_field(key, index, field)),
            text: text.into(),
        });
    }

    pub(super) fn is_refused(&self, keys: &[&str]) -> bool {
        self.merged.is_refused(keys)
    }

    /// At least one family, and no range of a family that is off.
    fn families(&mut self, raw: &Raw) {
        let families = families(raw);
        if self.is_refused(&[IPV4, IPV6]) {
            return;
        }
        if !families.v4 && !families.v6 {
            let text = format!("expected true: {IPV6} is off as well, and one family is needed");
            self.problem(IPV4, text);
            return;
        }
        let within = raw
            .proxy
            .node_port_addresses
            .iter()
            .filter_map(|addresses| match addresses {
                NodePortAddresses::Within(prefix) => Some(*prefix),
                _ => None,
            });
        let lists = [
            (CLUSTER_RANGE, raw.cluster.service_cluster_ip_range.clone()),
            (
                EXTERNAL_RANGE,
                raw.cluster.service_external_ip_range.clone(),
            ),
            (BALANCER_RANGE, raw.cluster.loadbalancer_ip_range.clone()),
            (NODE_PORT_ADDRESSES, within.collect()),
        ];
        for (key, prefixes) in lists {
            let off = |prefix: &&Prefix| !families.get(Family::of_prefix(prefix));
            for prefix in prefixes.iter().filter(off) {
                let (family, switch) = switch(Family::of_prefix(prefix));
                let text = format!("{prefix} is {family}, which {switch} turns off");
                self.problem(key, text);
            }
        }
    }

    /// One or two ranges of ClusterIPs, one per family; no allowed range that lies inside them; no
    /// range inside another of its list.
    fn ranges(&mut self, cluster: &Cluster) {
        let of = |family| {
            let ranges = cluster.service_cluster_ip_range.iter();
            ranges
                .filter(|range| Family::of_prefix(range) == family)
                .count()
        };
        if !self.is_refused(&[CLUSTER_RANGE]) {
            if cluster.service_cluster_ip_range.is_empty() {
                self.problem(CLUSTER_RANGE, "expected one range for each family in use");
            }
            for family in Family::ALL.into_iter().filter(|family| of(*family) > 1) {
                let text = format!(
                    "expected at most one {family} range; there are {}",
                    of(family)
                );
                self.problem(CLUSTER_RANGE, text);
            }
        }
        let lists = [
            (EXTERNAL_RANGE, &cluster.service_external_ip_range),
            (BALANCER_RANGE, &cluster.loadbalancer_ip_range),
        ];
        for (key, list) in lists {
            if self.is_refused(&[key, CLUSTER_RANGE]) {
                continue;
            }
            for range in list {
                self.range_is_of_use(key, range, list, &cluster.service_cluster_ip_range);
            }
        }
    }

    fn range_is_of_use(&mut self, key: &str, range: &Prefix, list: &[Prefix], cluster: &[Prefix]) {
        if let Some(outer) = cluster.iter().find(|outer| outer.contains(range)) {
            let text = format!(
                "{range} lies inside {CLUSTER_RANGE} ({outer}), whose addresses are never accepted"
            );
            self.problem(key, text);
        }
        if let Some(outer) = list
            .iter()
            .find(|outer| *outer != range && outer.contains(range))
        {
            self.problem(
                key,
                format!("{range} lies inside {outer} already; remove one"),
            );
        }
    }

    /// Exactly one of a kubeconfig and a directory of manifests. The default kubeconfig gives way.
    fn source(&mut self, cluster: &Cluster) -> Option<ClusterSource> {
        let kubeconfig_is_default = self.merged.origin(KUBECONFIG) == Origin::Default
            || cluster.kubeconfig.as_deref() == Some(Path::new(super::DEFAULT_KUBECONFIG));
        match (&cluster.kubeconfig, &cluster.manifests) {
            _ if self.is_refused(&[KUBECONFIG, MANIFESTS]) => None,
            (None, None) => {
                let text = format!("expected a path here or in {MANIFESTS}");
                self.problem(KUBECONFIG, text);
                None
            }
            (Some(_), Some(_)) if !kubeconfig_is_default => {
                let origin = self.merged.origin(KUBECONFIG);
                let text = format!("expected one source, but {KUBECONFIG} is set too ({origin})");
                self.problem(MANIFESTS, text);
                None
            }
            (_, Some(directory)) => self.manifests(cluster, directory),
            (Some(path), None) => Some(ClusterSource::Kubeconfig {
                path: path.clone(),
                servers: cluster.api_servers.clone(),
            }),
        }
    }

    fn manifests(&mut self, cluster: &Cluster, directory: &Path) -> Option<ClusterSource> {
        if cluster.api_servers.is_empty() {
            return Some(ClusterSource::Manifests(PathBuf::from(directory)));
        }
        let text = format!("has no meaning with {MANIFESTS}; remove one of them");
        self.problem(API_SERVERS, text);
        None
    }

    fn listeners(&mut self, health: Option<SocketAddr>, metrics: Option<SocketAddr>) {
        let (Some(health), Some(metrics)) = (health, metrics) else {
            return;
        };
        let is_shared = health.port() == metrics.port()
            && (health.ip() == metrics.ip()
                || health.ip().is_unspecified()
                || metrics.ip().is_unspecified());
        if is_shared && !self.is_refused(&[HEALTH, METRICS]) {
            let text = format!("expected another port: {HEALTH} ({health}) takes this one");
            self.problem(METRICS, text);
        }
    }
}

// === free functions ===

pub(super) fn switch(family: Family) -> (Family, &'static str) {
    match family {
        Family::V4 => (family, IPV4),
        Family::V6 => (family, IPV6),
    }
}

fn families(raw: &Raw) -> ByFamily<bool> {
    ByFamily {
        v4: raw.node.enable_ipv4,
        v6: raw.node.enable_ipv6,
    }
}

fn config(raw: &Raw, source: ClusterSource, routing: RoutingConfig, bgp: BgpConfig) -> Config {
    Config {
        node: NodeConfig {
            name: raw.node.name.clone(),
            families: families(raw),
        },
        cluster: ClusterConfig {
            source,
            service_ranges: raw.cluster.service_cluster_ip_range.clone(),
            external_ip_ranges: raw.cluster.service_external_ip_range.clone(),
            load_balancer_ranges: raw.cluster.loadbalancer_ip_range.clone(),
            node_ports: raw.cluster.service_node_port_range.clone(),
            strict_external_ips: raw.cluster.strict_external_ip_validation,
            cache_sync_timeout: raw.cluster.cache_sync_timeout,
        },
        proxy: ProxyConfig {
            enabled: raw.proxy.enabled,
            node_port_addresses: raw.proxy.node_port_addresses.clone(),
            masquerade_all: raw.proxy.masquerade_all,
            excluded_cidrs: raw.proxy.excluded_cidrs.clone(),
            timeouts: IpvsTimeouts {
                tcp: raw.proxy.tcp_timeout,
                tcp_fin: raw.proxy.tcp_fin_timeout,
                udp: raw.proxy.udp_timeout,
            },
            service_firewall: raw.proxy.service_firewall,
            sync_period: raw.proxy.sync_period,
        },
        netpol: NetpolConfig {
            enabled: raw.netpol.enabled,
            backend: raw.netpol.backend,
            default_deny: raw.netpol.default_deny,
            sync_period: raw.netpol.sync_period,
            log_drops: raw.netpol.log_drops,
            established: raw.netpol.established,
        },
        routing,
        bgp,
        health: HealthConfig {
            listen: raw.health.listen,
        },
        control: ControlConfig {
            socket: raw.control.socket.clone(),
        },
        metrics: MetricsConfig {
            listen: raw.metrics.listen,
            path: raw.metrics.path.clone(),
        },
        log: LogConfig {
            level: raw.log.level,
            target: raw.log.target,
        },
    }
}
