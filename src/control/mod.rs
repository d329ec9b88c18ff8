//! What the daemon tells over its local socket: questions, answers and their JSON.
//!
//! ```text
//!  GET /v1/bgp/neighbors?peer=A                          ─► Query ─► Control ─► SpeakerCore, in pieces
//!  GET /v1/bgp/rib?table=in&peer=A&prefix=P&after=P&limit=N             │
//!  GET /v1/bgp/explain?prefix=P                                         └─► view ─► JSON
//! ```
//!
//! - An answer is bounded: routes come in pages of [`PAGE`] prefixes at most and about
//!   [`PAGE_OCTETS`], sorted by prefix; `next` says where the following page begins.
//! - The speaker is never held for longer than a walk over [`PIECE`] prefixes, and walks for one
//!   page at a time.
//! - Fields may be added to the JSON; those that are there keep name and meaning.
//!
//! The terms are those of RFC 4271, 4456, 4724, 7911 and 9494.

mod answer;
mod collect;
mod neighbor;
mod query;
mod route;
mod view;

pub use answer::{Answer, Control};
pub use query::{BadQuery, Query};
pub use view::{
    Attributes, Bfd, Candidate, Directions, Down, Explanation, Families, FamilyGracefulRestart,
    GracefulRestart, Marks, MessageCounts, Neighbor, NeighborFamily, Neighbors, Notification,
    PeerGracefulRestart, PeerKind, Refusal, Rib, Route, Session, Source, Speaker, Standing, Step,
    Table, Telling, Timers, Verdict,
};

/// Prefixes on a page of routes; whoever asks for more gets as many.
pub const PAGE: usize = 1000;
/// A page ends once its JSON is that long, in octets.
pub const PAGE_OCTETS: usize = 1 << 20;
/// Prefixes that are looked at between two turns of the speaker.
pub const PIECE: usize = 4096;

/// The group whose members may ask.
pub const GROUP: &str = "kube-router";
