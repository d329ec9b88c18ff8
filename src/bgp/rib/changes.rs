//! What a policy may change in a route's attributes.

use crate::bgp::wire::{Attributes, Community, LargeCommunity, NextHop};

/// Changes of attributes; the default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AttributeChanges {
    pub multi_exit_disc: Option<u32>,
    pub local_pref: Option<u32>,
    /// Those that are there already are not added twice.
    pub add_communities: Vec<Community>,
    pub add_large_communities: Vec<LargeCommunity>,
    pub prepend: Option<Prepend>,
    pub next_hop: Option<NextHopChange>,
}

/// An AS number put in front of the path, several times. Towards external peers our own AS still
/// comes before it, as they expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prepend {
    pub asn: u32,
    pub times: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NextHopChange {
    /// Our address of the prefix's family on the session. On import it changes nothing.
    Own,
    To(NextHop),
}

// === impl AttributeChanges ===

impl AttributeChanges {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds another's changes; where both say something the later one counts, but communities
    /// are joined.
    pub fn extend(&mut self, later: &Self) {
        let Self {
            multi_exit_disc,
            local_pref,
            add_communities,
            add_large_communities,
            prepend,
            next_hop,
        } = later;
        self.multi_exit_disc = multi_exit_disc.or(self.multi_exit_disc);
        self.local_pref = local_pref.or(self.local_pref);
        self.prepend = prepend.or(self.prepend);
        self.next_hop = next_hop.or(self.next_hop);
        add_new(&mut self.add_communities, add_communities);
        add_new(&mut self.add_large_communities, add_large_communities);
    }

    /// All but the next hop.
    pub(super) fn apply(&self, attributes: &mut Attributes) {
        attributes.multi_exit_disc = self.multi_exit_disc.or(attributes.multi_exit_disc);
        attributes.local_pref = self.local_pref.or(attributes.local_pref);
        add_new(&mut attributes.communities, &self.add_communities);
        let large = &mut attributes.large_communities;
        add_new(large, &self.add_large_communities);
        if let Some(Prepend { asn, times }) = self.prepend {
            attributes.as_path = attributes.as_path.prepended(asn, times.into());
        }
    }
}

fn add_new<T: Copy + PartialEq>(into: &mut Vec<T>, more: &[T]) {
    for item in more {
        if !into.contains(item) {
            into.push(*item);
        }
    }
}
