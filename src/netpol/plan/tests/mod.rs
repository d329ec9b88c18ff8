mod branches;
mod parts;

use super::*;
use crate::firewall::{Hook, Packet, Payload, Tracked, Verdict, walk};
use crate::model::{
    Labels, NamedPort, Namespace, NetworkPolicy, NodeFacts, Peer, PolicyPort, PolicyRule, PortSpec,
    Requirement, Selector,
};
use crate::net::{ByFamily, Protocol};
use crate::netpol::Settings;

fn selector(pairs: &[(&str, &str)]) -> Selector {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| Requirement::is(Arc::from(*key), Arc::from(*value)))
        .collect()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| (Arc::from(*key), Arc::from(*value)))
        .collect()
}

fn pod(name: &str, node: &str, address: &str, pairs: &[(&str, &str)]) -> Pod {
    Pod {
        name: ObjectName::new("shop", name),
        created: 0,
        node: Some(node.into()),
        host_ips: Vec::new(),
        addresses: vec![address.parse().unwrap()],
        host_network: false,
        finished: false,
        labels: labels(pairs),
        ports: Vec::new(),
    }
}

fn input(pods: Vec<Pod>, policies: Vec<NetworkPolicy>) -> Input {
    let mut snapshot = Snapshot::default();
    for pod in pods {
        snapshot.pods.insert(&pod.name.clone(), Arc::new(pod));
    }
    for policy in policies {
        snapshot
            .policies
            .insert(&policy.name.clone(), Arc::new(policy));
    }
    let namespace = Namespace {
        name: "shop".into(),
        labels: Labels::default(),
        default_deny: false,
    };
    snapshot.namespaces = Arc::new([("shop".into(), Arc::new(namespace))].into());
    Input {
        snapshot: Arc::new(snapshot),
        facts: Arc::new(NodeFacts {
            name: "here".into(),
            ..NodeFacts::default()
        }),
        settings: Arc::new(Settings {
            families: ByFamily { v4: true, v6: true },
            default_deny: false,
            log_drops: false,
            backend: crate::config::NetpolBackend::Auto,
            established: Established::Keep,
            sync_period: std::time::Duration::from_secs(300),
        }),
    }
}

fn verdict(plan: &Plan, source: &str, destination: &str, port: u16) -> Verdict {
    let packet = Packet {
        hook: Hook::Forward,
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        payload: Payload::Ports(Protocol::Tcp, port),
        tracked: Tracked::New,
        from_node: false,
        to_node: false,
        served: false,
    };
    walk(plan.wanted(), &packet).0
}

#[test]
fn a_policy_lets_its_peers_in_on_its_ports_and_nobody_else() {
    let policy = NetworkPolicy {
        name: ObjectName::new("shop", "db"),
        pods: selector(&[("app", "db")]),
        ingress: Some(vec![PolicyRule {
            peers: Some(vec![Peer::Pods {
                namespaces: None,
                pods: selector(&[("app", "web")]),
            }]),
            ports: Some(vec![PolicyPort {
                protocol: Protocol::Tcp,
                port: PortSpec::Named("sql".into()),
            }]),
        }]),
        egress: None,
    };
    let mut db = pod("db", "here", "10.42.0.2", &[("app", "db")]);
    db.ports = vec![NamedPort {
        name: "sql".into(),
        protocol: Protocol::Tcp,
        port: 5432,
    }];
    let web = pod("web", "there", "10.42.1.3", &[("app", "web")]);
    let other = pod("other", "there", "10.42.1.4", &[]);
    let first = input(vec![db.clone(), web.clone(), other], vec![policy.clone()]);
    let mut plan = Plan::default();
    plan.update(&first);
    assert_eq!(
        verdict(&plan, "10.42.1.3", "10.42.0.2", 5432),
        Verdict::Accept
    );
    assert_eq!(
        verdict(&plan, "10.42.1.3", "10.42.0.2", 80),
        Verdict::Reject
    );
    assert_eq!(
        verdict(&plan, "10.42.1.4", "10.42.0.2", 5432),
        Verdict::Reject
    );
    assert_eq!(
        verdict(&plan, "10.42.0.2", "10.42.1.4", 5432),
        Verdict::Accept
    );
    let (chain, policies) = plan.isolation(&db.name, Flow::Ingress).unwrap();
    assert_eq!(policies, std::slice::from_ref(&policy.name));
    let judged = plan.judged(chain).unwrap();
    assert_eq!(
        (judged.flow, judged.pods),
        (Flow::Ingress, vec![db.name.clone()])
    );

    // A label moves members; the chain stays.
    let other = pod("other", "there", "10.42.1.4", &[("app", "web")]);
    let mut snapshot = (*first.snapshot).clone();
    snapshot.pods.insert(&other.name.clone(), Arc::new(other));
    let second = Input {
        snapshot: Arc::new(snapshot),
        ..first.clone()
    };
    plan.wanted_mut().chains.settle_all();
    plan.update(&second);
    assert!(plan.wanted().chains.touched().is_empty());
    assert_eq!(
        verdict(&plan, "10.42.1.4", "10.42.0.2", 5432),
        Verdict::Accept
    );
}
