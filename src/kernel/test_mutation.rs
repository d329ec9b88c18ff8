//! Damages valid inputs in repeatable ways, for the tests of decoders and parsers.

/// A small generator of numbers (xorshift*), the same in every run.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let word = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(word).unwrap() % limit
    }

    /// Changes some bytes, mostly into lies about lengths, or cuts a tail off.
    pub(crate) fn damage(&mut self, bytes: &mut Vec<u8>) {
        const LENGTHS: &[u8] = &[0, 1, 2, 3, 4, 5, 8, 16, 0x7f, 0x80, 0xff];
        if self.below(4) == 0 {
            bytes.truncate(self.below(bytes.len() + 1));
        } else {
            self.mutate(bytes, LENGTHS);
        }
    }

    pub(crate) fn mutate(&mut self, bytes: &mut Vec<u8>, alphabet: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len().max(1));
            let byte = alphabet[self.below(alphabet.len())];
            match (self.below(4), bytes.get_mut(at)) {
                (0, Some(old)) => *old ^= 1 << self.below(8),
                (1, Some(old)) => *old = byte,
                (2, Some(_)) => drop(bytes.remove(at)),
                (_, _) => bytes.insert(at, byte),
            }
        }
    }
}
