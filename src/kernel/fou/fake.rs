//! Ports in memory, for tests of those who use them.

use std::collections::BTreeSet;

use super::object::{Change, Port};
use super::{Error, Outcome, Ports};

/// A host without a kernel.
#[derive(Debug, Clone, Default)]
pub struct FakeFou {
    pub ports: BTreeSet<Port>,
    /// Every change that had an effect, in order.
    pub log: Vec<Change>,
}

impl Ports for FakeFou {
    fn list(&mut self) -> Result<Vec<Port>, Error> {
        Ok(self.ports.iter().copied().collect())
    }

    /// A port of another kind has the number to itself, as the kernel's do.
    fn change(&mut self, change: Change) -> Result<Outcome, Error> {
        let wanted = change.port();
        let has_number =
            |port: &&Port| port.family == wanted.family && port.number == wanted.number;
        let present = self.ports.iter().find(has_number).copied();
        let is_changed = match (change, present) {
            (Change::Add(_), Some(present)) if present != wanted => {
                return Err(Error::Taken(change));
            }
            (Change::Add(_), _) => self.ports.insert(wanted),
            (Change::Del(_), _) => self.ports.remove(&wanted),
        };
        if !is_changed {
            return Ok(Outcome::Unchanged);
        }
        self.log.push(change);
        Ok(Outcome::Changed)
    }
}
