//! What the annotations of a Node say of BGP (`kube-router.io/…`), typed and parsed.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::bgp::wire::{Community, LargeCommunity};
use crate::net::{Prefix, Secret};

/// All of it; the default is a Node without any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeBgp {
    /// `node.asn`, for clusters without a full mesh.
    pub asn: Option<u32>,
    /// `rr.server`, else `rr.client`.
    pub reflector: Option<Reflector>,
    /// `peers`, else `peer.ips` with its companions. `None`: the Node names none at all.
    pub peers: Option<Vec<AnnotatedPeer>>,
    /// `bgp-local-addresses`: where sessions are accepted. `None`: at the node's addresses.
    pub local_addresses: Option<Vec<IpAddr>>,
    /// `node.bgp.communities`: for everything that external peers are told.
    pub communities: Communities,
    /// `node.bgp.customimportreject`: neither these nor what is inside is taken from any peer.
    pub import_reject: Vec<Prefix>,
    /// `path-prepend.as` with `path-prepend.repeat-n`: for everything that external peers are told.
    pub prepend: Option<PathPrepend>,
}

/// A Node's part in route reflection (RFC 4456), with the cluster's identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reflector {
    Server(Ipv4Addr),
    Client(Ipv4Addr),
}

/// Communities of both kinds, in the order in which they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Communities {
    pub plain: Vec<Community>,
    /// RFC 8092.
    pub large: Vec<LargeCommunity>,
}

/// An AS number to be put in front of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathPrepend {
    pub asn: u32,
    /// 1 or above.
    pub times: u8,
}

/// An external peer of one Node. What is `None` is as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnotatedPeer {
    pub address: IpAddr,
    pub asn: u32,
    /// Of the peer's family.
    pub local_address: Option<IpAddr>,
    /// TCP port of the peer.
    pub port: Option<u16>,
    pub password: Option<Secret>,
    pub bfd: Option<AnnotatedBfd>,
}

/// How one peer is watched by BFD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnnotatedBfd {
    pub enabled: bool,
    /// UDP port of the peer.
    pub port: u16,
    /// 1 or above.
    pub multiplier: u8,
    pub required_min_rx: Duration,
    pub desired_min_tx: Duration,
}

// === impl Reflector ===

impl Reflector {
    /// The identifier of the cluster that the Node belongs to.
    #[must_use]
    pub fn cluster(self) -> Ipv4Addr {
        let (Self::Server(cluster) | Self::Client(cluster)) = self;
        cluster
    }
}

// === impl Communities ===

impl Communities {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.large.is_empty()
    }
}

// === impl AnnotatedBfd ===

impl Default for AnnotatedBfd {
    /// Off, with the original's values.
    fn default() -> Self {
        Self {
            enabled: false,
            port: 3784,
            multiplier: 3,
            required_min_rx: Duration::from_secs(1),
            desired_min_tx: Duration::from_secs(1),
        }
    }
}
