//! Both ends are ours.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use kube_router::bfd::io::Event;
use kube_router::bfd::{
    ControlPacket, Diagnostic, Error, Refusal, SessionConfig, SessionKey, State, Transition,
};
use socket2::SockRef;

use crate::end::{
    A4, A6, B4, B6, CALM, End, QUICK, R4, R6, Sessions, down, ip, key, multihop, settle,
    single_hop, timers,
};
use crate::lab::{Lab, Place, in_lab};

/// A's sessions, those of the other place, and A's with the other place's keys.
struct Case {
    name: &'static str,
    config: SessionConfig,
    ours: Vec<SessionKey>,
    theirs: Vec<SessionKey>,
}

fn cases(timers: (u64, u8)) -> [Case; 2] {
    let single = Case {
        name: "single-hop",
        config: single_hop(timers),
        ours: vec![key(R4, A4), key(R6, A6)],
        theirs: vec![key(A4, R4), key(A6, R6)],
    };
    let multi = Case {
        name: "multihop",
        config: multihop(timers),
        ours: vec![key(B4, A4), key(B6, A6)],
        theirs: vec![key(A4, B4), key(A6, B6)],
    };
    [single, multi]
}

fn sessions(keys: &[SessionKey], config: &SessionConfig) -> Sessions {
    let one = |key: &SessionKey| (key.clone(), config.clone());
    keys.iter().map(one).collect()
}

fn other<'a>(lab: &'a Lab, case: &Case) -> &'a Place {
    match case.name {
        "single-hop" => &lab.r,
        _ => &lab.b,
    }
}

/// Both ends, Up.
fn up(lab: &Lab, case: &Case) -> [End; 2] {
    let mut ours = End::start(&lab.a, &sessions(&case.ours, &case.config));
    let mut theirs = End::start(other(lab, case), &sessions(&case.theirs, &case.config));
    ours.expect_at_last(&case.ours, Transition::Up);
    theirs.expect_at_last(&case.theirs, Transition::Up);
    [ours, theirs]
}

#[test]
fn sessions_of_both_families_come_up_and_tell_when_one_way_is_lost() {
    in_lab(|lab| {
        for case in cases(QUICK) {
            let [mut ours, mut theirs] = up(lab, &case);
            let (interval, detection) = (Duration::from_millis(100), Duration::from_millis(300));
            settle(&ours, &case.ours, interval, detection);
            settle(&theirs, &case.theirs, interval, detection);
            lab.a.go_deaf();
            let cut = Instant::now();
            ours.expect_at_last(&case.ours, down(Diagnostic::DetectionTimeExpired));
            let found = Instant::now();
            theirs.expect_at_last(&case.theirs, down(Diagnostic::NeighborSignaledDown));
            println!(
                "{}: Down in both families {} ms after the last packet could pass, \
                 at the other end {} ms after that",
                case.name,
                found.duration_since(cut).as_millis(),
                found.elapsed().as_millis()
            );
            for status in ours.status().values() {
                let (_, diagnostic) = status.last_down.unwrap();
                assert_eq!(diagnostic, Diagnostic::DetectionTimeExpired);
            }
            lab.a.hear_again();
            ours.expect_at_last(&case.ours, Transition::Up);
            theirs.expect_at_last(&case.theirs, Transition::Up);
        }
    });
}

#[test]
fn single_hop_and_multihop_live_side_by_side() {
    in_lab(|lab| {
        let [single, multi] = cases(CALM);
        let mut wanted = sessions(&single.ours, &single.config);
        wanted.extend(sessions(&multi.ours, &multi.config));
        let keys: Vec<_> = wanted.keys().cloned().collect();
        let mut ours = End::start(&lab.a, &wanted);
        let r = End::start(&lab.r, &sessions(&single.theirs, &single.config));
        let b = End::start(&lab.b, &sessions(&multi.theirs, &multi.config));
        ours.expect(&keys, Transition::Up);
        let status = ours.status();
        for (mine, (end, its)) in single
            .ours
            .iter()
            .zip(single.theirs.iter().map(|key| (&r, key)))
            .chain(
                multi
                    .ours
                    .iter()
                    .zip(multi.theirs.iter().map(|key| (&b, key))),
            )
        {
            end.wait(its, "Up", |status| status.state == State::Up);
            let its = &end.status()[its];
            let remote = its.remote.unwrap();
            assert_eq!(remote.my_discriminator, status[mine].discriminator);
            assert_eq!(remote.your_discriminator, Some(its.discriminator));
        }
    });
}

