//! How connections end, what becomes of the routes, and how long to stay away.

use super::{Dial, Mode, Peer, Turn};
use crate::bgp::fsm::event::{Action, ConnectionId, Down, Failure, Reason};
use crate::bgp::fsm::open::{OpenFault, Terms};
use crate::bgp::fsm::status::{Mishap, State};
use crate::bgp::fsm::timers::after;
use crate::bgp::wire::{CeaseSubcode, Message, MessageType, Notification};

impl Peer {
    /// Event 18.
    pub(super) fn closed(&mut self, turn: &mut Turn, id: ConnectionId) {
        match self.mode {
            Mode::Running(Dial::Connecting { id: dialed, .. }) if dialed == id => {
                self.wait(turn);
                if !self.sessions.is_empty() {
                    self.mode = Mode::Running(Dial::Off);
                }
            }
            _ => self.end(turn, id, Reason::ConnectionLost),
        }
    }

    /// Event 18 of an attempt.
    pub(super) fn unreachable(&mut self, turn: &mut Turn, id: ConnectionId, words: String) {
        if matches!(self.mode, Mode::Running(Dial::Connecting { id: dialed, .. }) if dialed == id) {
            self.fail(turn, Failure::Unreachable(words));
        }
        self.closed(turn, id);
    }

    pub(super) fn refuse_open(&mut self, turn: &mut Turn, id: ConnectionId, fault: OpenFault) {
        let reason = Reason::Sent(fault.notification());
        self.end_as(turn, id, reason, Some(Failure::Open(fault)));
    }

    /// Takes a connection out, with all that follows from it.
    pub(super) fn end(&mut self, turn: &mut Turn, id: ConnectionId, reason: Reason) {
        let failure = is_failure(&reason).then(|| Failure::Ended(reason.clone()));
        self.end_as(turn, id, reason, failure);
    }

    /// What failed again for the same reason is not worth a word.
    pub(super) fn fail(&mut self, turn: &mut Turn, failure: Failure) {
        let last = self.record.failure.as_ref();
        if last.is_none_or(|last| last.what != failure) {
            turn.actions.push(Action::Failed(failure.clone()));
        }
        self.record.failure = Some(Mishap {
            at: turn.now,
            what: failure,
        });
    }

    fn end_as(
        &mut self,
        turn: &mut Turn,
        id: ConnectionId,
        reason: Reason,
        failure: Option<Failure>,
    ) {
        let Some(at) = self.sessions.iter().position(|session| session.id == id) else {
            return;
        };
        let session = self.sessions.remove(at);
        self.take_leave(turn, id, &reason);
        let state = session.state();
        if let Some(terms) = session.terms() {
            self.went_down(turn, terms, reason.clone());
        } else if let Some(failure) = failure {
            self.fail(turn, failure);
        }
        if self.sessions.is_empty() && self.mode == Mode::Running(Dial::Off) {
            self.rest(turn, state, &reason);
        }
    }

    fn take_leave(&mut self, turn: &mut Turn, id: ConnectionId, reason: &Reason) {
        let mishap = |what: &Notification| {
            Some(Mishap {
                at: turn.now,
                what: what.clone(),
            })
        };
        match reason {
            Reason::Sent(notification) => {
                self.record.sent = mishap(notification);
                let sent = &mut self.record.counters.sent;
                sent.count(MessageType::Notification, 1);
                let message = Message::Notification(notification.clone());
                turn.actions.push(Action::Send(id, message));
            }
            Reason::Received(notification) => self.record.received = mishap(notification),
            _ => {}
        }
        if *reason != Reason::ConnectionLost {
            turn.actions.push(Action::Close(id));
        }
    }

    fn went_down(&mut self, turn: &mut Turn, terms: &Terms, reason: Reason) {
        let counters = &mut self.record.counters;
        counters.lost = counters.lost.saturating_add(1);
        let lasted = turn.now.saturating_duration_since(self.record.since);
        if self.record.state == State::Established && lasted >= self.config.idle_hold.limit {
            self.failures = 0;
        }
        self.record.down = Some(Mishap {
            at: turn.now,
            what: reason.clone(),
        });
        let graceful = is_graceful(terms, &reason);
        turn.actions.push(Action::Down(Down { reason, graceful }));
        let fates = self.helper.lost(turn.now, terms, graceful);
        turn.actions
            .extend(fates.map(|(family, fate)| Action::Routes(family, fate)));
    }

    /// The last connection is gone: to Active if it did not get as far as an OPEN, else to Idle.
    fn rest(&mut self, turn: &Turn, state: State, reason: &Reason) {
        let collision = Notification::from(CeaseSubcode::ConnectionCollisionResolution);
        match reason {
            Reason::ConnectionLost if state < State::OpenConfirm => self.wait(turn),
            Reason::Superseded => self.wait(turn),
            Reason::Sent(notification) if *notification == collision => self.wait(turn),
            _ => self.hold_back(turn),
        }
    }

    fn hold_back(&mut self, turn: &Turn) {
        self.failures = self.failures.saturating_add(1);
        let wait = self.config.idle_hold.delay(self.failures);
        let until = after(turn.now, self.jitter.spread(wait));
        self.mode = Mode::Held { until };
    }

    /// Into `mode` with every connection and attempt ended, each with the reason that fits it.
    pub(super) fn halt(
        &mut self,
        turn: &mut Turn,
        mode: Mode,
        reason: impl Fn(Option<&Terms>) -> Reason,
    ) {
        self.give_up_dial(turn);
        self.mode = mode;
        for id in self.connections() {
            let Some(session) = self.session(id) else {
                continue;
            };
            let reason = match reason(session.terms()) {
                Reason::Sent(notification) => session.refuse(notification),
                other => other,
            };
            self.end(turn, id, reason);
        }
    }
}

/// Whether a connection that ends so before its session is up is one that should have led to it.
fn is_failure(reason: &Reason) -> bool {
    let collision = Notification::from(CeaseSubcode::ConnectionCollisionResolution);
    match reason {
        Reason::Sent(said) | Reason::Unsaid(said) => said.code != CeaseSubcode::CODE,
        Reason::Received(said) => (said.code, said.subcode) != (collision.code, collision.subcode),
        Reason::ConnectionLost | Reason::SendHoldTimerExpired | Reason::Premature(_) => true,
        Reason::Superseded | Reason::Restart | Reason::BfdDown => false,
    }
}

/// Whether the restart that begins with the end of this session is graceful. Without the N bit no
/// NOTIFICATION is, in either direction (RFC 4724 section 4.2); with it all but a hard reset are
/// (RFC 8538 section 4).
fn is_graceful(terms: &Terms, reason: &Reason) -> bool {
    let Some(graceful) = &terms.graceful else {
        return false;
    };
    match reason {
        Reason::Sent(said) | Reason::Received(said) => {
            graceful.notification && !said.is_hard_reset()
        }
        Reason::SendHoldTimerExpired => graceful.notification,
        Reason::ConnectionLost | Reason::Superseded | Reason::Restart | Reason::BfdDown => true,
        // Neither happens once our OPEN is out.
        Reason::Premature(_) | Reason::Unsaid(_) => false,
    }
}
