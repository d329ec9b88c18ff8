//! `kube-router plan` with a kubeconfig: it asks the API server and says what manifests would.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use test_apiserver::{ApiServer, Credentials, Options, servers};

fn objects() -> Vec<Value> {
    let labels = json!({"kubernetes.io/service-name": "web"});
    vec![
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
            "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd02:1::/64"]},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.1.1.1"},
                                     {"type": "InternalIP", "address": "fd01:1::1"}]}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"type": "NodePort", "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd96::10"],
                "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"],
                "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 30080}]}}),
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "web-4", "namespace": "shop", "labels": labels},
            "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["10.244.1.11"], "nodeName": "n1", "conditions": {"ready": true}},
                          {"addresses": ["10.244.2.11"], "nodeName": "n2", "conditions": {"ready": true}}]}),
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "web-6", "namespace": "shop", "labels": labels},
            "addressType": "IPv6", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["fd02:2::11"], "nodeName": "n2", "conditions": {"ready": true}}]}),
    ]
}

/// A configuration that names this kubeconfig, and manifests of what the server holds.
fn folder(kubeconfig: &str, server: &dyn ApiServer) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("kubeconfig"), kubeconfig).unwrap();
    let config = format!(
        "[cluster]\nkubeconfig = {:?}\ncache_sync_timeout = \"20s\"\nservice_cluster_ip_range = [\"10.96.0.0/16\", \"fd96::/112\"]\n[node]\nenable_ipv6 = true\n",
        path("kubeconfig")
    );
    fs::write(path("config.toml"), config).unwrap();
    fs::create_dir(path("manifests")).unwrap();
    for kind in ["Service", "EndpointSlice", "Node"] {
        let items: Vec<String> = server
            .objects(kind)
            .iter()
            .map(ToString::to_string)
            .collect();
        let file = path("manifests").join(format!("{kind}.yaml"));
        fs::write(file, items.join("\n---\n")).unwrap();
    }
    dir
}

#[expect(clippy::disallowed_methods, reason = "the program itself is tested")]
fn plan(dir: &Path, manifests: Option<&str>, node: &str) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kube-router"));
    command.arg("plan").arg("--config");
    command.arg(dir.join("config.toml")).args(["--node", node]);
    if let Some(name) = manifests {
        command.arg("--manifests").arg(dir.join(name));
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_cluster_is_planned_as_its_manifests_are() {
    let options = Options {
        bookmark_every: Duration::from_secs(1),
        ..Options::default()
    };
    for server in servers(options) {
        objects().into_iter().for_each(|object| server.put(object));
        for credentials in [Credentials::Token, Credentials::ClientCertificate] {
            let dir = folder(&server.kubeconfig(credentials), &*server);
            let asked = plan(dir.path(), None, "n1");
            let read = plan(dir.path(), Some("manifests"), "n1");
            let name = server.name();
            assert_eq!(text(&asked.stderr), text(&read.stderr), "{name}");
            assert_eq!(text(&asked.stdout), text(&read.stdout), "{name}");
            assert_eq!(
                (asked.status.code(), read.status.code()),
                (Some(0), Some(0)),
                "{name}: {}",
                text(&asked.stderr)
            );
            for line in [
                "ipvsadm -A -t 10.1.1.1:30080 -s rr\n",
                "ipvsadm -a -t 10.96.0.10:80 -r 10.244.2.11:8080 -m -w 1\n",
                "ipvsadm -a -t [fd96::10]:80 -r [fd02:2::11]:8080 -m -w 1\n",
                "ipset add kube-router-inside 10.244.1.0/24\n",
            ] {
                let plan = text(&asked.stdout);
                assert!(plan.contains(line), "{name}: no {line} in {plan}");
            }
        }
        let dir = folder(&server.kubeconfig(Credentials::Token), &*server);
        let unknown = plan(dir.path(), None, "n9");
        let said = text(&unknown.stderr);
        assert_eq!(unknown.status.code(), Some(1), "{said}");
        assert!(said.contains("no Node n9"), "{said}");
        assert!(unknown.stdout.is_empty());

        let dir = folder(&server.kubeconfig(Credentials::WrongToken), &*server);
        let config = dir.path().join("config.toml");
        let hasty = fs::read_to_string(&config).unwrap().replace("20s", "1s");
        fs::write(config, hasty).unwrap();
        let refused = plan(dir.path(), None, "n1");
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(
            said.contains("status 401") && !said.contains("token"),
            "{said}"
        );
        assert!(refused.stdout.is_empty());
    }
}
