//! What two OPENs come to.

use super::open::{hold, negotiate};
use super::support::{Bench, both_graceful, long_lived, our_config, said, secs, their_config};
use crate::bgp::fsm::{PeerConfig, Restart};
use crate::bgp::wire::{
    AddPathFamily, AddPathMode, AddressFamily, Capability, Message, MessageLimit,
};
use crate::net::{ByFamily, Family};

#[test]
fn the_smaller_hold_time_counts_and_a_third_of_it_is_the_keepalive() {
    for (ours, theirs, keepalive, expected, interval) in [
        (90, 90, None, 90, Some(30)),
        (90, 9, None, 9, Some(3)),
        (6, 240, None, 6, Some(2)),
        (90, 3, Some(20), 3, Some(1)),
        (90, 90, Some(10), 90, Some(10)),
        (90, 90, Some(60), 90, Some(30)),
        (90, 0, Some(10), 0, None),
        (0, 90, None, 0, None),
    ] {
        let mut config = our_config();
        config.hold_time = hold(ours);
        config.keepalive = keepalive.map(secs);
        let mut other = their_config();
        other.hold_time = hold(theirs);
        let terms = negotiate(config, &other.open(&Restart::NONE)).unwrap();
        let case = format!("{ours} and {theirs}");
        assert_eq!(terms.negotiated.hold_time, hold(expected), "{case}");
        assert_eq!(terms.keepalive, interval.map(secs), "{case}");
        assert_eq!(terms.send_hold.is_some(), expected > 0, "{case}");
    }
}

#[test]
fn the_send_hold_time_is_eight_minutes_or_twice_the_hold_time_or_what_is_wanted() {
    for (hold_time, wanted, expected) in [
        (90, None, 480),
        (300, None, 600),
        (90, Some(200), 200),
        (90, Some(30), 90),
    ] {
        let (mut ours, mut theirs) = (our_config(), their_config());
        (ours.hold_time, theirs.hold_time) = (hold(hold_time), hold(hold_time));
        ours.send_hold = wanted.map(secs);
        let terms = negotiate(ours, &theirs.open(&Restart::NONE)).unwrap();
        assert_eq!(terms.send_hold, Some(secs(expected)));
    }
}

#[test]
fn only_families_of_both_sides_are_exchanged() {
    let families = |v4, v6| ByFamily { v4, v6 };
    for (ours, theirs, expected) in [
        (
            families(true, true),
            families(true, true),
            Some((true, true)),
        ),
        (
            families(true, true),
            families(true, false),
            Some((true, false)),
        ),
        (
            families(false, true),
            families(true, true),
            Some((false, true)),
        ),
        (families(true, false), families(false, true), None),
    ] {
        let (mut config, mut other) = (our_config(), their_config());
        (config.families, other.families) = (ours, theirs);
        let found = negotiate(config, &other.open(&Restart::NONE))
            .ok()
            .map(|terms| {
                let has = |family| terms.negotiated.family(family).is_some();
                (has(Family::V4), has(Family::V6))
            });
        assert_eq!(found, expected, "{ours:?} and {theirs:?}");
    }
}

#[test]
fn limits_and_paths_are_negotiated_by_direction() {
    let (mut ours, mut theirs) = (our_config(), their_config());
    ours.add_path_receive.v4 = true;
    theirs.extended_messages = false;
    let mut open = theirs.open(&Restart::NONE);
    open.capabilities
        .push(Capability::AddPath(vec![AddPathFamily {
            family: AddressFamily::IPV4_UNICAST,
            mode: AddPathMode::Both,
        }]));
    let negotiated = negotiate(ours, &open).unwrap().negotiated;
    assert_eq!(negotiated.receive_limit, MessageLimit::Extended);
    assert_eq!(negotiated.send_limit, MessageLimit::Standard);
    let v4 = negotiated.family(Family::V4).unwrap();
    assert!(v4.add_path_receive && !v4.add_path_send && v4.ipv6_next_hop);
    assert!(!negotiated.family(Family::V6).unwrap().add_path_receive);
    assert!(negotiated.enhanced_refresh);
}

