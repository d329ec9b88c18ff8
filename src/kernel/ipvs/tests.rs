use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::object::*;
use super::*;
use crate::kernel::genl::FamilyId;
use crate::kernel::netlink::Messages;
use crate::kernel::test_mutation::Chance;
use crate::net::{Family, Protocol};

const FAMILY: FamilyId = FamilyId(0x1d);

/// What `ipvsadm` 1.31 printed for a table of everything that our objects can express.
const SAVED: &str = "\
-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.0.0.1:8080 -m -w 1
-a -t 10.96.0.10:80 -r 10.0.0.2:80 -i -w 0 --tun-type ipip
-a -t 10.96.0.10:80 -r 10.0.0.3:80 -g -w 65535
-a -t 10.96.0.10:80 -r [fd00:1::9]:80 -i -w 1 --tun-type ipip
-A -t 10.96.0.10:0 -s rr -p 30
-A -t 10.96.0.10:81 -s mh -b mh-fallback,mh-port
-A -t 10.96.0.10:83 -s rr -b flag-1,flag-2,flag-3
-A -t 10.96.0.10:84 -s sh -b sh-port
-A -t 1.1.1.1:13 -s rr -p 30 -M 0.0.0.0
-A -u 10.96.0.10:53 -s wrr -p 360
-A -u 10.96.0.11:53 -s wrr -p 60 -M 255.255.255.0
-A -u 10.96.0.12:53 -s wrr -o
-A --sctp-service 10.96.0.10:5000 -s lc -p 10800
-A -t [fd00::10]:80 -s sh -p 20 -M 64 -b sh-fallback,sh-port
-a -t [fd00::10]:80 -r [fd00:1::1]:8080 -m -w 1
-A -u [fd00::11]:80 -s sh -o -b sh-fallback
-A -f 77 -s rr
-a -f 77 -r 10.0.0.1:0 -i -w 1 --tun-type ipip
-a -f 77 -r 10.0.0.9:99 -m -w 1
-A -f 77 -6 -s rr -p 40
-a -f 77 -6 -r [fd00:1::1]:0 -i -w 1 --tun-type ipip
";

/// What the kernel (6.12) showed in `/proc/net/ip_vs`.
const PROC: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
UDP  [fd00:0000:0000:0000:0000:0000:0000:0011]:0050 sh 
TCP  0A60000A:0050 rr  
  -> [fd00:0001:0000:0000:0000:0000:0000:0009]:0050      Tunnel  1      0          0         
  -> 0A000003:0050      Route   65535  0          0         
  -> 0A000001:1F90      Masq    1      2          1         
SCTP  0A60000A:1388 lc  persistent 2700000 FFFFFFFF
UDP  0A60000C:0035 wrr ops 
FWM  0000004D rr persistent 10000 80000000
  -> [fd00:0001:0000:0000:0000:0000:0000:0001]:0000      Tunnel  1      0          0         
";

