//! A host in memory that keeps the promises of the real one: a link takes its routes along, no two
//! tunnels have the same ends, a set in use stays.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::firewall::{Member, SetDef};
use crate::kernel::iptables::object::{Saved, Table, TableEdits};
use crate::kernel::iptables::{FakeIptables, RuleTables};
use crate::kernel::rtnl::object::TABLE_MAIN;
use crate::net::{ByFamily, Family, Prefix};
use crate::routing::change::{Bridge, CniFile};
use crate::routing::plan::bgp::BgpPlan;
use crate::routing::plan::overlay::{FouPort, HeldTunnel, PolicyRule, TunnelName, TunnelPlan};
use crate::routing::plan::routes::{RouteKey, RoutePlan, Via};
use crate::routing::{Fault, HeldRoads, HeldSet, Kernel, RouteEdit, Unsupported};

#[derive(Debug)]
pub(super) struct FakeHost {
    pub(super) roads: HeldRoads,
    pub(super) sets: BTreeMap<(SetDef, Family), BTreeSet<Member>>,
    pub(super) rules: ByFamily<FakeIptables>,
    pub(super) sysctls: BTreeMap<String, String>,
    pub(super) files: BTreeMap<PathBuf, String>,
    /// The kernel has no tunnels of this family.
    pub(super) no_tunnels: Option<Family>,
    /// Prefixes that the kernel takes no route to.
    pub(super) refused: BTreeSet<Prefix>,
    /// No iptables can be run.
    pub(super) no_rules: bool,
    /// What BGP was told, in order.
    pub(super) told: Vec<Arc<BgpPlan>>,
}

impl FakeHost {
    /// As after a boot.
    pub(super) fn new() -> Self {
        let sysctls = [
            ("net/ipv4/ip_forward", "0"),
            ("net/ipv4/conf/all/rp_filter", "1"),
            ("net/bridge/bridge-nf-call-iptables", "1"),
            ("net/ipv6/conf/all/disable_ipv6", "0"),
            ("net/ipv6/conf/eth0/accept_ra", "1"),
            ("net/ipv6/conf/all/forwarding", "0"),
            ("net/bridge/bridge-nf-call-ip6tables", "0"),
        ];
        Self {
            roads: HeldRoads::default(),
            sets: BTreeMap::new(),
            rules: ByFamily {
                v4: FakeIptables::new(),
                v6: FakeIptables::new(),
            },
            sysctls: sysctls
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            files: BTreeMap::new(),
            no_tunnels: None,
            refused: BTreeSet::new(),
            no_rules: false,
            told: Vec::new(),
        }
    }

    /// Destinations of the main table.
    pub(super) fn destinations(&self) -> Vec<String> {
        let routes = self.roads.routes.keys();
        routes
            .filter(|key| key.table == TABLE_MAIN)
            .map(|key| key.destination.to_string())
            .collect()
    }

    fn withheld(file: &Path) -> PathBuf {
        PathBuf::from(format!("{}.withheld", file.display()))
    }

    fn set_route(&mut self, key: RouteKey, route: &Arc<RoutePlan>) -> Result<(), Fault> {
        if self.refused.contains(&key.destination) {
            return Err("network is unreachable".into());
        }
        for way in &route.ways {
            if let Via::Tunnel(name) = way
                && !self.roads.tunnels.contains_key(name)
            {
                return Err(format!("no link {name}").into());
            }
        }
        self.roads.routes.insert(key, Arc::clone(route));
        Ok(())
    }
}

impl Kernel for FakeHost {
    fn roads(&mut self) -> Result<HeldRoads, Fault> {
        Ok(self.roads.clone())
    }

    fn add_bridge(&mut self) -> Result<Bridge, Fault> {
        let bridge = Bridge {
            is_up: true,
            mtu: 1500,
            ports: 0,
        };
        self.roads.bridge.get_or_insert(bridge).is_up = true;
        Ok(bridge)
    }

    fn set_bridge_mtu(&mut self, mtu: u32) -> Result<(), Fault> {
        self.roads.bridge.as_mut().ok_or("no link kube-bridge")?.mtu = mtu;
        Ok(())
    }

    fn del_bridge(&mut self) -> Result<(), Fault> {
        self.roads.bridge = None;
        Ok(())
    }

    fn add_tunnel(&mut self, name: TunnelName, tunnel: &TunnelPlan) -> Result<(), Fault> {
        if self.no_tunnels == Some(tunnel.family()) {
            return Err(Unsupported("this kernel has no such links".into()).into());
        }
        self.del_tunnel(name)?;
        let wanted = HeldTunnel::of(*tunnel);
        let mut held = self.roads.tunnels.values();
        if held.any(|held| held.ends == wanted.ends) {
            return Err("another link has these ends".into());
        }
        self.roads.tunnels.insert(name, wanted);
        Ok(())
    }

