//! The kernel of the plan's words over the rooms of `crate::kernel`: translation, nothing else.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::config::IpvsTimeouts;
use crate::firewall::{
    Member, Name, SERVED, SetDef, set_definition, set_entry, set_member, set_type,
};
use crate::kernel::conntrack::{Conntrack, FlowFilter, Flows};
use crate::kernel::ipset::{self, Existing, Ipset, Selector, SetName, Sets};
use crate::kernel::iptables::{Iptables, RuleTables, Saved, Table, TableEdits};
use crate::kernel::ipvs::object::{Command, Timeouts, VirtualKey, VirtualTable};
use crate::kernel::ipvs::{self, Ipvs, IpvsError};
use crate::kernel::rtnl::object::TABLE_LOCAL;
use crate::kernel::rtnl::{Interfaces, LinkKind, RouteQuery, Rtnl};
use crate::kernel::sysctl::{self, Key, Parameters, Sysctl};
use crate::net::{ByFamily, Family};
use crate::proxy::kernel::{Fault, HeldSet, Kernel};
use crate::proxy::plan::Vip;
use crate::proxy::plan::firewall::SETS;
use crate::proxy::plan::host::DUMMY_LINK;

/// A kernel made of one handle per room.
#[derive(Debug)]
pub struct RoomKernel<I, R, S, T, P, F> {
    pub ipvs: I,
    pub rtnl: R,
    pub ipset: S,
    /// `None` where the host has no iptables of the family.
    pub iptables: ByFamily<Option<T>>,
    pub sysctl: P,
    pub conntrack: F,
}

/// The kernel of the calling thread's network namespace.
pub type HostKernel = RoomKernel<Ipvs, Rtnl, Ipset, Iptables, Sysctl, Conntrack>;

/// The kernel can't be reached.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Ipvs(IpvsError),
    #[error("{what}: {source}")]
    Room { what: &'static str, source: Fault },
}

// === impl OpenError ===

impl OpenError {
    /// The kernel has no IPVS at all: starting again will not help.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Ipvs(IpvsError::Unsupported))
    }
}

// === impl RoomKernel ===

impl HostKernel {
    /// Opens every room.
    ///
    /// # Errors
    /// Where the kernel lacks IPVS or refuses a socket; iptables missing for a family is found
    /// when rules of it are asked for.
    pub fn open() -> Result<Self, OpenError> {
        let room = |what| move |source: Fault| OpenError::Room { what, source };
        Ok(Self {
            ipvs: Ipvs::open().map_err(OpenError::Ipvs)?,
            rtnl: Rtnl::open()
                .map_err(Into::into)
                .map_err(room("rtnetlink"))?,
            ipset: Ipset::open().map_err(Into::into).map_err(room("ipset"))?,
            iptables: ByFamily {
                v4: Iptables::open(Family::V4).ok(),
                v6: Iptables::open(Family::V6).ok(),
            },
            sysctl: Sysctl::new(),
            conntrack: Conntrack::open()
                .map_err(Into::into)
                .map_err(room("conntrack"))?,
        })
    }
}

