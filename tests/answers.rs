//! Who answers at a Service's address: every kind of address, both traffic policies, every place
//! and state of endpoints, both families, against a naive reading of the API's text.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod common;

use std::net::IpAddr;

use common::World;
use kube_router::firewall::Member;
use kube_router::kernel::ipvs::object::VirtualKey;
use kube_router::model::{
    Endpoint, EndpointSlice, ObjectName, Service, ServiceAnnotations, ServiceKind, ServicePort,
    SlicePort, TrafficPolicy,
};
use kube_router::net::{Family, Protocol};
use kube_router::proxy::plan::Plan;
use kube_router::proxy::plan::firewall::{DROP, INSIDE_ONLY, REFUSE, SVIP_PORT};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entrance {
    ClusterIp,
    NodePort,
    ExternalIp,
    LoadBalancer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    /// Terminating, still serving.
    Leaving,
    /// Neither ready nor serving.
    Down,
}

/// Host number, on this node, state.
type Host = (u8, bool, State);

const ENTRANCES: [Entrance; 4] = [
    Entrance::ClusterIp,
    Entrance::NodePort,
    Entrance::ExternalIp,
    Entrance::LoadBalancer,
];

/// Every way up to three endpoints can stand.
fn populations() -> Vec<Vec<Host>> {
    let mut all = vec![Vec::new()];
    let states = [State::Ready, State::Leaving, State::Down];
    for first in states {
        for first_here in [true, false] {
            all.push(vec![(1, first_here, first)]);
            for second in states {
                for second_here in [true, false] {
                    all.push(vec![(1, first_here, first), (2, second_here, second)]);
                    all.push(vec![
                        (1, first_here, first),
                        (2, second_here, second),
                        (3, false, State::Ready),
                    ]);
                }
            }
        }
    }
    all
}

fn address(family: Family, host: u8) -> IpAddr {
    match family {
        Family::V4 => format!("10.244.9.{host}").parse().unwrap(),
        Family::V6 => format!("fd02:9::{host}").parse().unwrap(),
    }
}

fn service(policy: TrafficPolicy) -> Service {
    let all = |texts: &[&str]| {
        texts
            .iter()
            .map(|t| t.parse().unwrap())
            .collect::<Vec<IpAddr>>()
    };
    Service {
        name: ObjectName::new("shop", "web"),
        created: 1,
        kind: ServiceKind::LoadBalancer,
        cluster_ips: all(&["10.96.0.10", "fd96::10"]),
        external_ips: all(&["203.0.113.10", "2001:db8::10"]),
        load_balancer_ips: all(&["198.51.100.10", "2001:db8:1::10"]),
        ports: vec![ServicePort {
            name: "http".into(),
            protocol: Protocol::Tcp,
            port: 80,
            node_port: Some(30080),
        }],
        affinity: None,
        internal_policy: policy,
        external_policy: policy,
        source_ranges: Vec::new(),
        source_ranges_restricted: false,
        traffic_distribution: None,
        health_check_node_port: None,
        foreign_proxy: false,
        labelled_headless: false,
        annotations: ServiceAnnotations::default(),
    }
}

fn slice(family: Family, hosts: &[Host]) -> EndpointSlice {
    EndpointSlice {
        name: ObjectName::new("shop", format!("web-{family}")),
        service: "web".into(),
        family,
        ports: vec![SlicePort {
            name: "http".into(),
            protocol: Protocol::Tcp,
            port: 8080,
        }],
        endpoints: hosts
            .iter()
            .map(|(host, here, state)| Endpoint {
                address: address(family, *host),
                ready: *state == State::Ready,
                serving: *state != State::Down,
                terminating: *state == State::Leaving,
                node: Some(if *here { "n1".into() } else { "n2".into() }),
                zone: None,
                for_zones: [].into(),
                for_nodes: [].into(),
            })
            .collect(),
    }
}

