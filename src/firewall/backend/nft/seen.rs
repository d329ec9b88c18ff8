//! What stands of ours, in neutral words.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{HOOKS, Nftables, Stray};
use crate::firewall::render::nft as render;
use crate::firewall::{ChainKey, Dispatch, Member, Name, Seen, SetDef, SetKey, TargetKey, Wanted};
use crate::kernel::nft::object;
use crate::kernel::nft::{ObservedSet, ObservedTable, Tables};

impl<T: Tables> Nftables<T> {
    pub(super) fn see_chains(&mut self, table: &ObservedTable, wanted: &Wanted, seen: &mut Seen) {
        let mut jumps_stand = true;
        for from in HOOKS {
            let held = render::base(from).and_then(|base| {
                let held = table.chains.get(&base.name)?;
                (held.chain == base && !held.is_foreign).then_some(held)
            });
            let here = wanted.jumps.iter().filter(|(_, jump)| jump.from == from);
            let is_right = match (held, render::jumps(here)) {
                (Some(held), Ok(rules)) => held.rules().eq(&rules),
                _ => false,
            };
            jumps_stand &= is_right;
        }
        for (name, held) in &table.chains {
            let is_base = HOOKS
                .iter()
                .any(|from| render::base(from).is_some_and(|base| base.name == *name));
            match render::parse(name) {
                Some((name, family)) if held.chain.base.is_none() => {
                    let key = ChainKey { family, name };
                    let right = wanted.chains.get(&key).filter(|chain| {
                        let rules = render::rules(chain, family);
                        !held.is_foreign && rules.is_ok_and(|rules| held.rules().eq(&rules))
                    });
                    seen.chains.insert(key, right.cloned());
                }
                _ if is_base => {}
                _ => self.strays.push(Stray::Chain(name.clone())),
            }
        }
        jumps_stand &= self.strays.is_empty();
        seen.jumps = jumps_stand.then(|| wanted.jumps.clone());
    }

    pub(super) fn see_set(&mut self, held: &ObservedSet, wanted: &Wanted, seen: &mut Seen) {
        let named = render::parse(&held.set.name).filter(|_| !held.is_foreign);
        let dispatch = named.and_then(|(name, _)| {
            let mut all = self.dispatches.iter();
            all.find(|dispatch| dispatch.name == name).copied()
        });
        if let Some(dispatch) = dispatch.filter(|_| held.set.is_map) {
            return self.see_targets(held, dispatch, seen);
        }
        let kind = render::kind(&held.set).filter(|_| !held.set.is_map);
        let (Some((name, family)), Some(kind)) = (named, kind) else {
            self.strays.push(Stray::Set(Arc::clone(&held.set)));
            return;
        };
        let key = SetKey::new(family, SetDef { name, kind });
        let members: BTreeSet<Member> = held
            .elements
            .iter()
            .filter_map(|element| render::member(element, &held.set))
            .collect();
        let is_mixed = members.len() < held.elements.len() || held.foreign_elements > 0;
        if is_mixed && wanted.members.get(&key).is_some() {
            // Left out of what is seen, so that it is made anew.
            self.mixed.insert(key);
        } else {
            seen.sets.insert(key, members);
        }
    }

    fn see_targets(&mut self, held: &ObservedSet, dispatch: Dispatch, seen: &mut Seen) {
        for element in &held.elements {
            match render::read_target(element, &held.set) {
                Some((address, chain)) => {
                    let key = TargetKey { dispatch, address };
                    self.targets.insert(key, Some(chain));
                    seen.targets.insert(key, chain);
                }
                // Somebody else's verdict for one of our addresses: replaced when it is wanted.
                None => {
                    let terms = element.terms(&held.set.key);
                    if let Some([object::Term::Address(address)]) = terms.as_deref() {
                        let address = *address;
                        let key = TargetKey { dispatch, address };
                        self.targets.insert(key, None);
                        seen.targets.insert(key, Name::of("?"));
                    }
                }
            }
        }
    }
}
