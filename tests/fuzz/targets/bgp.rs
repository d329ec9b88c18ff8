//! BGP messages as a session reads them; the first octet decides what was negotiated.
#![no_main]

use std::net::Ipv4Addr;

use bytes::Bytes;
use kube_router::bgp::wire::{
    Codec, FamilyTerms, HoldTime, Message, MessageLimit, Negotiated, PeerKind, UpdateWriter,
    validate,
};
use kube_router::net::ByFamily;
use libfuzzer_sys::fuzz_target;

fn terms(choice: u8) -> Negotiated {
    let is = |bit: u8| choice & 1 << bit != 0;
    let family = FamilyTerms {
        add_path_receive: is(0),
        add_path_send: is(0),
        ipv6_next_hop: is(1),
    };
    let limit = MessageLimit::from_extended(is(2));
    Negotiated {
        peer: match choice >> 6 {
            0 => PeerKind::External,
            1 => PeerKind::Confederation,
            _ => PeerKind::Internal,
        },
        peer_as: 64512,
        peer_id: Ipv4Addr::LOCALHOST,
        hold_time: HoldTime::SUGGESTED,
        four_octet_as: is(3),
        receive_limit: limit,
        send_limit: limit,
        families: ByFamily {
            v4: (!is(4)).then_some(family),
            v6: Some(family),
        },
        route_refresh: true,
        enhanced_refresh: true,
        enforce_first_as: is(5),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, stream)) = data.split_first() else {
        return;
    };
    let terms = terms(*choice);
    let (codec, mut stream) = (Codec::new(&terms), Bytes::copy_from_slice(stream));
    while let Ok(Some(length)) = codec.next_frame(&stream) {
        let frame = stream.split_to(length);
        let message = match codec.decode(&frame) {
            Ok(message) => message,
            Err(error) => {
                let _told = error.notification();
                return;
            }
        };
        let mut again = Vec::new();
        codec
            .encode(&message, &mut again)
            .expect("it fitted when it came");
        let Message::Update(parsed) = message else {
            assert_eq!(codec.decode(&again.into()), Ok(message));
            continue;
        };
        assert_eq!(again, frame);
        match validate(&parsed, &terms) {
            Ok(update) => {
                let prefixes: usize = update.withdrawn().map(|list| list.iter().count()).sum();
                assert!(prefixes <= length);
                let writer = UpdateWriter::new(&terms);
                for one in update.announced() {
                    let (family, list) = (one.nlri.family(), &one.nlri);
                    let attributes = &update.attributes;
                    let _ = writer.announce(family, attributes, one.next_hop, list, &mut again);
                }
            }
            Err(fault) => {
                let _told = fault.notification();
                return;
            }
        }
    }
});
