//! What an operator is told of attempts that lead to no session.

use super::support::{Bench, OUR_ID, notification, our_config, secs, their_config};
use crate::bgp::fsm::{Action, ConnectionId, Event, PeerAs, State};
use crate::bgp::wire::{CeaseSubcode, Message, Notification};

fn failures(actions: &[Action]) -> Vec<String> {
    let failures = actions.iter().filter_map(|action| match action {
        Action::Failed(failure) => Some(failure.to_string()),
        _ => None,
    });
    failures.collect()
}

fn refused(id: ConnectionId) -> Event {
    Event::Unreachable(id, "Connection refused (os error 111)".to_owned())
}

fn last(bench: &Bench) -> Option<String> {
    let last = bench.peer.status().last_failure;
    last.map(|failure| failure.what.to_string())
}

#[test]
fn attempts_that_fail_for_one_reason_are_told_once() {
    let mut bench = Bench::plain();
    let id = bench.connect();
    let told = failures(&bench.handle(refused(id)));
    assert_eq!(told, ["no connection: Connection refused (os error 111)"]);
    assert_eq!(bench.peer.state(), State::Active);
    let actions = bench.pass(secs(3));
    let [Action::Connect(id)] = actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(failures(&bench.handle(refused(id))), [""; 0]);
    let actions = bench.pass(secs(300));
    let no_answer = "no answer: packets are dropped on the way, or the passwords differ";
    assert_eq!(
        failures(&actions),
        [no_answer],
        "attempts without an answer"
    );
    assert_eq!(last(&bench).as_deref(), Some(no_answer));
}

#[test]
fn an_open_that_is_refused_is_told_with_what_is_wrong_in_it() {
    let mut same_id = their_config();
    (same_id.local_as, same_id.router_id) = (our_config().local_as, OUR_ID);
    let mut inside = our_config();
    inside.peer_as = PeerAs::Exactly(inside.local_as);
    let mut other_as = their_config();
    other_as.local_as = 65_123;
    let cases = [
        (
            our_config(),
            other_as,
            "the peer's OPEN is refused: its AS is 65123 instead of 4200000001",
        ),
        (
            inside,
            same_id,
            "the peer's OPEN is refused: it has our own BGP identifier 10.0.0.5 within our AS",
        ),
    ];
    for (ours, theirs, words) in cases {
        let mut bench = Bench::new(ours, theirs);
        let id = bench.open_sent();
        let open = bench.their_open();
        let actions = bench.message(id, Message::Open(open));
        assert_eq!(failures(&actions), [words]);
    }
}

#[test]
fn the_peers_last_words_before_a_session_are_told_but_not_those_of_a_collision() {
    let collision = Notification::from(CeaseSubcode::ConnectionCollisionResolution);
    let cases = [
        (notification(2, 2), Some("bad peer AS")),
        (
            CeaseSubcode::ConnectionRejected.into(),
            Some("connection rejected"),
        ),
        (collision, None),
    ];
    for (said, words) in cases {
        let mut bench = Bench::plain();
        let id = bench.open_sent();
        let told = failures(&bench.message(id, Message::Notification(said)));
        let is_told = told
            .first()
            .is_some_and(|told| told.contains(words.unwrap_or("")));
        assert_eq!(is_told, words.is_some(), "{told:?}");
    }
}

#[test]
fn a_session_clears_the_failures_before_it_and_its_own_end_is_none() {
    let mut bench = Bench::plain();
    let id = bench.connect();
    bench.handle(refused(id));
    assert!(last(&bench).is_some());
    let (id, _) = bench.accept();
    let open = bench.their_open();
    bench.message(id, Message::Open(open));
    bench.message(id, Message::Keepalive);
    assert_eq!(bench.peer.state(), State::Established);
    assert_eq!(last(&bench), None);
    let actions = bench.handle(Event::Closed(id));
    assert_eq!(failures(&actions), [""; 0]);
}

#[test]
fn what_an_operator_ends_is_no_failure() {
    let mut bench = Bench::plain();
    bench.open_sent();
    let actions = bench.handle(Event::Reset("again".to_owned()));
    assert_eq!(failures(&actions), [""; 0]);
}
