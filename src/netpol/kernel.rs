//! What the controller asks of the kernel besides rules.

use crate::config::NetpolBackend;
use crate::firewall::{Backend, Fault, Nftables, Xtables};
use crate::kernel::conntrack::{Conntrack, Flow, Flows};
use crate::kernel::ipset::Ipset;
use crate::kernel::iptables::{Iptables, Table, Variant};
use crate::kernel::nft::{self, Monitor, Nft, Tables};
use crate::kernel::sysctl::{self, Key, Parameters, Sysctl};
use crate::net::{ByFamily, Family, Protocol};
use crate::netpol::NAMES;
use crate::netpol::plan::DISPATCHES;

/// The table that is ours, in family `inet`.
pub const TABLE: &str = "kube-router-netpol";

/// The table that upstream's kube-router keeps in family `ip` or `ip6` with
/// `--use-nftables-for-netpol`, (`pkg/controllers/netpol/npc_nftables.go`).
#[must_use]
pub fn predecessor(family: Family) -> &'static str {
    match family {
        Family::V4 => "kube-router-filter-ipv4",
        Family::V6 => "kube-router-filter-ipv6",
    }
}

/// The way in which rules are programmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Nftables,
    Iptables,
}

/// The kernel, or one that a test made.
pub trait Kernel {
    /// # Errors
    /// Where the kernel or the host lacks what it needs.
    fn open(&mut self, kind: Kind) -> Result<Box<dyn Backend>, Fault>;

    /// What `auto` means here.
    fn best(&mut self) -> Kind;

    /// Whether frames between ports of a bridge pass the rules of a family; `None` where the
    /// kernel has no such switch.
    ///
    /// # Errors
    /// Where it can't be read.
    fn bridge_is_filtered(&mut self, family: Family) -> Result<Option<bool>, Fault>;

    /// # Errors
    /// Where it can't be set.
    fn filter_bridge(&mut self, family: Family) -> Result<(), Fault>;

    /// Whether upstream's kube-router left a table of its own behind ([`predecessor`]): packets that
    /// it refuses stay refused, whatever we accept. `false` where that can't be told.
    fn has_predecessor(&mut self, family: Family) -> bool;

    /// Deletes that table.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn remove_predecessor(&mut self, family: Family) -> Result<(), Fault>;

    /// Makes connection tracking forget the flows of a family that are to go; how many there were.
    ///
    /// # Errors
    /// Where they can't be listed or one can't be deleted.
    fn forget_flows(
        &mut self,
        family: Family,
        is_to_go: &mut dyn FnMut(&Flow) -> bool,
    ) -> Result<usize, Fault>;
}

/// The kernel of the calling thread's network namespace.
#[derive(Debug)]
pub struct HostKernel {
    sysctl: Sysctl,
}

// === impl Kind ===

impl Kind {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Nftables => Self::Iptables,
            Self::Iptables => Self::Nftables,
        }
    }

    /// As the configuration names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }

    /// `None` for `auto`.
    #[must_use]
    pub fn wanted(backend: NetpolBackend) -> Option<Self> {
        match backend {
            NetpolBackend::Auto => None,
            NetpolBackend::Nftables => Some(Self::Nftables),
            NetpolBackend::Iptables => Some(Self::Iptables),
        }
    }
}

// === impl HostKernel ===

impl HostKernel {
    #[must_use]
    pub fn new() -> Self {
        Self {
            sysctl: Sysctl::new(),
        }
    }
}

impl Default for HostKernel {
    fn default() -> Self {
        Self::new()
    }
}

impl Kernel for HostKernel {
    fn open(&mut self, kind: Kind) -> Result<Box<dyn Backend>, Fault> {
        Ok(match kind {
            Kind::Nftables => {
                let nft = Nft::open()?;
                let mut monitor = Monitor::open(nft::Name::new(TABLE)?)?;
                monitor.leave_out(nft.port()?)?;
                Box::new(Nftables::new(nft, TABLE, DISPATCHES, Some(monitor))?)
            }
            Kind::Iptables => {
                let tools = ByFamily {
                    v4: Iptables::open(Family::V4).ok(),
                    v6: Iptables::open(Family::V6).ok(),
                };
                let is_nft = |tools: &Iptables| tools.variant() == Variant::Nft;
                let is_told = [&tools.v4, &tools.v6].into_iter().flatten().any(is_nft);
                let room = Xtables::new(Ipset::open()?, tools, NAMES);
                if is_told {
                    let filter = nft::Name::new(Table::Filter.name())?;
                    let monitor = Monitor::open_chains(filter, |chain| NAMES.concerns(chain))?;
                    Box::new(room.listening(Nft::open()?, monitor))
                } else {
                    Box::new(room)
                }
            }
        })
    }

    /// nftables wherever the kernel speaks it.
    fn best(&mut self) -> Kind {
        let speaks = Nft::open().and_then(|mut nft| nft.tables());
        if speaks.is_ok() {
            Kind::Nftables
        } else {
            Kind::Iptables
        }
    }

    fn bridge_is_filtered(&mut self, family: Family) -> Result<Option<bool>, Fault> {
        match self.sysctl.read(&bridge_key(family)?) {
            Ok(value) => Ok(Some(value == "1")),
            Err(sysctl::Error::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn filter_bridge(&mut self, family: Family) -> Result<(), Fault> {
        Ok(self.sysctl.write(&bridge_key(family)?, "1")?)
    }

    fn has_predecessor(&mut self, family: Family) -> bool {
        let Ok(name) = nft::Name::new(predecessor(family)) else {
            return false;
        };
        let found = Nft::open().and_then(|mut nft| nft.has_table(family, &name));
        found.unwrap_or(false)
    }

    fn remove_predecessor(&mut self, family: Family) -> Result<(), Fault> {
        let name = nft::Name::new(predecessor(family))?;
        Ok(Nft::open()?.delete_table(family, &name)?)
    }

    fn forget_flows(
        &mut self,
        family: Family,
        is_to_go: &mut dyn FnMut(&Flow) -> bool,
    ) -> Result<usize, Fault> {
        let mut table = Conntrack::open()?;
        let mut forgotten = 0;
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
            forgotten += table.delete_where(family, protocol, is_to_go)?;
        }
        Ok(forgotten)
    }
}

fn bridge_key(family: Family) -> Result<Key, Fault> {
    Ok(Key::new(match family {
        Family::V4 => "net/bridge/bridge-nf-call-iptables",
        Family::V6 => "net/bridge/bridge-nf-call-ip6tables",
    })?)
}
