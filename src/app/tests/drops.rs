//! Refused packets, from the kernel's copy to what is told.

use std::sync::Arc;

use crate::app::drops::{Drop, judge};
use crate::kernel::nflog::Record;
use crate::model::{Labels, NetworkPolicy, ObjectName, Pod, Requirement, Selector, Snapshot};
use crate::netpol::Flow;

fn pod(name: &str, address: &str) -> Pod {
    Pod {
        name: ObjectName::new("shop", name),
        created: 0,
        node: Some(Arc::from("n1")),
        host_ips: Vec::new(),
        addresses: vec![address.parse().unwrap()],
        host_network: false,
        finished: false,
        labels: [(Arc::from("app"), Arc::from(name))]
            .into_iter()
            .collect::<Labels>(),
        ports: Vec::new(),
    }
}

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (name, address) in [
        ("web", "10.244.1.11"),
        ("other", "10.244.2.13"),
        ("six", "fd00::6"),
    ] {
        let pod = pod(name, address);
        snapshot.pods.insert(&pod.name.clone(), Arc::new(pod));
    }
    let mut add = |name: &str, app: &str, ingress: bool| {
        let policy = NetworkPolicy {
            name: ObjectName::new("shop", name),
            pods: [Requirement::is(Arc::from("app"), Arc::from(app))]
                .into_iter()
                .collect::<Selector>(),
            ingress: ingress.then(Vec::new),
            egress: (!ingress).then(Vec::new),
        };
        snapshot
            .policies
            .insert(&policy.name.clone(), Arc::new(policy));
    };
    add("closed", "web", true);
    add("out", "web", false);
    add("six", "six", true);
    snapshot
}

/// TCP from 10.244.2.13 port 40000 to 10.244.1.11 port 8080.
const IPV4: &[u8] = &[
    0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 244, 2, 13, 10, 244, 1, 11, 0x9c, 0x40, 0x1f,
    0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0,
];

fn record(prefix: &str, payload: &[u8]) -> Record {
    Record {
        prefix: prefix.to_owned(),
        hook: 2,
        payload: payload.to_vec(),
        ..Record::default()
    }
}

#[test]
fn a_refused_packet_names_both_pods_and_the_policies_of_its_direction() {
    let drop = judge(&record("ingress:ABCDEFGHIJKLMNOP", IPV4), &snapshot());
    let expected = Drop {
        flow: Some(Flow::Ingress),
        source: "10.244.2.13".parse().unwrap(),
        destination: "10.244.1.11".parse().unwrap(),
        protocol: "tcp".to_owned(),
        port: Some(8080),
        from: Some(ObjectName::new("shop", "other")),
        to: Some(ObjectName::new("shop", "web")),
        policies: vec![ObjectName::new("shop", "closed")],
    };
    assert_eq!(drop, Some(expected));
    let drop = judge(&record("egress:ABCDEFGHIJKLMNOP", IPV4), &snapshot()).unwrap();
    assert_eq!(drop.policies, [], "nothing isolates the sender");
}

#[test]
fn a_packet_of_nobody_known_is_told_without_a_direction() {
    let mut snapshot = snapshot();
    snapshot.pods.remove(&ObjectName::new("shop", "other"));
    let drop = judge(&record("closed:", IPV4), &snapshot).unwrap();
    assert_eq!((drop.flow, drop.from), (None, None));
    assert_eq!(drop.to, Some(ObjectName::new("shop", "web")));
    assert_eq!(drop.policies, []);
}

#[test]
fn what_no_rule_of_ours_logged_is_not_told() {
    for (prefix, payload) in [
        ("", IPV4),
        ("ingress", IPV4),
        ("dropped: ingress:", IPV4),
        ("closed", IPV4),
        ("ingress:ABCDEFGHIJKLMNOP", &IPV4[..10]),
        ("ingress:ABCDEFGHIJKLMNOP", &[][..]),
    ] {
        assert_eq!(
            judge(&record(prefix, payload), &snapshot()),
            None,
            "{prefix}"
        );
    }
}
