//! Rules for ranges of ports, laid out so that a packet meets few of them.
//!
//! No set holds a range of ports beside addresses on both backends, so every range that differs
//! needs a rule of its own. A few stand one after the other. More are cut into branches by port, as
//! often as it takes: a packet meets a few rules a level, and the ranges that hold its port. A branch is gone to, not jumped to: what it lets pass leaves the isolation at once, and
//! what it does not it refuses itself.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::firewall::{Action, Chain, Match, Name, Rule, Table};
use crate::net::Protocol;
use crate::netpol::plan::names::Text;

/// So many ranges stand one after the other.
pub(super) const FEW: usize = 4;
/// Branches of one chain. Four to the eighth are more cuts than there can be, and nf_tables follows
/// no more than 16 chains one into the other.
const WIDTH: usize = 4;
/// For so many ranges no chain branches off.
const PAIR: usize = 2;

/// Ports of one protocol, from the first to the last.
pub(super) type Ports = (u16, u16);

/// What lets pass on a range of ports.
#[derive(Debug, Clone)]
pub(super) struct Ranged {
    pub(super) protocol: Protocol,
    pub(super) ports: Ports,
    /// Besides the ports.
    pub(super) matches: Vec<Match>,
    pub(super) comment: Cow<'static, str>,
}

/// Where the chains that branch off are gathered.
#[derive(Debug)]
pub(super) struct Branches<'a> {
    /// The chain that they branch off from.
    pub(super) root: Name,
    /// What each ends with.
    pub(super) refusal: &'a [Rule],
    pub(super) chains: Vec<Chain>,
}

// === impl Ranged ===

impl Ranged {
    fn rule(&self, matches: Vec<Match>) -> Rule {
        Rule {
            matches,
            action: Action::Return,
            comment: self.comment.clone(),
        }
    }

    /// The ports first: to compare them costs less than a look into a set.
    pub(super) fn alone(&self, (low, high): Ports) -> Rule {
        let ports = Match::Ports(self.protocol, low, high);
        let matches = [ports].into_iter().chain(self.matches.iter().cloned());
        self.rule(matches.collect())
    }
}

// === impl Branches ===

impl Branches<'_> {
    /// The rules that stand for all of it in the chain itself; nothing but a refusal may follow.
    pub(super) fn lay(&mut self, all: &[Ranged]) -> Vec<Rule> {
        let protocols: BTreeSet<Protocol> = all.iter().map(|one| one.protocol).collect();
        let laid = protocols.into_iter().flat_map(|protocol| {
            let own = all.iter().filter(|one| one.protocol == protocol);
            self.split(protocol, (0, u16::MAX), &own.collect::<Vec<_>>())
        });
        laid.collect()
    }

    /// A chain in which only such ports are met.
    fn branch(&mut self, protocol: Protocol, within: Ports, held: &[&Ranged]) -> Name {
        let is_whole = |one: &&&Ranged| one.ports.0 <= within.0 && within.1 <= one.ports.1;
        let whole = held.iter().filter(is_whole);
        let mut rules: Vec<Rule> = whole.map(|one| one.rule(one.matches.clone())).collect();
        let parts = held.iter().filter(|one| !is_whole(one)).copied();
        rules.extend(self.split(protocol, within, &parts.collect::<Vec<_>>()));
        rules.extend_from_slice(self.refusal);
        let name = self.name(protocol, within);
        let table = Table::Filter;
        self.chains.push(Chain { table, name, rules });
        name
    }

    fn split(&mut self, protocol: Protocol, within: Ports, held: &[&Ranged]) -> Vec<Rule> {
        if held.len() <= FEW {
            return held.iter().map(|one| one.alone(one.ports)).collect();
        }
        let mut rules = Vec::with_capacity(WIDTH);
        for part in parts(within, held) {
            let here: Vec<&Ranged> = held
                .iter()
                .filter(|one| one.ports.0 <= part.1 && part.0 <= one.ports.1)
                .copied()
                .collect();
            if here.len() <= PAIR {
                let here = here.iter();
                rules.extend(here.map(|one| one.alone(common(one.ports, part))));
                continue;
            }
            rules.push(Rule {
                matches: vec![Match::Ports(protocol, part.0, part.1)],
                action: Action::Goto(self.branch(protocol, part, &here)),
                comment: "these ports".into(),
            });
        }
        rules
    }

    fn name(&self, protocol: Protocol, (low, high): Ports) -> Name {
        let mut text = Text::default();
        text.text(self.root.as_str());
        text.text(protocol.name());
        text.count(usize::from(low));
        text.count(usize::from(high));
        text.name("KUBE-NWPLCY-")
    }
}

fn common(one: Ports, other: Ports) -> Ports {
    (one.0.max(other.0), one.1.min(other.1))
}

/// Cuts where ranges begin or end, with about as many of these in every part. One part alone only
/// where every range holds all.
fn parts((low, high): Ports, held: &[&Ranged]) -> Vec<Ports> {
    let ends = held.iter().flat_map(|one| {
        let after = one.ports.1.checked_add(1);
        [Some(one.ports.0), after].into_iter().flatten()
    });
    let cuts: BTreeSet<u16> = ends.filter(|cut| (low..=high).contains(cut)).collect();
    let cuts: Vec<u16> = cuts.into_iter().filter(|cut| *cut != low).collect();
    let count = WIDTH.min(cuts.len() + 1);
    let mut from = low;
    let mut parts = Vec::with_capacity(count);
    for number in 1..count {
        let place = number * (cuts.len() + 1) / count;
        if let Some(cut) = cuts.get(place - 1) {
            parts.push((from, cut - 1));
            from = *cut;
        }
    }
    parts.push((from, high));
    parts
}
