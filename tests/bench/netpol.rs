//! How long network policy thinks: the first plan of a cluster, and one event at that size.
//!
//! Counted is the processor's time, so that neighbours on the machine don't count.
//!
//! `cargo bench --bench netpol`
#![allow(clippy::unwrap_used, reason = "a bench")]

#[path = "../common/policy_cluster.rs"]
mod policy_cluster;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BatchSize, Bencher, BenchmarkId, Criterion, criterion_group, criterion_main};
use kube_router::model::{Labels, ObjectName, Pod, Snapshot};
use kube_router::net::Protocol;
use kube_router::netpol::{Input, Plan};
use policy_cluster::{
    Cluster, block, labels, named, namespace, namespaces, pod, policy, port, remote, rule,
    same_namespace, selector, tcp,
};

const PODS: usize = 5_000;
const POLICIES: usize = 1_000;
const LOCAL: usize = 110;

/// Time that the processor spent on this thread.
struct CpuTime;

#[expect(unsafe_code, reason = "one call that std does not wrap")]
fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of ours, and the clock is there on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(
        time.tv_sec.try_into().unwrap(),
        time.tv_nsec.try_into().unwrap(),
    )
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        cpu_time()
    }

    fn end(&self, start: Duration) -> Duration {
        cpu_time().checked_sub(start).unwrap()
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// How the same numbers of objects lie.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// 100 namespaces with ten policies each, as tenants have them.
    Tenants,
    /// One namespace in which every policy selects every pod.
    Heap,
}

fn app(at: usize) -> String {
    format!("app-{}", at % 10)
}

fn spaces(shape: Shape) -> usize {
    match shape {
        Shape::Tenants => 100,
        Shape::Heap => 1,
    }
}

fn a_pod(at: usize, shape: Shape) -> Pod {
    let (v4, v6) = (
        format!("10.{}.{}.{}", 42 + at / 62_500, at / 250, at % 250 + 1),
        format!("fd00:42::{at:x}:1"),
    );
    let name = format!("ns-{}/pod-{at}", at % spaces(shape));
    let (own, version) = (app(at / spaces(shape)), format!("v{}", at % 3));
    let pairs = [
        ("app", own.as_str()),
        ("version", &version),
        ("pod-template-hash", "5d4f8c7b9"),
    ];
    let mut one = pod(&name, &[&v4, &v6], &pairs);
    one.ports = vec![
        port("http", Protocol::Tcp, 8080),
        port("metrics", Protocol::Tcp, 9090),
    ];
    if at.is_multiple_of(PODS / LOCAL) && at / (PODS / LOCAL) < LOCAL {
        one
    } else {
        remote(one)
    }
}

fn cluster(shape: Shape) -> Cluster {
    let mut cluster = Cluster::default();
    for at in 0..spaces(shape) {
        let (name, team) = (format!("ns-{at}"), format!("team-{}", at % 10));
        cluster.namespaces.push(namespace(
            &name,
            &[("kubernetes.io/metadata.name", &name), ("team", &team)],
        ));
    }
    cluster.pods = (0..PODS).map(|at| a_pod(at, shape)).collect();
    for at in 0..POLICIES {
        let (own, other) = (app(at / spaces(shape)), app(at / spaces(shape) + 1));
        let team = format!("team-{}", at % 10);
        let selected = match shape {
            Shape::Tenants => selector(&[("app", &own)]),
            Shape::Heap => selector(&[]),
        };
        let number = u16::try_from(at % 50).unwrap();
        let ingress = vec![
            rule(
                Some(vec![
                    same_namespace(selector(&[("app", &other)])),
                    namespaces(selector(&[("team", &team)]), selector(&[("app", "app-0")])),
                ]),
                Some(vec![
                    tcp(8000 + number, 8000 + number),
                    named(Protocol::Tcp, "http"),
                ]),
            ),
            rule(
                Some(vec![block(&format!("10.{}.0.0/16", at % 200), &[])]),
                Some(vec![tcp(443, 443)]),
            ),
        ];
        let egress = vec![
            rule(
                Some(vec![same_namespace(selector(&[("app", &other)]))]),
                Some(vec![named(Protocol::Tcp, "metrics")]),
            ),
            rule(Some(vec![block("0.0.0.0/0", &["10.0.0.0/8"])]), None),
        ];
        let name = format!("ns-{}/policy-{at}", at % spaces(shape));
        cluster
            .policies
            .push(policy(&name, selected, Some(ingress), Some(egress)));
    }
    cluster
}

