//! A cluster of manifests on a host whose links change.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kube_router::config::{self, ClusterSource, Config, Sources};
use kube_router::model::NodeFacts;
use kube_router::watch::{Cluster, Lost};
use tokio::sync::watch;

use super::{in_namespace, tool, vip_link};

const PATIENCE: Duration = Duration::from_secs(20);

fn configured(manifests: &Path) -> Config {
    let mut config = config::load(&Sources::default()).unwrap().config;
    config.cluster.source = ClusterSource::Manifests(manifests.to_owned());
    config
}

async fn facts_with(
    facts: &mut watch::Receiver<Option<Arc<NodeFacts>>>,
    fits: impl Fn(&NodeFacts) -> bool,
) -> Arc<NodeFacts> {
    let wait = facts.wait_for(|facts| facts.as_deref().is_some_and(&fits));
    let found = tokio::time::timeout(PATIENCE, wait).await;
    found.expect("facts in time").unwrap().clone().unwrap()
}

fn has(facts: &NodeFacts, address: &str) -> bool {
    facts.is_local(address.parse().unwrap())
}

async fn scenario(dir: &Path) {
    let mut cluster = Cluster::start(&configured(dir), "n1").unwrap();
    let unknown = |fault: &Option<String>| fault.as_deref().is_some_and(|f| f.contains("global"));
    let wait = cluster.node_fault.wait_for(unknown);
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("a fault")
        .unwrap();
    assert!(cluster.facts.borrow().is_none(), "nothing is guessed");

    tool("ip link add node0 type bridge");
    tool("ip link set node0 up");
    tool("ip address add 192.0.2.10/24 dev node0");
    let facts = facts_with(&mut cluster.facts, |facts| has(facts, "192.0.2.10")).await;
    assert_eq!(facts.primary.v4, Some("192.0.2.10".parse().unwrap()));
    assert_eq!(facts.primary_link.as_deref(), Some("node0"));
    assert_eq!(cluster.node_notes.borrow().len(), 1);

    let mut rtnl = kube_router::kernel::rtnl::Rtnl::open().unwrap();
    vip_link(&mut rtnl, "kube-dummy-if");
    tool("ip address add 10.96.0.1/32 dev kube-dummy-if");
    tool("ip address add 192.0.2.11/24 dev node0");
    let facts = facts_with(&mut cluster.facts, |facts| has(facts, "192.0.2.11")).await;
    assert!(!has(&facts, "10.96.0.1"), "a VIP is not the node's");
    tool("ip address del 192.0.2.11/24 dev node0");
    facts_with(&mut cluster.facts, |facts| !has(facts, "192.0.2.11")).await;

    let node = "kind: Node\nmetadata:\n  name: n1\n  labels: {topology.kubernetes.io/zone: z1}\n\
                status:\n  addresses:\n  - {type: InternalIP, address: 192.0.2.10}\n";
    fs::write(dir.join("node.yaml"), node).unwrap();
    let in_zone = |facts: &NodeFacts| facts.zone.as_deref() == Some("z1");
    facts_with(&mut cluster.facts, in_zone).await;
    assert!(cluster.node_notes.borrow().is_empty());
    assert_eq!(*cluster.node_fault.borrow(), None);
    assert_eq!(*cluster.cluster_fault.borrow(), None);

    tool("ip address del 10.96.0.1/32 dev kube-dummy-if");
    lost(&mut cluster, Lost::Address("10.96.0.1".parse().unwrap())).await;
    tool("ip link del kube-dummy-if");
    lost(&mut cluster, Lost::Link).await;
}

/// Waits until the loss is told, perhaps after others.
async fn lost(cluster: &mut Cluster, wanted: Lost) {
    let told = async {
        while let Some(found) = cluster.lost.recv().await {
            if found == wanted {
                return true;
            }
        }
        false
    };
    let told = tokio::time::timeout(PATIENCE, told).await;
    assert_eq!(told, Ok(true), "{wanted:?} is never told");
}

#[test]
fn facts_follow_the_hosts_links_and_the_node_object() {
    in_namespace(|| {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(scenario(dir.path()));
    });
}
