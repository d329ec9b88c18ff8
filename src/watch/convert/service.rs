//! Services.

use std::net::IpAddr;

use super::notes::Notes;
use super::{
    Converted, Interner, addresses, annotation, created, entries, has_mark, mark, metadata, port,
    port_name, prefix, read, reference,
};
use crate::model::{
    ObjectName, Service, ServiceKind, ServicePort, TrafficDistribution, TrafficPolicy,
};
use crate::net::{Prefix, Protocol};
use crate::watch::wire::{self, Field, Metadata};

/// `v1.DefaultClientIPServiceAffinitySeconds`.
const DEFAULT_AFFINITY: u32 = 10_800;
/// `v1.MaxClientIPServiceAffinitySeconds`.
const LONGEST_AFFINITY: u32 = 86_400;

const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// A Service under the name that the cluster knows it by.
#[must_use]
pub(crate) fn service(
    name: &ObjectName,
    wire: &wire::Service,
    intern: &mut Interner,
) -> Converted<Service> {
    let mut notes = Notes::new(reference::<wire::Service>(Some(name)));
    let (no_metadata, no_spec) = (Metadata::default(), wire::ServiceSpec::default());
    let metadata = metadata(wire, &no_metadata, &mut notes);
    let spec = read(&wire.spec, "spec", &mut notes).unwrap_or(&no_spec);
    read(&metadata.labels, "metadata.labels", &mut notes);
    read(&metadata.annotations, "metadata.annotations", &mut notes);
    let (source_ranges, source_ranges_restricted) = source_ranges(spec, &mut notes);
    let service = Service {
        name: name.clone(),
        // One of unknown age is the youngest of all, so it never takes an address from another.
        created: created(metadata, i64::MAX, &mut notes),
        kind: kind(spec, &mut notes),
        cluster_ips: cluster_ips(spec, &mut notes),
        external_ips: external_ips(spec, &mut notes),
        load_balancer_ips: load_balancer_ips(wire, &mut notes),
        ports: ports(spec, intern, &mut notes),
        affinity: affinity(spec, &mut notes),
        internal_policy: policy(&spec.internal_policy, "internalTrafficPolicy", &mut notes),
        external_policy: policy(&spec.external_policy, "externalTrafficPolicy", &mut notes),
        source_ranges,
        source_ranges_restricted,
        traffic_distribution: traffic_distribution(spec, &mut notes),
        health_check_node_port: health_check(spec, &mut notes),
        foreign_proxy: is_foreign(metadata, &mut notes),
        labelled_headless: has_mark(&metadata.labels, HEADLESS),
        annotations: annotation::annotations(&metadata.annotations, &mut notes),
    };
    Converted {
        object: Some(service),
        notes: notes.finish(),
    }
}

fn kind(spec: &wire::ServiceSpec, notes: &mut Notes) -> ServiceKind {
    match read(&spec.kind, "spec.type", notes).map(|kind| &**kind) {
        None | Some("" | "ClusterIP") => ServiceKind::ClusterIp,
        Some("NodePort") => ServiceKind::NodePort,
        Some("LoadBalancer") => ServiceKind::LoadBalancer,
        Some("ExternalName") => ServiceKind::ExternalName,
        Some(other) => {
            let reason = format!("unknown type {}, ClusterIP is assumed", wire::quoted(other));
            notes.add("spec.type", reason);
            ServiceKind::ClusterIp
        }
    }
}

/// Union of `clusterIP` and `clusterIPs`; `None` and empty text name no address.
fn cluster_ips(spec: &wire::ServiceSpec, notes: &mut Notes) -> Vec<IpAddr> {
    let path = "spec.clusterIP";
    let mut texts = Vec::new();
    texts.extend(read(&spec.cluster_ip, path, notes).map(|text| (path.to_owned(), &**text)));
    let list = entries(&spec.cluster_ips, "spec.clusterIPs", notes);
    texts.extend(list.into_iter().map(|(i, text)| {
        let path = format!("spec.clusterIPs[{i}]");
        (path, &**text)
    }));
    texts.retain(|(_, text)| !text.is_empty() && !text.eq_ignore_ascii_case("none"));
    // Both fields hold the first address: a bad one is reported once.
    texts.dedup_by(|b, a| a.1 == b.1);
    addresses(texts, notes)
}

