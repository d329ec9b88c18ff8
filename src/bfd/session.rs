//! One end of a session in asynchronous mode, without sockets, clock and randomness.
//!
//! - The owner gives it each packet ([`Session::handle_packet`]), wakes it when
//!   [`Session::poll_timeout`] says so ([`Session::handle_timeout`]), and after either sends all
//!   that [`Session::poll_transmit`] has.
//! - A change of state is told at once, not with the next periodic packet (section 6.8.7).
//! - Each way to Up is followed by a Poll Sequence, since the interval of a second that holds below
//!   Up (section 6.8.3) ends there. Below Up there is none: each packet has all parameters, and Up
//!   has its own.
//! - Nothing is told about a session that has not been Up.
//! - One packet departs from section 6.8.1: the one that tells an end that we take it for lost still
//!   names that end's session, though its discriminator is forgotten by then. FRR takes a packet
//!   that names none for that of a stranger while it is Up, and would find out only after its own
//!   detection time. Those that follow name none.
//!
//! References: RFC 5880 sections 6.2, 6.5 and 6.8 (without echo; demand only at the other end).

use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};
use std::time::{Duration, Instant};

use super::config::{Timers, microseconds};
use super::status::Status;
use super::wire::{ControlPacket, Diagnostic, State};

/// Below Up nobody sends faster (section 6.8.3), in microseconds.
const SLOW: u32 = 1_000_000;

/// What a session tells its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transition {
    Up,
    /// It was Up, and the way to the other end is lost.
    Down {
        diagnostic: Diagnostic,
        /// The C bit of the last packet that was received: the other end's BFD doesn't share fate
        /// with its control plane (RFC 5882 section 4.3).
        control_plane_independent: bool,
    },
    /// It was Up, and the other end's operator took it down; that is no failure of the way (RFC
    /// 5882 section 4.2).
    AdminDown,
}

#[derive(Debug, Clone)]
pub struct Session {
    discriminator: NonZeroU32,
    state: State,
    diagnostic: Diagnostic,
    /// What our packets say.
    timers: Timers,
    /// What counts while Up, until the other end has confirmed [`Self::timers`].
    in_use: Intervals,
    poll: Poll,
    /// The last packet of the other end; what it said is forgotten once it has been silent for the
    /// detection time (section 6.8.1).
    remote: Option<ControlPacket>,
    /// When that came.
    heard: Option<Instant>,
    /// Its discriminator, if it has fallen silent and was not told so yet.
    lost: Option<NonZeroU32>,
    sent: Option<Sent>,
    /// Something to tell now, since then.
    urgent: Option<Instant>,
    /// A poll to answer, since then.
    polled: Option<Instant>,
    counted: Counted,
}

/// Microseconds.
#[derive(Debug, Clone, Copy)]
struct Intervals {
    tx: u32,
    rx: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Poll {
    Idle,
    Active,
    /// The timers changed again: another sequence has to follow, as the answer may be to either.
    ActiveThenAgain,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    /// Of the interval to the next packet; 2^32 is the whole range that is allowed.
    jitter: u32,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    since: Instant,
    ups: u64,
    downs: u64,
    last_down: Option<(Instant, Diagnostic)>,
}

// === impl Session ===

impl Session {
    /// A session that starts to send at once, in the state Down.
    #[must_use]
    pub fn new(now: Instant, discriminator: NonZeroU32, timers: Timers) -> Self {
        Self {
            discriminator,
            state: State::Down,
            diagnostic: Diagnostic::None,
            timers,
            in_use: Intervals::of(&timers),
            poll: Poll::Idle,
            remote: None,
            heard: None,
            lost: None,
            sent: None,
            urgent: Some(now),
            polled: None,
            counted: Counted {
                since: now,
                ups: 0,
                downs: 0,
                last_down: None,
            },
        }
    }

    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    #[must_use]
    pub fn discriminator(&self) -> NonZeroU32 {
        self.discriminator
    }

