//! Answers as they are on the wire, the same of the test API server and of a real one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::servers;
use serde_json::{Value, json};
use test_apiserver::{ApiServer, Ask};

const FAR: &str = "999999999";

/// Asks one thing on every server and compares code and reason.
fn all_answer(place: &str, table: &[(Ask<'_>, u16, &str)]) {
    let mut wrong = Vec::new();
    for server in servers() {
        prepare(&*server, place);
        for (ask, code, reason) in table {
            let answer = server.ask(*ask);
            if (answer.code, answer.reason().as_str()) != (*code, *reason) {
                wrong.push(format!(
                    "{}: {} {} {}: {} {:?}, not {code} {reason:?}: {}",
                    server.name(),
                    ask.method,
                    ask.path,
                    ask.body,
                    answer.code,
                    answer.reason(),
                    answer.body
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn prepare(server: &dyn ApiServer, place: &str) {
    server.put(json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": place, "labels": {"app": "web"}},
        "spec": {"ports": [{"port": 80}]}}));
    server.put(slice(place, "web-1"));
}

fn slice(place: &str, name: &str) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": place},
        "addressType": "IPv4", "endpoints": [], "ports": []})
}

/// Asks for `front` with each end of the table.
fn all_answer_at(place: &str, front: &str, table: &[(&str, u16, &str)]) {
    let paths: Vec<String> = table
        .iter()
        .map(|(end, ..)| format!("{front}{end}"))
        .collect();
    let asks = paths.iter().zip(table);
    let asks: Vec<_> = asks
        .map(|(path, (_, code, reason))| (Ask::get(path), *code, *reason))
        .collect();
    all_answer(place, &asks);
}

#[test]
fn lists_that_make_no_sense_are_refused_alike() {
    const EXACT: &str = "resourceVersionMatch=Exact";
    const LEAST: &str = "resourceVersionMatch=NotOlderThan";
    let place = "bad-lists";
    all_answer_at(
        place,
        &format!("/api/v1/namespaces/{place}/services"),
        &[
            ("?sendInitialEvents=true", 422, "Invalid"),
            ("?resourceVersion=abc", 400, "BadRequest"),
            (&format!("?{EXACT}"), 422, "Invalid"),
            (&format!("?{EXACT}&resourceVersion=0"), 422, "Invalid"),
            (&format!("?{EXACT}&resourceVersion={FAR}"), 504, "Timeout"),
            (&format!("?{LEAST}&resourceVersion=0"), 200, ""),
            (&format!("?{LEAST}&resourceVersion={FAR}"), 504, "Timeout"),
            (&format!("?resourceVersion={FAR}"), 504, "Timeout"),
            (
                "?resourceVersionMatch=nonsense&resourceVersion=1",
                422,
                "Invalid",
            ),
            ("?labelSelector=a%20b", 400, "BadRequest"),
            ("?fieldSelector=nonsense", 400, "BadRequest"),
            ("?fieldSelector=spec.nonsense%3D1", 400, "BadRequest"),
            ("?limit=abc", 400, "BadRequest"),
            ("?continue=nonsense", 400, "BadRequest"),
            ("?watch=1&timeoutSeconds=abc", 400, "BadRequest"),
            ("/none", 404, "NotFound"),
            ("/web/nonsense", 404, "NotFound"),
            ("/web/status", 200, ""),
        ],
    );
    all_answer_at(
        place,
        "",
        &[
            ("/api/v1/nonsense", 404, "NotFound"),
            ("/apis/nonsense/v1/things", 404, ""),
            (
                "/apis/discovery.k8s.io/v1beta1/endpointslices",
                404,
                "NotFound",
            ),
        ],
    );
}

#[test]
fn watches_that_make_no_sense_are_refused_alike() {
    let place = "bad-watches";
    let front = format!("/api/v1/namespaces/{place}/services?watch=1&timeoutSeconds=1&");
    let stream = "sendInitialEvents=true";
    let least = "resourceVersionMatch=NotOlderThan";
    all_answer_at(
        place,
        &front,
        &[
            (least, 422, "Invalid"),
            (stream, 422, "Invalid"),
            ("sendInitialEvents=false", 422, "Invalid"),
            (
                &format!("{stream}&resourceVersionMatch=Exact"),
                422,
                "Invalid",
            ),
            (&format!("{stream}&{least}"), 200, ""),
            (
                &format!("{stream}&{least}&allowWatchBookmarks=true"),
                200,
                "",
            ),
            (
                &format!("sendInitialEvents=false&{least}&resourceVersion=0"),
                200,
                "",
            ),
            (&format!("resourceVersion={FAR}"), 200, ""),
        ],
    );
}

/// A Service of this name; `more` goes into its metadata.
fn service(name: &str, more: &Value) -> String {
    let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"port": 80}]}});
    for (key, value) in more.as_object().into_iter().flatten() {
        service["metadata"][key] = value.clone();
    }
    service.to_string()
}

