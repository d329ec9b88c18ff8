//! Kernel parameters below `/proc/sys`: read, and written only where they differ.

pub mod object;

pub use object::{Changed, InvalidKey, Key};
