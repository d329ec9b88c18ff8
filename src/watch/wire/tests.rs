use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 4.0)),
        "\\PC{0,12}".prop_map(Value::from),
        Just(Value::from("[{\"\\]},:")),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec(("[a-z\"{\\\\]{0,4}", inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn cutting_a_list_gives_each_element_whatever_is_in_it(
        values in proptest::collection::vec(any_value(), 0..8),
        pretty in any::<bool>(),
    ) {
        let list = Value::from(values.clone());
        let text = if pretty { format!(" {list:#}\n") } else { list.to_string() };
        let cut: Vec<Value> = elements(text.as_bytes())
            .map(|piece| serde_json::from_slice(piece.unwrap()).unwrap())
            .collect();
        prop_assert_eq!(cut, values);
    }

    #[test]
    fn cutting_a_mapping_gives_each_member(
        values in proptest::collection::btree_map("[a-z]{1,5}", any_value(), 0..8),
    ) {
        let mapping = Value::Object(values.clone().into_iter().collect());
        let text = mapping.to_string();
        let cut: std::collections::BTreeMap<String, Value> = members(text.as_bytes())
            .map(|piece| {
                let (key, value) = piece.unwrap();
                let key = String::from_utf8(key.to_vec()).unwrap();
                (key, serde_json::from_slice(value).unwrap())
            })
            .collect();
        prop_assert_eq!(cut, values);
    }

    #[test]
    fn cutting_any_bytes_ends(bytes in proptest::collection::vec(
        prop_oneof![proptest::sample::select(b"{}[]\",:\\ a1".to_vec()), any::<u8>()], 0..64),
    ) {
        prop_assert!(members(&bytes).count() <= bytes.len() + 1);
        prop_assert!(elements(&bytes).count() <= bytes.len() + 1);
    }

    #[test]
    fn any_mapping_decodes_as_any_kind(value in any_value()) {
        let text = json!({ "metadata": value, "spec": value, "status": value, "endpoints": value })
            .to_string();
        prop_assert!(decode::<Service>(text.as_bytes()).is_ok());
        prop_assert!(decode::<EndpointSlice>(text.as_bytes()).is_ok());
        prop_assert!(decode::<Node>(text.as_bytes()).is_ok());
        prop_assert!(decode::<Pod>(text.as_bytes()).is_ok());
        prop_assert!(decode::<Namespace>(text.as_bytes()).is_ok());
        prop_assert!(decode::<NetworkPolicy>(text.as_bytes()).is_ok());
    }
}

#[test]
fn a_wrong_field_is_kept_as_wrong_and_its_neighbours_stay() {
    let text = r#"{
        "metadata": {"name": "cart", "namespace": "shop", "labels": {"a": 1}, "managedFields": [{}]},
        "spec": {"type": 7, "clusterIP": "10.0.0.1", "clusterIP": "10.0.0.2", "ports": {"port": 80},
                 "externalIPs": ["a", 1, null], "healthCheckNodePort": 1.5}
    }"#;
    let service = decode::<Service>(text.as_bytes()).unwrap();
    let spec = service.spec.good().unwrap();
    assert_eq!(spec.kind, Field::Wrong("the number 7".into()));
    assert_eq!(spec.cluster_ip, Field::Good("10.0.0.2".into()));
    assert_eq!(spec.ports, Field::Wrong("a mapping".into()));
    assert_eq!(
        spec.health_check_node_port,
        Field::Wrong("the number 1.5".into())
    );
    let external = spec.external_ips.good().unwrap();
    assert_eq!(
        external.as_slice(),
        [
            Field::Good("a".into()),
            Field::Wrong("the number 1".into()),
            Field::Absent
        ]
    );
    assert_eq!(name_of(&*service), Some(ObjectName::new("shop", "cart")));
}

