use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;
use crate::bgp::wire::Origin;

const P: &str = "192.168.7.0/24";

/// What a path is made of; the default is the plainest one of peer 2.
#[derive(Debug, Clone)]
struct Case {
    peer: PeerFacts,
    path_id: u32,
    next_hop: u8,
    attributes: Attributes,
    is_local: bool,
}

fn case(n: u8) -> Case {
    Case {
        peer: facts(n, PeerKind::External),
        path_id: 0,
        next_hop: n,
        attributes: path_of(&[65000, 65100]),
        is_local: false,
    }
}

fn put(rib: &mut Rib, case: &Case) -> PeerId {
    let next_hop = NextHop::V4(Ipv4Addr::new(10, 0, 0, case.next_hop));
    let route = Route::learned(next_hop, case.attributes.clone());
    if case.is_local {
        rib.originate(prefix(P), route);
        return PeerId::LOCAL;
    }
    let peer = add(rib, case.peer);
    put_as(rib, peer, case);
    peer
}

fn put_as(rib: &mut Rib, peer: PeerId, case: &Case) {
    let next_hop = NextHop::V4(Ipv4Addr::new(10, 0, 0, case.next_hop));
    let route = rib.intern(Route::learned(next_hop, case.attributes.clone()));
    let nlri = Nlri {
        prefix: prefix(P),
        path_id: case.path_id,
    };
    rib.announce(peer, &route, [nlri], |_, _| Filter::Accept);
}

fn near(rib: &mut Rib) {
    rib.set_next_hop(ip("10.0.0.2"), Reachability::Cost(20));
    rib.set_next_hop(ip("10.0.0.3"), Reachability::Cost(10));
}

/// The second of each pair wins, by the step named; all that comes later speaks for the first.
fn pairs() -> Vec<(Reason, Case, Case)> {
    let (a, b) = (case(2), case(3));
    let with = |case: &Case, change: &dyn Fn(&mut Attributes)| {
        let mut case = case.clone();
        change(&mut case.attributes);
        case
    };
    let internal = |case: &Case| Case {
        peer: facts(case.next_hop, PeerKind::Internal),
        ..case.clone()
    };
    vec![
        (
            Reason::NotLongLivedStale,
            with(&a, &|it| {
                it.communities.push(Community::LLGR_STALE);
                it.local_pref = Some(500);
            }),
            b.clone(),
        ),
        (
            Reason::LocalOrigin,
            with(&a, &|it| it.local_pref = Some(500)),
            Case {
                is_local: true,
                ..b.clone()
            },
        ),
        (
            Reason::LocalPref,
            with(&a, &|it| it.as_path = AsPath::sequence(&[65000])),
            with(&b, &|it| it.local_pref = Some(101)),
        ),
        (
            Reason::AsPathLength,
            a.clone(),
            with(&b, &|it| {
                it.as_path = AsPath::sequence(&[65000]);
                it.origin = Origin::Incomplete;
            }),
        ),
        (
            Reason::Origin,
            with(&a, &|it| it.origin = Origin::Egp),
            with(&b, &|it| it.multi_exit_disc = Some(9)),
        ),
        (
            Reason::MultiExitDisc,
            with(&a, &|it| it.multi_exit_disc = Some(5)),
            internal(&with(&b, &|it| it.multi_exit_disc = Some(4))),
        ),
        (Reason::External, internal(&a), b.clone()),
        (Reason::InteriorCost, a.clone(), b.clone()),
        (
            Reason::RouterId,
            internal(&with(&a, &|it| {
                it.originator_id = Some(Ipv4Addr::new(9, 9, 9, 9))
            })),
            internal(&with(&b, &|it| {
                it.originator_id = Some(Ipv4Addr::new(9, 9, 9, 8));
                it.cluster_list = vec![Ipv4Addr::new(1, 1, 1, 1)];
            })),
        ),
        (
            Reason::ClusterListLength,
            internal(&with(&a, &|it| {
                it.originator_id = Some(Ipv4Addr::new(9, 9, 9, 9));
                it.cluster_list = vec![Ipv4Addr::new(1, 1, 1, 1); 2];
            })),
            internal(&with(&b, &|it| {
                it.originator_id = Some(Ipv4Addr::new(9, 9, 9, 9));
                it.cluster_list = vec![Ipv4Addr::new(1, 1, 1, 1)];
            })),
        ),
    ]
}

