//! What users do with policies.

use std::collections::BTreeSet;

use kube_router::firewall::Name;
use kube_router::model::{Peer, Pod, PolicyPort, PolicyRule, Requirement, Selector};
use kube_router::net::Protocol;
use kube_router::netpol::Plan;
use kube_router::netpol::plan::Flow;

use crate::ask::{expect, expect_of, passes, planned};
use crate::policy_cluster::{
    Cluster, block, labels, named, namespace, namespaces, pod, policy, port, remote, rule,
    same_namespace, selector, tcp, whole,
};

/// Two namespaces; `shop/db` and `shop/web` here, `shop/far` and `lab/probe` elsewhere.
pub(crate) fn cluster() -> Cluster {
    let mut db = pod("shop/db", &["10.42.0.1", "fd00:42::1"], &[("app", "db")]);
    db.ports = vec![port("sql", Protocol::Tcp, 5432)];
    let web = pod("shop/web", &["10.42.0.2", "fd00:42::2"], &[("app", "web")]);
    let far = &["10.42.1.3", "fd00:42:1::3"];
    let far = remote(pod("shop/far", far, &[("app", "web"), ("tier", "x")]));
    let probe = &["10.42.1.4", "fd00:42:1::4"];
    let probe = remote(pod("lab/probe", probe, &[("app", "web")]));
    Cluster {
        namespaces: vec![
            namespace("shop", &[("team", "a")]),
            namespace("lab", &[("team", "b")]),
        ],
        pods: vec![db, web, far, probe],
        ..Cluster::default()
    }
}

fn with_ingress(rules: Vec<PolicyRule>) -> Cluster {
    let mut cluster = cluster();
    let pods = selector(&[("app", "db")]);
    cluster.policies = vec![policy("shop/db", pods, Some(rules), None)];
    cluster
}

fn with_egress(rules: Vec<PolicyRule>) -> Cluster {
    let mut cluster = cluster();
    let pods = selector(&[("app", "db")]);
    cluster.policies = vec![policy("shop/db", pods, None, Some(rules))];
    cluster
}

fn from(peers: Vec<Peer>) -> Vec<PolicyRule> {
    vec![rule(Some(peers), None)]
}

fn on(ports: Vec<PolicyPort>) -> Vec<PolicyRule> {
    vec![rule(None, Some(ports))]
}

#[test]
fn without_policies_everything_passes() {
    let open = [
        "10.42.1.4 > 10.42.0.1 tcp/80",
        "10.42.0.1 > 203.0.113.1 proto/47",
        "fd00:42:1::4 > fd00:42::1 ping",
    ];
    expect(&cluster(), &open, &[]);
}

#[test]
fn default_deny_of_one_direction_leaves_the_other() {
    expect(
        &with_ingress(vec![]),
        &[
            "10.42.0.1 > 10.42.1.3 tcp/80",
            "10.42.1.3 > 10.42.0.2 tcp/80",
        ],
        &[
            "10.42.1.3 > 10.42.0.1 tcp/80",
            "10.42.0.2 > 10.42.0.1 tcp/80",
            "fd00:42:1::3 > fd00:42::1 udp/53",
            "203.0.113.1 > 10.42.0.1 ping",
        ],
    );
    expect(
        &with_egress(vec![]),
        &[
            "10.42.1.3 > 10.42.0.1 tcp/80",
            "10.42.0.2 > 10.42.1.3 tcp/80",
        ],
        &[
            "10.42.0.1 > 10.42.1.3 tcp/80",
            "10.42.0.1 > 192.168.7.1 tcp/22",
            "fd00:42::1 > fd00:7::1 udp/53",
            "10.42.0.1 > 203.0.113.1 proto/47",
        ],
    );
}

#[test]
fn the_node_replies_and_the_pod_itself_always_pass() {
    let mut cluster = with_ingress(vec![]);
    let egress = policy("shop/out", Selector::default(), None, Some(vec![]));
    cluster.policies.push(egress);
    expect(
        &cluster,
        &[
            "192.168.7.1 > 10.42.0.1 tcp/80",
            "fd00:7::1 > fd00:42::1 tcp/80",
            "10.42.0.1 > 10.42.0.1 tcp/80",
            "10.42.1.3 > 10.42.0.1 unreachable",
            "fd00:42:1::3 > fd00:42::1 too-big",
        ],
        &["10.42.0.1 > 10.42.0.2 tcp/80"],
    );
    let mut reply = crate::ask::packet("10.42.0.1 > 10.42.1.3 tcp/80");
    reply.tracked = kube_router::firewall::Tracked::Known;
    assert!(passes(&cluster, &planned(&cluster), &reply));
}

