//! What operators, the configuration and limits do to a peer, and what is told of it.

use std::net::Ipv4Addr;

use super::support::{
    Bench, both_graceful, fates, graceful, long_lived, notification, our_config, said, secs,
    their_config,
};
use crate::bgp::fsm::{
    Action, Event, GracefulConfig, MaxPrefixes, PeerAs, PeerConfig, Reason, State, Stop,
    needs_reset,
};
use crate::bgp::wire::{HoldTime, Message};
use crate::net::Family;

#[test]
fn a_shutdown_tells_the_other_end_why_and_lasts() {
    let mut bench = Bench::plain();
    bench.establish();
    let actions = bench.handle(Event::Stop(Stop::Shutdown("back at nine".into())));
    assert_eq!(said(&actions), "6/2 close down");
    let status = bench.peer.status();
    let sent = &status.last_sent.unwrap().what;
    assert_eq!(sent.text().as_deref(), Some("back at nine"));
    assert!(status.stopped);
    assert!(bench.pass(secs(86_400)).is_empty());
    let (_, actions) = bench.accept();
    assert_eq!(said(&actions), "6/5 close-in");
    assert_eq!(said(&bench.handle(Event::Start)), "connect");
}

#[test]
fn a_reset_begins_anew_at_once() {
    let mut bench = Bench::plain();
    assert!(bench.handle(Event::Reset(String::new())).is_empty());
    assert_eq!(bench.peer.state(), State::Idle);
    bench.establish();
    let actions = said(&bench.handle(Event::Reset("again".into())));
    assert_eq!(actions, "6/4 close down connect");
    assert_eq!(
        said(&bench.handle(Event::Reset(String::new()))),
        "close connect"
    );
}

#[test]
fn start_ends_every_wait() {
    let mut bench = Bench::plain();
    let id = bench.establish();
    bench.message(id, Message::Notification(notification(6, 1)));
    assert!(bench.peer.status().timers.idle_hold.is_some());
    assert_eq!(said(&bench.handle(Event::Start)), "connect");
    assert_eq!(bench.peer.status().timers.idle_hold, None);
}

fn limited(limits: MaxPrefixes) -> Bench {
    let mut ours = our_config();
    ours.max_prefixes.v6 = Some(limits);
    Bench::new(ours, their_config())
}

#[test]
fn too_many_prefixes_end_the_session_until_an_operator_starts_it() {
    let mut bench = limited(MaxPrefixes {
        limit: 1_000_000,
        warn_at: Some(900_000),
        restart: None,
    });
    bench.establish();
    let mut tell = |count| said(&bench.handle(Event::Prefixes(Family::V6, count)));
    assert_eq!(tell(899_999), "");
    assert_eq!(tell(900_000), "many");
    assert_eq!(tell(900_001), "");
    assert_eq!(tell(800_000), "");
    assert_eq!(tell(900_000), "many");
    assert_eq!(tell(1_000_000), "");
    let actions = bench.handle(Event::Prefixes(Family::V6, 1_000_001));
    assert_eq!(said(&actions), "6/1 close down");
    let Some(Action::Send(_, Message::Notification(sent))) = actions.first() else {
        panic!("{actions:?}");
    };
    assert_eq!(
        sent.data[..],
        [0, 2, 1, 0, 0x0f, 0x42, 0x40],
        "RFC 4486 section 4"
    );
    assert_eq!(bench.peer.poll_timeout(), None);
    assert!(bench.pass(secs(86_400)).is_empty());
    assert!(!bench.peer.status().stopped);
    assert_eq!(said(&bench.accept().1), "close-in");
    assert_eq!(said(&bench.handle(Event::Start)), "connect");
}

#[test]
fn too_many_prefixes_are_forgiven_after_the_configured_wait() {
    let mut bench = limited(MaxPrefixes {
        limit: 0,
        warn_at: None,
        restart: Some(secs(900)),
    });
    bench.establish();
    assert_eq!(
        said(&bench.handle(Event::Prefixes(Family::V4, 5_000_000))),
        ""
    );
    let actions = bench.handle(Event::Prefixes(Family::V6, 1));
    assert_eq!(said(&actions), "6/1 close down");
    assert_eq!(said(&bench.pass(secs(674))), "");
    assert_eq!(said(&bench.pass(secs(226))), "connect");
}

