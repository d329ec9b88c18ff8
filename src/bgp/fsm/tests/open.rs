//! OPENs: what ours says, and what the peer's has to say.

use std::net::Ipv4Addr;

use bytes::Bytes;

use super::support::{
    Bench, OUR_AS, OUR_ID, THEIR_AS, THEIR_ID, graceful, long_lived, our_config, their_config,
};
use crate::bgp::fsm::{Action, Event, Failure, PeerAs, PeerConfig, Restart, State, Terms};
use crate::bgp::wire::{
    AddPathFamily, AddPathMode, AddressFamily, Afi, Capability, Codec, ExtendedNextHop,
    GracefulFamily, GracefulRestart, HoldTime, LongLivedFamily, Message, Open, PeerKind,
};
use crate::net::{ByFamily, Family};

/// The terms after both OPENs, or what the peer was told instead.
pub(super) fn negotiate(ours: PeerConfig, theirs: &Open) -> Result<Terms, (u8, u8, Bytes)> {
    let mut bench = Bench::new(ours, their_config());
    let id = bench.open_sent();
    let actions = bench.message(id, Message::Open(theirs.clone()));
    match &actions[..] {
        [Action::Send(_, Message::Keepalive)] => Ok(bench.peer.terms(id).unwrap().clone()),
        [
            Action::Send(_, Message::Notification(said)),
            Action::Close(_),
            Action::Failed(Failure::Open(_)),
        ] => {
            assert_eq!(bench.peer.state(), State::Idle);
            Err((said.code, said.subcode, said.data.clone()))
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn hold(seconds: u16) -> HoldTime {
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
            Action::Failed(_),
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
