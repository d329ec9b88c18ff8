//! Links, addresses and routes, with `ip` as witness.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use kube_router::kernel::rtnl::{
    Address, Change, Event, FakeRtnl, Interfaces, LinkKind, Monitor, Outcome, Route, RouteQuery,
    Rtnl,
};

use super::{in_namespace, tool, try_tool, vip_link};

const NODE_V4: &str = "192.0.2.10";
const NODE_V6: &str = "2001:db8::10";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A link with the node's own addresses.
fn node_link() {
    tool("ip link add node0 type bridge");
    tool("ip link set node0 up");
    tool(&format!("ip address add {NODE_V4}/24 dev node0"));
    tool(&format!("ip address add {NODE_V6}/64 dev node0 nodad"));
}

/// VIPs of both families with the node's address as source.
fn vips(count: u16) -> Vec<(IpAddr, IpAddr)> {
    (1..=count)
        .flat_map(|n| {
            let [high, low] = n.to_be_bytes();
            [
                (IpAddr::from([10, 96, high, low]), ip(NODE_V4)),
                (IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n]), ip(NODE_V6)),
            ]
        })
        .collect()
}

fn all_changed(verdicts: Vec<Result<Outcome, kube_router::kernel::rtnl::Error>>) {
    for verdict in verdicts {
        assert_eq!(verdict.unwrap(), Outcome::Changed);
    }
}

#[test]
fn the_host_talks_to_hundreds_of_vips_from_its_own_address() {
    in_namespace(|| {
        node_link();
        let mut rtnl = Rtnl::open().unwrap();
        let link = vip_link(&mut rtnl, "kube-dummy-if");
        let (vips, before) = (vips(300), rtnl.stats());
        all_changed(rtnl.add_vips(link.index, &vips));
        let spent = rtnl.stats().since(&before);
        assert!(spent.sends < 100, "600 VIPs took {} sends", spent.sends);

        let mut questions = tempfile::NamedTempFile::new().unwrap();
        for (vip, _) in &vips {
            writeln!(questions, "route get {vip}").unwrap();
        }
        let routes = tool(&format!("ip -o -batch {}", questions.path().display()));
        assert_eq!(routes.lines().count(), vips.len());
        for ((vip, source), route) in vips.iter().zip(routes.lines()) {
            let is_right = route.contains(&format!("local {vip} "))
                && route.contains(&format!("src {source} "));
            assert!(is_right, "{route}");
        }
        let routes = tool("ip -6 route show table all dev kube-dummy-if");
        let ours: Vec<&str> = routes
            .lines()
            .filter(|line| line.contains("fd00::"))
            .collect();
        assert_eq!(
            ours.len(),
            300,
            "the kernel's own routes are still there:\n{routes}"
        );
        assert!(
            ours.iter()
                .all(|line| line.contains(&format!("src {NODE_V6} "))),
            "{routes}"
        );
        let addresses = tool("ip -o address show dev kube-dummy-if");
        assert!(
            addresses.contains("inet 10.96.0.1/32 scope link kube-dummy-if"),
            "{addresses}"
        );

        let listed = rtnl.addresses(Some(link.index)).unwrap();
        assert!(
            vips.iter()
                .all(|(vip, _)| listed.iter().any(|a| a.prefix.addr() == *vip))
        );
        all_changed(rtnl.remove_vips(
            link.index,
            &vips.iter().map(|pair| pair.0).collect::<Vec<_>>(),
        ));
        let left = tool("ip route show table local dev kube-dummy-if")
            + &tool("ip -6 route show table all dev kube-dummy-if");
        assert!(
            !left.contains("10.96.") && !left.contains("fd00::"),
            "{left}"
        );
        assert_eq!(rtnl.delete_link(link.index).unwrap(), Outcome::Changed);
        assert_eq!(rtnl.delete_link(link.index).unwrap(), Outcome::Unchanged);
        assert_eq!(rtnl.link("kube-dummy-if").unwrap(), None);
    });
}

