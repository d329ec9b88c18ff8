//! OPENs: what ours says, what the peer's has to say, and what both come to.

use std::net::Ipv4Addr;

use bytes::Bytes;

use super::support::{
    Bench, OUR_AS, OUR_ID, THEIR_AS, THEIR_ID, both_graceful, graceful, long_lived, our_config,
    said, secs, their_config,
};
use crate::bgp::fsm::{Action, Event, PeerAs, PeerConfig, Restart, State, Terms};
use crate::bgp::wire::{
    AddPathFamily, AddPathMode, AddressFamily, Afi, Capability, Codec, ExtendedNextHop,
    GracefulFamily, GracefulRestart, HoldTime, LongLivedFamily, Message, MessageLimit, Open,
    PeerKind,
};
use crate::net::{ByFamily, Family};

/// The terms after both OPENs, or what the peer was told instead.
fn negotiate(ours: PeerConfig, theirs: &Open) -> Result<Terms, (u8, u8, Bytes)> {
    let mut bench = Bench::new(ours, their_config());
    let id = bench.open_sent();
    let actions = bench.message(id, Message::Open(theirs.clone()));
    match &actions[..] {
        [Action::Send(_, Message::Keepalive)] => Ok(bench.peer.terms(id).unwrap().clone()),
        [
            Action::Send(_, Message::Notification(said)),
            Action::Close(_),
        ] => {
            assert_eq!(bench.peer.state(), State::Idle);
            Err((said.code, said.subcode, said.data.clone()))
        }
        other => panic!("{other:?}"),
    }
}

fn hold(seconds: u16) -> HoldTime {
    HoldTime::from_secs(seconds).unwrap()
}

#[test]
fn our_open_names_what_is_configured() {
    let mut config = our_config();
    config.families.v6 = false;
    config.extended_messages = false;
    config.extended_next_hop = false;
    let open = config.open(&Restart::NONE);
    assert_eq!(
        open,
        Open {
            asn: OUR_AS,
            hold_time: hold(90),
            router_id: OUR_ID,
            capabilities: vec![
                Capability::Multiprotocol(AddressFamily::IPV4_UNICAST),
                Capability::RouteRefresh,
                Capability::EnhancedRouteRefresh,
                Capability::FourOctetAs(OUR_AS),
            ],
        }
    );
}

#[test]
fn our_open_names_every_extension_that_is_on() {
    let mut config = our_config();
    config.add_path_receive.v6 = true;
    config.graceful = Some(long_lived());
    let restart = Restart {
        restarting: true,
        preserved: ByFamily {
            v4: true,
            v6: false,
        },
    };
    let capabilities = config.open(&restart).capabilities;
    let [v4, v6] = Family::ALL.map(AddressFamily::from);
    for expected in [
        Capability::ExtendedMessage,
        Capability::ExtendedNextHop(vec![ExtendedNextHop {
            family: v4,
            next_hop: Afi::IPV6,
        }]),
        Capability::AddPath(vec![AddPathFamily {
            family: v6,
            mode: AddPathMode::Receive,
        }]),
        Capability::GracefulRestart(GracefulRestart {
            restarting: true,
            notification: false,
            restart_time: 120,
            families: vec![
                GracefulFamily {
                    family: v4,
                    forwarding: true,
                },
                GracefulFamily {
                    family: v6,
                    forwarding: false,
                },
            ],
        }),
        Capability::LongLivedGracefulRestart(vec![
            LongLivedFamily {
                family: v4,
                forwarding: true,
                stale_time: 3600,
            },
            LongLivedFamily {
                family: v6,
                forwarding: false,
                stale_time: 3600,
            },
        ]),
    ] {
        assert!(capabilities.contains(&expected), "{expected:?}");
    }
}

#[test]
fn the_r_bit_is_not_set_without_a_restart() {
    let mut config = our_config();
    config.graceful = Some(graceful());
    let open = config.open(&Restart::NONE);
    let capability = open.graceful_restart().unwrap();
    assert!(!capability.restarting);
    assert!(capability.families.iter().all(|family| family.forwarding));
}

