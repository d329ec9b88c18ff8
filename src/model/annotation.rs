//! Annotations of a Service, typed and parsed (`kube-router.io/service.*`).

use crate::kernel::ipvs::object::{Scheduler, ServiceFlags};
use crate::model::Communities;

/// What the annotations of a Service ask for; the default is a Service without any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAnnotations {
    /// `service.local` = `true`: internal policy Cluster, external policy Local.
    pub local: bool,
    /// `service.scheduler`; round robin without it.
    pub scheduler: Scheduler,
    /// `service.schedflags`: `flag-1`, `flag-2`, `flag-3`; with the scheduler that knows them.
    pub scheduler_flags: ServiceFlags,
    /// `service.skiplbips`: the status' addresses are not programmed.
    pub skip_load_balancer_ips: bool,
    /// `service.dsr` = `tunnel`: direct return for external addresses.
    pub direct_return: bool,
    /// `service.hairpin`: a pod may reach itself through the Service.
    pub hairpin: bool,
    /// `service.advertise.clusterip`; as the configuration says without it.
    pub advertise_cluster_ip: Option<bool>,
    /// `service.advertise.externalip`.
    pub advertise_external_ip: Option<bool>,
    /// `service.advertise.loadbalancerip`.
    pub advertise_load_balancer_ip: Option<bool>,
    /// `service.bgp.communities`: for the addresses of this Service.
    pub communities: Communities,
}

// === impl ServiceAnnotations ===

impl Default for ServiceAnnotations {
    fn default() -> Self {
        Self {
            local: false,
            scheduler: Scheduler::Rr,
            scheduler_flags: ServiceFlags::default(),
            skip_load_balancer_ips: false,
            direct_return: false,
            hairpin: false,
            advertise_cluster_ip: None,
            advertise_external_ip: None,
            advertise_load_balancer_ip: None,
            communities: Communities::default(),
        }
    }
}
