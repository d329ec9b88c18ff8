//! Clusters of any size, with objects of realistic size, for measurements.

use serde_json::{Value, json};

use crate::kinds;
use crate::write::managed_fields;

/// Namespaces that the Services are spread over.
const NAMESPACES: usize = 50;
/// Nodes that the endpoints are spread over.
const NODES: usize = 100;
/// Endpoints per slice, as the controller's default.
const SLICE: usize = 100;
const BORN: &str = "2026-01-01T00:00:00Z";

/// Namespaces and nodes, then Services each followed by its EndpointSlices (10 endpoints: about 4 KB of JSON).
pub fn big_cluster(services: usize, endpoints: usize) -> impl Iterator<Item = Value> {
    let places = (0..NAMESPACES)
        .map(|at| json!({"kind": "Namespace", "metadata": {"name": format!("ns-{at}")}}));
    let objects = (0..services).flat_map(move |at| {
        let slices = endpoints.div_ceil(SLICE);
        let slice = move |which: usize| {
            let first = which * SLICE;
            slice(at, which, first..endpoints.min(first + SLICE), endpoints)
        };
        std::iter::once(service(at)).chain((0..slices).map(slice))
    });
    places.chain((0..NODES).map(node)).chain(objects)
}

/// Pods, ten to a Deployment, and a NetworkPolicy in each of their namespaces (one pod: about 4 KB of JSON).
pub fn big_pods(count: usize) -> impl Iterator<Item = Value> {
    let policies = (0..NAMESPACES.min(count)).map(policy);
    (0..count).map(pod).chain(policies)
}

fn node(at: usize) -> Value {
    json!({"kind": "Node",
           "metadata": {"name": node_name(at), "labels": {"kubernetes.io/hostname": node_name(at),
                        "topology.kubernetes.io/zone": format!("zone-{}", at % 3)},
                        "creationTimestamp": BORN},
           "spec": {"podCIDR": format!("10.{}.{}.0/24", 64 + at / 256, at % 256),
                    "podCIDRs": [format!("10.{}.{}.0/24", 64 + at / 256, at % 256)]},
           "status": {"addresses": [{"type": "InternalIP", "address": node_address(at)},
                                    {"type": "Hostname", "address": node_name(at)}],
                      "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
                      "capacity": {"cpu": "16", "memory": "65536000Ki", "pods": "110"}}})
}

fn node_name(at: usize) -> String {
    format!("node-{at:03}.example.internal")
}

fn node_address(at: usize) -> String {
    format!("172.16.{}.{}", at / 250, at % 250 + 1)
}

fn service_names(at: usize) -> (String, String) {
    (
        format!("ns-{}", at % NAMESPACES),
        format!("service-{at:05}"),
    )
}

fn service(at: usize) -> Value {
    let (namespace, name) = service_names(at);
    let address = format!(
        "10.{}.{}.{}",
        96 + at / 62_500,
        at / 250 % 250,
        at % 250 + 1
    );
    let fields = kinds::by_kind("Service").map(|kind| managed_fields(kind, Some(&json!(BORN))));
    json!({"kind": "Service",
           "metadata": {"name": name, "namespace": namespace, "uid": uid(1, at), "creationTimestamp": BORN,
                        "labels": {"app": name, "app.kubernetes.io/name": name},
                        "annotations": {"kubectl.kubernetes.io/last-applied-configuration":
                            format!("{{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{{\"name\":\"{name}\"}},\"spec\":{{\"ports\":[{{\"port\":80,\"targetPort\":8080}}]}}}}\n")},
                        "managedFields": fields},
           "spec": {"clusterIP": address, "clusterIPs": [address], "internalTrafficPolicy": "Cluster",
                    "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                    "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
                    "selector": {"app": name}, "sessionAffinity": "None", "type": "ClusterIP"},
           "status": {"loadBalancer": {}}})
}

