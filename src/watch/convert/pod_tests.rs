use serde_json::{Value, json};

use super::*;
use crate::model::{NamedPort, Namespace, Pod};
use crate::net::Protocol;

fn lines(notes: &[Note]) -> Vec<String> {
    let notes = notes.iter();
    notes
        .map(|note| format!("{}: {}", note.field, note.reason))
        .collect()
}

fn pod_of(spec: &Value, status: &Value) -> (Pod, Vec<String>) {
    pod_with(&json!({"app": "web"}), spec, status)
}

fn pod_with(labels: &Value, spec: &Value, status: &Value) -> (Pod, Vec<String>) {
    let value = json!({
        "metadata": {"name": "p", "namespace": "shop", "labels": labels,
                     "creationTimestamp": "1970-01-02T00:00:00Z", "deletionTimestamp": "1970-01-03T00:00:00Z"},
        "spec": spec, "status": status,
    });
    let wire = wire::decode_value::<wire::Pod>(value).unwrap();
    let name = wire::name_of(&*wire).unwrap();
    let converted = pod(&name, &wire, &mut Interner::default());
    (converted.object.unwrap(), lines(&converted.notes))
}

fn namespace_of(metadata: &Value) -> (Namespace, Vec<String>) {
    let mut value = json!({"metadata": metadata});
    value["metadata"]["name"] = json!("shop");
    let wire = wire::decode_value::<wire::Namespace>(value).unwrap();
    let name = wire::name_of(&*wire).unwrap();
    let converted = namespace(&name, &wire, &mut Interner::default());
    (converted.object.unwrap(), lines(&converted.notes))
}

