//! The merged `[routing]` and `[bgp]`, each value already checked alone.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer};

use super::checked_bgp::{OverlayEncap, OverlayType, RouterId};
use super::raw::{path, period, text};
use super::value;
use crate::net::Prefix;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Routing {
    pub enabled: bool,
    #[serde(deserialize_with = "period")]
    pub sync_period: Duration,
    #[serde(deserialize_with = "period")]
    pub injected_routes_sync_period: Duration,
    pub enable_cni: bool,
    #[serde(deserialize_with = "path")]
    pub cni_conf_file: Option<PathBuf>,
    pub auto_mtu: bool,
    pub enable_pod_egress: bool,
    pub enable_overlay: bool,
    pub overlay_type: OverlayType,
    pub overlay_encap: OverlayEncap,
    pub overlay_encap_port: u16,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bgp {
    pub port: u16,
    pub cluster_asn: u32,
    #[serde(deserialize_with = "router_id")]
    pub router_id: RouterId,
    pub local_addresses: Vec<IpAddr>,
    pub enable_ibgp: bool,
    pub nodes_full_mesh: bool,
    #[serde(deserialize_with = "path")]
    pub mesh_password_file: Option<PathBuf>,
    pub enable_mesh_bfd: bool,
    #[serde(deserialize_with = "duration")]
    pub holdtime: Duration,
    pub override_nexthop: bool,
    pub graceful_restart: bool,
    #[serde(deserialize_with = "duration")]
    pub graceful_restart_time: Duration,
    #[serde(deserialize_with = "duration")]
    pub graceful_restart_deferral_time: Duration,
    #[serde(deserialize_with = "duration")]
    pub long_lived_stale_time: Duration,
    pub advertise_cluster_ip: bool,
    pub advertise_external_ip: bool,
    pub advertise_loadbalancer_ip: bool,
    pub advertise_pod_cidr: bool,
    pub enable_bfd: bool,
    pub bfd_port: u16,
    #[serde(deserialize_with = "duration")]
    pub bfd_desired_min_tx_interval: Duration,
    #[serde(deserialize_with = "duration")]
    pub bfd_required_min_rx_interval: Duration,
    pub bfd_detection_multiplier: u8,
    pub peer: Vec<Peer>,
    pub listen: Vec<Listen>,
}

/// Unknown fields were refused by the key's own check; `flatten` can't.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Peer {
    pub address: IpAddr,
    pub asn: u32,
    pub port: Option<u16>,
    #[serde(default)]
    pub passive: bool,
    pub shutdown: Option<String>,
    #[serde(flatten)]
    pub session: Session,
}

/// Unknown fields were refused by the key's own check; `flatten` can't.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Listen {
    pub prefix: Prefix,
    pub asn: Option<u32>,
    pub limit: Option<u16>,
    #[serde(flatten)]
    pub session: Session,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct Session {
    pub local_address: Option<IpAddr>,
    pub password_file: Option<String>,
    pub multihop_ttl: Option<u8>,
    pub ttl_security: Option<u8>,
    #[serde(default, deserialize_with = "some_duration")]
    pub holdtime: Option<Duration>,
    #[serde(default, deserialize_with = "some_duration")]
    pub keepalive: Option<Duration>,
    pub max_prefixes: Option<u32>,
    #[serde(default, deserialize_with = "some_duration")]
    pub max_prefixes_restart: Option<Duration>,
    #[serde(default)]
    pub import_default_route: bool,
    #[serde(default)]
    pub import_martians: bool,
    pub local_preference: Option<u32>,
    pub med: Option<u32>,
    pub override_nexthop: Option<bool>,
    pub graceful_restart: Option<bool>,
    #[serde(default)]
    pub add_path: bool,
    pub enforce_first_as: Option<bool>,
    pub enable_bfd: Option<bool>,
    pub bfd_port: Option<u16>,
    #[serde(default, deserialize_with = "some_duration")]
    pub bfd_desired_min_tx_interval: Option<Duration>,
    #[serde(default, deserialize_with = "some_duration")]
    pub bfd_required_min_rx_interval: Option<Duration>,
    pub bfd_detection_multiplier: Option<u8>,
}

// === readers of fields ===

fn router_id<'de, D: Deserializer<'de>>(from: D) -> Result<RouterId, D::Error> {
    text(from, value::router_id)
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    text(from, value::duration)
}

fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Text(#[serde(deserialize_with = "duration")] Duration);
    Option::<Text>::deserialize(from).map(|said| said.map(|Text(duration)| duration))
}
