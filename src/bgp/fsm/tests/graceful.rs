//! Graceful restart, long-lived or not, as helper and as the one that restarted.

use std::time::{Duration, Instant};

use super::support::{
    Bench, both_graceful, epoch, fates, graceful, long_lived, notification, our_config, said, secs,
    their_config,
};
use crate::bgp::fsm::{
    Action, ConnectionId, Event, Fate, GracefulConfig, Helper, Released, Restart, Restarting,
    State, Stop, Terms,
};
use crate::bgp::wire::{Capability, CeaseSubcode, Message, Notification};
use crate::net::{ByFamily, Family};

const BOTH: ByFamily<bool> = ByFamily { v4: true, v6: true };
const NONE: ByFamily<bool> = ByFamily {
    v4: false,
    v6: false,
};

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

// === long-lived ===

#[test]
fn long_lived_routes_follow_the_restart_time_and_go_after_their_own() {
    let (mut bench, id) = established(&long_lived());
    bench.handle(Event::Closed(id));
    bench.peer = {
        // Nobody connects: only the helper's timers are of interest.
        let mut peer = bench.peer.clone();
        let mut passive = peer.config().clone();
        passive.passive = true;
        assert!(peer.set_config(bench.now, passive).is_empty());
        peer
    };
    assert_eq!(fates(&bench.pass(secs(119))), "");
    assert_eq!(fates(&bench.pass(secs(1))), "v4-long-lived v6-long-lived");
    assert_eq!(fates(&bench.pass(secs(3599))), "");
    assert_eq!(fates(&bench.pass(secs(1))), "v4-flush v6-flush");
}

/// The terms that both configurations come to, with the peer's OPEN as given.
fn terms(config: &GracefulConfig, restart: &Restart) -> Terms {
    let (ours, theirs) = both_graceful(config);
    let mut bench = Bench::new(ours, theirs);
    let id = bench.open_sent();
    let open = bench.theirs.open(restart);
    bench.message(id, Message::Open(open));
    bench.peer.terms(id).unwrap().clone()
}

fn list(fates: impl Iterator<Item = (Family, Fate)>) -> Vec<Fate> {
    fates.map(|(_, fate)| fate).collect()
}

#[test]
fn a_long_lived_family_keeps_its_time_over_the_peers_return_and_next_loss() {
    let terms = terms(&long_lived(), &Restart::NONE);
    let start = epoch();
    let at = |seconds| start + secs(seconds);
    let mut helper = Helper::default();
    assert_eq!(list(helper.lost(at(0), &terms, true)), [Fate::Stale; 2]);
    assert_eq!(list(helper.handle_timeout(at(120))), [Fate::LongLived; 2]);
    assert_eq!(helper.poll_timeout(), Some(at(3720)));
    assert_eq!(list(helper.up(at(1000), &terms, secs(360))), []);
    assert_eq!(helper.poll_timeout(), Some(at(3720)));
    assert_eq!(
        list(helper.lost(at(1100), &terms, true)),
        [Fate::LongLived; 2]
    );
    assert_eq!(helper.poll_timeout(), Some(at(3720)));
    assert_eq!(list(helper.up(at(3000), &terms, secs(360))), []);
    assert_eq!(helper.end_of_rib(Family::V4), Some(Fate::Flush));
    assert_eq!(list(helper.handle_timeout(at(3720))), [Fate::Flush]);
    assert_eq!(helper.poll_timeout(), None);
    // From here on a loss starts anew.
    assert_eq!(list(helper.lost(at(4000), &terms, true)), [Fate::Stale; 2]);
    assert_eq!(helper.poll_timeout(), Some(at(4120)));
    assert_eq!(list(helper.abort()), [Fate::Flush; 2]);
}

#[test]
fn long_lived_routes_that_the_peer_did_not_preserve_go_when_it_is_back() {
    let terms_before = terms(&long_lived(), &Restart::NONE);
    let now = epoch();
    let forgot = Restart {
        restarting: true,
        preserved: NONE,
    };
    let mut helper = Helper::default();
    assert_eq!(
        list(helper.lost(now, &terms_before, true)),
        [Fate::Stale; 2]
    );
    assert_eq!(list(helper.handle_timeout(now + secs(120))).len(), 2);
    let back = terms(&long_lived(), &forgot);
    assert_eq!(
        list(helper.up(now + secs(200), &back, secs(360))),
        [Fate::Flush; 2]
    );
    assert_eq!(helper.poll_timeout(), None);
}

#[test]
fn without_a_restart_time_routes_are_long_lived_at_once_or_dropped() {
    let mut config = long_lived();
    config.restart_time = Duration::ZERO;
    let now = epoch();
    let mut helper = Helper::default();
    let negotiated = terms(&config, &Restart::NONE);
    assert_eq!(
        list(helper.lost(now, &negotiated, true)),
        [Fate::LongLived; 2]
    );
    assert_eq!(helper.poll_timeout(), Some(now + secs(3600)));
    config.long_lived = None;
    let negotiated = terms(&config, &Restart::NONE);
    let mut helper = Helper::default();
    assert_eq!(list(helper.lost(now, &negotiated, true)), [Fate::Drop; 2]);
    assert_eq!(helper.poll_timeout(), None);
}

