use std::borrow::Cow;

use super::*;

const P: &str = "192.168.7.0/24";

fn exclusion(rib: &Rib, text: &str) -> Option<Exclusion> {
    rib.get(&prefix(text)).unwrap().paths[0].exclusion()
}

/// Next hop, attributes, and what is wrong with them.
fn loops() -> Vec<(NextHop, Attributes, Option<Exclusion>)> {
    let id = |attributes: Attributes, originator, clusters: &[Ipv4Addr]| Attributes {
        originator_id: originator,
        cluster_list: clusters.to_vec(),
        ..attributes
    };
    vec![
        (hop("10.0.0.2"), path_of(&[65002]), None),
        (
            hop("10.0.0.2"),
            path_of(&[65002, OUR_AS, 65003]),
            Some(Exclusion::OwnAs),
        ),
        (
            hop("10.0.0.2"),
            path_of(&[65002, 64999]),
            Some(Exclusion::OwnAs),
        ),
        (
            hop("10.0.0.2"),
            id(path_of(&[]), Some(OUR_ID), &[]),
            Some(Exclusion::OwnOriginatorId),
        ),
        (
            hop("10.0.0.2"),
            id(
                path_of(&[]),
                Some(Ipv4Addr::new(9, 9, 9, 9)),
                &[Ipv4Addr::new(1, 1, 1, 1), OUR_ID],
            ),
            Some(Exclusion::OwnCluster),
        ),
        (
            hop("10.0.0.1"),
            path_of(&[65002]),
            Some(Exclusion::OwnNextHop),
        ),
        (
            hop("2001:db8::1"),
            path_of(&[65002]),
            Some(Exclusion::OwnNextHop),
        ),
        (
            hop("127.0.0.1"),
            path_of(&[65002]),
            Some(Exclusion::BadNextHop),
        ),
        (
            hop("255.255.255.255"),
            path_of(&[65002]),
            Some(Exclusion::BadNextHop),
        ),
        (
            hop("224.0.0.5"),
            path_of(&[65002]),
            Some(Exclusion::BadNextHop),
        ),
        (hop("::"), path_of(&[65002]), Some(Exclusion::BadNextHop)),
        (hop("::1"), path_of(&[65002]), Some(Exclusion::BadNextHop)),
        (
            hop("ff02::1"),
            path_of(&[65002]),
            Some(Exclusion::BadNextHop),
        ),
        (
            hop("::ffff:10.0.0.2"),
            path_of(&[65002]),
            Some(Exclusion::BadNextHop),
        ),
        (hop("fe80::2"), path_of(&[65002]), None),
    ]
}

#[test]
fn loops_and_impossible_next_hops_are_kept_but_not_chosen() {
    for (next_hop, attributes, expected) in loops() {
        let speaker = Speaker {
            confederation: Some(64999),
            ..reflector()
        };
        let mut rib = Rib::new(speaker, Selection::default(), 7);
        let peer = add(&mut rib, facts(2, PeerKind::External));
        announce(&mut rib, peer, &[P], Route::learned(next_hop, attributes));
        assert_eq!(exclusion(&rib, P), expected, "{next_hop}");
        assert_eq!(best_peer(&rib, P).is_some(), expected.is_none());
        let counters = rib.counters(peer, Family::V4);
        assert_eq!(
            (counters.received, counters.accepted),
            (1, usize::from(expected.is_none()))
        );
    }
}

#[test]
fn a_cluster_of_others_is_no_loop_for_who_does_not_reflect() {
    let mut rib = rib();
    let peer = add(&mut rib, facts(2, PeerKind::Internal));
    let attributes = Attributes {
        originator_id: Some(Ipv4Addr::new(9, 9, 9, 9)),
        cluster_list: vec![OUR_ID],
        ..path_of(&[])
    };
    announce(
        &mut rib,
        peer,
        &[P],
        Route::learned(hop("10.0.0.9"), attributes),
    );
    assert_eq!(exclusion(&rib, P), None);
}

