//! What a policy means, case by case: the scenarios of upstream's end-to-end tests, the examples
//! of the Kubernetes documentation, and what upstream got wrong.

use kube_router::model::{Peer, Requirement, Selector};

use crate::lab::Joint;
use crate::policy_cluster::{
    block, named, namespaces, policy, rule, same_namespace, selector, tcp, whole,
};
use crate::stage::{
    BANK, DB, FAR, HERE, OTHER_OUT, OUT, SCTP, TCP, UDP, WEB, app, no, on_both, yes,
};

fn everybody() -> Selector {
    Selector::default()
}

#[test]
fn without_policies_everything_passes() {
    on_both(Joint::Routed, |stage| {
        stage.expect(&[
            yes(WEB, DB, TCP, 80),
            yes(OUT, WEB, UDP, 53),
            yes(WEB, OUT, SCTP, 80),
            yes(HERE, WEB, TCP, 80),
            yes(WEB, HERE, TCP, 80),
            yes(FAR, OUT, TCP, 80),
        ]);
    });
}

#[test]
fn default_deny_of_ingress_closes_one_direction_of_one_namespace() {
    on_both(Joint::Routed, |stage| {
        stage.policies(vec![policy("shop/deny", everybody(), Some(vec![]), None)]);
        stage.expect(&[
            no(WEB, DB, TCP, 80),
            no(BANK, DB, UDP, 53),
            no(FAR, DB, SCTP, 80),
            no(OUT, WEB, TCP, 80),
            // The node reaches its own pods, pods reach out and get their answers.
            yes(HERE, WEB, TCP, 80),
            yes(WEB, OUT, TCP, 80),
            yes(WEB, OUT, UDP, 53),
            yes(WEB, HERE, TCP, 80),
            yes(WEB, BANK, TCP, 80),
        ]);
    });
}

#[test]
fn default_deny_of_egress_closes_the_other_direction_towards_the_node_as_well() {
    on_both(Joint::Routed, |stage| {
        stage.policies(vec![policy("shop/deny", everybody(), None, Some(vec![]))]);
        stage.expect(&[
            no(WEB, DB, TCP, 80),
            no(WEB, BANK, UDP, 53),
            no(DB, OUT, SCTP, 80),
            no(WEB, FAR, TCP, 80),
            // A listener of the node is no Service, whatever its port (D18).
            no(WEB, HERE, TCP, 80),
            no(WEB, HERE, TCP, 30080),
            no(WEB, HERE, UDP, 30080),
            yes(HERE, WEB, TCP, 80),
            yes(BANK, WEB, TCP, 80),
            yes(OUT, WEB, UDP, 53),
            yes(BANK, HERE, TCP, 80),
        ]);
    });
}

#[test]
fn peers_are_chosen_by_pods_by_namespaces_and_by_both() {
    on_both(Joint::Routed, |stage| {
        let ingress = |peer: Peer| {
            let rules = vec![rule(Some(vec![peer]), None)];
            vec![policy("shop/db", app("db"), Some(rules), None)]
        };
        stage.policies(ingress(same_namespace(app("web"))));
        stage.expect(&[
            yes(WEB, DB, TCP, 80),
            no(BANK, DB, TCP, 80),
            no(FAR, DB, TCP, 80),
            no(OUT, DB, UDP, 53),
        ]);
        stage.policies(ingress(namespaces(selector(&[("team", "a")]), everybody())));
        stage.expect(&[
            yes(WEB, DB, TCP, 80),
            yes(FAR, DB, UDP, 53),
            no(BANK, DB, TCP, 80),
        ]);
        stage.policies(ingress(namespaces(selector(&[("team", "b")]), app("web"))));
        stage.expect(&[
            no(WEB, DB, TCP, 80),
            no(FAR, DB, TCP, 80),
            yes(BANK, DB, SCTP, 80),
        ]);
        let not_b = Requirement::NotIn("team".into(), ["b".into()].into());
        let labelled = Requirement::Exists("app".into());
        let peer = namespaces(
            [not_b].into_iter().collect(),
            [labelled].into_iter().collect(),
        );
        stage.policies(ingress(peer));
        stage.expect(&[
            yes(WEB, DB, TCP, 80),
            yes(FAR, DB, TCP, 80),
            no(BANK, DB, TCP, 80),
        ]);
        stage.policies(ingress(namespaces(everybody(), everybody())));
        stage.expect(&[
            yes(WEB, DB, TCP, 80),
            yes(BANK, DB, TCP, 80),
            no(OUT, DB, TCP, 80),
        ]);
    });
}

