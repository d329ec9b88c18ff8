//! Why a packet passes or not: asked of the very rules that are programmed.
//!
//! No second reading of the API: the rules of the node that judges are compiled and walked, and
//! which rule of which policy lets the packet through is asked of the same plan.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::firewall::{Hook, Packet, Payload, Tracked, Verdict, walk};
use crate::model::{NodeFacts, ObjectName, Pod, Snapshot};
use crate::net::Family;
use crate::netpol::plan::Flow;
use crate::netpol::{Input, Plan, Settings};

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Pod(Arc<Pod>),
    Address(IpAddr),
}

/// What one direction of one pod says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub flow: Flow,
    pub pod: ObjectName,
    pub node: Arc<str>,
    /// The policies that isolate the pod in this direction; empty where none does.
    pub isolated_by: Vec<ObjectName>,
    /// The rules that let the packet through, counted from 1 as the policy lists them.
    pub allowed_by: Vec<(ObjectName, usize)>,
    /// It is isolated, by policies or by its namespace.
    pub is_isolated: bool,
}

/// A pair of addresses, judged by every node that has a say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub judgements: Vec<Judgement>,
    pub is_allowed: bool,
}

/// The cluster as it is asked about.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    pub snapshot: &'a Arc<Snapshot>,
    pub settings: &'a Arc<Settings>,
    pub from: &'a End,
    pub to: &'a End,
    pub payload: Payload,
}

// === impl End ===

impl End {
    fn addresses(&self) -> Vec<IpAddr> {
        match self {
            Self::Pod(pod) => pod.addresses.clone(),
            Self::Address(address) => vec![*address],
        }
    }

    /// The pod, if policies can apply to it.
    fn pod(&self) -> Option<&Arc<Pod>> {
        match self {
            Self::Pod(pod) if pod.is_actionable() => Some(pod),
            _ => None,
        }
    }

    /// The pod's node.
    fn node(&self) -> Option<&Arc<str>> {
        self.pod().and_then(|pod| pod.node.as_ref())
    }
}

// === impl Question ===

impl Question<'_> {
    /// One answer per family in which both ends have an address. `facts` tells of a node.
    pub fn answers(&self, facts: &dyn Fn(&str) -> NodeFacts) -> Vec<Answer> {
        let (from, to) = (self.from.addresses(), self.to.addresses());
        let pairs = from.iter().flat_map(|source| {
            let same = to
                .iter()
                .filter(|other| Family::of(**other) == Family::of(*source));
            same.map(|destination| (*source, *destination))
        });
        let is_on = |source: &IpAddr| *self.settings.families.get(Family::of(*source));
        pairs
            .filter(|(source, _)| is_on(source))
            .map(|(source, destination)| self.answer(source, destination, facts))
            .collect()
    }

    fn answer(
        &self,
        source: IpAddr,
        destination: IpAddr,
        facts: &dyn Fn(&str) -> NodeFacts,
    ) -> Answer {
        let mut nodes: Vec<&Arc<str>> = Vec::new();
        nodes.extend(self.from.node());
        nodes.extend(
            self.to
                .node()
                .filter(|node| self.from.node() != Some(*node)),
        );
        let mut answer = Answer {
            source,
            destination,
            judgements: Vec::new(),
            is_allowed: true,
        };
        for node in nodes {
            let facts = facts(node);
            let packet = self.packet(source, destination, &facts);
            let plan = self.plan(facts);
            answer.is_allowed &= walk(plan.wanted(), &packet).0 == Verdict::Accept;
            for (end, flow) in [(self.from, Flow::Egress), (self.to, Flow::Ingress)] {
                let Some(pod) = end.pod().filter(|_| end.node() == Some(node)) else {
                    continue;
                };
                let judgement = self.judgement(pod, flow, &plan, &packet);
                answer.judgements.push(judgement);
            }
        }
        answer
    }

    /// As it comes by on its way through a node.
    fn packet(&self, source: IpAddr, destination: IpAddr, facts: &NodeFacts) -> Packet {
        let (from_node, to_node) = (facts.is_local(source), facts.is_local(destination));
        let hook = match (from_node, to_node) {
            (true, _) => Hook::Output,
            (false, true) => Hook::Input,
            (false, false) => Hook::Forward,
        };
        Packet {
            hook,
            source,
            destination,
            payload: self.payload,
            tracked: Tracked::New,
            from_node,
            to_node,
            served: false,
        }
    }

    fn plan(&self, facts: NodeFacts) -> Plan {
        let mut plan = Plan::default();
        plan.update(&Input {
            snapshot: Arc::clone(self.snapshot),
            facts: Arc::new(facts),
            settings: Arc::clone(self.settings),
        });
        plan
    }

    fn judgement(&self, pod: &Arc<Pod>, flow: Flow, plan: &Plan, packet: &Packet) -> Judgement {
        let isolation = plan.isolation(&pod.name, flow);
        let isolated_by = isolation.map(|(_, policies)| policies.to_vec());
        let other = match flow {
            Flow::Ingress => packet.source,
            Flow::Egress => packet.destination,
        };
        let admissions = plan.admissions(&pod.name, flow, other, self.payload);
        let allowed_by = admissions.into_iter().map(|one| (one.policy, one.rule + 1));
        Judgement {
            flow,
            pod: pod.name.clone(),
            node: pod.node.clone().unwrap_or_default(),
            is_isolated: isolation.is_some(),
            isolated_by: isolated_by.unwrap_or_default(),
            allowed_by: allowed_by.collect(),
        }
    }
}

// === impl Judgement ===

impl Judgement {
    /// Whether this direction lets the packet through.
    #[must_use]
    pub fn allows(&self) -> bool {
        !self.is_isolated || !self.allowed_by.is_empty()
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            flow, pod, node, ..
        } = self;
        write!(f, "{} of {pod} on {node}: ", flow.name())?;
        if !self.is_isolated {
            return f.write_str("allowed, no policy isolates it");
        }
        let verdict = if self.allows() { "allowed" } else { "denied" };
        write!(f, "{verdict}, isolated by ")?;
        match self.isolated_by.as_slice() {
            [] => f.write_str("its namespace")?,
            names => {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                f.write_str(&names.join(", "))?;
            }
        }
        for (position, (name, number)) in self.allowed_by.iter().enumerate() {
            let before = if position == 0 { "; let in by" } else { "," };
            let before = match self.flow {
                Flow::Egress if position == 0 => "; let out by",
                _ => before,
            };
            write!(f, "{before} {name} rule {number}")?;
        }
        Ok(())
    }
}

// === impl Answer ===

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_allowed { "allowed" } else { "denied" };
        writeln!(f, "{} -> {}: {verdict}", self.source, self.destination)?;
        if self.source == self.destination && !self.judgements.is_empty() {
            return writeln!(f, "  a pod always reaches itself");
        }
        for judgement in &self.judgements {
            writeln!(f, "  {judgement}")?;
        }
        if self.judgements.is_empty() {
            writeln!(f, "  no end is a pod that policies can apply to")?;
        } else if !self.is_allowed && self.judgements.iter().all(Judgement::allows) {
            writeln!(
                f,
                "  netpol.default_deny: the other end is no pod that is known"
            )?;
        }
        Ok(())
    }
}