fn texts(addresses: &[IpAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn a_plain_pod_is_read_without_a_note() {
    let (pod, notes) = pod_of(
        &json!({"nodeName": "n1", "containers": [{"name": "c", "image": "i", "ports": [
            {"containerPort": 8080, "name": "http", "protocol": "TCP"}, {"containerPort": 9}]}]}),
        &json!({"phase": "Running", "hostIP": "192.0.2.1", "hostIPs": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}],
            "podIP": "10.42.0.7", "podIPs": [{"ip": "10.42.0.7"}, {"ip": "fd00:42::7"}], "conditions": [{}]}),
    );
    assert_eq!(notes, [""; 0]);
    assert_eq!(pod.name, ObjectName::new("shop", "p"));
    assert_eq!(pod.created, 86_400);
    assert_eq!(pod.node.as_deref(), Some("n1"));
    assert_eq!(texts(&pod.host_ips), ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(texts(&pod.addresses), ["10.42.0.7", "fd00:42::7"]);
    assert_eq!(pod.labels.to_string(), "app=web");
    assert_eq!((pod.host_network, pod.finished), (false, false));
    let http = NamedPort {
        name: Arc::from("http"),
        protocol: Protocol::Tcp,
        port: 8080,
    };
    assert_eq!(pod.ports, [http]);
    assert!(pod.is_actionable());
}

#[test]
fn a_pod_has_all_addresses_that_its_status_names() {
    for (status, addresses, faults) in [
        (json!({}), &[][..], 0),
        (json!(null), &[][..], 0),
        (json!({"podIP": "", "podIPs": []}), &[][..], 0),
        (json!({"podIP": "10.42.0.7"}), &["10.42.0.7"][..], 0),
        (
            json!({"podIP": "10.42.0.7", "podIPs": null}),
            &["10.42.0.7"][..],
            0,
        ),
        (
            json!({"podIPs": [{"ip": "FD00:42:0::7"}, {"ip": "10.42.0.7"}]}),
            &["fd00:42::7", "10.42.0.7"][..],
            0,
        ),
        (
            json!({"podIP": "10.42.0.9", "podIPs": [{"ip": "10.42.0.7"}]}),
            &["10.42.0.7", "10.42.0.9"][..],
            0,
        ),
        (
            json!({"podIP": "nowhere", "podIPs": [{"ip": "nowhere"}, {"ip": "10.42.0.7"}]}),
            &["10.42.0.7"][..],
            1,
        ),
        (
            json!({"podIP": 7, "podIPs": ["10.42.0.7", null, {}, {"ip": "127.0.0.1"}]}),
            &[][..],
            4,
        ),
        (json!({"podIPs": {"ip": "10.42.0.7"}}), &[][..], 1),
        (json!(["10.42.0.7"]), &[][..], 1),
    ] {
        let (pod, notes) = pod_of(&json!({}), &status);
        assert_eq!(texts(&pod.addresses), addresses, "{status}");
        assert_eq!(notes.len(), faults, "{status}: {notes:?}");
    }
}

#[test]
fn the_host_has_the_addresses_of_the_list_or_else_the_single_one() {
    for (status, addresses) in [
        (json!({"hostIP": "192.0.2.1"}), &["192.0.2.1"][..]),
        (
            json!({"hostIP": "192.0.2.1", "hostIPs": []}),
            &["192.0.2.1"][..],
        ),
        (
            json!({"hostIP": "192.0.2.9", "hostIPs": [{"ip": "192.0.2.1"}]}),
            &["192.0.2.1"][..],
        ),
        (json!({"hostIP": "x"}), &[][..]),
    ] {
        let (pod, _) = pod_of(&json!({}), &status);
        assert_eq!(texts(&pod.host_ips), addresses, "{status}");
    }
}

#[test]
fn only_its_phase_ends_a_pod() {
    for (phase, finished, faults) in [
        (json!("Pending"), false, 0),
        (json!("Running"), false, 0),
        (json!("Unknown"), false, 0),
        (json!(null), false, 0),
        (json!("Succeeded"), true, 0),
        (json!("Failed"), true, 0),
        (json!("Completed"), true, 0),
        (json!(3), false, 1),
    ] {
        let (pod, notes) = pod_of(&json!({}), &json!({"phase": phase, "podIP": "10.42.0.7"}));
        assert_eq!((pod.finished, notes.len()), (finished, faults), "{phase}");
        assert_eq!(pod.is_actionable(), !finished, "{phase}");
    }
}

#[test]
fn a_host_network_that_cannot_be_read_is_told_by_the_addresses() {
    for (value, pod_ip, wanted, faults) in [
        (json!(true), "10.42.0.7", true, 0),
        (json!(false), "192.0.2.1", false, 0),
        (json!(null), "192.0.2.1", false, 0),
        (json!("true"), "192.0.2.1", true, 1),
        (json!("true"), "10.42.0.7", false, 1),
    ] {
        let status = json!({"podIP": pod_ip, "hostIP": "192.0.2.1"});
        let (pod, notes) = pod_of(&json!({"hostNetwork": value}), &status);
        assert_eq!((pod.host_network, notes.len()), (wanted, faults), "{value}");
    }
}

#[test]
fn named_ports_are_those_of_containers_that_run_as_long_as_the_pod() {
    let ports = |ports: Value| json!({"ports": ports});
    let (pod, notes) = pod_of(
        &json!({
            "containers": [
                ports(json!([{"name": "web", "containerPort": 80}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}])),
                ports(json!([{"name": "web", "containerPort": 80}, {"name": "web", "containerPort": 81}])),
                ports(json!(null)), {}, "text",
                ports(json!([{"containerPort": 1}, {"name": "", "containerPort": 2}, {"name": "a b", "containerPort": 3},
                    {"name": "c"}, {"name": "d", "containerPort": 0}, {"name": "e", "containerPort": "80"},
                    {"name": "f", "containerPort": 4, "protocol": "ICMP"}, {"name": 5, "containerPort": 5}])),
            ],
            "initContainers": [
                {"restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 90, "protocol": "SCTP"}]},
                {"ports": [{"name": "gone", "containerPort": 91}]},
                {"restartPolicy": 7, "ports": [{"name": "never", "containerPort": 92}]},
            ],
            "ephemeralContainers": [ports(json!([{"name": "debug", "containerPort": 93}]))],
        }),
        &json!({}),
    );
    let found: Vec<_> = pod
        .ports
        .iter()
        .map(|port| (&*port.name, port.protocol, port.port))
        .collect();
    let wanted = [
        ("dns", Protocol::Udp, 53),
        ("side", Protocol::Sctp, 90),
        ("web", Protocol::Tcp, 80),
        ("web", Protocol::Tcp, 81),
    ];
    assert_eq!(found, wanted);
    assert_eq!(notes.len(), 8, "{notes:#?}");
    assert!(
        notes.contains(
            &"spec.containers[5].ports[4].containerPort: 0 is not a port: 1 to 65535".to_owned()
        ),
        "{notes:#?}"
    );
}

#[test]
fn all_labels_are_kept_with_their_texts_shared() {
    let many: serde_json::Map<String, Value> = (0..5000)
        .map(|n| (format!("example.org/{n}"), json!("x")))
        .collect();
    let (pod, notes) = pod_with(&Value::Object(many), &json!({}), &json!({}));
    assert_eq!((pod.labels.len(), notes.len()), (5000, 0));

    let labels = json!({"version": 1, "on": true, "none": null, "app": "web", "a\n": [], "": "x"});
    let (one, notes) = pod_with(&labels, &json!({}), &json!({}));
    assert_eq!(one.labels.to_string(), "=x,app=web,none=,version=1");
    assert_eq!(
        notes,
        [
            "metadata.labels[\"on\"]: expected a text, found true",
            "metadata.labels[\"a\\n\"]: expected a text, found a list",
        ]
    );

    let mut intern = Interner::default();
    let wire =
        wire::decode::<wire::Pod>(br#"{"metadata": {"name": "a", "labels": {"app": "web"}}}"#)
            .unwrap();
    let mut of = |name| {
        super::pod(&ObjectName::new("x", name), &wire, &mut intern)
            .object
            .unwrap()
    };
    let (a, b) = (of("a"), of("b"));
    assert!(Arc::ptr_eq(
        a.labels.get("app").unwrap(),
        b.labels.get("app").unwrap()
    ));

    for broken in [json!(["a"]), json!(7)] {
        let (pod, notes) = pod_with(&broken, &json!({}), &json!({}));
        assert!(pod.labels.is_empty() && notes.len() == 1, "{notes:?}");
    }
}

#[test]
fn a_pod_of_unknown_age_is_the_oldest() {
    for created in [json!(null), json!("yesterday"), json!(7)] {
        let value = json!({"metadata": {"name": "p", "creationTimestamp": created}});
        let wire = wire::decode_value::<wire::Pod>(value).unwrap();
        let name = ObjectName::new("default", "p");
        let converted = pod(&name, &wire, &mut Interner::default());
        assert_eq!(converted.object.unwrap().created, i64::MIN, "{created}");
    }
}

#[test]
fn a_namespace_bears_its_name_as_a_label() {
    for (labels, wanted) in [
        (json!(null), "kubernetes.io/metadata.name=shop"),
        (
            json!({"team": "a", "kubernetes.io/metadata.name": "other"}),
            "kubernetes.io/metadata.name=shop,team=a",
        ),
    ] {
        let (namespace, notes) = namespace_of(&json!({"labels": labels}));
        assert_eq!(namespace.labels.to_string(), wanted);
        assert_eq!((&*namespace.name, notes.len()), ("shop", 0));
    }
}

#[test]
fn the_old_annotation_denies_with_a_notice_and_when_in_doubt() {
    for (value, deny, faults) in [
        (
            json!("{\"ingress\":{\"isolation\":\"DefaultDeny\"}}"),
            true,
            1,
        ),
        (
            json!("{ \"ingress\" : { \"isolation\" : \"DefaultDeny\" } }"),
            true,
            1,
        ),
        (json!("{}"), false, 0),
        (json!("{\"ingress\":{}}"), false, 0),
        (json!("{\"ingress\":null}"), false, 0),
        (json!("{\"ingress\":{\"isolation\":\"\"}}"), false, 0),
        (json!("{\"ingress\":{\"isolation\":\"Deny\"}}"), true, 1),
        (json!("{\"ingress\":{\"isolation\":7}}"), true, 1),
        (json!("{\"ingress\":\"DefaultDeny\"}"), true, 1),
        (
            json!("{\"ingres\":{\"isolation\":\"DefaultDeny\"}}"),
            true,
            1,
        ),
        (json!("DefaultDeny"), true, 1),
        (json!(""), true, 1),
        (json!({"ingress": {"isolation": "DefaultDeny"}}), true, 1),
        (json!(null), false, 0),
    ] {
        let key = "net.beta.kubernetes.io/network-policy";
        let (namespace, notes) = namespace_of(&json!({"annotations": {key: value}}));
        assert_eq!(namespace.default_deny, deny, "{value}");
        assert_eq!(notes.len(), faults, "{value}: {notes:?}");
    }
    let (namespace, _) = namespace_of(&json!({"annotations": {"other": "x"}}));
    assert!(!namespace.default_deny);
}
