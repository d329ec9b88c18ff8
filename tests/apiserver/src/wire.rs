//! The TCP stream below TLS, which counts bytes and can trickle, cut or reset.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::faults::{FaultKind, Faults, TRICKLE, Taken};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Normal,
    Cut { left: usize, reset: bool },
    Slow { slice: usize, epoch: u64 },
}

/// The switch of one connection, shared with the requests on it.
#[derive(Debug)]
pub(crate) struct Switch {
    mode: Mutex<Mode>,
}

impl Switch {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            mode: Mutex::new(Mode::Normal),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Mode> {
        self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches to what the fault says, when it concerns the wire.
    pub(crate) fn take(&self, taken: &Taken) {
        let next = match taken.kind {
            FaultKind::Reset { after_bytes } => Mode::Cut {
                left: after_bytes,
                reset: true,
            },
            FaultKind::Truncate { after_bytes } => Mode::Cut {
                left: after_bytes,
                reset: false,
            },
            FaultKind::Slow { bytes_per_second } => {
                let slices = 1000 / u32::try_from(TRICKLE.as_millis()).unwrap_or(1);
                let slice = usize::try_from(bytes_per_second / slices)
                    .unwrap_or(1)
                    .max(1);
                Mode::Slow {
                    slice,
                    epoch: taken.epoch,
                }
            }
            _ => return,
        };
        *self.lock() = next;
    }
}

/// One accepted connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    switch: Arc<Switch>,
    faults: Arc<Faults>,
    sent: Arc<AtomicU64>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(crate) fn new(
        stream: TcpStream,
        switch: Arc<Switch>,
        faults: Arc<Faults>,
        sent: Arc<AtomicU64>,
    ) -> Self {
        Self {
            stream,
            switch,
            faults,
            sent,
            pause: None,
        }
    }

    /// How many of `wanted` bytes may go out now.
    fn allowance(&self, wanted: usize) -> io::Result<usize> {
        let mut mode = self.switch.lock();
        match *mode {
            Mode::Normal => Ok(wanted),
            Mode::Cut { left: 0, .. } => Err(io::ErrorKind::ConnectionReset.into()),
            Mode::Cut { left, .. } => Ok(wanted.min(left)),
            Mode::Slow { epoch, .. } if epoch != self.faults.epoch() => {
                *mode = Mode::Normal;
                Ok(wanted)
            }
            Mode::Slow { slice, .. } => Ok(wanted.min(slice)),
        }
    }

    fn wrote(&mut self, count: usize) {
        self.sent
            .fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        let mut mode = self.switch.lock();
        match &mut *mode {
            Mode::Normal => {}
            Mode::Cut { left, .. } => *left -= count.min(*left),
            Mode::Slow { .. } => self.pause = Some(Box::pin(sleep(TRICKLE))),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let allowed = self.allowance(bytes.len())?;
        let chosen = bytes.get(..allowed).unwrap_or(bytes);
        let count = ready!(Pin::new(&mut self.stream).poll_write(context, chosen))?;
        self.wrote(count);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(*self.switch.lock(), Mode::Cut { .. }) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if matches!(*self.switch.lock(), Mode::Cut { reset: true, .. }) {
            // Lingering for no time makes close send RST instead of FIN.
            let _ = self.stream.set_zero_linger();
        }
    }
}
