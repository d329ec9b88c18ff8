//! EndpointSlices.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::notes::Notes;
use super::service::{noted, protocol};
use super::{
    Converted, Interner, entries, has_mark, mark, metadata, port, port_name, read, reference,
    shared_name, usable_address,
};
use crate::model::{Endpoint, EndpointSlice, ObjectName, SlicePort};
use crate::net::Family;
use crate::watch::wire::{self, Field, Metadata};

const OWNER: &str = "kubernetes.io/service-name";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// A slice under the name that the cluster knows it by; nothing for slices of host names and of
/// headless Services.
#[must_use]
pub(crate) fn slice(
    name: &ObjectName,
    wire: &wire::EndpointSlice,
    intern: &mut Interner,
) -> Converted<EndpointSlice> {
    let mut notes = Notes::new(reference::<wire::EndpointSlice>(Some(name)));
    let object = convert(name, wire, intern, &mut notes);
    Converted {
        object,
        notes: notes.finish(),
    }
}

fn convert(
    name: &ObjectName,
    wire: &wire::EndpointSlice,
    intern: &mut Interner,
    notes: &mut Notes,
) -> Option<EndpointSlice> {
    let no_metadata = Metadata::default();
    let metadata = metadata(wire, &no_metadata, notes);
    read(&metadata.labels, "metadata.labels", notes);
    if has_mark(&metadata.labels, HEADLESS) {
        return None;
    }
    let family = family(wire, notes)?;
    let service = owner(metadata, notes)?;
    let mut endpoints = Vec::new();
    for (i, endpoint) in entries(&wire.endpoints, "endpoints", notes) {
        let path = format_args!("endpoints[{i}]");
        add_endpoints(endpoint, path, family, intern, notes, &mut endpoints);
    }
    endpoints.shrink_to_fit();
    Some(EndpointSlice {
        name: name.clone(),
        service,
        family,
        ports: ports(wire, intern, notes),
        endpoints,
    })
}

fn family(wire: &wire::EndpointSlice, notes: &mut Notes) -> Option<Family> {
    if wire.address_type == Field::Absent {
        notes.add("addressType", "a slice without a type");
    }
    match &**read(&wire.address_type, "addressType", notes)? {
        "IPv4" => Some(Family::V4),
        "IPv6" => Some(Family::V6),
        "FQDN" => None,
        other => {
            let reason = format!("unknown type {}: IPv4 or IPv6", wire::quoted(other));
            notes.add("addressType", reason);
            None
        }
    }
}

/// The owning Service: by label, else the only owner, else what the name was generated from.
fn owner(metadata: &Metadata, notes: &mut Notes) -> Option<Arc<str>> {
    let label = mark(&metadata.labels, OWNER, "metadata.labels", notes).filter(|l| !l.is_empty());
    let owners = entries(&metadata.owners, "metadata.ownerReferences", notes);
    let only = match owners.as_slice() {
        [(_, only)] => read(&only.name, "metadata.ownerReferences[0].name", notes),
        _ => None,
    };
    let generated = read(&metadata.generate_name, "metadata.generateName", notes)
        .map(|prefix| prefix.trim_end_matches('-'));
    let name = label.or(only.map(|name| &**name)).or(generated);
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        notes.add(
            "",
            format_args!("no owning Service: label {OWNER} is missing"),
        );
        return None;
    };
    if !wire::is_name(name) {
        let reason = format!("{} cannot name a Service", wire::quoted(name));
        notes.add(format_args!("metadata.labels[{OWNER}]"), reason);
        return None;
    }
    Some(Arc::from(name))
}

fn ports(wire: &wire::EndpointSlice, intern: &mut Interner, notes: &mut Notes) -> Vec<SlicePort> {
    let mut ports: Vec<SlicePort> = Vec::new();
    for (i, wire) in entries(&wire.ports, "ports", notes) {
        let path = format!("ports[{i}]");
        let Some(found) = slice_port(wire, &path, intern, notes) else {
            continue;
        };
        let twin =
            |other: &SlicePort| (&other.name, other.protocol) == (&found.name, found.protocol);
        if ports.iter().any(twin) {
            notes.add(path, "name and protocol are already taken");
            continue;
        }
        ports.push(found);
    }
    ports.shrink_to_fit();
    ports
}

