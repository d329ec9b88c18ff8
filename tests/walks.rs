//! Path independence: however the proxy's plan got to an input, it equals the plan of a fresh
//! start with that input; and everything it holds differs from before only where it says so.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{World, facts, settings};
use kube_router::model::{
    Endpoint, EndpointSlice, ObjectName, Service, ServiceAnnotations, ServiceKind, ServicePort,
    SlicePort, TrafficDistribution, TrafficPolicy,
};
use kube_router::net::{Family, Protocol};
use kube_router::proxy::Input;
use kube_router::proxy::plan::Plan;
use proptest::prelude::*;

/// One step of a cluster's life; small numbers so that names and addresses collide often.
#[derive(Debug, Clone)]
enum Step {
    Service {
        name: u8,
        shape: ServiceShape,
    },
    ServiceGone {
        name: u8,
    },
    Slice {
        service: u8,
        number: u8,
        endpoints: Vec<EndpointShape>,
    },
    SliceGone {
        service: u8,
        number: u8,
    },
    Facts {
        dual: bool,
        pods: bool,
    },
    MasqueradeAll(bool),
    Update,
}

#[derive(Debug, Clone)]
struct ServiceShape {
    address: u8,
    created: u8,
    node_port: Option<u8>,
    external: Option<u8>,
    balanced: Option<u8>,
    local: (bool, bool),
    limited: bool,
    near: bool,
}

#[derive(Debug, Clone)]
struct EndpointShape {
    host: u8,
    here: bool,
    state: u8,
    v6: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let shape = (
        0u8..3,
        0u8..3,
        proptest::option::of(0u8..2),
        proptest::option::of(0u8..2),
    )
        .prop_flat_map(|(address, created, node_port, external)| {
            (
                proptest::option::of(0u8..2),
                any::<(bool, bool)>(),
                any::<bool>(),
                any::<bool>(),
            )
                .prop_map(move |(balanced, local, limited, near)| ServiceShape {
                    address,
                    created,
                    node_port,
                    external,
                    balanced,
                    local,
                    limited,
                    near,
                })
        });
    let endpoint =
        (0u8..4, any::<bool>(), 0u8..3, any::<bool>()).prop_map(|(host, here, state, v6)| {
            EndpointShape {
                host,
                here,
                state,
                v6,
            }
        });
    let step = prop_oneof![
        4 => (0u8..4, shape).prop_map(|(name, shape)| Step::Service { name, shape }),
        1 => (0u8..4).prop_map(|name| Step::ServiceGone { name }),
        4 => (0u8..4, 0u8..2, proptest::collection::vec(endpoint, 0..4))
            .prop_map(|(service, number, endpoints)| Step::Slice { service, number, endpoints }),
        1 => (0u8..4, 0u8..2).prop_map(|(service, number)| Step::SliceGone { service, number }),
        1 => any::<(bool, bool)>().prop_map(|(dual, pods)| Step::Facts { dual, pods }),
        1 => any::<bool>().prop_map(Step::MasqueradeAll),
        3 => Just(Step::Update),
    ];
    proptest::collection::vec(step, 1..40)
}

fn name(number: u8) -> ObjectName {
    ObjectName::new(format!("ns{}", number % 2), format!("s{number}"))
}

fn service(number: u8, shape: &ServiceShape) -> Service {
    let policy = |local| {
        if local {
            TrafficPolicy::Local
        } else {
            TrafficPolicy::Cluster
        }
    };
    let both = |v4: String, v6: String| vec![v4.parse().unwrap(), v6.parse().unwrap()];
    Service {
        name: name(number),
        created: i64::from(shape.created),
        kind: ServiceKind::NodePort,
        cluster_ips: both(
            format!("10.96.0.{}", shape.address + 1),
            format!("fd96::{}", shape.address + 1),
        ),
        external_ips: shape
            .external
            .map(|e| both(format!("203.0.113.{e}"), format!("2001:db8::{e}")))
            .unwrap_or_default(),
        load_balancer_ips: shape
            .balanced
            .map(|b| vec![format!("198.51.100.{b}").parse().unwrap()])
            .unwrap_or_default(),
        ports: vec![ServicePort {
            name: "".into(),
            protocol: Protocol::Tcp,
            port: 80,
            node_port: shape.node_port.map(|p| 30000 + u16::from(p)),
        }],
        affinity: shape.near.then_some(600),
        internal_policy: policy(shape.local.0),
        external_policy: policy(shape.local.1),
        source_ranges: if shape.limited {
            vec!["192.0.2.0/24".parse().unwrap()]
        } else {
            Vec::new()
        },
        source_ranges_restricted: false,
        traffic_distribution: shape.near.then_some(TrafficDistribution::PreferSameNode),
        health_check_node_port: None,
        foreign_proxy: false,
        labelled_headless: false,
        annotations: ServiceAnnotations::default(),
    }
}

