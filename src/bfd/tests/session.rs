use super::*;
use crate::bfd::{Session, Transition};

const LEAST: u32 = 0;
const MOST: u32 = u32::MAX;

fn session(now: Instant) -> Session {
    Session::new(now, number(1), timers(100, 100, 3))
}

/// A session in the state, that has sent what it had to; the other end's C bit is set.
fn in_state(now: Instant, state: State) -> Session {
    let mut session = session(now);
    let way: &[State] = match state {
        State::AdminDown | State::Down => &[],
        State::Init => &[State::Down],
        State::Up => &[State::Down, State::Up],
    };
    for heard in way {
        session.handle_packet(now, &independent(*heard));
    }
    if state == State::AdminDown {
        session.set_admin_down(now);
    }
    assert_eq!(session.state(), state);
    flush(&mut session, now);
    session
}

fn independent(state: State) -> ControlPacket {
    ControlPacket {
        control_plane_independent: true,
        ..said(state)
    }
}

fn flush(session: &mut Session, now: Instant) -> Vec<ControlPacket> {
    std::iter::from_fn(|| session.poll_transmit(now, MOST)).collect()
}

fn down(diagnostic: Diagnostic, control_plane_independent: bool) -> Transition {
    Transition::Down {
        diagnostic,
        control_plane_independent,
    }
}

/// RFC 5880 section 6.8.6, every state with every state.
#[test]
fn the_state_machine_is_that_of_the_standard() {
    use State::{AdminDown, Down, Init, Up};
    let lost = Some(down(Diagnostic::NeighborSignaledDown, true));
    let up = Some(Transition::Up);
    let table = [
        (Down, AdminDown, Down, None),
        (Down, Down, Init, None),
        (Down, Init, Up, up),
        (Down, Up, Down, None),
        (Init, AdminDown, Down, None),
        (Init, Down, Init, None),
        (Init, Init, Up, up),
        (Init, Up, Up, up),
        (Up, AdminDown, Down, Some(Transition::AdminDown)),
        (Up, Down, Down, lost),
        (Up, Init, Up, None),
        (Up, Up, Up, None),
        (AdminDown, AdminDown, AdminDown, None),
        (AdminDown, Down, AdminDown, None),
        (AdminDown, Init, AdminDown, None),
        (AdminDown, Up, AdminDown, None),
    ];
    let now = start();
    for (from, heard, to, told) in table {
        let mut session = in_state(now, from);
        let transition = session.handle_packet(now, &independent(heard));
        assert_eq!((session.state(), transition), (to, told), "{from} {heard}");
        let sent = flush(&mut session, now);
        let changed = usize::from(from != to);
        assert_eq!(sent.len(), changed, "a change is told at once");
        assert!(sent.iter().all(|packet| packet.state == to));
    }
}

#[test]
fn silence_for_the_detection_time_takes_down_and_forgets() {
    let now = start();
    for (state, told) in [
        (State::Down, None),
        (State::Init, None),
        (
            State::Up,
            Some(down(Diagnostic::DetectionTimeExpired, true)),
        ),
    ] {
        let mut session = in_state(now, state);
        if state == State::Down {
            session.handle_packet(now, &independent(State::AdminDown));
        }
        // 3 x 100 ms of the other end, which has not got faster than we want to receive.
        assert_eq!(session.status().detection_time, Some(ms(300)));
        assert_eq!(session.handle_timeout(now + ms(299)), None, "{state}");
        assert!(session.poll_timeout().unwrap() <= now + ms(300));
        assert_eq!(session.handle_timeout(now + ms(300)), told, "{state}");
        let status = session.status();
        assert_eq!((status.state, status.remote), (State::Down, None));
        assert_eq!(status.detection_time, None);
        // Told to whom it is about, once.
        let next = flush(&mut session, now + ms(2000)).pop().unwrap();
        let lost = NonZeroU32::new(7).filter(|_| state != State::Down);
        assert_eq!(next.your_discriminator, lost);
        let next = flush(&mut session, now + ms(4000)).pop().unwrap();
        assert_eq!(next.your_discriminator, None);
    }
}

