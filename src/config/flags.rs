//! The flags of kube-router v2.11 and the place of each here.

/// One flag of kube-router v2.11.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Without dashes.
    pub name: &'static str,
    pub place: Place,
    /// How the value differs; empty when it is the same.
    pub note: &'static str,
}

/// Where a flag went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A key's path.
    Key(&'static str),
    /// A command or flag of this program.
    Command(&'static str),
    /// It has no counterpart, and why.
    Nowhere(&'static str),
}

const fn key(name: &'static str, key: &'static str) -> Flag {
    noted(name, key, "")
}

const fn noted(name: &'static str, key: &'static str, note: &'static str) -> Flag {
    Flag {
        name,
        place: Place::Key(key),
        note,
    }
}

const fn command(name: &'static str, command: &'static str) -> Flag {
    Flag {
        name,
        place: Place::Command(command),
        note: "",
    }
}

const fn nowhere(name: &'static str, why: &'static str) -> Flag {
    Flag {
        name,
        place: Place::Nowhere(why),
        note: "",
    }
}

const ADMINISTRATION: &str = "the speaker has no port for it; \"kube-router bgp\" asks the daemon";

#[must_use]
pub(super) fn find(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

/// All of them, by name.
pub const FLAGS: &[Flag] = &[
    key("advertise-cluster-ip", "bgp.advertise_cluster_ip"),
    key("advertise-external-ip", "bgp.advertise_external_ip"),
    key("advertise-loadbalancer-ip", "bgp.advertise_loadbalancer_ip"),
    key("advertise-pod-cidr", "bgp.advertise_pod_cidr"),
    key("auto-mtu", "routing.auto_mtu"),
    noted(
        "bfd-desired-min-tx-interval",
        "bgp.bfd_desired_min_tx_interval",
        "a duration",
    ),
    key("bfd-detection-multiplier", "bgp.bfd_detection_multiplier"),
    key("bfd-port", "bgp.bfd_port"),
    noted(
        "bfd-required-min-rx-interval",
        "bgp.bfd_required_min_rx_interval",
        "a duration",
    ),
    key("bgp-graceful-restart", "bgp.graceful_restart"),
    key(
        "bgp-graceful-restart-deferral-time",
        "bgp.graceful_restart_deferral_time",
    ),
    key("bgp-graceful-restart-time", "bgp.graceful_restart_time"),
    key("bgp-holdtime", "bgp.holdtime"),
    key("bgp-port", "bgp.port"),
    key("cache-sync-timeout", "cluster.cache_sync_timeout"),
    command("cleanup-config", "the command \"kube-router cleanup\""),
    noted("cluster-asn", "bgp.cluster_asn", "0 is written 64512"),
    key(
        "disable-source-dest-check",
        "routing.disable_source_dest_check",
    ),
    key("enable-bfd", "bgp.enable_bfd"),
    key("enable-cni", "routing.enable_cni"),
    key("enable-ibgp", "bgp.enable_ibgp"),
    key("enable-ipv4", "node.enable_ipv4"),
    key("enable-ipv6", "node.enable_ipv6"),
    key("enable-overlay", "routing.enable_overlay"),
    key("enable-pod-egress", "routing.enable_pod_egress"),
    key("enable-pprof", "metrics.pprof"),
    key("excluded-cidrs", "proxy.excluded_cidrs"),
    nowhere("gobgp-admin-address", ADMINISTRATION),
    nowhere("gobgp-admin-port", ADMINISTRATION),
    key("hairpin-mode", "proxy.hairpin_mode"),
    noted(
        "health-addr",
        "health.listen",
        "the address of ADDRESS:PORT",
    ),
    noted(
        "health-port",
        "health.listen",
        "the port of ADDRESS:PORT; 0 is written \"\"",
    ),
    command("help", "--help"),
    key("hostname-override", "node.name"),
    key(
        "injected-routes-sync-period",
        "routing.injected_routes_sync_period",
    ),
    key("iptables-sync-period", "netpol.sync_period"),
    key("ipvs-graceful-period", "proxy.graceful_period"),
    key("ipvs-graceful-termination", "proxy.graceful_termination"),
    key("ipvs-permit-all", "proxy.service_firewall"),
    key("ipvs-sync-period", "proxy.sync_period"),
    noted(
        "kubeconfig",
        "cluster.kubeconfig",
        "there is no configuration from inside a pod to fall back to",
    ),
    key("loadbalancer-default-class", "lballoc.default_class"),
    key("loadbalancer-ip-range", "cluster.loadbalancer_ip_range"),
    key("loadbalancer-sync-period", "lballoc.sync_period"),
    key("masquerade-all", "proxy.masquerade_all"),
    noted(
        "master",
        "cluster.api_servers",
        "a list that is tried in turn; the credentials are the kubeconfig's",
    ),
    noted(
        "metrics-addr",
        "metrics.listen",
        "the address of ADDRESS:PORT",
    ),
    key("metrics-path", "metrics.path"),
    noted(
        "metrics-port",
        "metrics.listen",
        "the port of ADDRESS:PORT; 0 is written \"\"",
    ),
    key("netpol-default-deny", "netpol.default_deny"),
    noted(
        "nodeport-bindon-all-ip",
        "proxy.node_port_addresses",
        "false is [\"primary\"], true is [\"all\"]",
    ),
    key("nodes-full-mesh", "bgp.nodes_full_mesh"),
    key("overlay-encap", "routing.overlay_encap"),
    key("overlay-encap-port", "routing.overlay_encap_port"),
    key("overlay-type", "routing.overlay_type"),
    key("override-nexthop", "bgp.override_nexthop"),
    noted("peer-router-asns", "bgp.peer", "asn of each peer"),
    noted("peer-router-ips", "bgp.peer", "address of each peer"),
    noted(
        "peer-router-multihop-ttl",
        "bgp.peer",
        "multihop_ttl of each peer",
    ),
    noted(
        "peer-router-passwords",
        "bgp.peer",
        "passwords are read from files only",
    ),
    noted(
        "peer-router-passwords-file",
        "bgp.peer",
        "password_file of each peer",
    ),
    noted("peer-router-ports", "bgp.peer", "port of each peer"),
    key("router-id", "bgp.router_id"),
    key("routes-sync-period", "routing.sync_period"),
    key("run-firewall", "netpol.enabled"),
    key("run-loadbalancer", "lballoc.enabled"),
    noted("run-router", "routing.enabled", "off by default"),
    key("run-service-proxy", "proxy.enabled"),
    key("runtime-endpoint", "proxy.runtime_endpoint"),
    key(
        "service-cluster-ip-range",
        "cluster.service_cluster_ip_range",
    ),
    key(
        "service-external-ip-range",
        "cluster.service_external_ip_range",
    ),
    key("service-node-port-range", "cluster.service_node_port_range"),
    key("service-tcp-timeout", "proxy.tcp_timeout"),
    key("service-tcpfin-timeout", "proxy.tcp_fin_timeout"),
    key("service-udp-timeout", "proxy.udp_timeout"),
    key(
        "strict-external-ip-validation",
        "cluster.strict_external_ip_validation",
    ),
    noted(
        "use-nftables-for-netpol",
        "netpol.backend",
        "false is \"iptables\", true is \"nftables\"; the default takes what the kernel has",
    ),
    noted(
        "v",
        "log.level",
        "0 is \"info\", 1 and 2 are \"debug\", above is \"trace\"",
    ),
    command("version", "the command \"kube-router version\""),
];
