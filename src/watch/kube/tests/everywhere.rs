//! The same on the test API server and, where there is one, on a real one.

use test_apiserver::ApiServer;

use super::*;

/// Only one test at a time has the real server, for each makes it start anew.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The server ends a watch soon, with a bookmark shortly before; a real one may be slow to start.
fn timing() -> Timing {
    Timing {
        answer: Duration::from_secs(30),
        watch: Duration::from_secs(4),
        silence: Duration::from_secs(30),
        ..super::timing()
    }
}

fn watched(server: &dyn ApiServer, credentials: Credentials) -> Watched {
    Watched::start_with(&server.kubeconfig(credentials), &[], timing())
}

/// A Service that any server takes.
fn service(namespace: &str, name: &str, ip: &str) -> Value {
    let mut service = super::service(name, ip);
    service["metadata"]["namespace"] = json!(namespace);
    service
}

fn slice(namespace: &str, name: &str, address: &str) -> Value {
    let mut slice = super::slice(&format!("{name}-1"), name, address);
    slice["metadata"]["namespace"] = json!(namespace);
    slice
}

/// The Services of a namespace, without what a real cluster has by itself.
fn names(snapshot: &Snapshot, namespace: &str) -> Vec<String> {
    let services = snapshot.services.iter();
    let own = services.filter(|(name, _)| &*name.namespace == namespace);
    own.map(|(name, _)| name.name.to_string()).collect()
}

fn backend(snapshot: &Snapshot, namespace: &str, name: &str) -> Option<String> {
    let set = snapshot.slices.get(&ObjectName::new(namespace, name))?;
    let slice = set.iter().next()?;
    Some(slice.endpoints.first()?.address.to_string())
}

impl Watched {
    async fn has(&mut self, namespace: &str, wanted: &[&str]) -> Arc<Snapshot> {
        self.until(&format!("{wanted:?}"), |snapshot| {
            names(snapshot, namespace) == wanted
        })
        .await
    }

    async fn answers(&mut self, namespace: &str, name: &str, address: &str) {
        self.until(&format!("{name} at {address}"), |snapshot| {
            backend(snapshot, namespace, name).as_deref() == Some(address)
        })
        .await;
    }

    /// Waits until something is heard of a part while only others change: without any change there
    /// are no bookmarks.
    async fn bookmark(&self, part: &str, server: &dyn ApiServer) {
        let before = self.status.parts()[part].last_event;
        for turn in 0..400 {
            server.put(json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": "turn", "namespace": "default"},
                "spec": {"leaseTransitions": turn},
            }));
            let heard = self.part(part, |found| found.last_event > before);
            if tokio::time::timeout(Duration::from_millis(100), heard)
                .await
                .is_ok()
            {
                return;
            }
        }
        panic!("no bookmark for {part}: {:?}", self.status.parts());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_watches_follow_any_server_with_any_credentials() {
    let servers = test_apiserver::servers(options());
    let _turn = TURN.lock().await;
    for server in servers {
        server.put(node("n1"));
        server.put(node("n2"));
        for (round, (credentials, streaming)) in [
            (Credentials::Token, true),
            (Credentials::ClientCertificate, true),
            (Credentials::Token, false),
        ]
        .into_iter()
        .enumerate()
        {
            server.serve_streaming_lists(streaming);
            let stream = "/api/v1/nodes?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
            let streamed = server.ask(test_apiserver::Ask::get(stream)).code;
            assert_eq!(streamed, if streaming { 200 } else { 422 });
            follows(&*server, credentials, round).await;
        }
    }
}

