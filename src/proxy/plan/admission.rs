//! Which external and LoadBalancer addresses may be programmed at all.

use std::net::IpAddr;

use crate::config::ClusterConfig;
use crate::model::{Note, ObjectRef, Service};
use crate::net::{Prefix, is_usable};

/// A class of addresses that users write into a Service, each with its own allow-list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    External,
    LoadBalancer,
}

// === impl Class ===

impl Class {
    fn field(self) -> &'static str {
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

/// The addresses of a class that are admitted, with a note for each that is not.
#[must_use]
pub fn admit(
    service: &Service,
    class: Class,
    config: &ClusterConfig,
    notes: &mut Vec<Note>,
) -> Vec<IpAddr> {
    let addresses = match class {
        Class::External => &service.external_ips,
        Class::LoadBalancer => &service.load_balancer_ips,
    };
    let mut admitted: Vec<IpAddr> = Vec::with_capacity(addresses.len());
    for address in addresses {
        match refusal(*address, class, config) {
            Some(reason) => notes.push(Note::new(
                ObjectRef::new("Service", service.name.to_string()),
                class.field(),
                reason,
            )),
            None if !admitted.contains(address) => admitted.push(*address),
            None => {}
        }
    }
    admitted
}

/// Why an address is refused, or `None`.
fn refusal(address: IpAddr, class: Class, config: &ClusterConfig) -> Option<String> {
    if !is_usable(address) {
        return Some(format!(
            "{address} can't be the address of a Service; it is left out"
        ));
    }
    if !config.strict_external_ips {
        return None;
    }
    let ranges = class.ranges(config);
    if ranges.is_empty() {
        return Some(format!(
            "{address} is refused: {} is empty (or set cluster.strict_external_ip_validation = false)",
            class.key()
        ));
    }
    if let Some(range) = config
        .service_ranges
        .iter()
        .find(|range| range.contains(&address))
    {
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
