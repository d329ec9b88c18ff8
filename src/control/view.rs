//! The answers as they are written and read: plain data, one field of JSON each.
//!
//! Durations and ages are whole seconds as of the answer. A field without a value is `null`.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::net::Prefix;

/// An answer other than 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub error: String,
}

/// One value per address family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Families<T> {
    pub ipv4: T,
    pub ipv6: T,
}

/// `/v1/bgp/neighbors`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbors {
    pub speaker: Speaker,
    /// By address.
    pub neighbors: Vec<Neighbor>,
    /// There may be more behind this peer: ask with `after`.
    pub next: Option<IpAddr>,
}

/// Ourselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speaker {
    pub asn: u32,
    pub router_id: Ipv4Addr,
    /// Set on a route reflector (RFC 4456).
    pub cluster_id: Option<Ipv4Addr>,
    /// The AS that external peers see (RFC 5065).
    pub confederation: Option<u32>,
    /// After our restart the routes still wait for helpers (RFC 4724 section 4.1).
    pub deferred: Families<bool>,
    /// Prefixes with a path.
    pub prefixes: Families<usize>,
}

/// Whose AS a peer is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerKind {
    Internal,
    Confederation,
    External,
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbor {
    pub peer: IpAddr,
    /// Of its OPEN, else the configured one; `None` for any external one.
    pub asn: Option<u32>,
    pub local_asn: u32,
    pub kind: PeerKind,
    /// `Idle`, `Connect`, `Active`, `OpenSent`, `OpenConfirm` or `Established`.
    pub state: String,
    pub state_seconds: u64,
    /// Of an established session.
    pub uptime_seconds: Option<u64>,
    /// By an operator.
    pub stopped: bool,
    /// The words that the other end was told (RFC 9003).
    pub shutdown_text: Option<String>,
    pub router_id: Option<Ipv4Addr>,
    /// The configured one.
    pub local_address: Option<IpAddr>,
    pub port: u16,
    pub has_password: bool,
    pub passive: bool,
    /// It came by a listen range.
    pub dynamic: bool,
    /// We reflect for it (RFC 4456).
    pub route_reflector_client: bool,
    pub import_policy: String,
    pub export_policy: String,
    pub session: Option<Session>,
    /// The configured or agreed ones.
    pub families: Families<Option<NeighborFamily>>,
    pub graceful_restart: Option<GracefulRestart>,
    /// Where there is a session of BFD with it.
    pub bfd: Option<Bfd>,
    pub timers: Timers,
    pub messages: Directions<MessageCounts>,
    pub sessions_established: u64,
    pub sessions_lost: u64,
    pub connect_retries: u32,
    pub last_notification: Directions<Option<Notification>>,
    /// Why the last established session ended.
    pub last_down: Option<Down>,
    /// It has still to be told something.
    pub has_pending_updates: bool,
    /// Octets that wait for the wire.
    pub unwritten_octets: usize,
}

/// What both OPENs of an established session came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// 0: the session lives without KEEPALIVEs.
    pub hold_time_seconds: u16,
    pub keepalive_seconds: Option<u64>,
    /// RFC 9687.
    pub send_hold_seconds: Option<u64>,
    pub four_octet_asn: bool,
    pub route_refresh: bool,
    pub enhanced_route_refresh: bool,
    /// RFC 8654.
    pub extended_messages: Directions<bool>,
}

/// Whether this is so for what we send and for what we receive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directions<T> {
    pub sent: T,
    pub received: T,
}

/// One family of one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighborFamily {
    /// Both sides speak it.
    pub negotiated: bool,
    pub add_path_receive: bool,
    /// IPv4 prefixes may have IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// All paths that it has told.
    pub prefixes_received: usize,
    /// Those that may be chosen.
    pub prefixes_accepted: usize,
    /// Those that wait for being told again.
    pub prefixes_stale: usize,
    /// Paths beyond what one peer may tell of one prefix; only grows.
    pub paths_refused: usize,
    pub prefixes_advertised: usize,
    pub max_prefixes: Option<u32>,
    /// As the peer announced it (RFC 4724).
    pub graceful_restart: Option<FamilyGracefulRestart>,
}

/// A family that the peer restarts gracefully.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyGracefulRestart {
    pub restart_seconds: u64,
    /// The F bit: it went on forwarding.
    pub forwarding: bool,
    /// RFC 9494.
    pub long_lived_seconds: Option<u64>,
}

/// Graceful restart, as we are configured, and what the peer said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GracefulRestart {
    pub restart_seconds: u64,
    pub stale_seconds: u64,
    pub long_lived_seconds: Option<u64>,
    /// The peer's, of an established session; `None` if it does not know graceful restart.
    pub peer: Option<PeerGracefulRestart>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerGracefulRestart {
    /// The R bit: it has restarted.
    pub restarting: bool,
    /// Also over NOTIFICATIONs (RFC 8538).
    pub notification: bool,
}

