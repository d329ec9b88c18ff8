//! RFC 4271 section 6.8 with RFC 6286: which of two connections stays.

use std::net::Ipv4Addr;

use super::support::{
    Bench, OUR_AS, OUR_ID, both_graceful, graceful, our_config, said, secs, their_config,
};
use crate::bgp::fsm::peer::{Identity, Verdict, collide};
use crate::bgp::fsm::{ConnectionId, Direction, Event, PeerAs, PeerConfig, Restart, State};
use crate::bgp::wire::Message;
use crate::net::ByFamily;

use Direction::{Incoming, Outgoing};

fn who(id: u8, asn: u32) -> Identity {
    Identity {
        router_id: Ipv4Addr::new(10, 0, 0, id),
        asn,
    }
}

/// Both directions × all states × smaller, greater and equal identifiers.
#[test]
fn the_connection_of_the_greater_speaker_stays_unless_one_is_established() {
    let states = [
        State::Connect,
        State::Active,
        State::OpenSent,
        State::OpenConfirm,
        State::Established,
    ];
    let speakers = [
        ("smaller", who(1, 65001), who(2, 65002), Incoming),
        ("greater", who(2, 65001), who(1, 65002), Outgoing),
        // As numbers, not octet by octet from the wrong end.
        (
            "high octet",
            who(9, 65001),
            Identity {
                router_id: Ipv4Addr::new(9, 9, 9, 255),
                asn: 65002,
            },
            Outgoing,
        ),
        ("equal, smaller AS", who(1, 65001), who(1, 65002), Incoming),
        (
            "equal, greater AS",
            who(1, 4_200_000_000),
            who(1, 65002),
            Outgoing,
        ),
    ];
    for (name, ours, theirs, preferred) in speakers {
        for state in states {
            for (existing, new) in [(Outgoing, Incoming), (Incoming, Outgoing)] {
                let verdict = collide(state, new, ours, theirs, false);
                let expected = match state {
                    State::Established => Some(Verdict::KeepExisting),
                    State::OpenSent | State::OpenConfirm if new == preferred => {
                        Some(Verdict::KeepNew)
                    }
                    State::OpenSent | State::OpenConfirm => Some(Verdict::KeepExisting),
                    _ => None,
                };
                assert_eq!(verdict, expected, "{name}, {existing:?} in {state}");
            }
        }
    }
}

#[test]
fn both_sides_keep_the_same_connection() {
    let ids = [who(1, 65001), who(2, 65001), who(1, 65002), who(200, 7)];
    for ours in ids {
        for theirs in ids {
            if ours == theirs {
                continue;
            }
            // Ours to the peer is the peer's incoming one; each side's order of OPENs is its own.
            for (at_ours, at_theirs) in [
                (Outgoing, Outgoing),
                (Outgoing, Incoming),
                (Incoming, Outgoing),
                (Incoming, Incoming),
            ] {
                let keeps = |existing: Direction, a, b| {
                    let new = other(existing);
                    match collide(State::OpenConfirm, new, a, b, false) {
                        Some(Verdict::KeepNew) => new,
                        _ => existing,
                    }
                };
                let here = keeps(at_ours, ours, theirs);
                let there = keeps(at_theirs, theirs, ours);
                assert_eq!(here, other(there), "{ours:?} and {theirs:?}");
            }
        }
    }
}

fn other(direction: Direction) -> Direction {
    match direction {
        Outgoing => Incoming,
        Incoming => Outgoing,
    }
}

/// A peer with the given identifier, and both connections in OpenSent.
fn two_connections(theirs: PeerConfig) -> (Bench, ConnectionId, ConnectionId) {
    let mut ours = our_config();
    ours.peer_as = PeerAs::Exactly(theirs.local_as);
    let mut bench = Bench::new(ours, theirs);
    let outgoing = bench.connect();
    let (incoming, actions) = bench.accept();
    assert_eq!(said(&actions), "open");
    assert_eq!(said(&bench.handle(Event::Connected(outgoing))), "open");
    (bench, outgoing, incoming)
}

