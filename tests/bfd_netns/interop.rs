//! The other end is FRR's bfdd or BIRD.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use kube_router::bfd::{Diagnostic, SessionConfig, SessionKey, Transition};

use crate::bird::Bird;
use crate::end::{A4, A6, B4, B6, End, R4, R6, Sessions, ip, key, settle};
use crate::end::{down, timers, until};
use crate::frr::Frr;
use crate::lab::{Lab, Place, in_lab, not_run};

/// 30 x 100 ms, so that a busy host is no failure.
const MULTIPLIER: u8 = 30;
const INTERVAL: u64 = 100;

/// What the other program is told to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    /// Else single-hop, over its link `r0`.
    pub(crate) is_multihop: bool,
    /// Milliseconds, both to send and to receive.
    pub(crate) interval: u64,
    pub(crate) multiplier: u8,
}

/// A program that speaks BFD with A, with one session in each family.
pub(crate) trait Router: Sized {
    const PROGRAMS: &'static [&'static str];
    /// Of its multihop packets, when they arrive behind one router.
    const TTL: u8;

    /// In the namespace that the thread is in.
    fn start(directory: &Path, setup: Setup) -> Self;

    fn set(&mut self, setup: Setup);

    /// Each session by A's address.
    fn shown(&self) -> BTreeMap<IpAddr, Shown>;
}

/// What the other program shows of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) is_up: bool,
    /// Its own diagnostic and ours, where it shows them.
    pub(crate) diagnostics: Option<[Diagnostic; 2]>,
}

// === impl Setup ===

impl Setup {
    /// Its address and A's, in each family.
    pub(crate) fn pairs(self) -> [(&'static str, &'static str); 2] {
        if self.is_multihop {
            [(B4, A4), (B6, A6)]
        } else {
            [(R4, A4), (R6, A6)]
        }
    }

    fn keys(self) -> Vec<SessionKey> {
        self.pairs().map(|(its, ours)| key(its, ours)).to_vec()
    }

    /// Our sessions with it.
    fn sessions<R: Router>(self, milliseconds: u64) -> Sessions {
        let config = SessionConfig {
            timers: timers(milliseconds, self.multiplier),
            ..if self.is_multihop {
                SessionConfig::multihop(R::TTL)
            } else {
                SessionConfig::single_hop()
            }
        };
        let one = |key| (key, config.clone());
        self.keys().into_iter().map(one).collect()
    }

    fn place(self, lab: &Lab) -> &Place {
        if self.is_multihop { &lab.b } else { &lab.r }
    }
}

fn with_router<R: Router>(is_multihop: bool, test: impl FnOnce(&Lab, &mut R, &mut End, Setup)) {
    let is_there = |program: &&&str| Path::new(program).exists();
    if R::PROGRAMS.iter().filter(is_there).count() < R::PROGRAMS.len() {
        return not_run(&format!("not all of {:?} are installed", R::PROGRAMS));
    }
    in_lab(|lab| {
        let setup = Setup {
            is_multihop,
            interval: INTERVAL,
            multiplier: MULTIPLIER,
        };
        let directory = tempfile::tempdir().unwrap();
        setup.place(lab).enter();
        let mut router = R::start(directory.path(), setup);
        let mut end = End::start(&lab.a, &setup.sessions::<R>(INTERVAL));
        end.expect_at_last(&setup.keys(), Transition::Up);
        shows(&router, "Up in both families", |shown| shown.is_up);
        test(lab, &mut router, &mut end, setup);
    });
}

fn shows<R: Router>(router: &R, what: &str, holds: impl Fn(&Shown) -> bool) {
    until(what, || {
        let all = router.shown();
        all.len() == 2 && all.values().all(&holds)
    });
}

/// First A hears nothing any more, then the other one.
fn one_way_loss<R: Router>(lab: &Lab, router: &mut R, end: &mut End, setup: Setup) {
    let (expired, signaled) = (
        Diagnostic::DetectionTimeExpired,
        Diagnostic::NeighborSignaledDown,
    );
    let keys = setup.keys();
    lab.a.go_deaf();
    end.expect_at_last(&keys, down(expired));
    shows(router, "Down as we said", |shown| {
        !shown.is_up
            && shown
                .diagnostics
                .is_none_or(|both| both == [signaled, expired])
    });
    lab.a.hear_again();
    end.expect_at_last(&keys, Transition::Up);
    shows(router, "Up again", |shown| shown.is_up);

    setup.place(lab).go_deaf();
    end.expect_at_last(&keys, down(signaled));
    for key in &keys {
        end.wait(key, "the other end's reason", |status| {
            status
                .remote
                .is_some_and(|remote| remote.diagnostic == expired)
        });
        let (_, diagnostic) = end.status()[key].last_down.unwrap();
        assert_eq!(diagnostic, signaled);
    }
    shows(router, "Down as it found", |shown| {
        // Ours it can't hear.
        !shown.is_up && shown.diagnostics.is_none_or(|both| both[0] == expired)
    });
    setup.place(lab).hear_again();
    end.expect_at_last(&keys, Transition::Up);
}

/// Of ours first, then of the other's; the slower one counts.
fn other_timers<R: Router>(_: &Lab, router: &mut R, end: &mut End, setup: Setup) {
    let keys = setup.keys();
    let ms = Duration::from_millis;
    let multiplier = u32::from(MULTIPLIER);
    settle(end, &keys, ms(100), ms(100) * multiplier);
    assert_eq!(end.told().len(), 0);
    for (ours, its, both) in [
        (400, 100, 400),
        (50, 100, 100),
        (50, 300, 300),
        (50, 50, 50),
    ] {
        end.set(&setup.sessions::<R>(ours));
        router.set(Setup {
            interval: its,
            ..setup
        });
        settle(end, &keys, ms(both), ms(both) * multiplier);
    }
    shows(router, "still Up", |shown| shown.is_up);
    assert!(end.told().is_empty(), "no session went Down");
}

/// An operator of ours is not a failure of the way, and the other one hears of it.
fn admin_down<R: Router>(_: &Lab, router: &mut R, end: &mut End, setup: Setup) {
    end.set(&Sessions::new());
    let ended = [
        Diagnostic::NeighborSignaledDown,
        Diagnostic::AdministrativelyDown,
    ];
    shows(router, "Down by our operator", |shown| {
        !shown.is_up && shown.diagnostics.is_none_or(|both| both == ended)
    });
    end.set(&setup.sessions::<R>(INTERVAL));
    end.expect_at_last(&setup.keys(), Transition::Up);
}

macro_rules! with_each_router {
    ($($module:ident: $router:ty, $is_multihop:literal;)*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn one_way_loss_takes_both_ends_down_for_the_right_reason() {
                with_router::<$router>($is_multihop, one_way_loss);
            }

            #[test]
            fn timers_change_while_the_sessions_are_up() {
                with_router::<$router>($is_multihop, other_timers);
            }

            #[test]
            fn what_is_not_wanted_any_more_is_told() {
                with_router::<$router>($is_multihop, admin_down);
            }
        }
    )*};
}

with_each_router! {
    frr_single_hop: Frr, false;
    frr_multihop: Frr, true;
    bird_single_hop: Bird, false;
    bird_multihop: Bird, true;
}

/// The address as a program writes it.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let known = [A4, A6];
    known
        .map(ip)
        .into_iter()
        .find(|known| text.parse() == Ok(*known))
}
