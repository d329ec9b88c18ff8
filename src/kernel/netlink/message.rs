//! Messages: requests as we build them, datagrams as the kernel sends them (`struct nlmsghdr`).

use super::NetlinkError;
use super::attr::{AttrReader, AttrWriter};

pub const NLM_F_REQUEST: u16 = 0x1;
pub const NLM_F_MULTI: u16 = 0x2;
pub const NLM_F_ACK: u16 = 0x4;
pub(super) const NLM_F_DUMP_INTR: u16 = 0x10;
/// `NLM_F_ROOT | NLM_F_MATCH`.
pub const NLM_F_DUMP: u16 = 0x300;
/// With a new object: replace an existing one.
pub const NLM_F_REPLACE: u16 = 0x100;
/// With a new object: fail if it exists.
pub const NLM_F_EXCL: u16 = 0x200;
/// With a new object: create it if it is missing.
pub const NLM_F_CREATE: u16 = 0x400;
pub const NLM_F_APPEND: u16 = 0x800;

/// In an ack: the request is not repeated in it.
const NLM_F_CAPPED: u16 = 0x100;
/// In an ack: attributes follow.
const NLM_F_ACK_TLVS: u16 = 0x200;

pub const NLMSG_NOOP: u16 = 1;
pub const NLMSG_ERROR: u16 = 2;
pub const NLMSG_DONE: u16 = 3;

const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;

/// `sizeof(struct nlmsghdr)`.
pub(super) const HEADER: usize = 16;

/// Rounded up to netlink's alignment of four.
pub(super) fn align(length: usize) -> usize {
    (length + 3) & !3
}

/// One message to the kernel. Length, sequence number and the ack bit are the socket's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(super) buffer: Vec<u8>,
    pub(super) flags: u16,
    pub(super) oversized: bool,
}

impl Request {
    /// A message of this type; `NLM_F_REQUEST` is implied.
    #[must_use]
    pub fn new(kind: u16, flags: u16) -> Self {
        let mut buffer = Vec::with_capacity(256);
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(&kind.to_ne_bytes());
        buffer.extend_from_slice(&[0; HEADER - 6]);
        Self {
            buffer,
            flags: flags | NLM_F_REQUEST,
            oversized: false,
        }
    }

    /// Appends the family's fixed header (or a payload encoded elsewhere), padded to four bytes.
    #[must_use]
    pub fn payload(mut self, bytes: &[u8]) -> Self {
        self.buffer.extend_from_slice(bytes);
        let end = align(self.buffer.len());
        self.buffer.resize(end, 0);
        self
    }

    /// The writer of this message's attributes; to be used after [`Request::payload`].
    pub fn attributes(&mut self) -> AttrWriter<'_> {
        AttrWriter::new(self)
    }

    /// Bytes of the message so far, its header included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Never true: a message has a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Appends the finished message to a send buffer.
    pub(super) fn finish_into(
        &self,
        out: &mut Vec<u8>,
        flags: u16,
        sequence: u32,
    ) -> Result<(), NetlinkError> {
        let length = u32::try_from(self.buffer.len())
            .map_err(|_| NetlinkError::Oversized(self.buffer.len()))?;
        if self.oversized {
            return Err(NetlinkError::Oversized(self.buffer.len()));
        }
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&length.to_ne_bytes());
        header[4..6].copy_from_slice(self.buffer.get(4..6).unwrap_or(&[0; 2]));
        header[6..8].copy_from_slice(&(self.flags | flags).to_ne_bytes());
        header[8..12].copy_from_slice(&sequence.to_ne_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(self.buffer.get(HEADER..).unwrap_or_default());
        out.resize(align(out.len()), 0);
        Ok(())
    }

    /// The message as the socket would send it alone; for goldens and decoders' tests.
    pub fn to_bytes(&self, sequence: u32) -> Result<Vec<u8>, NetlinkError> {
        let mut out = Vec::with_capacity(self.buffer.len());
        self.finish_into(&mut out, 0, sequence)?;
        Ok(out)
    }
}

