//! The plan as the tools would be told. Pure.

use std::fmt::Write as _;

use crate::firewall::{Names, iptables_script, nftables_script};
use crate::net::Family;
use crate::netpol::plan::{CHAIN_PREFIXES, CHAINS, DISPATCHES, SETS};
use crate::netpol::{Kind, Plan, TABLE};

/// The fixed names of network policy.
pub const NAMES: Names = Names {
    chains: CHAINS,
    chain_prefixes: CHAIN_PREFIXES,
    dispatches: DISPATCHES,
    sets: SETS,
};

/// Everything that would be programmed where nothing is yet.
#[must_use]
pub fn print(plan: &Plan, kind: Kind) -> String {
    let wanted = plan.wanted();
    match kind {
        Kind::Nftables => nftables_script(TABLE, DISPATCHES, wanted).unwrap_or_default(),
        Kind::Iptables => {
            let mut text = String::new();
            for family in Family::ALL {
                if wanted.chains.iter().any(|(key, _)| key.family == family) {
                    let _ = writeln!(text, "# {family}");
                    text.push_str(&iptables_script(&NAMES, wanted, family));
                }
            }
            text
        }
    }
}
