//! One peer: whether it is wanted, the attempts to reach it, and its one or two connections.

mod collision;
mod connections;
mod ending;
mod orders;

use std::time::Instant;

use super::config::PeerConfig;
use super::event::{Action, ConnectionId, Event, Failure, Reason};
use super::graceful::Helper;
use super::open::{Restart, Terms};
use super::session::{Context, Outcome, Session};
use super::status::{Counters, Mishap, State, Status, Timers};
use super::timers::{Jitter, earliest, is_due};
use crate::bgp::wire::{Message, Notification, RefreshSubtype, RouteRefresh};
use crate::net::{ByFamily, Family};

#[cfg(test)]
pub(super) use collision::{Identity, Verdict, collide};

/// The state machine of one peer. It is told what happens and when, and says what to do.
#[derive(Debug, Clone)]
pub struct Peer {
    config: PeerConfig,
    restart: Restart,
    mode: Mode,
    /// At most two: one of each direction, or the established one and another. None unless running.
    sessions: Vec<Session>,
    helper: Helper,
    jitter: Jitter,
    /// Sessions that ended in an error, in a row; the number of the idle hold time's doublings.
    failures: u32,
    /// Attempts to connect, in a row.
    retries: u32,
    next_serial: u32,
    /// The families whose prefixes were warned of.
    warned: ByFamily<bool>,
    record: Record,
}

/// Whether the peer is wanted at the moment. The first two are Idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Stopped,
    /// Damped (IdleHoldTimer); without an end until an operator starts it.
    Held {
        until: Option<Instant>,
    },
    Running(Dial),
}

/// The outgoing side as long as it is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dial {
    /// Passive, or there is a connection.
    Off,
    /// ConnectRetryTimer in Active.
    Waiting { until: Option<Instant> },
    /// ConnectRetryTimer in Connect.
    Connecting {
        id: ConnectionId,
        until: Option<Instant>,
    },
}

/// What `Status` shows of the past.
#[derive(Debug, Clone)]
struct Record {
    state: State,
    since: Instant,
    counters: Counters,
    sent: Option<Mishap<Notification>>,
    received: Option<Mishap<Notification>>,
    failure: Option<Mishap<Failure>>,
    down: Option<Mishap<Reason>>,
}

/// One call from outside.
#[derive(Debug)]
struct Turn {
    now: Instant,
    actions: Vec<Action>,
}

// === impl Peer ===

impl Peer {
    /// A peer that is stopped. The seed spreads its timers; it should differ from peer to peer.
    #[must_use]
    pub fn new(now: Instant, config: PeerConfig, restart: Restart, seed: u64) -> Self {
        Self {
            config,
            restart,
            mode: Mode::Stopped,
            sessions: Vec::new(),
            helper: Helper::default(),
            jitter: Jitter::new(seed),
            failures: 0,
            retries: 0,
            next_serial: 0,
            warned: ByFamily::default(),
            record: Record {
                state: State::Idle,
                since: now,
                counters: Counters::default(),
                sent: None,
                received: None,
                failure: None,
                down: None,
            },
        }
    }

    /// What is to be done about `event`, in this order.
    #[must_use]
    pub fn handle(&mut self, now: Instant, event: Event) -> Vec<Action> {
        self.turn(now, |peer, turn| peer.apply(turn, event))
    }

