//! Tunnels between nodes: names, ends, encapsulation, overhead.
//!
//! A tunnel is known by the address at its other end alone: its name is a hash of that address
//! with its family, so that no two addresses share a name as `21.3.0.4` and `2.13.0.4` once did.

use std::fmt;
use std::net::IpAddr;

use ring::digest::{SHA256, digest};

use crate::kernel::rtnl::object::{self, TABLE_KUBE_ROUTER, Tunnel, TunnelMode};
use crate::net::{Family, Prefix};

/// What the names of tunnels start with.
pub const PREFIX: &str = "tun-";
/// Hexadecimal digits behind it: a link's name has 15 octets at most (`IFNAMSIZ` less the zero).
const DIGITS: usize = 11;

/// The routing table of packets from pods to addresses of nodes (`77 kube-router`).
pub const TABLE: u32 = TABLE_KUBE_ROUTER;

/// The TTL of packets with a UDP header, as upstream's: that of the packet inside is no use to
/// whoever counts hops between nodes.
const FOU_TTL: u8 = 225;

/// To which nodes tunnels are dug (`overlay_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Those of other subnets.
    Subnet,
    Full,
}

/// How packets are wrapped (`overlay_encap`); both ends must say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encap {
    /// IP in IP (RFC 2003), or IPv6 (RFC 2473).
    Ipip,
    /// Generic UDP encapsulation to this port, as upstream's `fou` has it.
    Fou { port: u16 },
}

/// Tunnels as the configuration allows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Overlay {
    pub reach: Reach,
    pub encap: Encap,
}

/// The name of a tunnel's link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelName([u8; DIGITS]);

/// One tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelPlan {
    /// Of the same family as `remote`.
    pub local: IpAddr,
    pub remote: IpAddr,
    pub encap: Encap,
}

/// A tunnel by our name, or upstream's, as it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeldTunnel {
    /// Local and remote; `None` where the link is no tunnel at all.
    pub ends: Option<(IpAddr, IpAddr)>,
    /// `None` where it is down, or not as we would make it.
    pub plan: Option<TunnelPlan>,
}

/// A port at which wrapped packets arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FouPort {
    pub family: Family,
    pub port: u16,
}

/// Packets of pods look into [`TABLE`] first: what comes from another node's own address through
/// a tunnel is answered through it, and reverse path filters are content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyRule {
    /// Pods of this node.
    pub from: Prefix,
}

// === impl Encap ===

impl Encap {
    /// Octets that it puts before a packet.
    #[must_use]
    pub fn overhead(self, family: Family) -> u32 {
        let ip = match family {
            Family::V4 => 20,
            // Without the option that limits nesting, which would take eight more.
            Family::V6 => 40,
        };
        match self {
            Self::Ipip => ip,
            // UDP and the base header of GUE.
            Self::Fou { .. } => ip + 8 + 4,
        }
    }
}

// === impl TunnelName ===

impl TunnelName {
    /// The name of the tunnel to an address.
    #[must_use]
    pub fn of(remote: IpAddr) -> Self {
        let hash = match remote {
            IpAddr::V4(a) => digest(&SHA256, &[[4].as_slice(), &a.octets()].concat()),
            IpAddr::V6(a) => digest(&SHA256, &[[6].as_slice(), &a.octets()].concat()),
        };
        let nibbles = hash
            .as_ref()
            .iter()
            .flat_map(|octet| [octet >> 4, octet & 15]);
        let mut digits = [b'0'; DIGITS];
        for (digit, nibble) in digits.iter_mut().zip(nibbles) {
            *digit = if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            };
        }
        Self(digits)
    }

    /// A link's name as a tunnel's; `None` for names that we never give. Upstream's look the same.
    #[must_use]
    pub fn read(link: &str) -> Option<Self> {
        let digits: [u8; DIGITS] = link.strip_prefix(PREFIX)?.as_bytes().try_into().ok()?;
        let is_digit = |c: &u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        digits.iter().all(is_digit).then_some(Self(digits))
    }
}

impl fmt::Display for TunnelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = std::str::from_utf8(&self.0).unwrap_or_default();
        write!(f, "{PREFIX}{digits}")
    }
}

impl fmt::Debug for TunnelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl HeldTunnel ===

impl HeldTunnel {
    /// One that is as this plan says.
    #[must_use]
    pub fn of(plan: TunnelPlan) -> Self {
        Self {
            ends: Some((plan.local, plan.remote)),
            plan: Some(plan),
        }
    }

    #[must_use]
    pub fn family(&self) -> Option<Family> {
        self.ends.map(|(_, remote)| Family::of(remote))
    }
}

// === impl TunnelPlan ===

impl TunnelPlan {
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.remote)
    }

    /// As the kernel knows it.
    #[must_use]
    pub fn object(&self) -> Tunnel {
        let family = self.family();
        let mode = match family {
            Family::V4 => TunnelMode::Ipip,
            Family::V6 => TunnelMode::Ip6Ip6,
        };
        let mut tunnel = Tunnel::new(mode, self.local, self.remote);
        if let Encap::Fou { port } = self.encap {
            tunnel.ttl = FOU_TTL;
            tunnel.pmtudisc = true;
            tunnel.encap = Some(object::Encap::gue(family, port));
        }
        tunnel
    }

    /// A tunnel of the kernel as one of ours; `None` for one that we would make otherwise.
    #[must_use]
    pub fn read(tunnel: &Tunnel) -> Option<Self> {
        let plan = Self {
            local: tunnel.local,
            remote: tunnel.remote,
            encap: tunnel.encap.map_or(Encap::Ipip, |encap| Encap::Fou {
                port: encap.destination_port,
            }),
        };
        (plan.object() == *tunnel).then_some(plan)
    }
}
