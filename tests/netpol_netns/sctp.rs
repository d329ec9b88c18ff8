//! As much of SCTP as begins a connection (RFC 9260), over raw sockets: many kernels have none.

use std::net::IpAddr;

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const TAG: u32 = 0x6b75_6265;

/// A packet with one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    kind: u8,
}

// === impl Chunk ===

impl Chunk {
    pub(crate) fn init(source: u16, destination: u16) -> Self {
        Self {
            source,
            destination,
            kind: INIT,
        }
    }

    /// The answer; `None` for what is no question.
    pub(crate) fn answer(self) -> Option<Self> {
        (self.kind == INIT).then_some(Self {
            source: self.destination,
            destination: self.source,
            kind: INIT_ACK,
        })
    }

    pub(crate) fn is_answer_to(self, question: Self) -> bool {
        question.answer() == Some(self)
    }

    /// What a raw socket received: IPv4 comes with its header.
    pub(crate) fn read(packet: &[u8], from: IpAddr) -> Option<Self> {
        let header = match from {
            IpAddr::V4(_) => usize::from(packet.first()? & 15) * 4,
            IpAddr::V6(_) => 0,
        };
        let packet = packet.get(header..)?;
        let port = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
        Some(Self {
            source: port(0)?,
            destination: port(2)?,
            kind: *packet.get(12)?,
        })
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut packet = Vec::with_capacity(32);
        packet.extend(self.source.to_be_bytes());
        packet.extend(self.destination.to_be_bytes());
        let tag = if self.kind == INIT { 0 } else { TAG };
        packet.extend(tag.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend([self.kind, 0, 0, 20]);
        packet.extend(TAG.to_be_bytes());
        packet.extend(65_535_u32.to_be_bytes());
        packet.extend([0, 1, 0, 1]);
        packet.extend(1_u32.to_be_bytes());
        let sum = crc32c(&packet).to_le_bytes();
        packet[8..12].copy_from_slice(&sum);
        packet
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = !0_u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg());
        }
    }
    !sum
}
