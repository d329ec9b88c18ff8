//! Routes with any number of next hops, rules, bridges and their events, with `ip` as witness.

use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use kube_router::kernel::rtnl::{
    Change, Event, FakeRtnl, Hop, Interfaces, LinkKind, Monitor, Outcome, PROTOCOL_KUBE_ROUTER,
    PathQuery, PathRoute, Rtnl, Rule,
};
use kube_router::net::{Family, Prefix};

use super::{in_namespace, tool, try_tool};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// Two links with addresses of both families and a neighbour's side each; their indices.
fn node_links(rtnl: &mut Rtnl) -> [u32; 2] {
    for n in 0..2 {
        tool(&format!("ip link add node{n} type veth peer name peer{n}"));
        tool(&format!("ip link set peer{n} up"));
        tool(&format!("ip link set node{n} up"));
        tool(&format!("ip address add 192.0.{n}.1/24 dev node{n}"));
        tool(&format!(
            "ip address add 2001:db8:{n}::1/64 dev node{n} nodad"
        ));
    }
    ["node0", "node1"].map(|name| rtnl.link(name).unwrap().unwrap().index)
}

/// One hop or more: by a gateway on this link, or through it.
fn via(gateway: &str, link: u32) -> Hop {
    Hop::via(ip(gateway), link)
}

/// Every form that a route of ours takes.
fn every_form([a, b]: [u32; 2]) -> Vec<PathRoute> {
    let new = |destination: &str, hops: &[Hop]| PathRoute::new(prefix(destination), hops.to_vec());
    let heavy = Hop {
        weight: 3,
        ..via("192.0.1.2", b)
    };
    let onlink = |gateway, link| Hop {
        onlink: true,
        ..via(gateway, link)
    };
    vec![
        new("10.1.0.0/24", &[via("192.0.0.2", a)]),
        new("10.1.1.0/24", &[Hop::through(a)]),
        new("10.1.2.0/24", &[via("192.0.0.2", a), heavy]),
        new("10.1.3.0/24", &[Hop::through(a), Hop::through(b)]),
        new("10.1.4.0/24", &[via("2001:db8::2", a)]),
        new("10.1.5.0/24", &[via("2001:db8::2", a), via("192.0.1.2", b)]),
        new("10.1.6.0/24", &[onlink("203.0.113.1", a)]),
        new(
            "10.1.7.1/32",
            &[onlink("203.0.113.1", a), onlink("203.0.113.2", b)],
        ),
        PathRoute {
            table: 77,
            metric: Some(20),
            source: Some(ip("192.0.1.1")),
            mtu: Some(1400),
            ..new("10.1.8.0/24", &[Hop::through(b)])
        },
        new("0.0.0.0/0", &[via("192.0.0.2", a), via("192.0.0.3", a)]),
        new("fd00:1::/64", &[via("2001:db8::2", a)]),
        new("fd00:2::/64", &[Hop::through(a)]),
        new(
            "fd00:3::/64",
            &[via("2001:db8::2", a), via("2001:db8:1::2", b)],
        ),
        // What the kernel refuses as it stands, and tunnels need.
        new("fd00:4::/64", &[Hop::through(a), Hop::through(b)]),
        new("fd00:5::/64", &[onlink("fe80::1", a), onlink("fe80::1", b)]),
        PathRoute {
            table: 1000,
            metric: Some(20),
            source: Some(ip("2001:db8:1::1")),
            mtu: Some(1400),
            ..new(
                "fd00:6::1/128",
                &[via("2001:db8::2", a), via("2001:db8::3", a)],
            )
        },
        new("::/0", &[via("2001:db8::2", a)]),
    ]
}

fn replace(routes: &[PathRoute]) -> Vec<Change> {
    routes.iter().cloned().map(Change::ReplacePath).collect()
}

fn all_changed(verdicts: Vec<Result<Outcome, kube_router::kernel::rtnl::Error>>) {
    for verdict in verdicts {
        assert_eq!(verdict.unwrap(), Outcome::Changed);
    }
}

