//! From files, environment and flags to a checked configuration.
//!
//! Every value is checked alone where it was written ([`schema`]), the layers are merged, and the
//! whole is checked for contradictions; all faults are reported at once, each with its place.

mod admission;
mod check;
mod check_bgp;
mod checked;
mod checked_bgp;
mod environment;
mod example;
mod file;
mod flags;
mod keys;
mod keys_routing;
mod later;
mod layer;
mod load;
mod password;
mod problem;
mod raw;
mod raw_bgp;
mod schema;
mod span;
mod suggest;
#[cfg(test)]
mod tests;
mod value;

pub use admission::AddressClass;
pub use checked::{
    ClusterConfig, ClusterSource, Config, ControlConfig, Established, HealthConfig, IpvsTimeouts,
    LogConfig, LogLevel, LogTarget, MetricsConfig, NetpolBackend, NetpolConfig, NodeConfig,
    NodePortAddresses, ProxyConfig,
};
pub use checked_bgp::{
    BfdConfig, BgpConfig, BgpHops, BgpListen, BgpPeer, BgpSession, OverlayEncap, OverlayType,
    RouterId, RoutingConfig,
};
pub use environment::{Override, PREFIX, variable};
pub use example::example;
pub use flags::{FLAGS, Flag, Place};
pub use load::{Effective, Loaded, Sources, load};
pub use problem::{Origin, Problem, Problems};
pub use schema::{Absent, Field, Integer, Key, Kind, Section, Status, Text, find, keys, sections};
pub use span::Span;
pub use value::Fault;

use keys::DEFAULT_KUBECONFIG;
use load::render;

/// Where the running daemon is asked by default: that of `control.socket`.
pub const DEFAULT_SOCKET: &str = "/run/kube-router/control.sock";

/// Where the configuration is looked for by default.
pub const DEFAULT_FILE: &str = "/etc/kube-router/config.toml";
