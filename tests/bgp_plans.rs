//! Golden plans of BGP: a folder with manifests and a configuration in, what `kube-router plan`
//! says of node `n1` out.
//!
//! `UPDATE_EXPECT=1 cargo test --test bgp_plans` rewrites the expectations; read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

/// The parts of the daemon that have goldens of their own.
const OTHERS: [(&str, &str); 3] = [
    ("KUBE_ROUTER_PROXY__ENABLED", "false"),
    ("KUBE_ROUTER_NETPOL__ENABLED", "false"),
    ("KUBE_ROUTER_ROUTING__ENABLED", "true"),
];

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bgp_plans");
    let entries = fs::read_dir(root).unwrap();
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

#[expect(clippy::disallowed_methods, reason = "the program itself is tested")]
fn planned(case: &Path) -> String {
    let manifests = tempfile::tempdir().unwrap();
    fs::copy(
        case.join("cluster.yaml"),
        manifests.path().join("cluster.yaml"),
    )
    .unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kube-router"))
        .args(["plan", "--node", "n1", "--config"])
        .arg(case.join("config.toml"))
        .env("KUBE_ROUTER_CLUSTER__MANIFESTS", manifests.path())
        .envs(OTHERS)
        .output()
        .unwrap();
    let (out, err) = (output.stdout, output.stderr);
    let (out, err) = (
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    );
    assert!(output.status.success(), "{}: {err}", case.display());
    match err.as_str() {
        "" => out,
        err => format!("{out}\n# said besides\n{err}"),
    }
}

#[test]
fn plans_are_as_expected() {
    let cases = cases();
    assert!(cases.len() >= 4, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let text = planned(&case);
        let file = case.join("expect.txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&file, &text).unwrap();
        }
        if text != fs::read_to_string(&file).unwrap_or_default() {
            wrong.push(file.display().to_string());
        }
    }
    assert!(
        wrong.is_empty(),
        "plans differ (UPDATE_EXPECT=1 rewrites them): {}",
        wrong.join(", ")
    );
}

#[test]
fn passwords_stand_in_no_plan() {
    let text = planned(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bgp_plans/reflector"));
    assert!(text.contains(" password "), "{text}");
    assert!(
        !text.contains("secret") && !text.contains("c2VjcmV0"),
        "{text}"
    );
}