#[test]
fn every_step_of_the_decision_decides_before_all_later_ones() {
    for (reason, worse, better) in pairs() {
        for swapped in [false, true] {
            let mut rib = rib();
            if reason == Reason::InteriorCost {
                near(&mut rib);
            }
            let (first, second) = if swapped {
                (&better, &worse)
            } else {
                (&worse, &better)
            };
            let ids = [put(&mut rib, first), put(&mut rib, second)];
            let winner = if swapped { ids[0] } else { ids[1] };
            assert_eq!(best_peer(&rib, P), Some(winner), "{reason:?}");
            let explained = rib.explain(&prefix(P));
            let loser = explained
                .iter()
                .find(|(path, _)| path.peer() != winner)
                .unwrap();
            let standing = match reason {
                Reason::RouterId | Reason::ClusterListLength => Standing::Multipath(reason),
                _ => Standing::Behind(reason),
            };
            assert_eq!(loser.1, standing, "{reason:?}");
            let best = explained
                .iter()
                .find(|(_, it)| *it == Standing::Best)
                .unwrap();
            let compared = rib.compare(&best.0, &loser.0);
            assert_eq!(compared, (Ordering::Less, Some(reason)));
            assert_eq!(rib.compare(&loser.0, &best.0).0, Ordering::Greater);
        }
    }
}

#[test]
fn the_last_steps_are_address_and_path_identifier() {
    let mut rib = rib();
    let router_id = Ipv4Addr::new(1, 2, 3, 4);
    let peers: Vec<PeerId> = [9, 8]
        .map(|n| {
            let peer = PeerFacts {
                router_id,
                ..facts(n, PeerKind::External)
            };
            put(&mut rib, &Case { peer, ..case(n) })
        })
        .to_vec();
    assert_eq!(best_peer(&rib, P), Some(peers[1]));
    let again = Case {
        path_id: 4,
        next_hop: 7,
        ..case(8)
    };
    put_as(&mut rib, peers[1], &again);
    let best = rib.get(&prefix(P)).unwrap().best().unwrap().clone();
    assert_eq!((best.peer(), best.path_id()), (peers[1], 0));
    let lost = |path_id| {
        let mut all = rib.explain(&prefix(P)).into_iter();
        all.find(|(path, _)| path.peer() == peers[1] && path.path_id() == path_id)
            .map(|(_, standing)| standing)
    };
    assert_eq!(lost(4), Some(Standing::Multipath(Reason::PathId)));
}

#[test]
fn med_is_compared_only_within_one_neighbouring_as_unless_asked() {
    for always in [false, true] {
        let selection = Selection {
            always_compare_med: always,
            ..Selection::default()
        };
        let mut rib = Rib::new(speaker(), selection, 7);
        let path = |n: u8, asn, med| Case {
            attributes: Attributes {
                multi_exit_disc: Some(med),
                ..path_of(&[asn, 65100])
            },
            ..case(n)
        };
        let first = put(&mut rib, &path(2, 65000, 50));
        let second = put(&mut rib, &path(3, 65001, 10));
        let expected = if always { second } else { first };
        assert_eq!(best_peer(&rib, P), Some(expected));
    }
}

