//! All sessions of a node: which of them a datagram is for, and which of them are wanted.
//!
//! - A packet that names our discriminator is for that session, and must come from its peer; one
//!   that names none is for the session with the addresses that it came with (RFC 5881 section 3,
//!   RFC 5883 section 4).
//! - A session that is not wanted any more ends with one packet in AdminDown; one whose port or
//!   reach changes ends so, and starts anew.
//! - Discriminators are random: who can't see our packets can't name a session.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Instant;

use super::config::{SessionConfig, SessionKey};
use super::error::{Malformed, Refusal};
use super::session::{Session, Transition};
use super::status::Status;
use super::wire::ControlPacket;

/// Where and how a datagram arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// Its index.
    pub interface: u32,
    /// The port it was sent to.
    pub port: u16,
    /// TTL or hop limit.
    pub ttl: u8,
}

#[derive(Debug)]
pub struct Table {
    sessions: BTreeMap<SessionKey, Entry>,
    by_discriminator: BTreeMap<NonZeroU32, SessionKey>,
    random: Random,
}

#[derive(Debug)]
struct Entry {
    config: SessionConfig,
    session: Session,
    last_refusal: Option<Refusal>,
}

/// SplitMix64.
#[derive(Debug)]
struct Random(u64);

// === impl Table ===

impl Table {
    /// `seed` must be random.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            sessions: BTreeMap::new(),
            by_discriminator: BTreeMap::new(),
            random: Random(seed),
        }
    }

    /// Wants these sessions and no others; gives the last words of those that end.
    pub fn set_desired(
        &mut self,
        now: Instant,
        desired: &BTreeMap<SessionKey, SessionConfig>,
    ) -> Vec<(SessionKey, ControlPacket)> {
        let ends = self.sessions.iter().filter(|(key, entry)| {
            desired
                .get(key)
                .is_none_or(|config| !config.is_same_session(&entry.config))
        });
        let ends: Vec<SessionKey> = ends.map(|(key, _)| key.clone()).collect();
        let farewells = ends.into_iter().filter_map(|key| {
            let packet = self.remove(now, &key)?;
            Some((key, packet))
        });
        let farewells = farewells.collect();
        for (key, config) in desired {
            match self.sessions.get_mut(key) {
                Some(entry) => {
                    entry.config = config.clone();
                    entry.session.set_timers(now, config.timers);
                }
                None => self.add(now, key, config),
            }
        }
        farewells
    }

    /// Gives the packet to its session.
    ///
    /// # Errors
    /// Why there is none that takes it.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        payload: &[u8],
    ) -> Result<Option<(SessionKey, Transition)>, Refusal> {
        let packet = match ControlPacket::decode(payload) {
            Ok(packet) => packet,
            Err(error) => return Err(self.note(arrival, error)),
        };
        let key = self.select(arrival, &packet)?;
        let Some(entry) = self.sessions.get_mut(&key) else {
            return Err(Refusal::UnknownPeer(arrival.source));
        };
        let least = entry.config.reach.least_ttl();
        if arrival.ttl < least {
            let ttl = arrival.ttl;
            let refusal = Refusal::Ttl { ttl, least };
            entry.last_refusal = Some(refusal);
            return Err(refusal);
        }
        let transition = entry.session.handle_packet(now, &packet);
        Ok(transition.map(|transition| (key, transition)))
    }

    /// When [`Self::handle_timeout`] and [`Self::poll_transmit`] are to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sessions = self.sessions.values();
        sessions
            .filter_map(|entry| entry.session.poll_timeout())
            .min()
    }

    pub fn handle_timeout(&mut self, now: Instant) -> Vec<(SessionKey, Transition)> {
        let sessions = self.sessions.iter_mut();
        let transitions = sessions.filter_map(|(key, entry)| {
            let transition = entry.session.handle_timeout(now)?;
            Some((key.clone(), transition))
        });
        transitions.collect()
    }

    /// All packets that are due.
    pub fn poll_transmit(&mut self, now: Instant) -> Vec<(SessionKey, ControlPacket)> {
        let mut due = Vec::new();
        for (key, entry) in &mut self.sessions {
            while let Some(packet) = entry.session.poll_transmit(now, self.random.next()) {
                due.push((key.clone(), packet));
            }
        }
        due
    }

    #[must_use]
    pub fn status(&self) -> BTreeMap<SessionKey, Status> {
        let status = |(key, entry): (&SessionKey, &Entry)| {
            let mut status = entry.session.status();
            status.last_refusal = entry.last_refusal;
            (key.clone(), status)
        };
        self.sessions.iter().map(status).collect()
    }

    fn add(&mut self, now: Instant, key: &SessionKey, config: &SessionConfig) {
        let discriminator = loop {
            match NonZeroU32::new(self.random.next()) {
                Some(new) if !self.by_discriminator.contains_key(&new) => break new,
                _ => {}
            }
        };
        self.by_discriminator.insert(discriminator, key.clone());
        let entry = Entry {
            config: config.clone(),
            session: Session::new(now, discriminator, config.timers),
            last_refusal: None,
        };
        self.sessions.insert(key.clone(), entry);
    }

    fn remove(&mut self, now: Instant, key: &SessionKey) -> Option<ControlPacket> {
        let mut session = self.sessions.remove(key)?.session;
        self.by_discriminator.remove(&session.discriminator());
        session.set_admin_down(now);
        // An answer to a poll says the same.
        session.poll_transmit(now, 0)
    }

    fn select(&self, arrival: &Arrival, packet: &ControlPacket) -> Result<SessionKey, Refusal> {
        let Some(discriminator) = packet.your_discriminator else {
            let key = self.by_path(arrival);
            return key.cloned().ok_or(Refusal::UnknownPeer(arrival.source));
        };
        let Some(key) = self.by_discriminator.get(&discriminator) else {
            return Err(Refusal::UnknownDiscriminator(discriminator.get()));
        };
        if self.is_path_of(arrival, key) {
            Ok(key.clone())
        } else {
            Err(Refusal::WrongPath(arrival.source))
        }
    }

    /// The session with the addresses of a datagram, the most exact one.
    fn by_path(&self, arrival: &Arrival) -> Option<&SessionKey> {
        let of_remote = self.sessions.keys();
        let matching = of_remote.filter(|key| self.is_path_of(arrival, key));
        matching.max_by_key(|key| (key.local.is_some(), key.interface.is_some()))
    }

    fn is_path_of(&self, arrival: &Arrival, key: &SessionKey) -> bool {
        let port = self.sessions.get(key).map(|entry| entry.config.port);
        port == Some(arrival.port)
            && key.remote == arrival.source
            && key.local.is_none_or(|local| local == arrival.destination)
            && key.interface.is_none_or(|index| index == arrival.interface)
    }

    /// So that the operator of the session it was probably for finds it.
    fn note(&mut self, arrival: &Arrival, error: Malformed) -> Refusal {
        let refusal = Refusal::Malformed(error);
        let key = self.by_path(arrival).cloned();
        if let Some(entry) = key.and_then(|key| self.sessions.get_mut(&key)) {
            entry.last_refusal = Some(refusal);
        }
        refusal
    }
}

// === impl Random ===

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) as u32
    }
}
