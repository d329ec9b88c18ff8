//! Address ranges of `ipBlock` peers, in one canonical form.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::IpBlock;
use crate::net::{Family, Prefix};

/// First and last address.
pub(super) type Range = (Family, u128, u128);

/// Addresses of both families.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Blocks {
    /// Sorted, disjoint, not adjacent.
    ranges: Vec<Range>,
}

// === impl Blocks ===

impl Blocks {
    /// One block without its own exceptions.
    pub(super) fn of(block: &IpBlock) -> Self {
        let whole: Self = [range(&block.prefix)].into_iter().collect();
        whole.without(&block.except.iter().map(range).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(super) fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let (family, number) = (Family::of(address), number(address));
        let after = self
            .ranges
            .partition_point(|(known, first, _)| (*known, *first) <= (family, number));
        let at = after.checked_sub(1).and_then(|at| self.ranges.get(at));
        at.is_some_and(|(known, _, last)| *known == family && number <= *last)
    }

    pub(super) fn without(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        let mut left = Vec::new();
        let mut taken = other.ranges.iter().copied().peekable();
        for (family, first, last) in self.ranges.iter().copied() {
            let mut from = Some(first);
            while let Some((known, start, end)) = taken.peek().copied() {
                if (known, end) < (family, first) {
                    taken.next();
                    continue;
                }
                if (known, start) > (family, last) {
                    break;
                }
                if let Some(low) = from.filter(|low| *low < start) {
                    left.push((family, low, start - 1));
                }
                from = end.checked_add(1).filter(|next| *next <= last);
                if end >= last {
                    break;
                }
                taken.next();
            }
            left.extend(from.map(|low| (family, low, last)));
        }
        Self { ranges: left }
    }

    /// The fewest prefixes that hold exactly these addresses, none of length 0: no set of the
    /// kernel takes such a one.
    pub(super) fn prefixes(&self) -> Vec<Prefix> {
        let mut prefixes = Vec::new();
        for (family, first, last) in self.ranges.iter().copied() {
            split(family, first, last, &mut prefixes);
        }
        prefixes
    }
}

/// Ranges in any order, overlapping or not.
impl FromIterator<Range> for Blocks {
    fn from_iter<I: IntoIterator<Item = Range>>(ranges: I) -> Self {
        let mut all: Vec<_> = ranges.into_iter().collect();
        all.sort_unstable();
        let mut merged: Vec<Range> = Vec::with_capacity(all.len());
        for (family, first, last) in all {
            match merged.last_mut() {
                Some((known, _, end)) if *known == family && first <= end.saturating_add(1) => {
                    *end = last.max(*end);
                }
                _ => merged.push((family, first, last)),
            }
        }
        Self { ranges: merged }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn range(prefix: &Prefix) -> Range {
    (
        Family::of_prefix(prefix),
        number(prefix.network()),
        number(prefix.broadcast()),
    )
}

fn split(family: Family, first: u128, last: u128, into: &mut Vec<Prefix>) {
    let width = u32::from(family.host_bits());
    let mut from = first;
    loop {
        let fits = match (last - from).checked_add(1) {
            Some(count) => count.ilog2(),
            None => u128::BITS,
        };
        let bits = from.trailing_zeros().min(fits).min(width - 1);
        into.extend(prefix(family, from, width - bits));
        match from.checked_add(1 << bits) {
            Some(next) if next <= last => from = next,
            _ => return,
        }
    }
}

fn prefix(family: Family, number: u128, length: u32) -> Option<Prefix> {
    let address = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).ok()?)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(number)),
    };
    Prefix::new(address, u8::try_from(length).ok()?).ok()
}
