//! What can go wrong with IPVS.

use super::object::{Command, RealKey, RealServer, Scheduler, VirtualKey};
use super::wire::DecodeError;
use crate::kernel::genl::GenlError;
use crate::kernel::netlink::NetlinkError;

/// A failed command or a failed reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IpvsError {
    /// The generic netlink family `IPVS` does not exist, and asking for it loaded no module.
    #[error("this kernel has no IPVS: the module ip_vs is neither built in nor can it be loaded")]
    Unsupported,
    /// `EEXIST`: set it instead.
    #[error("virtual server {0} exists already")]
    VirtualExists(VirtualKey),
    /// `ESRCH`. After a deletion: it is gone, as wanted.
    #[error("there is no virtual server {0}")]
    NoSuchVirtual(VirtualKey),
    /// `EEXIST`: set it instead.
    #[error("real server {1} exists already behind {0}")]
    RealExists(VirtualKey, RealKey),
    /// `ENOENT`. After a deletion: it is gone, as wanted.
    #[error("there is no real server {1} behind {0}")]
    NoSuchReal(VirtualKey, RealKey),
    /// `ENOENT`: neither built in nor loadable.
    #[error("the kernel has no scheduler {0}: module ip_vs_{0} cannot be loaded")]
    NoSuchScheduler(Scheduler),
    /// Any other refusal, or a fault of the socket.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Family(GenlError),
    #[error("the kernel's answer: {0}")]
    Decode(#[from] DecodeError),
}

impl IpvsError {
    /// What a refusal of this command means.
    pub(super) fn of(command: &Command, error: NetlinkError) -> Self {
        let errno = error.errno();
        match (command, errno) {
            (Command::AddVirtual(server), Some(libc::EEXIST)) => Self::VirtualExists(server.key),
            (Command::AddVirtual(server) | Command::SetVirtual(server), Some(libc::ENOENT)) => {
                Self::NoSuchScheduler(server.scheduler)
            }
            (Command::AddReal(key, real), Some(libc::EEXIST)) => Self::RealExists(*key, real.key),
            (Command::SetReal(key, RealServer { key: real, .. }), Some(libc::ENOENT))
            | (Command::DelReal(key, real), Some(libc::ENOENT)) => Self::NoSuchReal(*key, *real),
            (_, Some(libc::ESRCH)) => Self::NoSuchVirtual(command.key()),
            _ => Self::Netlink(error),
        }
    }
}

impl From<GenlError> for IpvsError {
    fn from(error: GenlError) -> Self {
        match error {
            GenlError::UnknownFamily(_) => Self::Unsupported,
            error @ GenlError::Netlink { .. } => Self::Family(error),
        }
    }
}