fn command(text: &str) -> Command {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_saved_table_prints_as_ipvsadm_printed_it() {
    let tables = parse_table(SAVED).unwrap();
    assert_eq!(tables.len(), 14);
    assert_eq!(print_table(&tables), SAVED);
}

#[test]
fn commands_print_as_they_are_typed() {
    for text in [
        "-E -t 10.96.0.10:80 -s rr -p 60 -M 255.255.255.0",
        "-D -u [fd00::11]:80",
        "-D -f 77 -6",
        "-e -t 10.96.0.10:80 -r 10.0.0.1:8080 -m -w 0 -x 100 -y 50",
        "-d -f 77 -r 10.0.0.9:99",
        "-A -f 4000000000 -s rr",
    ] {
        assert_eq!(command(text).to_string(), text);
    }
    let timeouts = Timeouts {
        tcp: 900,
        tcp_fin: 120,
        udp: 300,
    };
    assert_eq!(timeouts.to_string(), "--set 900 120 300");
}

#[test]
fn defaults_and_long_options_are_ipvsadms() {
    for (short, long) in [
        (
            "-A -t 1.2.3.4:80",
            "--add-service --tcp-service 1.2.3.4:80 --scheduler wlc",
        ),
        (
            "-A -t 1.2.3.4:80 -s rr -p",
            "-A -t 1.2.3.4:80 -p 360 -M 255.255.255.255 -s rr",
        ),
        (
            "-a -t 1.2.3.4:80 -r 10.0.0.1",
            "-a -t 1.2.3.4:80 -r 10.0.0.1:80 -g -w 1",
        ),
        ("-A -f -294967296", "-A -f 4000000000"),
    ] {
        assert_eq!(command(short), command(long));
    }
}

#[test]
fn what_is_no_command_is_named() {
    for (text, expected) in [
        ("", "no virtual server (-t, -u, --sctp-service, -f)"),
        ("-X -f 1", "\"-X\" is none of -A -E -D -a -e -d"),
        ("-A -t", "-t has no value"),
        (
            "-A -t 1.2.3.4:99999",
            "-t \"1.2.3.4:99999\" is not an address and port",
        ),
        ("-A -f 1 -s maglev", "unknown IPVS scheduler \"maglev\""),
        (
            "-A -f 1 -p 9 -M 255.0.255.0",
            "-M \"255.0.255.0\" is not a mask of leading ones",
        ),
        (
            "-A -f 1 -6 -p 9 -M 0",
            "-M \"0\" is not a prefix length from 1 to 128",
        ),
        ("-a -f 1 -m", "no real server (-r)"),
        (
            "-a -f 1 -r 10.0.0.1 --tun-type gue",
            "--tun-type \"gue\" is not ipip",
        ),
        ("-A -f 1 --pe sip", "\"--pe\" is not an option here"),
    ] {
        assert_eq!(
            text.parse::<Command>().unwrap_err().to_string(),
            expected,
            "{text}"
        );
    }
    let lines = "# saved\n\n-A -f 1\n-a -f 2 -r 1.1.1.1\n";
    assert_eq!(
        parse_table(lines),
        Err(TableError::NoSuchVirtual { line: 4 })
    );
    assert_eq!(
        parse_table("-D -f 1"),
        Err(TableError::NotAnAddition { line: 1 })
    );
}

#[test]
fn proc_gives_keys_and_real_servers() {
    let entries = parse_proc(PROC).unwrap();
    let keys: Vec<_> = entries
        .iter()
        .map(|entry| entry.key.map(|key| key.to_string()))
        .collect();
    let expected = [
        Some("-u [fd00::11]:80"),
        Some("-t 10.96.0.10:80"),
        Some("--sctp-service 10.96.0.10:5000"),
        Some("-u 10.96.0.12:53"),
        None,
    ];
    assert_eq!(keys, expected.map(|key| key.map(str::to_owned)));
    let reals: Vec<_> = entries[1].reals.iter().map(ToString::to_string).collect();
    let expected = [
        "-r [fd00:1::9]:80 -i -w 1 --tun-type ipip",
        "-r 10.0.0.3:80 -g -w 65535",
        "-r 10.0.0.1:8080 -m -w 1",
    ];
    assert_eq!(reals, expected);
    assert_eq!(
        parse_proc("TCP  0A60000A:0050 rr  \n  -> nonsense\n"),
        Err(ProcError(2))
    );
    assert_eq!(
        parse_proc("  -> 0A000001:1F90 Masq 1 0 0\n"),
        Err(ProcError(1))
    );
}

macro_rules! captured {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fuzz/corpus/ipvs_decode/", $name)).as_slice()
    };
}

/// Answers of a 6.12 kernel to a table that `ipvsadm` had made; they are seeds of the fuzzer too.
#[test]
#[cfg(target_endian = "little")]
fn what_a_kernel_sent_is_decoded_as_ipvsadm_saved_it() {
    let saved = parse_table(include_str!("../../../tests/fuzz/corpus/ipvs_text/saved")).unwrap();
    let listed = |bytes| Messages::new(bytes).filter(|message| message.kind >= 16);
    let mut servers: Vec<_> = listed(captured!("services"))
        .map(|message| decode_virtual(&message).unwrap().0)
        .collect();
    servers.sort();
    let mut expected: Vec<_> = saved.iter().map(|table| table.server).collect();
    expected.sort();
    assert_eq!(servers, expected);
    for (bytes, key, limits) in [
        (captured!("dests4"), "-D -t 10.96.0.10:80", " -x 100 -y 50"),
        (captured!("dests6"), "-D -t [fd00::10]:80", ""),
    ] {
        let key = command(key).key();
        let table = saved.iter().find(|table| table.server.key == key).unwrap();
        let reals = listed(bytes).map(|message| decode_real(&message, key.family()).unwrap().0);
        let seen = VirtualTable::new(table.server, reals.collect());
        assert_eq!(seen.to_string().replace(limits, ""), table.to_string());
        assert!(seen.to_string().contains(limits));
    }
    let config = listed(captured!("config")).next().unwrap();
    let timeouts = Timeouts {
        tcp: 900,
        tcp_fin: 120,
        udp: 300,
    };
    assert_eq!(wire::decode_timeouts(&config), Ok(timeouts));
    assert_eq!(
        wire::decode_version(&listed(captured!("info")).next().unwrap()),
        Ok([1, 2, 1])
    );
}

