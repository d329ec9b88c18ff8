//! What can go wrong between us and the kernel.

use std::io;
use std::time::Duration;

/// A failed exchange. The kernel's own refusals are [`NetlinkError::Refused`]; all others say
/// that the outcome is unknown or that nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel answered with an error (`struct nlmsgerr`).
    #[error("{}", refusal(*errno, message.as_deref(), *offset))]
    Refused {
        /// A positive `errno`.
        errno: i32,
        /// The extended ack's text, where the kernel gives one.
        message: Option<String>,
        /// Where in the request the offending attribute starts, in bytes from the message header.
        offset: Option<u32>,
    },
    /// No answer in time. The socket was opened anew; the request may or may not have been carried out.
    #[error("no answer from the kernel within {0:?}")]
    Timeout(Duration),
    /// The receive buffer overflowed and answers were lost. The socket was opened anew.
    #[error("receive buffer overflowed, answers were lost")]
    Overrun,
    /// The table kept changing while it was dumped (`NLM_F_DUMP_INTR`).
    #[error("dump was interrupted by changes {tries} times in a row")]
    Interrupted { tries: u32 },
    /// An attribute is shorter than its type.
    #[error("attribute {kind} at offset {offset} has {length} bytes, {expected} are needed")]
    ShortAttribute {
        kind: u16,
        offset: usize,
        length: usize,
        expected: usize,
    },
    /// A message is too short for its fixed header, or cut off.
    #[error("message of type {kind} has {length} bytes, {expected} are needed")]
    ShortMessage {
        kind: u16,
        length: usize,
        expected: usize,
    },
    /// The answer lacks something it must have.
    #[error("answer has no {0}")]
    Missing(&'static str),
    /// A request that does not fit the 16-bit length of an attribute or one send.
    #[error("request does not fit: {0} bytes")]
    Oversized(usize),
    /// A datagram was larger than the receive buffer of the process; it has been enlarged since.
    #[error("answer of {0} bytes was cut off")]
    CutOff(usize),
    /// Not sent, because an earlier send of the same batch went wrong.
    #[error("not sent after an earlier fault")]
    NotSent,
    /// A system call of the socket itself.
    #[error("{call}: {}", describe(*errno))]
    System { call: &'static str, errno: i32 },
}

impl NetlinkError {
    /// The kernel's errno for the request, if it refused it.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// Whether the kernel refused the request with this errno.
    #[must_use]
    pub fn is(&self, errno: i32) -> bool {
        self.errno() == Some(errno)
    }

    /// A system call's error from `errno`.
    pub(super) fn last(call: &'static str) -> Self {
        let errno = io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO);
        Self::System { call, errno }
    }

    /// Whether answers may still be under way, so that the socket cannot be used again.
    pub(super) fn is_out_of_step(&self) -> bool {
        matches!(
            self,
            Self::Timeout(_) | Self::Overrun | Self::CutOff(_) | Self::System { .. }
        )
    }
}

fn describe(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

fn refusal(errno: i32, message: Option<&str>, offset: Option<u32>) -> String {
    let mut text = describe(errno);
    if let Some(message) = message {
        text.push_str(": ");
        text.push_str(message);
    }
    if let Some(offset) = offset {
        text.push_str(&format!(" (attribute at offset {offset})"));
    }
    text
}
