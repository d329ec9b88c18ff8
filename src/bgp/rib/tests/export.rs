use std::borrow::Cow;

use super::*;
use crate::bgp::wire::{AttributeCode, AttributeFlags, ExtendedCommunity, UnknownAttribute};

const P: &str = "192.168.7.0/24";
const P6: &str = "2001:db8:7::/48";

/// Where a path comes from, or whom it is told to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Own,
    External,
    NonClient,
    Client,
}

fn learn(rib: &mut Rib, kind: Kind, route: Route) {
    let facts = match kind {
        Kind::Own => {
            rib.originate(
                prefix(P),
                Route::originated(RouteKind::PodCidr, route.next_hop),
            );
            return;
        }
        Kind::External => facts(2, PeerKind::External),
        Kind::NonClient => facts(2, PeerKind::Internal),
        Kind::Client => client(2),
    };
    let peer = add(rib, facts);
    announce(rib, peer, &[P], route);
}

fn to(kind: Kind) -> Target {
    let peer = if kind == Kind::External {
        PeerKind::External
    } else {
        PeerKind::Internal
    };
    Target {
        is_client: kind == Kind::Client,
        ..target(peer)
    }
}

/// RFC 4456 section 6, and RFC 4271 section 9.2 without reflection.
#[test]
fn who_is_told_what_by_whom() {
    use Kind::{Client, External, NonClient, Own};
    let table = [
        (Own, External, true, true),
        (Own, NonClient, true, true),
        (Own, Client, true, true),
        (External, External, true, true),
        (External, NonClient, true, true),
        (External, Client, true, true),
        (NonClient, External, true, true),
        (NonClient, NonClient, false, false),
        (NonClient, Client, false, true),
        (Client, External, true, true),
        (Client, NonClient, false, true),
        (Client, Client, false, true),
    ];
    for (from, whom, plain, reflected) in table {
        for (speaker, expected) in [(speaker(), plain), (reflector(), reflected)] {
            let reflects = speaker.cluster_id.is_some();
            let mut rib = Rib::new(speaker, Selection::default(), 7);
            learn(&mut rib, from, route(2, &[]));
            let told = exported(&mut rib, P, to(whom));
            assert_eq!(
                told.is_ok(),
                expected,
                "{from:?} to {whom:?}, reflects: {reflects}"
            );
            if let Err(withheld) = told {
                assert_eq!(withheld, Withheld::NotReflected);
            }
        }
    }
}

#[test]
fn reflection_adds_originator_and_cluster_and_leaves_the_rest() {
    let mut rib = Rib::new(reflector(), Selection::default(), 7);
    let attributes = Attributes {
        local_pref: Some(70),
        multi_exit_disc: Some(5),
        ..path_of(&[65009])
    };
    learn(
        &mut rib,
        Kind::Client,
        Route::learned(hop("10.0.0.50"), attributes.clone()),
    );
    let told = exported(&mut rib, P, to(Kind::NonClient)).unwrap();
    assert_eq!(
        told.attributes.originator_id,
        Some(Ipv4Addr::new(10, 0, 0, 2))
    );
    assert_eq!(told.attributes.cluster_list, [OUR_ID]);
    assert_eq!(told.next_hop, hop("10.0.0.50"));
    let rest = Attributes {
        originator_id: None,
        cluster_list: Vec::new(),
        ..told.attributes.clone()
    };
    assert_eq!(rest, attributes);

    let mut rib = Rib::new(reflector(), Selection::default(), 7);
    let attributes = Attributes {
        originator_id: Some(Ipv4Addr::new(9, 9, 9, 9)),
        cluster_list: vec![Ipv4Addr::new(8, 8, 8, 8)],
        ..attributes
    };
    learn(
        &mut rib,
        Kind::NonClient,
        Route::learned(hop("10.0.0.50"), attributes),
    );
    let told = exported(&mut rib, P, to(Kind::Client)).unwrap();
    assert_eq!(
        told.attributes.originator_id,
        Some(Ipv4Addr::new(9, 9, 9, 9))
    );
    assert_eq!(
        told.attributes.cluster_list,
        [OUR_ID, Ipv4Addr::new(8, 8, 8, 8)]
    );
    let told = exported(&mut rib, P, to(Kind::External)).unwrap();
    assert_eq!(told.attributes.originator_id, None);
    assert!(told.attributes.cluster_list.is_empty());
}

