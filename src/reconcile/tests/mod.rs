//! The loop in virtual time, against a controller that fails in every way.

mod board;
mod pacing;
mod threads;
mod world;

use std::time::Duration;

use world::Event::{Do, Foreign, Input, Stop};
use world::{numbers, run, world};

#[test]
fn nothing_is_touched_before_the_first_input() {
    let world = world([(3_600_000, Stop)]);
    run(&world);
    let world = world.borrow();
    assert!(world.log.is_empty(), "{:?}", world.log);
    assert!(world.fed.iter().all(|fed| *fed), "waiting is progress");
}

#[test]
fn first_input_is_planned_compared_and_applied_at_once() {
    let world = world([(7, Input(numbers([1, 2]))), (8, Stop)]);
    run(&world);
    let world = world.borrow();
    assert_eq!(world.log, [(7, "plan"), (7, "observe"), (7, "apply")]);
    assert_eq!(world.kernel, numbers([1, 2]));
}

#[test]
fn restart_with_an_unchanged_cluster_changes_nothing() {
    let world = world([(0, Input(numbers([1, 2]))), (1, Stop)]);
    world.borrow_mut().kernel = numbers([1, 2]);
    run(&world);
    assert_eq!(world.borrow().times("apply"), []);
}

#[test]
fn later_input_runs_at_once_without_reading_the_kernel() {
    let world = world([
        (0, Input(numbers([1]))),
        (50, Input(numbers([1, 2]))),
        (51, Stop),
    ]);
    run(&world);
    let world = world.borrow();
    assert_eq!(world.times("observe"), [0]);
    assert_eq!(world.times("apply"), [0, 50]);
}

#[test]
fn what_arrives_while_a_pass_is_in_flight_is_one_pass() {
    let script = [
        (0, Input(numbers([1]))),
        (100, Input(numbers([1, 2]))),
        (200, Input(numbers([1, 2, 3]))),
        (300, Input(numbers([4]))),
        (5_000, Stop),
    ];
    let world = world(script);
    world.borrow_mut().work = Duration::from_secs(1);
    run(&world);
    let world = world.borrow();
    assert_eq!(world.times("plan"), [0, 1_000]);
    assert_eq!(world.kernel, numbers([4]));
}

#[test]
fn failed_steps_come_back_ever_later_and_the_second_failure_reads_the_kernel() {
    let world = world([(0, Input(numbers([1, 2]))), (120_000, Stop)]);
    world.borrow_mut().refused = numbers([2]);
    run(&world);
    let world = world.borrow();
    let tries = world.times("apply");
    assert_eq!(
        tries[..9],
        [0, 200, 600, 1_400, 3_000, 6_200, 12_600, 25_400, 51_000]
    );
    assert_eq!(
        tries[9..],
        [81_000, 111_000],
        "30 seconds is the longest wait"
    );
    assert_eq!(world.times("observe")[..3], [0, 600, 1_400]);
    assert_eq!(
        world.kernel,
        numbers([1]),
        "one failure does not stop the others"
    );
    let report = world.board.report(world.now);
    let fault = "counting: failing for 120 s: number add 2: operation not permitted";
    assert_eq!(report.unhealthy(), [fault]);
    assert!(report.makes_progress(), "failing is not hanging");
}

#[test]
fn an_isolated_failure_is_tried_again_and_told_but_is_no_illness() {
    let world = world([(0, Input(numbers([2]))), (120_000, Stop)]);
    world.borrow_mut().refused = numbers([2]);
    world.borrow_mut().isolates = true;
    run(&world);
    let world = world.borrow();
    let tries = world.times("apply");
    assert_eq!(tries[..4], [0, 200, 600, 1_400], "as any other failure");
    let report = world.board.report(world.now);
    assert_eq!(
        (report.unready(), report.parts[0].last_error.clone()),
        (Vec::new(), None)
    );
    assert_eq!(report.parts[0].failures, tries.len() as u64);
    let status = report.status();
    assert!(
        status.starts_with("ready: 1 numbers, 1 failed;"),
        "{status}"
    );
}