#[test]
fn peers_by_pod_by_namespace_and_by_both() {
    expect(
        &with_ingress(from(vec![same_namespace(selector(&[("app", "web")]))])),
        &[
            "10.42.0.2 > 10.42.0.1 tcp/80",
            "fd00:42:1::3 > fd00:42::1 ping",
        ],
        &[
            "10.42.1.4 > 10.42.0.1 tcp/80",
            "203.0.113.1 > 10.42.0.1 tcp/80",
        ],
    );
    let lab = selector(&[("team", "b")]);
    expect(
        &with_ingress(from(vec![namespaces(lab.clone(), Selector::default())])),
        &["10.42.1.4 > 10.42.0.1 tcp/80"],
        &[
            "10.42.0.2 > 10.42.0.1 tcp/80",
            "10.42.1.3 > 10.42.0.1 tcp/80",
        ],
    );
    let both = namespaces(selector(&[("team", "a")]), selector(&[("tier", "x")]));
    expect(
        &with_ingress(from(vec![both])),
        &["10.42.1.3 > 10.42.0.1 tcp/80"],
        &[
            "10.42.1.4 > 10.42.0.1 tcp/80",
            "10.42.0.2 > 10.42.0.1 tcp/80",
        ],
    );
    let nobody = namespaces(selector(&[("team", "c")]), Selector::default());
    let refused = [
        "10.42.1.3 > 10.42.0.1 tcp/80",
        "10.42.1.4 > 10.42.0.1 tcp/80",
    ];
    expect(&with_ingress(from(vec![nobody])), &[], &refused);
}

#[test]
fn every_operator_of_match_expressions() {
    let of = |one: Requirement| same_namespace([one].into_iter().collect());
    let (web, far) = (
        "10.42.0.2 > 10.42.0.1 tcp/80",
        "10.42.1.3 > 10.42.0.1 tcp/80",
    );
    for (requirement, pass, refused) in [
        (
            Requirement::In("tier".into(), ["x".into(), "y".into()].into()),
            &[far][..],
            &[web][..],
        ),
        (
            Requirement::NotIn("tier".into(), ["x".into()].into()),
            &[web],
            &[far],
        ),
        (Requirement::Exists("tier".into()), &[far], &[web]),
        (Requirement::DoesNotExist("tier".into()), &[web], &[far]),
    ] {
        expect(&with_ingress(from(vec![of(requirement)])), pass, refused);
    }
}

#[test]
fn blocks_with_and_without_exceptions_of_both_families() {
    let blocks = vec![
        block("203.0.113.0/24", &["203.0.113.64/26"]),
        block("2001:db8::/32", &["2001:db8:bad::/48"]),
    ];
    expect(
        &with_ingress(from(blocks)),
        &[
            "203.0.113.1 > 10.42.0.1 tcp/80",
            "203.0.113.128 > 10.42.0.1 ping",
            "2001:db8::1 > fd00:42::1 tcp/80",
        ],
        &[
            "203.0.113.64 > 10.42.0.1 tcp/80",
            "203.0.113.127 > 10.42.0.1 tcp/80",
            "198.51.100.1 > 10.42.0.1 tcp/80",
            "2001:db8:bad::1 > fd00:42::1 tcp/80",
            "2001:db9::1 > fd00:42::1 tcp/80",
        ],
    );
    expect(
        &with_egress(from(vec![block("10.42.1.3/32", &[])])),
        &["10.42.0.1 > 10.42.1.3 tcp/80"],
        &[
            "10.42.0.1 > 10.42.1.4 tcp/80",
            "fd00:42::1 > fd00:42:1::3 tcp/80",
        ],
    );
}