#[test]
fn a_block_admits_all_but_its_own_exceptions() {
    on_both(Joint::Routed, |stage| {
        let to = |peers| {
            let rules = vec![rule(Some(peers), None)];
            vec![policy("shop/web", app("web"), None, Some(rules))]
        };
        stage.policies(to(vec![
            block("203.0.113.0/24", &[]),
            block("2001:db8::/32", &[]),
        ]));
        stage.expect(&[
            yes(WEB, OUT, TCP, 80),
            no(WEB, OTHER_OUT, TCP, 80),
            no(WEB, DB, UDP, 53),
        ]);
        // One block's exception is no other block's (D6).
        stage.policies(to(vec![
            block("10.42.0.0/16", &["10.42.0.0/30"]),
            block("10.42.0.2/32", &[]),
            block("fd00:42::/32", &["fd00:42::/126"]),
            block("fd00:42::2/128", &[]),
        ]));
        stage.expect(&[
            yes(WEB, DB, TCP, 80),
            yes(WEB, BANK, TCP, 80),
            yes(WEB, FAR, UDP, 53),
            no(WEB, OUT, TCP, 80),
        ]);
        stage.policies(to(vec![
            block("10.42.0.0/16", &["10.42.0.0/30"]),
            block("fd00:42::/32", &["fd00:42::/126"]),
        ]));
        stage.expect(&[no(WEB, DB, TCP, 80), yes(WEB, BANK, TCP, 80)]);
        // Of length zero, in both families (D5).
        stage.policies(to(vec![
            block("0.0.0.0/0", &["10.42.0.0/16"]),
            block("::/0", &["fd00:42::/32"]),
        ]));
        stage.expect(&[
            yes(WEB, OUT, TCP, 80),
            yes(WEB, HERE, TCP, 80),
            yes(WEB, OTHER_OUT, UDP, 53),
            no(WEB, DB, TCP, 80),
            no(WEB, FAR, SCTP, 80),
        ]);
    });
}

#[test]
fn one_family_says_nothing_of_the_other() {
    on_both(Joint::Routed, |stage| {
        const V4: &[&str] = &["10.42.0.2"];
        const V6: &[&str] = &["fd00:42::2"];
        let from = |peer| {
            let rules = vec![rule(Some(vec![peer]), None)];
            vec![policy("shop/db", app("db"), Some(rules), None)]
        };
        stage.policies(from(block("0.0.0.0/0", &[])));
        stage.expect(&[yes(WEB, V4, TCP, 80), no(WEB, V6, TCP, 80)]);
        stage.policies(from(block("::/0", &[])));
        stage.expect(&[no(WEB, V4, TCP, 80), yes(WEB, V6, TCP, 80)]);
        stage.policies(from(block("fd00:42::1/128", &[])));
        stage.expect(&[
            no(WEB, V4, TCP, 80),
            yes(WEB, V6, UDP, 53),
            no(BANK, V6, UDP, 53),
        ]);
    });
}

#[test]
fn ports_are_numbers_ranges_names_or_a_protocol_alone() {
    on_both(Joint::Routed, |stage| {
        let on = |ports| {
            let rules = vec![rule(None, Some(ports))];
            vec![policy("shop/db", app("db"), Some(rules), None)]
        };
        stage.policies(on(vec![tcp(80, 80)]));
        stage.expect(&[
            yes(WEB, DB, TCP, 80),
            no(WEB, DB, TCP, 81),
            no(WEB, DB, UDP, 80),
            no(WEB, DB, SCTP, 80),
        ]);
        stage.policies(on(vec![tcp(79, 82)]));
        stage.expect(&[
            no(WEB, DB, TCP, 78),
            yes(WEB, DB, TCP, 79),
            yes(OUT, DB, TCP, 82),
            no(WEB, DB, TCP, 86),
            no(WEB, DB, UDP, 80),
        ]);
        stage.policies(on(vec![
            named(TCP, "sql"),
            named(UDP, "dns"),
            named(SCTP, "sig"),
        ]));
        stage.expect(&[
            yes(WEB, DB, TCP, 5432),
            yes(WEB, DB, UDP, 53),
            yes(WEB, DB, SCTP, 80),
            no(WEB, DB, TCP, 53),
            no(WEB, DB, UDP, 5432),
            no(WEB, DB, TCP, 8080),
        ]);
        stage.policies(on(vec![whole(UDP)]));
        stage.expect(&[
            yes(WEB, DB, UDP, 1),
            yes(WEB, DB, UDP, 65535),
            no(WEB, DB, TCP, 80),
            no(WEB, DB, SCTP, 80),
        ]);
    });
}

#[test]
fn a_port_name_that_nobody_has_admits_nothing() {
    on_both(Joint::Routed, |stage| {
        let ports = vec![named(TCP, "nobody-has-it"), named(UDP, "sql")];
        let peers = vec![same_namespace(app("web"))];
        let rules = vec![rule(Some(peers), Some(ports))];
        stage.policies(vec![policy("shop/db", app("db"), Some(rules), None)]);
        stage.expect(&[
            no(WEB, DB, TCP, 80),
            no(WEB, DB, TCP, 5432),
            no(WEB, DB, UDP, 5432),
            no(WEB, DB, SCTP, 80),
        ]);
    });
}

