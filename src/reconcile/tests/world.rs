//! A kernel of numbers, a clock that only moves when somebody waits or works, and a controller
//! that can fail in every way.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::metrics::ControllerMetrics;
use crate::reconcile::{
    Controller, Failure, HealthBoard, HealthLimits, Inbox, Isolated, News, ObserveError, Report,
    Runner, Scope,
};

pub(super) type Numbers = BTreeSet<u32>;

pub(super) struct World {
    pub(super) start: Instant,
    pub(super) now: Instant,
    script: VecDeque<(Instant, Event)>,
    pub(super) kernel: Numbers,
    pub(super) refused: Numbers,
    /// What is refused concerns nothing else.
    pub(super) isolates: bool,
    pub(super) unreadable: bool,
    pub(super) panics_left: usize,
    /// How long an apply takes.
    pub(super) work: Duration,
    /// In how many parts an apply does its work.
    pub(super) parts: u32,
    pub(super) deadline: Option<Instant>,
    /// What the controller was asked to do, with the milliseconds since the start.
    pub(super) log: Vec<(u128, &'static str)>,
    pub(super) board: Arc<HealthBoard>,
    /// Whether the watchdog would have been fed, each time the clock moved.
    pub(super) fed: Vec<bool>,
}

pub(super) enum Event {
    Input(Numbers),
    Foreign,
    Do(fn(&mut World)),
    Stop,
}

pub(super) type Shared = Rc<RefCell<World>>;

pub(super) struct VirtualInbox(Shared);

pub(super) struct Counting {
    world: Shared,
    plan: Numbers,
}

#[derive(Debug)]
pub(super) enum Step {
    Add(u32),
    Del(u32),
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str);

pub(super) const LIMITS: HealthLimits = HealthLimits {
    stalled: Duration::from_secs(20),
    failing: Duration::from_secs(60),
};

pub(super) fn numbers(all: impl IntoIterator<Item = u32>) -> Numbers {
    all.into_iter().collect()
}

/// Events at milliseconds since the start, in order.
#[expect(
    clippy::disallowed_methods,
    reason = "the origin of virtual time; any moment does"
)]
pub(super) fn world(script: impl IntoIterator<Item = (u64, Event)>) -> Shared {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    Rc::new(RefCell::new(World {
        start,
        now: start,
        script: script
            .into_iter()
            .map(|(ms, event)| (at(ms), event))
            .collect(),
        kernel: Numbers::new(),
        refused: Numbers::new(),
        isolates: false,
        unreadable: false,
        panics_left: 0,
        work: Duration::ZERO,
        parts: 1,
        deadline: None,
        log: Vec::new(),
        board: Arc::new(HealthBoard::new(LIMITS)),
        fed: Vec::new(),
    }))
}

/// Runs one controller through the script.
pub(super) fn run(world: &Shared) {
    let (board, now) = (Arc::clone(&world.borrow().board), world.borrow().now);
    let controller = controller(world);
    let (part, metrics) = (
        board.part("counting", now),
        Arc::new(ControllerMetrics::new("counting")),
    );
    Runner::new(controller, inbox(world), resync, part, metrics).run();
}

pub(super) fn controller(world: &Shared) -> Counting {
    Counting {
        world: Rc::clone(world),
        plan: Numbers::new(),
    }
}

pub(super) fn inbox(world: &Shared) -> VirtualInbox {
    VirtualInbox(Rc::clone(world))
}

pub(super) fn resync(_: &Numbers) -> Duration {
    Duration::from_secs(300)
}

// === impl World ===

impl World {
    fn pass(&mut self, to: Instant) {
        self.now = self.now.max(to);
        self.fed.push(self.board.report(self.now).makes_progress());
    }

    fn note(&mut self, what: &'static str) {
        let at = (self.now - self.start).as_millis();
        self.log.push((at, what));
    }

    pub(super) fn times(&self, what: &str) -> Vec<u128> {
        self.log
            .iter()
            .filter(|(_, found)| *found == what)
            .map(|(at, _)| *at)
            .collect()
    }
}

// === impl VirtualInbox ===

impl Inbox<Numbers> for VirtualInbox {
    fn now(&self) -> Instant {
        self.0.borrow().now
    }

    fn wait(&mut self, until: Instant) -> News<Numbers> {
        let world = &mut *self.0.borrow_mut();
        let mut news = News {
            input: None,
            foreign: false,
            stop: false,
        };
        assert!(!world.script.is_empty(), "the script ends without a stop");
        let next = world.script.front().map_or(until, |(at, _)| *at);
        world.pass(until.min(next));
        while let Some((at, event)) = world.script.pop_front_if(|(at, _)| *at <= world.now) {
            match event {
                Event::Input(input) => news.input = Some((input, at)),
                Event::Foreign => news.foreign = true,
                Event::Do(change) => change(world),
                Event::Stop => news.stop = true,
            }
        }
        news
    }
}

// === impl Counting ===

impl Controller for Counting {
    type Input = Numbers;
    type Observed = Numbers;
    type Change = Step;

    const NAME: &'static str = "counting";

    fn plan(&mut self, input: &Numbers) {
        self.world.borrow_mut().note("plan");
        self.plan.clone_from(input);
    }

    fn observe(&mut self) -> Result<Numbers, ObserveError> {
        let mut world = self.world.borrow_mut();
        world.note("observe");
        if world.unreadable {
            return Err(ObserveError {
                what: "numbers",
                source: Box::new(Refused("no such family")),
            });
        }
        Ok(world.kernel.clone())
    }

    fn changes(&self, seen: &Numbers, _: Scope) -> Vec<Step> {
        let added = self.plan.difference(seen).copied().map(Step::Add);
        added
            .chain(seen.difference(&self.plan).copied().map(Step::Del))
            .collect()
    }

    fn apply(&mut self, changes: Vec<Step>, seen: &mut Numbers, beat: &dyn Fn()) -> Report<Step> {
        let mut report = Report {
            applied: 0,
            failures: Vec::new(),
        };
        let (work, parts) = {
            let mut world = self.world.borrow_mut();
            world.note("apply");
            (world.work, world.parts)
        };
        for part in 0..parts {
            if part > 0 {
                beat();
            }
            let mut world = self.world.borrow_mut();
            let done = world.now + work / parts;
            world.pass(done);
        }
        let world = &mut *self.world.borrow_mut();
        if world.panics_left > 0 {
            world.panics_left -= 1;
            panic!("index out of bounds");
        }
        for change in changes {
            let worked = match change {
                Step::Add(n) | Step::Del(n) if world.refused.contains(&n) => false,
                Step::Add(n) => seen.insert(n) && world.kernel.insert(n),
                Step::Del(n) => seen.remove(&n) && world.kernel.remove(&n),
            };
            if worked {
                report.applied += 1;
            } else {
                let refused = Refused("operation not permitted");
                let reason: Box<dyn Error + Send + Sync> = match world.isolates {
                    true => Isolated(refused.into()).into(),
                    false => refused.into(),
                };
                report.failures.push(Failure { change, reason });
            }
        }
        report
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.world.borrow().deadline
    }

    fn summary(&self) -> String {
        format!("{} numbers", self.plan.len())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(n) => write!(f, "number add {n}"),
            Self::Del(n) => write!(f, "number del {n}"),
        }
    }
}
