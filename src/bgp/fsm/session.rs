//! One TCP connection from OPEN to its end: OpenSent, OpenConfirm, Established, and the timers that
//! belong to them. Whether the connection may live beside another one is the peer's to say.

use std::time::{Duration, Instant};

use super::config::PeerConfig;
use super::event::{Action, ConnectionId, Direction, Reason};
use super::open::{self, OpenFault, Restart, SHORTEST_KEEPALIVE, Terms};
use super::status::{Counters, State, Timers};
use super::timers::{Jitter, after, earliest, is_due};
use crate::bgp::wire::{
    FsmSubcode, Message, MessageType, Notification, Open, ParsedUpdate, RefreshSubtype,
    RouteRefresh,
};

/// How long the peer's OPEN may take (RFC 4271 section 8.2.2 suggests four minutes).
pub(super) const OPEN_HOLD: Duration = Duration::from_secs(240);

/// One connection. Actions go to [`Context::actions`], what concerns the peer comes back.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: ConnectionId,
    ours: Open,
    phase: Phase,
    hold: Option<Instant>,
    keepalive: Option<Instant>,
    send_hold: Option<Instant>,
}

#[derive(Debug, Clone)]
enum Phase {
    /// Connected, our OPEN waits for the peer's (DelayOpenTimer).
    Delayed {
        until: Option<Instant>,
    },
    OpenSent,
    OpenConfirm(Box<Terms>),
    Established(Box<Terms>),
}

/// What every step needs.
pub(super) struct Context<'a> {
    pub(super) now: Instant,
    pub(super) config: &'a PeerConfig,
    pub(super) jitter: &'a mut Jitter,
    pub(super) counters: &'a mut Counters,
    pub(super) actions: &'a mut Vec<Action>,
}

/// What a step came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Nothing,
    /// An OPEN whose terms are acceptable, if the connection may stay: `confirm` is next.
    Opened(Box<Terms>),
    Established,
    Update(ParsedUpdate),
    Refresh(RouteRefresh),
    /// An OPEN that can't be accepted; the connection has to go.
    Refused(OpenFault),
    /// The connection has to go.
    Ended(Reason),
}

// === impl Context ===

impl Context<'_> {
    pub(super) fn send(&mut self, id: ConnectionId, message: Message) {
        self.counters.sent.count(message.message_type(), 1);
        self.actions.push(Action::Send(id, message));
    }
}

// === impl Session ===

impl Session {
    /// The connection is there. Our OPEN goes out, now or later.
    pub(super) fn start(cx: &mut Context<'_>, id: ConnectionId, restart: &Restart) -> Self {
        let mut session = Self {
            id,
            ours: cx.config.open(restart),
            phase: Phase::OpenSent,
            hold: None,
            keepalive: None,
            send_hold: None,
        };
        match cx.config.delay_open {
            Some(delay) => {
                let until = after(cx.now, delay);
                session.phase = Phase::Delayed { until };
            }
            None => session.send_open(cx),
        }
        session
    }

    /// The state of RFC 4271; a connection whose OPEN is delayed is in Connect or Active.
    pub(super) fn state(&self) -> State {
        match (&self.phase, self.id.direction) {
            (Phase::Delayed { .. }, Direction::Outgoing) => State::Connect,
            (Phase::Delayed { .. }, Direction::Incoming) => State::Active,
            (Phase::OpenSent, _) => State::OpenSent,
            (Phase::OpenConfirm(_), _) => State::OpenConfirm,
            (Phase::Established(_), _) => State::Established,
        }
    }

    /// Once established.
    pub(super) fn terms(&self) -> Option<&Terms> {
        match &self.phase {
            Phase::Established(terms) => Some(terms),
            _ => None,
        }
    }

    /// Once the peer's OPEN was accepted.
    pub(super) fn peer_terms(&self) -> Option<&Terms> {
        match &self.phase {
            Phase::OpenConfirm(terms) | Phase::Established(terms) => Some(terms),
            _ => None,
        }
    }

    fn send_open(&mut self, cx: &mut Context<'_>) {
        self.phase = Phase::OpenSent;
        self.hold = after(cx.now, OPEN_HOLD);
        cx.send(self.id, Message::Open(self.ours.clone()));
    }

    pub(super) fn receive(&mut self, cx: &mut Context<'_>, message: Message) -> Outcome {
        if let Message::Notification(notification) = message {
            return Outcome::Ended(Reason::Received(notification));
        }
        match (&self.phase, message) {
            (Phase::Delayed { .. } | Phase::OpenSent, Message::Open(theirs)) => {
                self.opened(cx, &theirs)
            }
            (Phase::Delayed { .. }, other) => {
                Outcome::Ended(Reason::Premature(other.message_type()))
            }
            (Phase::OpenConfirm(_), Message::Keepalive) => self.establish(cx.now),
            (Phase::Established(_), Message::Keepalive) => {
                self.restart_hold(cx.now);
                Outcome::Nothing
            }
            (Phase::Established(_), Message::Update(update)) => {
                self.restart_hold(cx.now);
                Outcome::Update(update)
            }
            (Phase::Established(terms), Message::RouteRefresh(refresh)) => {
                refreshed(terms, refresh)
            }
            _ => Outcome::Ended(Reason::Sent(self.unexpected())),
        }
    }

