//! The kernel's table: applying commands and reading it back.

use std::collections::HashMap;
use std::fs;

use super::error::IpvsError;
use super::object::{
    Command, RealServer, RealStats, Stats, Timeouts, VirtualKey, VirtualServer, VirtualStats,
    VirtualTable,
};
use super::proc::{ProcEntry, parse_proc};
use super::wire::{self, DecodeError};
use crate::kernel::genl::FamilyId;
use crate::kernel::netlink::{self, NetlinkError, Replies, Socket};

/// Of the calling thread's network namespace, not the main thread's.
const PROC: &str = "/proc/thread-self/net/ip_vs";

/// How often the table is read until its two sources agree.
const READ_TRIES: u32 = 4;

/// A table of virtual servers: the kernel's or a fake one.
pub trait Table {
    /// Carries the commands out in order, with one verdict each; a failed one does not keep later
    /// ones from being tried. Nothing is deleted that is not named, and nothing is read.
    ///
    /// What exists already ([`IpvsError::VirtualExists`], [`IpvsError::RealExists`]) or is gone
    /// already ([`IpvsError::NoSuchVirtual`], [`IpvsError::NoSuchReal`]) is an error like any
    /// other: the caller knows whether it minds.
    fn apply(&mut self, commands: &[Command]) -> Vec<Result<(), IpvsError>>;

    /// The table as it is, sorted by key; all connection thresholds read as 0.
    fn observe(&mut self) -> Result<Vec<VirtualTable>, IpvsError>;

    /// How long idle connections are kept.
    fn timeouts(&mut self) -> Result<Timeouts, IpvsError>;

    /// One virtual server, without its real ones: one request; `None` if it is not there.
    fn virtual_server(&mut self, key: &VirtualKey) -> Result<Option<VirtualServer>, IpvsError>;

    /// Changes how long idle connections are kept; a 0 leaves that value as it is.
    fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), IpvsError>;
}

/// The kernel's table in the network namespace of the thread that opened it. Needs
/// `CAP_NET_ADMIN`, for reading too. The kernel loads `ip_vs` and the schedulers by itself. As long
/// as a namespace has no address at all, not even the loopback's, the kernel refuses every IPv4
/// real server with `EINVAL`.
#[derive(Debug)]
pub struct Ipvs {
    socket: Socket,
    family: FamilyId,
    skipped: usize,
}

impl Ipvs {
    /// Opens a socket and finds the family; [`IpvsError::Unsupported`] without IPVS.
    pub fn open() -> Result<Self, IpvsError> {
        let mut socket = Socket::open(libc::NETLINK_GENERIC)?;
        let family = FamilyId::resolve(&mut socket, "IPVS")?;
        Ok(Self {
            socket,
            family,
            skipped: 0,
        })
    }

    /// Messages, bytes and system calls so far.
    #[must_use]
    pub fn traffic(&self) -> netlink::Stats {
        self.socket.stats()
    }

    /// How many virtual or real servers the last reading left out, because our objects cannot
    /// express them (a scheduler or protocol of a foreign module).
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// As [`Table::observe`], but by netlink alone: exact in everything, and four to five times
    /// slower, since the kernel lists the real servers of one virtual server at a time.
    pub fn observe_by_dump(&mut self) -> Result<Vec<VirtualTable>, IpvsError> {
        let mut tables = Vec::new();
        for (server, _) in self.virtuals()? {
            let reals = self.reals(&server.key)?;
            tables.push(VirtualTable::new(
                server,
                reals.into_iter().map(|(real, _)| real).collect(),
            ));
        }
        Ok(tables)
    }

    /// The counters of everything, by one list of virtual servers and one for each of them.
    pub fn stats(&mut self) -> Result<Vec<VirtualStats>, IpvsError> {
        let mut all = Vec::new();
        for (server, stats) in self.virtuals()? {
            let reals = self.real_stats(&server.key)?;
            all.push(VirtualStats {
                key: server.key,
                stats,
                reals,
            });
        }
        Ok(all)
    }

    /// The counters of the virtual servers alone, by one list; sorted by key.
    pub fn virtual_stats(&mut self) -> Result<Vec<(VirtualKey, Stats)>, IpvsError> {
        let virtuals = self.virtuals()?.into_iter();
        Ok(virtuals
            .map(|(server, stats)| (server.key, stats))
            .collect())
    }

    /// The counters and connections of one virtual server's real servers, sorted by key; nothing
    /// if there is no such virtual server.
    pub fn real_stats(&mut self, key: &VirtualKey) -> Result<Vec<RealStats>, IpvsError> {
        let mut stats: Vec<_> = self
            .reals(key)?
            .into_iter()
            .map(|(_, stats)| stats)
            .collect();
        stats.sort_by_key(|entry| entry.key);
        Ok(stats)
    }

    /// The version of the kernel's IPVS: major, minor, patch.
    pub fn version(&mut self) -> Result<[u8; 3], IpvsError> {
        let replies = self.socket.request(&wire::get_version(self.family))?;
        Ok(wire::decode_version(&replies.first()?)?)
    }

