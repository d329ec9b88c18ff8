//! Nodes.

use std::net::IpAddr;
use std::sync::Arc;

use super::bgp::node_bgp;
use super::notes::Notes;
use super::service::noted;
use super::{
    Converted, Interner, addresses, entries, mark, metadata, prefix, read, reference, shared_name,
};
use crate::model::{Node, ObjectName};
use crate::net::Prefix;
use crate::watch::wire::{self, Metadata};

const ZONE: &str = "topology.kubernetes.io/zone";
const ANNOTATIONS: &str = "metadata.annotations";

/// A Node under the name that the cluster knows it by.
#[must_use]
pub(crate) fn node(name: &ObjectName, wire: &wire::Node, intern: &mut Interner) -> Converted<Node> {
    let mut notes = Notes::new(reference::<wire::Node>(Some(name)));
    let no_metadata = Metadata::default();
    let metadata = metadata(wire, &no_metadata, &mut notes);
    let zone = read(&metadata.labels, "metadata.labels", &mut notes).and_then(|labels| {
        let path = format_args!("metadata.labels[{ZONE}]");
        shared_name(labels.get(ZONE), path, intern, &mut notes)
    });
    read(&metadata.annotations, ANNOTATIONS, &mut notes);
    let node = Node {
        name: Arc::clone(&name.name),
        addresses: node_addresses(wire, &mut notes),
        pod_cidrs: pod_cidrs(metadata, wire, &mut notes),
        zone,
        bgp: node_bgp(&metadata.annotations, &mut notes),
    };
    Converted {
        object: Some(node),
        notes: notes.finish(),
    }
}

/// Internal addresses, then external ones; names and other types are passed over.
fn node_addresses(wire: &wire::Node, notes: &mut Notes) -> Vec<IpAddr> {
    let Some(status) = read(&wire.status, "status", notes) else {
        return Vec::new();
    };
    let path = "status.addresses";
    let (mut internal, mut external) = (Vec::new(), Vec::new());
    for (i, wire) in entries(&status.addresses, path, notes) {
        let kind = read(&wire.kind, format_args!("{path}[{i}].type"), notes);
        let list = match kind.map(|kind| &**kind) {
            Some("InternalIP") => &mut internal,
            Some("ExternalIP") => &mut external,
            _ => continue,
        };
        let place = format!("{path}[{i}].address");
        let text = read(&wire.address, &place, notes);
        list.extend(text.map(|text| (place, &**text)));
    }
    internal.append(&mut external);
    addresses(internal, notes)
}

/// The first source that is there at all, even if nothing of it can be read.
fn pod_cidrs(metadata: &Metadata, wire: &wire::Node, notes: &mut Notes) -> Vec<Prefix> {
    for key in ["kube-router.io/pod-cidrs", "kube-router.io/pod-cidr"] {
        if let Some(text) = mark(&metadata.annotations, key, ANNOTATIONS, notes) {
            let path = format!("{ANNOTATIONS}[{key}]");
            return prefixes(text.split(',').map(|text| (path.clone(), text)), notes);
        }
    }
    let Some(spec) = read(&wire.spec, "spec", notes) else {
        return Vec::new();
    };
    let list = entries(&spec.pod_cidrs, "spec.podCIDRs", notes);
    if !list.is_empty() {
        let texts = list
            .into_iter()
            .map(|(i, text)| (format!("spec.podCIDRs[{i}]"), &**text));
        return prefixes(texts, notes);
    }
    let only = read(&spec.pod_cidr, "spec.podCIDR", notes).filter(|text| !text.is_empty());
    let texts = only.map(|text| ("spec.podCIDR".to_owned(), &**text));
    prefixes(texts, notes)
}

fn prefixes<'a>(
    texts: impl IntoIterator<Item = (String, &'a str)>,
    notes: &mut Notes,
) -> Vec<Prefix> {
    let mut found = Vec::new();
    for (path, text) in texts {
        let prefix = noted(prefix(text), path, notes);
        found.extend(prefix.filter(|prefix| !found.contains(prefix)));
    }
    found
}
