use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::bgp::rib;
use crate::bgp::rib::{
    AttributeChanges, Exporter, Filter, NextHopChange, PeerFacts, Prepend, Rib, RouteKind,
    Selection, Speaker, Target, Withheld,
};
use crate::bgp::wire::{AsPath, Attributes, Community, LargeCommunity, NextHop, PeerKind};
use crate::net::{ByFamily, Family, Prefix};

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn learned(attributes: Attributes) -> rib::Route {
    rib::Route::learned(ip("10.0.0.9").into(), attributes)
}

fn peer(address: &str, kind: PeerKind) -> Peer {
    Peer {
        address: ip(address),
        asn: if kind == PeerKind::External {
            65001
        } else {
            64512
        },
        kind,
    }
}

fn set(texts: &[&str]) -> Arc<PrefixSet> {
    let ranges = texts.iter().map(|text| PrefixRange::exact(prefix(text)));
    Arc::new(ranges.collect())
}

fn neighbors(texts: &[&str]) -> Arc<NeighborSet> {
    Arc::new(texts.iter().map(|text| ip(text)).collect())
}

/// The verdict and the statement that decided.
fn ask(policy: &Policy, text: &str, route: &rib::Route, peer: &Peer) -> (bool, Option<String>) {
    let source = match route.kind {
        RouteKind::Learned => Source::Peer(peer.kind),
        _ => Source::Local,
    };
    let prefix = prefix(text);
    let route = Route {
        prefix: &prefix,
        route,
        source,
    };
    let verdict = evaluate(policy, &route, peer);
    let by = verdict
        .decided_by
        .map(|statement| statement.name.to_string());
    (verdict.is_accepted, by)
}

// === the original's policies ===

const POD: &str = "10.244.1.0/24";
const POD6: &str = "2001:db8:42:1::/64";
const VIP: &str = "10.96.0.10/32";
const VIP6: &str = "2001:db8:96::10/128";

struct Original {
    ibgp: bool,
    external: bool,
    advertise_pod_cidr: bool,
    vips: bool,
}

/// With every address of both families, so that no family is forgotten in any set.
fn mesh() -> Arc<NeighborSet> {
    neighbors(&["10.0.0.2", "10.0.0.3", "2001:db8::2"])
}

fn outside() -> Arc<NeighborSet> {
    neighbors(&["192.0.2.1", "2001:db8:ffff::1"])
}

impl Original {
    fn all() -> Self {
        Self {
            ibgp: true,
            external: true,
            advertise_pod_cidr: true,
            vips: true,
        }
    }

    fn vip_set(&self) -> Arc<PrefixSet> {
        if self.vips {
            set(&[VIP, VIP6])
        } else {
            Arc::default()
        }
    }

    fn export(&self) -> Policy {
        let none = Arc::new(NeighborSet::default());
        let mesh = if self.ibgp { mesh() } else { Arc::clone(&none) };
        let outside = if self.external { outside() } else { none };
        let changes = AttributeChanges {
            prepend: Some(Prepend {
                asn: 64512,
                times: 3,
            }),
            next_hop: Some(NextHopChange::Own),
            add_communities: vec![Community::new(64512, 100), Community::NO_EXPORT],
            ..AttributeChanges::default()
        };
        let pods = || Condition::Kind(vec![RouteKind::PodCidr]);
        let mut statements = vec![
            Statement::new(
                "pods to the mesh",
                [pods(), Condition::Neighbor(mesh)],
                Action::Accept,
            ),
            Statement::new(
                "VIPs to the outside",
                [
                    Condition::Prefix(self.vip_set()),
                    Condition::Neighbor(Arc::clone(&outside)),
                ],
                Action::Accept,
            )
            .with_changes(changes.clone()),
        ];
        if self.advertise_pod_cidr {
            let conditions = [pods(), Condition::Neighbor(outside)];
            let statement = Statement::new("pods to the outside", conditions, Action::Accept);
            statements.push(statement.with_changes(changes));
        }
        Policy::new("kube_router_export", statements, Action::Reject)
    }

