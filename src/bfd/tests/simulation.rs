//! Two ends over a wire that loses, delays and cuts; time is simulated.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::bfd::config::microseconds;
use crate::bfd::{LENGTH, Session, Transition};

/// Packets lost of a hundred, in each direction.
type Loss = [u8; 2];

struct World {
    now: Instant,
    ends: [Session; 2],
    /// To each end, by arrival.
    on_the_way: [VecDeque<(Instant, [u8; LENGTH])>; 2],
    delay: Duration,
    loss: Loss,
    random: u64,
    told: Vec<(Instant, usize, Transition)>,
}

impl World {
    fn new(timers: [Timers; 2], delay: Duration, random: u64) -> Self {
        let now = start();
        let [one, two] = timers;
        Self {
            now,
            ends: [
                Session::new(now, number(1), one),
                Session::new(now, number(2), two),
            ],
            on_the_way: Default::default(),
            delay,
            loss: [0, 0],
            random: random | 1,
            told: Vec::new(),
        }
    }

    fn random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) as u32
    }

    /// Goes on until the time has passed or both are in the state.
    fn run(&mut self, time: Duration, until: Option<State>) {
        let deadline = self.now + time;
        loop {
            self.deliver();
            self.transmit();
            let is_there = |state| self.ends.iter().all(|end| end.state() == state);
            if until.is_some_and(is_there) {
                return;
            }
            let arrivals = self
                .on_the_way
                .iter()
                .filter_map(|way| Some(way.front()?.0));
            let timeouts = self.ends.iter().filter_map(Session::poll_timeout);
            let next = arrivals.chain(timeouts).min().unwrap();
            assert!(next > self.now, "something is due again and again");
            if next > deadline {
                self.now = deadline;
                return;
            }
            self.now = next;
        }
    }

    fn deliver(&mut self) {
        for end in 0..2 {
            while let Some((at, octets)) = self.on_the_way[end].front().copied() {
                if at > self.now {
                    break;
                }
                self.on_the_way[end].pop_front();
                let packet = ControlPacket::decode(&octets).unwrap();
                let told = self.ends[end].handle_packet(self.now, &packet);
                self.told.extend(told.map(|told| (self.now, end, told)));
            }
            let told = self.ends[end].handle_timeout(self.now);
            self.told.extend(told.map(|told| (self.now, end, told)));
        }
    }

    fn transmit(&mut self) {
        for end in 0..2 {
            let mut count = 0;
            loop {
                let random = self.random();
                let Some(packet) = self.ends[end].poll_transmit(self.now, random) else {
                    break;
                };
                count += 1;
                assert!(count <= 2, "a packet and an answer");
                if self.random() % 100 >= u32::from(self.loss[end]) {
                    let at = self.now + self.delay;
                    self.on_the_way[1 - end].push_back((at, packet.encode()));
                }
            }
        }
    }

    fn states(&self) -> [State; 2] {
        [self.ends[0].state(), self.ends[1].state()]
    }
}

fn any_timers() -> impl Strategy<Value = Timers> {
    (10_u64..2000, 10_u64..2000, 1_u8..6)
        .prop_map(|(tx, rx, multiplier)| timers(tx, rx, multiplier))
}

