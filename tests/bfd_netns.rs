//! BFD over real links: namespaces in a row, our own ends, FRR's and BIRD's.
//!
//! ```text
//!  A a0 ──── r0 R r1 ──── b0 B
//! ```
//! Single-hop sessions are between A and R, multihop ones between A and B.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![expect(unsafe_code, reason = "namespaces have no wrapper in std")]
#![expect(
    clippy::disallowed_methods,
    reason = "the lab is made by programs, and conditions have deadlines"
)]
#![expect(clippy::print_stdout, reason = "how long a detection took")]

#[path = "bfd_netns/bird.rs"]
mod bird;
#[path = "interop/daemon.rs"]
mod daemon;
#[path = "bfd_netns/end.rs"]
mod end;
#[path = "bfd_netns/frr.rs"]
mod frr;
#[path = "bfd_netns/interop.rs"]
mod interop;
#[path = "bfd_netns/lab.rs"]
mod lab;
#[path = "bfd_netns/own.rs"]
mod own;