fn relabelled(input: &Input, name: &ObjectName, labels: Labels) -> Input {
    let mut snapshot: Snapshot = (*input.snapshot).clone();
    let pod = Pod {
        labels,
        ..(**snapshot.pods.get(name).unwrap()).clone()
    };
    snapshot.pods.insert(name, Arc::new(pod));
    Input {
        snapshot: Arc::new(snapshot),
        ..input.clone()
    }
}

fn without(input: &Input, name: &ObjectName) -> Input {
    let mut snapshot: Snapshot = (*input.snapshot).clone();
    snapshot.pods.remove(name);
    Input {
        snapshot: Arc::new(snapshot),
        ..input.clone()
    }
}

/// The same question again and again, there and back.
fn flip(bencher: &mut Bencher<'_, CpuTime>, plan: &mut Plan, one: &Input, other: &Input) {
    plan.update(one);
    let mut at_other = false;
    bencher.iter(|| {
        at_other = !at_other;
        plan.update(if at_other { other } else { one });
        black_box(&*plan);
    });
}

fn plans(criterion: &mut Criterion<CpuTime>) {
    for shape in [Shape::Tenants, Shape::Heap] {
        let mut group = criterion.benchmark_group("netpol");
        group.sample_size(20);
        let cluster = cluster(shape);
        let input = cluster.input();
        let mut plan = Plan::default();
        plan.update(&input);
        let members: usize = plan
            .wanted()
            .members
            .iter()
            .map(|(_, members)| members.len())
            .sum();
        eprintln!("{shape:?}: {:?}, {members} members", plan.counts());
        group.bench_with_input(
            BenchmarkId::new("first plan", format!("{shape:?}")),
            &input,
            |bencher, input| {
                bencher.iter_batched(
                    Plan::default,
                    |mut plan| {
                        plan.update(input);
                        plan
                    },
                    BatchSize::PerIteration,
                );
            },
        );
        let far = &cluster.pods[1].name;
        let here = &cluster.pods[0].name;
        let other = relabelled(&input, far, labels(&[("app", "app-7"), ("version", "v9")]));
        group.bench_function(
            BenchmarkId::new("label of a pod elsewhere", format!("{shape:?}")),
            |bencher| flip(bencher, &mut plan, &input, &other),
        );
        let other = without(&input, far);
        group.bench_function(
            BenchmarkId::new("pod elsewhere comes or goes", format!("{shape:?}")),
            |bencher| flip(bencher, &mut plan, &input, &other),
        );
        let other = without(&input, here);
        group.bench_function(
            BenchmarkId::new("pod here comes or goes", format!("{shape:?}")),
            |bencher| flip(bencher, &mut plan, &input, &other),
        );
        let mut snapshot: Snapshot = (*input.snapshot).clone();
        let own = snapshot
            .policies
            .iter()
            .find(|(name, _)| name.namespace == here.namespace)
            .map(|(name, _)| name)
            .unwrap();
        snapshot.policies.remove(&own);
        let other = Input {
            snapshot: Arc::new(snapshot),
            ..input.clone()
        };
        group.bench_function(
            BenchmarkId::new("policy comes or goes", format!("{shape:?}")),
            |bencher| flip(bencher, &mut plan, &input, &other),
        );
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = plans
}
criterion_main!(benches);
