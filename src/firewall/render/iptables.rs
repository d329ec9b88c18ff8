//! Rules as `iptables-restore` reads them. Pure text.

use std::fmt::Write as _;

use crate::firewall::{
    Action, Chain, ConnectionState, Direction, Dispatch, IcmpType, Jump, LOG_GROUP, LOG_PER_MINUTE,
    Match, Name, Ruleset, SERVED, Table,
};
use crate::kernel::iptables::object::{self, ChainName, Guest, Own};
use crate::net::Family;

/// Everything of a ruleset, table by table. Chain names are constants of ours: one that iptables
/// would not take is left out, which the golden tests would show.
#[must_use]
pub fn own(ruleset: &Ruleset) -> Vec<Own> {
    [Table::Nat, Table::Filter]
        .into_iter()
        .map(|table| Own {
            table: kernel_table(table),
            chains: ruleset
                .chains
                .iter()
                .filter(|chain| chain.table == table)
                .filter_map(|chain| chain_of(chain, ruleset.family))
                .collect(),
            guests: ruleset
                .jumps
                .iter()
                .filter(|jump| jump.table == table)
                .filter_map(|jump| guest(jump, ruleset.family))
                .collect(),
        })
        .collect()
}

/// A ruleset of nothing: what [`own`] would be after clean-up.
#[must_use]
pub fn nothing() -> Vec<Own> {
    [Table::Nat, Table::Filter]
        .into_iter()
        .map(|table| Own {
            table: kernel_table(table),
            chains: Vec::new(),
            guests: Vec::new(),
        })
        .collect()
}

/// Chains of the service proxy, wanted or left over.
#[must_use]
pub fn is_proxy_chain(name: &str) -> bool {
    name == "KUBE-ROUTER-SERVICES" || name.starts_with("KUBE-ROUTER-SVC-")
}

/// Chains of routing, wanted or left over.
#[must_use]
pub fn is_routing_chain(name: &str) -> bool {
    name.starts_with("KUBE-ROUTER-POD-")
}

/// What `iptables-save` prints of a ruleset that stands, and of nothing else.
#[must_use]
pub fn saved(ruleset: &Ruleset) -> String {
    let mut text = String::new();
    for own in own(ruleset) {
        let _ = writeln!(text, "*{}", own.table);
        for guest in &own.guests {
            let _ = writeln!(text, ":{} ACCEPT [0:0]", guest.chain);
        }
        for chain in &own.chains {
            let _ = writeln!(text, ":{} - [0:0]", chain.name);
        }
        for guest in &own.guests {
            let _ = writeln!(text, "-A {} {}", guest.chain, guest.rule);
        }
        for chain in &own.chains {
            for rule in &chain.rules {
                let _ = writeln!(text, "-A {} {rule}", chain.name);
            }
        }
        text.push_str("COMMIT\n");
    }
    text
}

fn kernel_table(table: Table) -> object::Table {
    match table {
        Table::Filter => object::Table::Filter,
        Table::Nat => object::Table::Nat,
    }
}

/// A chain as the tools know it; `None` where they would not take its name.
#[must_use]
pub(crate) fn chain_of(chain: &Chain, family: Family) -> Option<object::Chain> {
    let rules = chain.rules.iter().map(|rule| {
        let mut matches = conditions(&rule.matches, family);
        if matches!(rule.action, Action::Log(_)) {
            let _ = write!(
                matches,
                " -m limit --limit {LOG_PER_MINUTE}/minute --limit-burst {LOG_PER_MINUTE}"
            );
        }
        object::Rule::new(&matches, &target(&rule.action, family), &rule.comment)
    });
    Some(object::Chain {
        name: ChainName::new(chain.name.as_str()).ok()?,
        rules: rules.collect(),
    })
}

/// The chain of a dispatch: a rule for each target, with the set of the addresses that go there.
#[must_use]
pub(crate) fn dispatch(
    dispatch: Dispatch,
    targets: impl Iterator<Item = (String, Name)>,
) -> Option<object::Chain> {
    let end = ends(&[dispatch.direction]);
    let rules = targets.map(|(set, chain)| {
        let matches = format!("-m set --match-set {set} {end}");
        object::Rule::new(&matches, &format!("-j {chain}"), "")
    });
    Some(object::Chain {
        name: ChainName::new(dispatch.name.as_str()).ok()?,
        rules: rules.collect(),
    })
}

