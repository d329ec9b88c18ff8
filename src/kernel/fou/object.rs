//! Receiving ports as plain data; no I/O. Texts are what `ip` takes (ip-fou(8)).

use std::fmt;

use crate::net::Family;

/// What is in the UDP packets of a port (`FOU_ENCAP_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Payload {
    /// Packets of one protocol (4 IPv4, 41 IPv6), straight after the UDP header.
    Direct(u8),
    /// Generic UDP encapsulation: a header names the protocol of each.
    Gue,
}

/// A UDP port at which the kernel unwraps packets, at all addresses of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    pub family: Family,
    pub number: u16,
    pub payload: Payload,
}

/// One change, printed as `ip` would be typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    Add(Port),
    Del(Port),
}

// === impl Port ===

impl Port {
    /// The port for tunnels over this family, as all nodes use them.
    #[must_use]
    pub fn gue(family: Family, number: u16) -> Self {
        Self {
            family,
            number,
            payload: Payload::Gue,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.number)?;
        match self.payload {
            Payload::Gue => f.write_str(" gue")?,
            Payload::Direct(protocol) => write!(f, " ipproto {protocol}")?,
        }
        f.write_str(match self.family {
            Family::V4 => "",
            Family::V6 => " -6",
        })
    }
}

// === impl Change ===

impl Change {
    #[must_use]
    pub fn port(self) -> Port {
        match self {
            Self::Add(port) | Self::Del(port) => port,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(port) => write!(f, "ip fou add {port}"),
            Self::Del(port) => {
                write!(f, "ip fou del port {}", port.number)?;
                f.write_str(match port.family {
                    Family::V4 => "",
                    Family::V6 => " -6",
                })
            }
        }
    }
}