    /// When `handle_timeout` is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sessions = self.sessions.iter().map(Session::poll_timeout);
        earliest(sessions.chain([self.mode.deadline(), self.helper.poll_timeout()]))
    }

    /// Events 9 to 13: whatever is due. What came in before has to be told first, or a busy
    /// process lets hold timers expire of peers that did speak.
    #[must_use]
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Action> {
        self.turn(now, Self::expire)
    }

    /// What OPENs say of our restart from now on.
    pub fn set_restart(&mut self, restart: Restart) {
        self.restart = restart;
    }

    #[must_use]
    pub fn config(&self) -> &PeerConfig {
        &self.config
    }

    #[must_use]
    pub fn state(&self) -> State {
        let dial = match self.mode {
            Mode::Stopped | Mode::Held { .. } => State::Idle,
            Mode::Running(Dial::Connecting { .. }) => State::Connect,
            Mode::Running(_) if self.sessions.is_empty() => State::Active,
            Mode::Running(_) => State::Idle,
        };
        let sessions = self.sessions.iter().map(Session::state);
        sessions.max().map_or(dial, |furthest| furthest.max(dial))
    }

    /// How to read and write on a connection, once its OPEN was accepted.
    #[must_use]
    pub fn terms(&self, id: ConnectionId) -> Option<&Terms> {
        self.session(id).and_then(Session::peer_terms)
    }

    /// The established connection and its terms.
    #[must_use]
    pub fn established(&self) -> Option<(ConnectionId, &Terms)> {
        self.sessions
            .iter()
            .find_map(|session| Some((session.id, session.terms()?)))
    }

    /// Whether routes of the family are kept of a session that is gone.
    #[must_use]
    pub fn has_stale(&self, family: Family) -> bool {
        self.helper.has_stale(family)
    }

    #[must_use]
    pub fn status(&self) -> Status<'_> {
        Status {
            state: self.record.state,
            since: self.record.since,
            stopped: self.mode == Mode::Stopped,
            timers: self.timers(),
            connect_retries: self.retries,
            terms: self.established().map(|(_, terms)| terms),
            counters: self.record.counters,
            last_sent: self.record.sent.as_ref(),
            last_received: self.record.received.as_ref(),
            last_failure: self.record.failure.as_ref(),
            last_down: self.record.down.as_ref(),
        }
    }

    fn timers(&self) -> Timers {
        let furthest = self.sessions.iter().max_by_key(|session| session.state());
        let of_session = furthest.map(Session::timers).unwrap_or_default();
        let deadline = self.mode.deadline();
        let is_held = matches!(self.mode, Mode::Held { .. });
        Timers {
            idle_hold: deadline.filter(|_| is_held),
            connect_retry: deadline.filter(|_| !is_held),
            ..of_session
        }
    }

    fn turn(&mut self, now: Instant, step: impl FnOnce(&mut Self, &mut Turn)) -> Vec<Action> {
        let mut turn = Turn {
            now,
            actions: Vec::new(),
        };
        step(self, &mut turn);
        let state = self.state();
        if state != self.record.state {
            self.record.state = state;
            self.record.since = now;
        }
        turn.actions
    }

    fn apply(&mut self, turn: &mut Turn, event: Event) {
        match event {
            Event::Start => self.start(turn),
            Event::Stop(stop) => self.stop(turn, stop),
            Event::Reset(text) => self.reset(turn, &text),
            Event::Connected(id) => self.connected(turn, id),
            Event::Accepted(id) => self.accepted(turn, id),
            Event::Closed(id) => self.closed(turn, id),
            Event::Unreachable(id, words) => self.unreachable(turn, id, words),
            Event::Message(id, message) => self.received(turn, id, message),
            Event::Fault(id, notification) => self.step(turn, id, |session, _| {
                Outcome::Ended(session.refuse(notification))
            }),
            Event::Written(id) => self.step(turn, id, |session, cx| {
                session.written(cx.now);
                Outcome::Nothing
            }),
            Event::UpdatesSent(id, count) => self.step(turn, id, |session, cx| {
                session.updates_sent(cx, count);
                Outcome::Nothing
            }),
            Event::EndOfRib(family) => self.end_of_rib(turn, family),
            Event::Prefixes(family, count) => self.prefixes(turn, family, count),
            Event::Refresh(family) => self.ask_again(turn, family),
            Event::BfdDown {
                control_plane_independent,
            } => self.bfd_down(turn, control_plane_independent),
        }
    }

    fn expire(&mut self, turn: &mut Turn) {
        if is_due(self.mode.deadline(), turn.now) {
            match self.mode {
                Mode::Stopped | Mode::Running(Dial::Off) => {}
                Mode::Held { .. } => self.run(turn),
                Mode::Running(Dial::Waiting { .. }) => self.dial(turn),
                Mode::Running(Dial::Connecting { .. }) => self.dial_again(turn),
            }
        }
        for id in self.connections() {
            self.step(turn, id, Session::handle_timeout);
        }
        for (family, fate) in self.helper.handle_timeout(turn.now) {
            turn.actions.push(Action::Routes(family, fate));
        }
    }

    /// Lets one connection take a step, and draws the conclusions. Unknown ones take none.
    fn step(
        &mut self,
        turn: &mut Turn,
        id: ConnectionId,
        step: impl FnOnce(&mut Session, &mut Context<'_>) -> Outcome,
    ) {
        let Some(session) = self.sessions.iter_mut().find(|session| session.id == id) else {
            return;
        };
        let mut cx = Context {
            now: turn.now,
            config: &self.config,
            jitter: &mut self.jitter,
            counters: &mut self.record.counters,
            actions: &mut turn.actions,
        };
        match step(session, &mut cx) {
            Outcome::Nothing => {}
            Outcome::Opened(terms) => self.opened(turn, id, terms),
            Outcome::Established => self.came_up(turn, id),
            Outcome::Update(update) => turn.actions.push(Action::Deliver(update)),
            Outcome::Refresh(refresh) => turn.actions.push(Action::Refresh(refresh)),
            Outcome::Refused(fault) => self.refuse_open(turn, id, fault),
            Outcome::Ended(reason) => self.end(turn, id, reason),
        }
    }

    fn received(&mut self, turn: &mut Turn, id: ConnectionId, message: Message) {
        let kind = message.message_type();
        self.step(turn, id, |session, cx| {
            cx.counters.received.count(kind, 1);
            session.receive(cx, message)
        });
    }

    fn end_of_rib(&mut self, turn: &mut Turn, family: Family) {
        if self.established().is_some()
            && let Some(fate) = self.helper.end_of_rib(family)
        {
            turn.actions.push(Action::Routes(family, fate));
        }
    }

    fn ask_again(&mut self, turn: &mut Turn, family: Family) {
        let asks = |(id, terms): (ConnectionId, &Terms)| {
            let able = terms.negotiated.route_refresh && terms.negotiated.family(family).is_some();
            able.then_some(id)
        };
        if let Some(id) = self.established().and_then(asks) {
            let message = Message::RouteRefresh(RouteRefresh {
                family: family.into(),
                subtype: RefreshSubtype::Request,
            });
            self.step(turn, id, |_, cx| {
                cx.send(id, message);
                Outcome::Nothing
            });
        }
    }

    fn session(&self, id: ConnectionId) -> Option<&Session> {
        self.sessions.iter().find(|session| session.id == id)
    }

    fn connections(&self) -> Vec<ConnectionId> {
        self.sessions.iter().map(|session| session.id).collect()
    }
}

// === impl Mode ===

impl Mode {
    fn deadline(&self) -> Option<Instant> {
        match *self {
            Self::Stopped | Self::Running(Dial::Off) => None,
            Self::Held { until }
            | Self::Running(Dial::Waiting { until } | Dial::Connecting { until, .. }) => until,
        }
    }
}