#[test]
fn attributes_by_source_and_target() {
    let full = || Attributes {
        local_pref: Some(70),
        multi_exit_disc: Some(5),
        ..path_of(&[65009])
    };
    // from, to: AS path, LOCAL_PREF, MED, next hop
    let table = [
        (
            Kind::External,
            Kind::External,
            "64512 65009",
            None,
            None,
            "10.0.0.1",
        ),
        (
            Kind::External,
            Kind::NonClient,
            "65009",
            Some(70),
            Some(5),
            "10.0.0.50",
        ),
        (
            Kind::NonClient,
            Kind::External,
            "64512 65009",
            None,
            None,
            "10.0.0.1",
        ),
        (Kind::Own, Kind::External, "64512", None, None, "10.0.0.50"),
        (Kind::Own, Kind::NonClient, "", Some(100), None, "10.0.0.50"),
    ];
    for (from, whom, as_path, local_pref, med, next_hop) in table {
        let mut rib = rib();
        learn(&mut rib, from, Route::learned(hop("10.0.0.50"), full()));
        let told = exported(&mut rib, P, to(whom)).unwrap();
        assert_eq!(
            told.attributes.as_path.to_string(),
            as_path,
            "{from:?} to {whom:?}"
        );
        assert_eq!(told.attributes.local_pref, local_pref);
        assert_eq!(told.attributes.multi_exit_disc, med);
        assert_eq!(told.next_hop, hop(next_hop));
    }
}

#[test]
fn confederations_keep_to_themselves_what_is_theirs() {
    let speaker = Speaker {
        confederation: Some(100),
        ..speaker()
    };
    let mut rib = Rib::new(speaker, Selection::default(), 7);
    learn(&mut rib, Kind::External, route(2, &[65009]));
    let member = exported(&mut rib, P, target(PeerKind::Confederation)).unwrap();
    assert_eq!(member.attributes.as_path.to_string(), "(64512) 65009");
    let outside = exported(&mut rib, P, target(PeerKind::External)).unwrap();
    assert_eq!(outside.attributes.as_path.to_string(), "100 65009");
}

#[test]
fn well_known_communities_stop_a_route() {
    let table = [
        (Community::NO_ADVERTISE, [Some(Withheld::NoAdvertise); 3]),
        (Community::NO_EXPORT, [None, None, Some(Withheld::NoExport)]),
        (
            Community::NO_EXPORT_SUBCONFED,
            [
                None,
                Some(Withheld::NoExportSubconfed),
                Some(Withheld::NoExportSubconfed),
            ],
        ),
        (Community::LLGR_STALE, [Some(Withheld::LongLivedStale); 3]),
        (Community::GRACEFUL_SHUTDOWN, [None; 3]),
        (Community::NO_LLGR, [None; 3]),
        (Community::new(1, 1), [None; 3]),
    ];
    let kinds = [
        PeerKind::Internal,
        PeerKind::Confederation,
        PeerKind::External,
    ];
    for (community, expected) in table {
        let mut rib = rib();
        learn(
            &mut rib,
            Kind::External,
            with_communities(route(2, &[65002]), &[community]),
        );
        for (kind, expected) in kinds.into_iter().zip(expected) {
            let target = Target {
                long_lived: false,
                ..target(kind)
            };
            let told = exported(&mut rib, P, target);
            assert_eq!(
                told.as_ref().err().copied(),
                expected,
                "{community} to {kind:?}"
            );
            if let Ok(told) = told {
                assert_eq!(told.attributes.communities, [community]);
            }
        }
    }
}

#[test]
fn unknown_attributes_pass_and_non_transitive_communities_stay() {
    let mut rib = rib();
    let unknown = UnknownAttribute {
        flags: AttributeFlags(0xe0),
        code: AttributeCode(99),
        value: [1, 2, 3].into(),
    };
    let [stays, passes] = [0x40, 0x00].map(|kind| ExtendedCommunity([kind, 2, 0, 0, 0, 0, 0, 1]));
    let attributes = Attributes {
        unknown: vec![unknown.clone()],
        extended_communities: vec![stays, passes],
        ..path_of(&[65002])
    };
    learn(
        &mut rib,
        Kind::External,
        Route::learned(hop("10.0.0.2"), attributes),
    );
    let told = exported(&mut rib, P, target(PeerKind::External)).unwrap();
    assert_eq!(told.attributes.unknown, [unknown]);
    assert_eq!(told.attributes.extended_communities, [passes]);
    let told = exported(&mut rib, P, target(PeerKind::Internal)).unwrap();
    assert_eq!(told.attributes.extended_communities, [stays, passes]);
}

#[test]
fn policies_change_what_is_told() {
    let mut rib = rib();
    learn(&mut rib, Kind::Own, route(50, &[]));
    let changes = AttributeChanges {
        multi_exit_disc: Some(30),
        local_pref: Some(250),
        add_communities: vec![
            Community::new(7, 7),
            Community::new(7, 7),
            Community::NO_EXPORT,
        ],
        prepend: Some(Prepend {
            asn: 65123,
            times: 2,
        }),
        next_hop: Some(NextHopChange::Own),
        ..AttributeChanges::default()
    };
    let filter = Filter::Change(Cow::Borrowed(&changes));
    let told = exported_with(&mut rib, P, target(PeerKind::External), &filter).unwrap();
    assert_eq!(told.attributes.as_path.to_string(), "64512 65123 65123");
    assert_eq!(told.attributes.multi_exit_disc, Some(30));
    assert_eq!(told.attributes.local_pref, None);
    assert_eq!(
        told.attributes.communities,
        [Community::new(7, 7), Community::NO_EXPORT]
    );
    assert_eq!(told.next_hop, hop("10.0.0.1"));
    let told = exported_with(&mut rib, P, target(PeerKind::Internal), &filter).unwrap();
    assert_eq!(told.attributes.local_pref, Some(250));
    let rejected = exported_with(&mut rib, P, target(PeerKind::External), &Filter::Reject);
    assert_eq!(rejected.unwrap_err(), Withheld::Policy);
}

