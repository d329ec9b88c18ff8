//! How long the proxy thinks: a cold full plan and a pass with one endpoint changed, at several
//! sizes, so that growth is seen and not only a point.
//!
//! `cargo bench --bench plan`
#![allow(clippy::unwrap_used, reason = "a bench")]

#[path = "../common/mod.rs"]
mod common;

use std::hint::black_box;

use common::World;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use kube_router::model::{
    Endpoint, EndpointSlice, ObjectName, Service, ServiceAnnotations, ServiceKind, ServicePort,
    SlicePort, TrafficPolicy,
};
use kube_router::net::{Family, Protocol};
use kube_router::proxy::change::{Observed, changes};
use kube_router::proxy::plan::Plan;
use kube_router::reconcile::Scope;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const ENDPOINTS: u32 = 10;

fn name(number: u32) -> ObjectName {
    ObjectName::new(format!("ns{}", number % 100), format!("service-{number}"))
}

fn v4(base: [u8; 4], offset: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(u32::from_be_bytes(base) + offset))
}

fn service(number: u32) -> Service {
    Service {
        name: name(number),
        created: i64::from(number),
        kind: ServiceKind::NodePort,
        cluster_ips: vec![v4([10, 96, 0, 1], number)],
        external_ips: Vec::new(),
        load_balancer_ips: Vec::new(),
        ports: vec![ServicePort {
            name: "http".into(),
            protocol: Protocol::Tcp,
            port: 80,
            node_port: (number < 2700).then(|| 30000 + u16::try_from(number).unwrap()),
        }],
        affinity: None,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
        source_ranges: Vec::new(),
        source_ranges_restricted: false,
        traffic_distribution: None,
        health_check_node_port: None,
        foreign_proxy: false,
        labelled_headless: false,
        annotations: ServiceAnnotations::default(),
    }
}

fn slice(number: u32, ready: u32) -> EndpointSlice {
    let owner = name(number);
    let hints: Arc<[Arc<str>]> = Arc::from([]);
    EndpointSlice {
        name: ObjectName::new(Arc::clone(&owner.namespace), format!("{}-x", owner.name)),
        service: owner.name,
        family: Family::V4,
        ports: vec![SlicePort {
            name: "http".into(),
            protocol: Protocol::Tcp,
            port: 8080,
        }],
        endpoints: (0..ENDPOINTS)
            .map(|e| Endpoint {
                address: v4([10, 128, 0, 1], number * ENDPOINTS + e),
                ready: e < ready,
                serving: e < ready,
                terminating: false,
                node: Some("n2".into()),
                zone: None,
                for_zones: Arc::clone(&hints),
                for_nodes: Arc::clone(&hints),
            })
            .collect(),
    }
}

fn world(services: u32) -> World {
    let mut world = World::default();
    for number in 0..services {
        world.apply_service(service(number));
        world.apply_slice(slice(number, ENDPOINTS));
    }
    world
}

fn cold(c: &mut Criterion) {
    let mut group = c.benchmark_group("cold plan");
    group.sample_size(20);
    for services in [1_000, 10_000] {
        let input = world(services).input();
        group.bench_function(BenchmarkId::from_parameter(services), |b| {
            b.iter_batched(
                Plan::default,
                |mut plan| {
                    plan.update(black_box(&input));
                    plan
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn warm(c: &mut Criterion) {
    let mut group = c.benchmark_group("pass with one endpoint changed");
    for services in [1_000, 10_000] {
        let mut world = world(services);
        let mut plan = Plan::default();
        plan.update(&world.input());
        let mut seen = Observed::default();
        seen.assume(&plan);
        plan.settle_all();
        let mut inputs = Vec::new();
        for ready in [ENDPOINTS - 1, ENDPOINTS] {
            world.apply_slice(slice(services / 2, ready));
            inputs.push(world.input());
        }
        let mut turn = 0;
        group.bench_function(BenchmarkId::from_parameter(services), |b| {
            b.iter(|| {
                turn += 1;
                plan.update(&inputs[turn % 2]);
                let steps = changes(&plan, &seen, Scope::Touched);
                assert!(
                    steps.len() <= 2,
                    "more steps than one endpoint explains: {steps:?}"
                );
                black_box(steps)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, cold, warm);
criterion_main!(benches);
