//! Our own restart: the R bit, and who is waited for.

use std::time::Instant;

use super::support::{
    Bench, both_graceful, epoch, fates, graceful, our_config, said, secs, terms, their_config,
};
use crate::bgp::fsm::{Action, Event, Released, Restart, Restarting, Stop};
use crate::bgp::wire::{Capability, Message};
use crate::net::{ByFamily, Family};

const BOTH: ByFamily<bool> = ByFamily { v4: true, v6: true };

fn deferral(peers: &[&'static str]) -> (Instant, Restarting<&'static str>) {
    let now = epoch();
    let preserved = ByFamily {
        v4: true,
        v6: false,
    };
    let peers = peers.iter().map(|peer| (*peer, BOTH));
    (now, Restarting::new(now, secs(360), preserved, peers))
}

const RELEASED: [Released; 2] = [Released(Family::V4), Released(Family::V6)];

#[test]
fn the_r_bit_is_on_until_the_last_helper_has_told_everything() {
    let (_, mut restarting) = deferral(&["a", "b"]);
    let helper = terms(&graceful(), &Restart::NONE);
    let bits = restarting.open_bits();
    assert!(bits.restarting && bits.preserved.v4 && !bits.preserved.v6);
    assert!(restarting.up(&"a", &helper).is_empty());
    assert!(restarting.up(&"b", &helper).is_empty());
    assert!(restarting.end_of_rib(&"a", Family::V4).is_empty());
    assert!(restarting.end_of_rib(&"a", Family::V6).is_empty());
    assert!(!restarting.may_select(Family::V4));
    assert_eq!(restarting.end_of_rib(&"b", Family::V4), RELEASED[..1]);
    assert!(restarting.may_select(Family::V4) && !restarting.may_select(Family::V6));
    assert!(restarting.open_bits().restarting);
    assert_eq!(restarting.end_of_rib(&"b", Family::V6), RELEASED[1..]);
    assert_eq!(restarting.open_bits(), Restart::NONE);
    assert!(restarting.is_over());
    assert_eq!(restarting.poll_timeout(), None);
    assert!(restarting.end_of_rib(&"b", Family::V6).is_empty());
}

#[test]
fn peers_that_know_no_graceful_restart_or_restarted_too_are_not_waited_for() {
    let without = {
        let mut bench = Bench::new(our_config(), their_config());
        let id = bench.open_sent();
        let open = bench.their_open();
        bench.message(id, Message::Open(open));
        bench.peer.terms(id).unwrap().clone()
    };
    let (_, mut restarting) = deferral(&["a", "b"]);
    assert!(restarting.up(&"a", &without).is_empty());
    let too = terms(
        &graceful(),
        &Restart {
            restarting: true,
            preserved: BOTH,
        },
    );
    assert_eq!(restarting.up(&"b", &too), RELEASED);
}

/// FRR's default: the capability without any family.
#[test]
fn a_peer_that_is_only_a_helper_is_waited_for_and_left_without_a_word() {
    let (ours, theirs) = both_graceful(&graceful());
    let mut bench = Bench::new(ours, theirs);
    let id = bench.open_sent();
    let mut open = bench.their_open();
    for capability in &mut open.capabilities {
        if let Capability::GracefulRestart(graceful) = capability {
            graceful.families.clear();
        }
    }
    bench.message(id, Message::Open(open));
    bench.message(id, Message::Keepalive);
    let (_, mut restarting) = deferral(&["helper"]);
    assert!(
        restarting
            .up(&"helper", bench.peer.terms(id).unwrap())
            .is_empty()
    );
    assert_eq!(restarting.end_of_rib(&"helper", Family::V4), RELEASED[..1]);
    let actions = bench.handle(Event::Stop(Stop::Restart));
    assert_eq!(said(&actions), "close down-gracefully");
    assert_eq!(fates(&actions), "v4-drop v6-drop");
}

#[test]
fn a_peer_that_never_comes_holds_the_others_up_to_the_deferral_time() {
    let (now, mut restarting) = deferral(&["a", "never"]);
    let helper = terms(&graceful(), &Restart::NONE);
    assert!(restarting.up(&"a", &helper).is_empty());
    for family in Family::ALL {
        assert!(restarting.end_of_rib(&"a", family).is_empty());
    }
    assert_eq!(restarting.poll_timeout(), Some(now + secs(360)));
    assert!(restarting.handle_timeout(now + secs(359)).is_empty());
    assert_eq!(restarting.handle_timeout(now + secs(360)), RELEASED);
    assert!(restarting.is_over());
}

#[test]
fn a_peer_that_is_taken_out_holds_nobody_up() {
    let (_, mut restarting) = deferral(&["gone"]);
    assert_eq!(restarting.removed(&"gone"), RELEASED);
    let (_, alone) = deferral(&[]);
    assert!(alone.is_over() && alone.may_select(Family::V4));
    assert_eq!(alone.open_bits(), Restart::NONE);
}

#[test]
fn opens_say_what_the_restart_says_at_the_time() {
    let (ours, theirs) = both_graceful(&graceful());
    let mut bench = Bench::new(ours, theirs);
    let r_bit = |actions: &[Action]| match actions {
        [Action::Send(_, Message::Open(open)), ..] => open.graceful_restart().unwrap().restarting,
        other => panic!("{other:?}"),
    };
    bench.peer.set_restart(Restart {
        restarting: true,
        preserved: BOTH,
    });
    let id = bench.connect();
    let actions = bench.handle(Event::Connected(id));
    assert!(r_bit(&actions));
    bench.peer.set_restart(Restart::NONE);
    let (_, actions) = bench.accept();
    assert!(!r_bit(&actions));
}
