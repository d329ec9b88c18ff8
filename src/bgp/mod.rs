//! The BGP speaker, without sockets or clocks: messages, state machine, routes, policies, and the core
//! that puts them together.

pub mod fsm;
pub mod policy;
pub mod rib;
pub mod speaker;
pub mod wire;
