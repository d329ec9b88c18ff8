//! Rules, sets and dispatches as nf_tables knows them. Pure.
//!
//! One table of family `inet` holds both families, so every name ends in the family it is for.

use std::sync::Arc;

use crate::firewall::{
    Action, Chain, ChainKey, ConnectionState, Direction, Dispatch, Jump, LOG_GROUP, LOG_PER_MINUTE,
    Match, Member, Name, SetDef, SetKey, SetKind,
};
use crate::kernel::nft::object::{
    self as nft, AddressType, Base, CtStates, Element, Expr, Field, Hook, KeyType, Label, Limit,
    Policy, Reject, Set, Side, Term, Test, Unit, Verdict,
};
use crate::net::{Family, Prefix, Protocol};

/// Behind IPVS on `input` (`NF_IP_PRI_NAT_SRC` - 1): what it takes for a Service never gets here,
/// so what does is meant for this node. Else iptables' own place.
const BEHIND_IPVS: i32 = 110;

/// Text that no name can be made of, which names of ours never are.
type Impossible = nft::InvalidName;

/// The name of a chain, set or map of one family.
fn name(name: Name, family: Family) -> Result<nft::Name, Impossible> {
    nft::Name::new(format!("{name}-{}", suffix(family)))
}

fn suffix(family: Family) -> &'static str {
    match family {
        Family::V4 => "v4",
        Family::V6 => "v6",
    }
}

/// What a name of the kernel's stands for; `None` for one that is not of ours.
pub(crate) fn parse(kernel: &nft::Name) -> Option<(Name, Family)> {
    Family::ALL.into_iter().find_map(|family| {
        let bare = kernel.as_str().strip_suffix(suffix(family))?;
        Some((Name::new(bare.strip_suffix('-')?)?, family))
    })
}

pub(crate) fn chain_name(key: ChainKey) -> Result<nft::Name, Impossible> {
    name(key.name, key.family)
}

/// A chain that is only jumped to.
pub(crate) fn regular(name: nft::Name) -> nft::Chain {
    nft::Chain {
        name,
        base: None,
        comment: None,
    }
}

/// The chain at the hook that is called as the built-in chain of iptables is.
pub(crate) fn base(from: &str) -> Option<nft::Chain> {
    let (hook, priority) = match from {
        "INPUT" => (Hook::Input, BEHIND_IPVS),
        "FORWARD" => (Hook::Forward, 0),
        "OUTPUT" => (Hook::Output, 0),
        _ => return None,
    };
    Some(nft::Chain {
        name: nft::Name::new(from.to_ascii_lowercase()).ok()?,
        base: Some(Base {
            hook,
            priority,
            policy: Policy::Accept,
        }),
        comment: None,
    })
}

/// The rules of a chain. Rules that can never apply behind IPVS are left out.
pub(crate) fn rules(chain: &Chain, family: Family) -> Result<Vec<nft::Rule>, Impossible> {
    let mut rules = Vec::with_capacity(chain.rules.len());
    for rule in &chain.rules {
        if let Some(mut exprs) = conditions(&rule.matches, family)? {
            action(&rule.action, family, &mut exprs)?;
            rules.push(commented(exprs, &rule.comment));
        }
    }
    Ok(rules)
}

/// The rules of a base chain.
pub(crate) fn jumps<'a>(
    jumps: impl Iterator<Item = &'a (Family, Jump)>,
) -> Result<Vec<nft::Rule>, Impossible> {
    let mut rules = Vec::new();
    for (family, jump) in jumps {
        if let Some(mut exprs) = conditions(&jump.matches, *family)? {
            exprs.insert(0, Expr::Nfproto(*family));
            exprs.push(Expr::jump(name(jump.to, *family)?));
            rules.push(commented(exprs, &jump.comment));
        }
    }
    Ok(rules)
}

fn commented(exprs: Vec<Expr>, comment: &str) -> nft::Rule {
    let rule = nft::Rule::new(exprs);
    if comment.is_empty() {
        rule
    } else {
        rule.with_comment(Label::new(comment))
    }
}

