//! One list of steps, in an order that is right after every single one.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::pods::PodSet;
use super::{Fault, Outcome, Xtables, sets};
use crate::firewall::{
    Action, Chain, Change, Dispatch, Jump, Match, Member, Name, SERVED, SetDef, SetKey, Wanted,
};
use crate::kernel::ipset::{self, Entry, Existing, SetName, Sets};
use crate::kernel::iptables::{self, ChainName, Edit, RuleTables, Table, TableEdits};
use crate::net::{ByFamily, Family};

/// Ends the name of a set while it is filled.
pub(super) const TEMPORARY: &str = "~";

/// Steps of one family that wait for one `iptables-restore`.
#[derive(Default)]
struct Queue {
    edits: Vec<Edit>,
    /// The positions of the steps that take effect with it.
    steps: Vec<usize>,
    dispatches: BTreeSet<Dispatch>,
    /// What leaves a set once the new rules stand.
    leaving: Vec<(PodSet, IpAddr)>,
}

struct Run<'a, S, T> {
    room: &'a mut Xtables<S, T>,
    wanted: &'a Wanted,
    steps: &'a [Change],
    outcomes: Vec<Option<Outcome>>,
    queues: ByFamily<Queue>,
    /// Something did not work: what comes later may build on it.
    broken: ByFamily<bool>,
}

/// A step that was not tried because one before it did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not tried: a step before it did not work")]
struct NotTried;

/// Carries out a list of steps.
pub(super) fn run<S: Sets, T: RuleTables>(
    room: &mut Xtables<S, T>,
    steps: &[Change],
    wanted: &Wanted,
) -> Vec<Outcome> {
    let mut run = Run {
        room,
        wanted,
        steps,
        outcomes: steps.iter().map(|_| None).collect(),
        queues: ByFamily::default(),
        broken: ByFamily::default(),
    };
    for position in 0..steps.len() {
        run.step(position);
    }
    run.flush_all();
    // Rules for targets that the last addresses left only now.
    run.flush_all();
    run.sweep();
    let not_tried = || Outcome::Left(NotTried.into());
    let outcomes = run.outcomes.into_iter();
    outcomes
        .map(|outcome| outcome.unwrap_or_else(not_tried))
        .collect()
}

// === impl Run ===

