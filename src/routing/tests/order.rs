//! In which order steps are taken, what a failure costs, and what clean-up leaves.

use super::change::Change;
use super::plan::overlay::HeldTunnel;
use super::*;
use crate::kernel::iptables::object::Table;
use crate::net::Family;

const PATHS: &str = "10.244.2.0/24 via 10.1.1.2
                     10.244.3.0/24 via 10.1.3.3
                     fd02:2::/64 via fd01:1::2
                     fd02:3::/64 via fd01:3::3";

fn place(steps: &[String], word: &str) -> usize {
    let mut steps = steps.iter();
    steps
        .position(|step| step.contains(word))
        .unwrap_or_else(|| panic!("no step has {word:?}"))
}

#[test]
fn things_come_before_what_refers_to_them() {
    let mut routing = started(FakeHost::new());
    let steps = pass(&mut routing, &at_once(FOU, PATHS));
    let order = [
        "sysctl -w net.ipv4.ip_forward=1",
        "sysctl -w net.ipv6.conf.eth0.accept_ra=2",
        "sysctl -w net.ipv6.conf.all.forwarding=1",
        "ip fou add port 5555 gue",
        "ip link add kube-bridge",
        "ip link set kube-bridge mtu 1448",
        "ipset create kube-router-pod-subnets",
        "ipset add kube-router-pod-subnets 10.244.3.0/24",
        "iptables-restore",
        "ip link add tun-",
        "ip rule add from 10.244.1.0/24",
        "route replace 10.1.3.3/32 dev tun-",
        "route replace 10.244.3.0/24 dev tun-",
        "install -m 0644",
    ];
    let places: Vec<usize> = order.iter().map(|word| place(&steps, word)).collect();
    assert!(places.is_sorted(), "{steps:#?}");
    assert_eq!(places.last(), Some(&(steps.len() - 1)));
    assert_eq!(pass(&mut routing, &at_once(FOU, PATHS)), [""; 0]);

    // And go after it.
    let mut without = at_once(None, "10.244.2.0/24 via 10.1.1.2");
    let mut settings = (*without.settings).clone();
    settings.cni = None;
    settings.auto_mtu = false;
    without.settings = Arc::new(settings);
    let steps = pass(&mut routing, &without);
    let order = [
        "ip route del 10.1.3.3/32 table 77 proto 77 metric 179",
        "ip rule del from 10.244.1.0/24",
        "ip link del tun-",
        "ip fou del port 5555",
    ];
    let places: Vec<usize> = order.iter().map(|word| place(&steps, word)).collect();
    assert!(places.is_sorted(), "{steps:#?}");
    assert_eq!(pass(&mut routing, &without), [""; 0]);
    assert_eq!(routing.kernel_mut().destinations(), ["10.244.2.0/24"]);
}

#[test]
fn one_changed_route_is_one_step() {
    let mut routing = started(FakeHost::new());
    routing.plan(&at_once(SUBNET, PATHS));
    let mut seen = routing.observe().unwrap();
    let _ = step(&mut routing, &mut seen, Scope::Everything);
    let more = format!("{PATHS}\n192.0.2.0/24 via 10.1.1.2 10.1.1.3");
    routing.plan(&at_once(SUBNET, &more));
    let (steps, report) = step(&mut routing, &mut seen, Scope::Touched);
    assert_eq!(
        steps,
        [
            "ip route replace 192.0.2.0/24 proto 77 metric 179 nexthop via 10.1.1.2 dev eth0 nexthop via 10.1.1.3 dev eth0"
        ]
    );
    assert_eq!((report.applied, report.failures.len()), (1, 0));
    routing.plan(&at_once(SUBNET, PATHS));
    let (steps, _) = step(&mut routing, &mut seen, Scope::Touched);
    assert_eq!(steps, ["ip route del 192.0.2.0/24 proto 77 metric 179"]);
}

#[test]
fn a_route_that_fails_is_alone_with_it_and_tried_again() {
    let mut host = FakeHost::new();
    host.refused.insert("10.244.2.0/24".parse().unwrap());
    let mut routing = started(host);
    routing.plan(&at_once(SUBNET, PATHS));
    let mut seen = routing.observe().unwrap();
    let (_, report) = step(&mut routing, &mut seen, Scope::Everything);
    assert_eq!(report.failures.len(), 1);
    assert!(report.failures[0].is_isolated());
    let all = ["10.244.3.0/24", "fd02:2::/64", "fd02:3::/64"];
    assert_eq!(routing.kernel_mut().destinations(), all);
    assert!(
        !routing.kernel_mut().files.is_empty(),
        "pods have to wait for one route"
    );
    routing.kernel_mut().refused.clear();
    let (steps, report) = step(&mut routing, &mut seen, Scope::Touched);
    assert_eq!((steps.len(), report.failures.len()), (1, 0), "{steps:?}");
    assert_eq!(routing.kernel_mut().destinations().len(), 4);
}

