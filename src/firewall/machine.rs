//! What becomes of a packet, worked out from the neutral rules themselves. Pure.
//!
//! The one place that says what a rule means: `explain` answers from here, and the tests hold both
//! backends, the oracle and real packets against it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::firewall::{
    Action, Chain, ChainKey, ConnectionState, Direction, IcmpType, Jump, Match, Member, Name, Rule,
    SetDef, SetKey, SetKind, Table, TargetKey, Wanted,
};
use crate::net::{Family, Protocol};

/// Chains within chains: more than any ruleset of ours has, less than a loop.
const DEEPEST: usize = 16;

/// Where in the kernel a packet is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    Input,
    Forward,
    Output,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Payload {
    /// A transport protocol with its destination port.
    Ports(Protocol, u16),
    Icmp(IcmpType),
    /// Another IP protocol by its number.
    Other(u8),
}

/// What connection tracking says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tracked {
    New,
    /// Established or related.
    Known,
    Invalid,
    /// As new, but TCP from the midst of a connection.
    Midway,
}

/// A packet at a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub hook: Hook,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub payload: Payload,
    pub tracked: Tracked,
    /// The source is an address of this node.
    pub from_node: bool,
    /// The destination is an address of this node.
    pub to_node: bool,
    /// On `INPUT`: IPVS will take it.
    pub served: bool,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// At the end of the rules as well: ours say nothing about it.
    Accept,
    Drop,
    Reject,
}

/// One rule that applied on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub chain: Name,
    pub rule: Rule,
}

/// The verdict, and every rule that applied.
#[must_use]
pub fn walk(wanted: &Wanted, packet: &Packet) -> (Verdict, Vec<Step>) {
    let mut walk = Walk {
        wanted,
        packet,
        family: Family::of(packet.source),
        steps: Vec::new(),
    };
    let verdict = walk.hook();
    (verdict.unwrap_or(Verdict::Accept), walk.steps)
}

struct Walk<'a> {
    wanted: &'a Wanted,
    packet: &'a Packet,
    family: Family,
    steps: Vec<Step>,
}

// === impl Hook ===

impl Hook {
    pub const ALL: [Self; 3] = [Self::Input, Self::Forward, Self::Output];

    /// The built-in chain of iptables.
    #[must_use]
    pub fn chain(self) -> &'static str {
        match self {
            Self::Input => "INPUT",
            Self::Forward => "FORWARD",
            Self::Output => "OUTPUT",
        }
    }
}

// === impl Walk ===