/// `None` where one of them never holds.
fn conditions(matches: &[Match], family: Family) -> Result<Option<Vec<Expr>>, Impossible> {
    let mut exprs = Vec::with_capacity(matches.len() + 2);
    for condition in matches {
        match condition {
            Match::InSet { set, directions } => {
                exprs.push(lookup(*set, directions, family, false)?);
            }
            Match::NotInSet { set, directions } => {
                exprs.push(lookup(*set, directions, family, true)?);
            }
            Match::Protocol(protocol) => exprs.push(carries(*protocol)),
            Match::Ports(protocol, low, high) => {
                exprs.push(carries(*protocol));
                exprs.extend(ports(*low, *high));
            }
            Match::Icmp(kind) => {
                let number = super::icmp::number(*kind, family);
                exprs.push(Expr::IcmpType(family, Test::Is(number)));
            }
            Match::Prefix(end, prefix) => {
                let test = Test::Within(prefix.network(), prefix.broadcast());
                exprs.push(Expr::Address(side(*end), test));
            }
            Match::State(state) => {
                let states = match state {
                    ConnectionState::Known => CtStates::ESTABLISHED | CtStates::RELATED,
                    ConnectionState::Invalid => CtStates::INVALID,
                    ConnectionState::Midway => {
                        exprs.push(carries(Protocol::Tcp));
                        exprs.push(Expr::TcpSyn { is_negated: true });
                        CtStates::NEW
                    }
                };
                let is_negated = false;
                exprs.push(Expr::CtState { states, is_negated });
            }
            Match::Local(end) => exprs.push(local(*end, false)),
            Match::NotLocal(end) => exprs.push(local(*end, true)),
            Match::ServedByIpvs | Match::IpvsMasqueraded => return Ok(None),
        }
    }
    Ok(Some(exprs))
}

fn ports(low: u16, high: u16) -> Option<Expr> {
    let test = match (low, high) {
        (0, u16::MAX) => return None,
        (low, high) if low == high => Test::Is(low),
        (low, high) => Test::Within(low, high),
    };
    Some(Expr::Port(Side::Destination, test))
}

fn carries(protocol: Protocol) -> Expr {
    Expr::L4proto(Test::Is(protocol.number()))
}

fn local(end: Direction, is_negated: bool) -> Expr {
    Expr::AddressType {
        side: side(end),
        kind: AddressType::Local,
        is_negated,
    }
}

fn side(direction: Direction) -> Side {
    match direction {
        Direction::Source => Side::Source,
        Direction::Destination => Side::Destination,
    }
}

fn lookup(
    set: SetDef,
    directions: &[Direction],
    family: Family,
    is_negated: bool,
) -> Result<Expr, Impossible> {
    let mut ends = directions.iter();
    let mut address = || {
        let end = ends.next().copied().unwrap_or(Direction::Source);
        Field::Address(family, side(end))
    };
    let first = address();
    let port = [Field::L4proto, Field::Port(Side::Destination)];
    let key = match set.kind {
        SetKind::Address | SetKind::Prefix => vec![first],
        SetKind::AddressPort | SetKind::PrefixPort => [[first].as_slice(), &port].concat(),
        SetKind::AddressPair => vec![first, address()],
        SetKind::AddressPortPrefix => {
            address();
            [[first].as_slice(), &port, &[address()]].concat()
        }
    };
    Ok(Expr::Lookup {
        key,
        set: name(set.name, family)?,
        is_negated,
    })
}

fn action(action: &Action, family: Family, exprs: &mut Vec<Expr>) -> Result<(), Impossible> {
    match action {
        // Nobody asks for source NAT here; a table of type filter has none.
        Action::Accept | Action::SourceNat(_) | Action::Masquerade => {
            exprs.push(Expr::Verdict(Verdict::Accept));
        }
        Action::Drop => exprs.push(Expr::Verdict(Verdict::Drop)),
        Action::Return => exprs.push(Expr::Verdict(Verdict::Return)),
        Action::RejectPort => exprs.push(Expr::Reject(Reject::PortUnreachable)),
        Action::RejectReset => exprs.push(Expr::Reject(Reject::TcpReset)),
        Action::Jump(to) => exprs.push(Expr::jump(name(*to, family)?)),
        Action::Goto(to) => exprs.push(Expr::Verdict(Verdict::Goto(name(*to, family)?))),
        Action::Dispatch(dispatch) => exprs.push(Expr::VerdictMap {
            key: vec![Field::Address(family, side(dispatch.direction))],
            map: name(dispatch.name, family)?,
        }),
        Action::Log(prefix) => {
            exprs.push(Expr::Limit(Limit {
                rate: LOG_PER_MINUTE,
                unit: Unit::Minute,
                burst: LOG_PER_MINUTE,
                is_over: false,
            }));
            exprs.push(Expr::Log {
                group: LOG_GROUP,
                prefix: Label::new(prefix.as_str()),
                snaplen: 0,
            });
        }
    }
    Ok(())
}

