//! NetworkPolicies. A key that the API does not have is noted: what stands under a misspelt
//! `from` or `matchLabels` was meant to narrow, and without it everybody would be let in.

use serde::de::{IgnoredAny, MapAccess};

use super::object::Metadata;
use super::pod::{Label, Labels};
use super::shapes::{KeyOf, shapes, strict_shapes};
use super::{Field, List, Shape, Text};

/// `intstr.IntOrString`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IntOrText {
    Number(i64),
    Text(Text),
}

shapes! {
    /// `networking.k8s.io/v1.NetworkPolicy`.
    NetworkPolicy {
        metadata = "metadata": Metadata,
        spec = "spec": PolicySpec,
    }
}

strict_shapes! {
    /// `networking.k8s.io/v1.NetworkPolicySpec`.
    PolicySpec {
        pods = "podSelector": LabelSelector,
        ingress = "ingress": List<PolicyRule>,
        egress = "egress": List<PolicyRule>,
        types = "policyTypes": List<Text>,
    }

    /// `networking.k8s.io/v1.NetworkPolicyIngressRule` and `NetworkPolicyEgressRule`.
    PolicyRule {
        from = "from": List<PolicyPeer>,
        to = "to": List<PolicyPeer>,
        ports = "ports": List<PolicyPort>,
    }

    /// `networking.k8s.io/v1.NetworkPolicyPeer`.
    PolicyPeer {
        pods = "podSelector": LabelSelector,
        namespaces = "namespaceSelector": LabelSelector,
        block = "ipBlock": IpBlock,
    }

    /// `networking.k8s.io/v1.IPBlock`.
    IpBlock {
        cidr = "cidr": Text,
        except = "except": List<Text>,
    }

    /// `networking.k8s.io/v1.NetworkPolicyPort`.
    PolicyPort {
        protocol = "protocol": Text,
        port = "port": IntOrText,
        end_port = "endPort": i64,
    }

    /// `metav1.LabelSelector`.
    LabelSelector {
        labels = "matchLabels": Labels,
        expressions = "matchExpressions": List<Expression>,
    }

    /// `metav1.LabelSelectorRequirement`.
    Expression {
        key = "key": Text,
        operator = "operator": Text,
        values = "values": List<Label>,
    }
}

// === impl IntOrText ===

impl Shape for IntOrText {
    const EXPECTED: &'static str = "a number or a name";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::Text(text.into()))
    }

    fn from_number(number: i64) -> Option<Self> {
        Some(Self::Number(number))
    }
}
