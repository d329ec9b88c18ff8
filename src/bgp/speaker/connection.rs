//! One connection: what was read and is no whole message yet, and how much is unwritten.

use bytes::{Bytes, BytesMut};

use crate::bgp::wire::{Codec, DecodeError, Message};

/// Octets of UPDATEs that may wait for the wire before no more are made.
pub const UNWRITTEN_LIMIT: usize = 128 * 1024;

#[derive(Debug, Default)]
pub(super) struct Connection {
    input: BytesMut,
    unwritten: usize,
}

// === impl Connection ===

impl Connection {
    pub(super) fn received(&mut self, octets: &Bytes) {
        self.input.extend_from_slice(octets);
    }

    /// The next whole message; `None` while octets are missing.
    ///
    /// # Errors
    /// What is no message.
    pub(super) fn next(&mut self, codec: Codec) -> Result<Option<Message>, DecodeError> {
        let Some(length) = codec.next_frame(&self.input)? else {
            return Ok(None);
        };
        let frame = self.input.split_to(length).freeze();
        codec.decode(&frame).map(Some)
    }

    pub(super) fn queued(&mut self, octets: usize) {
        self.unwritten = self.unwritten.saturating_add(octets);
    }

    pub(super) fn written(&mut self, octets: usize) {
        self.unwritten = self.unwritten.saturating_sub(octets);
    }

    pub(super) fn unwritten(&self) -> usize {
        self.unwritten
    }

    pub(super) fn has_room(&self) -> bool {
        self.unwritten < UNWRITTEN_LIMIT
    }
}
