//! The bridge, the MTU, the CNI configuration.

use std::fs;

use crate::node::{controller, failures, input, pass, world};
use crate::place::{in_namespace, tool};

#[test]
fn the_bridge_and_the_file_say_the_same_mtu() {
    in_namespace(|| {
        let _world = world();
        let directory = tempfile::tempdir().unwrap();
        let cni = directory.path().join("net.d/10-kuberouter.conflist");
        // Pods wait: no route is known yet.
        let mut routing = controller();
        let (_, report) = pass(&mut routing, &input("", &cni));
        assert_eq!(failures(&report), [""; 0]);
        assert!(!cni.exists());
        assert!(tool("ip -d link show kube-bridge").contains("mtu 1500"));
        let mut smaller = input("10.244.2.0/24 via 10.1.1.3", &cni);
        let mut facts = (*smaller.facts).clone();
        facts.primary_mtu = Some(1400);
        smaller.facts = std::sync::Arc::new(facts);
        let (_, report) = pass(&mut routing, &smaller);
        assert_eq!(failures(&report), [""; 0]);
        let shown = tool("ip -d link show kube-bridge");
        assert!(
            shown.contains("mtu 1400") && shown.contains("UP"),
            "{shown}"
        );
        let text = fs::read_to_string(&cni).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let bridge = &document["plugins"][0];
        assert_eq!(bridge["mtu"], 1400);
        assert_eq!(bridge["ipam"]["ranges"][1][0]["subnet"], "fd02:1::/64");
        // Somebody lowers the one, and deletes the other.
        tool("ip link set kube-bridge mtu 1300");
        fs::remove_file(&cni).unwrap();
        let (steps, _) = pass(&mut routing, &smaller);
        assert_eq!(steps.len(), 2, "{steps:?}");
        assert!(tool("ip link show kube-bridge").contains("mtu 1400"));
        assert_eq!(fs::read_to_string(&cni).unwrap(), text);
    });
}
