//! The keys of `[routing]` and `[bgp]`, and the fields of `[[bgp.peer]]` and `[[bgp.listen]]`.

use super::later;
use super::schema::{Absent, Field, Integer, Key, Kind, Status, Text};
use super::span;

const OVERLAY_TYPES: &[&str] = &["subnet", "full"];
const OVERLAY_ENCAPS: &[&str] = &["ipip", "fou"];

const PORT: Kind = Kind::Integer(Integer::Within(1, 65_535));
/// RFC 8085 section 5.4 leaves the ports below to well-known services; so does the original.
const ENCAP_PORT: Kind = Kind::Integer(Integer::Within(1024, 65_535));
const MULTIPLIER: Kind = Kind::Integer(Integer::Within(1, 255));
const ATTRIBUTE: Kind = Kind::Integer(Integer::Within(0, 4_294_967_295));
const COUNT: Kind = Kind::Integer(Integer::Within(1, 4_294_967_295));
const PERIOD: Kind = Kind::Text(Text::Period);
const PATH: Kind = Kind::Text(Text::Path);
const ADDRESS: Kind = Kind::Text(Text::Address);
const BFD_INTERVAL: Kind = Kind::Text(Text::Span(&span::BFD_INTERVAL));
const HOLD_TIME: Kind = Kind::Text(Text::Span(&span::HOLD_TIME));

const fn key(path: &'static str, kind: Kind, default: &'static str, prose: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        status: Status::InForce,
        prose,
    }
}

const fn field(
    name: &'static str,
    kind: Kind,
    example: &'static str,
    absent: &'static str,
    prose: &'static str,
) -> Field {
    Field {
        name,
        kind,
        example,
        absent: Absent::Means(absent),
        prose,
    }
}

const fn required(
    name: &'static str,
    kind: Kind,
    example: &'static str,
    prose: &'static str,
) -> Field {
    Field {
        name,
        kind,
        example,
        absent: Absent::Refused,
        prose,
    }
}

pub(super) const ROUTING: &[Key] = &[
    key(
        "routing.enabled",
        Kind::Bool,
        "false",
        "Whether this node routes between the nodes' pods and speaks BGP. Changes need a restart.",
    ),
    key(
        "routing.sync_period",
        PERIOD,
        "\"5m\"",
        "How often tunnels, rules and sets are read back and repaired. Changes of the cluster are \
         applied at once all the same.",
    ),
    key(
        "routing.injected_routes_sync_period",
        PERIOD,
        "\"60s\"",
        "How often learned routes are read back and repaired. One that somebody deletes comes \
         back at once all the same.",
    ),
    key(
        "routing.enable_cni",
        Kind::Bool,
        "true",
        "Keep the pod ranges, and the MTU, in the CNI configuration file.",
    ),
    key(
        "routing.cni_conf_file",
        PATH,
        "\"/etc/cni/net.d/10-kuberouter.conflist\"",
        "The CNI configuration file. Keys that are not kube-router's are kept.",
    ),
    key(
        "routing.auto_mtu",
        Kind::Bool,
        "true",
        "Derive the pods' MTU from the node's link, less what tunnels add.",
    ),
    key(
        "routing.enable_pod_egress",
        Kind::Bool,
        "true",
        "Masquerade what pods send out of the cluster.",
    ),
    key(
        "routing.enable_overlay",
        Kind::Bool,
        "true",
        "Allow tunnels between nodes.",
    ),
    key(
        "routing.overlay_type",
        Kind::Text(Text::Choice(OVERLAY_TYPES)),
        "\"subnet\"",
        "subnet: tunnels only to nodes of other subnets. full: tunnels to all nodes.",
    ),
    key(
        "routing.overlay_encap",
        Kind::Text(Text::Choice(OVERLAY_ENCAPS)),
        "\"ipip\"",
        "The encapsulation, the same on all nodes: ipip, or fou (in UDP).",
    ),
    key(
        "routing.overlay_encap_port",
        ENCAP_PORT,
        "5555",
        "The UDP port of fou, the same on all nodes.",
    ),
    later::DISABLE_SOURCE_DEST_CHECK,
];

