//! Steps as an administrator would type them. Pure.

use std::fmt;
use std::net::IpAddr;

use crate::firewall::set_type_name;
use crate::kernel::iptables::object::TableEdits;
use crate::kernel::rtnl::object::TABLE_MAIN;
use crate::net::Family;
use crate::routing::change::Change;
use crate::routing::plan::bgp::BgpPlan;
use crate::routing::plan::host::BRIDGE;
use crate::routing::plan::overlay::{FouPort, PolicyRule, TABLE, TunnelName, TunnelPlan};
use crate::routing::plan::routes::{RouteKey, RoutePlan, Via};
use crate::routing::{PRIORITY, PROTOCOL};

pub(super) fn write(change: &Change, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match change {
        Change::WithholdCni(file) => {
            let file = file.display();
            write!(f, "mv {file} {file}.withheld")
        }
        Change::WriteCni { file, text } => {
            let text = text.trim_end();
            let file = file.display();
            write!(f, "install -m 0644 /dev/stdin {file} <<END\n{text}\nEND")
        }
        Change::SetSysctl { key, value, was } => {
            write!(f, "sysctl -w {}={value} (was {was})", key.replace('/', "."))
        }
        Change::AddFou(port) => write_fou(f, "add", *port),
        Change::DelFou(port) => write_fou(f, "del", *port),
        Change::AddBridge => write!(
            f,
            "ip link add {BRIDGE} type bridge; ip link set {BRIDGE} up"
        ),
        Change::SetBridgeMtu(mtu) => write!(f, "ip link set {BRIDGE} mtu {mtu}"),
        Change::DelBridge => write!(f, "ip link del {BRIDGE}"),
        Change::CreateSet { set, family, .. } => write!(
            f,
            "ipset create {} {} family {}",
            set.kernel_name(*family),
            set_type_name(set.kind),
            match family {
                Family::V4 => "inet",
                Family::V6 => "inet6",
            }
        ),
        Change::DestroySet { set, family } => {
            write!(f, "ipset destroy {}", set.kernel_name(*family))
        }
        Change::AddMember(set, member) => {
            write!(f, "ipset add {} {member}", set.kernel_name(member.family()))
        }
        Change::DelMember(set, member) => {
            write!(f, "ipset del {} {member}", set.kernel_name(member.family()))
        }
        Change::ApplyRules { family, edits } => write_rules(f, *family, edits),
        Change::AddTunnel(name, tunnel) => write_tunnel(f, *name, tunnel),
        Change::DelTunnel(name) => write!(f, "ip link del {name}"),
        Change::AddRule(rule) => write_rule(f, "add", *rule),
        Change::DelRule(rule) => write_rule(f, "del", *rule),
        Change::SetBgp(plan) => write_bgp(f, plan),
        Change::SetRoute(key, route) => write_route(f, *key, route),
        Change::DelRoute(key) => {
            let ip = ip(Family::of_prefix(&key.destination));
            write!(f, "{ip} route del {}", key.destination)?;
            write_table(f, key.table)?;
            write!(f, " proto {PROTOCOL} metric {}", key.metric)
        }
    }
}

fn ip(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip -6",
    }
}

fn write_fou(f: &mut fmt::Formatter<'_>, word: &str, port: FouPort) -> fmt::Result {
    let ip = ip(port.family);
    write!(f, "{ip} fou {word} port {}", port.port)?;
    if word == "add" {
        f.write_str(" gue")?;
    }
    Ok(())
}

fn write_rules(f: &mut fmt::Formatter<'_>, family: Family, edits: &[TableEdits]) -> fmt::Result {
    let tool = match family {
        Family::V4 => "iptables-restore",
        Family::V6 => "ip6tables-restore",
    };
    write!(f, "{tool} --noflush <<END")?;
    for table in edits {
        write!(f, "\n{}", table.to_string().trim_end())?;
    }
    f.write_str("\nEND")
}

fn write_tunnel(f: &mut fmt::Formatter<'_>, name: TunnelName, tunnel: &TunnelPlan) -> fmt::Result {
    let ip = ip(tunnel.family());
    write!(f, "{ip} link add {name} type {}", tunnel.object())?;
    write!(f, "; ip link set {name} up")
}

/// No tool types this: what there is of it. `kube-router plan` shows all.
fn write_bgp(f: &mut fmt::Formatter<'_>, plan: &BgpPlan) -> fmt::Result {
    f.write_str("bgp:")?;
    match &plan.speaker {
        Some(desired) => write!(
            f,
            " as {} router-id {}, {} peers, {} ranges of peers, {} routes of our own",
            desired.speaker.asn,
            desired.speaker.router_id,
            desired.peers.len(),
            desired.ranges.len(),
            desired.originate.len()
        )?,
        None => f.write_str(" nothing can be said")?,
    }
    write!(
        f,
        ", {} listeners, {} sessions of BFD",
        plan.listen.len(),
        plan.bfd.len()
    )
}

fn write_rule(f: &mut fmt::Formatter<'_>, word: &str, rule: PolicyRule) -> fmt::Result {
    let ip = ip(Family::of_prefix(&rule.from));
    write!(
        f,
        "{ip} rule {word} from {} lookup {TABLE} pref {PRIORITY} protocol {PROTOCOL}",
        rule.from
    )
}

fn write_route(f: &mut fmt::Formatter<'_>, key: RouteKey, route: &RoutePlan) -> fmt::Result {
    let family = Family::of_prefix(&key.destination);
    let ip = ip(family);
    write!(f, "{ip} route replace {}", key.destination)?;
    if let [only] = route.ways.as_slice() {
        write_way(f, only, family)?;
    }
    write_table(f, key.table)?;
    write!(f, " proto {PROTOCOL} metric {}", key.metric)?;
    if let Some(source) = route.source {
        write!(f, " src {source}")?;
    }
    if route.ways.len() > 1 {
        for way in &route.ways {
            f.write_str(" nexthop")?;
            write_way(f, way, family)?;
        }
    }
    Ok(())
}

fn write_way(f: &mut fmt::Formatter<'_>, way: &Via, family: Family) -> fmt::Result {
    match way {
        Via::Gateway { address, link } => {
            let word = match (family, address) {
                (Family::V4, IpAddr::V6(_)) => "via inet6",
                _ => "via",
            };
            write!(f, " {word} {address} dev {link}")
        }
        Via::Tunnel(name) => write!(f, " dev {name}"),
    }
}

fn write_table(f: &mut fmt::Formatter<'_>, table: u32) -> fmt::Result {
    if table == TABLE_MAIN {
        return Ok(());
    }
    write!(f, " table {table}")
}