/// Prefix, its next hop, what is wanted, what was negotiated, what is told.
#[expect(clippy::type_complexity, reason = "a table")]
fn next_hops() -> Vec<(
    &'static str,
    &'static str,
    bool,
    ByFamily<Option<NextHop>>,
    bool,
    Result<&'static str, Withheld>,
)> {
    let own = |v4: Option<&str>, v6: Option<&str>| ByFamily {
        v4: v4.map(hop),
        v6: v6.map(hop),
    };
    let both = own(Some("10.0.0.1"), Some("2001:db8::1"));
    vec![
        (P, "10.0.0.50", false, both, false, Ok("10.0.0.50")),
        (P6, "2001:db8::50", false, both, false, Ok("2001:db8::50")),
        (P, "10.0.0.50", true, both, false, Ok("10.0.0.1")),
        (P6, "2001:db8::50", true, both, false, Ok("2001:db8::1")),
        (
            P,
            "2001:db8::50",
            false,
            both,
            false,
            Err(Withheld::NextHopFamily),
        ),
        (P, "2001:db8::50", false, both, true, Ok("2001:db8::50")),
        (
            P6,
            "10.0.0.50",
            false,
            both,
            true,
            Err(Withheld::NextHopFamily),
        ),
        (
            P6,
            "2001:db8::50",
            true,
            own(Some("10.0.0.1"), None),
            false,
            Err(Withheld::NoOwnNextHop),
        ),
        (
            P,
            "10.0.0.50",
            true,
            own(Some("2001:db8::1"), None),
            true,
            Ok("2001:db8::1"),
        ),
        (
            P,
            "10.0.0.50",
            true,
            own(Some("2001:db8::1"), None),
            false,
            Err(Withheld::NextHopFamily),
        ),
        (
            P6,
            "fe80::50",
            false,
            both,
            false,
            Err(Withheld::LinkLocalNextHop),
        ),
        (P6, "fe80::50", true, both, false, Ok("2001:db8::1")),
    ]
}

#[test]
fn next_hops_fit_the_family_of_the_prefix() {
    let changes = AttributeChanges {
        next_hop: Some(NextHopChange::Own),
        ..AttributeChanges::default()
    };
    for (at, (text, next_hop, override_it, own_next_hop, ipv6_next_hop, expected)) in
        next_hops().into_iter().enumerate()
    {
        for kind in [PeerKind::Internal, PeerKind::External] {
            let mut rib = rib();
            rib.originate(
                prefix(text),
                Route::originated(RouteKind::ServiceVip, hop(next_hop)),
            );
            let filter = if override_it {
                Filter::Change(Cow::Borrowed(&changes))
            } else {
                Filter::Accept
            };
            let target = Target {
                own_next_hop,
                ipv6_next_hop,
                ..target(kind)
            };
            let told = exported_with(&mut rib, text, target, &filter);
            assert_eq!(
                told.map(|route| route.next_hop),
                expected.map(hop),
                "row {at}"
            );
        }
    }
}

#[test]
fn what_external_peers_tell_goes_on_inside_with_our_address_if_asked() {
    for (next_hop_self, expected) in [(false, "2001:db8::2"), (true, "2001:db8::1")] {
        let mut rib = rib();
        let peer = add(&mut rib, facts(2, PeerKind::External));
        let next_hop = NextHop::V6 {
            global: "2001:db8::2".parse().unwrap(),
            link_local: Some("fe80::2".parse().unwrap()),
        };
        announce(
            &mut rib,
            peer,
            &[P6],
            Route::learned(next_hop, path_of(&[65002])),
        );
        let target = Target {
            next_hop_self,
            ..target(PeerKind::Internal)
        };
        assert_eq!(
            exported(&mut rib, P6, target).unwrap().next_hop,
            hop(expected)
        );
    }
}

#[test]
fn prefixes_with_one_route_are_told_with_one_route() {
    let mut rib = rib();
    let peer = add(&mut rib, facts(2, PeerKind::External));
    announce(
        &mut rib,
        peer,
        &["10.1.0.0/16", "10.2.0.0/16"],
        route(2, &[65002]),
    );
    let mut exporter = Exporter::new(target(PeerKind::Internal));
    let mut told = Vec::new();
    rib.drain_changes(|view, routes| {
        let best = view.best().unwrap();
        told.push(
            exporter
                .export(Family::V4, best, routes, |_, _| Filter::Accept)
                .unwrap(),
        );
    });
    assert!(Arc::ptr_eq(&told[0], &told[1]));
}
