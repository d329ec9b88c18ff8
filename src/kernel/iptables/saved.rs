//! Reads what `iptables-save` prints and finds our own in it.
//!
//! Both variants print alike; comments and tables that we did not ask for are skipped.

use std::collections::BTreeMap;

use super::object::{
    COMMENT_PREFIX, ChainName, Edit, Guest, Own, Position, RuleHash, Table, TableEdits,
};

/// One table as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    pub chains: BTreeMap<String, SavedChain>,
}

/// One chain as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedChain {
    /// What happens at its end; only built-in chains have a policy.
    pub policy: Option<String>,
    pub rules: Vec<SavedRule>,
}

/// One rule as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRule {
    /// What followed `-A CHAIN`.
    pub text: String,
    /// The first comment that is ours, else the first at all.
    pub comment: Option<String>,
}

/// A line of `iptables-save` that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("line {line}: {text:?} outside of a table")]
    OutsideTable { line: usize, text: String },
    #[error("line {line}: {text:?} is no table, chain or rule")]
    Unknown { line: usize, text: String },
    /// Rules that the tool cannot show: what is installed is unknown.
    #[error("table {0} holds rules that only nft can show")]
    Incompatible(String),
    #[error("output ends within table {0}")]
    CutOff(String),
}

/// Reads the output of `iptables-save` or `iptables -S`-like listings of whole tables.
pub fn parse(output: &str) -> Result<BTreeMap<String, Saved>, ParseError> {
    let mut tables: BTreeMap<String, Saved> = BTreeMap::new();
    let mut current: Option<String> = None;
    for (position, text) in output.lines().enumerate() {
        let line = position + 1;
        let text = text.trim_end();
        if let Some(comment) = text.strip_prefix('#') {
            refuse_incompatible(comment)?;
        } else if let Some(name) = text.strip_prefix('*') {
            tables.entry(name.to_owned()).or_default();
            current = Some(name.to_owned());
        } else if text == "COMMIT" {
            current = None;
        } else if !text.is_empty() {
            let table = current.as_ref().and_then(|name| tables.get_mut(name));
            let Some(table) = table else {
                let text = text.to_owned();
                return Err(ParseError::OutsideTable { line, text });
            };
            if !table.read(text) {
                let text = text.to_owned();
                return Err(ParseError::Unknown { line, text });
            }
        }
    }
    current.map_or(Ok(tables), |name| Err(ParseError::CutOff(name)))
}

/// `# Table `filter' is incompatible, use 'nft' tool.`
fn refuse_incompatible(comment: &str) -> Result<(), ParseError> {
    let name = comment
        .trim()
        .strip_prefix("Table `")
        .and_then(|rest| rest.split_once("' is incompatible"));
    name.map_or(Ok(()), |(name, _)| {
        Err(ParseError::Incompatible(name.to_owned()))
    })
}

// === impl Saved ===