/// The set of one family.
pub(crate) fn set(key: &SetKey) -> Result<Arc<Set>, Impossible> {
    let address = KeyType::of_address(key.family);
    let port = [KeyType::InetProto, KeyType::InetService];
    let fields = match key.def.kind {
        SetKind::Address | SetKind::Prefix => vec![address],
        SetKind::AddressPort | SetKind::PrefixPort => [[address].as_slice(), &port].concat(),
        SetKind::AddressPair => vec![address, address],
        SetKind::AddressPortPrefix => [[address].as_slice(), &port, &[address]].concat(),
    };
    let mut set = Set::new(name(key.def.name, key.family)?, fields);
    set.is_interval = matches!(
        key.def.kind,
        SetKind::Prefix | SetKind::PrefixPort | SetKind::AddressPortPrefix
    );
    Ok(Arc::new(set))
}

/// The kind of a set that was read; `None` for one that we never make.
pub(crate) fn kind(set: &Set) -> Option<SetKind> {
    use KeyType::{InetProto, InetService, Ipv4Addr, Ipv6Addr};
    Some(match (set.key.as_slice(), set.is_interval) {
        ([Ipv4Addr] | [Ipv6Addr], false) => SetKind::Address,
        ([Ipv4Addr] | [Ipv6Addr], true) => SetKind::Prefix,
        ([Ipv4Addr | Ipv6Addr, InetProto, InetService], false) => SetKind::AddressPort,
        ([Ipv4Addr | Ipv6Addr, InetProto, InetService], true) => SetKind::PrefixPort,
        ([Ipv4Addr, Ipv4Addr] | [Ipv6Addr, Ipv6Addr], false) => SetKind::AddressPair,
        _ => return None,
    })
}

/// The map of a dispatch.
pub(crate) fn map(dispatch: Dispatch, family: Family) -> Result<Arc<Set>, Impossible> {
    let name = name(dispatch.name, family)?;
    Ok(Arc::new(Set::map(name, [KeyType::of_address(family)])))
}

/// An entry of that map.
pub(crate) fn target(address: std::net::IpAddr, chain: Name) -> Result<Element, Impossible> {
    let verdict = Verdict::Jump(name(chain, Family::of(address))?);
    Ok(Element::new([Term::Address(address)]).to(verdict))
}

/// The address and the chain of an entry; `None` for one that is not of ours.
pub(crate) fn read_target(element: &Element, map: &Set) -> Option<(std::net::IpAddr, Name)> {
    let terms = element.terms(&map.key)?;
    let [Term::Address(address)] = terms.as_slice() else {
        return None;
    };
    let Some(Verdict::Jump(chain)) = element.verdict() else {
        return None;
    };
    let (chain, family) = parse(chain)?;
    (family == Family::of(*address)).then_some((*address, chain))
}

/// A member of a set.
pub(crate) fn element(member: &Member) -> Element {
    let protocol = |protocol: Protocol| Term::Protocol(protocol.number());
    match *member {
        Member::Address(address) => Element::new([Term::Address(address)]),
        Member::AddressPort(address, carried, port) => {
            Element::new([Term::Address(address), protocol(carried), Term::Port(port)])
        }
        Member::Prefix(prefix) => Element::new([Term::Prefix(prefix)]),
        Member::PrefixPort(prefix, carried, port) => {
            Element::new([Term::Prefix(prefix), protocol(carried), Term::Port(port)])
        }
        Member::AddressPair(one, other) => Element::new([Term::Address(one), Term::Address(other)]),
        Member::AddressPortPrefix(address, carried, port, prefix) => Element::new([
            Term::Address(address),
            protocol(carried),
            Term::Port(port),
            Term::Prefix(prefix),
        ]),
    }
}

/// A member as we mean it; `None` for one that we never put in.
pub(crate) fn member(element: &Element, set: &Set) -> Option<Member> {
    let terms = element.terms(&set.key)?;
    let is_prefix = set.is_interval;
    let prefix = |term: &Term| match term {
        Term::Prefix(prefix) => Some(*prefix),
        Term::Address(address) => Some(Prefix::from(*address)),
        _ => None,
    };
    Some(match terms.as_slice() {
        [one] if is_prefix => Member::Prefix(prefix(one)?),
        [Term::Address(address)] => Member::Address(*address),
        [Term::Address(one), Term::Address(other)] => Member::AddressPair(*one, *other),
        [one, Term::Protocol(number), Term::Port(port)] => {
            let carried = Protocol::from_number(*number)?;
            match one {
                one if is_prefix => Member::PrefixPort(prefix(one)?, carried, *port),
                Term::Address(address) => Member::AddressPort(*address, carried, *port),
                _ => return None,
            }
        }
        _ => return None,
    })
}
