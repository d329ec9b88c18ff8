//! Our own end of some sessions.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use kube_router::bfd::io::{Event, Handle, spawn};
use kube_router::bfd::{Diagnostic, SessionConfig, SessionKey, State, Status, Timers, Transition};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};

use crate::lab::Place;

/// After which a condition is held to be never fulfilled.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at something that can only be asked.
const LOOK: Duration = Duration::from_millis(10);

pub(crate) const A4: &str = "192.0.2.1";
pub(crate) const A6: &str = "2001:db8:1::1";
pub(crate) const R4: &str = "192.0.2.2";
pub(crate) const R6: &str = "2001:db8:1::2";
pub(crate) const B4: &str = "192.0.2.17";
pub(crate) const B6: &str = "2001:db8:2::1";

#[derive(Debug)]
pub(crate) struct End {
    runtime: Runtime,
    handle: Handle,
    events: Receiver<Event>,
}

pub(crate) type Sessions = BTreeMap<SessionKey, SessionConfig>;

pub(crate) fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

pub(crate) fn key(remote: &str, local: &str) -> SessionKey {
    SessionKey {
        remote: ip(remote),
        local: Some(ip(local)),
        interface: None,
    }
}

pub(crate) fn timers(milliseconds: u64, multiplier: u8) -> Timers {
    Timers {
        desired_min_tx: Duration::from_millis(milliseconds),
        required_min_rx: Duration::from_millis(milliseconds),
        multiplier: NonZeroU8::new(multiplier).unwrap(),
    }
}

/// So patient that a busy host is no failure.
pub(crate) const CALM: (u64, u8) = (100, 50);
/// What is promised: 3 x 100 ms.
pub(crate) const QUICK: (u64, u8) = (100, 3);

pub(crate) fn single_hop((milliseconds, multiplier): (u64, u8)) -> SessionConfig {
    SessionConfig {
        timers: timers(milliseconds, multiplier),
        ..SessionConfig::single_hop()
    }
}

/// Behind one router.
pub(crate) fn multihop((milliseconds, multiplier): (u64, u8)) -> SessionConfig {
    SessionConfig {
        timers: timers(milliseconds, multiplier),
        ..SessionConfig::multihop(254)
    }
}

pub(crate) fn down(diagnostic: Diagnostic) -> Transition {
    Transition::Down {
        diagnostic,
        control_plane_independent: false,
    }
}

// === impl End ===

impl End {
    pub(crate) fn start(place: &Place, wanted: &Sessions) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (handle, events) = place.within(|| spawn(0x5eed)).unwrap();
        handle.set_desired(wanted.clone());
        Self {
            runtime,
            handle,
            events,
        }
    }

    pub(crate) fn set(&self, wanted: &Sessions) {
        self.handle.set_desired(wanted.clone());
    }

    pub(crate) fn next(&mut self) -> Event {
        let next = async { timeout(PATIENCE, self.events.recv()).await };
        let next = self.runtime.block_on(next);
        next.expect("an event in time").expect("the thread lives")
    }

    /// What has been told already.
    pub(crate) fn told(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// Each of these sessions tells this next.
    pub(crate) fn expect(&mut self, keys: &[SessionKey], wanted: Transition) {
        let mut left: Vec<_> = keys.to_vec();
        while !left.is_empty() {
            match self.next() {
                Event::Changed { key, to } => {
                    assert_eq!(to, wanted, "{key:?}");
                    assert!(left.contains(&key), "{key:?} told it twice");
                    left.retain(|one| *one != key);
                }
                Event::Failed(error) => panic!("{error}"),
            }
        }
    }

    /// Each of these sessions tells this sooner or later: a busy host may have taken one for lost
    /// before.
    pub(crate) fn expect_at_last(&mut self, keys: &[SessionKey], wanted: Transition) {
        let mut left: Vec<_> = keys.to_vec();
        while !left.is_empty() {
            match self.next() {
                Event::Changed { key, to } if to == wanted => left.retain(|one| *one != key),
                Event::Changed { .. } => {}
                Event::Failed(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn status(&self) -> BTreeMap<SessionKey, Status> {
        self.runtime.block_on(self.handle.status()).unwrap()
    }

    /// Waits until a session is so.
    pub(crate) fn wait(&self, key: &SessionKey, what: &str, holds: impl Fn(&Status) -> bool) {
        let wait = async {
            loop {
                let all = self.handle.status().await.unwrap();
                if holds(&all[key]) {
                    return;
                }
                sleep(LOOK).await;
            }
        };
        if self
            .runtime
            .block_on(async { timeout(PATIENCE, wait).await })
            .is_err()
        {
            panic!("{what} is not so: {:?}", self.status()[key]);
        }
    }

    pub(crate) fn is_up(&self, keys: &[SessionKey]) -> bool {
        let status = self.status();
        keys.iter().all(|key| status[key].state == State::Up)
    }

    pub(crate) fn stop(self) {
        self.runtime.block_on(self.handle.stop());
    }
}

/// Waits until the timers are in use.
pub(crate) fn settle(end: &End, keys: &[SessionKey], interval: Duration, detection: Duration) {
    for key in keys {
        end.wait(key, "in use", |status| {
            !status.is_polling
                && status.transmit_interval == interval
                && status.detection_time == Some(detection)
        });
    }
}

/// Waits until it is so.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let wait = async {
        while !holds() {
            sleep(LOOK).await;
        }
    };
    let waited = runtime.block_on(async { timeout(PATIENCE, wait).await });
    assert!(waited.is_ok(), "{what} is not so");
}
