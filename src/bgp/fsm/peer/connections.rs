//! How connections begin: attempts, acceptance, collision, and the way to Established.

use super::collision::{Identity, Verdict, collide};
use super::{Dial, Mode, Peer, Turn};
use crate::bgp::fsm::event::{Action, ConnectionId, Direction, Failure, Reason};
use crate::bgp::fsm::open::Terms;
use crate::bgp::fsm::session::{Context, Outcome, Session};
use crate::bgp::fsm::status::State;
use crate::bgp::fsm::timers::after;
use crate::bgp::wire::{CeaseSubcode, Message, MessageType, Notification};
use crate::net::ByFamily;

impl Peer {
    /// From Idle to Connect, or to Active for one that never connects.
    pub(super) fn run(&mut self, turn: &mut Turn) {
        self.mode = Mode::Running(Dial::Off);
        if !self.config.passive {
            self.dial(turn);
        }
    }

    pub(super) fn dial(&mut self, turn: &mut Turn) {
        let id = ConnectionId::outgoing(self.next_serial);
        self.next_serial = self.next_serial.wrapping_add(1);
        let wait = self.jitter.spread(self.config.connect_retry.longest());
        let until = after(turn.now, wait);
        self.mode = Mode::Running(Dial::Connecting { id, until });
        turn.actions.push(Action::Connect(id));
    }

    /// Event 9 in Connect: the attempt takes too long.
    pub(super) fn dial_again(&mut self, turn: &mut Turn) {
        self.give_up_dial(turn);
        self.fail(turn, Failure::NoAnswer);
        self.retries = self.retries.saturating_add(1);
        self.dial(turn);
    }

    /// In Active until the next attempt, or until the peer connects.
    pub(super) fn wait(&mut self, turn: &Turn) {
        self.retries = self.retries.saturating_add(1);
        let dial = if self.config.passive {
            Dial::Off
        } else {
            let wait = self.config.connect_retry.delay(self.retries);
            let until = after(turn.now, self.jitter.spread(wait));
            Dial::Waiting { until }
        };
        self.mode = Mode::Running(dial);
    }

    /// No attempt goes on, none is waited for.
    pub(super) fn give_up_dial(&mut self, turn: &mut Turn) {
        if let Mode::Running(dial) = &mut self.mode {
            if let Dial::Connecting { id, .. } = *dial {
                turn.actions.push(Action::Close(id));
            }
            *dial = Dial::Off;
        }
    }

    pub(super) fn connected(&mut self, turn: &mut Turn, id: ConnectionId) {
        if self.is_dialing(id) {
            self.mode = Mode::Running(Dial::Off);
            self.begin(turn, id);
        }
    }

    fn is_dialing(&self, id: ConnectionId) -> bool {
        matches!(self.mode, Mode::Running(Dial::Connecting { id: dialed, .. }) if dialed == id)
    }

    /// In Idle a connection is refused, with a reason only where an operator is the reason: a peer
    /// that is told one waits longer than one that finds the door closed.
    pub(super) fn accepted(&mut self, turn: &mut Turn, id: ConnectionId) {
        if id.direction == Direction::Outgoing || self.session(id).is_some() {
            return;
        }
        match self.mode {
            Mode::Stopped => {
                let rejected = Notification::from(CeaseSubcode::ConnectionRejected);
                let sent = &mut self.record.counters.sent;
                sent.count(MessageType::Notification, 1);
                turn.actions
                    .push(Action::Send(id, Message::Notification(rejected)));
                turn.actions.push(Action::Close(id));
            }
            Mode::Held { .. } => turn.actions.push(Action::Close(id)),
            Mode::Running(dial) => {
                self.supersede(turn);
                if let Dial::Waiting { .. } = dial {
                    self.mode = Mode::Running(Dial::Off);
                }
                self.begin(turn, id);
            }
        }
    }

    /// A peer has one socket to connect with: a newer connection means that it has given up the
    /// one before, whether TCP has told us or not. Beside an established session there is room for
    /// one more only.
    fn supersede(&mut self, turn: &mut Turn) {
        let is_up = self.established().is_some();
        let older = self.sessions.iter().find(|session| {
            session.state() != State::Established
                && (is_up || session.id.direction == Direction::Incoming)
        });
        if let Some(id) = older.map(|session| session.id) {
            self.end(turn, id, Reason::Superseded);
            self.give_up_waiting();
        }
    }

    fn give_up_waiting(&mut self) {
        if let Mode::Running(Dial::Waiting { .. }) = self.mode {
            self.mode = Mode::Running(Dial::Off);
        }
    }

    fn begin(&mut self, turn: &mut Turn, id: ConnectionId) {
        let mut cx = Context {
            now: turn.now,
            config: &self.config,
            jitter: &mut self.jitter,
            counters: &mut self.record.counters,
            actions: &mut turn.actions,
        };
        let session = Session::start(&mut cx, id, &self.restart);
        self.sessions.push(session);
    }

    /// An acceptable OPEN: it may collide with the other connection. An attempt that goes on is
    /// given up, or it would collide with this one in its turn.
    pub(super) fn opened(&mut self, turn: &mut Turn, id: ConnectionId, terms: Box<Terms>) {
        let ours = Identity {
            router_id: self.config.router_id,
            asn: self.config.local_as,
        };
        let theirs = Identity {
            router_id: terms.negotiated.peer_id,
            asn: terms.negotiated.peer_as,
        };
        let has_restarted = terms.graceful.as_ref().is_some_and(|it| it.restarting);
        let collision = self
            .sessions
            .iter()
            .filter(|other| other.id != id)
            .find_map(|other| {
                let state = other.state();
                let verdict = collide(state, id.direction, ours, theirs, has_restarted)?;
                Some((other.id, state, verdict))
            });
        let dumped = Reason::Sent(CeaseSubcode::ConnectionCollisionResolution.into());
        match collision {
            Some((_, _, Verdict::KeepExisting)) => return self.end(turn, id, dumped),
            Some((other, State::Established, Verdict::KeepNew)) => {
                self.end(turn, other, Reason::Superseded);
            }
            Some((other, _, Verdict::KeepNew)) => self.end(turn, other, dumped),
            None => {}
        }
        self.retries = 0;
        self.give_up_dial(turn);
        self.step(turn, id, |session, cx| {
            session.confirm(cx, terms);
            Outcome::Nothing
        });
    }

    pub(super) fn came_up(&mut self, turn: &mut Turn, id: ConnectionId) {
        self.warned = ByFamily::default();
        self.record.failure = None;
        let counters = &mut self.record.counters;
        counters.established = counters.established.saturating_add(1);
        let Some(terms) = self.terms(id).cloned() else {
            return;
        };
        let stale_time = self
            .config
            .graceful
            .as_ref()
            .map_or_else(Default::default, |graceful| graceful.stale_time);
        let fates = self.helper.up(turn.now, &terms, stale_time);
        turn.actions.push(Action::Up(id, Box::new(terms)));
        turn.actions
            .extend(fates.map(|(family, fate)| Action::Routes(family, fate)));
    }
}
