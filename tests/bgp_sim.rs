//! Several speakers over a simulated wire with a simulated clock: whatever happens on the way, left
//! in peace they come to the same best paths.
#![allow(clippy::expect_used, reason = "a test")]

#[path = "bgp_sim/topology.rs"]
mod topology;
#[path = "bgp_sim/world.rs"]
mod world;

#[path = "bgp_sim/changes.rs"]
mod changes;
#[path = "bgp_sim/convergence.rs"]
mod convergence;
#[path = "bgp_sim/extensions.rs"]
mod extensions;
#[path = "bgp_sim/hostile.rs"]
mod hostile;
