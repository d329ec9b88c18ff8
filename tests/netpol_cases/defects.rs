//! The defects of upstream that concern what policies mean.

use std::sync::Arc;

use kube_router::firewall::{Action, Match};
use kube_router::model::{ObjectName, Peer, Selector};
use kube_router::net::Protocol;
use kube_router::netpol::plan::{Flow, LOCAL_PODS};
use kube_router::netpol::{Input, Plan};

use crate::ask::{expect, expect_of, packet, passes, planned};
use crate::policy_cluster::{
    Cluster, block, labels, named, namespace, namespaces, pod, policy, port, prefix, remote, rule,
    same_namespace, selector, tcp,
};
use crate::scenarios::cluster;

fn everything() -> Selector {
    Selector::default()
}

#[test]
fn d1_a_policy_of_both_types_lets_no_direction_answer_for_the_other() {
    let mut cluster = cluster();
    let open = Some(vec![rule(None, None)]);
    cluster.policies = vec![policy(
        "shop/both",
        everything(),
        open.clone(),
        Some(vec![]),
    )];
    expect(
        &cluster,
        &["10.42.1.4 > 10.42.0.1 tcp/80"],
        &[
            "10.42.0.1 > 10.42.0.2 tcp/80",
            "10.42.0.1 > 10.42.1.4 tcp/80",
        ],
    );
    cluster.policies = vec![policy("shop/both", everything(), Some(vec![]), open)];
    expect(
        &cluster,
        &["10.42.0.1 > 10.42.1.4 tcp/80"],
        &[
            "10.42.0.1 > 10.42.0.2 tcp/80",
            "10.42.1.4 > 10.42.0.1 tcp/80",
        ],
    );
}

#[test]
fn d2_a_name_that_no_pod_has_is_no_port_rather_than_every_port() {
    let ports = Some(vec![named(Protocol::Tcp, "nothing")]);
    for peers in [
        None,
        Some(vec![same_namespace(everything())]),
        Some(vec![block("0.0.0.0/0", &[])]),
    ] {
        let rules = Some(vec![rule(peers, ports.clone())]);
        let mut cluster = cluster();
        cluster.policies = vec![policy("shop/in", everything(), rules.clone(), None)];
        expect(
            &cluster,
            &[],
            &[
                "10.42.0.2 > 10.42.0.1 tcp/80",
                "10.42.0.2 > 10.42.0.1 tcp/0",
            ],
        );
        cluster.policies = vec![policy("shop/out", everything(), None, rules)];
        expect(
            &cluster,
            &[],
            &[
                "10.42.0.2 > 10.42.0.1 tcp/80",
                "10.42.0.2 > 203.0.113.1 tcp/0",
            ],
        );
    }
}

#[test]
fn d3_each_pod_is_open_on_its_own_number_of_a_name() {
    let mut cluster = cluster();
    cluster.pods[0].ports = vec![
        port("web", Protocol::Tcp, 80),
        port("web", Protocol::Udp, 81),
    ];
    cluster.pods[1].ports = vec![port("web", Protocol::Tcp, 8080)];
    let ports = Some(vec![named(Protocol::Tcp, "web")]);
    let rules = Some(vec![rule(None, ports)]);
    cluster.policies = vec![policy("shop/in", everything(), rules.clone(), None)];
    let lists: (&[&str], &[&str]) = (
        &[
            "10.42.1.3 > 10.42.0.1 tcp/80",
            "10.42.1.3 > 10.42.0.2 tcp/8080",
        ],
        &[
            "10.42.1.3 > 10.42.0.1 tcp/8080",
            "10.42.1.3 > 10.42.0.2 tcp/80",
            "10.42.1.3 > 10.42.0.1 udp/81",
        ],
    );
    expect(&cluster, lists.0, lists.1);
    // What goes out is told by the pods it goes to.
    cluster.pods[2].node = Some("here".into());
    cluster.policies = vec![policy("shop/out", selector(&[("tier", "x")]), None, rules)];
    expect(&cluster, lists.0, lists.1);
}

