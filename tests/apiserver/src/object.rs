//! An object as the store keeps it: serialised once, with the few fields that selectors need.

use hyper::body::Bytes;
use serde_json::{Map, Value, json};

use crate::kinds::Kind;
use crate::status::Status;

/// One version of one object.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) revision: u64,
    /// Empty for cluster-wide kinds.
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
    labels: Box<[(Box<str>, Box<str>)]>,
    /// JSON without `kind` and `apiVersion`, as items stand in lists.
    pub(crate) body: Bytes,
}

impl Object {
    /// Takes a body that already has its name; stamps the revision into it.
    pub(crate) fn new(revision: u64, mut body: Value) -> Result<Self, Status> {
        let fields = body
            .as_object_mut()
            .ok_or_else(|| Status::bad_request("the object is no JSON object"))?;
        fields.shift_remove("kind");
        fields.shift_remove("apiVersion");
        let meta = fields
            .get_mut("metadata")
            .and_then(Value::as_object_mut)
            .ok_or_else(|| Status::bad_request("metadata is missing"))?;
        meta.insert("resourceVersion".to_owned(), json!(revision.to_string()));
        let text = |key: &str| meta.get(key).and_then(Value::as_str).unwrap_or("").into();
        let (namespace, name) = (text("namespace"), text("name"));
        let labels = meta
            .get("labels")
            .and_then(Value::as_object)
            .map_or_else(Box::default, labels_of);
        Ok(Self {
            revision,
            namespace,
            name,
            labels,
            body: Bytes::from(body.to_string()),
        })
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(name, _)| &**name == key)
            .map(|(_, value)| &**value)
    }

    /// The body parsed again.
    pub(crate) fn to_json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body parsed again, with `kind` and `apiVersion` in front.
    pub(crate) fn to_typed_json(&self, kind: &Kind) -> Value {
        serde_json::from_slice(&self.to_typed_bytes(kind)).unwrap_or(Value::Null)
    }

    /// The body with `kind` and `apiVersion` in front.
    pub(crate) fn to_typed_bytes(&self, kind: &Kind) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len() + 64);
        self.write_typed(kind, &mut out);
        out
    }

    /// Appends the body with `kind` and `apiVersion` in front.
    pub(crate) fn write_typed(&self, kind: &Kind, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"kind\":\"");
        out.extend_from_slice(kind.kind.as_bytes());
        out.extend_from_slice(b"\",\"apiVersion\":\"");
        out.extend_from_slice(kind.api_version().as_bytes());
        out.extend_from_slice(b"\",");
        out.extend_from_slice(self.body.get(1..).unwrap_or_default());
    }
}

/// Labels with values that are no strings are kept in the body but can't be selected.
fn labels_of(labels: &Map<String, Value>) -> Box<[(Box<str>, Box<str>)]> {
    labels
        .iter()
        .filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into())))
        .collect()
}
