//! What stands of an earlier run, what somebody deletes, and when pods may come.

use std::path::PathBuf;

use super::*;
use crate::net::{ByFamily, Family};

const PATHS: &str = "10.244.2.0/24 via 10.1.1.2
                     10.244.3.0/24 via 10.1.3.3
                     fd02:3::/64 via fd01:3::3";

/// A host that an earlier run has set up.
fn running() -> FakeHost {
    let mut routing = started(FakeHost::new());
    pass(&mut routing, &at_once(SUBNET, PATHS));
    std::mem::replace(routing.kernel_mut(), FakeHost::new())
}

fn cni() -> PathBuf {
    settings(None).cni.unwrap()
}

#[test]
fn a_restart_changes_nothing_whether_peers_are_back_or_not() {
    for paths in ["", "10.244.2.0/24 via 10.1.1.2", PATHS] {
        let host = running();
        let before = host.roads.clone();
        let mut routing = started(host);
        assert_eq!(
            pass(&mut routing, &input(SUBNET, paths)),
            [""; 0],
            "{paths}"
        );
        assert_eq!(routing.kernel_mut().roads, before);
    }
}

#[test]
fn what_nobody_tells_any_more_goes_when_the_time_is_over() {
    let mut routing = started(running());
    let steps = pass(&mut routing, &at_once(SUBNET, "10.244.2.0/24 via 10.1.1.2"));
    assert_eq!(routing.kernel_mut().destinations(), ["10.244.2.0/24"]);
    assert_eq!(routing.kernel_mut().roads.tunnels.len(), 0, "{steps:#?}");
}

#[test]
fn each_family_waits_for_its_own_deferral() {
    let mut routing = started(running());
    let mut waiting = input(SUBNET, "");
    waiting.learned.deferred = ByFamily { v4: true, v6: true };
    assert_eq!(pass(&mut routing, &waiting), [""; 0]);
    let seen = routing.observe().unwrap();
    assert!(!routing.glance(&seen));
    // Long before the patience is over.
    waiting.learned.deferred.v4 = false;
    routing.plan(&waiting);
    assert!(routing.glance(&seen), "nobody looks for what is left over");
    pass(&mut routing, &waiting);
    assert_eq!(routing.kernel_mut().destinations(), ["fd02:3::/64"]);
    let seen = routing.observe().unwrap();
    assert!(!routing.glance(&seen));
    waiting.learned.deferred.v6 = false;
    pass(&mut routing, &waiting);
    assert_eq!(routing.kernel_mut().destinations(), [""; 0]);
}

#[test]
fn what_this_run_learned_and_lost_goes_at_once() {
    let mut routing = started(FakeHost::new());
    routing.plan(&input(SUBNET, PATHS));
    let mut seen = routing.observe().unwrap();
    let _ = step(&mut routing, &mut seen, Scope::Everything);
    assert_eq!(routing.kernel_mut().destinations().len(), 3);
    routing.plan(&input(SUBNET, "10.244.2.0/24 via 10.1.1.2"));
    let _ = step(&mut routing, &mut seen, Scope::Touched);
    assert_eq!(routing.kernel_mut().destinations(), ["10.244.2.0/24"]);
    assert_eq!(routing.kernel_mut().roads.tunnels.len(), 0);
}

#[test]
fn a_route_that_somebody_deletes_comes_back_without_another_look() {
    let lost = Lost::default();
    let mut routing = Routing::new(FakeHost::new(), lost.clone());
    let input = at_once(SUBNET, PATHS);
    routing.plan(&input);
    let mut seen = routing.observe().unwrap();
    let _ = step(&mut routing, &mut seen, Scope::Everything);
    let all: Vec<_> = routing.kernel_mut().roads.routes.keys().copied().collect();
    let key = all[0];
    for _ in 0..3 {
        routing.kernel_mut().roads.routes.remove(&key);
        lost.put(key);
        // One that is nobody's any more is no reason to do anything.
        lost.put(plan::routes::RouteKey {
            table: 254,
            destination: "198.51.100.0/24".parse().unwrap(),
            metric: 0,
        });
        routing.plan(&input);
        let (steps, _) = step(&mut routing, &mut seen, Scope::Touched);
        assert_eq!(steps.len(), 1, "{steps:?}");
        assert_eq!(routing.kernel_mut().roads.routes.len(), all.len());
        routing.plan(&input);
        let (steps, _) = step(&mut routing, &mut seen, Scope::Touched);
        assert_eq!(steps, [""; 0]);
    }
}

#[test]
fn after_a_boot_pods_wait_for_the_first_route() {
    let mut host = FakeHost::new();
    let mut document: serde_json::Value =
        serde_json::from_str(r#"{"name": "mine", "plugins": [{"type": "bridge"}]}"#).unwrap();
    host.files.insert(cni(), document.to_string());
    let mut routing = started(host);
    let steps = pass(&mut routing, &input(SUBNET, ""));
    let file = cni().display().to_string();
    assert_eq!(steps[0], format!("mv {file} {file}.withheld"));
    assert_eq!(routing.kernel_mut().files.get(&cni()), None);
    assert!(routing.notes().iter().any(|note| note.contains("withheld")));
    assert_eq!(pass(&mut routing, &input(SUBNET, "")), [""; 0]);

    // The daemon dies while pods wait: the next one goes on waiting.
    let host = std::mem::replace(routing.kernel_mut(), FakeHost::new());
    let mut routing = started(host);
    assert_eq!(pass(&mut routing, &input(SUBNET, "")), [""; 0]);
    pass(&mut routing, &input(SUBNET, "fd02:3::/64 via fd01:3::3"));
    let text = routing.kernel_mut().files.get(&cni()).unwrap().clone();
    let written: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(written["plugins"][0]["mtu"], 1460);
    document["plugins"] = written["plugins"].clone();
    assert_eq!(written, document, "a foreign key is lost");
    assert_eq!(
        routing.kernel_mut().files.len(),
        1,
        "the one put aside is still there"
    );
    // Once there, it stays: routes that go are no reason to take pods away.
    assert_eq!(pass(&mut routing, &at_once(SUBNET, "")).len(), 3);
    assert_eq!(routing.kernel_mut().files.len(), 1);
    assert!(!routing.notes().iter().any(|note| note.contains("withheld")));
}

#[test]
fn pods_wait_for_nobody_where_there_is_nobody() {
    let mut alone = input(SUBNET, "");
    let mut snapshot = snapshot();
    Arc::make_mut(&mut snapshot.nodes).retain(|name, _| &**name == "n1");
    alone.snapshot = Arc::new(snapshot);
    for input in [alone, at_once(SUBNET, "")] {
        let mut routing = started(FakeHost::new());
        pass(&mut routing, &input);
        assert_eq!(routing.kernel_mut().files.len(), 1);
    }
    let mut routing = started(FakeHost::new());
    let mut only_v4 = input(SUBNET, "");
    let mut facts = (*only_v4.facts).clone();
    *facts.primary.get_mut(Family::V6) = None;
    only_v4.facts = Arc::new(facts);
    only_v4.learned.deferred.v4 = true;
    pass(&mut routing, &only_v4);
    assert_eq!(routing.kernel_mut().files.len(), 0);
    only_v4.learned.deferred.v4 = false;
    pass(&mut routing, &only_v4);
    assert_eq!(routing.kernel_mut().files.len(), 1);
}