    /// Proposes other timers; a session that is Up stays so. Until the other end has confirmed
    /// them, we send at the faster rate and expect the slower one (section 6.8.3).
    pub fn set_timers(&mut self, now: Instant, timers: Timers) {
        if timers == self.timers {
            return;
        }
        self.timers = timers;
        self.urgent = Some(now);
        let wanted = Intervals::of(&timers);
        if self.state != State::Up {
            self.in_use = wanted;
            return;
        }
        self.in_use.tx = self.in_use.tx.min(wanted.tx);
        self.in_use.rx = self.in_use.rx.max(wanted.rx);
        self.poll = match self.poll {
            Poll::Idle => Poll::Active,
            Poll::Active | Poll::ActiveThenAgain => Poll::ActiveThenAgain,
        };
    }

    /// Takes the session down for good; what [`Self::poll_transmit`] has next tells the other end.
    pub fn set_admin_down(&mut self, now: Instant) {
        self.enter(now, State::AdminDown, Diagnostic::AdministrativelyDown);
    }

    /// Takes a packet that was selected for this session (section 6.8.6).
    pub fn handle_packet(&mut self, now: Instant, packet: &ControlPacket) -> Option<Transition> {
        self.remote = Some(*packet);
        self.heard = Some(now);
        if packet.is_final {
            self.confirm();
        }
        if packet.poll {
            self.polled = Some(now);
        }
        let signaled = Diagnostic::NeighborSignaledDown;
        match (self.state, packet.state) {
            (State::AdminDown, _) => None,
            (State::Init | State::Up, State::AdminDown) => {
                let was_up = self.enter(now, State::Down, signaled);
                was_up.then_some(Transition::AdminDown)
            }
            (State::Up, State::Down) => {
                self.enter(now, State::Down, signaled);
                Some(down(signaled, packet))
            }
            (State::Down, State::Down) => {
                self.enter(now, State::Init, self.diagnostic);
                None
            }
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                self.enter(now, State::Up, Diagnostic::None);
                Some(Transition::Up)
            }
            (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up) => None,
        }
    }

