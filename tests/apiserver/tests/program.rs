//! The program as the lab starts it: manifests in, kubeconfig out, `ready`, SIGTERM.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use common::talk::exchange;
use common::{client_of, soon};
use k8s_openapi::api::core::v1::Service;
use kube::Api;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn command(program: &str) -> Command {
    Command::new(program)
}

#[tokio::test]
async fn the_program_serves_manifests_until_it_is_told_to_end() {
    let folder =
        Folder(std::env::temp_dir().join(format!("test-apiserver-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).unwrap();
    std::fs::write(
        folder.0.join("a.yaml"),
        "kind: Service\nmetadata: {name: web, namespace: shop}\n---\nkind: Node\nmetadata: {name: n1}\n",
    )
    .unwrap();
    std::fs::write(folder.0.join("ignored.txt"), "kind: [").unwrap();
    let kubeconfig = folder.0.join("kubeconfig");
    let mut program = command(env!("CARGO_BIN_EXE_test-apiserver"));
    program.args([
        "--listen",
        "127.0.0.1:0",
        "--tls",
        "--control",
        "127.0.0.1:0",
        "--big",
        "3",
        "2",
        "--pods",
        "7",
    ]);
    program
        .arg("--manifests")
        .arg(&folder.0)
        .arg("--kubeconfig-out")
        .arg(&kubeconfig);
    let mut running = Running(program.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let mut line = || lines.next().expect("the program has ended").unwrap();
    assert!(line().starts_with("ready https://127.0.0.1:"));
    let control = line().strip_prefix("control ").unwrap().to_owned();

    let client = client_of(&std::fs::read_to_string(&kubeconfig).unwrap()).await;
    let services: Api<Service> = Api::all(client);
    let list = soon("list", services.list(&Default::default()))
        .await
        .unwrap();
    assert_eq!(list.items.len(), 4);
    let (code, namespaces) = exchange(&control, "GET", "/api/v1/namespaces", "", "");
    assert_eq!(code, 200);
    for name in ["shop", "default", "kube-system", "ns-2"] {
        assert!(
            namespaces.contains(&format!("\"name\":\"{name}\"")),
            "{name} is missing"
        );
    }

    let (code, pods) = exchange(&control, "GET", "/api/v1/pods?limit=1", "", "");
    assert_eq!(code, 200);
    assert!(pods.contains("\"remainingItemCount\":6"), "{pods}");

    let id = running.0.id().to_string();
    assert!(
        command("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    assert!(running.0.wait().unwrap().success());
}

#[test]
fn the_program_says_what_is_wrong_with_its_arguments() {
    for wrong in [
        &["--nonsense"][..],
        &["--listen"],
        &["--auth", "maybe"],
        &["--manifests", "/nowhere", "--listen", "127.0.0.1:0"],
    ] {
        let output = command(env!("CARGO_BIN_EXE_test-apiserver"))
            .args(wrong)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{wrong:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(wrong[wrong.len().min(2) - 1]),
            "{output:?}"
        );
    }
}
