//! The codec as it is in the program.

#[path = "../../../../src/bgp/wire/mod.rs"]
pub mod wire;
