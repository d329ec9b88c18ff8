//! One Service to its virtual servers and what the firewall says of them.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::AddressClass;
use crate::kernel::ipvs::object::{
    ForwardMethod, Persistence, RealKey, RealServer, VirtualKey, VirtualServer, VirtualTable,
};
use crate::model::{
    NodeFacts, Note, ObjectName, ObjectRef, Service, ServicePort, SliceSet, TrafficPolicy,
};
use crate::net::{Family, Prefix};
use crate::proxy::Settings;
use crate::proxy::plan::admission;
use crate::proxy::plan::endpoints::{Selection, select};

/// What every Service's plan reads beside the Service itself.
#[derive(Debug)]
pub struct Context<'a> {
    pub facts: &'a NodeFacts,
    pub settings: &'a Settings,
    /// Addresses on which NodePorts answer.
    pub node_ports: Vec<IpAddr>,
}

/// What the service firewall does with a packet to a virtual server's address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// IPVS takes it.
    Accept,
    /// No endpoint anywhere: refused at once.
    Refuse,
    /// The policy is Local and this node has no endpoint: dropped, another node answers.
    Drop,
}

/// The firewall's part of a virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Guard {
    pub verdict: Verdict,
    /// Clients that are neither this node nor its pods are dropped: external policy Local without
    /// a local endpoint, while in-cluster clients are served by the whole cluster.
    pub inside_only: bool,
    /// `loadBalancerSourceRanges`; `Some` of nothing admits nobody.
    pub sources: Option<Vec<Prefix>>,
}

/// A virtual server as planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub table: Arc<VirtualTable>,
    pub guard: Guard,
    /// The address belongs on `kube-dummy-if` (a NodePort's is the node's own).
    pub is_vip: bool,
}

/// All that one Service asks of this node; depends on the Service, its slices and the context only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    pub name: ObjectName,
    pub created: i64,
    /// Sorted by key, each key once.
    pub entries: Vec<Arc<Entry>>,
    pub notes: Vec<Note>,
}

/// The two ways traffic enters a Service.
#[derive(Clone, Copy)]
enum Entrance {
    Internal,
    External { limited: bool },
}

struct Draft<'a> {
    service: &'a Service,
    context: &'a Context<'a>,
    entries: Vec<Arc<Entry>>,
    notes: Vec<Note>,
}

// === impl Entry ===

impl Entry {
    #[must_use]
    pub fn key(&self) -> VirtualKey {
        self.table.server.key
    }
}

/// Plans one Service; a Service that is not ours to proxy gives an empty fragment.
#[must_use]
pub fn plan_service(service: &Service, slices: &SliceSet, context: &Context<'_>) -> Fragment {
    let mut draft = Draft {
        service,
        context,
        entries: Vec::new(),
        notes: Vec::new(),
    };
    if service.is_proxied() {
        draft.fill(slices);
    }
    let Draft {
        mut entries, notes, ..
    } = draft;
    entries.sort_by_key(|entry| entry.key());
    entries.dedup_by_key(|entry| entry.key());
    Fragment {
        name: service.name.clone(),
        created: service.created,
        entries,
        notes,
    }
}

// === impl Draft ===

