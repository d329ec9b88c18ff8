//! Packets that rules log.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use kube_router::kernel::nflog::{Error, Header, Nflog, Notice, Record, Transport};
use kube_router::kernel::nft::{
    Base, Chain, Expr, Hook, Label, Name, Nft, Policy, Rule, Side, Tables, Test, Transaction,
    Verdict,
};

use super::in_namespace;

const GROUP: u16 = 4711;
const SOON: Option<Duration> = Some(Duration::from_secs(5));

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn log(prefix: &str) -> Expr {
    Expr::Log {
        group: GROUP,
        prefix: Label::new(prefix),
        snaplen: 0,
    }
}

/// Rules that log and drop what goes to a port.
fn dropping(nft: &mut Nft, port: u16) {
    let chain = Chain {
        name: name("output"),
        base: Some(Base {
            hook: Hook::Output,
            priority: 0,
            policy: Policy::Accept,
        }),
        comment: None,
    };
    let mut transaction = Transaction::new(name("t"));
    let port = Expr::Port(Side::Destination, Test::Is(port));
    transaction.add_table(false).add_chain(chain).add_rule(
        &name("output"),
        Rule::new([port, log("no \u{e4}ccess"), Expr::Verdict(Verdict::Drop)]),
    );
    nft.commit(&transaction, None).unwrap();
}

fn records(nflog: &mut Nflog) -> Vec<Record> {
    match nflog.next(SOON).unwrap() {
        Notice::Records(records) => records,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dropped_packet_is_read_with_its_prefix_hook_and_addresses() {
    in_namespace(|| {
        let mut nflog = Nflog::open(GROUP).unwrap();
        assert_eq!(Nflog::open(GROUP).unwrap_err(), Error::NotAllowed(GROUP));
        dropping(&mut Nft::open().unwrap(), 9);
        for local in ["127.0.0.1", "::1"] {
            let local: IpAddr = local.parse().unwrap();
            let socket = UdpSocket::bind((local, 0)).unwrap();
            let source = socket.local_addr().unwrap().port();
            // Refused by the firewall, which the sender may be told.
            let _refused = socket.send_to(&[0x55; 3000], SocketAddr::new(local, 9));
            let record = records(&mut nflog).remove(0);
            let expected = Header {
                source: local,
                destination: local,
                protocol: 17,
                transport: Transport::Ports {
                    source,
                    destination: 9,
                },
            };
            assert_eq!(record.header(), Some(expected));
            assert_eq!((record.prefix.as_str(), record.hook), ("no \u{e4}ccess", 3));
            assert_eq!((record.in_link, record.out_link), (None, Some(1)));
            assert!(record.payload.len() <= 128, "{}", record.payload.len());
        }
        assert_eq!(nflog.next(Some(Duration::ZERO)).unwrap(), Notice::Quiet);
        drop(nflog);
        Nflog::open(GROUP).unwrap();
    });
}

#[test]
fn more_than_can_be_read_is_told_as_lost() {
    in_namespace(|| {
        let mut nflog = Nflog::open(GROUP).unwrap();
        dropping(&mut Nft::open().unwrap(), 9);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..20_000 {
            let _refused = socket.send_to(&[0x55; 100], "127.0.0.1:9");
        }
        let mut read = 0;
        let is_lost = (0..20_000).any(|_| match nflog.next(SOON).unwrap() {
            Notice::Records(records) => {
                read += records.len();
                false
            }
            notice => notice == Notice::Lost,
        });
        assert!(is_lost, "{read} were read");
    });
}
