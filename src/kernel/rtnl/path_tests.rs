//! Routes with any number of next hops, rules and tunnels as bytes: what `ip` of iproute2 6.1
//! sends for a command line (taken down with strace) is read as what the line means, what we send
//! is read as it was meant, and `ip`'s words come out again.

use std::net::IpAddr;

use super::object::*;
use super::wire;
use crate::kernel::netlink::{Messages, Request};
use crate::kernel::test_mutation::Chance;
use crate::net::Family;

const GATEWAY: &str = "2c00000018000505e823026b0000000002180000fe4d000100000000080001000a010000\
    08000500c0000202";
const SEVERAL: &str = "7c00000018000505e823026b0000000002180000004d000100000000080001000a010200\
    08000f00e8030000080006001400000008000700c00002010c000800080002007805000034000900100000010300\
    000008000500c00002022000040002000000160012000a0020010db80000000000000000000000020100";
const SEVERAL_V6: &str = "6c00000018000505e823026b000000000a400000fe4d00010000000014000100fd0000\
    010000000000000000000000003c0009001c000000030000001400050020010db8000000000000000000000002\
    1c0004000200000014000500fe800000000000000000000000000001";
const DEVICE_V6: &str = "4000000018000505e823026b000000000a400000fe4d00010000000014000100fd000002\
    00000000000000000000000008000600000400000800040003000000";
const RULE: &str = "3400000020000506e823026b00000000020018004d00000100000000080002000af401000800\
    060064000000050015004d000000";
const RULE_V6: &str = "5c00000020000506e823026b000000000a104000000000010000000014000200fd00000100\
    000000000000000000000014000100fd00000000000000000000000000000008000f00e803000008000600fd7f00\
    00050015004d000000";
const IPIP_GUE: &str = "9c00000010000506e823026b00000000000000000000000000000000000000000a000300\
    74756e2d6100000070001200080001006970697064000200050009000400000008000200c000020108000300c000\
    020205000a0001000000050005000000000005000400e10000000800010000000000080014000000000006000f00\
    02000000060010000000000006001100000000000600120015b30000";
const IPIP: &str = "9c00000010000506e823026b00000000000000000000000000000000000000000a0003007475\
    6e2d6200000070001200080001006970697064000200050009000000000008000200c000020108000300c0000203\
    05000a0000000000050005000000000005000400000000000800010000000000080014000000000006000f000000\
    0000060010000000000006001100000000000600120000000000";
const IP6_GUE: &str = "c000000010000506e823026b00000000000000000000000000000000000000000a00030074\
    756e2d63000000940012000a000100697036746e6c00008400020005000900290000001400020020010db8000000\
    0000000000000000011400030020010db800000000000000000000000205000400e1000000050006000400000008\
    0007000000000008000800010000000800010000000000080014000000000006000f000200000006001000020000\
    0006001100000000000600120015b30000";
const IP6_ANY: &str = "c000000010000506e823026b00000000000000000000000000000000000000000a00030074\
    756e2d64000000940012000a000100697036746e6c00008400020005000900000000001400020020010db8000000\
    0000000000000000011400030020010db8000000000000000000000003050004004000000005000600040000000800\
    07000000000008000800020000000800010003000000080014000000000006000f00000000000600100002000000\
    06001100000000000600120000000000";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

fn read(message: &[u8]) -> Option<Event> {
    let message = Messages::new(message).next().unwrap();
    wire::event(&message, true).unwrap()
}

fn route(destination: &str, hops: Vec<Hop>) -> PathRoute {
    PathRoute::new(destination.parse().unwrap(), hops)
}

fn onlink(gateway: &str, link: u32) -> Hop {
    Hop {
        onlink: true,
        ..Hop::via(ip(gateway), link)
    }
}

