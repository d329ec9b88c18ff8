use serde_json::{Value, json};

use super::*;
use crate::model::{
    IpBlock, NetworkPolicy, Peer, PolicyPort, PolicyRule, PortSpec, Requirement, Selector,
};
use crate::net::Protocol;

fn policy_of(spec: &Value) -> (NetworkPolicy, Vec<String>) {
    let value = json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec});
    let wire = wire::decode_value::<wire::NetworkPolicy>(value).unwrap();
    let name = wire::name_of(&*wire).unwrap();
    let converted = policy(&name, &wire, &mut Interner::default());
    let notes = converted.notes.iter();
    let notes = notes.map(|note| format!("{}: {}", note.field, note.reason));
    (converted.object.unwrap(), notes.collect())
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn one(peer: &Value) -> (Vec<Peer>, Vec<String>) {
    let (policy, notes) = policy_of(&json!({"ingress": [{"from": [peer]}]}));
    let rule = policy.ingress.unwrap().remove(0);
    assert_eq!(rule.ports, None);
    (rule.peers.unwrap(), notes)
}

fn one_port(port: &Value) -> (Vec<PolicyPort>, Vec<String>) {
    let (policy, notes) = policy_of(&json!({"ingress": [{"ports": [port]}]}));
    let rule = policy.ingress.unwrap().remove(0);
    assert_eq!(rule.peers, None);
    (rule.ports.unwrap(), notes)
}

#[test]
fn the_directions_default_as_the_api_server_fills_them_in() {
    let rule = json!([{}]);
    for (spec, ingress, egress) in [
        (json!(null), true, false),
        (json!({}), true, false),
        (json!({"policyTypes": []}), true, false),
        (json!({"policyTypes": null, "egress": []}), true, false),
        (json!({"egress": rule}), true, true),
        (
            json!({"policyTypes": ["Ingress"], "egress": rule}),
            true,
            false,
        ),
        (
            json!({"policyTypes": ["Egress"], "ingress": rule}),
            false,
            true,
        ),
        (json!({"policyTypes": ["Egress", "Ingress"]}), true, true),
    ] {
        let (policy, notes) = policy_of(&spec);
        let found = (policy.ingress.is_some(), policy.egress.is_some());
        assert_eq!(found, (ingress, egress), "{spec}");
        assert_eq!(notes, [""; 0], "{spec}");
        assert!(policy.pods.is_everything());
    }
}

#[test]
fn directions_that_are_unclear_are_closed() {
    let rule = json!([{}]);
    let open = |policy: &Option<Vec<PolicyRule>>| policy.as_ref().map(|rules| !rules.is_empty());
    for (spec, ingress, egress) in [
        (
            json!({"policyTypes": 3, "ingress": rule}),
            Some(false),
            Some(false),
        ),
        (
            json!({"policyTypes": ["Ingress", "Egres"], "ingress": rule, "egress": rule}),
            Some(true),
            Some(false),
        ),
        (
            json!({"policyTypes": ["Egress", null], "ingress": rule, "egress": rule}),
            Some(false),
            Some(true),
        ),
        (
            json!({"policytypes": ["Egress"], "ingress": rule}),
            Some(true),
            Some(false),
        ),
        (
            json!({"ingress": rule, "egress": 3}),
            Some(true),
            Some(false),
        ),
        (
            json!({"policyTypes": ["Ingress"], "later": 1, "ingress": rule}),
            Some(true),
            None,
        ),
        (json!("text"), Some(false), Some(false)),
    ] {
        let (policy, notes) = policy_of(&spec);
        assert_eq!(
            (open(&policy.ingress), open(&policy.egress)),
            (ingress, egress),
            "{spec}"
        );
        assert_eq!(notes.len(), 1, "{spec}: {notes:?}");
    }
}