#[test]
fn only_labels_that_mean_something_are_kept() {
    let long = "x".repeat(100_000);
    let text = json!({"metadata": {"annotations": {
        "kubectl.kubernetes.io/last-applied-configuration": long,
        "kube-router.io/service.local": "true",
        "service.kubernetes.io/headless": 3,
    }}});
    let service = decode::<Service>(text.to_string().as_bytes()).unwrap();
    let annotations = service.metadata.good().unwrap().annotations.good().unwrap();
    assert_eq!(
        annotations.get("kube-router.io/service.local"),
        &Field::Good("true".into())
    );
    let headless = annotations.get("service.kubernetes.io/headless");
    assert_eq!(headless, &Field::Wrong("the number 3".into()));
    let skipped = annotations.get("kubectl.kubernetes.io/last-applied-configuration");
    assert_eq!(skipped, &Field::Absent);
}

#[test]
fn all_labels_of_pods_and_namespaces_are_kept_and_only_known_annotations() {
    let text = json!({"metadata": {"labels": {"app": "web", "example.org/x": 1, "n": null},
        "annotations": {"a": "b", "net.beta.kubernetes.io/network-policy": "{}"}}})
    .to_string();
    let pod = decode::<Pod>(text.as_bytes()).unwrap();
    let labels = pod.metadata.good().unwrap().labels.good().unwrap();
    let found: Vec<_> = labels
        .0
        .iter()
        .map(|(key, value)| (&**key, value.good().map(|label| &*label.0)))
        .collect();
    let wanted = [
        ("app", Some("web")),
        ("example.org/x", Some("1")),
        ("n", None),
    ];
    assert_eq!(found, wanted);
    let namespace = decode::<Namespace>(text.as_bytes()).unwrap();
    let annotations = namespace
        .metadata
        .good()
        .unwrap()
        .annotations
        .good()
        .unwrap();
    assert_eq!(annotations.get("a"), &Field::Absent);
    let beta = annotations.get("net.beta.kubernetes.io/network-policy");
    assert_eq!(beta, &Field::Good("{}".into()));
}

#[test]
fn a_key_that_the_api_does_not_have_is_remembered_where_it_changes_the_meaning() {
    let text = br#"{"spec": {"podSelector": {"matchlabels": {}, "x": 1}, "ingress": [{"form": []}], "y": null}}"#;
    let policy = decode::<NetworkPolicy>(text).unwrap();
    let spec = policy.spec.good().unwrap();
    assert_eq!(spec.unknown.as_deref(), Some("y"));
    let selector = spec.pods.good().unwrap();
    assert_eq!(selector.unknown.as_deref(), Some("matchlabels"));
    let rule = spec.ingress.good().unwrap()[0].good().unwrap();
    assert_eq!(rule.unknown.as_deref(), Some("form"));
    assert_eq!((&rule.from, &rule.ports), (&Field::Absent, &Field::Absent));
}

#[test]
fn an_object_that_is_no_json_inside_is_named_all_the_same() {
    let text = br#"{"metadata": {"name": "n1"}, "spec": {"podCIDR": 1e999}}"#;
    let error = decode::<Node>(text).unwrap_err();
    assert_eq!(error.name, Some(ObjectName::new("", "n1")));
    let error = decode::<Service>(br#"{"metadata": {"name": "a"}, "spec": {nonsense}}"#);
    assert_eq!(
        error.unwrap_err().name,
        Some(ObjectName::new("default", "a"))
    );
    for bad in ["null", "[]", "7", "", "{", "{\"metadata\": 3, \"spec\": }"] {
        let error = decode::<Service>(bad.as_bytes()).unwrap_err();
        assert_eq!(error.name, None, "{bad}");
        assert!(!error.reason.is_empty());
    }
}

#[test]
fn names_are_those_the_api_server_admits() {
    for good in ["a", "web-1", "n1.example.org", "0"] {
        assert!(is_name(good), "{good}");
    }
    for bad in ["", "A", "a b", "a/b", "a\"", "ü", &"a".repeat(254)] {
        assert!(!is_name(bad), "{bad}");
    }
    let nameless = decode::<Service>(br#"{"metadata": {"name": "a", "namespace": 3}}"#).unwrap();
    assert_eq!(name_of(&*nameless), None);
}

#[test]
fn a_quoted_value_is_never_long() {
    let text = quoted(&"ü\n".repeat(10_000));
    assert!(text.len() < 300 && !text.contains('\n'), "{text}");
}
