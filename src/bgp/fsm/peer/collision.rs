//! Which of two connections stays (RFC 4271 section 6.8).

use std::net::Ipv4Addr;

use crate::bgp::fsm::event::Direction;
use crate::bgp::fsm::status::State;

/// Who a speaker is, in the order in which connections are preferred: by identifier, and by AS
/// where two speakers of different ASes have the same one (RFC 6286 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::bgp::fsm) struct Identity {
    pub(in crate::bgp::fsm) router_id: Ipv4Addr,
    pub(in crate::bgp::fsm) asn: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bgp::fsm) enum Verdict {
    KeepExisting,
    KeepNew,
}

/// Judges the OPEN of a new connection while another one is in the state `existing`; `None` if our
/// own OPEN is not even out there.
///
/// An established connection stays, but for one case: the new OPEN says that the peer has
/// restarted, so the old connection is dead without TCP having noticed (RFC 4724 section 5). Of two
/// that are not, that of the greater speaker stays, on both sides the same. The other one is judged
/// in OpenSent already, as the RFC allows once the peer's identifier is known: waiting for its OPEN
/// lets one side establish the connection that the other side is about to close.
pub(in crate::bgp::fsm) fn collide(
    existing: State,
    new: Direction,
    ours: Identity,
    theirs: Identity,
    has_restarted: bool,
) -> Option<Verdict> {
    let preferred = if ours > theirs {
        Direction::Outgoing
    } else {
        Direction::Incoming
    };
    match existing {
        State::Established if has_restarted => Some(Verdict::KeepNew),
        State::Established => Some(Verdict::KeepExisting),
        State::OpenSent | State::OpenConfirm if new == preferred => Some(Verdict::KeepNew),
        State::OpenSent | State::OpenConfirm => Some(Verdict::KeepExisting),
        _ => None,
    }
}