/// Routes with what `ip` prints after `ip route replace`.
fn routes() -> Vec<(&'static str, PathRoute, &'static str)> {
    let left_open = Hop {
        link: None,
        ..Hop::via(ip("192.0.2.2"), 0)
    };
    let weighty = Hop {
        weight: 2,
        ..Hop::via(ip("192.0.2.2"), 3)
    };
    let several = vec![weighty, onlink("2001:db8::2", 2)];
    vec![
        (
            GATEWAY,
            route("10.1.0.0/24", vec![left_open]),
            "10.1.0.0/24 via 192.0.2.2 proto 77",
        ),
        (
            SEVERAL,
            PathRoute {
                table: 1000,
                metric: Some(20),
                source: Some(ip("192.0.2.1")),
                mtu: Some(1400),
                ..route("10.1.2.0/24", several)
            },
            "10.1.2.0/24 table 1000 proto 77 metric 20 mtu 1400 src 192.0.2.1 \
             nexthop via 192.0.2.2 dev if3 weight 2 \
             nexthop via inet6 2001:db8::2 dev if2 weight 1 onlink",
        ),
        (
            SEVERAL_V6,
            route(
                "fd00:1::/64",
                vec![Hop::via(ip("2001:db8::2"), 3), onlink("fe80::1", 2)],
            ),
            "fd00:1::/64 proto 77 nexthop via 2001:db8::2 dev if3 weight 1 \
             nexthop via fe80::1 dev if2 weight 1 onlink",
        ),
        (
            DEVICE_V6,
            route("fd00:2::/64", vec![Hop::through(3)]),
            "fd00:2::/64 dev if3 proto 77",
        ),
    ]
}

fn rules() -> Vec<(&'static str, Rule, &'static str)> {
    let of_v6 = Rule {
        destination: Some("fd00::/16".parse().unwrap()),
        table: 1000,
        ..Rule::from_pods("fd00:1::/64".parse().unwrap(), 32765)
    };
    vec![
        (
            RULE,
            Rule::from_pods("10.244.1.0/24".parse().unwrap(), 100),
            "ip rule add from 10.244.1.0/24 lookup 77 pref 100 protocol 77",
        ),
        (
            RULE_V6,
            of_v6,
            "ip -6 rule add from fd00:1::/64 to fd00::/16 lookup 1000 pref 32765 protocol 77",
        ),
    ]
}

fn tunnels() -> Vec<(&'static str, Tunnel, &'static str)> {
    let v4 = |mode, remote| Tunnel::new(mode, ip("192.0.2.1"), ip(remote));
    let v6 = |mode, remote| Tunnel::new(mode, ip("2001:db8::1"), ip(remote));
    vec![
        (
            IPIP_GUE,
            Tunnel {
                ttl: 225,
                pmtudisc: true,
                encap: Some(Encap::gue(Family::V4, 5555)),
                ..v4(TunnelMode::Ipip, "192.0.2.2")
            },
            "ipip mode ipip local 192.0.2.1 remote 192.0.2.2 ttl 225 \
             encap gue encap-sport auto encap-dport 5555 noencap-csum noencap-udp6-csum",
        ),
        (
            IPIP,
            v4(TunnelMode::IpipAny, "192.0.2.3"),
            "ipip mode any local 192.0.2.1 remote 192.0.2.3 ttl inherit nopmtudisc",
        ),
        (
            IP6_GUE,
            Tunnel {
                ttl: 225,
                encap: Some(Encap::gue(Family::V6, 5555)),
                ..v6(TunnelMode::Ip6Ip6, "2001:db8::2")
            },
            "ip6tnl mode ip6ip6 local 2001:db8::1 remote 2001:db8::2 ttl 225 encaplimit none \
             encap gue encap-sport auto encap-dport 5555 noencap-csum encap-udp6-csum",
        ),
        (
            IP6_ANY,
            Tunnel {
                ttl: 64,
                tos: 1,
                link: Some(3),
                encap_limit: Some(4),
                ..v6(TunnelMode::Ip6Any, "2001:db8::3")
            },
            "ip6tnl mode any local 2001:db8::1 remote 2001:db8::3 dev if3 ttl 64 \
             tclass inherit encaplimit 4",
        ),
    ]
}

#[test]
fn what_ip_sends_is_read_as_what_was_typed() {
    for (sent, route, text) in routes() {
        assert_eq!(read(&bytes(sent)), Some(Event::Path(route.clone())));
        let change = Change::ReplacePath(route);
        assert_eq!(change.to_string(), format!("ip route replace {text}"));
    }
    for (sent, rule, text) in rules() {
        assert_eq!(read(&bytes(sent)), Some(Event::Rule(rule)));
        assert_eq!(Change::AddRule(rule).to_string(), text);
    }
    for (sent, tunnel, text) in tunnels() {
        let Some(Event::Link(link)) = read(&bytes(sent)) else {
            panic!("no link: {tunnel}");
        };
        assert_eq!(link.kind, LinkKind::Tunnel(tunnel));
        assert_eq!(link.kind.to_string(), text);
    }
}

