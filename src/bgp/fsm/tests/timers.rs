//! Timers: each runs when it should, and damping grows and is forgiven.

use std::time::Duration;

use super::support::{Bench, epoch, notification, our_config, said, secs, their_config};
use crate::bgp::fsm::timers::Jitter;
use crate::bgp::fsm::{Action, Backoff, Event, Peer, Reason, Restart, State};
use crate::bgp::wire::{CeaseSubcode, HoldTime, Message};

#[test]
fn a_silent_peer_is_given_up_after_the_hold_time_and_not_before() {
    let mut bench = Bench::plain();
    bench.establish();
    let actions = said(&bench.pass(secs(90) - Duration::from_millis(1)));
    assert!(
        actions.split(' ').all(|word| word == "keepalive"),
        "{actions}"
    );
    assert_eq!(bench.peer.state(), State::Established);
    assert_eq!(
        said(&bench.pass(Duration::from_millis(1))),
        "4/0 close down"
    );
    let down = bench.peer.status().last_down.unwrap();
    assert_eq!(down.what.to_string(), "sent hold timer expired");
}

#[test]
fn keepalives_and_updates_keep_the_session_alive() {
    use super::support::update;
    for message in [Message::Keepalive, update()] {
        let mut bench = Bench::plain();
        let id = bench.establish();
        for _ in 0..20 {
            bench.handle(Event::Written(id));
            bench.pass(secs(80));
            bench.message(id, message.clone());
        }
        assert_eq!(bench.peer.state(), State::Established);
    }
}

#[test]
fn keepalives_go_out_in_time_and_not_more_than_one_a_second() {
    for (hold_time, least, most) in [(90, 22_500, 30_000), (3, 1_000, 1_000)] {
        let mut ours = our_config();
        ours.hold_time = HoldTime::from_secs(hold_time).unwrap();
        let mut bench = Bench::new(ours, their_config());
        let id = bench.establish();
        let mut intervals = Vec::new();
        for _ in 0..50 {
            let due = bench.peer.status().timers.keepalive.unwrap();
            intervals.push((due - bench.now).as_millis());
            bench.message(id, Message::Keepalive);
            bench.handle(Event::Written(id));
            assert_eq!(said(&bench.jump(due)), "keepalive");
        }
        let range = least..=most;
        assert!(
            intervals.iter().all(|it| range.contains(it)),
            "{intervals:?}"
        );
        let spread = intervals.iter().max() > intervals.iter().min();
        assert_eq!(spread, least < most, "jitter where there is room for it");
    }
}

#[test]
fn an_update_puts_the_next_keepalive_off() {
    let mut bench = Bench::plain();
    let id = bench.establish();
    let before = bench.peer.status().timers.keepalive.unwrap();
    bench.now += secs(20);
    bench.message(id, Message::Keepalive);
    bench.handle(Event::UpdatesSent(id, 3));
    assert!(bench.peer.status().timers.keepalive.unwrap() > before);
    assert_eq!(bench.peer.status().counters.sent.updates, 3);
}

#[test]
fn without_a_hold_time_nothing_is_sent_and_nothing_expires() {
    let mut ours = our_config();
    ours.hold_time = HoldTime::DISABLED;
    let mut bench = Bench::new(ours, their_config());
    bench.establish();
    assert_eq!(bench.peer.poll_timeout(), None);
    assert!(bench.pass(secs(86_400)).is_empty());
    assert_eq!(bench.peer.state(), State::Established);
}

#[test]
fn without_a_hold_time_a_peer_may_still_not_stop_half_way() {
    let mut ours = our_config();
    ours.hold_time = HoldTime::DISABLED;
    let mut bench = Bench::new(ours, their_config());
    bench.open_confirm();
    assert_eq!(said(&bench.pass(secs(239))), "");
    assert_eq!(said(&bench.jump(bench.now + secs(1))), "4/0 close");
}

