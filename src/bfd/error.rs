//! Why a packet is not taken, and what keeps sessions from working.

use std::io;
use std::net::IpAddr;

use super::config::SessionKey;
use super::wire::State;
use crate::net::Family;

/// Why octets are no control packet for us; the variants in the order of the checks of RFC 5880
/// section 6.8.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    #[error("{0} octets are no BFD control packet")]
    Truncated(usize),
    #[error("BFD version {0}, only {version} is spoken", version = super::wire::VERSION)]
    Version(u8),
    #[error("length {length}, at least {least} is needed")]
    TooShort { length: u8, least: usize },
    #[error("length {length} in a payload of {payload} octets")]
    TooLong { length: u8, payload: usize },
    #[error("detection multiplier 0")]
    DetectMultiplier,
    #[error("the multipoint bit is set")]
    Multipoint,
    #[error("my discriminator is 0")]
    MyDiscriminator,
    #[error("your discriminator is 0 in state {0}")]
    YourDiscriminator(State),
    /// The type of its section (RFC 5880 section 4.1), 0 if it is not even there.
    #[error("authentication of type {0}, but none is configured")]
    Authentication(u8),
}

/// Why a datagram was not given to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("no session has discriminator {0:#010x}")]
    UnknownDiscriminator(u32),
    #[error("no session with {0}")]
    UnknownPeer(IpAddr),
    /// It names a session, but did not come from where that session's peer is.
    #[error("came from {0}, which is not the peer of the session it names")]
    WrongPath(IpAddr),
    #[error("came with TTL {ttl}, at least {least} is needed")]
    Ttl { ttl: u8, least: u8 },
}

/// What keeps sessions from working until it is gone; tried again each second.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("can't receive BFD at UDP port {port} of {family}: {source}")]
    Listen {
        family: Family,
        port: u16,
        source: io::Error,
    },
    #[error("can't send BFD to {key}: {source}")]
    Send { key: SessionKey, source: io::Error },
    #[error("can't wait for BFD packets: {0}")]
    Wait(io::Error),
}