    fn import(&self) -> Policy {
        let custom =
            ["10.10.0.0/16", "2001:db8:bad::/48"].map(|text| PrefixRange::or_longer(prefix(text)));
        let reject = |name, set: Arc<PrefixSet>| {
            Statement::new(name, [Condition::Prefix(set)], Action::Reject)
        };
        let statements = [
            reject("VIPs", self.vip_set()),
            reject("default route", Arc::new(PrefixSet::default_routes())),
            reject("martians", Arc::new(PrefixSet::martians())),
            reject("custom", Arc::new(custom.into_iter().collect())),
        ];
        Policy::new("kube_router_import", statements, Action::Accept)
    }
}

#[test]
fn the_originals_export_tells_pods_to_the_mesh_and_what_is_wanted_to_the_outside() {
    let inside = ["10.0.0.2", "2001:db8::2"].map(|a| peer(a, PeerKind::Internal));
    let outside = ["192.0.2.1", "2001:db8:ffff::1"].map(|a| peer(a, PeerKind::External));
    let stranger = [
        peer("10.9.9.9", PeerKind::Internal),
        peer("192.0.2.9", PeerKind::External),
    ];
    let own = |kind| rib::Route::originated(kind, ip("10.0.0.1").into());
    let routes = [
        (POD, own(RouteKind::PodCidr)),
        (POD6, own(RouteKind::PodCidr)),
        (VIP, own(RouteKind::ServiceVip)),
        (VIP6, own(RouteKind::ServiceVip)),
        ("10.244.2.0/24", learned(Attributes::default())),
        ("0.0.0.0/0", learned(Attributes::default())),
    ];
    let all = Original::all;
    let table = [
        // settings; pods to mesh, VIPs to mesh, pods outside, VIPs outside
        (all(), [true, false, true, true]),
        (
            Original {
                advertise_pod_cidr: false,
                ..all()
            },
            [true, false, false, true],
        ),
        (
            Original {
                ibgp: false,
                ..all()
            },
            [false, false, true, true],
        ),
        (
            Original {
                external: false,
                ..all()
            },
            [true, false, false, false],
        ),
        (
            Original {
                vips: false,
                ..all()
            },
            [true, false, true, false],
        ),
    ];
    for (at, (settings, expected)) in table.into_iter().enumerate() {
        let policy = settings.export();
        for (text, route) in &routes {
            let [pods_in, vips_in, pods_out, vips_out] = expected;
            let (to_mesh, to_outside) = match route.kind {
                RouteKind::PodCidr => (pods_in, pods_out),
                RouteKind::ServiceVip => (vips_in, vips_out),
                _ => (false, false),
            };
            for peer in &inside {
                assert_eq!(
                    ask(&policy, text, route, peer).0,
                    to_mesh,
                    "row {at}: {text}"
                );
            }
            for peer in &outside {
                assert_eq!(
                    ask(&policy, text, route, peer).0,
                    to_outside,
                    "row {at}: {text}"
                );
            }
            for peer in &stranger {
                assert_eq!(
                    ask(&policy, text, route, peer),
                    (false, None),
                    "row {at}: {text}"
                );
            }
        }
    }
}

#[test]
fn the_originals_import_rejects_and_says_by_which_statement() {
    let table = [
        ("10.244.2.0/24", None),
        ("172.16.0.0/12", None),
        ("2001:4860::/32", None),
        ("10.96.0.11/32", None),
        (VIP, Some("VIPs")),
        (VIP6, Some("VIPs")),
        ("0.0.0.0/0", Some("default route")),
        ("::/0", Some("default route")),
        ("0.0.0.0/1", None),
        ("127.0.0.0/8", Some("martians")),
        ("169.254.1.0/24", Some("martians")),
        ("224.0.0.0/4", Some("martians")),
        ("fe80::/64", Some("martians")),
        ("ff05::/16", Some("martians")),
        ("2001:db8:42::/48", None),
        ("10.10.0.0/16", Some("custom")),
        ("10.10.3.0/24", Some("custom")),
        ("10.10.3.4/32", Some("custom")),
        ("10.0.0.0/8", None),
        ("10.11.0.0/16", None),
    ];
    let policy = Original::all().import();
    for kind in [PeerKind::Internal, PeerKind::External] {
        for (text, by) in table {
            let answer = ask(
                &policy,
                text,
                &learned(Attributes::default()),
                &peer("10.0.0.2", kind),
            );
            assert_eq!(answer, (by.is_none(), by.map(str::to_owned)), "{text}");
        }
    }
}

