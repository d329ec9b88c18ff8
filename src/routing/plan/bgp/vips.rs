//! Which addresses of Services this node announces.
//!
//! A Service counts here if the proxy serves it, its addresses if the proxy takes them up, and its
//! endpoints if the proxy would send to them: one definition for both. An address is announced as
//! long as one of its Services wants it to be.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Context;
use crate::bgp::wire::Attributes;
use crate::config::AddressClass;
use crate::model::{Endpoint, NodeFacts, Service, ServiceKind, SliceSet, TrafficPolicy};
use crate::net::{ByFamily, Family};

/// Who can answer for a Service, by family.
#[derive(Default, Clone, Copy)]
struct Answers {
    here: ByFamily<bool>,
    anywhere: ByFamily<bool>,
}

/// Which classes of addresses one Service announces.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Classes {
    cluster: bool,
    external: bool,
    load_balancer: bool,
}

/// The addresses with the communities of their Services.
pub(super) fn vips(context: &Context<'_>) -> BTreeMap<IpAddr, Attributes> {
    let none = SliceSet::new();
    let mut found = BTreeMap::new();
    for (name, service) in context.snapshot.services.iter() {
        let classes = classes(context, service);
        if classes == Classes::NONE || !service.is_proxied() {
            continue;
        }
        let slices = context.snapshot.slices.get(&name);
        let answers = answers(
            service,
            slices.map_or(&none, |slices| &**slices),
            context.facts,
        );
        for address in addresses(context, service, classes, answers) {
            add(found.entry(address).or_default(), service);
        }
    }
    found
}

/// Joins the communities of all Services of an address.
fn add(attributes: &mut Attributes, service: &Service) {
    let communities = &service.annotations.communities;
    for community in &communities.plain {
        if !attributes.communities.contains(community) {
            attributes.communities.push(*community);
        }
    }
    for community in &communities.large {
        if !attributes.large_communities.contains(community) {
            attributes.large_communities.push(*community);
        }
    }
}

fn classes(context: &Context<'_>, service: &Service) -> Classes {
    let (bgp, said) = (context.bgp(), &service.annotations);
    let load_balancer = said
        .advertise_load_balancer_ip
        .unwrap_or(bgp.advertise_loadbalancer_ip);
    Classes {
        cluster: said
            .advertise_cluster_ip
            .unwrap_or(bgp.advertise_cluster_ip),
        external: said
            .advertise_external_ip
            .unwrap_or(bgp.advertise_external_ip),
        load_balancer: load_balancer
            && service.kind == ServiceKind::LoadBalancer
            && !said.skip_load_balancer_ips,
    }
}

fn addresses(
    context: &Context<'_>,
    service: &Service,
    classes: Classes,
    answers: Answers,
) -> Vec<IpAddr> {
    let (internal, external) = service.policies();
    let cluster = &context.settings.cluster;
    let mut found = Vec::new();
    if classes.cluster {
        let answered = service
            .cluster_ips
            .iter()
            .filter(|it| answers.at(**it, internal));
        found.extend(answered);
    }
    let lists = [
        (
            classes.external,
            AddressClass::External,
            &service.external_ips,
        ),
        (
            classes.load_balancer,
            AddressClass::LoadBalancer,
            &service.load_balancer_ips,
        ),
    ];
    for (is_wanted, class, list) in lists {
        let admitted = |address: &&IpAddr| {
            is_wanted
                && answers.at(**address, external)
                && cluster.refusal(class, **address).is_none()
        };
        found.extend(list.iter().filter(admitted));
    }
    found
}

/// Endpoints behind any port of the Service, ready or at least serving while they terminate.
fn answers(service: &Service, slices: &SliceSet, facts: &NodeFacts) -> Answers {
    let mut answers = Answers::default();
    for slice in slices {
        let is_served = service.ports.iter().any(|port| {
            let mut offered = slice.ports.iter();
            offered.any(|it| it.name == port.name && it.protocol == port.protocol)
        });
        let (here, anywhere) = (
            answers.here.get_mut(slice.family),
            answers.anywhere.get_mut(slice.family),
        );
        if !is_served || *here {
            continue;
        }
        let answering = slice
            .endpoints
            .iter()
            .filter(|endpoint| can_answer(endpoint));
        for endpoint in answering {
            *anywhere = true;
            *here |= endpoint.node.as_ref() == Some(&facts.name);
        }
    }
    answers
}

fn can_answer(endpoint: &Endpoint) -> bool {
    endpoint.is_ready() || endpoint.is_last_resort()
}

// === impl Answers ===

impl Answers {
    fn at(&self, address: IpAddr, policy: TrafficPolicy) -> bool {
        let family = Family::of(address);
        match policy {
            TrafficPolicy::Local => *self.here.get(family),
            TrafficPolicy::Cluster => *self.anywhere.get(family),
        }
    }
}

// === impl Classes ===

impl Classes {
    const NONE: Self = Self {
        cluster: false,
        external: false,
        load_balancer: false,
    };
}
