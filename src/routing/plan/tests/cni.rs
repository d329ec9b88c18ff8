//! What becomes of a CNI configuration.

use serde_json::{Value, json};

use super::super::cni::{CniError, merged};
use super::super::host::CniPlan;
use super::*;

fn plan(ranges: &[&str], mtu: Option<u32>) -> CniPlan {
    CniPlan {
        file: "x.conflist".into(),
        ranges: ranges.iter().map(|range| prefix(range)).collect(),
        mtu,
    }
}

fn merge(document: &Value, plan: &CniPlan) -> Value {
    let text = merged(Some(&document.to_string()), plan).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_node_without_a_configuration_gets_the_packaged_one() {
    let text = merged(None, &plan(&["10.244.1.0/24", "fd02:1::/64"], Some(1480))).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let bridge = &document["plugins"][0];
    assert_eq!(bridge["bridge"], "kube-bridge");
    assert_eq!(bridge["mtu"], 1480);
    assert_eq!(
        bridge["ipam"],
        json!({"type": "host-local", "ranges": [[{"subnet": "10.244.1.0/24"}], [{"subnet": "fd02:1::/64"}]]})
    );
    assert!(text.ends_with("}\n"));
    // What is right is not touched, not even its blanks.
    let again = merged(
        Some(&text),
        &plan(&["10.244.1.0/24", "fd02:1::/64"], Some(1480)),
    );
    assert_eq!(again, Ok(text));
}

#[test]
fn foreign_keys_stay_and_ranges_of_ours_go_with_their_reason() {
    let document = json!({
        "cniVersion": "0.3.1", "name": "mine", "disableCheck": true,
        "plugins": [
            {"type": "tuning", "mtu": 9000},
            {"type": "bridge", "bridge": "br7", "isGateway": true, "ipam": {
                "type": "host-local", "routes": [{"dst": "0.0.0.0/0"}],
                "ranges": [
                    [{"subnet": "10.244.9.0/24"}],
                    [{"subnet": "10.244.1.7/24"}],
                    [{"subnet": "172.20.0.0/16", "gateway": "172.20.0.1"}],
                    [{"subnet": "10.8.0.0/24"}, {"subnet": "10.9.0.0/24"}],
                ],
            }},
            {"type": "portmap"},
        ],
    });
    let mut expected = document.clone();
    expected["plugins"][1]["ipam"]["ranges"] = json!([
        [{"subnet": "10.244.1.7/24"}],
        [{"subnet": "172.20.0.0/16", "gateway": "172.20.0.1"}],
        [{"subnet": "10.8.0.0/24"}, {"subnet": "10.9.0.0/24"}],
        [{"subnet": "fd02:1::/64"}],
    ]);
    assert_eq!(
        merge(&document, &plan(&["10.244.1.0/24", "fd02:1::/64"], None)),
        expected
    );
}

#[test]
fn the_older_way_to_say_a_subnet_becomes_a_range() {
    let plan = plan(&["10.244.1.0/24"], Some(1500));
    for (ipam, expected) in [
        (
            json!({"subnet": "10.244.1.0/24"}),
            json!([[{"subnet": "10.244.1.0/24"}]]),
        ),
        (
            json!({"subnet": "10.7.0.0/24"}),
            json!([[{"subnet": "10.244.1.0/24"}]]),
        ),
        (
            json!({"subnet": "10.244.1.0/24", "rangeStart": "10.244.1.9", "gateway": "10.244.1.3"}),
            json!([[{"subnet": "10.244.1.0/24", "rangeStart": "10.244.1.9", "gateway": "10.244.1.3"}]]),
        ),
    ] {
        let document = json!({"type": "bridge", "ipam": ipam});
        let merged = merge(&document, &plan);
        assert_eq!(merged["ipam"], json!({ "ranges": expected }), "{document}");
        assert_eq!(merged["mtu"], 1500);
    }
}

#[test]
fn a_document_of_another_shape_is_left_alone_with_a_reason() {
    let plan = plan(&["10.244.1.0/24"], None);
    for (text, expected) in [
        ("[]", "neither a list of plugins nor a plugin with a type"),
        ("{}", "neither a list of plugins nor a plugin with a type"),
        (
            r#"{"type": "macvlan"}"#,
            "no plugin of type bridge among the plugins",
        ),
        (
            r#"{"plugins": []}"#,
            "no plugin of type bridge among the plugins",
        ),
        (r#"{"plugins": {}}"#, "plugins is no list"),
        (r#"{"type": "bridge", "ipam": 7}"#, "ipam is no object"),
        (
            r#"{"type": "bridge", "ipam": {"ranges": {}}}"#,
            "ipam.ranges is no list",
        ),
    ] {
        let error = merged(Some(text), &plan).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
    }
    assert!(matches!(merged(Some("{"), &plan), Err(CniError::Syntax(_))));
    let document = json!({"type": "bridge"});
    assert_eq!(
        merge(&document, &plan)["ipam"],
        json!({"ranges": [[{"subnet": "10.244.1.0/24"}]]})
    );
}
