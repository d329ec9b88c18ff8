//! Against the test API server: real HTTP and TLS, and its faults.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use test_apiserver::{AuthMode, Credentials, Fault, FaultKind, Options, TestApiServer};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::model::{ObjectName, Snapshot};
use crate::watch::status::PartStatus;
use crate::watch::store::{self, Store};

mod everywhere;
mod policies;
mod role;

const PATIENCE: Duration = Duration::from_secs(40);

/// A source with quick reactions, its store, and the file it reads.
struct Watched {
    dir: TempDir,
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    status: SourceStatus,
    tasks: JoinSet<()>,
}

fn timing() -> Timing {
    Timing {
        connect: Duration::from_secs(2),
        answer: Duration::from_secs(2),
        watch: Duration::from_secs(60),
        silence: Duration::from_secs(3),
        first_retry: Duration::from_millis(20),
        longest_retry: Duration::from_millis(200),
        reload: Duration::from_millis(50),
    }
}

fn options() -> Options {
    Options {
        bookmark_every: Duration::from_millis(500),
        ..Options::default()
    }
}

fn service(name: &str, ip: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"clusterIP": ip, "ports": [{"port": 80}]},
    })
}

fn slice(name: &str, service: &str, address: &str) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": [{"addresses": [address]}],
    })
}

fn node(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}]},
    })
}

fn pod(name: &str, address: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"nodeName": "n9", "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "hostIP": "192.0.2.9", "podIP": address, "podIPs": [{"ip": address}]},
    })
}

fn policy(name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"]},
    })
}

/// With pods of other nodes, their namespace and a policy.
fn filled_with_policies(options: Options, pods: usize) -> TestApiServer {
    let server = filled(options);
    server
        .apply(json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "a"}}}));
    server.apply(policy("closed", json!({"app": "web"})));
    for n in 0..pods {
        let address = format!("10.42.{}.{}", n / 250, n % 250 + 1);
        server.apply(pod(&format!("p{n:03}"), &address, json!({"app": "web"})));
    }
    server
}

fn filled(options: Options) -> TestApiServer {
    let server = TestApiServer::start(options);
    server.apply(service("a", "10.96.0.1"));
    server.apply(slice("a-1", "a", "10.42.0.1"));
    server.apply(node("n1"));
    server.apply(node("n2"));
    server
}

impl Watched {
    fn start(server: &TestApiServer, credentials: Credentials) -> Self {
        Self::start_with(&server.kubeconfig(credentials), &[], timing())
    }

    fn start_with(kubeconfig: &str, servers: &[String], timing: Timing) -> Self {
        Self::start_in(Scope::default(), kubeconfig, servers, timing)
    }

