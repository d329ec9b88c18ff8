//! Rooms of tests, and short names for what they are made of.

mod adj_out;
mod best_paths;
mod decision;
mod export;
mod import;
mod order;
mod stale;
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::*;
use crate::bgp::wire::{AsPath, Attributes, Community, NextHop, Nlri, PeerKind};
use crate::net::{ByFamily, Family, Prefix};

pub(super) const OUR_AS: u32 = 64512;
pub(super) const OUR_ID: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

pub(super) fn speaker() -> Speaker {
    Speaker {
        asn: OUR_AS,
        confederation: None,
        router_id: OUR_ID,
        cluster_id: None,
        addresses: BTreeSet::from([ip("10.0.0.1"), ip("2001:db8::1")]),
    }
}

pub(super) fn reflector() -> Speaker {
    Speaker {
        cluster_id: Some(OUR_ID),
        ..speaker()
    }
}

pub(super) fn rib() -> Rib {
    Rib::new(speaker(), Selection::default(), 7)
}

/// The peer 10.0.0.`n` of AS 65000 + `n`, or of ours.
pub(super) fn facts(n: u8, kind: PeerKind) -> PeerFacts {
    let address = Ipv4Addr::new(10, 0, 0, n);
    PeerFacts {
        address: address.into(),
        asn: if kind == PeerKind::External {
            65000 + u32::from(n)
        } else {
            OUR_AS
        },
        kind,
        router_id: address,
        is_client: false,
    }
}

pub(super) fn client(n: u8) -> PeerFacts {
    PeerFacts {
        is_client: true,
        ..facts(n, PeerKind::Internal)
    }
}

pub(super) fn add(rib: &mut Rib, facts: PeerFacts) -> PeerId {
    rib.add_peer(facts).unwrap()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn hop(text: &str) -> NextHop {
    ip(text).into()
}

pub(super) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(super) fn nlri(text: &str) -> Nlri {
    prefix(text).into()
}

pub(super) fn path_of(asns: &[u32]) -> Attributes {
    Attributes {
        as_path: AsPath::sequence(asns),
        ..Attributes::default()
    }
}

/// A route through 10.0.0.`n` with such an AS path.
pub(super) fn route(n: u8, asns: &[u32]) -> Route {
    let next_hop = NextHop::V4(Ipv4Addr::new(10, 0, 0, n));
    Route::learned(next_hop, path_of(asns))
}

pub(super) fn with_communities(route: Route, communities: &[Community]) -> Route {
    let attributes = Attributes {
        communities: communities.to_vec(),
        ..route.attributes
    };
    Route::learned(route.next_hop, attributes)
}

pub(super) fn announce(rib: &mut Rib, peer: PeerId, prefixes: &[&str], route: Route) {
    let route = rib.intern(route);
    let prefixes = prefixes.iter().map(|text| nlri(text));
    rib.announce(peer, &route, prefixes, |_, _| Filter::Accept);
}

pub(super) fn withdraw(rib: &mut Rib, peer: PeerId, prefixes: &[&str]) {
    rib.withdraw(peer, prefixes.iter().map(|text| nlri(text)));
}

pub(super) fn best_peer(rib: &Rib, text: &str) -> Option<PeerId> {
    rib.get(&prefix(text))?.best().map(Path::peer)
}

/// Prefixes in the changes, in order.
pub(super) fn changed(rib: &mut Rib) -> Vec<String> {
    let mut changed = Vec::new();
    rib.drain_changes(|view, _| changed.push(view.prefix.to_string()));
    changed.sort();
    changed
}

pub(super) fn target(kind: PeerKind) -> Target {
    Target {
        kind,
        is_client: false,
        own_next_hop: ByFamily {
            v4: Some(hop("10.0.0.1")),
            v6: Some(hop("2001:db8::1")),
        },
        next_hop_self: false,
        ipv6_next_hop: false,
        long_lived: true,
    }
}

/// The best path of a prefix as such a peer is told it.
pub(super) fn exported(rib: &mut Rib, text: &str, target: Target) -> Result<Arc<Route>, Withheld> {
    exported_with(rib, text, target, &Filter::Accept)
}

pub(super) fn exported_with(
    rib: &mut Rib,
    text: &str,
    target: Target,
    filter: &Filter<'_>,
) -> Result<Arc<Route>, Withheld> {
    let mut exporter = Exporter::new(target);
    let mut out = None;
    for family in Family::ALL {
        rib.walk(family, 0, usize::MAX, |view, routes| {
            if view.prefix == prefix(text) {
                let best = view.best().unwrap();
                out = Some(exporter.export(family, best, routes, |_, _| filter.clone()));
            }
        });
    }
    out.unwrap()
}

/// What a peer has, if it believes what it is told.
#[derive(Debug, Default)]
pub(super) struct Listener {
    pub(super) has: BTreeMap<Prefix, Arc<Route>>,
    pub(super) messages: Vec<String>,
}

impl Listener {
    pub(super) fn hear(&mut self, out: Vec<Outgoing>) {
        for message in out {
            self.messages.push(text(&message));
            match message {
                Outgoing::Announce {
                    route, prefixes, ..
                } => {
                    for nlri in prefixes {
                        self.has.insert(nlri.prefix, Arc::clone(&route));
                    }
                }
                Outgoing::Withdraw { prefixes, .. } => {
                    for nlri in prefixes {
                        assert!(
                            self.has.remove(&nlri.prefix).is_some(),
                            "{nlri} was not there"
                        );
                    }
                }
                Outgoing::BeginOfRefresh(_) | Outgoing::EndOfRib(_) | Outgoing::EndOfRefresh(_) => {
                }
            }
        }
    }

    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.messages)
    }
}

fn text(message: &Outgoing) -> String {
    let list = |prefixes: &[Nlri]| {
        let mut prefixes: Vec<String> = prefixes.iter().map(Nlri::to_string).collect();
        prefixes.sort();
        prefixes.join(" ")
    };
    match message {
        Outgoing::BeginOfRefresh(family) => format!("begin {family}"),
        Outgoing::Withdraw { prefixes, .. } => format!("- {}", list(prefixes)),
        Outgoing::Announce {
            route, prefixes, ..
        } => format!("+ {} via {}", list(prefixes), route.next_hop),
        Outgoing::EndOfRib(family) => format!("end {family}"),
        Outgoing::EndOfRefresh(family) => format!("refreshed {family}"),
    }
}

/// Lets a group hear of all changes; everything is accepted.
pub(super) fn export_changes(rib: &mut Rib, out: &mut AdjRibOut, exporter: &mut Exporter) {
    rib.drain_changes(|view, routes| {
        let told = view.best().and_then(|best| {
            let route = exporter.export(view.id.family, best, routes, |_, _| Filter::Accept);
            Some(Told {
                route: route.ok()?,
                source: best.peer(),
            })
        });
        out.set(view.id, view.prefix, told);
    });
}
