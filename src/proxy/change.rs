//! The ordered steps from what the kernel holds to what is planned. Pure.
//!
//! The order protects: an address is guarded by the firewall before anything can be sent to it,
//! IPVS takes a port before the firewall opens it, and both are undone in reverse. So no port of
//! the node itself is reachable through a Service's address, from the first packet to the last.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::IpvsTimeouts;
use crate::delta::{Edit, edits};
use crate::firewall::{
    Member, SetDef, is_proxy_chain, no_rules, own_rules, saved_rules, set_type_name,
};
use crate::kernel::conntrack::object::FlowFilter;
use crate::kernel::iptables::object::{Saved, Table, TableEdits, parse};
use crate::kernel::ipvs::object::{Command, VirtualKey, VirtualTable};
use crate::net::{ByFamily, Family, Protocol};
use crate::proxy::plan::firewall::{LIMITED, SVIP, SVIP_PORT};
use crate::proxy::plan::host::{DUMMY_LINK, Wanted};
use crate::proxy::plan::{Plan, Vip};
use crate::reconcile::Scope;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    SetTimeouts(IpvsTimeouts),
    SetSysctl {
        key: String,
        value: &'static str,
        was: String,
    },
    /// Creates the dummy link or sets it up.
    AddLink,
    /// Sized for this many members.
    CreateSet {
        set: SetDef,
        family: Family,
        members: usize,
    },
    ApplyRules {
        family: Family,
        edits: Vec<TableEdits>,
    },
    AddMember(SetDef, Member),
    DelMember(SetDef, Member),
    Ipvs(Command),
    AddVip(IpAddr, Vip),
    DelVip(IpAddr),
    DeleteFlows(FlowFilter),
    DestroySet {
        set: SetDef,
        family: Family,
    },
    DelLink,
}

/// What the kernel is believed to hold of ours.
#[derive(Debug, Default)]
pub struct Observed {
    pub virtuals: BTreeMap<VirtualKey, Arc<VirtualTable>>,
    pub vips: BTreeMap<IpAddr, Vip>,
    pub members: BTreeMap<(SetDef, Member), ()>,
    pub sets: BTreeSet<(SetDef, Family)>,
    /// The dummy link's index and whether it is up.
    pub link: Option<(u32, bool)>,
    /// What `iptables-save` printed; `None` where the family has no iptables.
    pub rules: ByFamily<Option<BTreeMap<Table, Saved>>>,
    /// Values under `/proc/sys`; `None` where the kernel has no such setting.
    pub sysctls: BTreeMap<String, Option<String>>,
    pub timeouts: IpvsTimeouts,
    /// Virtual servers that are not ours.
    pub foreign: usize,
}

// === impl Change ===

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetTimeouts(t) => write!(f, "ipvsadm --set {} {} {}", t.tcp, t.tcp_fin, t.udp),
            Self::SetSysctl { key, value, was } => {
                write!(f, "sysctl -w {}={value} (was {was})", key.replace('/', "."))
            }
            Self::AddLink => {
                write!(
                    f,
                    "ip link add {DUMMY_LINK} type dummy; ip link set {DUMMY_LINK} up"
                )
            }
            Self::CreateSet { set, family, .. } => write!(
                f,
                "ipset create {} {} family {}",
                set.kernel_name(*family),
                set_type_name(set.kind),
                if *family == Family::V4 {
                    "inet"
                } else {
                    "inet6"
                }
            ),
            Self::ApplyRules { family, edits } => write_rules(f, *family, edits),
            Self::AddMember(set, member) => {
                write!(f, "ipset add {} {member}", set.kernel_name(member.family()))
            }
            Self::DelMember(set, member) => {
                write!(f, "ipset del {} {member}", set.kernel_name(member.family()))
            }
            Self::Ipvs(command) => write!(f, "ipvsadm {command}"),
            Self::AddVip(address, vip) => write_vip(f, *address, *vip),
            Self::DelVip(address) => {
                write!(
                    f,
                    "ip address del {} dev {DUMMY_LINK}",
                    crate::net::host_prefix(*address)
                )
            }
            Self::DeleteFlows(filter) => write!(f, "{filter}"),
            Self::DestroySet { set, family } => {
                write!(f, "ipset destroy {}", set.kernel_name(*family))
            }
            Self::DelLink => write!(f, "ip link del {DUMMY_LINK}"),
        }
    }
}