/// A node with a peer of the mesh, under the original's import policy.
fn node(import: &Policy) -> Rib {
    let speaker = Speaker {
        asn: 64512,
        confederation: None,
        router_id: Ipv4Addr::new(10, 0, 0, 1),
        cluster_id: None,
        addresses: BTreeSet::from([ip("10.0.0.1")]),
    };
    let mut rib = Rib::new(speaker, Selection::default(), 1);
    let mate = PeerFacts {
        address: ip("10.0.0.2"),
        asn: 64512,
        kind: PeerKind::Internal,
        router_id: Ipv4Addr::new(10, 0, 0, 2),
        is_client: false,
    };
    let id = rib.add_peer(mate).unwrap();
    let own = |kind, next_hop: &str| rib::Route::originated(kind, ip(next_hop).into());
    rib.originate(prefix(POD), own(RouteKind::PodCidr, "10.0.0.1"));
    rib.originate(prefix(VIP6), own(RouteKind::ServiceVip, "2001:db8::1"));
    let route = rib.intern(learned(Attributes::default()));
    let told = ["0.0.0.0/0", "10.244.2.0/24"].map(|text| prefix(text).into());
    rib.announce(id, &route, told, |prefix, route| {
        let source = Source::from(Some(&mate));
        let route = Route {
            prefix,
            route,
            source,
        };
        evaluate(import, &route, &Peer::from(&mate)).into()
    });
    assert_eq!(rib.counters(id, Family::V4).accepted, 1);
    rib
}

fn text(route: &rib::Route) -> String {
    let attributes = &route.attributes;
    let communities = attributes.communities.iter().map(ToString::to_string);
    let communities: Vec<String> = communities.collect();
    let (path, next_hop) = (&attributes.as_path, route.next_hop);
    format!("{path} via {next_hop} {}", communities.join(" "))
}

/// Policy and table together: what a router outside is told of a node.
#[test]
fn the_originals_policy_through_the_table_gives_the_expected_routes() {
    let original = Original::all();
    let (mut rib, export) = (node(&original.import()), original.export());
    let mut exporter = Exporter::new(Target {
        kind: PeerKind::External,
        is_client: false,
        own_next_hop: ByFamily {
            v4: Some(ip("192.0.2.7").into()),
            v6: Some(ip("2001:db8:ffff::7").into()),
        },
        next_hop_self: false,
        ipv6_next_hop: false,
        long_lived: false,
    });
    let router = peer("192.0.2.1", PeerKind::External);
    let mut told = Vec::new();
    rib.drain_changes(|view, routes| {
        let Some(best) = view.best() else { return };
        let route = exporter.export(view.id.family, best, routes, |route, source| {
            let route = Route {
                prefix: &view.prefix,
                route,
                source: source.into(),
            };
            evaluate(&export, &route, &router).into()
        });
        told.push((view.prefix.to_string(), route.map(|route| text(&route))));
    });
    let path = "64512 64512 64512 64512";
    let communities = "64512:100 no-export";
    let via = |next_hop| Ok(format!("{path} via {next_hop} {communities}"));
    let expected = [
        (POD.to_owned(), via("192.0.2.7")),
        ("10.244.2.0/24".to_owned(), Err(Withheld::Policy)),
        (VIP6.to_owned(), via("2001:db8:ffff::7")),
    ];
    assert_eq!(told, expected);
}

// === conditions, statements, sets ===

