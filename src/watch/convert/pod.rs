//! Pods.

use std::net::IpAddr;

use super::notes::Notes;
use super::service::{noted, protocol};
use super::{
    Converted, Interner, addresses, created, entries, labels, metadata, port, port_name, read,
    reference, shared_name,
};
use crate::model::{NamedPort, ObjectName, Pod};
use crate::watch::wire::{self, Container, ContainerPort, Field, Metadata, PodIp, PodSpec};

/// A Pod under the name that the cluster knows it by.
#[must_use]
pub(crate) fn pod(name: &ObjectName, wire: &wire::Pod, intern: &mut Interner) -> Converted<Pod> {
    let mut notes = Notes::new(reference::<wire::Pod>(Some(name)));
    let (no_metadata, no_spec) = (Metadata::default(), PodSpec::default());
    let no_status = wire::PodStatus::default();
    let metadata = metadata(wire, &no_metadata, &mut notes);
    let spec = read(&wire.spec, "spec", &mut notes).unwrap_or(&no_spec);
    let status = read(&wire.status, "status", &mut notes).unwrap_or(&no_status);
    let pod_ips = listed(&status.pod_ips, "status.podIPs", &mut notes);
    let pod_ip = read(&status.pod_ip, "status.podIP", &mut notes);
    let host_ips = listed(&status.host_ips, "status.hostIPs", &mut notes);
    let host_ip = match host_ips.is_empty() {
        true => read(&status.host_ip, "status.hostIP", &mut notes),
        false => None,
    };
    let pod_ip = pod_ip.map(|text| &**text);
    let addresses = union(pod_ips, pod_ip, "status.podIP", &mut notes);
    let host_ip = host_ip.map(|text| &**text);
    let host_ips = union(host_ips, host_ip, "status.hostIP", &mut notes);
    let pod = Pod {
        name: name.clone(),
        // One of unknown age is the oldest of all, so it never takes an address from another.
        created: created(metadata, i64::MIN, &mut notes),
        node: shared_name(&spec.node, "spec.nodeName", intern, &mut notes),
        host_network: host_network(spec, &addresses, &host_ips, &mut notes),
        host_ips,
        addresses,
        finished: finished(status, &mut notes),
        labels: labels(&metadata.labels, "metadata.labels", intern, &mut notes),
        ports: ports(spec, intern, &mut notes),
    };
    Converted {
        object: Some(pod),
        notes: notes.finish(),
    }
}

type Placed<'a> = (String, &'a str);

fn listed<'a>(
    list: &'a Field<Vec<Field<PodIp>>>,
    path: &'static str,
    notes: &mut Notes,
) -> Vec<Placed<'a>> {
    let mut texts = Vec::new();
    for (i, wire) in entries(list, path, notes) {
        let place = format!("{path}[{i}].ip");
        let text = read(&wire.ip, &place, notes).filter(|text| !text.is_empty());
        texts.extend(text.map(|text| (place, &**text)));
    }
    texts
}

/// The list and the single field, which repeats the list's first entry.
fn union<'a>(
    mut texts: Vec<Placed<'a>>,
    single: Option<&'a str>,
    path: &str,
    notes: &mut Notes,
) -> Vec<IpAddr> {
    let known = |single: &str| texts.iter().any(|(_, text)| *text == single);
    let single = single.filter(|single| !single.is_empty() && !known(single));
    texts.extend(single.map(|single| (path.to_owned(), single)));
    let mut found = addresses(texts, notes);
    found.shrink_to_fit();
    found
}

/// Where the field cannot be read, the addresses tell: policies must not cut off the node.
fn host_network(
    spec: &PodSpec,
    addresses: &[IpAddr],
    host_ips: &[IpAddr],
    notes: &mut Notes,
) -> bool {
    match read(&spec.host_network, "spec.hostNetwork", notes) {
        Some(value) => *value,
        None => {
            matches!(spec.host_network, Field::Wrong(_))
                && addresses.iter().any(|address| host_ips.contains(address))
        }
    }
}

/// What has no phase, or none that can be read, still runs.
fn finished(status: &wire::PodStatus, notes: &mut Notes) -> bool {
    let phase = read(&status.phase, "status.phase", notes).map(|phase| &**phase);
    matches!(phase, Some("Succeeded" | "Failed" | "Completed"))
}

/// Named ports of containers, and of init containers that run on beside them (KEP-753).
fn ports(spec: &PodSpec, intern: &mut Interner, notes: &mut Notes) -> Vec<NamedPort> {
    let mut ports = Vec::new();
    let path = "spec.containers";
    for (i, container) in entries(&spec.containers, path, notes) {
        add_ports(
            container,
            format_args!("{path}[{i}]"),
            intern,
            notes,
            &mut ports,
        );
    }
    let path = "spec.initContainers";
    for (i, container) in entries(&spec.init_containers, path, notes) {
        let place = format_args!("{path}[{i}]");
        let policy = format_args!("{place}.restartPolicy");
        let policy = read(&container.restart_policy, policy, notes);
        if policy.is_some_and(|policy| &**policy == "Always") {
            add_ports(container, place, intern, notes, &mut ports);
        }
    }
    ports.sort_unstable();
    ports.dedup();
    ports.shrink_to_fit();
    ports
}

fn add_ports(
    container: &Container,
    path: std::fmt::Arguments<'_>,
    intern: &mut Interner,
    notes: &mut Notes,
    ports: &mut Vec<NamedPort>,
) {
    let path = format_args!("{path}.ports");
    for (i, wire) in entries(&container.ports, path, notes) {
        if wire.name != Field::Absent {
            let place = format!("{path}[{i}]");
            ports.extend(named_port(wire, &place, intern, notes));
        }
    }
}

fn named_port(
    wire: &ContainerPort,
    path: &str,
    intern: &mut Interner,
    notes: &mut Notes,
) -> Option<NamedPort> {
    let name = noted(port_name(&wire.name), format_args!("{path}.name"), notes)?;
    if name.is_empty() {
        return None;
    }
    let protocol = protocol(&wire.protocol, path, notes)?;
    let path = format_args!("{path}.containerPort");
    if wire.port == Field::Absent {
        notes.add(path, "a port without a number");
    }
    let number = *read(&wire.port, path, notes)?;
    Some(NamedPort {
        name: intern.text(name),
        protocol,
        port: noted(port(number), path, notes)?,
    })
}
