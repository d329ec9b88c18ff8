//! Golden plans: a folder of manifests in, what an administrator would type out.
//!
//! `UPDATE_EXPECT=1 cargo test --test plans` rewrites the expectations; read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod common;
#[path = "plans/routing.rs"]
mod routing;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{facts, settings};
use kube_router::proxy::plan::Plan;
use kube_router::proxy::{Input, print};
use kube_router::watch::load;

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let mut cases: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    cases
}

/// The plan of node `n1`, a dual-stack node at 10.1.1.1 and fd01:1::1.
fn planned(case: &Path) -> String {
    let (snapshot, notes) = load(case).unwrap();
    let mut plan = Plan::default();
    plan.update(&Input {
        snapshot,
        facts: Arc::new(facts(true, &["10.244.1.0/24", "fd02:1::/64"])),
        settings: Arc::new(settings()),
    });
    let mut text = print(&plan);
    if !notes.is_empty() {
        text.push_str("\n# left out at the door\n");
        for note in notes {
            text.push_str(&format!("# {note}\n"));
        }
    }
    text
}

#[test]
fn plans_are_as_expected() {
    let cases = cases();
    assert!(cases.len() >= 4, "only {} cases", cases.len());
    compare(
        cases
            .into_iter()
            .map(|case| (case.join("expect.txt"), planned(&case))),
    );
}

/// Compares texts with the files that hold what is expected, or rewrites those.
fn compare(texts: impl Iterator<Item = (PathBuf, String)>) {
    let mut wrong = Vec::new();
    for (file, text) in texts {
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if text != expected {
            let line = text.lines().zip(expected.lines()).position(|(a, b)| a != b);
            wrong.push(format!(
                "{}: from line {:?}",
                file.display(),
                line.map(|l| l + 1)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "plans differ (UPDATE_EXPECT=1 rewrites them):\n{}",
        wrong.join("\n")
    );
}
