//! The keys of parts that this version lacks: known by name, so that setting one is an exact
//! error and never silence.

use super::schema::{Key, Kind, Status};

const ROUTING_PART: &str = "routing";
const LBALLOC_PART: &str = "handing out LoadBalancer addresses";
const GRACEFUL_PART: &str = "graceful termination of IPVS destinations";

const fn switch(path: &'static str, part: &'static str, prose: &'static str) -> Key {
    Key {
        path,
        kind: Kind::Bool,
        default: "false",
        status: Status::Switch(part),
        prose,
    }
}

const fn later(
    path: &'static str,
    part: &'static str,
    default: &'static str,
    prose: &'static str,
) -> Key {
    Key {
        path,
        kind: Kind::Unread,
        default,
        status: Status::Later(part),
        prose,
    }
}

const fn routing(path: &'static str, default: &'static str, prose: &'static str) -> Key {
    later(path, ROUTING_PART, default, prose)
}

pub(super) const GRACEFUL_TERMINATION: Key = later(
    "proxy.graceful_termination",
    GRACEFUL_PART,
    "false",
    "Let connections of a removed endpoint end by themselves before it goes.",
);

pub(super) const GRACEFUL_PERIOD: Key = later(
    "proxy.graceful_period",
    GRACEFUL_PART,
    "\"30s\"",
    "How long a removed endpoint is kept when its pod no longer says how long.",
);

pub(super) const HAIRPIN_MODE: Key = later(
    "proxy.hairpin_mode",
    "hairpin traffic",
    "false",
    "Let every pod reach itself through a Service.",
);

pub(super) const RUNTIME_ENDPOINT: Key = later(
    "proxy.runtime_endpoint",
    "direct server return",
    "\"\"",
    "The socket of the container runtime, for direct server return.",
);

pub(super) const PPROF: Key = later(
    "metrics.pprof",
    "profiling over HTTP",
    "false",
    "Serve profiles of the daemon itself.",
);

pub(super) const ROUTING: &[Key] = &[
    switch(
        "routing.enabled",
        ROUTING_PART,
        "Whether routes between nodes are kept.",
    ),
    routing(
        "routing.sync_period",
        "\"5m\"",
        "How often tunnels, rules and sets are repaired.",
    ),
    routing(
        "routing.injected_routes_sync_period",
        "\"60s\"",
        "How often learned routes are put back.",
    ),
    routing(
        "routing.enable_cni",
        "true",
        "Keep the CNI configuration file.",
    ),
    routing(
        "routing.cni_conf_file",
        "\"/etc/cni/net.d/10-kuberouter.conflist\"",
        "The CNI configuration file.",
    ),
    routing(
        "routing.auto_mtu",
        "true",
        "Derive the pods' MTU from the node's link.",
    ),
    routing(
        "routing.enable_pod_egress",
        "true",
        "Masquerade pods' traffic out of the cluster.",
    ),
    routing(
        "routing.enable_overlay",
        "true",
        "Allow tunnels between nodes.",
    ),
    routing(
        "routing.overlay_type",
        "\"subnet\"",
        "Tunnel across subnets only, or always (full).",
    ),
    routing(
        "routing.overlay_encap",
        "\"ipip\"",
        "The encapsulation: ipip or fou.",
    ),
    routing("routing.overlay_encap_port", "5555", "The UDP port of fou."),
    routing(
        "routing.disable_source_dest_check",
        "true",
        "Turn off the source and destination check of EC2.",
    ),
];

pub(super) const BGP: &[Key] = &[
    routing(
        "bgp.port",
        "179",
        "The port on which sessions are accepted.",
    ),
    routing("bgp.cluster_asn", "64512", "The AS number of the cluster."),
    routing(
        "bgp.router_id",
        "\"\"",
        "The router ID. Empty: the node's IPv4 address.",
    ),
    routing("bgp.enable_ibgp", "true", "Peer with the other nodes."),
    routing(
        "bgp.nodes_full_mesh",
        "true",
        "Every node peers with every other node.",
    ),
    routing(
        "bgp.holdtime",
        "\"90s\"",
        "The hold time of sessions with external peers.",
    ),
    routing(
        "bgp.override_nexthop",
        "false",
        "Announce this node as next hop to external peers.",
    ),
    routing(
        "bgp.graceful_restart",
        "false",
        "Negotiate graceful restart with all peers.",
    ),
    routing(
        "bgp.graceful_restart_time",
        "\"90s\"",
        "The restart time that is announced.",
    ),
    routing(
        "bgp.graceful_restart_deferral_time",
        "\"360s\"",
        "How long the choice of routes waits after a restart.",
    ),
    routing(
        "bgp.advertise_cluster_ip",
        "false",
        "Announce ClusterIPs to external peers.",
    ),
    routing(
        "bgp.advertise_external_ip",
        "false",
        "Announce external IPs to external peers.",
    ),
    routing(
        "bgp.advertise_loadbalancer_ip",
        "false",
        "Announce LoadBalancer addresses to external peers.",
    ),
    routing(
        "bgp.advertise_pod_cidr",
        "true",
        "Announce pod ranges to external peers.",
    ),
    routing(
        "bgp.peers",
        "[]",
        "External peers of every node: address, asn, port, password_file and multihop_ttl of each.",
    ),
    routing(
        "bgp.enable_bfd",
        "false",
        "Watch the external peers with BFD.",
    ),
    routing("bgp.bfd_port", "3784", "The UDP port of BFD."),
    routing(
        "bgp.bfd_desired_min_tx_interval",
        "\"1s\"",
        "How often BFD sends.",
    ),
    routing(
        "bgp.bfd_required_min_rx_interval",
        "\"1s\"",
        "How often BFD can receive.",
    ),
    routing(
        "bgp.bfd_detection_multiplier",
        "3",
        "After how many lost messages a peer is down.",
    ),
    routing(
        "bgp.admin_listen",
        "\"127.0.0.1:50051\"",
        "Where the speaker is administered.",
    ),
];

pub(super) const LBALLOC: &[Key] = &[
    switch(
        "lballoc.enabled",
        LBALLOC_PART,
        "Whether this node may hand out addresses.",
    ),
    later(
        "lballoc.default_class",
        LBALLOC_PART,
        "true",
        "Also serve Services without a class or of class default.",
    ),
    later(
        "lballoc.sync_period",
        LBALLOC_PART,
        "\"1m\"",
        "How often all Services are walked.",
    ),
    later(
        "lballoc.identity",
        LBALLOC_PART,
        "\"\"",
        "This node's name in the lease.",
    ),
    later(
        "lballoc.lease_namespace",
        LBALLOC_PART,
        "\"kube-system\"",
        "Where the lease is kept.",
    ),
];
