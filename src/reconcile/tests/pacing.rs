//! Properties of the schedule.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::reconcile::{Outcome, Pacer};

#[derive(Debug, Clone)]
enum Op {
    Input,
    Foreign,
    Deadline(u64),
    /// Time goes on; a pass that is due is made, with these results.
    Wait {
        ms: u64,
        readable: bool,
        works: bool,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let wait = (0..400_000_u64, any::<bool>(), any::<bool>());
    prop_oneof![
        Just(Op::Input),
        Just(Op::Foreign),
        (0..100_000_u64).prop_map(Op::Deadline),
        wait.prop_map(|(ms, readable, works)| Op::Wait {
            ms,
            readable,
            works
        }),
    ]
}

proptest! {
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the origin of virtual time; any moment does")]
    fn a_wait_that_ends_on_schedule_ends_in_a_pass(ops in prop::collection::vec(op(), 1..60)) {
        let start = Instant::now();
        let (mut now, mut pacer) = (start, Pacer::new(Duration::from_secs(300)));
        for op in ops {
            match op {
                Op::Input => pacer.input_arrived(),
                Op::Foreign => pacer.foreign_change(),
                Op::Deadline(ms) => pacer.set_deadline(Some(start + Duration::from_millis(ms))),
                Op::Wait { ms, readable, works } => {
                    now += Duration::from_millis(ms);
                    if let Some(pass) = pacer.due(now) {
                        if pass.observe && readable {
                            pacer.observed(now);
                        }
                        let worked = works && (readable || !pass.observe);
                        let outcome = if worked { Outcome::Worked } else { Outcome::Failed };
                        pacer.passed(pass, now, now, outcome);
                        prop_assert!(pacer.due(now).is_none_or(|again| again.observe && !pass.observe),
                            "the same pass twice at the same moment: {pacer:?}");
                    }
                }
            }
            if let Some(next) = pacer.next() {
                prop_assert!(pacer.due(next.max(now)).is_some(), "wakes up for nothing: {pacer:?}");
            }
        }
    }
}
