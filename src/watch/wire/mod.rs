//! Trimmed Kubernetes shapes: only the fields that `convert` reads, each kept as it came.
//!
//! A field of a wrong type is a value here ([`Field::Wrong`]), never a decoding error, so one bad
//! field costs neither its object nor the list that the object stands in. What is not listed is
//! skipped without being stored (managed fields, pod templates, last-applied annotations).
//!
//! References: `k8s.io/api` `core/v1`, `discovery/v1` and `networking/v1`.

mod field;
mod object;
mod pod;
mod policy;
mod shapes;
mod split;

pub(in crate::watch) use field::quoted;
pub(super) use field::{Field, Shape};
pub(super) use object::{
    Condition, Endpoint, EndpointSlice, Hints, Marks, Metadata, Named, Node, Service, ServicePort,
    ServiceSpec, SlicePort,
};
pub(super) use pod::{
    Container, ContainerPort, Label, Labels, Namespace, Pod, PodIp, PodSpec, PodStatus,
};
pub(super) use policy::{
    Expression, IntOrText, IpBlock, LabelSelector, NetworkPolicy, PolicyPeer, PolicyPort,
    PolicyRule, PolicySpec,
};
pub(super) use split::{elements, members};

use crate::model::ObjectName;

type Text = Box<str>;
type List<T> = Vec<Field<T>>;

/// A kind that is read from a cluster.
pub(super) trait Object: Shape + Send + 'static {
    /// As manifests write it.
    const KIND: &'static str;
    const NAMESPACED: bool;
    /// What is kept of the labels.
    type Labels: Shape + Default;

    fn metadata(&self) -> &Field<Metadata<Self::Labels>>;
}

/// An object that could not be read at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// As far as it could be made out; the namespace is empty for kinds without one.
    pub name: Option<ObjectName>,
    pub reason: String,
}

/// What a source hands on for one object.
pub(super) type Decoded<T> = Result<Box<T>, Unreadable>;

/// Decodes one object from JSON text; unknown and wrong fields never fail it.
///
/// # Errors
/// Where the text is not JSON or not a mapping; the name is salvaged if it can be.
pub(super) fn decode<T: Object>(json: &[u8]) -> Decoded<T> {
    let reason = match serde_json::from_slice::<Field<T>>(json) {
        Ok(Field::Good(object)) => return Ok(Box::new(object)),
        Ok(Field::Absent) => "expected a mapping, found null".to_owned(),
        Ok(Field::Wrong(found)) => format!("expected a mapping, found {found}"),
        Err(error) => error.to_string(),
    };
    Err(Unreadable {
        name: salvage_name::<T>(json),
        reason,
    })
}

/// Decodes one object from a parsed document.
///
/// # Errors
/// Where it is not a mapping.
pub(super) fn decode_value<T: Object>(value: serde_json::Value) -> Decoded<T> {
    let reason = match serde_json::from_value::<Field<T>>(value) {
        Ok(Field::Good(object)) => return Ok(Box::new(object)),
        Ok(_) => "expected a mapping".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Unreadable { name: None, reason })
}

/// The name under which the cluster knows the object, if it has a usable one.
#[must_use]
pub(super) fn name_of<T: Object>(object: &T) -> Option<ObjectName> {
    name_in::<T>(object.metadata().good()?)
}

fn name_in<T: Object>(metadata: &Metadata<T::Labels>) -> Option<ObjectName> {
    let name = metadata.name.good().filter(|name| is_name(name))?;
    let namespace = match (&metadata.namespace, T::NAMESPACED) {
        (_, false) => "",
        (Field::Good(namespace), true) if is_name(namespace) => namespace,
        (Field::Absent, true) => "default",
        _ => return None,
    };
    Some(ObjectName::new(namespace, &**name))
}

/// Whether text can be an object's name: a DNS subdomain, as the API server demands (RFC 1123).
#[must_use]
pub(super) fn is_name(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
}

fn salvage_name<T: Object>(json: &[u8]) -> Option<ObjectName> {
    let found = members(json).filter_map(Result::ok);
    let metadata = found.filter(|(key, _)| *key == b"metadata").last()?.1;
    let metadata = serde_json::from_slice::<Field<Metadata<T::Labels>>>(metadata).ok()?;
    name_in::<T>(metadata.good()?)
}

#[cfg(test)]
mod tests;