fn key(family: Family, entrance: Entrance) -> VirtualKey {
    let text = match (family, entrance) {
        (Family::V4, Entrance::ClusterIp) => "10.96.0.10",
        (Family::V6, Entrance::ClusterIp) => "fd96::10",
        (Family::V4, Entrance::NodePort) => "10.1.1.1",
        (Family::V6, Entrance::NodePort) => "fd01:1::1",
        (Family::V4, Entrance::ExternalIp) => "203.0.113.10",
        (Family::V6, Entrance::ExternalIp) => "2001:db8::10",
        (Family::V4, Entrance::LoadBalancer) => "198.51.100.10",
        (Family::V6, Entrance::LoadBalancer) => "2001:db8:1::10",
    };
    let port = if entrance == Entrance::NodePort {
        30080
    } else {
        80
    };
    VirtualKey::Address {
        address: text.parse().unwrap(),
        protocol: Protocol::Tcp,
        port,
    }
}

/// The API's text, read naively: who may answer, and what of clients outside.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    hosts: Vec<u8>,
    refused: bool,
    dropped: bool,
    outsiders_dropped: bool,
}

fn oracle(entrance: Entrance, policy: TrafficPolicy, population: &[Host]) -> Answer {
    let usable = |from: &[Host]| -> Vec<u8> {
        let with = |state| {
            from.iter()
                .filter(|h| h.2 == state)
                .map(|h| h.0)
                .collect::<Vec<u8>>()
        };
        let ready = with(State::Ready);
        if ready.is_empty() {
            with(State::Leaving)
        } else {
            ready
        }
    };
    let everyone = usable(population);
    let here: Vec<Host> = population.iter().copied().filter(|h| h.1).collect();
    let near = usable(&here);
    let mut answer = Answer {
        hosts: everyone.clone(),
        refused: false,
        dropped: false,
        outsiders_dropped: false,
    };
    if policy == TrafficPolicy::Local {
        if entrance == Entrance::ClusterIp {
            answer.dropped = near.is_empty() && !everyone.is_empty();
            answer.hosts = near;
        } else if near.is_empty() {
            answer.outsiders_dropped = !everyone.is_empty();
        } else {
            answer.hosts = near;
        }
    }
    answer.refused = everyone.is_empty();
    answer
}

fn planned(plan: &Plan, family: Family, entrance: Entrance) -> Answer {
    let key = key(family, entrance);
    let VirtualKey::Address {
        address,
        protocol,
        port,
    } = key
    else {
        unreachable!()
    };
    let member = Member::AddressPort(address, protocol, port);
    let has = |set| plan.members.get(&(set, member)).is_some();
    let table = plan
        .virtuals
        .get(&key)
        .expect("a virtual server for every address");
    let answer = Answer {
        hosts: table
            .reals
            .iter()
            .map(|real| match real.key.address {
                IpAddr::V4(a) => a.octets()[3],
                IpAddr::V6(a) => a.octets()[15],
            })
            .collect(),
        refused: has(REFUSE),
        dropped: has(DROP),
        outsiders_dropped: has(INSIDE_ONLY),
    };
    assert_eq!(
        has(SVIP_PORT),
        !answer.refused && !answer.dropped,
        "{key:?}"
    );
    answer
}

#[test]
fn every_kind_of_address_is_answered_by_whom_the_policies_say() {
    let mut rows = 0;
    for population in populations() {
        for policy in [TrafficPolicy::Cluster, TrafficPolicy::Local] {
            let mut world = World::default();
            world.apply_service(service(policy));
            for family in Family::ALL {
                world.apply_slice(slice(family, &population));
            }
            let mut plan = Plan::default();
            plan.update(&world.input());
            for entrance in ENTRANCES {
                for family in Family::ALL {
                    assert_eq!(
                        planned(&plan, family, entrance),
                        oracle(entrance, policy, &population),
                        "{entrance:?} {policy:?} {family} {population:?}"
                    );
                    rows += 1;
                }
            }
        }
    }
    assert!(rows > 1000, "only {rows} rows");
}

#[test]
fn the_annotation_service_local_keeps_cluster_inside_and_asks_for_local_outside() {
    let mut world = World::default();
    let mut with = service(TrafficPolicy::Local);
    with.annotations.local = true;
    world.apply_service(with);
    let population = [(1, true, State::Ready), (2, false, State::Ready)];
    world.apply_slice(slice(Family::V4, &population));
    let mut plan = Plan::default();
    plan.update(&world.input());
    assert_eq!(
        planned(&plan, Family::V4, Entrance::ClusterIp).hosts,
        [1, 2]
    );
    assert_eq!(planned(&plan, Family::V4, Entrance::ExternalIp).hosts, [1]);
}

