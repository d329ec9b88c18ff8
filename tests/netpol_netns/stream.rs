//! New connections as fast as they go, while something happens to the rules.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::Lab;
use crate::probe::{Fate, Probe};
use crate::stage::{Line, probes};

/// What became of a stream of probes.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) tried: usize,
    /// What should have been refused and was not, and the other way round; when it was sent.
    pub(crate) leaks: Vec<(Instant, String)>,
    pub(crate) wrong_refusals: Vec<(Instant, String)>,
}

// === impl Tally ===

impl Tally {
    /// Nothing ever went wrong; what was tried.
    pub(crate) fn clean(&self) -> usize {
        let Self {
            tried,
            leaks,
            wrong_refusals,
        } = self;
        assert!(leaks.is_empty(), "of {tried}, leaked: {leaks:#?}");
        assert!(
            wrong_refusals.is_empty(),
            "of {tried}, refused: {wrong_refusals:#?}"
        );
        assert!(*tried > 100, "a stream of {tried} proves nothing");
        *tried
    }
}

/// How far the stream is: on a busy host it would see little of what is done without a pause.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicUsize);

// === impl Pace ===

impl Pace {
    /// Waits until every line was asked once more.
    pub(crate) fn round(&self) {
        let (before, end) = (
            self.0.load(Ordering::Relaxed),
            Instant::now() + Duration::from_secs(60),
        );
        while self.0.load(Ordering::Relaxed) == before {
            assert!(Instant::now() < end, "the stream does not get on");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Does `act` under a stream of probes.
pub(crate) fn under_probes<R>(lab: &Lab, lines: &[Line], act: impl FnOnce() -> R) -> (R, Tally) {
    under_paced_probes(lab, lines, |_| act())
}

/// Does `act` under a stream of probes that it can wait for.
pub(crate) fn under_paced_probes<R>(
    lab: &Lab,
    lines: &[Line],
    act: impl FnOnce(&Pace) -> R,
) -> (R, Tally) {
    let probes = probes(lines);
    let (is_over, pace) = (AtomicBool::new(false), Pace::default());
    thread::scope(|scope| {
        let stream = scope.spawn(|| {
            let mut tally = Tally::default();
            let all: Vec<Probe> = probes.iter().map(|(probe, _)| *probe).collect();
            while !is_over.load(Ordering::Relaxed) {
                let begin = Instant::now();
                let fates = lab.probe(&all);
                tally.tried += fates.len();
                pace.0.fetch_add(1, Ordering::Relaxed);
                for ((probe, allowed), fate) in probes.iter().zip(fates) {
                    let expected = if *allowed {
                        Fate::Answered
                    } else {
                        Fate::Refused
                    };
                    let wrong = (begin, format!("{probe:?}: {fate:?} after {}", tally.tried));
                    match (fate == expected, allowed) {
                        (true, _) => {}
                        (false, true) => tally.wrong_refusals.push(wrong),
                        (false, false) => tally.leaks.push(wrong),
                    }
                }
            }
            tally
        });
        let guard = Over(&is_over);
        let done = act(&pace);
        drop(guard);
        (done, stream.join().unwrap())
    })
}

/// Ends the stream even when what it watches panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