fn external_ips(spec: &wire::ServiceSpec, notes: &mut Notes) -> Vec<IpAddr> {
    let list = entries(&spec.external_ips, "spec.externalIPs", notes);
    let texts = list
        .into_iter()
        .map(|(i, text)| (format!("spec.externalIPs[{i}]"), &**text));
    addresses(texts, notes)
}

fn load_balancer_ips(wire: &wire::Service, notes: &mut Notes) -> Vec<IpAddr> {
    let Some(status) = read(&wire.status, "status", notes) else {
        return Vec::new();
    };
    let path = "status.loadBalancer";
    let Some(balancer) = read(&status.load_balancer, path, notes) else {
        return Vec::new();
    };
    let path = "status.loadBalancer.ingress";
    let mut texts = Vec::new();
    for (i, ingress) in entries(&balancer.ingress, path, notes) {
        let mode = read(&ingress.ip_mode, format_args!("{path}[{i}].ipMode"), notes);
        if mode.is_some_and(|mode| &**mode == "Proxy") {
            continue;
        }
        let place = format!("{path}[{i}].ip");
        let text = read(&ingress.ip, &place, notes).filter(|text| !text.is_empty());
        texts.extend(text.map(|text| (place, &**text)));
    }
    addresses(texts, notes)
}

fn ports(spec: &wire::ServiceSpec, intern: &mut Interner, notes: &mut Notes) -> Vec<ServicePort> {
    let mut ports: Vec<ServicePort> = Vec::new();
    for (i, wire) in entries(&spec.ports, "spec.ports", notes) {
        let path = format!("spec.ports[{i}]");
        let Some(found) = service_port(wire, &path, intern, notes) else {
            continue;
        };
        let twin = ports.iter().find(|other| {
            other.name == found.name || (other.protocol, other.port) == (found.protocol, found.port)
        });
        if let Some(twin) = twin {
            let reason = format!(
                "name or number already taken by {}/{}",
                twin.port, twin.protocol
            );
            notes.add(path, reason);
            continue;
        }
        ports.push(found);
    }
    ports
}

fn service_port(
    wire: &wire::ServicePort,
    path: &str,
    intern: &mut Interner,
    notes: &mut Notes,
) -> Option<ServicePort> {
    let name = match port_name(&wire.name) {
        Ok(name) => intern.text(name),
        Err(reason) => {
            notes.add(format_args!("{path}.name"), reason);
            return None;
        }
    };
    let protocol = protocol(&wire.protocol, path, notes)?;
    if wire.port == Field::Absent {
        notes.add(format_args!("{path}.port"), "a port without a number");
    }
    let number = *read(&wire.port, format_args!("{path}.port"), notes)?;
    let number = noted(port(number), format_args!("{path}.port"), notes)?;
    Some(ServicePort {
        name,
        protocol,
        port: number,
        node_port: optional_port(&wire.node_port, format_args!("{path}.nodePort"), notes),
    })
}

/// TCP where nothing is said, nothing where the word is unknown.
pub(super) fn protocol(
    field: &Field<Box<str>>,
    path: impl std::fmt::Display,
    notes: &mut Notes,
) -> Option<Protocol> {
    let path = format_args!("{path}.protocol");
    match field {
        Field::Absent => Some(Protocol::Tcp),
        field => {
            let text = read(field, path, notes)?;
            let parsed = text.parse::<Protocol>();
            let reason = |_| format!("unknown protocol {}: TCP, UDP or SCTP", wire::quoted(text));
            noted(parsed.map_err(reason), path, notes)
        }
    }
}

/// A port that may be absent or zero.
fn optional_port(
    field: &Field<i64>,
    path: impl std::fmt::Display,
    notes: &mut Notes,
) -> Option<u16> {
    let number = *read(field, &path, notes)?;
    if number == 0 {
        return None;
    }
    noted(port(number), path, notes)
}

