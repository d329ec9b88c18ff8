//! The side that restarted: until when it may not choose routes, and says so by the R bit.
//!
//! After a real restart the helpers keep our routes and forward by them. Choosing from half of the
//! routes would make them forward elsewhere, so per family nothing is chosen and told before every
//! peer that can tell has sent its End-of-RIB, or the deferral time is over (RFC 4724 section 4.1).
//! A peer that knows no graceful restart, or restarted itself, is not waited for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::bgp::fsm::open::{Restart, Terms};
use crate::bgp::fsm::timers::{after, is_due};
use crate::net::{ByFamily, Family};

/// The restart of the whole speaker, with its peers named by `P`.
#[derive(Debug, Clone)]
pub struct Restarting<P> {
    /// The families that a peer still owes an End-of-RIB of.
    awaited: BTreeMap<P, ByFamily<bool>>,
    /// The families whose routes may not yet be chosen.
    deferred: ByFamily<bool>,
    deadline: Option<Instant>,
    preserved: ByFamily<bool>,
}

/// A family whose routes may be chosen and told from now on. With the last one the R bit is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use]
pub struct Released(pub Family);

// === impl Restarting ===

impl<P: Ord> Restarting<P> {
    /// We start after a restart: `peers` with the families that are configured for each;
    /// `preserved` says for which families the kernel went on forwarding. What nobody is to be
    /// waited for is not deferred at all.
    pub fn new(
        now: Instant,
        deferral: Duration,
        preserved: ByFamily<bool>,
        peers: impl IntoIterator<Item = (P, ByFamily<bool>)>,
    ) -> Self {
        let awaited: BTreeMap<_, _> = peers.into_iter().collect();
        let any = |family| awaited.values().any(|owed| *owed.get(family));
        let deferred = ByFamily {
            v4: any(Family::V4),
            v6: any(Family::V6),
        };
        Self {
            awaited,
            deferred,
            deadline: after(now, deferral),
            preserved,
        }
    }

    /// A session is up: the peer owes an End-of-RIB of every family that is exchanged if it knows
    /// graceful restart at all, be it only as a helper, unless it restarted, too.
    pub fn up(&mut self, peer: &P, terms: &Terms) -> Vec<Released> {
        if let Some(owed) = self.awaited.get_mut(peer) {
            let waits = terms
                .graceful
                .as_ref()
                .is_some_and(|graceful| !graceful.restarting);
            for family in Family::ALL {
                *owed.get_mut(family) &= waits && terms.negotiated.family(family).is_some();
            }
        }
        self.release()
    }

    pub fn end_of_rib(&mut self, peer: &P, family: Family) -> Vec<Released> {
        if let Some(owed) = self.awaited.get_mut(peer) {
            *owed.get_mut(family) = false;
        }
        self.release()
    }

    /// The peer was stopped or taken out of the configuration. (One that is merely down is still
    /// waited for.)
    pub fn removed(&mut self, peer: &P) -> Vec<Released> {
        self.awaited.remove(peer);
        self.release()
    }

    /// Whether routes of the family may be chosen and told.
    #[must_use]
    pub fn may_select(&self, family: Family) -> bool {
        !self.deferred.get(family)
    }

    #[must_use]
    pub fn is_over(&self) -> bool {
        self.deferred == ByFamily::default()
    }

    /// What OPENs say from now on. That forwarding was preserved is only in question for the
    /// restart itself; later losses of a session are none.
    #[must_use]
    pub fn open_bits(&self) -> Restart {
        if self.is_over() {
            return Restart::NONE;
        }
        Restart {
            restarting: true,
            preserved: self.preserved,
        }
    }

    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.filter(|_| !self.is_over())
    }

    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Released> {
        if is_due(self.poll_timeout(), now) {
            self.awaited.clear();
        }
        self.release()
    }

    fn release(&mut self) -> Vec<Released> {
        let mut released = Vec::new();
        for family in Family::ALL {
            let owed = self.awaited.values().any(|owed| *owed.get(family));
            let deferred = self.deferred.get_mut(family);
            if *deferred && !owed {
                *deferred = false;
                released.push(Released(family));
            }
        }
        released
    }
}
