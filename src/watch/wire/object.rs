//! Services, EndpointSlices and Nodes in the fields that are read, and what all kinds share.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::shapes::{KeyOf, shapes};
use super::{Field, Labels, List, Namespace, NetworkPolicy, Object, Pod, Shape, Text};

/// Labels and annotations that mean something to us start with one of these.
const MARKS: [&str; 6] = [
    // Bookmarks that end a streaming list (KEP-3157).
    "k8s.io/initial-events-end",
    "kube-router.io/",
    "net.beta.kubernetes.io/network-policy",
    "service.kubernetes.io/",
    "kubernetes.io/service-name",
    "topology.kubernetes.io/zone",
];

/// Labels or annotations: those of [`MARKS`] only.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Marks(Vec<(Text, Field<Text>)>);

/// Keeps a key that is in [`MARKS`].
struct MarkKey;

shapes! {
    /// `metav1.ObjectMeta`.
    Metadata<L> {
        name = "name": Text,
        namespace = "namespace": Text,
        generate_name = "generateName": Text,
        created = "creationTimestamp": Text,
        resource_version = "resourceVersion": Text,
        labels = "labels": L,
        annotations = "annotations": Marks,
        owners = "ownerReferences": List<OwnerReference>,
    }
    /// `metav1.OwnerReference`.
    OwnerReference {
        name = "name": Text,
    }
    /// `v1.Service`.
    Service {
        metadata = "metadata": Metadata,
        spec = "spec": ServiceSpec,
        status = "status": ServiceStatus,
    }
    /// `v1.ServiceSpec`.
    ServiceSpec {
        kind = "type": Text,
        cluster_ip = "clusterIP": Text,
        cluster_ips = "clusterIPs": List<Text>,
        external_ips = "externalIPs": List<Text>,
        ports = "ports": List<ServicePort>,
        session_affinity = "sessionAffinity": Text,
        session_affinity_config = "sessionAffinityConfig": SessionAffinity,
        internal_policy = "internalTrafficPolicy": Text,
        external_policy = "externalTrafficPolicy": Text,
        source_ranges = "loadBalancerSourceRanges": List<Text>,
        traffic_distribution = "trafficDistribution": Text,
        health_check_node_port = "healthCheckNodePort": i64,
    }
    /// `v1.ServicePort`.
    ServicePort {
        name = "name": Text,
        protocol = "protocol": Text,
        port = "port": i64,
        node_port = "nodePort": i64,
    }
    /// `v1.SessionAffinityConfig`.
    SessionAffinity {
        client_ip = "clientIP": ClientIp,
    }
    /// `v1.ClientIPConfig`.
    ClientIp {
        timeout = "timeoutSeconds": i64,
    }
    /// `v1.ServiceStatus`.
    ServiceStatus {
        load_balancer = "loadBalancer": LoadBalancer,
    }
    /// `v1.LoadBalancerStatus`.
    LoadBalancer {
        ingress = "ingress": List<Ingress>,
    }
    /// `v1.LoadBalancerIngress`.
    Ingress {
        ip = "ip": Text,
        ip_mode = "ipMode": Text,
    }
    /// `discovery.k8s.io/v1.EndpointSlice`.
    EndpointSlice {
        metadata = "metadata": Metadata,
        address_type = "addressType": Text,
        ports = "ports": List<SlicePort>,
        endpoints = "endpoints": List<Endpoint>,
    }
    /// `discovery.k8s.io/v1.EndpointPort`.
    SlicePort {
        name = "name": Text,
        protocol = "protocol": Text,
        port = "port": i64,
    }
    /// `discovery.k8s.io/v1.Endpoint`.
    Endpoint {
        addresses = "addresses": List<Text>,
        conditions = "conditions": Condition,
        node = "nodeName": Text,
        zone = "zone": Text,
        hints = "hints": Hints,
    }
    /// `discovery.k8s.io/v1.EndpointConditions`.
    Condition {
        ready = "ready": bool,
        serving = "serving": bool,
        terminating = "terminating": bool,
    }
    /// `discovery.k8s.io/v1.EndpointHints`.
    Hints {
        for_zones = "forZones": List<Named>,
        for_nodes = "forNodes": List<Named>,
    }
    /// `discovery.k8s.io/v1.ForZone` and `ForNode`.
    Named {
        name = "name": Text,
    }
    /// `v1.Node`.
    Node {
        metadata = "metadata": Metadata,
        spec = "spec": NodeSpec,
        status = "status": NodeStatus,
    }
    /// `v1.NodeSpec`.
    NodeSpec {
        pod_cidr = "podCIDR": Text,
        pod_cidrs = "podCIDRs": List<Text>,
    }
    /// `v1.NodeStatus`.
    NodeStatus {
        addresses = "addresses": List<NodeAddress>,
    }
    /// `v1.NodeAddress`.
    NodeAddress {
        kind = "type": Text,
        address = "address": Text,
    }
}

// === impl Object ===

macro_rules! objects {
    ($($name:ident, $namespaced:literal, $labels:ty;)*) => {$(
        impl Object for $name {
            const KIND: &'static str = stringify!($name);
            const NAMESPACED: bool = $namespaced;
            type Labels = $labels;

            fn metadata(&self) -> &Field<Metadata<$labels>> {
                &self.metadata
            }
        }
    )*};
}

objects! {
    Service, true, Marks;
    EndpointSlice, true, Marks;
    Node, false, Marks;
    Pod, true, Labels;
    Namespace, false, Labels;
    NetworkPolicy, true, Marks;
}

// === impl Marks ===

impl Marks {
    /// The value of a label or annotation.
    #[must_use]
    pub(crate) fn get(&self, key: &str) -> &Field<Text> {
        let found = self.0.iter().rev().find(|(known, _)| &**known == key);
        found.map_or(&Field::Absent, |(_, value)| value)
    }
}

impl Shape for Marks {
    const EXPECTED: &'static str = "a mapping of texts";

    fn from_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut marks = Vec::new();
        while let Some(key) = map.next_key_seed(MarkKey)? {
            match key {
                Some(key) => marks.push((key, map.next_value()?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Some(Self(marks)))
    }
}

// === impl MarkKey ===

impl<'de> DeserializeSeed<'de> for MarkKey {
    type Value = Option<Text>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for MarkKey {
    type Value = Option<Text>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let known = MARKS.iter().any(|mark| key.starts_with(mark));
        Ok(known.then(|| key.into()))
    }
}
