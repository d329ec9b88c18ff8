//! Frames in a stream of bytes, and messages in frames (RFC 4271 sections 4.1 and 6.1, RFC 8654).

/// The greatest message of a direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageLimit {
    /// 4096 octets.
    #[default]
    Standard,
    /// 65535 octets, but for OPEN and KEEPALIVE (RFC 8654).
    Extended,
}

/// Reads and writes messages within the limits of one session; the default is for before OPEN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Codec {
    pub receive: MessageLimit,
    pub send: MessageLimit,
}

// === impl MessageLimit ===

impl MessageLimit {
    #[must_use]
    pub fn from_extended(extended: bool) -> Self {
        if extended {
            Self::Extended
        } else {
            Self::Standard
        }
    }

    #[must_use]
    pub fn octets(self) -> usize {
        match self {
            Self::Standard => 4096,
            Self::Extended => 65_535,
        }
    }
}