impl Saved {
    /// Reads one line of a table; `false` if it is none.
    fn read(&mut self, text: &str) -> bool {
        if let Some(declaration) = text.strip_prefix(':') {
            let mut words = declaration.split(' ');
            let (Some(name), Some(policy)) = (words.next(), words.next()) else {
                return false;
            };
            let chain = self.chains.entry(name.to_owned()).or_default();
            chain.policy = (policy != "-").then(|| policy.to_owned());
            return true;
        }
        // With counters a rule starts with `[packets:bytes]`.
        let text = match text
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("] "))
        {
            Some((_, rest)) => rest,
            None => text,
        };
        let Some(rule) = text.strip_prefix("-A ") else {
            return false;
        };
        let (name, rule) = rule.split_once(' ').unwrap_or((rule, ""));
        let chain = self.chains.entry(name.to_owned()).or_default();
        chain.rules.push(SavedRule::new(rule));
        true
    }

    /// The rules of ours in a chain, with their places counted from 1.
    pub fn ours_in<'a>(&'a self, chain: &str) -> impl Iterator<Item = (usize, &'a SavedRule)> {
        let rules = self.chains.get(chain).map_or(&[][..], |chain| &chain.rules);
        let places = rules
            .iter()
            .enumerate()
            .map(|(index, rule)| (index + 1, rule));
        places.filter(|(_, rule)| rule.is_ours())
    }

    /// What has to change so that exactly `own` is ours in this table. `is_ours` tells by the
    /// name which chains are ours; their contents are replaced whole, others keep all their
    /// foreign rules.
    #[must_use]
    pub fn changes(&self, own: &Own, is_ours: impl Fn(&str) -> bool) -> TableEdits {
        let mut edits = Vec::new();
        self.change_chains(own, &is_ours, &mut edits);
        for (name, chain) in &self.chains {
            let is_wanted = own.chains.iter().any(|wanted| wanted.name.as_str() == name);
            if !is_wanted && !is_ours(name) {
                self.change_guests(name, chain, own, &is_ours, &mut edits);
            }
        }
        for guest in &own.guests {
            if !self.chains.contains_key(guest.chain.as_str()) {
                edits.push(guest.append());
            }
        }
        TableEdits {
            table: own.table,
            edits,
        }
    }

    fn change_chains(&self, own: &Own, is_ours: &impl Fn(&str) -> bool, edits: &mut Vec<Edit>) {
        for chain in &own.chains {
            let wanted = chain.rules.iter().map(|rule| Some(rule.hash()));
            let present = self.chains.get(chain.name.as_str());
            if !present.is_some_and(|present| present.hashes().eq(wanted)) {
                edits.push(Edit::ReplaceChain(chain.clone()));
            }
        }
        for name in self.chains.keys().filter(|name| is_ours(name)) {
            let is_wanted = own.chains.iter().any(|chain| chain.name.as_str() == name);
            if let (false, Ok(name)) = (is_wanted, ChainName::new(name.as_str())) {
                edits.push(Edit::DeleteChain(name));
            }
        }
    }

    /// The guests of one foreign chain: those that stand right stay untouched; if one of the
    /// first does not, all of the first are set anew, and so with those behind others of ours. Guests of another owner of ours are left
    /// alone, and may stand before.
    fn change_guests(
        &self,
        name: &str,
        chain: &SavedChain,
        own: &Own,
        is_ours: &impl Fn(&str) -> bool,
        edits: &mut Vec<Edit>,
    ) {
        let Ok(name) = ChainName::new(name) else {
            return;
        };
        // Rules of ours are guests in built-in chains; elsewhere they are another owner's.
        let is_host = chain.policy.is_some() || own.guests.iter().any(|guest| guest.chain == name);
        let is_others = |rule: &SavedRule| {
            rule.is_ours() && (!is_host || self.leads_elsewhere(rule, own, is_ours))
        };
        let heads: Vec<(usize, Option<RuleHash>)> = (1..)
            .zip(&chain.rules)
            .filter(|(_, rule)| !is_others(rule))
            .map(|(place, rule)| (place, rule.hash()))
            .collect();
        let at = |position: Position| -> Vec<&Guest> {
            let guests = own.guests.iter().filter(|guest| guest.chain == name);
            guests.filter(|guest| guest.position == position).collect()
        };
        let (mut first, mut behind) = (at(Position::First), at(Position::Behind));
        let last = at(Position::Last);
        if !first.is_empty() {
            first.append(&mut behind);
        }
        let wanted = first.iter().map(|guest| Some(guest.rule.hash()));
        let heads = heads.get(..first.len()).unwrap_or(&heads);
        let mut stands_right = heads.iter().map(|(_, hash)| *hash).eq(wanted);
        let others = (1..).zip(&chain.rules).filter(|(_, rule)| is_others(rule));
        let base = others.map(|(place, _)| place).last().unwrap_or(0);
        let follow = chain.rules.iter().skip(base).take(behind.len());
        let wanted = behind.iter().map(|guest| Some(guest.rule.hash()));
        let mut follows_right = follow.map(SavedRule::hash).eq(wanted);
        let mut absent = last.clone();
        let is_head = |place: usize| heads.iter().any(|(head, _)| *head == place);
        let is_behind = |place: usize| (base + 1..=base + behind.len()).contains(&place);
        // A jump to a chain of ours is ours whoever made it: an earlier version, or upstream.
        let leads_here = |rule: &SavedRule| rule.target().is_some_and(|target| is_ours(&target));
        let mine = (1..)
            .zip(&chain.rules)
            .filter(|(_, rule)| rule.is_ours() && !is_others(rule) || leads_here(rule));
        let (kept, mut dropped): (Vec<_>, Vec<_>) = mine.partition(|(place, rule)| {
            stands_right && is_head(*place)
                || follows_right && is_behind(*place)
                || take(&mut absent, rule.hash())
        });
        // Rules go by text, the first of several like it: a twin of a dropped one is not safe.
        let is_kept = |text: &String| kept.iter().any(|(_, rule)| rule.text == *text);
        if dropped.iter().any(|(_, rule)| is_kept(&rule.text)) {
            (stands_right, follows_right, absent) = (false, false, last);
            dropped.extend(kept);
        }
        let before = dropped.iter().filter(|(place, _)| *place < base).count();
        for (_, rule) in dropped {
            let (chain, text) = (name.clone(), rule.text.clone());
            edits.push(Edit::DeleteRule { chain, text });
        }
        let mut base = base - before;
        if !stands_right {
            base += first.len();
            let places = first.into_iter().enumerate();
            edits.extend(places.map(|(index, guest)| guest.insert(index + 1)));
        }
        if !follows_right {
            let places = behind.into_iter().enumerate();
            edits.extend(places.map(|(index, guest)| guest.insert(base + index + 1)));
        }
        edits.extend(absent.into_iter().map(Guest::append));
    }
}