#[test]
fn graceful_shutdown_of_an_external_peer_is_the_last_choice_and_told_so() {
    for (kind, expected) in [(PeerKind::External, 0), (PeerKind::Internal, 300)] {
        let mut rib = rib();
        let peer = add(&mut rib, facts(2, kind));
        let going = with_communities(route(2, &[65002]), &[Community::GRACEFUL_SHUTDOWN]);
        let attributes = Attributes {
            local_pref: Some(300),
            ..going.attributes
        };
        announce(
            &mut rib,
            peer,
            &[P],
            Route::learned(going.next_hop, attributes),
        );
        let best = rib.get(&prefix(P)).unwrap().best().unwrap().clone();
        assert_eq!(best.route().local_pref(), expected);
        assert_eq!(best.route().received().attributes.local_pref, Some(300));
    }
}

/// Takes, changes or rejects by the third octet of the prefix.
fn policy(prefix: &Prefix, changes: &AttributeChanges) -> Filter<'static> {
    match prefix.addr() {
        IpAddr::V4(v4) if v4.octets()[2] == 1 => Filter::Reject,
        IpAddr::V4(v4) if v4.octets()[2] == 2 => Filter::Change(Cow::Owned(changes.clone())),
        _ => Filter::Accept,
    }
}

#[test]
fn a_change_of_policy_takes_effect_on_what_is_there_and_shows_only_differences() {
    let mut rib = rib();
    let peer = add(&mut rib, facts(2, PeerKind::External));
    let changes = AttributeChanges {
        local_pref: Some(200),
        add_communities: vec![Community::new(1, 2)],
        ..AttributeChanges::default()
    };
    let all = ["10.9.1.0/24", "10.9.2.0/24", "10.9.3.0/24"];
    announce(&mut rib, peer, &all, route(2, &[65002]));
    assert_eq!(changed(&mut rib).len(), 3);
    let local_prefs = |rib: &Rib| {
        all.map(|text| {
            let best = rib.get(&prefix(text)).unwrap().best();
            best.map(|path| path.route().local_pref())
        })
    };
    rib.import_again(peer, Family::V4, |prefix, _| policy(prefix, &changes));
    assert_eq!(changed(&mut rib), [all[0], all[1]]);
    assert_eq!(local_prefs(&rib), [None, Some(200), Some(100)]);
    assert_eq!(exclusion(&rib, all[0]), Some(Exclusion::Policy));
    assert_eq!(rib.counters(peer, Family::V4).accepted, 2);
    rib.import_again(peer, Family::V4, |prefix, _| policy(prefix, &changes));
    assert!(!rib.has_changes(), "the same policy again");
    rib.import_again(peer, Family::V4, |_, _| Filter::Accept);
    assert_eq!(changed(&mut rib), [all[0], all[1]]);
    assert_eq!(local_prefs(&rib), [Some(100); 3]);
}

#[test]
fn changed_routes_of_one_update_are_one_route() {
    let mut rib = rib();
    let peer = add(&mut rib, facts(2, PeerKind::External));
    let changes = AttributeChanges {
        local_pref: Some(200),
        next_hop: Some(NextHopChange::To(hop("10.0.0.99"))),
        prepend: Some(Prepend {
            asn: 65009,
            times: 2,
        }),
        ..AttributeChanges::default()
    };
    let shared = rib.intern(route(2, &[65002]));
    let prefixes = ["10.9.2.0/24", "10.10.2.0/24", "10.9.3.0/24"].map(nlri);
    rib.announce(peer, &shared, prefixes, |prefix, _| {
        policy(prefix, &changes)
    });
    let of = |text: &str| Arc::clone(rib.get(&prefix(text)).unwrap().paths[0].route());
    let (a, b) = (of("10.9.2.0/24"), of("10.10.2.0/24"));
    assert!(Arc::ptr_eq(&a, &b));
    assert!(Arc::ptr_eq(a.received(), &shared));
    assert!(Arc::ptr_eq(&of("10.9.3.0/24"), &shared));
    assert_eq!(a.next_hop, hop("10.0.0.99"));
    assert_eq!(a.attributes.as_path.to_string(), "65009 65009 65002");
}

