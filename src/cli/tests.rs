use std::ffi::OsString;
use std::fs;

use clap::{CommandFactory, Parser};

use super::*;
use crate::config::{self, ClusterSource};

fn parse(line: &str) -> Command {
    Cli::try_parse_from(line.split(' ')).unwrap().command
}

fn said(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<Exit>) -> (Exit, String) {
    let mut out = Vec::new();
    let exit = write(&mut out).unwrap();
    (exit, String::from_utf8(out).unwrap())
}

#[test]
fn the_definition_has_no_contradictions() {
    Cli::command().debug_assert();
}

#[test]
fn overrides_of_run_reach_the_configuration() {
    let Command::Run(args) = parse("kube-router run --node-name n7 --log-level trace") else {
        panic!("run expected");
    };
    let mut sources = args.sources(Vec::new());
    assert_eq!(sources.file.as_deref(), Some(config::DEFAULT_FILE.as_ref()));
    sources.file = None;
    let config = config::load(&sources).unwrap().config;
    assert_eq!(config.node.name.as_deref(), Some("n7"));
    assert_eq!(config.log.level, config::LogLevel::Trace);

    let Command::Run(args) = parse("kube-router run --log-level loud") else {
        panic!("run expected");
    };
    let mut sources = args.sources(Vec::new());
    sources.file = None;
    let problems = config::load(&sources).unwrap_err().to_string();
    assert!(
        problems.starts_with("--log-level: log.level = \"loud\": expected one of"),
        "{problems}"
    );
}

#[test]
fn manifests_of_plan_replace_the_source_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    fs::write(
        &file,
        "[cluster]\nkubeconfig = \"/k\"\napi_servers = [\"https://a\"]\n",
    )
    .unwrap();
    let line = format!(
        "kube-router plan --manifests objects --node n1 --config {}",
        file.display()
    );
    let Command::Plan(args) = parse(&line) else {
        panic!("plan expected")
    };
    let config = config::load(&args.sources(Vec::new())).unwrap().config;
    assert_eq!(config.node.name.as_deref(), Some("n1"));
    let here = std::path::absolute("objects").unwrap();
    assert_eq!(config.cluster.source, ClusterSource::Manifests(here));

    let Command::Plan(args) = parse("kube-router plan --manifests /objects --node n1") else {
        panic!("plan expected");
    };
    assert_eq!(args.sources(Vec::new()).file, None);
    assert!(config::load(&args.sources(Vec::new())).is_ok());
}

#[test]
fn only_variables_with_our_prefix_are_looked_at() {
    let all = [
        ("PATH", "/bin"),
        ("KUBE_ROUTER_LOG__LEVEL", "debug"),
        ("KUBECONFIG", "/k"),
    ];
    let all = all
        .into_iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    assert_eq!(
        environment(all),
        [("KUBE_ROUTER_LOG__LEVEL".to_owned(), "debug".to_owned())]
    );
}

#[test]
fn check_config_says_ok_or_every_fault() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let args = CheckConfigArgs {
        file: file.clone(),
        show_origin: false,
    };
    fs::write(&file, "[log]\nlevel = \"debug\"\n").unwrap();
    let check = |args: &CheckConfigArgs| {
        let mut err = Vec::new();
        let (exit, out) = said(|out| check_config(args, Vec::new(), out, &mut err));
        (exit, out, String::from_utf8(err).unwrap())
    };
    assert_eq!(
        check(&args),
        (Exit::Success, "OK\n".to_owned(), String::new())
    );

    let shown = CheckConfigArgs {
        show_origin: true,
        ..args.clone()
    };
    let (exit, out, err) = check(&shown);
    assert_eq!((exit, err.as_str()), (Exit::Success, ""));
    let level = out
        .lines()
        .find(|line| line.starts_with("log.level"))
        .unwrap();
    assert!(
        level.ends_with(&format!("# {}:2:1", file.display())),
        "{level}"
    );
    assert_eq!(
        out.lines().count(),
        config::keys().filter(|key| key.is_read()).count()
    );
    assert!(toml::from_str::<toml::Table>(&out).is_ok(), "{out}");

    fs::write(&file, "[log]\nlevel = 1\nlevle = 2\n").unwrap();
    let (exit, out, err) = check(&args);
    assert_eq!(
        (exit, out.as_str(), err.lines().count()),
        (Exit::Failure, "", 2),
        "{err}"
    );
}

#[test]
fn manual_pages_name_every_command_and_every_key() {
    let page = |page| {
        said(|out| man(&ManArgs { page, dir: None }, out))
            .1
            .replace("\\-", "-")
    };
    let daemon = page(Page::Daemon);
    for command in Cli::command()
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        assert!(
            daemon.contains(&format!(".SS \"{}\"", command.get_name())),
            "{daemon}"
        );
    }
    for (exit, _) in Exit::ALL {
        assert!(daemon.contains(&format!(".B {}\n", exit.code())));
    }
    let settings = page(Page::Settings);
    for key in config::keys() {
        assert!(settings.contains(key.name()), "{}", key.path);
    }
    for flag in config::FLAGS {
        assert!(
            settings.contains(&format!(".B --{}\n", flag.name)),
            "{}",
            flag.name
        );
    }
}

#[test]
fn every_shell_has_a_completion() {
    use clap::ValueEnum as _;
    for shell in clap_complete::Shell::value_variants() {
        let (exit, script) = said(|out| completion(&CompletionArgs { shell: *shell }, out));
        assert_eq!(exit, Exit::Success);
        assert!(script.contains("check-config"), "{shell}");
    }
}