#[test]
fn d4_what_goes_out_by_name_to_blocks_or_anywhere_reaches_the_pods_that_have_the_name() {
    let mut cluster = cluster();
    cluster.pods[2].ports = vec![port("api", Protocol::Tcp, 81)];
    cluster.pods[3].ports = vec![port("api", Protocol::Tcp, 82)];
    let ports = Some(vec![named(Protocol::Tcp, "api")]);
    let peers = Some(vec![block("10.42.0.0/16", &["10.42.1.4/32"])]);
    cluster.policies = vec![policy(
        "shop/out",
        everything(),
        None,
        Some(vec![rule(peers, ports.clone())]),
    )];
    expect(
        &cluster,
        &["10.42.0.1 > 10.42.1.3 tcp/81"],
        &[
            "10.42.0.1 > 10.42.1.3 tcp/82",
            "10.42.0.1 > 10.42.1.4 tcp/82",
            "10.42.0.1 > 10.42.0.2 tcp/81",
            "10.42.0.1 > 203.0.113.1 tcp/81",
        ],
    );
    cluster.policies = vec![policy(
        "shop/out",
        everything(),
        None,
        Some(vec![rule(None, ports)]),
    )];
    expect(
        &cluster,
        &[
            "10.42.0.1 > 10.42.1.3 tcp/81",
            "10.42.0.1 > 10.42.1.4 tcp/82",
        ],
        &[
            "10.42.0.1 > 10.42.1.4 tcp/81",
            "10.42.0.1 > 203.0.113.1 tcp/81",
        ],
    );
}

#[test]
fn d5_a_block_of_everything_is_everything_of_its_family() {
    let mut cluster = cluster();
    let peers = vec![block("::/0", &[]), block("0.0.0.0/0", &[])];
    let rules = Some(vec![rule(Some(peers), None)]);
    cluster.policies = vec![policy("shop/in", everything(), rules.clone(), rules)];
    expect(
        &cluster,
        &[
            "fc00::1 > fd00:42::1 tcp/80",
            "fe80::1 > fd00:42::1 tcp/80",
            "fd00:42::1 > ff02::1 udp/80",
            "fd00:42::1 > 1::1 udp/80",
            "255.255.255.254 > 10.42.0.1 tcp/80",
            "10.42.0.1 > 1.0.0.1 tcp/80",
        ],
        &[],
    );
    // No set of the kernel takes a prefix of length 0.
    let plan = planned(&cluster);
    for member in plan
        .wanted()
        .members
        .iter()
        .flat_map(|(_, members)| members)
    {
        if let kube_router::firewall::Member::Prefix(prefix) = member {
            assert!(prefix.prefix_len() > 0);
        }
    }
}

#[test]
fn d6_an_exception_counts_for_its_own_block() {
    let mut cluster = cluster();
    let peers = vec![
        block("203.0.113.0/24", &["203.0.113.0/28"]),
        block("203.0.113.8/29", &["203.0.113.12/32"]),
        block("2001:db8::/32", &["2001:db8::/33"]),
        block("2001:db8::1/128", &[]),
    ];
    let rules = Some(vec![rule(Some(peers), None)]);
    cluster.policies = vec![policy("shop/in", everything(), rules, None)];
    expect(
        &cluster,
        &[
            "203.0.113.8 > 10.42.0.1 tcp/80",
            "203.0.113.16 > 10.42.0.1 tcp/80",
            "2001:db8::1 > fd00:42::1 tcp/80",
        ],
        &[
            "203.0.113.7 > 10.42.0.1 tcp/80",
            "203.0.113.12 > 10.42.0.1 tcp/80",
            "2001:db8::2 > fd00:42::1 tcp/80",
        ],
    );
}

