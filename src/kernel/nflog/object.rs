//! Logged packets as plain data. No I/O.

use std::net::IpAddr;

use super::header;

/// A packet as a rule logged it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// What the rule says about it.
    pub prefix: String,
    /// The hook where it was (`NF_INET_*`): 0 prerouting, 1 input, 2 forward, 3 output,
    /// 4 postrouting.
    pub hook: u8,
    /// Index of the link that it came in by; none for what this host sends.
    pub in_link: Option<u32>,
    /// Index of the link that it is to go out by; none before routing and for what is for this host.
    pub out_link: Option<u32>,
    pub mark: u32,
    /// From the IP header on, cut off after what the reader asked for.
    pub payload: Vec<u8>,
}

/// What is in the headers of an IPv4 or IPv6 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// The IP protocol number, behind IPv6 extension headers.
    pub protocol: u8,
    pub transport: Transport,
}

/// What the start of the transport header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP, UDP, UDP-Lite, SCTP and DCCP have their ports at the same place.
    Ports { source: u16, destination: u16 },
    /// ICMP of either family.
    Icmp { kind: u8, code: u8 },
    /// Another protocol, a later fragment, or cut off before it.
    Unknown,
}

// === impl Record ===

impl Record {
    /// Reads the payload's headers; nothing if it is no IP packet or cut off too early.
    #[must_use]
    pub fn header(&self) -> Option<Header> {
        header::decode(&self.payload)
    }
}
