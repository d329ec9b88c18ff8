//! Clusters that nobody means well with.

use std::net::{IpAddr, Ipv4Addr};

use kube_router::firewall::{Seen, changes};
use kube_router::model::{Labels, Requirement, Selector};
use kube_router::net::Protocol;
use kube_router::netpol::Plan;
use kube_router::netpol::plan::Flow;

use crate::ask::{expect, expect_of, planned};
use crate::policy_cluster::{
    Cluster, block, labels, named, namespace, namespaces, pod, policy, port, remote, rule,
    same_namespace, selector, tcp,
};

#[test]
fn the_longest_names_fit() {
    let (space, name) = ("n".repeat(63), "p".repeat(253));
    let (key, value) = (
        format!("{}/{}", "d".repeat(253), "k".repeat(63)),
        "v".repeat(63),
    );
    let pairs = [(key.as_str(), value.as_str())];
    let mut target = pod(
        &format!("{space}/{name}"),
        &["10.42.0.1", "fd00:42::1"],
        &pairs,
    );
    target.ports = vec![port(&"x".repeat(15), Protocol::Sctp, 9)];
    let peers = vec![
        same_namespace(selector(&pairs)),
        namespaces(selector(&pairs), selector(&pairs)),
        block("203.0.113.0/24", &[]),
    ];
    let ports = vec![
        tcp(1, 2),
        tcp(80, 180),
        named(Protocol::Sctp, &"x".repeat(15)),
    ];
    let rules = Some(vec![rule(Some(peers), Some(ports))]);
    let cluster = Cluster {
        namespaces: vec![namespace(&space, &pairs)],
        pods: vec![target],
        policies: vec![policy(
            &format!("{space}/{name}"),
            selector(&pairs),
            rules.clone(),
            rules,
        )],
        ..Cluster::default()
    };
    let plan = planned(&cluster);
    assert_eq!(plan.counts().chains, 2);
    for (key, _) in plan.wanted().members.iter() {
        assert!(key.kernel_name().len() <= 31, "{}", key.kernel_name());
    }
    for (key, _) in plan.wanted().chains.iter() {
        assert!(key.name.as_str().len() <= 28, "{}", key.name);
    }
    expect_of(
        &cluster,
        &plan,
        &["203.0.113.1 > 10.42.0.1 sctp/9"],
        &["198.51.100.1 > 10.42.0.1 sctp/9"],
    );
}

#[test]
fn thousands_of_labels_and_values() {
    let many: Labels = (0..5_000)
        .map(|at| (format!("k{at}").into(), "v".into()))
        .collect();
    let mut target = pod("a/target", &["10.42.0.1"], &[]);
    target.labels = many.clone();
    let mut friend = remote(pod("a/friend", &["10.42.1.1"], &[]));
    friend.labels = many;
    let values: Vec<_> = (0..5_000).map(|at| format!("v{at}").into()).collect();
    let all = (0..5_000).map(|at| Requirement::Exists(format!("k{at}").into()));
    let of_any = Requirement::NotIn("k7".into(), values.clone().into());
    let everyone: Selector = all.chain([of_any]).collect();
    let nobody: Selector = [Requirement::In("k7".into(), values.into())]
        .into_iter()
        .collect();
    let stranger = remote(pod("a/stranger", &["10.42.1.2"], &[("k1", "v")]));
    let peers = vec![same_namespace(everyone.clone()), same_namespace(nobody)];
    let mut cluster = Cluster {
        namespaces: vec![namespace("a", &[])],
        pods: vec![target, friend, stranger],
        policies: vec![policy(
            "a/p",
            everyone,
            Some(vec![rule(Some(peers), None)]),
            None,
        )],
        ..Cluster::default()
    };
    let mut plan = planned(&cluster);
    expect_of(
        &cluster,
        &plan,
        &["10.42.1.1 > 10.42.0.1 tcp/1"],
        &["10.42.1.2 > 10.42.0.1 tcp/1"],
    );
    cluster.pods[1].labels = labels(&[]);
    plan.update(&cluster.input());
    expect_of(&cluster, &plan, &[], &["10.42.1.1 > 10.42.0.1 tcp/1"]);
}

#[test]
fn a_thousand_policies_that_select_everything_are_one_chain() {
    let policies = (0..1_000_u16).map(|at| {
        let rules = Some(vec![rule(
            Some(vec![namespaces(Selector::default(), Selector::default())]),
            Some(vec![tcp(2 * at + 1, 2 * at + 1)]),
        )]);
        policy(
            &format!("a/p{at}"),
            Selector::default(),
            rules.clone(),
            rules,
        )
    });
    let cluster = Cluster {
        namespaces: vec![namespace("a", &[])],
        pods: (1..=20)
            .map(|at| pod(&format!("a/p{at}"), &[&format!("10.42.0.{at}")], &[]))
            .collect(),
        policies: policies.collect(),
        ..Cluster::default()
    };
    let plan = planned(&cluster);
    let counts = plan.counts();
    assert_eq!(
        (counts.chains, counts.groups, counts.policies_here),
        (2, 1, 1_000)
    );
    let (_, policies) = plan.isolation(&cluster.pods[0].name, Flow::Egress).unwrap();
    assert_eq!(policies.len(), 1_000);
    expect_of(
        &cluster,
        &plan,
        &[
            "10.42.0.1 > 10.42.0.20 tcp/1",
            "10.42.0.1 > 10.42.0.20 tcp/1999",
        ],
        &[
            "10.42.0.1 > 10.42.0.20 tcp/2",
            "10.42.0.1 > 203.0.113.1 tcp/1",
        ],
    );
}

