//! All that is wanted as `ipset restore` and `iptables-restore --noflush` read it. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use super::pods::PodSet;
use super::{Names, rules, sets};
use crate::firewall::{Chain, Match, Member, Name, SERVED, SetKey, Wanted};
use crate::kernel::ipset::Command;
use crate::kernel::iptables::{Edit, Table, TableEdits};
use crate::net::Family;

/// The text for one family, sets first.
#[must_use]
pub fn script(names: &Names, wanted: &Wanted, family: Family) -> String {
    let mut text = String::new();
    let mut members: BTreeMap<SetKey, Vec<Member>> = wanted
        .members
        .iter()
        .filter(|(key, _)| key.family == family)
        .map(|(key, members)| (*key, members.iter().copied().collect()))
        .collect();
    let mut targets: BTreeMap<PodSet, Vec<IpAddr>> = BTreeMap::new();
    for (key, chain) in wanted
        .targets
        .iter()
        .filter(|(key, _)| key.family() == family)
    {
        let set = PodSet {
            family,
            dispatch: key.dispatch,
            chain: *chain,
        };
        targets.entry(set).or_default().push(key.address);
    }
    for (set, addresses) in &targets {
        if let Some(def) = set.def() {
            let addresses = addresses.iter().copied().map(Member::Address);
            members.insert(SetKey::new(family, def), addresses.collect());
        }
    }
    for (key, members) in &mut members {
        members.sort_unstable();
        let Ok(definition) = sets::definition(key.def, family, members.len()) else {
            continue;
        };
        let name = definition.name.clone();
        let _ = writeln!(text, "{}", Command::Create(definition));
        if !members.is_empty() {
            let entries = members.iter().map(sets::entry).collect();
            let _ = writeln!(text, "{}", Command::Add(name, entries));
        }
    }
    let asks_ipvs = |chain: &Arc<Chain>| {
        let mut conditions = chain.rules.iter().flat_map(|rule| &rule.matches);
        conditions.any(|condition| *condition == Match::ServedByIpvs)
    };
    let mut own = wanted.chains.iter().filter(|(key, _)| key.family == family);
    if own.any(|(_, chain)| asks_ipvs(chain))
        && let Ok(served) = sets::definition(SERVED, family, 0)
    {
        // The service proxy's, where there is one.
        let _ = writeln!(text, "{} -exist", Command::Create(served));
    }
    let mut edits = Vec::new();
    let mut chains: Vec<_> = wanted
        .chains
        .iter()
        .filter(|(key, _)| key.family == family)
        .collect();
    chains.sort_unstable_by_key(|(key, _)| **key);
    let chains = chains.into_iter();
    edits.extend(chains.filter_map(|(_, chain)| rules::chain_of(chain, family)));
    for dispatch in names.dispatches {
        let here = targets.keys().filter(|set| set.dispatch == *dispatch);
        let here = here.map(|set| (set.kernel_name(), set.chain));
        edits.extend(rules::dispatch(
            *dispatch,
            here.collect::<Vec<(String, Name)>>().into_iter(),
        ));
    }
    let mut edits: Vec<Edit> = edits.into_iter().map(Edit::ReplaceChain).collect();
    let jumps = wanted.jumps.iter().filter(|(of, _)| *of == family);
    for guest in jumps.filter_map(|(_, jump)| rules::guest(jump, family)) {
        edits.push(Edit::InsertRule {
            chain: guest.chain,
            place: Some(1),
            rule: guest.rule,
        });
    }
    let table = Table::Filter;
    let _ = write!(text, "{}", TableEdits { table, edits });
    text
}
