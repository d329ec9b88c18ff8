//! What routing needs of a kernel and a host, in the words of its plan.
//!
//! [`HostKernel`](crate::routing::HostKernel) is the real one; tests bring a fake that keeps the
//! same promises.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use crate::firewall::{Member, SetDef};
use crate::kernel::iptables::object::{Saved, Table, TableEdits};
use crate::net::Family;
use crate::routing::change::{Bridge, CniFile};
use crate::routing::plan::bgp::BgpPlan;
use crate::routing::plan::overlay::{FouPort, HeldTunnel, PolicyRule, TunnelName, TunnelPlan};
use crate::routing::plan::routes::{RouteKey, RoutePlan};

/// Why a step did not work, as the room below said it.
pub type Fault = Box<dyn Error + Send + Sync>;

/// The kernel can't do it at all, whatever is asked for: said once, not for every object.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Unsupported(pub Fault);

/// A set of ours with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSet {
    pub set: SetDef,
    pub family: Family,
    pub members: Vec<Member>,
}

/// Links, routes and rules of ours, read in one go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldRoads {
    pub bridge: Option<Bridge>,
    pub tunnels: BTreeMap<TunnelName, HeldTunnel>,
    /// Known by their protocol number.
    pub routes: BTreeMap<RouteKey, Arc<RoutePlan>>,
    /// Rules that lead to our table.
    pub rules: BTreeSet<PolicyRule>,
    /// All GUE ports of the host, whose ever they are.
    pub fou: BTreeSet<FouPort>,
}

/// One change of the kernel's routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteEdit {
    /// In one step, whatever was there before.
    Set(RouteKey, Arc<RoutePlan>),
    Delete(RouteKey),
}

/// Reads and steps. Adding what is there and removing what is gone succeed; batches give one
/// verdict per element.
pub trait Kernel {
    /// # Errors
    /// Each call fails as the kernel does.
    fn roads(&mut self) -> Result<HeldRoads, Fault>;
    fn add_bridge(&mut self) -> Result<Bridge, Fault>;
    fn set_bridge_mtu(&mut self, mtu: u32) -> Result<(), Fault>;
    fn del_bridge(&mut self) -> Result<(), Fault>;
    /// Created anew where a link of this name is there; switched on.
    ///
    /// # Errors
    /// [`Unsupported`] where the kernel lacks such tunnels.
    fn add_tunnel(&mut self, name: TunnelName, tunnel: &TunnelPlan) -> Result<(), Fault>;
    fn del_tunnel(&mut self, name: TunnelName) -> Result<(), Fault>;
    fn edit_routes(&mut self, edits: &[RouteEdit]) -> Vec<Result<(), Fault>>;
    fn add_rule(&mut self, rule: PolicyRule) -> Result<(), Fault>;
    fn del_rule(&mut self, rule: PolicyRule) -> Result<(), Fault>;
    /// # Errors
    /// [`Unsupported`] where the kernel lacks the module.
    fn add_fou(&mut self, port: FouPort) -> Result<(), Fault>;
    fn del_fou(&mut self, port: FouPort) -> Result<(), Fault>;

    /// The sets of ours that exist with the right type.
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

    /// What BGP was told to say, if it was.
    fn bgp(&mut self) -> Option<Arc<BgpPlan>>;
    /// Tells speaker, listeners and BFD.
    fn set_bgp(&mut self, plan: &Arc<BgpPlan>) -> Result<(), Fault>;

    /// The file and the one that it was put aside as.
    fn cni(&mut self, file: &Path) -> Result<CniFile, Fault>;
    /// Renames it, so that no runtime takes it for a configuration.
    fn withhold_cni(&mut self, file: &Path) -> Result<(), Fault>;
    /// In one step, readable for all; forgets the one put aside.
    fn write_cni(&mut self, file: &Path, text: &str) -> Result<(), Fault>;
}
