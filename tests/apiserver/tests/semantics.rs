//! What clients rely on, tested on the test API server and, where there is one, on a real kube-apiserver.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use common::{LIMIT, client, servers, service, soon};
use futures_util::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use test_apiserver::{ApiServer, Credentials};

/// Only one test at a time has the real server, for some make it start anew.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A namespace of its own on one of the servers.
struct Place {
    server: Arc<dyn ApiServer>,
    client: Client,
    namespace: String,
}

impl Place {
    fn services(&self) -> Api<Service> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn put_service(&self, name: &str, port: u16) -> Service {
        create(&self.services(), service(&self.namespace, name, port)).await
    }

    async fn put_lease(&self, name: &str) -> Lease {
        create(&self.leases(), lease(name, "a")).await
    }
}

fn lease(name: &str, holder: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}})
}

async fn create<K: Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug>(
    api: &Api<K>,
    object: Value,
) -> K {
    api.create(
        &PostParams::default(),
        &serde_json::from_value(object).unwrap(),
    )
    .await
    .unwrap()
}

/// Runs a test on every server, each in a namespace of its own.
async fn everywhere<F: Future<Output = ()>>(name: &str, test: impl Fn(Place) -> F) {
    // Held while waiting, so that the real server lives from the first test to the last.
    let servers = servers();
    let _turn = TURN.lock().await;
    for server in servers {
        println!("{name} on {}", server.name());
        let client = client(&*server, Credentials::Token).await;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        create(&namespaces, json!({"metadata": {"name": name}})).await;
        test(Place {
            server,
            client,
            namespace: name.to_owned(),
        })
        .await;
    }
}

