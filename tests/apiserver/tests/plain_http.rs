//! The test API server by bare HTTP: what it serves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use common::talk::{SERVICES, Talk, WATCH, exchange, filled, get, plain, service};
use serde_json::json;
use test_apiserver::{Options, TestApiServer, big_cluster};

#[test]
fn health_version_and_discovery_answer() {
    let server = filled(0);
    for path in ["/readyz", "/healthz", "/livez"] {
        assert_eq!(get(&server, path), (200, json!("ok")));
    }
    assert_eq!(get(&server, "/version").1["major"], "1");
    assert_eq!(get(&server, "/api").1["versions"], json!(["v1"]));
    let groups = get(&server, "/apis").1;
    assert_eq!(groups["groups"].as_array().unwrap().len(), 3);
    let core = get(&server, "/api/v1").1;
    let names: Vec<_> = core["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"services") && names.contains(&"services/status"),
        "{names:?}"
    );
    assert_eq!(get(&server, "/apis/nonsense.io/v1").0, 404);
    assert_eq!(get(&server, "/api/v1/nonsense").0, 404);
    assert_eq!(
        get(&server, "/api/v1/namespaces/default/services/none").1["reason"],
        "NotFound"
    );
}

#[test]
fn parameters_that_contradict_each_other_are_refused_as_the_real_server_does() {
    let server = filled(1);
    for (path, code) in [
        ("?resourceVersion=x", 400),
        ("?resourceVersion=99999999", 504),
        ("?resourceVersionMatch=NotOlderThan", 422),
        ("?resourceVersion=0&resourceVersionMatch=Exact", 422),
        ("?resourceVersion=1&resourceVersionMatch=Exact", 410),
        ("?resourceVersion=0&resourceVersionMatch=NotOlderThan", 200),
        ("?sendInitialEvents=true", 422),
        ("?watch=true&sendInitialEvents=true", 422),
        ("?watch=true&resourceVersionMatch=NotOlderThan", 422),
        ("?fieldSelector=spec.nonsense=1", 400),
        ("?labelSelector=a%20b", 400),
    ] {
        assert_eq!(get(&server, &format!("{SERVICES}{path}")).0, code, "{path}");
    }
}

