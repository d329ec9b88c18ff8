//! A small cluster for tests that drive the planner by hand.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by several test binaries, each using a part"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube_router::config::{
    ClusterConfig, ClusterSource, IpvsTimeouts, NodePortAddresses, ProxyConfig,
};
use kube_router::model::{
    Endpoint, EndpointSlice, LocalAddress, NodeFacts, ObjectName, Service, ServiceAnnotations,
    ServiceKind, ServicePort, SlicePort, SliceSet, Snapshot, TrafficPolicy,
};
use kube_router::net::{ByFamily, Family, Protocol};
use kube_router::proxy::{Input, Settings};

/// The whole input, changed object by object.
#[derive(Debug)]
pub struct World {
    pub snapshot: Snapshot,
    pub facts: Arc<NodeFacts>,
    pub settings: Arc<Settings>,
    slices: BTreeMap<ObjectName, BTreeMap<ObjectName, Arc<EndpointSlice>>>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            snapshot: Snapshot::default(),
            facts: Arc::new(facts(true, &["10.244.1.0/24", "fd02:1::/64"])),
            settings: Arc::new(settings()),
            slices: BTreeMap::new(),
        }
    }
}

impl World {
    pub fn input(&self) -> Input {
        Input {
            snapshot: Arc::new(self.snapshot.clone()),
            facts: Arc::clone(&self.facts),
            settings: Arc::clone(&self.settings),
        }
    }

    pub fn apply_service(&mut self, service: Service) {
        self.snapshot
            .services
            .insert(&service.name.clone(), Arc::new(service));
        self.snapshot.generation += 1;
    }

    pub fn remove_service(&mut self, name: &ObjectName) {
        self.snapshot.services.remove(name);
        self.snapshot.generation += 1;
    }

    pub fn apply_slice(&mut self, slice: EndpointSlice) {
        let owner = ObjectName::new(
            Arc::clone(&slice.name.namespace),
            Arc::clone(&slice.service),
        );
        let set = self.slices.entry(owner.clone()).or_default();
        set.insert(slice.name.clone(), Arc::new(slice));
        self.publish(&owner);
    }

    pub fn remove_slice(&mut self, slice: &EndpointSlice) {
        let owner = ObjectName::new(
            Arc::clone(&slice.name.namespace),
            Arc::clone(&slice.service),
        );
        if let Some(set) = self.slices.get_mut(&owner) {
            set.remove(&slice.name);
        }
        self.publish(&owner);
    }

    fn publish(&mut self, owner: &ObjectName) {
        let set: SliceSet = self
            .slices
            .get(owner)
            .map(|set| set.values().cloned().collect())
            .unwrap_or_default();
        self.snapshot.slices.insert(owner, Arc::new(set));
        self.snapshot.generation += 1;
    }
}

/// Node `n1` with 10.1.1.1 and, in dual-stack, fd01:1::1 on `eth0`.
pub fn facts(dual: bool, pod_cidrs: &[&str]) -> NodeFacts {
    let v4 = "10.1.1.1".parse().unwrap();
    let v6 = "fd01:1::1".parse().unwrap();
    let mut addresses = vec![
        LocalAddress {
            address: v4,
            prefix_length: 24,
            link: "eth0".into(),
        },
        LocalAddress {
            address: "127.0.0.1".parse().unwrap(),
            prefix_length: 8,
            link: "lo".into(),
        },
    ];
    if dual {
        addresses.push(LocalAddress {
            address: v6,
            prefix_length: 64,
            link: "eth0".into(),
        });
    }
    addresses.sort_by_key(|local| local.address);
    NodeFacts {
        name: "n1".into(),
        primary: ByFamily {
            v4: Some(v4),
            v6: dual.then_some(v6),
        },
        addresses,
        primary_link: Some("eth0".into()),
        primary_mtu: Some(1500),
        pod_cidrs: pod_cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect(),
        zone: None,
        links: vec!["eth0".into(), "lo".into()],
    }
}

/// Defaults, with ranges that admit the documentation's addresses.
pub fn settings() -> Settings {
    Settings {
        proxy: ProxyConfig {
            enabled: true,
            node_port_addresses: vec![NodePortAddresses::Primary],
            masquerade_all: false,
            excluded_cidrs: Vec::new(),
            timeouts: IpvsTimeouts::default(),
            service_firewall: true,
            sync_period: Duration::from_secs(300),
        },
        cluster: ClusterConfig {
            source: ClusterSource::Manifests(PathBuf::from("manifests")),
            service_ranges: vec![
                "10.96.0.0/12".parse().unwrap(),
                "fd96::/108".parse().unwrap(),
            ],
            external_ip_ranges: vec![
                "203.0.113.0/24".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            load_balancer_ranges: vec![
                "198.51.100.0/24".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            node_ports: 30000..=32767,
            strict_external_ips: true,
            cache_sync_timeout: Duration::from_secs(60),
        },
        families: ByFamily { v4: true, v6: true },
    }
}

/// A Service of one TCP port 80, in both families, without external addresses.
pub fn service(namespace: &str, name: &str, number: u8) -> Service {
    Service {
        name: ObjectName::new(namespace, name),
        created: i64::from(number),
        kind: ServiceKind::ClusterIp,
        cluster_ips: vec![
            format!("10.96.0.{number}").parse().unwrap(),
            format!("fd96::{number}").parse().unwrap(),
        ],
        external_ips: Vec::new(),
        load_balancer_ips: Vec::new(),
        ports: vec![ServicePort {
            name: "main".into(),
            protocol: Protocol::Tcp,
            port: 80,
            node_port: None,
        }],
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

/// Ready endpoints `10.244.2.HOST` (or `fd02:2::HOST`) of a Service, on another node.
pub fn slice(namespace: &str, service: &str, family: Family, hosts: &[u8]) -> EndpointSlice {
    let protocols = [Protocol::Tcp, Protocol::Udp];
    EndpointSlice {
        name: ObjectName::new(namespace, format!("{service}-{family}")),
        service: service.into(),
        family,
        ports: protocols
            .map(|protocol| SlicePort {
                name: "main".into(),
                protocol,
                port: 8080,
            })
            .to_vec(),
        endpoints: hosts
            .iter()
            .map(|host| Endpoint {
                address: match family {
                    Family::V4 => format!("10.244.2.{host}").parse().unwrap(),
                    Family::V6 => format!("fd02:2::{host}").parse().unwrap(),
                },
                ready: true,
                serving: true,
                terminating: false,
                node: Some("n2".into()),
                zone: None,
                for_zones: [].into(),
                for_nodes: [].into(),
            })
            .collect(),
    }
}
