//! The BGP speaker: bytes and messages so far, without sockets or clocks.

pub mod wire;