#[test]
fn every_condition_holds_where_it_should_and_nowhere_else() {
    let attributes = Attributes {
        as_path: AsPath::sequence(&[65001, 65002, 65003]),
        communities: vec![Community::new(1, 1), Community::new(1, 2)],
        large_communities: vec![LargeCommunity {
            global: 1,
            local1: 2,
            local2: 3,
        }],
        ..Attributes::default()
    };
    let large = |local2| LargeCommunity {
        global: 1,
        local1: 2,
        local2,
    };
    let table = [
        (Condition::Prefix(set(&["10.1.0.0/16"])), true),
        (
            Condition::Prefix(set(&["10.1.0.0/17", "10.0.0.0/8"])),
            false,
        ),
        (Condition::Prefix(Arc::default()), false),
        (Condition::Neighbor(neighbors(&["10.0.0.2"])), true),
        (Condition::Neighbor(neighbors(&["10.0.0.3"])), false),
        (Condition::Neighbor(Arc::default()), false),
        (
            Condition::Neighbor(Arc::new([prefix("10.0.0.0/24")].into_iter().collect())),
            true,
        ),
        (Condition::NeighborKind(PeerKind::External), true),
        (Condition::NeighborKind(PeerKind::Internal), false),
        (
            Condition::Kind(vec![RouteKind::PodCidr, RouteKind::Learned]),
            true,
        ),
        (
            Condition::Kind(vec![RouteKind::PodCidr, RouteKind::ServiceVip]),
            false,
        ),
        (Condition::Source(Source::Peer(PeerKind::External)), true),
        (Condition::Source(Source::Local), false),
        (
            Condition::Community(vec![Community::new(9, 9), Community::new(1, 2)]),
            true,
        ),
        (Condition::Community(vec![Community::new(9, 9)]), false),
        (Condition::LargeCommunity(vec![large(4), large(3)]), true),
        (Condition::LargeCommunity(vec![large(4)]), false),
        (Condition::AsInPath(65002), true),
        (Condition::AsInPath(65004), false),
        (Condition::OriginAs(65003), true),
        (Condition::OriginAs(65002), false),
        (Condition::NextHop(set(&["10.0.0.9/32"])), true),
        (Condition::NextHop(set(&["10.0.0.0/24"])), false),
    ];
    for (condition, expected) in table {
        for negated in [false, true] {
            let condition = if negated {
                Condition::Not(Box::new(condition.clone()))
            } else {
                condition.clone()
            };
            let text = format!("{condition:?}");
            let statement = Statement::new("it", [condition], Action::Accept);
            let policy = Policy::new("test", [statement], Action::Reject);
            let route = learned(attributes.clone());
            let peer = peer("10.0.0.2", PeerKind::External);
            let answer = ask(&policy, "10.1.0.0/16", &route, &peer);
            assert_eq!(answer.0, expected != negated, "{text}");
        }
    }
}

#[test]
fn the_first_statement_that_decides_counts_and_those_before_add_their_changes() {
    let changes = |med, community| AttributeChanges {
        multi_exit_disc: med,
        add_communities: vec![Community::new(1, community)],
        ..AttributeChanges::default()
    };
    let none: [Condition; 0] = [];
    let never = [Condition::Prefix(Arc::default())];
    let policy = Policy::new(
        "test",
        [
            Statement::new("a", none.clone(), Action::Next).with_changes(changes(Some(1), 1)),
            Statement::new("b", never, Action::Reject).with_changes(changes(Some(2), 2)),
            Statement::new("c", none.clone(), Action::Next).with_changes(changes(None, 3)),
            Statement::new("d", none.clone(), Action::Accept).with_changes(changes(Some(4), 1)),
            Statement::new("e", none, Action::Reject),
        ],
        Action::Reject,
    );
    let (prefix, route) = (prefix("10.0.0.0/8"), learned(Attributes::default()));
    let route = Route {
        prefix: &prefix,
        route: &route,
        source: Source::Local,
    };
    let peer = peer("10.0.0.2", PeerKind::External);
    let verdict = evaluate(&policy, &route, &peer);
    assert_eq!(verdict.decided_by, Some(&policy.statements[3]));
    let expected = AttributeChanges {
        multi_exit_disc: Some(4),
        add_communities: vec![Community::new(1, 1), Community::new(1, 3)],
        ..AttributeChanges::default()
    };
    assert_eq!(Filter::from(verdict), Filter::Change(Cow::Owned(expected)));
    let [all, nothing] = [Policy::accept_all(), Policy::reject_all()];
    let accepted = evaluate(&all, &route, &peer);
    assert_eq!((accepted.is_accepted, accepted.decided_by), (true, None));
    assert_eq!(Filter::from(accepted), Filter::Accept);
    assert_eq!(
        Filter::from(evaluate(&nothing, &route, &peer)),
        Filter::Reject
    );
    let undecided = Policy::new("test", [], Action::Next);
    assert!(!evaluate(&undecided, &route, &peer).is_accepted);
}