/// A session of BFD (RFC 5880) with the peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bfd {
    /// `AdminDown`, `Down`, `Init` or `Up`.
    pub state: String,
    pub state_seconds: u64,
    /// Why it left Up, in the words of RFC 5880 section 4.1.
    pub diagnostic: String,
    /// The other end's state; `None` while it is silent.
    pub remote_state: Option<String>,
    /// Between our packets, before jitter.
    pub transmit_interval_microseconds: u64,
    /// After which a silent other end is lost; `None` while it is not heard at all.
    pub detection_time_microseconds: Option<u64>,
    /// How often it came Up.
    pub ups: u64,
    /// How often it left Up.
    pub downs: u64,
    /// Why a packet was last dropped.
    pub last_refusal: Option<String>,
}

/// Seconds until the timers that run expire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timers {
    pub idle_hold: Option<u64>,
    pub connect_retry: Option<u64>,
    pub delay_open: Option<u64>,
    pub hold: Option<u64>,
    pub keepalive: Option<u64>,
    pub send_hold: Option<u64>,
}

/// Since the peer was configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageCounts {
    pub opens: u64,
    pub updates: u64,
    pub notifications: u64,
    pub keepalives: u64,
    pub route_refreshes: u64,
    pub total: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    pub code: u8,
    pub subcode: u8,
    pub text: String,
    pub age_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Down {
    pub reason: String,
    pub age_seconds: u64,
}

/// Which routes: what was chosen among, what came, what goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// All paths after import, the best marked.
    #[default]
    Loc,
    /// What peers have told, before import.
    In,
    /// What peers are told.
    Out,
}

/// `/v1/bgp/rib`: one page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rib {
    pub table: Table,
    /// By prefix, peer and path identifier.
    pub routes: Vec<Route>,
    /// There may be more behind this prefix: ask with `after`.
    pub next: Option<Prefix>,
}

/// A path to a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub prefix: Prefix,
    /// Who tells it, or is told it in [`Table::Out`]; `None` for our own.
    pub peer: Option<IpAddr>,
    /// RFC 7911; 0 without.
    pub path_id: u32,
    #[serde(flatten)]
    pub attributes: Attributes,
    /// `learned`, `pod_cidr`, `service_vip` or `other`.
    pub source: Source,
    #[serde(flatten)]
    pub marks: Marks,
}

/// Next hop and attributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    pub next_hop: IpAddr,
    pub next_hop_link_local: Option<IpAddr>,
    /// Sets in braces, confederation segments in parentheses.
    pub as_path: String,
    /// `IGP`, `EGP` or `incomplete`.
    pub origin: String,
    /// `None` if none came; 100 counts then.
    pub local_pref: Option<u32>,
    pub med: Option<u32>,
    pub atomic_aggregate: bool,
    pub aggregator: Option<String>,
    pub communities: Vec<String>,
    pub extended_communities: Vec<String>,
    pub large_communities: Vec<String>,
    pub originator_id: Option<Ipv4Addr>,
    pub cluster_list: Vec<Ipv4Addr>,
    /// Codes of attributes that are passed on unread.
    pub unknown_attributes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Learned,
    PodCidr,
    ServiceVip,
    Other,
}

/// What is true of a route for the time being.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// Neither excluded nor behind a next hop that can't be reached.
    pub valid: bool,
    pub best: bool,
    /// Used for forwarding, with the best one.
    pub multipath: bool,
    /// Its peer restarts or refreshes and has not told it again.
    pub stale: bool,
    /// Kept for long (RFC 9494).
    pub long_lived_stale: bool,
    /// Why it is not the best.
    pub why_not: Option<String>,
    /// In [`Table::Out`]: the peer has it already.
    pub advertised: Option<bool>,
}

/// `/v1/bgp/explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub prefix: Prefix,
    /// After our restart the routes still wait for helpers.
    pub deferred: bool,
    /// The best first, then in the order in which the decision left them behind, from the last
    /// step to the first; at the end those that can't be chosen.
    pub candidates: Vec<Candidate>,
    /// All peers, by address.
    pub peers: Vec<Telling>,
}

/// One path, and why it is where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub standing: Standing,
    /// The step of the decision at which it was left behind, such as `local_pref`; of the best one
    /// that at which the last other was.
    pub step: Option<Step>,
    /// The same in words.
    pub reason: String,
    #[serde(flatten)]
    pub route: Route,
    /// As it came, where the import changed it.
    pub received: Option<Attributes>,
    /// `None` for our own, and where the policy was not asked.
    pub import: Option<Verdict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Best,
    /// Used with the best path, and behind it.
    Multipath,
    Behind,
    /// Its next hop can't be reached.
    Unreachable,
    /// It may not be chosen.
    Excluded,
}

/// Steps of RFC 4271 section 9.1.2.2, with those of RFC 4456, 5065 and 9494, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    LongLivedStale,
    LocalOrigin,
    LocalPref,
    AsPathLength,
    Origin,
    Med,
    External,
    InteriorCost,
    RouterId,
    ClusterListLength,
    PeerAddress,
    PathId,
}

/// A policy's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub policy: String,
    /// `None`: no statement decided, but the policy's last word.
    pub statement: Option<String>,
}

/// Whether a peer is told the best path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telling {
    pub peer: IpAddr,
    pub asn: Option<u32>,
    pub told: bool,
    /// Why not.
    pub why_not: Option<String>,
    /// What it is told.
    pub attributes: Option<Attributes>,
    /// Where the export policy was asked.
    pub export: Option<Verdict>,
}
