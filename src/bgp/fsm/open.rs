//! Our OPEN, the verdict on the peer's, and what both come to (RFC 4271 sections 4.2 and 6.2).

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::{BufMut, BytesMut};

use super::config::{GracefulConfig, PeerAs, PeerConfig};
use crate::bgp::wire::{
    AS_TRANS, AddPathFamily, AddPathMode, AddressFamily, Afi, Capability, ExtendedNextHop,
    GracefulFamily, GracefulRestart, HoldTime, LongLivedFamily, Negotiated, Notification, Open,
    OpenSubcode, PeerKind,
};
use crate::net::{ByFamily, Family};

/// What our OPENs say of a restart of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// The R bit: we have restarted and our helpers' End-of-RIBs are not all there. Only on a real
    /// restart.
    pub restarting: bool,
    /// The F bits: what was forwarded before still is. True as long as nothing restarted.
    pub preserved: ByFamily<bool>,
}

/// The terms of a session, beyond those that decide how bytes are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub negotiated: Negotiated,
    /// `None` if the hold time is 0.
    pub keepalive: Option<Duration>,
    /// `None` if the hold time is 0: nothing need be sent then for as long as one likes.
    pub send_hold: Option<Duration>,
    /// The peer's graceful restart; only if we do it, too.
    pub graceful: Option<PeerGraceful>,
}

/// What the peer said of its restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerGraceful {
    /// The R bit: it has restarted; nobody may wait for its End-of-RIB before choosing routes.
    pub restarting: bool,
    /// Both sides set the N bit (RFC 8538).
    pub notification: bool,
    /// The families that are exchanged and that the peer restarts gracefully; none if it is only a
    /// helper.
    pub families: ByFamily<Option<GracefulTerms>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GracefulTerms {
    /// Until the peer is back; its routes are kept so long. Zero for a family that is long-lived
    /// only (RFC 9494 section 4.2).
    pub restart_time: Duration,
    /// The F bit: it went on forwarding.
    pub forwarding: bool,
    pub long_lived: Option<LongLivedTerms>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongLivedTerms {
    pub forwarding: bool,
    /// After the restart time, our own limit included.
    pub stale_time: Duration,
}

/// Why the peer's OPEN is not acceptable, though it is well formed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenFault {
    #[error("its AS is {found} instead of {expected}")]
    PeerAs { expected: PeerAs, found: u32 },
    #[error("it has our own BGP identifier {0} within our AS")]
    Identifier(Ipv4Addr),
    #[error("no family in common")]
    Families(ByFamily<bool>),
}

const EIGHT_MINUTES: Duration = Duration::from_secs(480);
/// RFC 4271 section 4.4: no more than one KEEPALIVE per second.
pub(super) const SHORTEST_KEEPALIVE: Duration = Duration::from_secs(1);

// === impl Restart ===

impl Restart {
    /// Nothing restarted.
    pub const NONE: Self = Self {
        restarting: false,
        preserved: ByFamily { v4: true, v6: true },
    };
}

// === our OPEN ===

impl PeerConfig {
    pub(super) fn speaks(&self) -> impl Iterator<Item = Family> {
        let families = self.families;
        Family::ALL
            .into_iter()
            .filter(move |family| *families.get(*family))
    }

    /// The OPEN that we send.
    #[must_use]
    pub fn open(&self, restart: &Restart) -> Open {
        let mut capabilities: Vec<_> = self
            .speaks()
            .map(|family| Capability::Multiprotocol(family.into()))
            .collect();
        capabilities.extend([
            Capability::RouteRefresh,
            Capability::EnhancedRouteRefresh,
            Capability::FourOctetAs(self.local_as),
        ]);
        if self.extended_messages {
            capabilities.push(Capability::ExtendedMessage);
        }
        if self.extended_next_hop && self.families.v4 {
            capabilities.push(Capability::ExtendedNextHop(vec![ExtendedNextHop {
                family: AddressFamily::IPV4_UNICAST,
                next_hop: Afi::IPV6,
            }]));
        }
        let add_path: Vec<_> = self
            .speaks()
            .filter(|family| *self.add_path_receive.get(*family))
            .map(|family| AddPathFamily {
                family: family.into(),
                mode: AddPathMode::Receive,
            })
            .collect();
        if !add_path.is_empty() {
            capabilities.push(Capability::AddPath(add_path));
        }
        if let Some(graceful) = &self.graceful {
            capabilities.extend(self.graceful_capabilities(graceful, restart));
        }
        Open {
            asn: self.local_as,
            hold_time: self.hold_time,
            router_id: self.router_id,
            capabilities,
        }
    }

    fn graceful_capabilities(
        &self,
        graceful: &GracefulConfig,
        restart: &Restart,
    ) -> impl Iterator<Item = Capability> {
        let seconds = graceful.restart_time.as_secs().min(4095);
        let short = Capability::GracefulRestart(GracefulRestart {
            restarting: restart.restarting,
            notification: graceful.notification,
            restart_time: u16::try_from(seconds).unwrap_or(4095),
            families: self
                .speaks()
                .map(|family| GracefulFamily {
                    family: family.into(),
                    forwarding: *restart.preserved.get(family),
                })
                .collect(),
        });
        let long = graceful.long_lived.as_ref().map(|long| {
            let families = self.speaks().map(|family| LongLivedFamily {
                family: family.into(),
                forwarding: *restart.preserved.get(family),
                stale_time: u32::try_from(long.stale_time.as_secs()).unwrap_or(u32::MAX),
            });
            Capability::LongLivedGracefulRestart(families.collect())
        });
        [short].into_iter().chain(long)
    }
}