#[test]
fn every_form_of_a_route_is_read_back_as_it_was_written() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let links = node_links(&mut rtnl);
        let mut wanted = every_form(links);
        all_changed(rtnl.change(&replace(&wanted)));
        let mut present = rtnl.paths(PathQuery::OURS).unwrap();
        wanted.sort();
        present.sort();
        assert_eq!(present, wanted);
        let shown = tool("ip -d route show 10.1.2.0/24");
        for part in [
            "unicast 10.1.2.0/24 proto",
            "nexthop via 192.0.0.2 dev node0 weight 1",
            "nexthop via 192.0.1.2 dev node1 weight 3",
        ] {
            assert!(shown.contains(part), "{part} not in {shown}");
        }
        // Once more: nothing is doubled.
        all_changed(rtnl.change(&replace(&wanted)));
        assert_eq!(rtnl.paths(PathQuery::OURS).unwrap().len(), wanted.len());

        let delete: Vec<Change> = wanted.iter().cloned().map(Change::DelPath).collect();
        all_changed(rtnl.change(&delete));
        assert_eq!(rtnl.paths(PathQuery::OURS).unwrap(), []);
        let again = rtnl.change(&delete);
        assert!(
            again
                .iter()
                .all(|verdict| *verdict == Ok(Outcome::Unchanged))
        );
    });
}

#[test]
fn what_is_printed_can_be_typed() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let links = node_links(&mut rtnl);
        let name = |link| if link == links[0] { "node0" } else { "node1" }.to_owned();
        let mut wanted = every_form(links);
        for route in &wanted {
            let family = if route.family() == Family::V6 {
                "-6"
            } else {
                "-4"
            };
            tool(&format!("ip {family} route replace {}", route.text(name)));
        }
        let mut present = rtnl.paths(PathQuery::OURS).unwrap();
        wanted.sort();
        present.sort();
        assert_eq!(present, wanted);
        for route in wanted {
            let line = Change::DelPath(route).to_string();
            tool(&line);
        }
        assert_eq!(rtnl.paths(PathQuery::OURS).unwrap(), []);

        let rule = Rule::from_pods(prefix("fd00:1::/64"), 100);
        tool(&Change::AddRule(rule).to_string());
        assert!(rtnl.rules().unwrap().contains(&rule));
        tool(&Change::DelRule(rule).to_string());
        assert!(!rtnl.rules().unwrap().contains(&rule));
    });
}

/// Whether the host has a way to an address: what every packet asks.
///
/// A look-up that is under way in the instant in which what it found is taken away finds nothing,
/// although the new one is there already: it may not use what is dead (`fib_dead` for IPv4,
/// `ip6_rt_pcpu_alloc` for IPv6). So a few in a row decide; a real gap would be seen by all.
fn has_way(socket: &UdpSocket, address: IpAddr) -> bool {
    (0..5).any(|_| socket.connect((address, 9)).is_ok())
}

/// Looks a way up again and again until told to stop: how often, and how often there was none.
fn look_up_while(address: IpAddr, stop: &Arc<AtomicBool>) -> thread::JoinHandle<(usize, usize)> {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        let socket = any_socket(address);
        let (mut count, mut gaps) = (0, 0);
        while !stop.load(Ordering::Relaxed) {
            count += 1;
            gaps += usize::from(!has_way(&socket, address));
        }
        (count, gaps)
    })
}

fn any_socket(towards: IpAddr) -> UdpSocket {
    let any = if towards.is_ipv6() { "::" } else { "0.0.0.0" };
    UdpSocket::bind((ip(any), 0)).unwrap()
}

/// One hop, several, through links, and back, for a destination with two gateways.
fn forms(destination: &str, gateways: [&str; 2], [a, b]: [u32; 2]) -> Vec<PathRoute> {
    let new = |hops: &[Hop]| PathRoute::new(prefix(destination), hops.to_vec());
    let [one, other] = [via(gateways[0], a), via(gateways[1], b)];
    vec![
        new(&[one]),
        new(&[one, other]),
        new(&[other]),
        new(&[Hop::through(a), Hop::through(b)]),
        new(&[Hop::through(a)]),
        new(&[one, other]),
        new(&[Hop::through(b)]),
        new(&[other, one]),
        new(&[Hop::through(a), Hop::through(b)]),
    ]
}

#[test]
fn a_route_that_is_replaced_is_never_away_and_leaves_nothing_beside_it() {
    const ROUNDS: usize = 300;
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let links = node_links(&mut rtnl);
        let cases = [
            ("10.1.0.0/24", "10.1.0.1", ["192.0.0.2", "192.0.1.2"]),
            ("fd00:1::/64", "fd00:1::1", ["2001:db8::2", "2001:db8:1::2"]),
        ];
        for (destination, inside, gateways) in cases {
            let (forms, inside) = (forms(destination, gateways, links), ip(inside));
            all_changed(rtnl.change(&replace(&forms[..1])));
            let stop = Arc::new(AtomicBool::new(false));
            let watcher = look_up_while(inside, &stop);
            for _ in 0..ROUNDS {
                for form in &forms {
                    all_changed(rtnl.change(&replace(std::slice::from_ref(form))));
                }
            }
            for form in &forms {
                all_changed(rtnl.change(&replace(std::slice::from_ref(form))));
                let present = rtnl.paths(PathQuery::OURS).unwrap();
                assert_eq!(present, std::slice::from_ref(form), "something is left");
            }
            stop.store(true, Ordering::Relaxed);
            let (count, gaps) = watcher.join().unwrap();
            assert!(count > 100 && gaps == 0, "{gaps} of {count} found no way");
            let last = forms.last().unwrap().clone();
            all_changed(rtnl.change(&[Change::DelPath(last)]));
            let blind = has_way(&any_socket(inside), inside);
            assert!(!blind, "a gap would not have been seen");
        }
    });
}

