use std::fmt::Write;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::kernel::ipvs::object::{Scheduler, ServiceFlags};
use crate::model::{EndpointSlice, Node, Service, ServiceKind, TrafficDistribution, TrafficPolicy};
use crate::net::{Family, Protocol};

fn lines(notes: &[Note]) -> Vec<String> {
    notes
        .iter()
        .map(|note| format!("{}: {}", note.field, note.reason))
        .collect()
}

/// A good Service with parts of it replaced.
fn service_of(spec: &Value, metadata: &Value, status: &Value) -> (Service, Vec<String>) {
    let mut value = json!({
        "metadata": {"name": "cart", "namespace": "shop", "creationTimestamp": "1970-01-02T00:00:00Z"},
        "spec": {
            "type": "ClusterIP", "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00::a"],
            "ports": [{"name": "http", "port": 80, "targetPort": "web"}],
            "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
        },
        "status": status,
    });
    merge(&mut value["spec"], spec);
    merge(&mut value["metadata"], metadata);
    let wire = wire::decode_value::<wire::Service>(value).unwrap();
    let name = wire::name_of(&*wire).unwrap();
    let converted = service(&name, &wire, &mut Interner::default());
    (converted.object.unwrap(), lines(&converted.notes))
}

fn merge(into: &mut Value, from: &Value) {
    match from {
        Value::Object(entries) => {
            for (key, value) in entries {
                into[key] = value.clone();
            }
        }
        Value::Null => {}
        other => *into = other.clone(),
    }
}

fn spec(spec: Value) -> (Service, Vec<String>) {
    service_of(&spec, &Value::Null, &Value::Null)
}

fn annotated(annotations: Value) -> (Service, Vec<String>) {
    service_of(
        &Value::Null,
        &json!({ "annotations": annotations }),
        &Value::Null,
    )
}