impl<S: Sets, T: RuleTables> Run<'_, S, T> {
    fn step(&mut self, position: usize) {
        let steps = self.steps;
        let Some(step) = steps.get(position) else {
            return;
        };
        match step {
            Change::AddSet(key, _)
            | Change::AddMembers(key, _)
            | Change::DelMembers(key, _)
            | Change::DelSet(key)
                if !self.room.can_hold(key) =>
            {
                self.tell(position, key.family, Ok(()));
            }
            Change::AddSet(key, members) => {
                let done = self.make_set(key, members);
                self.tell(position, key.family, done);
            }
            Change::AddMembers(key, members) => {
                if key.def == self.wanted.gate {
                    self.flush(key.family);
                }
                if self.goes_on(key.family) {
                    let done = self.add_members(key, members);
                    self.tell(position, key.family, done);
                }
            }
            Change::SetChain(family, chain) => self.queue_chain(position, *family, chain),
            Change::SetTargets(family, dispatch, targets) => {
                self.enter(position, *family, *dispatch, targets);
            }
            Change::SetJumps(jumps) => {
                self.flush_all();
                self.set_jumps(position, jumps);
            }
            Change::DelTargets(family, dispatch, addresses) => {
                self.flush(*family);
                self.leave(position, *family, *dispatch, addresses);
            }
            Change::DelMembers(key, members) => {
                self.flush(key.family);
                if self.goes_on(key.family) {
                    let done = self.delete_members(key, members);
                    self.tell(position, key.family, done);
                }
            }
            Change::DelChain(key) => {
                // Addresses that still are on their way lead there until the next restore.
                if !self.queues.get(key.family).leaving.is_empty() {
                    self.flush(key.family);
                }
                if let Ok(name) = ChainName::new(key.name.as_str()) {
                    let queue = self.queues.get_mut(key.family);
                    queue.edits.push(Edit::DeleteChain(name));
                    queue.steps.push(position);
                }
            }
            Change::DelSet(key) => {
                self.flush(key.family);
                if self.goes_on(key.family) {
                    let done = self.delete_set(key);
                    self.tell(position, key.family, done);
                }
            }
        }
    }

    fn goes_on(&self, family: Family) -> bool {
        !self.broken.get(family)
    }

    fn tell(&mut self, position: usize, family: Family, done: Result<(), Outcome>) {
        if done.is_err() {
            *self.broken.get_mut(family) = true;
        }
        if let Some(outcome) = self.outcomes.get_mut(position) {
            *outcome = Some(done.err().unwrap_or(Outcome::Done));
        }
    }

    // --- sets ---

    fn make_set(&mut self, key: &SetKey, members: &[Member]) -> Result<(), Outcome> {
        let definition = definition(key, members.len())?;
        let entries: Vec<Entry> = members.iter().map(sets::entry).collect();
        let ipset = &mut self.room.ipset;
        match ipset.create(&definition) {
            Ok(()) => {}
            // Left by somebody: filled beside it and exchanged.
            Err(ipset::Error::Exists(_)) => {
                let temporary = temporary(key)?;
                return ipset
                    .replace(&definition, &entries, &temporary)
                    .map_err(refused);
            }
            Err(error) => return Err(refused(error)),
        }
        ipset
            .add(&definition.name, &entries, Existing::Ignored)
            .map_err(refused)
    }

    fn add_members(&mut self, key: &SetKey, members: &[Member]) -> Result<(), Outcome> {
        let name = set_name(key)?;
        let entries: Vec<Entry> = members.iter().map(sets::entry).collect();
        let added = self.room.ipset.add(&name, &entries, Existing::Ignored);
        match added {
            Ok(()) => Ok(()),
            Err(ipset::Error::Entries { refused, .. })
                if refused.iter().any(|one| one.reason == ipset::Reason::Full) =>
            {
                self.grow(key)
            }
            Err(error @ ipset::Error::NoSet(_)) => Err(Outcome::Stale(error.into())),
            Err(error) => Err(refused(error)),
        }
    }

    /// A larger set takes the place of a full one.
    fn grow(&mut self, key: &SetKey) -> Result<(), Outcome> {
        let all = self.wanted.members.get(key).into_iter().flatten();
        let entries: Vec<Entry> = all.map(sets::entry).collect();
        let definition = definition(key, entries.len())?;
        let temporary = temporary(key)?;
        let ipset = &mut self.room.ipset;
        ipset
            .replace(&definition, &entries, &temporary)
            .map_err(refused)
    }

    fn delete_members(&mut self, key: &SetKey, members: &[Member]) -> Result<(), Outcome> {
        let name = set_name(key)?;
        let entries: Vec<Entry> = members.iter().map(sets::entry).collect();
        match self.room.ipset.del(&name, &entries, Existing::Ignored) {
            Ok(()) => Ok(()),
            Err(error @ ipset::Error::NoSet(_)) => Err(Outcome::Stale(error.into())),
            Err(error) => Err(refused(error)),
        }
    }

    fn delete_set(&mut self, key: &SetKey) -> Result<(), Outcome> {
        match self.room.ipset.destroy(&set_name(key)?) {
            Ok(()) | Err(ipset::Error::NoSet(_)) => Ok(()),
            Err(error) => Err(Outcome::Left(error.into())),
        }
    }

    // --- chains and dispatches ---

    fn queue_chain(&mut self, position: usize, family: Family, chain: &Arc<Chain>) {
        let Some(rendered) = self.room.fitted(chain, family) else {
            let reason = format!("{} is no name of a chain", chain.name);
            return self.tell(position, family, Err(Outcome::Refused(reason.into())));
        };
        for rule in &chain.rules {
            let asks_ipvs = rule.matches.contains(&Match::ServedByIpvs);
            if asks_ipvs && let Err(outcome) = self.ensure_served(family) {
                return self.tell(position, family, Err(outcome));
            }
            if let Action::Dispatch(dispatch) = rule.action {
                self.queues.get_mut(family).dispatches.insert(dispatch);
            }
        }
        let queue = self.queues.get_mut(family);
        queue.edits.push(Edit::ReplaceChain(rendered));
        queue.steps.push(position);
    }

    /// The service proxy's set, which a rule of ours reads: empty as long as there is no proxy.
    fn ensure_served(&mut self, family: Family) -> Result<(), Outcome> {
        let definition = definition(&SetKey::new(family, SERVED), 0)?;
        match self.room.ipset.create(&definition) {
            Ok(()) | Err(ipset::Error::Exists(_)) => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }

    /// Addresses enter the sets of their targets; they leave others when the rules stand.
    fn enter(
        &mut self,
        position: usize,
        family: Family,
        dispatch: Dispatch,
        targets: &[(IpAddr, Name)],
    ) {
        let chains: BTreeSet<Name> = targets.iter().map(|(_, chain)| *chain).collect();
        for chain in chains {
            let set = PodSet {
                family,
                dispatch,
                chain,
            };
            let here = targets.iter().filter(|(_, name)| *name == chain);
            let addresses: Vec<IpAddr> = here.map(|(address, _)| *address).collect();
            for address in &addresses {
                let others = self.room.pods.holding(dispatch, *address).into_iter();
                let others = others.filter(|other| *other != set);
                let queue = self.queues.get_mut(family);
                queue.leaving.extend(others.map(|other| (other, *address)));
            }
            if let Err(outcome) = self.enter_set(set, &addresses) {
                return self.tell(position, family, Err(outcome));
            }
        }
        let queue = self.queues.get_mut(family);
        queue.dispatches.insert(dispatch);
        queue.steps.push(position);
    }

    fn enter_set(&mut self, set: PodSet, addresses: &[IpAddr]) -> Result<(), Outcome> {
        let def = pod_set(&set)?;
        let key = SetKey::new(set.family, def);
        let members: Vec<Member> = addresses.iter().copied().map(Member::Address).collect();
        if self.room.pods.has(&set) {
            let name = set_name(&key)?;
            let entries: Vec<Entry> = members.iter().map(sets::entry).collect();
            let added = self.room.ipset.add(&name, &entries, Existing::Ignored);
            added.map_err(|error| Outcome::Stale(error.into()))?;
        } else {
            self.make_set(&key, &members)?;
        }
        self.room.pods.add(set, addresses);
        Ok(())
    }

    fn leave(&mut self, position: usize, family: Family, dispatch: Dispatch, addresses: &[IpAddr]) {
        if !self.goes_on(family) {
            return;
        }
        let mut done = Ok(());
        for address in addresses {
            for set in self.room.pods.holding(dispatch, *address) {
                done = done.and(self.leave_set(set, &[*address]));
            }
        }
        // Targets without addresses lose their rule with the next restore.
        self.queues.get_mut(family).dispatches.insert(dispatch);
        self.tell(position, family, done);
    }

    fn leave_set(&mut self, set: PodSet, addresses: &[IpAddr]) -> Result<(), Outcome> {
        let name = set_name(&SetKey::new(set.family, pod_set(&set)?))?;
        let entries: Vec<Entry> = addresses.iter().copied().map(Entry::Ip).collect();
        let gone = self.room.ipset.del(&name, &entries, Existing::Ignored);
        gone.map_err(|error| Outcome::Stale(error.into()))?;
        self.room.pods.remove(&set, addresses);
        Ok(())
    }

    fn flush_all(&mut self) {
        for family in Family::ALL {
            self.flush(family);
        }
    }

    /// Replaces the chains that wait, dispatches among them, and lets addresses leave.
    fn flush(&mut self, family: Family) {
        let queue = std::mem::take(self.queues.get_mut(family));
        if queue.edits.is_empty() && queue.dispatches.is_empty() || !self.goes_on(family) {
            return;
        }
        let mut edits = queue.edits.clone();
        for dispatch in &queue.dispatches {
            let chain = self.room.dispatch_chain(family, *dispatch);
            edits.extend(chain.map(Edit::ReplaceChain));
        }
        if let Err(error) = self.restore(family, edits) {
            *self.broken.get_mut(family) = true;
            return self.blame(family, &queue, error);
        }
        let mut done = Ok(());
        for (set, address) in &queue.leaving {
            done = done.and(self.leave_set(*set, &[*address]));
            if self.room.pods.is_empty(set) {
                self.queues.get_mut(family).dispatches.insert(set.dispatch);
            }
        }
        if let Err(outcome) = done {
            *self.broken.get_mut(family) = true;
            let reason = match outcome {
                Outcome::Done => return,
                Outcome::Refused(reason) | Outcome::Stale(reason) | Outcome::Left(reason) => reason,
            };
            let text = reason.to_string();
            for position in queue.steps {
                let stale = Outcome::Stale(text.clone().into());
                self.tell(position, family, Err(stale));
            }
            return;
        }
        for position in queue.steps {
            self.tell(position, family, Ok(()));
        }
    }

    fn restore(&mut self, family: Family, edits: Vec<Edit>) -> Result<(), Fault> {
        let table = TableEdits {
            table: Table::Filter,
            edits,
        };
        self.room.restore(family, table)
    }

    /// Finds the chain that the tool will not take; all others are left for another try.
    fn blame(&mut self, family: Family, queue: &Queue, error: Fault) {
        let steps = self.steps;
        let is_lasting = error
            .downcast_ref::<iptables::Error>()
            .is_some_and(|error| {
                matches!(error, iptables::Error::Refused { .. }) && !error.is_transient()
            });
        let text = error.to_string();
        for position in &queue.steps {
            let alone = match steps.get(*position) {
                Some(Change::SetChain(_, chain)) if is_lasting => self.room.fitted(chain, family),
                _ => None,
            };
            // A chain that nothing leads to does no harm, and shows whether it is the one.
            let verdict = match alone.map(|chain| self.try_alone(family, chain)) {
                Some(Err(error)) => Outcome::Refused(error),
                Some(Ok(())) | None => Outcome::Left(text.clone().into()),
            };
            self.tell(*position, family, Err(verdict));
        }
    }

    /// Under a name of its own: the chain's real one may be in use.
    fn try_alone(&mut self, family: Family, mut chain: iptables::Chain) -> Result<(), Fault> {
        let name = ChainName::new("KUBE-NWPLCY-TRIAL")?;
        chain.name = name.clone();
        // Jumps to chains that come with it would be refused for want of these.
        chain.rules.retain(|rule| {
            let target = rule.target();
            !target.contains("KUBE-")
        });
        let tried = self.restore(family, vec![Edit::ReplaceChain(chain)]);
        if tried.is_ok() {
            self.restore(family, vec![Edit::DeleteChain(name)])?;
        }
        tried
    }

    fn set_jumps(&mut self, position: usize, jumps: &[(Family, Jump)]) {
        for family in Family::ALL {
            let is_wanted = jumps.iter().any(|(of, _)| *of == family);
            let saved = match self.room.saved(family, is_wanted) {
                Ok(Some(saved)) => saved,
                Ok(None) => continue,
                Err(reason) => return self.tell(position, family, Err(Outcome::Left(reason))),
            };
            let edits = self.room.jump_edits(jumps, family, &saved);
            if !self.goes_on(family) {
                return;
            }
            if !edits.is_empty()
                && let Err(reason) = self.restore(family, edits.edits)
            {
                return self.tell(position, family, Err(Outcome::Left(reason)));
            }
        }
        if let Some(outcome) = self.outcomes.get_mut(position) {
            *outcome = Some(Outcome::Done);
        }
    }

    /// Takes away the sets of targets that nobody goes to any more.
    fn sweep(&mut self) {
        for set in self.room.pods.empty() {
            if !self.goes_on(set.family) {
                continue;
            }
            let name = pod_set(&set).and_then(|def| set_name(&SetKey::new(set.family, def)));
            let Ok(name) = name else { continue };
            // In use still: it goes another time.
            if let Ok(()) | Err(ipset::Error::NoSet(_)) = self.room.ipset.destroy(&name) {
                self.room.pods.forget(&set);
            }
        }
    }
}

fn refused(error: ipset::Error) -> Outcome {
    Outcome::Refused(error.into())
}

fn definition(key: &SetKey, members: usize) -> Result<ipset::Definition, Outcome> {
    sets::definition(key.def, key.family, members).map_err(|error| Outcome::Refused(error.into()))
}

fn set_name(key: &SetKey) -> Result<SetName, Outcome> {
    SetName::new(key.kernel_name()).map_err(|error| Outcome::Refused(error.into()))
}

/// Of the same length or shorter, since names are as long as they may be already.
fn temporary(key: &SetKey) -> Result<SetName, Outcome> {
    let name = key.kernel_name();
    let kept = name.char_indices().nth(ipset::object::NAME_MAX - 1);
    let end = kept.map_or(name.len(), |(end, _)| end);
    let start = name.get(..end).unwrap_or_default();
    SetName::new(format!("{start}{TEMPORARY}")).map_err(|error| Outcome::Refused(error.into()))
}

fn pod_set(set: &PodSet) -> Result<SetDef, Outcome> {
    let def = set.def();
    def.ok_or_else(|| Outcome::Refused(format!("{} is no target", set.chain).into()))
}