/// RFC 3345's example: pairwise, each of three beats another.
#[test]
fn three_paths_that_beat_one_another_in_a_circle_have_one_winner_in_every_order() {
    let path = |n: u8, asn, med, id: [u8; 4]| Case {
        peer: PeerFacts {
            router_id: id.into(),
            ..facts(n, PeerKind::Internal)
        },
        attributes: Attributes {
            multi_exit_disc: Some(med),
            ..path_of(&[asn, 65100])
        },
        ..case(n)
    };
    // a before b by router id, b before c by router id, c before a by MED.
    let cases = [
        path(2, 65000, 20, [1, 0, 0, 1]),
        path(3, 65001, 0, [1, 0, 0, 2]),
        path(4, 65000, 10, [1, 0, 0, 3]),
    ];
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for order in orders {
        let mut rib = rib();
        let mut ids = [PeerId::LOCAL; 3];
        for at in order {
            ids[at] = put(&mut rib, &cases[at]);
        }
        assert_eq!(best_peer(&rib, P), Some(ids[1]), "{order:?}");
        let explained = rib.explain(&prefix(P));
        let a = &explained
            .iter()
            .find(|(path, _)| path.peer() == ids[0])
            .unwrap()
            .0;
        let b = &explained
            .iter()
            .find(|(path, _)| path.peer() == ids[1])
            .unwrap()
            .0;
        let c = &explained
            .iter()
            .find(|(path, _)| path.peer() == ids[2])
            .unwrap()
            .0;
        for (better, worse) in [(a, b), (b, c), (c, a)] {
            assert_eq!(rib.compare(better, worse).0, Ordering::Less);
        }
    }
}

#[test]
fn multipath_takes_what_is_equal_up_to_the_interior_cost_and_no_more_than_allowed() {
    let paths: Vec<Case> = (2..8).map(case).collect();
    let table = [
        (16, false, 65000, 6),
        (4, false, 65000, 4),
        (1, false, 65000, 1),
        (16, false, 65001, 5),
        (16, true, 65001, 6),
    ];
    for (max_paths, multipath_any_as, asn_of_last, expected) in table {
        let selection = Selection {
            max_paths,
            multipath_any_as,
            ..Selection::default()
        };
        let mut rib = Rib::new(speaker(), selection, 7);
        for (at, case) in paths.iter().enumerate() {
            let mut case = case.clone();
            if at == 5 {
                case.attributes = path_of(&[asn_of_last, 65100]);
            }
            put(&mut rib, &case);
        }
        let view = rib.get(&prefix(P)).unwrap();
        assert_eq!(view.used().count(), expected);
        assert!(view.used().any(Path::is_best));
    }
}

#[test]
fn another_selection_decides_all_again() {
    let mut rib = rib();
    for n in [2, 3] {
        put(&mut rib, &case(n));
    }
    changed(&mut rib);
    let one = Selection {
        max_paths: 1,
        ..Selection::default()
    };
    rib.set_selection(one);
    assert_eq!(changed(&mut rib), [P]);
    assert_eq!(rib.get(&prefix(P)).unwrap().used().count(), 1);
    rib.set_selection(one);
    assert!(!rib.has_changes());
}

#[test]
fn unreachable_next_hops_are_not_chosen_until_they_come_back() {
    let mut rib = rib();
    let (a, b) = (put(&mut rib, &case(2)), put(&mut rib, &case(3)));
    assert_eq!(best_peer(&rib, P), Some(a));
    changed(&mut rib);
    rib.set_next_hop(ip("10.0.0.2"), Reachability::Unreachable);
    assert_eq!(best_peer(&rib, P), Some(b));
    assert_eq!(changed(&mut rib), [P]);
    let standing = rib
        .explain(&prefix(P))
        .into_iter()
        .find(|(path, _)| path.peer() == a);
    assert_eq!(standing.unwrap().1, Standing::Unreachable);
    rib.set_next_hop(ip("10.0.0.2"), Reachability::Cost(0));
    assert_eq!(best_peer(&rib, P), Some(a));
    assert_eq!(changed(&mut rib), [P]);
}

