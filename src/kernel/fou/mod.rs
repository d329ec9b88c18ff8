//! Ports at which the kernel unwraps packets out of UDP (`linux/fou.h`, ip-fou(8)).
//!
//! A tunnel with an encapsulation sends by itself; to receive, its host needs such a port, one
//! for each family. What is already as wanted is no error but [`Outcome::Unchanged`].

mod fake;
pub mod object;
mod wire;

pub use fake::FakeFou;
pub use object::{Change, Payload, Port};

use crate::kernel::genl::{FamilyId, GenlError};
use crate::kernel::netlink::{NetlinkError, Socket, Stats};

/// What went wrong with a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The generic netlink family `fou` does not exist, and asking for it loaded no module.
    #[error("this kernel has no FOU: the module fou is neither built in nor loaded")]
    Unsupported,
    /// A program, or a port of another kind, has the number.
    #[error("{0}: the UDP port is in use")]
    Taken(Change),
    #[error("{change}: {source}")]
    Change {
        change: Change,
        source: NetlinkError,
    },
    #[error(transparent)]
    Family(GenlError),
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// What a change came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Changed,
    /// It was so already.
    Unchanged,
}

/// Ports of the kernel or of a fake.
pub trait Ports {
    /// All ports of the network namespace, sorted.
    fn list(&mut self) -> Result<Vec<Port>, Error>;

    fn change(&mut self, change: Change) -> Result<Outcome, Error>;
}

/// The ports of the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Fou {
    socket: Socket,
    family: FamilyId,
}

// === impl Fou ===

impl Fou {
    /// Opens a socket and finds the family; [`Error::Unsupported`] without the module.
    pub fn open() -> Result<Self, Error> {
        let mut socket = Socket::open(libc::NETLINK_GENERIC)?;
        let family = FamilyId::resolve(&mut socket, "fou")?;
        Ok(Self { socket, family })
    }

    /// What was sent and received so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.socket.stats()
    }
}

impl Ports for Fou {
    fn list(&mut self) -> Result<Vec<Port>, Error> {
        let replies = self.socket.dump(&wire::list(self.family))?;
        let mut ports = Vec::new();
        for message in &replies {
            ports.extend(wire::port(&message)?);
        }
        ports.sort_unstable();
        Ok(ports)
    }

    /// The kernel's refusals do not tell "is so already" from "is in the way of another": then
    /// the list does.
    fn change(&mut self, change: Change) -> Result<Outcome, Error> {
        let Err(source) = self.socket.request(&wire::change(self.family, change)) else {
            return Ok(Outcome::Changed);
        };
        let is_there = self.list()?.contains(&change.port());
        match change {
            Change::Add(_) if is_there => Ok(Outcome::Unchanged),
            Change::Add(_) if source.is(libc::EADDRINUSE) => Err(Error::Taken(change)),
            Change::Del(_) if !is_there => Ok(Outcome::Unchanged),
            Change::Add(_) | Change::Del(_) => Err(Error::Change { change, source }),
        }
    }
}

impl From<GenlError> for Error {
    fn from(error: GenlError) -> Self {
        match error {
            GenlError::UnknownFamily(_) => Self::Unsupported,
            error @ GenlError::Netlink { .. } => Self::Family(error),
        }
    }
}

#[cfg(test)]
mod tests;
