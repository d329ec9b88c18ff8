//! Many requests per send, one ack for all of them, and a verdict for each.

use std::borrow::Borrow;

use super::NetlinkError;
use super::message::{HEADER, Messages, NLM_F_ACK, NLMSG_ERROR, Request};
use super::socket::Socket;

/// Most messages that [`Socket::batch`] puts into one send.
pub const BATCH_MESSAGES: usize = 64;
/// Most bytes that [`Socket::batch`] puts into one send.
pub const BATCH_BYTES: usize = 64 << 10;

impl Socket {
    /// Many requests, up to [`BATCH_MESSAGES`] or [`BATCH_BYTES`] per send, with one verdict each
    /// in the order given.
    ///
    /// Only the last message of a send asks for an ack. The kernel carries messages out in order
    /// inside the send call and always reports errors, so silence before that ack is success.
    /// A fault of the socket itself is the verdict of every message of that send which was not
    /// answered before it; later ones are [`NetlinkError::NotSent`].
    pub fn batch<I>(&mut self, requests: I) -> Vec<Result<(), NetlinkError>>
    where
        I: IntoIterator<Item: Borrow<Request>>,
    {
        let mut verdicts = Vec::new();
        let mut chunk = Chunk::default();
        let mut healthy = true;
        self.out.clear();
        for request in requests {
            let request = request.borrow();
            if healthy && !chunk.has_room(self.out.len(), request.len()) {
                healthy = self.flush(&mut chunk, &mut verdicts);
            }
            let index = verdicts.len();
            verdicts.push(Err(NetlinkError::NotSent));
            if healthy {
                let sequence = self.sequence.wrapping_add(1);
                let start = self.out.len();
                match request.finish_into(&mut self.out, 0, sequence) {
                    Ok(()) => {
                        self.sequence = sequence;
                        chunk.push(index, start, sequence);
                    }
                    Err(error) => replace(&mut verdicts, index, Err(error)),
                }
            }
        }
        if healthy {
            self.flush(&mut chunk, &mut verdicts);
        }
        verdicts
    }

    /// Sends a chunk and notes its verdicts; `false` after a fault of the socket.
    fn flush(&mut self, chunk: &mut Chunk, verdicts: &mut [Result<(), NetlinkError>]) -> bool {
        let Some(last) = chunk.request_ack(&mut self.out) else {
            self.out.clear();
            return true;
        };
        let mut answered = vec![None; chunk.indices.len()];
        let outcome = self.refresh().and_then(|()| self.send(chunk.indices.len()));
        let outcome =
            outcome.and_then(|()| self.collect_verdicts(chunk.first, last, &mut answered));
        let outcome = self.mark(outcome);
        for (index, answer) in chunk.indices.drain(..).zip(answered) {
            replace(verdicts, index, answer.unwrap_or_else(|| outcome.clone()));
        }
        self.out.clear();
        outcome.is_ok()
    }

    /// Notes the verdicts of the requests `first..=last` until that of `last` is there.
    fn collect_verdicts(
        &mut self,
        first: u32,
        last: u32,
        answered: &mut [Option<Result<(), NetlinkError>>],
    ) -> Result<(), NetlinkError> {
        loop {
            let length = self.receive(true)?;
            let datagram = self.datagram.get(..length).unwrap_or_default();
            for message in Messages::new(datagram) {
                if message.kind != NLMSG_ERROR {
                    continue;
                }
                let position = message.sequence.wrapping_sub(first) as usize;
                if let Some(slot) = answered.get_mut(position) {
                    *slot = Some(message.verdict());
                    if message.sequence == last {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// The messages of one send.
#[derive(Default)]
struct Chunk {
    /// For each message, where its verdict goes.
    indices: Vec<usize>,
    /// Sequence number of the first message; the others follow without gaps.
    first: u32,
    last: u32,
    /// Where the last message starts in the send buffer.
    last_start: usize,
}

impl Chunk {
    fn has_room(&self, used: usize, more: usize) -> bool {
        self.indices.is_empty()
            || (self.indices.len() < BATCH_MESSAGES && used + more <= BATCH_BYTES)
    }

    fn push(&mut self, index: usize, start: usize, sequence: u32) {
        if self.indices.is_empty() {
            self.first = sequence;
        }
        self.indices.push(index);
        self.last_start = start;
        self.last = sequence;
    }

    /// Sets the ack bit of the last message; its sequence number, or nothing if there is none.
    fn request_ack(&self, out: &mut [u8]) -> Option<u32> {
        if self.indices.is_empty() {
            return None;
        }
        let header = out.get_mut(self.last_start..self.last_start + HEADER)?;
        let flags = header.get_mut(6..8)?;
        let value = u16::from_ne_bytes([flags[0], flags[1]]) | NLM_F_ACK;
        flags.copy_from_slice(&value.to_ne_bytes());
        Some(self.last)
    }
}

fn replace(
    verdicts: &mut [Result<(), NetlinkError>],
    index: usize,
    verdict: Result<(), NetlinkError>,
) {
    if let Some(slot) = verdicts.get_mut(index) {
        *slot = verdict;
    }
}
