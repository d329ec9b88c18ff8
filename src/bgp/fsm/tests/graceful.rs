//! Graceful restart of a peer: what becomes of its routes.

use std::time::Duration;

use super::support::{Bench, both_graceful, fates, graceful, notification, said, secs};
use crate::bgp::fsm::{Action, ConnectionId, Event, GracefulConfig, Restart, State, Stop};
use crate::bgp::wire::{Capability, CeaseSubcode, Message, Notification};
use crate::net::{ByFamily, Family};

const BOTH: ByFamily<bool> = ByFamily { v4: true, v6: true };

fn with_notification() -> GracefulConfig {
    GracefulConfig {
        notification: true,
        ..graceful()
    }
}

fn established(graceful: &GracefulConfig) -> (Bench, ConnectionId) {
    let (ours, theirs) = both_graceful(graceful);
    let mut bench = Bench::new(ours, theirs);
    let id = bench.establish();
    (bench, id)
}

fn restarted(bench: &Bench, preserved: ByFamily<bool>) -> crate::bgp::wire::Open {
    bench.theirs.open(&Restart {
        restarting: true,
        preserved,
    })
}

/// What becomes of the routes when a session ends so, by what was negotiated.
#[test]
fn routes_are_kept_by_how_the_session_ended_and_what_was_negotiated() {
    type End = fn(ConnectionId) -> Event;
    let hard = || Notification::from(CeaseSubcode::AdministrativeReset).into_hard_reset();
    assert!(hard().is_hard_reset());
    let ends: [(&str, End, bool, bool); 7] = [
        ("lost", Event::Closed, true, true),
        (
            "received",
            |id| Event::Message(id, Message::Notification(notification(6, 4))),
            false,
            true,
        ),
        (
            "received hard",
            |id| {
                let cease = Notification::from(CeaseSubcode::AdministrativeReset);
                Event::Message(id, Message::Notification(cease.into_hard_reset()))
            },
            false,
            false,
        ),
        (
            "sent",
            |id| Event::Fault(id, notification(3, 1)),
            false,
            true,
        ),
        (
            "shutdown",
            |_| Event::Stop(Stop::Shutdown("maintenance".into())),
            false,
            false,
        ),
        (
            "deconfigured",
            |_| Event::Stop(Stop::Deconfigured),
            false,
            false,
        ),
        ("reset", |_| Event::Reset(String::new()), false, false),
    ];
    for (name, end, plain, with_n) in ends {
        for (config, kept) in [(graceful(), plain), (with_notification(), with_n)] {
            let (mut bench, id) = established(&config);
            let actions = bench.handle(end(id));
            let expected = if kept {
                "v4-stale v6-stale"
            } else {
                "v4-drop v6-drop"
            };
            assert_eq!(fates(&actions), expected, "{name}, {}", config.notification);
            assert_eq!(bench.peer.has_stale(Family::V4), kept, "{name}");
            let words = said(&actions);
            assert_eq!(words.contains("down-gracefully"), kept, "{name}: {words}");
        }
        let mut bench = Bench::plain();
        let id = bench.establish();
        let actions = bench.handle(end(id));
        assert_eq!(fates(&actions), "v4-drop v6-drop", "{name} without any");
    }
}

#[test]
fn the_hold_timer_is_graceful_with_the_n_bit_only() {
    for (config, expected) in [
        (graceful(), "v4-drop v6-drop"),
        (with_notification(), "v4-stale v6-stale"),
    ] {
        let (mut bench, _) = established(&config);
        let due = bench.peer.status().timers.hold.unwrap();
        let actions = bench.jump(due);
        assert_eq!(fates(&actions), expected);
        assert!(said(&actions).starts_with("4/0 close down"));
    }
}

#[test]
fn a_hard_reset_carries_its_reason_to_those_who_know_it() {
    for (config, subcode) in [(graceful(), 2), (with_notification(), 9)] {
        let (mut bench, _) = established(&config);
        let actions = bench.handle(Event::Stop(Stop::Shutdown("rack move".into())));
        let Some(Action::Send(_, Message::Notification(sent))) = actions.first() else {
            panic!("{actions:?}");
        };
        assert_eq!((sent.code, sent.subcode), (6, subcode));
        assert_eq!(sent.text().as_deref(), Some("rack move"));
    }
}

#[test]
fn our_own_restart_leaves_those_without_a_word_who_keep_our_routes() {
    let (mut bench, _) = established(&graceful());
    let actions = bench.handle(Event::Stop(Stop::Restart));
    assert_eq!(said(&actions), "close down-gracefully");
    let mut bench = Bench::plain();
    bench.establish();
    assert_eq!(
        said(&bench.handle(Event::Stop(Stop::Restart))),
        "6/4 close down"
    );
}

