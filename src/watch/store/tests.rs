use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::watch::source::{Event, Kind};
use crate::watch::wire::{self, Decoded, Object};

/// One of few objects in one of few versions; some versions are faulty.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Made {
    object: u8,
    version: u8,
}

fn service(made: Made) -> Decoded<wire::Service> {
    let Made { object, version } = made;
    let ip = match version {
        0 => "nonsense".to_owned(),
        version => format!("10.96.{object}.{version}"),
    };
    wire::decode_value(json!({
        "metadata": {"name": format!("s{object}"), "namespace": format!("ns{}", object % 2)},
        "spec": {"clusterIP": ip, "ports": [{"port": 80}]},
        "status": {"noise": version},
    }))
}

fn slice(made: Made) -> Decoded<wire::EndpointSlice> {
    let Made { object, version } = made;
    wire::decode_value(json!({
        "metadata": {"name": format!("e{object}"), "namespace": "ns0",
            "labels": {"kubernetes.io/service-name": format!("s{}", version % 3)}},
        "addressType": if version == 0 { "FQDN" } else { "IPv4" },
        "endpoints": [{"addresses": [format!("10.42.{object}.{version}")]}],
    }))
}

fn node(made: Made) -> Decoded<wire::Node> {
    let Made { object, version } = made;
    wire::decode_value(json!({
        "metadata": {"name": format!("n{object}")},
        "status": {"addresses": [{"type": "InternalIP", "address": format!("192.0.2.{version}")}]},
    }))
}

fn pod(made: Made) -> Decoded<wire::Pod> {
    let Made { object, version } = made;
    wire::decode_value(json!({
        "metadata": {"name": format!("p{object}"), "namespace": format!("ns{}", object % 2),
            "labels": {"v": version.to_string()}},
        "spec": {"nodeName": "n1", "hostNetwork": if version == 0 { json!("faulty") } else { json!(false) }},
        "status": {"podIP": format!("10.42.0.{object}"), "conditions": [version]},
    }))
}

fn namespace(made: Made) -> Decoded<wire::Namespace> {
    let Made { object, version } = made;
    wire::decode_value(json!({
        "metadata": {"name": format!("ns{object}"), "labels": {"v": version.to_string()},
            "annotations": {"net.beta.kubernetes.io/network-policy": if version == 0 { "{" } else { "{}" }}},
    }))
}

fn policy(made: Made) -> Decoded<wire::NetworkPolicy> {
    let Made { object, version } = made;
    let name = json!({"name": format!("np{object}"), "namespace": "ns0"});
    match version {
        // No JSON inside: it closes its namespace.
        0 => wire::decode(format!(r#"{{"metadata": {name}, "spec": 1e999}}"#).as_bytes()),
        version => wire::decode_value(json!({
            "metadata": name,
            "spec": {"podSelector": {"matchLabels": {"v": version.to_string()}}, "ingress": [{"from": [{}]}]},
        })),
    }
}

/// The words of one source about one kind: what is done, and what holds in the end.
#[derive(Debug, Clone)]
enum Word {
    Apply(Made),
    Delete(u8),
    /// A list of what holds.
    List,
    /// A list of something else that breaks off in the middle.
    HalfList(Vec<Made>),
}

fn made() -> impl Strategy<Value = Made> {
    (0u8..5, 0u8..5).prop_map(|(object, version)| Made { object, version })
}

fn words() -> impl Strategy<Value = Vec<Word>> {
    let word = prop_oneof![
        4 => made().prop_map(Word::Apply),
        2 => (0u8..5).prop_map(Word::Delete),
        1 => Just(Word::List),
        1 => proptest::collection::vec(made(), 0..4).prop_map(Word::HalfList),
    ];
    proptest::collection::vec(word, 0..20)
}

/// The events of one kind as a source sends them, ending with a complete list; and what holds.
fn events<K: Kind + Object>(
    words: &[Word],
    make: fn(Made) -> Decoded<K>,
) -> (Vec<ClusterEvent>, BTreeMap<u8, Made>) {
    let mut truth = BTreeMap::new();
    let mut events = Vec::new();
    let list = |truth: &BTreeMap<u8, Made>, events: &mut Vec<ClusterEvent>| {
        events.push(K::event(Event::Init));
        events.extend(
            truth
                .values()
                .map(|made| K::event(Event::InitApply(make(*made)))),
        );
        events.push(K::event(Event::InitDone));
    };
    for word in words {
        match word {
            Word::Apply(made) => {
                truth.insert(made.object, *made);
                events.push(K::event(Event::Apply(make(*made))));
            }
            Word::Delete(object) => {
                truth.remove(object);
                let gone = make(Made {
                    object: *object,
                    version: 1,
                })
                .unwrap();
                events.push(K::event(Event::Delete(wire::name_of(&*gone).unwrap())));
            }
            Word::List => list(&truth, &mut events),
            Word::HalfList(stale) => {
                events.push(K::event(Event::Init));
                events.extend(
                    stale
                        .iter()
                        .map(|made| K::event(Event::InitApply(make(*made)))),
                );
            }
        }
    }
    list(&truth, &mut events);
    (events, truth)
}

/// Everything a snapshot says, but for its number.
fn content(snapshot: &Snapshot) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        snapshot
            .services
            .iter()
            .map(|(n, s)| (n, Service::clone(s)))
            .collect::<Vec<_>>(),
        snapshot
            .slices
            .iter()
            .map(|(n, s)| (n, SliceSet::clone(s)))
            .collect::<Vec<_>>(),
        snapshot
            .nodes
            .values()
            .map(|n| Node::clone(n))
            .collect::<Vec<_>>(),
        snapshot
            .pods
            .iter()
            .map(|(n, p)| (n, Pod::clone(p)))
            .collect::<Vec<_>>(),
        snapshot
            .namespaces
            .values()
            .map(|n| Namespace::clone(n))
            .collect::<Vec<_>>(),
        snapshot
            .policies
            .iter()
            .map(|(n, p)| (n, NetworkPolicy::clone(p)))
            .collect::<Vec<_>>(),
        snapshot.notes.to_vec(),
    )
}