#[test]
fn a_new_service_has_the_bytes_of_the_kernel_header() {
    let request = encode(
        FAMILY,
        &command("-A -t 10.96.0.10:80 -s rr -p 60 -M 255.255.255.0"),
    );
    let expected: &[u8] = &[
        0x68, 0, 0, 0, 0x1d, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, // netlink header
        1, 1, 0, 0, // command 1, version 1
        0x54, 0, 1, 0x80, // service nest
        6, 0, 1, 0, 2, 0, 0, 0, // AF_INET
        6, 0, 2, 0, 6, 0, 0, 0, // TCP
        20, 0, 3, 0, 10, 96, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // address
        6, 0, 4, 0, 0, 80, 0, 0, // port
        7, 0, 6, 0, b'r', b'r', 0, 0, // scheduler
        12, 0, 7, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, // flags and mask
        8, 0, 8, 0, 60, 0, 0, 0, // timeout
        8, 0, 9, 0, 255, 255, 255, 0, // netmask
    ];
    if cfg!(target_endian = "little") {
        assert_eq!(request.to_bytes(7).unwrap(), expected);
    }
}

#[test]
fn the_fake_refuses_what_the_kernel_refuses() {
    let mut fake = FakeIpvs::default();
    let mut say = |text| {
        fake.apply(&[command(text)])
            .remove(0)
            .map_err(|error| error.to_string())
    };
    let missing = |what: &str| Err(format!("there is no {what}"));
    assert_eq!(say("-E -f 1 -s rr"), missing("virtual server -f 1"));
    assert_eq!(say("-D -f 1"), missing("virtual server -f 1"));
    assert_eq!(say("-a -f 1 -r 10.0.0.1:0"), missing("virtual server -f 1"));
    assert_eq!(say("-A -f 1 -s rr"), Ok(()));
    assert_eq!(
        say("-A -f 1 -s rr"),
        Err("virtual server -f 1 exists already".into())
    );
    assert_eq!(
        say("-e -f 1 -r 10.0.0.1:0"),
        missing("real server 10.0.0.1:0 behind -f 1")
    );
    assert_eq!(
        say("-d -f 1 -r 10.0.0.1:0"),
        missing("real server 10.0.0.1:0 behind -f 1")
    );
    assert_eq!(say("-a -f 1 -r 10.0.0.1:0 -x 9"), Ok(()));
    let exists = "real server 10.0.0.1:0 exists already behind -f 1";
    assert_eq!(say("-a -f 1 -r 10.0.0.1:0"), Err(exists.into()));
    assert_eq!(say("-E -f 1 -s wrr -o"), Ok(()));
    let expected = "-A -f 1 -s wrr -o\n-a -f 1 -r 10.0.0.1:0 -g -w 1\n";
    assert_eq!(print_table(&fake.observe().unwrap()), expected);
    assert_eq!(fake.applied().len(), 10);
}

// === Properties ===

fn address(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::V4 => any::<Ipv4Addr>().prop_map(IpAddr::V4).boxed(),
        Family::V6 => any::<Ipv6Addr>().prop_map(IpAddr::V6).boxed(),
    }
}

fn family() -> impl Strategy<Value = Family> {
    prop::sample::select(&Family::ALL[..])
}

fn key() -> impl Strategy<Value = VirtualKey> {
    let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    let by_address = (
        family().prop_flat_map(address),
        prop::sample::select(protocols.to_vec()),
        any::<u16>(),
    )
        .prop_map(|(address, protocol, port)| VirtualKey::new(address, protocol, port));
    let by_mark =
        (any::<u32>(), family()).prop_map(|(mark, family)| VirtualKey::FwMark { mark, family });
    prop_oneof![by_address, by_mark]
}

fn server() -> impl Strategy<Value = VirtualServer> {
    let persistence = prop::option::of((1_u32..1 << 20, 1_u8..=128));
    let flags = (0_u32..16).prop_map(|bits| ServiceFlags(bits << 2));
    (
        key(),
        prop::sample::select(&Scheduler::ALL[..]),
        flags,
        persistence,
    )
        .prop_map(|(key, scheduler, flags, persistence)| VirtualServer {
            key,
            scheduler,
            flags,
            persistence: persistence.map(|(timeout, length)| Persistence {
                timeout,
                prefix_length: length.min(key.family().host_bits()),
            }),
        })
}

