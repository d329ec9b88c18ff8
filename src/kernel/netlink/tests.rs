use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::message::NLM_F_DUMP_INTR;
use super::socket::absorb;
use super::*;
use crate::kernel::test_namespace::in_new_namespace;

const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const LOOPBACK: u32 = 1;

fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + payload.len()).unwrap();
    let mut out = length.to_ne_bytes().to_vec();
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend(0_u32.to_ne_bytes());
    out.extend(payload);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn attributes(fill: impl FnOnce(&mut AttrWriter<'_>)) -> Vec<u8> {
    let mut request = Request::new(0, 0);
    fill(&mut request.attributes());
    request.to_bytes(0).unwrap()[16..].to_vec()
}

#[test]
fn a_request_has_the_bytes_that_the_kernel_expects() {
    let mut request = Request::new(0x1234, NLM_F_CREATE).payload(&[1, 2, 3]);
    request.attributes().u8(1, 7).nest(2, |inner| {
        inner.be16(3, 0x0102).strz(4, "rr");
    });
    let expected: &[u8] = &[
        48, 0, 0, 0, 0x34, 0x12, 0x01, 0x04, 9, 0, 0, 0, 0, 0, 0, 0, // header
        1, 2, 3, 0, // fixed part, padded
        5, 0, 1, 0, 7, 0, 0, 0, // u8, padded
        20, 0, 2, 0x80, // nest
        6, 0, 3, 0, 1, 2, 0, 0, // be16
        7, 0, 4, 0, b'r', b'r', 0, 0, // text
    ];
    if cfg!(target_endian = "little") {
        assert_eq!(request.to_bytes(9).unwrap(), expected);
    }
}

#[test]
fn an_attribute_over_64_kib_makes_the_request_unsendable() {
    let mut request = Request::new(1, 0);
    request.attributes().bytes(1, &vec![0; 70_000]);
    assert!(matches!(
        request.to_bytes(1),
        Err(NetlinkError::Oversized(_))
    ));
}

#[test]
fn readers_ignore_the_nested_bit_and_carry_offsets() {
    let bytes = attributes(|writer| {
        writer.u32(1, 5).nest(2, |inner| {
            inner.u16(3, 6);
        });
    });
    let nest = AttrReader::new(&bytes).find_kind(2).unwrap();
    assert_eq!((nest.kind, nest.offset), (2, 8));
    let inner = nest.nested().next().unwrap();
    assert_eq!((inner.kind, inner.offset, inner.u16()), (3, 12, Ok(6)));
    assert_eq!(
        inner.u32(),
        Err(NetlinkError::ShortAttribute {
            kind: 3,
            offset: 12,
            length: 2,
            expected: 4
        })
    );
}

#[test]
fn extended_acks_give_text_and_offset_whether_the_request_is_quoted_or_not() {
    let tlvs = attributes(|writer| {
        writer.strz(1, "no such thing").u32(2, 20);
    });
    let refused = NetlinkError::Refused {
        errno: 2,
        message: Some("no such thing".into()),
        offset: Some(20),
    };
    let quoted = message(99, 0, 7, &[0; 8]);
    for (flags, quote) in [(NLM_F_CAPPED, &quoted[..16]), (0, &quoted[..])] {
        let mut payload = (-2_i32).to_ne_bytes().to_vec();
        payload.extend(quote);
        payload.extend(&tlvs);
        let bytes = message(NLMSG_ERROR, flags | NLM_F_ACK_TLVS, 7, &payload);
        let verdict = Messages::new(&bytes).next().unwrap().verdict();
        assert_eq!(verdict, Err(refused.clone()));
    }
    assert_eq!(
        refused.to_string(),
        "No such file or directory: no such thing (attribute at offset 20)"
    );
}

#[test]
fn an_interrupted_dump_is_noticed_and_other_requests_are_ignored() {
    let mut replies = Replies::default();
    let mut whole = true;
    let mut datagram = message(20, NLM_F_MULTI, 7, &[1]);
    datagram.extend(message(20, NLM_F_MULTI, 6, &[2]));
    datagram.extend(message(20, NLM_F_MULTI | NLM_F_DUMP_INTR, 7, &[3]));
    assert_eq!(absorb(&datagram, 7, &mut replies, &mut whole), None);
    assert!(!whole);
    let done = message(NLMSG_DONE, NLM_F_MULTI, 7, &0_i32.to_ne_bytes());
    assert_eq!(absorb(&done, 7, &mut replies, &mut whole), Some(Ok(())));
    let seen: Vec<_> = replies
        .iter()
        .map(|message| message.payload.to_vec())
        .collect();
    assert_eq!(seen, [vec![1], vec![3]]);
}

fn walk(bytes: &[u8]) -> usize {
    let mut replies = Replies::default();
    let mut count = 0;
    let _verdict = absorb(bytes, 1, &mut replies, &mut true);
    for message in Messages::new(bytes) {
        let _verdict = message.verdict();
        for attr in message.attributes(4).into_iter().flatten() {
            count += 1 + attr.nested().count() + attr.text().len();
            let _value = (attr.u8(), attr.u16(), attr.be32(), attr.u64());
        }
    }
    count
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        walk(&bytes);
        AttrReader::new(&bytes).for_each(drop);
    }

    #[test]
    fn what_is_written_is_read_back(values in prop::collection::vec((0_u16..0x3fff, prop::collection::vec(any::<u8>(), 0..40)), 0..20)) {
        let bytes = attributes(|writer| {
            for (kind, value) in &values {
                writer.bytes(*kind, value);
            }
        });
        let mut reader = AttrReader::new(&bytes);
        let read: Vec<_> = reader.by_ref().map(|attr| (attr.kind, attr.value.to_vec())).collect();
        prop_assert_eq!(read, values);
        prop_assert!(reader.rest().is_empty());
    }

    #[test]
    fn every_prefix_of_a_datagram_is_read_without_panic(cut in 0_usize..200) {
        let body = attributes(|writer| {
            writer.strz(1, "text").nest(2, |inner| { inner.u32(3, 4); });
        });
        let mut payload = (-17_i32).to_ne_bytes().to_vec();
        payload.extend(&body);
        let mut datagram = message(NLMSG_ERROR, NLM_F_ACK_TLVS | NLM_F_CAPPED, 1, &payload);
        datagram.extend(message(30, 0, 1, &payload));
        walk(&datagram[..cut.min(datagram.len())]);
    }
}

