//! The BGP codec, built alone, and messages to try it with.

pub mod bgp;
#[path = "../../../src/net/mod.rs"]
pub mod net;

pub mod hostile;
pub mod seeds;