#[test]
fn d8_d10_d11_what_concerns_no_pod_of_this_node_moves_nothing() {
    let mut cluster = cluster();
    let peers = Some(vec![same_namespace(selector(&[("app", "web")]))]);
    let rules = Some(vec![rule(peers, None)]);
    cluster.policies = vec![policy("shop/in", everything(), rules.clone(), None)];
    let mut plan = planned(&cluster);
    settle(&mut plan);
    let elsewhere = namespaces(everything(), everything());
    let more = Some(vec![rule(Some(vec![elsewhere]), None)]);
    cluster
        .policies
        .push(policy("lab/in", everything(), more, None));
    cluster
        .pods
        .push(remote(pod("lab/new", &["10.42.1.9"], &[("app", "web")])));
    // Equal objects behind new identities, and a chain of veths as the node sees it.
    let mut input = cluster.input();
    let mut facts = (*input.facts).clone();
    facts.links.push("veth1".into());
    input.facts = Arc::new(facts);
    plan.update(&input);
    assert_eq!(plan.counts().policies, 2);
    assert_eq!(plan.counts().policies_here, 1);
    assert_eq!(plan.counts().groups, 1);
    assert_untouched(&plan);
}

fn settle(plan: &mut Plan) {
    let wanted = plan.wanted_mut();
    wanted.chains.settle_all();
    wanted.targets.settle_all();
    let keys: Vec<_> = wanted.members.touched().keys().copied().collect();
    keys.iter().for_each(|key| wanted.members.settle(key));
}

#[track_caller]
fn assert_untouched(plan: &Plan) {
    assert!(plan.wanted().chains.touched().is_empty());
    assert!(plan.wanted().targets.touched().is_empty());
    assert!(plan.wanted().members.touched().is_empty());
}

#[test]
fn d14_addresses_of_the_range_that_are_no_pods_are_refused_except_the_nodes_own() {
    let mut cluster = cluster();
    cluster.settings.default_deny = true;
    let gateway = "10.42.0.254";
    let mut input = cluster.input();
    let mut facts = (*input.facts).clone();
    let mut bridge = facts.addresses[0].clone();
    bridge.address = gateway.parse().unwrap();
    facts.addresses.push(bridge);
    facts.addresses.sort_by_key(|one| one.address);
    input.facts = Arc::new(facts);
    let mut plan = Plan::default();
    plan.update(&input);
    let ask = |line: &str, to_node: bool| {
        let mut packet = packet(line);
        if to_node {
            packet.to_node = true;
            packet.hook = kube_router::firewall::Hook::Input;
        }
        kube_router::firewall::walk(plan.wanted(), &packet).0
    };
    use kube_router::firewall::Verdict::{Accept, Reject};
    assert_eq!(ask("10.42.0.1 > 10.42.0.254 tcp/80", true), Accept);
    assert_eq!(ask("10.42.0.1 > 10.42.1.3 tcp/80", false), Accept);
    assert_eq!(ask("10.42.1.3 > 10.42.0.1 tcp/80", false), Accept);
    for line in [
        "10.42.0.99 > 10.42.1.3 tcp/80",
        "10.42.1.3 > 10.42.0.99 tcp/80",
        "10.42.0.1 > 10.42.0.99 tcp/80",
        "fd00:42::99 > 2001:db8::1 tcp/80",
    ] {
        assert_eq!(ask(line, false), Reject, "{line}");
    }
    assert_eq!(ask("10.42.0.99 > 192.168.7.1 tcp/22", true), Reject);
    assert_eq!(ask("192.168.7.1 > 10.42.0.99 tcp/80", false), Accept);
    let neighbour = kube_router::firewall::IcmpType::NeighbourSolicitation;
    let mut solicitation = packet("fd00:42::99 > fd00:42::1 ping");
    solicitation.payload = kube_router::firewall::Payload::Icmp(neighbour);
    assert!(passes(&cluster, &plan, &solicitation));
}

#[test]
fn d22_the_gate_lets_in_only_pods_whose_isolation_is_wanted() {
    let mut cluster = cluster();
    cluster.settings.default_deny = true;
    cluster.policies = vec![policy("shop/in", everything(), Some(vec![]), None)];
    let plan = planned(&cluster);
    let gate: Vec<String> = plan
        .wanted()
        .members
        .iter()
        .filter(|(key, _)| key.def == LOCAL_PODS)
        .flat_map(|(_, members)| members.iter().map(ToString::to_string))
        .collect();
    assert_eq!(gate.len(), 4);
    assert_eq!(plan.wanted().targets.len(), 4);
    assert_eq!(plan.wanted().gate, LOCAL_PODS);
    let closed = plan.wanted().chains.iter();
    let closed = closed.filter(|(key, _)| key.name == plan.wanted().closed);
    let actions: Vec<_> = closed.flat_map(|(_, chain)| &chain.rules).collect();
    assert!(actions.iter().all(|rule| rule.action == Action::RejectPort));
    assert_eq!(actions.len(), 2);
}

