//! Random small clusters: the rules decide as the API's text does, and do not depend on the way
//! that led to them.
//!
//! `PROPTEST_CASES` says how many clusters.
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "common/policy_cluster.rs"]
mod policy_cluster;
#[path = "common/policy_oracle.rs"]
mod policy_oracle;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use kube_router::firewall::{
    Action, Chain, ChainKey, Hook, IcmpType, Jump, Member, Name, Packet, Payload, Seen, SetKey,
    Step, TargetKey, Tracked, Verdict, Wanted, changes, walk,
};
use kube_router::model::{
    Namespace, NetworkPolicy, NodeFacts, ObjectName, Pod, PolicyRule, PortSpec,
};
use kube_router::net::{Family, Protocol};
use kube_router::netpol::plan::{Flow, Plan};
use kube_router::netpol::{Input, Settings};
use policy_cluster::{
    Cluster, NODE_V4, NODE_V6, any_cluster, any_namespace, any_pod, any_policy, any_settings,
    facts, ip,
};
use policy_oracle::passes;
use proptest::prelude::*;
use proptest::test_runner::Config;

/// Addresses that are no pod's: outside and inside of the blocks and ranges that are drawn.
const STRANGERS: [&str; 7] = [
    "203.0.113.9",
    "198.51.100.1",
    "10.42.0.200",
    "10.42.1.4",
    "2001:db8::9",
    "fd00:42::7",
    "fd00:42:1::4",
];

/// How many payloads each pair of addresses is asked about; every pair begins at another one.
const SAMPLE: usize = 4;

fn config(cases: u32) -> Config {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config
}

fn addresses(cluster: &Cluster) -> BTreeSet<IpAddr> {
    let pods = cluster.pods.iter().flat_map(|pod| pod.addresses.clone());
    let others = STRANGERS.iter().chain(&[NODE_V4, NODE_V6]);
    pods.chain(others.map(|text| ip(text))).collect()
}

/// Ports around every end that the policies name, and every port that a pod gives a name.
fn payloads(cluster: &Cluster) -> BTreeSet<(Protocol, u16)> {
    let all: Vec<&PolicyRule> = cluster
        .policies
        .iter()
        .flat_map(|one| one.ingress.iter().chain(&one.egress).flatten())
        .collect();
    let mut found = BTreeSet::from([(Protocol::Tcp, 7)]);
    for port in all.iter().flat_map(|rule| rule.ports.iter().flatten()) {
        match &port.port {
            PortSpec::All => {
                found.extend([0, 9, 65535].map(|number| (port.protocol, number)));
            }
            PortSpec::Range(range) => {
                let (low, high) = (*range.start(), *range.end());
                let ends = [low.saturating_sub(1), low, high, high.saturating_add(1)];
                found.extend(ends.map(|number| (port.protocol, number)));
            }
            PortSpec::Named(_) => {}
        }
    }
    let pods = cluster.pods.iter().flat_map(|pod| &pod.ports);
    found.extend(pods.map(|port| (port.protocol, port.port)));
    found
}

static NODE: LazyLock<NodeFacts> = LazyLock::new(facts);

fn packet(hook: Hook, source: IpAddr, destination: IpAddr, payload: Payload) -> Packet {
    Packet {
        hook,
        source,
        destination,
        payload,
        tracked: Tracked::New,
        from_node: NODE.is_local(source),
        to_node: NODE.is_local(destination),
        served: false,
    }
}

/// The hooks that a packet between two addresses passes on this node.
fn hooks(packet: &Packet) -> &'static [Hook] {
    match (packet.from_node, packet.to_node) {
        (true, _) => &[Hook::Output],
        (false, true) => &[Hook::Input],
        // Forwarded, or by IPVS from a Service to the pod behind it.
        (false, false) => &[Hook::Forward, Hook::Output],
    }
}