pub(super) const BGP: &[Key] = &[
    key(
        "bgp.port",
        PORT,
        "179",
        "The TCP port on which sessions are accepted, and that of the other nodes.",
    ),
    key(
        "bgp.cluster_asn",
        Kind::Integer(Integer::PrivateAsn),
        "64512",
        "The AS number of all nodes where nodes_full_mesh is on. Off, each node has that of its \
         annotation kube-router.io/node.asn.",
    ),
    key(
        "bgp.router_id",
        Kind::Text(Text::RouterId),
        "\"\"",
        "The BGP identifier. Empty: the node's IPv4 address, which it must have then. generate: \
         derived from the node's address of either family.",
    ),
    key(
        "bgp.local_addresses",
        Kind::List(Text::Address),
        "[]",
        "The addresses on which sessions are accepted. Empty: the node's address of each family. \
         The annotation kube-router.io/bgp-local-addresses overrides it.",
    ),
    key(
        "bgp.enable_ibgp",
        Kind::Bool,
        "true",
        "Peer with the other nodes.",
    ),
    key(
        "bgp.nodes_full_mesh",
        Kind::Bool,
        "true",
        "Peer with every other node, in one AS. Off, with those of the same annotated AS.",
    ),
    key(
        "bgp.mesh_password_file",
        PATH,
        "\"\"",
        "A file with the TCP MD5 password of all sessions between nodes, readable by its owner \
         alone. Empty: no password.",
    ),
    key(
        "bgp.enable_mesh_bfd",
        Kind::Bool,
        "false",
        "Watch the other nodes with BFD.",
    ),
    key(
        "bgp.holdtime",
        HOLD_TIME,
        "\"90s\"",
        "The hold time that is proposed to all peers; the smaller of both sides' counts.",
    ),
    key(
        "bgp.override_nexthop",
        Kind::Bool,
        "false",
        "Announce the session's own address as next hop to external peers, rather than the node's \
         address of the route's family.",
    ),
    key(
        "bgp.graceful_restart",
        Kind::Bool,
        "false",
        "Negotiate graceful restart with all peers, and keep routes over a restart.",
    ),
    key(
        "bgp.graceful_restart_time",
        Kind::Text(Text::Span(&span::RESTART_TIME)),
        "\"90s\"",
        "How long peers are asked to wait for us.",
    ),
    key(
        "bgp.graceful_restart_deferral_time",
        Kind::Text(Text::Span(&span::DEFERRAL_TIME)),
        "\"360s\"",
        "How long after a restart routes are chosen at the latest, all peers told or not.",
    ),
    key(
        "bgp.long_lived_stale_time",
        Kind::Text(Text::Span(&span::LONG_LIVED_TIME)),
        "\"0s\"",
        "How long peers are asked to keep our routes as a last resort after the restart time \
         (RFC 9494). Zero: not at all.",
    ),
    key(
        "bgp.advertise_cluster_ip",
        Kind::Bool,
        "false",
        "Announce ClusterIPs to external peers, unless the Service's annotation \
         kube-router.io/service.advertise.clusterip says otherwise.",
    ),
    key(
        "bgp.advertise_external_ip",
        Kind::Bool,
        "false",
        "Announce externalIPs to external peers, unless the Service's annotation \
         kube-router.io/service.advertise.externalip says otherwise.",
    ),
    key(
        "bgp.advertise_loadbalancer_ip",
        Kind::Bool,
        "false",
        "Announce LoadBalancer addresses to external peers, unless the Service's annotation \
         kube-router.io/service.advertise.loadbalancerip says otherwise.",
    ),
    key(
        "bgp.advertise_pod_cidr",
        Kind::Bool,
        "true",
        "Announce this node's pod ranges to external peers. Other nodes are always told.",
    ),
    key(
        "bgp.enable_bfd",
        Kind::Bool,
        "false",
        "Watch the external peers with BFD.",
    ),
    key("bgp.bfd_port", PORT, "3784", "The UDP port of BFD."),
    key(
        "bgp.bfd_desired_min_tx_interval",
        BFD_INTERVAL,
        "\"1s\"",
        "How often BFD sends.",
    ),
    key(
        "bgp.bfd_required_min_rx_interval",
        BFD_INTERVAL,
        "\"1s\"",
        "How often BFD can receive.",
    ),
    key(
        "bgp.bfd_detection_multiplier",
        MULTIPLIER,
        "3",
        "After how many lost messages a peer is down.",
    ),
    key(
        "bgp.peer",
        Kind::Tables(PEER),
        "[]",
        "External peers of this node, each in a section [[bgp.peer]] of its own. With any here, \
         the peers of the node's annotations are passed over.",
    ),
    key(
        "bgp.listen",
        Kind::Tables(LISTEN),
        "[]",
        "Prefixes from which peers that nobody listed may connect, each in a section \
         [[bgp.listen]] of its own. We never connect to them.",
    ),
];