#[test]
fn missing_and_empty_lists_are_everybody_and_a_list_of_nothing_is_nobody() {
    for (rule, peers, ports) in [
        (json!({}), None, None),
        (json!({"from": [], "ports": []}), None, None),
        (json!({"from": null, "ports": null}), None, None),
        (json!({"from": [{}]}), Some(0), None),
        (json!({"from": 3}), Some(0), None),
        (json!({"from": [null]}), Some(0), None),
        (json!({"ports": [{"port": 0}]}), None, Some(0)),
        (json!({"ports": "80"}), None, Some(0)),
        (
            json!({"from": [{}, {"podSelector": {}}], "ports": [{}, 7]}),
            Some(1),
            Some(1),
        ),
        (json!(null), Some(0), Some(0)),
        (json!([]), Some(0), Some(0)),
        (json!({"form": [{"podSelector": {}}]}), Some(0), Some(0)),
        (json!({"to": [{"podSelector": {}}]}), Some(0), Some(0)),
    ] {
        // The rules around keep their places.
        let (policy, notes) = policy_of(&json!({"ingress": [{}, rule, {}]}));
        let rules = policy.ingress.unwrap();
        let everything = PolicyRule {
            peers: None,
            ports: None,
        };
        assert_eq!((&rules[0], &rules[2]), (&everything, &everything), "{rule}");
        let found = (
            rules[1].peers.as_ref().map(Vec::len),
            rules[1].ports.as_ref().map(Vec::len),
        );
        assert_eq!(found, (peers, ports), "{rule}");
        let is_broken = peers.is_some() || ports.is_some();
        assert_eq!(!notes.is_empty(), is_broken, "{rule}: {notes:?}");
    }
}

#[test]
fn egress_reads_to_and_ingress_reads_from() {
    let (policy, notes) = policy_of(&json!({
        "egress": [{"to": [{"podSelector": {}}]}, {"from": [{"podSelector": {}}]}],
    }));
    let rules = policy.egress.unwrap();
    assert_eq!(rules[0].peers.as_ref().unwrap().len(), 1);
    assert_eq!(rules[1].peers.as_ref().unwrap().len(), 0);
    assert_eq!(notes, ["spec.egress[1]: unknown field \"from\""]);
}

#[test]
fn selectors_are_read_with_every_operator() {
    let text = |text: &str| Arc::<str>::from(text);
    let list = |texts: &[&str]| texts.iter().map(|one| text(one)).collect();
    let wanted: Selector = [
        Requirement::is(text("app"), text("web")),
        Requirement::is(text("empty"), text("")),
        Requirement::is(text("version"), text("1")),
        Requirement::In(text("tier"), list(&["a", "b"])),
        Requirement::NotIn(text("old"), list(&["1"])),
        Requirement::Exists(text("a")),
        Requirement::DoesNotExist(text("b")),
    ]
    .into_iter()
    .collect();
    let wire = json!({
        "matchLabels": {"app": "web", "version": 1, "empty": null},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["b", "a"]},
            {"key": "old", "operator": "NotIn", "values": [1]},
            {"key": "a", "operator": "Exists"},
            {"key": "b", "operator": "DoesNotExist", "values": []},
        ],
    });
    let (policy, notes) = policy_of(&json!({"podSelector": wire, "ingress": [
        {"from": [{"podSelector": wire}, {"namespaceSelector": wire}, {"podSelector": {}, "namespaceSelector": wire}]},
    ]}));
    assert_eq!(notes, [""; 0]);
    assert_eq!(policy.pods, wanted);
    let everything = Selector::default();
    assert_eq!(
        policy.ingress.unwrap()[0]
            .peers
            .as_ref()
            .unwrap()
            .as_slice(),
        [
            Peer::Pods {
                namespaces: None,
                pods: wanted.clone()
            },
            Peer::Pods {
                namespaces: Some(wanted.clone()),
                pods: everything.clone()
            },
            Peer::Pods {
                namespaces: Some(wanted),
                pods: everything
            },
        ]
    );
}

