//! Wire shapes to the model: the only parser of cluster objects.
//!
//! What cannot be used is left out with a [`Note`] that names object, field and reason; the rest
//! of the object stands. Where leaving out would open something (source ranges), it closes.

mod annotation;
mod bgp;
mod intern;
mod namespace;
mod node;
mod notes;
mod peer;
mod peers;
mod pod;
mod policy;
mod selector;
mod service;
mod slice;
mod time;

pub(super) use intern::Interner;
pub(super) use namespace::namespace;
pub(super) use node::node;
pub(super) use pod::pod;
pub(super) use policy::{closed, policy};
pub(super) use service::service;
pub(super) use slice::slice;

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use self::notes::Notes;
use super::wire::{self, Field, Metadata, Object, Shape};
use crate::model::{Labels, Note, ObjectName, ObjectRef};
use crate::net::{Prefix, is_usable};

/// The longest node or zone name that is kept, in bytes.
const LONGEST_NAME: usize = 253;

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Converted<T> {
    /// `None` where the object means nothing to us, or nothing could be made of it.
    pub object: Option<T>,
    pub notes: Vec<Note>,
}

// === impl Converted ===

impl<T> Converted<T> {
    /// Nothing could be made of an object.
    #[must_use]
    pub(super) fn unreadable<W: Object>(error: &wire::Unreadable) -> Self {
        let object = reference::<W>(error.name.as_ref());
        Self {
            object: None,
            notes: vec![Note::new(object, "", error.reason.as_str())],
        }
    }

    /// The cluster's name for the object is missing or not a name.
    #[must_use]
    pub(super) fn nameless<W: Object>(wire: &W) -> Self {
        let (field, reason) = match wire.metadata() {
            Field::Absent => ("metadata", "missing".to_owned()),
            Field::Wrong(found) => ("metadata", format!("expected a mapping, found {found}")),
            Field::Good(metadata) => bad_name(metadata),
        };
        Self {
            object: None,
            notes: vec![Note::new(reference::<W>(None), field, reason)],
        }
    }
}

fn bad_name<L>(metadata: &Metadata<L>) -> (&'static str, String) {
    for (path, field) in [
        ("metadata.name", &metadata.name),
        ("metadata.namespace", &metadata.namespace),
    ] {
        match field {
            Field::Good(name) if !wire::is_name(name) => {
                return (path, format!("{} is not a name", wire::quoted(name)));
            }
            Field::Wrong(found) => return (path, format!("expected a text, found {found}")),
            Field::Good(_) | Field::Absent => {}
        }
    }
    ("metadata.name", "missing".to_owned())
}

/// How notes call an object.
#[must_use]
pub(super) fn reference<W: Object>(name: Option<&ObjectName>) -> ObjectRef {
    match name {
        Some(name) if W::NAMESPACED => ObjectRef::new(W::KIND, name.to_string()),
        Some(name) => ObjectRef::new(W::KIND, Arc::clone(&name.name)),
        None => ObjectRef::new(W::KIND, "without a name"),
    }
}

/// The value of a field, or a note if it is of a wrong type.
fn read<'a, T: Shape>(field: &'a Field<T>, path: impl Display, notes: &mut Notes) -> Option<&'a T> {
    match field {
        Field::Good(value) => Some(value),
        Field::Absent => None,
        Field::Wrong(found) => {
            notes.add(
                path,
                format_args!("expected {}, found {found}", T::EXPECTED),
            );
            None
        }
    }
}

/// The readable entries of a list with their place in it.
fn entries<'a, T: Shape>(
    list: &'a Field<Vec<Field<T>>>,
    path: impl Display,
    notes: &mut Notes,
) -> Vec<(usize, &'a T)> {
    let Some(list) = read(list, &path, notes) else {
        return Vec::new();
    };
    let mut good = Vec::with_capacity(list.len());
    for (index, item) in list.iter().enumerate() {
        let place = format_args!("{path}[{index}]");
        match item {
            Field::Absent => notes.add(place, "null"),
            item => good.extend(read(item, place, notes).map(|item| (index, item))),
        }
    }
    good
}

/// The metadata of an object, or an empty one with a note.
fn metadata<'a, W: Object>(
    object: &'a W,
    empty: &'a Metadata<W::Labels>,
    notes: &mut Notes,
) -> &'a Metadata<W::Labels> {
    read(object.metadata(), "metadata", notes).unwrap_or(empty)
}