const PORT_OF_PEER: Field = field("port", PORT, "179", "179", "The TCP port of the peer.");
const LOCAL_ADDRESS: Field = field(
    "local_address",
    ADDRESS,
    "\"192.0.2.10\"",
    "the node's address of the peer's family",
    "Our own address of the session.",
);
const PASSWORD_FILE: Field = field(
    "password_file",
    PATH,
    "\"/etc/kube-router/peer.password\"",
    "no password",
    "A file with the TCP MD5 password of 1 to 80 octets, readable by its owner alone. A line break \
     at the end does not count.",
);
const MULTIHOP_TTL: Field = field(
    "multihop_ttl",
    Kind::Integer(Integer::Within(1, 255)),
    "2",
    "1, the peer is on the link",
    "The TTL of what is sent to an external peer.",
);
const TTL_SECURITY: Field = field(
    "ttl_security",
    Kind::Integer(Integer::Within(1, 254)),
    "1",
    "what comes from anywhere is taken",
    "Take only what comes from at most so many hops away (RFC 5082). The peer must send with a \
     TTL of 255. Not together with multihop_ttl.",
);
const HOLDTIME: Field = field(
    "holdtime",
    HOLD_TIME,
    "\"90s\"",
    "bgp.holdtime",
    "The hold time that is proposed.",
);
const KEEPALIVE: Field = field(
    "keepalive",
    Kind::Text(Text::Span(&span::KEEPALIVE)),
    "\"30s\"",
    "a third of the hold time, which is also the most",
    "How often a KEEPALIVE is sent.",
);
const MAX_PREFIXES: Field = field(
    "max_prefixes",
    COUNT,
    "1000",
    "any number",
    "How many prefixes of each family the peer may announce. With one more the session ends.",
);
const MAX_PREFIXES_RESTART: Field = field(
    "max_prefixes_restart",
    PERIOD,
    "\"30m\"",
    "until an operator says so",
    "How long to stay away from a peer that announced too many.",
);
const IMPORT_DEFAULT_ROUTE: Field = field(
    "import_default_route",
    Kind::Bool,
    "true",
    "false",
    "Take default routes from the peer.",
);
const IMPORT_MARTIANS: Field = field(
    "import_martians",
    Kind::Bool,
    "true",
    "false",
    "Take prefixes from the peer that can't be anybody's: loopback, link-local, multicast and \
     reserved ones.",
);
const LOCAL_PREFERENCE: Field = field(
    "local_preference",
    ATTRIBUTE,
    "100",
    "100, or what an internal peer says",
    "The preference of the peer's routes; the highest wins.",
);
const MED: Field = field(
    "med",
    ATTRIBUTE,
    "0",
    "none",
    "The metric that our routes are announced with.",
);
const GRACEFUL_RESTART: Field = field(
    "graceful_restart",
    Kind::Bool,
    "true",
    "bgp.graceful_restart",
    "Negotiate graceful restart.",
);
const OVERRIDE_NEXTHOP: Field = field(
    "override_nexthop",
    Kind::Bool,
    "true",
    "bgp.override_nexthop",
    "Announce the session's own address as next hop.",
);
const ADD_PATH: Field = field(
    "add_path",
    Kind::Bool,
    "true",
    "false",
    "Take several paths for each prefix (RFC 7911).",
);
const ENFORCE_FIRST_AS: Field = field(
    "enforce_first_as",
    Kind::Bool,
    "false",
    "true",
    "Refuse routes whose path does not start with the peer's AS. A route server needs false.",
);
const BFD: Field = field(
    "enable_bfd",
    Kind::Bool,
    "true",
    "bgp.enable_bfd",
    "Watch the peer with BFD.",
);
const BFD_PORT: Field = field(
    "bfd_port",
    PORT,
    "3784",
    "bgp.bfd_port, or 4784 with multihop_ttl where that is 3784",
    "The UDP port of the peer's BFD.",
);
const BFD_TX: Field = field(
    "bfd_desired_min_tx_interval",
    BFD_INTERVAL,
    "\"1s\"",
    "bgp.bfd_desired_min_tx_interval",
    "How often BFD sends.",
);
const BFD_RX: Field = field(
    "bfd_required_min_rx_interval",
    BFD_INTERVAL,
    "\"1s\"",
    "bgp.bfd_required_min_rx_interval",
    "How often BFD can receive.",
);
const BFD_MULTIPLIER: Field = field(
    "bfd_detection_multiplier",
    MULTIPLIER,
    "3",
    "bgp.bfd_detection_multiplier",
    "After how many lost messages the peer is down.",
);

