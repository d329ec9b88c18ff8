//! Changes that take effect all together or not at all.

use std::sync::Arc;

use super::object::{Chain, Element, Name, Rule, Set, Table};

/// Whether what is already as wanted is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Adding what is there succeeds.
    Ignored,
    Refused,
}

/// One change of a table. Commands about sets carry the set's definition, without which keys
/// cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Makes the table or adopts one whose owner is gone; an existing one of ours stays.
    AddTable(Table),
    /// With all that is in it.
    DeleteTable(Name),
    /// An existing chain of the same kind stays, its rules too; its policy is changed.
    AddChain(Chain),
    /// With its rules; refused while something jumps to it.
    DeleteChain(Name),
    FlushChain(Name),
    /// At the end of the chain.
    AddRule(Name, Rule),
    /// An existing set of the same kind stays, its members too.
    AddSet(Arc<Set>),
    /// With its members; refused while a rule refers to it.
    DeleteSet(Arc<Set>),
    FlushSet(Arc<Set>),
    AddElements(Arc<Set>, Vec<Element>, Existing),
    /// Refused if one is missing.
    DeleteElements(Arc<Set>, Vec<Element>),
}

/// Changes of one table, carried out in order and as a whole.
///
/// Packets see either none or all of them. `Display` writes them as `nft -f` reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    pub(super) table: Name,
    pub(super) commands: Vec<Command>,
}

// === impl Transaction ===

impl Transaction {
    #[must_use]
    pub fn new(table: Name) -> Self {
        Self {
            table,
            commands: Vec::new(),
        }
    }

    #[must_use]
    pub fn table(&self) -> &Name {
        &self.table
    }

    #[must_use]
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Appends the commands of another transaction on the same table.
    pub fn extend(&mut self, commands: impl IntoIterator<Item = Command>) -> &mut Self {
        self.commands.extend(commands);
        self
    }

    /// Makes this transaction's table, or adopts it from an owner that is gone.
    pub fn add_table(&mut self, is_owned: bool) -> &mut Self {
        let name = self.table.clone();
        self.push(Command::AddTable(Table { name, is_owned }))
    }

    /// Deletes this transaction's table with all that is in it.
    pub fn delete_table(&mut self) -> &mut Self {
        let name = self.table.clone();
        self.push(Command::DeleteTable(name))
    }

    pub fn add_chain(&mut self, chain: Chain) -> &mut Self {
        self.push(Command::AddChain(chain))
    }

    pub fn delete_chain(&mut self, chain: &Name) -> &mut Self {
        self.push(Command::DeleteChain(chain.clone()))
    }

    pub fn flush_chain(&mut self, chain: &Name) -> &mut Self {
        self.push(Command::FlushChain(chain.clone()))
    }

    /// Appends a rule.
    pub fn add_rule(&mut self, chain: &Name, rule: Rule) -> &mut Self {
        self.push(Command::AddRule(chain.clone(), rule))
    }

    /// Makes an existing chain hold exactly these rules.
    pub fn replace_chain(
        &mut self,
        chain: &Name,
        rules: impl IntoIterator<Item = Rule>,
    ) -> &mut Self {
        self.flush_chain(chain);
        for rule in rules {
            self.add_rule(chain, rule);
        }
        self
    }

    pub fn add_set(&mut self, set: &Arc<Set>) -> &mut Self {
        self.push(Command::AddSet(Arc::clone(set)))
    }

    pub fn delete_set(&mut self, set: &Arc<Set>) -> &mut Self {
        self.push(Command::DeleteSet(Arc::clone(set)))
    }

    /// Deletes all members.
    pub fn flush_set(&mut self, set: &Arc<Set>) -> &mut Self {
        self.push(Command::FlushSet(Arc::clone(set)))
    }

    /// Adds members; nothing is to be done for none. A member of a map that is there with another
    /// verdict is refused either way.
    ///
    /// Ranges must not overlap others of the set: the kernel refuses most of those, but lets some in
    /// and takes some for another one that is there already.
    pub fn add_elements(
        &mut self,
        set: &Arc<Set>,
        elements: Vec<Element>,
        existing: Existing,
    ) -> &mut Self {
        if elements.is_empty() {
            return self;
        }
        self.push(Command::AddElements(Arc::clone(set), elements, existing))
    }

    /// Deletes members, all of which must be there. Of ranges of several fields the kernel deletes
    /// whichever covers the first key: name only those that are known to be there.
    pub fn delete_elements(&mut self, set: &Arc<Set>, elements: Vec<Element>) -> &mut Self {
        if elements.is_empty() {
            return self;
        }
        self.push(Command::DeleteElements(Arc::clone(set), elements))
    }

    fn push(&mut self, command: Command) -> &mut Self {
        self.commands.push(command);
        self
    }
}
