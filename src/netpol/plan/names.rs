//! Names that follow from content: the same rules have the same name on every node and after every
//! restart.

use ring::digest::{SHA256, digest};

use crate::firewall::Name;
use crate::model::{Requirement, Selector};

/// RFC 4648.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Bytes to hash; every part says how long it is, so that no two contents are written alike.
#[derive(Debug, Default)]
pub(super) struct Text(Vec<u8>);

// === impl Text ===

impl Text {
    pub(super) fn count(&mut self, number: usize) {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub(super) fn wide(&mut self, number: u128) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn selector(&mut self, selector: &Selector) {
        self.count(selector.requirements().len());
        for requirement in selector.requirements() {
            let (operator, values): (&str, &[_]) = match requirement {
                Requirement::In(_, values) => ("in", values),
                Requirement::NotIn(_, values) => ("notin", values),
                Requirement::Exists(_) => ("exists", &[]),
                Requirement::DoesNotExist(_) => ("missing", &[]),
            };
            self.text(operator);
            self.text(requirement.key());
            self.count(values.len());
            values.iter().for_each(|value| self.text(value));
        }
    }

    /// A prefix of at most 12 bytes and 80 bits of SHA-256.
    pub(super) fn name(&self, prefix: &str) -> Name {
        let hash = digest(&SHA256, &self.0);
        let mut text = prefix.to_owned();
        let (mut bits, mut held) = (0_u32, 0_u32);
        for byte in hash.as_ref().iter().take(10) {
            (bits, held) = ((bits << 8) | u32::from(*byte), held + 8);
            while held >= 5 {
                held -= 5;
                let digit = usize::try_from((bits >> held) & 31).unwrap_or_default();
                text.extend(BASE32.get(digit).map(|byte| char::from(*byte)));
            }
            bits &= (1 << held) - 1;
        }
        Name::new(&text).unwrap_or(Name::of("KUBE-NWPLCY-CLOSED"))
    }
}
