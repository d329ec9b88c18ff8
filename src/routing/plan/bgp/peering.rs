//! What peers of both sorts have in common: sessions, next hops, BFD.

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use super::{BgpPlan, Context};
use crate::bfd::{MULTIHOP_PORT, Reach, SINGLE_HOP_PORT, SessionConfig, SessionKey, Timers};
use crate::bgp::fsm::{GracefulConfig, LongLivedConfig, PeerAs, PeerConfig};
use crate::bgp::wire::{HoldTime, NextHop};
use crate::config::{BfdConfig, BgpConfig};
use crate::net::{ByFamily, Family, Prefix};

/// What packets of BFD are sent with (RFC 5881 section 5).
const BFD_TTL: u8 = 255;

/// A session of this node with somebody of an AS.
pub(super) fn session(
    context: &Context<'_>,
    peer_as: PeerAs,
    holdtime: u16,
    graceful: bool,
) -> PeerConfig {
    let identity = context.identity;
    let mut session = PeerConfig::new(identity.asn, identity.router_id, peer_as);
    session.families = families(context);
    session.hold_time = HoldTime::from_secs(holdtime).unwrap_or(HoldTime::SUGGESTED);
    session.graceful = graceful.then(|| self::graceful(context.bgp()));
    session
}

fn graceful(bgp: &BgpConfig) -> GracefulConfig {
    GracefulConfig {
        restart_time: bgp.graceful_restart_time,
        stale_time: bgp.graceful_restart_deferral_time,
        notification: true,
        long_lived: bgp.long_lived_stale_time.map(|stale_time| LongLivedConfig {
            stale_time,
            helper_limit: None,
        }),
    }
}

/// The families of this node.
pub(super) fn families(context: &Context<'_>) -> ByFamily<bool> {
    ByFamily {
        v4: context.facts.has(Family::V4),
        v6: context.facts.has(Family::V6),
    }
}

/// Our addresses on a session: its own end, and for the other family what stands for the node.
pub(super) fn own_next_hop(
    context: &Context<'_>,
    local: Option<IpAddr>,
) -> ByFamily<Option<NextHop>> {
    let of = |family| {
        let end = local.filter(|address| Family::of(*address) == family);
        end.or(*context.facts.primary.get(family))
            .map(NextHop::from)
    };
    ByFamily {
        v4: of(Family::V4),
        v6: of(Family::V6),
    }
}

/// Whether an address lies in one of the node's own subnets.
pub(super) fn is_on_link(context: &Context<'_>, address: IpAddr) -> bool {
    context.facts.addresses.iter().any(|local| {
        Prefix::new(local.address, local.prefix_length)
            .is_ok_and(|subnet| subnet.contains(&address))
    })
}

/// Has BFD watch a peer. `hops`: how far away it may be, if that is known.
pub(super) fn watch(
    config: BfdConfig,
    remote: IpAddr,
    local: Option<IpAddr>,
    reach: Reach,
    planned: &mut BgpPlan,
) {
    if !config.enabled {
        return;
    }
    let port = match (reach, config.port) {
        (Reach::Multihop { .. }, SINGLE_HOP_PORT) => MULTIHOP_PORT,
        (_, port) => port,
    };
    let key = SessionKey {
        remote,
        local,
        interface: None,
    };
    let wanted = SessionConfig {
        reach,
        port,
        timers: Timers {
            desired_min_tx: config.desired_min_tx.max(Duration::from_micros(1)),
            required_min_rx: config.required_min_rx.max(Duration::from_micros(1)),
            multiplier: NonZeroU8::new(config.multiplier).unwrap_or(NonZeroU8::MIN),
        },
    };
    planned.bfd.insert(key, wanted);
}

/// The reach of packets that pass at most so many links.
pub(super) fn within(links: u8) -> Reach {
    match links {
        0 | 1 => Reach::SingleHop,
        links => Reach::Multihop {
            min_ttl: BFD_TTL - (links - 1),
        },
    }
}

/// The reach of a peer that may be anywhere: single-hop where it shares a link with us.
pub(super) fn anywhere(context: &Context<'_>, address: IpAddr) -> Reach {
    match is_on_link(context, address) {
        true => Reach::SingleHop,
        false => Reach::Multihop { min_ttl: 1 },
    }
}
