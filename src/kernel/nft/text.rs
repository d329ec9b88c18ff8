//! Texts as the `nft` tool prints and reads them.

use std::fmt::{self, Display, Formatter};

use super::object::*;
use super::transaction::{Command, Transaction};
use crate::net::{Family, Protocol};

/// Bytes of a command's text in an error.
const SHORT: usize = 200;

/// A command or one of its elements, for an error's text.
pub(super) fn shortened(
    transaction: &Transaction,
    command: usize,
    element: Option<usize>,
) -> String {
    let table = &transaction.table;
    let Some(command) = transaction.commands.get(command) else {
        return format!("table inet {table}");
    };
    let mut text = match (command, element) {
        (
            Command::AddElements(set, elements, _) | Command::DeleteElements(set, elements),
            Some(index),
        ) => {
            let member = elements.get(index).map(|element| Member(set, element));
            let member = member.map_or_else(String::new, |member| member.to_string());
            format!("{} {table} {} {{ {member} }}", command.verb(), set.name)
        }
        (command, _) => Line(table, command).to_string(),
    };
    if let Some((end, _)) = text.char_indices().find(|(at, _)| *at >= SHORT) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl Display for Transaction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for command in &self.commands {
            writeln!(f, "{}", Line(&self.table, command))?;
        }
        Ok(())
    }
}

impl Command {
    /// The words before the table's name.
    fn verb(&self) -> &'static str {
        match self {
            Self::AddTable(_) => "add table inet",
            Self::DeleteTable(_) => "delete table inet",
            Self::AddChain(_) => "add chain inet",
            Self::DeleteChain(_) => "delete chain inet",
            Self::FlushChain(_) => "flush chain inet",
            Self::AddRule(..) => "add rule inet",
            Self::AddSet(set) if set.is_map => "add map inet",
            Self::AddSet(_) => "add set inet",
            Self::DeleteSet(set) if set.is_map => "delete map inet",
            Self::DeleteSet(_) => "delete set inet",
            Self::FlushSet(set) if set.is_map => "flush map inet",
            Self::FlushSet(_) => "flush set inet",
            Self::AddElements(_, _, super::Existing::Ignored) => "add element inet",
            Self::AddElements(_, _, super::Existing::Refused) => "create element inet",
            Self::DeleteElements(..) => "delete element inet",
        }
    }
}

/// A command on a table.
struct Line<'a>(&'a Name, &'a Command);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(table, command) = self;
        write!(f, "{} {table}", command.verb())?;
        match command {
            Command::AddTable(table) if table.is_owned => f.write_str(" { flags owner, persist; }"),
            Command::AddTable(_) | Command::DeleteTable(_) => Ok(()),
            Command::AddChain(chain) => write!(f, " {chain}"),
            Command::DeleteChain(chain) | Command::FlushChain(chain) => write!(f, " {chain}"),
            Command::AddRule(chain, rule) => write!(f, " {chain} {rule}"),
            Command::AddSet(set) => write!(f, " {set}"),
            Command::DeleteSet(set) | Command::FlushSet(set) => write!(f, " {}", set.name),
            Command::AddElements(set, elements, _) | Command::DeleteElements(set, elements) => {
                let is_deletion = matches!(command, Command::DeleteElements(..));
                write!(f, " {} {{ ", set.name)?;
                for (index, element) in elements.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    Member(set, element).write(f, !is_deletion)?;
                }
                f.write_str(" }")
            }
        }
    }
}

impl Display for Hook {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        })
    }
}

/// As `add chain` and `list chain` have it.
impl Display for Chain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if self.base.is_none() && self.comment.is_none() {
            return Ok(());
        }
        f.write_str(" {")?;
        if let Some(base) = &self.base {
            let policy = match base.policy {
                Policy::Accept => "accept",
                Policy::Drop => "drop",
            };
            let Base { hook, priority, .. } = base;
            write!(
                f,
                " type filter hook {hook} priority {priority}; policy {policy};"
            )?;
        }
        if let Some(comment) = &self.comment {
            write!(f, " comment \"{comment}\";")?;
        }
        f.write_str(" }")
    }
}