/// Down, up within the restart time, End-of-RIB: nothing but what was not told again goes.
#[test]
fn a_peer_that_is_back_in_time_loses_only_what_it_does_not_tell_again() {
    let (mut bench, id) = established(&graceful());
    assert_eq!(fates(&bench.handle(Event::Closed(id))), "v4-stale v6-stale");
    bench.now += secs(30);
    let open = restarted(&bench, BOTH);
    let actions = bench.come_back(open);
    assert_eq!(
        (said(&actions), fates(&actions)),
        ("close keepalive up".into(), String::new())
    );
    assert_eq!(
        fates(&bench.handle(Event::EndOfRib(Family::V6))),
        "v6-flush"
    );
    assert!(bench.peer.has_stale(Family::V4) && !bench.peer.has_stale(Family::V6));
    assert_eq!(
        fates(&bench.handle(Event::EndOfRib(Family::V4))),
        "v4-flush"
    );
    assert_eq!(fates(&bench.handle(Event::EndOfRib(Family::V4))), "");
}

#[test]
fn an_end_of_rib_counts_only_while_the_peer_is_there() {
    let (mut bench, id) = established(&graceful());
    bench.handle(Event::Closed(id));
    assert!(bench.handle(Event::EndOfRib(Family::V4)).is_empty());
    assert!(bench.peer.has_stale(Family::V4));
}

#[test]
fn a_peer_that_stays_away_loses_its_routes_after_its_restart_time() {
    let (mut bench, id) = established(&graceful());
    bench.handle(Event::Closed(id));
    let lost = bench.now;
    let mut passive = bench.peer.config().clone();
    passive.passive = true;
    assert!(bench.peer.set_config(lost, passive).is_empty());
    assert_eq!(fates(&bench.pass(secs(120) - Duration::from_millis(1))), "");
    assert_eq!(
        fates(&bench.pass(Duration::from_millis(1))),
        "v4-flush v6-flush"
    );
    let open = restarted(&bench, BOTH);
    assert_eq!(fates(&bench.come_back(open)), "");
}

#[test]
fn what_the_peer_did_not_preserve_goes_as_soon_as_it_is_back() {
    let only_v6 = ByFamily {
        v4: false,
        v6: true,
    };
    let (mut bench, id) = established(&graceful());
    bench.handle(Event::Closed(id));
    let open = restarted(&bench, only_v6);
    assert_eq!(fates(&bench.come_back(open)), "v4-flush");
    assert_eq!(
        fates(&bench.handle(Event::EndOfRib(Family::V6))),
        "v6-flush"
    );

    let (mut bench, id) = established(&graceful());
    bench.handle(Event::Closed(id));
    let mut open = restarted(&bench, BOTH);
    open.capabilities
        .retain(|it| !matches!(it, Capability::GracefulRestart(_)));
    assert_eq!(fates(&bench.come_back(open)), "v4-flush v6-flush");

    let (mut bench, id) = established(&graceful());
    bench.handle(Event::Closed(id));
    bench.theirs.families.v6 = false;
    let open = restarted(&bench, BOTH);
    assert_eq!(
        fates(&bench.come_back(open)),
        "v6-flush",
        "no longer exchanged"
    );
}

#[test]
fn a_peer_that_never_sends_its_end_of_rib_is_not_waited_for_for_ever() {
    let (mut bench, id) = established(&graceful());
    bench.handle(Event::Closed(id));
    let open = restarted(&bench, BOTH);
    bench.come_back(open);
    let id = bench.peer.established().unwrap().0;
    let mut seen = String::new();
    for _ in 0..36 {
        assert_eq!(seen, "");
        seen = fates(&bench.pass(secs(10)));
        bench.message(id, Message::Keepalive);
        bench.handle(Event::Written(id));
    }
    assert_eq!(seen, "v4-flush v6-flush");
    assert_eq!(bench.peer.state(), State::Established);
}

#[test]
fn a_second_loss_before_end_of_rib_drops_what_was_stale_already() {
    let (mut bench, id) = established(&graceful());
    bench.handle(Event::Closed(id));
    let open = restarted(&bench, BOTH);
    bench.come_back(open);
    let id = bench.peer.established().unwrap().0;
    // `Fate::Stale` is "those already stale go, all others become stale".
    assert_eq!(fates(&bench.handle(Event::Closed(id))), "v4-stale v6-stale");
}

#[test]
fn stopping_a_peer_that_is_away_drops_what_was_kept_of_it() {
    for stop in [Stop::Deconfigured, Stop::Shutdown(String::new())] {
        let (mut bench, id) = established(&graceful());
        bench.handle(Event::Closed(id));
        let actions = bench.handle(Event::Stop(stop));
        assert_eq!(fates(&actions), "v4-flush v6-flush");
        assert_eq!(bench.peer.poll_timeout(), None);
    }
}