#[test]
fn our_new_address_excludes_routes_once_they_are_imported_again() {
    let mut rib = rib();
    let peer = add(&mut rib, facts(2, PeerKind::External));
    announce(&mut rib, peer, &[P], route(77, &[65002]));
    let mut speaker = speaker();
    speaker.addresses.insert(ip("10.0.0.77"));
    rib.set_speaker(speaker);
    rib.import_again(peer, Family::V4, |_, _| Filter::Accept);
    assert_eq!(exclusion(&rib, P), Some(Exclusion::OwnNextHop));
    assert_eq!(best_peer(&rib, P), None);
}

#[test]
fn a_peer_may_tell_several_paths_each_withdrawn_by_its_identifier() {
    let mut rib = rib();
    let peer = add(&mut rib, facts(2, PeerKind::External));
    let with_id = |path_id| Nlri {
        prefix: prefix(P),
        path_id,
    };
    for (path_id, asns) in [(1, vec![65002, 3]), (2, vec![65002]), (3, vec![65002, 3])] {
        let route = rib.intern(route(u8::try_from(path_id).unwrap() + 20, &asns));
        rib.announce(peer, &route, [with_id(path_id)], |_, _| Filter::Accept);
    }
    let best = |rib: &Rib| {
        rib.get(&prefix(P))
            .and_then(|it| it.best().map(Path::path_id))
    };
    assert_eq!(rib.counters(peer, Family::V4).received, 3);
    assert_eq!(best(&rib), Some(2));
    rib.withdraw(peer, [with_id(2)]);
    assert_eq!(best(&rib), Some(1));
    assert_eq!(rib.get(&prefix(P)).unwrap().used().count(), 2);
    rib.withdraw(peer, [with_id(7)]);
    rib.withdraw(peer, [with_id(1)]);
    assert_eq!(best(&rib), Some(3));
    rib.remove_peer(peer);
    assert_eq!((best(&rib), rib.len(Family::V4)), (None, 1));
    assert_eq!(changed(&mut rib), [P]);
    assert_eq!(rib.len(Family::V4), 0);
}

#[test]
fn a_new_open_with_another_router_id_decides_again() {
    let mut rib = rib();
    let (a, b) = (facts(2, PeerKind::External), facts(3, PeerKind::External));
    let (first, second) = (add(&mut rib, a), add(&mut rib, b));
    announce(&mut rib, first, &[P], route(2, &[65002]));
    announce(&mut rib, second, &[P], route(3, &[65003]));
    assert_eq!(best_peer(&rib, P), Some(first));
    let router_id = Ipv4Addr::new(99, 0, 0, 1);
    changed(&mut rib);
    rib.set_peer(first, a);
    assert!(!rib.has_changes());
    rib.set_peer(first, PeerFacts { router_id, ..a });
    assert_eq!(best_peer(&rib, P), Some(second));
    assert_eq!(changed(&mut rib), [P]);
}

#[test]
fn hundreds_of_paths_of_one_prefix_are_enough() {
    let mut rib = rib();
    let [flood, other] = [2, 3].map(|n| add(&mut rib, facts(n, PeerKind::External)));
    let route = rib.intern(route(2, &[65002]));
    let paths = |ids: std::ops::RangeInclusive<u32>| {
        ids.map(|path_id| Nlri {
            prefix: prefix(P),
            path_id,
        })
    };
    rib.announce(flood, &route, paths(1..=600), |_, _| Filter::Accept);
    let counters = rib.counters(flood, Family::V4);
    assert_eq!((counters.received, counters.refused), (512, 88));
    rib.announce(flood, &route, paths(1..=600), |_, _| Filter::Accept);
    assert_eq!(
        rib.counters(flood, Family::V4).refused,
        176,
        "known ones are taken"
    );
    rib.announce(other, &route, paths(0..=1), |_, _| Filter::Accept);
    assert_eq!(rib.counters(other, Family::V4).received, 2);
    rib.withdraw(flood, paths(1..=600));
    assert_eq!(rib.counters(flood, Family::V4).received, 0);
    assert_eq!(best_peer(&rib, P), Some(other));
}
