//! A table in memory that answers as the kernel does, for tests of its users.
//!
//! Modelled, and each held against the real kernel in `tests/ipvs_kernel.rs`: what exists cannot
//! be added, what is missing can neither be set nor deleted, a deleted virtual server takes its
//! real servers along, setting a virtual server keeps them, and a timeout of 0 changes nothing.

use std::collections::BTreeMap;

use super::error::IpvsError;
use super::handle::Table;
use super::object::{
    Command, RealKey, RealServer, Timeouts, VirtualKey, VirtualServer, VirtualTable,
};

/// IPVS without a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeIpvs {
    table: BTreeMap<VirtualKey, (VirtualServer, BTreeMap<RealKey, RealServer>)>,
    timeouts: Timeouts,
    applied: Vec<Command>,
}

impl Default for FakeIpvs {
    fn default() -> Self {
        Self {
            table: BTreeMap::new(),
            timeouts: Timeouts {
                tcp: 900,
                tcp_fin: 120,
                udp: 300,
            },
            applied: Vec::new(),
        }
    }
}

impl FakeIpvs {
    /// A fake that holds this already.
    #[must_use]
    pub fn with(tables: &[VirtualTable]) -> Self {
        let mut fake = Self::default();
        for table in tables {
            let reals = table.reals.iter().map(|real| (real.key, *real)).collect();
            fake.table.insert(table.server.key, (table.server, reals));
        }
        fake
    }

    /// Every command so far, refused ones too, in order.
    #[must_use]
    pub fn applied(&self) -> &[Command] {
        &self.applied
    }

    /// Forgets [`Self::applied`], to count what comes next.
    pub fn clear_applied(&mut self) {
        self.applied.clear();
    }

    fn apply_one(&mut self, command: &Command) -> Result<(), IpvsError> {
        let key = command.key();
        match (command, self.table.get_mut(&key)) {
            (Command::AddVirtual(server), None) => {
                self.table.insert(key, (*server, BTreeMap::new()));
            }
            (Command::AddVirtual(_), Some(_)) => return Err(IpvsError::VirtualExists(key)),
            (_, None) => return Err(IpvsError::NoSuchVirtual(key)),
            (Command::SetVirtual(server), Some((old, _))) => *old = *server,
            (Command::DelVirtual(_), Some(_)) => {
                self.table.remove(&key);
            }
            (Command::AddReal(_, real), Some((_, reals))) => {
                if reals.contains_key(&real.key) {
                    return Err(IpvsError::RealExists(key, real.key));
                }
                reals.insert(real.key, *real);
            }
            (Command::SetReal(_, real), Some((_, reals))) => match reals.get_mut(&real.key) {
                Some(old) => *old = *real,
                None => return Err(IpvsError::NoSuchReal(key, real.key)),
            },
            (Command::DelReal(_, real), Some((_, reals))) => {
                reals
                    .remove(real)
                    .ok_or(IpvsError::NoSuchReal(key, *real))?;
            }
        }
        Ok(())
    }
}

impl Table for FakeIpvs {
    fn apply(&mut self, commands: &[Command]) -> Vec<Result<(), IpvsError>> {
        self.applied.extend_from_slice(commands);
        commands
            .iter()
            .map(|command| self.apply_one(command))
            .collect()
    }

    fn observe(&mut self) -> Result<Vec<VirtualTable>, IpvsError> {
        let bare = |real: &RealServer| RealServer {
            upper_threshold: 0,
            lower_threshold: 0,
            ..*real
        };
        let tables = self.table.values();
        Ok(tables
            .map(|(server, reals)| VirtualTable::new(*server, reals.values().map(bare).collect()))
            .collect())
    }

    fn timeouts(&mut self) -> Result<Timeouts, IpvsError> {
        Ok(self.timeouts)
    }

    fn virtual_server(&mut self, key: &VirtualKey) -> Result<Option<VirtualServer>, IpvsError> {
        Ok(self.table.get(key).map(|(server, _)| *server))
    }

    fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), IpvsError> {
        let keep = |new: u32, old: u32| if new == 0 { old } else { new };
        self.timeouts = Timeouts {
            tcp: keep(timeouts.tcp, self.timeouts.tcp),
            tcp_fin: keep(timeouts.tcp_fin, self.timeouts.tcp_fin),
            udp: keep(timeouts.udp, self.timeouts.udp),
        };
        Ok(())
    }
}