#[test]
fn a_peer_that_never_opens_is_given_up_after_four_minutes() {
    let mut bench = Bench::plain();
    bench.open_sent();
    assert_eq!(said(&bench.pass(secs(239))), "");
    assert_eq!(said(&bench.jump(bench.now + secs(1))), "4/0 close");
    assert_eq!(bench.peer.state(), State::Idle);
}

#[test]
fn a_peer_that_speaks_but_does_not_read_is_given_up() {
    let mut ours = our_config();
    ours.send_hold = Some(secs(200));
    let mut bench = Bench::new(ours, their_config());
    let id = bench.establish();
    let mut actions = Vec::new();
    for step in 0..20 {
        if step < 5 {
            bench.handle(Event::Written(id));
        }
        actions.extend(bench.pass(secs(20)));
        bench.message(id, Message::Keepalive);
    }
    let down = actions.iter().find_map(|action| match action {
        Action::Down(down) => Some(&down.reason),
        _ => None,
    });
    assert_eq!(down, Some(&Reason::SendHoldTimerExpired));
    // Nothing more is put where nothing is taken out.
    let words = said(&actions);
    assert!(words.contains("keepalive close down"), "{words}");
}

#[test]
fn attempts_to_connect_double_their_waits_up_to_the_limit() {
    let mut bench = Bench::plain();
    let mut id = bench.connect();
    let mut waits = Vec::new();
    for _ in 0..10 {
        bench.handle(Event::Closed(id));
        assert_eq!(bench.peer.state(), State::Active);
        let due = bench.peer.status().timers.connect_retry.unwrap();
        waits.push((due - bench.now).as_secs_f64());
        match bench.jump(due)[..] {
            [Action::Connect(next)] => id = next,
            ref other => panic!("{other:?}"),
        }
    }
    let full = [2., 4., 8., 16., 32., 64., 120., 120., 120., 120.];
    for (wait, full) in waits.iter().zip(full) {
        assert!((full * 0.75..=full).contains(wait), "{waits:?}");
    }
    assert_eq!(bench.peer.status().connect_retries, 10);
    // An OPEN that is accepted makes the next failure the first again.
    let open = Message::Open(bench.their_open());
    bench.handle(Event::Connected(id));
    bench.message(id, open);
    assert_eq!(bench.peer.status().connect_retries, 0);
}

#[test]
fn an_attempt_that_hangs_is_begun_anew_after_the_limit() {
    let mut bench = Bench::plain();
    bench.connect();
    let due = bench.peer.status().timers.connect_retry.unwrap();
    assert!((secs(90)..=secs(120)).contains(&(due - bench.now)));
    assert_eq!(said(&bench.jump(due)), "close connect");
}

/// The wait in Idle after an error, in milliseconds.
fn held_for(bench: &Bench) -> u128 {
    let due = bench.peer.status().timers.idle_hold.unwrap();
    (due - bench.now).as_millis()
}

#[test]
fn errors_in_a_row_are_damped_and_a_session_that_lasts_is_forgiven() {
    let mut bench = Bench::plain();
    let mut id = bench.establish();
    let mut waits = Vec::new();
    for _ in 0..9 {
        bench.message(id, Message::Notification(notification(6, 6)));
        assert_eq!(bench.peer.state(), State::Idle);
        waits.push(held_for(&bench));
        let (refused, actions) = bench.accept();
        assert_eq!(said(&actions), "close-in");
        assert_eq!(said(&bench.handle(Event::Closed(refused))), "");
        let open = bench.their_open();
        bench.come_back(open);
        id = bench.peer.established().unwrap().0;
    }
    let full = [1, 2, 4, 8, 16, 32, 60, 60, 60].map(|seconds| seconds * 1_000);
    for (wait, full) in waits.iter().zip(full) {
        assert!((full * 3 / 4..=full).contains(wait), "{waits:?}");
    }
    bench.message(id, Message::Keepalive);
    bench.pass(secs(60));
    bench.handle(Event::Closed(id));
    assert!(held_for(&bench) <= 1_000);
}

