//! Names, labels and owners of what the kernel counts.

use std::net::IpAddr;
use std::sync::Arc;

use crate::app::scrape::encode;
use crate::kernel::ipvs::object::{Stats, VirtualKey};
use crate::metrics::Text;
use crate::model::{
    LocalAddress, NodeFacts, ObjectName, Service, ServiceAnnotations, ServiceKind, ServicePort,
    Snapshot, TrafficPolicy,
};
use crate::net::Protocol;

fn service(name: &str, created: i64, cluster_ip: &str, external_ip: &str) -> Service {
    let port = ServicePort {
        name: Arc::from("web"),
        protocol: Protocol::Tcp,
        port: 80,
        node_port: Some(30080),
    };
    Service {
        name: ObjectName {
            namespace: Arc::from("shop"),
            name: Arc::from(name),
        },
        created,
        kind: ServiceKind::NodePort,
        cluster_ips: vec![cluster_ip.parse().unwrap()],
        external_ips: vec![external_ip.parse().unwrap()],
        load_balancer_ips: Vec::new(),
        ports: vec![port],
        affinity: None,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
        source_ranges: Vec::new(),
        source_ranges_restricted: false,
        traffic_distribution: None,
        health_check_node_port: None,
        foreign_proxy: false,
        labelled_headless: false,
        annotations: ServiceAnnotations::default(),
    }
}

fn counted(address: &str, port: u16, connections: u64) -> (VirtualKey, Stats) {
    let address: IpAddr = address.parse().unwrap();
    let key = VirtualKey::Address {
        address,
        protocol: Protocol::Tcp,
        port,
    };
    (
        key,
        Stats {
            connections,
            bytes_in: 7,
            ..Stats::default()
        },
    )
}

#[test]
fn every_virtual_server_of_a_service_has_its_numbers_and_foreign_ones_are_only_counted() {
    let mut snapshot = Snapshot::default();
    for service in [
        service("old", 1, "10.96.0.1", "203.0.113.1"),
        service("young", 2, "fd96::2", "203.0.113.1"),
    ] {
        snapshot
            .services
            .insert(&service.name.clone(), Arc::new(service));
    }
    let own = LocalAddress {
        address: "192.0.2.1".parse().unwrap(),
        prefix_length: 24,
        link: Arc::from("eth0"),
    };
    let facts = NodeFacts {
        addresses: vec![own],
        ..NodeFacts::default()
    };
    let counters = [
        counted("10.96.0.1", 80, 1),
        counted("fd96::2", 80, 2),
        counted("203.0.113.1", 80, 3),
        counted("192.0.2.1", 30080, 4),
        counted("192.0.2.9", 30080, 5),
        counted("10.96.0.1", 443, 6),
    ];
    let mut text = Text::default();
    encode(&mut text, &counters, &snapshot, &facts);
    let page = text.into_string();
    let connections: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("kube_router_service_total_connections{"))
        .collect();
    let line = |name: &str, vip: &str, port: u16, value: u8| {
        format!(
            "kube_router_service_total_connections{{svc_namespace=\"shop\",service_name=\"{name}\",\
             service_vip=\"{vip}\",protocol=\"tcp\",port=\"{port}\"}} {value}"
        )
    };
    let expected = [
        line("old", "10.96.0.1", 80, 1),
        line("young", "fd96::2", 80, 2),
        line("old", "203.0.113.1", 80, 3),
        line("old", "192.0.2.1", 30080, 4),
    ];
    assert_eq!(connections, expected);
    assert!(
        page.contains("kube_router_controller_ipvs_services 6\n"),
        "{page}"
    );
    assert_eq!(
        page.lines()
            .filter(|line| line.starts_with("# TYPE"))
            .count(),
        11
    );
}