fn write_rules(f: &mut fmt::Formatter<'_>, family: Family, edits: &[TableEdits]) -> fmt::Result {
    let tool = if family == Family::V4 {
        "iptables-restore"
    } else {
        "ip6tables-restore"
    };
    write!(f, "{tool} --noflush <<END")?;
    for table in edits {
        write!(f, "\n{}", table.to_string().trim_end())?;
    }
    f.write_str("\nEND")
}

fn write_vip(f: &mut fmt::Formatter<'_>, address: IpAddr, vip: Vip) -> fmt::Result {
    let prefix = crate::net::host_prefix(address);
    write!(f, "ip address add {prefix} dev {DUMMY_LINK} scope link")?;
    if let Some(source) = vip.source {
        write!(
            f,
            "; ip route replace local {address} dev {DUMMY_LINK} table local proto kernel scope host src {source}"
        )?;
    }
    Ok(())
}

impl Change {
    /// What sort of step it is, for the count of changes.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SetTimeouts(_) => "set-timeouts",
            Self::SetSysctl { .. } => "set-sysctl",
            Self::AddLink => "add-link",
            Self::CreateSet { .. } => "create-set",
            Self::ApplyRules { .. } => "apply-rules",
            Self::AddMember(..) => "add-member",
            Self::DelMember(..) => "del-member",
            Self::Ipvs(Command::AddVirtual(_)) => "add-virtual",
            Self::Ipvs(Command::SetVirtual(_)) => "set-virtual",
            Self::Ipvs(Command::DelVirtual(_)) => "del-virtual",
            Self::Ipvs(Command::AddReal(..)) => "add-real",
            Self::Ipvs(Command::SetReal(..)) => "set-real",
            Self::Ipvs(Command::DelReal(..)) => "del-real",
            Self::AddVip(..) => "add-vip",
            Self::DelVip(_) => "del-vip",
            Self::DeleteFlows(_) => "delete-flows",
            Self::DestroySet { .. } => "destroy-set",
            Self::DelLink => "del-link",
        }
    }
}

// === impl Observed ===

impl Observed {
    /// Believes that everything planned stands; for benches and simulations.
    pub fn assume(&mut self, plan: &Plan) {
        self.virtuals = plan
            .virtuals
            .iter()
            .map(|(k, v)| (*k, Arc::clone(v)))
            .collect();
        self.vips = plan.vips.iter().map(|(k, v)| (*k, *v)).collect();
        self.members = plan.members.iter().map(|(k, ())| (*k, ())).collect();
        self.link = Some((1, true));
        for ruleset in &plan.host.rulesets {
            self.sets
                .extend(ruleset.sets.iter().map(|set| (*set, ruleset.family)));
            let tables = parse(&saved_rules(ruleset)).unwrap_or_default();
            *self.rules.get_mut(ruleset.family) = Some(by_table(tables));
        }
        self.sysctls = plan
            .host
            .sysctls
            .iter()
            .map(|sysctl| {
                let (Wanted::Exactly(value) | Wanted::InsteadOf { new: value, .. }) = sysctl.wanted;
                (sysctl.key.clone(), Some(value.to_owned()))
            })
            .collect();
        self.timeouts = plan.host.timeouts;
    }
}

/// The tables we know out of a parsed listing.
#[must_use]
pub fn by_table(mut tables: BTreeMap<String, Saved>) -> BTreeMap<Table, Saved> {
    let known = Table::ALL.into_iter();
    known
        .filter_map(|table| Some((table, tables.remove(table.name())?)))
        .collect()
}

/// Steps by stage; a stage is finished before the next begins.
#[derive(Debug, Default)]
struct Stages {
    host: Vec<Change>,
    close: Vec<Change>,
    serve: Vec<Change>,
    open: Vec<Change>,
    add_vips: Vec<Change>,
    unopen: Vec<Change>,
    del_vips: Vec<Change>,
    unserve: Vec<Change>,
    unclose: Vec<Change>,
    flows: Vec<Change>,
    leftovers: Vec<Change>,
}

/// The steps that make the kernel right.
#[must_use]
pub fn changes(plan: &Plan, seen: &Observed, scope: Scope) -> Vec<Change> {
    let touched = scope == Scope::Touched;
    let mut stages = Stages {
        host: host_changes(plan, seen),
        ..Stages::default()
    };
    for edit in edits(&plan.members, &seen.members, touched) {
        stages.member(edit);
    }
    for edit in edits(&plan.virtuals, &seen.virtuals, touched) {
        stages.virtual_server(edit);
    }
    for edit in edits(&plan.vips, &seen.vips, touched) {
        match edit {
            Edit::Add(address, vip) | Edit::Replace(address, vip, _) => {
                stages.add_vips.push(Change::AddVip(address, vip));
            }
            Edit::Remove(address, _) => stages.del_vips.push(Change::DelVip(address)),
        }
    }
    stages.serve.sort_by_key(|change| !is_first(change, plan));
    stages.leftovers = leftovers(plan, seen);
    stages.finish()
}

