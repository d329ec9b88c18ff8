//! The thread of all sessions, its sockets and its handle.
//!
//! - A port is listened at only while a session wants it. One that somebody else has is told of
//!   once and tried again each second; sessions of other ports don't notice.
//! - The thread never waits for whoever reads the events.
//! - Its sockets are in the network namespace of whoever started it.

mod outbox;
mod owner;
mod socket;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::sync::{mpsc as events, oneshot};

use self::outbox::Outbox;
use self::owner::Owner;
use super::{Error, SessionConfig, SessionKey, Status, Table, Transition};

/// Events that wait for whoever reads them before they are summed up.
const EVENTS: usize = 256;

/// What the sessions have to tell.
#[derive(Debug)]
pub enum Event {
    Changed {
        key: SessionKey,
        to: Transition,
    },
    /// To be logged; the sessions it is about stay Down until it is over.
    Failed(Error),
}

/// The sessions, for as long as somebody has a handle; then each ends in AdminDown.
#[derive(Debug, Clone)]
pub struct Handle {
    // Dropped before `wake`, so that the thread finds nobody when it wakes up.
    commands: mpsc::Sender<Command>,
    wake: Arc<UnixStream>,
}

#[derive(Debug)]
enum Command {
    SetDesired(BTreeMap<SessionKey, SessionConfig>),
    Status(oneshot::Sender<BTreeMap<SessionKey, Status>>),
    Stop(oneshot::Sender<()>),
}

/// Starts the thread, which wants no session yet; `seed` must be random, as the discriminators
/// follow from it.
///
/// # Errors
/// There can be no thread, or no way to wake it.
pub fn spawn(seed: u64) -> io::Result<(Handle, events::Receiver<Event>)> {
    let (wake, woken) = UnixStream::pair()?;
    wake.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    let (commands, to_obey) = mpsc::channel();
    let (sender, receiver) = events::channel(EVENTS);
    let owner = Owner {
        commands: to_obey,
        wake: woken,
        outbox: Outbox::new(sender),
        table: Table::new(seed),
        desired: BTreeMap::new(),
        receivers: BTreeMap::new(),
        senders: BTreeMap::new(),
    };
    thread::Builder::new()
        .name("bfd".to_owned())
        .spawn(move || owner.run())?;
    let wake = Arc::new(wake);
    Ok((Handle { commands, wake }, receiver))
}

// === impl Handle ===

impl Handle {
    /// Wants these sessions and no others. Those that are there already go on, also with other
    /// timers; those that are not wanted any more tell the other end AdminDown, and nothing is told
    /// about them here. Another port or reach makes a new session.
    pub fn set_desired(&self, desired: BTreeMap<SessionKey, SessionConfig>) {
        self.command(Command::SetDesired(desired));
    }

    /// All sessions; `None` if the thread has ended.
    pub async fn status(&self) -> Option<BTreeMap<SessionKey, Status>> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::Status(answer));
        answered.await.ok()
    }

    /// Ends all sessions in AdminDown, and the thread; when this returns the other ends have been
    /// told, and the sockets are closed.
    pub async fn stop(&self) {
        let (done, waited) = oneshot::channel();
        self.command(Command::Stop(done));
        // An error: it had ended before.
        let _ended = waited.await;
    }

    fn command(&self, command: Command) {
        // A thread that has ended has told so by the end of its events.
        let _unheard = self.commands.send(command);
        // Where a wake-up is pending already, the buffer may be full.
        let _pending = (&*self.wake).write(&[0]);
    }
}
