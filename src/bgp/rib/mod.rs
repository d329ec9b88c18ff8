//! What was learnt, what is chosen, and what is told (RFC 4271 sections 3.2 and 9): pure, without
//! clocks and sockets.
//!
//! ```text
//!  UPDATE ─► Rib::announce, withdraw ─► one entry per prefix: the paths of all peers
//!                 │ import policy              │ decision, for this prefix only
//!                                              ▼
//!                                    Rib::drain_changes ─┬─► Exporter ─► AdjRibOut ─► Outgoing
//!                                                        └─► BestPathsBuilder ─► BestPaths
//! ```
//!
//! - Attributes and next hop of an UPDATE are one [`Route`], held once however many prefixes and
//!   peers share it; a prefix costs some 35 octets beside it.
//! - Paths that can't be chosen are kept with their [`Exclusion`], as they were received, so that
//!   policies can change without a new session.
//! - Work follows the change: a changed path costs its prefix, a lost peer its own prefixes. Only
//!   a next hop that comes or goes costs a walk through all.
//! - The result depends on the paths that are there, never on the order in which they came.

mod adj_out;
mod best_paths;
mod changes;
mod decision;
mod export;
mod hash;
mod id_set;
mod import;
mod path;
mod peer;
#[expect(clippy::module_inception, reason = "the type has the room's name")]
mod rib;
mod route;
mod stale;
mod table;
mod view;

pub use adj_out::{AdjRibOut, Outgoing, Told};
pub use best_paths::{BestPathChange, BestPaths, BestPathsBuilder, Hop, NextHops};
pub use changes::{AttributeChanges, NextHopChange, Prepend};
pub use decision::{Reachability, Reason, Selection};
pub use export::{Exporter, Routes, Target, Withheld};
pub use import::{Exclusion, Filter, Speaker};
pub use path::Path;
pub use peer::{Counters, PeerFacts, PeerId};
pub use rib::Rib;
pub use route::{Route, RouteKind};
pub use view::{PrefixView, RouteId, Standing};

#[cfg(test)]
mod tests;
