//! A route as one side shows it, in the same words whoever shows it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use kube_router::bgp::rib::Route;
use kube_router::bgp::wire::{Community, LargeCommunity, Origin};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) origin: Origin,
    pub(crate) as_path: Vec<u32>,
    pub(crate) next_hop: IpAddr,
    pub(crate) med: Option<u32>,
    pub(crate) local_pref: Option<u32>,
    pub(crate) communities: BTreeSet<Community>,
    pub(crate) large: BTreeSet<LargeCommunity>,
    /// As we write them.
    pub(crate) extended: BTreeSet<String>,
    pub(crate) originator: Option<Ipv4Addr>,
    pub(crate) clusters: Vec<Ipv4Addr>,
}

// === impl Shown ===

impl Shown {
    /// A route without any attribute that it need not have.
    pub(crate) fn plain(next_hop: IpAddr) -> Self {
        Self {
            origin: Origin::Igp,
            as_path: Vec::new(),
            next_hop,
            med: None,
            local_pref: None,
            communities: BTreeSet::new(),
            large: BTreeSet::new(),
            extended: BTreeSet::new(),
            originator: None,
            clusters: Vec::new(),
        }
    }

    /// As our own tables have it.
    pub(crate) fn ours(route: &Route) -> Self {
        let attributes = &route.attributes;
        let extended = attributes.extended_communities.iter();
        Self {
            origin: attributes.origin,
            as_path: attributes.as_path.asns().collect(),
            next_hop: route.next_hop.address(),
            med: attributes.multi_exit_disc,
            local_pref: attributes.local_pref,
            communities: attributes.communities.iter().copied().collect(),
            large: attributes.large_communities.iter().copied().collect(),
            extended: extended.map(ToString::to_string).collect(),
            originator: attributes.originator_id,
            clusters: attributes.cluster_list.clone(),
        }
    }
}