/// A rule in a built-in chain; `None` where the tools would not take its name.
#[must_use]
pub(crate) fn guest(jump: &Jump, family: Family) -> Option<Guest> {
    Some(Guest {
        chain: ChainName::new(jump.from).ok()?,
        position: jump.position,
        rule: object::Rule::new(
            &conditions(&jump.matches, family),
            &format!("-j {}", jump.to),
            &jump.comment,
        ),
    })
}

fn conditions(matches: &[Match], family: Family) -> String {
    let words: Vec<String> = matches.iter().map(|m| condition(m, family)).collect();
    words.join(" ")
}

fn condition(condition: &Match, family: Family) -> String {
    match condition {
        Match::InSet { set, directions } => {
            format!(
                "-m set --match-set {} {}",
                set.kernel_name(family),
                ends(directions)
            )
        }
        Match::NotInSet { set, directions } => {
            format!(
                "-m set ! --match-set {} {}",
                set.kernel_name(family),
                ends(directions)
            )
        }
        Match::Protocol(protocol) => format!("-p {protocol}"),
        Match::Icmp(kind) => icmp(*kind, family),
        Match::IpvsMasqueraded => "-m ipvs --ipvs --vdir ORIGINAL --vmethod MASQ".to_owned(),
        Match::Ports(protocol, low, high) if low == high => {
            format!("-p {protocol} -m {protocol} --dport {low}")
        }
        Match::Ports(protocol, 0, u16::MAX) => format!("-p {protocol}"),
        Match::Ports(protocol, low, high) => {
            format!("-p {protocol} -m {protocol} --dport {low}:{high}")
        }
        Match::Prefix(Direction::Source, prefix) => format!("-s {prefix}"),
        Match::Prefix(Direction::Destination, prefix) => format!("-d {prefix}"),
        Match::State(ConnectionState::Known) => {
            "-m conntrack --ctstate RELATED,ESTABLISHED".to_owned()
        }
        Match::State(ConnectionState::Invalid) => "-m conntrack --ctstate INVALID".to_owned(),
        Match::State(ConnectionState::Midway) => {
            "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW".to_owned()
        }
        Match::Local(end) => format!("-m addrtype {}", local(*end)),
        Match::NotLocal(end) => format!("-m addrtype ! {}", local(*end)),
        Match::ServedByIpvs => format!("-m set --match-set {} dst,dst", SERVED.kernel_name(family)),
    }
}

fn local(end: Direction) -> &'static str {
    match end {
        Direction::Source => "--src-type LOCAL",
        Direction::Destination => "--dst-type LOCAL",
    }
}

fn ends(directions: &[Direction]) -> String {
    let words: Vec<&str> = directions
        .iter()
        .map(|direction| match direction {
            Direction::Source => "src",
            Direction::Destination => "dst",
        })
        .collect();
    words.join(",")
}

fn icmp(kind: IcmpType, family: Family) -> String {
    let number = super::icmp::number(kind, family);
    match family {
        Family::V4 => format!("-p icmp -m icmp --icmp-type {number}"),
        Family::V6 => format!("-p ipv6-icmp -m icmp6 --icmpv6-type {number}"),
    }
}

fn target(goal: &Action, family: Family) -> String {
    match goal {
        Action::Goto(chain) => format!("-g {chain}"),
        goal => format!("-j {}", action(goal, family)),
    }
}

fn action(action: &Action, family: Family) -> String {
    match action {
        Action::Accept => "ACCEPT".to_owned(),
        Action::Drop => "DROP".to_owned(),
        Action::Return => "RETURN".to_owned(),
        Action::RejectPort => match family {
            Family::V4 => "REJECT --reject-with icmp-port-unreachable".to_owned(),
            Family::V6 => "REJECT --reject-with icmp6-port-unreachable".to_owned(),
        },
        Action::RejectReset => "REJECT --reject-with tcp-reset".to_owned(),
        Action::SourceNat(address) => format!("SNAT --to-source {address} --random-fully"),
        Action::Masquerade => "MASQUERADE --random-fully".to_owned(),
        Action::Jump(chain) | Action::Goto(chain) => chain.to_string(),
        Action::Dispatch(dispatch) => dispatch.name.to_string(),
        Action::Log(prefix) => format!("NFLOG --nflog-group {LOG_GROUP} --nflog-prefix {prefix}"),
    }
}