#[test]
fn a_condition_that_means_nothing_voids_a_peer_and_closes_what_it_should_narrow() {
    for (selector, kept) in [
        (
            json!({"matchExpressions": [{"key": "a", "operator": "In", "values": []}]}),
            "",
        ),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "NotIn"}]}),
            "",
        ),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}),
            "",
        ),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}),
            "",
        ),
        (json!({"matchExpressions": [{"key": "a"}]}), ""),
        (json!({"matchExpressions": [{"operator": "Exists"}]}), ""),
        (
            json!({"matchExpressions": [{"key": "", "operator": "Exists"}]}),
            "",
        ),
        (
            json!({"matchExpressions": [{"key": ["a"], "operator": "Exists"}]}),
            "",
        ),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", []]}]}),
            "",
        ),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "In", "values": "b"}]}),
            "",
        ),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "Exists", "not": true}]}),
            "",
        ),
        (
            json!({"matchExpressions": [null, {"key": "c", "operator": "Exists"}]}),
            "c",
        ),
        (
            json!({"matchExpressions": {"key": "a"}, "matchLabels": {"x": "y"}}),
            "x=y",
        ),
        (json!({"matchLabels": {"a": {}, "x": "y"}}), "x=y"),
        (json!({"matchLabels": ["a"]}), ""),
        (json!({"matchlabels": {"a": "b"}}), ""),
        (json!("a=b"), ""),
    ] {
        for key in ["podSelector", "namespaceSelector"] {
            let (peers, notes) = one(&json!({key: selector}));
            assert_eq!(peers, [], "{selector}");
            assert_eq!(notes.len(), 1, "{selector}: {notes:?}");
            assert!(
                notes[0].starts_with(&format!("spec.ingress[0].from[0].{key}")),
                "{notes:?}"
            );
        }
        let (policy, notes) =
            policy_of(&json!({"podSelector": selector, "ingress": [{}], "egress": [{}]}));
        assert_eq!(policy.pods.to_string(), kept, "{selector}");
        assert_eq!(
            (policy.ingress, policy.egress),
            (Some(vec![]), Some(vec![])),
            "{selector}"
        );
        assert_eq!(notes.len(), 2, "{selector}: {notes:?}");
    }
}