fn slice(at: usize, which: usize, range: std::ops::Range<usize>, per_service: usize) -> Value {
    let (namespace, service) = service_names(at);
    let endpoint = |one: usize| endpoint(at * per_service + one, &namespace, &service);
    let endpoints: Vec<Value> = range.map(endpoint).collect();
    let fields =
        kinds::by_kind("EndpointSlice").map(|kind| managed_fields(kind, Some(&json!(BORN))));
    json!({"kind": "EndpointSlice",
           "metadata": {"name": format!("{service}-{which:05}"), "generateName": format!("{service}-"),
                        "namespace": namespace, "uid": uid(2, at), "generation": 3, "creationTimestamp": BORN,
                        "labels": {"app": service, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                                   "kubernetes.io/service-name": service},
                        "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": BORN},
                        "ownerReferences": [{"apiVersion": "v1", "blockOwnerDeletion": true, "controller": true,
                                             "kind": "Service", "name": service, "uid": uid(1, at)}],
                        "managedFields": fields},
           "addressType": "IPv4",
           "endpoints": endpoints,
           "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]})
}

fn endpoint(serial: usize, namespace: &str, service: &str) -> Value {
    let node = serial % NODES;
    json!({"addresses": [pod_address(serial)],
           "conditions": {"ready": true, "serving": true, "terminating": false},
           "nodeName": node_name(node),
           "targetRef": {"kind": "Pod", "name": format!("{service}-6d4cf56db6-{serial:06x}"),
                         "namespace": namespace, "uid": uid(3, serial)},
           "zone": format!("zone-{}", node % 3)})
}

fn pod(at: usize) -> Value {
    let (namespace, app) = service_names(at / 10);
    let name = format!("{app}-6d4cf56db6-{at:05x}");
    let (node, address) = (at % NODES, pod_address(at));
    let fields = kinds::by_kind("Pod").map(|kind| managed_fields(kind, Some(&json!(BORN))));
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": BORN});
    let conditions: Vec<Value> = [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ]
    .map(condition)
    .into();
    json!({"kind": "Pod",
           "metadata": {"name": name, "generateName": format!("{app}-6d4cf56db6-"), "namespace": namespace, "uid": uid(3, at),
                        "creationTimestamp": BORN,
                        "labels": {"app": app, "app.kubernetes.io/name": app, "pod-template-hash": "6d4cf56db6"},
                        "ownerReferences": [{"apiVersion": "apps/v1", "blockOwnerDeletion": true, "controller": true,
                                             "kind": "ReplicaSet", "name": format!("{app}-6d4cf56db6"), "uid": uid(4, at / 10)}],
                        "managedFields": fields},
           "spec": {"nodeName": node_name(node), "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "serviceAccountName": "default",
                    "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30, "preemptionPolicy": "PreemptLowerPriority",
                    "containers": [container(&app)], "volumes": [volume()],
                    "tolerations": [{"effect": "NoExecute", "key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 300},
                                    {"effect": "NoExecute", "key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 300}]},
           "status": {"phase": "Running", "qosClass": "Burstable", "startTime": BORN,
                      "hostIP": node_address(node), "hostIPs": [{"ip": node_address(node)}],
                      "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions,
                      "containerStatuses": [{"name": "main", "ready": true, "started": true, "restartCount": 0,
                                             "image": format!("registry.example.org/{app}:1.2.3"), "state": {"running": {"startedAt": BORN}},
                                             "imageID": format!("registry.example.org/{app}@sha256:{at:064x}"),
                                             "containerID": format!("containerd://{at:064x}")}]}})
}

fn pod_address(at: usize) -> String {
    format!(
        "10.{}.{}.{}",
        64 + at / 62_500,
        at / 250 % 250,
        at % 250 + 1
    )
}

fn container(app: &str) -> Value {
    let probe = |path: &str| {
        json!({"httpGet": {"path": path, "port": "http", "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1,
                                    "successThreshold": 1, "failureThreshold": 3})
    };
    json!({"name": "main", "image": format!("registry.example.org/{app}:1.2.3"), "imagePullPolicy": "IfNotPresent",
           "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}, {"name": "metrics", "containerPort": 9090, "protocol": "TCP"}],
           "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "DATABASE_URL", "value": format!("postgres://{app}-db:5432/{app}")},
                   {"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}],
           "livenessProbe": probe("/healthz"), "readinessProbe": probe("/readyz"),
           "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
           "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
           "volumeMounts": [{"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "kube-api-access-x2x4z", "readOnly": true}]})
}

fn volume() -> Value {
    json!({"name": "kube-api-access-x2x4z", "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]}})
}

fn policy(at: usize) -> Value {
    let (namespace, app) = service_names(at);
    json!({"kind": "NetworkPolicy", "metadata": {"name": "from-within", "namespace": namespace, "creationTimestamp": BORN},
           "spec": {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"],
                    "ingress": [{"from": [{"podSelector": {}}], "ports": [{"protocol": "TCP", "port": "http"}]}]}})
}

fn uid(class: usize, serial: usize) -> String {
    format!("{class:08x}-0000-4000-8000-{serial:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_has_the_size_asked_for_with_distinct_addresses() {
        let objects: Vec<Value> = big_cluster(20, 120).collect();
        let of = |kind: &str| {
            objects
                .iter()
                .filter(|one| one["kind"] == kind)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (
                of("Service").len(),
                of("EndpointSlice").len(),
                of("Node").len()
            ),
            (20, 40, NODES)
        );
        let mut addresses: Vec<_> = of("EndpointSlice")
            .iter()
            .flat_map(|slice| slice["endpoints"].as_array().unwrap())
            .map(|endpoint| {
                endpoint["addresses"][0]
                    .as_str()
                    .unwrap()
                    .parse::<std::net::IpAddr>()
                    .unwrap()
            })
            .collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 20 * 120);
    }

    #[test]
    fn a_slice_of_ten_is_about_four_kilobytes() {
        let objects: Vec<Value> = big_cluster(1, 10).collect();
        let size = objects.last().unwrap().to_string().len();
        assert!((3_500..5_000).contains(&size), "{size}");
    }

    #[test]
    fn a_pod_is_about_four_kilobytes_and_has_an_address_of_its_own() {
        let objects: Vec<Value> = big_pods(600).collect();
        let of = |kind: &str| objects.iter().filter(|one| one["kind"] == kind).count();
        assert_eq!((of("Pod"), of("NetworkPolicy")), (600, NAMESPACES));
        let size = objects[0].to_string().len();
        assert!((3_500..5_000).contains(&size), "{size}");
        let mut addresses: Vec<_> = objects
            .iter()
            .filter_map(|one| one["status"]["podIP"].as_str())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 600);
    }
}
