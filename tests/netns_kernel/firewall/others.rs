//! What others do: while we take over, and while nobody listens to them.

use std::time::{Duration, Instant};

use kube_router::kernel::iptables::{Error as ToolError, Saved, Table as ToolTable, TableEdits};
use kube_router::kernel::nft::{
    Command, Error, Generation, Observed, Ownership, TableHeader, Transaction,
};

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

fn owner() -> Option<Ownership> {
    let tables = Nft::open().unwrap().tables().unwrap();
    let found = tables
        .into_iter()
        .find(|header| header.name.as_str() == TABLE);
    found.map(|header| header.ownership)
}

/// The kernel lets go of a table when the last copy of its owner's descriptor is closed; a program
/// that another test is starting has one for a moment.
fn wait_for(owned: impl Fn(Option<Ownership>) -> bool) {
    let begin = Instant::now();
    while !owned(owner()) {
        assert!(begin.elapsed() < PATIENCE, "{:?}", owner());
    }
}

#[test]
fn a_restart_takes_the_table_over_without_changing_a_rule() {
    in_namespace(|| {
        let mut wanted = wanted();
        let mut backend = open("nftables");
        backend.claim().unwrap();
        let mut seen = backend.observe(&wanted).unwrap();
        settle(&mut *backend, &mut wanted, &mut seen, false);
        if !Nft::open().unwrap().can_own().unwrap() {
            backend.claim().unwrap();
            assert_eq!(owner(), Some(Ownership::Nobody), "before Linux 6.9");
            return;
        }
        let before = tool("nft -a list table inet kube-router-netpol");
        let mut other = open("nftables");
        other.claim().unwrap();
        assert!(
            matches!(owner(), Some(Ownership::Other(_))),
            "not from one that runs"
        );
        assert!(other.observe(&wanted).is_err());
        drop(backend);
        wait_for(|owner| owner == Some(Ownership::Orphan));
        other.observe(&wanted).unwrap();
        assert_eq!(owner(), Some(Ownership::Orphan), "a look takes nothing");
        other.claim().unwrap();
        assert!(matches!(owner(), Some(Ownership::Other(_))));
        nothing_to_do(&mut *other, &wanted, "after it was taken over");
        assert!(!other.is_meddled_with(), "nobody else was there");
        let (worked, _, reason) = try_tool("nft flush chain inet kube-router-netpol forward");
        assert!(!worked && reason.contains("not permitted"), "{reason}");
        tool("nft flush ruleset");
        assert_eq!(tool("nft -a list table inet kube-router-netpol"), before);
        other.claim().unwrap();
        nothing_to_do(&mut *other, &wanted, "and again");
    });
}

/// Somebody who runs a program right after the next large change of ours.
#[derive(Debug)]
struct Meddled<T> {
    inner: T,
    command: Option<&'static str>,
}

impl<T> Meddled<T> {
    fn meddle(&mut self) {
        self.command.take().map(tool);
    }
}

/// How many sockets of this namespace listen to changes of nf_tables.
fn listeners() -> usize {
    /// `NETLINK_NETFILTER`, and the bit of `NFNLGRP_NFTABLES`, as the kernel prints them.
    const LISTENS: (&str, u32) = ("12", 1 << 6);
    let sockets = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
    let listens = sockets.lines().skip(1).filter(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let groups = u32::from_str_radix(words[3], 16).unwrap();
        words[1] == LISTENS.0 && groups & LISTENS.1 != 0
    });
    listens.count()
}

impl Tables for Meddled<Nft> {
    fn commit(&mut self, ours: &Transaction, since: Option<Generation>) -> Result<(), Error> {
        let is_large = |command: &Command| matches!(command, Command::AddElements(_, all, _) if all.len() > 1000);
        let is_large = ours.commands().iter().any(is_large);
        assert_eq!(listeners(), usize::from(!is_large), "while we commit");
        self.inner.commit(ours, since)?;
        if is_large {
            self.meddle();
        }
        Ok(())
    }

    fn observe(&mut self, table: &NftName) -> Result<Observed, Error> {
        self.inner.observe(table)
    }

    fn tables(&mut self) -> Result<Vec<TableHeader>, Error> {
        self.inner.tables()
    }

    fn generation(&mut self) -> Result<Generation, Error> {
        self.inner.generation()
    }

    /// As before Linux 6.9: others can change our table.
    fn can_own(&mut self) -> Result<bool, Error> {
        Ok(false)
    }

    fn port(&self) -> Result<u32, Error> {
        self.inner.port()
    }
}

impl RuleTables for Meddled<Iptables> {
    fn restore(&mut self, tables: &[TableEdits]) -> Result<(), ToolError> {
        assert_eq!(listeners(), 0, "while a tool runs");
        self.inner.restore(tables)?;
        self.meddle();
        Ok(())
    }

    fn save(&mut self, table: ToolTable) -> Result<Saved, ToolError> {
        self.inner.save(table)
    }
}