fn add_address(address: Ipv4Addr) -> Request {
    let mut header = vec![libc::AF_INET as u8, 32, 0, 0];
    header.extend(LOOPBACK.to_ne_bytes());
    let mut request = Request::new(libc::RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL).payload(&header);
    request
        .attributes()
        .bytes(libc::IFA_LOCAL, &address.octets());
    request
}

fn nth(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a09_0000 + n)
}

fn list_addresses() -> Request {
    Request::new(libc::RTM_GETADDR, 0).payload(&[libc::AF_INET as u8, 0, 0, 0, 0, 0, 0, 0])
}

#[test]
fn a_dump_lists_the_loopback_link() {
    let mut socket = Socket::open(libc::NETLINK_ROUTE).unwrap();
    let links = socket
        .dump(&Request::new(libc::RTM_GETLINK, 0).payload(&[0; 16]))
        .unwrap();
    let names: Vec<_> = links
        .iter()
        .filter_map(|link| link.attributes(16).unwrap().find_kind(libc::IFLA_IFNAME))
        .map(|attr| attr.text())
        .collect();
    assert!(names.contains(&"lo".to_owned()), "{names:?}");
}

#[test]
fn a_batch_answers_each_request_and_sends_64_at_once() {
    in_new_namespace(|| {
        let mut socket = Socket::open(libc::NETLINK_ROUTE).unwrap();
        // Every tenth address is one that is there already, the last one too.
        let wanted: Vec<_> = (0..1000).map(|n| if n % 10 == 9 { 0 } else { n }).collect();
        let verdicts = socket.batch(wanted.iter().map(|n| add_address(nth(*n))));
        for (index, (n, verdict)) in wanted.iter().zip(&verdicts).enumerate() {
            if index > 0 && *n == 0 {
                assert!(
                    verdict.as_ref().is_err_and(|error| error.is(libc::EEXIST)),
                    "{index}"
                );
            } else {
                assert_eq!(*verdict, Ok(()), "{index}");
            }
        }
        let stats = socket.stats();
        assert_eq!((stats.messages, stats.sends), (1000, 16));
        assert_eq!(socket.dump(&list_addresses()).unwrap().iter().count(), 900);
    });
}

