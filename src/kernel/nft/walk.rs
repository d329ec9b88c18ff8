//! The way of a packet through the base chains of a [`FakeNft`].

use std::net::IpAddr;

use super::element::Key;
use super::expr::icmp_protocol;
use super::fake::FakeNft;
use super::fake_table::FakeTable;
use super::object::{
    AddressType, CtStates, Expr, Field, Hook, Label, Name, Policy, Reject, Rule, Side, Verdict,
};
use crate::net::Family;

/// What follows the IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    Ports {
        source: u16,
        destination: u16,
    },
    /// The type of an ICMP or ICMPv6 message.
    Icmp(u8),
    /// Nothing that rules of ours look at.
    Other,
}

/// A packet at a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Packet {
    pub hook: Hook,
    pub source: IpAddr,
    pub destination: IpAddr,
    /// The IP protocol number.
    pub protocol: u8,
    pub transport: Transport,
    /// Only the flag SYN is set, of those that TCP opens and ends connections with.
    pub is_syn: bool,
    /// The state that connection tracking gave it.
    pub state: CtStates,
    /// Whether the address is one of this host's own.
    pub is_source_local: bool,
    pub is_destination_local: bool,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WalkVerdict {
    Accepted,
    Dropped,
    Rejected(Reject),
}

/// A packet's way through all base chains of its hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    pub verdict: WalkVerdict,
    /// Group and prefix of each log statement that it came by.
    pub logged: Vec<(u16, Label)>,
}

/// How evaluation goes on.
enum Flow {
    /// The next expression.
    Match,
    /// The next rule.
    Next,
    /// The end of the chain, or a return.
    Back,
    Accept,
    End(WalkVerdict),
}

// === impl FakeNft ===

impl FakeNft {
    /// Sends a packet through the base chains of its hook, in order of priority. Limits count
    /// nothing: a packet is always within them.
    #[must_use]
    pub fn walk(&self, packet: &Packet) -> Walk {
        let mut walk = Walk {
            verdict: WalkVerdict::Accepted,
            logged: Vec::new(),
        };
        let chains = self.tables.values().flat_map(|table| {
            let chains = table.chains.iter();
            chains.filter_map(move |(name, chain)| Some((chain.chain.base?, table, name)))
        });
        let mut chains: Vec<_> = chains
            .filter(|(base, ..)| base.hook == packet.hook)
            .collect();
        chains.sort_by_key(|(base, ..)| base.priority);
        for (base, table, name) in chains {
            let mut step = Step {
                table,
                packet,
                logged: &mut walk.logged,
            };
            match (step.chain(name), base.policy) {
                (Flow::End(verdict), _) => {
                    walk.verdict = verdict;
                    return walk;
                }
                (Flow::Accept, _) | (_, Policy::Accept) => {}
                (_, Policy::Drop) => {
                    walk.verdict = WalkVerdict::Dropped;
                    return walk;
                }
            }
        }
        walk
    }
}

/// A packet in one base chain.
struct Step<'a> {
    table: &'a FakeTable,
    packet: &'a Packet,
    logged: &'a mut Vec<(u16, Label)>,
}