#[test]
fn a_kernel_without_tunnels_says_so_once_and_does_the_rest() {
    let mut host = FakeHost::new();
    host.no_tunnels = Some(Family::V4);
    let mut routing = started(host);
    let paths = format!("{PATHS}\n10.244.4.0/24 via 10.1.3.4");
    routing.plan(&at_once(SUBNET, &paths));
    let mut seen = routing.observe().unwrap();
    let (_, report) = step(&mut routing, &mut seen, Scope::Everything);
    let failures: Vec<String> = report
        .failures
        .iter()
        .map(|failure| format!("{}: {}", failure.change, failure.reason))
        .collect();
    assert_eq!(failures.len(), 1, "{failures:#?}");
    assert!(failures[0].ends_with(": this kernel has no such links"));
    assert_eq!(routing.kernel_mut().files.len(), 1, "pods are kept away");
    let there = ["10.244.2.0/24", "fd02:2::/64", "fd02:3::/64"];
    assert_eq!(routing.kernel_mut().destinations(), there);
    // The module is loaded.
    routing.kernel_mut().no_tunnels = None;
    let (_, report) = step(&mut routing, &mut seen, Scope::Touched);
    assert_eq!(report.failures.len(), 0);
    assert_eq!(routing.kernel_mut().destinations().len(), 5);
}

#[test]
fn a_tunnel_that_was_made_otherwise_is_made_again_with_its_routes() {
    let mut routing = started(FakeHost::new());
    let input = at_once(SUBNET, PATHS);
    pass(&mut routing, &input);
    for spoil in [
        |host: &mut FakeHost, name| host.roads.tunnels.insert(name, HeldTunnel::default()),
        |host: &mut FakeHost, name| {
            let mut tunnel = host.roads.tunnels[&name].plan.unwrap();
            tunnel.local = ip("10.9.9.9");
            host.roads.tunnels.insert(name, HeldTunnel::of(tunnel))
        },
        |host: &mut FakeHost, name| {
            host.del_tunnel(name).unwrap();
            None
        },
        // As upstream names it.
        |host: &mut FakeHost, name| {
            let mut tunnel = host.roads.tunnels[&name];
            tunnel.plan = None;
            host.del_tunnel(name).unwrap();
            let theirs = TunnelName::read("tun-e443169117a").unwrap();
            host.roads.tunnels.insert(theirs, tunnel)
        },
    ] {
        let whole = routing.kernel_mut().roads.clone();
        spoil(routing.kernel_mut(), TunnelName::of(ip("10.1.3.3")));
        let steps = pass(&mut routing, &input);
        assert!(steps[place(&steps, "ip link add tun-")].contains("remote 10.1.3.3"));
        assert_eq!(routing.kernel_mut().roads, whole, "{steps:#?}");
    }
}

#[test]
fn the_cni_file_is_written_when_all_else_stands() {
    let mut host = FakeHost::new();
    host.no_rules = true;
    let mut routing = started(host);
    routing.plan(&at_once(SUBNET, PATHS));
    let mut seen = routing.observe().unwrap();
    let (_, report) = step(&mut routing, &mut seen, Scope::Everything);
    let last = report.failures.last().unwrap();
    assert!(matches!(last.change, Change::WriteCni { .. }));
    assert_eq!(last.reason.to_string(), Withheld::NotReady.to_string());
    assert!(routing.kernel_mut().files.is_empty());
    routing.kernel_mut().no_rules = false;
    let _ = step(&mut routing, &mut seen, Scope::Touched);
    assert_eq!(routing.kernel_mut().files.len(), 1);
}

#[test]
fn a_document_that_is_no_cni_configuration_is_left_alone() {
    let mut host = FakeHost::new();
    let file = at_once(SUBNET, "").settings.cni.clone().unwrap();
    host.files.insert(file.clone(), "{".to_owned());
    host.add_bridge().unwrap();
    let mut routing = started(host);
    pass(&mut routing, &at_once(SUBNET, PATHS));
    assert_eq!(routing.kernel_mut().files[&file], "{");
    let notes = routing.notes();
    assert!(
        notes
            .iter()
            .any(|note| note
                .starts_with("/etc/cni/net.d/10-kuberouter.conflist: left alone: no JSON")),
        "{notes:?}"
    );
}

