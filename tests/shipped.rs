//! The shipped configuration file agrees with the code.
//!
//! `UPDATE_EXPECT=1` writes the file anew after a change of the schema.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its files has failed"
)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kube_router::config::{self, Config, Kind, Sources};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/config.toml")
}

fn text() -> String {
    fs::read_to_string(shipped()).unwrap()
}

fn load(text: &str) -> Result<Config, config::Problems> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    fs::write(&file, text).unwrap();
    let sources = Sources {
        file: Some(file),
        ..Sources::default()
    };
    config::load(&sources).map(|loaded| loaded.config)
}

fn defaults() -> Config {
    config::load(&Sources::default()).unwrap().config
}

/// `section.key` and value of every commented key, and `section.key.field` and value of every
/// field of a commented table, read without the schema.
fn commented() -> Vec<(String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in text().lines() {
        if let Some(name) = line.strip_prefix('[').or_else(|| line.strip_prefix("#[[")) {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((name, value)) = line.strip_prefix('#').and_then(|l| l.split_once(" = "))
            && !name.starts_with(' ')
        {
            found.push((format!("{section}.{name}"), value.to_owned()));
        }
    }
    found
}

#[test]
fn the_shipped_file_is_what_the_schema_says() {
    let expected = config::example();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(shipped(), &expected).unwrap();
    }
    assert!(
        text() == expected,
        "etc/config.toml is stale: UPDATE_EXPECT=1 cargo test --test shipped"
    );
}

#[test]
fn the_shipped_file_loads_and_changes_nothing() {
    assert_eq!(load(&text()), Ok(defaults()));
}

/// What has to stand in the file: each key with its default, each field with its example.
fn expected() -> Vec<(String, String)> {
    let mut expected = Vec::new();
    for key in config::keys() {
        let Kind::Tables(fields) = key.kind else {
            expected.push((key.path.to_owned(), key.default.to_owned()));
            continue;
        };
        for field in fields {
            expected.push((
                format!("{}.{}", key.path, field.name),
                field.example.to_owned(),
            ));
        }
    }
    expected
}

#[test]
fn every_key_stands_once_in_the_shipped_file_at_its_default() {
    let commented = commented();
    let names: BTreeSet<&str> = commented.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), commented.len());
    assert_eq!(commented, expected());
}

#[test]
fn every_table_uncommented_loads() {
    let directory = tempfile::tempdir().unwrap();
    let password = directory.path().join("password");
    fs::write(&password, "secret").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    for table in ["bgp.peer", "bgp.listen"] {
        let mut file = format!("[[{table}]]\n");
        for (name, value) in commented() {
            match name
                .strip_prefix(table)
                .and_then(|name| name.strip_prefix('.'))
            {
                // The other way to say how far away the peer is.
                Some("ttl_security") | None => {}
                Some("password_file") => {
                    file += &format!("password_file = \"{}\"\n", password.display());
                }
                Some(field) => file += &format!("{field} = {value}\n"),
            }
        }
        assert!(file.lines().count() > 10, "{file}");
        let bgp = load(&file).unwrap().bgp;
        assert_eq!(bgp.peers.len() + bgp.listen.len(), 1);
    }
}

#[test]
fn every_key_of_this_version_uncommented_gives_the_defaults() {
    let file: String = commented()
        .iter()
        .filter(|(name, _)| config::find(name).is_some_and(config::Key::is_read))
        .map(|(name, value)| format!("{name} = {value}\n"))
        .collect();
    assert!(file.lines().count() > 20, "{file}");
    assert_eq!(load(&file), Ok(defaults()));
}

#[test]
fn every_line_of_prose_fits_a_terminal() {
    for line in text().lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the reader of manual pages is the judge here"
)]
fn manual_pages_are_read_without_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let written = std::process::Command::new(env!("CARGO_BIN_EXE_kube-router"))
        .args(["man", "--dir"])
        .arg(directory.path())
        .status()
        .unwrap();
    assert!(written.success());
    for page in ["kube-router.8", "kube-router.toml.5"] {
        let read = std::process::Command::new("man")
            .args(["--local-file", "--warnings", "--encoding=UTF-8"])
            .arg(directory.path().join(page))
            .env("LC_ALL", "C.UTF-8")
            .output();
        let Ok(read) = read else {
            assert!(
                std::env::var_os("KUBE_ROUTER_REQUIRE_NETNS").is_none(),
                "man is missing"
            );
            eprintln!("NOT RUN: man is missing, so {page} was not read");
            return;
        };
        let warnings = String::from_utf8_lossy(&read.stderr).into_owned();
        assert!(
            read.status.success() && warnings.is_empty(),
            "{page}: {warnings}"
        );
        assert!(String::from_utf8_lossy(&read.stdout).contains("DESCRIPTION"));
    }
}