fn slice(owner: u8, number: u8, endpoints: &[EndpointShape], family: Family) -> EndpointSlice {
    let owner_name = name(owner);
    EndpointSlice {
        name: ObjectName::new(
            Arc::clone(&owner_name.namespace),
            format!("{}-{number}-{family}", owner_name.name),
        ),
        service: Arc::clone(&owner_name.name),
        family,
        ports: vec![SlicePort {
            name: "".into(),
            protocol: Protocol::Tcp,
            port: 8080,
        }],
        endpoints: endpoints
            .iter()
            .filter(|e| e.v6 == (family == Family::V6))
            .map(|e| Endpoint {
                address: match family {
                    Family::V4 => format!("10.244.1.{}", e.host + 10).parse().unwrap(),
                    Family::V6 => format!("fd02:1::{}", e.host + 10).parse().unwrap(),
                },
                ready: e.state == 0,
                serving: e.state <= 1,
                terminating: e.state >= 1,
                node: Some(if e.here { "n1".into() } else { "n2".into() }),
                zone: None,
                for_zones: Arc::from([]),
                for_nodes: Arc::from([]),
            })
            .collect(),
    }
}

fn take(world: &mut World, step: &Step) {
    match step {
        Step::Service { name, shape } => world.apply_service(service(*name, shape)),
        Step::ServiceGone { name: gone } => world.remove_service(&name(*gone)),
        Step::Slice {
            service,
            number,
            endpoints,
        } => {
            for family in Family::ALL {
                world.apply_slice(slice(*service, *number, endpoints, family));
            }
        }
        Step::SliceGone { service, number } => {
            for family in Family::ALL {
                world.remove_slice(&slice(*service, *number, &[], family));
            }
        }
        Step::Facts { dual, pods } => {
            let cidrs: &[&str] = if *pods {
                &["10.244.1.0/24", "fd02:1::/64"]
            } else {
                &[]
            };
            world.facts = Arc::new(facts(*dual, cidrs));
        }
        Step::MasqueradeAll(on) => {
            let mut changed = settings();
            changed.proxy.masquerade_all = *on;
            world.settings = Arc::new(changed);
        }
        Step::Update => {}
    }
}

/// Everything a plan says, comparable.
fn said(plan: &Plan) -> impl PartialEq + std::fmt::Debug + use<> {
    let virtuals: BTreeMap<_, _> = plan
        .virtuals
        .iter()
        .map(|(k, v)| (*k, (v.clone(), plan.entry(k).cloned())))
        .collect();
    let vips: BTreeMap<_, _> = plan.vips.iter().map(|(k, v)| (*k, *v)).collect();
    let members: std::collections::BTreeSet<_> = plan.members.iter().map(|(k, ())| *k).collect();
    (
        virtuals,
        vips,
        members,
        plan.host.clone(),
        plan.notes(),
        plan.service_count(),
        plan.endpoint_count(),
    )
}

/// Naively, from the API's text: does a set of this name hold exactly what the entries say?
fn check_members(plan: &Plan) -> Result<(), TestCaseError> {
    use kube_router::firewall::Member;
    use kube_router::kernel::ipvs::object::VirtualKey;
    use kube_router::proxy::plan::firewall::{REFUSE, SVIP, SVIP_PORT};
    for (key, table) in plan.virtuals.iter() {
        let VirtualKey::Address {
            address,
            protocol,
            port,
        } = *key
        else {
            continue;
        };
        let member = Member::AddressPort(address, protocol, port);
        let accepted = plan.members.get(&(SVIP_PORT, member)).is_some();
        prop_assert!(
            plan.members
                .get(&(SVIP, Member::Address(address)))
                .is_some()
        );
        prop_assert!(
            !accepted || !table.reals.is_empty(),
            "accepted without an endpoint: {key:?}"
        );
        if table.reals.is_empty() {
            let refused = plan.members.get(&(REFUSE, member)).is_some();
            let dropped = plan
                .members
                .get(&(kube_router::proxy::plan::firewall::DROP, member))
                .is_some();
            prop_assert!(
                refused != dropped,
                "neither or both of refused and dropped: {key:?}"
            );
        }
    }
    for ((set, member), ()) in plan.members.iter() {
        if let (true, Member::AddressPort(address, protocol, port)) =
            (set.name == SVIP_PORT.name, *member)
        {
            let key = VirtualKey::Address {
                address,
                protocol,
                port,
            };
            prop_assert!(plan.virtuals.get(&key).is_some(), "accepted but not served");
        }
    }
    for (vip, _) in plan.vips.iter() {
        prop_assert!(
            plan.members.get(&(SVIP, Member::Address(*vip))).is_some(),
            "unguarded {vip}"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_walk_ends_in_the_plan_of_a_fresh_start(steps in steps()) {
        let mut world = World::default();
        let mut walked = Plan::default();
        for step in &steps {
            take(&mut world, step);
            if matches!(step, Step::Update) {
                walked.update(&world.input());
                check_members(&walked)?;
            }
        }
        let input: Input = world.input();
        walked.update(&input);
        let mut fresh = Plan::default();
        fresh.update(&input);
        check_members(&fresh)?;
        prop_assert_eq!(said(&walked), said(&fresh));
    }
}