#[test]
fn blocks_are_cut_to_their_prefix_and_keep_exceptions_that_lie_inside() {
    for (block, wanted, except, faults) in [
        (json!({"cidr": "10.0.0.0/8"}), "10.0.0.0/8", &[][..], 0),
        (
            json!({"cidr": "10.1.2.3/8", "except": ["10.9.9.9/16", "10.9.0.0/16"]}),
            "10.0.0.0/8",
            &["10.9.0.0/16"][..],
            0,
        ),
        (
            json!({"cidr": "0.0.0.0/0", "except": []}),
            "0.0.0.0/0",
            &[][..],
            0,
        ),
        (
            json!({"cidr": "::/0", "except": ["FD00:0::1/64", "fe80::/10"]}),
            "::/0",
            &["fd00::/64", "fe80::/10"][..],
            0,
        ),
        (
            json!({"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16", "fd00::/64"]}),
            "10.0.0.0/8",
            &[][..],
            2,
        ),
        // Taken as written: the block is empty.
        (
            json!({"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}),
            "10.0.0.0/8",
            &["10.0.0.0/8"][..],
            0,
        ),
        (
            json!({"cidr": "192.0.2.1/32", "except": null}),
            "192.0.2.1/32",
            &[][..],
            0,
        ),
    ] {
        let (peers, notes) = one(&json!({"ipBlock": block}));
        let wanted = IpBlock {
            prefix: prefix(wanted),
            except: except.iter().map(|text| prefix(text)).collect(),
        };
        assert_eq!(peers, [Peer::Block(wanted)], "{block}");
        assert_eq!(notes.len(), faults, "{block}: {notes:?}");
    }
}

#[test]
fn blocks_and_peers_that_mean_nothing_match_nothing() {
    for (peer, wanted) in [
        (
            json!({}),
            ": neither a selector nor an ipBlock: the peer matches nothing",
        ),
        (
            json!({"podSelector": null}),
            ": neither a selector nor an ipBlock: the peer matches nothing",
        ),
        (
            json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}),
            ": an ipBlock and a selector: the peer matches nothing",
        ),
        (
            json!({"namespaceSelector": {}, "ipBlock": 3}),
            ": an ipBlock and a selector: the peer matches nothing",
        ),
        (
            json!({"podSelector": {}, "serviceSelector": {}}),
            ": unknown field \"serviceSelector\": the peer matches nothing",
        ),
        (
            json!({"ipBlock": "10.0.0.0/8"}),
            ".ipBlock: expected a mapping, found the text \"10.0.0.0/8\"",
        ),
        (
            json!({"ipBlock": {}}),
            ".ipBlock.cidr: a block without a CIDR",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0"}}),
            ".ipBlock.cidr: \"10.0.0.0\" is not a CIDR",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/33"}}),
            ".ipBlock.cidr: \"10.0.0.0/33\" is not a CIDR",
        ),
        (
            json!({"ipBlock": {"cidr": 10}}),
            ".ipBlock.cidr: expected a text, found the number 10",
        ),
        (
            json!({"ipBlock": {"cidr": "::ffff:10.0.0.0/104"}}),
            ".ipBlock.cidr: ::ffff:10.0.0.0/104 is IPv4 in the form of IPv6",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "exept": ["10.1.0.0/16"]}}),
            ".ipBlock: unknown field \"exept\": the block matches nothing",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.2"]}}),
            ".ipBlock.except[1]: \"10.2\" is not a CIDR",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": [null]}}),
            ".ipBlock.except[0]: null",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": "10.1.0.0/16"}}),
            ".ipBlock.except: expected a list, found the text \"10.1.0.0/16\"",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["0.0.0.0/0"]}}),
            ".ipBlock.except[0]: 0.0.0.0/0 takes out the whole of 10.0.0.0/8",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["::ffff:10.1.0.0/112"]}}),
            ".ipBlock.except[0]: ::ffff:10.1.0.0/112 is IPv4 in the form of IPv6",
        ),
    ] {
        let (peers, notes) = one(&peer);
        assert_eq!(peers, [], "{peer}");
        assert_eq!(
            notes,
            [format!("spec.ingress[0].from[0]{wanted}")],
            "{peer}"
        );
    }
}

#[test]
fn ports_are_numbers_ranges_names_or_a_protocol_alone() {
    let range = |first, last| PortSpec::Range(first..=last);
    for (port, protocol, wanted) in [
        (json!({}), Protocol::Tcp, PortSpec::All),
        (json!({"protocol": "SCTP"}), Protocol::Sctp, PortSpec::All),
        (
            json!({"protocol": null, "port": 80}),
            Protocol::Tcp,
            range(80, 80),
        ),
        (
            json!({"protocol": "UDP", "port": 1, "endPort": 65535}),
            Protocol::Udp,
            range(1, 65535),
        ),
        (
            json!({"port": 80, "endPort": 80}),
            Protocol::Tcp,
            range(80, 80),
        ),
        (
            json!({"port": "http", "protocol": "TCP"}),
            Protocol::Tcp,
            PortSpec::Named(Arc::from("http")),
        ),
        (
            json!({"port": "80a"}),
            Protocol::Tcp,
            PortSpec::Named(Arc::from("80a")),
        ),
    ] {
        let (ports, notes) = one_port(&port);
        assert_eq!(
            ports,
            [PolicyPort {
                protocol,
                port: wanted
            }],
            "{port}"
        );
        assert_eq!(notes, [""; 0], "{port}");
    }
}

