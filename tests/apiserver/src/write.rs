//! What a write makes of an object: which parts may change, patches, and the metadata that the server fills in.

use serde_json::{Map, Value, json};

use crate::kinds::Kind;
use crate::status::Status;

/// Which part of the object a write may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything, status included, without a look at resourceVersion: tests and the control address.
    Whole,
    /// Everything but the status, as the main resource's URL.
    Main,
    /// Nothing but the status, as the `/status` URL.
    Status,
}

/// A PATCH body.
#[derive(Debug, Clone)]
pub(crate) enum Patch {
    /// RFC 7396; strategic merge patches and server-side apply are treated as this too.
    Merge(Value),
    /// RFC 6902.
    Json(Vec<Value>),
}

impl Patch {
    pub(crate) fn apply(&self, target: &mut Value) -> Result<(), Status> {
        match self {
            Self::Merge(patch) => {
                merge(target, patch);
                Ok(())
            }
            Self::Json(steps) => steps.iter().try_for_each(|step| apply_step(target, step)),
        }
    }
}

/// Combines the stored object with the one of the request.
pub(crate) fn combine(kind: &Kind, old: Option<&Value>, new: Value, part: Part) -> Value {
    let Some(old) = old.filter(|_| kind.status) else {
        let sheds = kind.status && !kind.status_on_create && part == Part::Main;
        return if sheds { with_status(new, None) } else { new };
    };
    match part {
        Part::Whole => new,
        Part::Main => with_status(new, old.get("status")),
        Part::Status => with_status(old.clone(), new.get("status")),
    }
}

fn with_status(mut object: Value, status: Option<&Value>) -> Value {
    if let Some(fields) = object.as_object_mut() {
        match status {
            Some(status) => fields.insert("status".to_owned(), status.clone()),
            None => fields.shift_remove("status"),
        };
    }
    object
}

/// What the server fills in.
#[derive(Debug)]
pub(crate) struct Stamp<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: String,
    pub(crate) now: String,
    /// Adds a managedFields entry of realistic size.
    pub(crate) managed_fields: bool,
}

/// Fills in name, namespace, uid and creationTimestamp; what is given stays, then what was there.
pub(crate) fn stamp(
    kind: &Kind,
    old: Option<&Value>,
    object: &mut Value,
    part: Part,
    stamp: Stamp<'_>,
) -> Result<(), Status> {
    let fields = object
        .as_object_mut()
        .ok_or_else(|| Status::bad_request("the object is no JSON object"))?;
    let old_meta = old.and_then(|old| old.get("metadata"));
    let slot = fields.entry("metadata").or_insert_with(|| json!({}));
    let meta = slot
        .as_object_mut()
        .ok_or_else(|| Status::bad_request("metadata is no object"))?;
    meta.insert("name".to_owned(), json!(stamp.name));
    if kind.namespaced {
        meta.insert("namespace".to_owned(), json!(stamp.namespace));
    } else {
        meta.shift_remove("namespace");
    }
    for (key, fresh) in [("uid", stamp.uid), ("creationTimestamp", stamp.now)] {
        let given = meta
            .get(key)
            .filter(|value| !value.is_null() && (old.is_none() || part == Part::Whole));
        let kept = given
            .or_else(|| old_meta.and_then(|meta| meta.get(key)))
            .cloned();
        meta.insert(key.to_owned(), kept.unwrap_or_else(|| json!(fresh)));
    }
    if kind.kind == "Namespace" {
        label_namespace(meta, stamp.name);
    }
    if stamp.managed_fields {
        let kept = old_meta.and_then(|meta| meta.get("managedFields")).cloned();
        let fresh = || managed_fields(kind, meta.get("creationTimestamp"));
        let value = kept.unwrap_or_else(fresh);
        meta.insert("managedFields".to_owned(), value);
    }
    Ok(())
}

/// The label that the real server puts on every namespace.
fn label_namespace(meta: &mut Map<String, Value>, name: &str) {
    if let Some(labels) = meta
        .entry("labels")
        .or_insert_with(|| json!({}))
        .as_object_mut()
    {
        labels
            .entry("kubernetes.io/metadata.name")
            .or_insert_with(|| json!(name));
    }
}