// === our own restart ===

fn deferral(peers: &[&'static str]) -> (Instant, Restarting<&'static str>) {
    let now = epoch();
    let preserved = ByFamily {
        v4: true,
        v6: false,
    };
    let peers = peers.iter().map(|peer| (*peer, BOTH));
    (now, Restarting::new(now, secs(360), preserved, peers))
}

const RELEASED: [Released; 2] = [Released(Family::V4), Released(Family::V6)];

#[test]
fn the_r_bit_is_on_until_the_last_helper_has_told_everything() {
    let (_, mut restarting) = deferral(&["a", "b"]);
    let helper = terms(&graceful(), &Restart::NONE);
    let bits = restarting.open_bits();
    assert!(bits.restarting && bits.preserved.v4 && !bits.preserved.v6);
    assert!(restarting.up(&"a", &helper).is_empty());
    assert!(restarting.up(&"b", &helper).is_empty());
    assert!(restarting.end_of_rib(&"a", Family::V4).is_empty());
    assert!(restarting.end_of_rib(&"a", Family::V6).is_empty());
    assert!(!restarting.may_select(Family::V4));
    assert_eq!(restarting.end_of_rib(&"b", Family::V4), RELEASED[..1]);
    assert!(restarting.may_select(Family::V4) && !restarting.may_select(Family::V6));
    assert!(restarting.open_bits().restarting);
    assert_eq!(restarting.end_of_rib(&"b", Family::V6), RELEASED[1..]);
    assert_eq!(restarting.open_bits(), Restart::NONE);
    assert!(restarting.is_over());
    assert_eq!(restarting.poll_timeout(), None);
    assert!(restarting.end_of_rib(&"b", Family::V6).is_empty());
}

#[test]
fn peers_that_know_no_graceful_restart_or_restarted_too_are_not_waited_for() {
    let without = {
        let mut bench = Bench::new(our_config(), their_config());
        let id = bench.open_sent();
        let open = bench.their_open();
        bench.message(id, Message::Open(open));
        bench.peer.terms(id).unwrap().clone()
    };
    let (_, mut restarting) = deferral(&["a", "b"]);
    assert!(restarting.up(&"a", &without).is_empty());
    let too = terms(
        &graceful(),
        &Restart {
            restarting: true,
            preserved: BOTH,
        },
    );
    assert_eq!(restarting.up(&"b", &too), RELEASED);
}

/// FRR's default: the capability without any family.
#[test]
fn a_peer_that_is_only_a_helper_is_waited_for_and_left_without_a_word() {
    let (ours, theirs) = both_graceful(&graceful());
    let mut bench = Bench::new(ours, theirs);
    let id = bench.open_sent();
    let mut open = bench.their_open();
    for capability in &mut open.capabilities {
        if let Capability::GracefulRestart(graceful) = capability {
            graceful.families.clear();
        }
    }
    bench.message(id, Message::Open(open));
    bench.message(id, Message::Keepalive);
    let (_, mut restarting) = deferral(&["helper"]);
    assert!(
        restarting
            .up(&"helper", bench.peer.terms(id).unwrap())
            .is_empty()
    );
    assert_eq!(restarting.end_of_rib(&"helper", Family::V4), RELEASED[..1]);
    let actions = bench.handle(Event::Stop(Stop::Restart));
    assert_eq!(said(&actions), "close down-gracefully");
    assert_eq!(fates(&actions), "v4-drop v6-drop");
}

#[test]
fn a_peer_that_never_comes_holds_the_others_up_to_the_deferral_time() {
    let (now, mut restarting) = deferral(&["a", "never"]);
    let helper = terms(&graceful(), &Restart::NONE);
    assert!(restarting.up(&"a", &helper).is_empty());
    for family in Family::ALL {
        assert!(restarting.end_of_rib(&"a", family).is_empty());
    }
    assert_eq!(restarting.poll_timeout(), Some(now + secs(360)));
    assert!(restarting.handle_timeout(now + secs(359)).is_empty());
    assert_eq!(restarting.handle_timeout(now + secs(360)), RELEASED);
    assert!(restarting.is_over());
}

#[test]
fn a_peer_that_is_taken_out_holds_nobody_up() {
    let (_, mut restarting) = deferral(&["gone"]);
    assert_eq!(restarting.removed(&"gone"), RELEASED);
    let (_, alone) = deferral(&[]);
    assert!(alone.is_over() && alone.may_select(Family::V4));
    assert_eq!(alone.open_bits(), Restart::NONE);
}

#[test]
fn opens_say_what_the_restart_says_at_the_time() {
    let (ours, theirs) = both_graceful(&graceful());
    let mut bench = Bench::new(ours, theirs);
    let r_bit = |actions: &[Action]| match actions {
        [Action::Send(_, Message::Open(open)), ..] => open.graceful_restart().unwrap().restarting,
        other => panic!("{other:?}"),
    };
    bench.peer.set_restart(Restart {
        restarting: true,
        preserved: BOTH,
    });
    let id = bench.connect();
    let actions = bench.handle(Event::Connected(id));
    assert!(r_bit(&actions));
    bench.peer.set_restart(Restart::NONE);
    let (_, actions) = bench.accept();
    assert!(!r_bit(&actions));
}