fn check(cluster: &Cluster, plan: &Plan, packet: &Packet) -> Result<(), TestCaseError> {
    let (verdict, steps) = walk(plan.wanted(), packet);
    let expected = passes(cluster, &NODE, packet);
    prop_assert_eq!(
        verdict == Verdict::Accept,
        expected,
        "{:?}\nsteps: {:#?}",
        packet,
        steps
    );
    check_reasons(plan, packet, &steps)
}

/// A chain that returns does so because of a rule that can be named, one that refuses has none.
fn check_reasons(plan: &Plan, packet: &Packet, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut branched = None;
    for step in steps {
        let judged = plan.judged(step.chain).or_else(|| branched.take());
        if matches!(step.rule.action, Action::Goto(_)) {
            branched = judged;
            continue;
        }
        let Some(judged) = judged else {
            continue;
        };
        let (own, other) = match judged.flow {
            Flow::Ingress => (packet.destination, packet.source),
            Flow::Egress => (packet.source, packet.destination),
        };
        let pod = plan.pod_at(own).map(|pod| pod.name.clone());
        let pod = pod.filter(|pod| judged.pods.contains(pod));
        prop_assert!(pod.is_some(), "{} judges {}", step.chain, own);
        let reasons = plan.admissions(&pod.unwrap(), judged.flow, other, packet.payload);
        let returns = step.rule.action == Action::Return;
        prop_assert_eq!(returns, !reasons.is_empty(), "{:?} {:?}", step, reasons);
        prop_assert!(
            reasons
                .iter()
                .all(|one| judged.policies.contains(&one.policy))
        );
    }
    Ok(())
}

fn check_all(cluster: &Cluster, plan: &Plan) -> Result<(), TestCaseError> {
    let addresses = addresses(cluster);
    let ports = payloads(cluster).into_iter();
    let ports = ports.map(|(protocol, port)| Payload::Ports(protocol, port));
    let icmp = [IcmpType::EchoRequest, IcmpType::DestinationUnreachable].map(Payload::Icmp);
    let payloads: Vec<Payload> = ports.chain(icmp).chain([Payload::Other(47)]).collect();
    let mut turn = 0;
    for source in &addresses {
        for destination in &addresses {
            if source.is_ipv4() != destination.is_ipv4() {
                continue;
            }
            turn = (turn + 1) % payloads.len();
            let round = payloads.iter().cycle().skip(turn);
            for payload in round.step_by(payloads.len().div_ceil(SAMPLE)).take(SAMPLE) {
                let mut packet = packet(Hook::Forward, *source, *destination, *payload);
                for hook in hooks(&packet) {
                    packet.hook = *hook;
                    check(cluster, plan, &packet)?;
                }
            }
            for tracked in [Tracked::Known, Tracked::Invalid, Tracked::Midway] {
                let payload = Payload::Ports(Protocol::Tcp, 80);
                let mut packet = packet(Hook::Forward, *source, *destination, payload);
                packet.tracked = tracked;
                packet.hook = hooks(&packet)[0];
                check(cluster, plan, &packet)?;
                packet.hook = Hook::Input;
                packet.served = true;
                check(cluster, plan, &packet)?;
            }
        }
    }
    Ok(())
}

/// Everything a plan says, in order.
#[derive(Debug, PartialEq)]
struct Said {
    chains: BTreeMap<ChainKey, Arc<Chain>>,
    members: BTreeMap<SetKey, BTreeSet<Member>>,
    targets: BTreeMap<TargetKey, Name>,
    jumps: Vec<(Family, Jump)>,
    notes: Vec<String>,
    isolations: Vec<(ObjectName, Flow, Name, Vec<ObjectName>)>,
    counts: String,
}