#[test]
fn the_loser_is_closed_by_a_cease_without_hurting_the_other() {
    let mut greater = their_config();
    greater.router_id = Ipv4Addr::new(10, 0, 0, 6);
    let mut smaller = greater.clone();
    smaller.router_id = Ipv4Addr::new(10, 0, 0, 4);
    let mut equal = greater.clone();
    equal.router_id = OUR_ID;
    for (theirs, keeps) in [(greater, Incoming), (smaller, Outgoing), (equal, Incoming)] {
        for first in [Outgoing, Incoming] {
            let (mut bench, outgoing, incoming) = two_connections(theirs.clone());
            let (one, two) = match first {
                Outgoing => (outgoing, incoming),
                Incoming => (incoming, outgoing),
            };
            let open = Message::Open(bench.their_open());
            // The first OPEN decides, on whichever connection it comes.
            let actions = said(&bench.message(one, open.clone()));
            let (loser, expected) = match (keeps, first) {
                (Outgoing, Outgoing) => (incoming, "6/7 close-in keepalive"),
                (Outgoing, Incoming) => (incoming, "6/7 close-in"),
                (Incoming, Incoming) => (outgoing, "6/7 close keepalive"),
                (Incoming, Outgoing) => (outgoing, "6/7 close"),
            };
            assert_eq!(actions, expected, "{} keeps {keeps:?}", theirs.router_id);
            let winner = if loser == one { two } else { one };
            if loser == one {
                assert_eq!(said(&bench.message(winner, open)), "keepalive");
            }
            assert_eq!(said(&bench.message(winner, Message::Keepalive)), "up");
            assert_eq!(bench.peer.established().map(|(id, _)| id), Some(winner));
            assert_eq!(said(&bench.message(loser, Message::Keepalive)), "");
        }
    }
}

#[test]
fn an_established_session_outlives_a_second_connection_and_its_end() {
    let mut bench = Bench::plain();
    let id = bench.establish();
    let (second, actions) = bench.accept();
    assert_eq!(said(&actions), "open");
    let open = Message::Open(bench.their_open());
    assert_eq!(said(&bench.message(second, open)), "6/7 close-in");
    let (third, _) = bench.accept();
    assert_eq!(said(&bench.handle(Event::Closed(third))), "");
    assert_eq!(bench.peer.established().map(|(id, _)| id), Some(id));
}

#[test]
fn a_peer_that_says_it_has_restarted_takes_the_place_of_its_old_session() {
    let (ours, theirs) = both_graceful(&graceful());
    let mut bench = Bench::new(ours, theirs);
    bench.establish();
    let (second, _) = bench.accept();
    let restarted = bench.theirs.open(&Restart {
        restarting: true,
        preserved: ByFamily { v4: true, v6: true },
    });
    let actions = said(&bench.message(second, Message::Open(restarted)));
    assert_eq!(actions, "close down-gracefully keepalive");
    assert_eq!(said(&bench.message(second, Message::Keepalive)), "up");
    assert_eq!(bench.peer.established().map(|(id, _)| id), Some(second));
}

#[test]
fn a_newer_connection_of_the_peer_takes_the_place_of_one_that_is_not_established() {
    let mut bench = Bench::plain();
    let mut passive = bench.peer.config().clone();
    passive.passive = true;
    assert!(bench.peer.set_config(bench.now, passive).is_empty());
    bench.handle(Event::Start);
    let mut before: Option<ConnectionId> = None;
    for _ in 0..1_000 {
        let (id, actions) = bench.accept();
        let expected = if before.is_some() {
            "close-in open"
        } else {
            "open"
        };
        assert_eq!(said(&actions), expected);
        before = Some(id);
    }
    let id = before.unwrap();
    let open = Message::Open(bench.their_open());
    assert_eq!(said(&bench.message(id, open)), "keepalive");
    assert_eq!(said(&bench.message(id, Message::Keepalive)), "up");
}

/// Our connection is still in OpenSent when the peer's is established, and the peer comes again.
#[test]
fn there_is_room_for_one_connection_beside_an_established_one() {
    let mut delayed = our_config();
    delayed.delay_open = Some(secs(60));
    let mut bench = Bench::new(delayed, their_config());
    let outgoing = bench.connect();
    let (first, _) = bench.accept();
    bench.handle(Event::Connected(outgoing));
    let open = Message::Open(bench.their_open());
    assert_eq!(said(&bench.message(first, open)), "open keepalive");
    assert_eq!(said(&bench.message(first, Message::Keepalive)), "up");
    assert_eq!(said(&bench.accept().1), "close");
    assert_eq!(said(&bench.accept().1), "close-in");
    assert_eq!(bench.peer.established().map(|(id, _)| id), Some(first));
}

#[test]
fn an_attempt_under_way_is_given_up_once_the_peers_open_was_accepted() {
    let mut bench = Bench::plain();
    let dialed = bench.connect();
    let (id, _) = bench.accept();
    let open = Message::Open(bench.their_open());
    assert_eq!(said(&bench.message(id, open)), "close keepalive");
    assert_eq!(said(&bench.message(id, Message::Keepalive)), "up");
    assert_eq!(said(&bench.handle(Event::Connected(dialed))), "");
}

#[test]
fn an_internal_peer_with_our_identifier_is_refused_before_any_collision() {
    let mut theirs = their_config();
    (theirs.local_as, theirs.router_id) = (OUR_AS, OUR_ID);
    let (mut bench, outgoing, _) = two_connections(theirs);
    let open = Message::Open(bench.their_open());
    assert_eq!(said(&bench.message(outgoing, open)), "2/3 close");
}
