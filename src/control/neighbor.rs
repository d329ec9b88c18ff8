//! Peers and the speaker as they are shown. Pure.

use std::time::{Duration, Instant};

use super::view::{
    Bfd, Directions, Down, Families, FamilyGracefulRestart, GracefulRestart, MessageCounts,
    Neighbor, NeighborFamily, Notification, PeerGracefulRestart, PeerKind, Session, Speaker,
    Timers,
};
use crate::bfd;
use crate::bgp::fsm;
use crate::bgp::fsm::{Mishap, PeerAs, State, Terms};
use crate::bgp::speaker::{NeighborStatus, SpeakerStatus};
use crate::bgp::wire;
use crate::bgp::wire::MessageLimit;
use crate::net::{ByFamily, Family};

/// The peer's AS, as far as it is known.
pub(super) fn asn(status: &NeighborStatus) -> Option<u32> {
    let agreed = status.terms.as_ref().map(|terms| terms.negotiated.peer_as);
    agreed.or(match status.desired.session.peer_as {
        PeerAs::Exactly(asn) => Some(asn),
        PeerAs::External => None,
    })
}

fn kind(status: &NeighborStatus) -> PeerKind {
    match &status.terms {
        Some(terms) => match terms.negotiated.peer {
            wire::PeerKind::Internal => PeerKind::Internal,
            wire::PeerKind::Confederation => PeerKind::Confederation,
            wire::PeerKind::External => PeerKind::External,
        },
        None if asn(status) == Some(status.desired.session.local_as) => PeerKind::Internal,
        None => PeerKind::External,
    }
}

fn since(now: Instant, at: Instant) -> u64 {
    now.saturating_duration_since(at).as_secs()
}

// === impl Families ===

impl<T> Families<T> {
    pub(super) fn of(mut value: impl FnMut(Family) -> T) -> Self {
        Self {
            ipv4: value(Family::V4),
            ipv6: value(Family::V6),
        }
    }

    #[must_use]
    pub fn get(&self, family: Family) -> &T {
        match family {
            Family::V4 => &self.ipv4,
            Family::V6 => &self.ipv6,
        }
    }
}

impl<T: Copy> From<ByFamily<T>> for Families<T> {
    fn from(both: ByFamily<T>) -> Self {
        Self::of(|family| *both.get(family))
    }
}

// === impl Speaker ===

impl From<&SpeakerStatus> for Speaker {
    fn from(status: &SpeakerStatus) -> Self {
        let speaker = &status.speaker;
        Self {
            asn: speaker.asn,
            router_id: speaker.router_id,
            cluster_id: speaker.cluster_id,
            confederation: speaker.confederation,
            deferred: status.deferred.into(),
            prefixes: status.prefixes.into(),
        }
    }
}

// === impl Neighbor ===

impl Neighbor {
    /// As of `now`, with the session of BFD if there is one.
    #[must_use]
    pub fn new(status: &NeighborStatus, bfd: Option<&bfd::Status>, now: Instant) -> Self {
        let (desired, config) = (&status.desired, &status.desired.session);
        let terms = status.terms.as_ref();
        let state_seconds = since(now, status.since);
        Self {
            peer: status.peer,
            asn: asn(status),
            local_asn: config.local_as,
            kind: kind(status),
            state: status.state.to_string(),
            state_seconds,
            uptime_seconds: (status.state == State::Established).then_some(state_seconds),
            stopped: status.stopped,
            shutdown_text: desired.shutdown.clone(),
            router_id: terms.map(|terms| terms.negotiated.peer_id),
            local_address: desired.transport.local_address,
            port: desired.transport.port,
            has_password: desired.transport.password.is_some(),
            passive: config.passive,
            dynamic: status.is_dynamic,
            route_reflector_client: desired.is_client,
            import_policy: desired.import.name.to_string(),
            export_policy: desired.export.name.to_string(),
            session: terms.map(session),
            families: Families::of(|family| neighbor_family(status, family)),
            graceful_restart: graceful_restart(status),
            bfd: bfd.map(|status| Bfd::new(status, now)),
            timers: timers(&status.timers, now),
            messages: Directions {
                sent: (&status.counters.sent).into(),
                received: (&status.counters.received).into(),
            },
            sessions_established: status.counters.established,
            sessions_lost: status.counters.lost,
            connect_retries: status.connect_retries,
            last_notification: Directions {
                sent: notification(status.last_sent.as_ref(), now),
                received: notification(status.last_received.as_ref(), now),
            },
            last_down: status.last_down.as_ref().map(|down| Down {
                reason: down.what.to_string(),
                age_seconds: since(now, down.at),
            }),
            has_pending_updates: status.has_pending,
            unwritten_octets: status.unwritten,
        }
    }
}

