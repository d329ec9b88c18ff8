//! BFD packets as sessions take them: each datagram is one octet of how it arrives, one of time, and
//! its payload. Whatever comes, the sessions stay as few as they are and have something to wait for.
#![no_main]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use kube_router::bfd::{Arrival, ControlPacket, LENGTH, SessionConfig, SessionKey, Table};
use libfuzzer_sys::fuzz_target;

fn peer(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, number)
}

fn key(number: u8) -> SessionKey {
    SessionKey {
        remote: peer(number).into(),
        local: None,
        interface: None,
    }
}

fn arrival(choice: u8) -> Arrival {
    Arrival {
        source: peer(1 + choice % 3).into(),
        destination: peer(9).into(),
        interface: 2,
        port: 3784,
        ttl: if choice & 0x80 == 0 { 255 } else { choice },
    }
}

fuzz_target!(|data: &[u8]| {
    let mut now = Instant::now();
    let mut table = Table::new(1);
    let wanted = [
        (key(1), SessionConfig::single_hop()),
        (key(2), SessionConfig::multihop(200)),
    ];
    let mut wanted: BTreeMap<_, _> = wanted.into();
    for config in wanted.values_mut() {
        config.port = 3784;
    }
    table.set_desired(now, &wanted);
    for chunk in data.chunks(2 + LENGTH) {
        let [choice, time, payload @ ..] = chunk else {
            return;
        };
        let arrival = arrival(*choice);
        let mut payload = payload.to_vec();
        // Else hardly anything would name a session.
        if let (Ok(mut packet), true) = (ControlPacket::decode(&payload), choice & 0x40 != 0) {
            assert_eq!(packet.encode(), payload[..]);
            let status = table.status();
            let session = status.iter().find(|(key, _)| key.remote == arrival.source);
            packet.your_discriminator = session.map_or(NonZeroU32::new(1), |(_, session)| {
                Some(session.discriminator)
            });
            payload = packet.encode().to_vec();
        }
        let _either = table.handle_datagram(now, &arrival, &payload);
        now += Duration::from_millis(u64::from(*time) * 10);
        table.handle_timeout(now);
        assert!(table.poll_transmit(now).len() <= 4);
        assert_eq!(table.status().len(), 2);
        assert!(table.poll_timeout().is_none_or(|next| next > now));
    }
});