#[test]
fn ten_thousand_blocks_overlapping_and_of_everything() {
    let one = |at: u32| {
        let base = Ipv4Addr::from_bits(0x6440_0000 + at * 64);
        let inner = Ipv4Addr::from_bits(0x6440_0000 + at * 64 + 5);
        block(&format!("{base}/25"), &[&format!("{inner}/32")])
    };
    let mut peers: Vec<_> = (0..5_000).map(|at| one(at * 2)).collect();
    peers.extend((0..5_000).map(|at| block(&format!("2001:db8:{at:x}::/47"), &[])));
    let ports = Some(vec![tcp(80, 80), tcp(443, 443), tcp(8000, 9000)]);
    let rules = Some(vec![rule(Some(peers), ports)]);
    let mut cluster = Cluster {
        namespaces: vec![namespace("a", &[])],
        pods: vec![pod("a/p", &["10.42.0.1", "fd00:42::1"], &[])],
        policies: vec![policy("a/p", Selector::default(), rules, None)],
        ..Cluster::default()
    };
    let pass = [
        "100.64.0.1 > 10.42.0.1 tcp/80",
        "2001:db8:7::1 > fd00:42::1 tcp/8500",
    ];
    let refused = [
        "100.64.0.5 > 10.42.0.1 tcp/80",
        "100.63.0.1 > 10.42.0.1 tcp/443",
    ];
    expect(&cluster, &pass, &refused);
    let all = vec![
        block("0.0.0.0/0", &["100.64.0.4/30"]),
        block("::/0", &[]),
        block("::/1", &[]),
    ];
    let all = Some(vec![rule(Some(all), None)]);
    cluster
        .policies
        .push(policy("a/all", Selector::default(), all, None));
    expect(
        &cluster,
        &[
            "100.64.0.8 > 10.42.0.1 proto/47",
            "fe80::1 > fd00:42::1 ping",
        ],
        &["100.64.0.5 > 10.42.0.1 tcp/80"],
    );
}

#[test]
fn a_thousand_pods_of_one_address_and_pods_without_any() {
    let mut pods: Vec<_> = (0..1_000)
        .map(|at| {
            pod(
                &format!("a/p{at:04}"),
                &["10.42.0.1"],
                &[("app", if at == 999 { "x" } else { "y" })],
            )
        })
        .collect();
    pods.push(pod("a/none", &[], &[("app", "x")]));
    let mut cluster = Cluster {
        namespaces: vec![namespace("a", &[])],
        pods,
        policies: vec![policy("a/p", selector(&[("app", "x")]), Some(vec![]), None)],
        ..Cluster::default()
    };
    let mut plan = planned(&cluster);
    assert_eq!(plan.notes().len(), 999);
    assert_eq!(plan.wanted().targets.len(), 1);
    expect_of(&cluster, &plan, &[], &["203.0.113.1 > 10.42.0.1 tcp/1"]);
    cluster.pods.truncate(999);
    plan.update(&cluster.input());
    expect_of(&cluster, &plan, &["203.0.113.1 > 10.42.0.1 tcp/1"], &[]);
    assert_eq!(plan.wanted().targets.len(), 0);
    cluster.pods.truncate(1);
    plan.update(&cluster.input());
    assert!(plan.notes().is_empty());
}

#[test]
fn objects_may_come_in_any_order() {
    let mut whole = crate::scenarios::cluster();
    let peers = vec![namespaces(selector(&[("team", "b")]), Selector::default())];
    let rules = Some(vec![rule(
        Some(peers),
        Some(vec![named(Protocol::Tcp, "sql")]),
    )]);
    whole.policies = vec![policy("shop/db", selector(&[("app", "db")]), rules, None)];
    let fresh = planned(&whole);
    // Policies, then pods, then namespaces; and the other way round.
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let mut cluster = Cluster::default();
        let mut plan = Plan::default();
        for step in order {
            match step {
                0 => cluster.policies = whole.policies.clone(),
                1 => cluster.pods = whole.pods.clone(),
                _ => cluster.namespaces = whole.namespaces.clone(),
            }
            plan.update(&cluster.input());
        }
        let mut seen = Seen::default();
        changes(fresh.wanted(), &seen.clone(), false)
            .iter()
            .for_each(|step| seen.take(step));
        assert_eq!(changes(plan.wanted(), &seen, false), Vec::new());
    }
}

#[test]
fn churn_leaves_nothing_behind() {
    let mut cluster = crate::scenarios::cluster();
    let empty = planned(&cluster);
    let mut plan = planned(&cluster);
    for round in 0..200_u16 {
        let peers = vec![same_namespace(selector(&[("round", &round.to_string())]))];
        let rules = Some(vec![rule(Some(peers), Some(vec![tcp(round, round)]))]);
        cluster.policies = vec![policy("shop/p", Selector::default(), rules.clone(), rules)];
        let address = IpAddr::V4(Ipv4Addr::new(
            10,
            42,
            0,
            u8::try_from(round % 200).unwrap() + 10,
        ));
        let mut new = pod("shop/new", &[&address.to_string()], &[]);
        new.labels = [("round".into(), round.to_string().into())]
            .into_iter()
            .collect();
        cluster.pods.truncate(4);
        cluster.pods.push(new);
        plan.update(&cluster.input());
        assert_eq!((plan.counts().chains, plan.counts().groups), (2, 1));
    }
    cluster.policies.clear();
    cluster.pods.truncate(4);
    plan.update(&cluster.input());
    assert_eq!(plan.counts(), empty.counts());
    assert_eq!(
        plan.wanted().members.iter().count(),
        empty.wanted().members.iter().count()
    );
    assert_eq!(plan.wanted().chains.len(), empty.wanted().chains.len());
}
