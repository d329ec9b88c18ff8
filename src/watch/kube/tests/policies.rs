//! Pods, Namespaces and NetworkPolicies: watched only where they are enforced, and waited for only
//! by those that need them.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_all_nodes_namespaces_and_policies_are_listed_and_followed() {
    for streaming in [true, false] {
        let server = filled_with_policies(
            Options {
                streaming_lists: streaming,
                managed_fields: true,
                ..options()
            },
            600,
        );
        let kubeconfig = server.kubeconfig(Credentials::Token);
        let mut watched = Watched::start_in(Scope::ALL, &kubeconfig, &[], timing());
        let all = watched
            .until("all", |snapshot| snapshot.knows_policies)
            .await;
        assert_eq!(all.pods.len(), 600);
        assert!(all.generation <= 4, "nothing is published amid a list");
        assert_eq!((all.namespaces.len(), all.policies.len()), (1, 1));
        assert_eq!(*all.notes, []);
        for part in ["Pods", "Namespaces", "NetworkPolicies"] {
            watched.part(part, |found| found.synced).await;
        }
        watched.healthy().await;
        assert_eq!(*watched.status.fault().borrow(), None);

        // Heartbeats are heard and tell nothing; a label, an address and an end do.
        let mut churned = pod("p007", "10.42.0.8", json!({"app": "web"}));
        for beat in 0..5 {
            churned["status"]["conditions"] = json!([{"type": "Ready", "lastProbeTime": beat}]);
            server.apply(churned.clone());
        }
        server.apply(pod("p001", "10.42.0.2", json!({"app": "db"})));
        server.delete("Pod", "shop", "p002");
        server.apply(
            json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "b"}}}),
        );
        server.apply(policy("closed", json!({"app": "db"})));
        let name = |name| ObjectName::new("shop", name);
        let label = |labels: &crate::model::Labels, key, value| {
            labels.get(key).is_some_and(|found| &**found == value)
        };
        let changed = watched
            .until("changed", |snapshot| {
                let relabelled = snapshot.pods.get(&name("p001"));
                let policy = snapshot.policies.get(&name("closed"));
                relabelled.is_some_and(|pod| label(&pod.labels, "app", "db"))
                    && snapshot.pods.get(&name("p002")).is_none()
                    && label(&snapshot.namespaces["shop"].labels, "team", "b")
                    && policy.is_some_and(|policy| policy.pods.to_string() == "app=db")
            })
            .await;
        assert_eq!(
            changed.pods.changed_since(&all.pods),
            [name("p001"), name("p002")]
        );

        // What was deleted while nobody watched goes with the next list.
        server.stop();
        server.delete("Pod", "shop", "p003");
        server.delete("NetworkPolicy", "shop", "closed");
        server.compact();
        server.restart().unwrap();
        watched
            .until("listed anew", |snapshot| {
                snapshot.pods.len() == 598 && snapshot.policies.is_empty()
            })
            .await;
        watched.healthy().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_enforces_no_policies_never_asks_for_pods() {
    let server = filled_with_policies(options(), 3);
    let mut watched = Watched::start(&server, Credentials::Token);
    let snapshot = watched.services(&["a"]).await;
    watched.healthy().await;
    assert!(snapshot.pods.is_empty() && snapshot.namespaces.is_empty());
    assert!(snapshot.policies.is_empty());
    for resource in ["pods", "namespaces", "networkpolicies"] {
        let asked = server.requests();
        assert!(
            asked.iter().all(|request| request.resource != resource),
            "{resource}"
        );
    }
    assert!(!watched.status.parts().contains_key("Pods"));
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_cannot_be_listed_are_named_and_hold_back_no_service() {
    let server = filled_with_policies(options(), 3);
    server.set_fault(Fault::new(FaultKind::Status(403)).resource("networkpolicies"));
    let kubeconfig = server.kubeconfig(Credentials::Token);
    let mut watched = Watched::start_in(Scope::ALL, &kubeconfig, &[], timing());
    watched.fault("NetworkPolicies").await;
    watched.healthy().await;
    watched.part("Pods", |found| found.synced).await;
    let snapshot = watched.services(&["a"]).await;
    assert!(!snapshot.knows_policies, "and nothing follows from that");
    let fault = watched.status.fault().borrow().clone().unwrap();
    assert!(fault.starts_with("NetworkPolicies: "), "{fault}");
    server.clear_faults();
    let known = |snapshot: &Snapshot| snapshot.knows_policies;
    let snapshot = watched.until("policies", known).await;
    assert_eq!((snapshot.pods.len(), snapshot.policies.len()), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_cannot_be_listed_hold_back_everything() {
    let server = filled_with_policies(options(), 3);
    server.set_fault(Fault::new(FaultKind::Status(403)).resource("endpointslices"));
    let kubeconfig = server.kubeconfig(Credentials::Token);
    let watched = Watched::start_in(Scope::ALL, &kubeconfig, &[], timing());
    watched.fault("EndpointSlices").await;
    for part in ["Services", "Pods", "NetworkPolicies"] {
        watched.part(part, |found| found.synced).await;
    }
    assert!(watched.snapshots.borrow().is_none());
}
