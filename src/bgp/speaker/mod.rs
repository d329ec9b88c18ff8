//! The whole speaker, still pure: peers, routes and policies put together, without sockets or clocks.
//!
//! ```text
//!  Desired ──► SpeakerCore ─┬─ Neighbor: fsm::Peer, its connections with what is read and unwritten
//!  Input ────►              └─ Tables: Rib ─► Groups (Exporter, AdjRibOut) ─► UPDATEs
//!                           │             └─► BestPathsBuilder ─► BestPaths
//!                           └─► Output…        poll_timeout ──► when to call handle_timeout
//! ```
//!
//! - A change of [`Desired`] touches just what differs: other sessions don't notice. Policies, roles,
//!   next hops and the originated set change without a new session; only what the OPEN says, and how
//!   the peer is reached ([`Transport`]), needs one.
//! - What a peer sends is judged at once and costs that peer alone. What it does not read waits as
//!   marks in its Adj-RIB-Out, not as octets: no more than [`UNWRITTEN_LIMIT`] and one portion of
//!   UPDATEs are made before the wire has taken the others.
//! - After a real restart no route of a family is told or shown in [`SpeakerCore::best_paths`]
//!   before all helpers have told theirs, or the time for that is over (RFC 4724 section 4.1).
//! - Outputs are to be carried out in order. A connection named in [`Output::Close`] is never named
//!   again.
//!
//! References: RFC 4271, 2918, 4456, 4724, 7313, 7606, 8654, 9494.

mod connection;
mod core;
mod desired;
mod explain;
mod groups;
mod input;
pub mod io;
mod look;
mod neighbor;
mod reconcile;
mod session;
mod status;
mod tables;

pub use self::core::{Restarted, SpeakerCore};
pub use connection::UNWRITTEN_LIMIT;
pub use desired::{Desired, ListenRange, Originated, PeerDesired, PeerKey, Transport, Ttl};
pub use explain::{Explanation, PathExplanation, Telling};
pub use input::{ConnectionKey, Input, Note, Output, Refusal};
pub use io::{Handle, ListenError, Listeners, Notes, Options, spawn};
pub use look::{RibEntry, RibTable};
pub use status::{NeighborStatus, RibInEntry, RibOutEntry, SpeakerStatus};
