//! What the benches of the speaker share: routers as processes of their own in one network
//! namespace, on one processor, and a generator in another one that is the same for all of them.
#![allow(
    dead_code,
    unreachable_pub,
    unsafe_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "shared by benches, each using a part; they start programs, read clocks and print"
)]

pub mod figures;
pub mod generator;
pub mod ours;
pub mod places;
pub mod process;
pub mod routers;
pub mod stream;
