//! Slots between real threads, and panics.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::world::Event::{Input, Stop};
use super::world::{Shared, controller, inbox, numbers, resync, world};
use crate::metrics::ControllerMetrics;
use crate::reconcile::thread::too_many;
use crate::reconcile::{Ended, Inbox, News, Slot, Supervision, supervise};

type Send = fn(&Slot<u8>);
type Seen = fn(&News<u8>) -> bool;

const LONG: Duration = Duration::from_secs(3600);

#[expect(clippy::disallowed_methods, reason = "waits for real threads")]
fn now() -> Instant {
    Instant::now()
}

fn supervised(world: &Shared) -> Ended {
    let health = world.borrow().board.part("counting", world.borrow().now);
    let metrics = Arc::new(ControllerMetrics::new("counting"));
    let shared = Supervision { health, metrics };
    supervise(|| Ok(controller(world)), || inbox(world), resync, &shared)
}

#[test]
fn the_newest_input_wins_and_is_told_once() {
    let slot = Slot::new();
    let mut inbox = slot.inbox();
    slot.put(1);
    slot.put(2);
    assert_eq!(
        inbox.wait(now() + LONG).input.map(|(input, _)| input),
        Some(2)
    );
    let nothing = News {
        input: None,
        foreign: false,
        stop: false,
    };
    assert_eq!(inbox.wait(now()), nothing);
    assert_eq!(
        slot.inbox()
            .wait(now() + LONG)
            .input
            .map(|(input, _)| input),
        Some(2),
        "a new loop starts with it"
    );
}

#[test]
fn every_kind_of_news_ends_a_wait() {
    let sends: [(Send, Seen); 3] = [
        (|slot| slot.put(7), |news| news.input.is_some()),
        (Slot::foreign_change, |news| news.foreign),
        (Slot::stop, |news| news.stop),
    ];
    for (send, is_there) in sends {
        let slot = Slot::new();
        let mut inbox = slot.inbox();
        let waiting = std::thread::spawn(move || inbox.wait(now() + LONG));
        send(&slot);
        assert!(is_there(&waiting.join().unwrap()));
    }
}

#[test]
fn a_wait_without_news_ends_in_time() {
    let until = now() + Duration::from_millis(20);
    let news = Slot::<u8>::new().inbox().wait(until);
    assert!(news.input.is_none() && now() >= until);
}

#[test]
fn a_panic_restarts_the_controller_with_an_empty_memory() {
    let world = world([
        (0, Input(numbers([1]))),
        (1, Input(numbers([1, 2]))),
        (2, Stop),
    ]);
    world.borrow_mut().panics_left = 1;
    assert!(matches!(supervised(&world), Ended::Stopped));
    let world = world.borrow();
    assert_eq!(world.kernel, numbers([1, 2]));
    assert_eq!(
        world.times("observe").len(),
        2,
        "the fresh controller reads the kernel"
    );
    let report = world.board.report(world.now);
    assert_eq!(report.parts[0].panics, 1);
    assert!(
        report.parts[0]
            .last_error
            .as_ref()
            .is_some_and(|(_, error)| error == "panic: index out of bounds")
    );
}

#[test]
fn three_panics_within_a_minute_are_too_many() {
    let world = world([0, 1, 2, 3].map(|ms| (ms, Input(numbers([1])))));
    world.borrow_mut().panics_left = 5;
    let ended = supervised(&world);
    assert!(
        matches!(&ended, Ended::Panicked(message) if message == "index out of bounds"),
        "{ended:?}"
    );
    assert_eq!(world.borrow().panics_left, 2);
    let (start, mut panics) = (now(), VecDeque::new());
    let over = [0, 31, 62, 93].map(|s| too_many(&mut panics, start + Duration::from_secs(s)));
    assert_eq!(over, [false; 4], "a panic every half minute is survived");
}

#[test]
fn a_controller_that_cannot_be_built_ends_with_the_reason() {
    let world = world([(0, Stop)]);
    let health = world.borrow().board.part("counting", world.borrow().now);
    let shared = Supervision {
        health,
        metrics: Arc::new(ControllerMetrics::new("counting")),
    };
    let ended = supervise(
        || Err::<super::world::Counting, _>("no ip_vs".into()),
        || inbox(&world),
        resync,
        &shared,
    );
    assert!(matches!(ended, Ended::Unavailable(error) if error.to_string() == "no ip_vs"));
}
