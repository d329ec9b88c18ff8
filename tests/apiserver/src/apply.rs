//! Objects from manifests into the store, past the rules for clients.

use serde_json::{Value, json};

use crate::kinds::{self, KINDS, Kind};
use crate::selector::Selector;
use crate::shared::Shared;
use crate::status::Status;
use crate::store::Target;
use crate::write::Part;

/// The place of an object; the namespace of cluster-wide kinds is ignored.
pub(crate) fn target<'a>(kind: &str, namespace: &'a str, name: &'a str) -> Option<Target<'a>> {
    let kind = kinds::by_kind(kind).or_else(|| KINDS.iter().find(|one| one.plural == kind))?;
    Some(Target {
        kind,
        namespace: if kind.namespaced { namespace } else { "" },
        name,
    })
}

/// Creates or replaces an object, status included.
pub(crate) fn apply(shared: &Shared, object: Value) -> Result<Value, Status> {
    let text = |path: &str| {
        object
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    };
    let kind: &'static Kind = kinds::by_kind(&text("/kind"))
        .ok_or_else(|| Status::bad_request(format!("unknown kind {:?}", text("/kind"))))?;
    let (name, mut namespace) = (text("/metadata/name"), text("/metadata/namespace"));
    if name.is_empty() {
        return Err(Status::invalid(format!(
            "{} \"\" is invalid: metadata.name: Required value",
            kind.kind
        )));
    }
    if !kind.namespaced {
        namespace.clear();
    } else if namespace.is_empty() {
        "default".clone_into(&mut namespace);
    }
    let target = Target {
        kind,
        namespace: &namespace,
        name: &name,
    };
    let (stored, _) = shared.store.replace(target, object, Part::Whole)?;
    Ok(stored.to_typed_json(kind))
}

/// Makes the namespaces that objects stand in, where they are missing: what `kubectl apply` would insist on.
pub(crate) fn make_namespaces(shared: &Shared) {
    let everything = Selector::default();
    let mut wanted = vec!["default".to_owned(), "kube-system".to_owned()];
    for kind in KINDS.iter().filter(|kind| kind.namespaced) {
        let (_, objects) = shared.store.list(kind, &everything);
        wanted.extend(objects.iter().map(|object| object.namespace.to_string()));
        wanted.sort_unstable();
        wanted.dedup();
    }
    for name in wanted {
        let object =
            json!({"kind": "Namespace", "metadata": {"name": name}, "status": {"phase": "Active"}});
        if target("Namespace", "", &name).is_some_and(|target| shared.store.get(target).is_err()) {
            // Only a name that is empty could be refused, and none is.
            let _ = apply(shared, object);
        }
    }
}