fn slice_port(
    wire: &wire::SlicePort,
    path: &str,
    intern: &mut Interner,
    notes: &mut Notes,
) -> Option<SlicePort> {
    let name = noted(port_name(&wire.name), format_args!("{path}.name"), notes)?;
    let protocol = protocol(&wire.protocol, path, notes)?;
    if wire.port == Field::Absent {
        notes.add(format_args!("{path}.port"), "a port without a number");
    }
    let number = *read(&wire.port, format_args!("{path}.port"), notes)?;
    let number = noted(port(number), format_args!("{path}.port"), notes)?;
    Some(SlicePort {
        name: intern.text(name),
        protocol,
        port: number,
    })
}

/// One endpoint for each of its addresses.
fn add_endpoints(
    wire: &wire::Endpoint,
    path: fmt::Arguments<'_>,
    family: Family,
    intern: &mut Interner,
    notes: &mut Notes,
    endpoints: &mut Vec<Endpoint>,
) {
    let found = endpoint_addresses(wire, path, family, notes);
    let Some(first) = found.first() else {
        return;
    };
    let conditions = format_args!("{path}.conditions");
    let no_conditions = wire::Condition::default();
    let unreadable = matches!(wire.conditions, Field::Wrong(_));
    let wire_conditions = read(&wire.conditions, conditions, notes).unwrap_or(&no_conditions);
    let mut condition = |field: &Field<bool>, key: &str, absent: bool| match field {
        Field::Absent => absent,
        // What cannot be read is not trusted with traffic.
        field => read(field, format_args!("{conditions}.{key}"), notes).is_some_and(|value| *value),
    };
    let ready = condition(&wire_conditions.ready, "ready", !unreadable);
    let serving = condition(&wire_conditions.serving, "serving", ready);
    let terminating = condition(&wire_conditions.terminating, "terminating", false);
    let (for_zones, for_nodes) = hints(wire, path, intern, notes);
    let endpoint = Endpoint {
        address: *first,
        ready,
        serving,
        terminating,
        node: shared_name(&wire.node, format_args!("{path}.nodeName"), intern, notes),
        zone: shared_name(&wire.zone, format_args!("{path}.zone"), intern, notes),
        for_zones,
        for_nodes,
    };
    endpoints.extend(found.iter().map(|address| Endpoint {
        address: *address,
        ..endpoint.clone()
    }));
}

fn endpoint_addresses(
    wire: &wire::Endpoint,
    path: fmt::Arguments<'_>,
    family: Family,
    notes: &mut Notes,
) -> Vec<IpAddr> {
    let list = entries(&wire.addresses, format_args!("{path}.addresses"), notes);
    let mut found = Vec::with_capacity(list.len());
    for (i, text) in list {
        let address = usable_address(text).and_then(|address| {
            if Family::of(address) == family {
                return Ok(address);
            }
            Err(format!("{address} in a slice of {family} addresses"))
        });
        let address = noted(address, format_args!("{path}.addresses[{i}]"), notes);
        found.extend(address.filter(|address| !found.contains(address)));
    }
    found
}

type Names = Arc<[Arc<str>]>;

fn hints(
    wire: &wire::Endpoint,
    path: fmt::Arguments<'_>,
    intern: &mut Interner,
    notes: &mut Notes,
) -> (Names, Names) {
    let no_hints = wire::Hints::default();
    let hints = read(&wire.hints, format_args!("{path}.hints"), notes).unwrap_or(&no_hints);
    let mut names = |list: &Field<Vec<Field<wire::Named>>>, key: &str| {
        let path = format_args!("{path}.hints.{key}");
        let mut names = Vec::new();
        for (i, named) in entries(list, path, notes) {
            let place = format_args!("{path}[{i}].name");
            names.extend(shared_name(&named.name, place, intern, notes));
        }
        names.sort_unstable();
        names.dedup();
        intern.list(&names)
    };
    (
        names(&hints.for_zones, "forZones"),
        names(&hints.for_nodes, "forNodes"),
    )
}
