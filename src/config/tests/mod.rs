use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

mod hostile;
mod routing;
mod rules;
mod values;
mod variables;

/// The flags of kube-router v2.11 with their defaults, kept apart from the table they check.
const FIXTURE: &str = include_str!("../flags.txt");

/// A main file and drop-ins in a directory of their own.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new(main: &str) -> Self {
        let files = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs::write(files.main(), main).unwrap();
        files
    }

    fn main(&self) -> PathBuf {
        self.directory.path().join("config.toml")
    }

    fn drop_in(self, name: &str, text: &str) -> Self {
        let directory = self.directory.path().join("config.d");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(name), text).unwrap();
        self
    }

    fn sources(&self) -> Sources {
        Sources {
            file: Some(self.main()),
            ..Sources::default()
        }
    }

    fn load(&self) -> Result<Loaded, Problems> {
        load(&self.sources())
    }

    /// All problems, one a line, with the directory's own path left out.
    fn problems(&self) -> Vec<String> {
        let problems = self.load().expect_err("the configuration must be refused");
        let directory = format!("{}/", self.directory.path().display());
        problems
            .0
            .iter()
            .map(|p| p.to_string().replace(&directory, ""))
            .collect()
    }
}

fn with_environment(variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    load(&Sources {
        environment: variables.iter().map(pair).collect(),
        ..Sources::default()
    })
}

fn defaults() -> Config {
    load(&Sources::default()).unwrap().config
}

#[test]
fn defaults_are_those_of_the_specification() {
    let config = defaults();
    assert_eq!(config.node.name, None);
    assert!(config.node.families.v4 && !config.node.families.v6);
    assert_eq!(
        config.cluster.source,
        ClusterSource::Kubeconfig {
            path: "/etc/kube-router/kubeconfig".into(),
            servers: vec![]
        }
    );
    assert_eq!(
        config.cluster.service_ranges,
        ["10.96.0.0/12".parse().unwrap()]
    );
    assert_eq!(config.cluster.node_ports, 30000..=32767);
    assert!(config.cluster.strict_external_ips);
    assert_eq!(config.cluster.cache_sync_timeout, Duration::from_mins(1));
    assert_eq!(
        config.proxy.node_port_addresses,
        [NodePortAddresses::Primary]
    );
    assert_eq!(config.proxy.sync_period, Duration::from_mins(5));
    assert_eq!(config.proxy.timeouts, IpvsTimeouts::default());
    assert!(config.proxy.enabled && config.proxy.service_firewall);
    assert!(!config.proxy.masquerade_all);
    assert_eq!(
        config.netpol,
        NetpolConfig {
            enabled: true,
            backend: NetpolBackend::Auto,
            default_deny: false,
            sync_period: Duration::from_mins(5),
            log_drops: true,
            established: Established::Keep,
        }
    );
    assert_eq!(config.health.listen, Some("[::]:20244".parse().unwrap()));
    assert_eq!(config.metrics.listen, None);
    assert_eq!(config.metrics.path, "/metrics");
    assert_eq!(
        config.log,
        LogConfig {
            level: LogLevel::Info,
            target: LogTarget::Auto
        }
    );
}

#[test]
fn every_flag_of_the_original_has_a_place_and_its_default() {
    let lines: Vec<Vec<&str>> = FIXTURE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(lines.len(), 79);
    let names: Vec<&str> = lines.iter().map(|line| line[0]).collect();
    assert_eq!(
        names,
        FLAGS.iter().map(|flag| flag.name).collect::<Vec<_>>()
    );
    for (line, flag) in lines.iter().zip(FLAGS) {
        let &[name, upstream, place, ours] = line.as_slice() else {
            panic!("{line:?}")
        };
        match flag.place {
            Place::Key(path) => {
                let key = find(path).unwrap_or_else(|| panic!("{name}: no key {path}"));
                assert_eq!((place, ours), (path, key.default), "{name}");
                assert!(
                    upstream == ours.trim_matches(['"', '[', ']']) || !flag.note.is_empty(),
                    "{name}: {upstream} became {ours} without a note"
                );
            }
            Place::Command(_) => assert_eq!((place, ours), ("command", ""), "{name}"),
            Place::Nowhere(why) => {
                assert!(!why.is_empty());
                assert_eq!((place, ours), ("nowhere", ""), "{name}");
            }
        }
    }
}

