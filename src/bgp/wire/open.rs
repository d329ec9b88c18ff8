//! OPEN (RFC 4271 section 4.2): who speaks, how long silence may last, what it can do.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::capability::{AddPathMode, Capability, GracefulRestart, LongLivedFamily};
use super::error::{DecodeError, DecodeErrorKind, EncodeError};
use super::family::AddressFamily;
use super::reader::Reader;
use super::{AS_TRANS, VERSION};
use crate::net::Family;

/// One side's OPEN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The speaker's AS: from the capability for four octets where there is one, else from the
    /// fixed field. Never 0 when decoded. Encoded as AS_TRANS in the fixed field when it does not
    /// fit; the capability itself has to be among `capabilities` then.
    pub asn: u32,
    pub hold_time: HoldTime,
    /// The BGP identifier; never 0.0.0.0 when decoded (RFC 6286).
    pub router_id: Ipv4Addr,
    /// In the order of the wire, those that we don't know included.
    pub capabilities: Vec<Capability>,
}

/// How long the peer may be silent, in whole seconds: 0 for "forever", else at least 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldTime(u16);

// === impl HoldTime ===

impl HoldTime {
    /// No keepalives, the session lives until TCP says otherwise.
    pub const DISABLED: Self = Self(0);
    /// What RFC 4271 section 10 suggests: 90 s.
    pub const SUGGESTED: Self = Self(90);

    /// `None` for 1 and 2 seconds, which RFC 4271 section 4.2 forbids.
    #[must_use]
    pub fn from_secs(seconds: u16) -> Option<Self> {
        (seconds == 0 || seconds >= 3).then_some(Self(seconds))
    }

    #[must_use]
    pub fn as_secs(self) -> u16 {
        self.0
    }

    /// `None` if the hold timer is not to run.
    #[must_use]
    pub fn as_duration(self) -> Option<Duration> {
        (self.0 > 0).then(|| Duration::from_secs(self.0.into()))
    }
}

// === impl Open ===

impl Open {
    pub fn has(&self, capability: &Capability) -> bool {
        self.capabilities.contains(capability)
    }

    /// The AS number of four octets, if the capability was sent.
    #[must_use]
    pub fn four_octet_as(&self) -> Option<u32> {
        self.capabilities
            .iter()
            .find_map(|capability| match capability {
                Capability::FourOctetAs(asn) => Some(*asn),
                _ => None,
            })
    }

    /// Whether routes of the family can be exchanged. A speaker that names no family at all
    /// speaks IPv4 unicast (RFC 4760 section 8).
    #[must_use]
    pub fn speaks(&self, family: Family) -> bool {
        let mut named = self
            .capabilities
            .iter()
            .filter_map(|capability| match capability {
                Capability::Multiprotocol(family) => Some(*family),
                _ => None,
            });
        let wanted = AddressFamily::from(family);
        match named.next() {
            None => family == Family::V4,
            Some(first) => first == wanted || named.any(|other| other == wanted),
        }
    }

    /// The last one counts (RFC 4724 section 3).
    #[must_use]
    pub fn graceful_restart(&self) -> Option<&GracefulRestart> {
        self.capabilities
            .iter()
            .rev()
            .find_map(|capability| match capability {
                Capability::GracefulRestart(graceful) => Some(graceful),
                _ => None,
            })
    }

    /// Long-lived stale times; none without graceful restart (RFC 9494 section 4.1).
    #[must_use]
    pub fn long_lived(&self, family: Family) -> Option<&LongLivedFamily> {
        self.graceful_restart()?;
        self.capabilities
            .iter()
            .rev()
            .find_map(|capability| match capability {
                Capability::LongLivedGracefulRestart(families) => families
                    .iter()
                    .find(|entry| entry.family == AddressFamily::from(family)),
                _ => None,
            })
    }

    /// What the speaker is able to do with several paths per prefix.
    #[must_use]
    pub fn add_path(&self, family: Family) -> Option<AddPathMode> {
        self.capabilities
            .iter()
            .find_map(|capability| match capability {
                Capability::AddPath(families) => families
                    .iter()
                    .find(|entry| entry.family == AddressFamily::from(family))
                    .map(|entry| entry.mode),
                _ => None,
            })
    }

    /// Whether it takes IPv6 next hops for the family's prefixes (RFC 8950); only asked for IPv4.
    #[must_use]
    pub fn takes_ipv6_next_hops(&self, family: Family) -> bool {
        self.capabilities.iter().any(|capability| match capability {
            Capability::ExtendedNextHop(entries) => entries.iter().any(|entry| {
                entry.family == AddressFamily::from(family)
                    && entry.next_hop == super::family::Afi::IPV6
            }),
            _ => false,
        })
    }
}