#[test]
fn an_as_of_four_octets_goes_as_as_trans_with_the_capability() {
    let open = their_config().open(&Restart::NONE);
    let mut bytes = Vec::new();
    let message = Message::Open(open.clone());
    Codec::default().encode(&message, &mut bytes).unwrap();
    assert_eq!(bytes[20..22], 23456_u16.to_be_bytes());
    let Ok(Message::Open(read)) = Codec::default().decode(&bytes.into()) else {
        panic!("no OPEN");
    };
    assert_eq!(read, open);
    assert_eq!(read.asn, THEIR_AS);
}

#[test]
fn the_smaller_hold_time_counts_and_a_third_of_it_is_the_keepalive() {
    for (ours, theirs, keepalive, expected, interval) in [
        (90, 90, None, 90, Some(30)),
        (90, 9, None, 9, Some(3)),
        (6, 240, None, 6, Some(2)),
        (90, 3, Some(20), 3, Some(1)),
        (90, 90, Some(10), 90, Some(10)),
        (90, 90, Some(60), 90, Some(30)),
        (90, 0, Some(10), 0, None),
        (0, 90, None, 0, None),
    ] {
        let mut config = our_config();
        config.hold_time = hold(ours);
        config.keepalive = keepalive.map(secs);
        let mut other = their_config();
        other.hold_time = hold(theirs);
        let terms = negotiate(config, &other.open(&Restart::NONE)).unwrap();
        let case = format!("{ours} and {theirs}");
        assert_eq!(terms.negotiated.hold_time, hold(expected), "{case}");
        assert_eq!(terms.keepalive, interval.map(secs), "{case}");
        assert_eq!(terms.send_hold.is_some(), expected > 0, "{case}");
    }
}

#[test]
fn the_send_hold_time_is_eight_minutes_or_twice_the_hold_time_or_what_is_wanted() {
    for (hold_time, wanted, expected) in [
        (90, None, 480),
        (300, None, 600),
        (90, Some(200), 200),
        (90, Some(30), 90),
    ] {
        let (mut ours, mut theirs) = (our_config(), their_config());
        (ours.hold_time, theirs.hold_time) = (hold(hold_time), hold(hold_time));
        ours.send_hold = wanted.map(secs);
        let terms = negotiate(ours, &theirs.open(&Restart::NONE)).unwrap();
        assert_eq!(terms.send_hold, Some(secs(expected)));
    }
}

#[test]
fn only_families_of_both_sides_are_exchanged() {
    let families = |v4, v6| ByFamily { v4, v6 };
    for (ours, theirs, expected) in [
        (
            families(true, true),
            families(true, true),
            Some((true, true)),
        ),
        (
            families(true, true),
            families(true, false),
            Some((true, false)),
        ),
        (
            families(false, true),
            families(true, true),
            Some((false, true)),
        ),
        (families(true, false), families(false, true), None),
    ] {
        let (mut config, mut other) = (our_config(), their_config());
        (config.families, other.families) = (ours, theirs);
        let found = negotiate(config, &other.open(&Restart::NONE))
            .ok()
            .map(|terms| {
                let has = |family| terms.negotiated.family(family).is_some();
                (has(Family::V4), has(Family::V6))
            });
        assert_eq!(found, expected, "{ours:?} and {theirs:?}");
    }
}

#[test]
fn a_peer_without_our_families_is_told_which_it_lacks() {
    let mut config = our_config();
    config.families.v4 = false;
    // Without any capability a speaker speaks IPv4 only (RFC 4760 section 8).
    let bare = Open {
        asn: THEIR_AS,
        hold_time: hold(90),
        router_id: THEIR_ID,
        capabilities: Vec::new(),
    };
    let lacking = Bytes::from_static(&[1, 4, 0, 2, 0, 1]);
    assert_eq!(negotiate(config, &bare), Err((2, 7, lacking)));
    let terms = negotiate(our_config(), &bare).unwrap();
    assert!(terms.negotiated.family(Family::V4).is_some());
    assert!(!terms.negotiated.four_octet_as);
    assert!(!terms.negotiated.route_refresh);
}

