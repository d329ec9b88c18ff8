//! Our speaker, to be used from a test that does not await.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube_router::bgp::fsm::{GracefulConfig, PeerAs, PeerConfig, State};
use kube_router::bgp::rib::{RouteKind, Speaker};
use kube_router::bgp::speaker::io::{Handle, Notes, Options, spawn};
use kube_router::bgp::speaker::{
    Desired, NeighborStatus, Note, Originated, PeerDesired, PeerKey, Restarted, SpeakerCore, Ttl,
};
use kube_router::bgp::wire::{AsPath, Attributes, ExtendedCommunity, HoldTime, NextHop};
use kube_router::net::{ByFamily, Family, Prefix};
use tokio::runtime::Runtime;

use crate::router::{Distance, FAR_AS, LOCAL_PREF, MED, Setup, Side, TAG};
use crate::shown::Shown;
use crate::stage::{OUR_V4, OUR_V6};

const PORT: u16 = 179;

/// Runs until dropped; then its connections end without a word, as if its process had died.
#[derive(Debug)]
pub(crate) struct Ours {
    pub(crate) desired: Desired,
    peer: PeerKey,
    handle: Handle,
    notes: Notes,
    runtime: Runtime,
}

/// Which prefixes there was once no way to.
#[derive(Debug)]
pub(crate) struct Watch(Arc<Mutex<Vec<Prefix>>>);

/// What we want towards a router of this setup.
pub(crate) fn desired(setup: &Setup) -> Desired {
    let mut desired = Desired::new(Speaker {
        asn: setup.our_as,
        confederation: None,
        router_id: OUR_V4,
        cluster_id: None,
        addresses: BTreeSet::from([OUR_V4.into(), OUR_V6.into()]),
    });
    desired
        .peers
        .insert(setup.their_address(), Arc::new(peer(setup)));
    for family in setup.families() {
        let next_hop = NextHop::from(setup.next_hop(Side::Ours, family));
        let originated = |attributes| Originated {
            kind: RouteKind::PodCidr,
            next_hop,
            attributes,
        };
        let plain = setup.plain(Side::Ours, family);
        desired
            .originate
            .insert(plain, originated(Attributes::default()));
        if !setup.has_rich {
            continue;
        }
        let shown = &setup.routes(Side::Ours)[&setup.rich(Side::Ours, family)];
        let attributes = Attributes {
            origin: shown.origin,
            as_path: AsPath::sequence(&[FAR_AS]),
            multi_exit_disc: Some(MED),
            local_pref: Some(LOCAL_PREF),
            communities: shown.communities.iter().copied().collect(),
            large_communities: shown.large.iter().copied().collect(),
            extended_communities: vec![route_target(TAG, 9)],
            ..Attributes::default()
        };
        desired
            .originate
            .insert(setup.rich(Side::Ours, family), originated(attributes));
    }
    desired
}

fn peer(setup: &Setup) -> PeerDesired {
    let mut session = PeerConfig::new(setup.our_as, OUR_V4, PeerAs::Exactly(setup.their_as));
    session.families = setup.families;
    session.hold_time = HoldTime::from_secs(setup.hold_time).expect("none, or three at least");
    session.connect_retry.limit = Duration::from_secs(5);
    session.graceful = setup.restart_time.map(|time| GracefulConfig {
        restart_time: Duration::from_secs(time.into()),
        stale_time: Duration::from_secs(60),
        notification: setup.over_notifications,
        long_lived: None,
    });
    let mut peer = PeerDesired::new(session);
    peer.transport.ttl = match setup.distance {
        Distance::Link if setup.is_internal() => Ttl::Default,
        Distance::Link => Ttl::Send(1),
        Distance::Security(hops) => Ttl::Security { hops },
    };
    peer.transport.local_address = Some(setup.our_address());
    peer.transport.password = setup.password.map(|text| Arc::from(text.as_bytes()));
    let own = |family| Some(NextHop::from(setup.next_hop(Side::Ours, family)));
    peer.own_next_hop = ByFamily {
        v4: own(Family::V4),
        v6: own(Family::V6),
    };
    peer
}

fn route_target(asn: u16, value: u32) -> ExtendedCommunity {
    let ([a, b], [c, d, e, f]) = (asn.to_be_bytes(), value.to_be_bytes());
    ExtendedCommunity([0, 2, a, b, c, d, e, f])
}

// === impl Ours ===

impl Ours {
    /// On the current namespace's port 179.
    pub(crate) fn start(setup: &Setup, desired: Desired, restarted: Option<Restarted>) -> Self {
        // Its threads are of the namespace of this one.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads");
        let options = Options {
            listen: vec![
                SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT),
                SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), PORT),
            ],
            seed: 77,
            restarted,
        };
        let (handle, notes) = {
            let _inside = runtime.enter();
            spawn(&options).expect("a free port")
        };
        handle.set_desired(desired.clone());
        Self {
            desired,
            peer: setup.their_address(),
            handle,
            notes,
            runtime,
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Wants something else from now on.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Desired)) {
        change(&mut self.desired);
        self.handle.set_desired(self.desired.clone());
    }

    pub(crate) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut SpeakerCore) -> T + Send + 'static,
    ) -> T {
        let answer = self.runtime.block_on(self.handle.ask(question));
        answer.expect("the speaker lives")
    }

    pub(crate) fn status(&self) -> NeighborStatus {
        let peer = self.peer;
        let status = self.ask(move |core| core.neighbor_status(peer));
        status.expect("a peer of ours")
    }

    pub(crate) fn is_up(&self) -> bool {
        self.status().state == State::Established
    }

    /// What the peer has told us.
    pub(crate) fn learned(&self) -> BTreeMap<Prefix, Shown> {
        let peer = self.peer;
        self.ask(move |core| {
            let all = Family::ALL.into_iter();
            let entries = all.flat_map(|family| core.rib_in(peer, family));
            entries
                .map(|entry| (entry.prefix, Shown::ours(entry.path.route())))
                .collect()
        })
    }

    /// How many of the peer's routes wait for being told again.
    pub(crate) fn stale(&self) -> usize {
        let received = self.status().received;
        received.v4.stale + received.v6.stale
    }

    /// What there is a way to.
    pub(crate) fn best(&self) -> BTreeSet<Prefix> {
        self.ask(|core| {
            core.best_paths()
                .iter()
                .map(|(prefix, _)| *prefix)
                .collect()
        })
    }

    /// Notes from now on whenever there is no way to one of the prefixes.
    pub(crate) fn watch(&self, prefixes: BTreeSet<Prefix>) -> Watch {
        let mut best = self.handle.best_paths();
        let missed = Arc::new(Mutex::new(Vec::new()));
        let watch = Watch(Arc::clone(&missed));
        self.runtime.spawn(async move {
            while best.changed().await.is_ok() {
                let best = best.borrow_and_update().clone();
                let lacks = |prefix: &&Prefix| best.get(prefix).is_none();
                let lacking = prefixes.iter().filter(lacks).copied();
                missed.lock().expect("whole").extend(lacking);
            }
        });
        watch
    }

    /// Until what we have said last is written.
    pub(crate) fn drain(&self) {
        self.runtime.block_on(self.handle.drained());
    }

    /// What there was to be logged since the last time.
    pub(crate) fn notes(&mut self) -> Vec<(IpAddr, Note)> {
        std::iter::from_fn(|| self.notes.try_recv().ok()).collect()
    }
}

// === impl Watch ===

impl Watch {
    pub(crate) fn missed(&self) -> Vec<Prefix> {
        self.0.lock().expect("whole").clone()
    }
}