impl Draft<'_> {
    fn fill(&mut self, slices: &SliceSet) {
        let cluster = &self.context.settings.cluster;
        let external = admission::admit(
            self.service,
            AddressClass::External,
            cluster,
            &mut self.notes,
        );
        let balanced = if self.service.annotations.skip_load_balancer_ips {
            Vec::new()
        } else {
            admission::admit(
                self.service,
                AddressClass::LoadBalancer,
                cluster,
                &mut self.notes,
            )
        };
        let service = self.service;
        if service.annotations.direct_return {
            self.note(
                "metadata.annotations[kube-router.io/service.dsr]",
                "direct server return is not part of this version; the Service is masqueraded",
            );
        }
        for family in Family::ALL
            .into_iter()
            .filter(|f| self.context.facts.has(*f))
        {
            for port in &service.ports {
                let found = select(service, port, slices, family, self.context.facts);
                let of_family = |address: &&IpAddr| Family::of(**address) == family;
                for address in service.cluster_ips.iter().filter(of_family) {
                    self.add(*address, port.port, port, &found, Entrance::Internal, true);
                }
                let entrance = Entrance::External { limited: false };
                for address in external.iter().filter(of_family) {
                    self.add(*address, port.port, port, &found, entrance, true);
                }
                let entrance = Entrance::External { limited: true };
                for address in balanced.iter().filter(of_family) {
                    self.add(*address, port.port, port, &found, entrance, true);
                }
                self.add_node_ports(port, &found, family);
            }
        }
    }

    fn add_node_ports(&mut self, port: &ServicePort, found: &Selection, family: Family) {
        let exposed = self
            .service
            .cluster_ips
            .iter()
            .any(|a| Family::of(*a) == family);
        let Some(number) = port.node_port.filter(|_| exposed) else {
            return;
        };
        let context = self.context;
        for address in context
            .node_ports
            .iter()
            .filter(|a| Family::of(**a) == family)
        {
            let entrance = Entrance::External { limited: false };
            self.add(*address, number, port, found, entrance, false);
        }
    }

    fn add(
        &mut self,
        address: IpAddr,
        number: u16,
        port: &ServicePort,
        found: &Selection,
        entrance: Entrance,
        is_vip: bool,
    ) {
        if self
            .context
            .settings
            .proxy
            .excluded_cidrs
            .iter()
            .any(|p| p.contains(&address))
        {
            self.note(
                "",
                &format!("{address} lies inside proxy.excluded_cidrs; it is left alone"),
            );
            return;
        }
        let (reals, guard) = self.route(found, entrance);
        let key = VirtualKey::Address {
            address,
            protocol: port.protocol,
            port: number,
        };
        let table = VirtualTable {
            server: self.virtual_server(key),
            reals: reals.iter().map(real).collect(),
        };
        self.entries.push(Arc::new(Entry {
            table: Arc::new(table),
            guard,
            is_vip: is_vip && !self.context.facts.is_local(address),
        }));
    }

    /// Who answers, and what the firewall makes of it (section 5 of the API's traffic policies).
    fn route<'f>(&self, found: &'f Selection, entrance: Entrance) -> (&'f [RealKey], Guard) {
        let mut guard = Guard {
            verdict: Verdict::Accept,
            inside_only: false,
            sources: None,
        };
        if let Entrance::External { limited: true } = entrance {
            guard.sources = self.sources();
        }
        let (internal, external) = self.service.policies();
        let reals = match entrance {
            Entrance::Internal if internal == TrafficPolicy::Local => {
                if found.local.is_empty() && !found.cluster.is_empty() {
                    guard.verdict = Verdict::Drop;
                }
                &found.local
            }
            Entrance::External { .. } if external == TrafficPolicy::Local => {
                guard.inside_only = found.local.is_empty() && !found.cluster.is_empty();
                if found.local.is_empty() {
                    &found.cluster
                } else {
                    &found.local
                }
            }
            _ => &found.cluster,
        };
        if reals.is_empty() && guard.verdict == Verdict::Accept {
            guard.verdict = Verdict::Refuse;
        }
        (reals, guard)
    }

    fn sources(&self) -> Option<Vec<Prefix>> {
        let service = self.service;
        (service.source_ranges_restricted || !service.source_ranges.is_empty())
            .then(|| service.source_ranges.clone())
    }

    fn virtual_server(&self, key: VirtualKey) -> VirtualServer {
        let annotations = &self.service.annotations;
        let host_bits = match key {
            VirtualKey::Address { address, .. } => Family::of(address).host_bits(),
            VirtualKey::FwMark { family, .. } => family.host_bits(),
        };
        VirtualServer {
            key,
            scheduler: annotations.scheduler,
            flags: annotations.scheduler_flags,
            persistence: self.service.affinity.map(|timeout| Persistence {
                timeout,
                prefix_length: host_bits,
            }),
        }
    }

    fn note(&mut self, field: &str, reason: &str) {
        let object = ObjectRef::new("Service", self.service.name.to_string());
        let note = Note::new(object, field, reason);
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// Weight 1 and masquerade; other weights and methods come with drains and direct return.
fn real(key: &RealKey) -> RealServer {
    RealServer {
        key: *key,
        forward: ForwardMethod::Masquerade,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}