#[test]
fn routes_of_other_links_to_the_same_address_stay() {
    in_namespace(|| {
        node_link();
        tool("ip -6 route add fd00::1/128 dev node0 metric 7");
        tool("ip -6 address add fd00::2/128 dev node0 nodad");
        let mut rtnl = Rtnl::open().unwrap();
        let link = vip_link(&mut rtnl, "kube-dummy-if");
        let vips: Vec<(IpAddr, IpAddr)> = ["fd00::1", "fd00::2"]
            .map(|vip| (ip(vip), ip(NODE_V6)))
            .to_vec();
        all_changed(rtnl.add_vips(link.index, &vips));
        let foreign = tool("ip -6 route show table all dev node0");
        assert!(foreign.contains("fd00::1 metric 7"), "{foreign}");
        assert!(
            foreign.contains("local fd00::2 table local proto kernel metric 0"),
            "{foreign}"
        );
    });
}

#[test]
fn a_spoiled_vip_is_repaired_and_a_new_source_replaces_the_old_one() {
    in_namespace(|| {
        node_link();
        tool("ip address add 192.0.2.11/24 dev node0");
        tool("ip address add 2001:db8::11/64 dev node0 nodad");
        let mut rtnl = Rtnl::open().unwrap();
        let link = vip_link(&mut rtnl, "kube-dummy-if");
        all_changed(rtnl.add_vips(link.index, &vips(1)));
        tool("ip -6 route add local fd00::1 dev kube-dummy-if table local metric 5");
        tool("ip route del local 10.96.0.1 dev kube-dummy-if table local");
        let moved = [
            (ip("10.96.0.1"), ip("192.0.2.11")),
            (ip("fd00::1"), ip("2001:db8::11")),
        ];
        all_changed(rtnl.add_vips(link.index, &moved));
        for (vip, source) in moved {
            let route = tool(&format!("ip route get {vip}"));
            assert!(route.contains(&format!("src {source} ")), "{route}");
        }
        let routes = tool("ip -6 route show table local dev kube-dummy-if");
        assert_eq!(routes.matches("fd00::1 ").count(), 1, "{routes}");
    });
}

/// What a fake claims about the kernel, on either.
fn scenario(host: &mut dyn Interfaces, link: u32) -> Vec<Route> {
    let query = RouteQuery {
        link: Some(link),
        ..RouteQuery::default()
    };
    let vip = Address::vip(link, ip("10.96.0.1"));
    let other = Address::vip(link, ip("10.96.0.2"));
    assert_eq!(
        host.change(&[Change::AddAddress(other)]),
        [Ok(Outcome::Changed)]
    );
    let add = [Change::AddAddress(vip)];
    assert_eq!(host.change(&add), [Ok(Outcome::Changed)]);
    assert_eq!(host.change(&add), [Ok(Outcome::Unchanged)]);
    let route = Route::vip(link, ip("10.96.0.1"), ip(NODE_V4));
    assert_eq!(
        host.change(&[Change::ReplaceRoute(route)]),
        [Ok(Outcome::Changed)]
    );
    let replaced = host.routes(query).unwrap();
    assert!(replaced.contains(&route), "{replaced:?}");
    assert_eq!(
        replaced
            .iter()
            .filter(|r| r.destination == route.destination)
            .count(),
        1
    );
    // The replaced route has another source than the kernel's own and outlives the address.
    assert_eq!(
        host.change(&[Change::DelAddress(vip)]),
        [Ok(Outcome::Changed)]
    );
    assert_eq!(
        host.change(&[Change::DelAddress(vip)]),
        [Ok(Outcome::Unchanged)]
    );
    assert!(host.routes(query).unwrap().contains(&route));
    assert_eq!(
        host.change(&[Change::DelRoute(route)]),
        [Ok(Outcome::Changed)]
    );
    assert_eq!(
        host.change(&[Change::DelRoute(route)]),
        [Ok(Outcome::Unchanged)]
    );
    // With the last address of a link all its routes go.
    assert_eq!(
        host.change(&[Change::ReplaceRoute(route)]),
        [Ok(Outcome::Changed)]
    );
    assert_eq!(
        host.change(&[Change::DelAddress(other)]),
        [Ok(Outcome::Changed)]
    );
    assert!(!host.routes(query).unwrap().contains(&route));

    let verdicts = host.add_vips(
        link,
        &[(ip("fd00::1"), ip(NODE_V6)), (ip("fd00::2"), ip(NODE_V4))],
    );
    assert_eq!(verdicts[0], Ok(Outcome::Changed));
    assert!(
        verdicts[1].is_err(),
        "a VIP and a source of different families"
    );
    let gone = Change::AddAddress(Address::vip(4_000_000, ip("10.96.0.9")));
    let error = host.change(&[gone]).remove(0).unwrap_err();
    assert!(error.is_link_gone(), "{error}");
    host.routes(query).unwrap()
}

