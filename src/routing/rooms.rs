//! The host of the plan's words over the rooms of `crate::kernel`: translation, nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bfd;
use crate::bgp::speaker;
use crate::firewall::{Member, SetDef, set_definition, set_entry, set_member, set_type};
use crate::kernel::fou::{self, Fou, Payload, Ports};
use crate::kernel::ipset::{Existing, Ipset, Selector, SetName, Sets};
use crate::kernel::iptables::{Iptables, RuleTables, Saved, Table, TableEdits};
use crate::kernel::rtnl::{
    self, Change, Hop, Interfaces, Link, LinkKind, PathQuery, PathRoute, Rtnl, Rule,
};
use crate::kernel::sysctl::{self, Key, Parameters, Sysctl};
use crate::net::{ByFamily, Family};
use crate::routing::announced::Announced;
use crate::routing::change::{Bridge, CniFile};
use crate::routing::cni_file;
use crate::routing::kernel::{Fault, HeldRoads, HeldSet, Kernel, RouteEdit, Unsupported};
use crate::routing::plan::bgp::BgpPlan;
use crate::routing::plan::firewall::SETS;
use crate::routing::plan::host::BRIDGE;
use crate::routing::plan::overlay::{
    FouPort, HeldTunnel, PolicyRule, TABLE, TunnelName, TunnelPlan,
};
use crate::routing::plan::routes::{RouteKey, RoutePlan, Via};
use crate::routing::{PRIORITY, PROTOCOL};

/// A host made of one handle per room.
#[derive(Debug)]
pub struct RoomKernel<R, F, S, T, P> {
    pub rtnl: R,
    /// `None` where the kernel lacks the module.
    pub fou: Option<F>,
    /// The module may come later.
    pub open_fou: fn() -> Result<F, fou::Error>,
    pub ipset: S,
    /// `None` where the host has no iptables of the family.
    pub iptables: ByFamily<Option<T>>,
    pub sysctl: P,
    /// `None` where BGP is not spoken.
    pub speech: Option<Speech>,
    /// Links by name, as of the last look: one that is not there any more is looked up again.
    pub links: BTreeMap<Arc<str>, u32>,
}

/// Who says by BGP what is planned.
#[derive(Debug)]
pub struct Speech {
    pub speaker: speaker::io::Handle,
    pub bfd: bfd::io::Handle,
    /// What they were told last, by this kernel or the one before it.
    pub told: Arc<Mutex<Option<Arc<BgpPlan>>>>,
    pub announced: Arc<Announced>,
}

/// The host of the calling thread's network namespace.
pub type HostKernel = RoomKernel<Rtnl, Fou, Ipset, Iptables, Sysctl>;

/// The kernel can't be reached.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct OpenError {
    pub what: &'static str,
    pub source: Fault,
}

// === impl RoomKernel ===

impl HostKernel {
    /// Opens every room.
    ///
    /// # Errors
    /// Where the kernel refuses a socket; iptables missing for a family is found when rules of it
    /// are asked for.
    pub fn open(speech: Option<Speech>) -> Result<Self, OpenError> {
        let room = |what| move |source: Fault| OpenError { what, source };
        Ok(Self {
            rtnl: Rtnl::open()
                .map_err(Into::into)
                .map_err(room("rtnetlink"))?,
            fou: match Fou::open() {
                Ok(fou) => Some(fou),
                Err(fou::Error::Unsupported) => None,
                Err(error) => return Err(room("generic netlink")(error.into())),
            },
            open_fou: Fou::open,
            ipset: Ipset::open().map_err(Into::into).map_err(room("ipset"))?,
            iptables: ByFamily {
                v4: Iptables::open(Family::V4).ok(),
                v6: Iptables::open(Family::V6).ok(),
            },
            sysctl: Sysctl::new(),
            speech,
            links: BTreeMap::new(),
        })
    }

    /// The number of the socket that changes routes: [`follow`](crate::routing::follow) does not
    /// listen to it.
    ///
    /// # Errors
    /// Where there is no socket.
    pub fn port(&self) -> Result<u32, OpenError> {
        let port = self.rtnl.port().map_err(Into::into);
        port.map_err(|source| OpenError {
            what: "rtnetlink",
            source,
        })
    }
}