fn any_case() -> impl Strategy<Value = (u8, Case)> {
    let numbers = (0_u8..6, 0_u32..2, 2_u8..6, 0_u32..3, 0_u32..3, 0_usize..3);
    let flags = (any::<bool>(), 0_u32..2, 0_u8..3, 0_usize..2);
    (numbers, flags).prop_map(
        |((n, path_id, next_hop, pref, med, length), (internal, asn, origin, clusters))| {
            let kind = if internal {
                PeerKind::Internal
            } else {
                PeerKind::External
            };
            let mut asns = vec![65000 + asn];
            asns.extend(std::iter::repeat_n(65100, length));
            let attributes = Attributes {
                local_pref: pref.checked_sub(1),
                multi_exit_disc: med.checked_sub(1),
                origin: Origin::from_number(origin).unwrap(),
                cluster_list: vec![Ipv4Addr::new(1, 1, 1, 1); clusters],
                ..path_of(&asns)
            };
            let case = Case {
                peer: facts(10 + n, kind),
                path_id,
                next_hop,
                attributes,
                is_local: false,
            };
            (n, case)
        },
    )
}

proptest! {
    #[test]
    fn comparing_is_a_total_order_where_med_is_compared_always(
        cases in prop::collection::vec(any_case(), 3),
    ) {
        let selection = Selection { always_compare_med: true, ..Selection::default() };
        let mut rib = Rib::new(speaker(), selection, 7);
        near(&mut rib);
        let mut paths = Vec::new();
        for (at, (_, case)) in cases.iter().enumerate() {
            let peer = PeerFacts { address: ip(&format!("10.1.0.{at}")), ..case.peer };
            put(&mut rib, &Case { peer, ..case.clone() });
        }
        paths.extend(rib.get(&prefix(P)).unwrap().paths.iter().cloned());
        let less = |a: &Path, b: &Path| rib.compare(a, b).0 == Ordering::Less;
        for a in &paths {
            for b in &paths {
                prop_assert_eq!(rib.compare(a, b).0, rib.compare(b, a).0.reverse());
                let same = a.peer() == b.peer();
                prop_assert_eq!(rib.compare(a, b).0 == Ordering::Equal, same);
                for c in &paths {
                    prop_assert!(!(less(a, b) && less(b, c)) || less(a, c));
                }
            }
        }
        let best = rib.get(&prefix(P)).unwrap().best().unwrap().clone();
        prop_assert!(paths.iter().all(|path| path.peer() == best.peer() || less(&best, path)));
    }

    #[test]
    fn the_choice_depends_on_no_order(
        cases in prop::collection::vec(any_case(), 1..8),
        turn in any::<prop::sample::Index>(),
    ) {
        let mut peers = BTreeMap::new();
        for (n, case) in &cases {
            peers.entry(*n).or_insert(case.peer);
        }
        // One route per peer and path identifier, so that order can't matter.
        let unique: BTreeMap<(u8, u32), Case> =
            cases.iter().map(|(n, case)| ((*n, case.path_id), case.clone())).collect();
        let chosen = |order: Vec<&(u8, u32)>| {
            let mut rib = rib();
            near(&mut rib);
            let ids: BTreeMap<u8, PeerId> =
                peers.iter().map(|(n, facts)| (*n, add(&mut rib, *facts))).collect();
            for key in order {
                put_as(&mut rib, ids[&key.0], &unique[key]);
            }
            let view = rib.get(&prefix(P)).unwrap();
            let used: Vec<_> = view.used().map(|it| (it.peer(), it.path_id())).collect();
            (view.best().map(|it| (it.peer(), it.path_id())), used)
        };
        let forward: Vec<_> = unique.keys().collect();
        let mut turned = forward.clone();
        turned.rotate_left(turn.index(forward.len()));
        turned.reverse();
        prop_assert_eq!(chosen(forward), chosen(turned));
    }
}