#[test]
fn objects_that_make_no_sense_are_refused_alike() {
    let place = "bad-objects";
    let services = &format!("/api/v1/namespaces/{place}/services");
    let [web, anew] = &["web", "new"].map(|name| format!("{services}/{name}"));
    let none = &format!("/apis/discovery.k8s.io/v1/namespaces/{place}/endpointslices/none");
    let plain = |name: &str| service(name, &json!({}));
    let (again, other, new, nameless) = (plain("web"), plain("other"), plain("new"), plain(""));
    let node = r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}"#;
    let elsewhere = service("a", &json!({"namespace": "other"}));
    let versioned = service("b", &json!({"resourceVersion": "7"}));
    let stale = service("web", &json!({"resourceVersion": "1"}));
    let slice = slice(place, "none").to_string();
    let text = Ask {
        media: "text/plain",
        ..Ask::json("POST", services, &other)
    };
    all_answer(
        place,
        &[
            (Ask::json("POST", services, &again), 409, "AlreadyExists"),
            (Ask::json("POST", services, &nameless), 422, "Invalid"),
            (Ask::json("POST", services, node), 400, "BadRequest"),
            (Ask::json("POST", services, &elsewhere), 400, "BadRequest"),
            (Ask::json("POST", services, &versioned), 500, ""),
            (Ask::json("POST", services, "{"), 400, "BadRequest"),
            (text, 415, "UnsupportedMediaType"),
            (
                Ask::json("POST", "/api/v1/services", &other),
                405,
                "MethodNotAllowed",
            ),
            (Ask::json("PUT", services, &other), 405, "MethodNotAllowed"),
            (Ask::json("PUT", web, &other), 400, "BadRequest"),
            (Ask::json("PUT", web, &stale), 409, "Conflict"),
            // Some kinds can be created so, others not.
            (Ask::json("PUT", anew, &new), 201, ""),
            (Ask::json("PUT", none, &slice), 404, "NotFound"),
            (Ask::json("DELETE", anew, ""), 200, ""),
            (Ask::json("DELETE", anew, ""), 404, "NotFound"),
        ],
    );
}