    fn start_in(scope: Scope, kubeconfig: &str, servers: &[String], timing: Timing) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config"), kubeconfig).unwrap();
        let status = SourceStatus::default();
        let source = KubeSource {
            kubeconfig: dir.path().join("config"),
            servers: servers.to_vec(),
            node: Arc::from("n1"),
            scope,
            timing,
            status: status.clone(),
        };
        let (sender, events) = mpsc::channel(16);
        let (publish, snapshots) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(source.run(sender));
        tasks.spawn(store::run(Store::default(), events, publish));
        Self {
            dir,
            snapshots,
            status,
            tasks,
        }
    }

    /// Puts another kubeconfig in the place of the first.
    fn exchange(&self, kubeconfig: &str) {
        let next = self.dir.path().join("next");
        fs::write(&next, kubeconfig).unwrap();
        fs::rename(next, self.dir.path().join("config")).unwrap();
    }

    async fn until(&mut self, what: &str, fits: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let wait = self
            .snapshots
            .wait_for(|snapshot| snapshot.as_deref().is_some_and(&fits));
        if let Ok(found) = tokio::time::timeout(PATIENCE, wait).await {
            return found.unwrap().clone().unwrap();
        }
        panic!("never {what}: {:?}", self.status.parts());
    }

    /// Waits until exactly these Services are known.
    async fn services(&mut self, names: &[&str]) -> Arc<Snapshot> {
        self.until(&format!("{names:?}"), |snapshot| {
            let found: Vec<_> = snapshot
                .services
                .iter()
                .map(|(name, _)| name.name)
                .collect();
            found.iter().map(|name| &**name).eq(names.iter().copied())
        })
        .await
    }

    /// Waits until the status of a part fits.
    async fn part(&self, part: &str, fits: impl Fn(&PartStatus) -> bool) -> PartStatus {
        let status = self.status.clone();
        let look = async {
            loop {
                if let Some(found) = status.parts().get(part).filter(|found| fits(found)) {
                    return found.clone();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(found) => found,
            Err(_) => panic!("{part} never so: {:?}", self.status.parts()),
        }
    }

    async fn fault(&self, part: &str) -> String {
        let found = self.part(part, |found| found.fault.is_some()).await;
        found.fault.unwrap()
    }

    async fn healthy(&self) {
        for part in ["Services", "EndpointSlices", "Nodes", servers::PART] {
            self.part(part, |found| {
                found.fault.is_none() && found.connected && found.synced
            })
            .await;
        }
    }
}

fn lists(server: &TestApiServer, resource: &str) -> usize {
    let is_list = |query: &str| query.contains("sendInitialEvents") || query.contains("limit=2");
    let requests = server.requests();
    let of = requests
        .iter()
        .filter(|request| request.resource == resource);
    of.filter(|request| is_list(&request.query)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_list_and_every_credential_gives_the_cluster() {
    for (credentials, auth, streaming) in [
        (Credentials::Token, AuthMode::Token, true),
        (
            Credentials::ClientCertificate,
            AuthMode::ClientCertificate,
            true,
        ),
        (Credentials::Token, AuthMode::Any, false),
        (Credentials::Anonymous, AuthMode::None, false),
    ] {
        let server = filled(Options {
            auth,
            streaming_lists: streaming,
            managed_fields: true,
            ..options()
        });
        for n in 0..600 {
            server.apply(service(
                &format!("many-{n:03}"),
                &format!("10.97.{}.{}", n / 200, n % 200 + 1),
            ));
        }
        let mut headless = service("none", "None");
        headless["metadata"]["labels"] = json!({"service.kubernetes.io/headless": ""});
        server.apply(headless);
        let mut watched = Watched::start(&server, credentials);
        let snapshot = watched
            .until("all", |snapshot| snapshot.services.len() == 601)
            .await;
        assert_eq!(
            snapshot.generation, 1,
            "nothing is published before all is listed"
        );
        assert_eq!(snapshot.slices.len(), 1);
        let nodes: Vec<_> = snapshot.nodes.keys().map(|name| &**name).collect();
        assert_eq!(nodes, ["n1"], "only the own node");
        watched.healthy().await;
        assert_eq!(*watched.status.fault().borrow(), None);

        server.apply(service("b", "10.96.0.2"));
        server.delete("Service", "shop", "many-000");
        server.apply(slice("a-1", "a", "10.42.0.9"));
        let moved = |snapshot: &Snapshot| {
            let set = snapshot.slices.get(&ObjectName::new("shop", "a"));
            set.is_some_and(|set| set[0].endpoints[0].address.to_string() == "10.42.0.9")
        };
        let snapshot = watched
            .until("changed", |snapshot| {
                let has = |name| {
                    snapshot
                        .services
                        .get(&ObjectName::new("shop", name))
                        .is_some()
                };
                has("b") && !has("many-000") && moved(snapshot)
            })
            .await;
        assert_eq!(snapshot.services.len(), 601);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_objects_in_lists_and_watches_cost_only_themselves() {
    for streaming in [true, false] {
        let server = filled(Options {
            streaming_lists: streaming,
            ..options()
        });
        let mut labels = service("labels", "10.96.1.1");
        labels["metadata"]["labels"] = json!(["a", "list"]);
        labels["metadata"]["annotations"] = json!(7);
        server.apply(labels);
        let mut bad = service("bad", "10.96.1.2");
        bad["spec"] = json!("nothing");
        server.apply(bad);
        let mut watched = Watched::start(&server, Credentials::Token);
        let snapshot = watched.services(&["a", "bad", "labels"]).await;
        assert_eq!(snapshot.notes.len(), 3, "{:?}", snapshot.notes);
        let mut ports = service("ports", "10.96.1.3");
        ports["spec"]["ports"] = json!([{"port": "http"}, {"port": 81}]);
        server.apply(ports);
        let snapshot = watched.services(&["a", "bad", "labels", "ports"]).await;
        let kept = snapshot
            .services
            .get(&ObjectName::new("shop", "ports"))
            .unwrap();
        assert_eq!(kept.ports.len(), 1);
        assert_eq!(snapshot.notes.len(), 4);
        assert_eq!(lists(&server, "services"), if streaming { 1 } else { 2 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_pass_and_what_was_known_stays() {
    let server = filled(options());
    let mut watched = Watched::start(&server, Credentials::Token);
    let mut names = vec!["a".to_owned()];
    watched.services(&["a"]).await;
    for (round, kind) in [
        FaultKind::Reset { after_bytes: 0 },
        FaultKind::Truncate { after_bytes: 40 },
        FaultKind::Status(500),
        FaultKind::Status(503),
        FaultKind::Garbage,
        FaultKind::Gone,
        FaultKind::GoneEvent,
        FaultKind::Stall,
        FaultKind::Silent,
        FaultKind::Mute,
    ]
    .into_iter()
    .enumerate()
    {
        let before = watched.status.parts()["Services"].last_error.clone();
        server.set_fault(Fault::new(kind));
        let ended = matches!(
            kind,
            FaultKind::Status(_) | FaultKind::Silent | FaultKind::Mute
        );
        if ended {
            // These hit new requests only.
            server.stop_endpoint(0);
            server.restart_endpoint(0).unwrap();
        }
        let name = format!("b{round}");
        server.apply(service(&name, &format!("10.96.2.{}", round + 1)));
        names.push(name);
        if !matches!(kind, FaultKind::Gone | FaultKind::GoneEvent) {
            let failed = |found: &PartStatus| found.last_error != before;
            let (_, fault) = watched.part("Services", failed).await.last_error.unwrap();
            assert!(fault.starts_with("https://127.0.0.1:"), "{kind:?}: {fault}");
        }
        let known = watched.snapshots.borrow().clone().unwrap();
        assert!(known.services.len() > round, "{kind:?} took something away");
        server.clear_faults();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        watched.services(&names).await;
        watched.healthy().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_away_is_watched_on_without_a_list() {
    let server = filled(options());
    let mut watched = Watched::start(&server, Credentials::Token);
    watched.services(&["a"]).await;
    watched.healthy().await;
    server.stop();
    watched.fault("Services").await;
    server.apply(service("b", "10.96.0.2"));
    server.delete("Service", "shop", "a");
    assert_eq!(
        watched.snapshots.borrow().as_ref().unwrap().services.len(),
        1
    );
    server.restart().unwrap();
    watched.services(&["b"]).await;
    for resource in ["services", "endpointslices", "nodes"] {
        assert_eq!(lists(&server, resource), 1, "{resource}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_cluster_is_no_fault() {
    // A server bookmarks the end of a list, and then nothing until something changes.
    let server = filled(Options {
        bookmark_every: Duration::from_secs(3600),
        ..options()
    });
    let timing = Timing {
        silence: Duration::from_millis(200),
        watch: Duration::from_secs(1),
        ..timing()
    };
    let mut watched = Watched::start_with(&server.kubeconfig(Credentials::Token), &[], timing);
    watched.services(&["a"]).await;
    let watches = || {
        let requests = server.requests();
        let of = |resource: &str| {
            let all = requests.iter().filter(|one| one.verb == "watch");
            all.filter(|one| one.resource == resource).count()
        };
        ["services", "endpointslices", "nodes"].map(of)
    };
    let again = async {
        while watches().into_iter().any(|count| count < 6) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
    for (part, status) in watched.status.parts() {
        assert_eq!(status.last_error, None, "{part}");
    }
    server.apply(service("b", "10.96.0.2"));
    watched.services(&["a", "b"]).await;
    assert_eq!(lists(&server, "services"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_while_the_history_was_lost_goes_with_the_next_list() {
    for gone_as_status in [false, true] {
        let server = filled(Options {
            gone_as_status,
            ..options()
        });
        server.apply(service("b", "10.96.0.2"));
        let mut watched = Watched::start(&server, Credentials::Token);
        watched.services(&["a", "b"]).await;
        server.stop();
        server.delete("Service", "shop", "a");
        server.apply(service("c", "10.96.0.3"));
        server.compact();
        server.restart().unwrap();
        watched.services(&["b", "c"]).await;
        assert!(lists(&server, "services") >= 2);
        watched.healthy().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_servers_are_tried_in_turn() {
    let local = "127.0.0.1:0".parse().unwrap();
    let server = filled(Options {
        listen: vec![local, local, local],
        ..options()
    });
    server.stop_endpoint(0);
    let kubeconfig = server.kubeconfig(Credentials::Token);
    let mut watched = Watched::start_with(&kubeconfig, &server.urls(), timing());
    watched.services(&["a"]).await;
    watched.healthy().await;
    let second = server.urls()[1].clone();
    let used = watched.part("Services", |found| found.connected).await;
    assert_eq!(used.server.as_deref(), Some(second.as_str()));

    server.restart_endpoint(0).unwrap();
    server.stop_endpoint(1);
    server.stop_endpoint(2);
    server.apply(service("b", "10.96.0.2"));
    watched.services(&["a", "b"]).await;
    server.stop_endpoint(0);
    server.restart_endpoint(2).unwrap();
    server.apply(service("c", "10.96.0.3"));
    watched.services(&["a", "b", "c"]).await;
    assert_eq!(lists(&server, "services"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_turns_invalid_keeps_the_running_client() {
    let server = filled(options());
    let mut watched = Watched::start(&server, Credentials::Token);
    watched.services(&["a"]).await;
    let good = server.kubeconfig(Credentials::Token);
    let cases = [
        ("{{{ no yaml".to_owned(), "config"),
        (String::new(), "config"),
        (good.replace("current-context:", "x-context:"), "config"),
        (server.kubeconfig(Credentials::WrongToken), "status 401"),
        (
            server.kubeconfig_for("https://127.0.0.1:1", Credentials::Token),
            "127.0.0.1:1",
        ),
    ];
    for (round, (bad, reason)) in cases.into_iter().enumerate() {
        watched.exchange(&bad);
        let fault = watched.fault(servers::PART).await;
        assert!(fault.contains(reason), "{fault}");
        assert!(!fault.contains("test-token"), "{fault}");
        server.apply(service("a", &format!("10.96.3.{}", round + 1)));
        watched
            .until("still watched", |snapshot| {
                let found = snapshot.services.get(&ObjectName::new("shop", "a"));
                found.is_some_and(|a| {
                    a.cluster_ips[0].to_string() == format!("10.96.3.{}", round + 1)
                })
            })
            .await;
        watched.exchange(&good);
        watched.healthy().await;
    }
    assert_eq!(lists(&server, "services"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_come_from_files_and_plugins_too() {
    let server = filled(Options {
        auth: AuthMode::Token,
        ..options()
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, server.token()).unwrap();
    let plain = server.kubeconfig(Credentials::Token);
    let inline = format!("    token: {}\n", server.token());
    assert!(plain.contains(&inline));
    let reply = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": server.token()},
    });
    let plugin = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "echo", "args": [reply.to_string()],
    });
    for user in [
        format!("    tokenFile: {}\n", file.display()),
        format!("    exec: {plugin}\n"),
    ] {
        let kubeconfig = plain.replace(&inline, &user);
        let mut watched = Watched::start_with(&kubeconfig, &[], timing());
        watched.services(&["a"]).await;
        watched.healthy().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_credentials_are_used_without_a_list() {
    let server = filled(Options {
        auth: AuthMode::Token,
        ..options()
    });
    let mut watched = Watched::start(&server, Credentials::Token);
    watched.services(&["a"]).await;
    server.set_auth(AuthMode::ClientCertificate, None);
    watched.exchange(&server.kubeconfig(Credentials::ClientCertificate));
    watched
        .part(servers::PART, |found| found.fault.is_none())
        .await;
    server.apply(service("b", "10.96.0.2"));
    watched.services(&["a", "b"]).await;
    server.stop();
    server.restart().unwrap();
    server.apply(service("c", "10.96.0.3"));
    watched.services(&["a", "b", "c"]).await;
    watched.healthy().await;
    assert_eq!(lists(&server, "services"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_is_listed_whatever_its_revisions() {
    let server = filled(options());
    for revision in 0..20 {
        server.apply(service("busy", &format!("10.96.1.{revision}")));
    }
    let mut watched = Watched::start(&server, Credentials::Token);
    watched.services(&["a", "busy"]).await;
    // Far behind the first one's revisions.
    let other = TestApiServer::start(options());
    other.apply(service("z", "10.96.0.9"));
    other.apply(node("n1"));
    watched.exchange(&other.kubeconfig(Credentials::Token));
    watched.services(&["z"]).await;
    other.apply(service("y", "10.96.0.8"));
    watched.services(&["y", "z"]).await;
    watched.healthy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_certificate_file_is_noticed() {
    let server = filled(Options {
        auth: AuthMode::ClientCertificate,
        ..options()
    });
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    let identity = server.client_identity().unwrap();
    fs::write(&certificate, &identity.certificate).unwrap();
    fs::write(&key, &identity.key).unwrap();
    let user = format!(
        "  user:\n    client-certificate: {}\n    client-key: {}\n",
        certificate.display(),
        key.display()
    );
    let kubeconfig = server
        .kubeconfig(Credentials::Anonymous)
        .replace("  user: {}\n", &user);
    let mut watched = Watched::start_with(&kubeconfig, &[], timing());
    watched.services(&["a"]).await;
    watched.healthy().await;

    // Half of a rotation: the client goes on with what it has.
    fs::write(&key, "").unwrap();
    let fault = watched.fault(servers::PART).await;
    assert!(!fault.contains("BEGIN"), "{fault}");
    fs::write(&certificate, format!("{}\n", identity.certificate)).unwrap();
    fs::write(&key, &identity.key).unwrap();
    watched.healthy().await;
    server.apply(service("b", "10.96.0.2"));
    watched.services(&["a", "b"]).await;
    assert_eq!(lists(&server, "services"), 1);
    let probes = |query: &str| query == "limit=1";
    assert!(
        server
            .requests()
            .iter()
            .any(|request| probes(&request.query))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_a_server_or_a_kubeconfig_waits_and_says_why() {
    let server = filled(options());
    server.stop();
    let mut watched = Watched::start(&server, Credentials::Token);
    watched.fault("Services").await;
    assert!(watched.snapshots.borrow().is_none());
    server.restart().unwrap();
    watched.services(&["a"]).await;

    let mut watched = Watched::start_with("", &[], timing());
    let fault = watched.fault(servers::PART).await;
    assert!(fault.contains("config"), "{fault}");
    let awaited = watched.status.fault().borrow().clone().unwrap();
    assert!(awaited.contains("kubeconfig"), "{awaited}");
    watched.exchange(&server.kubeconfig(Credentials::Token));
    watched.services(&["a"]).await;
    watched.healthy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_with_the_servers_own_words() {
    let server = filled(Options {
        auth: AuthMode::Token,
        ..options()
    });
    let mut watched = Watched::start(&server, Credentials::WrongToken);
    let fault = watched.fault("Nodes").await;
    assert!(fault.contains("401"), "{fault}");
    watched.tasks.shutdown().await;
}

#[test]
fn an_answer_that_is_no_list_empties_nothing() {
    for text in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"items": []}"#,
        r#"{"metadata": {}, "items": []}"#,
        r#"{"metadata": {"resourceVersion": ""}, "items": []}"#,
        r#"{"metadata": {"resourceVersion": "7"}}"#,
        r#"{"metadata": {"resourceVersion": "7"}, "items": [}"#,
        "<html>please log in</html>",
    ] {
        let head = request::head(text.as_bytes());
        let broken = |head: &request::Head<'_>| {
            crate::watch::wire::elements(head.items).any(|element| element.is_err())
        };
        assert!(
            head.is_err() || head.is_ok_and(|head| broken(&head)),
            "{text}"
        );
    }
    let list = br#"{"kind": "List", "metadata": {"resourceVersion": "7", "continue": "x"}, "items": null}"#;
    let head = request::head(list).unwrap();
    assert_eq!(
        (head.version.as_str(), head.next.as_deref()),
        ("7", Some("x"))
    );
    assert_eq!(head.items, b"[]");
}

#[test]
fn queries_are_encoded() {
    assert_eq!(request::encode("n1.example-a_b~"), "n1.example-a_b~");
    assert_eq!(request::encode("a&b=c d/ü"), "a%26b%3Dc%20d%2F%C3%BC");
}
