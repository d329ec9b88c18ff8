//! Names that dashboards of upstream's ask for.

use crate::app::policy_metrics::encode;
use crate::metrics::{ControllerMetrics, Text};
use crate::netpol::Standing;

#[test]
fn gauges_of_upstream_are_there_before_anything_stands() {
    let mut text = Text::default();
    let metrics = ControllerMetrics::new("netpol");
    encode(&mut text, &metrics, &Standing::default());
    let page = text.into_string();
    for line in [
        "# TYPE kube_router_controller_iptables_sync_time histogram",
        "# TYPE kube_router_controller_policy_chains_sync_time histogram",
        "# TYPE kube_router_controller_policy_chains gauge",
        "kube_router_controller_policy_chains 0",
        "# TYPE kube_router_controller_policy_ipsets gauge",
        "kube_router_controller_policy_ipsets 0",
        "kube_router_controller_policy_quarantined 0",
    ] {
        assert!(page.lines().any(|one| one == line), "{line} in\n{page}");
    }
}