#[test]
fn only_our_own_route_is_deleted() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let [a, _] = node_links(&mut rtnl);
        for (destination, gateway) in [("10.1.0.0/24", "192.0.0.2"), ("fd00:1::/64", "2001:db8::2")]
        {
            tool(&format!(
                "ip route add {destination} via {gateway} proto 99"
            ));
            tool(&format!(
                "ip route add {destination} via {gateway} metric 5 proto 99"
            ));
            tool(&format!(
                "ip route add {destination} via {gateway} proto 77 table 78"
            ));
            let ours = PathRoute::new(prefix(destination), vec![via(gateway, a)]);
            let gone = rtnl.change(&[Change::DelPath(ours)]);
            assert_eq!(gone, [Ok(Outcome::Unchanged)]);
            let query = PathQuery {
                protocol: 99,
                family: Some(Family::of(ip(gateway))),
                table: None,
            };
            assert_eq!(rtnl.paths(query).unwrap().len(), 2);
            let query = PathQuery {
                table: Some(78),
                ..PathQuery::OURS
            };
            let listed = rtnl.paths(query).unwrap();
            assert!(
                listed
                    .iter()
                    .any(|it| it.destination == prefix(destination))
            );
            let empty = PathQuery {
                table: Some(12345),
                ..PathQuery::OURS
            };
            assert_eq!(rtnl.paths(empty).unwrap(), []);
        }
    });
}

#[test]
fn thousands_of_foreign_routes_are_not_read() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let [a, _] = node_links(&mut rtnl);
        let foreign = |n: u16| {
            let [high, low] = n.to_be_bytes();
            let address = Prefix::new(IpAddr::from([10, high, low, 0]), 24).unwrap();
            PathRoute {
                protocol: 12,
                ..PathRoute::new(address, vec![via("192.0.0.2", a)])
            }
        };
        let foreign: Vec<PathRoute> = (0..5000).map(foreign).collect();
        all_changed(rtnl.change(&replace(&foreign)));
        let ours = PathRoute::new(prefix("198.51.100.0/24"), vec![via("192.0.0.2", a)]);
        let before = rtnl.stats();
        all_changed(rtnl.change(&replace(std::slice::from_ref(&ours))));
        let spent = rtnl.stats().since(&before);
        assert_eq!(
            (spent.messages, spent.sends),
            (1, 1),
            "one route is one request"
        );
        let before = rtnl.stats();
        assert_eq!(rtnl.paths(PathQuery::OURS).unwrap(), [ours]);
        let spent = rtnl.stats().since(&before);
        assert!(
            spent.receives < 10,
            "{} receives for one route",
            spent.receives
        );
    });
}

#[test]
fn a_route_that_cannot_be_says_why_and_the_others_go_on() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let [a, _] = node_links(&mut rtnl);
        for (destination, away, gateway) in [
            ("10.1.0.0/24", "203.0.113.1", "192.0.0.2"),
            ("fd00:1::/64", "2001:db8:ffff::1", "2001:db8::2"),
        ] {
            let new = |hop| PathRoute::new(prefix(destination), vec![hop]);
            let left_open = new(Hop {
                link: None,
                ..via(gateway, a)
            });
            let verdicts = rtnl.change(&replace(&[
                new(via(away, a)),
                new(Hop::through(4_000_000)),
                left_open.clone(),
            ]));
            let unreachable = verdicts[0].as_ref().unwrap_err();
            assert!(unreachable.is_unreachable(), "{unreachable}");
            let text = unreachable.to_string();
            let command = format!("ip route replace {destination} via {away} dev if{a} proto 77: ");
            assert!(text.starts_with(&command), "{text}");
            let gone = verdicts[1].as_ref().unwrap_err();
            assert!(gone.is_link_gone() && !gone.is_unreachable(), "{gone}");
            assert_eq!(verdicts[2], Ok(Outcome::Changed));
            let present = rtnl.paths(PathQuery::OURS).unwrap();
            let listed = present
                .iter()
                .find(|it| it.destination == prefix(destination));
            assert_ne!(listed, Some(&left_open), "the kernel shows the link");
            assert!(left_open.is_met_by(listed.unwrap()));
        }
    });
}

