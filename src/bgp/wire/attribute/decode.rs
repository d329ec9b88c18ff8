//! One attribute from its bytes: delimited, its value read, and who may send it.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    Aggregator, AttributeCode, AttributeFlags, Community, ExtendedCommunity, LargeCommunity,
    MpReach, NextHop, Origin, PathAttribute, UnknownAttribute,
};
use crate::bgp::wire::as_path::{AsPath, AsPathError};
use crate::bgp::wire::family::{AddressFamily, Afi, Safi};
use crate::bgp::wire::negotiated::{Negotiated, PeerKind};
use crate::bgp::wire::reader::Reader;
use crate::bgp::wire::update::{FaultAction, FaultKind};
use crate::net::Family;

/// An attribute within the bounds that its length gives it; nothing in it can shift the next.
#[derive(Debug, Clone, Copy)]
pub(in crate::bgp::wire) struct RawAttribute<'a> {
    pub(in crate::bgp::wire) flags: AttributeFlags,
    pub(in crate::bgp::wire) code: AttributeCode,
    pub(in crate::bgp::wire) value: &'a [u8],
    /// Header and value.
    pub(in crate::bgp::wire) whole: &'a [u8],
}

// === impl RawAttribute ===

impl<'a> RawAttribute<'a> {
    /// Takes the next one; `None` if it does not fit (RFC 7606 section 4).
    pub(in crate::bgp::wire) fn take(reader: &mut Reader<'a>) -> Option<Self> {
        let field = reader.rest();
        let flags = AttributeFlags(reader.u8()?);
        let code = AttributeCode(reader.u8()?);
        let length = if flags.is_extended_length() {
            usize::from(reader.u16()?)
        } else {
            usize::from(reader.u8()?)
        };
        let value = reader.take(length)?;
        Some(Self {
            flags,
            code,
            value,
            whole: field.get(..field.len() - reader.rest().len())?,
        })
    }

    /// As it is passed on if we don't know it.
    pub(in crate::bgp::wire) fn to_unknown(self) -> UnknownAttribute {
        UnknownAttribute {
            flags: self.flags.with_partial(true).with_extended_length(false),
            code: self.code,
            value: self.value.into(),
        }
    }

    /// Reads the value of one that we know, but for the multiprotocol ones.
    pub(in crate::bgp::wire) fn decode(
        self,
        four_octet_as: bool,
    ) -> Result<PathAttribute, FaultKind> {
        let value = self.value;
        Ok(match self.code {
            AttributeCode::ORIGIN => {
                let [number] = fixed(value)?;
                let origin = Origin::from_number(number);
                PathAttribute::Origin(origin.ok_or(FaultKind::Origin(number))?)
            }
            AttributeCode::AS_PATH => PathAttribute::AsPath(as_path(value, four_octet_as)?),
            AttributeCode::NEXT_HOP => PathAttribute::NextHop(fixed::<4>(value)?.into()),
            AttributeCode::MULTI_EXIT_DISC => PathAttribute::MultiExitDisc(number(value)?),
            AttributeCode::LOCAL_PREF => PathAttribute::LocalPref(number(value)?),
            AttributeCode::ATOMIC_AGGREGATE => {
                fixed::<0>(value)?;
                PathAttribute::AtomicAggregate
            }
            AttributeCode::AGGREGATOR => {
                PathAttribute::Aggregator(aggregator(value, four_octet_as)?)
            }
            AttributeCode::COMMUNITIES => {
                PathAttribute::Communities(list(value, |four| Community(u32::from_be_bytes(four)))?)
            }
            AttributeCode::ORIGINATOR_ID => PathAttribute::OriginatorId(fixed::<4>(value)?.into()),
            AttributeCode::CLUSTER_LIST => {
                PathAttribute::ClusterList(list::<4, _>(value, Ipv4Addr::from)?)
            }
            AttributeCode::EXTENDED_COMMUNITIES => {
                PathAttribute::ExtendedCommunities(list(value, ExtendedCommunity)?)
            }
            AttributeCode::AS4_PATH => PathAttribute::As4Path(as_path(value, true)?),
            AttributeCode::AS4_AGGREGATOR => PathAttribute::As4Aggregator(aggregator(value, true)?),
            AttributeCode::LARGE_COMMUNITIES => {
                PathAttribute::LargeCommunities(list(value, large_community)?)
            }
            _ => PathAttribute::Unknown(self.to_unknown()),
        })
    }
}

/// A value that has just so many octets.
fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], FaultKind> {
    value.try_into().map_err(|_| FaultKind::Length(value.len()))
}

fn number(value: &[u8]) -> Result<u32, FaultKind> {
    fixed(value).map(u32::from_be_bytes)
}

