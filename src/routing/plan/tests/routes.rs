//! What becomes of learned prefixes, as tables.

use super::*;
use crate::routing::print;

/// The routes and tunnels of a plan, as they are printed, without what every route of ours says.
fn roads(overlay: Option<Overlay>, paths: &str) -> Vec<String> {
    text(&planned(&input(overlay, paths)))
}

fn text(plan: &Plan) -> Vec<String> {
    let printed = print(plan);
    let of_roads = |line: &&str| line.contains(" route replace ") || line.contains("link add tun-");
    let lines = printed.lines().filter(of_roads);
    lines
        .map(|line| {
            let line = line.replace(" proto 77 metric 179", "");
            line.split_once(';')
                .map_or(line.clone(), |(first, _)| first.to_owned())
        })
        .collect()
}

fn tun(address: &str) -> String {
    TunnelName::of(ip(address)).to_string()
}

#[test]
fn a_next_hop_on_an_own_network_is_a_gateway() {
    for overlay in [None, SUBNET] {
        assert_eq!(
            roads(
                overlay,
                "10.244.2.0/24 via 10.1.1.2
                 fd02:2::/64 via fd01:1::2"
            ),
            [
                "ip route replace 10.244.2.0/24 via 10.1.1.2 dev eth0",
                "ip -6 route replace fd02:2::/64 via fd01:1::2 dev eth0",
            ],
            "{overlay:?}"
        );
    }
}

#[test]
fn a_node_of_another_subnet_is_reached_by_a_tunnel_of_its_family() {
    let paths = "10.244.3.0/24 via 10.1.3.3
                 fd02:3::/64 via fd01:3::3";
    let (four, six) = (tun("10.1.3.3"), tun("fd01:3::3"));
    let mut expected = vec![
        format!(
            "ip link add {four} type ipip mode ipip local 10.1.1.1 remote 10.1.3.3 ttl inherit nopmtudisc"
        ),
        format!(
            "ip -6 link add {six} type ip6tnl mode ip6ip6 local fd01:1::1 remote fd01:3::3 ttl inherit encaplimit none"
        ),
        format!("ip route replace 10.1.3.3/32 dev {four} table 77"),
        format!("ip -6 route replace fd01:3::3/128 dev {six} table 77"),
        format!("ip route replace 10.244.3.0/24 dev {four} src 10.1.1.1"),
        format!("ip -6 route replace fd02:3::/64 dev {six} src fd01:1::1"),
    ];
    if four > six {
        expected.swap(0, 1);
    }
    assert_eq!(roads(SUBNET, paths), expected);
    // Without the overlay the fabric has to know the way: that is no fault.
    let plan = planned(&input(None, paths));
    assert_eq!(text(&plan), Vec::<String>::new());
    assert_eq!(plan.notes(), []);
    let fou = roads(FOU, "10.244.3.0/24 via 10.1.3.3");
    assert!(
        fou[0].contains(" ttl 225 encap gue encap-sport auto encap-dport 5555"),
        "{fou:?}"
    );
}

#[test]
fn the_full_overlay_goes_to_nodes_alone() {
    let four = tun("10.1.1.2");
    assert_eq!(
        roads(
            FULL,
            "10.244.2.0/24 via 10.1.1.2
             192.0.2.0/24 via 10.1.1.254
             198.51.100.0/24 via 10.9.9.9"
        ),
        [
            format!(
                "ip link add {four} type ipip mode ipip local 10.1.1.1 remote 10.1.1.2 ttl inherit nopmtudisc"
            ),
            format!("ip route replace 10.1.1.2/32 dev {four} table 77"),
            format!("ip route replace 10.244.2.0/24 dev {four} src 10.1.1.1"),
            "ip route replace 192.0.2.0/24 via 10.1.1.254 dev eth0".to_owned(),
        ]
    );
}

#[test]
fn several_next_hops_make_one_route_and_those_of_no_use_are_left_out() {
    let four = tun("10.1.3.3");
    assert_eq!(
        roads(
            SUBNET,
            "192.0.2.0/24 via 10.1.1.2 10.1.1.3
             198.51.100.0/24 via 10.1.1.2 10.1.3.3 10.9.9.9 10.1.1.1"
        ),
        [
            format!("ip link add {four} type ipip mode ipip local 10.1.1.1 remote 10.1.3.3 ttl inherit nopmtudisc"),
            format!("ip route replace 10.1.3.3/32 dev {four} table 77"),
            "ip route replace 192.0.2.0/24 nexthop via 10.1.1.2 dev eth0 nexthop via 10.1.1.3 dev eth0"
                .to_owned(),
            format!(
                "ip route replace 198.51.100.0/24 src 10.1.1.1 nexthop via 10.1.1.2 dev eth0 nexthop dev {four}"
            ),
        ]
    );
}

