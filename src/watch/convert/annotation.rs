//! Annotations of Services.

use super::bgp::communities;
use super::notes::Notes;
use super::{has_mark, mark};
use crate::kernel::ipvs::object::{Scheduler, ServiceFlags};
use crate::model::ServiceAnnotations;
use crate::watch::wire::{self, Field, Marks};

const PATH: &str = "metadata.annotations";

/// Schedulers by the name that `ip_vs` knows them by.
const SCHEDULERS: [(&str, Scheduler); 14] = [
    ("rr", Scheduler::Rr),
    ("wrr", Scheduler::Wrr),
    ("lc", Scheduler::Lc),
    ("wlc", Scheduler::Wlc),
    ("fo", Scheduler::Fo),
    ("ovf", Scheduler::Ovf),
    ("lblc", Scheduler::Lblc),
    ("lblcr", Scheduler::Lblcr),
    ("dh", Scheduler::Dh),
    ("sh", Scheduler::Sh),
    ("mh", Scheduler::Mh),
    ("sed", Scheduler::Sed),
    ("nq", Scheduler::Nq),
    ("twos", Scheduler::Twos),
];

/// Scheduler flags (`IP_VS_SVC_F_SCHED1` to `SCHED3`).
const FLAGS: [(&str, u32); 3] = [("flag-1", 0x0008), ("flag-2", 0x0010), ("flag-3", 0x0020)];

pub(super) fn annotations(marks: &Field<Marks>, notes: &mut Notes) -> ServiceAnnotations {
    let scheduler = scheduler(marks, notes);
    ServiceAnnotations {
        local: mark(marks, "kube-router.io/service.local", PATH, notes) == Some("true"),
        scheduler,
        scheduler_flags: flags(marks, scheduler, notes),
        skip_load_balancer_ips: has_mark(marks, "kube-router.io/service.skiplbips"),
        direct_return: direct_return(marks, notes),
        hairpin: has_mark(marks, "kube-router.io/service.hairpin"),
        advertise_cluster_ip: advertise(marks, "clusterip", notes),
        advertise_external_ip: advertise(marks, "externalip", notes),
        advertise_load_balancer_ip: advertise(marks, "loadbalancerip", notes),
        communities: communities(marks, "kube-router.io/service.bgp.communities", notes),
    }
}

/// A truth as Go reads it (`strconv.ParseBool`); anything else is false, as in the original.
fn advertise(marks: &Field<Marks>, class: &str, notes: &mut Notes) -> Option<bool> {
    let key = format!("kube-router.io/service.advertise.{class}");
    match mark(marks, &key, PATH, notes)? {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        other => {
            notes.add(
                format_args!("{PATH}[{key}]"),
                format_args!("{} is taken for false", wire::quoted(other)),
            );
            Some(false)
        }
    }
}

fn scheduler(marks: &Field<Marks>, notes: &mut Notes) -> Scheduler {
    let key = "kube-router.io/service.scheduler";
    let Some(text) = mark(marks, key, PATH, notes) else {
        return Scheduler::Rr;
    };
    let known = SCHEDULERS.iter().find(|(name, _)| *name == text);
    if let Some((_, scheduler)) = known {
        return *scheduler;
    }
    notes.add(
        format_args!("{PATH}[{key}]"),
        format_args!("unknown scheduler {}, rr stands for it", wire::quoted(text)),
    );
    Scheduler::Rr
}

fn flags(marks: &Field<Marks>, scheduler: Scheduler, notes: &mut Notes) -> ServiceFlags {
    let key = "kube-router.io/service.schedflags";
    let Some(text) = mark(marks, key, PATH, notes) else {
        return ServiceFlags::default();
    };
    if !matches!(scheduler, Scheduler::Mh | Scheduler::Sh) {
        let reason = "only the schedulers mh and sh know flags";
        notes.add(format_args!("{PATH}[{key}]"), reason);
        return ServiceFlags::default();
    }
    let mut bits = 0;
    for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        match FLAGS.iter().find(|(name, _)| *name == word) {
            Some((_, bit)) => bits |= bit,
            None => notes.add(
                format_args!("{PATH}[{key}]"),
                format_args!(
                    "unknown flag {}: flag-1, flag-2 or flag-3",
                    wire::quoted(word)
                ),
            ),
        }
    }
    ServiceFlags(bits)
}

fn direct_return(marks: &Field<Marks>, notes: &mut Notes) -> bool {
    let key = "kube-router.io/service.dsr";
    match mark(marks, key, PATH, notes) {
        Some("tunnel") => true,
        Some(other) => {
            notes.add(
                format_args!("{PATH}[{key}]"),
                format_args!("unknown method {}: tunnel", wire::quoted(other)),
            );
            false
        }
        None => false,
    }
}
