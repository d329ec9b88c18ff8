//! What becomes of packets when the cluster changes, and pods that are no ordinary ones.

use std::process::Command;

use kube_router::config::NetpolBackend;

use crate::lab::Joint;
use crate::namespaces::feed;
use crate::policy_cluster::{
    NODE_V4, NODE_V6, block, ip, labels, namespace, namespaces, pod, policy, rule, same_namespace,
    selector, tcp,
};
use crate::stage::{
    BANK, BRIDGE, DB, FAR, HERE, OUT, SCTP, Stage, TCP, UDP, UNKNOWN, WEB, app, long, no, on_both,
    yes,
};

fn from_web() -> Option<Vec<kube_router::model::PolicyRule>> {
    Some(vec![rule(Some(vec![same_namespace(app("web"))]), None)])
}

#[test]
fn labels_of_pods_and_namespaces_take_effect_at_once() {
    on_both(Joint::Routed, |stage| {
        let team_b = namespaces(selector(&[("team", "b")]), Default::default());
        stage.policies(vec![
            policy("shop/db", app("db"), from_web(), None),
            policy("shop/far", app("far"), Some(vec![]), Some(vec![])),
            policy(
                "bank/web",
                app("web"),
                None,
                Some(vec![rule(Some(vec![team_b]), None)]),
            ),
        ]);
        stage.expect(&[
            yes(WEB, DB, TCP, 80),
            no(BANK, DB, TCP, 80),
            no(BANK, FAR, TCP, 80),
        ]);
        // A peer.
        stage.set_labels("shop/web", labels(&[("app", "other")]));
        stage.expect(&[no(WEB, DB, TCP, 80)]);
        stage.set_labels("shop/far", labels(&[("app", "web")]));
        stage.expect(&[yes(FAR, DB, TCP, 80), no(WEB, DB, TCP, 80)]);
        // The pod that is isolated.
        stage.set_labels("shop/db", labels(&[]));
        stage.expect(&[yes(WEB, DB, TCP, 80), yes(OUT, DB, UDP, 53)]);
        stage.set_labels("shop/db", labels(&[("app", "db")]));
        stage.expect(&[no(WEB, DB, TCP, 80), no(OUT, DB, UDP, 53)]);
        // A namespace.
        stage.cluster.namespaces[0] = namespace("shop", &[("team", "b")]);
        stage.expect(&[yes(BANK, WEB, TCP, 80), yes(BANK, FAR, UDP, 53)]);
        stage.cluster.namespaces[0] = namespace("shop", &[]);
        stage.expect(&[no(BANK, WEB, TCP, 80)]);
        stage.driver.audit();
    });
}

#[test]
fn a_policy_that_is_changed_or_deleted_has_no_say_any_more() {
    on_both(Joint::Routed, |stage| {
        stage.policies(vec![policy("shop/db", app("db"), Some(vec![]), None)]);
        stage.expect(&[no(WEB, DB, TCP, 80), no(OUT, DB, TCP, 80)]);
        stage.policies(vec![policy("shop/db", app("db"), from_web(), None)]);
        stage.expect(&[yes(WEB, DB, TCP, 80), no(OUT, DB, TCP, 80)]);
        let to_web = vec![rule(Some(vec![same_namespace(app("web"))]), None)];
        stage.policies(vec![policy("shop/db", app("db"), None, Some(to_web))]);
        stage.expect(&[
            yes(OUT, DB, TCP, 80),
            no(DB, OUT, TCP, 80),
            yes(DB, WEB, TCP, 80),
        ]);
        stage.policies(vec![]);
        stage.expect(&[
            yes(WEB, DB, TCP, 80),
            yes(OUT, DB, TCP, 80),
            yes(DB, OUT, TCP, 80),
        ]);
        stage.driver.audit();
    });
}

#[test]
fn frames_between_ports_of_a_bridge_are_judged_and_neighbours_still_found() {
    on_both(Joint::Bridged, |stage| {
        stage.policies(vec![
            policy("shop/deny", Default::default(), Some(vec![]), Some(vec![])),
            policy("shop/db", app("db"), from_web(), None),
            policy(
                "shop/web",
                app("web"),
                None,
                Some(vec![rule(None, Some(vec![tcp(80, 80)]))]),
            ),
        ]);
        let lines = [
            yes(WEB, DB, TCP, 80),
            no(WEB, DB, TCP, 81),
            no(DB, WEB, TCP, 80),
            no(BANK, DB, TCP, 80),
            yes(WEB, OUT, TCP, 80),
            no(OUT, WEB, TCP, 80),
            yes(HERE, DB, TCP, 80),
            no(DB, HERE, TCP, 80),
        ];
        stage.expect(&lines);
        // Nobody knows anybody's link address: solicitations have to pass.
        for place in &stage.lab.places {
            place.enter();
            feed(&["ip", "-batch", "-"], "neigh flush all\n");
        }
        stage.lab.node().enter();
        stage.still(&lines);
    });
}

