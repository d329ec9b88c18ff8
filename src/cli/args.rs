//! The command line: commands, flags, and the configuration sources they mean.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::bgp::{BGP_LONG, BgpArgs};
use crate::config::{self, Override, Sources};
use crate::net::Protocol;

const ABOUT: &str = "Kubernetes node networking as a host service";

const LONG_ABOUT: &str = "\
Kubernetes node networking as a host service.

kube-router runs on each node, outside of any container, watches the cluster's objects and keeps \
the node's kernel as they say: in this version Services, as virtual servers of IPVS, and network \
policies, by nftables or by ipset and iptables. Nothing in the kernel is touched before all objects \
are known, and stopping leaves everything in place.";

const RUN_LONG: &str = "\
Run the daemon in the foreground; systemd starts it so.

It reports ready to systemd after the first complete pass. SIGTERM and SIGINT end it and leave the \
data path in place: connections go on, and a new start finds what is there and changes nothing \
that is right. SIGHUP reads the configuration again; a configuration with faults is refused and \
the running one stays.

If it does not start: \"kube-router check-config\" for the configuration, \"journalctl -u \
kube-router\" for the log, \"curl localhost:20244/readyz\" for what it is waiting for.";

const CHECK_LONG: &str = "\
Check the configuration and report every fault at once: file, line, key, value and what is \
expected.

