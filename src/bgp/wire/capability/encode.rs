//! Capabilities as they are sent.

use super::{Capability, Fqdn, GracefulRestart};
use crate::bgp::wire::codec::cut;
use crate::bgp::wire::error::EncodeError;
use crate::bgp::wire::family::AddressFamily;

/// Twelve bits.
const MAX_RESTART_TIME: u16 = 0x0fff;
/// Twenty-four bits.
const MAX_STALE_TIME: u32 = 0x00ff_ffff;

impl Capability {
    /// Appends code, length and value.
    pub(in crate::bgp::wire) fn encode(&self, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        into.extend([self.code(), 0]);
        let start = into.len();
        self.encode_value(into);
        let length = into.len() - start;
        let octet =
            u8::try_from(length).map_err(|_| EncodeError::TooLong { length, limit: 255 })?;
        if let Some(field) = into.get_mut(start - 1) {
            *field = octet;
        }
        Ok(())
    }

    fn encode_value(&self, into: &mut Vec<u8>) {
        match self {
            Self::RouteRefresh | Self::ExtendedMessage | Self::EnhancedRouteRefresh => {}
            Self::Multiprotocol(family) => {
                into.extend(family.afi.0.to_be_bytes());
                into.extend([0, family.safi.0]);
            }
            Self::ExtendedNextHop(entries) => {
                for entry in entries {
                    into.extend(entry.family.afi.0.to_be_bytes());
                    into.extend([0, entry.family.safi.0]);
                    into.extend(entry.next_hop.0.to_be_bytes());
                }
            }
            Self::GracefulRestart(graceful) => graceful_value(graceful, into),
            Self::FourOctetAs(asn) => into.extend(asn.to_be_bytes()),
            Self::AddPath(entries) => {
                for entry in entries {
                    family(entry.family, into);
                    into.push(entry.mode.number());
                }
            }
            Self::LongLivedGracefulRestart(entries) => {
                for entry in entries {
                    family(entry.family, into);
                    into.push(forwarding(entry.forwarding));
                    let [_, time @ ..] = entry.stale_time.min(MAX_STALE_TIME).to_be_bytes();
                    into.extend(time);
                }
            }
            Self::Fqdn(fqdn) => fqdn_value(fqdn, into),
            Self::Unknown { value, .. } => into.extend_from_slice(value),
        }
    }
}

fn family(family: AddressFamily, into: &mut Vec<u8>) {
    into.extend(family.afi.0.to_be_bytes());
    into.push(family.safi.0);
}

fn forwarding(forwarding: bool) -> u8 {
    if forwarding { 0x80 } else { 0 }
}

fn graceful_value(graceful: &GracefulRestart, into: &mut Vec<u8>) {
    let mut first = graceful.restart_time.min(MAX_RESTART_TIME);
    if graceful.restarting {
        first |= 0x8000;
    }
    if graceful.notification {
        first |= 0x4000;
    }
    into.extend(first.to_be_bytes());
    for entry in &graceful.families {
        family(entry.family, into);
        into.push(forwarding(entry.forwarding));
    }
}

/// Two names with their lengths; what goes beyond the length of a DNS label or name is cut.
fn fqdn_value(fqdn: &Fqdn, into: &mut Vec<u8>) {
    for (name, limit) in [(&fqdn.host, 63), (&fqdn.domain, 189)] {
        let name = cut(name, limit);
        into.push(u8::try_from(name.len()).unwrap_or(0));
        into.extend_from_slice(name.as_bytes());
    }
}
