//! A Namespace, in the fields that network policy reads (`v1.Namespace`).

use std::sync::Arc;

use crate::model::Labels;

/// A Namespace of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    pub name: Arc<str>,
    pub labels: Labels,
    /// Annotation `net.beta.kubernetes.io/network-policy` with
    /// `{"ingress":{"isolation":"DefaultDeny"}}`: nothing comes in but what policies allow.
    pub default_deny: bool,
}