/// One message from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    /// The netlink port it is for; 0 in notifications.
    pub port: u32,
    /// Everything after the netlink header.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The attributes after a fixed header of `fixed` bytes.
    pub fn attributes(&self, fixed: usize) -> Result<AttrReader<'a>, NetlinkError> {
        match self.payload.get(align(fixed)..) {
            Some(bytes) => Ok(AttrReader::new(bytes)),
            None => Err(NetlinkError::ShortMessage {
                kind: self.kind,
                length: self.payload.len(),
                expected: fixed,
            }),
        }
    }

    /// The verdict in an ack, an error or the end of a dump: `Ok` for zero.
    pub(super) fn verdict(&self) -> Result<(), NetlinkError> {
        let code = self
            .payload
            .first_chunk()
            .map(|bytes| i32::from_ne_bytes(*bytes));
        let code = match (self.kind, code) {
            (_, Some(code)) => code,
            (NLMSG_DONE, None) => 0,
            (kind, None) => {
                return Err(NetlinkError::ShortMessage {
                    kind,
                    length: self.payload.len(),
                    expected: 4,
                });
            }
        };
        if code >= 0 {
            return Ok(());
        }
        let tlvs = self.extended_ack();
        Err(NetlinkError::Refused {
            errno: code.saturating_neg(),
            message: tlvs.find_kind(NLMSGERR_ATTR_MSG).map(|attr| attr.text()),
            offset: tlvs
                .find_kind(NLMSGERR_ATTR_OFFS)
                .and_then(|attr| attr.u32().ok()),
        })
    }

    fn extended_ack(&self) -> AttrReader<'a> {
        if self.flags & NLM_F_ACK_TLVS == 0 {
            return AttrReader::new(&[]);
        }
        let start = if self.kind == NLMSG_DONE {
            4
        } else if self.flags & NLM_F_CAPPED != 0 {
            4 + HEADER
        } else {
            let quoted = self.payload.get(4..8).and_then(|bytes| bytes.first_chunk());
            let quoted = quoted.map_or(0, |bytes| u32::from_ne_bytes(*bytes) as usize);
            4_usize.saturating_add(align(quoted.min(self.payload.len())))
        };
        AttrReader::new(self.payload.get(start..).unwrap_or_default())
    }
}

/// Walks over the messages of one or more datagrams. Ends at the first that does not fit.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let header = self.rest.first_chunk::<HEADER>()?;
        let [
            l0,
            l1,
            l2,
            l3,
            k0,
            k1,
            f0,
            f1,
            s0,
            s1,
            s2,
            s3,
            p0,
            p1,
            p2,
            p3,
        ] = *header;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let payload = self.rest.get(HEADER..length)?;
        self.rest = self.rest.get(align(length)..).unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            port: u32::from_ne_bytes([p0, p1, p2, p3]),
            payload,
        })
    }
}

/// The messages of one answer, one dump or one wake-up, in the order they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replies {
    bytes: Vec<u8>,
}

impl Replies {
    #[must_use]
    pub fn iter(&self) -> Messages<'_> {
        Messages::new(&self.bytes)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The only message of the answer to a plain "get".
    pub fn first(&self) -> Result<Message<'_>, NetlinkError> {
        self.iter().next().ok_or(NetlinkError::Missing("message"))
    }

    pub(super) fn push(&mut self, message: &Message<'_>) {
        let length = u32::try_from(HEADER + message.payload.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&message.kind.to_ne_bytes());
        self.bytes.extend_from_slice(&message.flags.to_ne_bytes());
        self.bytes
            .extend_from_slice(&message.sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&message.port.to_ne_bytes());
        self.bytes.extend_from_slice(message.payload);
        self.bytes.resize(align(self.bytes.len()), 0);
    }
}

impl<'a> IntoIterator for &'a Replies {
    type Item = Message<'a>;
    type IntoIter = Messages<'a>;

    fn into_iter(self) -> Messages<'a> {
        self.iter()
    }
}