/// Seconds since the epoch; `unknown` where the API server did not say.
fn created<L>(metadata: &Metadata<L>, unknown: i64, notes: &mut Notes) -> i64 {
    let path = "metadata.creationTimestamp";
    let Some(text) = read(&metadata.created, path, notes) else {
        return unknown;
    };
    time::unix_seconds(text).unwrap_or_else(|| {
        notes.add(path, format_args!("{} is not a time", wire::quoted(text)));
        unknown
    })
}

/// All labels, their texts shared; values that are no text are left out.
fn labels(
    field: &Field<wire::Labels>,
    path: &str,
    intern: &mut Interner,
    notes: &mut Notes,
) -> Labels {
    let Some(labels) = read(field, path, notes) else {
        return Labels::default();
    };
    let mut found = Vec::with_capacity(labels.0.len());
    for (key, value) in &labels.0 {
        let value = match value {
            // As the API server reads null.
            Field::Absent => "",
            Field::Good(value) => &value.0,
            wrong @ Field::Wrong(_) => {
                read(wrong, format_args!("{path}[{}]", wire::quoted(key)), notes);
                continue;
            }
        };
        found.push((intern.text(key), intern.text(value)));
    }
    found.into_iter().collect()
}

/// A label or annotation.
fn mark<'a>(
    marks: &'a Field<wire::Marks>,
    key: &str,
    path: &str,
    notes: &mut Notes,
) -> Option<&'a str> {
    let value = marks.good()?.get(key);
    read(value, format_args!("{path}[{key}]"), notes).map(|text| &**text)
}

/// Whether a label or annotation is there, whatever its value.
fn has_mark(marks: &Field<wire::Marks>, key: &str) -> bool {
    marks
        .good()
        .is_some_and(|marks| *marks.get(key) != Field::Absent)
}

/// An address that a Service or an endpoint may have.
fn usable_address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text
        .parse()
        .map_err(|_| format!("{} is not an IP address", wire::quoted(text)))?;
    if is_usable(address) {
        return Ok(address);
    }
    Err(format!(
        "{address} cannot be used: unspecified, loopback, link-local, multicast, broadcast or IPv4-mapped"
    ))
}

/// A list of addresses in their order, each once.
fn addresses<'a>(
    texts: impl IntoIterator<Item = (String, &'a str)>,
    notes: &mut Notes,
) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for (path, text) in texts {
        match usable_address(text) {
            Ok(address) if found.contains(&address) => {}
            Ok(address) => found.push(address),
            Err(reason) => notes.add(path, reason),
        }
    }
    found
}

/// A prefix with its host bits cleared; an address alone is a prefix of its own.
fn prefix(text: &str) -> Result<Prefix, String> {
    let text = text.trim();
    let parsed = text.parse::<Prefix>().map(|prefix| prefix.trunc());
    parsed
        .or_else(|_| text.parse::<IpAddr>().map(Prefix::from))
        .map_err(|_| format!("{} is not a CIDR", wire::quoted(text)))
}

/// A port number from 1 to 65535.
fn port(number: i64) -> Result<u16, String> {
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("{number} is not a port: 1 to 65535")),
    }
}

/// A port's name as the API server admits it; empty for an unnamed one.
fn port_name(field: &Field<Box<str>>) -> Result<&str, String> {
    match field {
        Field::Absent => Ok(""),
        Field::Good(name) if name.is_empty() || wire::is_name(&name.to_ascii_lowercase()) => {
            Ok(name)
        }
        Field::Good(name) => Err(format!("{} cannot name a port", wire::quoted(name))),
        Field::Wrong(found) => Err(format!("expected a text, found {found}")),
    }
}

/// The name of a node or a zone, shared between all who bear it.
fn shared_name(
    field: &Field<Box<str>>,
    path: impl Display,
    intern: &mut Interner,
    notes: &mut Notes,
) -> Option<Arc<str>> {
    let name = read(field, &path, notes)?;
    if name.is_empty() {
        return None;
    }
    if name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        notes.add(path, format_args!("{} is not a name", wire::quoted(name)));
        return None;
    }
    Some(intern.text(name))
}

#[cfg(test)]
mod bgp_tests;
#[cfg(test)]
mod pod_tests;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod tests;
