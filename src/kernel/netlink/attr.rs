//! Attributes: type, length, value, padded to four bytes (`struct nlattr`).

use super::NetlinkError;
use super::message::{Request, align};

/// The attribute holds attributes. Set when writing, never insisted on when reading: generic
/// netlink families answer without it.
pub const NLA_F_NESTED: u16 = 1 << 15;
/// The value is in network byte order; some families (ipset) demand the bit.
pub const NLA_F_NET_BYTEORDER: u16 = 1 << 14;

const TYPE_MASK: u16 = !(NLA_F_NESTED | NLA_F_NET_BYTEORDER);
const HEADER: usize = 4;

/// Appends attributes to a [`Request`].
///
/// An attribute or nest that outgrows its 16-bit length marks the request as oversized, which
/// the socket then refuses to send.
#[derive(Debug)]
pub struct AttrWriter<'a> {
    request: &'a mut Request,
}

impl<'a> AttrWriter<'a> {
    pub(super) fn new(request: &'a mut Request) -> Self {
        Self { request }
    }

    /// Bytes of the whole message so far, so that a writer of many entries can stop in time.
    #[must_use]
    pub fn message_len(&self) -> usize {
        self.request.len()
    }

    /// An attribute with this value as it stands.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let start = self.open(kind);
        self.request.buffer.extend_from_slice(value);
        self.close(start);
        self
    }

    /// An attribute without a value: its presence is the message.
    pub fn flag(&mut self, kind: u16) -> &mut Self {
        self.bytes(kind, &[])
    }

    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.bytes(kind, &[value])
    }

    /// In the machine's byte order.
    pub fn u16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// In the machine's byte order.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// In the machine's byte order.
    pub fn u64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// In network byte order.
    pub fn be16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// In network byte order.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Text with a closing zero byte.
    pub fn strz(&mut self, kind: u16, value: &str) -> &mut Self {
        let start = self.open(kind);
        self.request.buffer.extend_from_slice(value.as_bytes());
        self.request.buffer.push(0);
        self.close(start);
        self
    }

    /// Attributes inside an attribute.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut AttrWriter<'_>)) -> &mut Self {
        let start = self.open(kind | NLA_F_NESTED);
        fill(&mut AttrWriter::new(self.request));
        self.close(start);
        self
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.request.buffer.len();
        self.request.buffer.extend_from_slice(&[0, 0]);
        self.request.buffer.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    fn close(&mut self, start: usize) {
        let buffer = &mut self.request.buffer;
        let length = buffer.len() - start;
        match (u16::try_from(length), buffer.get_mut(start..start + 2)) {
            (Ok(length), Some(field)) => field.copy_from_slice(&length.to_ne_bytes()),
            _ => self.request.oversized = true,
        }
        let end = align(self.request.buffer.len());
        self.request.buffer.resize(end, 0);
    }
}

/// One attribute as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr<'a> {
    /// Its type without the flag bits.
    pub kind: u16,
    /// Where it starts, in bytes from the start of the outermost reader.
    pub offset: usize,
    pub value: &'a [u8],
}

impl<'a> Attr<'a> {
    pub fn u8(&self) -> Result<u8, NetlinkError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// In the machine's byte order.
    pub fn u16(&self) -> Result<u16, NetlinkError> {
        self.array().map(u16::from_ne_bytes)
    }

    /// In the machine's byte order.
    pub fn u32(&self) -> Result<u32, NetlinkError> {
        self.array().map(u32::from_ne_bytes)
    }

    /// In the machine's byte order.
    pub fn u64(&self) -> Result<u64, NetlinkError> {
        self.array().map(u64::from_ne_bytes)
    }

    /// In network byte order.
    pub fn be16(&self) -> Result<u16, NetlinkError> {
        self.array().map(u16::from_be_bytes)
    }

    /// In network byte order.
    pub fn be32(&self) -> Result<u32, NetlinkError> {
        self.array().map(u32::from_be_bytes)
    }

    /// In network byte order.
    pub fn be64(&self) -> Result<u64, NetlinkError> {
        self.array().map(u64::from_be_bytes)
    }

    /// The first `N` bytes; longer values are allowed, because kernels lengthen structures.
    pub fn array<const N: usize>(&self) -> Result<[u8; N], NetlinkError> {
        match self.value.first_chunk::<N>() {
            Some(bytes) => Ok(*bytes),
            None => Err(NetlinkError::ShortAttribute {
                kind: self.kind,
                offset: self.offset,
                length: self.value.len(),
                expected: N,
            }),
        }
    }

    /// Text up to the first zero byte or the end; bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        let end = self.value.iter().position(|byte| *byte == 0);
        let text = end
            .and_then(|end| self.value.get(..end))
            .unwrap_or(self.value);
        String::from_utf8_lossy(text).into_owned()
    }

    /// The attributes inside.
    #[must_use]
    pub fn nested(&self) -> AttrReader<'a> {
        AttrReader {
            rest: self.value,
            offset: self.offset + HEADER,
        }
    }
}

/// Walks over attributes. Ends at the first one that does not fit; never panics.
#[derive(Debug, Clone)]
pub struct AttrReader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> AttrReader<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            offset: 0,
        }
    }

    /// What has not been read; once the iterator has ended, bytes here are a cut-off attribute.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The first attribute of this type that is still ahead.
    #[must_use]
    pub fn find_kind(&self, kind: u16) -> Option<Attr<'a>> {
        self.clone().find(|attr| attr.kind == kind)
    }
}

impl<'a> Iterator for AttrReader<'a> {
    type Item = Attr<'a>;

    fn next(&mut self) -> Option<Attr<'a>> {
        let [l0, l1, k0, k1] = *self.rest.first_chunk::<HEADER>()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = self.rest.get(HEADER..length)?;
        let attr = Attr {
            kind: u16::from_ne_bytes([k0, k1]) & TYPE_MASK,
            offset: self.offset,
            value,
        };
        let step = align(length).min(self.rest.len());
        self.rest = self.rest.get(step..).unwrap_or_default();
        self.offset += step;
        Some(attr)
    }
}
