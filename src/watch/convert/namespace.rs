//! Namespaces.

use std::sync::Arc;

use super::notes::Notes;
use super::{Converted, Interner, has_mark, labels, mark, metadata, read, reference};
use crate::model::{Labels, Namespace, ObjectName};
use crate::watch::wire::{self, Metadata};

/// `v1.LabelMetadataName`: the API server gives every Namespace its name as a label.
const NAME: &str = "kubernetes.io/metadata.name";
const BETA: &str = "net.beta.kubernetes.io/network-policy";
const ANNOTATIONS: &str = "metadata.annotations";

/// A Namespace under the name that the cluster knows it by.
#[must_use]
pub(crate) fn namespace(
    name: &ObjectName,
    wire: &wire::Namespace,
    intern: &mut Interner,
) -> Converted<Namespace> {
    let mut notes = Notes::new(reference::<wire::Namespace>(Some(name)));
    let no_metadata = Metadata::default();
    let metadata = metadata(wire, &no_metadata, &mut notes);
    let given = labels(&metadata.labels, "metadata.labels", intern, &mut notes);
    let given = given
        .iter()
        .map(|(key, value)| (Arc::clone(key), Arc::clone(value)));
    let of_its_name = (intern.text(NAME), Arc::clone(&name.name));
    let labels: Labels = given.chain([of_its_name]).collect();
    read(&metadata.annotations, ANNOTATIONS, &mut notes);
    let namespace = Namespace {
        name: Arc::clone(&name.name),
        labels,
        default_deny: default_deny(metadata, &mut notes),
    };
    Converted {
        object: Some(namespace),
        notes: notes.finish(),
    }
}

/// The annotation of `extensions/v1beta1`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Beta {
    ingress: Option<BetaIngress>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct BetaIngress {
    isolation: Option<String>,
}

/// What the old annotation asks for; one that cannot be read denies.
fn default_deny(metadata: &Metadata<wire::Labels>, notes: &mut Notes) -> bool {
    let is_there = has_mark(&metadata.annotations, BETA);
    let Some(text) = mark(&metadata.annotations, BETA, ANNOTATIONS, notes) else {
        return is_there;
    };
    let isolation = serde_json::from_str::<Beta>(text)
        .map(|beta| beta.ingress.and_then(|ingress| ingress.isolation));
    let path = format_args!("{ANNOTATIONS}[{BETA}]");
    match isolation.as_ref().map(Option::as_deref) {
        Ok(None | Some("")) => return false,
        Ok(Some("DefaultDeny")) => notes.add(
            path,
            "the old form, still obeyed: nothing comes in without a policy; a NetworkPolicy of \
             type Ingress without rules says the same",
        ),
        Ok(Some(_)) | Err(_) => {
            let wanted = "{\"ingress\":{\"isolation\":\"DefaultDeny\"}}";
            let found = wire::quoted(text);
            notes.add(
                path,
                format_args!("{found} is not {wanted}, which is assumed"),
            );
        }
    }
    true
}
