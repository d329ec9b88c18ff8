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

/// The other connection at the moment an OPEN came in on a new one.
#[derive(Debug, Clone, Copy)]
pub(in crate::bgp::fsm) struct Existing {
    pub(in crate::bgp::fsm) state: State,
    pub(in crate::bgp::fsm) direction: Direction,
}

/// Judges the OPEN of a new connection while another one exists; `None` if there is no collision
/// yet, because the other one's OPEN is still to come.
///
/// An established connection stays, but for one case: the new OPEN says that the peer has
/// restarted, so the old connection is dead without TCP having noticed (RFC 4724 section 5). Of two
/// that are not, that of the greater speaker stays, on both sides the same.
pub(in crate::bgp::fsm) fn collide(
    existing: Existing,
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
    match existing.state {
        State::Established if has_restarted => Some(Verdict::KeepNew),
        State::Established => Some(Verdict::KeepExisting),
        // Two of the same direction: the peer opened a newer one.
        State::OpenConfirm if new == preferred || new == existing.direction => {
            Some(Verdict::KeepNew)
        }
        State::OpenConfirm => Some(Verdict::KeepExisting),
        _ => None,
    }
}
