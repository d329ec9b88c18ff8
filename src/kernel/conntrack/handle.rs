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

    /// The flows of a family and protocol that a filter matches.
    fn matching(
        &mut self,
        family: Family,
        protocol: Protocol,
        filters: &Filters,
    ) -> Result<Vec<Flow>, Error> {
        let replies = self.socket.dump(&wire::get(family, protocol))?;
        let mut flows = Vec::new();
        for message in &replies {
            // A flow that cannot be read is none of ours: those have two tuples with ports.
            flows.extend(
                wire::flow(&message)
                    .ok()
                    .filter(|flow| filters.match_any(flow)),
            );
        }
        Ok(flows)
    }
}

impl Flows for Conntrack {
    fn delete(&mut self, filters: &[FlowFilter]) -> Result<usize, Error> {
        let index = Filters::new(filters);
        let mut flows = Vec::new();
        for (family, protocol) in index.tables() {
            flows.extend(self.matching(family, protocol, &index)?);
        }
        let mut deleted = 0;
        for (flow, verdict) in flows
            .iter()
            .zip(self.socket.batch(flows.iter().map(wire::delete)))
        {
            match verdict {
                Ok(()) => deleted += 1,
                // It ended by itself.
                Err(error) if error.is(libc::ENOENT) => {}
                Err(source) => {
                    return Err(Error::Delete {
                        flow: Box::new(*flow),
                        source,
                    });
                }
            }
        }
        Ok(deleted)
    }
}