#[test]
fn graceful_restart_is_what_the_peer_said_within_what_we_do() {
    let (mut ours, mut theirs) = both_graceful(&long_lived());
    ours.graceful.as_mut().unwrap().notification = true;
    let their_graceful = theirs.graceful.as_mut().unwrap();
    their_graceful.restart_time = secs(30);
    let limit = &mut ours.graceful.as_mut().unwrap().long_lived;
    limit.as_mut().unwrap().helper_limit = Some(secs(600));
    theirs.families.v6 = false;
    let restart = Restart {
        restarting: true,
        preserved: ByFamily::default(),
    };
    let terms = negotiate(ours.clone(), &theirs.open(&restart)).unwrap();
    let found = terms.graceful.as_ref().unwrap();
    assert!(found.restarting && !found.notification);
    let v4 = terms.graceful_family(Family::V4).unwrap();
    assert_eq!((v4.restart_time, v4.forwarding), (secs(30), false));
    assert_eq!(v4.long_lived.unwrap().stale_time, secs(600));
    assert_eq!(terms.graceful_family(Family::V6), None);

    ours.graceful = None;
    let terms = negotiate(ours, &theirs.open(&restart)).unwrap();
    assert_eq!(terms.graceful, None);
}

#[test]
fn a_family_that_is_long_lived_only_has_no_restart_time() {
    let (ours, theirs) = both_graceful(&long_lived());
    let mut open = theirs.open(&Restart::NONE);
    for capability in &mut open.capabilities {
        if let Capability::GracefulRestart(graceful) = capability {
            graceful.families.clear();
        }
    }
    let terms = negotiate(ours, &open).unwrap();
    let v4 = terms.graceful_family(Family::V4).unwrap();
    assert_eq!(v4.restart_time, secs(0));
    assert_eq!(v4.long_lived.unwrap().stale_time, secs(3600));
}

#[test]
fn route_servers_may_leave_their_as_out() {
    let open = their_config().open(&Restart::NONE);
    let mut config = our_config();
    assert!(
        negotiate(config.clone(), &open)
            .unwrap()
            .negotiated
            .enforce_first_as
    );
    config.enforce_first_as = false;
    assert!(
        !negotiate(config, &open)
            .unwrap()
            .negotiated
            .enforce_first_as
    );
}

#[test]
fn refreshes_pass_only_as_negotiated() {
    use crate::bgp::wire::{RefreshSubtype, RouteRefresh, Safi};
    let pass = |theirs: &PeerConfig, without: Option<&Capability>, subtype, family| {
        let mut bench = Bench::new(our_config(), theirs.clone());
        let id = bench.open_sent();
        let mut open = bench.their_open();
        open.capabilities.retain(|it| Some(it) != without);
        bench.message(id, Message::Open(open));
        bench.message(id, Message::Keepalive);
        let refresh = RouteRefresh { family, subtype };
        said(&bench.message(id, Message::RouteRefresh(refresh)))
    };
    let both = their_config();
    let mut only_v4 = both.clone();
    only_v4.families.v6 = false;
    let [v4, v6] = Family::ALL.map(AddressFamily::from);
    let multicast = AddressFamily {
        safi: Safi::MULTICAST,
        ..v4
    };
    use RefreshSubtype::{Begin, End, Request, Unknown};
    let plain = Some(&Capability::RouteRefresh);
    let enhanced = Some(&Capability::EnhancedRouteRefresh);
    for (theirs, without, subtype, family, expected) in [
        (&both, None, Request, v4, "refresh"),
        (&both, None, Begin, v6, "refresh"),
        (&both, None, End, v6, "refresh"),
        (&both, None, Unknown(7), v4, ""),
        (&both, None, Request, multicast, ""),
        (&only_v4, None, Request, v6, ""),
        (&both, plain, Request, v4, ""),
        (&both, enhanced, Begin, v4, ""),
        (&both, enhanced, Request, v4, "refresh"),
    ] {
        let found = pass(theirs, without, subtype, family);
        assert_eq!(
            found, expected,
            "{subtype:?} for {family} without {without:?}"
        );
    }
}
