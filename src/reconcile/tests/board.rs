//! What the board says.

use std::time::{Duration, Instant};

use super::world::LIMITS;
use crate::reconcile::{HealthBoard, PassRecord};

const SECOND: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "the origin of virtual time; any moment does"
)]
fn start() -> Instant {
    Instant::now()
}

fn worked(at: Instant) -> PassRecord {
    PassRecord {
        applied: 3,
        input: Some(at),
        read_back: true,
        summary: "3 services".into(),
        ..PassRecord::default()
    }
}

fn failed(applied: usize) -> PassRecord {
    PassRecord {
        applied,
        failed: 1,
        error: Some("ipvsadm -A: no".into()),
        ..worked(start())
    }
}

#[test]
fn ready_needs_a_complete_pass_and_every_needed_condition() {
    let now = start();
    let board = HealthBoard::new(LIMITS);
    let part = board.part("proxy", now);
    board.condition("cluster", true, Some("waiting for services".into()), now);
    board.condition(
        "config",
        false,
        Some("[proxy] sync_period: too short".into()),
        now,
    );
    let expected = [
        "cluster: waiting for services",
        "proxy: no complete pass yet",
    ];
    assert_eq!(board.report(now).unready(), expected);
    board.condition("cluster", true, None, now);
    part.passed(worked(now), now);
    let report = board.report(now + 3 * SECOND);
    assert_eq!(report.unready(), Vec::<String>::new());
    let status =
        "ready: 3 services, 0 failed; snapshot 3 s old; config: [proxy] sync_period: too short";
    assert_eq!(report.status(), status);
}

#[test]
fn one_refused_object_does_not_keep_the_node_from_being_ready_but_all_refused_do() {
    for (applied, ready) in [(2, true), (0, false)] {
        let now = start();
        let board = HealthBoard::new(LIMITS);
        board.part("proxy", now).passed(failed(applied), now);
        let report = board.report(now);
        assert_eq!(report.unready().is_empty(), ready);
        assert!(
            report.status().contains("ipvsadm -A: no"),
            "{}",
            report.status()
        );
    }
}

#[test]
fn health_turns_red_after_failing_for_long_and_green_after_one_success() {
    let now = start();
    let board = HealthBoard::new(LIMITS);
    let part = board.part("proxy", now);
    part.passed(failed(1), now);
    part.passed(failed(1), now + 50 * SECOND);
    assert!(board.report(now + 60 * SECOND).unhealthy().is_empty());
    let later = now + 61 * SECOND;
    assert_eq!(
        board.report(later).unhealthy(),
        ["proxy: failing for 61 s: ipvsadm -A: no"]
    );
    part.passed(worked(later), later);
    assert!(board.report(later).unhealthy().is_empty());
}

#[test]
fn a_part_that_never_beats_again_is_stalled() {
    let now = start();
    let board = HealthBoard::new(LIMITS);
    let part = board.part("proxy", now);
    part.passed(worked(now), now);
    assert!(board.report(now + 20 * SECOND).makes_progress());
    let report = board.report(now + 21 * SECOND);
    assert_eq!(
        (report.makes_progress(), report.unhealthy()),
        (false, vec!["proxy: no progress for 21 s".into()])
    );
    part.beat(now + 22 * SECOND);
    assert!(board.report(now + 22 * SECOND).makes_progress());
}

#[test]
fn the_age_of_a_condition_counts_from_its_last_turn() {
    let now = start();
    let board = HealthBoard::new(LIMITS);
    board.condition("cluster", true, Some("a".into()), now);
    board.condition("cluster", true, Some("b".into()), now + SECOND);
    assert_eq!(board.report(now + 5 * SECOND).conditions[0].age, 5 * SECOND);
    board.condition("cluster", true, None, now + 2 * SECOND);
    assert_eq!(board.report(now + 5 * SECOND).conditions[0].age, 3 * SECOND);
}

#[test]
fn notes_are_new_only_once() {
    let now = start();
    let part = HealthBoard::new(LIMITS).part("proxy", now);
    assert_eq!(part.set_notes(vec!["a".into(), "b".into()]), ["a", "b"]);
    assert_eq!(part.set_notes(vec!["b".into(), "c".into()]), ["c"]);
    assert_eq!(part.set_notes(vec!["a".into()]), ["a"]);
}

#[test]
fn a_panic_is_unhealthy_at_once_and_until_a_pass_works() {
    let now = start();
    let board = HealthBoard::new(LIMITS);
    let part = board.part("proxy", now);
    part.panicked("index out of bounds", now);
    assert_eq!(
        board.report(now).unhealthy(),
        ["proxy: panic: index out of bounds"]
    );
    part.passed(failed(1), now);
    assert!(!board.report(now).unhealthy().is_empty());
    part.passed(worked(now), now);
    assert!(board.report(now).unhealthy().is_empty());
}