#[test]
fn d17_contents_that_read_alike_without_separators_have_other_names() {
    let name = |pods: &[(&str, &str)]| {
        let mut cluster = cluster();
        let peers = Some(vec![same_namespace(selector(pods))]);
        let rules = Some(vec![rule(peers, None)]);
        cluster.policies = vec![policy("shop/in", everything(), rules, None)];
        let plan = planned(&cluster);
        let (chain, _) = plan
            .isolation(&cluster.pods[0].name, Flow::Ingress)
            .unwrap();
        chain
    };
    let all = [
        name(&[("ab", "c")]),
        name(&[("a", "bc")]),
        name(&[("abc", "")]),
        name(&[("a", "b"), ("c", "")]),
        name(&[("a", ""), ("b", "c")]),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[..at].contains(one), "{one}");
        assert_eq!(one.as_str().len(), "KUBE-NWPLCY-".len() + 16);
    }
    // The same again has the same name, on every node and in every version.
    assert_eq!(all[0], name(&[("ab", "c")]));
    assert_eq!(all[0].as_str(), "KUBE-NWPLCY-TYQDAGGV3EXXMWWJ");
}

#[test]
fn d18_only_what_ipvs_serves_is_left_out_on_the_way_in() {
    let mut cluster = cluster();
    cluster.policies = vec![policy("shop/out", everything(), None, Some(vec![]))];
    let plan = planned(&cluster);
    let mut local = packet("10.42.0.1 > 192.168.7.1 tcp/30080");
    assert!(!passes(&cluster, &plan, &local));
    local.served = true;
    assert!(passes(&cluster, &plan, &local));
}

#[test]
fn logs_stand_only_before_what_refuses() {
    let mut cluster = cluster();
    cluster.settings.log_drops = true;
    let rules = Some(vec![rule(None, Some(vec![tcp(80, 80)]))]);
    let open = Some(vec![rule(None, None)]);
    cluster.policies = vec![policy("shop/in", everything(), rules, open)];
    let plan = planned(&cluster);
    for (key, chain) in plan.wanted().chains.iter() {
        let logs = chain
            .rules
            .iter()
            .position(|rule| matches!(rule.action, Action::Log(_)));
        if let Some(at) = logs {
            assert_eq!(at, chain.rules.len() - 2, "{key:?}");
            let (_, end) = chain.name.as_str().rsplit_once('-').unwrap();
            let Action::Log(prefix) = chain.rules[at].action else {
                unreachable!("it was found by this");
            };
            // The direction that refused, and where: what the reader of the log goes by. Closed
            // is for those nobody knows: there is no direction to tell.
            let is_closed = chain.name == plan.wanted().closed;
            let expected = if is_closed {
                "closed:".to_owned()
            } else {
                format!("ingress:{end}")
            };
            assert_eq!(prefix.as_str(), expected);
        }
        let refuses = chain.rules.last().unwrap().action == Action::RejectPort;
        assert_eq!(logs.is_some(), refuses, "{key:?}");
    }
    expect_of(
        &cluster,
        &plan,
        &["10.42.1.3 > 10.42.0.1 tcp/80"],
        &["10.42.1.3 > 10.42.0.1 tcp/81"],
    );
}

#[test]
fn the_beta_annotation_isolates_a_namespace_for_what_comes_in() {
    let mut cluster = cluster();
    cluster.namespaces[0].default_deny = true;
    expect(
        &cluster,
        &["10.42.0.1 > 10.42.1.4 tcp/80"],
        &[
            "10.42.1.4 > 10.42.0.1 tcp/80",
            "10.42.0.2 > 10.42.0.1 tcp/80",
        ],
    );
    let rules = Some(vec![rule(None, Some(vec![tcp(80, 80)]))]);
    cluster.policies = vec![policy("shop/in", selector(&[("app", "db")]), rules, None)];
    expect(
        &cluster,
        &["10.42.1.4 > 10.42.0.1 tcp/80"],
        &[
            "10.42.1.4 > 10.42.0.1 tcp/81",
            "10.42.1.4 > 10.42.0.2 tcp/80",
        ],
    );
}

