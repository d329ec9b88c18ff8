//! ICMP messages by number.

use crate::firewall::{IcmpType, MulticastListener};
use crate::net::Family;

/// The type of a message in a family's protocol (RFC 792, RFC 4443, RFC 4861, RFC 3810). By
/// number, because tools and their versions print names differently.
#[must_use]
pub(crate) fn number(kind: IcmpType, family: Family) -> u8 {
    match (family, kind) {
        (Family::V4, IcmpType::EchoReply) => 0,
        (Family::V4, IcmpType::EchoRequest) => 8,
        (Family::V4, IcmpType::TimeExceeded) => 11,
        (Family::V4, IcmpType::ParameterProblem) => 12,
        (Family::V4, _) => 3,
        (Family::V6, IcmpType::DestinationUnreachable) => 1,
        (Family::V6, IcmpType::PacketTooBig) => 2,
        (Family::V6, IcmpType::TimeExceeded) => 3,
        (Family::V6, IcmpType::ParameterProblem) => 4,
        (Family::V6, IcmpType::EchoRequest) => 128,
        (Family::V6, IcmpType::EchoReply) => 129,
        (Family::V6, IcmpType::MulticastListener(MulticastListener::Query)) => 130,
        (Family::V6, IcmpType::MulticastListener(MulticastListener::Report)) => 131,
        (Family::V6, IcmpType::MulticastListener(MulticastListener::Done)) => 132,
        (Family::V6, IcmpType::MulticastListener(MulticastListener::ReportV2)) => 143,
        (Family::V6, IcmpType::RouterSolicitation) => 133,
        (Family::V6, IcmpType::RouterAdvertisement) => 134,
        (Family::V6, IcmpType::NeighbourSolicitation) => 135,
        (Family::V6, IcmpType::NeighbourAdvertisement) => 136,
    }
}