    fn del_tunnel(&mut self, name: TunnelName) -> Result<(), Fault> {
        self.roads.tunnels.remove(&name);
        let by = |way: &Via| *way == Via::Tunnel(name);
        self.roads
            .routes
            .retain(|_, route| !route.ways.iter().any(by));
        Ok(())
    }

    fn edit_routes(&mut self, edits: &[RouteEdit]) -> Vec<Result<(), Fault>> {
        edits
            .iter()
            .map(|edit| match edit {
                RouteEdit::Set(key, route) => self.set_route(*key, route),
                RouteEdit::Delete(key) => {
                    self.roads.routes.remove(key);
                    Ok(())
                }
            })
            .collect()
    }

    fn add_rule(&mut self, rule: PolicyRule) -> Result<(), Fault> {
        self.roads.rules.insert(rule);
        Ok(())
    }

    fn del_rule(&mut self, rule: PolicyRule) -> Result<(), Fault> {
        self.roads.rules.remove(&rule);
        Ok(())
    }

    fn add_fou(&mut self, port: FouPort) -> Result<(), Fault> {
        self.roads.fou.insert(port);
        Ok(())
    }

    fn del_fou(&mut self, port: FouPort) -> Result<(), Fault> {
        self.roads.fou.remove(&port);
        Ok(())
    }

    fn sets(&mut self) -> Result<Vec<HeldSet>, Fault> {
        let sets = self.sets.iter().map(|((set, family), members)| HeldSet {
            set: *set,
            family: *family,
            members: members.iter().copied().collect(),
        });
        Ok(sets.collect())
    }

    fn create_set(&mut self, set: SetDef, family: Family, _: usize) -> Result<(), Fault> {
        self.sets.entry((set, family)).or_default();
        Ok(())
    }

    fn destroy_set(&mut self, set: SetDef, family: Family) -> Result<(), Fault> {
        let name = set.kernel_name(family);
        let tables = &self.rules.get(family).tables;
        let mut rules = tables
            .values()
            .flat_map(|table| table.chains.values().flat_map(|chain| &chain.rules));
        if rules.any(|rule| rule.text.contains(&name)) {
            return Err(format!("{name} is in use").into());
        }
        self.sets.remove(&(set, family));
        Ok(())
    }

    fn add_members(
        &mut self,
        set: SetDef,
        family: Family,
        members: &[Member],
    ) -> Result<(), Fault> {
        let held = self.sets.get_mut(&(set, family)).ok_or("no such set")?;
        held.extend(members);
        Ok(())
    }

    fn del_members(
        &mut self,
        set: SetDef,
        family: Family,
        members: &[Member],
    ) -> Result<(), Fault> {
        let held = self.sets.get_mut(&(set, family)).ok_or("no such set")?;
        held.retain(|member| !members.contains(member));
        Ok(())
    }

    fn rules(&mut self, family: Family) -> Result<Option<BTreeMap<Table, Saved>>, Fault> {
        let tables = [Table::Nat, Table::Filter];
        let rules = self.rules.get_mut(family);
        let saved = tables.map(|table| Ok((table, rules.save(table)?)));
        Ok(Some(saved.into_iter().collect::<Result<_, Fault>>()?))
    }

    fn apply_rules(&mut self, family: Family, edits: &[TableEdits]) -> Result<(), Fault> {
        if self.no_rules {
            return Err("iptables is not installed".into());
        }
        Ok(self.rules.get_mut(family).restore(edits)?)
    }

    fn sysctl(&mut self, key: &str) -> Result<Option<String>, Fault> {
        Ok(self.sysctls.get(key).cloned())
    }

    fn set_sysctl(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        self.sysctls.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    fn bgp(&mut self) -> Option<Arc<BgpPlan>> {
        self.told.last().cloned()
    }

    fn set_bgp(&mut self, plan: &Arc<BgpPlan>) -> Result<(), Fault> {
        self.told.push(Arc::clone(plan));
        Ok(())
    }

    fn cni(&mut self, file: &Path) -> Result<CniFile, Fault> {
        Ok(CniFile {
            text: self.files.get(file).cloned(),
            withheld: self.files.get(&Self::withheld(file)).cloned(),
        })
    }

    fn withhold_cni(&mut self, file: &Path) -> Result<(), Fault> {
        let text = self.files.remove(file).ok_or("no such file")?;
        self.files.insert(Self::withheld(file), text);
        Ok(())
    }

    fn write_cni(&mut self, file: &Path, text: &str) -> Result<(), Fault> {
        self.files.insert(file.to_owned(), text.to_owned());
        self.files.remove(&Self::withheld(file));
        Ok(())
    }
}