#[test]
fn ports_by_number_range_name_and_protocol() {
    let far = "10.42.1.3 > 10.42.0.1";
    let expect_ports = |ports: Vec<PolicyPort>, pass: &[&str], refused: &[&str]| {
        let line = |what: &&str| format!("{far} {what}");
        let pass: Vec<String> = pass.iter().map(line).collect();
        let refused: Vec<String> = refused.iter().map(line).collect();
        let pass: Vec<&str> = pass.iter().map(String::as_str).collect();
        let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
        expect(&with_ingress(on(ports.clone())), &pass, &refused);
        let web = same_namespace(selector(&[("app", "web")]));
        let peers = vec![web, block("203.0.113.0/24", &[])];
        let rules = vec![rule(Some(peers), Some(ports))];
        let of_block = |line: &&str| line.replace("10.42.1.3", "203.0.113.7");
        let pass: Vec<String> = pass
            .iter()
            .flat_map(|one| [(*one).to_owned(), of_block(one)])
            .collect();
        let refused: Vec<String> = refused
            .iter()
            .flat_map(|one| [(*one).to_owned(), of_block(one)])
            .collect();
        let pass: Vec<&str> = pass.iter().map(String::as_str).collect();
        let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
        expect(&with_ingress(rules), &pass, &refused);
    };
    expect_ports(
        vec![tcp(80, 80)],
        &["tcp/80"],
        &["tcp/81", "udp/80", "ping", "proto/47"],
    );
    expect_ports(
        vec![tcp(8000, 8100)],
        &["tcp/8000", "tcp/8050", "tcp/8100"],
        &["tcp/7999", "tcp/8101", "udp/8050"],
    );
    expect_ports(
        vec![named(Protocol::Tcp, "sql")],
        &["tcp/5432"],
        &["udp/5432", "tcp/80"],
    );
    expect_ports(
        vec![whole(Protocol::Sctp)],
        &["sctp/0", "sctp/9", "sctp/65535"],
        &["tcp/9", "udp/9", "ping"],
    );
    expect_ports(vec![], &[], &["tcp/80", "ping"]);
}

#[test]
fn an_empty_rule_is_everything_and_an_empty_list_nothing() {
    let all = [
        "10.42.1.4 > 10.42.0.1 tcp/80",
        "203.0.113.1 > 10.42.0.1 proto/47",
    ];
    expect(&with_ingress(vec![rule(None, None)]), &all, &[]);
    expect(&with_ingress(vec![]), &[], &all);
    expect(&with_ingress(vec![rule(Some(vec![]), None)]), &[], &all);
}

#[test]
fn rules_and_policies_add_up() {
    let mut cluster = with_ingress(vec![
        rule(None, Some(vec![tcp(80, 80)])),
        rule(Some(vec![block("203.0.113.0/24", &[])]), None),
    ]);
    let more = on(vec![tcp(443, 443)]);
    let pods = Selector::default();
    cluster
        .policies
        .push(policy("shop/more", pods, Some(more), None));
    expect(
        &cluster,
        &[
            "10.42.1.4 > 10.42.0.1 tcp/80",
            "10.42.1.4 > 10.42.0.1 tcp/443",
            "203.0.113.1 > 10.42.0.1 ping",
            "10.42.1.4 > 10.42.0.2 tcp/443",
        ],
        &[
            "10.42.1.4 > 10.42.0.1 tcp/81",
            "10.42.1.4 > 10.42.0.2 tcp/80",
        ],
    );
}

#[test]
fn changed_labels_of_pods_and_namespaces_move_members_only() {
    let lab = namespaces(selector(&[("team", "b")]), selector(&[("app", "web")]));
    let mut cluster = with_ingress(from(vec![lab]));
    let mut plan = planned(&cluster);
    expect_of(&cluster, &plan, &["10.42.1.4 > 10.42.0.1 tcp/80"], &[]);
    plan.wanted_mut().chains.settle_all();
    plan.wanted_mut().targets.settle_all();
    cluster.pods[3].labels = labels(&[("app", "other")]);
    plan.update(&cluster.input());
    expect_of(&cluster, &plan, &[], &["10.42.1.4 > 10.42.0.1 tcp/80"]);
    cluster.pods[3].labels = labels(&[("app", "web")]);
    cluster.namespaces[1].labels = labels(&[("team", "c")]);
    plan.update(&cluster.input());
    expect_of(&cluster, &plan, &[], &["10.42.1.4 > 10.42.0.1 tcp/80"]);
    cluster.namespaces[0].labels = labels(&[("team", "b")]);
    plan.update(&cluster.input());
    expect_of(&cluster, &plan, &["10.42.1.3 > 10.42.0.1 tcp/80"], &[]);
    assert!(plan.wanted().chains.touched().is_empty());
    assert!(plan.wanted().targets.touched().is_empty());
}

#[test]
fn a_deleted_policy_leaves_nothing_behind() {
    let bare = planned(&cluster());
    let mut cluster = with_ingress(from(vec![
        same_namespace(Selector::default()),
        block("203.0.113.0/24", &[]),
    ]));
    let mut plan = planned(&cluster);
    assert_eq!(plan.counts().chains, 1);
    cluster.policies.clear();
    plan.update(&cluster.input());
    assert_eq!(names(&plan), names(&bare));
    assert_eq!(plan.counts().groups, 0);
    assert_eq!(plan.wanted().targets.len(), 0);
    expect_of(&cluster, &plan, &["10.42.1.4 > 10.42.0.1 tcp/80"], &[]);
}

