//! Random walks: whatever happens in whatever order, nothing panics and the promises of the room
//! hold.

use std::collections::BTreeSet;
use std::time::Instant;

use proptest::prelude::*;

use super::support::{
    epoch, graceful, long_lived, notification, our_config, secs, their_config, update,
};
use crate::bgp::fsm::{
    Action, ConnectionId, Direction, Event, Fate, GracefulConfig, MaxPrefixes, Peer, PeerAs,
    PeerConfig, Restart, State, Stop, Terms,
};
use crate::bgp::wire::{
    AddressFamily, CeaseSubcode, Codec, HoldTime, Message, Notification, RefreshSubtype,
    RouteRefresh,
};
use crate::net::{ByFamily, Family};

/// One step. Connections are chosen among the live ones, or are ones that never were or are gone.
#[derive(Debug, Clone)]
enum Step {
    Start,
    Stop(u8),
    Reset,
    Dialed(bool),
    Accept,
    Message(u8, u8),
    /// A message with one octet changed, as it comes out of the codec.
    Mutated(u8, u8, u16, u8),
    Fault(u8, u8),
    Closed(u8),
    Written(u8),
    UpdatesSent(u8),
    EndOfRib(bool),
    Prefixes(bool, u32),
    Refresh(bool),
    BfdDown(bool),
    Config(u8),
    Restarting(bool),
    /// Up to the next deadline, if there is one.
    Timer,
    Pass(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Start),
        1 => (0u8..3).prop_map(Step::Stop),
        1 => Just(Step::Reset),
        8 => any::<bool>().prop_map(Step::Dialed),
        6 => Just(Step::Accept),
        40 => (any::<u8>(), 0u8..16).prop_map(|(which, what)| Step::Message(which, what)),
        6 => (any::<u8>(), 0u8..16, any::<u16>(), any::<u8>())
            .prop_map(|(which, what, at, octet)| Step::Mutated(which, what, at, octet)),
        2 => (any::<u8>(), 1u8..8).prop_map(|(which, code)| Step::Fault(which, code)),
        4 => any::<u8>().prop_map(Step::Closed),
        4 => any::<u8>().prop_map(Step::Written),
        2 => any::<u8>().prop_map(Step::UpdatesSent),
        4 => any::<bool>().prop_map(Step::EndOfRib),
        2 => (any::<bool>(), 0u32..12).prop_map(|(v4, count)| Step::Prefixes(v4, count)),
        2 => any::<bool>().prop_map(Step::Refresh),
        1 => any::<bool>().prop_map(Step::BfdDown),
        1 => (0u8..9).prop_map(Step::Config),
        1 => any::<bool>().prop_map(Step::Restarting),
        12 => Just(Step::Timer),
        8 => (0u16..200).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..300)
}

fn config(number: u8) -> PeerConfig {
    let mut config = our_config();
    config.max_prefixes.v4 = Some(MaxPrefixes {
        limit: 10,
        warn_at: Some(5),
        restart: Some(secs(30)),
    });
    config.graceful = match number % 4 {
        0 => None,
        1 => Some(graceful()),
        2 => Some(long_lived()),
        _ => Some(GracefulConfig {
            notification: true,
            ..long_lived()
        }),
    };
    match number {
        4 => config.passive = true,
        5 => config.delay_open = Some(secs(7)),
        6 => config.hold_time = HoldTime::DISABLED,
        7 => config.peer_as = PeerAs::External,
        8 => config.families.v6 = false,
        _ => {}
    }
    config
}

fn message(what: u8) -> Message {
    let mut theirs = their_config();
    let with = |config: &PeerConfig, restarting| {
        Message::Open(config.open(&Restart {
            restarting,
            preserved: ByFamily {
                v4: true,
                v6: false,
            },
        }))
    };
    let notify = |it: Notification| Message::Notification(it);
    match what {
        0 | 1 => with(&theirs, false),
        2 | 3 => {
            theirs.graceful = Some(GracefulConfig {
                notification: true,
                ..long_lived()
            });
            with(&theirs, what == 3)
        }
        4 => {
            theirs.local_as = 1;
            with(&theirs, false)
        }
        5 => {
            theirs.families.v4 = false;
            theirs.hold_time = HoldTime::DISABLED;
            with(&theirs, false)
        }
        6..=9 => Message::Keepalive,
        10 | 11 => update(),
        12 => notify(notification(6, 4)),
        13 => notify(Notification::from(CeaseSubcode::HardReset)),
        _ => Message::RouteRefresh(RouteRefresh {
            family: AddressFamily::IPV6_UNICAST,
            subtype: RefreshSubtype::from_number(what - 14),
        }),
    }
}