#[test]
fn a_refusal_by_closing_leads_to_active_where_the_peer_may_connect() {
    let mut bench = Bench::plain();
    let id = bench.open_sent();
    assert_eq!(said(&bench.handle(Event::Closed(id))), "");
    assert_eq!(bench.peer.state(), State::Active);
    assert!(bench.peer.status().timers.connect_retry.is_some());
    assert_eq!(said(&bench.accept().1), "open");
    assert_eq!(bench.peer.status().timers.connect_retry, None);
}

#[test]
fn a_passive_peer_never_connects() {
    let mut ours = our_config();
    ours.passive = true;
    let mut bench = Bench::new(ours, their_config());
    assert_eq!(said(&bench.handle(Event::Start)), "");
    assert_eq!(bench.peer.state(), State::Active);
    assert_eq!(bench.peer.poll_timeout(), None);
    let (id, _) = bench.accept();
    bench.handle(Event::Closed(id));
    assert_eq!(bench.peer.state(), State::Active);
    assert_eq!(bench.peer.poll_timeout(), None);
    let (id, _) = bench.accept();
    let cease = CeaseSubcode::AdministrativeReset.into();
    bench.message(id, Message::Notification(cease));
    assert_eq!(bench.peer.state(), State::Idle);
    bench.pass(secs(2));
    assert_eq!(bench.peer.state(), State::Active);
}

#[test]
fn a_delayed_open_goes_out_with_the_peers_or_when_the_delay_is_over() {
    let mut ours = our_config();
    ours.delay_open = Some(secs(10));
    for waits in [true, false] {
        let mut bench = Bench::new(ours.clone(), their_config());
        let id = bench.connect();
        assert_eq!(said(&bench.handle(Event::Connected(id))), "");
        let open = Message::Open(bench.their_open());
        if waits {
            assert_eq!(said(&bench.pass(secs(10))), "open");
            assert_eq!(said(&bench.message(id, open)), "keepalive");
        } else {
            assert_eq!(said(&bench.message(id, open)), "open keepalive");
        }
        assert_eq!(bench.peer.state(), State::OpenConfirm);
    }
}

#[test]
fn waits_double_from_the_first_to_the_limit_and_are_never_none() {
    let backoff = Backoff {
        first: secs(3),
        limit: secs(20),
    };
    let waits: Vec<_> = (0..6).map(|n| backoff.delay(n).as_secs()).collect();
    assert_eq!(waits, [3, 3, 6, 12, 20, 20]);
    assert_eq!(backoff.delay(u32::MAX), secs(20));
    let none = Backoff {
        first: Duration::ZERO,
        limit: Duration::ZERO,
    };
    assert_eq!(none.delay(1), Backoff::SHORTEST);
    let endless = Backoff {
        first: Duration::MAX,
        limit: Duration::MAX,
    };
    assert_eq!(endless.delay(40), Duration::MAX);
}

#[test]
fn jitter_takes_off_up_to_a_quarter_and_differs_between_seeds() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..1_000 {
        let wait = Jitter::new(seed).spread(secs(100));
        assert!((secs(75)..=secs(100)).contains(&wait), "{wait:?}");
        seen.insert(wait.as_millis());
    }
    assert!(seen.len() > 900);
    let first = *seen.first().unwrap();
    assert!(first < 76_000 && *seen.last().unwrap() > 99_000);
    assert!(Jitter::new(3).spread(Duration::MAX) <= Duration::MAX);
}

#[test]
fn waits_beyond_all_time_are_no_deadline() {
    let mut ours = our_config();
    ours.connect_retry.limit = Duration::MAX;
    let mut peer = Peer::new(epoch(), ours, Restart::NONE, 9);
    let now = epoch();
    assert_eq!(said(&peer.handle(now, Event::Start)), "connect");
    assert_eq!(peer.poll_timeout(), None);
}
