//! Many requests that the kernel carries out as one: an opening message, the requests, a closing
//! message, in one datagram (`NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`).

use std::borrow::Borrow;
use std::os::fd::AsFd;

use super::NetlinkError;
use super::message::{Messages, NLM_F_ACK, NLMSG_ERROR, Request};
use super::socket::Socket;
use super::sys;

/// What the kernel takes of a datagram beyond its bytes.
const SEND_OVERHEAD: usize = 4096;

impl Socket {
    /// Sends everything in one datagram of any size and returns which requests were refused, by
    /// their index; all refusals are told, not only the first.
    ///
    /// A refusal of the whole, which the kernel reports for the opening message, is the error.
    /// Only the last request asks for an ack: the kernel answers in order, so that after it
    /// nothing is to come.
    pub fn transact<I>(
        &mut self,
        open: &Request,
        requests: I,
        close: &Request,
    ) -> Result<Vec<(usize, NetlinkError)>, NetlinkError>
    where
        I: IntoIterator<Item: Borrow<Request>>,
    {
        self.refresh()?;
        self.out.clear();
        let opening = self.sequence.wrapping_add(1);
        open.finish_into(&mut self.out, 0, opening)?;
        let mut last = opening;
        let mut requests = requests.into_iter().peekable();
        let mut count = 0;
        while let Some(request) = requests.next() {
            let flags = if requests.peek().is_none() {
                NLM_F_ACK
            } else {
                0
            };
            last = last.wrapping_add(1);
            count += 1;
            request.borrow().finish_into(&mut self.out, flags, last)?;
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        self.sequence = last.wrapping_add(1);
        close.finish_into(&mut self.out, 0, self.sequence)?;
        self.make_room_to_send();
        self.send(count)?;
        // Large ones are rare; nothing is gained by keeping their memory.
        self.out = Vec::new();
        let outcome = self.collect_refusals(opening, last);
        self.mark(outcome)
    }

    fn make_room_to_send(&self) {
        let wanted = i32::try_from(self.out.len() + SEND_OVERHEAD).unwrap_or(i32::MAX);
        let fd = self.as_fd();
        // Without CAP_NET_ADMIN the forced size is refused; then what net.core.wmem_max allows,
        // beyond which the send call says so.
        let _sized = sys::set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, wanted)
            || sys::set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, wanted);
    }

    /// Notes the refusals of the requests after `opening` until the answer to `last` is there.
    fn collect_refusals(
        &mut self,
        opening: u32,
        last: u32,
    ) -> Result<Vec<(usize, NetlinkError)>, NetlinkError> {
        let mut refused = Vec::new();
        loop {
            let length = self.receive(true)?;
            let datagram = self.datagram.get(..length).unwrap_or_default();
            for message in Messages::new(datagram) {
                let position = message.sequence.wrapping_sub(opening) as usize;
                if message.kind != NLMSG_ERROR || position > last.wrapping_sub(opening) as usize {
                    continue;
                }
                match (position, message.verdict()) {
                    (0, verdict) => verdict?,
                    (position, Err(error)) => refused.push((position - 1, error)),
                    (_, Ok(())) => {}
                }
                if message.sequence == last {
                    return Ok(refused);
                }
            }
        }
    }
}