const PEER: &[Field] = &[
    required(
        "address",
        ADDRESS,
        "\"192.0.2.1\"",
        "The address of the peer.",
    ),
    required(
        "asn",
        Kind::Integer(Integer::PeerAsn),
        "64513",
        "The AS number of the peer.",
    ),
    PORT_OF_PEER,
    LOCAL_ADDRESS,
    PASSWORD_FILE,
    MULTIHOP_TTL,
    TTL_SECURITY,
    HOLDTIME,
    KEEPALIVE,
    field(
        "passive",
        Kind::Bool,
        "true",
        "false",
        "Never connect, but wait for the peer to do so.",
    ),
    field(
        "shutdown",
        Kind::Text(Text::Shutdown),
        "\"maintenance until noon\"",
        "the session is up",
        "Keep the session down, and tell the peer these words (RFC 9003).",
    ),
    MAX_PREFIXES,
    MAX_PREFIXES_RESTART,
    IMPORT_DEFAULT_ROUTE,
    IMPORT_MARTIANS,
    LOCAL_PREFERENCE,
    MED,
    OVERRIDE_NEXTHOP,
    GRACEFUL_RESTART,
    ADD_PATH,
    ENFORCE_FIRST_AS,
    BFD,
    BFD_PORT,
    BFD_TX,
    BFD_RX,
    BFD_MULTIPLIER,
];

const LISTEN: &[Field] = &[
    required(
        "prefix",
        Kind::Text(Text::Prefix),
        "\"192.0.2.0/24\"",
        "Where the peers connect from. The longest prefix counts.",
    ),
    field(
        "asn",
        Kind::Integer(Integer::PeerAsn),
        "64513",
        "any AS but our own",
        "The AS number of the peers.",
    ),
    field(
        "limit",
        Kind::Integer(Integer::Within(1, 65_535)),
        "100",
        "100",
        "How many peers there may be at a time.",
    ),
    LOCAL_ADDRESS,
    PASSWORD_FILE,
    MULTIHOP_TTL,
    TTL_SECURITY,
    HOLDTIME,
    KEEPALIVE,
    MAX_PREFIXES,
    MAX_PREFIXES_RESTART,
    IMPORT_DEFAULT_ROUTE,
    IMPORT_MARTIANS,
    LOCAL_PREFERENCE,
    MED,
    OVERRIDE_NEXTHOP,
    GRACEFUL_RESTART,
    ADD_PATH,
    ENFORCE_FIRST_AS,
    BFD,
    BFD_PORT,
    BFD_TX,
    BFD_RX,
    BFD_MULTIPLIER,
];
