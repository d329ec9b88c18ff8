//! iptables through `iptables-restore --noflush` and `iptables-save`.

pub mod object;
mod saved;

pub use object::{
    Chain, ChainName, Edit, Guest, InvalidChain, Own, Position, Rule, RuleHash, Table, TableEdits,
    restore_input,
};
pub use saved::{ParseError, Saved, SavedChain, SavedRule, parse, split_words};