#[test]
fn prefix_ranges_say_what_they_hold_and_refuse_what_none_can_be_in() {
    let net = prefix("10.0.0.0/8");
    assert_eq!(
        PrefixRange::between(net, 16, 24).unwrap().to_string(),
        "10.0.0.0/8 16-24"
    );
    assert_eq!(PrefixRange::exact(net).to_string(), "10.0.0.0/8");
    assert_eq!(
        PrefixRange::or_longer(prefix("::/0")).to_string(),
        "::/0 0-128"
    );
    for (shortest, longest) in [(7, 9), (24, 16), (8, 33)] {
        let error = PrefixRange::between(net, shortest, longest).unwrap_err();
        let text = format!("10.0.0.0/8 holds no prefixes of {shortest} to {longest} bits");
        assert_eq!(error.to_string(), text);
    }
    let martians = PrefixSet::martians();
    assert_eq!(martians.iter().count(), 14, "all of them can be read");
    assert_eq!(PrefixSet::default_routes().iter().count(), 2);
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    let v4 = (any::<u8>(), 0_u8..=10).prop_map(|(bits, length)| {
        ipnet::Ipv4Net::new(Ipv4Addr::new(bits & 0xf0, 0, 0, 0), length)
            .unwrap()
            .into()
    });
    let v6 = (any::<u8>(), 0_u8..=10).prop_map(|(bits, length)| {
        let address = u128::from(bits & 0xf0) << 120;
        ipnet::Ipv6Net::new(address.into(), length).unwrap().into()
    });
    prop_oneof![v4, v6]
}

proptest! {
    #[test]
    fn a_prefix_set_holds_what_one_of_its_ranges_holds(
        ranges in prop::collection::vec((any_prefix(), 0_u8..4, 0_u8..4), 0..8),
        asked in any_prefix(),
    ) {
        let ranges: Vec<(Prefix, u8, u8)> = ranges
            .into_iter()
            .map(|(prefix, skip, more)| {
                let shortest = prefix.prefix_len() + skip;
                (prefix, shortest, shortest + more)
            })
            .collect();
        let set: PrefixSet = ranges
            .iter()
            .map(|(prefix, shortest, longest)| {
                PrefixRange::between(*prefix, *shortest, *longest).unwrap()
            })
            .collect();
        let expected = ranges.iter().any(|(prefix, shortest, longest)| {
            let is_inside = match (prefix, &asked) {
                (Prefix::V4(net), Prefix::V4(asked)) => net.contains(asked),
                (Prefix::V6(net), Prefix::V6(asked)) => net.contains(asked),
                _ => false,
            };
            is_inside && (*shortest..=*longest).contains(&asked.prefix_len())
        });
        prop_assert_eq!(set.contains(&asked), expected);
    }
}

#[test]
fn next_hops_of_either_family_are_asked_for() {
    let route = rib::Route::learned(
        NextHop::V6 {
            global: "2001:db8::9".parse().unwrap(),
            link_local: Some("fe80::9".parse().unwrap()),
        },
        Attributes::default(),
    );
    let inside: PrefixSet = [PrefixRange::or_longer(prefix("2001:db8::/64"))]
        .into_iter()
        .collect();
    let statement = Statement::new("it", [Condition::NextHop(Arc::new(inside))], Action::Accept);
    let policy = Policy::new("test", [statement], Action::Reject);
    let peer = peer("10.0.0.2", PeerKind::External);
    assert!(ask(&policy, "10.1.0.0/16", &route, &peer).0);
    assert!(
        !ask(
            &policy,
            "10.1.0.0/16",
            &learned(Attributes::default()),
            &peer
        )
        .0
    );
}
