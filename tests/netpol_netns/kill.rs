//! The program itself, killed while it works, under a standing stream of probes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kube_router::config::NetpolBackend;
use tempfile::TempDir;

use crate::faults::lines;
use crate::lab::Joint;
use crate::policy_cluster::{NODE, NODE_V4, NODE_V6};
use crate::stage::{BANK, DB, FAR, Stage, WEB, Who, on_both};
use crate::stream::under_probes;

const KILLS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends by SIGKILL.
struct Running(Child);

impl Running {
    fn start(configuration: &Path) -> Self {
        let program = env!("CARGO_BIN_EXE_kube-router");
        let child = Command::new(program)
            .args(["run", "--config"])
            .arg(configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // By its handle: nobody else has this process's number before it is waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pod(namespace: &str, name: &str, node: &str, app: &str, addresses: Who) -> String {
    let [v4, v6] = addresses else { unreachable!() };
    format!(
        "---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {app}}}}}
spec: {{nodeName: {node}, containers: [{{name: c}}]}}
status: {{phase: Running, podIP: {v4}, podIPs: [{{ip: {v4}}}, {{ip: \"{v6}\"}}]}}
"
    )
}

fn objects() -> String {
    let mut all = format!(
        "apiVersion: v1
kind: Node
metadata: {{name: {NODE}}}
spec: {{podCIDRs: [10.42.0.0/24, \"fd00:42::/64\"]}}
status: {{addresses: [{{type: InternalIP, address: {NODE_V4}}}, {{type: InternalIP, address: \"{NODE_V6}\"}}]}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: shop, labels: {{team: a}}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: bank, labels: {{team: b}}}}
"
    );
    all += &pod("shop", "web", NODE, "web", WEB);
    all += &pod("shop", "db", NODE, "db", DB);
    all += &pod("bank", "web", NODE, "web", BANK);
    all += &pod("shop", "far", "there", "far", FAR);
    all
}

/// As `faults::variant` has it: the chains differ with the number, the verdicts of its lines don't.
fn policies(number: u64) -> String {
    let extra = number % 250;
    format!(
        "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: db, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: db}}}}
  ingress: [{{from: [{{podSelector: {{matchLabels: {{app: web}}}}}}, {{ipBlock: {{cidr: 192.0.2.{extra}/32}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: web, namespace: bank}}
spec:
  podSelector: {{matchLabels: {{app: web}}}}
  policyTypes: [Egress]
  egress: [{{to: [{{ipBlock: {{cidr: 10.42.0.{extra}/32}}}}]}}]
"
    )
}

struct Files {
    directory: TempDir,
    number: u64,
}

impl Files {
    fn new(backend: NetpolBackend) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let manifests = directory.path().join("manifests");
        fs::create_dir(&manifests).unwrap();
        fs::write(manifests.join("objects.yaml"), objects()).unwrap();
        let backend = match backend {
            NetpolBackend::Nftables => "nftables",
            _ => "iptables",
        };
        let configuration = format!(
            "[node]
name = \"{NODE}\"
enable_ipv6 = true
[cluster]
manifests = {manifests:?}
service_cluster_ip_range = [\"10.96.0.0/16\", \"fd96::/108\"]
[proxy]
enabled = false
[netpol]
enabled = true
backend = \"{backend}\"
"
        );
        fs::write(directory.path().join("config.toml"), configuration).unwrap();
        let mut files = Self {
            directory,
            number: 0,
        };
        files.change();
        files
    }

    fn start(&self) -> Running {
        Running::start(&self.directory.path().join("config.toml"))
    }

    /// Other policies, all at once.
    fn change(&mut self) {
        self.number += 1;
        let new = self.directory.path().join("new");
        fs::write(&new, policies(self.number)).unwrap();
        let place = self.directory.path().join("manifests/policies.yaml");
        fs::rename(new, place).unwrap();
    }
}

/// The names of the chains that stand, which follow from their content.
fn chains(backend: NetpolBackend) -> BTreeSet<String> {
    let output = match backend {
        NetpolBackend::Nftables => Command::new("nft").args(["list", "chains"]).output(),
        _ => Command::new("iptables-save").output(),
    };
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let words = text.split([' ', ':', '\n']);
    let names = words.filter(|word| word.starts_with("KUBE-NWPLCY-"));
    names.map(str::to_owned).collect()
}

/// Until packets fare as they should.
fn wait_until_enforced(stage: &Stage<'_>) {
    let begin = Instant::now();
    loop {
        let wrong = stage.wrong(&lines());
        if wrong.is_empty() {
            return;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "{:?}: {wrong:#?}",
            stage.backend
        );
    }
}

#[test]
fn killed_in_the_middle_of_its_work_it_leaves_no_gap() {
    on_both(Joint::Routed, |stage| {
        let mut files = Files::new(stage.backend);
        let mut program = files.start();
        wait_until_enforced(stage);
        let backend = stage.backend;
        let mut states = BTreeSet::new();
        let ((), tally) = under_probes(stage.lab, &lines(), || {
            for kill in 0..KILLS {
                // Other instants each time: some while it starts, some while it applies.
                let until = Instant::now() + Duration::from_millis(250 + kill * 67 % 500);
                while Instant::now() < until {
                    files.change();
                    thread::park_timeout(Duration::from_millis(15 + kill));
                }
                drop(program);
                states.insert(chains(backend));
                program = files.start();
            }
        });
        wait_until_enforced(stage);
        let (tried, states) = (tally.clean(), states.len());
        assert!(
            states > 5,
            "{states} states: it never worked when it was killed"
        );
        println!(
            "counted {tried} probes over {KILLS} kills, which left {states} states, {backend:?}"
        );
    });
}