#[test]
fn ports_that_mean_nothing_match_nothing() {
    for (port, wanted) in [
        (
            json!({"port": 81, "endPort": 80}),
            ": endPort 80 lies below port 81: the port matches nothing",
        ),
        (
            json!({"port": "http", "endPort": 80}),
            ": an endPort behind a named port: the port matches nothing",
        ),
        (
            json!({"endPort": 80}),
            ": an endPort without a port: the port matches nothing",
        ),
        (
            json!({"port": 80, "endport": 90}),
            ": unknown field \"endport\": the port matches nothing",
        ),
        (
            json!({"port": 80, "endPort": 65536}),
            ".endPort: 65536 is not a port: 1 to 65535",
        ),
        (
            json!({"port": 80, "endPort": "90"}),
            ".endPort: expected a whole number, found the text \"90\"",
        ),
        (json!({"port": 0}), ".port: 0 is not a port: 1 to 65535"),
        (json!({"port": -1}), ".port: -1 is not a port: 1 to 65535"),
        (
            json!({"port": 1.5}),
            ".port: expected a number or a name, found the number 1.5",
        ),
        (json!({"port": ""}), ".port: \"\" cannot name a port"),
        (json!({"port": "80"}), ".port: \"80\" cannot name a port"),
        (json!({"port": "a b"}), ".port: \"a b\" cannot name a port"),
        (
            json!({"port": 80, "protocol": "ICMP"}),
            ".protocol: unknown protocol \"ICMP\": TCP, UDP or SCTP",
        ),
        (
            json!({"port": 80, "protocol": ""}),
            ".protocol: unknown protocol \"\": TCP, UDP or SCTP",
        ),
        (
            json!({"port": 80, "protocol": 6}),
            ".protocol: expected a text, found the number 6",
        ),
    ] {
        let (ports, notes) = one_port(&port);
        assert_eq!(ports, [], "{port}");
        assert_eq!(
            notes,
            [format!("spec.ingress[0].ports[0]{wanted}")],
            "{port}"
        );
    }
}

#[test]
fn ten_thousand_blocks_are_read_and_a_bad_one_among_them_is_named() {
    let mut blocks: Vec<Value> = (0..10_000)
        .map(|n| json!({"ipBlock": {"cidr": format!("10.{}.{}.0/24", n / 250, n % 250)}}))
        .collect();
    blocks[7000] = json!({"ipBlock": {"cidr": "nowhere"}});
    let (policy, notes) = policy_of(&json!({"ingress": [{"from": blocks}]}));
    assert_eq!(
        policy.ingress.unwrap()[0].peers.as_ref().unwrap().len(),
        9_999
    );
    assert_eq!(
        notes,
        ["spec.ingress[0].from[7000].ipBlock.cidr: \"nowhere\" is not a CIDR"]
    );
}

/// Every place below a value.
fn places(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| places(value, &format!("{here}/{key}"), found)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(index, value)| places(value, &format!("{here}/{index}"), found)),
        _ => {}
    }
}

