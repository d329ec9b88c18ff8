//! The BGP finite state machine (RFC 4271 section 8), pure: time, connections and chance come in as
//! values, what is to be done goes out as values.
//!
//! ```text
//!  Event ──► Peer ─┬─ Mode: stopped, held back, running ── attempts to connect
//!                  ├─ Session (≤ 2): OpenSent ─► OpenConfirm ─► Established
//!                  └─ Helper: stale routes of a session that is gone
//!            Peer ──► Action…         poll_timeout ──► when to call handle_timeout
//! ```
//!
//! - At most one connection is established, and none exists while the peer is Idle.
//! - After `Action::Close`, and after `Event::Closed`, a connection is never named again.
//! - Every `Action::Up` is followed by one `Action::Down` before the next `Up`; what becomes of the
//!   routes is said per family, after `Down` and after `Up`.
//! - All timers are deadlines in here. Those for KEEPALIVE, attempts to connect and damping have
//!   jitter (RFC 4271 section 10).
//!
//! # Where this is not RFC 4271 to the letter
//! - An attempt to connect that fails leads to Active, not to Idle: in Idle we would refuse the
//!   peer that comes up and connects. The waits between attempts double instead.
//! - All automatic restarts are damped (events 6 and 13); a session that lasted is forgiven.
//! - The events of timers and of connections that do not exist can't happen, so the "any other
//!   event" rows of the table are for those that can.
//! - In Established the peer may still connect: it is heard out up to its OPEN, and refused as a
//!   collision then, unless it says by the R bit that it has restarted (RFC 4724 section 5 drops
//!   the old connection even before that OPEN, which lets late collisions tear down sessions).
//! - A collision is judged at the first OPEN if the other connection is in OpenSent (section 6.8
//!   allows it), and an attempt under way is given up in OpenConfirm. Two speakers that start at
//!   the same moment then never establish and lose a session.
//! - Where no hold time was agreed on, that of the OPEN goes on until Established, or a peer that
//!   falls silent in OpenConfirm would keep us there for ever.
//! - A bad header in Established is answered with its own error rather than an FSM error.
//!
//! # BFD and graceful restart
//! When BFD loses the peer, the session ends at once. The peer's routes are kept as stale only if
//! graceful restart was negotiated and the peer's BFD shares fate with its control plane (the C bit
//! of its packets was clear): then the silence may be nothing but the restart that the routes are
//! kept for (RFC 5882 section 4.3.2). If the C bit was set, its forwarding is gone, and its routes
//! go at once, also those kept as stale since before (section 4.3.1). What counts is the C bit that
//! we received: our own BFD lives as long as whoever draws this conclusion.
//!
//! References: RFC 4271, 4486, 4724, 5492, 5882, 6286, 6608, 8538, 9003, 9384, 9494, 9687.

mod config;
mod event;
mod graceful;
mod open;
mod peer;
mod session;
mod status;
mod timers;

#[cfg(test)]
mod tests;

pub use config::{GracefulConfig, LongLivedConfig, MaxPrefixes, PeerAs, PeerConfig, needs_reset};
pub use event::{Action, ConnectionId, Direction, Down, Event, Failure, Fate, Reason, Stop};
pub use graceful::{Helper, Released, Restarting};
pub use open::{GracefulTerms, LongLivedTerms, OpenFault, PeerGraceful, Restart, Terms};
pub use peer::Peer;
pub use status::{Counters, MessageCounts, Mishap, State, Status, Timers};
pub use timers::Backoff;