#[test]
fn every_key_has_a_default_that_its_own_check_accepts() {
    for key in keys().filter(|key| key.is_read()) {
        let value = file::value_of(key.default);
        assert_eq!(key.faults(&value), [], "{}", key.path);
        assert_eq!(render(&value), key.default, "{}", key.path);
    }
}

#[test]
fn ten_mistakes_in_one_file_give_ten_errors_each_with_its_place() {
    let files = Files::new(
        "[node]\n\
         nmae = \"n1\"\n\
         enable_ipv4 = \"yes\"\n\
         [cluster]\n\
         service_cluster_ip_range = [\"10.96.0.0/12\", \"10.96.0.0/33\"]\n\
         service_node_port_range = \"32767-30000\"\n\
         manifests = \"relative/path\"\n\
         [proxy]\n\
         sync_period = \"0s\"\n\
         hairpin_mode = true\n\
         udp_timeout = 30\n\
         [helth]\n\
         listen = \"\"\n\
         [lballoc]\n\
         identity = \"a\"\n",
    );
    assert_eq!(
        files.problems(),
        [
            "config.toml:2:1: node.nmae: unknown key; did you mean node.name?",
            "config.toml:3:1: node.enable_ipv4 = \"yes\": expected true or false",
            "config.toml:5:45: cluster.service_cluster_ip_range[1] = \"10.96.0.0/33\": expected a \
             CIDR such as \"10.96.0.0/12\" or \"fd00:10:96::/112\"",
            "config.toml:6:1: cluster.service_node_port_range = \"32767-30000\": expected \
             FIRST-LAST with FIRST below LAST, such as \"30000-32767\"",
            "config.toml:7:1: cluster.manifests = \"relative/path\": expected an absolute path",
            "config.toml:9:1: proxy.sync_period = \"0s\": expected a duration above zero, such as \
             \"30s\", \"5m\" or \"1h30m\"",
            "config.toml:10:1: proxy.hairpin_mode: hairpin traffic is not part of version 0.1.0; \
             remove the key",
            "config.toml:11:1: proxy.udp_timeout = 30: expected a duration in whole seconds up to \
             2147483s, such as \"0s\" or \"15m\"",
            "config.toml:12:2: [helth]: unknown section; did you mean [health]?",
            "config.toml:15:1: lballoc.identity: handing out LoadBalancer addresses is not part of \
             version 0.1.0; remove the key",
        ]
    );
}

#[test]
fn a_broken_line_does_not_hide_the_mistakes_around_it() {
    let files = Files::new("[proxy]\nsync_period = \"0s\"\nenabled = tru\nmasquerade_all = 1\n")
        .drop_in("10-a.toml", "[log]\nlevel = \"loud\"\n")
        .drop_in("20-b.toml", "[node\n");
    let problems = files.problems();
    let has = |start: &str| problems.iter().any(|p| p.starts_with(start));
    assert!(
        has("config.toml:2:1: proxy.sync_period = \"0s\": "),
        "{problems:#?}"
    );
    assert!(has("config.toml:3:"), "{problems:#?}");
    assert!(
        has("config.toml:4:1: proxy.masquerade_all = 1: expected true"),
        "{problems:#?}"
    );
    assert!(
        has("config.d/10-a.toml:2:1: log.level = \"loud\": expected one of"),
        "{problems:#?}"
    );
    assert!(has("config.d/20-b.toml:1:"), "{problems:#?}");
}