proptest! {
    #[test]
    fn however_events_interleave_a_store_ends_like_a_fresh_one(
        words in proptest::array::uniform6(words()),
        order in proptest::collection::vec((0usize..6, any::<bool>()), 0..300),
    ) {
        let [services, slices, nodes, pods, namespaces, policies] = words;
        let (services, final_services) = events(&services, service);
        let (slices, final_slices) = events(&slices, slice);
        let (nodes, final_nodes) = events(&nodes, node);
        let (pods, final_pods) = events(&pods, pod);
        let (namespaces, final_namespaces) = events(&namespaces, namespace);
        let (policies, final_policies) = events(&policies, policy);
        let mut queues = [services, slices, nodes, pods, namespaces, policies].map(Vec::into_iter);
        let mut store = Store::default();
        let mut last = None;
        for (queue, publish) in order {
            if let Some(event) = queues[queue].next() {
                store.handle(event);
            }
            if publish {
                last = store.publish().or(last);
            }
        }
        for event in queues.into_iter().flatten() {
            store.handle(event);
        }
        last = store.publish().or(last);

        let list = |truth: BTreeMap<u8, Made>| truth.into_values().map(Word::Apply).collect::<Vec<_>>();
        let mut fresh = Store::default();
        for event in events(&list(final_services), service).0.into_iter()
            .chain(events(&list(final_slices), slice).0)
            .chain(events(&list(final_nodes), node).0)
            .chain(events(&list(final_pods), pod).0)
            .chain(events(&list(final_namespaces), namespace).0)
            .chain(events(&list(final_policies), policy).0)
        {
            fresh.handle(event);
        }
        let fresh = fresh.publish().unwrap();
        prop_assert_eq!(content(&last.unwrap()), content(&fresh));
        prop_assert!(store.publish().is_none(), "nothing new is published twice");
    }
}

fn synced() -> Store {
    filled(Store::default())
}

/// Besides what every store waits for.
fn synced_with_policies() -> Store {
    let mut store = filled(Store::default());
    let one = [Word::Apply(Made {
        object: 1,
        version: 1,
    })];
    let pods = events(&one, pod).0.into_iter();
    for event in pods
        .chain(events(&one, namespace).0)
        .chain(events(&one, policy).0)
    {
        store.handle(event);
    }
    store
}

fn filled(mut store: Store) -> Store {
    for (events, _) in [
        events(
            &[Word::Apply(Made {
                object: 1,
                version: 1,
            })],
            service,
        ),
        events(
            &[Word::Apply(Made {
                object: 1,
                version: 1,
            })],
            slice,
        ),
        events(&[], node),
    ] {
        events.into_iter().for_each(|event| store.handle(event));
    }
    store
}