/// What the fake claims about routes and rules, on either.
fn scenario(host: &mut dyn Interfaces, links: [u32; 2]) -> (Vec<PathRoute>, Vec<Rule>) {
    let changed = [Ok(Outcome::Changed)];
    let unchanged = [Ok(Outcome::Unchanged)];
    for form in every_form(links) {
        assert_eq!(host.change(&[Change::ReplacePath(form)]), changed);
    }
    let other = PathRoute::new(prefix("10.1.0.0/24"), vec![Hop::through(links[0])]);
    assert_eq!(host.change(&[Change::ReplacePath(other.clone())]), changed);
    let foreign = PathRoute {
        protocol: 99,
        ..other.clone()
    };
    assert_eq!(host.change(&[Change::DelPath(foreign)]), unchanged);
    assert_eq!(host.change(&[Change::DelPath(other.clone())]), changed);
    assert_eq!(host.change(&[Change::DelPath(other)]), unchanged);
    let nowhere = PathRoute::new(prefix("10.1.0.0/24"), vec![Hop::through(4_000_000)]);
    let verdict = host.change(&[Change::ReplacePath(nowhere)]).remove(0);
    assert!(verdict.unwrap_err().is_link_gone());

    for pods in ["10.244.1.0/24", "fd00:1::/64"] {
        let rule = Rule::from_pods(prefix(pods), 100);
        assert_eq!(host.change(&[Change::AddRule(rule)]), changed);
        assert_eq!(host.change(&[Change::AddRule(rule)]), unchanged);
        let another = Rule {
            priority: 101,
            ..rule
        };
        assert_eq!(host.change(&[Change::AddRule(another)]), changed);
        assert_eq!(host.change(&[Change::DelRule(another)]), changed);
        assert_eq!(host.change(&[Change::DelRule(another)]), unchanged);
    }
    assert_eq!(host.delete_link(links[1]), Ok(Outcome::Changed));
    let mut paths = host.paths(PathQuery::OURS).unwrap();
    paths.sort();
    let rules = host.rules().unwrap().into_iter();
    (paths, rules.filter(Rule::is_ours).collect())
}

#[test]
fn the_fake_behaves_like_the_kernel_with_routes_and_rules() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let links = node_links(&mut rtnl);
        let mut fake = FakeRtnl::new();
        for link in rtnl.links().unwrap() {
            fake.links.insert(link.index, link);
        }
        let real = scenario(&mut rtnl, links);
        assert_eq!(scenario(&mut fake, links), real);
        assert!(real.0.len() > 5 && real.1.len() == 2, "{real:?}");
    });
}

#[test]
fn rules_that_look_at_more_are_nobodys() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let pods = prefix("10.244.1.0/24");
        let ours = Rule::from_pods(pods, 100);
        for (pref, more) in (101..).zip([
            "fwmark 1",
            "iif lo",
            "tos 0x10",
            "ipproto tcp",
            "uidrange 0-1",
            "suppress_prefixlength 0",
        ]) {
            tool(&format!(
                "ip rule add from {pods} {more} lookup 77 pref {pref} protocol 77"
            ));
        }
        tool(&format!(
            "ip rule add not from {pods} lookup 77 pref 202 protocol 77"
        ));
        tool("ip rule add from 10.9.0.0/16 goto 32766 pref 200 protocol 77");
        tool("ip rule add from 10.9.0.0/16 blackhole pref 201 protocol 77");
        let count = || tool("ip rule").lines().count();
        let before = count();
        assert!(!rtnl.rules().unwrap().iter().any(Rule::is_ours));
        assert_eq!(
            rtnl.change(&[Change::AddRule(ours)]),
            [Ok(Outcome::Changed)]
        );
        assert_eq!(
            rtnl.change(&[Change::DelRule(ours)]),
            [Ok(Outcome::Changed)]
        );
        assert_eq!(count(), before, "{}", tool("ip rule"));
        let upstream = Rule {
            protocol: 3,
            ..ours
        };
        tool(&format!(
            "ip rule add from {pods} lookup 77 pref 100 protocol 3"
        ));
        assert_eq!(
            rtnl.change(&[Change::DelRule(ours)]),
            [Ok(Outcome::Unchanged)]
        );
        assert!(rtnl.rules().unwrap().contains(&upstream));
    });
}