// === timers that follow from the hold time ===

impl PeerConfig {
    pub(super) fn keepalive_within(&self, hold: HoldTime) -> Option<Duration> {
        let third = hold.as_duration()? / 3;
        let wanted = self.keepalive.unwrap_or(third);
        Some(wanted.min(third).max(SHORTEST_KEEPALIVE))
    }

    pub(super) fn send_hold_beyond(&self, hold: HoldTime) -> Option<Duration> {
        let hold = hold.as_duration()?;
        Some(match self.send_hold {
            Some(wanted) => wanted.max(hold),
            None => EIGHT_MINUTES.max(hold * 2),
        })
    }
}

// === the peer's OPEN ===

/// The terms that the peer's OPEN gives with ours, if it is acceptable.
pub(super) fn agree(config: &PeerConfig, ours: &Open, theirs: &Open) -> Result<Terms, OpenFault> {
    let kind = acceptable(config, theirs)?;
    let mut negotiated = Negotiated::between(ours, theirs, kind);
    if Family::ALL
        .iter()
        .all(|family| negotiated.family(*family).is_none())
    {
        return Err(OpenFault::Families(config.families));
    }
    negotiated.enforce_first_as &= config.enforce_first_as;
    let hold = negotiated.hold_time;
    let graceful = graceful(config, &negotiated, theirs);
    Ok(Terms {
        keepalive: config.keepalive_within(hold),
        send_hold: config.send_hold_beyond(hold),
        negotiated,
        graceful,
    })
}

/// AS and identifier: AS_TRANS is nobody's AS (RFC 6793 section 9), and an identifier has to be
/// unique within an AS only (RFC 6286).
fn acceptable(config: &PeerConfig, theirs: &Open) -> Result<PeerKind, OpenFault> {
    let fits = match config.peer_as {
        PeerAs::Exactly(asn) => theirs.asn == asn,
        PeerAs::External => theirs.asn != config.local_as,
    };
    if !fits || theirs.asn == u32::from(AS_TRANS) {
        return Err(OpenFault::PeerAs {
            expected: config.peer_as,
            found: theirs.asn,
        });
    }
    if theirs.asn != config.local_as {
        return Ok(PeerKind::External);
    }
    if theirs.router_id == config.router_id {
        return Err(OpenFault::Identifier(theirs.router_id));
    }
    Ok(PeerKind::Internal)
}

fn graceful(config: &PeerConfig, negotiated: &Negotiated, theirs: &Open) -> Option<PeerGraceful> {
    let (ours, capability) = (config.graceful.as_ref()?, theirs.graceful_restart()?);
    let family = |family: Family| {
        negotiated.family(family)?;
        let short = capability
            .families
            .iter()
            .find(|entry| entry.family == AddressFamily::from(family));
        let long = theirs
            .long_lived(family)
            .filter(|entry| entry.stale_time > 0);
        let long = ours.long_lived.as_ref().zip(long).map(|(ours, theirs)| {
            let asked = Duration::from_secs(theirs.stale_time.into());
            LongLivedTerms {
                forwarding: theirs.forwarding,
                stale_time: asked.min(ours.helper_limit.unwrap_or(asked)),
            }
        });
        let restart_time = Duration::from_secs(capability.restart_time.into());
        match (short, long) {
            (Some(short), long_lived) => Some(GracefulTerms {
                restart_time,
                forwarding: short.forwarding,
                long_lived,
            }),
            (None, Some(long)) => Some(GracefulTerms {
                restart_time: Duration::ZERO,
                forwarding: long.forwarding,
                long_lived: Some(long),
            }),
            (None, None) => None,
        }
    };
    Some(PeerGraceful {
        restarting: capability.restarting,
        notification: ours.notification && capability.notification,
        families: ByFamily {
            v4: family(Family::V4),
            v6: family(Family::V6),
        },
    })
}

// === impl OpenFault ===

impl OpenFault {
    /// What the peer is told (RFC 4271 section 6.2, RFC 5492 section 5).
    #[must_use]
    pub fn notification(&self) -> Notification {
        match self {
            Self::PeerAs { .. } => OpenSubcode::BadPeerAs.into(),
            Self::Identifier(_) => OpenSubcode::BadBgpIdentifier.into(),
            Self::Families(families) => {
                Notification::from(OpenSubcode::UnsupportedCapability).with_data(wanted(families))
            }
        }
    }
}

/// The multiprotocol capabilities that the peer lacks, as they stand in an OPEN.
fn wanted(families: &ByFamily<bool>) -> bytes::Bytes {
    let mut data = BytesMut::new();
    for family in Family::ALL {
        if *families.get(family) {
            let AddressFamily { afi, safi } = family.into();
            data.put_slice(&[1, 4]);
            data.put_u16(afi.0);
            data.put_slice(&[0, safi.0]);
        }
    }
    data.freeze()
}

// === impl Terms ===

impl Terms {
    /// The graceful restart of one family, if it is on.
    #[must_use]
    pub fn graceful_family(&self, family: Family) -> Option<&GracefulTerms> {
        self.graceful.as_ref()?.families.get(family).as_ref()
    }

    pub(super) fn has_graceful_notification(&self) -> bool {
        self.graceful
            .as_ref()
            .is_some_and(|graceful| graceful.notification)
    }
}
