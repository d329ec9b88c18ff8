//! What a rule says about ports, in one canonical form.

use std::fmt;

use crate::net::Protocol;

/// A range of at most so many ports is written port by port: a member of a set costs a packet
/// nothing, a rule for a range does.
const FEW: u16 = 4;

/// Ports of transport protocols, or every payload there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ports {
    everything: bool,
    /// Sorted, disjoint, not adjacent; empty where `everything`.
    ranges: Vec<(Protocol, u16, u16)>,
}

/// The unit in which rules and members speak of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Atom {
    Everything,
    Port(Protocol, u16),
    Range(Protocol, u16, u16),
}

// === impl Ports ===

impl Ports {
    pub(super) fn everything() -> Self {
        Self {
            everything: true,
            ranges: Vec::new(),
        }
    }

    pub(super) fn is_everything(&self) -> bool {
        self.everything
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.everything && self.ranges.is_empty()
    }

    pub(super) fn ranges(&self) -> &[(Protocol, u16, u16)] {
        &self.ranges
    }

    pub(super) fn add(&mut self, other: &Self) {
        if self.everything || other.is_empty() {
            return;
        }
        if other.everything {
            *self = Self::everything();
            return;
        }
        let both = self.ranges.iter().chain(&other.ranges).copied();
        *self = both.collect();
    }

    /// Without what `other` has. Of everything, nothing can be taken but everything.
    pub(super) fn without(&self, other: &Self) -> Self {
        if other.everything {
            return Self::default();
        }
        if self.everything || other.ranges.is_empty() {
            return self.clone();
        }
        let left = self.ranges.iter().flat_map(|range| less(*range, other));
        left.collect()
    }

    pub(super) fn atoms(&self) -> Vec<Atom> {
        if self.everything {
            return vec![Atom::Everything];
        }
        let mut atoms = Vec::new();
        for (protocol, low, high) in self.ranges.iter().copied() {
            if high - low < FEW {
                atoms.extend((low..=high).map(|port| Atom::Port(protocol, port)));
            } else {
                atoms.push(Atom::Range(protocol, low, high));
            }
        }
        atoms
    }
}

/// The parts of a range that `taken` leaves.
fn less((protocol, low, high): (Protocol, u16, u16), taken: &Ports) -> Vec<(Protocol, u16, u16)> {
    let mut left = Vec::new();
    let mut from = u32::from(low);
    for (other, first, last) in taken.ranges.iter().copied() {
        if other != protocol || last < low || first > high {
            continue;
        }
        if u32::from(first) > from {
            let before = u16::try_from(from).unwrap_or(low);
            left.push((protocol, before, first - 1));
        }
        from = u32::from(last) + 1;
    }
    if let Ok(from) = u16::try_from(from)
        && from <= high
    {
        left.push((protocol, from, high));
    }
    left
}

/// Ranges in any order, overlapping or not; one that is empty is left out.
impl FromIterator<(Protocol, u16, u16)> for Ports {
    fn from_iter<I: IntoIterator<Item = (Protocol, u16, u16)>>(ranges: I) -> Self {
        let mut all: Vec<_> = ranges
            .into_iter()
            .filter(|(_, low, high)| low <= high)
            .collect();
        all.sort_unstable();
        let mut merged: Vec<(Protocol, u16, u16)> = Vec::with_capacity(all.len());
        for (protocol, low, high) in all {
            match merged.last_mut() {
                Some((last, _, end)) if *last == protocol && low <= end.saturating_add(1) => {
                    *end = high.max(*end);
                }
                _ => merged.push((protocol, low, high)),
            }
        }
        Self {
            everything: false,
            ranges: merged,
        }
    }
}

/// Says in the name of a set which of its chain's sets it is.
impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Port(protocol, port) => write!(f, "{protocol}:{port}"),
            Self::Range(protocol, low, high) => write!(f, "{protocol}:{low}-{high}"),
        }
    }
}