fn session(terms: &Terms) -> Session {
    let negotiated = &terms.negotiated;
    Session {
        hold_time_seconds: negotiated.hold_time.as_secs(),
        keepalive_seconds: terms.keepalive.map(|wait| wait.as_secs()),
        send_hold_seconds: terms.send_hold.map(|wait| wait.as_secs()),
        four_octet_asn: negotiated.four_octet_as,
        route_refresh: negotiated.route_refresh,
        enhanced_route_refresh: negotiated.enhanced_refresh,
        extended_messages: Directions {
            sent: matches!(negotiated.send_limit, MessageLimit::Extended),
            received: matches!(negotiated.receive_limit, MessageLimit::Extended),
        },
    }
}

fn neighbor_family(status: &NeighborStatus, family: Family) -> Option<NeighborFamily> {
    let config = &status.desired.session;
    let terms = status.terms.as_ref();
    let agreed = terms.and_then(|terms| terms.negotiated.family(family));
    if agreed.is_none() && !*config.families.get(family) {
        return None;
    }
    let received = status.received.get(family);
    let graceful = terms.and_then(|terms| terms.graceful.as_ref());
    let graceful = graceful.and_then(|graceful| *graceful.families.get(family));
    let limit = config.max_prefixes.get(family).as_ref();
    Some(NeighborFamily {
        negotiated: agreed.is_some(),
        add_path_receive: agreed.is_some_and(|agreed| agreed.add_path_receive),
        extended_next_hop: agreed.is_some_and(|agreed| agreed.ipv6_next_hop),
        prefixes_received: received.received,
        prefixes_accepted: received.accepted,
        prefixes_stale: received.stale,
        paths_refused: received.refused,
        prefixes_advertised: *status.announced.get(family),
        max_prefixes: limit.map(|limit| limit.limit),
        graceful_restart: graceful.map(|graceful| FamilyGracefulRestart {
            restart_seconds: graceful.restart_time.as_secs(),
            forwarding: graceful.forwarding,
            long_lived_seconds: graceful.long_lived.map(|long| long.stale_time.as_secs()),
        }),
    })
}

fn graceful_restart(status: &NeighborStatus) -> Option<GracefulRestart> {
    let ours = status.desired.session.graceful.as_ref()?;
    let terms = status.terms.as_ref();
    let theirs = terms.and_then(|terms| terms.graceful.as_ref());
    let long_lived = ours.long_lived.as_ref();
    Some(GracefulRestart {
        restart_seconds: ours.restart_time.as_secs(),
        stale_seconds: ours.stale_time.as_secs(),
        long_lived_seconds: long_lived.map(|long| long.stale_time.as_secs()),
        peer: theirs.map(|theirs| PeerGracefulRestart {
            restarting: theirs.restarting,
            notification: theirs.notification,
        }),
    })
}

fn timers(timers: &fsm::Timers, now: Instant) -> Timers {
    let left = |at: Option<Instant>| {
        at.map(|at| at.checked_duration_since(now).unwrap_or(Duration::ZERO))
            .map(|left| left.as_secs())
    };
    Timers {
        idle_hold: left(timers.idle_hold),
        connect_retry: left(timers.connect_retry),
        delay_open: left(timers.delay_open),
        hold: left(timers.hold),
        keepalive: left(timers.keepalive),
        send_hold: left(timers.send_hold),
    }
}

fn notification(last: Option<&Mishap<wire::Notification>>, now: Instant) -> Option<Notification> {
    last.map(|last| Notification {
        code: last.what.code,
        subcode: last.what.subcode,
        text: last.what.to_string(),
        age_seconds: since(now, last.at),
    })
}

// === impl Bfd ===

impl Bfd {
    fn new(status: &bfd::Status, now: Instant) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let remote = status.remote.as_ref();
        Self {
            state: status.state.to_string(),
            state_seconds: since(now, status.since),
            diagnostic: status.diagnostic.to_string(),
            remote_state: remote.map(|remote| remote.state.to_string()),
            transmit_interval_microseconds: micros(status.transmit_interval),
            detection_time_microseconds: status.detection_time.map(micros),
            ups: status.ups,
            downs: status.downs,
            last_refusal: status.last_refusal.as_ref().map(ToString::to_string),
        }
    }
}

// === impl MessageCounts ===

impl From<&fsm::MessageCounts> for MessageCounts {
    fn from(counts: &fsm::MessageCounts) -> Self {
        Self {
            opens: counts.opens,
            updates: counts.updates,
            notifications: counts.notifications,
            keepalives: counts.keepalives,
            route_refreshes: counts.route_refreshes,
            total: counts.total(),
        }
    }
}