/// Entries of N octets, at least one.
fn list<const N: usize, T>(
    value: &[u8],
    entry: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, FaultKind> {
    match value.as_chunks::<N>() {
        (entries @ [_, ..], []) => Ok(entries.iter().map(|octets| entry(*octets)).collect()),
        _ => Err(FaultKind::Length(value.len())),
    }
}

fn large_community(octets: [u8; 12]) -> LargeCommunity {
    let [g0, g1, g2, g3, a0, a1, a2, a3, b0, b1, b2, b3] = octets;
    LargeCommunity {
        global: u32::from_be_bytes([g0, g1, g2, g3]),
        local1: u32::from_be_bytes([a0, a1, a2, a3]),
        local2: u32::from_be_bytes([b0, b1, b2, b3]),
    }
}

fn as_path(value: &[u8], four_octet_as: bool) -> Result<AsPath, FaultKind> {
    AsPath::decode(value, four_octet_as).map_err(|error| match error {
        AsPathError::AsZero => FaultKind::AsZero,
        other => FaultKind::AsPath(other),
    })
}

fn aggregator(value: &[u8], four_octet_as: bool) -> Result<Aggregator, FaultKind> {
    let (asn, router_id) = if four_octet_as {
        let [a, b, c, d, id @ ..] = fixed::<8>(value)?;
        (u32::from_be_bytes([a, b, c, d]), id)
    } else {
        let [a, b, id @ ..] = fixed::<6>(value)?;
        (u16::from_be_bytes([a, b]).into(), id)
    };
    if asn == 0 {
        return Err(FaultKind::AsZero);
    }
    Ok(Aggregator {
        asn,
        router_id: router_id.into(),
    })
}

// === impl MpReach ===

impl<'a> MpReach<'a> {
    /// MP_REACH_NLRI (RFC 4760 section 3); `None` if its lengths don't fit.
    pub(in crate::bgp::wire) fn reach(value: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        let family = mp_family(&mut reader)?;
        let length = reader.u8()?;
        let next_hop = reader.take(length.into())?;
        reader.u8()?;
        Some(Self {
            family,
            next_hop,
            nlri: reader.rest(),
        })
    }

    /// MP_UNREACH_NLRI (section 4), which has no next hop.
    pub(in crate::bgp::wire) fn unreach(value: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        Some(Self {
            family: mp_family(&mut reader)?,
            next_hop: &[],
            nlri: reader.rest(),
        })
    }

    /// The next hop, of a length that the family and the session allow.
    pub(in crate::bgp::wire) fn next_hop(
        &self,
        family: Family,
        ipv6_next_hop: bool,
    ) -> Result<NextHop, FaultKind> {
        let v6 = family == Family::V6 || ipv6_next_hop;
        let mut reader = Reader::new(self.next_hop);
        let next_hop = match self.next_hop.len() {
            4 if family == Family::V4 => reader.array().map(|four| NextHop::V4(four.into())),
            16 | 32 if v6 => reader.array::<16>().map(|global| {
                let global = Ipv6Addr::from(global);
                let link_local = reader.array::<16>().map(Ipv6Addr::from);
                v6_next_hop(global, link_local)
            }),
            _ => None,
        };
        next_hop.ok_or(FaultKind::NextHopLength(self.next_hop.len()))
    }
}

/// Without a global address some send none beside the link-local one, others that one twice.
fn v6_next_hop(global: Ipv6Addr, link_local: Option<Ipv6Addr>) -> NextHop {
    let link_local = link_local.filter(|address| !address.is_unspecified());
    NextHop::V6 {
        global: match link_local {
            Some(address) if global.is_unspecified() => address,
            _ => global,
        },
        link_local,
    }
}

fn mp_family(reader: &mut Reader<'_>) -> Option<AddressFamily> {
    Some(AddressFamily {
        afi: Afi(reader.u16()?),
        safi: Safi(reader.u8()?),
    })
}

// === impl AttributeCode ===

impl AttributeCode {
    /// What becomes of an attribute whose value is malformed (RFC 7606 sections 3 and 7, RFC 6793
    /// section 6, RFC 8092 section 6).
    pub(in crate::bgp::wire) fn malformed_action(self) -> FaultAction {
        match self {
            Self::ATOMIC_AGGREGATE | Self::AGGREGATOR | Self::AS4_PATH | Self::AS4_AGGREGATOR => {
                FaultAction::Discard
            }
            Self::MP_REACH_NLRI | Self::MP_UNREACH_NLRI => FaultAction::Reset,
            _ => FaultAction::TreatAsWithdraw,
        }
    }

    /// Whether a peer of that kind may send us the attribute, and we may send it to one.
    pub(in crate::bgp::wire) fn is_for(self, terms: &Negotiated) -> bool {
        match self {
            Self::LOCAL_PREF => terms.peer != PeerKind::External,
            Self::ORIGINATOR_ID | Self::CLUSTER_LIST => terms.peer == PeerKind::Internal,
            Self::AS4_PATH | Self::AS4_AGGREGATOR => !terms.four_octet_as,
            _ => true,
        }
    }
}
