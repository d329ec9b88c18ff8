//! The sections and keys that this version acts on.

use super::keys_routing;
use super::later;
use super::schema::{Key, Kind, Section, Status, Text};

const LOG_LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];
const LOG_TARGETS: &[&str] = &["auto", "journal", "stderr"];
const BACKENDS: &[&str] = &["auto", "iptables", "nftables"];
const ESTABLISHED: &[&str] = &["keep", "recheck"];

/// Where the kubeconfig is looked for by default.
pub(super) const DEFAULT_KUBECONFIG: &str = "/etc/kube-router/kubeconfig";

pub(super) const SECTIONS: &[Section] = &[
    Section {
        name: "node",
        prose: "Who this node is. Changes need a restart.",
        keys: NODE,
    },
    Section {
        name: "cluster",
        prose: "Where the cluster's objects come from, and the address ranges it uses.",
        keys: CLUSTER,
    },
    Section {
        name: "proxy",
        prose: "Services: virtual servers in IPVS on this node.",
        keys: PROXY,
    },
    Section {
        name: "netpol",
        prose: "NetworkPolicies of the pods on this node.",
        keys: NETPOL,
    },
    Section {
        name: "routing",
        prose: "Routes, tunnels and addresses between the nodes' pods.",
        keys: keys_routing::ROUTING,
    },
    Section {
        name: "bgp",
        prose: "BGP sessions, and what they advertise.",
        keys: keys_routing::BGP,
    },
    Section {
        name: "lballoc",
        prose: "Handing out addresses to Services of type LoadBalancer.",
        keys: later::LBALLOC,
    },
    Section {
        name: "health",
        prose: "The pages /healthz and /readyz.",
        keys: HEALTH,
    },
    Section {
        name: "control",
        prose: "The local socket that \"kube-router bgp\" asks.",
        keys: CONTROL,
    },
    Section {
        name: "metrics",
        prose: "Metrics for Prometheus.",
        keys: METRICS,
    },
    Section {
        name: "log",
        prose: "What is logged, and where to.",
        keys: LOG,
    },
];

/// A key that this version acts on.
const fn key(path: &'static str, kind: Kind, default: &'static str, prose: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        status: Status::InForce,
        prose,
    }
}

const NODE: &[Key] = &[
    key(
        "node.name",
        Kind::Text(Text::NodeName),
        "\"\"",
        "The name of this node's Node object. Empty: the host name of the operating system.",
    ),
    key(
        "node.enable_ipv4",
        Kind::Bool,
        "true",
        "Whether IPv4 takes part. The node must have an IPv4 address.",
    ),
    key(
        "node.enable_ipv6",
        Kind::Bool,
        "false",
        "Whether IPv6 takes part. The node must have an IPv6 address, and \
         cluster.service_cluster_ip_range usually needs an IPv6 range.",
    ),
];

const CLUSTER: &[Key] = &[
    key(
        "cluster.kubeconfig",
        Kind::Text(Text::Path),
        "\"/etc/kube-router/kubeconfig\"",
        "The kubeconfig with which the API server is reached. Not together with \
         cluster.manifests.",
    ),
    key(
        "cluster.api_servers",
        Kind::List(Text::Server),
        "[]",
        "API servers that replace the kubeconfig's server and are tried in turn, such as \
         [\"https://192.0.2.10:6443\", \"https://192.0.2.11:6443\"].",
    ),
    key(
        "cluster.manifests",
        Kind::Text(Text::Path),
        "\"\"",
        "A directory of YAML files that takes the place of an API server; changes are picked up \
         at once. Empty: use the kubeconfig.",
    ),
    key(
        "cluster.cache_sync_timeout",
        Kind::Text(Text::Period),
        "\"1m\"",
        "How long the first lists of the cluster's objects may take before the start is reported \
         as late. The daemon goes on trying.",
    ),
    key(
        "cluster.service_cluster_ip_range",
        Kind::List(Text::Prefix),
        "[\"10.96.0.0/12\"]",
        "The ranges of ClusterIPs, one for each family in use, as the API server has them.",
    ),
    key(
        "cluster.service_external_ip_range",
        Kind::List(Text::Prefix),
        "[]",
        "Ranges in which the externalIPs of Services must lie. With strict validation and no \
         range, none are accepted.",
    ),
    key(
        "cluster.loadbalancer_ip_range",
        Kind::List(Text::Prefix),
        "[]",
        "Ranges in which the addresses of LoadBalancer Services must lie. With strict validation \
         and no range, none are accepted.",
    ),
    key(
        "cluster.service_node_port_range",
        Kind::Text(Text::PortRange),
        "\"30000-32767\"",
        "The ports from which NodePorts are taken, as the API server has them.",
    ),
    key(
        "cluster.strict_external_ip_validation",
        Kind::Bool,
        "true",
        "Refuse external and LoadBalancer addresses outside the ranges above or inside the \
         ClusterIPs'. Whoever may write a Service could otherwise take over any address.",
    ),
];