#[test]
fn next_hops_of_the_other_family_work_where_the_kernel_can_send_to_them() {
    assert_eq!(
        roads(None, "192.0.2.0/24 via fd01:1::2"),
        ["ip route replace 192.0.2.0/24 via inet6 fd01:1::2 dev eth0"]
    );
    let plan = planned(&input(SUBNET, "2001:db8::/32 via 10.1.1.2"));
    assert_eq!(text(&plan), Vec::<String>::new());
    assert_eq!(
        plan.notes()[0].to_string(),
        "next hop 10.1.1.2: is of family IPv4, but the prefix is IPv6"
    );
    let plan = planned(&input(SUBNET, "192.0.2.0/24 via fd01:3::3"));
    assert_eq!(text(&plan), Vec::<String>::new());
    assert_eq!(
        plan.notes()[0].to_string(),
        "next hop fd01:3::3: is of another family than the prefix: no tunnel can be used"
    );
}

#[test]
fn a_link_local_next_hop_is_on_the_link_towards_its_peer() {
    let hop = |peer: &str| Hop {
        next_hop: NextHop::V6 {
            global: "fe80::2".parse().unwrap(),
            link_local: None,
        },
        peer: ip(peer),
    };
    let plan_of = |peer| {
        let mut input = input(SUBNET, "");
        input.learned.best = [(prefix("2001:db8::/32"), vec![hop(peer)])]
            .into_iter()
            .collect();
        planned(&input)
    };
    assert_eq!(
        text(&plan_of("fd01:1::2")),
        ["ip -6 route replace 2001:db8::/32 via fe80::2 dev eth0"]
    );
    let unknown = plan_of("fd09::2");
    assert_eq!(text(&unknown), Vec::<String>::new());
    assert_eq!(
        unknown.notes()[0].to_string(),
        "next hop fe80::2: is link-local, and its peer is on no link of this node"
    );
}

#[test]
fn what_would_take_own_addresses_away_is_never_a_route() {
    for (paths, expected) in [
        (
            "10.244.1.0/24 via 10.1.1.2",
            "lies within the pods' range of this node",
        ),
        (
            "10.244.1.7/32 via 10.1.1.2",
            "lies within the pods' range of this node",
        ),
        (
            "10.96.0.10/32 via 10.1.1.2",
            "lies within the cluster's range of Services",
        ),
        (
            "10.1.1.0/24 via 10.1.1.2",
            "is a network of one of this node's links",
        ),
        ("10.1.1.1/32 via 10.1.1.2", "is an address of this node"),
        ("fd01:1::1/128 via fd01:1::2", "is an address of this node"),
        (
            "127.3.0.0/16 via 10.1.1.2",
            "is no prefix that packets could be routed to",
        ),
        (
            "ff02::/16 via fd01:1::2",
            "is no prefix that packets could be routed to",
        ),
    ] {
        let plan = planned(&input(SUBNET, paths));
        assert_eq!(text(&plan), Vec::<String>::new(), "{paths}");
        let notes: Vec<String> = plan.notes().iter().map(ToString::to_string).collect();
        let (prefix, _) = paths.split_once(" via ").unwrap();
        assert_eq!(notes, [format!("route {prefix}: {expected}")]);
    }
    for fine in ["0.0.0.0/0", "10.244.0.0/16", "10.1.1.9/32", "0.0.0.0/1"] {
        let plan = planned(&input(SUBNET, &format!("{fine} via 10.1.1.2")));
        assert_eq!(text(&plan).len(), 1, "{fine}");
    }
}

#[test]
fn a_tunnel_lives_as_long_as_a_route_goes_through_it() {
    let mut plan = planned(&input(
        SUBNET,
        "10.244.3.0/24 via 10.1.3.3
         192.0.2.0/24 via 10.1.3.3 10.1.1.2",
    ));
    let tunnels = |plan: &Plan| plan.roads.tunnels.len();
    assert_eq!(tunnels(&plan), 1);
    plan.update(&input(SUBNET, "192.0.2.0/24 via 10.1.3.3 10.1.1.2"));
    assert_eq!(tunnels(&plan), 1);
    assert_eq!(plan.learned_count(), 1);
    plan.update(&input(SUBNET, "192.0.2.0/24 via 10.1.1.2"));
    assert_eq!((tunnels(&plan), plan.roads.routes.len()), (0, 1));
}
