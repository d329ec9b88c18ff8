//! Links, addresses and default routes of the host, kept up to date event by event.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::kernel::rtnl::object::{Address, Event, Link, Route, RouteKind, TABLE_MAIN};

/// The part of the host's network state that facts are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    links: BTreeMap<u32, Link>,
    /// By link, address and prefix length.
    addresses: BTreeMap<(u32, IpAddr, u8), Address>,
    defaults: BTreeSet<Route>,
}

// === impl Host ===

impl Host {
    #[must_use]
    pub fn new(
        links: impl IntoIterator<Item = Link>,
        addresses: impl IntoIterator<Item = Address>,
        routes: impl IntoIterator<Item = Route>,
    ) -> Self {
        let mut host = Self::default();
        host.links
            .extend(links.into_iter().map(|link| (link.index, link)));
        let addresses = addresses
            .into_iter()
            .map(|address| (key(&address), address));
        host.addresses.extend(addresses);
        host.defaults.extend(routes.into_iter().filter(is_default));
        host
    }

    /// Takes in one event; whether facts may differ now. After [`Event::Overflow`] the host must
    /// be read anew, so that says yes.
    pub fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::Link(link) => {
                let index = link.index;
                let (name, mtu) = (link.name.clone(), link.mtu);
                let old = self.links.insert(index, link);
                old.is_none_or(|old| old.name != name || old.mtu != mtu)
            }
            Event::LinkGone(link) => {
                self.addresses.retain(|(index, ..), _| *index != link.index);
                self.defaults.retain(|route| route.link != Some(link.index));
                self.links.remove(&link.index).is_some()
            }
            Event::Address(address) => {
                let old = self.addresses.insert(key(&address), address);
                old.is_none() && self.is_own(address.link)
            }
            Event::AddressGone(address) => {
                self.addresses.remove(&key(&address)).is_some() && self.is_own(address.link)
            }
            Event::Route(route) => is_default(&route) && self.defaults.insert(route),
            Event::RouteGone(route) => self.defaults.remove(&route),
            Event::Path(_) | Event::PathGone(_) | Event::Rule(_) | Event::RuleGone(_) => false,
            Event::Overflow => true,
        }
    }

    pub(super) fn link(&self, index: u32) -> Option<&Link> {
        self.links.get(&index)
    }

    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.values()
    }

    /// The best metric first, IPv4 before IPv6.
    pub(super) fn default_routes(&self) -> Vec<&Route> {
        let mut routes: Vec<&Route> = self.defaults.iter().collect();
        routes.sort_by_key(|route| (route.family(), route.metric.unwrap_or(0)));
        routes
    }

    /// An address of a link that is not known yet may be anybody's.
    fn is_own(&self, link: u32) -> bool {
        self.link(link).is_none_or(super::is_own)
    }
}

fn key(address: &Address) -> (u32, IpAddr, u8) {
    (
        address.link,
        address.prefix.addr(),
        address.prefix.prefix_len(),
    )
}

fn is_default(route: &Route) -> bool {
    route.kind == RouteKind::Unicast
        && route.table == TABLE_MAIN
        && route.destination.prefix_len() == 0
}
