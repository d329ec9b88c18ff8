//! What the proxy needs of a kernel, in the words of its plan.
//!
//! [`HostKernel`](crate::proxy::HostKernel) is the real one; tests bring a fake that keeps the
//! same promises.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::IpAddr;

use crate::config::IpvsTimeouts;
use crate::firewall::{Member, SetDef};
use crate::kernel::conntrack::object::FlowFilter;
use crate::kernel::iptables::object::{Saved, Table, TableEdits};
use crate::kernel::ipvs::object::{Command, VirtualKey, VirtualTable};
use crate::net::Family;
use crate::proxy::plan::Vip;

/// Why a step did not work, as the room below said it.
pub type Fault = Box<dyn Error + Send + Sync>;

/// A set of ours with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSet {
    pub set: SetDef,
    pub family: Family,
    pub members: Vec<Member>,
}

/// Reads and steps. Adding what is there and removing what is gone succeed; batches give one
/// verdict per element.
pub trait Kernel {
    /// # Errors
    /// Each call fails as the kernel does.
    fn virtuals(&mut self) -> Result<Vec<VirtualTable>, Fault>;
    /// Whether a virtual server is there: one request, for a look in between.
    fn has_virtual(&mut self, key: &VirtualKey) -> Result<bool, Fault>;
    fn ipvs(&mut self, commands: &[Command]) -> Vec<Result<(), Fault>>;
    fn timeouts(&mut self) -> Result<IpvsTimeouts, Fault>;
    fn set_timeouts(&mut self, timeouts: IpvsTimeouts) -> Result<(), Fault>;

    /// Index of the dummy link and whether it is up.
    fn link(&mut self) -> Result<Option<(u32, bool)>, Fault>;
    fn add_link(&mut self) -> Result<(u32, bool), Fault>;
    fn del_link(&mut self, index: u32) -> Result<(), Fault>;
    fn vips(&mut self, link: u32) -> Result<BTreeMap<IpAddr, Vip>, Fault>;
    fn add_vips(&mut self, link: u32, vips: &[(IpAddr, IpAddr)]) -> Vec<Result<(), Fault>>;
    fn del_vips(&mut self, link: u32, vips: &[IpAddr]) -> Vec<Result<(), Fault>>;

    /// The sets of ours that exist with the right type; one with another type is destroyed by
    /// nobody and makes `create_set` fail.
    fn sets(&mut self) -> Result<Vec<HeldSet>, Fault>;
    fn create_set(&mut self, set: SetDef, family: Family, members: usize) -> Result<(), Fault>;
    fn destroy_set(&mut self, set: SetDef, family: Family) -> Result<(), Fault>;
    fn add_members(&mut self, set: SetDef, family: Family, members: &[Member])
    -> Result<(), Fault>;
    fn del_members(&mut self, set: SetDef, family: Family, members: &[Member])
    -> Result<(), Fault>;

    /// `None` where this host has no iptables for the family.
    fn rules(&mut self, family: Family) -> Result<Option<BTreeMap<Table, Saved>>, Fault>;
    fn apply_rules(&mut self, family: Family, edits: &[TableEdits]) -> Result<(), Fault>;

    /// `None` where the kernel has no such setting.
    fn sysctl(&mut self, key: &str) -> Result<Option<String>, Fault>;
    fn set_sysctl(&mut self, key: &str, value: &str) -> Result<(), Fault>;

    fn delete_flows(&mut self, filters: &[FlowFilter]) -> Result<(), Fault>;
}