#[test]
fn affinity_is_per_client_address_in_both_families() {
    let mut world = World::default();
    let mut sticky = service(TrafficPolicy::Cluster);
    sticky.affinity = Some(600);
    world.apply_service(sticky);
    let mut plan = Plan::default();
    plan.update(&world.input());
    for (family, bits) in [(Family::V4, 32), (Family::V6, 128)] {
        let table = plan
            .virtuals
            .get(&key(family, Entrance::ClusterIp))
            .unwrap();
        let persistence = table.server.persistence.unwrap();
        assert_eq!(
            (persistence.timeout, persistence.prefix_length),
            (600, bits),
            "{family}"
        );
    }
}

#[test]
fn of_two_services_with_one_address_the_older_has_it_and_the_other_is_told() {
    let mut world = World::default();
    let mut younger = service(TrafficPolicy::Cluster);
    younger.name = ObjectName::new("a", "younger");
    younger.created = 2;
    let older = service(TrafficPolicy::Cluster);
    world.apply_service(younger.clone());
    world.apply_service(older.clone());
    world.apply_slice(slice(Family::V4, &[(7, true, State::Ready)]));
    let mut plan = Plan::default();
    plan.update(&world.input());
    assert_eq!(planned(&plan, Family::V4, Entrance::ClusterIp).hosts, [7]);
    let notes: Vec<String> = plan.notes().iter().map(ToString::to_string).collect();
    let told = "Service a/younger: 10.96.0.10:80 tcp belongs to the older Service shop/web";
    assert!(notes.iter().any(|note| note == told), "{notes:#?}");
    // When the older one goes, the younger one gets the address at once.
    world.remove_service(&older.name);
    plan.update(&world.input());
    assert!(plan.notes().is_empty());
    assert!(planned(&plan, Family::V4, Entrance::ClusterIp).refused);
}

#[test]
fn addresses_outside_the_allowed_ranges_are_refused_one_by_one() {
    let mut world = World::default();
    let mut wild = service(TrafficPolicy::Cluster);
    wild.external_ips = ["203.0.113.10", "10.96.0.99", "192.0.2.1", "127.0.0.1"]
        .iter()
        .map(|t| t.parse().unwrap())
        .collect();
    world.apply_service(wild);
    let mut plan = Plan::default();
    plan.update(&world.input());
    let vips: Vec<String> = plan.vips.iter().map(|(vip, _)| vip.to_string()).collect();
    assert!(vips.contains(&"203.0.113.10".to_owned()));
    for refused in ["10.96.0.99", "192.0.2.1", "127.0.0.1"] {
        assert!(!vips.contains(&refused.to_owned()), "{refused}");
        let named = plan
            .notes()
            .iter()
            .filter(|note| note.reason.contains(refused))
            .count();
        assert_eq!(named, 1, "{refused}");
    }
}

#[test]
fn source_ranges_that_could_not_be_read_admit_nobody() {
    let mut world = World::default();
    let mut limited = service(TrafficPolicy::Cluster);
    limited.source_ranges_restricted = true;
    world.apply_service(limited);
    let mut plan = Plan::default();
    plan.update(&world.input());
    let entry = plan
        .entry(&key(Family::V4, Entrance::LoadBalancer))
        .unwrap();
    assert_eq!(entry.guard.sources, Some(Vec::new()));
    let entry = plan.entry(&key(Family::V4, Entrance::ClusterIp)).unwrap();
    assert_eq!(
        entry.guard.sources, None,
        "only LoadBalancer addresses are limited"
    );
}

#[test]
fn a_node_without_a_family_programs_nothing_of_it() {
    let mut world = World::default();
    world.facts = std::sync::Arc::new(common::facts(false, &["10.244.1.0/24"]));
    world.apply_service(service(TrafficPolicy::Cluster));
    let mut plan = Plan::default();
    plan.update(&world.input());
    assert!(plan.vips.iter().all(|(vip, _)| vip.is_ipv4()));
    assert_eq!(plan.host.rulesets.len(), 1);
    assert!(!plan.vips.is_empty());
}
