//! What of a peer's routes may be chosen: no loops, no impossible next hops, and what the import
//! policy says.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::changes::AttributeChanges;
use super::route::Route;
use crate::bgp::wire::NextHop;

/// Ourselves, as far as routes are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    pub asn: u32,
    /// The AS that external peers see, if `asn` is a member of a confederation (RFC 5065).
    pub confederation: Option<u32>,
    pub router_id: Ipv4Addr,
    /// Set on a route reflector (RFC 4456).
    pub cluster_id: Option<Ipv4Addr>,
    /// Of this node; no route leads to them.
    pub addresses: BTreeSet<IpAddr>,
}

/// Why a path can't be chosen. It is kept all the same, for a change of the policy and to be
/// explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exclusion {
    /// RFC 4271 section 9.1.2.
    OwnAs,
    /// RFC 4456 section 8.
    OwnOriginatorId,
    /// RFC 4456 section 8.
    OwnCluster,
    /// RFC 4271 section 5.1.3.
    OwnNextHop,
    /// Loopback and the like.
    BadNextHop,
    Policy,
}

/// What a policy says of one prefix, coming or going.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter<'a> {
    Accept,
    Change(Cow<'a, AttributeChanges>),
    Reject,
}

// === impl Speaker ===

impl Speaker {
    /// Whether a route can be used here at all, whatever the policy says.
    ///
    /// # Errors
    /// What forbids it. Whether an external path starts with the peer's AS has been seen to when
    /// the UPDATE was validated.
    pub fn check(&self, route: &Route) -> Result<(), Exclusion> {
        let attributes = &route.attributes;
        let path = &attributes.as_path;
        if path.asns().any(|asn| self.is_own_as(asn)) {
            return Err(Exclusion::OwnAs);
        }
        if attributes.originator_id == Some(self.router_id) {
            return Err(Exclusion::OwnOriginatorId);
        }
        if self
            .cluster_id
            .is_some_and(|id| attributes.cluster_list.contains(&id))
        {
            return Err(Exclusion::OwnCluster);
        }
        self.check_next_hop(route.next_hop)
    }

    fn is_own_as(&self, asn: u32) -> bool {
        asn == self.asn || self.confederation == Some(asn)
    }

    fn check_next_hop(&self, next_hop: NextHop) -> Result<(), Exclusion> {
        let address = next_hop.address();
        let is_bad = address.is_unspecified()
            || address.is_loopback()
            || address.is_multicast()
            || matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
            || matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        if is_bad {
            Err(Exclusion::BadNextHop)
        } else if self.addresses.contains(&address) {
            Err(Exclusion::OwnNextHop)
        } else {
            Ok(())
        }
    }
}

// === impl Exclusion ===

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnAs => "our AS is in its path",
            Self::OwnOriginatorId => "we originated it",
            Self::OwnCluster => "our cluster reflected it",
            Self::OwnNextHop => "its next hop is our own address",
            Self::BadNextHop => "its next hop is no address of a neighbour",
            Self::Policy => "the import policy rejects it",
        })
    }
}