/// The API server's own Service goes first: everything on the node leans on it.
fn is_first(change: &Change, plan: &Plan) -> bool {
    match change {
        Change::Ipvs(command) => plan.is_api_server(&command.key()),
        _ => false,
    }
}

// === impl Stages ===

impl Stages {
    fn member(&mut self, edit: Edit<(SetDef, Member), ()>) {
        match edit {
            Edit::Add((set, member), ()) | Edit::Replace((set, member), ..) => {
                let stage = if set == SVIP_PORT {
                    &mut self.open
                } else {
                    &mut self.close
                };
                stage.push(Change::AddMember(set, member));
            }
            Edit::Remove((set, member), ()) => {
                let stage = if set == SVIP_PORT {
                    &mut self.unopen
                } else {
                    &mut self.unclose
                };
                stage.push(Change::DelMember(set, member));
            }
        }
    }

    fn virtual_server(&mut self, edit: Edit<VirtualKey, Arc<VirtualTable>>) {
        match edit {
            Edit::Add(key, wanted) => {
                self.serve
                    .push(Change::Ipvs(Command::AddVirtual(wanted.server)));
                let add = |real| Change::Ipvs(Command::AddReal(key, real));
                self.serve.extend(wanted.reals.iter().copied().map(add));
            }
            Edit::Remove(key, held) => {
                self.unserve.push(Change::Ipvs(Command::DelVirtual(key)));
                self.flows
                    .extend(held.reals.iter().filter_map(|real| flows(key, real.key)));
            }
            Edit::Replace(key, wanted, held) => self.replace(key, &wanted, &held),
        }
    }

    fn replace(&mut self, key: VirtualKey, wanted: &VirtualTable, held: &VirtualTable) {
        if wanted.server != held.server {
            self.serve
                .push(Change::Ipvs(Command::SetVirtual(wanted.server)));
        }
        let by_key = |table: &VirtualTable| -> BTreeMap<_, _> {
            table.reals.iter().map(|real| (real.key, *real)).collect()
        };
        let (wanted, held) = (by_key(wanted), by_key(held));
        for (real, server) in &wanted {
            match held.get(real) {
                None => self
                    .serve
                    .push(Change::Ipvs(Command::AddReal(key, *server))),
                Some(old) if old != server => {
                    self.serve
                        .push(Change::Ipvs(Command::SetReal(key, *server)));
                }
                Some(_) => {}
            }
        }
        for real in held.keys().filter(|real| !wanted.contains_key(real)) {
            self.serve.push(Change::Ipvs(Command::DelReal(key, *real)));
            self.flows.extend(flows(key, *real));
        }
    }

