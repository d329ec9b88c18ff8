//! What operators, the configuration, limits and BFD want of a peer.

use std::time::Instant;

use bytes::{BufMut, BytesMut};

use super::{Dial, Mode, Peer, Turn};
use crate::bgp::fsm::config::{PeerConfig, needs_reset};
use crate::bgp::fsm::event::{Action, Reason, Stop};
use crate::bgp::fsm::open::Terms;
use crate::bgp::fsm::timers::after;
use crate::bgp::wire::{AddressFamily, CeaseSubcode, Notification};
use crate::net::Family;

impl Peer {
    /// Changes the settings. A session that can't go on under them is reset at once (Cease, "other
    /// configuration change"), gracefully where that was negotiated; all others live on.
    #[must_use]
    pub fn set_config(&mut self, now: Instant, config: PeerConfig) -> Vec<Action> {
        self.turn(now, |peer, turn| {
            let reset = needs_reset(&peer.config, &config);
            peer.config = config;
            match peer.mode {
                Mode::Stopped => {}
                _ if reset => {
                    let changed = Reason::Sent(CeaseSubcode::OtherConfigurationChange.into());
                    peer.restart_with(turn, |_| changed.clone());
                }
                Mode::Held { .. } => {}
                Mode::Running(dial) => peer.adopt(turn, dial),
            }
        })
    }

    /// The settings that count without a new session.
    fn adopt(&mut self, turn: &mut Turn, dial: Dial) {
        for session in &mut self.sessions {
            session.retime(&self.config);
        }
        if self.config.passive {
            self.give_up_dial(turn);
        } else if dial == Dial::Off && self.sessions.is_empty() {
            self.dial(turn);
        }
    }

    pub(super) fn start(&mut self, turn: &mut Turn) {
        if let Mode::Stopped | Mode::Held { .. } = self.mode {
            self.forgive();
            self.run(turn);
        }
    }

    /// Nothing that went wrong before counts.
    fn forgive(&mut self) {
        self.failures = 0;
        self.retries = 0;
    }

    pub(super) fn stop(&mut self, turn: &mut Turn, stop: Stop) {
        self.forgive();
        let (cease, keeps_routes) = match stop {
            Stop::Shutdown(text) => {
                let cease = Notification::cease(CeaseSubcode::AdministrativeShutdown, &text);
                (cease, false)
            }
            Stop::Deconfigured => (CeaseSubcode::PeerDeconfigured.into(), false),
            Stop::Restart => (CeaseSubcode::AdministrativeReset.into(), true),
        };
        self.halt(turn, Mode::Stopped, |terms| {
            if keeps_routes && terms.is_some_and(|terms| terms.graceful.is_some()) {
                Reason::Restart
            } else {
                hard(terms, cease.clone())
            }
        });
        if !keeps_routes {
            self.abandon(turn);
        }
    }

    pub(super) fn reset(&mut self, turn: &mut Turn, text: &str) {
        if self.mode == Mode::Stopped {
            return;
        }
        let cease = Notification::cease(CeaseSubcode::AdministrativeReset, text);
        self.restart_with(turn, |terms| hard(terms, cease.clone()));
    }

    fn restart_with(&mut self, turn: &mut Turn, reason: impl Fn(Option<&Terms>) -> Reason) {
        self.forgive();
        self.halt(turn, Mode::Stopped, reason);
        self.run(turn);
    }

    /// Drops what is kept of a session that is gone.
    fn abandon(&mut self, turn: &mut Turn) {
        let fates = self.helper.abort();
        turn.actions
            .extend(fates.map(|(family, fate)| Action::Routes(family, fate)));
    }

    pub(super) fn prefixes(&mut self, turn: &mut Turn, family: Family, count: u32) {
        let Some(limits) = *self.config.max_prefixes.get(family) else {
            return;
        };
        if self.established().is_none() {
            return;
        }
        if count > limits.limit {
            let cease = too_many(family, limits.limit);
            let until = limits
                .restart
                .and_then(|wait| after(turn.now, self.jitter.spread(wait)));
            self.halt(turn, Mode::Held { until }, |terms| {
                hard(terms, cease.clone())
            });
            return;
        }
        let many = limits.warn_at.is_some_and(|mark| count >= mark);
        let warned = std::mem::replace(self.warned.get_mut(family), many);
        if many && !warned {
            turn.actions.push(Action::ManyPrefixes { family, count });
        }
    }

    /// The rule for BFD and graceful restart, as the room's documentation states it.
    pub(super) fn bfd_down(&mut self, turn: &mut Turn, control_plane_independent: bool) {
        let Some((id, terms)) = self.established() else {
            if control_plane_independent {
                self.abandon(turn);
            }
            return;
        };
        let cease = Notification::from(CeaseSubcode::BfdDown);
        let reason = if control_plane_independent {
            hard(Some(terms), cease)
        } else if terms.graceful.is_some() && !terms.has_graceful_notification() {
            Reason::BfdDown
        } else {
            Reason::Sent(cease)
        };
        self.end(turn, id, reason);
    }
}

/// Says it so that neither side keeps the other's routes. Peers without the N bit know no hard
/// reset, and every NOTIFICATION is one to them (RFC 8538 section 3).
fn hard(terms: Option<&Terms>, notification: Notification) -> Reason {
    Reason::Sent(if terms.is_some_and(Terms::has_graceful_notification) {
        notification.into_hard_reset()
    } else {
        notification
    })
}

/// With family and limit (RFC 4486 section 4).
fn too_many(family: Family, limit: u32) -> Notification {
    let AddressFamily { afi, safi } = family.into();
    let mut data = BytesMut::with_capacity(7);
    data.put_u16(afi.0);
    data.put_u8(safi.0);
    data.put_u32(limit);
    Notification::from(CeaseSubcode::MaximumPrefixesReached).with_data(data.freeze())
}
