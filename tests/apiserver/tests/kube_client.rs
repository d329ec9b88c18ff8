//! The real `kube` watcher against the test API server, whole and broken.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::pin::Pin;
use std::time::Duration;

use common::{client, service, soon};
use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::runtime::watcher::{self, Error, Event, watcher};
use kube::runtime::{WatchStreamExt, utils::Backoff};
use test_apiserver::{AuthMode, Credentials, Fault, FaultKind, Options, TestApiServer};

/// What a watcher says, in short: `init`, `+name` while initialising, `done`, `apply name`, `delete name`, `error code`.
fn say(event: &Result<Event<Service>, Error>) -> String {
    let name = |service: &Service| service.metadata.name.clone().unwrap_or_default();
    match event {
        Ok(Event::Init) => "init".to_owned(),
        Ok(Event::InitApply(object)) => format!("+{}", name(object)),
        Ok(Event::InitDone) => "done".to_owned(),
        Ok(Event::Apply(object)) => format!("apply {}", name(object)),
        Ok(Event::Delete(object)) => format!("delete {}", name(object)),
        Err(Error::WatchError(status)) => format!("error {}", status.code),
        Err(
            Error::WatchStartFailed(kube::Error::Api(status))
            | Error::InitialListFailed(kube::Error::Api(status)),
        ) => format!("refused {}", status.code),
        Err(_) => "broken".to_owned(),
    }
}

/// A short wait between tries, so that the tests see every try.
struct Short;

impl Iterator for Short {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(20))
    }
}

impl Backoff for Short {
    fn reset(&mut self) {}
}

type Events = Pin<Box<dyn Stream<Item = Result<Event<Service>, Error>> + Send>>;

async fn watch(server: &TestApiServer, config: watcher::Config) -> Events {
    let api: Api<Service> = Api::all(client(server, Credentials::Token).await);
    Box::pin(watcher(api, config).backoff(Short))
}

async fn expect(events: &mut Events, wanted: &[&str]) {
    for want in wanted {
        let event = soon(want, events.next()).await.unwrap();
        assert_eq!(say(&event), *want, "{event:?}");
    }
}

/// Skips what comes before.
async fn until(events: &mut Events, wanted: &str) {
    while say(&soon(wanted, events.next()).await.unwrap()) != wanted {}
}

fn count(server: &TestApiServer, verb: &str) -> usize {
    server
        .requests()
        .iter()
        .filter(|request| request.verb == verb)
        .count()
}

fn apply(server: &TestApiServer, name: &str, port: u16) {
    server.apply(service("default", name, port));
}

fn configs() -> [watcher::Config; 3] {
    [
        watcher::Config::default(),
        watcher::Config::default().page_size(1).any_semantic(),
        watcher::Config::default().streaming_lists(),
    ]
}

#[tokio::test]
async fn a_watcher_sees_init_apply_and_delete() {
    for config in configs() {
        let server = TestApiServer::start(Options::default());
        apply(&server, "a", 80);
        apply(&server, "b", 80);
        let mut events = watch(&server, config).await;
        expect(&mut events, &["init", "+a", "+b", "done"]).await;
        apply(&server, "b", 81);
        expect(&mut events, &["apply b"]).await;
        apply(&server, "c", 80);
        assert!(server.delete("Service", "default", "a"));
        expect(&mut events, &["apply c", "delete a"]).await;
    }
}

#[tokio::test]
async fn a_watcher_reads_a_list_in_pages() {
    let server = TestApiServer::start(Options::default());
    for name in ["a", "b", "c", "d", "e"] {
        apply(&server, name, 80);
    }
    let mut events = watch(&server, watcher::Config::default().page_size(2)).await;
    expect(&mut events, &["init", "+a", "+b", "+c", "+d", "+e", "done"]).await;
    assert_eq!(count(&server, "list"), 3);
}

#[tokio::test]
async fn a_watcher_resumes_after_a_reset_without_a_new_list() {
    let server = TestApiServer::start(Options::default());
    apply(&server, "a", 80);
    let mut events = watch(&server, watcher::Config::default()).await;
    expect(&mut events, &["init", "+a", "done"]).await;
    apply(&server, "b", 80);
    expect(&mut events, &["apply b"]).await;
    server.set_fault(
        Fault::new(FaultKind::Reset { after_bytes: 0 })
            .verb("watch")
            .times(1),
    );
    expect(&mut events, &["broken"]).await;
    apply(&server, "c", 80);
    expect(&mut events, &["apply c"]).await;
    assert_eq!(count(&server, "list"), 1);
}

