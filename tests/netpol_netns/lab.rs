//! A node with pods around it: one network namespace each, joined by veths.
//!
//! Every address that a test speaks of has its place from the start, whether a cluster has a pod
//! there or not: rules judge addresses, not links, and so nothing moves between two clusters.

use std::io;
use std::net::IpAddr;
use std::thread;

use crate::namespaces::{Place, calm, feed, here, ip_batch, join, unshare};
use crate::policy_cluster::{NODE_V4, NODE_V6, ip};
use crate::server::Server;

/// Where pods may be: one place has one address of each family.
const PODS: [&[&str]; 8] = [
    &["10.42.0.1", "fd00:42::1"],
    &["10.42.0.2", "fd00:42::2"],
    &["10.42.0.5", "fd00:42::5"],
    &["10.42.0.6", "fd00:42:1::1"],
    &["10.42.1.1", "fd00:42:1::5"],
    &["10.42.1.2", "fd00:42:1::6"],
    &["10.42.1.5"],
    &["10.42.1.6"],
];
/// In the range of pods, but never a pod's.
const UNKNOWN: &[&str] = &["10.42.0.200", "10.42.1.4", "fd00:42::7", "fd00:42:1::4"];
/// The node's own in the range of pods, as a bridge has it; its facts need not name it.
pub(crate) const GATEWAY: [&str; 2] = ["10.42.0.254", "fd00:42::fe"];
const OUTSIDE: &[&str] = &["203.0.113.9", "198.51.100.1", "2001:db8::9"];

/// How pods are joined to their node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joint {
    /// Each by a link of its own: packets between pods are routed.
    Routed,
    /// By one bridge: frames between pods are bridged.
    Bridged,
}

/// All places; the first is the node, in whose namespace the test's thread is.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) places: Vec<Place>,
    _server: Server,
}

// === impl Lab ===

impl Lab {
    /// Makes the namespace of the node for the calling thread, and all others.
    pub(crate) fn new(joint: Joint) -> io::Result<Self> {
        unshare()?;
        let mut places = vec![Place {
            namespace: here()?,
            addresses: addresses(&[NODE_V4, NODE_V6, GATEWAY[0], GATEWAY[1]]),
        }];
        calm();
        ip_batch(&node(joint));
        for (number, names) in PODS.iter().chain([&UNKNOWN, &OUTSIDE]).enumerate() {
            let is_bridged = joint == Joint::Bridged && *names != OUTSIDE;
            let addresses = addresses(names);
            let namespace = join(number, &addresses, is_bridged)?;
            places.push(Place {
                namespace,
                addresses,
            });
        }
        let server = Server::start(&places);
        let lab = Self {
            places,
            _server: server,
        };
        lab.node().enter();
        receive_elsewhere();
        Ok(lab)
    }

    pub(crate) fn node(&self) -> &Place {
        &self.places[0]
    }

    /// The place of an address.
    pub(crate) fn place(&self, address: IpAddr) -> usize {
        let mut places = self.places.iter();
        let found = places.position(|place| place.addresses.contains(&address));
        found.unwrap_or_else(|| panic!("{address} has no place"))
    }
}

fn addresses(names: &[&str]) -> Vec<IpAddr> {
    names.iter().map(|name| ip(name)).collect()
}

fn node(joint: Joint) -> String {
    let mut lines = format!(
        "link set lo up\naddress add {NODE_V4}/32 dev lo\naddress add {NODE_V6}/128 dev lo nodad\n"
    );
    let link = if joint == Joint::Bridged {
        lines += "link add kube-bridge type bridge mcast_snooping 0\nlink set kube-bridge up\n";
        lines += "address add fe80::1/64 dev kube-bridge nodad\n";
        lines += &format!("route add 10.42.0.0/16 dev kube-bridge src {NODE_V4}\n");
        lines += &format!("route add fd00:42::/32 dev kube-bridge src {NODE_V6}\n");
        "kube-bridge"
    } else {
        "lo"
    };
    let [v4, v6] = GATEWAY;
    lines += &format!("address add {v4}/32 dev {link}\naddress add {v6}/128 dev {link} nodad\n");
    lines
}

/// Has another processor receive what pods send. Else a refusal comes back while the sender's
/// system call still holds its socket, and TCP over IPv6 takes no notice of it until it sends
/// again, a second later.
fn receive_elsewhere() {
    let is_alone = thread::available_parallelism().is_ok_and(|number| number.get() < 2);
    let mut first: libc::cpu_set_t = {
        // SAFETY: all zeroes are an empty set.
        unsafe { std::mem::zeroed() }
    };
    // SAFETY: the set outlives both calls; only this thread is affected.
    let pinned = unsafe {
        libc::CPU_SET(0, &mut first);
        libc::sched_setaffinity(0, size_of_val(&first), &raw const first)
    };
    if pinned == 0 && !is_alone {
        feed(&["unshare", "--mount", "sh", "-e"], RECEIVE_ELSEWHERE);
    }
}

/// The files show the links of the namespace in which they were mounted.
const RECEIVE_ELSEWHERE: &str = "mount -t sysfs none /sys
for mask in /sys/class/net/pod*/queues/rx-0/rps_cpus; do echo 2 >$mask; done
";