#[test]
fn a_chain_asks_a_packet_nothing_that_its_content_does_not_call_for() {
    let mut cluster = cluster();
    let peers: Vec<Peer> = vec![
        same_namespace(selector(&[("app", "web")])),
        namespaces(selector(&[("team", "b")]), everything()),
        block("203.0.113.0/24", &[]),
    ];
    let more: Vec<_> = (0..40)
        .map(|at| tcp(1000 + 2 * at, 1000 + 2 * at))
        .collect();
    let rules = Some(vec![
        rule(Some(peers.clone()), Some(more)),
        rule(Some(peers), Some(vec![tcp(80, 90)])),
    ]);
    cluster.policies = vec![policy("shop/in", everything(), rules, None)];
    let plan = planned(&cluster);
    let (chain, _) = plan
        .isolation(&cluster.pods[0].name, Flow::Ingress)
        .unwrap();
    for (key, chain) in plan
        .wanted()
        .chains
        .iter()
        .filter(|(key, _)| key.name == chain)
    {
        let sets = chain.rules.iter().flat_map(|rule| &rule.matches);
        let sets = sets
            .filter(|one| matches!(one, Match::InSet { .. }))
            .count();
        // Pods by port, pods on a range; blocks likewise, in their family.
        let wanted = if key.family == kube_router::net::Family::V4 {
            4
        } else {
            2
        };
        assert_eq!((sets, chain.rules.len()), (wanted, wanted + 1));
    }
}

#[test]
fn addresses_of_the_node_and_such_as_nobody_has_are_no_pods() {
    let mut cluster = Cluster {
        namespaces: vec![namespace("shop", &[])],
        pods: vec![
            pod("shop/liar", &["192.168.7.1", "127.0.0.1", "10.42.0.1"], &[]),
            pod("shop/younger", &["10.42.0.1"], &[]),
        ],
        policies: vec![policy("shop/in", everything(), Some(vec![]), Some(vec![]))],
        ..Cluster::default()
    };
    cluster.pods[1].created = 1;
    cluster.pods[1].labels = labels(&[("app", "x")]);
    let plan = planned(&cluster);
    let notes: Vec<String> = plan.notes().iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "Pod shop/liar: status.podIPs: the address 10.42.0.1 belongs to shop/younger, which is younger",
            "Pod shop/liar: status.podIPs: the address 127.0.0.1 can't be that of a pod",
            "Pod shop/liar: status.podIPs: the address 192.168.7.1 belongs to the node",
        ]
    );
    let at = plan.pod_at("10.42.0.1".parse().unwrap()).unwrap();
    assert_eq!(at.name, ObjectName::new("shop", "younger"));
    assert_eq!(plan.wanted().targets.len(), 2);
    let outside = packet("203.0.113.1 > 192.168.7.1 tcp/22");
    assert_eq!(
        kube_router::firewall::walk(plan.wanted(), &outside).0,
        kube_router::firewall::Verdict::Accept
    );
}

#[test]
fn another_ground_gives_another_plan_and_touches_only_the_difference() {
    let mut cluster = cluster();
    cluster.policies = vec![policy("shop/in", everything(), Some(vec![]), None)];
    let mut plan = planned(&cluster);
    settle(&mut plan);
    let mut input: Input = cluster.input();
    let mut facts = (*input.facts).clone();
    facts.pod_cidrs.push(prefix("10.43.0.0/24"));
    input.facts = Arc::new(facts);
    plan.update(&input);
    assert_untouched(&plan);
    cluster.settings.default_deny = true;
    plan.update(&cluster.input());
    let touched = plan.wanted().chains.touched();
    let touched: Vec<&str> = touched.iter().map(|key| key.name.as_str()).collect();
    assert!(touched.contains(&"KUBE-ROUTER-FORWARD"));
    assert!(!touched.iter().any(|name| name.starts_with("KUBE-NWPLCY-")));
    assert!(plan.wanted().members.touched().is_empty());
}