#[tokio::test]
async fn bookmarks_advance_a_watcher_whose_kind_does_not_change() {
    let every = Duration::from_millis(20);
    let server = TestApiServer::start(Options {
        bookmark_every: every,
        ..Options::default()
    });
    apply(&server, "a", 80);
    let mut events = watch(&server, watcher::Config::default()).await;
    expect(&mut events, &["init", "+a", "done"]).await;
    let reader = tokio::spawn(events.for_each(|_| std::future::ready(())));
    server.apply(serde_json::json!({"kind": "Node", "metadata": {"name": "n"}}));
    let wanted = format!("resourceVersion={}", server.revision());
    // Each reset makes the watcher say how far it is.
    let resumed = async {
        while !server
            .requests()
            .iter()
            .any(|one| one.verb == "watch" && one.query.contains(&wanted))
        {
            server.set_fault(
                Fault::new(FaultKind::Reset { after_bytes: 0 })
                    .verb("watch")
                    .times(1),
            );
            tokio::time::sleep(every * 5).await;
        }
    };
    soon("a watch from the revision of a bookmark", resumed).await;
    assert_eq!(count(&server, "list"), 1);
    reader.abort();
}

#[tokio::test]
async fn a_watcher_lists_again_after_410() {
    for gone in [FaultKind::Gone, FaultKind::GoneEvent] {
        for config in configs() {
            let server = TestApiServer::start(Options::default());
            apply(&server, "a", 80);
            let mut events = watch(&server, config).await;
            expect(&mut events, &["init", "+a", "done"]).await;
            apply(&server, "b", 80);
            expect(&mut events, &["apply b"]).await;
            server.set_fault(Fault::new(gone).verb("watch").times(1));
            expect(&mut events, &["error 410", "init", "+a", "+b", "done"]).await;
        }
    }
}

#[tokio::test]
async fn a_watcher_that_was_away_for_a_compaction_lists_again() {
    let server = TestApiServer::start(Options::default());
    apply(&server, "a", 80);
    let mut events = watch(&server, watcher::Config::default()).await;
    expect(&mut events, &["init", "+a", "done"]).await;
    apply(&server, "b", 80);
    expect(&mut events, &["apply b"]).await;
    server.stop();
    server.delete("Service", "default", "a");
    server.compact();
    server.restart().unwrap();
    until(&mut events, "error 410").await;
    expect(&mut events, &["init", "+b", "done"]).await;
}

#[tokio::test]
async fn a_watcher_survives_every_fault() {
    let kinds = [
        FaultKind::Reset { after_bytes: 0 },
        FaultKind::Reset { after_bytes: 3_000 },
        FaultKind::Truncate { after_bytes: 100 },
        FaultKind::Truncate { after_bytes: 3_000 },
        FaultKind::Slow {
            bytes_per_second: 20_000,
        },
        FaultKind::Garbage,
        FaultKind::Status(500),
        FaultKind::Status(503),
        FaultKind::Gone,
    ];
    for kind in kinds {
        let server = TestApiServer::start(Options::default());
        for name in ["a", "b", "c"] {
            apply(&server, name, 80);
        }
        server.set_fault(Fault::new(kind).verb("list").times(2));
        let mut events = watch(&server, watcher::Config::default()).await;
        until(&mut events, "done").await;
        server.set_fault(Fault::new(kind).verb("watch").times(2));
        apply(&server, "d", 80);
        until_known(&mut events, "d").await;
    }
}

/// The object may come as a change or in a new list.
async fn until_known(events: &mut Events, name: &str) {
    let (apply, init) = (format!("apply {name}"), format!("+{name}"));
    loop {
        let said = say(&soon(name, events.next()).await.unwrap());
        if said == apply || said == init {
            return;
        }
    }
}

#[tokio::test]
async fn a_server_without_streaming_lists_refuses_with_422() {
    let server = TestApiServer::start(Options {
        streaming_lists: false,
        ..Options::default()
    });
    apply(&server, "a", 80);
    let mut events = watch(&server, watcher::Config::default().streaming_lists()).await;
    expect(&mut events, &["refused 422", "refused 422"]).await;
    let mut events = watch(&server, watcher::Config::default()).await;
    expect(&mut events, &["init", "+a", "done"]).await;
}

#[tokio::test]
async fn credentials_that_turn_bad_are_refused_from_then_on() {
    let server = TestApiServer::start(Options {
        auth: AuthMode::Token,
        ..Options::default()
    });
    let api: Api<Service> = Api::all(client(&server, Credentials::Token).await);
    api.list(&Default::default()).await.unwrap();
    server.set_auth(AuthMode::Token, Some("another"));
    assert!(
        matches!(api.list(&Default::default()).await, Err(kube::Error::Api(status)) if status.code == 401)
    );
    let by_certificate: Api<Service> =
        Api::all(client(&server, Credentials::ClientCertificate).await);
    assert!(by_certificate.list(&Default::default()).await.is_err());
    server.set_auth(AuthMode::ClientCertificate, None);
    by_certificate.list(&Default::default()).await.unwrap();
}