#[test]
fn nothing_is_published_before_every_kind_was_listed() {
    let mut store = Store::default();
    for (events, kind) in [
        (events(&[], service).0, "services"),
        (events(&[], slice).0, "slices"),
    ] {
        events.into_iter().for_each(|event| store.handle(event));
        assert!(store.publish().is_none(), "{kind}");
    }
    store.handle(wire::Node::event(Event::Init));
    assert!(store.publish().is_none());
    store.handle(wire::Node::event(Event::InitDone));
    let snapshot = store.publish().unwrap();
    assert_eq!(snapshot.generation, 1);
    assert!(snapshot.services.is_empty());
}

#[test]
fn a_snapshot_says_whether_it_has_pods_namespaces_and_policies() {
    let mut store = synced();
    assert!(!store.publish().unwrap().knows_policies);
    for (events, knows) in [
        (events(&[], policy).0, false),
        (events(&[], pod).0, false),
        (events(&[], namespace).0, true),
    ] {
        events.into_iter().for_each(|event| store.handle(event));
        assert_eq!(store.publish().unwrap().knows_policies, knows);
    }
    store.handle(wire::Pod::event(Event::Init));
    store.handle(wire::Service::event(Event::Init));
    store.handle(wire::Service::event(Event::InitDone));
    let snapshot = store.publish().unwrap();
    assert!(
        snapshot.knows_policies,
        "a list begun again forgets nothing"
    );
}

#[test]
fn the_churn_of_a_pods_status_publishes_nothing_and_its_address_does() {
    let mut store = synced_with_policies();
    let before = store.publish().unwrap();
    let mut churned = json!({
        "metadata": {"name": "p1", "namespace": "ns1", "resourceVersion": "99", "labels": {"v": "1"},
            "annotations": {"noise": "x"}, "managedFields": [{}]},
        "spec": {"nodeName": "n1", "containers": [{"image": "x"}], "priority": 3},
        "status": {"podIP": "10.42.0.1", "podIPs": [{"ip": "10.42.0.1"}], "phase": "Running",
            "conditions": [{"type": "Ready", "lastProbeTime": "2024-05-01T12:30:00Z"}],
            "containerStatuses": [{"restartCount": 7}]},
    });
    let apply = |store: &mut Store, pod: &serde_json::Value| {
        let event = Event::Apply(wire::decode_value(pod.clone()));
        store.handle(wire::Pod::event(event));
        store.publish()
    };
    assert!(apply(&mut store, &churned).is_none());
    churned["metadata"]["deletionTimestamp"] = json!("2024-05-01T12:30:00Z");
    assert!(apply(&mut store, &churned).is_none());
    churned["status"]["phase"] = json!("Succeeded");
    let after = apply(&mut store, &churned).unwrap();
    let name = ObjectName::new("ns1", "p1");
    assert_eq!(after.pods.changed_since(&before.pods), [name]);
    assert!(Arc::ptr_eq(&before.namespaces, &after.namespaces));
    assert!(after.policies.changed_since(&before.policies).is_empty());
}

#[test]
fn a_policy_that_is_no_json_inside_closes_its_namespace() {
    let mut store = synced_with_policies();
    let text =
        br#"{"metadata": {"name": "np1", "namespace": "ns0"}, "spec": {"podSelector": 1e999}}"#;
    store.handle(wire::NetworkPolicy::event(Event::Apply(wire::decode(text))));
    let snapshot = store.publish().unwrap();
    let policy = snapshot
        .policies
        .get(&ObjectName::new("ns0", "np1"))
        .unwrap();
    assert!(policy.pods.is_everything());
    assert_eq!(
        (&policy.ingress, &policy.egress),
        (&Some(vec![]), &Some(vec![]))
    );
    assert!(
        snapshot
            .notes
            .iter()
            .any(|note| note.object.name.as_ref() == "ns0/np1")
    );
    let name = wire::name_of(&*policy_of(1)).unwrap();
    store.handle(wire::NetworkPolicy::event(Event::Delete(name)));
    assert!(store.publish().unwrap().policies.is_empty());
}

fn policy_of(object: u8) -> Box<wire::NetworkPolicy> {
    policy(Made { object, version: 1 }).unwrap()
}