impl Step<'_> {
    /// Chains cannot jump in circles: the fake refuses what would.
    fn chain(&mut self, name: &Name) -> Flow {
        let Some(chain) = self.table.chains.get(name) else {
            return Flow::Back;
        };
        for observed in &chain.rules {
            match self.rule(&observed.rule) {
                Flow::Match | Flow::Next => {}
                flow => return flow,
            }
        }
        Flow::Back
    }

    fn rule(&mut self, rule: &Rule) -> Flow {
        for expr in rule.exprs() {
            match self.expr(expr) {
                Flow::Match => {}
                flow => return flow,
            }
        }
        Flow::Next
    }

    fn expr(&mut self, expr: &Expr) -> Flow {
        match expr {
            Expr::Lookup {
                key,
                set,
                is_negated,
            } => self.found(key, set).map_or(Flow::Next, |found| {
                if found.is_some() == *is_negated {
                    Flow::Next
                } else {
                    Flow::Match
                }
            }),
            Expr::VerdictMap { key, map } => match self.found(key, map).flatten() {
                Some(verdict) => self.verdict(&verdict),
                None => Flow::Next,
            },
            Expr::Log { group, prefix, .. } => {
                self.logged.push((*group, prefix.clone()));
                Flow::Match
            }
            Expr::Reject(reject) => Flow::End(WalkVerdict::Rejected(*reject)),
            Expr::Verdict(verdict) => self.verdict(verdict),
            Expr::Foreign(_) => Flow::Next,
            test => {
                if self.packet.passes(test) {
                    Flow::Match
                } else {
                    Flow::Next
                }
            }
        }
    }

    /// What a lookup hits; nothing at all if the packet has no such key.
    fn found(&self, key: &[Field], set: &Name) -> Option<Option<Verdict>> {
        let key = self.packet.key(key)?;
        let found = self.table.sets.get(set)?.find(&key);
        Some(found.map(|element| element.verdict().cloned().unwrap_or(Verdict::Continue)))
    }

    fn verdict(&mut self, verdict: &Verdict) -> Flow {
        match verdict {
            Verdict::Accept => Flow::Accept,
            Verdict::Drop => Flow::End(WalkVerdict::Dropped),
            Verdict::Return => Flow::Back,
            Verdict::Continue => Flow::Next,
            Verdict::Jump(chain) => match self.chain(chain) {
                Flow::Back => Flow::Next,
                flow => flow,
            },
            Verdict::Goto(chain) => self.chain(chain),
        }
    }
}

// === impl Packet ===

impl Packet {
    fn family(&self) -> Family {
        Family::of(self.source)
    }

    fn address(&self, side: Side) -> (IpAddr, bool) {
        match side {
            Side::Source => (self.source, self.is_source_local),
            Side::Destination => (self.destination, self.is_destination_local),
        }
    }

    fn port(&self, side: Side) -> Option<u16> {
        match (self.transport, side) {
            (Transport::Ports { source, .. }, Side::Source) => Some(source),
            (Transport::Ports { destination, .. }, Side::Destination) => Some(destination),
            (Transport::Icmp(_) | Transport::Other, _) => None,
        }
    }

    fn key(&self, fields: &[Field]) -> Option<Key> {
        let mut key = Key::EMPTY;
        for field in fields {
            match field {
                Field::Address(family, side) if *family == self.family() => {
                    match self.address(*side).0 {
                        IpAddr::V4(address) => key.push(&address.octets()),
                        IpAddr::V6(address) => key.push(&address.octets()),
                    }
                }
                Field::Address(..) => return None,
                Field::L4proto => key.push(&[self.protocol]),
                Field::Port(side) => key.push(&self.port(*side)?.to_be_bytes()),
            }
        }
        Some(key)
    }

    /// Whether a test holds for this packet; what is no test always does.
    fn passes(&self, test: &Expr) -> bool {
        match test {
            Expr::Nfproto(family) => *family == self.family(),
            Expr::L4proto(test) => test.holds(&self.protocol),
            Expr::Address(side, test) => {
                let address = self.address(*side).0;
                Family::of(*test.first()) == self.family() && test.holds(&address)
            }
            Expr::Port(side, test) => self.port(*side).is_some_and(|port| test.holds(&port)),
            Expr::IcmpType(family, test) => match self.transport {
                Transport::Icmp(kind) => {
                    self.protocol == icmp_protocol(*family) && test.holds(&kind)
                }
                Transport::Ports { .. } | Transport::Other => false,
            },
            Expr::TcpSyn { is_negated } => self.is_syn != *is_negated,
            Expr::CtState { states, is_negated } => self.state.meets(*states) != *is_negated,
            Expr::AddressType {
                side,
                kind,
                is_negated,
            } => (self.address_type(*side) == *kind) != *is_negated,
            Expr::Limit(limit) => !limit.is_over,
            _ => true,
        }
    }

    fn address_type(&self, side: Side) -> AddressType {
        match self.address(side) {
            (_, true) => AddressType::Local,
            (address, _) if address.is_multicast() => AddressType::Multicast,
            _ => AddressType::Unicast,
        }
    }
}