async fn follows(server: &dyn ApiServer, credentials: Credentials, round: usize) {
    let place = format!("follow-{round}");
    let ip = |host: u8| format!("10.96.{}.{host}", round + 1);
    server.put(service(&place, "a", &ip(1)));
    server.put(service(&place, "b", &ip(2)));
    server.put(slice(&place, "a", "10.42.0.1"));
    let mut headless = service(&place, "none", "None");
    headless["metadata"]["labels"] = json!({"service.kubernetes.io/headless": ""});
    server.put(headless);
    let mut watched = watched(server, credentials);
    let snapshot = watched.has(&place, &["a", "b"]).await;
    assert_eq!(
        backend(&snapshot, &place, "a").as_deref(),
        Some("10.42.0.1")
    );
    let nodes: Vec<_> = snapshot.nodes.iter().collect();
    let [(name, own)] = nodes.as_slice() else {
        panic!("not the own node alone: {nodes:?}");
    };
    assert_eq!(
        (&***name, own.addresses[0].to_string().as_str()),
        ("n1", "192.0.2.7")
    );
    watched.healthy().await;

    server.put(service(&place, "c", &ip(3)));
    server.remove("Service", &place, "a");
    server.put(slice(&place, "a", "10.42.0.2"));
    watched.has(&place, &["b", "c"]).await;
    watched.answers(&place, "a", "10.42.0.2").await;

    // Bookmarks come, the server ends its watches, and they go on from where they were.
    watched.bookmark("Nodes", server).await;
    watched.bookmark("Nodes", server).await;
    server.put(service(&place, "d", &ip(4)));
    server.remove("EndpointSlice", &place, "a-1");
    watched.has(&place, &["b", "c", "d"]).await;
    watched
        .until("no slice", |snapshot| {
            backend(snapshot, &place, "a").is_none()
        })
        .await;
    watched.healthy().await;
    assert_eq!(*watched.status.fault().borrow(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_namespaces_and_policies_follow_any_server() {
    let servers = test_apiserver::servers(options());
    let _turn = TURN.lock().await;
    for server in servers {
        server.serve_streaming_lists(true);
        server.put(node("n1"));
        let team = |team: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": team}}});
        server.put(team("a"));
        let with_image = |name: &str, address: &str, app: &str| {
            let mut pod = pod(name, address, json!({"app": app}));
            pod["spec"]["containers"][0]["image"] = json!("none");
            pod
        };
        server.put(with_image("one", "10.42.0.1", "web"));
        server.put(with_image("two", "10.42.0.2", "web"));
        server.put(policy("closed", json!({"app": "web"})));
        let kubeconfig = server.kubeconfig(Credentials::Token);
        let mut watched = Watched::start_in(Scope::ALL, &kubeconfig, &[], timing());
        let told = |snapshot: &Snapshot, name: &str| {
            let pod = snapshot.pods.get(&ObjectName::new("shop", name))?;
            let app = pod.labels.get("app")?.to_string();
            Some((pod.addresses.iter().map(ToString::to_string).collect(), app))
        };
        let is = |address: &str, app: &str| -> Option<(Vec<String>, String)> {
            Some((vec![address.to_owned()], app.to_owned()))
        };
        let all = watched
            .until("all", |snapshot| snapshot.knows_policies)
            .await;
        assert_eq!(told(&all, "one"), is("10.42.0.1", "web"));
        assert!(told(&all, "two").is_some());
        assert_eq!(
            &*all.namespaces["shop"]
                .labels
                .get("team")
                .unwrap()
                .to_string(),
            "a"
        );
        assert!(
            all.policies
                .get(&ObjectName::new("shop", "closed"))
                .is_some()
        );
        watched.healthy().await;

        server.put(with_image("one", "10.42.0.9", "db"));
        server.remove("Pod", "shop", "two");
        server.put(team("b"));
        server.remove("NetworkPolicy", "shop", "closed");
        watched
            .until("changed", |snapshot| {
                let shop = &snapshot.namespaces["shop"];
                told(snapshot, "one") == is("10.42.0.9", "db")
                    && told(snapshot, "two").is_none()
                    && shop.labels.get("team").is_some_and(|team| &**team == "b")
                    && snapshot
                        .policies
                        .get(&ObjectName::new("shop", "closed"))
                        .is_none()
            })
            .await;
        watched.healthy().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_streams_tell_of_hundreds_alike() {
    let servers = test_apiserver::servers(options());
    let _turn = TURN.lock().await;
    for server in servers {
        let wanted: Vec<String> = (0..600).map(|n| format!("s{n:03}")).collect();
        for (n, name) in wanted.iter().enumerate() {
            let ip = format!("10.96.{}.{}", 16 + n / 200, n % 200 + 1);
            server.put(service("many", name, &ip));
        }
        server.put(node("n1"));
        for streaming in [true, false] {
            server.serve_streaming_lists(streaming);
            let mut watched = watched(&*server, Credentials::Token);
            let snapshot = watched
                .until("all", |snapshot| names(snapshot, "many") == wanted)
                .await;
            assert_eq!(snapshot.generation, 1, "published in part");
            watched.healthy().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_history_costs_a_list_and_no_change() {
    let servers = test_apiserver::servers(options());
    let _turn = TURN.lock().await;
    for server in servers {
        server.serve_streaming_lists(true);
        server.put(node("n1"));
        server.put(service("lost", "a", "10.96.8.1"));
        server.put(slice("lost", "a", "10.42.0.1"));
        let mut watched = watched(&*server, Credentials::Token);
        watched.has("lost", &["a"]).await;
        watched.healthy().await;
        for round in 2..5_u8 {
            // The slices' revision stays behind, and what it stands for is compacted away.
            for turn in 0..20 {
                let mut moved = service("lost", "a", "10.96.8.1");
                moved["metadata"]["labels"] = json!({"turn": format!("{round}-{turn}")});
                server.put(moved);
            }
            let address = format!("10.42.0.{round}");
            server.put(slice("lost", "a", &address));
            server.forget_history();
            watched.answers("lost", "a", &address).await;
            let address = format!("10.42.1.{round}");
            server.put(slice("lost", "a", &address));
            watched.answers("lost", "a", &address).await;
            watched.has("lost", &["a"]).await;
            watched.healthy().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_and_keeps_trying() {
    let servers = test_apiserver::servers(options());
    let _turn = TURN.lock().await;
    for server in servers {
        server.put(node("n1"));
        server.put(service("door", "a", "10.96.9.1"));
        for credentials in [
            Credentials::WrongToken,
            Credentials::WrongClientCertificate,
            Credentials::Anonymous,
        ] {
            let mut watched = watched(&*server, credentials);
            let fault = watched.fault("Services").await;
            assert!(fault.contains("401"), "{credentials:?}: {fault}");
            assert!(watched.snapshots.borrow().is_none());
            watched.exchange(&server.kubeconfig(Credentials::Token));
            watched.has("door", &["a"]).await;
            watched.healthy().await;
        }
    }
}
