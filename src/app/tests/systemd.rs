//! What systemd is told, in virtual time.

use std::time::{Duration, Instant};

use crate::app::systemd::{Dialogue, Word};
use crate::reconcile::{HealthBoard, HealthLimits, PartHealth, PassRecord};

const SECOND: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "the origin of virtual time; any moment does"
)]
fn board() -> (HealthBoard, PartHealth, Instant) {
    let now = Instant::now();
    let board = HealthBoard::new(HealthLimits {
        stalled: 20 * SECOND,
        failing: 60 * SECOND,
    });
    let part = board.part("proxy", now);
    (board, part, now)
}

fn pass(now: Instant) -> PassRecord {
    PassRecord {
        applied: 5,
        input: Some(now),
        summary: "12 services, 40 endpoints".into(),
        ..PassRecord::default()
    }
}

#[test]
fn ready_is_said_once_after_the_first_complete_pass() {
    let (board, part, now) = board();
    let mut dialogue = Dialogue::new(None);
    let first = dialogue.words(&board.report(now), now);
    let waiting = "not ready: proxy: no complete pass yet";
    assert_eq!(
        first,
        [Word::Status(waiting.into()), Word::Extend(60 * SECOND)]
    );
    part.passed(pass(now), now);
    let later = now + 3 * SECOND;
    let status = "ready: 12 services, 40 endpoints, 0 failed; snapshot 3 s old";
    assert_eq!(
        dialogue.words(&board.report(later), later),
        [Word::Ready, Word::Status(status.into())]
    );
    assert_eq!(dialogue.words(&board.report(later), later), []);
    board.condition(
        "cluster",
        true,
        Some("services: connection refused".into()),
        later,
    );
    let status = Word::Status("not ready: cluster: services: connection refused".into());
    assert_eq!(dialogue.words(&board.report(later), later), [status]);
}

#[test]
fn a_start_that_waits_for_the_cluster_asks_for_more_time_again_and_again() {
    let (board, part, now) = board();
    board.condition("cluster", true, Some("connection refused".into()), now);
    let mut dialogue = Dialogue::new(None);
    let asks = (0..600_u32).filter(|second| {
        let now = now + *second * SECOND;
        part.beat(now);
        dialogue
            .words(&board.report(now), now)
            .contains(&Word::Extend(60 * SECOND))
    });
    let asks: Vec<u32> = asks.collect();
    assert_eq!(asks, (0..40).map(|n| n * 15).collect::<Vec<_>>());
}

#[test]
fn the_watchdog_is_fed_in_time_and_only_while_there_is_progress() {
    let (board, part, now) = board();
    part.passed(pass(now), now);
    let mut dialogue = Dialogue::new(Some(20 * SECOND));
    assert!(dialogue.pause() <= 5 * SECOND);
    let fed = (0..100_u32).filter(|second| {
        let now = now + *second * SECOND;
        if *second <= 40 {
            part.beat(now);
        }
        dialogue
            .words(&board.report(now), now)
            .contains(&Word::Watchdog)
    });
    let fed: Vec<u32> = fed.collect();
    assert_eq!(
        fed,
        (0..=12).map(|n| n * 5).collect::<Vec<_>>(),
        "until 20 s after the last beat"
    );
}

#[test]
fn a_start_without_progress_is_not_given_more_time() {
    let (board, _part, now) = board();
    let mut dialogue = Dialogue::new(Some(20 * SECOND));
    let later = now + 21 * SECOND;
    let words = dialogue.words(&board.report(later), later);
    assert!(
        !words
            .iter()
            .any(|word| matches!(word, Word::Extend(_) | Word::Watchdog)),
        "{words:?}"
    );
}
