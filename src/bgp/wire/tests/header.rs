//! Frames and headers: RFC 4271 sections 4.1 and 6.1, RFC 8654.

use super::*;

const EXTENDED: Codec = Codec {
    receive: MessageLimit::Extended,
    send: MessageLimit::Extended,
};

fn told(error: &DecodeError) -> (u8, u8, Vec<u8>) {
    let Notification {
        code,
        subcode,
        data,
    } = error.notification();
    (code, subcode, data.to_vec())
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_frames() {
    let mut stream = Vec::new();
    let mut wanted = Vec::new();
    let codec = Codec::default();
    for message in [
        Message::Keepalive,
        Message::Notification(Notification::cease(
            CeaseSubcode::AdministrativeShutdown,
            "moving",
        )),
        Message::Update(update("18 0a0000", MANDATORY, "")),
    ] {
        let start = stream.len();
        codec.encode(&message, &mut stream).unwrap();
        wanted.push(stream.len() - start);
    }
    for cut in 0..=stream.len() {
        let (mut buffer, mut frames) = (Vec::new(), Vec::new());
        for part in [&stream[..cut], &stream[cut..]] {
            buffer.extend_from_slice(part);
            while let Some(length) = codec.next_frame(&buffer).unwrap() {
                frames.push(length);
                buffer.drain(..length);
            }
        }
        assert_eq!(frames, wanted, "cut at {cut}");
        assert!(buffer.is_empty(), "cut at {cut}");
    }
}

/// Header | code, subcode, data
const REFUSED: &str = "
fffffffffffffffffffffffffffffffe 0013 04 | 1 1
00                                       | 1 1
ffffffffffffffffffffffffffffffff 0012 04 | 1 2 0012
ffffffffffffffffffffffffffffffff 0014 04 | 1 2 0014
ffffffffffffffffffffffffffffffff 001c 01 | 1 2 001c
ffffffffffffffffffffffffffffffff 1001 01 | 1 2 1001
ffffffffffffffffffffffffffffffff 0016 02 | 1 2 0016
ffffffffffffffffffffffffffffffff 1001 02 | 1 2 1001
ffffffffffffffffffffffffffffffff 0014 03 | 1 2 0014
ffffffffffffffffffffffffffffffff 0016 05 | 1 2 0016
ffffffffffffffffffffffffffffffff 0013 00 | 1 3 00
ffffffffffffffffffffffffffffffff 0013 06 | 1 3 06
ffffffffffffffffffffffffffffffff 0000    | 1 2 0000
";

#[test]
fn wrong_headers_are_refused_as_soon_as_they_are_seen() {
    for row in REFUSED.trim().lines() {
        let (header, expected) = row.split_once('|').unwrap();
        let error = Codec::default().next_frame(&hex(header)).unwrap_err();
        let (code, subcode, data) = told(&error);
        let data: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        let told = format!("{code} {subcode} {data}");
        assert_eq!(told.trim(), expected.trim(), "{row}: {error}");
    }
}

#[test]
fn extended_messages_pass_where_negotiated_but_not_as_open_or_keepalive() {
    let marker = "ffffffffffffffffffffffffffffffff";
    for (header, is_fine) in [
        ("1001 02", true),
        ("ffff 02", true),
        ("ffff 03", true),
        ("ffff 05", true),
        ("1001 01", false),
        ("1000 01", true),
        ("ffff 04", false),
    ] {
        let header = hex(&format!("{marker} {header}"));
        assert_eq!(EXTENDED.next_frame(&header).is_ok(), is_fine, "{header:x?}");
    }
}

#[test]
fn what_is_sent_keeps_to_the_limit_of_the_peer() {
    let long = Message::Notification(
        Notification::from(UpdateSubcode::OptionalAttributeError).with_data(vec![0; 5000].into()),
    );
    let mut bytes = vec![7];
    let refused = EncodeError::TooLong {
        length: 5021,
        limit: 4096,
    };
    assert_eq!(Codec::default().encode(&long, &mut bytes), Err(refused));
    assert_eq!(bytes, [7], "nothing is left behind");
    EXTENDED.encode(&long, &mut bytes).unwrap();
    assert_eq!(EXTENDED.decode(&Bytes::from(bytes).slice(1..)), Ok(long));
}

#[test]
fn keepalive_is_just_a_header() {
    let mut bytes = Vec::new();
    Codec::default()
        .encode(&Message::Keepalive, &mut bytes)
        .unwrap();
    assert_eq!(bytes, hex("ffffffffffffffffffffffffffffffff 0013 04"));
    assert_eq!(
        Codec::default().decode(&bytes.into()),
        Ok(Message::Keepalive)
    );
}

#[test]
fn a_frame_that_is_not_one_whole_message_is_no_message() {
    let mut two = framed(4, &[]).to_vec();
    two.extend(framed(4, &[]));
    for frame in [Bytes::new(), framed(4, &[]).slice(..18), two.into()] {
        let error = Codec::default().decode(&frame).unwrap_err();
        assert!(matches!(error.kind, DecodeErrorKind::Length(_)), "{error}");
    }
}

#[test]
fn route_refresh_has_subtypes_and_one_length() {
    for (body, subtype) in [
        ("0001 00 01", RefreshSubtype::Request),
        ("0001 01 01", RefreshSubtype::Begin),
        ("0001 02 01", RefreshSubtype::End),
        ("0001 ff 01", RefreshSubtype::Unknown(255)),
    ] {
        let frame = framed(5, &hex(body));
        let message = Message::RouteRefresh(RouteRefresh {
            family: AddressFamily::IPV4_UNICAST,
            subtype,
        });
        assert_eq!(Codec::default().decode(&frame), Ok(message.clone()));
        let mut bytes = Vec::new();
        Codec::default().encode(&message, &mut bytes).unwrap();
        assert_eq!(bytes, frame);
    }
    let long = framed(5, &hex("0002 01 01 00"));
    let error = Codec::default().decode(&long).unwrap_err();
    assert_eq!(told(&error), (7, 1, long.to_vec()), "RFC 7313 section 5");
}

#[test]
fn an_update_whose_fields_exceed_it_is_a_malformed_attribute_list() {
    for body in [
        "0001 0000",
        "0000 0001",
        "ffff 0000",
        "0000 ffff 00",
        "0001 00 ffff",
        "0002 0000",
    ] {
        let error = Codec::default().decode(&framed(2, &hex(body))).unwrap_err();
        assert_eq!(told(&error), (3, 1, vec![]), "{body}");
    }
}