#[test]
fn patches_that_make_no_sense_are_refused_alike() {
    let place = "bad-patches";
    let [web, none] =
        &["web", "none"].map(|name| format!("/api/v1/namespaces/{place}/services/{name}"));
    let patch = |media, path, body| Ask {
        media,
        ..Ask::json("PATCH", path, body)
    };
    let merge = |path, body| patch("application/merge-patch+json", path, body);
    let steps = |body| patch("application/json-patch+json", web, body);
    let stale = r#"{"metadata": {"resourceVersion": "1", "labels": {"a": "b"}}}"#;
    let test = r#"[{"op": "test", "path": "/metadata/name", "value": "x"}]"#;
    let remove = r#"[{"op": "remove", "path": "/nope"}]"#;
    all_answer(
        place,
        &[
            (patch("text/plain", web, "{}"), 415, "UnsupportedMediaType"),
            (merge(web, "{"), 400, "BadRequest"),
            (merge(web, stale), 409, "Conflict"),
            (merge(none, "{}"), 404, "NotFound"),
            (steps(test), 422, "Invalid"),
            (steps(remove), 422, "Invalid"),
            (steps(r#"{"op": "remove"}"#), 400, "BadRequest"),
        ],
    );
}

/// Everything a watch says until it ends, without what differs from one server to another: type, name, marks, and the
/// fields that stand there. Bookmarks between are left out, for they come when the server finds it due.
fn told(server: &dyn ApiServer, path: &str) -> Vec<Value> {
    let answer = server.ask(Ask::get(path));
    assert_eq!(answer.code, 200, "{}: {answer:?}", server.name());
    let told = answer.events().into_iter().map(|event| {
        let object = &event["object"];
        let mark = &object["metadata"]["annotations"]["k8s.io/initial-events-end"];
        if event["type"] == "BOOKMARK" {
            let mut rest = object.clone();
            rest.as_object_mut().unwrap().shift_remove("metadata");
            return json!({"type": "BOOKMARK", "mark": mark, "rest": sorted(&rest)});
        }
        if event["type"] == "ERROR" {
            return json!({"type": "ERROR", "code": object["code"], "reason": object["reason"], "kind": object["kind"]});
        }
        json!({"type": event["type"], "name": object["metadata"]["name"], "kind": object["kind"]})
    });
    let told: Vec<Value> = told.collect();
    told.into_iter()
        .filter(|event| event["type"] != "BOOKMARK" || !event["mark"].is_null())
        .collect()
}

/// The same with the keys in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| key.as_str());
            fields
                .into_iter()
                .map(|(key, value)| (key.clone(), sorted(value)))
                .collect()
        }
        other => other.clone(),
    }
}

#[test]
fn watches_tell_the_same_in_the_same_form() {
    let place = "watches";
    for server in servers() {
        // A real one waits three seconds for a revision that may still come.
        let seconds = if server.name() == "kube-apiserver" {
            5
        } else {
            1
        };
        let stream = &format!(
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds={seconds}"
        );
        prepare(&*server, place);
        server.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}));
        let name = server.name();
        let added = |kind: &str, name: &str| json!({"type": "ADDED", "name": name, "kind": kind});
        let mark = |rest: Value| json!({"type": "BOOKMARK", "mark": "true", "rest": sorted(&rest)});
        let services = &format!("/api/v1/namespaces/{place}/services?watch=1");
        let slices =
            &format!("/apis/discovery.k8s.io/v1/namespaces/{place}/endpointslices?watch=1");
        let marked = &format!("{stream}&allowWatchBookmarks=true");
        let hollow_service = json!({"kind": "Service", "apiVersion": "v1", "spec": {}, "status": {"loadBalancer": {}}});
        assert_eq!(
            told(&*server, &format!("{services}&{marked}")),
            [added("Service", "web"), mark(hollow_service)],
            "{name}"
        );
        let hollow_slice = json!({"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "", "endpoints": null, "ports": null});
        assert_eq!(
            told(&*server, &format!("{slices}&{marked}")),
            [added("EndpointSlice", "web-1"), mark(hollow_slice)],
            "{name}"
        );
        let node = "/api/v1/nodes?watch=1&fieldSelector=metadata.name%3Dn1";
        let events = told(&*server, &format!("{node}&{marked}"));
        assert_eq!(events[0], added("Node", "n1"), "{name}");
        assert_eq!(
            (events.len(), &events[1]["mark"]),
            (2, &json!("true")),
            "{name}: {events:?}"
        );
        // Without bookmarks there is no end to be told.
        assert_eq!(
            told(&*server, &format!("{services}&{stream}")),
            [added("Service", "web")],
            "{name}"
        );
        let nothing = "labelSelector=app%3Dnone";
        assert_eq!(
            told(&*server, &format!("{services}&{marked}&{nothing}")).len(),
            1,
            "{name}"
        );
        let later = format!("{services}&{marked}&resourceVersion={FAR}");
        let error = json!({"type": "ERROR", "code": 504, "reason": "Timeout", "kind": "Status"});
        assert_eq!(told(&*server, &later), [error], "{name}");
        let list = server
            .ask(Ask::get(&format!("/api/v1/namespaces/{place}/services")))
            .json();
        let from = list["metadata"]["resourceVersion"].as_str().unwrap();
        assert_eq!(
            told(
                &*server,
                &format!("{services}&timeoutSeconds=1&resourceVersion={from}")
            ),
            [] as [Value; 0],
            "{name}"
        );
        let late = format!("{services}&timeoutSeconds=1&resourceVersion={FAR}");
        assert_eq!(told(&*server, &late), [] as [Value; 0], "{name}");
    }
}

