//! `kube-router plan`: what would be programmed, without touching anything.

use std::io::{self, Write};
use std::sync::Arc;

use super::daemon::settings;
use super::run::runtime;
use super::slots::policy_settings;
use crate::cli::{Exit, PlanArgs};
use crate::config::{self, ClusterSource, Config};
use crate::model::{LocalAddress, NodeFacts, Note, Snapshot};
use crate::net::Prefix;
use crate::netpol::{self, Kind};
use crate::proxy::{Input, Plan, print};
use crate::reconcile::with_causes;
use crate::routing::{self, BgpSettings, Learned};
use crate::watch::{self, Cluster, Host, NodeObject, NodeUnknown, node_facts};

/// Prints the plan of a node to `out`, and what is wrong with its inputs to `err`.
///
/// The host it runs on plays no part: the node's addresses are those of its Node object.
///
/// # Errors
/// When nothing can be written.
pub fn plan(
    args: &PlanArgs,
    environment: Vec<(String, String)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let config = match config::load(&args.sources(environment)) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            writeln!(err, "{problems}")?;
            return Ok(Exit::BadConfig);
        }
    };
    let (snapshot, notes) = match cluster(&config, &args.node) {
        Ok(cluster) => cluster,
        Err(reason) => {
            writeln!(err, "kube-router: {reason}")?;
            return Ok(Exit::Failure);
        }
    };
    for note in notes {
        writeln!(err, "{note}")?;
    }
    let name: Arc<str> = Arc::from(args.node.as_str());
    let facts = match facts(&name, &config, &snapshot) {
        Ok(facts) => facts,
        Err(unknown) => {
            writeln!(err, "kube-router: {unknown}")?;
            return Ok(Exit::Failure);
        }
    };
    let facts = Arc::new(facts);
    if config.proxy.enabled {
        let mut plan = Plan::default();
        plan.update(&Input {
            snapshot: Arc::clone(&snapshot),
            facts: Arc::clone(&facts),
            settings: Arc::new(settings(&config)),
        });
        write!(out, "{}", print(&plan))?;
    }
    if config.netpol.enabled {
        let mut plan = netpol::Plan::default();
        plan.update(&netpol::Input {
            snapshot: Arc::clone(&snapshot),
            facts: Arc::clone(&facts),
            settings: Arc::new(policy_settings(&config)),
        });
        // What `auto` means is the host's to say; here it is what most hosts have.
        let kind = Kind::wanted(config.netpol.backend).unwrap_or(Kind::Nftables);
        write!(out, "{}", netpol::print(&plan, kind))?;
    }
    if config.routing.enabled {
        // Nothing is learned without a peer: routes are not part of it.
        let mut plan = routing::Plan::default();
        plan.update(&routing_input(&config, snapshot, facts));
        write!(out, "{}", routing::print(&plan))?;
    }
    Ok(Exit::Success)
}

/// What routing reads before anything is learned.
fn routing_input(
    config: &Config,
    snapshot: Arc<Snapshot>,
    facts: Arc<NodeFacts>,
) -> routing::Input {
    routing::Input {
        snapshot,
        facts,
        settings: Arc::new(routing::Settings::new(config)),
        bgp: Some(Arc::new(BgpSettings {
            bgp: config.bgp.clone(),
            cluster: config.cluster.clone(),
        })),
        learned: Learned::default(),
    }
}

/// The node as its object describes it.
pub(super) fn facts(
    name: &Arc<str>,
    config: &Config,
    snapshot: &Snapshot,
) -> Result<NodeFacts, NodeUnknown> {
    let node = snapshot.nodes.get(name).map(|node| &**node);
    let (host, required) = (Host::default(), NodeObject::Required);
    // The notes say that no link carries the node's address: there are no links here.
    let (mut facts, _) = node_facts(name, config.node.families, &host, node, required)?;
    let addresses = node.into_iter().flat_map(|node| &node.addresses);
    facts.addresses = addresses
        .map(|address| LocalAddress {
            address: *address,
            prefix_length: Prefix::from(*address).prefix_len(),
            link: Arc::from(""),
        })
        .collect();
    facts.addresses.sort_unstable_by_key(|local| local.address);
    Ok(facts)
}

/// The cluster's objects: manifests are read once, an API server is asked until it answered all.
pub(super) fn cluster(config: &Config, name: &str) -> Result<(Arc<Snapshot>, Vec<Note>), String> {
    match &config.cluster.source {
        ClusterSource::Manifests(directory) => {
            watch::load(directory).map_err(|error| with_causes(&error))
        }
        ClusterSource::Kubeconfig { .. } => {
            let runtime = runtime().map_err(|error| error.to_string())?;
            let snapshot = runtime.block_on(listed(config, name));
            runtime.shutdown_background();
            snapshot.map(|snapshot| (Arc::clone(&snapshot), snapshot.notes.to_vec()))
        }
    }
}

async fn listed(config: &Config, name: &str) -> Result<Arc<Snapshot>, String> {
    let mut cluster = Cluster::start(config, name).map_err(|error| with_causes(&error))?;
    let limit = config.cluster.cache_sync_timeout;
    let whole = |found: &Option<Arc<Snapshot>>| {
        let found = found.as_ref();
        found.is_some_and(|snapshot| snapshot.knows_policies || !config.netpol.enabled)
    };
    let known = tokio::time::timeout(limit, cluster.snapshot.wait_for(whole)).await;
    let snapshot = known
        .ok()
        .and_then(|found| found.ok().and_then(|snapshot| snapshot.clone()));
    snapshot.ok_or_else(|| {
        let fault = cluster.cluster_fault.borrow().clone();
        fault.unwrap_or_else(|| "the cluster's objects are not known in time".to_owned())
    })
}
