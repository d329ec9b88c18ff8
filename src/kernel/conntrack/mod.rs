//! Deletes flows of connection tracking whose endpoint is gone.

pub mod object;

pub use object::{Flow, FlowFilter, Tuple};