impl<R, F, S, T, P> Kernel for RoomKernel<R, F, S, T, P>
where
    R: Interfaces,
    F: Ports,
    S: Sets,
    T: RuleTables,
    P: Parameters,
{
    fn roads(&mut self) -> Result<HeldRoads, Fault> {
        let links = self.rtnl.links()?;
        self.links = links
            .iter()
            .map(|link| (Arc::from(link.name.as_str()), link.index))
            .collect();
        let names: BTreeMap<u32, Arc<str>> = self
            .links
            .iter()
            .map(|(name, index)| (*index, Arc::clone(name)))
            .collect();
        let routes = self.rtnl.paths(PathQuery::OURS)?;
        let rules = self.rtnl.rules()?.into_iter();
        Ok(HeldRoads {
            bridge: bridge(&links),
            tunnels: links.iter().filter_map(tunnel).collect(),
            routes: routes.iter().map(|route| read(route, &names)).collect(),
            rules: rules.filter_map(policy).collect(),
            fou: self.fou_ports()?,
        })
    }

    fn add_bridge(&mut self) -> Result<Bridge, Fault> {
        let link = self.rtnl.ensure_link(BRIDGE, &LinkKind::Bridge)?;
        self.links.insert(Arc::from(BRIDGE), link.index);
        Ok(Bridge {
            is_up: true,
            mtu: link.mtu,
            ports: 0,
        })
    }

    fn set_bridge_mtu(&mut self, mtu: u32) -> Result<(), Fault> {
        let link = self.existing(BRIDGE)?;
        self.change(Change::SetMtu { link, mtu })
    }

    fn del_bridge(&mut self) -> Result<(), Fault> {
        self.del_link(BRIDGE)
    }

    fn add_tunnel(&mut self, name: TunnelName, tunnel: &TunnelPlan) -> Result<(), Fault> {
        let (name, kind) = (name.to_string(), LinkKind::Tunnel(tunnel.object()));
        // One that is no tunnel is somebody's, and an error.
        let held = self.rtnl.link(&name)?.map(|held| held.kind);
        if held.is_some_and(|held| held != kind && matches!(held, LinkKind::Tunnel(_))) {
            self.del_link(&name)?;
        }
        match self.rtnl.ensure_link(&name, &kind) {
            Ok(link) => {
                self.links.insert(Arc::from(name), link.index);
                Ok(())
            }
            Err(error @ (rtnl::Error::NoSuchKind { .. } | rtnl::Error::NoEncap { .. })) => {
                Err(Unsupported(error.into()).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn del_tunnel(&mut self, name: TunnelName) -> Result<(), Fault> {
        self.del_link(&name.to_string())
    }

    fn edit_routes(&mut self, edits: &[RouteEdit]) -> Vec<Result<(), Fault>> {
        let mut verdicts = self.try_routes(edits);
        // Links may have come back under other numbers.
        let again: Vec<usize> = verdicts
            .iter()
            .enumerate()
            .filter(|(_, verdict)| verdict.is_err())
            .map(|(at, _)| at)
            .collect();
        if !again.is_empty() && self.look_at_links().is_ok_and(|moved| moved) {
            let edits: Vec<RouteEdit> = again
                .iter()
                .filter_map(|at| edits.get(*at).cloned())
                .collect();
            for (at, verdict) in again.into_iter().zip(self.try_routes(&edits)) {
                if let Some(slot) = verdicts.get_mut(at) {
                    *slot = verdict;
                }
            }
        }
        verdicts
    }

    fn add_rule(&mut self, rule: PolicyRule) -> Result<(), Fault> {
        self.change(Change::AddRule(Rule::from_pods(rule.from, PRIORITY)))
    }

    /// Whatever priority or maker it has.
    fn del_rule(&mut self, rule: PolicyRule) -> Result<(), Fault> {
        for held in self.rtnl.rules()? {
            if policy(held) == Some(rule) {
                self.change(Change::DelRule(held))?;
            }
        }
        Ok(())
    }

    fn add_fou(&mut self, port: FouPort) -> Result<(), Fault> {
        let FouPort { family, port } = port;
        self.change_fou(fou::Change::Add(fou::Port::gue(family, port)))
    }

    fn del_fou(&mut self, port: FouPort) -> Result<(), Fault> {
        let FouPort { family, port } = port;
        self.change_fou(fou::Change::Del(fou::Port::gue(family, port)))
    }

    fn sets(&mut self) -> Result<Vec<HeldSet>, Fault> {
        let mut held = Vec::new();
        for family in Family::ALL {
            for set in SETS {
                let name = set.kernel_name(family);
                for listed in self.ipset.list(&Selector::Prefix(name.clone()), true)? {
                    let definition = &listed.definition;
                    let is_ours = definition.name.as_str() == name
                        && set_type(set.kind) == definition.kind
                        && definition.family == family;
                    if is_ours {
                        let members = listed.entries.iter().filter_map(set_member).collect();
                        held.push(HeldSet {
                            set,
                            family,
                            members,
                        });
                    }
                }
            }
        }
        Ok(held)
    }

    fn create_set(&mut self, set: SetDef, family: Family, members: usize) -> Result<(), Fault> {
        let definition = set_definition(set, family, members)?;
        Ok(self.ipset.create(&definition)?)
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
                let tool = match family {
                    Family::V4 => "iptables",
                    Family::V6 => "ip6tables",
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

    fn bgp(&mut self) -> Option<Arc<BgpPlan>> {
        let told = self.speech.as_ref()?.told.lock();
        told.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_bgp(&mut self, plan: &Arc<BgpPlan>) -> Result<(), Fault> {
        let speech = self.speech.as_ref().ok_or("BGP is not spoken here")?;
        // Without a speaker to be nothing can be said: those that are there go on, and a note
        // says why.
        if let Some(desired) = &plan.speaker {
            speech.speaker.listen(plan.listen.clone());
            speech.speaker.set_desired(desired.clone());
            speech.bfd.set_desired(plan.bfd.clone());
        }
        let told = speech.told.lock();
        let mut told = told.unwrap_or_else(PoisonError::into_inner);
        speech.announced.count(told.as_deref(), plan);
        *told = Some(Arc::clone(plan));
        Ok(())
    }

    fn cni(&mut self, file: &Path) -> Result<CniFile, Fault> {
        Ok(cni_file::read(file)?)
    }

    fn withhold_cni(&mut self, file: &Path) -> Result<(), Fault> {
        Ok(cni_file::withhold(file)?)
    }

    fn write_cni(&mut self, file: &Path, text: &str) -> Result<(), Fault> {
        Ok(cni_file::write(file, text)?)
    }
}

impl<R: Interfaces, F, S, T, P> RoomKernel<R, F, S, T, P> {
    fn change(&mut self, change: Change) -> Result<(), Fault> {
        let verdicts = self.rtnl.change(&[change]);
        for verdict in verdicts {
            verdict?;
        }
        Ok(())
    }

    /// The index of a link; looked up where it is not known.
    fn existing(&mut self, name: &str) -> Result<u32, Fault> {
        if let Some(index) = self.links.get(name) {
            return Ok(*index);
        }
        let link = self.rtnl.link(name)?;
        let link = link.ok_or_else(|| rtnl::Error::NoLink(name.to_owned()))?;
        self.links.insert(Arc::from(name), link.index);
        Ok(link.index)
    }

    fn del_link(&mut self, name: &str) -> Result<(), Fault> {
        self.links.remove(name);
        if let Some(link) = self.rtnl.link(name)? {
            self.rtnl.delete_link(link.index)?;
        }
        Ok(())
    }

    /// Reads the links anew; whether one is known by another number now.
    fn look_at_links(&mut self) -> Result<bool, Fault> {
        let links = self.rtnl.links()?.into_iter();
        let links = links
            .map(|link| (Arc::from(link.name), link.index))
            .collect();
        let moved = links != self.links;
        self.links = links;
        Ok(moved)
    }

    fn try_routes(&mut self, edits: &[RouteEdit]) -> Vec<Result<(), Fault>> {
        let paths: Vec<Result<Change, Fault>> =
            edits.iter().map(|edit| self.path_change(edit)).collect();
        let changes: Vec<Change> = paths
            .iter()
            .filter_map(|path| path.as_ref().ok().cloned())
            .collect();
        let mut verdicts = self.rtnl.change(&changes).into_iter();
        paths
            .into_iter()
            .map(|path| {
                path?;
                match verdicts.next() {
                    Some(verdict) => verdict.map(drop).map_err(Into::into),
                    None => Err(rtnl::Error::NoVerdict.into()),
                }
            })
            .collect()
    }

    fn path_change(&mut self, edit: &RouteEdit) -> Result<Change, Fault> {
        match edit {
            RouteEdit::Set(key, route) => Ok(Change::ReplacePath(self.path(*key, route)?)),
            RouteEdit::Delete(key) => Ok(Change::DelPath(of_key(*key, Vec::new()))),
        }
    }

    fn path(&mut self, key: RouteKey, route: &RoutePlan) -> Result<PathRoute, Fault> {
        let mut hops = Vec::with_capacity(route.ways.len());
        for way in &route.ways {
            hops.push(match way {
                Via::Gateway { address, link } => Hop::via(*address, self.existing(link)?),
                Via::Tunnel(name) => Hop::through(self.existing(&name.to_string())?),
            });
        }
        let mut path = of_key(key, hops);
        path.source = route.source;
        Ok(path)
    }
}

impl<R, F: Ports, S, T, P> RoomKernel<R, F, S, T, P> {
    /// A kernel without the module has no ports either.
    fn fou_ports(&mut self) -> Result<BTreeSet<FouPort>, Fault> {
        let Some(fou) = &mut self.fou else {
            return Ok(BTreeSet::new());
        };
        let ports = fou.list()?.into_iter();
        let ports = ports.filter(|port| port.payload == Payload::Gue);
        let port = |port: fou::Port| FouPort {
            family: port.family,
            port: port.number,
        };
        Ok(ports.map(port).collect())
    }

    fn change_fou(&mut self, change: fou::Change) -> Result<(), Fault> {
        if self.fou.is_none() {
            let opened = (self.open_fou)();
            self.fou = Some(opened.map_err(|error| Unsupported(error.into()))?);
        }
        let Some(fou) = &mut self.fou else {
            return Ok(());
        };
        match fou.change(change) {
            Err(error @ fou::Error::Unsupported) => Err(Unsupported(error.into()).into()),
            verdict => Ok(verdict.map(drop)?),
        }
    }
}

fn of_key(key: RouteKey, hops: Vec<Hop>) -> PathRoute {
    let mut path = PathRoute::new(key.destination, hops);
    path.table = key.table;
    path.protocol = PROTOCOL;
    path.metric = Some(key.metric);
    path
}

fn bridge(links: &[Link]) -> Option<Bridge> {
    let bridge = links
        .iter()
        .find(|link| link.name == BRIDGE && link.kind == LinkKind::Bridge)?;
    let ports = links
        .iter()
        .filter(|link| link.master == Some(bridge.index));
    Some(Bridge {
        is_up: bridge.is_up,
        mtu: bridge.mtu,
        ports: ports.count(),
    })
}

fn tunnel(link: &Link) -> Option<(TunnelName, HeldTunnel)> {
    let name = TunnelName::read(&link.name)?;
    let LinkKind::Tunnel(tunnel) = &link.kind else {
        return None;
    };
    let held = HeldTunnel {
        ends: Some((tunnel.local, tunnel.remote)),
        plan: TunnelPlan::read(tunnel).filter(|_| link.is_up),
    };
    Some((name, held))
}

/// Rules that lead pods' packets to our table, whoever made them.
fn policy(rule: Rule) -> Option<PolicyRule> {
    let from = rule.source?;
    (rule.table == TABLE && rule.destination.is_none()).then_some(PolicyRule { from })
}

/// A route of the kernel in the plan's words. What no plan says comes out as a way that no plan has.
fn read(path: &PathRoute, names: &BTreeMap<u32, Arc<str>>) -> (RouteKey, Arc<RoutePlan>) {
    let unknown = |link: &Arc<str>| Via::Gateway {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        link: Arc::clone(link),
    };
    let nowhere: Arc<str> = Arc::from("");
    let way = |hop: &Hop| {
        let link = hop
            .link
            .and_then(|index| names.get(&index))
            .unwrap_or(&nowhere);
        if hop.weight != 1 || hop.onlink || path.mtu.is_some() {
            return unknown(link);
        }
        match (TunnelName::read(link), hop.gateway) {
            (Some(name), None) => Via::Tunnel(name),
            (_, Some(address)) => Via::Gateway {
                address,
                link: Arc::clone(link),
            },
            (None, None) => unknown(link),
        }
    };
    let default = match path.family() {
        Family::V4 => 0,
        Family::V6 => 1024,
    };
    let key = RouteKey {
        table: path.table,
        destination: path.destination,
        metric: path.metric.unwrap_or(default),
    };
    let ways: BTreeSet<Via> = path.next_hops.iter().map(way).collect();
    let route = RoutePlan {
        ways: ways.into_iter().collect(),
        source: path.source,
    };
    (key, Arc::new(route))
}
