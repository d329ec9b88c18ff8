//! Follows the host's links, addresses and default routes on a thread of its own.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::Host;
use crate::kernel::rtnl::object::{Event, TABLE_MAIN};
use crate::kernel::rtnl::{Error, Interfaces, Monitor, RouteQuery, Rtnl};

/// The link that carries the addresses of Services.
const DUMMY: &str = "kube-dummy-if";
/// How often the thread looks whether anybody still listens.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Where the thread puts what it finds.
#[derive(Debug)]
pub(in crate::watch) struct Links {
    pub(in crate::watch) host: watch::Sender<Option<Arc<Host>>>,
    /// Why the host is not known.
    pub(in crate::watch) fault: watch::Sender<Option<String>>,
    /// What is gone. Hints may be lost when nobody takes them up: one is as good as many.
    pub(in crate::watch) lost: mpsc::Sender<Lost>,
}

/// Something of the Services' is gone, by somebody's hand or by our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The link that carries their addresses is gone or switched off, or nobody knows what is.
    Link,
    /// An address of that link.
    Address(IpAddr),
}

// === impl Links ===

impl Links {
    /// Follows the network namespace of the calling thread until nobody listens.
    ///
    /// # Errors
    /// Where there can be no further thread.
    pub(in crate::watch) fn spawn(self) -> io::Result<JoinHandle<()>> {
        Builder::new()
            .name("links".to_owned())
            .spawn(move || self.run())
    }

    fn run(self) {
        while !self.host.is_closed() {
            let Err(error) = self.follow() else {
                return;
            };
            let text = error.to_string();
            if self.fault.borrow().as_ref() != Some(&text) {
                tracing::warn!(%error, "the host's links and addresses cannot be followed");
            }
            self.fault.send_replace(Some(text));
            std::thread::park_timeout(LOOK_UP);
        }
    }

    /// Ends well when nobody listens.
    fn follow(&self) -> Result<(), Error> {
        // Subscribed first, read then: nothing falls between.
        let mut monitor = Monitor::open()?;
        let mut rtnl = Rtnl::open()?;
        let mut host = read(&mut rtnl)?;
        self.publish(&host);
        while !self.host.is_closed() {
            let events = monitor.next(Some(LOOK_UP))?;
            let mut changed = false;
            let mut lost = false;
            for event in events {
                self.look(&event, &host);
                lost |= event == Event::Overflow;
                changed |= host.apply(event);
            }
            if lost {
                host = read(&mut rtnl)?;
            }
            if changed {
                self.publish(&host);
            }
        }
        Ok(())
    }

    fn publish(&self, host: &Host) {
        self.fault.send_if_modified(|fault| fault.take().is_some());
        self.host.send_replace(Some(Arc::new(host.clone())));
    }

    fn look(&self, event: &Event, host: &Host) {
        let is_dummy = |index| host.link(index).is_some_and(|link| link.name == DUMMY);
        let lost = match event {
            Event::LinkGone(link) if link.name == DUMMY => Lost::Link,
            Event::Link(link) if link.name == DUMMY && !link.is_up => Lost::Link,
            Event::AddressGone(address) if is_dummy(address.link) => {
                Lost::Address(address.prefix.addr())
            }
            Event::Overflow => Lost::Link,
            _ => return,
        };
        let _ = self.lost.try_send(lost);
    }
}

impl Host {
    /// This host as it is now.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn read() -> Result<Self, Error> {
        read(&mut Rtnl::open()?)
    }
}

fn read(rtnl: &mut Rtnl) -> Result<Host, Error> {
    let query = RouteQuery {
        table: Some(TABLE_MAIN),
        ..RouteQuery::default()
    };
    Ok(Host::new(
        rtnl.links()?,
        rtnl.addresses(None)?,
        rtnl.routes(query)?,
    ))
}
