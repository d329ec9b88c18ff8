//! What the tests share: clients, and the servers that semantics are tested on.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod talk;

use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::time::Duration;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use test_apiserver::{ApiServer, Credentials, Options, RealApiServer, TestApiServer};

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

/// Our server and, where `KUBEBUILDER_ASSETS` names it, the real one.
pub fn servers() -> Vec<Arc<dyn ApiServer>> {
    let options = Options {
        bookmark_every: Duration::from_secs(1),
        ..Options::default()
    };
    let mut found: Vec<Arc<dyn ApiServer>> = vec![Arc::new(TestApiServer::start(options))];
    match real() {
        Some(server) => found.push(server),
        None => say_once(
            "NOTE: KUBEBUILDER_ASSETS is not set: semantics are tested on the test API server ALONE, not on a real kube-apiserver\n",
        ),
    }
    found
}

/// One real server for the tests that run at the same time; it ends with the last of them.
fn real() -> Option<Arc<RealApiServer>> {
    static REAL: Mutex<Weak<RealApiServer>> = Mutex::new(Weak::new());
    let mut shared = REAL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return Some(running);
    }
    let started = Arc::new(RealApiServer::start()?);
    *shared = Arc::downgrade(&started);
    Some(started)
}

/// Past the capture of the test harness, for everyone to see.
fn say_once(text: &str) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        use std::io::Write;
        let _ = std::io::stderr().write_all(text.as_bytes());
    });
}
