//! A hash with a secret: peers choose the prefixes and attributes, so they must not be able to
//! choose what collides.
//!
//! Words are folded by a multiplication of 128 bits, as in wyhash; not for cryptography.

use std::hash::{BuildHasher, Hasher};

/// The secret of one process, from a random number that is passed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seed {
    state: u64,
    factor: u64,
}

#[derive(Debug, Clone)]
pub(super) struct KeyedHasher {
    state: u64,
    factor: u64,
}

/// Digits of pi, as good as any.
const MIX: u64 = 0x243f_6a88_85a3_08d3;

// === impl Seed ===

impl Seed {
    pub(super) fn new(random: u64) -> Self {
        Self {
            state: fold(random ^ MIX, 0x1319_8a2e_0370_7345),
            factor: fold(random, MIX) | 1,
        }
    }

    pub(super) fn of_word(self, word: u64) -> u64 {
        fold(word ^ self.state, self.factor)
    }

    pub(super) fn of_words(self, low: u64, high: u64) -> u64 {
        self.of_word(self.of_word(low) ^ high)
    }
}

impl BuildHasher for Seed {
    type Hasher = KeyedHasher;

    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher {
            state: self.state,
            factor: self.factor,
        }
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let [low, high] = {
        let product = u128::from(a) * u128::from(b);
        [product as u64, (product >> 64) as u64]
    };
    low ^ high
}

// === impl KeyedHasher ===

impl Hasher for KeyedHasher {
    fn finish(&self) -> u64 {
        fold(self.state, MIX)
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            for (to, from) in last.iter_mut().zip(rest) {
                *to = *from;
            }
            self.write_u64(u64::from_le_bytes(last));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.state = fold(self.state ^ value, self.factor);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}
