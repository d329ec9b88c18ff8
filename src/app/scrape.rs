//! What the kernel counts for each Service, read when somebody asks.
//!
//! One list of virtual servers per scrape, none of real servers. Names and labels are those of
//! kube-router v2.11; virtual servers that no Service accounts for are counted in
//! `controller_ipvs_services` only.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use crate::kernel::ipvs::object::{Stats, VirtualKey};
use crate::metrics::{Histogram, Kind, Text};
use crate::model::{NodeFacts, Service, ServicePort, Snapshot};
use crate::net::Protocol;

/// A family of one number per Service.
type Family = (&'static str, Kind, &'static str, fn(&Stats) -> u64);

const FAMILIES: [Family; 10] = [
    (
        "service_total_connections",
        Kind::Counter,
        "Total incoming connections",
        |s| s.connections,
    ),
    (
        "service_packets_in",
        Kind::Counter,
        "Total n/o packets received by service",
        |s| s.packets_in,
    ),
    (
        "service_packets_out",
        Kind::Counter,
        "Total n/o packets sent by service",
        |s| s.packets_out,
    ),
    (
        "service_bytes_in",
        Kind::Counter,
        "Total bytes received by the service",
        |s| s.bytes_in,
    ),
    (
        "service_bytes_out",
        Kind::Counter,
        "Total bytes sent by the service",
        |s| s.bytes_out,
    ),
    (
        "service_pps_in",
        Kind::Gauge,
        "Incoming packets per second",
        |s| s.packet_rate_in,
    ),
    (
        "service_pps_out",
        Kind::Gauge,
        "Outgoing packets per second",
        |s| s.packet_rate_out,
    ),
    (
        "service_cps",
        Kind::Gauge,
        "Service connections per second",
        |s| s.connection_rate,
    ),
    (
        "service_bps_in",
        Kind::Gauge,
        "Incoming bytes per second",
        |s| s.byte_rate_in,
    ),
    (
        "service_bps_out",
        Kind::Gauge,
        "Outgoing bytes per second",
        |s| s.byte_rate_out,
    ),
];

/// Writes everything that one list of virtual servers tells.
pub(super) fn encode(
    text: &mut Text,
    counters: &[(VirtualKey, Stats)],
    snapshot: &Snapshot,
    facts: &NodeFacts,
) {
    text.family(
        "controller_ipvs_services",
        Kind::Gauge,
        "Number of ipvs services in the instance",
    );
    text.sample("controller_ipvs_services", &[], counters.len());
    let owners = Owners::new(snapshot);
    let rows: Vec<Row<'_>> = counters
        .iter()
        .filter_map(|(key, stats)| Row::new(key, stats, &owners, facts))
        .collect();
    for (name, kind, help, value) in FAMILIES {
        text.family(name, kind, help);
        for row in &rows {
            let labels = [
                ("svc_namespace", &*row.service.name.namespace),
                ("service_name", &*row.service.name.name),
                ("service_vip", row.address.as_str()),
                ("protocol", row.protocol),
                ("port", row.port.as_str()),
            ];
            text.sample(name, &labels, value(row.stats));
        }
    }
}

/// Writes how long the scrapes took so far, this one included.
pub(super) fn encode_time(text: &mut Text, times: &Histogram, began: Instant, now: Instant) {
    const NAME: &str = "controller_ipvs_metrics_export_time";
    times.observe(now.saturating_duration_since(began));
    text.family(NAME, Kind::Histogram, "Time it took to export metrics");
    text.histogram(NAME, &[], times);
}

struct Row<'a> {
    service: &'a Service,
    address: String,
    protocol: &'static str,
    port: String,
    stats: &'a Stats,
}

impl<'a> Row<'a> {
    fn new(
        key: &VirtualKey,
        stats: &'a Stats,
        owners: &Owners<'a>,
        facts: &NodeFacts,
    ) -> Option<Self> {
        let VirtualKey::Address {
            address,
            protocol,
            port,
        } = *key
        else {
            return None;
        };
        let service = owners.find(address, protocol, port, facts)?;
        let protocol = match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        Some(Self {
            service,
            address: address.to_string(),
            protocol,
            port: port.to_string(),
            stats,
        })
    }
}

/// Which Service answers where; of several claims the oldest Service's counts, as in the plan.
struct Owners<'a> {
    by_address: HashMap<(IpAddr, Protocol, u16), &'a Service>,
    by_node_port: HashMap<(Protocol, u16), &'a Service>,
}

impl<'a> Owners<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        let mut services: Vec<&Service> = snapshot
            .services
            .iter()
            .map(|(_, service)| &**service)
            .collect();
        services.sort_by_key(|service| (service.created, &service.name));
        let mut owners = Self {
            by_address: HashMap::new(),
            by_node_port: HashMap::new(),
        };
        for service in services.into_iter().filter(|service| service.is_proxied()) {
            for port in &service.ports {
                owners.claim(service, port);
            }
        }
        owners
    }

    fn claim(&mut self, service: &'a Service, port: &ServicePort) {
        let addresses = service.cluster_ips.iter().chain(&service.external_ips);
        for address in addresses.chain(&service.load_balancer_ips) {
            self.by_address
                .entry((*address, port.protocol, port.port))
                .or_insert(service);
        }
        if let Some(node_port) = port.node_port {
            self.by_node_port
                .entry((port.protocol, node_port))
                .or_insert(service);
        }
    }

    fn find(
        &self,
        address: IpAddr,
        protocol: Protocol,
        port: u16,
        facts: &NodeFacts,
    ) -> Option<&'a Service> {
        let at_address = self.by_address.get(&(address, protocol, port));
        let at_node = || {
            self.by_node_port
                .get(&(protocol, port))
                .filter(|_| facts.is_local(address))
        };
        at_address.or_else(at_node).copied()
    }
}
