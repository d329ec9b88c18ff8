//! A hand-made cluster on a lab, brought to one backend after the other.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use kube_router::config::NetpolBackend;
use kube_router::model::{Labels, NetworkPolicy, Pod, Selector};
use kube_router::net::Protocol;
use kube_router::netpol::{HostKernel, Netpol};

use crate::driver::{Driver, PATIENCE};
use crate::in_lab;
use crate::lab::{GATEWAY, Joint, Lab};
use crate::namespaces::flush_connections;
use crate::policy_cluster::{
    Cluster, NODE_V4, NODE_V6, ip, namespace, pod, port, remote, selector,
};
use crate::probe::{Fate, Probe};

/// Somebody who sends or receives, by all addresses.
pub(crate) type Who = &'static [&'static str];

/// `shop/web`, here, `app=web`, in the namespace `team=a`.
pub(crate) const WEB: Who = &["10.42.0.1", "fd00:42::1"];
/// `shop/db`, here, `app=db`; names TCP 5432 `sql`, UDP 53 `dns` and SCTP 80 `sig`.
pub(crate) const DB: Who = &["10.42.0.2", "fd00:42::2"];
/// `bank/web`, here, `app=web`, in the namespace `team=b`.
pub(crate) const BANK: Who = &["10.42.0.5", "fd00:42::5"];
/// `shop/far`, on another node, `app=far`; names TCP 8080 `sql`.
pub(crate) const FAR: Who = &["10.42.1.1", "fd00:42:1::5"];
/// In the range of pods, but no pod's.
pub(crate) const UNKNOWN: Who = &["10.42.0.200", "fd00:42::7"];
pub(crate) const OUT: Who = &["203.0.113.9", "2001:db8::9"];
pub(crate) const OTHER_OUT: Who = &["198.51.100.1"];
pub(crate) const HERE: Who = &[NODE_V4, NODE_V6];
pub(crate) const BRIDGE: Who = &GATEWAY;

pub(crate) const TCP: Protocol = Protocol::Tcp;
pub(crate) const UDP: Protocol = Protocol::Udp;
pub(crate) const SCTP: Protocol = Protocol::Sctp;

/// What is expected of a new connection.
pub(crate) type Line = (bool, Who, Who, Protocol, u16);

pub(crate) fn yes(from: Who, to: Who, protocol: Protocol, port: u16) -> Line {
    (true, from, to, protocol, port)
}

pub(crate) fn no(from: Who, to: Who, protocol: Protocol, port: u16) -> Line {
    (false, from, to, protocol, port)
}

#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) cluster: Cluster,
    pub(crate) driver: Driver,
    pub(crate) backend: NetpolBackend,
}

/// The pods above, without any policy.
pub(crate) fn cluster() -> Cluster {
    let mut db = pod("shop/db", DB, &[("app", "db")]);
    db.ports = vec![
        port("dns", UDP, 53),
        port("sig", SCTP, 80),
        port("sql", TCP, 5432),
    ];
    let mut far = remote(pod("shop/far", FAR, &[("app", "far")]));
    far.ports = vec![port("sql", TCP, 8080)];
    Cluster {
        namespaces: vec![
            namespace("shop", &[("team", "a")]),
            namespace("bank", &[("team", "b")]),
        ],
        pods: vec![
            pod("shop/web", WEB, &[("app", "web")]),
            db,
            pod("bank/web", BANK, &[("app", "web")]),
            far,
        ],
        ..Cluster::default()
    }
}

pub(crate) fn app(value: &str) -> Selector {
    selector(&[("app", value)])
}

pub(crate) fn probes(lines: &[Line]) -> Vec<(Probe, bool)> {
    let mut probes = Vec::new();
    for (allowed, from, to, protocol, port) in lines {
        let pairs = from
            .iter()
            .flat_map(|from| to.iter().map(move |to| (ip(from), ip(to))));
        let before = probes.len();
        for (from, to) in pairs.filter(|(from, to)| from.is_ipv4() == to.is_ipv4()) {
            let probe = Probe {
                from,
                to,
                protocol: *protocol,
                port: *port,
            };
            probes.push((probe, *allowed));
        }
        assert!(probes.len() > before, "nobody to try: {from:?} {to:?}");
    }
    probes
}

/// A test on both backends, one after the other on the same lab.
pub(crate) fn on_both(joint: Joint, test: impl Fn(&mut Stage<'_>) + Send + 'static) {
    in_lab(joint, move |lab| {
        for backend in [NetpolBackend::Nftables, NetpolBackend::Iptables] {
            let mut stage = Stage {
                lab,
                cluster: cluster(),
                driver: Driver::new(backend),
                backend,
            };
            test(&mut stage);
            drop(stage);
            clean_up();
        }
    });
}

/// As `kube-router cleanup` does. The table that the driver let go of may be held for a moment by a
/// program that another test is starting.
fn clean_up() {
    let begin = Instant::now();
    loop {
        let (_, failures) = Netpol::cleanup(&mut HostKernel::new(), false);
        if failures.is_empty() {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{failures:?}");
    }
}

// === impl Stage ===

impl Stage<'_> {
    pub(crate) fn pod(&mut self, name: &str) -> &mut Pod {
        let mut pods = self.cluster.pods.iter_mut();
        let found = pods.find(|pod| pod.name.to_string() == name);
        found.unwrap_or_else(|| panic!("no pod {name}"))
    }

    pub(crate) fn set_labels(&mut self, name: &str, labels: Labels) {
        self.pod(name).labels = labels;
    }

    /// These policies and no others.
    pub(crate) fn policies(&mut self, policies: Vec<NetworkPolicy>) {
        self.cluster.policies = policies;
    }

    /// Brings the cluster to the kernel; then packets fare as these lines, the oracle and the
    /// rules say.
    pub(crate) fn expect(&mut self, lines: &[Line]) {
        self.driver.bring(&self.cluster);
        self.still(lines);
    }

    /// The same without bringing anything.
    pub(crate) fn still(&self, lines: &[Line]) {
        let wrong = self.wrong(lines);
        assert!(wrong.is_empty(), "{:?}: {wrong:#?}", self.backend);
        let gateway = GATEWAY.map(ip);
        let is_modelled = |address: IpAddr| !gateway.contains(&address);
        let modelled: Vec<Probe> = probes(lines)
            .into_iter()
            .map(|(probe, _)| probe)
            .filter(|probe| is_modelled(probe.from) && is_modelled(probe.to))
            .collect();
        let plan = self.driver.plan();
        let wrong = self.lab.disagreements(&self.cluster, plan, &modelled);
        assert!(wrong.is_empty(), "{:?}: {wrong:#?}", self.backend);
    }

    /// The lines that do not hold.
    pub(crate) fn wrong(&self, lines: &[Line]) -> Vec<String> {
        wrong_in(self.lab, lines)
    }
}

/// The lines that do not hold.
pub(crate) fn wrong_in(lab: &Lab, lines: &[Line]) -> Vec<String> {
    flush_connections();
    let probes = probes(lines);
    let all: Vec<Probe> = probes.iter().map(|(probe, _)| *probe).collect();
    let fates = lab.probe(&all).into_iter();
    let wrong = probes
        .iter()
        .zip(fates)
        .filter_map(|((probe, allowed), fate)| {
            let expected = if *allowed {
                Fate::Answered
            } else {
                Fate::Refused
            };
            (fate != expected).then(|| format!("{probe:?}: {fate:?}, expected {expected:?}"))
        });
    wrong.collect()
}

/// A name of 63 characters.
pub(crate) fn long(start: &str) -> Arc<str> {
    format!("{start:x<63}").into()
}