#[test]
fn the_detection_time_is_the_other_ends_multiplier_times_the_slower_interval() {
    let now = start();
    // Own required minimum, the other end's desired minimum and multiplier, and what follows.
    for (rx, tx, multiplier, expected) in [
        (100, 50, 3, 300),
        (50, 100, 3, 300),
        (300, 100, 1, 300),
        (10, 20, 255, 5100),
    ] {
        let mut session = Session::new(now, number(1), timers(100, rx, 9));
        let packet = ControlPacket {
            desired_min_tx: tx * 1000,
            detect_multiplier: NonZeroU8::new(multiplier).unwrap(),
            ..said(State::Down)
        };
        session.handle_packet(now, &packet);
        assert_eq!(session.status().detection_time, Some(ms(expected)));
    }
}

#[test]
fn packets_go_out_with_jitter_at_the_slower_of_both_intervals() {
    let now = start();
    // State, own interval, multiplier, the other end's required minimum, random: the next packet.
    let cases = [
        (State::Down, 100, 3, 100, LEAST, 750_000),
        (State::Down, 100, 3, 100, MOST, 1_000_000),
        (State::Down, 4000, 3, 100, MOST, 4_000_000),
        (State::Init, 100, 3, 2000, LEAST, 1_500_000),
        (State::Up, 100, 3, 100, LEAST, 75_000),
        (State::Up, 100, 3, 100, MOST, 100_000),
        (State::Up, 100, 1, 100, LEAST, 75_000),
        (State::Up, 100, 1, 100, MOST, 90_000),
        (State::Up, 100, 3, 400, MOST, 400_000),
        (State::Up, 400, 3, 100, MOST, 400_000),
    ];
    for (state, tx, multiplier, rx, random, expected) in cases {
        let mut session = Session::new(now, number(1), timers(tx, 100, multiplier));
        let way: &[State] = match state {
            State::Up => &[State::Down, State::Init],
            State::Init => &[State::Down],
            _ => &[],
        };
        for heard in way {
            let packet = ControlPacket {
                required_min_rx: rx * 1000,
                // So that it does not end before.
                detect_multiplier: NonZeroU8::MAX,
                ..said(*heard)
            };
            session.handle_packet(now, &packet);
        }
        while session.poll_transmit(now, random).is_some() {}
        let next = session.poll_timeout().unwrap().duration_since(now);
        let rounded = (next + Duration::from_micros(1)).as_micros();
        let expected = expected..=expected + 1;
        assert!(
            expected.contains(&rounded),
            "{state} x{multiplier} {next:?}"
        );
        assert_eq!(
            session.poll_transmit(now + next - Duration::from_micros(1), 0),
            None
        );
        assert!(session.poll_transmit(now + next, 0).is_some());
    }
}

#[test]
fn below_up_a_packet_wants_to_send_once_a_second() {
    let now = start();
    for (state, expected) in [(State::Down, 1_000_000), (State::Up, 100_000)] {
        let mut session = in_state(now, state);
        let packet = flush(&mut session, now + ms(1500)).pop().unwrap();
        assert_eq!(packet.desired_min_tx, expected, "{state}");
        assert_eq!(packet.required_min_rx, 100_000);
        assert!(!packet.control_plane_independent && !packet.demand);
    }
}

#[test]
fn whoever_wants_no_packets_gets_none_but_changes_and_answers() {
    let now = start();
    let mute = ControlPacket {
        required_min_rx: 0,
        ..said(State::Up)
    };
    let demand = ControlPacket {
        demand: true,
        ..said(State::Up)
    };
    for packet in [mute, demand] {
        let mut session = in_state(now, State::Up);
        // The poll that follows Up is over.
        session.handle_packet(
            now,
            &ControlPacket {
                is_final: true,
                ..packet
            },
        );
        assert_eq!(session.poll_transmit(now + ms(200), MOST), None);
        let poll = ControlPacket {
            poll: true,
            ..packet
        };
        session.handle_packet(now + ms(200), &poll);
        assert!(session.poll_transmit(now + ms(200), MOST).unwrap().is_final);
        session.handle_timeout(now + ms(500));
        assert_eq!(flush(&mut session, now + ms(500)).len(), 1);
    }
}

#[test]
fn a_poll_is_answered_at_once_and_in_every_state() {
    let now = start();
    for state in [State::Down, State::Init, State::Up, State::AdminDown] {
        let mut session = in_state(now, state);
        let heard = if state == State::Down {
            State::Up
        } else {
            state
        };
        let heard = if state == State::Init {
            State::Down
        } else {
            heard
        };
        let poll = ControlPacket {
            poll: true,
            ..said(heard)
        };
        session.handle_packet(now, &poll);
        assert!(session.poll_timeout().unwrap() <= now);
        let answers = flush(&mut session, now);
        assert_eq!(answers.len(), 1, "{state}");
        assert!(answers[0].is_final && !answers[0].poll && answers[0].state == state);
    }
}