    /// All virtual servers, sorted by key. The family's number is looked up again if the module was
    /// reloaded.
    ///
    /// A list comes in parts, and up to at least Linux 6.12 the kernel goes on by counting from the
    /// start of a table that all namespaces share, without marking the list as interrupted. So a
    /// change anywhere in between can make it list a server twice, or pass one over.
    fn virtuals(&mut self) -> Result<Vec<(VirtualServer, Stats)>, IpvsError> {
        self.skipped = 0;
        let replies = match self.socket.dump(&wire::list_virtuals(self.family)) {
            Err(error) if error.is(libc::ENOENT) => {
                self.family = FamilyId::resolve(&mut self.socket, "IPVS")?;
                self.socket.dump(&wire::list_virtuals(self.family))?
            }
            other => other?,
        };
        let mut virtuals = self.decode_all(&replies, wire::decode_virtual)?;
        virtuals.sort_by_key(|(server, _)| server.key);
        virtuals.dedup_by_key(|(server, _)| server.key);
        Ok(virtuals)
    }

    fn reals(&mut self, key: &VirtualKey) -> Result<Vec<(RealServer, RealStats)>, IpvsError> {
        let replies = self.socket.dump(&wire::list_reals(self.family, key))?;
        let family = key.family();
        self.decode_all(&replies, |message| wire::decode_real(message, family))
    }

    fn decode_all<T>(
        &mut self,
        replies: &Replies,
        decode: impl Fn(&netlink::Message<'_>) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, IpvsError> {
        let mut all = Vec::new();
        for message in replies {
            match decode(&message) {
                Ok(one) => all.push(one),
                Err(DecodeError::Netlink(error)) => return Err(DecodeError::from(error).into()),
                Err(_) => self.skipped += 1,
            }
        }
        Ok(all)
    }
}

impl Table for Ipvs {
    fn apply(&mut self, commands: &[Command]) -> Vec<Result<(), IpvsError>> {
        let requests = commands
            .iter()
            .map(|command| wire::encode(self.family, command));
        let verdicts = self.socket.batch(requests);
        let outcome = |(verdict, command): (Result<(), NetlinkError>, &Command)| {
            verdict.map_err(|error| IpvsError::of(command, error))
        };
        verdicts.into_iter().zip(commands).map(outcome).collect()
    }

    /// One list of virtual servers by netlink, and `/proc` for the real servers behind addresses;
    /// those behind marks, and all where `/proc` cannot be read, by netlink. Read again while the
    /// two disagree about which virtual servers there are.
    fn observe(&mut self) -> Result<Vec<VirtualTable>, IpvsError> {
        let mut tables = Vec::new();
        for _ in 0..READ_TRIES {
            let text = fs::read_to_string(PROC).ok();
            let Some(entries) = text.and_then(|text| parse_proc(&text).ok()) else {
                return self.observe_by_dump();
            };
            let agreed;
            (tables, agreed) = self.combine(entries)?;
            if agreed {
                break;
            }
        }
        Ok(tables)
    }

    fn timeouts(&mut self) -> Result<Timeouts, IpvsError> {
        let replies = self.socket.request(&wire::get_timeouts(self.family))?;
        Ok(wire::decode_timeouts(&replies.first()?)?)
    }

    fn virtual_server(&mut self, key: &VirtualKey) -> Result<Option<VirtualServer>, IpvsError> {
        match self.socket.request(&wire::get_virtual(self.family, key)) {
            Ok(replies) => Ok(Some(wire::decode_virtual(&replies.first()?)?.0)),
            Err(error) if error.is(libc::ESRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), IpvsError> {
        self.socket
            .request(&wire::set_timeouts(self.family, timeouts))?;
        Ok(())
    }
}

impl Ipvs {
    /// The listed virtual servers with the real servers of `/proc`; `false` if one side has a
    /// virtual server that the other has not.
    fn combine(&mut self, entries: Vec<ProcEntry>) -> Result<(Vec<VirtualTable>, bool), IpvsError> {
        let mut behind: HashMap<VirtualKey, Vec<RealServer>> = HashMap::new();
        for entry in entries {
            if let Some(key) = entry.key {
                behind.entry(key).or_default().extend(entry.reals);
            }
        }
        let virtuals = self.virtuals()?;
        let left_out = self.skipped;
        let mut agreed = true;
        let mut tables = Vec::with_capacity(virtuals.len());
        for (server, _) in virtuals {
            let reals = match behind.remove(&server.key) {
                Some(reals) => reals,
                None => {
                    agreed &= matches!(server.key, VirtualKey::FwMark { .. });
                    self.reals_without_thresholds(&server.key)?
                }
            };
            tables.push(VirtualTable::new(server, reals));
        }
        Ok((tables, agreed && behind.len() <= left_out))
    }

    fn reals_without_thresholds(&mut self, key: &VirtualKey) -> Result<Vec<RealServer>, IpvsError> {
        let reals = self.reals(key)?.into_iter();
        Ok(reals
            .map(|(real, _)| RealServer {
                upper_threshold: 0,
                lower_threshold: 0,
                ..real
            })
            .collect())
    }
}