/// The longest time that both may need from anything to Up once nothing is lost: both find out
/// that they are lost, and go three times to and fro with a packet that may just have been sent.
fn patience(timers: &[Timers; 2]) -> Duration {
    let slowest = timers.iter().fold(ms(1000), |slowest, timers| {
        slowest
            .max(timers.desired_min_tx)
            .max(timers.required_min_rx)
    });
    slowest * 6 + slowest * 4 + ms(500)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn both_ends_always_come_up_and_stay_up_once_the_wire_works(
        timers in [any_timers(), any_timers()],
        delay in 1_u64..100,
        loss in [0_u8..100, 0_u8..100],
        before in 0_u64..20_000,
        random in any::<u64>(),
    ) {
        let mut world = World::new(timers, ms(delay), random);
        world.loss = loss;
        world.run(ms(before), None);
        world.loss = [0, 0];
        world.run(patience(&timers), Some(State::Up));
        prop_assert_eq!(world.states(), [State::Up; 2]);
        // What was lost before may still be missed once.
        world.run(patience(&timers), None);
        world.run(patience(&timers), Some(State::Up));
        let told = world.told.len();
        world.run(ms(60_000), None);
        prop_assert_eq!(world.states(), [State::Up; 2]);
        prop_assert_eq!(world.told.len(), told, "it does not flap");
        for end in &world.ends {
            prop_assert!(!end.status().is_polling);
        }
    }

    #[test]
    fn one_way_loss_is_detected_in_time_and_told_to_the_other_end(
        timers in [any_timers(), any_timers()],
        delay in 1_u64..50,
        random in any::<u64>(),
        deaf in 0_usize..2,
    ) {
        let mut world = World::new(timers, ms(delay), random);
        world.run(patience(&timers), Some(State::Up));
        world.run(ms(20_000), None);
        prop_assert_eq!(world.states(), [State::Up; 2]);
        world.told.clear();
        let cut = world.now;
        world.loss[1 - deaf] = 100;
        let detection = world.ends[deaf].status().detection_time.unwrap();
        let expected = timers[deaf].required_min_rx.max(timers[1 - deaf].desired_min_tx)
            * u32::from(timers[1 - deaf].multiplier.get());
        prop_assert_eq!(detection, expected);
        world.run(detection + ms(delay) * 3, None);
        let down = |diagnostic| Transition::Down { diagnostic, control_plane_independent: false };
        prop_assert_eq!(world.told.len(), 2, "{:?}", world.told);
        let (at, end, first) = world.told[0];
        prop_assert_eq!((end, first), (deaf, down(Diagnostic::DetectionTimeExpired)));
        prop_assert!(at <= cut + ms(delay) + detection);
        let (then, end, second) = world.told[1];
        prop_assert_eq!((end, second), (1 - deaf, down(Diagnostic::NeighborSignaledDown)));
        prop_assert_eq!(then, at + ms(delay));
        // It stays so for as long as the wire does.
        world.run(ms(30_000), None);
        prop_assert_eq!(world.states()[deaf], State::Down);
        prop_assert_eq!(world.told.len(), 2);
        world.loss = [0, 0];
        world.run(patience(&timers), Some(State::Up));
        prop_assert_eq!(world.states(), [State::Up; 2]);
    }

    #[test]
    fn timers_change_without_a_flap(
        before in [any_timers(), any_timers()],
        changes in proptest::collection::vec((0_usize..2, any_timers(), 0_u64..3000), 1..6),
        delay in 1_u64..50,
        random in any::<u64>(),
    ) {
        let mut world = World::new(before, ms(delay), random);
        world.run(patience(&before), Some(State::Up));
        world.run(ms(20_000), None);
        world.told.clear();
        let mut last = before;
        for (end, timers, pause) in changes {
            last[end] = timers;
            let now = world.now;
            world.ends[end].set_timers(now, last[end]);
            world.run(ms(pause), None);
        }
        world.run(ms(30_000), None);
        prop_assert_eq!(&world.told, &vec![]);
        for end in 0..2 {
            let (own, other) = (last[end], last[1 - end]);
            let status = world.ends[end].status();
            prop_assert!(!status.is_polling);
            prop_assert_eq!(status.transmit_interval, own.desired_min_tx.max(other.required_min_rx));
            let interval = microseconds(own.required_min_rx.max(other.desired_min_tx));
            let expected = Duration::from_micros(interval.into()) * u32::from(other.multiplier.get());
            prop_assert_eq!(status.detection_time, Some(expected));
        }
    }
}

#[test]
fn an_end_that_starts_anew_is_noticed_before_the_detection_time() {
    let mut world = World::new([timers(500, 500, 3); 2], ms(1), 5);
    world.run(ms(20_000), None);
    world.told.clear();
    let now = world.now;
    world.ends[0] = Session::new(now, number(9), timers(500, 500, 3));
    world.run(ms(10), None);
    let lost = Transition::Down {
        diagnostic: Diagnostic::NeighborSignaledDown,
        control_plane_independent: false,
    };
    // Each change is told at once, so they need no interval of theirs.
    let up = Transition::Up;
    let expected = [(1, 1, lost), (3, 1, up), (4, 0, up)];
    let expected = expected.map(|(after, end, told)| (now + ms(after), end, told));
    assert_eq!(world.told, expected);
    let remote = world.ends[1].status().remote.unwrap();
    assert_eq!(remote.my_discriminator, number(9));
}

#[test]
fn an_operator_takes_a_session_down_without_a_failure() {
    let mut world = World::new([timers(100, 100, 3); 2], ms(1), 5);
    world.run(ms(10_000), None);
    world.told.clear();
    let now = world.now;
    world.ends[0].set_admin_down(now);
    world.run(ms(10_000), None);
    assert_eq!(world.told, [(now + ms(1), 1, Transition::AdminDown)]);
    assert_eq!(world.states(), [State::AdminDown, State::Down]);
}
