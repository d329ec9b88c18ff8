//! Pods and Namespaces in the fields that are read, with all their labels.

use serde::de::{IgnoredAny, MapAccess};

use super::object::Metadata;
use super::shapes::{KeyOf, shapes};
use super::{Field, List, Shape, Text};

/// All labels of an object, or all of a selector's `matchLabels`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Labels(pub(in crate::watch) Vec<(Text, Field<Label>)>);

/// A label's value. YAML reads `version: 1` as a number; its digits are meant, on both sides of a
/// selector. What it reads as true or false may have been written in many ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label(pub(in crate::watch) Text);

shapes! {
    /// `v1.Pod`.
    Pod {
        metadata = "metadata": Metadata<Labels>,
        spec = "spec": PodSpec,
        status = "status": PodStatus,
    }

    /// `v1.PodSpec`.
    PodSpec {
        node = "nodeName": Text,
        host_network = "hostNetwork": bool,
        containers = "containers": List<Container>,
        init_containers = "initContainers": List<Container>,
    }

    /// `v1.Container`.
    Container {
        restart_policy = "restartPolicy": Text,
        ports = "ports": List<ContainerPort>,
    }

    /// `v1.ContainerPort`.
    ContainerPort {
        name = "name": Text,
        protocol = "protocol": Text,
        port = "containerPort": i64,
    }

    /// `v1.PodStatus`.
    PodStatus {
        phase = "phase": Text,
        host_ip = "hostIP": Text,
        host_ips = "hostIPs": List<PodIp>,
        pod_ip = "podIP": Text,
        pod_ips = "podIPs": List<PodIp>,
    }

    /// `v1.PodIP` and `v1.HostIP`.
    PodIp {
        ip = "ip": Text,
    }

    /// `v1.Namespace`.
    Namespace {
        metadata = "metadata": Metadata<Labels>,
    }
}

// === impl Labels ===

impl Shape for Labels {
    const EXPECTED: &'static str = "a mapping of texts";

    fn from_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut labels = Vec::new();
        while let Some(label) = map.next_entry()? {
            labels.push(label);
        }
        Ok(Some(Self(labels)))
    }
}

// === impl Label ===

impl Shape for Label {
    const EXPECTED: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(text.into()))
    }

    fn from_number(number: i64) -> Option<Self> {
        Some(Self(number.to_string().into()))
    }
}