#[test]
fn too_many_prefixes_are_no_graceful_restart() {
    let (mut ours, theirs) = both_graceful(&GracefulConfig {
        notification: true,
        ..graceful()
    });
    ours.max_prefixes.v4 = Some(MaxPrefixes {
        limit: 1,
        warn_at: None,
        restart: None,
    });
    let mut bench = Bench::new(ours, theirs);
    bench.establish();
    let actions = bench.handle(Event::Prefixes(Family::V4, 2));
    assert_eq!(said(&actions), "6/9 close down");
    assert_eq!(fates(&actions), "v4-drop v6-drop");
}

#[test]
fn routes_are_asked_for_again_only_where_the_peer_can() {
    let mut bench = Bench::plain();
    assert!(bench.handle(Event::Refresh(Family::V4)).is_empty());
    bench.theirs.families.v6 = false;
    bench.establish();
    assert_eq!(said(&bench.handle(Event::Refresh(Family::V4))), "ask");
    assert!(bench.handle(Event::Refresh(Family::V6)).is_empty());
    assert_eq!(bench.peer.status().counters.sent.route_refreshes, 1);
}

/// Every setting, and whether a session has to go for it.
#[test]
fn only_what_the_opens_say_needs_a_new_session() {
    type Change = (&'static str, fn(&mut PeerConfig), bool);
    let changes: [Change; 20] = [
        ("nothing", |_| {}, false),
        ("local AS", |it| it.local_as = 65001, true),
        (
            "identifier",
            |it| it.router_id = Ipv4Addr::new(1, 1, 1, 1),
            true,
        ),
        ("peer's AS", |it| it.peer_as = PeerAs::Exactly(65001), true),
        ("any AS", |it| it.peer_as = PeerAs::External, true),
        ("families", |it| it.families.v6 = false, true),
        ("hold time", |it| it.hold_time = HoldTime::DISABLED, true),
        ("extended messages", |it| it.extended_messages = false, true),
        ("extended next hop", |it| it.extended_next_hop = false, true),
        ("add-path", |it| it.add_path_receive.v4 = true, true),
        ("first AS", |it| it.enforce_first_as = false, true),
        (
            "graceful restart",
            |it| it.graceful = Some(graceful()),
            true,
        ),
        ("long-lived", |it| it.graceful = Some(long_lived()), true),
        ("keepalive", |it| it.keepalive = Some(secs(5)), false),
        ("send hold", |it| it.send_hold = Some(secs(100)), false),
        ("passive", |it| it.passive = true, false),
        ("delay", |it| it.delay_open = Some(secs(5)), false),
        (
            "connect retry",
            |it| it.connect_retry.limit = secs(5),
            false,
        ),
        ("idle hold", |it| it.idle_hold.first = secs(5), false),
        (
            "max prefixes",
            |it| {
                it.max_prefixes.v4 = Some(MaxPrefixes {
                    limit: 1,
                    warn_at: None,
                    restart: None,
                });
            },
            false,
        ),
    ];
    for (name, change, resets) in changes {
        let old = our_config();
        let mut new = old.clone();
        change(&mut new);
        assert_eq!(needs_reset(&old, &new), resets, "{name}");
        assert_eq!(needs_reset(&new, &old), resets, "{name}, back");

        let mut bench = Bench::plain();
        let id = bench.establish();
        let up_since = bench.peer.status().since;
        bench.now += secs(5);
        let actions = said(&bench.peer.set_config(bench.now, new.clone()));
        assert_eq!(bench.peer.config(), &new);
        if resets {
            assert_eq!(actions, "6/6 close down connect", "{name}");
        } else {
            assert_eq!(actions, "", "{name}");
            assert_eq!(
                bench.peer.established().map(|(id, _)| id),
                Some(id),
                "{name}"
            );
            assert_eq!(bench.peer.status().since, up_since, "{name}");
        }
    }
}

#[test]
fn a_change_within_graceful_restart_is_about_what_the_peer_hears() {
    let with = |change: fn(&mut GracefulConfig)| {
        let mut config = our_config();
        let mut changed = long_lived();
        change(&mut changed);
        config.graceful = Some(changed);
        config
    };
    let old = with(|_| {});
    assert!(needs_reset(&old, &with(|it| it.restart_time = secs(1))));
    assert!(needs_reset(&old, &with(|it| it.notification = true)));
    assert!(needs_reset(&old, &with(|it| it.long_lived = None)));
    assert!(!needs_reset(&old, &with(|it| it.stale_time = secs(1))));
}

#[test]
fn a_peer_that_becomes_passive_gives_up_its_attempts_and_back() {
    let mut bench = Bench::plain();
    bench.connect();
    let mut passive = our_config();
    passive.passive = true;
    let actions = bench.peer.set_config(bench.now, passive);
    assert_eq!(said(&actions), "close");
    assert_eq!(bench.peer.state(), State::Active);
    let actions = bench.peer.set_config(bench.now, our_config());
    assert_eq!(said(&actions), "connect");
}

#[test]
fn settings_of_a_stopped_or_damped_peer_change_in_silence_unless_they_may_help() {
    let mut other = our_config();
    other.peer_as = PeerAs::Exactly(65001);
    let mut bench = Bench::plain();
    assert!(bench.peer.set_config(bench.now, other.clone()).is_empty());
    assert_eq!(bench.peer.state(), State::Idle);

    let mut bench = Bench::plain();
    let id = bench.open_sent();
    bench.handle(Event::Fault(id, notification(2, 2)));
    let mut slower = our_config();
    slower.keepalive = Some(secs(9));
    assert!(bench.peer.set_config(bench.now, slower).is_empty());
    assert_eq!(bench.peer.state(), State::Idle);
    let actions = bench.peer.set_config(bench.now, other);
    assert_eq!(said(&actions), "connect");
}

#[test]
fn a_new_keepalive_interval_counts_for_the_session_that_is_up() {
    let mut bench = Bench::plain();
    let id = bench.establish();
    let mut faster = our_config();
    faster.keepalive = Some(secs(4));
    assert!(bench.peer.set_config(bench.now, faster).is_empty());
    let due = bench.peer.status().timers.keepalive.unwrap();
    bench.message(id, Message::Keepalive);
    bench.jump(due);
    let due = bench.peer.status().timers.keepalive.unwrap();
    assert!((secs(3)..=secs(4)).contains(&(due - bench.now)));
}

#[test]
fn the_status_tells_states_counts_and_errors_of_both_directions() {
    let mut bench = Bench::plain();
    assert!(bench.peer.status().stopped);
    let id = bench.establish();
    let up_at = bench.now;
    bench.pass(secs(29));
    bench.message(id, Message::Keepalive);
    let status = bench.peer.status();
    assert_eq!((status.state, status.since), (State::Established, up_at));
    assert_eq!(
        status.terms,
        bench.peer.established().map(|(_, terms)| terms)
    );
    let (sent, received) = (status.counters.sent, status.counters.received);
    assert_eq!((sent.opens, received.opens), (1, 1));
    assert_eq!(received.keepalives, 2);
    assert_eq!(received.total(), 3);

    let cease = notification(6, 4);
    bench.message(id, Message::Notification(cease.clone()));
    let status = bench.peer.status();
    assert_eq!((status.state, status.since), (State::Idle, bench.now));
    assert_eq!(status.last_received.unwrap().what, cease);
    assert_eq!(status.last_received.unwrap().at, bench.now);
    assert_eq!(status.last_down.unwrap().what, Reason::Received(cease));
    assert_eq!(status.last_sent, None);
    assert_eq!((status.counters.established, status.counters.lost), (1, 1));

    let open = bench.their_open();
    bench.come_back(open);
    let id = bench.peer.established().unwrap().0;
    bench.handle(Event::Fault(id, notification(3, 1)));
    let status = bench.peer.status();
    assert_eq!(status.last_sent.unwrap().what, notification(3, 1));
    assert_eq!(status.counters.sent.notifications, 1);
    assert_eq!((status.counters.established, status.counters.lost), (2, 2));
}