fn names(plan: &Plan) -> BTreeSet<Name> {
    let sets = plan.wanted().members.iter().map(|(key, _)| key.def.name);
    let chains = plan.wanted().chains.iter().map(|(key, _)| key.name);
    sets.chain(chains).collect()
}

#[test]
fn families_are_judged_apart() {
    let cluster = with_ingress(from(vec![block("0.0.0.0/0", &[])]));
    expect(
        &cluster,
        &["203.0.113.1 > 10.42.0.1 tcp/80"],
        &["2001:db8::1 > fd00:42::1 tcp/80"],
    );
    let mut single = cluster.clone();
    single.settings.families.v6 = false;
    expect(&single, &["2001:db8::1 > fd00:42::1 tcp/80"], &[]);
}

#[test]
fn pods_of_the_hosts_network_are_neither_judged_nor_named() {
    let mut cluster = with_ingress(from(vec![same_namespace(Selector::default())]));
    let host = pod("shop/host", &["192.168.7.1"], &[("app", "db")]);
    let host = Pod {
        host_network: true,
        ..host
    };
    let far = pod("shop/far-host", &["192.168.7.2"], &[]);
    let far = remote(Pod {
        host_network: true,
        ..far
    });
    cluster.pods.extend([host, far]);
    expect(
        &cluster,
        &["203.0.113.1 > 192.168.7.1 tcp/80"],
        &["192.168.7.2 > 10.42.0.1 tcp/80"],
    );
}

#[test]
fn the_address_of_a_finished_pod_is_its_no_more() {
    let mut cluster = with_ingress(from(vec![same_namespace(selector(&[("app", "web")]))]));
    let mut plan = planned(&cluster);
    expect_of(&cluster, &plan, &["10.42.1.3 > 10.42.0.1 tcp/80"], &[]);
    cluster.pods[2].finished = true;
    plan.update(&cluster.input());
    expect_of(&cluster, &plan, &[], &["10.42.1.3 > 10.42.0.1 tcp/80"]);
    let heir = pod("lab/heir", &["10.42.0.1"], &[]);
    cluster.pods.push(heir);
    cluster.pods[0].finished = true;
    plan.update(&cluster.input());
    expect_of(&cluster, &plan, &["10.42.1.4 > 10.42.0.1 tcp/80"], &[]);
    assert!(plan.notes().is_empty());
}

#[test]
fn the_api_server_can_be_reached_or_not() {
    let server = "10.42.0.1 > 192.168.7.9 tcp/6443";
    let mut other = crate::ask::packet("10.42.0.1 > 10.96.0.1 tcp/443");
    other.hook = kube_router::firewall::Hook::Input;
    other.served = true;
    for (rules, open) in [
        (vec![], false),
        (
            vec![rule(
                Some(vec![block("192.168.7.9/32", &[])]),
                Some(vec![tcp(6443, 6443)]),
            )],
            true,
        ),
    ] {
        let cluster = with_egress(rules);
        let plan = planned(&cluster);
        let list: &[&str] = &[server];
        if open {
            expect_of(&cluster, &plan, list, &[]);
        } else {
            expect_of(&cluster, &plan, &[], list);
        }
        // By its Service: IPVS takes the packet, and what is judged is the way to the server.
        assert!(passes(&cluster, &plan, &other));
        let mut behind = crate::ask::packet(server);
        behind.hook = kube_router::firewall::Hook::Output;
        assert_eq!(passes(&cluster, &plan, &behind), open);
    }
}

#[test]
fn an_isolation_names_its_policies_and_pods() {
    let mut cluster = with_ingress(on(vec![tcp(80, 80)]));
    let same = policy(
        "shop/all",
        Selector::default(),
        Some(on(vec![tcp(80, 80)])),
        None,
    );
    cluster.policies.push(same);
    let plan = planned(&cluster);
    let [db, web] = [0, 1].map(|at| &cluster.pods[at].name);
    let (chain, policies) = plan.isolation(db, Flow::Ingress).unwrap();
    assert_eq!(policies.len(), 2);
    // What `web` may be sent is the same, for fewer reasons.
    let (other, policies) = plan.isolation(web, Flow::Ingress).unwrap();
    assert_eq!((chain, policies.len()), (other, 1));
    assert!(plan.isolation(web, Flow::Egress).is_none());
    let judged = plan.judged(chain).unwrap();
    assert_eq!(judged.pods, [db.clone(), web.clone()]);
    assert_eq!(judged.policies.len(), 2);
    let found = plan.pod_at("fd00:42::2".parse().unwrap()).unwrap();
    assert_eq!(found.name, *web);
    assert_eq!(plan.counts().policies_here, 2);
}
