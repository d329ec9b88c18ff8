//! Objects from YAML and JSON: one, several in a file, all of a folder.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The one object of a request's body.
pub(crate) fn one(bytes: &[u8]) -> Result<Value, String> {
    let mut found = many(bytes)?;
    match (found.pop(), found.is_empty()) {
        (Some(object), true) => Ok(object),
        (None, _) => Err("the body is empty".to_owned()),
        (Some(_), false) => Err("the body holds more than one object".to_owned()),
    }
}

/// All objects of a text, lists (`kind: List`) taken apart.
pub(crate) fn many(bytes: &[u8]) -> Result<Vec<Value>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let documents: Vec<Value> = match serde_json::from_str(text) {
        Ok(value) => vec![value],
        Err(_) => serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?,
    };
    Ok(documents
        .into_iter()
        .filter(|one| !one.is_null())
        .flat_map(take_apart)
        .collect())
}

fn take_apart(mut document: Value) -> Vec<Value> {
    let is_list = document
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.ends_with("List"));
    match document
        .get_mut("items")
        .filter(|_| is_list)
        .map(Value::take)
    {
        Some(Value::Array(items)) => items,
        _ => vec![document],
    }
}

/// All objects of the `.yaml`, `.yml` and `.json` files of a folder, in lexical order of the files.
pub fn read_folder(folder: &Path) -> Result<Vec<Value>, String> {
    let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let entries = std::fs::read_dir(folder).map_err(|error| told(folder, &error))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|one| ending == *one))
    });
    files.sort();
    let mut objects = Vec::new();
    for file in files {
        let bytes = std::fs::read(&file).map_err(|error| told(&file, &error))?;
        objects.extend(many(&bytes).map_err(|error| told(&file, &error))?);
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_documents_and_lists_are_taken_apart() {
        let text = "---\n# only a comment\n---\nkind: Pod\nmetadata: {name: a}\n---\nkind: List\nitems:\n- kind: Node\n  metadata: {name: b}\n- kind: Node\n";
        let kinds: Vec<_> = many(text.as_bytes())
            .unwrap()
            .iter()
            .map(|one| one["kind"].clone())
            .collect();
        assert_eq!(kinds, ["Pod", "Node", "Node"]);
        assert!(one(text.as_bytes()).is_err());
        assert_eq!(one(b"a: 1").unwrap()["a"], 1);
        assert!(many(b"a: [").is_err());
    }
}