#[test]
fn lists_have_the_same_form() {
    let place = "lists";
    for server in servers() {
        prepare(&*server, place);
        for n in 0..3 {
            server.put(json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": format!("more-{n}"), "namespace": place, "labels": {"more": "yes"}},
                "spec": {"ports": [{"port": 80}]}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}));
        }
        let name = server.name();
        let list = |query: &str| {
            let path = format!("/api/v1/namespaces/{place}/services?{query}");
            let answer = server.ask(Ask::get(&path));
            assert_eq!(answer.code, 200, "{name}: {answer:?}");
            answer.json()
        };
        for (query, items, continues, remaining) in [
            ("", 4, false, Value::Null),
            ("limit=2", 2, true, json!(2)),
            ("limit=4", 4, false, Value::Null),
            ("limit=0", 4, false, Value::Null),
            // What is selected of the rest is not counted.
            ("limit=2&labelSelector=more%3Dyes", 2, true, Value::Null),
            ("labelSelector=%21more", 1, false, Value::Null),
            (
                "labelSelector=more+in+%28no%2C+yes%29",
                3,
                false,
                Value::Null,
            ),
            ("fieldSelector=metadata.name%3Dweb", 1, false, Value::Null),
            ("labelSelector=none", 0, false, Value::Null),
            // From the cache, which knows no chunks.
            ("limit=2&resourceVersion=0", 4, false, Value::Null),
        ] {
            let found = list(query);
            assert_eq!(
                (&found["kind"], &found["apiVersion"]),
                (&json!("ServiceList"), &json!("v1")),
                "{name} {query}"
            );
            assert_eq!(
                found["items"].as_array().map(Vec::len),
                Some(items),
                "{name} {query}: {found}"
            );
            assert_eq!(
                found["metadata"]["continue"].is_string(),
                continues,
                "{name} {query}: {found}"
            );
            assert_eq!(
                found["metadata"]["remainingItemCount"], remaining,
                "{name} {query}"
            );
            assert!(
                found["metadata"]["resourceVersion"].is_string(),
                "{name} {query}"
            );
            for item in found["items"].as_array().unwrap() {
                assert!(
                    item.get("kind").is_none() && item.get("apiVersion").is_none(),
                    "{name}: {item}"
                );
            }
        }
        let item = &list("fieldSelector=metadata.name%3Dmore-1")["items"][0];
        assert_eq!(
            item["status"]["loadBalancer"]["ingress"][0]["ip"], "192.0.2.1",
            "{name}: {item}"
        );
    }
}

#[test]
fn a_status_is_written_by_its_own_url_from_the_first() {
    let place = "states";
    for server in servers() {
        prepare(&*server, place);
        let name = server.name();
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "early"},
            "spec": {"ports": [{"port": 80}]}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}});
        let services = &format!("/api/v1/namespaces/{place}/services");
        let made = server.ask(Ask::json("POST", services, &service.to_string()));
        assert_eq!(made.code, 201, "{name}: {made:?}");
        assert!(
            made.json()["status"]["loadBalancer"]["ingress"].is_null(),
            "{name}: {made:?}"
        );
        // Kubelets register with their addresses.
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "early"},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.9"}]}});
        let made = server.ask(Ask::json("POST", "/api/v1/nodes", &node.to_string()));
        assert_eq!(made.code, 201, "{name}: {made:?}");
        assert_eq!(
            made.json()["status"]["addresses"][0]["address"],
            "192.0.2.9",
            "{name}"
        );
    }
}