/// A managedFields entry such as kubectl and the controllers leave behind: dead weight that clients must skip.
pub(crate) fn managed_fields(kind: &Kind, time: Option<&Value>) -> Value {
    let owned = json!({"f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {}},
                                      "f:labels": {".": {}, "f:app": {}, "f:app.kubernetes.io/name": {}}},
                       "f:spec": {"f:internalTrafficPolicy": {}, "f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}":
                                      {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}}},
                                  "f:selector": {}, "f:sessionAffinity": {}, "f:type": {}}});
    json!([{"manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": kind.api_version(),
            "time": time, "fieldsType": "FieldsV1", "fieldsV1": owned}])
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Some(changes) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(fields) = target.as_object_mut() else {
        return;
    };
    for (key, change) in changes {
        if change.is_null() {
            fields.shift_remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

fn apply_step(target: &mut Value, step: &Value) -> Result<(), Status> {
    let text = |key: &str| step.get(key).and_then(Value::as_str);
    let missing = |what: &str| Status::bad_request(format!("JSON patch step without {what}"));
    let path = text("path").ok_or_else(|| missing("path"))?;
    let value = || step.get("value").cloned().ok_or_else(|| missing("value"));
    match text("op").ok_or_else(|| missing("op"))? {
        "add" => add(target, path, value()?),
        "replace" => {
            let slot = target.pointer_mut(path).ok_or_else(|| no_path(path))?;
            *slot = value()?;
            Ok(())
        }
        "remove" => remove(target, path).map(drop),
        "test" if target.pointer(path) == Some(&value()?) => Ok(()),
        "test" => Err(Status::invalid(format!("testing path {path} failed"))),
        "move" => {
            let moved = remove(target, text("from").ok_or_else(|| missing("from"))?)?;
            add(target, path, moved)
        }
        "copy" => {
            let from = text("from").ok_or_else(|| missing("from"))?;
            let copied = target.pointer(from).cloned().ok_or_else(|| no_path(from))?;
            add(target, path, copied)
        }
        other => Err(Status::bad_request(format!(
            "JSON patch operation {other:?} is unknown"
        ))),
    }
}

fn no_path(path: &str) -> Status {
    Status::invalid(format!(
        "the server rejected our request due to an error in our request: no {path}"
    ))
}

/// Splits a JSON pointer into its parent and the last key, unescaped.
fn split(path: &str) -> Result<(&str, String), Status> {
    let (parent, key) = path.rsplit_once('/').ok_or_else(|| no_path(path))?;
    Ok((parent, key.replace("~1", "/").replace("~0", "~")))
}

fn add(target: &mut Value, path: &str, value: Value) -> Result<(), Status> {
    if path.is_empty() {
        *target = value;
        return Ok(());
    }
    let (parent, key) = split(path)?;
    match target.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.insert(key, value);
            Ok(())
        }
        Some(Value::Array(items)) if key == "-" => {
            items.push(value);
            Ok(())
        }
        Some(Value::Array(items)) => {
            let at = key
                .parse()
                .ok()
                .filter(|at| *at <= items.len())
                .ok_or_else(|| no_path(path))?;
            items.insert(at, value);
            Ok(())
        }
        _ => Err(no_path(path)),
    }
}

fn remove(target: &mut Value, path: &str) -> Result<Value, Status> {
    let (parent, key) = split(path)?;
    match target.pointer_mut(parent) {
        Some(Value::Object(fields)) => fields.shift_remove(&key).ok_or_else(|| no_path(path)),
        Some(Value::Array(items)) => {
            let at = key
                .parse()
                .ok()
                .filter(|at| *at < items.len())
                .ok_or_else(|| no_path(path))?;
            Ok(items.remove(at))
        }
        _ => Err(no_path(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_patch_follows_rfc_7396() {
        for (target, patch, want) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b", "b": "c"}),
                json!({"a": null}),
                json!({"b": "c"}),
            ),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            let mut got = target.clone();
            merge(&mut got, &patch);
            assert_eq!(got, want, "{target} {patch}");
        }
    }

    #[test]
    fn json_patch_follows_rfc_6902() {
        let mut object = json!({"a": {"x/y": 1}, "l": [1, 3]});
        let steps = json!([
            {"op": "test", "path": "/a/x~1y", "value": 1},
            {"op": "add", "path": "/l/1", "value": 2},
            {"op": "add", "path": "/l/-", "value": 4},
            {"op": "replace", "path": "/a/x~1y", "value": 9},
            {"op": "move", "from": "/a/x~1y", "path": "/b"},
            {"op": "copy", "from": "/l/0", "path": "/a/c"},
            {"op": "remove", "path": "/l/0"},
        ]);
        Patch::Json(steps.as_array().unwrap().clone())
            .apply(&mut object)
            .unwrap();
        assert_eq!(object, json!({"a": {"c": 1}, "l": [2, 3, 4], "b": 9}));
        for bad in [
            json!({"op": "remove", "path": "/nope"}),
            json!({"op": "add", "path": "/l/9", "value": 1}),
            json!({"op": "test", "path": "/b", "value": 1}),
            json!({"op": "fly", "path": "/b"}),
            json!({"op": "add"}),
            json!("text"),
        ] {
            assert!(
                Patch::Json(vec![bad.clone()]).apply(&mut object).is_err(),
                "{bad}"
            );
        }
    }
}
