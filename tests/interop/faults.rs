//! What goes wrong between two routers, and what each says of it.

use std::sync::Arc;
use std::time::Duration;

use kube_router::bgp::fsm::{Failure, MaxPrefixes, Reason, State};
use kube_router::bgp::speaker::{Input, PeerDesired, Ttl};
use kube_router::bgp::wire::{CeaseSubcode, ErrorCode};
use kube_router::net::{ByFamily, Family};

use crate::ours::{self, Ours};
use crate::router::{Distance, Router, Setup, Side};
use crate::session::{established, is_told};
use crate::stage::{Stage, until};

impl Ours {
    /// Other settings for the one peer.
    fn change_peer(&mut self, change: impl Fn(&mut PeerDesired)) {
        self.change(|desired| {
            for peer in desired.peers.values_mut() {
                let mut changed = (**peer).clone();
                change(&mut changed);
                *peer = Arc::new(changed);
            }
        });
    }

    fn failure(&self) -> Option<Failure> {
        self.status().last_failure.map(|failure| failure.what)
    }

    fn down(&self) -> Option<Reason> {
        self.status().last_down.map(|down| down.what)
    }
}

/// Packets of BGP that come into their namespace, or leave it, are dropped.
fn cut(stage: &Stage, hook: &str) {
    let rule = |port| format!("tcp {port} 179 drop");
    stage.in_theirs(|| {
        stage.nft(&format!(
            "table inet cut {{ chain bgp {{ type filter hook {hook} priority 0; {}; {}; }}; }}",
            rule("dport"),
            rule("sport"),
        ));
    });
}

fn mend(stage: &Stage) {
    stage.in_theirs(|| stage.nft("delete table inet cut"));
}

/// The hold time passes without a word, on either side.
pub(crate) fn silence<R: Router>(stage: &Stage) {
    let setup = Setup {
        hold_time: 3,
        ..Setup::new()
    };
    let (router, ours) = established::<R>(stage, &setup);
    is_told(&router, &ours, &setup);
    for (hook, lost) in [("input", 1), ("output", 2)] {
        cut(stage, hook);
        until("the session is lost", || {
            (ours.status().counters.lost >= lost).then_some(())
        });
        let reason = ours.down().expect("it was up");
        // Who can't be heard hears nothing new either, for want of acknowledgements.
        let (Reason::Sent(said) | Reason::Received(said)) = &reason else {
            panic!("{hook}: {reason}");
        };
        assert_eq!(said.error(), ErrorCode::HoldTimerExpired, "{hook}");
        assert!(ours.learned().is_empty(), "their routes are gone");
        mend(stage);
        is_told(&router, &ours, &setup);
    }
}

/// Neither side hears anything; no answer is what we can say.
pub(crate) fn another_password<R: Router>(stage: &Stage) {
    let setup = Setup {
        password: Some("one"),
        ..Setup::new()
    };
    let router = R::start(stage, &setup);
    for wrong in [Some("other"), None] {
        let mistaken = Setup {
            password: wrong,
            ..setup.clone()
        };
        let mut ours = Ours::start(&setup, ours::desired(&mistaken), None);
        until("we say so", || {
            (ours.failure() == Some(Failure::NoAnswer)).then_some(())
        });
        assert!(!router.is_up() && ours.status().counters.received.opens == 0);
        ours.change_peer(|peer| peer.transport.password = Some(Arc::from(&b"one"[..])));
        is_told(&router, &ours, &setup);
    }
}

/// Whoever is first says which AS is wrong.
pub(crate) fn another_as<R: Router>(stage: &Stage) {
    let real = Setup {
        their_as: 65_003,
        ..Setup::new()
    };
    let router = R::start(stage, &real);
    let ours = Ours::start(&real, ours::desired(&Setup::new()), None);
    until("we say what is wrong", || {
        let failure = ours.failure()?.to_string();
        failure
            .contains("its AS is 65003 instead of 65002")
            .then_some(())
    });
    drop((ours, router));
    let real = Setup {
        our_as: 65_009,
        ..Setup::new()
    };
    let router = R::start(stage, &Setup::new());
    let ours = Ours::start(&real, ours::desired(&real), None);
    until("they say what is wrong", || {
        let failure = ours.failure()?.to_string();
        failure.contains("bad peer AS").then_some(())
    });
    assert!(!router.is_up());
}

