//! What two OPENs come to: everything that decides how later bytes are to be read and written.

use std::net::Ipv4Addr;

use super::capability::Capability;
use super::codec::MessageLimit;
use super::open::{HoldTime, Open};
use crate::net::{ByFamily, Family};

/// How near the peer is; decides what attributes it may send (RFC 4271, 4456, 5065).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerKind {
    /// The same AS (or the same member AS of a confederation).
    Internal,
    /// Another member AS of our confederation.
    Confederation,
    External,
}

/// The terms of one session; exists only after both OPENs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    pub peer: PeerKind,
    pub peer_as: u32,
    pub peer_id: Ipv4Addr,
    /// The smaller of both.
    pub hold_time: HoldTime,
    /// AS numbers have four octets in AS_PATH and AGGREGATOR, in both directions (RFC 6793).
    pub four_octet_as: bool,
    /// What we take: extended once we have said so (RFC 8654 section 4).
    pub receive_limit: MessageLimit,
    /// What the peer takes.
    pub send_limit: MessageLimit,
    /// The families both sides speak.
    pub families: ByFamily<Option<FamilyTerms>>,
    pub route_refresh: bool,
    /// BoRR and EoRR may be sent and are expected (RFC 7313).
    pub enhanced_refresh: bool,
    /// Whether an external path that does not start with the peer's AS is malformed (RFC 4271
    /// section 6.3 leaves it to us; off for route servers).
    pub enforce_first_as: bool,
}

/// The terms of one family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FamilyTerms {
    /// Prefixes that come have a path identifier (RFC 7911).
    pub add_path_receive: bool,
    /// Prefixes that go have one.
    pub add_path_send: bool,
    /// Prefixes of IPv4 may have next hops of IPv6 (RFC 8950).
    pub ipv6_next_hop: bool,
}

// === impl Negotiated ===

impl Negotiated {
    /// What was agreed on by the OPEN that we sent and the one that came. Checks nothing: whether
    /// AS and identifier are acceptable is the state machine's business.
    #[must_use]
    pub fn between(ours: &Open, theirs: &Open, peer: PeerKind) -> Self {
        let both = |capability: Capability| ours.has(&capability) && theirs.has(&capability);
        let limit =
            |open: &Open| MessageLimit::from_extended(open.has(&Capability::ExtendedMessage));
        let route_refresh = both(Capability::RouteRefresh);
        Self {
            peer,
            peer_as: theirs.asn,
            peer_id: theirs.router_id,
            hold_time: ours.hold_time.min(theirs.hold_time),
            four_octet_as: ours.four_octet_as().is_some() && theirs.four_octet_as().is_some(),
            receive_limit: limit(ours),
            send_limit: limit(theirs),
            families: ByFamily {
                v4: FamilyTerms::between(ours, theirs, Family::V4),
                v6: FamilyTerms::between(ours, theirs, Family::V6),
            },
            route_refresh,
            enhanced_refresh: both(Capability::EnhancedRouteRefresh),
            enforce_first_as: peer == PeerKind::External,
        }
    }

    /// The terms of a family, if both sides speak it.
    #[must_use]
    pub fn family(&self, family: Family) -> Option<&FamilyTerms> {
        self.families.get(family).as_ref()
    }
}

// === impl FamilyTerms ===

impl FamilyTerms {
    fn between(ours: &Open, theirs: &Open, family: Family) -> Option<Self> {
        let (our_mode, their_mode) = (ours.add_path(family), theirs.add_path(family));
        (ours.speaks(family) && theirs.speaks(family)).then(|| Self {
            add_path_receive: our_mode.is_some_and(|mode| mode.receives())
                && their_mode.is_some_and(|mode| mode.sends()),
            add_path_send: our_mode.is_some_and(|mode| mode.sends())
                && their_mode.is_some_and(|mode| mode.receives()),
            ipv6_next_hop: family == Family::V4
                && ours.takes_ipv6_next_hops(family)
                && theirs.takes_ipv6_next_hops(family),
        })
    }
}