fn answer(session: &mut Session, now: Instant) {
    let packet = ControlPacket {
        is_final: true,
        ..said(State::Up)
    };
    assert_eq!(session.handle_packet(now, &packet), None);
}

#[test]
fn coming_up_is_followed_by_a_poll_until_it_is_answered() {
    let now = start();
    let mut session = in_state(now, State::Init);
    session.handle_packet(now, &said(State::Init));
    for later in [0, 100, 200] {
        let packet = flush(&mut session, now + ms(later)).pop().unwrap();
        assert!(packet.poll && packet.state == State::Up);
        assert_eq!(packet.desired_min_tx, 100_000);
        assert!(session.status().is_polling);
    }
    answer(&mut session, now + ms(250));
    assert!(!session.status().is_polling);
    assert!(!flush(&mut session, now + ms(300)).pop().unwrap().poll);
}

/// Section 6.8.3: we may send less often, and expect more often, only when the other end knows.
#[test]
fn changed_timers_keep_the_session_up_and_wait_for_the_answer() {
    let now = start();
    // The new timers; interval and detection time before the answer, and after it.
    let cases = [
        (timers(400, 100, 3), (100, 300), (400, 300)),
        (timers(50, 100, 3), (100, 300), (100, 300)),
        (timers(100, 400, 3), (100, 1200), (100, 1200)),
        (timers(100, 50, 3), (100, 300), (100, 300)),
    ];
    for (wanted, before, after) in cases {
        let mut session = in_state(now, State::Up);
        answer(&mut session, now);
        session.set_timers(now, wanted);
        let seen = |session: &Session| {
            let status = session.status();
            (status.transmit_interval, status.detection_time.unwrap())
        };
        let packet = flush(&mut session, now).pop().unwrap();
        assert!(packet.poll, "a change is told at once");
        assert_eq!(packet.required_min_rx, micros(wanted.required_min_rx));
        assert_eq!(packet.desired_min_tx, micros(wanted.desired_min_tx));
        assert_eq!(seen(&session), (ms(before.0), ms(before.1)), "{wanted:?}");
        answer(&mut session, now);
        assert_eq!(seen(&session), (ms(after.0), ms(after.1)), "{wanted:?}");
        assert_eq!(session.state(), State::Up);
    }
}

fn micros(duration: Duration) -> u32 {
    duration.as_micros().try_into().unwrap()
}

#[test]
fn a_smaller_receive_interval_counts_once_the_other_end_knows_it() {
    let now = start();
    let mut session = Session::new(now, number(1), timers(100, 500, 3));
    session.handle_packet(now, &said(State::Init));
    answer(&mut session, now);
    session.set_timers(now, timers(100, 200, 3));
    assert_eq!(session.status().detection_time, Some(ms(1500)));
    answer(&mut session, now);
    assert_eq!(session.status().detection_time, Some(ms(600)));
}

#[test]
fn a_change_during_a_poll_is_followed_by_another_poll() {
    let now = start();
    let mut session = in_state(now, State::Up);
    session.set_timers(now, timers(400, 100, 3));
    answer(&mut session, now);
    let status = session.status();
    assert!(status.is_polling && status.transmit_interval == ms(100));
    answer(&mut session, now);
    let status = session.status();
    assert!(!status.is_polling && status.transmit_interval == ms(400));
    // An answer to nothing, and timers that are the same.
    answer(&mut session, now);
    session.set_timers(now, timers(400, 100, 3));
    assert!(!session.status().is_polling);
}

#[test]
fn a_session_counts_and_tells_why_it_went_down() {
    let now = start();
    let mut session = in_state(now, State::Up);
    session.handle_packet(now + ms(10), &said(State::Down));
    session.handle_packet(now + ms(20), &said(State::Down));
    assert_eq!(
        session.status().diagnostic,
        Diagnostic::NeighborSignaledDown
    );
    session.handle_packet(now + ms(30), &said(State::Up));
    let status = session.status();
    assert_eq!((status.ups, status.downs), (2, 1));
    assert_eq!(status.diagnostic, Diagnostic::None);
    assert_eq!(status.since, now + ms(30));
    let last = (now + ms(10), Diagnostic::NeighborSignaledDown);
    assert_eq!(status.last_down, Some(last));
}
