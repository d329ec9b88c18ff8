//! Sets of prefixes, each with the lengths it stands for.

use std::fmt;
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::net::{ByFamily, Family, Prefix, host_prefix};

/// A prefix and those inside of it whose length is in a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixRange {
    prefix: Prefix,
    shortest: u8,
    longest: u8,
}

/// Lengths that no prefix inside can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{prefix} holds no prefixes of {shortest} to {longest} bits")]
pub struct PrefixRangeError {
    pub prefix: Prefix,
    pub shortest: u8,
    pub longest: u8,
}

/// A set of ranges; asking costs a look-up for each length that its ranges start with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrefixSet {
    /// By the range's prefix: pairs of lengths.
    ranges: FxHashMap<Prefix, Vec<(u8, u8)>>,
    /// Lengths that are among them, ascending.
    lengths: ByFamily<Vec<u8>>,
}

/// What no route may lead to (RFC 6890 and successors). Private ranges are not among them, clusters
/// are made of those, and neither are those for documentation, of which labs are.
const MARTIANS: [&str; 14] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "::ffff:0:0/96",
    "100::/64",
    "5f00::/16",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

// === impl PrefixRange ===

impl PrefixRange {
    /// The prefix alone.
    #[must_use]
    pub fn exact(prefix: Prefix) -> Self {
        Self {
            prefix: prefix.trunc(),
            shortest: prefix.prefix_len(),
            longest: prefix.prefix_len(),
        }
    }

    /// The prefix and all inside.
    #[must_use]
    pub fn or_longer(prefix: Prefix) -> Self {
        Self {
            longest: prefix.max_prefix_len(),
            ..Self::exact(prefix)
        }
    }

    /// Prefixes inside whose length is from `shortest` to `longest`.
    ///
    /// # Errors
    /// Lengths that no prefix inside has.
    pub fn between(prefix: Prefix, shortest: u8, longest: u8) -> Result<Self, PrefixRangeError> {
        let fits = prefix.prefix_len() <= shortest
            && shortest <= longest
            && longest <= prefix.max_prefix_len();
        let range = Self {
            prefix: prefix.trunc(),
            shortest,
            longest,
        };
        fits.then_some(range).ok_or(PrefixRangeError {
            prefix,
            shortest,
            longest,
        })
    }
}

impl fmt::Display for PrefixRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            prefix,
            shortest,
            longest,
        } = self;
        if *longest == prefix.prefix_len() {
            write!(f, "{prefix}")
        } else {
            write!(f, "{prefix} {shortest}-{longest}")
        }
    }
}

// === impl PrefixSet ===

impl PrefixSet {
    /// The default routes of both families, exactly.
    #[must_use]
    pub fn default_routes() -> Self {
        ["0.0.0.0/0", "::/0"]
            .iter()
            .filter_map(|text| text.parse().ok())
            .map(PrefixRange::exact)
            .collect()
    }

    /// What is never imported: loopback, link-local, multicast and the like, with all inside.
    /// Neither private ranges nor those for documentation are among them.
    #[must_use]
    pub fn martians() -> Self {
        MARTIANS
            .iter()
            .filter_map(|text| text.parse().ok())
            .map(PrefixRange::or_longer)
            .collect()
    }

    pub fn insert(&mut self, range: PrefixRange) {
        let lengths = self.ranges.entry(range.prefix).or_default();
        let pair = (range.shortest, range.longest);
        if !lengths.contains(&pair) {
            lengths.push(pair);
            lengths.sort_unstable();
        }
        let family = Family::of_prefix(&range.prefix);
        let starts = self.lengths.get_mut(family);
        if let Err(at) = starts.binary_search(&range.prefix.prefix_len()) {
            starts.insert(at, range.prefix.prefix_len());
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    #[must_use]
    pub fn contains(&self, prefix: &Prefix) -> bool {
        let length = prefix.prefix_len();
        let starts = self.lengths.get(Family::of_prefix(prefix)).iter();
        starts
            .take_while(|start| **start <= length)
            .filter_map(|start| self.ranges.get(&shortened(prefix, *start)?))
            .flatten()
            .any(|(shortest, longest)| (*shortest..=*longest).contains(&length))
    }

    #[must_use]
    pub fn contains_address(&self, address: IpAddr) -> bool {
        self.contains(&host_prefix(address))
    }

    pub fn iter(&self) -> impl Iterator<Item = PrefixRange> {
        self.ranges.iter().flat_map(|(prefix, lengths)| {
            lengths.iter().map(|(shortest, longest)| PrefixRange {
                prefix: *prefix,
                shortest: *shortest,
                longest: *longest,
            })
        })
    }
}

fn shortened(prefix: &Prefix, length: u8) -> Option<Prefix> {
    Prefix::new(prefix.addr(), length)
        .ok()
        .map(|prefix| prefix.trunc())
}

impl FromIterator<PrefixRange> for PrefixSet {
    fn from_iter<T: IntoIterator<Item = PrefixRange>>(ranges: T) -> Self {
        let mut set = Self::default();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }
}