fn slice_of(changes: &Value) -> (Option<EndpointSlice>, Vec<String>) {
    let mut value = json!({
        "metadata": {"name": "cart-x", "namespace": "shop",
                     "labels": {"kubernetes.io/service-name": "cart"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": ["10.42.0.1"]}],
    });
    merge(&mut value, changes);
    let wire = wire::decode_value::<wire::EndpointSlice>(value).unwrap();
    let name = wire::name_of(&*wire).unwrap();
    let converted = slice(&name, &wire, &mut Interner::default());
    (converted.object, lines(&converted.notes))
}

fn node_of(value: Value) -> (Node, Vec<String>) {
    let wire = wire::decode_value::<wire::Node>(value).unwrap();
    let name = wire::name_of(&*wire).unwrap();
    let converted = node(&name, &wire, &mut Interner::default());
    (converted.object.unwrap(), lines(&converted.notes))
}

fn texts(addresses: &[IpAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn a_plain_service_is_read_without_a_note() {
    let (service, notes) = spec(Value::Null);
    assert_eq!(notes, [""; 0]);
    assert_eq!(service.name, ObjectName::new("shop", "cart"));
    assert_eq!(service.created, 86_400);
    assert_eq!(service.kind, ServiceKind::ClusterIp);
    assert_eq!(texts(&service.cluster_ips), ["10.96.0.10", "fd00::a"]);
    assert_eq!(service.ports.len(), 1);
    assert_eq!(
        (service.ports[0].protocol, service.ports[0].port),
        (Protocol::Tcp, 80)
    );
    assert_eq!(service.affinity, None);
    assert!(service.is_proxied());
}

#[test]
fn addresses_of_services_are_canonical_and_usable() {
    let cases = [
        (
            json!({"clusterIP": "None", "clusterIPs": ["None"]}),
            vec![],
            vec![],
            0,
        ),
        (
            json!({"clusterIP": "none", "clusterIPs": null}),
            vec![],
            vec![],
            0,
        ),
        (
            json!({"clusterIP": "", "clusterIPs": []}),
            vec![],
            vec![],
            0,
        ),
        (
            json!({"clusterIP": null}),
            vec!["10.96.0.10", "fd00::a"],
            vec![],
            0,
        ),
        (
            json!({"clusterIPs": ["fd00:0:0::000A"]}),
            vec!["10.96.0.10", "fd00::a"],
            vec![],
            0,
        ),
        (
            json!({"clusterIP": "010.1.1.1", "clusterIPs": ["010.1.1.1", "fd00::a"]}),
            vec!["fd00::a"],
            vec![],
            1,
        ),
        (
            json!({"clusterIP": {"a": 1}}),
            vec!["10.96.0.10", "fd00::a"],
            vec![],
            1,
        ),
        (json!({"clusterIPs": 3}), vec!["10.96.0.10"], vec![], 1),
        (
            json!({"externalIPs": ["203.0.113.1", "203.0.113.1", "2001:DB8::1"]}),
            vec!["10.96.0.10", "fd00::a"],
            vec!["203.0.113.1", "2001:db8::1"],
            0,
        ),
        (
            json!({"externalIPs": ["127.0.0.1", "::1", "0.0.0.0", "fe80::1", "::ffff:1.2.3.4", "203.0.113.1/32", "", 7, null]}),
            vec!["10.96.0.10", "fd00::a"],
            vec![],
            9,
        ),
    ];
    for (change, cluster, external, faults) in cases {
        let (service, notes) = spec(change.clone());
        assert_eq!(texts(&service.cluster_ips), cluster, "{change}");
        assert_eq!(texts(&service.external_ips), external, "{change}");
        assert_eq!(notes.len(), faults, "{change}: {notes:?}");
    }
}

#[test]
fn load_balancer_addresses_of_proxies_and_host_names_are_passed_over() {
    let status = json!({"loadBalancer": {"ingress": [
        {"ip": "203.0.113.1"}, {"ip": "203.0.113.2", "ipMode": "Proxy"}, {"ip": "2001:db8::1", "ipMode": "VIP"},
        {"hostname": "lb.example.org"}, {"ip": "nonsense"}, "text",
    ]}});
    let (service, notes) = service_of(&Value::Null, &Value::Null, &status);
    assert_eq!(
        texts(&service.load_balancer_ips),
        ["203.0.113.1", "2001:db8::1"]
    );
    assert_eq!(
        notes,
        [
            "status.loadBalancer.ingress[5]: expected a mapping, found the text \"text\"",
            "status.loadBalancer.ingress[4].ip: \"nonsense\" is not an IP address",
        ]
    );
    for wrong in [json!(3), json!({"loadBalancer": []})] {
        let (service, notes) = service_of(&Value::Null, &Value::Null, &wrong);
        assert!(service.load_balancer_ips.is_empty() && notes.len() == 1);
    }
}

#[test]
fn ports_that_cannot_be_used_are_left_out_one_by_one() {
    let (service, notes) = spec(json!({"ports": [
        {"name": "a", "port": 80, "nodePort": 30080},
        {"name": "a", "port": 81},
        {"name": "b", "port": 80, "protocol": "TCP"},
        {"name": "c", "port": 80, "protocol": "UDP", "nodePort": 0},
        {"name": "d", "port": 0}, {"name": "e", "port": 65536}, {"name": "f", "port": "80"},
        {"name": "g"}, {"name": "h", "port": 90, "protocol": "ICMP"}, {"name": "i\"", "port": 91},
        {"name": "j", "port": 92, "nodePort": 70000}, {"name": "k", "port": 93, "protocol": "sctp"}, 3, null,
    ]}));
    let kept: Vec<_> = service
        .ports
        .iter()
        .map(|port| (&*port.name, port.protocol, port.port, port.node_port))
        .collect();
    assert_eq!(
        kept,
        [
            ("a", Protocol::Tcp, 80, Some(30080)),
            ("c", Protocol::Udp, 80, None),
            ("j", Protocol::Tcp, 92, None),
            ("k", Protocol::Sctp, 93, None),
        ]
    );
    assert_eq!(notes.len(), 11, "{notes:#?}");
}

#[test]
fn words_are_read_as_the_api_means_them() {
    let (service, notes) = spec(json!({
        "type": "LoadBalancer", "sessionAffinity": "ClientIP",
        "internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local",
        "trafficDistribution": "PreferClose", "healthCheckNodePort": 30100,
    }));
    assert_eq!(notes, [""; 0]);
    assert_eq!(service.kind, ServiceKind::LoadBalancer);
    assert_eq!(service.affinity, Some(10_800));
    assert_eq!(service.internal_policy, TrafficPolicy::Local);
    assert_eq!(service.external_policy, TrafficPolicy::Local);
    assert_eq!(
        service.traffic_distribution,
        Some(TrafficDistribution::PreferSameZone)
    );
    assert_eq!(service.health_check_node_port, Some(30100));

    let (service, notes) = spec(json!({
        "type": "Magic", "sessionAffinity": "Cookie", "internalTrafficPolicy": "local",
        "externalTrafficPolicy": 1, "trafficDistribution": "Nearby", "healthCheckNodePort": -1,
    }));
    assert_eq!(notes.len(), 6, "{notes:#?}");
    assert_eq!(service.kind, ServiceKind::ClusterIp);
    assert_eq!(service.affinity, None);
    assert_eq!(service.internal_policy, TrafficPolicy::Cluster);
    assert_eq!(service.traffic_distribution, None);
    assert_eq!(service.health_check_node_port, None);
}

#[test]
fn affinity_lasts_as_long_as_the_api_admits() {
    for (timeout, wanted, faults) in [
        (json!(1), 1, 0),
        (json!(86_400), 86_400, 0),
        (json!(null), 10_800, 0),
        (json!(0), 10_800, 1),
        (json!(86_401), 10_800, 1),
        (json!(-5), 10_800, 1),
        (json!("60"), 10_800, 1),
        (json!(1e40), 10_800, 1),
    ] {
        let (service, notes) = spec(json!({
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": timeout}},
        }));
        assert_eq!(service.affinity, Some(wanted), "{timeout}");
        assert_eq!(notes.len(), faults, "{timeout}");
    }
}

#[test]
fn a_source_range_that_cannot_be_read_admits_nobody() {
    for (ranges, wanted, restricted) in [
        (json!(null), vec![], false),
        (json!([]), vec![], false),
        (
            json!([" 10.1.2.3/8", "2001:db8::/32"]),
            vec!["10.0.0.0/8", "2001:db8::/32"],
            false,
        ),
        (
            json!(["10.0.0.0/8", "10.0.0.0/8"]),
            vec!["10.0.0.0/8"],
            false,
        ),
        (json!(["10.0.0.0/33"]), vec![], true),
        (json!(["10.0.0.0/8", "all"]), vec!["10.0.0.0/8"], true),
        (json!(["10.0.0.0/8", null]), vec!["10.0.0.0/8"], true),
        (json!("10.0.0.0/8"), vec![], true),
        (json!([7]), vec![], true),
    ] {
        let (service, notes) = spec(json!({"loadBalancerSourceRanges": ranges}));
        let found: Vec<_> = service
            .source_ranges
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, wanted, "{ranges}");
        assert_eq!(service.source_ranges_restricted, restricted, "{ranges}");
        assert_eq!(notes.is_empty(), !restricted, "{ranges}");
    }
}

#[test]
fn labels_take_a_service_out_of_our_hands() {
    for (labels, proxied) in [
        (json!({}), true),
        (
            json!({"service.kubernetes.io/service-proxy-name": "kube-router"}),
            true,
        ),
        (
            json!({"service.kubernetes.io/service-proxy-name": "cilium"}),
            false,
        ),
        (
            json!({"service.kubernetes.io/service-proxy-name": ""}),
            false,
        ),
        (
            json!({"service.kubernetes.io/service-proxy-name": 3}),
            false,
        ),
        (json!({"service.kubernetes.io/headless": ""}), false),
    ] {
        let (service, _) = service_of(&Value::Null, &json!({ "labels": labels }), &Value::Null);
        assert_eq!(service.is_proxied(), proxied, "{labels}");
    }
    let (service, _) = spec(json!({"type": "ExternalName", "externalName": "a.example.org"}));
    assert!(!service.is_proxied());
}

#[test]
fn annotations_are_parsed_once() {
    let (service, notes) = annotated(json!({
        "kube-router.io/service.local": "true", "kube-router.io/service.scheduler": "mh",
        "kube-router.io/service.schedflags": "flag-1, flag-2,", "kube-router.io/service.skiplbips": "",
        "kube-router.io/service.dsr": "tunnel", "kube-router.io/service.hairpin": "false",
    }));
    assert_eq!(notes, [""; 0]);
    let asked = service.annotations;
    assert!(asked.local && asked.skip_load_balancer_ips && asked.direct_return && asked.hairpin);
    assert_eq!(
        (asked.scheduler, asked.scheduler_flags),
        (Scheduler::Mh, ServiceFlags(0x18))
    );

    let (service, notes) = annotated(json!({
        "kube-router.io/service.local": "True", "kube-router.io/service.scheduler": "fastest",
        "kube-router.io/service.schedflags": "flag-1", "kube-router.io/service.dsr": "direct",
    }));
    assert_eq!(notes.len(), 3, "{notes:#?}");
    assert_eq!(
        service.annotations,
        crate::model::ServiceAnnotations::default()
    );

    let (service, notes) = annotated(json!({
        "kube-router.io/service.scheduler": "sh",
        "kube-router.io/service.schedflags": "flag-3,flag-4",
    }));
    assert_eq!(service.annotations.scheduler_flags, ServiceFlags(0x20));
    assert_eq!(notes.len(), 1);
    for (_, name) in [("all", "twos"), ("all", "wlc"), ("all", "lblcr")] {
        let (_, notes) = annotated(json!({ "kube-router.io/service.scheduler": name }));
        assert_eq!(notes, [""; 0]);
    }
}

#[test]
fn a_service_of_unknown_age_is_the_youngest() {
    for (created, wanted) in [
        (json!("2024-02-29T12:30:05Z"), 1_709_209_805),
        (json!("2024-02-29T13:30:05.25+01:00"), 1_709_209_805),
        (json!(null), i64::MAX),
        (json!("yesterday"), i64::MAX),
        (json!("2024-13-01T00:00:00Z"), i64::MAX),
        (json!(17), i64::MAX),
    ] {
        let metadata = json!({ "creationTimestamp": created });
        let (service, _) = service_of(&Value::Null, &metadata, &Value::Null);
        assert_eq!(service.created, wanted, "{created}");
    }
}

#[test]
fn conditions_have_the_defaults_of_the_api() {
    for (conditions, ready, serving, terminating) in [
        (json!(null), true, true, false),
        (json!({}), true, true, false),
        (json!({"ready": false}), false, false, false),
        (
            json!({"ready": false, "serving": true, "terminating": true}),
            false,
            true,
            true,
        ),
        (
            json!({"ready": null, "serving": null, "terminating": null}),
            true,
            true,
            false,
        ),
        (json!({"ready": "yes"}), false, false, false),
        (json!(["ready"]), false, false, false),
        (json!({"serving": 1}), true, false, false),
    ] {
        let endpoints = json!([{"addresses": ["10.42.0.1"], "conditions": conditions}]);
        let (slice, _) = slice_of(&json!({ "endpoints": endpoints }));
        let endpoint = &slice.unwrap().endpoints[0];
        assert_eq!(
            (endpoint.ready, endpoint.serving, endpoint.terminating),
            (ready, serving, terminating),
            "{conditions}"
        );
    }
}

#[test]
fn endpoints_outside_the_slices_family_are_left_out() {
    let (slice, notes) = slice_of(&json!({"endpoints": [
        {"addresses": ["10.42.0.1", "10.42.0.2", "10.42.0.1"], "nodeName": "n1", "zone": "z1"},
        {"addresses": ["fd00::1"]}, {"addresses": ["127.0.0.1"]}, {"addresses": ["169.254.1.1"]},
        {"addresses": ["0.0.0.0"]}, {"addresses": ["pod-1"]}, {"addresses": []}, {}, 7,
        {"addresses": ["10.42.0.9"], "nodeName": 3,
         "hints": {"forZones": [{"name": "z2"}, {"name": "z1"}, {"name": "z2"}], "forNodes": [{"name": "n9"}, {}]}},
    ]}));
    let slice = slice.unwrap();
    assert_eq!(slice.family, Family::V4);
    assert_eq!(slice.service.as_ref(), "cart");
    let found: Vec<_> = slice
        .endpoints
        .iter()
        .map(|e| e.address.to_string())
        .collect();
    assert_eq!(found, ["10.42.0.1", "10.42.0.2", "10.42.0.9"]);
    assert_eq!(slice.endpoints[0].node.as_deref(), Some("n1"));
    assert_eq!(slice.endpoints[1].zone.as_deref(), Some("z1"));
    let last = &slice.endpoints[2];
    assert_eq!(last.node, None);
    assert_eq!(&*last.for_zones, [Arc::from("z1"), Arc::from("z2")]);
    assert_eq!(&*last.for_nodes, [Arc::from("n9")]);
    assert_eq!(notes.len(), 7, "{notes:#?}");
}

#[test]
fn slice_ports_without_a_number_or_twice_are_left_out() {
    let (slice, notes) = slice_of(&json!({"ports": [
        {"port": 80}, {"name": null, "protocol": "UDP", "port": 53}, {"name": "a", "port": null},
        {"name": "b", "port": 81}, {"name": "b", "port": 82}, {"name": "c", "port": 99999},
        {"name": "d", "protocol": 6, "port": 83},
    ]}));
    let slice = slice.unwrap();
    let kept: Vec<_> = slice
        .ports
        .iter()
        .map(|p| (&*p.name, p.protocol, p.port))
        .collect();
    assert_eq!(
        kept,
        [
            ("", Protocol::Tcp, 80),
            ("", Protocol::Udp, 53),
            ("b", Protocol::Tcp, 81)
        ]
    );
    assert_eq!(notes.len(), 4, "{notes:#?}");
}

#[test]
fn a_slice_belongs_to_its_label_else_its_only_owner_else_its_generated_name() {
    let owner = |name: &str| json!({"kind": "Service", "name": name});
    for (metadata, wanted) in [
        (
            json!({"labels": {"kubernetes.io/service-name": "a"}, "ownerReferences": [owner("b")]}),
            Some("a"),
        ),
        (
            json!({"ownerReferences": [owner("b")], "generateName": "c-"}),
            Some("b"),
        ),
        (
            json!({"ownerReferences": [owner("b"), owner("d")], "generateName": "c-"}),
            Some("c"),
        ),
        (
            json!({"labels": {"kubernetes.io/service-name": ""}, "generateName": "c-d-"}),
            Some("c-d"),
        ),
        (json!({"labels": {"kubernetes.io/service-name": 4}}), None),
        (
            json!({"labels": {"kubernetes.io/service-name": "a/b"}}),
            None,
        ),
        (json!({}), None),
    ] {
        let mut whole = json!({"name": "x", "namespace": "shop"});
        merge(&mut whole, &metadata);
        let (slice, notes) = slice_of(&json!({ "metadata": whole }));
        assert_eq!(slice.as_ref().map(|s| &*s.service), wanted, "{metadata}");
        assert_eq!(slice.is_none(), !notes.is_empty(), "{metadata} {notes:?}");
    }
}

#[test]
fn slices_that_mean_nothing_to_us_are_passed_over() {
    let headless = json!({"metadata": {"name": "x", "namespace": "shop",
        "labels": {"kubernetes.io/service-name": "a", "service.kubernetes.io/headless": ""}}});
    for (change, faults) in [
        (json!({"addressType": "FQDN"}), 0),
        (headless, 0),
        (json!({"addressType": "IPX"}), 1),
        (json!({"addressType": null}), 1),
        (json!({"addressType": 4}), 1),
    ] {
        let (slice, notes) = slice_of(&change);
        assert_eq!(slice, None, "{change}");
        assert_eq!(notes.len(), faults, "{change}");
    }
}

#[test]
fn pod_prefixes_of_a_node_come_from_the_first_source_that_is_there() {
    let spec = json!({"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.2.0.0/24", "fd00:2::/64"]});
    for (annotations, spec, wanted, faults) in [
        (
            json!({"kube-router.io/pod-cidrs": "10.3.0.0/24,fd00:3::/64", "kube-router.io/pod-cidr": "10.4.0.0/24"}),
            spec.clone(),
            vec!["10.3.0.0/24", "fd00:3::/64"],
            0,
        ),
        (
            json!({"kube-router.io/pod-cidr": "10.4.0.0/24"}),
            spec.clone(),
            vec!["10.4.0.0/24"],
            0,
        ),
        (
            json!({"kube-router.io/pod-cidrs": "nonsense"}),
            spec.clone(),
            vec![],
            1,
        ),
        (json!({}), spec, vec!["10.2.0.0/24", "fd00:2::/64"], 0),
        (
            json!({}),
            json!({"podCIDR": "10.1.0.7/24"}),
            vec!["10.1.0.0/24"],
            0,
        ),
        (json!({}), json!({"podCIDR": ""}), vec![], 0),
        (json!({}), json!(7), vec![], 1),
    ] {
        let (node, notes) = node_of(json!({
            "metadata": {"name": "n1", "annotations": annotations}, "spec": spec,
        }));
        let found: Vec<_> = node.pod_cidrs.iter().map(ToString::to_string).collect();
        assert_eq!(found, wanted, "{annotations}");
        assert_eq!(notes.len(), faults, "{annotations}");
    }
}

#[test]
fn a_nodes_internal_addresses_come_first() {
    let (node, notes) = node_of(json!({
        "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}},
        "status": {"addresses": [
            {"type": "Hostname", "address": "n1"}, {"type": "ExternalIP", "address": "203.0.113.7"},
            {"type": "InternalIP", "address": "192.0.2.7"}, {"type": "InternalIP", "address": "2001:db8::7"},
            {"type": "InternalIP", "address": "nowhere"}, {"type": 3}, "x",
        ]},
    }));
    assert_eq!(
        texts(&node.addresses),
        ["192.0.2.7", "2001:db8::7", "203.0.113.7"]
    );
    assert_eq!(node.zone.as_deref(), Some("z1"));
    assert_eq!(notes.len(), 3, "{notes:#?}");
}

#[test]
fn notes_on_one_object_are_bounded() {
    let many: Vec<Value> = (0..5000).map(|n| json!(format!("bad{n}"))).collect();
    let (service, notes) = spec(json!({ "externalIPs": many }));
    assert!(service.external_ips.is_empty());
    assert_eq!(notes.len(), 101);
    assert_eq!(notes[100], ": 4900 more faults are not listed");
}

#[test]
fn names_that_repeat_are_stored_once() {
    let mut intern = Interner::default();
    let (a, b) = (intern.text("zone-1"), intern.text("zone-1"));
    assert!(Arc::ptr_eq(&a, &b));
    let (x, y) = (intern.list(&[Arc::clone(&a)]), intern.list(&[a]));
    assert!(Arc::ptr_eq(&x, &y));
    for n in 0..100_000 {
        intern.text(&n.to_string());
    }
    assert!(Arc::ptr_eq(&intern.text("zone-1"), &b));
    assert!(intern.entries() < 5000, "{}", intern.entries());
}

/// Replaces, removes or doubles one place of an object, chosen by `seed`.
fn mutate(value: &mut Value, seed: &mut u64) {
    let mut next = |bound: usize| {
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*seed >> 33).unwrap() % bound.max(1)
    };
    let replacement = match next(10) {
        0 => Value::Null,
        1 => json!(-1),
        2 => json!(u64::MAX),
        3 => json!("\u{0}\"'`$(x)\n"),
        4 => json!([]),
        5 => json!({}),
        6 => json!("x".repeat(100_000)),
        7 => json!([[[{"a": [null]}]]]),
        8 => json!(1.5e300),
        _ => json!(true),
    };
    let mut here = value;
    loop {
        let size = match &here {
            Value::Object(map) => map.len(),
            Value::Array(list) => list.len(),
            _ => 0,
        };
        if size == 0 || next(4) == 0 {
            *here = replacement;
            return;
        }
        let at = next(size);
        here = match here {
            Value::Object(map) => map.values_mut().nth(at).unwrap(),
            Value::Array(list) => &mut list[at],
            _ => return,
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_damaged_object_never_panics_and_never_touches_its_neighbours(
        seed in any::<u64>(), times in 1..6, kind in 0_usize..2,
    ) {
        let whole = json!([
            {"metadata": {"name": "a", "namespace": "shop", "labels": {"kubernetes.io/service-name": "a"},
                "annotations": {"kube-router.io/service.scheduler": "mh", "kube-router.io/pod-cidrs": "10.0.0.0/8"}},
             "spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "externalIPs": ["203.0.113.1"],
                "ports": [{"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}],
                "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
                "loadBalancerSourceRanges": ["10.0.0.0/8"], "podCIDRs": ["10.1.0.0/24"]},
             "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.2"}]},
                "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]},
             "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}],
             "endpoints": [{"addresses": ["10.42.0.1"], "conditions": {"ready": true}, "nodeName": "n1",
                "hints": {"forZones": [{"name": "z"}]}}]},
            {"metadata": {"name": "p", "namespace": "shop", "labels": {"app": "web", "tier": "a"},
                "annotations": {"net.beta.kubernetes.io/network-policy": "{\"ingress\":{\"isolation\":\"DefaultDeny\"}}"}},
             "spec": {"nodeName": "n1", "hostNetwork": false,
                "containers": [{"ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}]}],
                "initContainers": [{"restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 81}]}],
                "podSelector": {"matchLabels": {"app": "web"},
                    "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}]},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": [{"podSelector": {}, "namespaceSelector": {"matchLabels": {"a": "b"}}}],
                    "ports": [{"protocol": "TCP", "port": 80, "endPort": 90}, {"port": "http"}]}],
                "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}]},
             "status": {"phase": "Running", "hostIP": "192.0.2.1", "hostIPs": [{"ip": "192.0.2.1"}],
                "podIP": "10.42.0.1", "podIPs": [{"ip": "10.42.0.1"}, {"ip": "fd00::1"}]}},
        ]);
        let good = whole[kind].clone();
        let mut damaged = good.clone();
        let mut state = seed;
        for _ in 0..times {
            mutate(&mut damaged, &mut state);
        }
        let mut list = String::from("[");
        write!(list, "{good},{damaged},{good}]").unwrap();
        let pieces: Vec<_> = wire::elements(list.as_bytes()).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(pieces.len(), 3);
        let mut intern = Interner::default();
        for piece in pieces {
            if let Ok(wire) = wire::decode::<wire::Service>(piece)
                && let Some(name) = wire::name_of(&*wire) {
                let converted = service(&name, &wire, &mut intern);
                prop_assert!(converted.notes.len() <= 101);
                prop_assert!(converted.notes.iter().all(|note| note.to_string().len() < 1000));
            }
            if let Ok(wire) = wire::decode::<wire::EndpointSlice>(piece)
                && let Some(name) = wire::name_of(&*wire) {
                prop_assert!(slice(&name, &wire, &mut intern).notes.len() <= 101);
            }
            if let Ok(wire) = wire::decode::<wire::Node>(piece)
                && let Some(name) = wire::name_of(&*wire) {
                prop_assert!(node(&name, &wire, &mut intern).notes.len() <= 101);
            }
            let bounded = |notes: Vec<Note>| {
                notes.len() <= 101 && notes.iter().all(|note| note.to_string().len() < 1000)
            };
            if let Ok(wire) = wire::decode::<wire::Pod>(piece)
                && let Some(name) = wire::name_of(&*wire) {
                prop_assert!(bounded(pod(&name, &wire, &mut intern).notes));
            }
            if let Ok(wire) = wire::decode::<wire::Namespace>(piece)
                && let Some(name) = wire::name_of(&*wire) {
                prop_assert!(bounded(namespace(&name, &wire, &mut intern).notes));
            }
            if let Ok(wire) = wire::decode::<wire::NetworkPolicy>(piece)
                && let Some(name) = wire::name_of(&*wire) {
                let converted = policy(&name, &wire, &mut intern);
                prop_assert!(bounded(converted.notes));
                let policy = converted.object.unwrap();
                let rules = policy.ingress.iter().chain(&policy.egress).flatten();
                let peers = rules.filter_map(|rule| rule.peers.as_ref()).flatten();
                for peer in peers {
                    if let crate::model::Peer::Block(block) = peer {
                        prop_assert_eq!(block.prefix, block.prefix.trunc());
                        prop_assert!(block.except.iter().all(|out| block.prefix.contains(out)));
                    }
                }
            }
        }
    }
}

#[test]
fn services_say_what_of_them_is_advertised() {
    for (text, said) in [
        ("1", true),
        ("t", true),
        ("True", true),
        ("0", false),
        ("F", false),
        ("false", false),
    ] {
        let (service, notes) = annotated(json!({
            "kube-router.io/service.advertise.clusterip": text,
            "kube-router.io/service.bgp.communities": "65000:1,no-export",
        }));
        assert_eq!(service.annotations.advertise_cluster_ip, Some(said));
        assert_eq!(service.annotations.advertise_external_ip, None);
        assert_eq!(service.annotations.advertise_load_balancer_ip, None);
        assert_eq!(service.annotations.communities.plain.len(), 2);
        assert!(notes.is_empty());
    }
    let (service, notes) = annotated(json!({
        "kube-router.io/service.advertise.externalip": "yes",
        "kube-router.io/service.advertise.loadbalancerip": "true",
        "kube-router.io/service.bgp.communities": "x",
    }));
    assert_eq!(service.annotations.advertise_external_ip, Some(false));
    assert_eq!(service.annotations.advertise_load_balancer_ip, Some(true));
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("\"yes\" is taken for false"), "{notes:?}");
}
