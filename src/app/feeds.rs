//! What the controllers live on, and who brings it.

use std::error::Error;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::host::{self, Gone};
use super::node::{self, Identity};
use crate::config::{ClusterSource, Config};
use crate::model::{NodeFacts, Snapshot};
use crate::watch::NodeObject;

/// Hints that wait for the daemon; more would say nothing new.
const HINTS: usize = 256;

/// `None`: not known yet.
pub(super) struct Feeds {
    pub(super) snapshot: watch::Receiver<Option<Arc<Snapshot>>>,
    pub(super) facts: watch::Receiver<Option<Arc<NodeFacts>>>,
    /// Why the cluster's objects are not up to date.
    pub(super) cluster_fault: Box<dyn Fn() -> Option<String> + Send>,
    /// Why this node is not known.
    pub(super) node_fault: watch::Receiver<Option<String>>,
    /// What may have been taken from us.
    pub(super) gone: mpsc::Receiver<Gone>,
}

/// Starts to follow the cluster and this host.
pub(super) fn start(
    config: &Config,
    name: Arc<str>,
) -> Result<Feeds, Box<dyn Error + Send + Sync>> {
    let (snapshot, cluster_fault) = cluster(&config.cluster.source)?;
    let (host_sender, host) = watch::channel(None);
    let (gone_sender, gone) = mpsc::channel(HINTS);
    host::follow(host::Ends {
        host: host_sender,
        gone: gone_sender,
    })?;
    let (facts_sender, facts) = watch::channel(None);
    let (fault_sender, node_fault) = watch::channel(None);
    let object = match config.cluster.source {
        ClusterSource::Kubeconfig { .. } => NodeObject::Required,
        ClusterSource::Manifests(_) => NodeObject::Optional,
    };
    let identity = Identity {
        name,
        families: config.node.families,
        object,
    };
    let sources = node::Sources {
        host,
        snapshot: snapshot.clone(),
    };
    let ends = node::Ends {
        facts: facts_sender,
        fault: fault_sender,
    };
    tokio::spawn(node::gather(identity, sources, ends));
    Ok(Feeds {
        snapshot,
        facts,
        cluster_fault,
        node_fault,
        gone,
    })
}

type Cluster = (
    watch::Receiver<Option<Arc<Snapshot>>>,
    Box<dyn Fn() -> Option<String> + Send>,
);

fn cluster(source: &ClusterSource) -> Result<Cluster, Box<dyn Error + Send + Sync>> {
    let ClusterSource::Manifests(directory) = source else {
        return Err("only [cluster] manifests so far".into());
    };
    let (snapshot, notes) = crate::watch::load(directory)?;
    for note in notes {
        tracing::warn!(%note, "left out");
    }
    let (sender, receiver) = watch::channel(Some(snapshot));
    tokio::spawn(async move { sender.closed().await });
    Ok((receiver, Box::new(|| None)))
}
