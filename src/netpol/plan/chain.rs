//! The chain of one isolation, and the sets that it asks.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::firewall::{
    Action, Chain, Direction, Match, Member, Name, Rule, SetDef, SetKind, Table,
};
use crate::net::{Family, Protocol};
use crate::netpol::plan::Flow;
use crate::netpol::plan::branches::{self, Branches, Ports, Ranged};
use crate::netpol::plan::content::Content;
use crate::netpol::plan::names::Text;
use crate::netpol::plan::peers::{PeerKey, Shape, Sink};
use crate::netpol::plan::ports::Atom;

/// What a chain is made of.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) name: Name,
    flow: Flow,
    open: bool,
    everyone: Vec<(Protocol, u16, u16)>,
    /// Sets of pods, with the ports on which alone they count.
    pods: BTreeMap<SetDef, Option<(Protocol, Ports)>>,
    pub(super) sinks: Vec<(PeerKey, Sink)>,
    blocks: Vec<BlockSet>,
}

#[derive(Debug)]
struct BlockSet {
    def: SetDef,
    on: Option<(Protocol, Ports)>,
    members: Vec<Member>,
}

// === impl Built ===

impl Built {
    pub(super) fn of(content: &Content, name: Name) -> Self {
        let mut built = Self {
            name,
            flow: content.flow,
            open: content.is_open(),
            everyone: content.everyone.ranges().to_vec(),
            pods: BTreeMap::new(),
            sinks: Vec::new(),
            blocks: Vec::new(),
        };
        if built.open {
            return built;
        }
        for (key, allowance) in &content.pods {
            for atom in allowance.ports.atoms() {
                let shape = match atom {
                    Atom::Port(protocol, port) => Shape::Port(protocol, port),
                    Atom::Everything | Atom::Range(..) => Shape::Address,
                };
                built.sink(key, atom, shape);
            }
            for ((protocol, name), within) in &allowance.named {
                let shape = Shape::Named(*protocol, Arc::clone(name), within.clone());
                built.sink(key, Atom::Port(*protocol, 0), shape);
            }
        }
        built.block_sets(content);
        built
    }

    fn sink(&mut self, key: &PeerKey, atom: Atom, shape: Shape) {
        let (part, kind) = match atom {
            Atom::Everything => ("pods".to_owned(), SetKind::Address),
            Atom::Port(..) => ("pods by port".to_owned(), SetKind::AddressPort),
            Atom::Range(..) => (format!("pods on {atom}"), SetKind::Address),
        };
        let set = self.def(&part, kind);
        self.pods.entry(set).or_insert_with(|| range(atom));
        let chain = self.name;
        self.sinks.push((key.clone(), Sink { chain, set, shape }));
    }

    fn block_sets(&mut self, content: &Content) {
        let mut by_port = Vec::new();
        for (atom, blocks) in &content.blocks {
            let prefixes = blocks.prefixes().into_iter();
            let (part, kind) = match *atom {
                Atom::Port(protocol, port) => {
                    by_port.extend(prefixes.map(|one| Member::PrefixPort(one, protocol, port)));
                    continue;
                }
                Atom::Everything => ("blocks".to_owned(), SetKind::Prefix),
                Atom::Range(..) => (format!("blocks on {atom}"), SetKind::Prefix),
            };
            self.blocks.push(BlockSet {
                def: self.def(&part, kind),
                on: range(*atom),
                members: prefixes.map(Member::Prefix).collect(),
            });
        }
        if !by_port.is_empty() {
            self.blocks.push(BlockSet {
                def: self.def("blocks by port", SetKind::PrefixPort),
                on: None,
                members: by_port,
            });
        }
    }

    fn def(&self, part: &str, kind: SetKind) -> SetDef {
        let mut text = Text::default();
        text.text(self.name.as_str());
        text.text(part);
        let prefix = match self.flow {
            Flow::Ingress => "KUBE-SRC-",
            Flow::Egress => "KUBE-DST-",
        };
        SetDef {
            name: text.name(prefix),
            kind,
        }
    }

    /// Sets of pods: in every family, with or without members.
    pub(super) fn pod_sets(&self) -> impl Iterator<Item = SetDef> {
        self.pods.keys().copied()
    }

    /// Sets of blocks with their members of one family, where there are any.
    pub(super) fn block_members(
        &self,
        family: Family,
    ) -> impl Iterator<Item = (SetDef, Vec<Member>)> {
        self.blocks.iter().filter_map(move |set| {
            let members = set.members.iter().copied();
            let members: Vec<_> = members.filter(|one| one.family() == family).collect();
            (!members.is_empty()).then_some((set.def, members))
        })
    }

