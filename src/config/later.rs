//! The keys of parts that this version lacks: known by name, so that setting one is an exact
//! error and never silence.

use super::schema::{Key, Kind, Status};

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

pub(super) const DISABLE_SOURCE_DEST_CHECK: Key = later(
    "routing.disable_source_dest_check",
    "turning off EC2's source and destination check, which bare metal does not have,",
    "true",
    "Turn off the source and destination check of EC2. There is none on bare metal.",
);

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
