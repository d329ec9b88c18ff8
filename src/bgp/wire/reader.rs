//! A cursor over bytes from outside: every read is checked, none panics.

/// What is left of a field; a read that does not fit takes nothing and gives `None`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(head)
    }

    /// The next `length` octets at the head of N, what is behind them being of no meaning: that
    /// saves a copy of varying length where the field goes on, as it does in a list of prefixes.
    #[inline]
    pub(super) fn padded<const N: usize>(&mut self, length: usize) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_at_checked(length)?;
        let octets = match self.rest.first_chunk::<N>() {
            Some(octets) => *octets,
            None => {
                let mut octets = [0; N];
                octets.get_mut(..length)?.copy_from_slice(head);
                octets
            }
        };
        self.rest = rest;
        Some(octets)
    }
}