#[test]
fn a_batch_without_errors_costs_one_receive_per_send() {
    in_new_namespace(|| {
        let mut socket = Socket::open(libc::NETLINK_ROUTE).unwrap();
        let verdicts = socket.batch((0..128).map(|n| add_address(nth(n))));
        assert!(verdicts.iter().all(Result::is_ok));
        let Stats {
            sends, receives, ..
        } = socket.stats();
        assert_eq!((sends, receives), (2, 2));
        assert!(socket.batch(Vec::<Request>::new()).is_empty());
        assert_eq!(socket.stats().sends, 2);
    });
}

#[test]
fn an_unsendable_request_harms_no_other_of_its_batch() {
    in_new_namespace(|| {
        let mut socket = Socket::open(libc::NETLINK_ROUTE).unwrap();
        let mut huge = add_address(nth(1));
        huge.attributes().bytes(99, &vec![0; 70_000]);
        let verdicts = socket.batch([add_address(nth(0)), huge, add_address(nth(2))]);
        assert_eq!(verdicts[0], Ok(()));
        assert!(matches!(verdicts[1], Err(NetlinkError::Oversized(_))));
        assert_eq!(verdicts[2], Ok(()));
    });
}

#[test]
fn the_kernels_own_words_come_with_a_refusal() {
    in_new_namespace(|| {
        let mut socket = Socket::open(libc::NETLINK_ROUTE).unwrap();
        let mut request = add_address(nth(1));
        request
            .attributes()
            .bytes(libc::IFA_LABEL, b"a label that is much too long for a link");
        let error = socket.request(&request).unwrap_err();
        let NetlinkError::Refused { errno, message, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(*errno > 0);
        assert!(message.is_some(), "{error}");
    });
}

#[test]
fn an_overflow_is_an_error_and_the_socket_works_again_afterwards() {
    in_new_namespace(|| {
        let mut socket = Socket::open(libc::NETLINK_ROUTE).unwrap();
        assert_eq!(socket.request(&add_address(nth(0))), Ok(Replies::default()));
        socket.set_receive_buffer(1).unwrap();
        let verdicts = socket.batch((0..200).map(|_| add_address(nth(0))));
        assert_eq!(verdicts.len(), 200);
        assert_eq!(
            verdicts[63],
            Err(NetlinkError::Overrun),
            "{:?}",
            &verdicts[..64]
        );
        assert_eq!(verdicts[199], Err(NetlinkError::NotSent));
        socket.set_receive_buffer(1 << 20).unwrap();
        let error = socket.request(&add_address(nth(0))).unwrap_err();
        assert!(error.is(libc::EEXIST), "{error}");
        assert_eq!(socket.dump(&list_addresses()).unwrap().iter().count(), 1);
    });
}

#[test]
fn a_missing_answer_ends_in_a_timeout_and_the_socket_works_again_afterwards() {
    let mut socket = Socket::open(libc::NETLINK_ROUTE).unwrap();
    socket.set_timeout(Duration::from_millis(20)).unwrap();
    // The kernel skips a datagram that is shorter than a header without a word.
    let error = socket.request_without_header().unwrap_err();
    assert_eq!(error, NetlinkError::Timeout(Duration::from_millis(20)));
    assert!(!socket.dump(&list_addresses()).unwrap().is_empty());
}

#[test]
fn notifications_arrive_and_their_loss_is_an_event() {
    in_new_namespace(|| {
        let mut monitor = Socket::open(libc::NETLINK_ROUTE).unwrap();
        monitor.subscribe(libc::RTNLGRP_IPV4_IFADDR).unwrap();
        assert_eq!(monitor.next_event(Some(Duration::ZERO)), Ok(Event::Quiet));
        let mut socket = Socket::open(libc::NETLINK_ROUTE).unwrap();
        assert_eq!(socket.request(&add_address(nth(0))), Ok(Replies::default()));
        let Ok(Event::Messages(replies)) = monitor.next_event(Some(Duration::from_secs(5))) else {
            panic!("no notification");
        };
        assert_eq!(replies.first().unwrap().kind, libc::RTM_NEWADDR);

        monitor.set_receive_buffer(1).unwrap();
        assert!(
            socket
                .batch((1..100).map(|n| add_address(nth(n))))
                .iter()
                .all(Result::is_ok)
        );
        let mut overflows = 0;
        loop {
            match monitor.next_event(Some(Duration::ZERO)).unwrap() {
                Event::Messages(_) => {}
                Event::Overflow => overflows += 1,
                Event::Quiet => break,
            }
        }
        assert_eq!(overflows, 1);
    });
}