fn mutated(id: ConnectionId, what: u8, at: u16, octet: u8) -> Event {
    let (codec, mut octets) = (Codec::default(), Vec::new());
    codec.encode(&message(what), &mut octets).unwrap();
    let at = usize::from(at) % octets.len();
    octets[at] = octet;
    match codec.decode(&octets.into()) {
        Ok(message) => Event::Message(id, message),
        Err(fault) => Event::Fault(id, fault.notification()),
    }
}

/// What somebody who carries out the actions knows, and believes.
struct World {
    peer: Peer,
    now: Instant,
    dialing: Option<ConnectionId>,
    open: BTreeSet<ConnectionId>,
    gone: BTreeSet<ConnectionId>,
    /// Incoming connections that the peer never saw.
    next_incoming: u32,
    up: Option<ConnectionId>,
    stale: ByFamily<bool>,
}

impl World {
    fn new(number: u8, seed: u64) -> Self {
        let now = epoch();
        Self {
            peer: Peer::new(now, config(number), Restart::NONE, seed),
            now,
            dialing: None,
            open: BTreeSet::new(),
            gone: BTreeSet::new(),
            next_incoming: 0,
            up: None,
            stale: ByFamily::default(),
        }
    }

    /// Mostly a live connection, sometimes one that is gone or never was.
    fn choose(&self, which: u8) -> ConnectionId {
        let pool: Vec<_> = if which.is_multiple_of(8) {
            self.gone.iter().copied().collect()
        } else {
            self.open.iter().copied().collect()
        };
        let choice = pool.get(usize::from(which) % pool.len().max(1));
        choice.copied().unwrap_or(ConnectionId::incoming(u32::MAX))
    }

    fn walk(&mut self, step: Step) {
        let families = |v4| if v4 { Family::V4 } else { Family::V6 };
        let event = match step {
            Step::Start => Event::Start,
            Step::Stop(0) => Event::Stop(Stop::Shutdown("words".into())),
            Step::Stop(1) => Event::Stop(Stop::Deconfigured),
            Step::Stop(_) => Event::Stop(Stop::Restart),
            Step::Reset => Event::Reset("words".into()),
            Step::Dialed(worked) => match self.dialing.take() {
                Some(id) if worked => {
                    self.open.insert(id);
                    Event::Connected(id)
                }
                Some(id) => {
                    self.gone.insert(id);
                    Event::Closed(id)
                }
                None => Event::Connected(ConnectionId {
                    direction: Direction::Outgoing,
                    serial: u32::MAX,
                }),
            },
            Step::Accept => {
                let id = ConnectionId::incoming(self.next_incoming);
                self.next_incoming += 1;
                self.open.insert(id);
                Event::Accepted(id)
            }
            Step::Message(which, what) => Event::Message(self.choose(which), message(what)),
            Step::Mutated(which, what, at, octet) => mutated(self.choose(which), what, at, octet),
            Step::Fault(which, code) => Event::Fault(self.choose(which), notification(code, 1)),
            Step::Closed(which) => {
                let id = self.choose(which);
                if self.open.remove(&id) {
                    self.gone.insert(id);
                }
                Event::Closed(id)
            }
            Step::Written(which) => Event::Written(self.choose(which)),
            Step::UpdatesSent(which) => Event::UpdatesSent(self.choose(which), 2),
            Step::EndOfRib(v4) => Event::EndOfRib(families(v4)),
            Step::Prefixes(v4, count) => Event::Prefixes(families(v4), count),
            Step::Refresh(v4) => Event::Refresh(families(v4)),
            Step::BfdDown(control_plane_independent) => Event::BfdDown {
                control_plane_independent,
            },
            Step::Config(number) => {
                let actions = self.peer.set_config(self.now, config(number));
                return self.carry_out(actions);
            }
            Step::Restarting(restarting) => {
                self.peer.set_restart(Restart {
                    restarting,
                    ..Restart::NONE
                });
                return;
            }
            Step::Timer => {
                if let Some(due) = self.peer.poll_timeout() {
                    self.advance(due);
                }
                return;
            }
            Step::Pass(seconds) => return self.advance(self.now + secs(seconds.into())),
        };
        let actions = self.peer.handle(self.now, event);
        self.carry_out(actions);
    }

