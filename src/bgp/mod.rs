//! The BGP speaker: messages, state machine, routes and policies, the core that puts them together,
//! all without sockets or clocks, and around it the sockets.

pub mod fsm;
pub mod policy;
pub mod rib;
pub mod speaker;
pub mod wire;
