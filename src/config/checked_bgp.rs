//! The checked sections `[routing]` and `[bgp]`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use crate::net::{Prefix, Secret};

/// Between which nodes tunnels are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverlayType {
    /// To next hops outside the node's own subnets.
    Subnet,
    /// To all next hops.
    Full,
}

/// What carries a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverlayEncap {
    Ipip,
    /// Generic UDP encapsulation (`gue`) over foo-over-UDP ports.
    Fou,
}

/// `[routing]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutingConfig {
    /// Whether routes are kept and BGP is spoken at all. Changing it needs a restart.
    pub enabled: bool,
    /// `sync_period`: how often tunnels, rules and sets are read back and repaired.
    pub sync_period: Duration,
    /// How often learned routes are read back and repaired.
    pub injected_routes_sync_period: Duration,
    pub enable_cni: bool,
    /// Not empty where `enable_cni` is on.
    pub cni_conf_file: PathBuf,
    pub auto_mtu: bool,
    pub enable_pod_egress: bool,
    pub enable_overlay: bool,
    pub overlay_type: OverlayType,
    pub overlay_encap: OverlayEncap,
    /// UDP port of [`OverlayEncap::Fou`], 1024 or above.
    pub overlay_encap_port: u16,
}

/// Where the BGP identifier comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterId {
    /// The node's primary address, which must be IPv4.
    Auto,
    /// A hash of the node's primary address.
    Generate,
    /// Never 0.0.0.0.
    Fixed(Ipv4Addr),
}

/// How a peer is watched by BFD (RFC 5880).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BfdConfig {
    pub enabled: bool,
    /// UDP port of the peer.
    pub port: u16,
    /// 1 ms to 4294967 ms.
    pub desired_min_tx: Duration,
    /// 1 ms to 4294967 ms.
    pub required_min_rx: Duration,
    /// 1 or above.
    pub multiplier: u8,
}

/// `[bgp]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BgpConfig {
    /// Where sessions are accepted, and the mesh peers' port.
    pub port: u16,
    /// The AS of all nodes where `nodes_full_mesh` is on.
    pub cluster_asn: u32,
    pub router_id: RouterId,
    /// Where sessions are accepted if the node's annotation says nothing; the node's addresses if
    /// empty.
    pub local_addresses: Vec<IpAddr>,
    /// Whether the other nodes are peers.
    pub enable_ibgp: bool,
    pub nodes_full_mesh: bool,
    pub mesh_password: Option<Secret>,
    /// Whether BFD watches the other nodes, with the values of `bfd`.
    pub enable_mesh_bfd: bool,
    /// Seconds, of all peers; 0, or 3 and above.
    pub holdtime: u16,
    pub override_nexthop: bool,
    pub graceful_restart: bool,
    /// 1 s to 4095 s.
    pub graceful_restart_time: Duration,
    pub graceful_restart_deferral_time: Duration,
    /// RFC 9494; `None`: not negotiated. At most 24 bits of seconds.
    pub long_lived_stale_time: Option<Duration>,
    pub advertise_cluster_ip: bool,
    pub advertise_external_ip: bool,
    pub advertise_loadbalancer_ip: bool,
    pub advertise_pod_cidr: bool,
    /// What external peers have if they say nothing else.
    pub bfd: BfdConfig,
    /// External peers of every node, no two with one address. With any, those of annotations don't
    /// count.
    pub peers: Vec<BgpPeer>,
    /// No two with one prefix.
    pub listen: Vec<BgpListen>,
}

/// `[[bgp.peer]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BgpPeer {
    pub address: IpAddr,
    pub asn: u32,
    /// TCP port of the peer.
    pub port: u16,
    pub passive: bool,
    /// The session stays down, with these words for the peer.
    pub shutdown: Option<String>,
    pub session: BgpSession,
}

/// `[[bgp.listen]]`: peers that connect from a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BgpListen {
    pub prefix: Prefix,
    /// `None`: any but ours.
    pub asn: Option<u32>,
    /// At most so many at a time.
    pub limit: u16,
    pub session: BgpSession,
}

/// What listed and unlisted external peers have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BgpSession {
    /// Of the peer's family. `None`: the node's address.
    pub local_address: Option<IpAddr>,
    pub password: Option<Secret>,
    pub hops: BgpHops,
    /// Seconds; 0, or 3 and above.
    pub holdtime: u16,
    pub keepalive: Option<Duration>,
    /// Of each family.
    pub max_prefixes: Option<u32>,
    /// How long to stay away after too many; until an operator says so if not set.
    pub max_prefixes_restart: Option<Duration>,
    pub import_default_route: bool,
    pub import_martians: bool,
    pub local_preference: Option<u32>,
    pub med: Option<u32>,
    pub override_nexthop: bool,
    pub graceful_restart: bool,
    pub add_path: bool,
    pub enforce_first_as: bool,
    pub bfd: BfdConfig,
}

/// How far away a peer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BgpHops {
    /// On the link, by a TTL of 1 for an external peer.
    Link,
    /// By this TTL, 2 or above.
    Multihop(u8),
    /// At most so many hops, by the TTL of what the peer sends (RFC 5082).
    Security(u8),
}

// === impl BgpConfig ===

impl BgpConfig {
    /// A session of which nothing is said.
    #[must_use]
    pub fn session(&self) -> BgpSession {
        BgpSession {
            local_address: None,
            password: None,
            hops: BgpHops::Link,
            holdtime: self.holdtime,
            keepalive: None,
            max_prefixes: None,
            max_prefixes_restart: None,
            import_default_route: false,
            import_martians: false,
            local_preference: None,
            med: None,
            override_nexthop: self.override_nexthop,
            graceful_restart: self.graceful_restart,
            add_path: false,
            enforce_first_as: true,
            bfd: self.bfd,
        }
    }
}

// === impl BfdConfig ===

impl BfdConfig {
    /// Single-hop BFD (RFC 5881 section 4).
    pub const PORT: u16 = 3784;
    /// Multihop BFD (RFC 5883 section 5).
    pub const MULTIHOP_PORT: u16 = 4784;
}