#[test]
fn pods_of_the_host_network_are_left_alone() {
    on_both(Joint::Routed, |stage| {
        let mut host = pod("shop/host", &[NODE_V4, NODE_V6], &[("app", "db")]);
        host.host_network = true;
        stage.cluster.pods.push(host);
        let deny = policy("shop/deny", Default::default(), Some(vec![]), Some(vec![]));
        stage.policies(vec![deny]);
        stage.expect(&[
            yes(OUT, HERE, TCP, 80),
            yes(HERE, OUT, TCP, 80),
            yes(BANK, HERE, TCP, 80),
            yes(HERE, WEB, TCP, 80),
            no(WEB, HERE, TCP, 80),
        ]);
        // Nor does a selector of pods mean the node.
        let to_db = vec![rule(Some(vec![same_namespace(app("db"))]), None)];
        stage.policies(vec![policy("shop/web", app("web"), None, Some(to_db))]);
        stage.expect(&[no(WEB, HERE, TCP, 80), yes(WEB, DB, TCP, 80)]);
    });
}

#[test]
fn a_finished_pod_gives_its_address_back() {
    on_both(Joint::Routed, |stage| {
        stage.policies(vec![policy("shop/db", app("db"), from_web(), None)]);
        stage.expect(&[yes(WEB, DB, TCP, 80), no(OUT, DB, TCP, 80)]);
        // A peer that has finished is no peer, though its address be used by others.
        stage.pod("shop/web").finished = true;
        stage.expect(&[no(WEB, DB, TCP, 80)]);
        let next = pod("bank/next", WEB, &[("app", "next")]);
        stage.cluster.pods.push(next);
        stage.expect(&[no(WEB, DB, TCP, 80)]);
        // An isolated pod that has finished isolates nobody.
        stage.pod("shop/db").finished = true;
        stage.expect(&[yes(OUT, DB, TCP, 80)]);
        let mut next = pod("bank/later", DB, &[("app", "db")]);
        next.created = 1;
        stage.cluster.pods.push(next);
        stage.expect(&[yes(OUT, DB, TCP, 80)]);
        stage.driver.audit();
    });
}

#[test]
fn names_and_labels_may_be_as_long_as_they_get() {
    on_both(Joint::Routed, |stage| {
        let (space, key) = (long("space-"), long("key-"));
        let pairs = [(&*key, &*long("value-"))];
        stage.cluster.namespaces.push(namespace(&space, &pairs));
        let name = |start| format!("{space}/{}", long(start));
        stage
            .cluster
            .pods
            .push(pod(&name("pod-"), &["10.42.0.6", "fd00:42:1::1"], &pairs));
        let one = namespaces(selector(&pairs), selector(&pairs));
        let rules = Some(vec![rule(Some(vec![one]), None)]);
        stage.policies(vec![
            policy("shop/db", app("db"), rules, None),
            policy(&name("policy-"), selector(&pairs), Some(vec![]), None),
            policy(
                &name("policy-2"),
                selector(&pairs),
                None,
                Some(vec![rule(None, None)]),
            ),
        ]);
        const LONG: &[&str] = &["10.42.0.6", "fd00:42:1::1"];
        stage.expect(&[
            yes(LONG, DB, TCP, 80),
            no(WEB, DB, TCP, 80),
            no(WEB, LONG, TCP, 80),
        ]);
    });
}