#[test]
fn port_names_of_egress_are_those_of_the_pods_that_are_reached() {
    on_both(Joint::Routed, |stage| {
        let to = |peers| {
            let rules = vec![rule(peers, Some(vec![named(TCP, "sql")]))];
            vec![policy("shop/web", app("web"), None, Some(rules))]
        };
        let lines = [
            yes(WEB, DB, TCP, 5432),
            yes(WEB, FAR, TCP, 8080),
            no(WEB, DB, TCP, 8080),
            no(WEB, FAR, TCP, 5432),
            no(WEB, OUT, TCP, 5432),
            no(WEB, BANK, TCP, 8080),
        ];
        // To whom it may concern, and to pods in a block (D3, D4).
        stage.policies(to(None));
        stage.expect(&lines);
        stage.policies(to(Some(vec![
            block("10.42.0.0/16", &[]),
            block("fd00:42::/32", &[]),
        ])));
        stage.expect(&lines);
        stage.policies(to(Some(vec![namespaces(everybody(), everybody())])));
        stage.expect(&lines);
    });
}

#[test]
fn an_empty_rule_admits_everything_and_an_empty_list_nothing() {
    on_both(Joint::Routed, |stage| {
        let all = || Some(vec![rule(None, None)]);
        stage.policies(vec![policy("shop/all", everybody(), all(), all())]);
        stage.expect(&[
            yes(OUT, WEB, TCP, 80),
            yes(WEB, OUT, SCTP, 80),
            yes(BANK, DB, UDP, 53),
        ]);
        stage.policies(vec![policy(
            "shop/none",
            everybody(),
            Some(vec![]),
            Some(vec![]),
        )]);
        stage.expect(&[
            no(OUT, WEB, TCP, 80),
            no(WEB, OUT, SCTP, 80),
            no(BANK, DB, UDP, 53),
            no(WEB, DB, TCP, 80),
            yes(HERE, DB, TCP, 80),
        ]);
    });
}

#[test]
fn rules_and_policies_add_up() {
    on_both(Joint::Routed, |stage| {
        let from = |peer, port| rule(Some(vec![peer]), Some(vec![tcp(port, port)]));
        let web = from(same_namespace(app("web")), 80);
        let far = from(same_namespace(app("far")), 81);
        let bank = from(namespaces(selector(&[("team", "b")]), everybody()), 82);
        stage.policies(vec![
            policy("shop/deny", everybody(), Some(vec![]), None),
            policy("shop/one", app("db"), Some(vec![web, far]), None),
            policy("shop/two", app("db"), Some(vec![bank]), None),
        ]);
        stage.expect(&[
            yes(WEB, DB, TCP, 80),
            no(WEB, DB, TCP, 81),
            no(WEB, DB, TCP, 82),
            yes(FAR, DB, TCP, 81),
            no(FAR, DB, TCP, 80),
            yes(BANK, DB, TCP, 82),
            no(BANK, DB, TCP, 80),
            no(DB, WEB, TCP, 80),
        ]);
    });
}

#[test]
fn rules_of_one_direction_admit_nothing_in_the_other() {
    on_both(Joint::Routed, |stage| {
        let peers = |block: Peer| Some(vec![rule(Some(vec![block]), Some(vec![tcp(80, 80)]))]);
        let (inward, outward) = (same_namespace(app("web")), same_namespace(app("far")));
        let both = policy("shop/db", app("db"), peers(inward), peers(outward));
        stage.policies(vec![both]);
        // Upstream lets ingress rules satisfy egress and the other way round (D1).
        stage.expect(&[
            yes(WEB, DB, TCP, 80),
            yes(DB, FAR, TCP, 80),
            no(DB, WEB, TCP, 80),
            no(FAR, DB, TCP, 80),
            no(WEB, DB, TCP, 81),
            no(DB, FAR, TCP, 81),
        ]);
        // Both ends have to agree.
        let out = policy("shop/out", app("web"), None, Some(vec![]));
        stage.cluster.policies.push(out);
        stage.expect(&[no(WEB, DB, TCP, 80), yes(DB, FAR, TCP, 80)]);
    });
}

/// The first example of the documentation's page on network policies.
#[test]
fn the_example_of_the_documentation_does_what_it_says() {
    on_both(Joint::Routed, |stage| {
        let from = vec![
            block("10.42.0.0/16", &["10.42.1.0/24"]),
            namespaces(selector(&[("team", "b")]), everybody()),
            same_namespace(app("web")),
        ];
        let ingress = rule(Some(from), Some(vec![tcp(5432, 5432)]));
        let egress = rule(
            Some(vec![block("203.0.113.0/24", &[])]),
            Some(vec![tcp(8080, 8080)]),
        );
        let db = policy(
            "shop/test",
            app("db"),
            Some(vec![ingress]),
            Some(vec![egress]),
        );
        stage.policies(vec![db]);
        stage.expect(&[
            yes(WEB, DB, TCP, 5432),
            yes(BANK, DB, TCP, 5432),
            no(FAR, DB, TCP, 5432),
            no(OUT, DB, TCP, 5432),
            no(WEB, DB, TCP, 80),
            yes(DB, &["203.0.113.9"], TCP, 8080),
            no(DB, &["203.0.113.9"], TCP, 80),
            no(DB, OTHER_OUT, TCP, 8080),
            no(DB, WEB, TCP, 8080),
        ]);
    });
}
