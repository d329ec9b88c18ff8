//! On which addresses of this node NodePorts answer.

use std::net::IpAddr;

use crate::config::NodePortAddresses;
use crate::model::NodeFacts;
use crate::net::Family;

/// The node's addresses chosen by the configuration, sorted, without duplicates.
///
/// Loopback and link-local addresses never answer: the first would need `route_localnet`, which
/// opens every local service to the neighbours; the second mean another host on every link.
#[must_use]
pub fn addresses(chosen: &[NodePortAddresses], facts: &NodeFacts) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for choice in chosen {
        match choice {
            NodePortAddresses::Primary => {
                found.extend(
                    Family::ALL
                        .into_iter()
                        .filter_map(|f| *facts.primary.get(f)),
                );
            }
            NodePortAddresses::All => found.extend(own(facts, |_, _| true)),
            NodePortAddresses::Within(prefix) => {
                found.extend(own(facts, |address, _| prefix.contains(&address)));
            }
            NodePortAddresses::Link(name) => found.extend(own(facts, |_, link| link == name)),
        }
    }
    found.retain(|address| facts.has(Family::of(*address)));
    found.sort_unstable();
    found.dedup();
    found
}

fn own(facts: &NodeFacts, choose: impl Fn(IpAddr, &str) -> bool) -> impl Iterator<Item = IpAddr> {
    facts
        .addresses
        .iter()
        .filter(move |local| {
            crate::net::is_usable(local.address) && choose(local.address, &local.link)
        })
        .map(|local| local.address)
}