#[test]
fn clean_up_removes_what_is_ours_and_nothing_else() {
    let mut host = FakeHost::new();
    for rules in [&mut host.rules.v4, &mut host.rules.v6] {
        rules.insert_foreign(Table::Filter, "FORWARD", 1, "-p 99 -j DROP");
    }
    let rules = [host.rules.v4.tables.clone(), host.rules.v6.tables.clone()];
    let mut routing = started(host);
    let input = at_once(FULL, PATHS);
    pass(&mut routing, &input);
    let (facts, settings) = (input.facts, input.settings);
    let files = routing.kernel_mut().files.clone();
    assert_eq!(files.len(), 1);
    routing.kernel_mut().roads.bridge.as_mut().unwrap().ports = 1;
    let host = std::mem::replace(routing.kernel_mut(), FakeHost::new());
    let mut routing = started(host);
    let (printed, _) = routing.cleanup(&settings, &facts, true).unwrap();
    let (again, report) = routing.cleanup(&settings, &facts, false).unwrap();
    assert_eq!(printed, again);
    assert_eq!(report.failures.len(), 0);
    let host = routing.kernel_mut();
    assert_eq!(
        host.files, files,
        "pods that are there could not be taken down"
    );
    assert!(host.roads.bridge.is_some(), "a pod hangs on it");
    assert_eq!(host.sets.len(), 0);
    let left = [host.rules.v4.tables.clone(), host.rules.v6.tables.clone()];
    assert_eq!(left, rules);
    host.roads.bridge.as_mut().unwrap().ports = 0;
    let (steps, _) = routing.cleanup(&settings, &facts, false).unwrap();
    assert_eq!(steps, ["ip link del kube-bridge"]);
    assert_eq!(routing.kernel_mut().roads, HeldRoads::default());
}

#[test]
fn a_family_that_is_switched_off_leaves_nothing() {
    let mut routing = started(FakeHost::new());
    pass(&mut routing, &at_once(SUBNET, PATHS));
    let mut input = at_once(SUBNET, "10.244.2.0/24 via 10.1.1.2");
    let mut facts = (*input.facts).clone();
    facts.primary.v6 = None;
    input.facts = Arc::new(facts);
    pass(&mut routing, &input);
    let host = routing.kernel_mut();
    assert!(host.sets.keys().all(|(_, family)| *family == Family::V4));
    assert_eq!(host.rules.v6.tables, FakeHost::new().rules.v6.tables);
    assert_eq!(host.roads.rules.len(), 1);
    assert!(!host.sets.is_empty());
}

#[test]
fn a_new_node_is_inside_at_once() {
    let mut routing = started(FakeHost::new());
    let mut input = at_once(SUBNET, PATHS);
    let mut smaller = snapshot();
    Arc::make_mut(&mut smaller.nodes).remove("n4");
    input.snapshot = Arc::new(smaller);
    routing.plan(&input);
    let mut seen = routing.observe().unwrap();
    let _ = step(&mut routing, &mut seen, Scope::Everything);
    routing.plan(&at_once(SUBNET, PATHS));
    let (steps, _) = step(&mut routing, &mut seen, Scope::Touched);
    let expected: BTreeSet<&str> = [
        "ipset add kube-router-pod-subnets 10.244.4.0/24",
        "ipset add inet6:kube-router-pod-subnets fd02:4::/64",
        "ipset add kube-router-node-ips 10.1.3.4",
        "ipset add inet6:kube-router-node-ips fd01:3::4",
    ]
    .into();
    assert_eq!(
        steps.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        expected
    );
}

fn bgp(holdtime: u16) -> Arc<BgpSettings> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let text = format!("node.enable_ipv6 = true\nbgp.holdtime = \"{holdtime}s\"\n");
    std::fs::write(&file, text).unwrap();
    let sources = crate::config::Sources {
        file: Some(file),
        ..Default::default()
    };
    let config = crate::config::load(&sources).unwrap().config;
    Arc::new(BgpSettings {
        bgp: config.bgp,
        cluster: config.cluster,
    })
}

#[test]
fn bgp_is_told_what_is_new_and_nothing_twice() {
    let mut routing = started(FakeHost::new());
    let told = |holdtime| Input {
        bgp: Some(bgp(holdtime)),
        ..at_once(SUBNET, PATHS)
    };
    let steps = pass(&mut routing, &told(90));
    let said = place(&steps, "bgp: as 64512 router-id 10.1.1.1, 3 peers");
    assert!(place(&steps, "iptables-restore") < said);
    assert!(said < place(&steps, "route replace"));
    assert_eq!(pass(&mut routing, &told(90)), [""; 0]);
    let mut pods = told(90);
    Arc::make_mut(&mut pods.snapshot).generation += 1;
    assert_eq!(pass(&mut routing, &pods), [""; 0]);
    // The controller begins anew, the speaker does not.
    let host = std::mem::replace(routing.kernel_mut(), FakeHost::new());
    let mut routing = started(host);
    assert_eq!(pass(&mut routing, &told(90)), [""; 0]);
    assert_eq!(pass(&mut routing, &told(30)).len(), 1);
    assert_eq!(routing.kernel_mut().told.len(), 2);
}
