//! Frames in a stream of bytes, and messages in frames (RFC 4271 sections 4.1 and 6.1, RFC 8654).

use bytes::Bytes;

use super::error::{DecodeError, DecodeErrorKind, EncodeError};
use super::family::{AddressFamily, Afi, Safi};
use super::message::{Message, MessageType};
use super::negotiated::Negotiated;
use super::notification::Notification;
use super::open::Open;
use super::reader::Reader;
use super::route_refresh::{RefreshSubtype, RouteRefresh};
use super::update::ParsedUpdate;

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

/// Octets of the header.
pub(super) const HEADER: usize = 19;
const MARKER: [u8; 16] = [0xff; 16];

// === impl Codec ===

impl Codec {
    /// For the time after both OPENs.
    #[must_use]
    pub fn new(negotiated: &Negotiated) -> Self {
        Self {
            receive: negotiated.receive_limit,
            send: negotiated.send_limit,
        }
    }

    /// The length of the message that `buffer` starts with, as soon as it is there whole; `None`
    /// while octets are missing. A header that can't be right is refused as early as it is seen,
    /// so nobody waits for the rest of a message that is none.
    ///
    /// # Errors
    /// The faults of RFC 4271 section 6.1.
    pub fn next_frame(&self, buffer: &[u8]) -> Result<Option<usize>, DecodeError> {
        let marker = buffer.get(..MARKER.len()).unwrap_or(buffer);
        if let Some(at) = marker.iter().position(|octet| *octet != 0xff) {
            return Err(DecodeError::new(at, DecodeErrorKind::Marker));
        }
        let Some((length, _)) = self.header(buffer)? else {
            return Ok(None);
        };
        Ok((buffer.len() >= length).then_some(length))
    }

    /// Length and type, once both are there.
    fn header(&self, buffer: &[u8]) -> Result<Option<(usize, MessageType)>, DecodeError> {
        let mut reader = Reader::new(buffer);
        let (Some(_), Some(length)) = (reader.array::<16>(), reader.u16()) else {
            return Ok(None);
        };
        let bad_length = DecodeError::new(16, DecodeErrorKind::Length(length));
        let octets = usize::from(length);
        if octets < HEADER || octets > self.receive.octets() {
            return Err(bad_length);
        }
        let Some(number) = reader.u8() else {
            return Ok(None);
        };
        let kind = MessageType::from_number(number)
            .ok_or_else(|| DecodeError::new(18, DecodeErrorKind::MessageType(number)))?;
        if kind.allows(octets) {
            Ok(Some((octets, kind)))
        } else {
            Err(bad_length)
        }
    }

    /// Reads one whole message, as [`Codec::next_frame`] delimits it. What an UPDATE holds is
    /// sliced out of `frame`, not copied.
    ///
    /// # Errors
    /// The faults of RFC 4271 sections 6.1 and 6.2, and an UPDATE whose fields can't be told
    /// apart.
    pub fn decode(&self, frame: &Bytes) -> Result<Message, DecodeError> {
        let whole = self.next_frame(frame)? == Some(frame.len());
        let Some((_, kind)) = self.header(frame)?.filter(|_| whole) else {
            let length = u16::try_from(frame.len()).unwrap_or(u16::MAX);
            return Err(DecodeError::new(16, DecodeErrorKind::Length(length)));
        };
        let body = frame.slice(HEADER..);
        match kind {
            MessageType::Open => Open::decode(&body, HEADER).map(Message::Open),
            MessageType::Update => ParsedUpdate::decode(&body)
                .map(Message::Update)
                .ok_or(DecodeError::new(HEADER, DecodeErrorKind::UpdateLengths)),
            MessageType::Notification => Ok(Message::Notification(notification(&body))),
            MessageType::Keepalive => Ok(Message::Keepalive),
            MessageType::RouteRefresh => route_refresh(frame, &body).map(Message::RouteRefresh),
        }
    }

    /// Appends the message to `into`; on an error nothing is appended. An UPDATE is written as it
    /// was taken apart; new ones are made by [`super::UpdateWriter`].
    ///
    /// # Errors
    /// What does not fit into the message.
    pub fn encode(&self, message: &Message, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        let kind = message.message_type();
        let limit = match kind {
            MessageType::Open | MessageType::Keepalive => MessageLimit::Standard,
            _ => self.send,
        };
        write_frame(kind, limit, into, |into| match message {
            Message::Open(open) => open.encode(into),
            Message::Update(update) => {
                update.encode(into);
                Ok(())
            }
            Message::Notification(notification) => {
                into.extend([notification.code, notification.subcode]);
                into.extend_from_slice(&notification.data);
                Ok(())
            }
            Message::Keepalive => Ok(()),
            Message::RouteRefresh(refresh) => {
                into.extend(refresh.family.afi.0.to_be_bytes());
                into.extend([refresh.subtype.number(), refresh.family.safi.0]);
                Ok(())
            }
        })
    }
}

/// Header, body, and the length when it is known.
pub(super) fn write_frame(
    kind: MessageType,
    limit: MessageLimit,
    into: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = into.len();
    into.extend(MARKER);
    into.extend([0, 0, kind.number()]);
    let written = body(into).and_then(|()| {
        let (length, limit) = (into.len() - start, limit.octets());
        let fits = u16::try_from(length).ok().filter(|_| length <= limit);
        let octets = fits.ok_or(EncodeError::TooLong { length, limit })?;
        put_u16(into, start + MARKER.len(), octets);
        Ok(())
    });
    if written.is_err() {
        into.truncate(start);
    }
    written
}

/// Fills a length in that was left open.
pub(super) fn put_u16(into: &mut [u8], at: usize, value: u16) {
    if let Some(field) = into.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// As much of the text as fits into so many octets.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    let mut ends = (0..=limit.min(text.len())).rev();
    ends.find_map(|end| text.get(..end)).unwrap_or("")
}

fn notification(body: &Bytes) -> Notification {
    let mut reader = Reader::new(body);
    Notification {
        code: reader.u8().unwrap_or_default(),
        subcode: reader.u8().unwrap_or_default(),
        data: body.slice_ref(reader.rest()),
    }
}

fn route_refresh(frame: &Bytes, body: &[u8]) -> Result<RouteRefresh, DecodeError> {
    let &[a, b, subtype, safi] = body else {
        let kind = DecodeErrorKind::RouteRefreshLength(frame.clone());
        return Err(DecodeError::new(HEADER + 4, kind));
    };
    Ok(RouteRefresh {
        family: AddressFamily {
            afi: Afi(u16::from_be_bytes([a, b])),
            safi: Safi(safi),
        },
        subtype: RefreshSubtype::from_number(subtype),
    })
}