    /// How the connection ends when we want it to.
    pub(super) fn refuse(&self, notification: Notification) -> Reason {
        match self.phase {
            Phase::Delayed { .. } => Reason::Unsaid(notification),
            _ => Reason::Sent(notification),
        }
    }

    /// RFC 6608 section 4.
    fn unexpected(&self) -> Notification {
        match self.phase {
            Phase::Delayed { .. } | Phase::OpenSent => FsmSubcode::UnexpectedInOpenSent,
            Phase::OpenConfirm(_) => FsmSubcode::UnexpectedInOpenConfirm,
            Phase::Established(_) => FsmSubcode::UnexpectedInEstablished,
        }
        .into()
    }

    fn opened(&mut self, cx: &mut Context<'_>, theirs: &Open) -> Outcome {
        if let Phase::Delayed { .. } = self.phase {
            self.send_open(cx);
        }
        match open::agree(cx.config, &self.ours, theirs) {
            Ok(terms) => Outcome::Opened(Box::new(terms)),
            Err(fault) => Outcome::Refused(fault),
        }
    }

    /// The connection stays: OpenSent becomes OpenConfirm.
    pub(super) fn confirm(&mut self, cx: &mut Context<'_>, terms: Box<Terms>) {
        let has_hold_time = terms.negotiated.hold_time.as_duration().is_some();
        self.phase = Phase::OpenConfirm(terms);
        if has_hold_time {
            self.restart_hold(cx.now);
        }
        self.send_keepalive(cx);
    }

    fn establish(&mut self, now: Instant) -> Outcome {
        let phase = std::mem::replace(&mut self.phase, Phase::OpenSent);
        if let Phase::OpenConfirm(terms) = phase {
            self.phase = Phase::Established(terms);
        }
        self.restart_hold(now);
        self.written(now);
        Outcome::Established
    }

    fn restart_hold(&mut self, now: Instant) {
        let hold = self
            .peer_terms()
            .and_then(|terms| terms.negotiated.hold_time.as_duration());
        self.hold = hold.and_then(|hold| after(now, hold));
    }

    /// The peer took something out of its socket.
    pub(super) fn written(&mut self, now: Instant) {
        let wait = self.terms().and_then(|terms| terms.send_hold);
        self.send_hold = wait.and_then(|wait| after(now, wait));
    }

    /// Another keepalive interval and send hold time count from their next start on.
    pub(super) fn retime(&mut self, config: &PeerConfig) {
        if let Phase::OpenConfirm(terms) | Phase::Established(terms) = &mut self.phase {
            let hold = terms.negotiated.hold_time;
            terms.keepalive = config.keepalive_within(hold);
            terms.send_hold = config.send_hold_beyond(hold);
        }
    }

    pub(super) fn updates_sent(&mut self, cx: &mut Context<'_>, count: u64) {
        if self.terms().is_some() {
            cx.counters.sent.count(MessageType::Update, count);
            self.restart_keepalive(cx);
        }
    }

    fn send_keepalive(&mut self, cx: &mut Context<'_>) {
        cx.send(self.id, Message::Keepalive);
        self.restart_keepalive(cx);
    }

    fn restart_keepalive(&mut self, cx: &mut Context<'_>) {
        let interval = self.peer_terms().and_then(|terms| terms.keepalive);
        self.keepalive = interval.and_then(|interval| {
            let wait = cx.jitter.spread(interval).max(SHORTEST_KEEPALIVE);
            after(cx.now, wait)
        });
    }

    /// Those of the connection.
    pub(super) fn timers(&self) -> Timers {
        Timers {
            delay_open: match self.phase {
                Phase::Delayed { until } => until,
                _ => None,
            },
            hold: self.hold,
            keepalive: self.keepalive,
            send_hold: self.send_hold,
            ..Timers::default()
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let timers = self.timers();
        earliest([
            timers.delay_open,
            timers.hold,
            timers.keepalive,
            timers.send_hold,
        ])
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Outcome {
        if is_due(self.hold, cx.now) {
            return Outcome::Ended(Reason::Sent(Notification::HOLD_TIMER_EXPIRED));
        }
        if is_due(self.send_hold, cx.now) {
            return Outcome::Ended(Reason::SendHoldTimerExpired);
        }
        match self.phase {
            Phase::Delayed { until } if is_due(until, cx.now) => self.send_open(cx),
            _ if is_due(self.keepalive, cx.now) => self.send_keepalive(cx),
            _ => {}
        }
        Outcome::Nothing
    }
}

/// ROUTE-REFRESH for families and in kinds that were not negotiated is ignored (RFC 2918 section
/// 4, RFC 7313 section 5).
fn refreshed(terms: &Terms, refresh: RouteRefresh) -> Outcome {
    let negotiated = &terms.negotiated;
    let kind = match refresh.subtype {
        RefreshSubtype::Request => negotiated.route_refresh,
        RefreshSubtype::Begin | RefreshSubtype::End => negotiated.enhanced_refresh,
        RefreshSubtype::Unknown(_) => false,
    };
    let family = refresh.family.unicast();
    if kind && family.is_some_and(|family| negotiated.family(family).is_some()) {
        Outcome::Refresh(refresh)
    } else {
        Outcome::Nothing
    }
}