impl<I, R, S, T, P, F> Kernel for RoomKernel<I, R, S, T, P, F>
where
    I: ipvs::Table,
    R: Interfaces,
    S: Sets,
    T: RuleTables,
    P: Parameters,
    F: Flows,
{
    fn virtuals(&mut self) -> Result<Vec<VirtualTable>, Fault> {
        Ok(self.ipvs.observe()?)
    }

    fn has_virtual(&mut self, key: &VirtualKey) -> Result<bool, Fault> {
        Ok(self.ipvs.virtual_server(key)?.is_some())
    }

    fn ipvs(&mut self, commands: &[Command]) -> Vec<Result<(), Fault>> {
        let verdicts = self.ipvs.apply(commands);
        let pairs = commands.iter().zip(verdicts);
        pairs
            .map(|(command, verdict)| self.second_try(command, verdict))
            .collect()
    }

    fn timeouts(&mut self) -> Result<IpvsTimeouts, Fault> {
        let Timeouts { tcp, tcp_fin, udp } = self.ipvs.timeouts()?;
        Ok(IpvsTimeouts { tcp, tcp_fin, udp })
    }

    fn set_timeouts(&mut self, timeouts: IpvsTimeouts) -> Result<(), Fault> {
        let IpvsTimeouts { tcp, tcp_fin, udp } = timeouts;
        Ok(self.ipvs.set_timeouts(&Timeouts { tcp, tcp_fin, udp })?)
    }

    fn link(&mut self) -> Result<Option<(u32, bool)>, Fault> {
        Ok(self
            .rtnl
            .link(DUMMY_LINK)?
            .map(|link| (link.index, link.is_up)))
    }

    fn add_link(&mut self) -> Result<(u32, bool), Fault> {
        let link = self.rtnl.ensure_link(DUMMY_LINK, &LinkKind::Dummy)?;
        Ok((link.index, true))
    }

    fn del_link(&mut self, index: u32) -> Result<(), Fault> {
        self.rtnl.delete_link(index)?;
        Ok(())
    }

    fn vips(&mut self, link: u32) -> Result<BTreeMap<IpAddr, Vip>, Fault> {
        let mut vips = BTreeMap::new();
        for address in self.rtnl.addresses(Some(link))? {
            let is_host = address.prefix.prefix_len() == address.prefix.max_prefix_len();
            if is_host {
                vips.insert(address.prefix.addr(), Vip { source: None });
            }
        }
        let mut routes: BTreeMap<IpAddr, Vec<Option<IpAddr>>> = BTreeMap::new();
        let query = RouteQuery {
            table: Some(TABLE_LOCAL),
            link: Some(link),
            ..RouteQuery::default()
        };
        for route in self.rtnl.routes(query)? {
            routes
                .entry(route.destination.addr())
                .or_default()
                .push(route.source);
        }
        for (address, vip) in &mut vips {
            // A second route with another source would be chosen by chance: not right.
            vip.source = match routes.get(address).map(Vec::as_slice) {
                Some([source]) => *source,
                _ => None,
            };
        }
        Ok(vips)
    }

    fn add_vips(&mut self, link: u32, vips: &[(IpAddr, IpAddr)]) -> Vec<Result<(), Fault>> {
        let verdicts = self.rtnl.add_vips(link, vips);
        verdicts
            .into_iter()
            .map(|verdict| verdict.map(drop).map_err(Into::into))
            .collect()
    }

    fn del_vips(&mut self, link: u32, vips: &[IpAddr]) -> Vec<Result<(), Fault>> {
        let verdicts = self.rtnl.remove_vips(link, vips);
        let gone = |verdict: Result<_, crate::kernel::rtnl::Error>| match verdict {
            Err(error) if !error.is_link_gone() => Err(error.into()),
            _ => Ok(()),
        };
        verdicts.into_iter().map(gone).collect()
    }

    fn sets(&mut self) -> Result<Vec<HeldSet>, Fault> {
        let mut held = Vec::new();
        for family in Family::ALL {
            let prefix = SetDef {
                name: Name::of("kube-router-"),
                ..SETS[0]
            }
            .kernel_name(family);
            for listed in self.ipset.list(&Selector::Prefix(prefix), true)? {
                let definition = &listed.definition;
                let known = SETS.iter().find(|set| {
                    set.kernel_name(family) == definition.name.as_str()
                        && set_type(set.kind) == definition.kind
                        && definition.family == family
                });
                let Some(set) = known else { continue };
                let members = listed.entries.iter().filter_map(set_member).collect();
                held.push(HeldSet {
                    set: *set,
                    family,
                    members,
                });
            }
        }
        Ok(held)
    }

    fn create_set(&mut self, set: SetDef, family: Family, members: usize) -> Result<(), Fault> {
        let definition = set_definition(set, family, members)?;
        let created = self.ipset.create(&definition);
        // Network policy reads the set of what is served, and makes it where it came first.
        if set == SERVED && matches!(created, Err(ipset::Error::Exists(_))) {
            let name = Selector::Name(definition.name);
            let held = self.ipset.list(&name, false)?;
            let mut held = held.iter().map(|listed| &listed.definition);
            if held.any(|held| (held.kind, held.family) == (definition.kind, definition.family)) {
                return Ok(());
            }
        }
        Ok(created?)
    }

    fn destroy_set(&mut self, set: SetDef, family: Family) -> Result<(), Fault> {
        Ok(self
            .ipset
            .destroy(&SetName::new(set.kernel_name(family))?)?)
    }

    fn add_members(
        &mut self,
        set: SetDef,
        family: Family,
        members: &[Member],
    ) -> Result<(), Fault> {
        let entries: Vec<_> = members.iter().map(set_entry).collect();
        let name = SetName::new(set.kernel_name(family))?;
        Ok(self.ipset.add(&name, &entries, Existing::Ignored)?)
    }

    fn del_members(
        &mut self,
        set: SetDef,
        family: Family,
        members: &[Member],
    ) -> Result<(), Fault> {
        let entries: Vec<_> = members.iter().map(set_entry).collect();
        let name = SetName::new(set.kernel_name(family))?;
        Ok(self.ipset.del(&name, &entries, Existing::Ignored)?)
    }

    fn rules(&mut self, family: Family) -> Result<Option<BTreeMap<Table, Saved>>, Fault> {
        let Some(iptables) = self.iptables.get_mut(family) else {
            return Ok(None);
        };
        let mut tables = BTreeMap::new();
        for table in [Table::Nat, Table::Filter] {
            tables.insert(table, iptables.save(table)?);
        }
        Ok(Some(tables))
    }

    fn apply_rules(&mut self, family: Family, edits: &[TableEdits]) -> Result<(), Fault> {
        match self.iptables.get_mut(family) {
            Some(iptables) => Ok(iptables.restore(edits)?),
            None => {
                let tool = if family == Family::V4 {
                    "iptables"
                } else {
                    "ip6tables"
                };
                Err(format!("{tool} is not installed: install the package iptables").into())
            }
        }
    }

    fn sysctl(&mut self, key: &str) -> Result<Option<String>, Fault> {
        match self.sysctl.read(&Key::new(key)?) {
            Ok(value) => Ok(Some(value)),
            Err(sysctl::Error::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn set_sysctl(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        Ok(self.sysctl.write(&Key::new(key)?, value)?)
    }

    fn delete_flows(&mut self, filters: &[FlowFilter]) -> Result<(), Fault> {
        self.conntrack.delete(filters)?;
        Ok(())
    }
}

impl<I: ipvs::Table, R, S, T, P, F> RoomKernel<I, R, S, T, P, F> {
    /// What is there as wanted, or gone as wanted, is no failure; a real server that is there
    /// otherwise than believed is set right at once.
    fn second_try(
        &mut self,
        command: &Command,
        verdict: Result<(), IpvsError>,
    ) -> Result<(), Fault> {
        let other = match (command, &verdict) {
            (Command::AddReal(key, real), Err(IpvsError::RealExists(..))) => {
                Command::SetReal(*key, *real)
            }
            (Command::SetReal(key, real), Err(IpvsError::NoSuchReal(..))) => {
                Command::AddReal(*key, *real)
            }
            (Command::DelVirtual(_) | Command::DelReal(..), Err(IpvsError::NoSuchVirtual(_)))
            | (Command::DelReal(..), Err(IpvsError::NoSuchReal(..))) => return Ok(()),
            _ => return verdict.map_err(Into::into),
        };
        let again = self.ipvs.apply(&[other]);
        again
            .into_iter()
            .next()
            .unwrap_or(Ok(()))
            .map_err(Into::into)
    }
}