    fn finish(mut self) -> Vec<Change> {
        // Ranges before the limit that asks for them; the address itself leaves last.
        self.close
            .sort_by_key(|change| matches!(change, Change::AddMember(set, _) if *set == LIMITED));
        self.unclose.sort_by_key(|change| match change {
            Change::DelMember(set, _) if *set == LIMITED => 0,
            Change::DelMember(set, _) if *set == SVIP => 2,
            _ => 1,
        });
        [
            self.host,
            self.close,
            self.serve,
            self.open,
            self.add_vips,
            self.unopen,
            self.del_vips,
            self.unserve,
            self.unclose,
            self.flows,
            self.leftovers,
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Tracked datagrams would go on to an endpoint that is gone: nothing else tells their sender.
fn flows(key: VirtualKey, real: crate::kernel::ipvs::object::RealKey) -> Option<Change> {
    match key {
        VirtualKey::Address {
            address,
            protocol,
            port,
        } if protocol != Protocol::Tcp => Some(Change::DeleteFlows(FlowFilter {
            protocol,
            orig_dst: address,
            orig_dport: port,
            reply_src: Some((real.address, real.port)),
        })),
        _ => None,
    }
}

fn host_changes(plan: &Plan, seen: &Observed) -> Vec<Change> {
    let mut steps = Vec::new();
    let wanted = merge_timeouts(plan.host.timeouts, seen.timeouts);
    if wanted != seen.timeouts {
        steps.push(Change::SetTimeouts(wanted));
    }
    if !plan.host.rulesets.is_empty() && !matches!(seen.link, Some((_, true))) {
        steps.push(Change::AddLink);
        // Its own settings come into being with it; nothing ever arrives on it, so that the loose
        // check is right whatever the default.
        if plan
            .host
            .rulesets
            .iter()
            .any(|ruleset| ruleset.family == Family::V4)
        {
            let key = format!("net/ipv4/conf/{DUMMY_LINK}/rp_filter");
            let was = "the default of new links".to_owned();
            steps.push(Change::SetSysctl {
                key,
                value: "2",
                was,
            });
        }
    }
    steps.extend(plan.host.sysctls.iter().filter_map(|sysctl| {
        let was = seen.sysctls.get(&sysctl.key)?.as_deref()?;
        let value = match sysctl.wanted {
            Wanted::Exactly(value) => (was != value).then_some(value),
            Wanted::InsteadOf { old, new } => (was == old).then_some(new),
        }?;
        Some(Change::SetSysctl {
            key: sysctl.key.clone(),
            value,
            was: was.to_owned(),
        })
    }));
    for ruleset in &plan.host.rulesets {
        let family = ruleset.family;
        let missing = ruleset
            .sets
            .iter()
            .filter(|set| !seen.sets.contains(&(**set, family)));
        steps.extend(missing.map(|set| Change::CreateSet {
            set: *set,
            family,
            members: plan.member_count(*set, family),
        }));
        let edits = rule_edits(&own_rules(ruleset), seen.rules.get(family).as_ref());
        if !edits.is_empty() {
            steps.push(Change::ApplyRules { family, edits });
        }
    }
    steps
}

/// What is left of a family that was switched off: its rules, then the sets they named.
fn leftovers(plan: &Plan, seen: &Observed) -> Vec<Change> {
    let wanted = |family| {
        plan.host
            .rulesets
            .iter()
            .any(|ruleset| ruleset.family == family)
    };
    let gone = Family::ALL.into_iter().filter(|family| !wanted(*family));
    gone.flat_map(|family| family_removal(seen, family))
        .collect()
}

/// Rules first: a set that a rule names can't be destroyed.
fn family_removal(seen: &Observed, family: Family) -> Vec<Change> {
    let mut steps = Vec::new();
    let edits = rule_edits(&no_rules(), seen.rules.get(family).as_ref());
    if !edits.is_empty() {
        steps.push(Change::ApplyRules { family, edits });
    }
    let sets = seen.sets.iter().filter(|(_, of)| *of == family);
    steps.extend(sets.map(|(set, family)| Change::DestroySet {
        set: *set,
        family: *family,
    }));
    steps
}

/// Zero in the plan leaves the kernel's value.
fn merge_timeouts(plan: IpvsTimeouts, seen: IpvsTimeouts) -> IpvsTimeouts {
    let or = |planned, held| if planned == 0 { held } else { planned };
    IpvsTimeouts {
        tcp: or(plan.tcp, seen.tcp),
        tcp_fin: or(plan.tcp_fin, seen.tcp_fin),
        udp: or(plan.udp, seen.udp),
    }
}

fn rule_edits(
    own: &[crate::kernel::iptables::object::Own],
    saved: Option<&BTreeMap<Table, Saved>>,
) -> Vec<TableEdits> {
    let nothing = Saved::default();
    own.iter()
        .map(|own| {
            let saved = saved
                .and_then(|tables| tables.get(&own.table))
                .unwrap_or(&nothing);
            saved.changes(own, is_proxy_chain)
        })
        .filter(|edits| !edits.is_empty())
        .collect()
}

/// The steps that remove everything of ours: in the reverse order of building it.
#[must_use]
pub fn removal(seen: &Observed) -> Vec<Change> {
    let mut steps: Vec<Change> = seen.vips.keys().map(|vip| Change::DelVip(*vip)).collect();
    steps.extend(
        seen.virtuals
            .keys()
            .map(|key| Change::Ipvs(Command::DelVirtual(*key))),
    );
    for (key, table) in &seen.virtuals {
        steps.extend(table.reals.iter().filter_map(|real| flows(*key, real.key)));
    }
    steps.extend(
        Family::ALL
            .into_iter()
            .flat_map(|family| family_removal(seen, family)),
    );
    if seen.link.is_some() {
        steps.push(Change::DelLink);
    }
    steps
}
