use super::*;

const MISSING_ASN: &str = "Node n1: metadata.annotations[kube-router.io/node.asn]: missing or wrong, \
                           but bgp.nodes_full_mesh is off: BGP cannot be spoken";

fn router_id(addresses: &[&str], text: &str) -> Option<String> {
    let speaker = World::configured(addresses, text).planned().speaker?;
    Some(speaker.speaker.router_id.to_string())
}

#[test]
fn identifiers_are_the_ipv4_address_a_hash_or_given() {
    let generate = "bgp.router_id = \"generate\"\n";
    for (addresses, text, expected) in [
        (V4, "", Some("10.1.1.1")),
        (DUAL, "", Some("10.1.1.1")),
        (&["fd01:1::1", "10.1.1.1"], "", Some("10.1.1.1")),
        (V6, "", None),
        (V6, "bgp.router_id = \"192.0.2.7\"\n", Some("192.0.2.7")),
        (&["10.0.0.1"], generate, Some("0.15.248.254")),
        (&["2001:db8::1"], generate, Some("110.91.4.244")),
        (&["2001:db8::1", "10.0.0.1"], generate, Some("110.91.4.244")),
    ] {
        assert_eq!(
            router_id(addresses, text).as_deref(),
            expected,
            "{addresses:?} {text}"
        );
    }
    assert_eq!(
        World::new(V6).notes(),
        [
            "Node n1: status.addresses: no IPv4 address to be the BGP identifier: BGP cannot be \
          spoken before bgp.router_id is \"generate\" or an identifier"
        ]
    );
}

#[test]
fn the_as_is_the_clusters_or_the_nodes() {
    let own = |node: &mut Node| node.bgp.asn = Some(65_001);
    let asn = |world: &World| world.planned().speaker.map(|speaker| speaker.speaker.asn);
    let mesh = World::configured(V4, "bgp.cluster_asn = 64600\n").but("n1", own);
    assert_eq!(asn(&mesh), Some(64_600));
    let each = World::configured(V4, "bgp.nodes_full_mesh = false\n");
    assert_eq!(asn(&each), None);
    assert_eq!(each.notes(), [MISSING_ASN]);
    assert_eq!(each.planned().listen, BTreeSet::new());
    assert_eq!(asn(&each.but("n1", own)), Some(65_001));
}

#[test]
fn sessions_are_accepted_where_the_node_the_file_or_the_facts_say() {
    let listen = |world: &World| {
        let listen = world.planned().listen;
        listen.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let annotate = |addresses: &[&str]| {
        let addresses: Vec<IpAddr> = addresses.iter().map(|a| ip(a)).collect();
        move |node: &mut Node| node.bgp.local_addresses = Some(addresses)
    };
    assert_eq!(
        listen(&World::new(DUAL)),
        ["10.1.1.1:179", "[fd01:1::1]:179"]
    );
    let text = "bgp.port = 1790\nbgp.local_addresses = [\"10.9.9.9\"]\n";
    let world = World::configured(DUAL, text);
    assert_eq!(listen(&world), ["10.9.9.9:1790"]);
    let world = world.but("n1", annotate(&["10.8.8.8", "fd08::8"]));
    assert_eq!(listen(&world), ["10.8.8.8:1790", "[fd08::8]:1790"]);

    let world = World::new(V4).but("n1", annotate(&["10.8.8.8", "fd08::8"]));
    assert_eq!(listen(&world), ["10.8.8.8:179"]);
    assert_eq!(
        world.notes(),
        [
            "Node n1: metadata.annotations[kube-router.io/bgp-local-addresses]: fd08::8 is left out: \
          the node has no IPv6 address"
        ]
    );
    assert!(listen(&World::new(V4).but("n1", annotate(&[]))).is_empty());
}
