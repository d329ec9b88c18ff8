//! From files, environment and flags to a checked configuration.

mod checked;

pub use checked::{
    ClusterConfig, ClusterSource, Config, HealthConfig, IpvsTimeouts, LogConfig, LogLevel,
    LogTarget, MetricsConfig, NodeConfig, NodePortAddresses, ProxyConfig,
};
