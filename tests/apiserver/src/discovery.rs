//! Paths that name no object: health, version, discovery.

use serde_json::{Value, json};

use crate::kinds::{KINDS, Kind};
use crate::reply::{self, Reply};

/// Paths that need no credentials, as the real server's `system:public-info-viewer`.
pub(crate) fn is_public(path: &str) -> bool {
    ["/healthz", "/livez", "/readyz", "/version"].contains(&path)
}

pub(crate) fn answer(path: &str) -> Reply {
    match path {
        "/healthz" | "/livez" | "/readyz" => reply::text(200, "ok"),
        "/version" => reply::json(
            200,
            &json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0-test", "gitCommit": "", "gitTreeState": "clean",
                    "buildDate": "2026-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc", "platform": "linux/amd64"}),
        ),
        "/api" => reply::json(
            200,
            &json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ),
        "/apis" => reply::json(200, &groups()),
        _ => resources(path).map_or_else(
            || reply::text(404, "404 page not found\n"),
            |found| reply::json(200, &found),
        ),
    }
}

fn groups() -> Value {
    let group = |kind: &Kind| {
        let version = json!({"groupVersion": kind.api_version(), "version": kind.version});
        json!({"name": kind.group, "versions": [version], "preferredVersion": version})
    };
    let groups: Vec<Value> = KINDS
        .iter()
        .filter(|kind| !kind.group.is_empty())
        .map(group)
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn resources(path: &str) -> Option<Value> {
    let group_version = path
        .strip_prefix("/api/")
        .or_else(|| path.strip_prefix("/apis/"))?;
    let here = |kind: &&Kind| kind.api_version() == group_version;
    let resources: Vec<Value> = KINDS.iter().filter(here).flat_map(resource).collect();
    (!resources.is_empty()).then(|| {
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
    })
}

fn resource(kind: &Kind) -> Vec<Value> {
    let entry = |name: String, verbs: &[&str]| {
        json!({"name": name, "singularName": kind.kind.to_lowercase(), "namespaced": kind.namespaced, "kind": kind.kind,
               "verbs": verbs})
    };
    let all = [
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ];
    let mut found = vec![entry(kind.plural.to_owned(), &all)];
    if kind.status {
        found.push(entry(
            format!("{}/status", kind.plural),
            &["get", "patch", "update"],
        ));
    }
    found
}