#[test]
fn the_bridge_for_pods_is_made_once_and_has_the_mtu_it_is_given() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let made = rtnl.ensure_link("kube-bridge", &LinkKind::Bridge).unwrap();
        assert!(made.is_up);
        tool("ip link set kube-bridge down");
        let again = rtnl.ensure_link("kube-bridge", &LinkKind::Bridge).unwrap();
        assert_eq!(again, made);
        let mtu = Change::SetMtu {
            link: made.index,
            mtu: 1430,
        };
        assert_eq!(
            rtnl.change(std::slice::from_ref(&mtu)),
            [Ok(Outcome::Changed)]
        );
        assert_eq!(rtnl.link("kube-bridge").unwrap().unwrap().mtu, 1430);
        assert!(tool("ip link show kube-bridge").contains("mtu 1430"));
        let (is_taken, _, error) =
            try_tool(&mtu.on("kube-bridge").to_string().replace("1430", "1420"));
        assert!(is_taken, "{error}");
        assert_eq!(rtnl.link("kube-bridge").unwrap().unwrap().mtu, 1420);
        let too_small = Change::SetMtu {
            link: made.index,
            mtu: 1,
        };
        let error = rtnl.change(&[too_small]).remove(0).unwrap_err().to_string();
        assert!(
            error.contains("mtu 1: ") && error.contains("Invalid argument"),
            "{error}"
        );
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

/// All that is told of routes and rules up to now; links get addresses in their own time.
fn told(monitor: &mut Monitor) -> Vec<Event> {
    let mut all = Vec::new();
    loop {
        let events = monitor.next(Some(Duration::ZERO)).unwrap();
        if events.is_empty() {
            return all;
        }
        let is_else = |event: &Event| {
            matches!(
                event,
                Event::Link(_) | Event::LinkGone(_) | Event::Address(_) | Event::AddressGone(_)
            )
        };
        all.extend(events.into_iter().filter(|event| !is_else(event)));
    }
}

#[test]
fn a_foreign_deletion_of_our_route_is_heard_and_nothing_about_routes_of_others() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let links = node_links(&mut rtnl);
        let mut monitor = Monitor::open_paths(PROTOCOL_KUBE_ROUTER).unwrap();
        tool("ip route add 10.9.0.0/24 via 192.0.0.2 proto bird");
        tool("ip -6 route add fd00:9::/64 via 2001:db8::2 proto bird");
        assert_eq!(told(&mut monitor), []);
        let routes = every_form(links);
        all_changed(rtnl.change(&replace(&routes)));
        // Each in full; IPv6 tells of a route with several next hops once it is whole.
        let heard = told(&mut monitor);
        for route in &routes {
            assert!(
                heard.contains(&Event::Path(route.clone())),
                "{route}\n{heard:#?}"
            );
        }
        assert_eq!(heard.len(), routes.len());
        for (delete, destination) in [
            ("ip route delete 10.1.2.0/24", "10.1.2.0/24"),
            ("ip -6 route delete fd00:3::/64", "fd00:3::/64"),
        ] {
            tool(delete);
            let is_ours = |route: &PathRoute| route.destination == prefix(destination);
            wait_for(
                &mut monitor,
                |event| matches!(event, Event::PathGone(route) if is_ours(route)),
            );
        }
        told(&mut monitor);
        tool("ip rule add from 10.244.1.0/24 lookup 77 pref 100 protocol 77");
        let rule = Rule::from_pods(prefix("10.244.1.0/24"), 100);
        wait_for(&mut monitor, |event| *event == Event::Rule(rule));
        tool("ip rule delete pref 100");
        wait_for(&mut monitor, |event| *event == Event::RuleGone(rule));
        tool("ip link delete node0");
        wait_for(
            &mut monitor,
            |event| matches!(event, Event::LinkGone(link) if link.name == "node0"),
        );

        told(&mut monitor);
        monitor.ignore(&[rtnl.port().unwrap()]).unwrap();
        let left = PathRoute::new(prefix("10.5.0.0/24"), vec![via("192.0.1.2", links[1])]);
        all_changed(rtnl.change(&replace(std::slice::from_ref(&left))));
        assert_eq!(told(&mut monitor), [], "what we do ourselves is no news");
        tool("ip route delete 10.5.0.0/24");
        wait_for(&mut monitor, |event| {
            *event == Event::PathGone(left.clone())
        });
        tool("ip route add 10.9.1.0/24 via 192.0.1.2 proto bird");
        assert_eq!(told(&mut monitor), []);
    });
}