fn health_check(spec: &wire::ServiceSpec, notes: &mut Notes) -> Option<u16> {
    optional_port(
        &spec.health_check_node_port,
        "spec.healthCheckNodePort",
        notes,
    )
}

fn affinity(spec: &wire::ServiceSpec, notes: &mut Notes) -> Option<u32> {
    match read(&spec.session_affinity, "spec.sessionAffinity", notes).map(|text| &**text) {
        None | Some("" | "None") => None,
        Some("ClientIP") => Some(affinity_timeout(spec, notes)),
        Some(other) => {
            let reason = format!("unknown affinity {}: None or ClientIP", wire::quoted(other));
            notes.add("spec.sessionAffinity", reason);
            None
        }
    }
}

fn affinity_timeout(spec: &wire::ServiceSpec, notes: &mut Notes) -> u32 {
    let path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
    let config = &spec.session_affinity_config;
    let number = read(config, "spec.sessionAffinityConfig", notes)
        .and_then(|config| {
            let path = "spec.sessionAffinityConfig.clientIP";
            read(&config.client_ip, path, notes)
        })
        .and_then(|client| read(&client.timeout, path, notes));
    let Some(number) = number else {
        return DEFAULT_AFFINITY;
    };
    match u32::try_from(*number) {
        Ok(seconds) if (1..=LONGEST_AFFINITY).contains(&seconds) => seconds,
        _ => {
            let range = format!("1 to {LONGEST_AFFINITY} seconds, {DEFAULT_AFFINITY} are assumed");
            notes.add(path, format_args!("{number} is out of range: {range}"));
            DEFAULT_AFFINITY
        }
    }
}

fn policy(field: &Field<Box<str>>, key: &str, notes: &mut Notes) -> TrafficPolicy {
    let path = format!("spec.{key}");
    match read(field, &path, notes).map(|text| &**text) {
        None | Some("" | "Cluster") => TrafficPolicy::Cluster,
        Some("Local") => TrafficPolicy::Local,
        Some(other) => {
            let reason = format!("unknown policy {}, Cluster is assumed", wire::quoted(other));
            notes.add(path, reason);
            TrafficPolicy::Cluster
        }
    }
}

/// The ranges that could be read, and whether one could not: then nobody else is let in for it.
fn source_ranges(spec: &wire::ServiceSpec, notes: &mut Notes) -> (Vec<Prefix>, bool) {
    let path = "spec.loadBalancerSourceRanges";
    let Some(list) = read(&spec.source_ranges, path, notes) else {
        return (Vec::new(), matches!(spec.source_ranges, Field::Wrong(_)));
    };
    let mut ranges = Vec::new();
    for (i, text) in entries(&spec.source_ranges, path, notes) {
        let range = noted(prefix(text), format_args!("{path}[{i}]"), notes);
        ranges.extend(range);
    }
    let restricted = ranges.len() < list.len();
    ranges.sort_unstable();
    ranges.dedup();
    (ranges, restricted)
}

fn traffic_distribution(
    spec: &wire::ServiceSpec,
    notes: &mut Notes,
) -> Option<TrafficDistribution> {
    let path = "spec.trafficDistribution";
    match read(&spec.traffic_distribution, path, notes).map(|text| &**text) {
        None | Some("") => None,
        Some("PreferClose" | "PreferSameZone") => Some(TrafficDistribution::PreferSameZone),
        Some("PreferSameNode") => Some(TrafficDistribution::PreferSameNode),
        Some(other) => {
            let reason = format!("unknown distribution {}", wire::quoted(other));
            notes.add(path, reason);
            None
        }
    }
}

/// A label that cannot be read names somebody else.
fn is_foreign(metadata: &Metadata, notes: &mut Notes) -> bool {
    has_mark(&metadata.labels, PROXY_NAME)
        && mark(&metadata.labels, PROXY_NAME, "metadata.labels", notes) != Some("kube-router")
}

/// The value, or a note why there is none.
pub(super) fn noted<T>(
    value: Result<T, String>,
    path: impl std::fmt::Display,
    notes: &mut Notes,
) -> Option<T> {
    value.map_err(|reason| notes.add(path, reason)).ok()
}
