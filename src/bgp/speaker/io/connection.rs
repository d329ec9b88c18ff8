//! The two tasks of a connection: one reads, one writes; neither knows what the octets mean.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::owner::Event;
use crate::bgp::speaker::input::{ConnectionKey, Input};

/// Octets of one read.
const PIECE: usize = 64 * 1024;
/// How long what is queued may take once the connection is to be closed.
const LINGER: Duration = Duration::from_secs(5);
/// How long the other end is heard out then, so that our last words are not lost by a reset.
const HEAR_OUT: Duration = Duration::from_secs(1);

/// A connection that runs; dropping it closes it when what is queued is written.
#[derive(Debug)]
pub(super) struct Running {
    queue: mpsc::UnboundedSender<Bytes>,
    /// Its end is the order to close.
    _open: oneshot::Sender<()>,
}

/// Held for as long as a connection has something to say.
pub(super) type Alive = mpsc::Sender<()>;

// === impl Running ===

impl Running {
    pub(super) fn start(
        stream: TcpStream,
        key: ConnectionKey,
        events: &mpsc::Sender<Event>,
        alive: Alive,
    ) -> Self {
        // Without it small messages may wait; it can't do harm where it fails.
        let _ = stream.set_nodelay(true);
        let (read, write) = stream.into_split();
        let (queue, queued) = mpsc::unbounded_channel();
        let (open, closing) = oneshot::channel();
        let reader = tokio::spawn(read_all(read, key, events.clone()));
        let writer = write_all(write, key, queued, closing, events.clone(), reader);
        tokio::spawn(async move {
            writer.await;
            drop(alive);
        });
        Self { queue, _open: open }
    }

    /// The queue is bounded by who fills it.
    pub(super) fn send(&self, octets: Bytes) {
        // A writer that is gone has said so.
        let _ = self.queue.send(octets);
    }
}

async fn read_all(mut read: OwnedReadHalf, key: ConnectionKey, events: mpsc::Sender<Event>) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        let input = match read.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => Input::Closed(key),
            Ok(_) => Input::Received(key, buffer.split().freeze()),
        };
        let is_last = matches!(input, Input::Closed(_));
        if events.send(Event::Input(input)).await.is_err() || is_last {
            return;
        }
    }
}

async fn write_all(
    mut write: OwnedWriteHalf,
    key: ConnectionKey,
    mut queued: mpsc::UnboundedReceiver<Bytes>,
    closing: oneshot::Receiver<()>,
    events: mpsc::Sender<Event>,
    mut reader: JoinHandle<()>,
) {
    let late = async {
        let _ = closing.await;
        sleep(LINGER).await;
    };
    let work = async {
        while let Some(mut octets) = queued.recv().await {
            while !octets.is_empty() {
                let written = write.write_buf(&mut octets).await?;
                let input = Input::Written(key, written);
                if events.send(Event::Input(input)).await.is_err() {
                    return Ok(());
                }
            }
        }
        write.shutdown().await
    };
    let result = tokio::select! {
        result = work => result,
        () = late => Ok(()),
    };
    if result.is_err() {
        // Nobody listens any more where this fails.
        let _ = events.send(Event::Input(Input::Closed(key))).await;
    } else {
        let _ = timeout(HEAR_OUT, &mut reader).await;
    }
    reader.abort();
}
