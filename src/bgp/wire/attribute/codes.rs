//! Which attributes an UPDATE has had so far.

use super::AttributeCode;

/// A set of type codes.
#[derive(Debug, Default)]
pub(in crate::bgp::wire) struct AttributeCodes([u64; 4]);

// === impl AttributeCodes ===

impl AttributeCodes {
    /// Whether it was not in there before.
    pub(in crate::bgp::wire) fn insert(&mut self, code: AttributeCode) -> bool {
        let bit = 1 << (code.0 % 64);
        let word = self.0.get_mut(usize::from(code.0 / 64));
        word.is_some_and(|word| {
            let is_new = *word & bit == 0;
            *word |= bit;
            is_new
        })
    }

    pub(in crate::bgp::wire) fn has(&self, code: AttributeCode) -> bool {
        let word = self.0.get(usize::from(code.0 / 64));
        word.is_some_and(|word| word & 1 << (code.0 % 64) != 0)
    }

    pub(in crate::bgp::wire) fn is_only(&self, code: AttributeCode) -> bool {
        self.has(code) && self.0.iter().map(|word| word.count_ones()).sum::<u32>() == 1
    }
}