#[test]
fn layers_override_one_another_and_each_value_keeps_its_origin() {
    let files = Files::new(
        "[proxy]\nsync_period = \"1m\"\nmasquerade_all = true\nexcluded_cidrs = [\"10.0.0.0/8\"]\n\
         [log]\nlevel = \"warn\"\n",
    )
    .drop_in("20-later.toml", "[proxy]\nsync_period = \"3m\"\n")
    .drop_in(
        "10-first.toml",
        "proxy.sync_period = \"2m\"\nproxy.excluded_cidrs = []\n",
    )
    .drop_in(".hidden.toml", "not toml")
    .drop_in("notes.txt", "not toml");
    let mut sources = files.sources();
    sources.environment = vec![
        ("KUBE_ROUTER_LOG__LEVEL".into(), "debug".into()),
        ("KUBE_ROUTER_NODE__NAME".into(), "by-variable".into()),
        ("KUBE_ROUTER_REQUIRE_NETNS".into(), "1".into()),
        ("KUBE_ROUTER_PREBUILT".into(), "/bin/kube-router".into()),
        ("PATH".into(), "/bin".into()),
    ];
    sources.overrides = vec![Override {
        flag: "--node-name",
        key: "node.name",
        value: "by-flag".into(),
    }];
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.config.proxy.sync_period, Duration::from_mins(3));
    assert!(loaded.config.proxy.excluded_cidrs.is_empty());
    assert_eq!(loaded.config.log.level, LogLevel::Debug);
    assert_eq!(loaded.config.node.name.as_deref(), Some("by-flag"));

    let origin = |key: &str| {
        let value = loaded.values.iter().find(|value| value.key == key).unwrap();
        let directory = format!("{}/", files.directory.path().display());
        format!(
            "{} {}",
            value.value,
            value.origin.to_string().replace(&directory, "")
        )
    };
    assert_eq!(
        origin("proxy.sync_period"),
        "\"3m\" config.d/20-later.toml:2:1"
    );
    assert_eq!(
        origin("proxy.excluded_cidrs"),
        "[] config.d/10-first.toml:2:7"
    );
    assert_eq!(origin("proxy.masquerade_all"), "true config.toml:3:1");
    assert_eq!(origin("log.level"), "\"debug\" KUBE_ROUTER_LOG__LEVEL");
    assert_eq!(origin("node.name"), "\"by-flag\" --node-name");
    assert_eq!(origin("health.listen"), "\"[::]:20244\" default");
}

#[test]
fn a_missing_main_file_is_an_error_and_missing_drop_ins_are_not() {
    let files = Files::new("");
    assert_eq!(files.load().unwrap().config, defaults());
    fs::remove_file(files.main()).unwrap();
    let problems = files.problems();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].starts_with("config.toml: cannot be read: No such file"),
        "{problems:?}"
    );
}

#[test]
fn network_policies_are_set_up_by_words_and_switches() {
    for (text, wanted) in [
        ("backend = \"iptables\"", NetpolBackend::Iptables),
        ("backend = \"nftables\"", NetpolBackend::Nftables),
        ("backend = \"auto\"", NetpolBackend::Auto),
    ] {
        let all = "enabled = true\ndefault_deny = true\nsync_period = \"90s\"\nlog_drops = false\n\
                   established = \"recheck\"";
        let loaded = Files::new(&format!("[netpol]\n{text}\n{all}\n")).load();
        assert_eq!(
            loaded.unwrap().config.netpol,
            NetpolConfig {
                enabled: true,
                backend: wanted,
                default_deny: true,
                sync_period: Duration::from_secs(90),
                log_drops: false,
                established: Established::Recheck,
            }
        );
    }
    let files = Files::new(
        "[netpol]\nbackend = \"ipvs\"\nestablished = \"drop\"\nsync_period = \"0s\"\nenabled = 1\n",
    );
    assert_eq!(
        files.problems(),
        [
            "config.toml:2:1: netpol.backend = \"ipvs\": expected one of \"auto\", \"iptables\", \
             \"nftables\"",
            "config.toml:3:1: netpol.established = \"drop\": expected one of \"keep\", \"recheck\"",
            "config.toml:4:1: netpol.sync_period = \"0s\": expected a duration above zero, such as \
             \"30s\", \"5m\" or \"1h30m\"",
            "config.toml:5:1: netpol.enabled = 1: expected true or false",
        ]
    );
}

