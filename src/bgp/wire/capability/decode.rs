//! Capabilities as they come.

use super::{
    AddPathFamily, AddPathMode, Capability, ExtendedNextHop, Fqdn, GracefulFamily, GracefulRestart,
    LongLivedFamily,
};
use crate::bgp::wire::family::{AddressFamily, Afi, Safi};
use crate::bgp::wire::reader::Reader;

impl Capability {
    /// Reads one value; `None` only for an AS number that has not four octets.
    pub(in crate::bgp::wire) fn decode(code: u8, value: &[u8]) -> Option<Self> {
        let known = match code {
            1 => multiprotocol(value),
            2 => value.is_empty().then_some(Self::RouteRefresh),
            5 => list(value, extended_next_hop).map(Self::ExtendedNextHop),
            6 => value.is_empty().then_some(Self::ExtendedMessage),
            64 => graceful_restart(value).map(Self::GracefulRestart),
            65 => {
                return Some(Self::FourOctetAs(u32::from_be_bytes(
                    value.try_into().ok()?,
                )));
            }
            69 => add_path(value),
            70 => value.is_empty().then_some(Self::EnhancedRouteRefresh),
            71 => list(value, long_lived).map(Self::LongLivedGracefulRestart),
            73 => fqdn(value).map(Self::Fqdn),
            _ => None,
        };
        Some(known.unwrap_or_else(|| Self::Unknown {
            code,
            value: value.into(),
        }))
    }
}

/// Entries up to the end of the value, none of them cut off.
fn list<T>(value: &[u8], entry: impl Fn(&mut Reader<'_>) -> Option<T>) -> Option<Vec<T>> {
    let mut reader = Reader::new(value);
    let mut entries = Vec::new();
    while !reader.is_empty() {
        entries.push(entry(&mut reader)?);
    }
    Some(entries)
}

fn family(reader: &mut Reader<'_>) -> Option<AddressFamily> {
    Some(AddressFamily {
        afi: Afi(reader.u16()?),
        safi: Safi(reader.u8()?),
    })
}

fn is_forwarding(flags: u8) -> bool {
    flags & 0x80 != 0
}

/// AFI, a reserved octet, SAFI.
fn multiprotocol(value: &[u8]) -> Option<Capability> {
    let [afi @ .., _, safi] = *<&[u8; 4]>::try_from(value).ok()?;
    Some(Capability::Multiprotocol(AddressFamily {
        afi: Afi(u16::from_be_bytes(afi)),
        safi: Safi(safi),
    }))
}

/// AFI, SAFI and next hop's AFI of two octets each.
fn extended_next_hop(reader: &mut Reader<'_>) -> Option<ExtendedNextHop> {
    Some(ExtendedNextHop {
        family: AddressFamily {
            afi: Afi(reader.u16()?),
            safi: Safi(u8::try_from(reader.u16()?).ok()?),
        },
        next_hop: Afi(reader.u16()?),
    })
}

fn graceful_restart(value: &[u8]) -> Option<GracefulRestart> {
    let mut reader = Reader::new(value);
    let first = reader.u16()?;
    let families = list(reader.rest(), |reader| {
        Some(GracefulFamily {
            family: family(reader)?,
            forwarding: is_forwarding(reader.u8()?),
        })
    })?;
    Some(GracefulRestart {
        restarting: first & 0x8000 != 0,
        notification: first & 0x4000 != 0,
        restart_time: first & 0x0fff,
        families,
    })
}

/// Entries with a mode that does not exist are ignored (RFC 7911 section 4).
fn add_path(value: &[u8]) -> Option<Capability> {
    let entries = list(value, |reader| {
        let family = family(reader)?;
        let mode = AddPathMode::from_number(reader.u8()?);
        Some(mode.map(|mode| AddPathFamily { family, mode }))
    })?;
    Some(Capability::AddPath(entries.into_iter().flatten().collect()))
}

fn long_lived(reader: &mut Reader<'_>) -> Option<LongLivedFamily> {
    let (family, flags) = (family(reader)?, reader.u8()?);
    let [a, b, c] = reader.array()?;
    Some(LongLivedFamily {
        family,
        forwarding: is_forwarding(flags),
        stale_time: u32::from_be_bytes([0, a, b, c]),
    })
}

fn fqdn(value: &[u8]) -> Option<Fqdn> {
    let mut reader = Reader::new(value);
    let mut name = || {
        let length = reader.u8()?;
        let name = reader.take(length.into())?;
        Some(std::str::from_utf8(name).ok()?.to_owned())
    };
    let fqdn = Fqdn {
        host: name()?,
        domain: name()?,
    };
    reader.is_empty().then_some(fqdn)
}