impl Display for Set {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let key: Vec<&str> = self.key.iter().map(|kind| kind.name()).collect();
        write!(f, "{} {{ type {}", self.name, key.join(" . "))?;
        f.write_str(if self.is_map { " : verdict;" } else { ";" })?;
        if let Some(size) = self.size {
            write!(f, " size {size};")?;
        }
        if self.is_interval {
            f.write_str(" flags interval;")?;
        }
        if let Some(comment) = &self.comment {
            write!(f, " comment \"{comment}\";")?;
        }
        f.write_str(" }")
    }
}

/// An element of a set.
pub(super) struct Member<'a>(pub(super) &'a Set, pub(super) &'a Element);

impl Member<'_> {
    fn write(&self, f: &mut Formatter<'_>, with_verdict: bool) -> fmt::Result {
        let Self(set, element) = self;
        let Some(terms) = element.terms(&set.key) else {
            return f.write_str("(of another kind)");
        };
        for (index, term) in terms.iter().enumerate() {
            f.write_str(if index > 0 { " . " } else { "" })?;
            write!(f, "{term}")?;
        }
        match element.verdict() {
            Some(verdict) if with_verdict => write!(f, " : {verdict}"),
            _ => Ok(()),
        }
    }
}

impl Display for Member<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write(f, true)
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Prefix(prefix) => write!(f, "{}", prefix.trunc()),
            Self::Addresses(low, high) => write!(f, "{low}-{high}"),
            Self::Protocol(protocol) => write_protocol(f, *protocol),
            Self::Protocols(low, high) => write!(f, "{low}-{high}"),
            Self::Port(port) => write!(f, "{port}"),
            Self::Ports(low, high) => write!(f, "{low}-{high}"),
        }
    }
}

fn write_protocol(f: &mut Formatter<'_>, number: u8) -> fmt::Result {
    match (number, Protocol::from_number(number)) {
        (_, Some(protocol)) => write!(f, "{protocol}"),
        (1, _) => f.write_str("icmp"),
        (58, _) => f.write_str("ipv6-icmp"),
        _ => write!(f, "{number}"),
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Return => f.write_str("return"),
            Self::Continue => f.write_str("continue"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

impl Display for Side {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "s",
            Self::Destination => "d",
        })
    }
}

fn ip(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(family, side) => write!(f, "{} {side}addr", ip(*family)),
            Self::L4proto => f.write_str("meta l4proto"),
            Self::Port(side) => write!(f, "th {side}port"),
        }
    }
}

impl Display for CtStates {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const ALL: [(CtStates, &str); 5] = [
            (CtStates::INVALID, "invalid"),
            (CtStates::ESTABLISHED, "established"),
            (CtStates::RELATED, "related"),
            (CtStates::NEW, "new"),
            (CtStates::UNTRACKED, "untracked"),
        ];
        let has = |(state, _): &&(CtStates, &str)| self.meets(*state);
        for (index, (_, name)) in ALL.iter().filter(has).enumerate() {
            f.write_str(if index > 0 { "," } else { "" })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => "second",
            Unit::Minute => "minute",
            Unit::Hour => "hour",
            Unit::Day => "day",
        };
        let over = if self.is_over { "over " } else { "" };
        let Self { rate, burst, .. } = self;
        write!(f, "limit rate {over}{rate}/{unit} burst {burst} packets")
    }
}

impl<T: Display> Display for Test<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(value) => write!(f, "{value}"),
            Self::Not(value) => write!(f, "!= {value}"),
            Self::Within(low, high) => write!(f, "{low}-{high}"),
            Self::Outside(low, high) => write!(f, "!= {low}-{high}"),
        }
    }
}

/// `!= ` where it is so.
fn not(is_negated: bool) -> &'static str {
    if is_negated { "!= " } else { "" }
}