const PROXY: &[Key] = &[
    key(
        "proxy.enabled",
        Kind::Bool,
        "true",
        "Whether this node proxies Services at all.",
    ),
    key(
        "proxy.node_port_addresses",
        Kind::List(Text::NodePortAddress),
        "[\"primary\"]",
        "Where NodePorts answer: \"primary\" (the node's own address of each family), \"all\", \
         \"link:NAME\" for a link's addresses, or a CIDR.",
    ),
    key(
        "proxy.masquerade_all",
        Kind::Bool,
        "false",
        "Give every connection through a Service this node's address as its source. Pods then no \
         longer see who is calling; needed only where replies would bypass this node.",
    ),
    key(
        "proxy.excluded_cidrs",
        Kind::List(Text::Prefix),
        "[]",
        "Virtual servers of IPVS with addresses in these ranges are never touched.",
    ),
    key(
        "proxy.service_firewall",
        Kind::Bool,
        "true",
        "Refuse traffic to a Service's address on any port that no Service offers. Off, only the \
         node's own ports stay shielded.",
    ),
    key(
        "proxy.sync_period",
        Kind::Text(Text::Period),
        "\"5m\"",
        "How often the kernel is read back and repaired. Changes of the cluster are applied at \
         once all the same.",
    ),
    key(
        "proxy.tcp_timeout",
        Kind::Text(Text::Seconds),
        "\"0s\"",
        "How long IPVS remembers an idle TCP connection. Zero leaves the kernel's value.",
    ),
    key(
        "proxy.tcp_fin_timeout",
        Kind::Text(Text::Seconds),
        "\"0s\"",
        "How long IPVS remembers a TCP connection after its FIN. Zero leaves the kernel's value.",
    ),
    key(
        "proxy.udp_timeout",
        Kind::Text(Text::Seconds),
        "\"0s\"",
        "How long IPVS remembers an idle UDP flow. Zero leaves the kernel's value.",
    ),
    later::GRACEFUL_TERMINATION,
    later::GRACEFUL_PERIOD,
    later::HAIRPIN_MODE,
    later::RUNTIME_ENDPOINT,
];

const NETPOL: &[Key] = &[
    key(
        "netpol.enabled",
        Kind::Bool,
        "true",
        "Whether NetworkPolicies are enforced on this node. Pods, Namespaces and NetworkPolicies \
         are watched only then. Changes need a restart.",
    ),
    key(
        "netpol.backend",
        Kind::Text(Text::Choice(BACKENDS)),
        "\"auto\"",
        "How policies are programmed: nftables, iptables (with ipset), or auto: nftables where \
         the kernel has it, else iptables.",
    ),
    key(
        "netpol.default_deny",
        Kind::Bool,
        "false",
        "Refuse traffic from and to addresses of this node's pod ranges that belong to no pod \
         known yet. Without it a new pod is open until its policies are programmed.",
    ),
    key(
        "netpol.sync_period",
        Kind::Text(Text::Period),
        "\"5m\"",
        "How often the rules are read back and repaired. Changes of the cluster are applied at \
         once all the same.",
    ),
    key(
        "netpol.log_drops",
        Kind::Bool,
        "true",
        "Log refused packets with their pods and policies, at most 10 a minute for each pod \
         after the first 10.",
    ),
    key(
        "netpol.established",
        Kind::Text(Text::Choice(ESTABLISHED)),
        "\"keep\"",
        "What becomes of open connections that a changed policy no longer allows: keep them, or \
         recheck: cut them off. With recheck, TCP of pods that connection tracking does not know \
         is reset.",
    ),
];

const HEALTH: &[Key] = &[key(
    "health.listen",
    Kind::Text(Text::Listen),
    "\"[::]:20244\"",
    "Where /healthz and /readyz answer. \":PORT\" is every address; empty turns the pages off.",
)];

const CONTROL: &[Key] = &[key(
    "control.socket",
    Kind::Text(Text::Path),
    "\"/run/kube-router/control.sock\"",
    "Where the socket is, for members of the group kube-router. Empty turns it off. Changes need \
     a restart.",
)];

const METRICS: &[Key] = &[
    key(
        "metrics.listen",
        Kind::Text(Text::Listen),
        "\"\"",
        "Where the metrics page answers, such as \"127.0.0.1:20241\". Empty turns it off.",
    ),
    key(
        "metrics.path",
        Kind::Text(Text::UrlPath),
        "\"/metrics\"",
        "The path of the metrics page.",
    ),
    later::PPROF,
];

const LOG: &[Key] = &[
    key(
        "log.level",
        Kind::Text(Text::Choice(LOG_LEVELS)),
        "\"info\"",
        "The least important level that is logged: error, warn, info, debug or trace. Info is \
         the state of the world, debug each change, trace each message.",
    ),
    key(
        "log.target",
        Kind::Text(Text::Choice(LOG_TARGETS)),
        "\"auto\"",
        "journal, stderr, or auto: the journal under systemd, else standard error.",
    ),
];