    /// When [`Self::handle_timeout`] and [`Self::poll_transmit`] are to be called next, if nothing
    /// comes before; what has passed already means now.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let all = [self.polled, self.next_packet(), self.expiry()];
        all.into_iter().flatten().min()
    }

    /// Looks whether the other end has been silent for too long (section 6.8.4).
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Transition> {
        if self.expiry().is_none_or(|expiry| now < expiry) {
            return None;
        }
        let last = self.remote.take();
        self.heard = None;
        let expired = Diagnostic::DetectionTimeExpired;
        if !matches!(self.state, State::Init | State::Up) {
            return None;
        }
        self.lost = last.map(|packet| packet.my_discriminator);
        let was_up = self.enter(now, State::Down, expired);
        last.filter(|_| was_up).map(|packet| down(expired, &packet))
    }

    /// A packet that is due; to be called until there is none. `random` is evenly distributed and
    /// decides when the next one is.
    pub fn poll_transmit(&mut self, now: Instant, random: u32) -> Option<ControlPacket> {
        if self.polled.take().is_some() {
            return Some(self.packet(true));
        }
        if self.next_packet().is_none_or(|due| now < due) {
            return None;
        }
        self.urgent = None;
        self.sent = Some(Sent {
            at: now,
            jitter: random,
        });
        let packet = self.packet(false);
        let lost = self.lost.take();
        Some(ControlPacket {
            your_discriminator: packet.your_discriminator.or(lost),
            ..packet
        })
    }

    #[must_use]
    pub fn status(&self) -> Status {
        let micros = |us: u32| Duration::from_micros(us.into());
        Status {
            state: self.state,
            diagnostic: self.diagnostic,
            discriminator: self.discriminator,
            timers: self.timers,
            remote: self.remote,
            transmit_interval: micros(self.transmit_interval()),
            detection_time: self.detection_time(),
            is_polling: self.poll != Poll::Idle,
            since: self.counted.since,
            ups: self.counted.ups,
            downs: self.counted.downs,
            last_down: self.counted.last_down,
            last_refusal: None,
        }
    }

    /// The Poll Sequence is answered.
    fn confirm(&mut self) {
        self.poll = match self.poll {
            Poll::Idle => return,
            Poll::Active => {
                self.in_use = Intervals::of(&self.timers);
                Poll::Idle
            }
            Poll::ActiveThenAgain => Poll::Active,
        };
    }

    /// Whether it was Up until now.
    fn enter(&mut self, now: Instant, state: State, diagnostic: Diagnostic) -> bool {
        let was_up = self.state == State::Up;
        self.state = state;
        self.diagnostic = diagnostic;
        self.urgent = Some(now);
        self.counted.since = now;
        self.in_use = Intervals::of(&self.timers);
        self.poll = Poll::Idle;
        if state == State::Up {
            self.counted.ups += 1;
            self.poll = Poll::Active;
        } else if was_up {
            self.counted.downs += 1;
            self.counted.last_down = Some((now, diagnostic));
        }
        was_up
    }

    /// Microseconds that our packets say.
    fn desired_min_tx(&self) -> u32 {
        let wanted = microseconds(self.timers.desired_min_tx);
        if self.state == State::Up {
            wanted
        } else {
            wanted.max(SLOW)
        }
    }

    /// Microseconds between our packets, before jitter (section 6.8.2).
    fn transmit_interval(&self) -> u32 {
        let own = if self.state == State::Up {
            self.in_use.tx
        } else {
            self.in_use.tx.max(SLOW)
        };
        own.max(self.remote.map_or(1, |packet| packet.required_min_rx))
    }

    /// How long the other end may be silent (section 6.8.4).
    fn detection_time(&self) -> Option<Duration> {
        let packet = self.remote.as_ref()?;
        let interval = self.in_use.rx.max(packet.desired_min_tx);
        let interval = Duration::from_micros(interval.into());
        Some(interval * u32::from(packet.detect_multiplier.get()))
    }

    fn expiry(&self) -> Option<Instant> {
        Some(self.heard? + self.detection_time()?)
    }

    fn next_packet(&self) -> Option<Instant> {
        if self.urgent.is_some() {
            return self.urgent;
        }
        let wants_none = |packet: ControlPacket| {
            packet.required_min_rx == 0
                || packet.demand
                    && packet.state == State::Up
                    && self.state == State::Up
                    && self.poll == Poll::Idle
        };
        if self.remote.is_some_and(wants_none) {
            return None;
        }
        let sent = self.sent?;
        let interval = jittered(
            self.transmit_interval(),
            self.timers.multiplier,
            sent.jitter,
        );
        Some(sent.at + interval)
    }

    fn packet(&self, is_final: bool) -> ControlPacket {
        ControlPacket {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.poll != Poll::Idle && !is_final,
            is_final,
            // We end with the process that has the routes.
            control_plane_independent: false,
            demand: false,
            detect_multiplier: self.timers.multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.map(|packet| packet.my_discriminator),
            desired_min_tx: self.desired_min_tx(),
            required_min_rx: microseconds(self.timers.required_min_rx),
            required_min_echo_rx: 0,
        }
    }
}

// === impl Transition ===

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("Up"),
            Self::Down { diagnostic, .. } => write!(f, "Down ({diagnostic})"),
            Self::AdminDown => f.write_str("AdminDown at the other end"),
        }
    }
}

// === impl Intervals ===

impl Intervals {
    fn of(timers: &Timers) -> Self {
        Self {
            tx: microseconds(timers.desired_min_tx),
            rx: microseconds(timers.required_min_rx),
        }
    }
}

fn down(diagnostic: Diagnostic, last: &ControlPacket) -> Transition {
    Transition::Down {
        diagnostic,
        control_plane_independent: last.control_plane_independent,
    }
}

/// 75 to 100 % of the interval, and at most 90 % if a single lost packet is one too many (section
/// 6.8.7).
fn jittered(interval: u32, multiplier: NonZeroU8, random: u32) -> Duration {
    let range = if multiplier == NonZeroU8::MIN { 15 } else { 25 };
    let interval = u64::from(interval);
    // 2^32 * 2^32 / 4 fits.
    let varied = (interval * range / 100 * u64::from(random)) >> 32;
    Duration::from_micros(interval * 3 / 4 + varied)
}
