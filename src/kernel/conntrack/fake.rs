//! Flows in memory, for tests of those who delete them.

use super::object::{Flow, FlowFilter};
use super::{Error, Filters, Flows};
use crate::net::{Family, Protocol};

/// A flow table without a kernel.
#[derive(Debug, Clone, Default)]
pub struct FakeConntrack {
    pub flows: Vec<Flow>,
    /// All filters of all calls, in order.
    pub asked: Vec<FlowFilter>,
}

impl Flows for FakeConntrack {
    fn delete(&mut self, filters: &[FlowFilter]) -> Result<usize, Error> {
        self.asked.extend_from_slice(filters);
        let (index, before) = (Filters::new(filters), self.flows.len());
        self.flows.retain(|flow| !index.match_any(flow));
        Ok(before - self.flows.len())
    }

    fn delete_where(
        &mut self,
        family: Family,
        protocol: Protocol,
        is_to_go: &mut dyn FnMut(&Flow) -> bool,
    ) -> Result<usize, Error> {
        let before = self.flows.len();
        self.flows.retain(|flow| {
            let is_here = flow.family() == family && flow.original.protocol == protocol.number();
            !(is_here && is_to_go(flow))
        });
        Ok(before - self.flows.len())
    }
}