impl Walk<'_> {
    fn hook(&mut self) -> Option<Verdict> {
        let wanted = self.wanted;
        let is_here = |(family, jump): &&(Family, Jump)| {
            *family == self.family
                && jump.table == Table::Filter
                && jump.from == self.packet.hook.chain()
        };
        let jumps: Vec<&(Family, Jump)> = wanted.jumps.iter().filter(is_here).collect();
        jumps.into_iter().find_map(|(_, jump)| {
            let applies = self.holds(&jump.matches);
            applies.then(|| self.chain(jump.to, 0)).flatten()
        })
    }

    /// `None` when the chain ends or returns.
    fn chain(&mut self, name: Name, depth: usize) -> Option<Verdict> {
        if depth > DEEPEST {
            return Some(Verdict::Drop);
        }
        let key = ChainKey {
            family: self.family,
            name,
        };
        let chain: Arc<Chain> = Arc::clone(self.wanted.chains.get(&key)?);
        for rule in &chain.rules {
            if !self.holds(&rule.matches) {
                continue;
            }
            let (chain, rule) = (name, rule.clone());
            let action = rule.action.clone();
            self.steps.push(Step { chain, rule });
            match action {
                Action::Accept | Action::SourceNat(_) | Action::Masquerade => {
                    return Some(Verdict::Accept);
                }
                Action::Drop => return Some(Verdict::Drop),
                Action::RejectPort | Action::RejectReset => return Some(Verdict::Reject),
                Action::Return => return None,
                Action::Log(_) => {}
                Action::Jump(to) => {
                    if let Some(verdict) = self.chain(to, depth + 1) {
                        return Some(verdict);
                    }
                }
                Action::Goto(to) => return self.chain(to, depth + 1),
                Action::Dispatch(dispatch) => {
                    let address = self.end(dispatch.direction);
                    let target = self.wanted.targets.get(&TargetKey { dispatch, address });
                    let verdict = target.copied().and_then(|to| self.chain(to, depth + 1));
                    if verdict.is_some() {
                        return verdict;
                    }
                }
            }
        }
        None
    }

    fn holds(&self, matches: &[Match]) -> bool {
        matches.iter().all(|condition| self.one_holds(condition))
    }

    fn one_holds(&self, condition: &Match) -> bool {
        let packet = self.packet;
        match condition {
            Match::InSet { set, directions } => self.is_in(*set, directions),
            Match::NotInSet { set, directions } => !self.is_in(*set, directions),
            Match::Protocol(protocol) => {
                matches!(packet.payload, Payload::Ports(carried, _) if carried == *protocol)
            }
            Match::Ports(protocol, low, high) => {
                matches!(packet.payload, Payload::Ports(carried, port)
                    if carried == *protocol && (*low..=*high).contains(&port))
            }
            Match::Icmp(kind) => packet.payload == Payload::Icmp(*kind),
            Match::IpvsMasqueraded => false,
            Match::Prefix(end, prefix) => prefix.contains(&self.end(*end)),
            Match::State(ConnectionState::Known) => packet.tracked == Tracked::Known,
            Match::State(ConnectionState::Invalid) => packet.tracked == Tracked::Invalid,
            Match::State(ConnectionState::Midway) => packet.tracked == Tracked::Midway,
            Match::Local(end) => self.is_local(*end),
            Match::NotLocal(end) => !self.is_local(*end),
            Match::ServedByIpvs => packet.hook == Hook::Input && packet.served,
        }
    }

    fn end(&self, direction: Direction) -> IpAddr {
        match direction {
            Direction::Source => self.packet.source,
            Direction::Destination => self.packet.destination,
        }
    }

    fn is_local(&self, direction: Direction) -> bool {
        match direction {
            Direction::Source => self.packet.from_node,
            Direction::Destination => self.packet.to_node,
        }
    }

    /// By look-up where the member can be named, else member by member: slow and plain.
    fn is_in(&self, set: SetDef, directions: &[Direction]) -> bool {
        let key = SetKey::new(self.family, set);
        let Some(members) = self.wanted.members.get(&key) else {
            return false;
        };
        let end = |at: usize| directions.get(at).map(|direction| self.end(*direction));
        let carries =
            |protocol: Protocol, port: u16| self.packet.payload == Payload::Ports(protocol, port);
        let named = match (set.kind, end(0), end(1), self.packet.payload) {
            (SetKind::Address, Some(one), ..) => Some(Member::Address(one)),
            (SetKind::AddressPort, Some(one), _, Payload::Ports(protocol, port)) => {
                Some(Member::AddressPort(one, protocol, port))
            }
            (SetKind::AddressPair, Some(one), Some(other), _) => {
                Some(Member::AddressPair(one, other))
            }
            _ => None,
        };
        if let Some(member) = named {
            return members.contains(&member);
        }
        members.iter().any(|member| match *member {
            Member::Address(_) | Member::AddressPort(..) | Member::AddressPair(..) => false,
            Member::Prefix(prefix) => end(0).is_some_and(|end| prefix.contains(&end)),
            Member::AddressPortPrefix(address, protocol, port, prefix) => {
                end(0) == Some(address)
                    && carries(protocol, port)
                    && end(2).is_some_and(|end| prefix.contains(&end))
            }
            Member::PrefixPort(prefix, protocol, port) => {
                end(0).is_some_and(|end| prefix.contains(&end)) && carries(protocol, port)
            }
        })
    }
}
