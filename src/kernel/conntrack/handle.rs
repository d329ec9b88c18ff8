//! The socket.

use super::object::{Flow, FlowFilter};
use super::{Error, Filters, Flows, wire};
use crate::kernel::netlink::{Socket, Stats};
use crate::net::{Family, Protocol};

/// The flow table of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Conntrack {
    socket: Socket,
}

// === impl Conntrack ===

impl Conntrack {
    pub fn open() -> Result<Self, Error> {
        Ok(Self {
            socket: Socket::open(libc::NETLINK_NETFILTER)?,
        })
    }

    /// What was sent and received so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.socket.stats()
    }

    /// The flows of a family and protocol that are wanted.
    fn matching(
        &mut self,
        family: Family,
        protocol: Protocol,
        is_wanted: &mut dyn FnMut(&Flow) -> bool,
    ) -> Result<Vec<Flow>, Error> {
        let replies = self.socket.dump(&wire::get(family, protocol))?;
        let mut flows = Vec::new();
        for message in &replies {
            // A flow that cannot be read is none of ours: those have two tuples with ports.
            flows.extend(wire::flow(&message).ok().filter(&mut *is_wanted));
        }
        Ok(flows)
    }

    fn delete_flows(&mut self, flows: &[Flow]) -> Result<usize, Error> {
        let mut deleted = 0;
        let verdicts = self.socket.batch(flows.iter().map(wire::delete));
        for (flow, verdict) in flows.iter().zip(verdicts) {
            match verdict {
                Ok(()) => deleted += 1,
                // It ended by itself.
                Err(error) if error.is(libc::ENOENT) => {}
                Err(source) => {
                    let flow = Box::new(*flow);
                    return Err(Error::Delete { flow, source });
                }
            }
        }
        Ok(deleted)
    }
}

impl Flows for Conntrack {
    fn delete(&mut self, filters: &[FlowFilter]) -> Result<usize, Error> {
        let index = Filters::new(filters);
        let mut flows = Vec::new();
        for (family, protocol) in index.tables() {
            let mut is_wanted = |flow: &Flow| index.match_any(flow);
            flows.extend(self.matching(family, protocol, &mut is_wanted)?);
        }
        self.delete_flows(&flows)
    }

    fn delete_where(
        &mut self,
        family: Family,
        protocol: Protocol,
        is_to_go: &mut dyn FnMut(&Flow) -> bool,
    ) -> Result<usize, Error> {
        let number = protocol.number();
        let mut is_wanted = |flow: &Flow| flow.original.protocol == number && is_to_go(flow);
        let flows = self.matching(family, protocol, &mut is_wanted)?;
        self.delete_flows(&flows)
    }
}