    /// The chain of one family first, and behind it those that branch off from it.
    pub(super) fn chains(&self, family: Family, log_drops: bool) -> Vec<Chain> {
        if self.open {
            let rules = vec![returns(Vec::new(), self.flow, "everything")];
            return vec![self.with(rules)];
        }
        let (mut rules, mut ranged) = (Vec::new(), self.everyone());
        if ranged.len() <= branches::FEW {
            // Before any set is asked.
            let everyone = std::mem::take(&mut ranged).into_iter();
            rules.extend(everyone.map(|one| one.alone(one.ports)));
        }
        let pods = self.pods.iter().map(|(set, on)| (*set, on, "pods"));
        let filled: BTreeSet<SetDef> = self.block_members(family).map(|(set, _)| set).collect();
        let blocks = self.blocks.iter().filter(|set| filled.contains(&set.def));
        let blocks = blocks.map(|set| (set.def, &set.on, "blocks"));
        for (set, on, who) in pods.chain(blocks) {
            let matches = vec![self.in_set(set)];
            let says = |ports| format!("{who}{ports}");
            match (on, set.kind) {
                (Some((protocol, ports)), _) => ranged.push(Ranged {
                    protocol: *protocol,
                    ports: *ports,
                    matches,
                    comment: comment(self.flow, &says(", these ports")),
                }),
                (None, SetKind::AddressPort | SetKind::PrefixPort) => {
                    rules.push(returns(matches, self.flow, &says(", their ports")));
                }
                (None, _) => rules.push(returns(matches, self.flow, &says(""))),
            }
        }
        let prefix = log_prefix(self.flow, self.name);
        let refusal: Vec<Rule> = refusal(prefix.filter(|_| log_drops)).collect();
        let mut branches = Branches {
            root: self.name,
            refusal: &refusal,
            chains: Vec::new(),
        };
        rules.extend(branches.lay(&ranged));
        let branches = branches.chains;
        rules.extend(refusal);
        [self.with(rules)].into_iter().chain(branches).collect()
    }

    fn everyone(&self) -> Vec<Ranged> {
        let ranges = self.everyone.iter();
        let ranged = ranges.map(|(protocol, low, high)| Ranged {
            protocol: *protocol,
            ports: (*low, *high),
            matches: Vec::new(),
            comment: comment(self.flow, "everybody, these ports"),
        });
        ranged.collect()
    }

    fn with(&self, rules: Vec<Rule>) -> Chain {
        Chain {
            table: Table::Filter,
            name: self.name,
            rules,
        }
    }

    fn in_set(&self, set: SetDef) -> Match {
        use Direction::{Destination, Source};
        let directions: &[Direction] = match (set.kind, self.flow) {
            (SetKind::AddressPort | SetKind::PrefixPort, Flow::Ingress) => &[Source, Destination],
            (SetKind::AddressPort | SetKind::PrefixPort, Flow::Egress) => {
                &[Destination, Destination]
            }
            (_, Flow::Ingress) => &[Source],
            (_, Flow::Egress) => &[Destination],
        };
        Match::InSet { set, directions }
    }
}

/// The ports a packet must be sent to besides being in the set of the atom.
fn range(atom: Atom) -> Option<(Protocol, Ports)> {
    match atom {
        Atom::Range(protocol, low, high) => Some((protocol, (low, high))),
        Atom::Everything | Atom::Port(..) => None,
    }
}

fn returns(matches: Vec<Match>, flow: Flow, says: &str) -> Rule {
    Rule {
        matches,
        action: Action::Return,
        comment: comment(flow, says),
    }
}

fn comment(flow: Flow, says: &str) -> Cow<'static, str> {
    let way = match flow {
        Flow::Ingress => "from",
        Flow::Egress => "to",
    };
    Cow::Owned(format!("{}: {way} {says}", flow.name()))
}

/// What a logged packet is marked with: the direction that refused it, and where.
fn log_prefix(flow: Flow, chain: Name) -> Option<Name> {
    let end = chain.as_str().rsplit('-').next().unwrap_or_default();
    Name::new(&format!("{}:{end}", flow.name()))
}

/// The end of every chain that refuses; with a prefix some packets are logged.
pub(super) fn refusal(log: Option<Name>) -> impl Iterator<Item = Rule> {
    let log = log.map(|prefix| (Action::Log(prefix), "a copy for the log"));
    let refuse = (Action::RejectPort, "nothing allows it");
    log.into_iter().chain([refuse]).map(|(action, says)| Rule {
        matches: Vec::new(),
        action,
        comment: Cow::Borrowed(says),
    })
}
