//! How often routes of our own were announced and taken back, as upstream counts it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::bgp::rib::RouteKind;
use crate::routing::plan::bgp::BgpPlan;

/// Counts since the start of the process; they only grow.
#[derive(Debug, Default)]
pub struct Announced {
    pod_ranges: AtomicU64,
    vips: AtomicU64,
    withdrawn_vips: AtomicU64,
}

// === impl Announced ===

impl Announced {
    /// Ranges of pods that were announced.
    #[must_use]
    pub fn pod_ranges(&self) -> u64 {
        self.pod_ranges.load(Ordering::Relaxed)
    }

    /// Addresses of Services that were announced.
    #[must_use]
    pub fn vips(&self) -> u64 {
        self.vips.load(Ordering::Relaxed)
    }

    /// Addresses of Services that were withdrawn.
    #[must_use]
    pub fn withdrawn_vips(&self) -> u64 {
        self.withdrawn_vips.load(Ordering::Relaxed)
    }

    /// Counts what is said in `after` and was not in `before`, and the other way round.
    pub(super) fn count(&self, before: Option<&BgpPlan>, after: &BgpPlan) {
        let before = before.and_then(|plan| plan.speaker.as_ref());
        // Without a speaker what was said holds.
        let Some(after) = &after.speaker else { return };
        let said = |prefix| before.and_then(|before| before.originate.get(prefix));
        for (prefix, route) in &after.originate {
            if said(prefix) != Some(route) {
                let counter = match route.kind {
                    RouteKind::ServiceVip => &self.vips,
                    _ => &self.pod_ranges,
                };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
        let gone = before.iter().flat_map(|before| &before.originate);
        let gone = gone.filter(|(prefix, route)| {
            route.kind == RouteKind::ServiceVip && !after.originate.contains_key(prefix)
        });
        let gone = u64::try_from(gone.count()).unwrap_or(u64::MAX);
        self.withdrawn_vips.fetch_add(gone, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bgp::speaker::{Desired, Originated};
    use crate::bgp::wire::{Attributes, NextHop};
    use crate::routing::plan::tests::{ip, prefix};

    fn plan(routes: &[(&str, RouteKind)]) -> BgpPlan {
        let mut speaker = Desired::new(crate::bgp::rib::Speaker {
            asn: 64_512,
            confederation: None,
            router_id: std::net::Ipv4Addr::LOCALHOST,
            cluster_id: None,
            addresses: std::collections::BTreeSet::new(),
        });
        for (destination, kind) in routes {
            let route = Originated {
                kind: *kind,
                next_hop: NextHop::from(ip("10.1.1.1")),
                attributes: Attributes::default(),
            };
            speaker.originate.insert(prefix(destination), route);
        }
        BgpPlan {
            speaker: Some(speaker),
            ..BgpPlan::default()
        }
    }

    #[test]
    fn what_is_new_and_what_goes_is_counted_once() {
        let counts = Announced::default();
        let all = |counts: &Announced| {
            let (ranges, vips) = (counts.pod_ranges(), counts.vips());
            (ranges, vips, counts.withdrawn_vips())
        };
        let pods = ("10.244.1.0/24", RouteKind::PodCidr);
        let (one, two) = (
            ("10.96.0.1/32", RouteKind::ServiceVip),
            ("fd96::2/128", RouteKind::ServiceVip),
        );
        let steps = [
            (None, plan(&[pods, one]), (1, 1, 0)),
            (Some(plan(&[pods, one])), plan(&[pods, one]), (1, 1, 0)),
            (Some(plan(&[pods, one])), plan(&[pods, two]), (1, 2, 1)),
            (Some(plan(&[pods, two])), BgpPlan::default(), (1, 2, 1)),
            (Some(plan(&[pods, two])), plan(&[pods]), (1, 2, 2)),
        ];
        for (before, after, wanted) in steps {
            counts.count(before.as_ref(), &after);
            assert_eq!(all(&counts), wanted);
        }
    }
}
