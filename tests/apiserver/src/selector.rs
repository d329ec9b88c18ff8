//! Label and field selectors, as far as clients of these resources use them.

use serde_json::Value;

use crate::kinds::Kind;
use crate::object::Object;
use crate::status::Status;

/// What a list or watch is restricted to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    /// Only this namespace.
    pub(crate) namespace: Option<String>,
    labels: Vec<LabelTerm>,
    fields: Vec<FieldTerm>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LabelTerm {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldTerm {
    path: String,
    value: String,
    equal: bool,
}

impl Selector {
    /// Parses `labelSelector` and `fieldSelector`.
    pub(crate) fn parse(
        kind: &Kind,
        namespace: Option<&str>,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Self, Status> {
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            labels: split_terms(labels.unwrap_or(""))
                .iter()
                .map(|term| LabelTerm::parse(term))
                .collect::<Result<_, _>>()?,
            fields: split_terms(fields.unwrap_or(""))
                .iter()
                .map(|term| FieldTerm::parse(kind, term))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether every object of the namespace, or of all, is chosen.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Object) -> bool {
        self.namespace
            .as_deref()
            .is_none_or(|namespace| namespace == &*object.namespace)
            && self.labels.iter().all(|term| term.matches(object))
            && self.fields_match(object)
    }

    fn fields_match(&self, object: &Object) -> bool {
        let needs_body = self
            .fields
            .iter()
            .any(|term| !term.path.starts_with("metadata."));
        let body = if needs_body {
            object.to_json()
        } else {
            Value::Null
        };
        self.fields.iter().all(|term| {
            let actual = match term.path.as_str() {
                "metadata.name" => object.name.to_string(),
                "metadata.namespace" => object.namespace.to_string(),
                path => text_at(&body, path),
            };
            (actual == term.value) == term.equal
        })
    }
}

impl LabelTerm {
    fn parse(term: &str) -> Result<Self, Status> {
        let term = term.trim();
        if let Some(key) = term.strip_prefix('!') {
            return Ok(Self::Absent(key.trim().to_owned()));
        }
        if let Some((key, value)) = term.split_once("!=") {
            return Ok(Self::NotIn(
                key.trim().to_owned(),
                vec![value.trim().to_owned()],
            ));
        }
        if let Some((key, value)) = term.split_once('=') {
            let value = value.strip_prefix('=').unwrap_or(value).trim();
            return Ok(Self::In(key.trim().to_owned(), vec![value.to_owned()]));
        }
        if let Some((head, list)) = term.split_once('(') {
            let list = list.strip_suffix(')').ok_or_else(|| {
                Status::bad_request(format!("unable to parse requirement {term:?}"))
            })?;
            let values = list
                .split(',')
                .map(|value| value.trim().to_owned())
                .collect();
            let mut words = head.split_whitespace();
            return match (words.next(), words.next()) {
                (Some(key), Some("in")) => Ok(Self::In(key.to_owned(), values)),
                (Some(key), Some("notin")) => Ok(Self::NotIn(key.to_owned(), values)),
                _ => Err(Status::bad_request(format!(
                    "unable to parse requirement {term:?}"
                ))),
            };
        }
        if term.is_empty() || term.contains(char::is_whitespace) {
            return Err(Status::bad_request(format!(
                "unable to parse requirement {term:?}"
            )));
        }
        Ok(Self::Exists(term.to_owned()))
    }

    fn matches(&self, object: &Object) -> bool {
        match self {
            Self::Exists(key) => object.label(key).is_some(),
            Self::Absent(key) => object.label(key).is_none(),
            Self::In(key, values) => object
                .label(key)
                .is_some_and(|value| values.iter().any(|one| one == value)),
            Self::NotIn(key, values) => object
                .label(key)
                .is_none_or(|value| values.iter().all(|one| one != value)),
        }
    }
}

impl FieldTerm {
    fn parse(kind: &Kind, term: &str) -> Result<Self, Status> {
        let (path, value, equal) = if let Some((path, value)) = term.split_once("!=") {
            (path, value, false)
        } else if let Some((path, value)) = term.split_once('=') {
            (path, value.strip_prefix('=').unwrap_or(value), true)
        } else {
            return Err(Status::bad_request(format!(
                "invalid field selector: {term:?}; can't understand"
            )));
        };
        let path = path.trim();
        if !["metadata.name", "metadata.namespace"].contains(&path) && !kind.fields.contains(&path)
        {
            return Err(Status::bad_request(format!(
                "field label not supported: {path}"
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            value: value.trim().to_owned(),
            equal,
        })
    }
}

/// Splits at commas outside parentheses.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut depth, mut start) = (0usize, 0usize);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms.retain(|term| !term.trim().is_empty());
    terms
}

fn text_at(body: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(body, |value, key| value.get(key));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::by_kind;
    use serde_json::json;

    fn pod() -> Object {
        let body = json!({"metadata": {"name": "a", "namespace": "x", "labels": {"app": "web", "tier": "1"}},
                          "spec": {"nodeName": "n1"}});
        Object::new(7, body).unwrap()
    }

    #[test]
    fn selects_by_labels_and_fields() {
        let kind = by_kind("Pod").unwrap();
        for (labels, fields, chosen) in [
            ("", "", true),
            ("app=web", "", true),
            ("app==web,tier", "", true),
            ("app!=web", "", false),
            ("!app", "", false),
            ("!other", "", true),
            ("app in (db, web),tier notin (2)", "", true),
            ("app notin (db,web)", "", false),
            ("", "metadata.name=a", true),
            ("", "metadata.name!=a", false),
            ("", "spec.nodeName=n1,metadata.namespace=x", true),
            ("", "spec.nodeName=n2", false),
        ] {
            let selector = Selector::parse(kind, None, Some(labels), Some(fields)).unwrap();
            assert_eq!(selector.matches(&pod()), chosen, "{labels} {fields}");
        }
        assert!(Selector::parse(kind, None, None, Some("spec.nonsense=1")).is_err());
        assert!(Selector::parse(kind, None, Some("a b"), None).is_err());
    }
}