    fn advance(&mut self, to: Instant) {
        self.now = self.now.max(to);
        let actions = self.peer.handle_timeout(self.now);
        self.carry_out(actions);
        let next = self.peer.poll_timeout();
        assert!(
            next.is_none_or(|next| next > self.now),
            "a timer without end"
        );
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.carry_out_one(action);
        }
        self.check();
    }

    fn carry_out_one(&mut self, action: Action) {
        match action {
            Action::Connect(id) => {
                assert_eq!(self.dialing, None, "two attempts at once");
                assert!(
                    !self.open.contains(&id) && !self.gone.contains(&id),
                    "{id} again"
                );
                self.dialing = Some(id);
            }
            Action::Send(id, _) => assert!(self.open.contains(&id), "sent on {id}"),
            Action::Close(id) => {
                let dialed = self.dialing.take_if(|dialed| *dialed == id).is_some();
                assert!(self.open.remove(&id) || dialed, "closed {id}");
                self.gone.insert(id);
            }
            Action::Up(id, _) => {
                assert!(self.open.contains(&id));
                assert_eq!(self.up.replace(id), None, "up twice");
            }
            Action::Down(_) => assert!(self.up.take().is_some(), "down twice"),
            Action::Routes(family, fate) => {
                *self.stale.get_mut(family) = matches!(fate, Fate::Stale | Fate::LongLived);
            }
            Action::Failed(_) => {}
            Action::Deliver(_) | Action::Refresh(_) | Action::ManyPrefixes { .. } => {
                assert!(self.up.is_some(), "without a session");
            }
        }
    }

    fn is_settled(&self) -> bool {
        let is_endless = |terms: &Terms| terms.negotiated.hold_time == HoldTime::DISABLED;
        let lives_on = self
            .peer
            .established()
            .is_some_and(|(_, terms)| is_endless(terms));
        (self.open.is_empty() || lives_on) && self.stale == ByFamily::default()
    }

    fn check(&self) {
        let (state, status) = (self.peer.state(), self.peer.status());
        assert_eq!(status.state, state);
        assert_eq!(self.peer.established().map(|(id, _)| id), self.up);
        assert_eq!(self.up.is_some(), state == State::Established);
        assert!(self.open.len() <= 2, "{:?}", self.open);
        let timers = status.timers;
        match state {
            State::Idle => {
                assert!(self.open.is_empty() && self.dialing.is_none());
                assert!(timers.connect_retry.is_none() && timers.hold.is_none());
                assert!(!(status.stopped && timers.idle_hold.is_some()));
            }
            State::Connect | State::Active => {
                assert!(timers.idle_hold.is_none() && timers.hold.is_none());
                let waits = timers.connect_retry.or(timers.delay_open).is_some();
                assert!(waits || self.peer.config().passive, "stuck in {state}");
            }
            State::OpenSent => assert!(timers.hold.is_some() && timers.keepalive.is_none()),
            State::OpenConfirm => {
                assert!(timers.hold.is_some());
                assert!(timers.delay_open.is_none() && timers.idle_hold.is_none());
            }
            State::Established => {
                assert_eq!(timers.hold.is_some(), timers.keepalive.is_some());
                assert!(timers.delay_open.is_none() && timers.idle_hold.is_none());
            }
        }
        if state == State::Established {
            assert_eq!(timers.send_hold.is_some(), timers.hold.is_some());
            assert_eq!(self.dialing, None);
        } else {
            assert_eq!(timers.send_hold, None);
        }
        for family in Family::ALL {
            let stale = *self.stale.get(family);
            assert_eq!(self.peer.has_stale(family), stale, "{family}");
            assert!(
                !stale || self.peer.poll_timeout().is_some(),
                "stale for ever"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks_the_promises(number in 0u8..9, seed: u64, steps in steps()) {
        let mut world = World::new(number, seed);
        world.walk(Step::Start);
        for step in steps {
            world.walk(step);
        }
        // Left alone, nothing is half-way or stale in the end; only a session without hold time
        // lives on.
        for _ in 0..500 {
            match world.peer.poll_timeout() {
                Some(due) if !world.is_settled() => world.advance(due),
                _ => break,
            }
        }
        prop_assert!(world.is_settled());
    }
}