#[test]
fn the_fake_behaves_like_the_kernel() {
    in_namespace(|| {
        node_link();
        let mut rtnl = Rtnl::open().unwrap();
        let link = vip_link(&mut rtnl, "kube-dummy-if");
        let mut fake = FakeRtnl::new();
        let fake_link = fake.ensure_link("kube-dummy-if", &link.kind).unwrap();
        let vip = |routes: Vec<Route>, link| -> Vec<Route> {
            let of_vip = |route: &Route| route.destination.addr() == ip("fd00::1");
            let routes = routes.into_iter().filter(of_vip);
            routes
                .map(|route| Route {
                    link: Some(link),
                    ..route
                })
                .collect()
        };
        let real = vip(scenario(&mut rtnl, link.index), 1);
        assert_eq!(real, vip(scenario(&mut fake, fake_link.index), 1));
        assert_eq!(real.len(), 1);
    });
}

#[test]
fn errors_carry_the_command_and_the_kernels_own_words() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let link = vip_link(&mut rtnl, "kube-dummy-if");
        let unknown_source = Route::vip(link.index, ip("10.96.0.1"), ip("198.51.100.1"));
        let good = Change::AddAddress(Address::vip(link.index, ip("10.96.0.1")));
        let verdicts = rtnl.change(&[Change::ReplaceRoute(unknown_source), good]);
        let text = verdicts[0].as_ref().unwrap_err().to_string();
        let command = format!(
            "ip route replace local 10.96.0.1 dev if{} table local proto kernel scope host src 198.51.100.1: ",
            link.index
        );
        assert!(text.starts_with(&command), "{text}");
        assert!(text.contains("Invalid prefsrc address"), "{text}");
        assert_eq!(
            verdicts[1],
            Ok(Outcome::Changed),
            "the rest of the batch goes on"
        );
        let other = rtnl.ensure_link("kube-dummy-if", &LinkKind::Veth);
        assert!(other.is_err(), "a link of another kind is not taken");
    });
}

#[test]
fn texts_are_what_ip_takes() {
    in_namespace(|| {
        node_link();
        let mut rtnl = Rtnl::open().unwrap();
        let link = vip_link(&mut rtnl, "kube-dummy-if");
        for (vip, source) in vips(1) {
            let changes = [
                Change::AddAddress(Address::vip(link.index, vip)),
                Change::ReplaceRoute(Route::vip(link.index, vip, source)),
            ];
            for change in changes {
                let family = if vip.is_ipv6() { "ip -6 " } else { "ip -4 " };
                tool(
                    &change
                        .on("kube-dummy-if")
                        .to_string()
                        .replacen("ip ", family, 1),
                );
            }
            let undo = Change::DelRoute(Route::vip(link.index, vip, source));
            let undone = rtnl.change(std::slice::from_ref(&undo));
            assert_eq!(undone, [Ok(Outcome::Changed)], "{undo}");
        }
    });
}