/// We and they end the session with words for the other operator.
pub(crate) fn last_words<R: Router>(stage: &Stage) {
    let setup = Setup::new();
    let (router, mut ours) = established::<R>(stage, &setup);
    let text = "back at nine";
    ours.change_peer(|peer| peer.shutdown = Some(text.to_owned()));
    until("they show our words", || {
        router.tells().contains(text).then_some(())
    });
    ours.change_peer(|peer| peer.shutdown = None);
    is_told(&router, &ours, &setup);
    let text = "gone for lunch";
    router.shut_down(text);
    until("we show theirs", || {
        let said = ours.status().last_received?.what;
        said.to_string().contains(text).then_some(())
    });
}

/// Too many prefixes, first for us, then for them.
pub(crate) fn too_many_prefixes<R: Router>(stage: &Stage) {
    let setup = Setup::new();
    let reached = ErrorCode::Cease(Some(CeaseSubcode::MaximumPrefixesReached));
    let router = R::start(stage, &setup);
    let mut desired = ours::desired(&setup);
    for peer in desired.peers.values_mut() {
        let mut limited = (**peer).clone();
        limited.session.max_prefixes.v4 = Some(MaxPrefixes {
            limit: 1,
            warn_at: None,
            restart: None,
        });
        *peer = Arc::new(limited);
    }
    let mut ours = Ours::start(&setup, desired, None);
    until("it is too many for us", || {
        let down = ours.down()?;
        assert!(
            matches!(&down, Reason::Sent(said) if said.error() == reached),
            "{down}"
        );
        Some(())
    });
    assert_eq!(
        ours.status().state,
        State::Idle,
        "until somebody wants it again"
    );
    ours.change_peer(|peer| peer.session.max_prefixes = ByFamily::default());
    let peer = setup.their_address();
    ours.handle().input(Input::Start { peer });
    is_told(&router, &ours, &setup);
    drop((ours, router));
    let setup = Setup {
        max_prefixes: Some(1),
        ..setup
    };
    let _router = R::start(stage, &setup);
    let mut desired = ours::desired(&setup);
    let plain = desired.originate[&setup.plain(Side::Ours, Family::V4)].clone();
    // FRR counts one too few.
    let one_more = "10.100.2.0/24".parse().expect("a prefix");
    desired.originate.insert(one_more, plain);
    let ours = Ours::start(&setup, desired, None);
    until("it is too many for them", || {
        let down = ours.down()?;
        assert!(
            matches!(&down, Reason::Received(said) if said.error() == reached),
            "{down}"
        );
        Some(())
    });
}

/// Both sides want neighbours (RFC 5082): what has come over a hop is not heard, unless one hop is
/// allowed.
pub(crate) fn ttl_security<R: Router>(stage: &Stage) {
    let setup = Setup {
        distance: Distance::Security(1),
        ..Setup::new()
    };
    let (router, ours) = established::<R>(stage, &setup);
    is_told(&router, &ours, &setup);
    drop(ours);
    until("they have noticed", || (!router.is_up()).then_some(()));
    // As a router on the way would leave them.
    stage.in_theirs(|| {
        stage.nft(
            "table ip cut { chain bgp { type filter hook output priority 0; \
             tcp dport 179 ip ttl set 254; tcp sport 179 ip ttl set 254; }; }",
        );
    });
    let mut ours = Ours::start(&setup, ours::desired(&setup), None);
    until("we don't hear them", || {
        (stage.ttl_drops() > 5).then_some(())
    });
    assert_eq!(ours.status().counters.received.opens, 0);
    assert_eq!(ours.status().counters.established, 0);
    ours.change_peer(|peer| peer.transport.ttl = Ttl::Security { hops: 2 });
    is_told(&router, &ours, &setup);
    stage.in_theirs(|| stage.nft("delete table ip cut"));
}

/// Both dial at the same moment, whoever has the higher identifier: one session, never lost.
pub(crate) fn collision<R: Router>(stage: &Stage) {
    let setup = Setup {
        families: ByFamily { v4: true, v6: true },
        ..Setup::new()
    };
    for last in [1, 9] {
        cut(stage, "input");
        let router = R::start(stage, &setup);
        let mut desired = ours::desired(&setup);
        let id = [10, 77, 0, last].into();
        desired.speaker.router_id = id;
        for peer in desired.peers.values_mut() {
            let mut changed = (**peer).clone();
            changed.session.router_id = id;
            // The attempts of both sides last until they can succeed.
            changed.session.connect_retry.limit = Duration::from_secs(120);
            *peer = Arc::new(changed);
        }
        let ours = Ours::start(&setup, desired, None);
        until("both dial", || {
            stage.in_theirs(|| stage.has_dialed()).then_some(())
        });
        mend(stage);
        is_told(&router, &ours, &setup);
        let counters = ours.status().counters;
        assert_eq!(
            (counters.established, counters.lost),
            (1, 0),
            "{counters:?}"
        );
        assert_eq!(ours.learned().len(), 2 * Family::ALL.len());
    }
}