fn write_key(f: &mut Formatter<'_>, key: &[Field]) -> fmt::Result {
    for (index, field) in key.iter().enumerate() {
        f.write_str(if index > 0 { " . " } else { "" })?;
        write!(f, "{field}")?;
    }
    Ok(())
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nfproto(Family::V4) => f.write_str("meta nfproto ipv4"),
            Self::Nfproto(Family::V6) => f.write_str("meta nfproto ipv6"),
            // The tool does not read a range of names.
            Self::L4proto(test @ (Test::Within(..) | Test::Outside(..))) => {
                write!(f, "meta l4proto {test}")
            }
            Self::L4proto(test) => write!(f, "meta l4proto {}", test.map(ProtocolName)),
            Self::Address(side, test) => {
                write!(f, "{} {side}addr {test}", ip(Family::of(*test.first())))
            }
            Self::Port(side, test) => write!(f, "th {side}port {test}"),
            Self::IcmpType(Family::V4, test) => write!(f, "icmp type {test}"),
            Self::IcmpType(Family::V6, test) => write!(f, "icmpv6 type {test}"),
            Self::TcpSyn { is_negated } => {
                let test = if *is_negated { "!=" } else { "==" };
                write!(f, "tcp flags & (fin | syn | rst | ack) {test} syn")
            }
            Self::CtState { states, is_negated } => {
                let not = if *is_negated { "! " } else { "" };
                write!(f, "ct state {not}{states}")
            }
            Self::AddressType {
                side,
                kind,
                is_negated,
            } => {
                let (not, kind) = (not(*is_negated), kind.name());
                write!(f, "fib {side}addr type {not}{kind}")
            }
            Self::Lookup {
                key,
                set,
                is_negated,
            } => {
                write_key(f, key)?;
                write!(f, " {}@{set}", not(*is_negated))
            }
            Self::VerdictMap { key, map } => {
                write_key(f, key)?;
                write!(f, " vmap @{map}")
            }
            Self::Counter => f.write_str("counter"),
            Self::Limit(limit) => write!(f, "{limit}"),
            Self::Log {
                group,
                prefix,
                snaplen,
            } => write_log(f, *group, prefix, *snaplen),
            Self::Reject(Reject::PortUnreachable) => f.write_str("reject"),
            Self::Reject(Reject::TcpReset) => f.write_str("reject with tcp reset"),
            Self::Verdict(verdict) => write!(f, "{verdict}"),
            Self::Foreign(name) => write!(f, "(foreign: {name})"),
        }
    }
}

fn write_log(f: &mut Formatter<'_>, group: u16, prefix: &Label, snaplen: u32) -> fmt::Result {
    f.write_str("log")?;
    if !prefix.as_str().is_empty() {
        write!(f, " prefix \"{prefix}\"")?;
    }
    write!(f, " group {group}")?;
    if snaplen > 0 {
        write!(f, " snaplen {snaplen}")?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct ProtocolName(u8);

impl Display for ProtocolName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_protocol(f, self.0)
    }
}

impl Display for Rule {
    /// Without what `nft` puts in by itself: the family before an address, and both it and the
    /// protocol before an ICMP type.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (index, expr) in self.exprs().iter().enumerate() {
            let after = self.exprs().get(index + 1..).unwrap_or_default();
            if !is_implied(expr, after) {
                write!(f, "{separator}{expr}")?;
                separator = " ";
            }
        }
        if let Some(comment) = self.comment() {
            write!(f, "{separator}comment \"{comment}\"")?;
        }
        Ok(())
    }
}

/// Whether the expression right after this one implies it.
fn is_implied(expr: &Expr, after: &[Expr]) -> bool {
    let Some(next) = after.first() else {
        return false;
    };
    if next
        .dependencies()
        .iter()
        .flatten()
        .any(|needed| needed == expr)
    {
        return !matches!(next, Expr::Reject(_));
    }
    // The family, the protocol, then the ICMP type.
    matches!((expr, next), (Expr::Nfproto(_), Expr::L4proto(_)))
        && matches!(after.get(1), Some(Expr::IcmpType(family, _)) if *expr == Expr::Nfproto(*family))
}
