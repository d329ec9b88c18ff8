//! Listens to the kernel on a thread of its own: a route of ours that somebody deletes is put back
//! at once, whatever else is going on.
//!
//! Deleted routes are named and put back without another look. When a link goes down or an address
//! goes, the kernel takes routes away without a word: then everything is looked at again. What we
//! do ourselves is not listened to.

use std::collections::BTreeMap;
use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::kernel::rtnl::{
    Error, Event, Interfaces, Link, LinkKind, Monitor, PROTOCOL_KUBE_ROUTER, PathRoute, Rtnl,
};
use crate::reconcile::Slot;
use crate::routing::Input;
use crate::routing::lost::Lost;
use crate::routing::plan::overlay::TABLE;
use crate::routing::plan::routes::RouteKey;

/// How often the thread looks whether anybody still listens, and tries again after a fault.
const LOOK_UP: Duration = Duration::from_secs(1);

/// Follows the network namespace of the calling thread for as long as another holds `lost`.
///
/// # Errors
/// Where there can be no further thread.
pub fn follow(slot: Slot<Input>, lost: Lost) -> io::Result<JoinHandle<()>> {
    let follower = Follower {
        slot,
        lost,
        port: 0,
        links: BTreeMap::new(),
    };
    Builder::new()
        .name("routes".to_owned())
        .spawn(move || follower.run())
}

struct Follower {
    slot: Slot<Input>,
    lost: Lost,
    /// Whose doing is not listened to.
    port: u32,
    /// Whether links that routes may go by are up.
    links: BTreeMap<u32, bool>,
}

/// What an event calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Lost(RouteKey),
    /// Nobody knows what went with it.
    Look,
}

// === impl Follower ===

impl Follower {
    fn run(mut self) {
        let mut told: Option<String> = None;
        while !self.lost.is_alone() {
            let Err(error) = self.listen(&mut told) else {
                return;
            };
            let text = error.to_string();
            if told.as_ref() != Some(&text) {
                tracing::warn!(%error, "routes cannot be followed: what others delete comes back at the next sync only");
            }
            told = Some(text);
            std::thread::park_timeout(LOOK_UP);
        }
    }

    /// Ends well when nobody listens.
    fn listen(&mut self, told: &mut Option<String>) -> Result<(), Error> {
        let mut monitor = Monitor::open_paths(PROTOCOL_KUBE_ROUTER)?;
        self.port = 0;
        // Subscribed first, read then: nothing falls between.
        let links = Rtnl::open()?.links()?;
        self.links = links.iter().filter_map(state).collect();
        if told.take().is_some() {
            self.slot.foreign_change();
        }
        while !self.lost.is_alone() {
            let port = self.lost.port();
            if port != self.port {
                monitor.ignore(&[port])?;
                self.port = port;
            }
            let events = monitor.next(Some(LOOK_UP))?;
            let news: Vec<News> = events.iter().filter_map(|event| self.news(event)).collect();
            let mut is_lost = false;
            for one in &news {
                if let News::Lost(key) = one {
                    self.lost.put(*key);
                    is_lost = true;
                }
            }
            if is_lost {
                self.slot.again();
            }
            if news.contains(&News::Look) {
                self.slot.foreign_change();
            }
        }
        Ok(())
    }

    fn news(&mut self, event: &Event) -> Option<News> {
        match event {
            Event::PathGone(path) => Some(News::Lost(key(path))),
            Event::Path(_) | Event::Overflow => Some(News::Look),
            Event::Rule(rule) | Event::RuleGone(rule) => {
                (rule.table == TABLE).then_some(News::Look)
            }
            Event::Link(link) => {
                let Some((index, is_up)) = state(link) else {
                    self.links.remove(&link.index);
                    return None;
                };
                match self.links.insert(index, is_up) {
                    Some(before) => (before != is_up).then_some(News::Look),
                    // A pod's, most likely, that becomes a port in a moment.
                    None => (link.kind != LinkKind::Veth).then_some(News::Look),
                }
            }
            Event::LinkGone(link) => self.links.remove(&link.index).map(|_| News::Look),
            Event::AddressGone(address) => self.links.get(&address.link).map(|_| News::Look),
            Event::Address(_) | Event::Route(_) | Event::RouteGone(_) => None,
        }
    }
}

/// Ports of a bridge are none of ours: those of pods come and go, and no route goes by one.
fn state(link: &Link) -> Option<(u32, bool)> {
    link.master.is_none().then_some((link.index, link.is_up))
}

fn key(path: &PathRoute) -> RouteKey {
    let default = if path.destination.addr().is_ipv4() {
        0
    } else {
        1024
    };
    RouteKey {
        table: path.table,
        destination: path.destination,
        metric: path.metric.unwrap_or(default),
    }
}