#[test]
fn the_as_has_to_be_the_configured_one() {
    let told = |expected: PeerAs, asn: u32| {
        let mut config = our_config();
        config.peer_as = expected;
        let open = Open {
            asn,
            ..their_config().open(&Restart::NONE)
        };
        negotiate(config, &open).map(|terms| (terms.negotiated.peer, terms.negotiated.peer_as))
    };
    let bad = Err((2, 2, Bytes::new()));
    let external = |asn| Ok((PeerKind::External, asn));
    assert_eq!(told(PeerAs::Exactly(65001), 65001), external(65001));
    assert_eq!(told(PeerAs::Exactly(65001), 65002), bad);
    assert_eq!(
        told(PeerAs::Exactly(OUR_AS), OUR_AS),
        Ok((PeerKind::Internal, OUR_AS))
    );
    assert_eq!(told(PeerAs::Exactly(OUR_AS), 65001), bad);
    assert_eq!(told(PeerAs::External, 65001), external(65001));
    assert_eq!(told(PeerAs::External, OUR_AS), bad);
    assert_eq!(
        told(PeerAs::Exactly(23456), 23456),
        bad,
        "AS_TRANS is nobody's"
    );
    assert_eq!(told(PeerAs::External, 23456), bad, "AS_TRANS is nobody's");
}

#[test]
fn an_identifier_has_to_be_unique_within_an_as_only() {
    let told = |asn: u32, router_id: Ipv4Addr| {
        let mut config = our_config();
        config.peer_as = PeerAs::Exactly(asn);
        let mut open = their_config().open(&Restart::NONE);
        (open.asn, open.router_id) = (asn, router_id);
        negotiate(config, &open).map(|_| ())
    };
    assert_eq!(told(OUR_AS, OUR_ID), Err((2, 3, Bytes::new())));
    assert_eq!(told(OUR_AS, THEIR_ID), Ok(()));
    assert_eq!(told(65001, OUR_ID), Ok(()), "RFC 6286");
}

/// Octet of the message, what stands there, and the answer.
#[test]
fn an_open_that_is_none_gets_the_exact_notification() {
    let mut good = Vec::new();
    let open = Message::Open(their_config().open(&Restart::NONE));
    Codec::default().encode(&open, &mut good).unwrap();
    type Told<'a> = (u8, u8, &'a [u8]);
    let cases: [(usize, &[u8], Told<'_>); 7] = [
        (0, &[0], (1, 1, &[])),
        (16, &[0, 18], (1, 2, &[0, 18])),
        (18, &[9], (1, 3, &[9])),
        (19, &[3], (2, 1, &[0, 4])),
        (22, &[0, 1], (2, 6, &[])),
        (22, &[0, 2], (2, 6, &[])),
        (24, &[0, 0, 0, 0], (2, 3, &[])),
    ];
    for (at, octets, (code, subcode, data)) in cases {
        let mut bytes = good.clone();
        bytes[at..at + octets.len()].copy_from_slice(octets);
        let fault = Codec::default().decode(&bytes.into()).unwrap_err();
        let mut bench = Bench::plain();
        let id = bench.open_sent();
        let actions = bench.handle(Event::Fault(id, fault.notification()));
        let [
            Action::Send(_, Message::Notification(told)),
            Action::Close(_),
        ] = &actions[..]
        else {
            panic!("{actions:?}");
        };
        assert_eq!(
            (told.code, told.subcode, &told.data[..]),
            (code, subcode, data)
        );
        assert_eq!(
            bench.peer.status().last_sent.map(|mishap| &mishap.what),
            Some(told)
        );
    }
}

#[test]
fn limits_and_paths_are_negotiated_by_direction() {
    let (mut ours, mut theirs) = (our_config(), their_config());
    ours.add_path_receive.v4 = true;
    theirs.extended_messages = false;
    let mut open = theirs.open(&Restart::NONE);
    open.capabilities
        .push(Capability::AddPath(vec![AddPathFamily {
            family: AddressFamily::IPV4_UNICAST,
            mode: AddPathMode::Both,
        }]));
    let negotiated = negotiate(ours, &open).unwrap().negotiated;
    assert_eq!(negotiated.receive_limit, MessageLimit::Extended);
    assert_eq!(negotiated.send_limit, MessageLimit::Standard);
    let v4 = negotiated.family(Family::V4).unwrap();
    assert!(v4.add_path_receive && !v4.add_path_send && v4.ipv6_next_hop);
    assert!(!negotiated.family(Family::V6).unwrap().add_path_receive);
    assert!(negotiated.enhanced_refresh);
}

