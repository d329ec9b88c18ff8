//! Routing on the real kernel, in namespaces of a node, its pod and the world around it, with the
//! tools that administrators use as witnesses.
//!
//! Tunnels are the lab's business: not every kernel that builds this has them.
#![expect(unsafe_code, reason = "unshare and setns have no wrapper in std")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "the witnesses are programs, and waiting needs a clock"
)]

#[path = "routing_netns/node.rs"]
mod node;
#[path = "routing_netns/packets.rs"]
mod packets;
#[path = "routing_netns/place.rs"]
mod place;
#[path = "routing_netns/repair.rs"]
mod repair;
#[path = "routing_netns/setup.rs"]
mod setup;
