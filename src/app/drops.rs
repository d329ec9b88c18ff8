//! Refused packets in the log: who, to whom, and which policies isolate the pod.
//!
//! The rules copy a few of the packets that they refuse to an nflog group (limited by the kernel,
//! so much a minute and isolation); nothing that passes is copied. This thread reads them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use tokio::sync::watch;
use tracing::{info, warn};

use crate::firewall::LOG_GROUP;
use crate::kernel::nflog::{Header, Nflog, Notice, Record, Transport};
use crate::model::{ObjectName, Pod, Snapshot};
use crate::net::Protocol;
use crate::netpol::{CLOSED_LOG, Flow};

/// How long the reader waits before it looks whether it is still wanted.
const PAUSE: Duration = Duration::from_secs(1);

/// The packets of one look that are told; more are only counted.
const TOLD: usize = 100;

/// A refused packet in the cluster's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drop {
    /// `None` where no isolation refused it: an address of the pods' range that is no known
    /// pod's, or a pod whose rules the kernel did not take.
    pub(super) flow: Option<Flow>,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: String,
    /// The destination's, where the protocol has ports.
    pub(super) port: Option<u16>,
    pub(super) from: Option<ObjectName>,
    pub(super) to: Option<ObjectName>,
    /// Those that isolate the pod that the direction is about.
    pub(super) policies: Vec<ObjectName>,
}

/// Reads until nobody holds the snapshot's sender any more.
///
/// # Errors
/// Where no thread can be had.
pub(super) fn spawn(snapshot: watch::Receiver<Option<Arc<Snapshot>>>) -> io::Result<()> {
    let body = move || match Nflog::open(LOG_GROUP) {
        Ok(group) => read(group, &snapshot),
        Err(error) => warn!(%error, "refused packets are not logged"),
    };
    thread::Builder::new()
        .name("kr-drops".into())
        .spawn(body)
        .map(drop)
}

fn read(mut group: Nflog, snapshot: &watch::Receiver<Option<Arc<Snapshot>>>) {
    while snapshot.has_changed().is_ok() {
        match group.next(Some(PAUSE)) {
            Ok(Notice::Quiet) => {}
            Ok(Notice::Lost) => warn!("refused packets came faster than they are read"),
            Ok(Notice::Records(records)) => {
                let known = snapshot.borrow().clone().unwrap_or_default();
                let drops = records.iter().filter_map(|record| judge(record, &known));
                drops.take(TOLD).for_each(|drop| tell(&drop));
            }
            Err(error) => {
                warn!(%error, "refused packets are no longer logged");
                return;
            }
        }
    }
}

fn tell(drop: &Drop) {
    let name = |name: &Option<ObjectName>| name.as_ref().map(ToString::to_string);
    let policies: Vec<String> = drop.policies.iter().map(ToString::to_string).collect();
    info!(
        direction = drop.flow.map(Flow::name),
        reason = drop.reason(),
        source = %drop.source,
        from = name(&drop.from),
        destination = %drop.destination,
        to = name(&drop.to),
        protocol = drop.protocol,
        port = drop.port,
        policies = policies.join(", "),
        "refused by network policy"
    );
}

// === impl Drop ===

impl Drop {
    fn reason(&self) -> &'static str {
        match (self.flow, &self.from, &self.to) {
            (Some(_), ..) => "nothing allows it",
            (None, Some(_), Some(_)) => "the rules of one of the pods do not stand",
            (None, ..) => "an address of the pods' range that is no known pod's",
        }
    }
}

/// What a record means; `None` for one that no rule of ours made.
pub(super) fn judge(record: &Record, snapshot: &Snapshot) -> Option<Drop> {
    let flow = Flow::ALL.into_iter().find(|flow| {
        let rest = record.prefix.strip_prefix(flow.name());
        rest.is_some_and(|rest| rest.starts_with(':'))
    });
    if flow.is_none() && record.prefix != CLOSED_LOG.as_str() {
        return None;
    }
    let header = record.header()?;
    let (from, to) = (
        owner(header.source, snapshot),
        owner(header.destination, snapshot),
    );
    let pod = flow.and_then(|flow| match flow {
        Flow::Ingress => Some((to?, flow)),
        Flow::Egress => Some((from?, flow)),
    });
    let policies = pod.map(|(pod, flow)| isolating(pod, flow, snapshot));
    let (protocol, port) = transport(&header);
    Some(Drop {
        flow,
        source: header.source,
        destination: header.destination,
        protocol,
        port,
        from: from.map(|pod| pod.name.clone()),
        to: to.map(|pod| pod.name.clone()),
        policies: policies.unwrap_or_default(),
    })
}

fn transport(header: &Header) -> (String, Option<u16>) {
    let known = Protocol::from_number(header.protocol);
    let name = match (known, header.protocol) {
        (Some(protocol), _) => protocol.name().to_owned(),
        (None, 1) => "icmp".to_owned(),
        (None, 58) => "icmpv6".to_owned(),
        (None, number) => number.to_string(),
    };
    match header.transport {
        Transport::Ports { destination, .. } => (name, Some(destination)),
        Transport::Icmp { .. } | Transport::Unknown => (name, None),
    }
}

/// The pod that has the address; of several the youngest. A look through all of them: packets are
/// few, and an index would cost every change of the cluster.
fn owner(address: IpAddr, snapshot: &Snapshot) -> Option<&Pod> {
    let pods = snapshot.pods.iter().map(|(_, pod)| &**pod);
    let owners = pods.filter(|pod| pod.is_actionable() && pod.addresses.contains(&address));
    owners.max_by_key(|pod| pod.created)
}

fn isolating(pod: &Pod, flow: Flow, snapshot: &Snapshot) -> Vec<ObjectName> {
    let policies = snapshot.policies.iter().map(|(_, policy)| policy);
    let isolating = policies.filter(|policy| {
        let rules = match flow {
            Flow::Ingress => &policy.ingress,
            Flow::Egress => &policy.egress,
        };
        policy.name.namespace == pod.name.namespace
            && rules.is_some()
            && policy.pods.matches(&pod.labels)
    });
    isolating.map(|policy| policy.name.clone()).collect()
}
