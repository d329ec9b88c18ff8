//! The metrics of network policy under upstream's names, whichever backend is used.

use crate::metrics::{ControllerMetrics, Kind, Text};
use crate::netpol::Standing;

pub(super) fn encode(text: &mut Text, passes: &ControllerMetrics, standing: &Standing) {
    const SYNC: &str = "controller_iptables_sync_time";
    const CHAINS: &str = "controller_policy_chains_sync_time";
    text.family(
        SYNC,
        Kind::Histogram,
        "Time it took for controller to sync iptables",
    );
    text.histogram(SYNC, &[], &passes.pass);
    text.family(
        CHAINS,
        Kind::Histogram,
        "Time it took for controller to sync policy chains",
    );
    text.histogram(CHAINS, &[], &passes.plan);
    for (name, help, value) in [
        (
            "controller_policy_chains",
            "Active policy chains",
            standing.chains(),
        ),
        (
            "controller_policy_ipsets",
            "Active policy ipsets",
            standing.sets(),
        ),
        (
            "controller_policy_quarantined",
            "Policy chains and sets that the kernel does not take",
            standing.quarantined(),
        ),
    ] {
        text.family(name, Kind::Gauge, help);
        text.sample(name, &[], value);
    }
}
