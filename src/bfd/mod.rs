//! Bidirectional Forwarding Detection in asynchronous mode, single-hop and multihop: whether the
//! way to a peer works in both directions, within a fraction of a second.
//!
//! ```text
//!  io (one thread) ──datagrams, clock──► table ──► session ──► packets, transitions ──► io ──► Event
//! ```
//!
//! - [`ControlPacket`] is bytes, [`Session`] one end's state, [`Table`] all sessions: pure, time is
//!   an argument. [`io`] has the sockets, the clock and the thread.
//! - What was wanted holds until something else is wanted ([`io::Handle::set_desired`]); other
//!   timers do not take a session down.
//!
//! # What it means to BGP
//! [`Transition::Down`] is `BfdDown` to the peer's state machine, with the same C bit; the
//! rule for BFD together with graceful restart is stated there. A session that has never been Up
//! tells nothing: a BGP peer that doesn't speak BFD at all, or not yet, is left alone (there is no
//! strict mode). A peer whose operator takes BFD down ([`Transition::AdminDown`]) is left alone too
//! (RFC 5882 section 4.2).
//!
//! Not spoken: authentication, echo, demand mode of our own (the other end's is obeyed).
//!
//! References: RFC 5880, 5881, 5882, 5883.

pub mod io;

mod config;
mod error;
mod session;
mod status;
mod table;
mod wire;

#[cfg(test)]
mod tests;

pub use config::{MULTIHOP_PORT, Reach, SINGLE_HOP_PORT, SessionConfig, SessionKey, Timers};
pub use error::{Error, Malformed, Refusal};
pub use io::{Event, Handle, spawn};
pub use session::{Session, Transition};
pub use status::Status;
pub use table::{Arrival, Table};
pub use wire::{ControlPacket, Diagnostic, LENGTH, State, VERSION};