/// As many members as are not listened to.
fn grow(wanted: &mut Wanted, part: u8) {
    let key = SetKey::new(Family::V4, ANY);
    for n in 0..2000_u16 {
        let [high, low] = n.to_be_bytes();
        let address = IpAddr::from([172, part, high, low]);
        wanted.members.add(key, Member::Address(address));
    }
}

fn is_put_right(backend: &mut dyn Backend, wanted: &mut Wanted, command: &str) {
    assert!(backend.is_meddled_with(), "{command} is found");
    while backend.is_meddled_with() {}
    let mut seen = backend.observe(wanted).unwrap();
    assert!(!changes(wanted, &seen, false).is_empty(), "{command}");
    settle(backend, wanted, &mut seen, false);
    nothing_to_do(backend, wanted, command);
    assert!(!backend.is_meddled_with(), "only we were there: {command}");
}

#[test]
fn what_others_change_while_we_fill_a_large_set_is_found() {
    for command in [
        "nft flush chain inet kube-router-netpol forward",
        "nft delete element inet kube-router-netpol kube-router-local-pods-v4 { 10.244.1.1 }",
        "nft delete table inet kube-router-netpol",
    ] {
        in_namespace(move || {
            let mut wanted = wanted();
            let nft = Meddled {
                inner: Nft::open().unwrap(),
                command: None,
            };
            let monitor = Monitor::open(NftName::new(TABLE).unwrap()).unwrap();
            let dispatches = &[EGRESS, INGRESS];
            let mut backend = Nftables::new(nft, TABLE, dispatches, Some(monitor)).unwrap();
            let mut seen = backend.observe(&wanted).unwrap();
            settle(&mut backend, &mut wanted, &mut seen, false);
            assert!(!backend.is_meddled_with(), "a small change");
            grow(&mut wanted, 16);
            settle(&mut backend, &mut wanted, &mut seen, true);
            assert!(!backend.is_meddled_with(), "a large one");
            assert_eq!(listeners(), 1, "after it");
            backend.tables.command = Some(command);
            grow(&mut wanted, 17);
            settle(&mut backend, &mut wanted, &mut seen, true);
            is_put_right(&mut backend, &mut wanted, command);
            tool(COMES_LATER);
            assert!(backend.is_meddled_with(), "and it listens again");
        });
    }
}

const COMES_LATER: &str = "nft add chain inet kube-router-netpol stranger";

#[test]
fn what_others_change_while_the_tools_run_is_found() {
    for command in ["iptables -F KUBE-ROUTER-NETPOL", "iptables -D FORWARD 1"] {
        in_namespace(move || {
            if !tells() {
                eprintln!("NOT RUN: iptables is of the legacy variant");
                return;
            }
            let tools = |family| {
                Some(Meddled {
                    inner: Iptables::open(family).unwrap(),
                    command: None,
                })
            };
            let tools = ByFamily {
                v4: tools(Family::V4),
                v6: tools(Family::V6),
            };
            let mut wanted = wanted();
            let room = Xtables::new(Ipset::open().unwrap(), tools, NAMES);
            let mut backend = listening(room);
            let mut seen = backend.observe(&wanted).unwrap();
            settle(&mut backend, &mut wanted, &mut seen, false);
            assert!(!backend.is_meddled_with(), "nobody else was there");
            backend.iptables.v6.as_mut().unwrap().command = Some(command);
            wanted.set_chain(Family::V6, chain("KUBE-NWPLCY-BBBBBBBBBBBBBBBB", vec![]));
            settle(&mut backend, &mut wanted, &mut seen, true);
            is_put_right(&mut backend, &mut wanted, command);
            tool("ip6tables -A KUBE-ROUTER-INPUT -j ACCEPT");
            assert!(backend.is_meddled_with(), "and it listens again");
        });
    }
}

/// Who writes rules of his own all the time makes us read nothing.
#[test]
fn chains_of_others_are_nobodys_business() {
    in_namespace(|| {
        if !tells() {
            eprintln!("NOT RUN: iptables is of the legacy variant");
            return;
        }
        let mut wanted = wanted();
        let mut backend = open("iptables");
        let mut seen = backend.observe(&wanted).unwrap();
        settle(&mut *backend, &mut wanted, &mut seen, false);
        for command in [
            "iptables -N OTHERS",
            "iptables -A OTHERS -j ACCEPT",
            "iptables -P FORWARD ACCEPT",
            "ip6tables -N OTHERS",
            "iptables -t nat -N KUBE-NWPLCY-AAAAAAAAAAAAAAAA",
            "nft add table inet other",
            "nft add table ip other",
            "nft add chain ip other KUBE-ROUTER-INPUT",
            "nft delete table ip other",
            "iptables -F OTHERS",
            "iptables -X OTHERS",
        ] {
            tool(command);
            assert!(!backend.is_meddled_with(), "{command}");
        }
        tool("iptables -A FORWARD -j ACCEPT");
        assert!(backend.is_meddled_with(), "a rule beside ours");
    });
}
