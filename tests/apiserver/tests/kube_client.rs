//! The real `kube` client against the test API server.

use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Service;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use test_apiserver::{Credentials, Fault, FaultKind, Options, TestApiServer};

const LIMIT: Duration = Duration::from_secs(20);

async fn client(server: &TestApiServer, credentials: Credentials) -> Client {
    client_of(&server.kubeconfig(credentials)).await
}

async fn client_of(kubeconfig: &str) -> Client {
    let parsed = kube::config::Kubeconfig::from_yaml(kubeconfig).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(parsed, &options)
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

fn service(name: &str, port: u16) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
           "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": port}]}})
}

/// What a watcher says, in short: `init`, `+name` while initialising, `done`, `apply name`, `delete name`, `error code`.
fn say(event: Result<Event<Service>, watcher::Error>) -> String {
    let name = |service: Service| service.metadata.name.unwrap_or_default();
    match event {
        Ok(Event::Init) => "init".to_owned(),
        Ok(Event::InitApply(object)) => format!("+{}", name(object)),
        Ok(Event::InitDone) => "done".to_owned(),
        Ok(Event::Apply(object)) => format!("apply {}", name(object)),
        Ok(Event::Delete(object)) => format!("delete {}", name(object)),
        Err(watcher::Error::WatchError(status)) => format!("error {}", status.code),
        Err(
            watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::InitialListFailed(kube::Error::Api(status)),
        ) => format!("refused {}", status.code),
        Err(_) => "broken".to_owned(),
    }
}

async fn expect(
    stream: &mut (impl Stream<Item = Result<Event<Service>, watcher::Error>> + Unpin),
    wanted: &[&str],
) {
    for want in wanted {
        let event = tokio::time::timeout(LIMIT, stream.next()).await;
        let event = event
            .unwrap_or_else(|_| panic!("nothing came instead of {want:?}"))
            .unwrap();
        let text = format!("{event:?}");
        assert_eq!(say(event), *want, "{text}");
    }
}

#[tokio::test]
async fn a_watcher_sees_init_apply_and_delete() {
    for config in [
        watcher::Config::default(),
        watcher::Config::default().streaming_lists(),
    ] {
        let server = TestApiServer::start(Options::default());
        server.apply(service("a", 80));
        server.apply(service("b", 80));
        let api: Api<Service> = Api::all(client(&server, Credentials::Token).await);
        let mut stream = pin!(watcher(api, config));
        expect(&mut stream, &["init", "+a", "+b", "done"]).await;
        server.apply(service("b", 81));
        expect(&mut stream, &["apply b"]).await;
        server.apply(service("c", 80));
        assert!(server.delete("Service", "default", "a"));
        expect(&mut stream, &["apply c", "delete a"]).await;
    }
}

#[tokio::test]
async fn a_watcher_resumes_after_a_reset_without_a_new_list() {
    let server = TestApiServer::start(Options::default());
    server.apply(service("a", 80));
    let api: Api<Service> = Api::all(client(&server, Credentials::Token).await);
    let mut stream = pin!(watcher(api, watcher::Config::default()));
    expect(&mut stream, &["init", "+a", "done"]).await;
    server.apply(service("b", 80));
    expect(&mut stream, &["apply b"]).await;
    server.set_fault(
        Fault::new(FaultKind::Reset { after_bytes: 0 })
            .verb("watch")
            .times(1),
    );
    expect(&mut stream, &["broken"]).await;
    server.apply(service("c", 80));
    expect(&mut stream, &["apply c"]).await;
    let lists = server
        .requests()
        .iter()
        .filter(|request| request.verb == "list")
        .count();
    assert_eq!(lists, 1);
}
