use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::net::Secret;

impl Files {
    /// A password file beside the main file, with these permissions.
    fn password(self, name: &str, octets: &[u8], mode: u32) -> Self {
        let path = self.directory.path().join(name);
        fs::write(&path, octets).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// The main file anew, `DIR` in it being its directory.
    fn with_main(self, text: &str) -> Self {
        let directory = self.directory.path().display().to_string();
        fs::write(self.main(), text.replace("DIR", &directory)).unwrap();
        self
    }
}

fn bgp(text: &str) -> BgpConfig {
    Files::new(text).load().unwrap().config.bgp
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn routing_is_off_and_has_the_defaults_of_the_original() {
    let config = defaults();
    assert_eq!(
        config.routing,
        RoutingConfig {
            enabled: false,
            sync_period: seconds(300),
            injected_routes_sync_period: seconds(60),
            enable_cni: true,
            cni_conf_file: "/etc/cni/net.d/10-kuberouter.conflist".into(),
            auto_mtu: true,
            enable_pod_egress: true,
            enable_overlay: true,
            overlay_type: OverlayType::Subnet,
            overlay_encap: OverlayEncap::Ipip,
            overlay_encap_port: 5555,
        }
    );
    let bfd = BfdConfig {
        enabled: false,
        port: 3784,
        desired_min_tx: seconds(1),
        required_min_rx: seconds(1),
        multiplier: 3,
    };
    assert_eq!(
        config.bgp,
        BgpConfig {
            port: 179,
            cluster_asn: 64512,
            router_id: RouterId::Auto,
            local_addresses: vec![],
            enable_ibgp: true,
            nodes_full_mesh: true,
            mesh_password: None,
            enable_mesh_bfd: false,
            holdtime: 90,
            override_nexthop: false,
            graceful_restart: false,
            graceful_restart_time: seconds(90),
            graceful_restart_deferral_time: seconds(360),
            long_lived_stale_time: None,
            advertise_cluster_ip: false,
            advertise_external_ip: false,
            advertise_loadbalancer_ip: false,
            advertise_pod_cidr: true,
            bfd,
            peers: vec![],
            listen: vec![],
        }
    );
}

#[test]
fn a_peer_that_says_nothing_has_what_the_section_says() {
    let peers = "holdtime = \"30s\"\ngraceful_restart = true\nenable_bfd = true\n\
                 bfd_detection_multiplier = 5\n\
                 [[bgp.peer]]\naddress = \"192.0.2.1\"\nasn = 64513\n\
                 [[bgp.peer]]\naddress = \"192.0.2.2\"\nasn = 64514\nmultihop_ttl = 3\n\
                 holdtime = \"0s\"\ngraceful_restart = false\nbfd_detection_multiplier = 2\n";
    let config = bgp(&format!("[bgp]\n{peers}"));
    let [near, far] = config.peers.as_slice() else {
        panic!("{:?}", config.peers)
    };
    assert_eq!((near.port, near.asn, near.passive), (179, 64513, false));
    assert_eq!(near.session, config.session());
    assert_eq!(near.session.holdtime, 30);
    assert!(near.session.graceful_restart && near.session.bfd.enabled);
    assert_eq!(
        (near.session.bfd.port, near.session.bfd.multiplier),
        (3784, 5)
    );
    assert_eq!(far.session.hops, BgpHops::Multihop(3));
    assert_eq!(far.session.holdtime, 0);
    assert!(!far.session.graceful_restart && far.session.bfd.enabled);
    assert_eq!(
        (far.session.bfd.port, far.session.bfd.multiplier),
        (4784, 2)
    );
}

#[test]
fn every_field_of_a_peer_and_of_a_range_is_taken() {
    let session = "local_address = \"192.0.2.10\"\nttl_security = 1\nholdtime = \"9s\"\n\
                   keepalive = \"3s\"\nmax_prefixes = 1000\nmax_prefixes_restart = \"30m\"\n\
                   import_default_route = true\nimport_martians = true\nlocal_preference = 200\n\
                   med = 4294967295\noverride_nexthop = true\ngraceful_restart = true\n\
                   add_path = true\nenforce_first_as = false\nenable_bfd = true\n\
                   bfd_port = 4000\nbfd_desired_min_tx_interval = \"100ms\"\n\
                   bfd_required_min_rx_interval = \"50ms\"\nbfd_detection_multiplier = 4\n\
                   password_file = \"DIR/password\"\n";
    let files = Files::new("")
        .password("password", b"pass word\r\n", 0o400)
        .with_main(&format!(
            "[[bgp.peer]]\naddress = \"192.0.2.1\"\nasn = 4200000000\nport = 1790\n\
             passive = true\nshutdown = \"noon\"\n{session}\
             [[bgp.listen]]\nprefix = \"192.0.2.0/28\"\nasn = 64513\nlimit = 7\n{session}"
        ));
    let config = files.load().unwrap().config.bgp;
    let session = BgpSession {
        local_address: Some("192.0.2.10".parse().unwrap()),
        password: Some(Secret::new(b"pass word")),
        hops: BgpHops::Security(1),
        holdtime: 9,
        keepalive: Some(seconds(3)),
        max_prefixes: Some(1000),
        max_prefixes_restart: Some(seconds(1800)),
        import_default_route: true,
        import_martians: true,
        local_preference: Some(200),
        med: Some(u32::MAX),
        override_nexthop: true,
        graceful_restart: true,
        add_path: true,
        enforce_first_as: false,
        bfd: BfdConfig {
            enabled: true,
            port: 4000,
            desired_min_tx: Duration::from_millis(100),
            required_min_rx: Duration::from_millis(50),
            multiplier: 4,
        },
    };
    assert_eq!(
        config.peers,
        [BgpPeer {
            address: "192.0.2.1".parse().unwrap(),
            asn: 4_200_000_000,
            port: 1790,
            passive: true,
            shutdown: Some("noon".to_owned()),
            session: session.clone(),
        }]
    );
    assert_eq!(
        config.listen,
        [BgpListen {
            prefix: "192.0.2.0/28".parse().unwrap(),
            asn: Some(64513),
            limit: 7,
            session,
        }]
    );
    assert!(!format!("{config:?}").contains("pass word"));
}

#[test]
fn the_fields_of_the_schema_are_those_that_are_read() {
    for (path, least) in [
        ("bgp.peer", "address = \"192.0.2.1\"\nasn = 64513\n"),
        ("bgp.listen", "prefix = \"192.0.2.0/24\"\n"),
    ] {
        let Some(Key {
            kind: Kind::Tables(fields),
            ..
        }) = find(path)
        else {
            panic!("{path} is no list of tables")
        };
        let without = Files::new(&format!("[[{path}]]\n{least}")).load().unwrap();
        for field in *fields {
            let value = file::value_of(field.example);
            assert_eq!(value::faults(field.kind, &value), [], "{}", field.name);
            if field.name == "password_file" || least.contains(field.name) {
                continue;
            }
            // Each does something: its example is not what is meant without it, or it is a
            // default that is written out.
            let text = format!("[[{path}]]\n{least}{} = {}\n", field.name, field.example);
            let config = Files::new(&text).load().unwrap().config;
            let Absent::Means(words) = field.absent else {
                panic!("{} is missing above", field.name)
            };
            let is_default = words == field.example
                || words.starts_with("bgp.")
                || ["a third", "the node's", "100,"]
                    .iter()
                    .any(|start| words.starts_with(start));
            assert!(
                is_default || config.bgp != without.config.bgp,
                "{path}: {} changes nothing",
                field.name
            );
        }
    }
}

#[test]
fn router_ids_are_the_nodes_generated_or_given() {
    let of = |text: &str| bgp(&format!("[bgp]\nrouter_id = {text}\n")).router_id;
    assert_eq!(of("\"\""), RouterId::Auto);
    assert_eq!(of("\"generate\""), RouterId::Generate);
    assert_eq!(
        of("\"192.0.2.7\""),
        RouterId::Fixed("192.0.2.7".parse().unwrap())
    );
}

#[test]
fn peers_of_a_later_file_replace_those_of_an_earlier_one() {
    let peer = |address: &str| format!("[[bgp.peer]]\naddress = \"{address}\"\nasn = 64513\n");
    let files = Files::new(&(peer("192.0.2.1") + &peer("192.0.2.2")))
        .drop_in("10-site.toml", &peer("192.0.2.3"));
    let config = files.load().unwrap().config.bgp;
    assert_eq!(config.peers.len(), 1);
    assert_eq!(config.peers[0].address.to_string(), "192.0.2.3");

    let files = files.drop_in("20-site.toml", &(peer("192.0.2.4") + &peer("192.0.2.4")));
    assert_eq!(
        files.problems(),
        [
            "config.d/20-site.toml:5:1: bgp.peer[1].address = \"192.0.2.4\": there is a peer of \
             this address already"
        ]
    );
}

#[test]
fn peers_can_be_said_by_a_variable() {
    let set = |value: &str| with_environment(&[("KUBE_ROUTER_BGP__PEER", value)]);
    let config = set("[{ address = \"192.0.2.1\", asn = 64513 }]")
        .unwrap()
        .config;
    assert_eq!(config.bgp.peers.len(), 1);
    let problems = set("[{ address = \"192.0.2.1\", asn = 0 }]").unwrap_err();
    assert!(
        problems
            .to_string()
            .starts_with("KUBE_ROUTER_BGP__PEER: bgp.peer[0].asn = 0: expected an AS number"),
        "{problems}"
    );
    assert!(set("192.0.2.1").is_err());
    let port = with_environment(&[("KUBE_ROUTER_BGP__PORT", "1790")]).unwrap();
    assert_eq!(port.config.bgp.port, 1790);
}

#[test]
fn all_mistakes_of_the_sections_are_told_with_their_places() {
    let files = Files::new(
        "[routing]\n\
         overlay_type = \"none\"\n\
         overlay_encap_port = 80\n\
         disable_source_dest_check = false\n\
         [bgp]\n\
         port = 0\n\
         cluster_asn = 65535\n\
         router_id = \"0.0.0.0\"\n\
         holdtime = \"2s\"\n\
         graceful_restart_time = \"4096s\"\n\
         bfd_desired_min_tx_interval = \"1500us\"\n\
         admin_listen = \"127.0.0.1:50051\"\n\
         [[bgp.peer]]\n\
         adress = \"192.0.2.1\"\n\
         asn = 23456\n\
         local_address = \"fe80::1\"\n",
    );
    let expected = [
        "config.toml:2:1: routing.overlay_type = \"none\": expected one of \"subnet\", \"full\"",
        "config.toml:3:1: routing.overlay_encap_port = 80: expected a number from 1024 to 65535",
        "config.toml:4:1: routing.disable_source_dest_check: turning off EC2's source and \
         destination check, which bare metal does not have, is not part of version 0.1.0; remove \
         the key",
        "config.toml:6:1: bgp.port = 0: expected a number from 1 to 65535",
        "config.toml:7:1: bgp.cluster_asn = 65535: expected an AS number for private use: 64512 \
         to 65534, or 4200000000 to 4294967294",
        "config.toml:8:1: bgp.router_id = \"0.0.0.0\": 0.0.0.0 is no BGP identifier; expected an \
         IPv4 address such as \"192.0.2.1\", \"generate\", or \"\" for the node's own",
        "config.toml:9:1: bgp.holdtime = \"2s\": expected whole seconds from \"3s\" to \"65535s\", \
         or \"0s\" for none",
        "config.toml:10:1: bgp.graceful_restart_time = \"4096s\": expected whole seconds from \
         \"1s\" to \"4095s\"",
        "config.toml:11:1: bgp.bfd_desired_min_tx_interval = \"1500us\": expected whole \
         milliseconds from \"1ms\" to \"4294967ms\"",
        "config.toml:12:1: bgp.admin_listen: unknown key",
        "config.toml:14:1: bgp.peer[0].adress = \"192.0.2.1\": unknown key; did you mean address?",
        "config.toml:15:1: bgp.peer[0].asn = 23456: expected an AS number that is not reserved: \
         1 to 23455, 23457 to 63999, 64512 to 65534, or 131072 to 4294967294",
        "config.toml:16:1: bgp.peer[0].local_address = \"fe80::1\": fe80::1 is link-local; \
         expected an address such as \"192.0.2.1\" or \"2001:db8::1\"",
        "config.toml:13:1: bgp.peer[0] = [[bgp.peer]]: address is missing; expected an address \
         such as \"192.0.2.1\" or \"2001:db8::1\"",
    ];
    assert_eq!(files.problems(), expected);
}

#[test]
fn numbers_of_autonomous_systems_are_private_for_the_cluster_and_real_for_peers() {
    let private = |number| Integer::PrivateAsn.accepts(number);
    let peer = |number| Integer::PeerAsn.accepts(number);
    for (number, of_cluster, of_peer) in [
        (0, false, false),
        (1, false, true),
        (23_455, false, true),
        (23_456, false, false),
        (63_999, false, true),
        (64_000, false, false),
        (64_511, false, false),
        (64_512, true, true),
        (65_534, true, true),
        (65_535, false, false),
        (131_071, false, false),
        (131_072, false, true),
        (4_199_999_999, false, true),
        (4_200_000_000, true, true),
        (4_294_967_294, true, true),
        (4_294_967_295, false, false),
        (-1, false, false),
    ] {
        assert_eq!(
            (private(number), peer(number)),
            (of_cluster, of_peer),
            "{number}"
        );
    }
}

#[test]
fn rules_between_the_fields_of_a_peer_name_the_field() {
    let peer = "[[bgp.peer]]\naddress = \"192.0.2.1\"\nasn = 64513\n";
    let of_peer = |text: &str| format!("{peer}{text}\n");
    for (text, expected) in [
        (
            of_peer("multihop_ttl = 2\nttl_security = 1"),
            "config.toml:5:1: bgp.peer[0].ttl_security = 1: expected one of this and multihop_ttl",
        ),
        (
            of_peer("keepalive = \"31s\""),
            "config.toml:4:1: bgp.peer[0].keepalive = \"31s\": expected at most a third of the \
             hold time of 90s",
        ),
        (
            of_peer("local_address = \"fd00::1\""),
            "config.toml:4:1: bgp.peer[0].local_address = \"fd00::1\": expected an IPv4 address, \
             as the peer has",
        ),
        (
            "[[bgp.peer]]\naddress = \"fd00::1\"\nasn = 64513\n".to_owned(),
            "config.toml:2:1: bgp.peer[0].address = \"fd00::1\": IPv6 is turned off by \
             node.enable_ipv6",
        ),
        (
            "[[bgp.listen]]\nprefix = \"fd00::/64\"\n".to_owned(),
            "config.toml:2:1: bgp.listen[0].prefix = \"fd00::/64\": IPv6 is turned off by \
             node.enable_ipv6",
        ),
        (
            "[bgp]\nlocal_addresses = [\"fd00::1\"]\n".to_owned(),
            "config.toml:2:1: bgp.local_addresses = [\"fd00::1\"]: fd00::1 is IPv6, which \
             node.enable_ipv6 turns off",
        ),
        (
            "[routing]\ncni_conf_file = \"\"\n".to_owned(),
            "config.toml:2:1: routing.cni_conf_file = \"\": expected a path, or \
             routing.enable_cni turned off",
        ),
        (
            "[bgp]\npeer = [3]\n".to_owned(),
            "config.toml:2:9: bgp.peer[0] = 3: expected a table",
        ),
    ] {
        assert_eq!(Files::new(&text).problems(), [expected], "{text}");
    }
}

#[test]
fn password_files_must_be_their_owners_alone() {
    let peer = "[[bgp.peer]]\naddress = \"192.0.2.1\"\nasn = 64513\n\
                password_file = \"DIR/p\"\n";
    let problems = |octets: &[u8], mode| {
        let files = Files::new("").password("p", octets, mode).with_main(peer);
        files.problems().concat()
    };
    let prefix = "config.toml:4:1: bgp.peer[0].password_file = ";
    for (octets, mode, end) in [
        (
            &b"x"[..],
            0o640,
            "p is open to others (mode 0640); expected a file of its owner alone (chmod 600)",
        ),
        (
            b"x",
            0o604,
            "p is open to others (mode 0604); expected a file of its owner alone (chmod 600)",
        ),
        (b"\n", 0o600, "p is empty; expected a password"),
        (
            &[b'x'; 81],
            0o600,
            "p is too long; expected at most 80 octets",
        ),
    ] {
        let said = problems(octets, mode);
        assert!(said.starts_with(prefix) && said.ends_with(end), "{said}");
    }
    let mut longest = vec![b'x'; 80];
    longest.extend(b"\r\n");
    let files = Files::new("")
        .password("p", &longest, 0o600)
        .with_main(peer);
    assert!(files.load().is_ok());

    let said = Files::new("[bgp]\nmesh_password_file = \"/nonexistent/password\"\n").problems();
    assert_eq!(said.len(), 1);
    assert!(
        said[0].contains("/nonexistent/password cannot be read: No such file"),
        "{said:?}"
    );
}

#[test]
fn a_running_daemon_takes_up_all_but_whether_it_routes() {
    let before = defaults();
    let of = |text: &str| {
        let config = Files::new(text).load().unwrap().config;
        before.restart_needed(&config)
    };
    assert_eq!(of("[routing]\nenabled = true\n"), ["routing.enabled"]);
    assert!(
        of(
            "[routing]\noverlay_type = \"full\"\n[bgp]\ncluster_asn = 64600\nport = 1790\n\
             local_addresses = [\"192.0.2.1\"]\nholdtime = \"9s\"\n\
            [[bgp.peer]]\naddress = \"192.0.2.1\"\nasn = 64513\n"
        )
        .is_empty()
    );
}