#[test]
fn link_local_addresses_are_told_apart_by_their_interface() {
    in_lab(|lab| {
        let index = |place: &Place, link: &str| {
            let name = std::ffi::CString::new(link).unwrap();
            // SAFETY: a string that ends with 0.
            place.within(|| unsafe { libc::if_nametoindex(name.as_ptr()) })
        };
        let end = |remote: &str, local: &str, interface: u32| SessionKey {
            interface: Some(interface),
            ..key(remote, local)
        };
        let ours = end("fe80::2", "fe80::1", index(&lab.a, "a0"));
        let theirs = end("fe80::1", "fe80::2", index(&lab.r, "r0"));
        let wanted = |key: &SessionKey| sessions(std::slice::from_ref(key), &single_hop(CALM));
        let mut a = End::start(&lab.a, &wanted(&ours));
        let mut r = End::start(&lab.r, &wanted(&theirs));
        a.expect(&[ours], Transition::Up);
        r.expect(&[theirs], Transition::Up);
    });
}

#[test]
fn an_end_without_a_local_address_sends_from_where_the_routes_say() {
    in_lab(|lab| {
        let anywhere = |remote: &str| SessionKey {
            local: None,
            ..key(remote, remote)
        };
        let ours = [anywhere(R4), anywhere(R6), anywhere(B4), anywhere(B6)];
        let configs = [
            single_hop(CALM),
            single_hop(CALM),
            multihop(CALM),
            multihop(CALM),
        ];
        let wanted = ours.iter().cloned().zip(configs).collect();
        let [single, multi] = cases(CALM);
        let mut a = End::start(&lab.a, &wanted);
        let _r = End::start(&lab.r, &sessions(&single.theirs, &single.config));
        let _b = End::start(&lab.b, &sessions(&multi.theirs, &multi.config));
        a.expect(&ours, Transition::Up);
    });
}

#[test]
fn a_packet_from_behind_a_router_does_not_count_for_a_single_hop() {
    in_lab(|lab| {
        for (mine, place, ttl) in [
            (key(R4, A4), &lab.r, 254),
            (key(R6, A6), &lab.r, 254),
            // Really routed, and one less than at its start.
            (key(B4, A4), &lab.b, 255),
            (key(B6, A6), &lab.b, 255),
        ] {
            let end = End::start(
                &lab.a,
                &sessions(std::slice::from_ref(&mine), &single_hop(CALM)),
            );
            let (remote, local) = (mine.remote, mine.local.unwrap());
            let socket = place.within(|| UdpSocket::bind((remote, 49999))).unwrap();
            socket.connect((local, 3784)).unwrap();
            let send = |ttl: u32| {
                let socket2 = SockRef::from(&socket);
                match local.is_ipv4() {
                    true => socket2.set_ttl_v4(ttl).unwrap(),
                    false => socket2.set_unicast_hops_v6(ttl).unwrap(),
                }
                // A's thread may not listen yet.
                let _refused = socket.send(&first_packet());
            };
            end.wait(&mine, "refused", |status| {
                send(ttl);
                status.last_refusal
                    == Some(Refusal::Ttl {
                        ttl: 254,
                        least: 255,
                    })
            });
            assert_eq!(end.status()[&mine].state, State::Down);
            if std::ptr::eq(place, &raw const lab.r) {
                end.wait(&mine, "Init", |status| {
                    send(255);
                    status.state == State::Init
                });
            }
        }
    });
}

fn first_packet() -> [u8; 24] {
    let packet = ControlPacket {
        diagnostic: Diagnostic::None,
        state: State::Down,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        detect_multiplier: NonZeroU8::MAX,
        my_discriminator: 7.try_into().unwrap(),
        your_discriminator: None,
        desired_min_tx: 1_000_000,
        required_min_rx: 1_000_000,
        required_min_echo_rx: 0,
    };
    packet.encode()
}

