//! What the tests share: clients, and the servers that semantics are tested on.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod talk;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use test_apiserver::{ApiServer, Credentials, Options};

/// Longest wait for anything.
pub const LIMIT: Duration = Duration::from_secs(30);

pub async fn client_of(kubeconfig: &str) -> Client {
    let parsed = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(parsed, &options)
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

pub async fn client(server: &dyn ApiServer, credentials: Credentials) -> Client {
    client_of(&server.kubeconfig(credentials)).await
}

pub fn service(namespace: &str, name: &str, port: u16) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
           "spec": {"type": "LoadBalancer", "ports": [{"port": port}]}})
}

/// Ends with a failure instead of hanging.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: nothing in time"))
}

/// Our server and, where there is one, the real one.
pub fn servers() -> Vec<Arc<dyn ApiServer>> {
    test_apiserver::servers(Options {
        bookmark_every: Duration::from_secs(1),
        ..Options::default()
    })
}