impl Saved {
    /// Whether a rule jumps to a chain that is not this owner's.
    fn leads_elsewhere(
        &self,
        rule: &SavedRule,
        own: &Own,
        is_ours: &impl Fn(&str) -> bool,
    ) -> bool {
        rule.target().is_some_and(|target| {
            let is_own = own.chains.iter().any(|chain| chain.name.as_str() == target);
            self.chains.contains_key(&target) && !is_ours(&target) && !is_own
        })
    }
}

/// Removes the first guest with this hash; whether there was one.
fn take(guests: &mut Vec<&Guest>, hash: Option<RuleHash>) -> bool {
    let position = guests
        .iter()
        .position(|guest| Some(guest.rule.hash()) == hash);
    position.map(|position| guests.remove(position)).is_some()
}

impl Guest {
    fn insert(&self, place: usize) -> Edit {
        Edit::InsertRule {
            chain: self.chain.clone(),
            place: Some(place),
            rule: self.rule.clone(),
        }
    }

    fn append(&self) -> Edit {
        Edit::InsertRule {
            chain: self.chain.clone(),
            place: None,
            rule: self.rule.clone(),
        }
    }
}

// === impl SavedChain ===

impl SavedChain {
    /// The hash of each rule; `None` for a foreign one.
    pub fn hashes(&self) -> impl Iterator<Item = Option<RuleHash>> + '_ {
        self.rules.iter().map(SavedRule::hash)
    }
}

// === impl SavedRule ===

impl SavedRule {
    #[must_use]
    pub fn new(text: &str) -> Self {
        let comments = comments(text);
        let ours = comments
            .iter()
            .find(|text| text.starts_with(COMMENT_PREFIX));
        Self {
            text: text.to_owned(),
            comment: ours.or(comments.first()).cloned(),
        }
    }

    #[must_use]
    pub fn is_ours(&self) -> bool {
        let comment = self.comment.as_deref();
        comment.is_some_and(|text| text.starts_with(COMMENT_PREFIX))
    }

    /// The chain or verdict that the rule leads to.
    #[must_use]
    pub fn target(&self) -> Option<String> {
        let mut words = split_words(&self.text).into_iter();
        words.find(|word| word == "-j" || word == "-g")?;
        words.next()
    }

    #[must_use]
    pub fn hash(&self) -> Option<RuleHash> {
        self.comment.as_deref().and_then(RuleHash::from_comment)
    }
}

/// The values of all `--comment` in a rule.
fn comments(rule: &str) -> Vec<String> {
    let words = split_words(rule);
    let pairs = words.iter().zip(words.iter().skip(1));
    let comments = pairs.filter(|(option, _)| option.as_str() == "--comment");
    comments.map(|(_, value)| value.clone()).collect()
}

/// Words as iptables reads them: separated by blanks, in double quotes with backslashes where
/// they hold blanks.
#[must_use]
pub fn split_words(text: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut is_quoted = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            '\\' if is_quoted => word.get_or_insert_default().extend(chars.next()),
            ' ' | '\t' if !is_quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

impl Table {
    /// This table out of a parsed output; a table that was never used is empty.
    #[must_use]
    pub fn of(self, mut tables: BTreeMap<String, Saved>) -> Saved {
        tables.remove(self.name()).unwrap_or_default()
    }
}
