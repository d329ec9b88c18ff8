//! The merged layers as one value per key, each already checked alone.
//!
//! The defaults are the lowest layer, so that nothing is optional here: a key of the schema without
//! a field, or a field without a key, fails the first load of any test.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

use super::checked::{Established, LogLevel, LogTarget, NetpolBackend, NodePortAddresses};
use super::raw_bgp::{Bgp, Routing};
use super::value;
use crate::net::Prefix;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub node: Node,
    pub cluster: Cluster,
    pub proxy: Proxy,
    pub netpol: Netpol,
    pub routing: Routing,
    pub bgp: Bgp,
    #[expect(dead_code, reason = "the key's own check has seen that it is off")]
    pub lballoc: Switch,
    pub health: Health,
    pub control: Control,
    pub metrics: Metrics,
    pub log: Log,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    #[serde(deserialize_with = "node_name")]
    pub name: Option<String>,
    pub enable_ipv4: bool,
    pub enable_ipv6: bool,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cluster {
    #[serde(deserialize_with = "path")]
    pub kubeconfig: Option<PathBuf>,
    pub api_servers: Vec<String>,
    #[serde(deserialize_with = "path")]
    pub manifests: Option<PathBuf>,
    #[serde(deserialize_with = "period")]
    pub cache_sync_timeout: Duration,
    pub service_cluster_ip_range: Vec<Prefix>,
    pub service_external_ip_range: Vec<Prefix>,
    pub loadbalancer_ip_range: Vec<Prefix>,
    #[serde(deserialize_with = "port_range")]
    pub service_node_port_range: RangeInclusive<u16>,
    pub strict_external_ip_validation: bool,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proxy {
    pub enabled: bool,
    #[serde(deserialize_with = "node_port_addresses")]
    pub node_port_addresses: Vec<NodePortAddresses>,
    pub masquerade_all: bool,
    pub excluded_cidrs: Vec<Prefix>,
    pub service_firewall: bool,
    #[serde(deserialize_with = "period")]
    pub sync_period: Duration,
    #[serde(deserialize_with = "seconds")]
    pub tcp_timeout: u32,
    #[serde(deserialize_with = "seconds")]
    pub tcp_fin_timeout: u32,
    #[serde(deserialize_with = "seconds")]
    pub udp_timeout: u32,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Netpol {
    pub enabled: bool,
    pub backend: NetpolBackend,
    pub default_deny: bool,
    #[serde(deserialize_with = "period")]
    pub sync_period: Duration,
    pub log_drops: bool,
    pub established: Established,
}

/// A part that this version lacks.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    #[expect(dead_code, reason = "the key's own check has seen that it is off")]
    pub enabled: bool,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Health {
    #[serde(deserialize_with = "listen")]
    pub listen: Option<SocketAddr>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Control {
    #[serde(deserialize_with = "path")]
    pub socket: Option<PathBuf>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metrics {
    #[serde(deserialize_with = "listen")]
    pub listen: Option<SocketAddr>,
    pub path: String,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub level: LogLevel,
    pub target: LogTarget,
}

// === readers of fields ===

pub(super) fn text<'de, D, T>(
    from: D,
    parse: fn(&str) -> Result<T, Option<String>>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    let text = String::deserialize(from)?;
    parse(&text).map_err(|why| Error::custom(why.unwrap_or(text)))
}

fn node_name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    text(from, value::node_name)
}

pub(super) fn path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    text(from, value::path)
}

pub(super) fn period<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    text(from, value::period)
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    text(from, value::seconds)
}

fn port_range<'de, D: Deserializer<'de>>(from: D) -> Result<RangeInclusive<u16>, D::Error> {
    text(from, value::port_range)
}

fn listen<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    text(from, value::listen)
}

fn node_port_addresses<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<NodePortAddresses>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let parsed = texts.iter().map(|t| value::node_port_addresses(t));
    parsed
        .map(|parsed| parsed.map_err(|why| Error::custom(why.unwrap_or_default())))
        .collect()
}
