//! Tables in memory that understand the input of `iptables-restore --noflush`.
//!
//! Models, each proved against both real variants in `tests/netns_kernel.rs`: naming a chain
//! creates or empties it, a table changes whole or not at all, rules go by exact text, and a
//! chain in use or not empty cannot be deleted.

use std::collections::BTreeMap;

use super::object::{Table, TableEdits, restore_input};
use super::saved::{Saved, SavedChain, SavedRule, split_words};
use super::{Error, RuleTables};

/// Tables without a kernel.
#[derive(Debug, Clone)]
pub struct FakeIptables {
    pub tables: BTreeMap<Table, Saved>,
    /// Every input that took effect, in order.
    pub inputs: Vec<String>,
}

// === impl FakeIptables ===

impl FakeIptables {
    /// Empty tables with their built-in chains.
    #[must_use]
    pub fn new() -> Self {
        let built_in = |table| match table {
            Table::Raw => &["PREROUTING", "OUTPUT"][..],
            Table::Mangle => &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
            Table::Nat => &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
            Table::Filter => &["INPUT", "FORWARD", "OUTPUT"],
        };
        let chain = |name: &&str| {
            let policy = Some("ACCEPT".to_owned());
            let rules = Vec::new();
            ((*name).to_owned(), SavedChain { policy, rules })
        };
        let table = |table| {
            let chains = built_in(table).iter().map(chain).collect();
            (table, Saved { chains })
        };
        Self {
            tables: Table::ALL.into_iter().map(table).collect(),
            inputs: Vec::new(),
        }
    }

    /// Interprets restore input; nothing of it takes effect if a line is refused.
    pub fn restore_text(&mut self, input: &str) -> Result<(), Error> {
        let mut tables = self.tables.clone();
        let mut current = None;
        for (index, text) in input.lines().enumerate() {
            let carried_out = match (text.strip_prefix('*'), current) {
                (Some(name), None) => {
                    current = Table::from_name(name);
                    current.is_some()
                }
                (None, Some(_)) if text == "COMMIT" => {
                    current = None;
                    true
                }
                (None, Some(table)) => tables.entry(table).or_default().carry_out(text),
                _ => false,
            };
            if !carried_out {
                return Err(refused(index + 1, text));
            }
        }
        self.tables = tables;
        self.inputs.push(input.to_owned());
        Ok(())
    }

    /// Puts a rule there as another program would, at a place counted from 1.
    pub fn insert_foreign(&mut self, table: Table, chain: &str, place: usize, text: &str) {
        let chains = &mut self.tables.entry(table).or_default().chains;
        let rules = &mut chains.entry(chain.to_owned()).or_default().rules;
        let place = place.saturating_sub(1).min(rules.len());
        rules.insert(place, SavedRule::new(text));
    }
}

impl Default for FakeIptables {
    fn default() -> Self {
        Self::new()
    }
}

impl RuleTables for FakeIptables {
    fn restore(&mut self, tables: &[TableEdits]) -> Result<(), Error> {
        match restore_input(tables) {
            input if input.is_empty() => Ok(()),
            input => self.restore_text(&input),
        }
    }

    fn save(&mut self, table: Table) -> Result<Saved, Error> {
        Ok(self.tables.get(&table).cloned().unwrap_or_default())
    }
}

fn refused(line: usize, text: &str) -> Error {
    Error::Refused {
        program: "iptables-restore".to_owned(),
        is_transient: false,
        status: "exit status: 1".to_owned(),
        line: Some(line),
        text: Some(text.to_owned()),
        stderr: "refused by the fake".to_owned(),
    }
}

impl Saved {
    /// One line inside a table; `false` if it is refused.
    fn carry_out(&mut self, text: &str) -> bool {
        if let Some(declaration) = text.strip_prefix(':') {
            let name = declaration.split(' ').next().unwrap_or_default();
            self.chains
                .entry(name.to_owned())
                .or_default()
                .rules
                .clear();
            return true;
        }
        let mut words = text.splitn(3, ' ');
        let (Some(verb), Some(chain)) = (words.next(), words.next()) else {
            return false;
        };
        let rest = words.next().unwrap_or_default();
        match verb {
            "-X" => self.delete_chain(chain),
            "-A" => self.insert(chain, None, rest),
            "-I" => {
                let (place, rule) = rest.split_once(' ').unwrap_or((rest, ""));
                place
                    .parse()
                    .is_ok_and(|place| self.insert(chain, Some(place), rule))
            }
            "-D" => self.delete(chain, rest),
            _ => false,
        }
    }

    fn insert(&mut self, chain: &str, place: Option<usize>, rule: &str) -> bool {
        let is_chain = target(rule)
            .is_none_or(|target| self.chains.contains_key(&target) || !target.starts_with("KUBE-"));
        let Some(chain) = self.chains.get_mut(chain).filter(|_| is_chain) else {
            return false;
        };
        let end = chain.rules.len() + 1;
        let place = place.unwrap_or(end);
        let fits = (1..=end).contains(&place);
        if fits {
            chain.rules.insert(place - 1, SavedRule::new(rule));
        }
        fits
    }

    fn delete(&mut self, chain: &str, rule: &str) -> bool {
        let Some(chain) = self.chains.get_mut(chain) else {
            return false;
        };
        let found = chain.rules.iter().position(|present| present.text == rule);
        found.map(|place| chain.rules.remove(place)).is_some()
    }

    fn delete_chain(&mut self, name: &str) -> bool {
        let mut rules = self.chains.values().flat_map(|chain| &chain.rules);
        let is_used = rules.any(|rule| target(&rule.text).as_deref() == Some(name));
        let is_empty = self
            .chains
            .get(name)
            .is_some_and(|chain| chain.rules.is_empty());
        is_empty && !is_used && self.chains.remove(name).is_some()
    }
}

/// Where a rule jumps to.
fn target(rule: &str) -> Option<String> {
    let words = split_words(rule);
    let jump = words.iter().position(|word| word == "-j" || word == "-g")?;
    words.get(jump + 1).cloned()
}