fn real() -> impl Strategy<Value = RealServer> {
    let forward = (0_u32..5).prop_map(|number| ForwardMethod::from_flags(number).unwrap());
    (
        family().prop_flat_map(address),
        any::<u16>(),
        forward,
        any::<[u32; 3]>(),
    )
        .prop_map(
            |(address, port, forward, [weight, upper_threshold, lower_threshold])| RealServer {
                upper_threshold,
                lower_threshold,
                ..RealServer::new(address, port, forward, weight)
            },
        )
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        server().prop_map(Command::AddVirtual),
        server().prop_map(Command::SetVirtual),
        key().prop_map(Command::DelVirtual),
        (key(), real()).prop_map(|(key, real)| Command::AddReal(key, real)),
        (key(), real()).prop_map(|(key, real)| Command::SetReal(key, real)),
        (key(), real()).prop_map(|(key, real)| Command::DelReal(key, real.key)),
    ]
}

/// Decodes bytes in every way there is; returns whether anything came out.
fn decode_all(bytes: &[u8]) -> bool {
    let mut any = false;
    for message in Messages::new(bytes) {
        any |= decode_virtual(&message).is_ok();
        any |= Family::ALL
            .into_iter()
            .any(|family| decode_real(&message, family).is_ok());
        any |= wire::decode_timeouts(&message).is_ok();
        any |= wire::decode_version(&message).is_ok();
    }
    any
}

proptest! {
    #[test]
    fn text_round_trips(command in any_command()) {
        prop_assert_eq!(command.to_string().parse(), Ok(command));
    }

    #[test]
    fn virtual_servers_round_trip_over_the_wire(server in server()) {
        let bytes = encode(FAMILY, &Command::AddVirtual(server)).to_bytes(1).unwrap();
        let message = Messages::new(&bytes).next().unwrap();
        prop_assert_eq!(decode_virtual(&message), Ok((server, Stats::default())));
    }

    #[test]
    fn real_servers_round_trip_over_the_wire(key in key(), real in real()) {
        let bytes = encode(FAMILY, &Command::AddReal(key, real)).to_bytes(1).unwrap();
        let message = Messages::new(&bytes).next().unwrap();
        prop_assert_eq!(decode_real(&message, key.family()).unwrap().0, real);
    }

    #[test]
    fn every_prefix_of_a_message_is_decoded_without_panic(command in any_command()) {
        let bytes = encode(FAMILY, &command).to_bytes(1).unwrap();
        for cut in 0..bytes.len() {
            // Both as it was cut off on the wire, and with a length that says so.
            decode_all(&bytes[..cut]);
            let mut shorter = bytes[..cut].to_vec();
            if let Some(length) = shorter.first_chunk_mut::<4>() {
                *length = u32::try_from(cut).unwrap().to_ne_bytes();
                decode_all(&shorter);
            }
        }
    }

    #[test]
    fn any_text_is_parsed_without_panic(text in "[-A-Za-z0-9 :.\\[\\]\n>]{0,80}") {
        let _either = (text.parse::<Command>(), parse_table(&text), parse_proc(&text));
    }
}

#[test]
fn two_hundred_thousand_mutated_inputs_do_no_harm() {
    const BYTES: &[u8] = &[0, 1, 2, 4, 8, 10, 16, 0x7f, 0x80, 0xff];
    const TEXT: &[u8] = b" -.:[]0123456789abdefgimoprstuwxyADEMf";
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let lines: Vec<&str> = SAVED.lines().collect();
    let messages: Vec<Vec<u8>> = lines
        .iter()
        .map(|line| encode(FAMILY, &command(line)).to_bytes(1).unwrap())
        .collect();
    let (mut decoded, mut parsed) = (0_u32, 0_u32);
    for round in 0..100_000 {
        let mut bytes = messages[round % messages.len()].clone();
        chance.mutate(&mut bytes, BYTES);
        decoded += u32::from(decode_all(&bytes));
        let mut text = lines[round % lines.len()].as_bytes().to_vec();
        chance.mutate(&mut text, TEXT);
        let text = String::from_utf8_lossy(&text);
        if let Ok(command) = text.parse::<Command>() {
            parsed += 1;
            assert_eq!(command.to_string().parse(), Ok(command), "{text}");
        }
    }
    // Enough of them can still be read: the deeper code is reached.
    assert!(
        decoded > 20_000 && parsed > 2_000,
        "{decoded} messages, {parsed} lines"
    );
    for _ in 0..2_000 {
        let mut text = PROC.as_bytes().to_vec();
        chance.mutate(&mut text, TEXT);
        let _either = parse_proc(&String::from_utf8_lossy(&text));
    }
}