#[test]
fn streaming_lists_are_refused_with_422_when_switched_off() {
    let server = TestApiServer::start(Options {
        streaming_lists: false,
        ..plain()
    });
    let path = format!(
        "{SERVICES}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let (code, body) = get(&server, &path);
    assert_eq!((code, body["reason"].as_str()), (422, Some("Invalid")));
    server.set_streaming_lists(true);
    Talk::get(&server, &path).until("k8s.io/initial-events-end");
}

#[test]
fn every_kind_of_network_policy_is_streamed_changed_and_marked() {
    for (path, item, object) in [
        (
            "/api/v1/pods",
            "/api/v1/namespaces/shop/pods/web",
            json!({"kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"nodeName": "n1"},
                   "status": {"phase": "Running"}}),
        ),
        (
            "/api/v1/namespaces",
            "/api/v1/namespaces/shop",
            json!({"kind": "Namespace", "metadata": {"name": "shop"}, "status": {"phase": "Active"}}),
        ),
        (
            "/apis/networking.k8s.io/v1/networkpolicies",
            "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/web",
            json!({"kind": "NetworkPolicy", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"podSelector": {}}}),
        ),
    ] {
        let server = TestApiServer::start(plain());
        let kind = object["kind"].as_str().unwrap().to_owned();
        server.apply(object);
        let stream = format!(
            "{path}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        );
        let mut watch = Talk::get(&server, &stream);
        watch.until("\"ADDED\"").until("k8s.io/initial-events-end");
        let patch = |path: &str, body: &str| {
            let header = "Content-Type: application/merge-patch+json\r\n";
            exchange(&server.url(), "PATCH", path, header, body).0
        };
        let labels = r#"{"metadata": {"labels": {"app": "web"}}, "status": {"phase": "Lost"}}"#;
        assert_eq!(patch(item, labels), 200, "{kind}");
        watch.until("\"MODIFIED\"").until("\"app\":\"web\"");
        let has_status = kind != "NetworkPolicy";
        let status =
            r#"{"spec": {"nodeName": "n2"}, "status": {"phase": "Failed", "podIP": "10.42.0.7"}}"#;
        let code = patch(&format!("{item}/status"), status);
        assert_eq!(code, if has_status { 200 } else { 404 }, "{kind}");
        if has_status {
            watch.until("\"podIP\":\"10.42.0.7\"");
            let seen = watch.text();
            assert!(!seen.contains("Lost") && !seen.contains("n2"), "{seen}");
        }
        server.apply(json!({"kind": "Node", "metadata": {"name": "n"}}));
        server.send_bookmarks();
        let version = server.revision();
        watch.until(&format!("{{\"resourceVersion\":\"{version}\""));
        server.delete(
            &kind,
            if kind == "Namespace" { "" } else { "shop" },
            item.rsplit('/').next().unwrap(),
        );
        watch.until("\"DELETED\"");
    }
}

#[test]
fn bookmarks_come_by_the_clock_and_on_demand() {
    let every = Duration::from_millis(50);
    let server = TestApiServer::start(Options {
        bookmark_every: every,
        ..plain()
    });
    let from = server.revision();
    let mut clock = Talk::get(&server, &format!("{WATCH}{from}&allowWatchBookmarks=true"));
    clock.until("BOOKMARK");
    server.apply(json!({"kind": "Node", "metadata": {"name": "n"}}));
    clock.until(&format!("{{\"resourceVersion\":\"{}\"", from + 1));

    let server = filled(0);
    let mut demand = Talk::get(
        &server,
        &format!("{WATCH}{}&allowWatchBookmarks=true", server.revision()),
    );
    let mut without = Talk::get(&server, &format!("{WATCH}{}", server.revision()));
    demand.until("200 OK");
    without.until("200 OK");
    server.send_bookmarks();
    demand.until("BOOKMARK");
    assert!(without.is_silent());
}

#[test]
fn a_watch_behind_the_compaction_is_gone_by_event_or_by_status() {
    for gone_as_status in [false, true] {
        let server = TestApiServer::start(Options {
            gone_as_status,
            ..plain()
        });
        server.apply(service("a"));
        let from = server.revision();
        server.apply(service("b"));
        assert_eq!(server.compact(), from + 1);
        let mut talk = Talk::get(&server, &format!("{WATCH}{from}"));
        talk.until(if gone_as_status {
            "HTTP/1.1 410"
        } else {
            "{\"type\":\"ERROR\""
        })
        .until("too old resource version");
        Talk::get(&server, &format!("{WATCH}{}", from + 1)).until("200 OK");
    }
}

#[test]
fn the_history_is_as_long_as_asked_for() {
    let server = TestApiServer::start(Options {
        history: 3,
        ..plain()
    });
    let from = server.revision();
    for at in 0..4 {
        server.apply(service(&format!("s{at}")));
    }
    Talk::get(&server, &format!("{WATCH}{from}")).until("too old resource version");
    Talk::get(&server, &format!("{WATCH}{}", from + 1))
        .until("\"s1\"")
        .until("\"s3\"");
}

#[test]
fn requests_and_bytes_are_counted() {
    let server = filled(1);
    get(
        &server,
        "/api/v1/namespaces/default/services?labelSelector=a%3Db",
    );
    let log = server.requests();
    assert_eq!(
        (log.len(), log[0].verb, log[0].resource),
        (1, "list", "services")
    );
    assert_eq!(
        (log[0].method.as_str(), log[0].query.as_str()),
        ("GET", "labelSelector=a%3Db")
    );
    let before = server.bytes_sent();
    let (_, body) = exchange(&server.url(), "GET", SERVICES, "", "");
    assert!(server.bytes_sent() - before > body.len() as u64);
    server.clear_requests();
    assert!(server.requests().is_empty());
}

#[test]
fn nonsense_is_stored_as_it_is() {
    let server = filled(0);
    let odd = json!({"kind": "Service", "metadata": {"name": "odd", "namespace": "x", "labels": {"a": 1}, "creationTimestamp": 7},
                     "spec": {"ports": [{"port": "eighty"}, null], "clusterIP": {"a": []}}, "status": null});
    let stored = server.apply(odd.clone());
    assert_eq!(
        (&stored["spec"], &stored["metadata"]["creationTimestamp"]),
        (&odd["spec"], &json!(7))
    );
    let (code, list) = get(&server, SERVICES);
    assert_eq!((code, &list["items"][0]["spec"]), (200, &odd["spec"]));
    for bad in [
        json!({"kind": "Service"}),
        json!({"kind": "Nonsense", "metadata": {"name": "a"}}),
        json!([]),
    ] {
        assert!(server.try_apply(bad).is_err());
    }
    assert_eq!(
        exchange(
            &server.url(),
            "POST",
            "/api/v1/namespaces/x/services",
            "",
            "{\"metadata\":"
        )
        .0,
        400
    );
    assert_eq!(
        exchange(
            &server.url(),
            "POST",
            "/api/v1/namespaces/x/services",
            "",
            "{}"
        )
        .0,
        422
    );
    assert_eq!(
        exchange(
            &server.url(),
            "PATCH",
            "/api/v1/namespaces/x/services/odd",
            "Content-Type: text/plain\r\n",
            "{}"
        )
        .0,
        415
    );
    assert_eq!(exchange(&server.url(), "PUT", SERVICES, "", "{}").0, 405);
}

fn controlled() -> TestApiServer {
    let control = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    TestApiServer::start(Options {
        control,
        ..Options::default()
    })
}

#[test]
fn the_control_address_takes_yaml_and_every_verb() {
    let server = controlled();
    let url = server.control_url().unwrap();
    let item = "/api/v1/namespaces/shop/services/web";
    let call = |method: &str, path: &str, body: &str| exchange(&url, method, path, "", body);
    assert_eq!(
        call(
            "PUT",
            item,
            "spec: {clusterIP: 10.96.0.9}\nstatus: {loadBalancer: {}}\n"
        )
        .0,
        201
    );
    assert_eq!(
        call("PUT", item, "{\"spec\":{\"clusterIP\":\"10.96.0.8\"}}").0,
        200
    );
    assert_eq!(call("PATCH", item, "metadata: {labels: {a: b}}").0, 200);
    assert_eq!(
        call("PATCH", &format!("{item}/status"), "{\"status\":{\"x\":1}}").0,
        200
    );
    let stored = server.get("Service", "shop", "web").unwrap();
    assert_eq!(
        (&stored["spec"]["clusterIP"], &stored["status"]["x"]),
        (&json!("10.96.0.8"), &json!(1))
    );
    assert_eq!(
        call(
            "POST",
            "/api/v1/namespaces/shop/services",
            "metadata: {name: two}"
        )
        .0,
        201
    );
    let yaml =
        "kind: Node\nmetadata: {name: n1}\n---\nkind: Pod\nmetadata: {name: p, namespace: other}\n";
    assert_eq!(
        call("POST", "/apply", yaml),
        (200, "{\"applied\":2}".to_owned())
    );
    assert!(server.get("Namespace", "", "other").is_some());
    assert_eq!(call("DELETE", item, "").0, 200);
    assert_eq!(call("DELETE", item, "").0, 404);
    assert_eq!(
        call("DELETE", "/api/v1/namespaces/shop/services", "").0,
        200
    );
    assert_eq!(server.count("Service"), 0);
}

#[test]
fn the_control_address_takes_faults_and_switches() {
    let server = controlled();
    let url = server.control_url().unwrap();
    let call = |method: &str, path: &str, body: &str| exchange(&url, method, path, "", body);
    assert_eq!(
        call(
            "POST",
            "/faults",
            "{\"kind\":\"status\",\"status\":503,\"verb\":\"list\"}"
        )
        .0,
        200
    );
    assert!(call("GET", "/faults", "").1.contains("503"));
    assert_eq!(
        call("GET", SERVICES, "").0,
        200,
        "the control address has no faults"
    );
    assert_eq!(call("POST", "/faults", "{\"kind\":\"nonsense\"}").0, 400);
    assert_eq!(call("DELETE", "/faults", "").0, 200);
    for (method, path) in [
        ("POST", "/compact"),
        ("POST", "/bookmarks"),
        ("GET", "/stats"),
        ("GET", "/requests"),
    ] {
        assert_eq!(call(method, path, "").0, 200, "{path}");
    }
    assert_eq!(
        call("POST", "/streaming-lists?enabled=false", ""),
        (200, "{\"enabled\":false}".to_owned())
    );
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a bound far above what linear work takes"
)]
fn a_list_of_ten_thousand_streams_without_quadratic_work() {
    let server = TestApiServer::start(plain());
    for at in 0..10_000 {
        server.apply(service(&format!("s{at:05}")));
    }
    let start = Instant::now();
    let (code, list) = get(&server, SERVICES);
    assert_eq!(
        (code, list["items"].as_array().unwrap().len()),
        (200, 10_000)
    );
    let mut path = format!("{SERVICES}?limit=50");
    let mut count = 0;
    loop {
        let (_, page) = get(&server, &path);
        count += page["items"].as_array().unwrap().len();
        let Some(next) = page["metadata"]["continue"].as_str() else {
            break;
        };
        path = format!("{SERVICES}?limit=50&continue={next}");
    }
    assert_eq!(count, 10_000);
    let mut watch = Talk::get(
        &server,
        &format!(
            "{SERVICES}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        ),
    );
    let mark = b"initial-events-end";
    let near_the_end = |seen: &[u8]| {
        let tail = seen.get(seen.len().saturating_sub(400)..).unwrap_or(seen);
        tail.windows(mark.len()).any(|window| window == mark)
    };
    while !near_the_end(&watch.seen) {
        assert!(watch.read().unwrap() > 0);
    }
    assert_eq!(watch.text().matches("ADDED").count(), 10_000);
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
    watch.stream.shutdown(Shutdown::Both).unwrap();
}

#[test]
fn a_big_cluster_can_be_served() {
    let server = TestApiServer::start(plain());
    for object in big_cluster(20, 10) {
        server.apply(object);
    }
    server.make_namespaces();
    assert_eq!(
        (server.count("Service"), server.count("EndpointSlice")),
        (20, 20)
    );
    assert_eq!(
        get(&server, "/apis/discovery.k8s.io/v1/endpointslices?limit=5").1["metadata"]["remainingItemCount"],
        15
    );
}
