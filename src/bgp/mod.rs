//! The BGP speaker: bytes, messages and the state machine so far, without sockets or clocks.

pub mod fsm;
pub mod policy;
pub mod rib;
pub mod wire;
