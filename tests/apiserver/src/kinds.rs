//! The resources that this server knows.

/// One resource, as discovery would describe it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version within the group.
    pub version: &'static str,
    /// Plural name, as in URLs.
    pub plural: &'static str,
    /// Singular kind, as in objects.
    pub kind: &'static str,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Whether there is a `/status` subresource.
    pub status: bool,
    /// Field paths that field selectors may name, beyond `metadata.name` and `metadata.namespace`.
    pub fields: &'static [&'static str],
    /// Whether a client may create an object with a status.
    pub status_on_create: bool,
    /// What a bookmark's object holds beside its metadata, as JSON: the empty fields that the real server writes.
    pub hollow: &'static str,
    /// Whether PUT creates a missing object, as the real server does for some kinds.
    pub create_on_put: bool,
    /// Whether PUT must name the resourceVersion that it replaces.
    pub conditional_put: bool,
}

impl Kind {
    /// `v1` or `group/version`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Position in [`KINDS`], which is also the index of its table in the store.
    pub(crate) fn index(&self) -> usize {
        KINDS.iter().position(|kind| kind == self).unwrap_or(0)
    }
}

const BASE: Kind = Kind {
    group: "",
    version: "v1",
    plural: "",
    kind: "",
    namespaced: true,
    status: false,
    status_on_create: false,
    hollow: "{}",
    fields: &[],
    create_on_put: false,
    conditional_put: false,
};

/// Every resource that can be stored.
pub static KINDS: &[Kind] = &[
    Kind {
        plural: "services",
        kind: "Service",
        status: true,
        hollow: r#"{"spec": {}, "status": {"loadBalancer": {}}}"#,
        fields: &["spec.clusterIP", "spec.type"],
        create_on_put: true,
        ..BASE
    },
    Kind {
        plural: "pods",
        kind: "Pod",
        status: true,
        hollow: r#"{"spec": {"containers": null}, "status": {}}"#,
        fields: &[
            "spec.nodeName",
            "status.phase",
            "status.podIP",
            "spec.restartPolicy",
        ],
        ..BASE
    },
    Kind {
        plural: "nodes",
        kind: "Node",
        namespaced: false,
        status: true,
        status_on_create: true,
        fields: &["spec.unschedulable"],
        ..BASE
    },
    Kind {
        plural: "namespaces",
        kind: "Namespace",
        namespaced: false,
        status: true,
        hollow: r#"{"spec": {}, "status": {}}"#,
        fields: &["status.phase"],
        ..BASE
    },
    Kind {
        plural: "events",
        kind: "Event",
        fields: &[
            "involvedObject.kind",
            "involvedObject.name",
            "reason",
            "type",
        ],
        create_on_put: true,
        ..BASE
    },
    Kind {
        group: "discovery.k8s.io",
        plural: "endpointslices",
        kind: "EndpointSlice",
        hollow: r#"{"addressType": "", "endpoints": null, "ports": null}"#,
        ..BASE
    },
    Kind {
        group: "networking.k8s.io",
        plural: "networkpolicies",
        kind: "NetworkPolicy",
        ..BASE
    },
    Kind {
        group: "coordination.k8s.io",
        plural: "leases",
        kind: "Lease",
        create_on_put: true,
        conditional_put: true,
        ..BASE
    },
];

/// The resource with this plural name in this group and version.
pub(crate) fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS
        .iter()
        .find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
}

/// Whether there is anything in this group.
pub(crate) fn is_group(group: &str) -> bool {
    KINDS.iter().any(|kind| kind.group == group)
}

/// The resource with this kind, whatever the group.
pub(crate) fn by_kind(kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|entry| entry.kind == kind)
}