/// Chains and sets of ours that the kernel holds.
fn objects(backend: NetpolBackend) -> usize {
    let lines = |command: &[&str]| {
        let output = Command::new(command[0])
            .args(&command[1..])
            .output()
            .unwrap();
        assert!(output.status.success(), "{command:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| line.trim().to_owned())
            .collect::<Vec<_>>()
    };
    if backend == NetpolBackend::Nftables {
        let all = lines(&["nft", "list", "ruleset"]);
        let kinds = ["chain ", "set ", "map "];
        all.iter()
            .filter(|line| kinds.iter().any(|kind| line.starts_with(kind)))
            .count()
    } else {
        let own = |line: &&String| line.starts_with(":KUBE-");
        let chains = [lines(&["iptables-save"]), lines(&["ip6tables-save"])];
        let chains = chains.iter().map(|all| all.iter().filter(own).count());
        chains.sum::<usize>() + lines(&["ipset", "list", "-n"]).len()
    }
}

#[test]
fn nothing_piles_up_when_policies_come_and_go() {
    on_both(Joint::Routed, |stage| {
        let kept = policy("shop/db", app("db"), from_web(), None);
        stage.policies(vec![kept.clone()]);
        let lines = [yes(WEB, DB, TCP, 80), no(OUT, DB, TCP, 80)];
        stage.expect(&lines);
        let before = objects(stage.backend);
        for number in 1..=40_u16 {
            let name = format!("shop/policy-{number}");
            let peers = vec![block(&format!("203.0.113.{number}/32"), &[])];
            let rules = || Some(vec![rule(Some(peers.clone()), Some(vec![tcp(1, number)]))]);
            let one = policy(&name, Default::default(), rules(), rules());
            stage.policies(vec![kept.clone(), one]);
            stage.driver.bring(&stage.cluster);
        }
        stage.policies(vec![kept]);
        stage.expect(&lines);
        stage.driver.audit();
        assert_eq!(objects(stage.backend), before);
    });
}

fn default_deny(stage: &mut Stage<'_>) {
    stage.cluster.settings.default_deny = true;
}

#[test]
fn with_default_deny_unknown_addresses_of_the_range_are_closed_until_their_pod_is_known() {
    on_both(Joint::Routed, |stage| {
        default_deny(stage);
        stage.expect(&[
            no(OUT, UNKNOWN, TCP, 80),
            no(UNKNOWN, OUT, TCP, 80),
            no(WEB, UNKNOWN, UDP, 53),
            no(UNKNOWN, WEB, SCTP, 80),
            no(UNKNOWN, HERE, TCP, 80),
            yes(HERE, UNKNOWN, TCP, 80),
            yes(WEB, OUT, TCP, 80),
            yes(OUT, WEB, TCP, 80),
            // The node's own address of the range (D14).
            yes(BRIDGE, WEB, TCP, 80),
            yes(WEB, BRIDGE, TCP, 80),
            yes(BRIDGE, UNKNOWN, TCP, 80),
        ]);
        // The pod comes with its policy: what nobody allows was never open.
        stage.policies(vec![policy("shop/new", app("new"), from_web(), None)]);
        stage
            .cluster
            .pods
            .push(pod("shop/new", UNKNOWN, &[("app", "new")]));
        stage.expect(&[
            yes(WEB, UNKNOWN, TCP, 80),
            no(OUT, UNKNOWN, TCP, 80),
            no(FAR, UNKNOWN, TCP, 80),
            yes(UNKNOWN, OUT, TCP, 80),
        ]);
        stage.cluster.pods.pop();
        stage.expect(&[no(WEB, UNKNOWN, TCP, 80), no(UNKNOWN, OUT, TCP, 80)]);
    });
}

#[test]
fn a_namespace_of_the_beta_isolates_its_pods() {
    on_both(Joint::Routed, |stage| {
        stage.cluster.namespaces[0].default_deny = true;
        stage.expect(&[
            no(OUT, WEB, TCP, 80),
            no(WEB, DB, TCP, 80),
            yes(WEB, OUT, TCP, 80),
            yes(WEB, BANK, TCP, 80),
        ]);
        stage.policies(vec![policy("shop/db", app("db"), from_web(), None)]);
        stage.expect(&[yes(WEB, DB, TCP, 80), no(FAR, DB, TCP, 80)]);
    });
}

#[test]
fn of_two_pods_with_one_address_the_younger_counts() {
    on_both(Joint::Routed, |stage| {
        stage.policies(vec![policy("shop/db", app("db"), from_web(), None)]);
        let mut younger = pod("bank/younger", WEB, &[("app", "web")]);
        younger.created = 7;
        assert_eq!(younger.addresses, [ip(WEB[0]), ip(WEB[1])]);
        stage.cluster.pods.push(younger);
        stage.expect(&[no(WEB, DB, TCP, 80)]);
        stage.cluster.pods.pop();
        stage.expect(&[yes(WEB, DB, TCP, 80)]);
    });
}