#[test]
fn parts_that_do_not_exist_may_be_switched_off_but_not_on() {
    assert!(Files::new("[lballoc]\nenabled = false\n").load().is_ok());
    let problems = Files::new("[lballoc]\nenabled = true\n").problems();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].contains("is not part of version 0.1.0"),
        "{problems:?}"
    );
    assert!(problems[0].contains("set it to false"), "{problems:?}");
}

#[test]
fn every_key_of_a_missing_part_is_refused_whatever_its_value() {
    for key in keys().filter(|key| !key.is_read()) {
        let text = format!("[{}]\n{} = {}\n", key.section(), key.name(), key.default);
        let problems = Files::new(&text).problems();
        let start = format!("config.toml:2:1: {}: ", key.path);
        assert!(problems[0].starts_with(&start), "{problems:?}");
        assert!(problems[0].ends_with("is not part of version 0.1.0; remove the key"));
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}

#[test]
fn a_refused_value_causes_no_second_error_about_what_it_would_have_meant() {
    let files = Files::new(
        "[node]\nenable_ipv6 = 1\n[cluster]\nservice_cluster_ip_range = [\"fd00::/112\"]\n",
    );
    let problems = files.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("config.toml:2:1: node.enable_ipv6 = 1"));
}

#[test]
fn manifests_replace_the_default_kubeconfig() {
    let loaded = Files::new("[cluster]\nmanifests = \"/srv/objects\"\n")
        .load()
        .unwrap();
    assert_eq!(
        loaded.config.cluster.source,
        ClusterSource::Manifests("/srv/objects".into())
    );
}

#[test]
fn flags_of_the_original_lead_to_their_key() {
    let problems = Files::new("[proxy]\nipvs_sync_period = \"5m\"\nrun-service-proxy = true\n");
    assert_eq!(
        problems.problems(),
        [
            "config.toml:2:1: proxy.ipvs_sync_period: unknown key; kube-router's \
             --ipvs-sync-period is proxy.sync_period here",
            "config.toml:3:1: proxy.run-service-proxy: unknown key; kube-router's \
             --run-service-proxy is proxy.enabled here",
        ]
    );
}

#[test]
fn keys_outside_or_below_their_section_are_refused() {
    let files = Files::new("masquerade_all = true\nproxy = 3\n[log.level]\ndeep = 1\n");
    assert_eq!(
        files.problems(),
        [
            "config.toml:1:1: masquerade_all: unknown key; did you mean proxy.masquerade_all?",
            "config.toml:2:1: proxy: expected a section: [proxy] on a line of its own",
            "config.toml:3:6: log.level = [log.level]: expected one of \"error\", \"warn\", \"info\", \
             \"debug\", \"trace\"",
        ]
    );
}

#[test]
fn text_that_is_not_utf8_is_reported_with_its_place() {
    let files = Files::new("");
    fs::write(files.main(), b"[log]\nlevel = \"\xff\"\n").unwrap();
    assert_eq!(
        files.problems(),
        ["config.toml:2:10: the file is not UTF-8 text"]
    );
}

#[test]
fn a_reload_names_what_needs_a_restart() {
    let old = defaults();
    assert_eq!(old.restart_needed(&old.clone()), [""; 0]);
    let mut new = old.clone();
    new.log.level = LogLevel::Debug;
    new.proxy.masquerade_all = true;
    new.proxy.sync_period = Duration::from_secs(1);
    assert_eq!(old.restart_needed(&new), [""; 0]);
    new.netpol.backend = NetpolBackend::Iptables;
    new.netpol.established = Established::Recheck;
    assert_eq!(old.restart_needed(&new), [""; 0]);
    new.netpol.enabled = false;
    new.node.name = Some("other".into());
    new.node.families.v6 = true;
    new.cluster.source = ClusterSource::Manifests("/x".into());
    new.health.listen = None;
    assert_eq!(
        old.restart_needed(&new),
        [
            "node.name",
            "node.enable_ipv6",
            "cluster.manifests",
            "netpol.enabled",
            "health.listen"
        ]
    );
}
