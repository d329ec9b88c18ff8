//! Everything of the watch room running together: a source, the store, the node's facts.

use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::kube::{KubeSource, Timing};
use super::manifest::{ManifestError, ManifestSource};
use super::node::{Host, Links, Lost, NodeObject, node_facts};
use super::source::Scope;
use super::status::SourceStatus;
use super::store::{self, Store};
use crate::config::{ClusterSource, Config};
use crate::model::{NodeFacts, Note, Snapshot};
use crate::net::ByFamily;

/// Events on their way to the store.
const QUEUE: usize = 64;

/// Hints that wait to be taken up.
const HINTS: usize = 256;

/// A cluster that cannot be watched at all.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error(transparent)]
    Manifests(#[from] ManifestError),
    #[error("no thread to follow the host's links")]
    Thread(#[source] io::Error),
}

/// The cluster and this node, kept up to date until it is dropped.
///
/// Every receiver holds the newest value; `None` is not known yet. What was known once stays when
/// its source is lost, and a fault says so.
#[derive(Debug)]
pub struct Cluster {
    pub snapshot: watch::Receiver<Option<Arc<Snapshot>>>,
    pub facts: watch::Receiver<Option<Arc<NodeFacts>>>,
    /// What had to be made up about the node.
    pub node_notes: watch::Receiver<Vec<Note>>,
    /// Why the cluster's objects are not up to date; `None` when they are.
    pub cluster_fault: watch::Receiver<Option<String>>,
    /// Why this node is not known as it is now.
    pub node_fault: watch::Receiver<Option<String>>,
    /// What is gone of the link of the Services' addresses.
    pub lost: mpsc::Receiver<Lost>,
    pub status: SourceStatus,
    /// Dropped last: they end with it.
    _tasks: JoinSet<()>,
}

/// Puts node and host together whenever one of them changes.
struct Facts {
    name: Arc<str>,
    families: ByFamily<bool>,
    object: NodeObject,
    facts: watch::Sender<Option<Arc<NodeFacts>>>,
    notes: watch::Sender<Vec<Note>>,
    fault: watch::Sender<Option<String>>,
}

// === impl Cluster ===

impl Cluster {
    /// Begins to watch; must be called inside a runtime. `name` is this node's name.
    ///
    /// # Errors
    /// Where the directory of manifests is missing or no thread can be had. An API server that
    /// cannot be reached, or a kubeconfig that cannot be read, is a fault that may pass.
    pub fn start(config: &Config, name: &str) -> Result<Self, WatchError> {
        let status = SourceStatus::default();
        let name: Arc<str> = Arc::from(name);
        let mut tasks = JoinSet::new();
        let (sender, events) = mpsc::channel(QUEUE);
        let scope = Scope::of(config);
        let object = match &config.cluster.source {
            ClusterSource::Manifests(path) => {
                let source = ManifestSource::open(path, scope, status.clone())?;
                tasks.spawn(source.run(sender));
                NodeObject::Optional
            }
            ClusterSource::Kubeconfig { path, servers } => {
                let source = KubeSource {
                    kubeconfig: path.clone(),
                    servers: servers.clone(),
                    node: Arc::clone(&name),
                    scope,
                    timing: Timing::default(),
                    status: status.clone(),
                };
                tasks.spawn(source.run(sender));
                NodeObject::Required
            }
        };
        let (publish, snapshot) = watch::channel(None);
        tasks.spawn(store::run(Store::default(), events, publish));

        let (lost_sender, lost) = mpsc::channel(HINTS);
        let (host, hosts) = watch::channel(None);
        let (link_fault, link_faults) = watch::channel(None);
        let links = Links {
            host,
            fault: link_fault,
            lost: lost_sender,
        };
        links.spawn().map_err(WatchError::Thread)?;

        let (facts, facts_seen) = watch::channel(None);
        let (notes, node_notes) = watch::channel(Vec::new());
        let (fault, node_fault) = watch::channel(Some("the cluster is not known yet".to_owned()));
        let facts = Facts {
            name,
            families: config.node.families,
            object,
            facts,
            notes,
            fault,
        };
        tasks.spawn(facts.follow(snapshot.clone(), hosts, link_faults));
        Ok(Self {
            snapshot,
            facts: facts_seen,
            node_notes,
            cluster_fault: status.fault(),
            node_fault,
            lost,
            status,
            _tasks: tasks,
        })
    }
}

// === impl Facts ===

impl Facts {
    async fn follow(
        self,
        mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
        mut hosts: watch::Receiver<Option<Arc<Host>>>,
        mut link_faults: watch::Receiver<Option<String>>,
    ) {
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            let host = hosts.borrow_and_update().clone();
            let fault = link_faults.borrow_and_update().clone();
            self.tell(snapshot.as_deref(), host.as_deref(), fault);
            let changed = tokio::select! {
                changed = snapshots.changed() => changed,
                changed = hosts.changed() => changed,
                changed = link_faults.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Tells the facts if they are new ones; what was known stays where they cannot be had.
    fn tell(&self, snapshot: Option<&Snapshot>, host: Option<&Host>, link_fault: Option<String>) {
        let found = match (snapshot, host) {
            (Some(snapshot), Some(host)) => {
                let node = snapshot.nodes.get(&self.name).map(|node| &**node);
                node_facts(&self.name, self.families, host, node, self.object)
                    .map_err(|unknown| unknown.to_string())
            }
            (None, _) => Err("the cluster is not known yet".to_owned()),
            (_, None) => Err("the host's links are not known yet".to_owned()),
        };
        let fault = match found {
            Ok((facts, notes)) => {
                self.facts.send_if_modified(|known| {
                    if known.as_deref() == Some(&facts) {
                        return false;
                    }
                    *known = Some(Arc::new(facts));
                    true
                });
                set(&self.notes, notes);
                link_fault
            }
            Err(fault) => link_fault.or(Some(fault)),
        };
        set(&self.fault, fault);
    }
}

fn set<T: PartialEq>(channel: &watch::Sender<T>, value: T) {
    channel.send_if_modified(|known| {
        let is_new = *known != value;
        *known = value;
        is_new
    });
}
