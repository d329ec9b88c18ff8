//! Rules as `iptables-restore` reads them. Pure text.

use crate::firewall::{Action, Direction, IcmpType, Match, Rule};
use crate::net::{Family, Protocol};

/// The part of a rule behind the chain's name: `-m set … -m comment --comment "…" -j ACCEPT`.
#[must_use]
pub fn rule(rule: &Rule, family: Family) -> String {
    let mut words = conditions(&rule.matches, family);
    words.push(comment(rule.comment));
    words.push(format!("-j {}", action(&rule.action, family)));
    words.join(" ")
}

/// Conditions alone, for jumps.
#[must_use]
pub fn conditions(matches: &[Match], family: Family) -> Vec<String> {
    matches.iter().map(|m| condition(m, family)).collect()
}

/// A comment as an argument; our comments hold no quotes.
#[must_use]
pub fn comment(text: &str) -> String {
    format!("-m comment --comment \"{text}\"")
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
    // By number: the two tools and their versions print names differently.
    let number = match (family, kind) {
        (Family::V4, IcmpType::EchoReply) => 0,
        (Family::V4, IcmpType::EchoRequest) => 8,
        (Family::V4, IcmpType::TimeExceeded) => 11,
        (Family::V4, _) => 3,
        (Family::V6, IcmpType::DestinationUnreachable) => 1,
        (Family::V6, IcmpType::PacketTooBig) => 2,
        (Family::V6, IcmpType::TimeExceeded) => 3,
        (Family::V6, IcmpType::EchoRequest) => 128,
        (Family::V6, IcmpType::EchoReply) => 129,
        (Family::V6, IcmpType::NeighbourSolicitation) => 135,
        (Family::V6, IcmpType::NeighbourAdvertisement) => 136,
    };
    match family {
        Family::V4 => format!("-p icmp -m icmp --icmp-type {number}"),
        Family::V6 => format!("-p ipv6-icmp -m icmp6 --icmpv6-type {number}"),
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
    }
}

/// Whether a rule is one the tools accept: a reset answers TCP only.
#[must_use]
pub fn is_sound(rule: &Rule) -> bool {
    rule.action != Action::RejectReset || rule.matches.contains(&Match::Protocol(Protocol::Tcp))
}