The drop-ins config.d/*.toml beside the file and the environment's KUBE_ROUTER_ variables are \
checked with it, just as the daemon would read them. Nothing is contacted or changed. Ends with 0 \
when the configuration is good and with 1 when it is not.";

const PLAN_LONG: &str = "\
Print what would be programmed on a node, as ipvsadm, ip, ipset, iptables and nft would write it, \
without touching anything.

The objects come from a directory of manifests (--manifests) or from the configuration's cluster. \
The output is the same for the same objects, so two of them can be compared with diff.";

const EXPLAIN_LONG: &str = "\
Say whether network policies let a connection through, and every policy and rule that led to it.

The answer comes from the very rules that are programmed: those of the nodes of both pods are \
compiled and followed. A Service as the destination stands for each of its ready endpoints. The \
objects come from a directory of manifests (--manifests) or from the configuration's cluster. Ends \
with 0 when it is allowed, with 1 when it is denied, with 2 when the question makes no sense.";

const CLEANUP_LONG: &str = "\
Remove from the kernel what kube-router has put there, and nothing else: IPVS services on its \
addresses, its dummy link, its ipsets, its iptables chains and its table of nftables.

It needs neither the API server nor a running daemon; stop the daemon first, or it puts all back. \
IPVS services, ipsets and addresses of others stay, and so does whatever lies in \
proxy.excluded_cidrs. Traffic to Services stops. Begin with --dry-run.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "kube-router", version, about = ABOUT, long_about = LONG_ABOUT)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    #[command(long_about = RUN_LONG)]
    Run(RunArgs),
    /// Check the configuration and report every fault
    #[command(long_about = CHECK_LONG)]
    CheckConfig(CheckConfigArgs),
    /// Print what would be programmed, without touching anything
    #[command(long_about = PLAN_LONG)]
    Plan(PlanArgs),
    /// Say whether network policies let a connection through, and why
    #[command(long_about = EXPLAIN_LONG)]
    Explain(ExplainArgs),
    /// Ask the running daemon for its BGP peers and routes
    #[command(long_about = BGP_LONG, arg_required_else_help = true)]
    #[command(disable_help_subcommand = true)]
    Bgp(BgpArgs),
    /// Remove everything of kube-router's from the kernel
    #[command(long_about = CLEANUP_LONG)]
    Cleanup(CleanupArgs),
    /// Print the version
    Version,
    /// Print a manual page, or write them all
    #[command(hide = true)]
    Man(ManArgs),
    /// Print the completion script for a shell
    #[command(hide = true)]
    Completion(CompletionArgs),
}

/// `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The configuration file, with its drop-ins in config.d/ beside it
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_FILE)]
    pub config: PathBuf,
    /// This node's name in the cluster; overrides node.name
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// error, warn, info, debug or trace; overrides log.level
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// `check-config`.
#[derive(Debug, Clone, Args)]
pub struct CheckConfigArgs {
    /// The file to check
    #[arg(value_name = "FILE", default_value = config::DEFAULT_FILE)]
    pub file: PathBuf,
    /// Print every value in force and where it was set
    #[arg(long)]
    pub show_origin: bool,
}

/// `plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// Read the cluster's objects from the YAML files of this directory
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// The configuration file [default: /etc/kube-router/config.toml, or none with --manifests]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The node to plan for
    #[arg(long, value_name = "NAME")]
    pub node: String,
}

/// `explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// Who connects: NAMESPACE/POD or an address
    #[arg(long, value_name = "POD|IP")]
    pub from: String,
    /// To whom: NAMESPACE/POD, an address, or NAMESPACE/SERVICE
    #[arg(long, value_name = "POD|IP|SERVICE")]
    pub to: String,
    /// On which port: 80, 53/udp, 38412/sctp; or echo for a ping
    #[arg(long, value_name = "PORT")]
    pub port: Port,
    /// Read the cluster's objects from the YAML files of this directory
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// The configuration file [default: /etc/kube-router/config.toml, or none with --manifests]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A port with its protocol, or an echo request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    Number(Protocol, u16),
    Echo,
}

/// Text that is no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a port from 1 to 65535, with /udp or /sctp behind it unless it is tcp, or echo")]
pub struct NoPort;

/// `cleanup`.
#[derive(Debug, Clone, Args)]
pub struct CleanupArgs {
    /// The configuration file [default: /etc/kube-router/config.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// The page to print
    #[arg(value_enum, default_value_t = Page::Daemon)]
    pub page: Page,
    /// Write all pages into this directory instead
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// A manual page by its file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Page {
    #[value(name = "kube-router.8")]
    Daemon,
    #[value(name = "kube-router.toml.5")]
    Settings,
}

/// `completion`.
#[derive(Debug, Clone, Args)]
pub struct CompletionArgs {
    pub shell: Shell,
}

// === impl RunArgs ===

impl RunArgs {
    /// What the daemon loads its configuration from, at the start and on every reload.
    #[must_use]
    pub fn sources(&self, environment: Vec<(String, String)>) -> Sources {
        let set = |flag, key, value: &Option<String>| {
            value.clone().map(|value| Override { flag, key, value })
        };
        let overrides = [
            set("--node-name", "node.name", &self.node_name),
            set("--log-level", "log.level", &self.log_level),
        ];
        let overrides = overrides.into_iter().flatten().collect();
        Sources {
            file: Some(self.config.clone()),
            environment,
            overrides,
        }
    }
}

// === impl CheckConfigArgs ===

impl CheckConfigArgs {
    #[must_use]
    pub fn sources(&self, environment: Vec<(String, String)>) -> Sources {
        Sources {
            file: Some(self.file.clone()),
            environment,
            overrides: Vec::new(),
        }
    }
}

// === impl Port ===

impl FromStr for Port {
    type Err = NoPort;

    fn from_str(text: &str) -> Result<Self, NoPort> {
        if text == "echo" {
            return Ok(Self::Echo);
        }
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = protocol.parse().map_err(|_| NoPort)?;
        match number.parse() {
            Ok(0) | Err(_) => Err(NoPort),
            Ok(number) => Ok(Self::Number(protocol, number)),
        }
    }
}

// === impl ExplainArgs ===

impl ExplainArgs {
    /// The configuration; manifests replace whatever source it names.
    #[must_use]
    pub fn sources(&self, environment: Vec<(String, String)>) -> Sources {
        from_manifests(&self.config, &self.manifests, environment, Vec::new())
    }
}

// === impl PlanArgs ===

impl PlanArgs {
    /// The configuration of the plan: manifests replace whatever source it names.
    #[must_use]
    pub fn sources(&self, environment: Vec<(String, String)>) -> Sources {
        let node = Override {
            flag: "--node",
            key: "node.name",
            value: self.node.clone(),
        };
        from_manifests(&self.config, &self.manifests, environment, vec![node])
    }
}

// === impl CleanupArgs ===

impl CleanupArgs {
    /// The default file may be gone already; the defaults then tell what is ours.
    #[must_use]
    pub fn sources(&self, environment: Vec<(String, String)>) -> Sources {
        let default = || Some(PathBuf::from(config::DEFAULT_FILE)).filter(|file| file.exists());
        let file = self.config.clone().or_else(default);
        Sources {
            file,
            environment,
            overrides: Vec::new(),
        }
    }
}

// === impl Page ===

impl Page {
    pub const ALL: [Self; 2] = [Self::Daemon, Self::Settings];

    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Daemon => "kube-router.8",
            Self::Settings => "kube-router.toml.5",
        }
    }
}

// === free functions ===

/// A configuration file, and over it a directory of manifests in place of whatever source it names.
fn from_manifests(
    config: &Option<PathBuf>,
    manifests: &Option<PathBuf>,
    environment: Vec<(String, String)>,
    mut overrides: Vec<Override>,
) -> Sources {
    let set = |flag, key, value| Override { flag, key, value };
    if let Some(directory) = manifests {
        let directory = absolute(directory).to_string_lossy().into_owned();
        overrides.push(set("--manifests", "cluster.kubeconfig", String::new()));
        overrides.push(set("--manifests", "cluster.api_servers", String::new()));
        overrides.push(set("--manifests", "cluster.manifests", directory));
    }
    let file = match (config, manifests) {
        (Some(file), _) => Some(file.clone()),
        (None, Some(_)) => None,
        (None, None) => Some(PathBuf::from(config::DEFAULT_FILE)),
    };
    Sources {
        file,
        environment,
        overrides,
    }
}

/// The variables that may say something about the configuration.
#[must_use]
pub fn environment(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(String, String)> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    all.map(|(name, value)| (text(name), text(value)))
        .filter(|(name, _)| name.starts_with(config::PREFIX))
        .collect()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
