//! `kube-router explain` as a person asks it.

use std::fs;

use clap::Parser;

use crate::app;
use crate::cli::{Cli, Command, Exit};

const CLUSTER: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
status: {addresses: [{type: InternalIP, address: 192.0.2.2}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIPs: [{ip: 10.244.1.11}]}
---
apiVersion: v1
kind: Pod
metadata: {name: front, namespace: shop, labels: {app: front}}
spec: {nodeName: n2, containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.244.2.12}]}
---
apiVersion: v1
kind: Pod
metadata: {name: other, namespace: shop, labels: {app: other}}
spec: {nodeName: n2, containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.244.2.13}]}
---
apiVersion: v1
kind: Service
metadata: {name: http, namespace: shop}
spec: {clusterIP: 10.96.0.10, ports: [{name: web, port: 80, targetPort: http}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: http-1, namespace: shop, labels: {kubernetes.io/service-name: http}}
addressType: IPv4
ports: [{name: web, port: 8080, protocol: TCP}]
endpoints: [{addresses: [10.244.1.11]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{ipBlock: {cidr: 203.0.113.0/24}}]
  - from: [{podSelector: {matchLabels: {app: front}}}]
    ports: [{port: http}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out, namespace: shop}
spec:
  podSelector: {matchLabels: {app: front}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {}}], ports: [{port: 8080}]}]
"#;

fn ask(from: &str, to: &str, port: &str) -> (Exit, String, String) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("cluster.yaml"), CLUSTER).unwrap();
    let manifests = directory.path().to_str().unwrap();
    let words = [
        "kube-router",
        "explain",
        "--from",
        from,
        "--to",
        to,
        "--port",
        port,
        "--manifests",
        manifests,
    ];
    let Command::Explain(args) = Cli::try_parse_from(words).unwrap().command else {
        panic!("another command");
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = app::explain(&args, Vec::new(), &mut out, &mut err).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (exit, text(out), text(err))
}

#[test]
fn an_allowance_names_every_policy_and_rule_that_led_to_it() {
    let expected = "\
10.244.2.12 -> 10.244.1.11: allowed
  egress of shop/front on n2: allowed, isolated by shop/out; let out by shop/out rule 1
  ingress of shop/web on n1: allowed, isolated by shop/closed, shop/web; let in by shop/web rule 2
";
    for (from, to, port) in [
        ("shop/front", "shop/web", "8080"),
        ("10.244.2.12", "10.244.1.11", "8080/tcp"),
        // A Service stands for the pods behind it, on their ports.
        ("shop/front", "shop/http", "80"),
    ] {
        let (exit, out, err) = ask(from, to, port);
        assert_eq!((exit, out.as_str()), (Exit::Success, expected), "{err}");
    }
    let (exit, out, _) = ask("203.0.113.9", "shop/web", "echo");
    assert_eq!(exit, Exit::Success);
    assert!(out.contains("let in by shop/web rule 1"), "{out}");
}

#[test]
fn a_denial_says_who_denies() {
    let expected = "\
10.244.2.13 -> 10.244.1.11: denied
  egress of shop/other on n2: allowed, no policy isolates it
  ingress of shop/web on n1: denied, isolated by shop/closed, shop/web
";
    let (exit, out, _) = ask("shop/other", "shop/web", "8080");
    assert_eq!((exit, out.as_str()), (Exit::Failure, expected));
    let (exit, out, _) = ask("shop/front", "shop/other", "53/udp");
    assert_eq!(exit, Exit::Failure);
    assert!(
        out.contains("egress of shop/front on n2: denied, isolated by shop/out"),
        "{out}"
    );
    // The node reaches its pods whatever policies say.
    assert_eq!(ask("192.0.2.1", "shop/web", "9999").0, Exit::Success);
    assert_eq!(ask("192.0.2.2", "shop/web", "9999").0, Exit::Failure);
}

#[test]
fn questions_without_sense_say_what_is_wrong() {
    for (from, to, port, reason) in [
        (
            "shop/nobody",
            "shop/web",
            "80",
            "--from shop/nobody: no such pod",
        ),
        (
            "shop/web",
            "shop/nothing",
            "80",
            "--to shop/nothing: no such pod and no such Service",
        ),
        (
            "shop/web",
            "shop/http",
            "81",
            "--to shop/http: the Service has no port 81/tcp",
        ),
        (
            "shop/web",
            "nonsense",
            "80",
            "--to nonsense: neither NAMESPACE/NAME nor an address",
        ),
        ("shop/web", "2001:db8::1", "80", "no address of one family"),
    ] {
        let (exit, _, err) = ask(from, to, port);
        assert_eq!(exit, Exit::Usage, "{from} {to}");
        assert!(err.contains(reason), "{err}");
    }
    for port in ["0", "70000", "80/icmp", "ping"] {
        let words = [
            "kube-router",
            "explain",
            "--from",
            "a/b",
            "--to",
            "a/b",
            "--port",
            port,
        ];
        assert!(Cli::try_parse_from(words).is_err(), "{port}");
    }
}
