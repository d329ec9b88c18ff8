//! The BGP speaker: messages, state machine, routes and policies so far, without sockets or clocks.

pub mod fsm;
pub mod policy;
pub mod rib;
pub mod wire;