#[test]
fn a_change_of_status_alone_keeps_the_object_and_publishes_nothing() {
    let mut store = synced();
    let before = store.publish().unwrap();
    let mut noisy = json!({
        "metadata": {"name": "s1", "namespace": "ns1", "resourceVersion": "99"},
        "spec": {"clusterIP": "10.96.1.1", "ports": [{"port": 80}], "selector": {"a": "b"}},
        "status": {"conditions": [1, 2, 3]},
    });
    store.handle(wire::Service::event(Event::Apply(wire::decode_value(
        noisy.clone(),
    ))));
    assert!(store.publish().is_none());
    noisy["spec"]["clusterIP"] = json!("10.96.1.2");
    store.handle(wire::Service::event(Event::Apply(wire::decode_value(
        noisy,
    ))));
    let after = store.publish().unwrap();
    assert_eq!(after.services.changed_since(&before.services).len(), 1);
    assert!(after.slices.changed_since(&before.slices).is_empty());
    let name = ObjectName::new("ns0", "s1");
    assert!(Arc::ptr_eq(
        before.slices.get(&name).unwrap(),
        after.slices.get(&name).unwrap()
    ));
}

#[test]
fn a_relist_of_the_same_objects_publishes_nothing_and_loses_nothing_on_the_way() {
    let mut store = synced();
    store.publish().unwrap();
    let (again, _) = events(&[], service);
    store.handle(wire::Service::event(Event::Init));
    assert!(store.publish().is_none());
    store.handle(wire::Service::event(Event::InitApply(service(Made {
        object: 1,
        version: 1,
    }))));
    store.handle(wire::Service::event(Event::InitDone));
    assert!(store.publish().is_none());
    again.into_iter().for_each(|event| store.handle(event));
    assert!(store.publish().unwrap().services.is_empty());
}

#[test]
fn one_faulty_object_among_a_thousand_costs_only_itself() {
    let mut store = Store::default();
    store.handle(wire::Service::event(Event::Init));
    for n in 0..1000 {
        let text = match n {
            17 => r#"{"metadata": {"name": "s17", "labels": 4}, "spec": 1e999}"#.to_owned(),
            18 => r#"{"metadata": 3}"#.to_owned(),
            19 => r#"{"metadata": {"name": "s19"}, "spec": {"clusterIP": {}}}"#.to_owned(),
            20 => "null".to_owned(),
            n => json!({"metadata": {"name": format!("s{n}")},
                "spec": {"clusterIP": format!("10.96.{}.{}", n / 250, n % 250 + 1)}})
            .to_string(),
        };
        let object = wire::decode(text.as_bytes());
        store.handle(wire::Service::event(Event::InitApply(object)));
    }
    store.handle(wire::Service::event(Event::InitDone));
    for events in [events(&[], slice).0, events(&[], node).0] {
        events.into_iter().for_each(|event| store.handle(event));
    }
    let snapshot = store.publish().unwrap();
    assert_eq!(snapshot.services.len(), 997);
    let notes: Vec<_> = snapshot.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "Service default/s17: number out of range at line 1 column 56",
            "Service default/s19: spec.clusterIP: expected a text, found a mapping",
            "Service without a name: expected a mapping, found null",
            "Service without a name: metadata: expected a mapping, found the number 3",
        ]
    );
}

#[test]
fn a_slice_that_changes_its_service_moves_and_sets_stay_ordered_by_name() {
    let mut store = synced();
    store.publish().unwrap();
    let to =
        |object, version| wire::EndpointSlice::event(Event::Apply(slice(Made { object, version })));
    for (object, version) in [(3, 2), (2, 2), (1, 2)] {
        store.handle(to(object, version));
    }
    let snapshot = store.publish().unwrap();
    assert!(snapshot.slices.get(&ObjectName::new("ns0", "s1")).is_none());
    let set = snapshot.slices.get(&ObjectName::new("ns0", "s2")).unwrap();
    let names: Vec<_> = set.iter().map(|slice| slice.name.to_string()).collect();
    assert_eq!(names, ["ns0/e1", "ns0/e2", "ns0/e3"]);
}

#[tokio::test]
async fn one_batch_of_events_gives_one_snapshot() {
    let (sender, receiver) = mpsc::channel(64);
    let (publish, mut snapshots) = watch::channel(None);
    for events in [
        events(&[], service).0,
        events(&[], slice).0,
        events(&[], node).0,
    ] {
        for event in events {
            sender.try_send(event).unwrap();
        }
    }
    for object in 0..5 {
        let event = Event::Apply(service(Made { object, version: 1 }));
        sender.try_send(wire::Service::event(event)).unwrap();
    }
    drop(sender);
    run(Store::default(), receiver, publish).await;
    let snapshot = snapshots.borrow_and_update().clone().unwrap();
    assert_eq!((snapshot.generation, snapshot.services.len()), (1, 5));
}