#[test]
fn routes_and_links_are_read_as_ip_shows_them() {
    in_namespace(|| {
        node_link();
        tool("ip link add veth0 type veth peer name veth1");
        tool("ip link set veth0 master node0 mtu 1400");
        tool("ip route add default via 192.0.2.1 dev node0 metric 50");
        tool("ip route add 203.0.113.0/24 via inet6 2001:db8::1 dev node0 table 77 proto 17");
        tool("ip route add blackhole 198.51.100.0/24");
        tool(
            "ip -6 route add 2001:db8:1::/48 nexthop via 2001:db8::1 dev node0 nexthop via 2001:db8::2 dev node0",
        );
        let mut rtnl = Rtnl::open().unwrap();
        let links = rtnl.links().unwrap();
        let of = |name: &str| links.iter().find(|link| link.name == name).unwrap();
        assert!(of("lo").is_loopback && of("lo").is_up);
        assert_eq!(
            (&of("veth0").kind, of("veth0").mtu),
            (&LinkKind::Veth, 1400)
        );
        assert_eq!(of("veth0").master, Some(of("node0").index));
        assert!(!of("veth0").is_up);
        let routes = rtnl.routes(RouteQuery::default()).unwrap();
        let texts: Vec<String> = routes
            .iter()
            .map(|route| route.on("node0").to_string())
            .collect();
        for expected in [
            "0.0.0.0/0 via 192.0.2.1 dev node0 proto 3 scope global metric 50",
            "203.0.113.0/24 via inet6 2001:db8::1 dev node0 table 77 proto 17 scope global",
            "blackhole 198.51.100.0/24 proto 3 scope global",
            "2001:db8:1::/48 via 2001:db8::1 dev node0 proto 3 metric 1024",
        ] {
            assert!(
                texts.iter().any(|text| text == expected),
                "{expected} not in\n{}",
                texts.join("\n")
            );
        }
        let empty = RouteQuery {
            table: Some(12345),
            ..RouteQuery::default()
        };
        assert_eq!(rtnl.routes(empty).unwrap(), []);
        assert_eq!(rtnl.addresses(Some(4_000_000)).unwrap(), []);
    });
}

/// Events until one is as wanted; panics when the kernel falls silent before.
fn wait_for(monitor: &mut Monitor, is_wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let events = monitor.next(Some(Duration::from_secs(10))).unwrap();
        assert!(!events.is_empty(), "no more events");
        if let Some(event) = events.into_iter().find(&is_wanted) {
            return event;
        }
    }
}

#[test]
fn the_monitor_reports_changes_of_others_and_lost_events() {
    in_namespace(|| {
        let mut monitor = Monitor::open().unwrap();
        assert_eq!(monitor.next(Some(Duration::ZERO)).unwrap(), []);
        tool("ip link add br7 type bridge");
        wait_for(
            &mut monitor,
            |e| matches!(e, Event::Link(link) if link.name == "br7"),
        );
        tool("ip link set br7 up");
        tool("ip address add 192.0.2.7/24 dev br7");
        let address = "192.0.2.7/24".parse().unwrap();
        wait_for(
            &mut monitor,
            |e| matches!(e, Event::Address(a) if a.prefix == address),
        );
        let prefix = "192.0.2.0/24".parse().unwrap();
        wait_for(
            &mut monitor,
            |e| matches!(e, Event::Route(r) if r.destination == prefix),
        );
        tool("ip address del 192.0.2.7/24 dev br7");
        wait_for(
            &mut monitor,
            |e| matches!(e, Event::AddressGone(a) if a.prefix == address),
        );
        tool("ip link del br7");
        wait_for(
            &mut monitor,
            |e| matches!(e, Event::LinkGone(link) if link.name == "br7"),
        );

        monitor.set_receive_buffer(4096).unwrap();
        let mut rtnl = Rtnl::open().unwrap();
        let link = vip_link(&mut rtnl, "flood");
        for n in 0..200 {
            let vip = Change::AddAddress(Address::vip(link.index, IpAddr::from([10, 96, 1, n])));
            assert_eq!(rtnl.change(&[vip]), [Ok(Outcome::Changed)]);
        }
        wait_for(&mut monitor, |event| *event == Event::Overflow);
        assert!(try_tool("ip link del flood").0);
    });
}
