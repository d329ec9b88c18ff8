//! Follows the links, addresses and default routes of this host on a thread of its own.
//!
//! Two things come of it: the [`Host`] that the node's facts are made of, and hints that
//! somebody took from us what the proxy has put up.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::{Builder, park_timeout};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tracing::warn;

use crate::kernel::rtnl::object::{Event, TABLE_MAIN};
use crate::kernel::rtnl::{Error, Interfaces, Monitor, RouteQuery, Rtnl};
use crate::watch::Host;

/// The link that carries the addresses of Services.
const DUMMY_LINK: &str = "kube-dummy-if";

/// How long to wait after an error, and how often to see whether anybody still listens.
const PAUSE: Duration = Duration::from_secs(1);

/// Something that the proxy may have put up is gone; it may have been the proxy itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// The link with all its addresses, or nobody knows what.
    Everything,
    Vip(IpAddr),
}

/// Where the news goes.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) host: watch::Sender<Option<Arc<Host>>>,
    /// Hints may be lost when nobody takes them up in time: one is as good as many.
    pub(super) gone: mpsc::Sender<Gone>,
}

/// Starts the thread; it ends when nobody listens any more.
///
/// # Errors
/// Where the system has no thread left.
pub(super) fn follow(ends: Ends) -> io::Result<()> {
    let thread = Builder::new().name("kr-host".to_owned());
    thread.spawn(move || {
        while !ends.host.is_closed() {
            if let Err(error) = session(&ends) {
                warn!(%error, "links and addresses of this host cannot be read");
                park_timeout(PAUSE);
            }
        }
    })?;
    Ok(())
}

/// Reads everything, then follows until the sockets fail.
fn session(ends: &Ends) -> Result<(), Error> {
    // Watched first, read then: nothing falls between.
    let mut monitor = Monitor::open()?;
    let mut rtnl = Rtnl::open()?;
    let (mut host, mut dummy) = read(&mut rtnl)?;
    ends.host.send_replace(Some(Arc::new(host.clone())));
    while !ends.host.is_closed() {
        let mut changed = false;
        for event in monitor.next(Some(PAUSE))? {
            if let Some(gone) = gone(&event, &mut dummy) {
                let _ = ends.gone.try_send(gone);
            }
            if event == Event::Overflow {
                (host, dummy) = read(&mut rtnl)?;
                changed = true;
            } else {
                changed |= host.apply(event);
            }
        }
        if changed {
            ends.host.send_replace(Some(Arc::new(host.clone())));
        }
    }
    Ok(())
}

/// Everything as it is, and the index of the dummy link.
pub(super) fn read(rtnl: &mut Rtnl) -> Result<(Host, Option<u32>), Error> {
    let links = rtnl.links()?;
    let dummy = links
        .iter()
        .find(|link| link.name == DUMMY_LINK)
        .map(|link| link.index);
    let addresses = rtnl.addresses(None)?;
    let query = RouteQuery {
        family: None,
        table: Some(TABLE_MAIN),
        link: None,
    };
    Ok((Host::new(links, addresses, rtnl.routes(query)?), dummy))
}

/// Whether the event may mean a loss; keeps track of the dummy link.
fn gone(event: &Event, dummy: &mut Option<u32>) -> Option<Gone> {
    match event {
        Event::Link(link) if link.name == DUMMY_LINK => {
            *dummy = Some(link.index);
            // Switched off, it answers for no address.
            (!link.is_up).then_some(Gone::Everything)
        }
        Event::LinkGone(link) if Some(link.index) == *dummy => {
            *dummy = None;
            Some(Gone::Everything)
        }
        Event::AddressGone(address) if Some(address.link) == *dummy => {
            Some(Gone::Vip(address.prefix.addr()))
        }
        Event::Overflow => Some(Gone::Everything),
        _ => None,
    }
}