#[test]
fn timers_change_while_the_sessions_are_up() {
    in_lab(|lab| {
        for case in cases(CALM) {
            let [mut ours, mut theirs] = up(lab, &case);
            for milliseconds in [400, 50] {
                let config = SessionConfig {
                    timers: timers(milliseconds, CALM.1),
                    ..case.config.clone()
                };
                ours.set(&sessions(&case.ours, &config));
                // The slower end counts.
                let slower = Duration::from_millis(milliseconds.max(100));
                let detection = slower * CALM.1.into();
                settle(&ours, &case.ours, slower, detection);
                settle(&theirs, &case.theirs, slower, detection);
            }
            assert!(ours.told().is_empty() && theirs.told().is_empty());
        }
    });
}

#[test]
fn a_port_that_somebody_has_is_told_once_and_harms_no_other() {
    in_lab(|lab| {
        for (family, any, remote, local) in [
            (kube_router::net::Family::V4, "0.0.0.0", R4, A4),
            (kube_router::net::Family::V6, "::", R6, A6),
        ] {
            let taken = lab.a.within(|| UdpSocket::bind((ip(any), 3784))).unwrap();
            let (one, two) = (
                key(remote, local),
                SessionKey {
                    local: None,
                    ..key(remote, local)
                },
            );
            let elsewhere = SessionConfig {
                port: 13784,
                ..single_hop(CALM)
            };
            let wanted: Sessions = [
                (one.clone(), single_hop(CALM)),
                (two.clone(), elsewhere.clone()),
            ]
            .into();
            let theirs = [
                (key(local, remote), single_hop(CALM)),
                (
                    SessionKey {
                        local: None,
                        ..key(local, remote)
                    },
                    elsewhere,
                ),
            ];
            let _r = End::start(&lab.r, &theirs.into());
            let mut a = End::start(&lab.a, &wanted);
            let Event::Failed(Error::Listen {
                family: of,
                port,
                source,
            }) = a.next()
            else {
                panic!("no error");
            };
            assert_eq!((of, port), (family, 3784));
            assert_eq!(source.kind(), std::io::ErrorKind::AddrInUse);
            a.expect(&[two], Transition::Up);
            assert!(a.told().is_empty(), "told once");
            drop(taken);
            a.expect(&[one], Transition::Up);
            a.stop();
        }
    });
}

#[test]
fn an_address_that_is_missing_is_told_once_and_waited_for() {
    in_lab(|lab| {
        for (late, remote) in [("192.0.2.9", R4), ("2001:db8:1::9", R6)] {
            let ours = key(remote, late);
            let other = key(R4, A4);
            let wanted = [ours.clone(), other.clone()];
            let theirs = [key(late, remote), key(A4, R4)];
            let r = End::start(&lab.r, &sessions(&theirs, &single_hop(CALM)));
            let mut a = End::start(&lab.a, &sessions(&wanted, &single_hop(CALM)));
            let Event::Failed(Error::Send { key, source }) = a.next() else {
                panic!("no error");
            };
            assert_eq!(key, ours);
            assert_eq!(source.kind(), std::io::ErrorKind::AddrNotAvailable);
            a.expect(&[other], Transition::Up);
            let length = if ours.remote.is_ipv4() { 28 } else { 64 };
            lab.a.ip(&format!("address add {late}/{length} dev a0\n"));
            a.expect(&[ours], Transition::Up);
            a.stop();
            r.stop();
        }
    });
}

#[test]
fn sessions_that_are_not_wanted_end_and_free_their_port() {
    in_lab(|lab| {
        let [case, _] = cases(CALM);
        let [mut ours, mut theirs] = up(lab, &case);
        let (kept, gone) = (&case.ours[..1], &case.ours[1..]);
        ours.set(&sessions(kept, &case.config));
        theirs.expect(&case.theirs[1..], Transition::AdminDown);
        assert!(!ours.status().contains_key(&gone[0]));
        assert!(ours.is_up(kept) && ours.told().is_empty());
        // Nobody listens for the other family.
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 3784));
        let free = lab.a.within(|| {
            let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None)?;
            socket.set_only_v6(true)?;
            socket.bind(&any.into())
        });
        free.unwrap();
        ours.stop();
        theirs.expect(&case.theirs[..1], Transition::AdminDown);
    });
}

#[test]
fn the_end_of_the_last_handle_ends_the_sessions() {
    in_lab(|lab| {
        let [case, _] = cases(CALM);
        let [ours, mut theirs] = up(lab, &case);
        drop(ours);
        theirs.expect(&case.theirs, Transition::AdminDown);
    });
}