#[test]
fn success_ends_the_backing_off() {
    let heal = |world: &mut world::World| world.refused.clear();
    let world = world([(0, Input(numbers([1]))), (500, Do(heal)), (10_000, Stop)]);
    world.borrow_mut().refused = numbers([1]);
    run(&world);
    let world = world.borrow();
    assert_eq!(world.times("apply"), [0, 200, 600]);
    let report = world.board.report(world.now);
    assert_eq!(
        (report.parts[0].failing, report.parts[0].failures),
        (None, 2)
    );
    assert_eq!(
        report.status(),
        "ready: 1 numbers, 0 failed; snapshot 10 s old"
    );
}

#[test]
fn new_input_neither_hurries_a_retry_nor_puts_it_off() {
    let inputs = (1..100).map(|n| (n * 10, Input(numbers([0, n as u32]))));
    let world = world(
        [(0, Input(numbers([0])))]
            .into_iter()
            .chain(inputs)
            .chain([(1_500, Stop)]),
    );
    world.borrow_mut().refused = numbers([0]);
    run(&world);
    let world = world.borrow();
    assert_eq!(
        world.times("observe"),
        [0, 600, 1_400],
        "no read-back per input"
    );
    assert_eq!(world.times("plan").len(), 100);
}

#[test]
fn a_kernel_that_cannot_be_read_is_not_changed() {
    let heal = |world: &mut world::World| world.unreadable = false;
    let world = world([(0, Input(numbers([1]))), (500, Do(heal)), (2_000, Stop)]);
    world.borrow_mut().unreadable = true;
    run(&world);
    let world = world.borrow();
    assert_eq!(world.times("observe"), [0, 200, 600]);
    assert_eq!(world.times("apply"), [600]);
}

#[test]
fn a_failed_read_back_leaves_new_input_flowing() {
    let script = [
        (0, Input(numbers([1]))),
        (1_000, Do(|world| world.unreadable = true)),
        (310_000, Input(numbers([1, 2]))),
        (310_001, Stop),
    ];
    let world = world(script);
    run(&world);
    assert_eq!(world.borrow().kernel, numbers([1, 2]));
}

#[test]
fn the_timer_repairs_what_nobody_told_us() {
    let script = [
        (0, Input(numbers([1]))),
        (1_000, Do(|world| world.kernel.clear())),
        (301_000, Stop),
    ];
    let world = world(script);
    run(&world);
    let world = world.borrow();
    assert_eq!(world.times("observe"), [0, 300_000]);
    assert_eq!(world.kernel, numbers([1]));
}

#[test]
fn a_foreign_change_is_repaired_at_once_but_not_more_than_once_a_second() {
    let clear = |world: &mut world::World| world.kernel.clear();
    let hints = (0..50).map(|n| (5_000 + n * 10, Foreign));
    let script = [(0, Input(numbers([1]))), (4_999, Do(clear))].into_iter();
    let world = world(script.chain(hints).chain([(9_000, Stop)]));
    run(&world);
    let world = world.borrow();
    assert_eq!(world.times("observe"), [0, 5_000, 6_000]);
    assert_eq!(world.times("apply"), [0, 5_000]);
}

#[test]
fn a_deadline_wakes_the_controller_once() {
    let world = world([(0, Input(numbers([1]))), (100, Do(|_| {})), (60_000, Stop)]);
    let deadline = world.borrow().start + Duration::from_secs(3);
    world.borrow_mut().deadline = Some(deadline);
    run(&world);
    let world = world.borrow();
    let report = world.board.report(world.now);
    assert_eq!(
        report.parts[0].passes, 2,
        "one for the input, one for the deadline"
    );
}

#[test]
fn an_apply_that_hangs_starves_the_watchdog() {
    let world = world([(0, Input(numbers([1]))), (600_000, Stop)]);
    world.borrow_mut().work = Duration::from_secs(100);
    run(&world);
    let world = world.borrow();
    let hungry: Vec<_> = world.fed.iter().filter(|fed| !**fed).collect();
    assert_eq!(
        hungry.len(),
        1,
        "hungry during the apply and at no other time"
    );
}

#[test]
fn a_long_apply_that_goes_on_part_by_part_feeds_the_watchdog() {
    let world = world([(0, Input(numbers([1]))), (600_000, Stop)]);
    world.borrow_mut().work = Duration::from_secs(100);
    world.borrow_mut().parts = 10;
    run(&world);
    let world = world.borrow();
    assert!(world.fed.iter().all(|fed| *fed), "never hungry");
}
