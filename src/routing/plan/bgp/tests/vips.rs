use super::*;
use crate::bgp::wire::Community;
use crate::model::Communities;

const ALL: &str = "bgp.advertise_cluster_ip = true\nbgp.advertise_external_ip = true\n\
                   bgp.advertise_loadbalancer_ip = true\n";

/// A Service `default/NAME` at these ClusterIPs.
pub(super) fn service(name: &str, addresses: &[&str]) -> Service {
    Service {
        name: ObjectName::new("default", name),
        created: 0,
        kind: ServiceKind::ClusterIp,
        cluster_ips: addresses.iter().map(|a| ip(a)).collect(),
        external_ips: Vec::new(),
        load_balancer_ips: Vec::new(),
        ports: vec![ServicePort {
            name: "".into(),
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

fn endpoint(address: &str, node: &str) -> Endpoint {
    Endpoint {
        address: ip(address),
        ready: true,
        serving: true,
        terminating: false,
        node: Some(node.into()),
        zone: None,
        for_zones: Arc::default(),
        for_nodes: Arc::default(),
    }
}

fn slice(service: &Service, family: Family, endpoints: Vec<Endpoint>) -> Arc<EndpointSlice> {
    Arc::new(EndpointSlice {
        name: ObjectName::new("default", format!("{}-{family}", service.name.name)),
        service: Arc::clone(&service.name.name),
        family,
        ports: vec![SlicePort {
            name: "".into(),
            protocol: Protocol::Tcp,
            port: 8080,
        }],
        endpoints,
    })
}

impl World {
    /// Adds a Service with ready endpoints at addresses on nodes.
    pub(super) fn serving(self, service: Service, endpoints: &[(&str, &str)]) -> Self {
        let endpoints = endpoints
            .iter()
            .map(|(a, node)| endpoint(a, node))
            .collect();
        self.with_endpoints(service, endpoints)
    }

    fn with_endpoints(mut self, service: Service, endpoints: Vec<Endpoint>) -> Self {
        let (v4, v6) = endpoints
            .into_iter()
            .partition(|it: &Endpoint| it.address.is_ipv4());
        let slices = vec![
            slice(&service, Family::V4, v4),
            slice(&service, Family::V6, v6),
        ];
        self.snapshot.slices.insert(&service.name, Arc::new(slices));
        self.with_service(service)
    }

    fn with_service(mut self, service: Service) -> Self {
        let name = service.name.clone();
        self.snapshot.services.insert(&name, Arc::new(service));
        self
    }

    fn vips(&self) -> Vec<String> {
        let speaker = self.speaker();
        let vips = speaker.originate.iter();
        let vips = vips.filter(|(_, it)| it.kind == RouteKind::ServiceVip);
        vips.map(|(prefix, _)| prefix.to_string()).collect()
    }
}

/// A Service with an address of each class and family.
fn full() -> Service {
    Service {
        kind: ServiceKind::LoadBalancer,
        external_ips: vec![ip("203.0.113.1"), ip("2001:db8:1::1")],
        load_balancer_ips: vec![ip("198.51.100.1"), ip("2001:db8:2::1")],
        ..service("full", &["10.96.0.1", "fd96::1"])
    }
}

const HERE: &[(&str, &str)] = &[("10.244.1.9", "n1"), ("fd02:1::9", "n1")];
const THERE: &[(&str, &str)] = &[("10.244.2.9", "n2"), ("fd02:2::9", "n2")];

#[test]
fn each_class_is_announced_if_the_file_or_the_service_says_so() {
    type Say = fn(&mut ServiceAnnotations, Option<bool>);
    let classes: [(&str, Say, [&str; 2]); 3] = [
        (
            "cluster_ip",
            |it, to| it.advertise_cluster_ip = to,
            ["10.96.0.1/32", "fd96::1/128"],
        ),
        (
            "external_ip",
            |it, to| it.advertise_external_ip = to,
            ["203.0.113.1/32", "2001:db8:1::1/128"],
        ),
        (
            "loadbalancer_ip",
            |it, to| it.advertise_load_balancer_ip = to,
            ["198.51.100.1/32", "2001:db8:2::1/128"],
        ),
    ];
    for (key, say, expected) in classes {
        for (file, annotation, is_announced) in [
            (false, None, false),
            (true, None, true),
            (false, Some(true), true),
            (true, Some(false), false),
        ] {
            let mut service = full();
            say(&mut service.annotations, annotation);
            let world = World::configured(DUAL, &format!("bgp.advertise_{key} = {file}\n"));
            let vips = world.serving(service, THERE).vips();
            let expected = if is_announced { &expected[..] } else { &[] };
            assert_eq!(vips, expected, "{key} {file} {annotation:?}");
        }
    }
}

#[test]
fn only_families_of_the_node_and_of_the_endpoints_are_announced() {
    let text = format!("bgp.router_id = \"192.0.2.7\"\n{ALL}");
    let announced = |addresses: &[&str], endpoints: &[(&str, &str)]| {
        World::configured(addresses, &text)
            .serving(full(), endpoints)
            .vips()
    };
    let v4 = ["10.96.0.1/32", "198.51.100.1/32", "203.0.113.1/32"];
    let v6 = ["2001:db8:1::1/128", "2001:db8:2::1/128", "fd96::1/128"];
    assert_eq!(announced(DUAL, THERE), [&v4[..], &v6[..]].concat());
    assert_eq!(announced(V4, THERE), v4);
    assert_eq!(announced(V6, THERE), v6);
    assert_eq!(announced(DUAL, &THERE[..1]), v4);
}

#[test]
fn a_local_policy_needs_an_endpoint_on_this_node() {
    type Change = fn(&mut Service);
    let external = ["198.51.100.1/32", "203.0.113.1/32"];
    let cluster = ["10.96.0.1/32"];
    let cases: [(Change, &[&str]); 4] = [
        (
            |_| {},
            &["10.96.0.1/32", "198.51.100.1/32", "203.0.113.1/32"],
        ),
        (|it| it.external_policy = TrafficPolicy::Local, &cluster),
        (|it| it.internal_policy = TrafficPolicy::Local, &external),
        (
            |it| {
                it.annotations.local = true;
                it.internal_policy = TrafficPolicy::Local;
            },
            &cluster,
        ),
    ];
    for (index, (change, without)) in cases.iter().enumerate() {
        let mut service = full();
        change(&mut service);
        let world = || World::configured(V4, ALL);
        assert_eq!(
            world().serving(service.clone(), THERE).vips(),
            *without,
            "case {index}"
        );
        assert_eq!(
            world().serving(service, HERE).vips().len(),
            3,
            "case {index}"
        );
    }
}

#[test]
fn endpoints_count_as_the_proxy_counts_them() {
    let local = Service {
        internal_policy: TrafficPolicy::Local,
        ..service("a", &["10.96.0.1"])
    };
    for (ready, serving, terminating, counts) in [
        (true, true, false, true),
        (false, false, false, false),
        (false, true, false, false),
        (false, true, true, true),
        (false, false, true, false),
        (true, false, true, false),
    ] {
        let endpoint = Endpoint {
            ready,
            serving,
            terminating,
            ..endpoint("10.244.1.9", "n1")
        };
        for service in [service("a", &["10.96.0.1"]), local.clone()] {
            let world = World::configured(V4, ALL).with_endpoints(service, vec![endpoint.clone()]);
            assert_eq!(!world.vips().is_empty(), counts, "{endpoint:?}");
        }
    }
}

#[test]
fn endpoints_of_no_port_of_the_service_do_not_count() {
    let mut service = service("a", &["10.96.0.1"]);
    service.ports[0].protocol = Protocol::Udp;
    assert!(
        World::configured(V4, ALL)
            .serving(service, HERE)
            .vips()
            .is_empty()
    );
}

#[test]
fn a_service_without_slices_costs_itself_alone() {
    let world = World::configured(V4, ALL)
        .with_service(service("alone", &["10.96.0.1"]))
        .serving(service("served", &["10.96.0.2"]), THERE)
        .serving(service("empty", &["10.96.0.3"]), &[]);
    assert_eq!(world.vips(), ["10.96.0.2/32"]);
    assert!(world.notes().is_empty());
}

#[test]
fn services_that_the_proxy_passes_over_are_not_announced() {
    type Change = fn(&mut Service);
    let changes: [Change; 4] = [
        |it| it.kind = ServiceKind::ExternalName,
        |it| it.foreign_proxy = true,
        |it| it.labelled_headless = true,
        |it| it.cluster_ips.clear(),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut service = full();
        change(&mut service);
        let world = World::configured(DUAL, ALL).serving(service, HERE);
        assert_eq!(world.vips(), [""; 0], "case {index}");
    }
}

#[test]
fn addresses_of_load_balancers_need_the_type_and_no_refusal() {
    let announced = |change: fn(&mut Service)| {
        let mut service = full();
        change(&mut service);
        World::configured(V4, ALL).serving(service, HERE).vips()
    };
    let balanced = "198.51.100.1/32".to_owned();
    assert!(announced(|_| {}).contains(&balanced));
    assert!(!announced(|it| it.kind = ServiceKind::NodePort).contains(&balanced));
    assert!(!announced(|it| it.annotations.skip_load_balancer_ips = true).contains(&balanced));
}

#[test]
fn addresses_that_the_proxy_refuses_are_not_announced() {
    let mut world = World::configured(V4, ALL);
    world.settings.cluster.strict_external_ips = true;
    world.settings.cluster.load_balancer_ranges = vec![prefix("198.51.100.0/24")];
    let world = world.serving(full(), HERE);
    assert_eq!(world.vips(), ["10.96.0.1/32", "198.51.100.1/32"]);
}

#[test]
fn a_shared_address_stays_as_long_as_one_service_wants_it() {
    let shared = |name: &str, community: u16| {
        let mut service = service(name, &[&format!("10.96.0.{community}")]);
        service.external_ips = vec![ip("203.0.113.1")];
        service.annotations.communities = Communities {
            plain: vec![Community::new(1, community)],
            large: vec![],
        };
        service
    };
    let text = "bgp.advertise_external_ip = true\n";
    let world = World::configured(V4, text)
        .serving(shared("a", 1), THERE)
        .serving(shared("b", 2), THERE);
    let communities = |world: &World| {
        let originate = world.speaker().originate;
        originate[&prefix("203.0.113.1/32")]
            .attributes
            .communities
            .clone()
    };
    assert_eq!(
        communities(&world),
        [Community::new(1, 1), Community::new(1, 2)]
    );
    let world = world.serving(shared("a", 1), &[]);
    assert_eq!(world.vips(), ["203.0.113.1/32"]);
    assert_eq!(communities(&world), [Community::new(1, 2)]);
    assert!(world.serving(shared("b", 2), &[]).vips().is_empty());
}

#[test]
fn the_routes_next_hop_is_the_node() {
    let originate = World::configured(DUAL, ALL)
        .serving(full(), HERE)
        .speaker()
        .originate;
    for (prefix, next_hop) in [("203.0.113.1/32", "10.1.1.1"), ("fd96::1/128", "fd01:1::1")] {
        let route = &originate[&super::prefix(prefix)];
        assert_eq!(route.next_hop, ip(next_hop).into());
        assert_eq!(route.attributes, Attributes::default());
    }
}