fn sent(change: &Change) -> Vec<u8> {
    let request: Request = wire::change(change);
    request.to_bytes(1).unwrap()
}

#[test]
fn what_we_send_is_read_as_it_was_meant() {
    let mut all: Vec<PathRoute> = routes().into_iter().map(|(_, route, _)| route).collect();
    // The kernel takes these with a gateway each; ours stands for none.
    all.push(route("fd00:3::/64", vec![Hop::through(3), Hop::through(4)]));
    for route in all {
        let replace = sent(&Change::ReplacePath(route.clone()));
        assert_eq!(read(&replace), Some(Event::Path(route.clone())));
        let Some(Event::PathGone(gone)) = read(&sent(&Change::DelPath(route.clone()))) else {
            panic!("no deletion: {route}");
        };
        assert_eq!((gone.key(), gone.protocol), (route.key(), route.protocol));
        assert_eq!(gone.next_hops.len(), 1, "whatever the next hops are now");
    }
    for (_, rule, _) in rules() {
        assert_eq!(read(&sent(&Change::AddRule(rule))), Some(Event::Rule(rule)));
        let gone = read(&sent(&Change::DelRule(rule)));
        assert_eq!(gone, Some(Event::RuleGone(rule)));
    }
    for (_, tunnel, _) in tunnels() {
        let Some(Event::Link(link)) = read(&sent(&Change::SetTunnel { link: 9, tunnel })) else {
            panic!("no link: {tunnel}");
        };
        assert_eq!((link.index, link.kind), (9, LinkKind::Tunnel(tunnel)));
    }
}

#[test]
fn a_route_asks_for_the_same_whatever_the_order_of_its_next_hops() {
    let (one, other) = (Hop::via(ip("192.0.2.2"), 3), Hop::via(ip("192.0.2.3"), 3));
    let route = |hops: &[Hop]| route("10.1.0.9/24", hops.to_vec());
    assert_eq!(route(&[one, other, one]), route(&[other, one]));
    let heavy = Hop { weight: 9, ..one };
    assert_eq!(route(&[heavy]), route(&[one]), "alone it has no share");

    let left_open = Hop { link: None, ..one };
    let table = [
        (vec![left_open], vec![one], true),
        (vec![left_open, other], vec![one, other], true),
        (vec![left_open], vec![other], false),
        (vec![left_open], vec![one, other], false),
        (vec![left_open, other], vec![one], false),
        (
            vec![one],
            vec![Hop {
                link: Some(4),
                ..one
            }],
            false,
        ),
    ];
    for (wanted, present, is_met) in table {
        let (wanted, present) = (route(&wanted), route(&present));
        assert_eq!(wanted.is_met_by(&present), is_met, "{wanted} by {present}");
        let other_source = PathRoute {
            source: Some(ip("192.0.2.9")),
            ..present
        };
        assert!(!wanted.is_met_by(&other_source));
    }
}

#[test]
fn two_hundred_thousand_damaged_routes_rules_and_tunnels_do_no_harm() {
    let routes = routes().into_iter().map(|(sent, ..)| bytes(sent));
    let rules = rules().into_iter().map(|(sent, ..)| bytes(sent));
    let tunnels = tunnels().into_iter().map(|(sent, ..)| bytes(sent));
    let messages: Vec<Vec<u8>> = routes.chain(rules).chain(tunnels).collect();
    let (mut chance, mut readable) = (Chance(0x2545_f491_4f6c_dd1d), 0_u32);
    for round in 0..200_000 {
        let message = &messages[round % messages.len()];
        let message = Messages::new(message).next().unwrap();
        let mut payload = message.payload.to_vec();
        chance.damage(&mut payload);
        let damaged = crate::kernel::netlink::Message {
            payload: &payload,
            ..message
        };
        if let Ok(Some(event)) = wire::event(&damaged, true) {
            readable += 1;
            // Whatever was read can be printed.
            if let Event::Path(route) = event {
                assert!(!route.to_string().is_empty() && !route.next_hops.is_empty());
            }
        }
    }
    assert!(
        (20_000..200_000).contains(&readable),
        "{readable} could be read"
    );
}