fn said(plan: &Plan, cluster: &Cluster) -> Said {
    let wanted = plan.wanted();
    let members = wanted.members.iter();
    let isolations = cluster.pods.iter().flat_map(|pod| {
        Flow::ALL.into_iter().filter_map(|flow| {
            let (chain, policies) = plan.isolation(&pod.name, flow)?;
            Some((pod.name.clone(), flow, chain, policies.to_vec()))
        })
    });
    Said {
        chains: wanted
            .chains
            .iter()
            .map(|(key, chain)| (*key, Arc::clone(chain)))
            .collect(),
        members: members
            .map(|(key, members)| (*key, members.iter().copied().collect()))
            .collect(),
        targets: wanted.targets.iter().map(|(key, to)| (*key, *to)).collect(),
        jumps: wanted.jumps.clone(),
        notes: plan.notes().iter().map(ToString::to_string).collect(),
        isolations: isolations.collect(),
        counts: format!("{:?}", plan.counts()),
    }
}

/// Every set, chain and dispatch that is named is there, and nothing is there that is not named.
fn check_whole(wanted: &Wanted) -> Result<(), TestCaseError> {
    let mut named_sets = BTreeSet::new();
    for (key, chain) in wanted.chains.iter() {
        prop_assert_eq!(key.name, chain.name);
        for one in chain.rules.iter().flat_map(|rule| &rule.matches) {
            if let kube_router::firewall::Match::InSet { set, .. }
            | kube_router::firewall::Match::NotInSet { set, .. } = one
            {
                named_sets.insert(SetKey::new(key.family, *set));
            }
        }
    }
    let sets: BTreeSet<SetKey> = wanted.members.iter().map(|(key, _)| *key).collect();
    prop_assert_eq!(sets, named_sets);
    let fixed = |name: &str| name.starts_with("KUBE-ROUTER-") || name == "KUBE-NWPLCY-CLOSED";
    let targets: BTreeSet<Name> = wanted.targets.iter().map(|(_, to)| *to).collect();
    let chains = wanted.chains.iter().map(|(key, _)| key.name);
    let chains: BTreeSet<Name> = chains.filter(|name| !fixed(name.as_str())).collect();
    for name in targets.difference(&chains) {
        prop_assert!(false, "{} is aimed at and not there", name);
    }
    for (key, members) in wanted.members.iter() {
        prop_assert!(key.kernel_name().len() <= 31);
        for member in members {
            prop_assert_eq!(member.family(), key.family);
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Labels,
    Ports,
    Addresses,
    Node,
    Created,
    Finished,
}

#[derive(Debug, Clone)]
enum Event {
    Pod(Pod),
    /// One field of a pod that is there becomes that of another.
    Alter(usize, Field, Pod),
    NoPod(usize),
    Policy(NetworkPolicy),
    NoPolicy(usize),
    Namespace(Namespace),
    NoNamespace(usize),
    Settings(Settings),
}

fn any_event() -> impl Strategy<Value = Event> {
    let fields = vec![
        Field::Labels,
        Field::Ports,
        Field::Addresses,
        Field::Node,
        Field::Created,
        Field::Finished,
    ];
    let alter = (any::<usize>(), proptest::sample::select(fields), any_pod());
    prop_oneof![
        8 => alter.prop_map(|(at, field, pod)| Event::Alter(at, field, pod)),
        8 => any_pod().prop_map(Event::Pod),
        3 => any::<usize>().prop_map(Event::NoPod),
        4 => any_policy().prop_map(Event::Policy),
        2 => any::<usize>().prop_map(Event::NoPolicy),
        3 => any_namespace().prop_map(Event::Namespace),
        1 => any::<usize>().prop_map(Event::NoNamespace),
        1 => any_settings().prop_map(Event::Settings),
    ]
}

fn put<T: Clone, K: Ord>(list: &mut Vec<T>, one: T, key: impl Fn(&T) -> K) {
    list.retain(|held| key(held) != key(&one));
    list.push(one);
}

fn drop_one<T>(list: &mut Vec<T>, at: usize) {
    if !list.is_empty() {
        list.swap_remove(at % list.len());
    }
}

fn alter(pods: &mut [Pod], at: usize, field: Field, from: Pod) {
    let at = at % pods.len().max(1);
    let Some(pod) = pods.get_mut(at) else { return };
    match field {
        Field::Labels => pod.labels = from.labels,
        Field::Ports => pod.ports = from.ports,
        Field::Addresses => pod.addresses = from.addresses,
        Field::Node => (pod.node, pod.host_ips) = (from.node, from.host_ips),
        Field::Created => pod.created = from.created,
        Field::Finished => pod.finished = !pod.finished,
    }
}

fn happens(cluster: &mut Cluster, event: Event) {
    match event {
        Event::Pod(pod) => put(&mut cluster.pods, pod, |one| one.name.clone()),
        Event::Alter(at, field, from) => alter(&mut cluster.pods, at, field, from),
        Event::NoPod(at) => drop_one(&mut cluster.pods, at),
        Event::Policy(one) => put(&mut cluster.policies, one, |one| one.name.clone()),
        Event::NoPolicy(at) => drop_one(&mut cluster.policies, at),
        Event::Namespace(one) => put(&mut cluster.namespaces, one, |one| one.name.clone()),
        Event::NoNamespace(at) => drop_one(&mut cluster.namespaces, at),
        Event::Settings(settings) => cluster.settings = settings,
    }
}

/// The next input, sharing with the last one what did not change.
fn next_input(cluster: &Cluster, last: &Input) -> Input {
    let mut fresh = cluster.input();
    let mut snapshot = (*last.snapshot).clone();
    for name in fresh.snapshot.pods.changed_since(&last.snapshot.pods) {
        match fresh.snapshot.pods.get(&name) {
            Some(pod) if last.snapshot.pods.get(&name) != Some(pod) => {
                snapshot.pods.insert(&name, Arc::clone(pod));
            }
            Some(_) => {}
            None => drop(snapshot.pods.remove(&name)),
        }
    }
    for name in fresh
        .snapshot
        .policies
        .changed_since(&last.snapshot.policies)
    {
        match fresh.snapshot.policies.get(&name) {
            Some(policy) if last.snapshot.policies.get(&name) != Some(policy) => {
                snapshot.policies.insert(&name, Arc::clone(policy));
            }
            Some(_) => {}
            None => drop(snapshot.policies.remove(&name)),
        }
    }
    snapshot.namespaces = Arc::clone(&fresh.snapshot.namespaces);
    fresh.snapshot = Arc::new(snapshot);
    fresh
}

fn settle(plan: &mut Plan, seen: &mut Seen) {
    let wanted = plan.wanted_mut();
    for step in changes(wanted, seen, true) {
        seen.take(&step);
    }
    wanted.chains.settle_all();
    wanted.targets.settle_all();
    let touched: Vec<SetKey> = wanted.members.touched().keys().copied().collect();
    touched.iter().for_each(|key| wanted.members.settle(key));
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn the_rules_decide_as_the_text_of_the_api_does(cluster in any_cluster()) {
        let mut plan = Plan::default();
        plan.update(&cluster.input());
        check_whole(plan.wanted())?;
        check_all(&cluster, &plan)?;
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn the_way_to_a_cluster_does_not_matter(
        mut cluster in any_cluster(),
        history in proptest::collection::vec(proptest::collection::vec(any_event(), 1..4), 1..12),
    ) {
        let mut plan = Plan::default();
        let mut seen = Seen::default();
        let mut input = cluster.input();
        plan.update(&input);
        settle(&mut plan, &mut seen);
        for events in history {
            events.into_iter().for_each(|event| happens(&mut cluster, event));
            input = next_input(&cluster, &input);
            plan.update(&input);
            settle(&mut plan, &mut seen);
            let mut fresh = Plan::default();
            fresh.update(&cluster.input());
            prop_assert_eq!(said(&plan, &cluster), said(&fresh, &cluster));
        }
        check_whole(plan.wanted())?;
        prop_assert_eq!(changes(plan.wanted(), &seen, false), Vec::new());
    }
}
