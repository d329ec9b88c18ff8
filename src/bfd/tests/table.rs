use std::collections::BTreeMap;
use std::net::IpAddr;

use super::*;
use crate::bfd::{
    Arrival, Malformed, Reach, Refusal, SessionConfig, SessionKey, Table, Transition,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn key(remote: &str, local: Option<&str>, interface: Option<u32>) -> SessionKey {
    SessionKey {
        remote: ip(remote),
        local: local.map(ip),
        interface,
    }
}

fn from(source: &str, destination: &str) -> Arrival {
    Arrival {
        source: ip(source),
        destination: ip(destination),
        interface: 2,
        port: 3784,
        ttl: 255,
    }
}

fn desired(keys: &[(SessionKey, SessionConfig)]) -> BTreeMap<SessionKey, SessionConfig> {
    keys.iter().cloned().collect()
}

/// Of a session that the sender does not know yet.
fn first() -> Vec<u8> {
    let packet = ControlPacket {
        your_discriminator: None,
        ..said(State::Down)
    };
    packet.encode().to_vec()
}

/// Which session goes from Down to Init.
fn taken(table: &mut Table, arrival: &Arrival) -> Result<SessionKey, Refusal> {
    table.handle_datagram(start(), arrival, &first())?;
    let status = table.status();
    let mut heard = status.iter().filter(|(_, one)| one.remote.is_some());
    Ok(heard.next().unwrap().0.clone())
}

#[test]
fn the_first_packet_finds_its_session_by_the_addresses() {
    let exact = key("192.0.2.1", Some("192.0.2.9"), None);
    let any = key("192.0.2.1", None, None);
    let v6 = key("2001:db8::1", None, None);
    let on_link = key("fe80::1", None, Some(2));
    let elsewhere = key("fe80::1", None, Some(3));
    let sessions = [&exact, &any, &v6, &on_link, &elsewhere];
    let cases = [
        (from("192.0.2.1", "192.0.2.9"), Some(&exact)),
        (from("192.0.2.1", "192.0.2.8"), Some(&any)),
        (from("2001:db8::1", "2001:db8::9"), Some(&v6)),
        (from("fe80::1", "fe80::9"), Some(&on_link)),
        (from("192.0.2.2", "192.0.2.9"), None),
        (
            Arrival {
                port: 4784,
                ..from("192.0.2.1", "192.0.2.9")
            },
            None,
        ),
    ];
    for (arrival, expected) in cases {
        let mut table = Table::new(1);
        let config = SessionConfig::single_hop();
        let wanted = sessions.map(|key| (key.clone(), config.clone()));
        table.set_desired(start(), &desired(&wanted));
        let expected = expected
            .cloned()
            .ok_or(Refusal::UnknownPeer(arrival.source));
        assert_eq!(taken(&mut table, &arrival), expected, "{arrival:?}");
    }
}

#[test]
fn later_packets_find_it_by_the_discriminator_and_come_from_its_peer() {
    let (one, two) = (key("192.0.2.1", None, None), key("192.0.2.2", None, None));
    let config = SessionConfig::single_hop();
    let mut table = Table::new(1);
    let wanted = [(one.clone(), config.clone()), (two.clone(), config)];
    table.set_desired(start(), &desired(&wanted));
    let mine = table.status()[&two].discriminator;
    let packet = |discriminator| ControlPacket {
        your_discriminator: Some(discriminator),
        ..said(State::Init)
    };
    let mut hear = |source, discriminator| {
        let payload = packet(discriminator).encode();
        table.handle_datagram(start(), &from(source, "192.0.2.9"), &payload)
    };
    assert_eq!(
        hear("192.0.2.1", mine),
        Err(Refusal::WrongPath(ip("192.0.2.1")))
    );
    let unknown = number(mine.get() ^ 1);
    assert_eq!(
        hear("192.0.2.2", unknown),
        Err(Refusal::UnknownDiscriminator(unknown.get()))
    );
    assert_eq!(hear("192.0.2.2", mine), Ok(Some((two, Transition::Up))));
}

#[test]
fn a_packet_that_has_come_too_far_is_dropped_and_seen() {
    let cases = [
        (Reach::SingleHop, 255, true),
        (Reach::SingleHop, 254, false),
        (Reach::SingleHop, 0, false),
        (Reach::Multihop { min_ttl: 250 }, 250, true),
        (Reach::Multihop { min_ttl: 250 }, 249, false),
        (Reach::Multihop { min_ttl: 0 }, 0, true),
    ];
    for (remote, local) in [("192.0.2.1", "192.0.2.9"), ("2001:db8::1", "2001:db8::9")] {
        for (reach, ttl, is_taken) in cases {
            let config = SessionConfig {
                reach,
                ..SessionConfig::single_hop()
            };
            let wanted = key(remote, Some(local), None);
            let mut table = Table::new(1);
            table.set_desired(start(), &desired(&[(wanted.clone(), config)]));
            let arrival = Arrival {
                ttl,
                ..from(remote, local)
            };
            let least = reach.least_ttl();
            let refusal = (!is_taken).then_some(Refusal::Ttl { ttl, least });
            assert_eq!(taken(&mut table, &arrival).err(), refusal);
            let status = table.status().remove(&wanted).unwrap();
            assert_eq!(status.last_refusal, refusal);
            assert_eq!(status.state == State::Init, is_taken);
        }
    }
}

#[test]
fn an_operator_sees_that_the_peer_authenticates() {
    let wanted = key("192.0.2.1", None, None);
    let mut table = Table::new(1);
    let config = SessionConfig::single_hop();
    table.set_desired(start(), &desired(&[(wanted.clone(), config)]));
    let mut payload = first();
    payload[1] |= 0x04;
    payload[3] = 48;
    payload.extend([4, 24]);
    payload.resize(48, 0);
    let arrival = from("192.0.2.1", "192.0.2.9");
    let refusal = Refusal::Malformed(Malformed::Authentication(4));
    let result = table.handle_datagram(start(), &arrival, &payload);
    assert_eq!(result, Err(refusal));
    assert_eq!(table.status()[&wanted].last_refusal, Some(refusal));
    assert_eq!(
        refusal.to_string(),
        "authentication of type 4, but none is configured"
    );
}

#[test]
fn wanted_sessions_go_on_and_others_end_with_one_packet() {
    let now = start();
    let keys = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|remote| key(remote, None, None));
    let config = SessionConfig::single_hop();
    let mut table = Table::new(1);
    let wanted = keys.clone().map(|key| (key, config.clone()));
    assert_eq!(table.set_desired(now, &desired(&wanted)), []);
    assert_eq!(table.poll_transmit(now).len(), 3);
    let before = table.status();
    let faster = SessionConfig {
        timers: timers(100, 100, 3),
        ..config.clone()
    };
    let elsewhere = SessionConfig {
        port: 13784,
        ..config
    };
    // Other timers, another port, and not wanted.
    let wanted = [(keys[0].clone(), faster), (keys[1].clone(), elsewhere)];
    let farewells = table.set_desired(now, &desired(&wanted));
    let told: Vec<_> = farewells
        .iter()
        .map(|(key, packet)| (key.clone(), packet.state, packet.diagnostic))
        .collect();
    let over = |key: &SessionKey| {
        let diagnostic = Diagnostic::AdministrativelyDown;
        (key.clone(), State::AdminDown, diagnostic)
    };
    assert_eq!(told, [over(&keys[1]), over(&keys[2])]);
    let after = table.status();
    assert_eq!(after.keys().collect::<Vec<_>>(), [&keys[0], &keys[1]]);
    let discriminator = |key: &SessionKey| (before[key].discriminator, after[key].discriminator);
    let (old, new) = discriminator(&keys[0]);
    assert_eq!(old, new);
    let (old, new) = discriminator(&keys[1]);
    assert_ne!(old, new);
    assert_eq!(after[&keys[0]].timers, timers(100, 100, 3));
    assert_eq!(table.set_desired(now, &BTreeMap::new()).len(), 2);
    assert_eq!(table.poll_timeout(), None);
}

#[test]
fn keys_and_transitions_have_a_text() {
    for (key, expected) in [
        (key("192.0.2.1", None, None), "192.0.2.1"),
        (
            key("fe80::1", Some("fe80::2"), Some(3)),
            "fe80::1 from fe80::2 over interface 3",
        ),
    ] {
        assert_eq!(key.to_string(), expected);
    }
    let down = Transition::Down {
        diagnostic: Diagnostic::DetectionTimeExpired,
        control_plane_independent: false,
    };
    for (transition, expected) in [
        (Transition::Up, "Up"),
        (down, "Down (control detection time expired)"),
        (Transition::AdminDown, "AdminDown at the other end"),
    ] {
        assert_eq!(transition.to_string(), expected);
    }
}
