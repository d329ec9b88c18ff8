//! The side that stays: what becomes of the routes of a peer that went away.
//!
//! ```text
//!            lost              restart time over       stale time over, long-lived over, flushed
//!  Fresh ───────────► Stale ───────────────────► LongLived ──────────────► Fresh
//!    ▲                  │ up, F bit                  │
//!    │   End-of-RIB,    ▼                            │ up, F bit: stays, its time goes on
//!    └────────────── Returning ◄                     └─ End-of-RIB ─► Fresh
//!        stale time
//! ```
//!
//! Without the long-lived kind, the end of the restart time flushes. The long-lived time is never
//! started anew before all stale routes are gone: nothing is stale for longer than was agreed.

use std::time::{Duration, Instant};

use crate::bgp::fsm::event::Fate;
use crate::bgp::fsm::open::Terms;
use crate::bgp::fsm::timers::{after, earliest, is_due};
use crate::net::{ByFamily, Family};

/// The stale routes of one peer, by family.
#[derive(Debug, Clone, Default)]
pub struct Helper {
    families: ByFamily<Phase>,
}

/// How long the routes of a family may still be stale; `None` inside is for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// None is stale.
    #[default]
    Fresh,
    /// The peer is away.
    Stale {
        until: Option<Instant>,
        then_long_lived: Option<Duration>,
    },
    /// The peer is back and tells its routes again.
    Returning { until: Option<Instant> },
    /// The peer is away for longer, or is back from that.
    LongLived { until: Option<Instant> },
}

// === impl Helper ===

impl Helper {
    /// The session is gone, in a way that the restart is graceful or not.
    pub fn lost(
        &mut self,
        now: Instant,
        terms: &Terms,
        graceful: bool,
    ) -> impl Iterator<Item = (Family, Fate)> + use<> {
        let mut fates = ByFamily::default();
        for family in Family::ALL {
            let known = terms.negotiated.family(family).is_some();
            let kept = terms.graceful_family(family).filter(|_| graceful);
            let phase = self.families.get_mut(family);
            let (next, fate) = match (*phase, kept) {
                (Phase::Fresh, None) if !known => (Phase::Fresh, None),
                (_, None) => (Phase::Fresh, Some(Fate::Drop)),
                (Phase::LongLived { until }, Some(_)) => {
                    (Phase::LongLived { until }, Some(Fate::LongLived))
                }
                (_, Some(kept)) => {
                    let long = kept.long_lived.map(|long| long.stale_time);
                    match (kept.restart_time, long) {
                        (Duration::ZERO, None) => (Phase::Fresh, Some(Fate::Drop)),
                        (Duration::ZERO, Some(long)) => {
                            let until = after(now, long);
                            (Phase::LongLived { until }, Some(Fate::LongLived))
                        }
                        (restart_time, then_long_lived) => {
                            let until = after(now, restart_time);
                            let phase = Phase::Stale {
                                until,
                                then_long_lived,
                            };
                            (phase, Some(Fate::Stale))
                        }
                    }
                }
            };
            *phase = next;
            *fates.get_mut(family) = fate;
        }
        listed(fates)
    }

    /// The session is back. What the peer did not preserve goes at once, the rest at End-of-RIB or
    /// after `stale_time`.
    pub fn up(
        &mut self,
        now: Instant,
        terms: &Terms,
        stale_time: Duration,
    ) -> impl Iterator<Item = (Family, Fate)> + use<> {
        let mut fates = ByFamily::default();
        for family in Family::ALL {
            let kept = terms.graceful_family(family);
            let phase = self.families.get_mut(family);
            let next = match *phase {
                Phase::Fresh => continue,
                Phase::Stale { .. } | Phase::Returning { .. } => {
                    let until = after(now, stale_time);
                    kept.filter(|kept| kept.forwarding)
                        .map(|_| Phase::Returning { until })
                }
                Phase::LongLived { until } => kept
                    .and_then(|kept| kept.long_lived)
                    .filter(|long| long.forwarding)
                    .map(|_| Phase::LongLived { until }),
            };
            *phase = next.unwrap_or_default();
            *fates.get_mut(family) = next.is_none().then_some(Fate::Flush);
        }
        listed(fates)
    }

    /// The peer has told everything: what is still stale is gone.
    pub fn end_of_rib(&mut self, family: Family) -> Option<Fate> {
        let phase = std::mem::take(self.families.get_mut(family));
        (phase != Phase::Fresh).then_some(Fate::Flush)
    }

    /// Nothing may be kept any longer.
    pub fn abort(&mut self) -> impl Iterator<Item = (Family, Fate)> + use<> {
        let fates = ByFamily {
            v4: self.end_of_rib(Family::V4),
            v6: self.end_of_rib(Family::V6),
        };
        listed(fates)
    }

    #[must_use]
    pub fn has_stale(&self, family: Family) -> bool {
        *self.families.get(family) != Phase::Fresh
    }

    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest(Family::ALL.map(|family| self.families.get(family).deadline()))
    }

    pub fn handle_timeout(&mut self, now: Instant) -> impl Iterator<Item = (Family, Fate)> + use<> {
        let mut fates = ByFamily::default();
        for family in Family::ALL {
            let phase = self.families.get_mut(family);
            if !is_due(phase.deadline(), now) {
                continue;
            }
            let (next, fate) = match *phase {
                Phase::Stale {
                    then_long_lived: Some(long),
                    ..
                } => {
                    let until = after(now, long);
                    (Phase::LongLived { until }, Fate::LongLived)
                }
                _ => (Phase::Fresh, Fate::Flush),
            };
            *phase = next;
            *fates.get_mut(family) = Some(fate);
        }
        listed(fates)
    }
}

// === impl Phase ===

impl Phase {
    fn deadline(&self) -> Option<Instant> {
        match *self {
            Self::Fresh => None,
            Self::Stale { until, .. } | Self::Returning { until } | Self::LongLived { until } => {
                until
            }
        }
    }
}

fn listed(fates: ByFamily<Option<Fate>>) -> impl Iterator<Item = (Family, Fate)> {
    let of = move |family| Some((family, (*fates.get(family))?));
    Family::ALL.into_iter().filter_map(of)
}
