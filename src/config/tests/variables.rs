use super::with_environment;
use crate::config::{NodePortAddresses, keys, variable};

#[test]
fn variables_set_keys_of_every_kind() {
    let loaded = with_environment(&[
        ("KUBE_ROUTER_NODE__ENABLE_IPV6", "true"),
        (
            "KUBE_ROUTER_PROXY__EXCLUDED_CIDRS",
            "192.0.2.0/24, fd00::/64",
        ),
        ("KUBE_ROUTER_PROXY__NODE_PORT_ADDRESSES", "[\"all\"]"),
        ("KUBE_ROUTER_PROXY__TCP_TIMEOUT", "15m"),
        ("KUBE_ROUTER_CLUSTER__LOADBALANCER_IP_RANGE", ""),
    ])
    .unwrap();
    assert!(loaded.config.node.families.v6);
    assert_eq!(loaded.config.proxy.excluded_cidrs.len(), 2);
    assert_eq!(
        loaded.config.proxy.node_port_addresses,
        [NodePortAddresses::All]
    );
    assert_eq!(loaded.config.proxy.timeouts.tcp, 900);
}

#[test]
fn every_key_can_be_said_by_its_variable() {
    for key in keys() {
        let name = variable(key);
        let problems = match with_environment(&[(&name, "?")]) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.0,
        };
        assert!(
            problems.iter().all(|p| !p.text.contains("unknown")),
            "{name}: {problems:?}"
        );
    }
}

#[test]
fn wrong_and_unknown_variables_are_errors() {
    let problems = with_environment(&[
        ("KUBE_ROUTER_PROXY__ENABLED", "yes"),
        ("KUBE_ROUTER_PROXY__SYNC_PEROID", "5m"),
        (
            "KUBE_ROUTER_CNI_CONF_FILE",
            "/etc/cni/net.d/10-kuberouter.conf",
        ),
        ("KUBE_ROUTER_LBALLOC__IDENTITY", "a"),
        ("KUBE_ROUTER_proxy__enabled", "true"),
    ])
    .unwrap_err();
    let lines: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "KUBE_ROUTER_PROXY__ENABLED: proxy.enabled = \"yes\": expected true or false",
            "KUBE_ROUTER_PROXY__SYNC_PEROID: unknown variable; did you mean \
             KUBE_ROUTER_PROXY__SYNC_PERIOD?",
            "KUBE_ROUTER_CNI_CONF_FILE: unknown variable; did you mean \
             KUBE_ROUTER_ROUTING__CNI_CONF_FILE?",
            "KUBE_ROUTER_LBALLOC__IDENTITY: lballoc.identity: handing out LoadBalancer addresses is \
             not part of version 0.1.0; remove the key",
            "KUBE_ROUTER_proxy__enabled: unknown variable; did you mean \
             KUBE_ROUTER_PROXY__ENABLED?",
        ]
    );
}