fn revision(object: &impl ResourceExt) -> u64 {
    object.resource_version().unwrap().parse().unwrap()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> (u16, String) {
    match result.unwrap_err() {
        kube::Error::Api(status) => (status.code, status.reason),
        other => panic!("{other:?}"),
    }
}

/// The next event in short, with its revision.
async fn next<K: ResourceExt + std::fmt::Debug>(
    stream: &mut (impl Stream<Item = Result<WatchEvent<K>, kube::Error>> + Unpin),
) -> (String, u64) {
    match soon("watch", stream.next())
        .await
        .expect("the watch ended")
        .unwrap()
    {
        WatchEvent::Added(object) => (format!("ADDED {}", object.name_any()), revision(&object)),
        WatchEvent::Modified(object) => {
            (format!("MODIFIED {}", object.name_any()), revision(&object))
        }
        WatchEvent::Deleted(object) => {
            (format!("DELETED {}", object.name_any()), revision(&object))
        }
        WatchEvent::Bookmark(mark) => (
            "BOOKMARK".to_owned(),
            mark.metadata.resource_version.parse().unwrap(),
        ),
        WatchEvent::Error(status) => (format!("ERROR {} {}", status.code, status.reason), 0),
    }
}

#[tokio::test]
async fn a_watch_tells_every_change_after_the_list_in_order() {
    everywhere("watch-after-list", |place| async move {
        let api = place.services();
        place.put_service("before", 80).await;
        let list = api.list(&ListParams::default()).await.unwrap();
        assert_eq!(list.items.len(), 1);
        let from = list.metadata.resource_version.unwrap();
        let mut stream = api
            .watch(&WatchParams::default(), &from)
            .await
            .unwrap()
            .boxed();
        place.put_service("one", 80).await;
        let patch = json!({"spec": {"ports": [{"port": 81}]}});
        api.patch("one", &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
        let labels = json!({"metadata": {"labels": {"x": "y"}}});
        api.patch("before", &PatchParams::default(), &Patch::Merge(labels))
            .await
            .unwrap();
        api.delete("one", &DeleteParams::default()).await.unwrap();
        let mut last: u64 = from.parse().unwrap();
        for want in [
            "ADDED one",
            "MODIFIED one",
            "MODIFIED before",
            "DELETED one",
        ] {
            let (event, at) = next(&mut stream).await;
            assert_eq!(event, want);
            assert!(at > last, "{want}: {at} after {last}");
            last = at;
        }
    })
    .await;
}

#[tokio::test]
async fn a_watch_from_nowhere_starts_with_what_is_there() {
    everywhere("watch-from-nowhere", |place| async move {
        place.put_lease("a").await;
        place.put_lease("b").await;
        let mut stream = place
            .leases()
            .watch(&WatchParams::default(), "0")
            .await
            .unwrap()
            .boxed();
        let mut seen = [next(&mut stream).await.0, next(&mut stream).await.0];
        seen.sort();
        assert_eq!(seen, ["ADDED a", "ADDED b"]);
    })
    .await;
}

#[tokio::test]
async fn an_object_that_leaves_the_selection_is_deleted_for_the_watcher() {
    everywhere("watch-selection", |place| async move {
        let api = place.services();
        let selected = ListParams::default().labels("app=one");
        place.put_service("one", 80).await;
        place.put_service("two", 80).await;
        let list = api.list(&selected).await.unwrap();
        assert_eq!(
            list.items
                .iter()
                .map(ResourceExt::name_any)
                .collect::<Vec<_>>(),
            ["one"]
        );
        let named = api
            .list(&ListParams::default().fields("metadata.name=two"))
            .await
            .unwrap();
        assert_eq!(
            named
                .items
                .iter()
                .map(ResourceExt::name_any)
                .collect::<Vec<_>>(),
            ["two"]
        );
        let unknown = api
            .list(&ListParams::default().fields("spec.nonsense=1"))
            .await;
        assert_eq!(refusal(unknown).0, 400);
        let from = list.metadata.resource_version.unwrap();
        let watch = WatchParams::default().labels("app=one");
        let mut stream = api.watch(&watch, &from).await.unwrap().boxed();
        for (name, app) in [
            ("two", "one"),
            ("one", "other"),
            ("one", "third"),
            ("two", "gone"),
        ] {
            let patch = json!({"metadata": {"labels": {"app": app}}});
            api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
                .await
                .unwrap();
        }
        for want in ["ADDED two", "DELETED one", "DELETED two"] {
            assert_eq!(next(&mut stream).await.0, want);
        }
    })
    .await;
}

#[tokio::test]
async fn bookmarks_advance_while_nothing_changes_here() {
    everywhere("bookmarks", |place| async move {
        place.put_lease("a").await;
        let from = place
            .leases()
            .list(&ListParams::default())
            .await
            .unwrap()
            .metadata
            .resource_version
            .unwrap();
        let params = WatchParams::default().timeout(6);
        let mut stream = place.leases().watch(&params, &from).await.unwrap().boxed();
        // A change of another kind moves the revision but is no event here.
        place.put_service("elsewhere", 80).await;
        let (event, at) = next(&mut stream).await;
        assert_eq!(event, "BOOKMARK");
        assert!(at >= from.parse().unwrap(), "{at} before {from}");
    })
    .await;
}

#[tokio::test]
async fn chunks_of_a_list_are_of_one_moment() {
    everywhere("chunks", |place| async move {
        let api = place.leases();
        for name in ["a", "b", "c", "d", "e"] {
            place.put_lease(name).await;
        }
        let first = api.list(&ListParams::default().limit(2)).await.unwrap();
        assert_eq!(first.metadata.remaining_item_count, Some(3));
        place.put_lease("ab").await;
        api.delete("e", &DeleteParams::default()).await.unwrap();
        let mut names: Vec<String> = first.items.iter().map(ResourceExt::name_any).collect();
        let mut token = first.metadata.continue_.clone().unwrap();
        let mut pages = 1;
        while !token.is_empty() {
            let params = ListParams::default().limit(2).continue_token(&token);
            let page = api.list(&params).await.unwrap();
            assert_eq!(
                page.metadata.resource_version,
                first.metadata.resource_version
            );
            names.extend(page.items.iter().map(ResourceExt::name_any));
            token = page.metadata.continue_.unwrap_or_default();
            pages += 1;
        }
        assert_eq!((names.join(""), pages), ("abcde".to_owned(), 3));
        let wrong = api
            .list(&ListParams::default().limit(2).continue_token("nonsense"))
            .await;
        assert_eq!(refusal(wrong).0, 400);
    })
    .await;
}

#[tokio::test]
async fn what_is_forgotten_is_gone() {
    everywhere("forgotten", |place| async move {
        let api = place.leases();
        for name in ["a", "b", "c"] {
            place.put_lease(name).await;
        }
        let first = api.list(&ListParams::default().limit(1)).await.unwrap();
        let from = first.metadata.resource_version.unwrap();
        place.put_lease("d").await;
        place.put_lease("e").await;
        place.server.forget_history();
        let token = first.metadata.continue_.unwrap();
        let page = api
            .list(&ListParams::default().limit(1).continue_token(&token))
            .await;
        assert_eq!(refusal(page), (410, "Expired".to_owned()));
        // Both ways are the real server's: refused at once, or answered and then told.
        match api.watch(&WatchParams::default(), &from).await {
            Ok(stream) => assert_eq!(next(&mut stream.boxed()).await.0, "ERROR 410 Expired"),
            Err(kube::Error::Api(status)) => assert_eq!(status.code, 410),
            Err(other) => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn status_and_spec_are_written_by_their_own_urls() {
    everywhere("status", |place| async move {
        let api = place.services();
        place.put_service("one", 80).await;
        let params = PatchParams::default();
        let ingress = |ip: &str| json!({"status": {"loadBalancer": {"ingress": [{"ip": ip}]}}, "spec": {"ports": [{"port": 99}]}});
        let address = |service: &Service| {
            let status = service.status.clone()?.load_balancer?;
            status.ingress?.first()?.ip.clone()
        };
        let port = |service: &Service| service.spec.as_ref().unwrap().ports.as_ref().unwrap()[0].port;
        let merged = api.patch_status("one", &params, &Patch::Merge(ingress("192.0.2.1"))).await.unwrap();
        assert_eq!((address(&merged).as_deref(), port(&merged)), (Some("192.0.2.1"), 80));
        let strategic = api.patch_status("one", &params, &Patch::Strategic(ingress("192.0.2.2"))).await.unwrap();
        assert_eq!((address(&strategic).as_deref(), port(&strategic)), (Some("192.0.2.2"), 80));
        let step = json!([{"op": "replace", "path": "/status/loadBalancer/ingress/0/ip", "value": "192.0.2.3"}]);
        let step = Patch::Json::<()>(serde_json::from_value(step).unwrap());
        let stepped = api.patch_status("one", &params, &step).await.unwrap();
        assert_eq!(address(&stepped).as_deref(), Some("192.0.2.3"));
        let spec = json!({"spec": {"ports": [{"port": 81}]}, "status": {"loadBalancer": {"ingress": null}}});
        let main = api.patch("one", &params, &Patch::Merge(spec)).await.unwrap();
        assert_eq!((address(&main).as_deref(), port(&main)), (Some("192.0.2.3"), 81));
        let mut whole = main.clone();
        whole.spec.as_mut().unwrap().ports.as_mut().unwrap()[0].port = 1;
        whole.status = serde_json::from_value(json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.4"}]}})).ok();
        let replaced = api.replace_status("one", &PostParams::default(), &whole).await.unwrap();
        assert_eq!((address(&replaced).as_deref(), port(&replaced)), (Some("192.0.2.4"), 81));
        let stale = api.replace_status("one", &PostParams::default(), &whole).await;
        assert_eq!(refusal(stale), (409, "Conflict".to_owned()));
        let missing = api.patch_status("none", &params, &Patch::Merge(ingress("192.0.2.1"))).await;
        assert_eq!(refusal(missing), (404, "NotFound".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn of_two_lease_holders_one_wins() {
    everywhere("leases", |place| async move {
        let api = place.leases();
        assert_eq!(refusal(api.get("l").await), (404, "NotFound".to_owned()));
        let made = place.put_lease("l").await;
        let again = api
            .create(
                &PostParams::default(),
                &serde_json::from_value(lease("l", "b")).unwrap(),
            )
            .await;
        assert_eq!(refusal(again), (409, "AlreadyExists".to_owned()));
        let mut taken = made.clone();
        taken.spec.as_mut().unwrap().holder_identity = Some("b".to_owned());
        let taken = api
            .replace("l", &PostParams::default(), &taken)
            .await
            .unwrap();
        assert!(revision(&taken) > revision(&made));
        assert_eq!(taken.uid(), made.uid());
        assert_eq!(
            taken.metadata.creation_timestamp,
            made.metadata.creation_timestamp
        );
        let mut late = made;
        late.spec.as_mut().unwrap().holder_identity = Some("c".to_owned());
        let late = api.replace("l", &PostParams::default(), &late).await;
        assert_eq!(refusal(late), (409, "Conflict".to_owned()));
        let blind: Lease = serde_json::from_value(lease("l", "d")).unwrap();
        let blind = api.replace("l", &PostParams::default(), &blind).await;
        assert_eq!(refusal(blind), (422, "Invalid".to_owned()));
        let holder = api.get("l").await.unwrap().spec.unwrap().holder_identity;
        assert_eq!(holder.as_deref(), Some("b"));
    })
    .await;
}

#[tokio::test]
async fn a_write_that_changes_nothing_makes_no_revision() {
    everywhere("no-change", |place| async move {
        let made = place.put_lease("l").await;
        let same = json!({"spec": {"holderIdentity": "a"}});
        let patched = place
            .leases()
            .patch("l", &PatchParams::default(), &Patch::Merge(same))
            .await
            .unwrap();
        assert_eq!(revision(&patched), revision(&made));
    })
    .await;
}

#[tokio::test]
async fn only_good_credentials_are_let_in() {
    everywhere("credentials", |place| async move {
        for (credentials, code) in [
            (Credentials::Token, 200),
            (Credentials::ClientCertificate, 200),
            (Credentials::WrongToken, 401),
            (Credentials::WrongClientCertificate, 401),
            (Credentials::Anonymous, 401),
        ] {
            let client = client(&*place.server, credentials).await;
            let api: Api<Lease> = Api::namespaced(client, &place.namespace);
            let listed = api.list(&ListParams::default()).await;
            let got = if listed.is_ok() {
                200
            } else {
                refusal(listed).0
            };
            assert_eq!(got, code, "{credentials:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_streaming_list_ends_its_initial_events_with_a_bookmark() {
    everywhere("streaming-list", |place| async move {
        if !place.server.has_streaming_lists() {
            println!(
                "NOTE: this {} is too old for streaming lists",
                place.server.name()
            );
            return;
        }
        place.put_lease("a").await;
        place.put_lease("b").await;
        let config = watcher::Config::default().streaming_lists();
        let mut stream = pin!(watcher(place.leases(), config));
        let mut said = Vec::new();
        loop {
            match soon("streaming list", stream.next())
                .await
                .unwrap()
                .unwrap()
            {
                Event::Init => said.push("init".to_owned()),
                Event::InitApply(lease) => said.push(lease.name_any()),
                Event::InitDone => break,
                other => panic!("{other:?}"),
            }
        }
        said.sort();
        assert_eq!(said, ["a", "b", "init"]);
        place.put_lease("c").await;
        let event = soon("change", stream.next()).await.unwrap().unwrap();
        assert!(
            matches!(&event, Event::Apply(lease) if lease.name_any() == "c"),
            "{event:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_watch_ends_when_its_time_is_over() {
    everywhere("timeout", |place| async move {
        let from = place
            .leases()
            .list(&ListParams::default())
            .await
            .unwrap()
            .metadata
            .resource_version
            .unwrap();
        let watch = WatchParams {
            bookmarks: false,
            ..WatchParams::default().timeout(1)
        };
        let stream = place.leases().watch(&watch, &from).await.unwrap();
        let ended = tokio::time::timeout(
            LIMIT.min(Duration::from_secs(20)),
            stream.collect::<Vec<_>>(),
        );
        assert!(ended.await.expect("the watch goes on").is_empty());
    })
    .await;
}