/// Which of some pods a policy isolates, and what it allows them, both ways.
fn effect(policy: &NetworkPolicy) -> (Vec<String>, Vec<String>) {
    let text = |text: &str| Arc::<str>::from(text);
    let labelled = |pairs: &[(&str, &str)]| -> Labels {
        pairs
            .iter()
            .map(|(key, value)| (text(key), text(value)))
            .collect()
    };
    let all = [
        labelled(&[]),
        labelled(&[("app", "web")]),
        labelled(&[("app", "web"), ("tier", "a")]),
        labelled(&[("app", "db"), ("tier", "b"), ("x", "1")]),
    ];
    let peers = |peer: &Peer| -> Vec<String> {
        let pods = all
            .iter()
            .flat_map(|space| all.iter().map(move |pod| (space, pod)));
        match peer {
            Peer::Pods {
                namespaces,
                pods: selector,
            } => pods
                .filter(|(space, pod)| {
                    namespaces.as_ref().is_none_or(|names| names.matches(space))
                        && selector.matches(pod)
                })
                .map(|(space, pod)| format!("{}{space}/{pod}", namespaces.is_some()))
                .collect(),
            Peer::Block(block) => ["10.0.0.1", "10.1.0.1", "10.2.0.1", "192.0.2.1"]
                .into_iter()
                .filter(|address| {
                    let address: IpAddr = address.parse().unwrap();
                    block.prefix.contains(&address)
                        && !block.except.iter().any(|e| e.contains(&address))
                })
                .map(str::to_owned)
                .collect(),
        }
    };
    let ports = |port: &PolicyPort| -> Vec<String> {
        let numbers = [80_u16, 85, 90, 443].into_iter();
        let numbers = numbers.filter(|number| match &port.port {
            PortSpec::All => true,
            PortSpec::Range(range) => range.contains(number),
            PortSpec::Named(_) => false,
        });
        let named = match &port.port {
            PortSpec::Named(name) => Some(name.to_string()),
            PortSpec::All | PortSpec::Range(_) => None,
        };
        let texts = numbers.map(|number| number.to_string()).chain(named);
        texts
            .map(|text| format!("{text}/{}", port.protocol))
            .collect()
    };
    let (mut isolated, mut allowed) = (Vec::new(), Vec::new());
    for (way, rules) in [("in", &policy.ingress), ("out", &policy.egress)] {
        for pod in all.iter().filter(|pod| policy.pods.matches(pod)) {
            let Some(rules) = rules else { continue };
            isolated.push(format!("{way} {pod}"));
            for rule in rules {
                let peers = rule
                    .peers
                    .as_ref()
                    .map(|list| list.iter().flat_map(peers).collect());
                let ports = rule
                    .ports
                    .as_ref()
                    .map(|list| list.iter().flat_map(ports).collect());
                for peer in peers.unwrap_or_else(|| vec!["anybody".to_owned()]) {
                    for port in ports.clone().unwrap_or_else(|| vec!["anything".to_owned()]) {
                        allowed.push(format!("{way} {pod} {peer} {port}"));
                    }
                }
            }
        }
    }
    (isolated, allowed)
}

#[test]
fn no_value_of_a_wrong_type_in_any_place_and_no_unknown_key_opens_anything() {
    let selector = json!({
        "matchLabels": {"app": "web"},
        "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "x", "operator": "DoesNotExist"}],
    });
    let peers = json!([
        {"podSelector": selector},
        {"namespaceSelector": selector, "podSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["b"]}]}},
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.2.0.0/16"]}},
    ]);
    let ports = json!([
        {"protocol": "UDP", "port": 80, "endPort": 90}, {"protocol": "UDP", "port": "dns"}, {"port": 443},
    ]);
    let whole = json!({
        "podSelector": selector,
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": peers, "ports": ports}],
        "egress": [{"to": peers}, {"ports": ports}],
    });
    let mut all = Vec::new();
    places(&whole, "", &mut all);
    assert!(all.len() > 100);
    let mut without_types = whole.clone();
    without_types.as_object_mut().unwrap().remove("policyTypes");
    for whole in [whole, without_types] {
        let (policy, notes) = policy_of(&whole);
        assert_eq!(notes, [""; 0]);
        let (isolated, allowed) = effect(&policy);
        assert!(allowed.len() > 50, "{allowed:?}");
        for place in all.iter().filter(|place| whole.pointer(place).is_some()) {
            // No place takes a fraction; null would be the same as nothing.
            let mut damaged = whole.clone();
            *damaged.pointer_mut(place).unwrap() = json!(1.5);
            let mut misspelt = whole.clone();
            if let Some(map) = misspelt.pointer_mut(place).and_then(Value::as_object_mut) {
                // Labels may have any key.
                if place.ends_with("matchLabels") {
                    continue;
                }
                map.insert("unknown".to_owned(), json!({}));
            }
            for broken in [damaged, misspelt]
                .into_iter()
                .filter(|broken| *broken != whole)
            {
                let (policy, notes) = policy_of(&broken);
                let (now_isolated, now_allowed) = effect(&policy);
                assert!(
                    isolated.iter().all(|pod| now_isolated.contains(pod)),
                    "{broken}"
                );
                let opened = now_allowed.iter().find(|one| !allowed.contains(one));
                assert_eq!(opened, None, "{place}\n{broken}");
                assert!(!notes.is_empty(), "{place}: no note\n{broken}");
            }
        }
    }
}
