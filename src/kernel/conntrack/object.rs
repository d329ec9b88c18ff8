//! Flows of connection tracking as plain data (`linux/netfilter/nfnetlink_conntrack.h`).
//!
//! No I/O. A filter is printed as `conntrack -D` would be typed.

use std::fmt;
use std::net::IpAddr;

use crate::net::Family;
use crate::net::Protocol;

/// One direction of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// 0 for protocols without ports.
    pub source_port: u16,
    pub destination_port: u16,
}

/// A tracked flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// As the first packet was sent.
    pub original: Tuple,
    /// As answers are expected, after all translation.
    pub reply: Tuple,
    /// `CTA_ID`: tells the flow from a later one with the same addresses.
    pub id: Option<u32>,
    pub zone: u16,
}

/// Which flows to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowFilter {
    pub protocol: Protocol,
    /// Where the client sent to: the VIP.
    pub orig_dst: IpAddr,
    pub orig_dport: u16,
    /// Who answers: the endpoint. `None` is any.
    pub reply_src: Option<(IpAddr, u16)>,
}

// === impl FlowFilter ===

impl FlowFilter {
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.orig_dst)
    }

    #[must_use]
    pub fn matches(&self, flow: &Flow) -> bool {
        let (original, reply) = (&flow.original, &flow.reply);
        original.protocol == self.protocol.number()
            && original.destination == self.orig_dst
            && original.destination_port == self.orig_dport
            && self
                .reply_src
                .is_none_or(|source| source == (reply.source, reply.source_port))
    }
}

impl fmt::Display for FlowFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            protocol,
            orig_dst,
            orig_dport,
            reply_src,
        } = self;
        let family = match self.family() {
            Family::V4 => "",
            Family::V6 => " -f ipv6",
        };
        write!(
            f,
            "conntrack -D{family} -p {protocol} --orig-dst {orig_dst} --orig-port-dst {orig_dport}"
        )?;
        if let Some((address, port)) = reply_src {
            write!(f, " --reply-src {address} --reply-port-src {port}")?;
        }
        Ok(())
    }
}

// === impl Flow ===

impl Flow {
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.original.source)
    }
}