/// The optional parameter that holds capabilities (RFC 5492).
const CAPABILITIES: u8 = 2;
/// In place of a first parameter's type: lengths of 16 bits follow (RFC 9072).
const EXTENDED: u8 = 255;

// === wire form ===

impl Open {
    /// Reads the body; `start` is its distance from the start of the message.
    pub(super) fn decode(body: &[u8], start: usize) -> Result<Self, DecodeError> {
        let wrong = |at, kind| DecodeError::new(start + at, kind);
        let cut = || wrong(0, DecodeErrorKind::OptionalParameters);
        let mut reader = Reader::new(body);
        let version = reader.u8().ok_or_else(cut)?;
        if version != VERSION {
            return Err(wrong(0, DecodeErrorKind::Version(version)));
        }
        let short_as = reader.u16().ok_or_else(cut)?;
        let seconds = reader.u16().ok_or_else(cut)?;
        let router_id = Ipv4Addr::from_bits(reader.u32().ok_or_else(cut)?);
        let hold_time = HoldTime::from_secs(seconds)
            .ok_or_else(|| wrong(3, DecodeErrorKind::HoldTime(seconds)))?;
        if router_id.is_unspecified() {
            return Err(wrong(5, DecodeErrorKind::Identifier));
        }
        let capabilities = parameters(reader.rest()).map_err(|kind| wrong(9, kind))?;
        let mut open = Self {
            asn: short_as.into(),
            hold_time,
            router_id,
            capabilities,
        };
        open.asn = open.four_octet_as().unwrap_or(open.asn);
        if short_as == 0 || open.asn == 0 {
            return Err(wrong(1, DecodeErrorKind::AsZero));
        }
        Ok(open)
    }

    /// Appends the body: all capabilities in one parameter, in the form of RFC 9072 only where
    /// they don't fit otherwise.
    pub(super) fn encode(&self, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut capabilities = Vec::new();
        for capability in &self.capabilities {
            capability.encode(&mut capabilities)?;
        }
        into.push(VERSION);
        into.extend(u16::try_from(self.asn).unwrap_or(AS_TRANS).to_be_bytes());
        into.extend(self.hold_time.as_secs().to_be_bytes());
        into.extend(self.router_id.octets());
        let length = capabilities.len();
        match u8::try_from(length) {
            Ok(0) => into.push(0),
            Ok(short @ ..=252) => into.extend([short + 2, CAPABILITIES, short]),
            _ => {
                let too_long = |_| EncodeError::TooLong {
                    length,
                    limit: 4096,
                };
                let long = u16::try_from(length).map_err(too_long)?;
                into.extend([EXTENDED, EXTENDED]);
                into.extend(long.saturating_add(3).to_be_bytes());
                into.push(CAPABILITIES);
                into.extend(long.to_be_bytes());
            }
        }
        into.extend(capabilities);
        Ok(())
    }
}

/// Reads the optional parameters from their length on.
fn parameters(field: &[u8]) -> Result<Vec<Capability>, DecodeErrorKind> {
    const CUT: DecodeErrorKind = DecodeErrorKind::OptionalParameters;
    let mut reader = Reader::new(field);
    let length = reader.u8().ok_or(CUT)?;
    let extended = length > 0 && reader.rest().first() == Some(&EXTENDED);
    let length = if extended {
        reader.u8().ok_or(CUT)?;
        reader.u16().ok_or(CUT)?
    } else {
        length.into()
    };
    if reader.rest().len() != usize::from(length) {
        return Err(CUT);
    }
    let mut found = Vec::new();
    while let Some(kind) = reader.u8() {
        let length = if extended {
            reader.u16()
        } else {
            reader.u8().map(u16::from)
        };
        let value = reader.take(length.ok_or(CUT)?.into()).ok_or(CUT)?;
        if kind != CAPABILITIES {
            return Err(DecodeErrorKind::OptionalParameter(kind));
        }
        capabilities(value, &mut found)?;
    }
    Ok(found)
}

fn capabilities(value: &[u8], found: &mut Vec<Capability>) -> Result<(), DecodeErrorKind> {
    const CUT: DecodeErrorKind = DecodeErrorKind::Capability;
    let mut reader = Reader::new(value);
    while let Some(code) = reader.u8() {
        let length = reader.u8().ok_or(CUT)?;
        let value = reader.take(length.into()).ok_or(CUT)?;
        found.push(Capability::decode(code, value).ok_or(CUT)?);
    }
    Ok(())
}
