//! The plan as an administrator would type it: `kube-router plan`, and the golden files.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::reconcile::Scope;
use crate::routing::change::{Change, Observed, Patience, changes};
use crate::routing::plan::Plan;
use crate::routing::plan::bgp::{self, BgpPlan};
use crate::routing::plan::host::Wanted;

/// Everything planned, as commands against an empty kernel, in the order they would run.
#[must_use]
pub fn print(plan: &Plan) -> String {
    let mut text = String::new();
    section(&mut text, "kernel settings");
    for sysctl in &plan.host.sysctls {
        let key = sysctl.key.replace('/', ".");
        let _ = match sysctl.wanted {
            Wanted::Exactly(value) => writeln!(text, "sysctl -w {key}={value}"),
            Wanted::InsteadOf { old, new } => {
                writeln!(text, "sysctl -w {key}={new} # where it is {old}")
            }
        };
    }
    let mut last = "";
    let steps = changes(
        plan,
        &Observed::default(),
        Scope::Everything,
        Patience::default(),
        &BTreeSet::new(),
    );
    for change in steps {
        if matches!(change, Change::SetBgp(_)) {
            continue;
        }
        let title = title(&change);
        if title != last {
            section(&mut text, title);
            last = title;
        }
        let _ = writeln!(text, "{change}");
    }
    if let Some(bgp) = &plan.bgp {
        let said = BgpPlan {
            notes: Vec::new(),
            ..(**bgp).clone()
        };
        let _ = write!(text, "\n{}", bgp::print(&said));
    }
    let notes = plan.notes();
    if !notes.is_empty() {
        section(&mut text, "left out");
        for note in notes {
            let _ = writeln!(text, "# {note}");
        }
    }
    text
}

fn section(text: &mut String, title: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(text, "# {title}");
}

fn title(change: &Change) -> &'static str {
    match change {
        Change::SetSysctl { .. } => "kernel settings",
        Change::AddBridge | Change::SetBridgeMtu(_) | Change::DelBridge => "bridge",
        Change::AddFou(_) | Change::DelFou(_) => "foo over UDP",
        Change::CreateSet { .. } | Change::DestroySet { .. } => "sets",
        Change::AddMember(..) | Change::DelMember(..) => "members of sets",
        Change::ApplyRules { .. } => "rules",
        Change::AddTunnel(..) | Change::DelTunnel(_) => "tunnels",
        Change::AddRule(_) | Change::DelRule(_) => "policy rules",
        Change::SetBgp(_) => "bgp speaker",
        Change::SetRoute(..) | Change::DelRoute(_) => "routes",
        Change::WithholdCni(_) | Change::WriteCni { .. } => "CNI configuration",
    }
}
