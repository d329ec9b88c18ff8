//! What a URL names.

use std::str::FromStr;

use crate::kinds::{self, Kind};
use crate::status::Status;

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Health, version or discovery.
    Fixed(String),
    /// All objects of a kind, of one namespace or of all.
    Collection {
        kind: &'static Kind,
        namespace: Option<String>,
    },
    /// One object or its status; `namespace` is empty for cluster-wide kinds.
    Item {
        kind: &'static Kind,
        namespace: String,
        name: String,
        status: bool,
    },
    /// Nothing.
    Unknown,
}

impl Route {
    pub(crate) fn parse(path: &str) -> Self {
        let parts: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(percent_decode)
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => resource("", version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() && kinds::is_group(group) => {
                resource(group, version, rest)
            }
            _ => Self::Fixed(format!("/{}", parts.join("/"))),
        }
    }

    /// Plural of the resource, or nothing.
    pub(crate) fn plural(&self) -> &'static str {
        match self {
            Self::Collection { kind, .. } | Self::Item { kind, .. } => kind.plural,
            Self::Fixed(_) | Self::Unknown => "",
        }
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Route {
    let find = |plural: &str| kinds::by_plural(group, version, plural);
    let item = |kind: &'static Kind, namespace: &str, name: &str, status: bool| Route::Item {
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        status,
    };
    match rest {
        ["namespaces", name, "status"] => match find("namespaces") {
            Some(kind) => item(kind, "", name, true),
            None => Route::Unknown,
        },
        ["namespaces", namespace, plural, more @ ..] => match (find(plural), more) {
            (Some(kind), []) if kind.namespaced => Route::Collection {
                kind,
                namespace: Some((*namespace).to_owned()),
            },
            (Some(kind), [name]) if kind.namespaced => item(kind, namespace, name, false),
            (Some(kind), [name, "status"]) if kind.namespaced && kind.status => {
                item(kind, namespace, name, true)
            }
            _ => Route::Unknown,
        },
        [plural, more @ ..] => match (find(plural), more) {
            (Some(kind), []) => Route::Collection {
                kind,
                namespace: None,
            },
            (Some(kind), [name]) if !kind.namespaced => item(kind, "", name, false),
            (Some(kind), [name, "status"]) if !kind.namespaced && kind.status => {
                item(kind, "", name, true)
            }
            _ => Route::Unknown,
        },
        [] => Route::Unknown,
    }
}

/// The parameters of a query string.
#[derive(Debug, Default, Clone)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                percent_decode(key),
                percent_decode(&value.replace('+', " ")),
            )
        };
        Self(
            text.split('&')
                .filter(|part| !part.is_empty())
                .map(pair)
                .collect(),
        )
    }

    /// The value of a parameter that is there and not empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// A parameter that counts something; nothing is 0.
    pub(crate) fn number<T: FromStr + Default>(&self, key: &str) -> Result<T, Status> {
        self.get(key).map_or(Ok(T::default()), |text| {
            text.parse().map_err(|_| {
                Status::bad_request(format!(
                    "strconv.ParseInt: parsing {text:?}: invalid syntax"
                ))
            })
        })
    }

    /// A boolean parameter.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        self.get(key).map(|value| value == "true" || value == "1")
    }
}

/// Bytes that are no UTF-8 afterwards become replacement characters.
fn percent_decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match byte.filter(|_| *first == b'%') {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_collections_objects_and_statuses() {
        for (path, want) in [
            ("/api/v1/services", "services * "),
            ("/api/v1/namespaces/a/services", "services a "),
            ("/api/v1/namespaces/a/services/b", "services a b"),
            (
                "/api/v1/namespaces/a/services/b/status",
                "services a b/status",
            ),
            ("/api/v1/namespaces", "namespaces * "),
            ("/api/v1/namespaces/a", "namespaces  a"),
            ("/api/v1/namespaces/a/status", "namespaces  a/status"),
            ("/api/v1/nodes/n%31/status", "nodes  n1/status"),
            (
                "/apis/discovery.k8s.io/v1/endpointslices",
                "endpointslices * ",
            ),
            (
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/l",
                "leases a l",
            ),
            (
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/l/status",
                "unknown",
            ),
            ("/apis/discovery.k8s.io/v1beta1/endpointslices", "unknown"),
            ("/apis/nonsense/v1/things", "/apis/nonsense/v1/things"),
            ("/api/v1/services/b", "unknown"),
            ("/api/v1/namespaces/a/nodes", "unknown"),
            ("/apis/discovery.k8s.io/v1", "/apis/discovery.k8s.io/v1"),
            ("/readyz", "/readyz"),
        ] {
            let got = match Route::parse(path) {
                Route::Fixed(path) => path,
                Route::Unknown => "unknown".to_owned(),
                Route::Collection { kind, namespace } => {
                    format!("{} {} ", kind.plural, namespace.as_deref().unwrap_or("*"))
                }
                Route::Item {
                    kind,
                    namespace,
                    name,
                    status,
                } => {
                    format!(
                        "{} {namespace} {name}{}",
                        kind.plural,
                        if status { "/status" } else { "" }
                    )
                }
            };
            assert_eq!(got, want, "{path}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("labelSelector=app%3Dweb%2C%21x&watch=1&limit=&bad=%zz+y");
        assert_eq!(query.get("labelSelector"), Some("app=web,!x"));
        assert_eq!(query.flag("watch"), Some(true));
        assert_eq!(query.get("limit"), None);
        assert_eq!(query.get("bad"), Some("%zz y"));
    }
}
