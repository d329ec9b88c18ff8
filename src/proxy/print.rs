//! The plan as an administrator would type it: `kube-router plan`, and the golden files.

use std::fmt::Write as _;

use crate::proxy::change::{Change, Observed, changes};
use crate::proxy::plan::Plan;
use crate::proxy::plan::host::Wanted;
use crate::reconcile::Scope;

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
    for change in changes(plan, &Observed::default(), Scope::Everything) {
        let title = title(&change);
        if title != last {
            section(&mut text, title);
            last = title;
        }
        let _ = writeln!(text, "{change}");
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
        Change::SetTimeouts(_) | Change::SetSysctl { .. } => "kernel settings",
        Change::AddLink | Change::DelLink => "link",
        Change::CreateSet { .. } | Change::DestroySet { .. } => "sets",
        Change::ApplyRules { .. } => "rules",
        Change::AddMember(..) | Change::DelMember(..) => "members of sets",
        Change::Ipvs(_) => "virtual and real servers",
        Change::AddVip(..) | Change::DelVip(_) => "addresses",
        Change::DeleteFlows(_) => "tracked connections",
    }
}