#[test]
fn graceful_restart_is_what_the_peer_said_within_what_we_do() {
    let (mut ours, mut theirs) = both_graceful(&long_lived());
    ours.graceful.as_mut().unwrap().notification = true;
    let their_graceful = theirs.graceful.as_mut().unwrap();
    their_graceful.restart_time = secs(30);
    let limit = &mut ours.graceful.as_mut().unwrap().long_lived;
    limit.as_mut().unwrap().helper_limit = Some(secs(600));
    theirs.families.v6 = false;
    let restart = Restart {
        restarting: true,
        preserved: ByFamily::default(),
    };
    let terms = negotiate(ours.clone(), &theirs.open(&restart)).unwrap();
    let found = terms.graceful.as_ref().unwrap();
    assert!(found.restarting && !found.notification);
    let v4 = terms.graceful_family(Family::V4).unwrap();
    assert_eq!((v4.restart_time, v4.forwarding), (secs(30), false));
    assert_eq!(v4.long_lived.unwrap().stale_time, secs(600));
    assert_eq!(terms.graceful_family(Family::V6), None);

    ours.graceful = None;
    let terms = negotiate(ours, &theirs.open(&restart)).unwrap();
    assert_eq!(terms.graceful, None);
}

#[test]
fn a_family_that_is_long_lived_only_has_no_restart_time() {
    let (ours, theirs) = both_graceful(&long_lived());
    let mut open = theirs.open(&Restart::NONE);
    for capability in &mut open.capabilities {
        if let Capability::GracefulRestart(graceful) = capability {
            graceful.families.clear();
        }
    }
    let terms = negotiate(ours, &open).unwrap();
    let v4 = terms.graceful_family(Family::V4).unwrap();
    assert_eq!(v4.restart_time, secs(0));
    assert_eq!(v4.long_lived.unwrap().stale_time, secs(3600));
}

#[test]
fn route_servers_may_leave_their_as_out() {
    let open = their_config().open(&Restart::NONE);
    let mut config = our_config();
    assert!(
        negotiate(config.clone(), &open)
            .unwrap()
            .negotiated
            .enforce_first_as
    );
    config.enforce_first_as = false;
    assert!(
        !negotiate(config, &open)
            .unwrap()
            .negotiated
            .enforce_first_as
    );
}

#[test]
fn refreshes_pass_only_as_negotiated() {
    use crate::bgp::wire::{RefreshSubtype, RouteRefresh, Safi};
    let pass = |theirs: &PeerConfig, without: Option<&Capability>, subtype, family| {
        let mut bench = Bench::new(our_config(), theirs.clone());
        let id = bench.open_sent();
        let mut open = bench.their_open();
        open.capabilities.retain(|it| Some(it) != without);
        bench.message(id, Message::Open(open));
        bench.message(id, Message::Keepalive);
        let refresh = RouteRefresh { family, subtype };
        said(&bench.message(id, Message::RouteRefresh(refresh)))
    };
    let both = their_config();
    let mut only_v4 = both.clone();
    only_v4.families.v6 = false;
    let [v4, v6] = Family::ALL.map(AddressFamily::from);
    let multicast = AddressFamily {
        safi: Safi::MULTICAST,
        ..v4
    };
    use RefreshSubtype::{Begin, End, Request, Unknown};
    let plain = Some(&Capability::RouteRefresh);
    let enhanced = Some(&Capability::EnhancedRouteRefresh);
    for (theirs, without, subtype, family, expected) in [
        (&both, None, Request, v4, "refresh"),
        (&both, None, Begin, v6, "refresh"),
        (&both, None, End, v6, "refresh"),
        (&both, None, Unknown(7), v4, ""),
        (&both, None, Request, multicast, ""),
        (&only_v4, None, Request, v6, ""),
        (&both, plain, Request, v4, ""),
        (&both, enhanced, Begin, v4, ""),
        (&both, enhanced, Request, v4, "refresh"),
    ] {
        let found = pass(theirs, without, subtype, family);
        assert_eq!(
            found, expected,
            "{subtype:?} for {family} without {without:?}"
        );
    }
}
