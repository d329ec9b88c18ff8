//! Which external and LoadBalancer addresses of Services count at all: neither programmed nor
//! advertised if they don't.

use std::net::IpAddr;

use super::checked::ClusterConfig;
use crate::net::{Prefix, is_usable};

/// A class of addresses that users write into a Service, each with its own allow-list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressClass {
    External,
    LoadBalancer,
}

// === impl AddressClass ===

impl AddressClass {
    /// Where such addresses stand in a Service.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::External => "spec.externalIPs",
            Self::LoadBalancer => "status.loadBalancer.ingress",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::External => "cluster.service_external_ip_range",
            Self::LoadBalancer => "cluster.loadbalancer_ip_range",
        }
    }

    fn ranges(self, config: &ClusterConfig) -> &[Prefix] {
        match self {
            Self::External => &config.external_ip_ranges,
            Self::LoadBalancer => &config.load_balancer_ranges,
        }
    }
}

// === impl ClusterConfig ===

impl ClusterConfig {
    /// Why an address of a Service is refused, or `None`.
    #[must_use]
    pub fn refusal(&self, class: AddressClass, address: IpAddr) -> Option<String> {
        if !is_usable(address) {
            return Some(format!(
                "{address} can't be the address of a Service; it is left out"
            ));
        }
        if !self.strict_external_ips {
            return None;
        }
        let ranges = class.ranges(self);
        if ranges.is_empty() {
            return Some(format!(
                "{address} is refused: {} is empty (or set cluster.strict_external_ip_validation = \
                 false)",
                class.key()
            ));
        }
        let mut service_ranges = self.service_ranges.iter();
        if let Some(range) = service_ranges.find(|range| range.contains(&address)) {
            return Some(format!(
                "{address} is refused: it lies inside the ClusterIP range {range}"
            ));
        }
        if !ranges.iter().any(|range| range.contains(&address)) {
            return Some(format!(
                "{address} is refused: it lies outside {}",
                class.key()
            ));
        }
        None
    }
}
