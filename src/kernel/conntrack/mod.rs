//! Deletes flows of connection tracking whose endpoint is gone
//! (`linux/netfilter/nfnetlink_conntrack.h`, conntrack(8)).
//!
//! However many filters, the table is listed once per family and protocol; a flow that ends by
//! itself meanwhile is no error.

mod fake;
mod handle;
pub mod object;
mod wire;

use std::net::IpAddr;

use rustc_hash::FxHashMap;

pub use fake::FakeConntrack;
pub use handle::Conntrack;
pub use object::{Flow, FlowFilter, Tuple};

use crate::kernel::netlink::NetlinkError;
use crate::net::{Family, Protocol};

/// What went wrong with the flow table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("flow to {} port {}: {source}", flow.original.destination, flow.original.destination_port)]
    Delete {
        flow: Box<Flow>,
        source: NetlinkError,
    },
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// What can be done with flows; [`Conntrack`] and [`FakeConntrack`] do.
pub trait Flows {
    /// Deletes every flow that one of the filters matches; how many there were.
    fn delete(&mut self, filters: &[FlowFilter]) -> Result<usize, Error>;

    /// Deletes the flows of a family and protocol that are to go; how many there were.
    fn delete_where(
        &mut self,
        family: Family,
        protocol: Protocol,
        is_to_go: &mut dyn FnMut(&Flow) -> bool,
    ) -> Result<usize, Error>;
}

/// Filters by what they look for first, so that each flow is looked up instead of compared.
#[derive(Debug, Default)]
struct Filters {
    by_service: FxHashMap<(u8, IpAddr, u16), Vec<FlowFilter>>,
}

// === impl Filters ===

impl Filters {
    fn new(filters: &[FlowFilter]) -> Self {
        let mut index = Self::default();
        for filter in filters {
            let key = (filter.protocol.number(), filter.orig_dst, filter.orig_dport);
            index.by_service.entry(key).or_default().push(*filter);
        }
        index
    }

    fn match_any(&self, flow: &Flow) -> bool {
        let original = &flow.original;
        let key = (
            original.protocol,
            original.destination,
            original.destination_port,
        );
        let filters = self.by_service.get(&key);
        filters.is_some_and(|filters| filters.iter().any(|filter| filter.matches(flow)))
    }

    /// The parts of the table that have to be listed.
    fn tables(&self) -> Vec<(Family, Protocol)> {
        let filters = self.by_service.values().flatten();
        let mut tables: Vec<_> = filters.map(|f| (f.family(), f.protocol)).collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }
}

#[cfg(test)]
mod tests;
