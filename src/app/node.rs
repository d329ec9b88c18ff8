//! Puts together what this node is, from its kernel and its Node object.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;
use tracing::warn;

use crate::model::{NodeFacts, Note, Snapshot};
use crate::net::ByFamily;
use crate::watch::{Host, NodeObject, node_facts};

/// Who this node is.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) name: Arc<str>,
    pub(super) families: ByFamily<bool>,
    pub(super) object: NodeObject,
}

/// What the facts are made of.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) host: watch::Receiver<Option<Arc<Host>>>,
    pub(super) snapshot: watch::Receiver<Option<Arc<Snapshot>>>,
}

/// Where they go.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) facts: watch::Sender<Option<Arc<NodeFacts>>>,
    /// Why they are not up to date.
    pub(super) fault: watch::Sender<Option<String>>,
}

/// Works the facts out anew whenever anything they depend on changed, until a source ends.
pub(super) async fn gather(identity: Identity, mut sources: Sources, ends: Ends) {
    let mut told = BTreeSet::new();
    loop {
        let host = sources.host.borrow_and_update().clone();
        let snapshot = sources.snapshot.borrow_and_update().clone();
        update(
            &identity,
            host.as_deref(),
            snapshot.as_deref(),
            &ends,
            &mut told,
        );
        let changed = tokio::select! {
            changed = sources.host.changed() => changed,
            changed = sources.snapshot.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

fn update(
    identity: &Identity,
    host: Option<&Host>,
    snapshot: Option<&Snapshot>,
    ends: &Ends,
    told: &mut BTreeSet<Note>,
) {
    let fault = match (host, snapshot) {
        (None, _) => Some("links and addresses of this host are not known yet".to_owned()),
        // What is missing then is the cluster.
        (Some(_), None) => None,
        (Some(host), Some(snapshot)) => {
            let node = snapshot.nodes.get(&identity.name).map(|node| &**node);
            match node_facts(
                &identity.name,
                identity.families,
                host,
                node,
                identity.object,
            ) {
                Ok((facts, notes)) => {
                    tell(notes, told);
                    publish(facts, ends);
                    None
                }
                Err(unknown) => Some(unknown.to_string()),
            }
        }
    };
    ends.fault.send_if_modified(|old| {
        let differs = *old != fault;
        *old = fault;
        differs
    });
}

fn publish(facts: NodeFacts, ends: &Ends) {
    ends.facts.send_if_modified(|old| {
        let differs = old.as_deref() != Some(&facts);
        if differs {
            *old = Some(Arc::new(facts));
        }
        differs
    });
}

fn tell(notes: Vec<Note>, told: &mut BTreeSet<Note>) {
    let notes: BTreeSet<Note> = notes.into_iter().collect();
    for note in notes.difference(told) {
        warn!(%note, "this node");
    }
    *told = notes;
}
