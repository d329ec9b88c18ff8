//! Services, EndpointSlices and Nodes in the fields that are read.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::{Field, Object, Shape};

type Text = Box<str>;
type List<T> = Vec<Field<T>>;

/// Labels and annotations that mean something to us start with one of these.
const MARKS: [&str; 5] = [
    // Bookmarks that end a streaming list (KEP-3157).
    "k8s.io/initial-events-end",
    "kube-router.io/",
    "service.kubernetes.io/",
    "kubernetes.io/service-name",
    "topology.kubernetes.io/zone",
];

/// Labels or annotations: those of [`MARKS`] only.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Marks(Vec<(Text, Field<Text>)>);

/// Recognises one of the keys, without copying the text.
struct KeyOf(&'static [&'static str]);

/// Keeps a key that is in [`MARKS`].
struct MarkKey;

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident { $($field:ident = $key:literal: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Clone, PartialEq, Eq)]
        pub(in crate::watch) struct $name {
            $(pub(in crate::watch) $field: Field<$type>,)*
        }

        impl Shape for $name {
            const EXPECTED: &'static str = "a mapping";

            fn from_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
                let mut this = Self::default();
                while let Some(key) = map.next_key_seed(KeyOf(&[$($key),*]))? {
                    match key {
                        $(Some($key) => this.$field = map.next_value()?,)*
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Some(this))
            }
        }
    )*};
}

shapes! {
    /// `metav1.ObjectMeta`.
    Metadata {
        name = "name": Text,
        namespace = "namespace": Text,
        generate_name = "generateName": Text,
        created = "creationTimestamp": Text,
        resource_version = "resourceVersion": Text,
        labels = "labels": Marks,
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
    ($($name:ident, $namespaced:literal;)*) => {$(
        impl Object for $name {
            const KIND: &'static str = stringify!($name);
            const NAMESPACED: bool = $namespaced;

            fn metadata(&self) -> &Field<Metadata> {
                &self.metadata
            }
        }
    )*};
}

objects! {
    Service, true;
    EndpointSlice, true;
    Node, false;
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

// === impl KeyOf ===

impl<'de> DeserializeSeed<'de> for KeyOf {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeyOf {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|known| *known == key))
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
