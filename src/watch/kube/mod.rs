//! Lists and watches of an API server.
//!
//! ```text
//!  kubeconfig ─► servers ─┬─► reflector Services ───────┐
//!  (read again)           ├─► reflector EndpointSlices ─┼─► Event
//!                         ├─► reflector Nodes ──────────┤
//!                         └─► reflectors Pods, Namespaces, NetworkPolicies (where they are watched)
//! ```
//!
//! kube's client brings TLS and credentials; the list-and-watch loop is ours, because it has to
//! cut a list into objects before it decodes them (one bad object must not hold back its kind),
//! fall back from streaming lists, try several servers in turn and give up on silent connections.
//!
//! Whatever happens to the server, the last objects stay; only a complete list takes any away.
//!
//! References: [API concepts](https://kubernetes.io/docs/reference/using-api/api-concepts/),
//! [KEP-3157](https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/3157-watch-list).

mod backoff;
mod error;
mod lines;
mod reflector;
mod request;
mod servers;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use self::reflector::Reflector;
use self::request::Resource;
use super::source::{ClusterEvent, Kind, Scope};
use super::status::SourceStatus;
use super::wire::{EndpointSlice, Namespace, NetworkPolicy, Node, Pod, Service};

/// What to watch, and how.
#[derive(Debug, Clone)]
pub(super) struct KubeSource {
    pub(super) kubeconfig: PathBuf,
    /// Replace the kubeconfig's server; tried in turn.
    pub(super) servers: Vec<String>,
    /// The only Node that is watched.
    pub(super) node: Arc<str>,
    pub(super) scope: Scope,
    pub(super) timing: Timing,
    pub(super) status: SourceStatus,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// For a connection.
    pub(super) connect: Duration,
    /// For the head of an answer, and between two pieces of a list.
    pub(super) answer: Duration,
    /// The server is asked to end a watch after this time.
    pub(super) watch: Duration,
    /// Silence after which a watch is begun anew if bookmarks were heard before; a fault only
    /// where it had them itself.
    pub(super) silence: Duration,
    /// After the first failure; doubled from one to the next.
    pub(super) first_retry: Duration,
    pub(super) longest_retry: Duration,
    /// How often the kubeconfig is looked at.
    pub(super) reload: Duration,
}

/// The reflectors of one source, and what they share.
struct Reflectors<'a> {
    source: &'a KubeSource,
    servers: watch::Receiver<Option<servers::Servers>>,
    events: &'a mpsc::Sender<ClusterEvent>,
    tasks: JoinSet<()>,
}

// === impl Timing ===

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            watch: Duration::from_secs(290),
            silence: Duration::from_secs(150),
            first_retry: Duration::from_millis(500),
            longest_retry: Duration::from_secs(10),
            reload: Duration::from_secs(5),
        }
    }
}

// === impl KubeSource ===

impl KubeSource {
    /// Watches until nobody listens.
    pub(super) async fn run(self, events: mpsc::Sender<ClusterEvent>) {
        let (publish, servers) = watch::channel(None);
        let mut reflectors = Reflectors {
            source: &self,
            servers,
            events: &events,
            tasks: JoinSet::new(),
        };
        self.status.announce(servers::PART);
        reflectors.spawn_all();
        let mut tasks = reflectors.tasks;
        tasks.spawn(servers::follow(self, publish));
        events.closed().await;
        tasks.shutdown().await;
    }
}

// === impl Reflectors ===

impl Reflectors<'_> {
    fn spawn_all(&mut self) {
        let not_headless = NOT_HEADLESS.to_owned();
        self.spawn::<Service>("Services", "/api/v1/services", not_headless.clone());
        let path = "/apis/discovery.k8s.io/v1/endpointslices";
        self.spawn::<EndpointSlice>("EndpointSlices", path, not_headless);
        let node = request::encode(&self.source.node);
        let only = format!("&fieldSelector=metadata.name%3D{node}");
        self.spawn::<Node>("Nodes", "/api/v1/nodes", only);
        if self.source.scope.policies {
            // All of them: policies name pods of other nodes.
            self.spawn::<Pod>("Pods", "/api/v1/pods", String::new());
            self.spawn::<Namespace>("Namespaces", "/api/v1/namespaces", String::new());
            let path = "/apis/networking.k8s.io/v1/networkpolicies";
            self.spawn::<NetworkPolicy>("NetworkPolicies", path, String::new());
        }
    }

    fn spawn<K: Kind>(&mut self, part: &'static str, path: &'static str, selector: String) {
        self.source.status.announce(part);
        let resource = Resource {
            part,
            path,
            selector,
        };
        let reflector = Reflector::<K>::new(
            resource,
            self.servers.clone(),
            self.events.clone(),
            self.source.timing,
            self.source.status.clone(),
        );
        self.tasks.spawn(reflector.run());
    }
}

/// Services that the proxy leaves alone and their slices need not be sent at all.
const NOT_HEADLESS: &str = "&labelSelector=%21service.kubernetes.io%2Fheadless";

#[cfg(test)]
mod tests;
