use std::time::Duration;

use super::super::checked::NodePortAddresses;
use super::super::value;

#[test]
fn durations_are_read_as_go_writes_them() {
    let good = [
        ("0", 0),
        ("0s", 0),
        ("300ms", 300_000_000),
        ("5s", 5_000_000_000),
        ("1.5h", 5_400_000_000_000),
        ("1h30m", 5_400_000_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("10us", 10_000),
        ("10µs", 10_000),
        ("7ns", 7),
        ("0.1ns", 0),
    ];
    for (text, nanos) in good {
        assert_eq!(
            value::duration(text),
            Ok(Duration::from_nanos(nanos)),
            "{text}"
        );
    }
    for text in [
        "",
        "5",
        "s",
        "5 s",
        "-5s",
        "+5s",
        "1d",
        ".s",
        "1..5s",
        "5m3",
        "99999999999h",
        "∞",
    ] {
        assert!(value::duration(text).is_err(), "{text}");
    }
}

#[test]
fn timeouts_are_whole_seconds_that_the_kernel_can_count() {
    assert_eq!(value::seconds("0s"), Ok(0));
    assert_eq!(value::seconds("2147483s"), Ok(2_147_483));
    for text in ["500ms", "1.5s", "2147484s", "15"] {
        assert!(value::seconds(text).is_err(), "{text}");
    }
}

#[test]
fn listen_addresses_name_a_port() {
    let some = |text: &str| Ok(Some(text.parse().unwrap()));
    assert_eq!(value::listen(""), Ok(None));
    assert_eq!(value::listen(":20244"), some("[::]:20244"));
    assert_eq!(value::listen("127.0.0.1:80"), some("127.0.0.1:80"));
    assert_eq!(value::listen("[fd00::1]:80"), some("[fd00::1]:80"));
    for text in [
        ":0",
        "127.0.0.1",
        "127.0.0.1:0",
        ":65536",
        "localhost:80",
        "fd00::1:80:",
        ":",
    ] {
        assert!(value::listen(text).is_err(), "{text}");
    }
}

#[test]
fn prefixes_have_no_host_bits() {
    for text in [
        "10.96.0.0/12",
        "0.0.0.0/0",
        "192.0.2.1/32",
        "fd00:10:96::/112",
    ] {
        assert!(value::prefix(text).is_ok(), "{text}");
    }
    assert_eq!(
        value::prefix("10.96.0.1/12"),
        Err(Some(
            "the network of 10.96.0.1/12 is 10.96.0.0/12".to_owned()
        ))
    );
    for text in [
        "",
        "10.96.0.0",
        "10.96.0.0/33",
        "10.96/12",
        "fd00::/129",
        "x/8",
    ] {
        assert!(value::prefix(text).is_err(), "{text}");
    }
}

#[test]
fn port_ranges_ascend() {
    assert_eq!(value::port_range("30000-32767"), Ok(30000..=32767));
    assert_eq!(value::port_range("30000:32767"), Ok(30000..=32767));
    for text in [
        "",
        "30000",
        "32767-30000",
        "30000-30000",
        "0-5",
        "1-65536",
        "+1-5",
        "a-b",
        "1-2-3",
    ] {
        assert!(value::port_range(text).is_err(), "{text}");
    }
}

#[test]
fn node_port_addresses_are_a_word_a_link_or_a_prefix() {
    let link = |name: &str| Ok(NodePortAddresses::Link(name.to_owned()));
    assert_eq!(
        value::node_port_addresses("primary"),
        Ok(NodePortAddresses::Primary)
    );
    assert_eq!(
        value::node_port_addresses("all"),
        Ok(NodePortAddresses::All)
    );
    assert_eq!(value::node_port_addresses("link:eth0"), link("eth0"));
    assert_eq!(
        value::node_port_addresses("link:abcdefghijklmno"),
        link("abcdefghijklmno")
    );
    assert_eq!(
        value::node_port_addresses("192.0.2.0/24"),
        Ok(NodePortAddresses::Within("192.0.2.0/24".parse().unwrap()))
    );
    for text in [
        "",
        "eth0",
        "link:",
        "link:a/b",
        "link:a b",
        "link:..",
        "link:abcdefghijklmnop",
    ] {
        assert!(value::node_port_addresses(text).is_err(), "{text}");
    }
}

#[test]
fn api_servers_are_urls_of_a_host() {
    for text in [
        "https://192.0.2.10:6443",
        "https://api.example.com",
        "http://[fd00::1]:80/",
        "https://a/",
    ] {
        assert!(value::server(text).is_ok(), "{text}");
    }
    for text in [
        "",
        "192.0.2.10:6443",
        "ftp://a",
        "https://",
        "https://:6443",
        "https://a:0",
        "https://a:",
        "https://a:70000",
        "https://a b",
        "https://[fd00::x]",
        "https://[fd00::1]443",
        "https://u@a",
        "https://a/path",
    ] {
        assert!(value::server(text).is_err(), "{text}");
    }
}

#[test]
fn node_names_are_those_of_kubernetes() {
    assert_eq!(value::node_name(""), Ok(None));
    for text in ["n", "node-1", "ip-10-0-0-1.eu.example.com"] {
        assert_eq!(value::node_name(text), Ok(Some(text.to_owned())), "{text}");
    }
    for text in [
        "Node",
        "-n",
        "n-",
        "a..b",
        "n_1",
        "n 1",
        ".",
        &"a".repeat(254),
    ] {
        assert!(value::node_name(text).is_err(), "{text}");
    }
}
