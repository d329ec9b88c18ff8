//! A real kube-apiserver with its etcd, so that what the tests believe of ours can be held against it.
//!
//! Both binaries come from the folder that `KUBEBUILDER_ASSETS` names. They listen on free loopback ports, keep their
//! files in a folder of their own, and end with the value.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ask::{self, Answer, Ask, connect};
use crate::everywhere::ApiServer;
use crate::kubeconfig::{Credentials, kubeconfig};
use crate::pki::Pki;
use crate::server::Failure;

const TOKEN: &str = "test-token";
/// Waits between two looks at a server that starts, and how many looks it gets: a minute on a busy machine.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: u32 = 900;

/// A running kube-apiserver and its etcd.
#[derive(Debug)]
pub struct RealApiServer {
    folder: PathBuf,
    assets: PathBuf,
    pki: Pki,
    port: u16,
    etcd_port: u16,
    /// Of Kubernetes 1.x.
    minor: u32,
    streaming_lists: AtomicBool,
    etcd: Mutex<Ended>,
    server: Mutex<Ended>,
}

/// A process that is ended by its id when dropped.
#[derive(Debug)]
struct Ended(Child);

impl Ended {
    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.end();
    }
}

impl RealApiServer {
    /// Starts both, or nothing when `KUBEBUILDER_ASSETS` is not set.
    ///
    /// # Panics
    /// When it is set and they don't start.
    pub fn start() -> Option<Self> {
        let assets = PathBuf::from(std::env::var_os("KUBEBUILDER_ASSETS")?);
        Some(Self::start_from(assets).unwrap_or_else(|error| panic!("kube-apiserver: {error}")))
    }

    fn start_from(assets: PathBuf) -> Result<Self, Failure> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let serial = MADE.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("real-apiserver-{}-{serial}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let pki = Pki::new(&["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        write_files(&folder, &pki)?;
        let [port, etcd_port, peer_port] = free_ports()?;
        let minor = minor_version(&assets, "kube-apiserver")?;
        let etcd = start_etcd(&assets, &folder, etcd_port, peer_port)?;
        let server = start_server(&assets, &folder, port, etcd_port, gate(minor, true))?;
        let (etcd, server) = (Mutex::new(etcd), Mutex::new(server));
        let real = Self {
            folder,
            assets,
            pki,
            port,
            etcd_port,
            minor,
            streaming_lists: AtomicBool::new(true),
            etcd,
            server,
        };
        real.wait_until_ready()?;
        Ok(real)
    }

    fn wait_until_ready(&self) -> Result<(), Failure> {
        let mut last = String::new();
        for _ in 0..LOOKS {
            match self.ask_it(Ask::get("/readyz")) {
                Ok(answer) if answer.code == 200 => return Ok(()),
                Ok(answer) => last = answer.body,
                Err(error) => last = error.to_string(),
            }
            self.check_alive()?;
            pause();
        }
        Err(format!("not ready in time: {last}").into())
    }

    /// Fails with the log of one of the two that has ended.
    fn check_alive(&self) -> Result<(), Failure> {
        let ended = |process: &mut Ended, name: &str| -> Result<(), Failure> {
            let Some(status) = process.0.try_wait()? else {
                return Ok(());
            };
            let log = std::fs::read_to_string(self.folder.join(format!("{name}.log")))?;
            Err(format!("{name} ended with {status}: {}", tail(&log)).into())
        };
        ended(&mut lock(&self.etcd), "etcd")?;
        ended(&mut lock(&self.server), "kube-apiserver")
    }

    fn ask_it(&self, ask: Ask<'_>) -> Result<Answer, Failure> {
        ask::ask(self.port, &self.pki, TOKEN, ask)
    }

    /// Compacts etcd at its latest revision.
    fn compact_etcd(&self) -> Result<(), Failure> {
        let head = self.ask_etcd("/v3/kv/range", "{\"key\":\"AA==\"}")?;
        let revision: u64 = head
            .split("\"revision\":\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| format!("no revision in {head}"))?;
        let answer = self.ask_etcd(
            "/v3/kv/compaction",
            &format!("{{\"revision\":\"{revision}\",\"physical\":true}}"),
        )?;
        answer
            .starts_with("HTTP/1.1 200")
            .then_some(())
            .ok_or_else(|| answer.into())
    }

    fn ask_etcd(&self, path: &str, body: &str) -> Result<String, Failure> {
        let mut stream = connect(self.etcd_port)?;
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Starts the server anew, for its caches remember what etcd has forgotten.
    fn restart(&self) -> Result<(), Failure> {
        let mut server = lock(&self.server);
        server.end();
        *server = start_server(
            &self.assets,
            &self.folder,
            self.port,
            self.etcd_port,
            gate(self.minor, self.streaming_lists.load(Ordering::Relaxed)),
        )?;
        drop(server);
        self.wait_until_ready()
    }

    /// Process ids of etcd and kube-apiserver.
    pub fn process_ids(&self) -> [u32; 2] {
        [lock(&self.etcd).0.id(), lock(&self.server).0.id()]
    }
}

impl ApiServer for RealApiServer {
    fn name(&self) -> &'static str {
        "kube-apiserver"
    }

    fn kubeconfig(&self, credentials: Credentials) -> String {
        let url = format!("https://127.0.0.1:{}", self.port);
        kubeconfig(&url, Some(&self.pki), TOKEN, credentials)
    }

    fn forget_history(&self) {
        let done = self.compact_etcd().and_then(|()| self.restart());
        done.unwrap_or_else(|error| panic!("compaction: {error}"));
    }

    fn has_streaming_lists(&self) -> bool {
        self.minor >= 27
    }

    fn serve_streaming_lists(&self, served: bool) {
        if self.streaming_lists.swap(served, Ordering::Relaxed) != served {
            self.restart()
                .unwrap_or_else(|error| panic!("restart: {error}"));
        }
    }

    fn ask(&self, ask: Ask<'_>) -> Answer {
        self.ask_it(ask)
            .unwrap_or_else(|error| panic!("kube-apiserver: {error}"))
    }
}

impl Drop for RealApiServer {
    fn drop(&mut self) {
        lock(&self.server).end();
        lock(&self.etcd).end();
        // Only a folder in the way of nobody is left if this fails.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "another process can only be looked at again and again"
)]
fn pause() {
    std::thread::sleep(LOOK);
}

fn lock(process: &Mutex<Ended>) -> MutexGuard<'_, Ended> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tail(log: &str) -> &str {
    let start = log.len().saturating_sub(2_000);
    log.get(start..).unwrap_or(log)
}

/// Ports that were free a moment ago, all different.
fn free_ports() -> std::io::Result<[u16; 3]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = [bind()?, bind()?, bind()?];
    let [one, two, three] = &held;
    Ok([
        one.local_addr()?.port(),
        two.local_addr()?.port(),
        three.local_addr()?.port(),
    ])
}

fn write_files(folder: &Path, pki: &Pki) -> std::io::Result<()> {
    for (name, text) in [
        ("ca.pem", pki.ca.as_str()),
        ("server.pem", &pki.server.certificate),
        ("server.key", &pki.server.key),
        ("tokens.csv", &format!("{TOKEN},test,test,system:masters\n")),
    ] {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the real server is another program"
)]
fn program(assets: &Path, name: &str) -> Command {
    Command::new(assets.join(name))
}

fn spawn(mut command: Command, log: &Path) -> Result<Ended, Failure> {
    let log = File::options().create(true).append(true).open(log)?;
    let child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn();
    child
        .map(Ended)
        .map_err(|error| format!("{command:?}: {error}").into())
}

/// The 36 of `Kubernetes v1.36.2`, the 6 of `etcd Version: 3.6.8`.
fn minor_version(assets: &Path, name: &str) -> Result<u32, Failure> {
    let output = program(assets, name).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let minor = text.split('.').nth(1).and_then(|minor| minor.parse().ok());
    minor.ok_or_else(|| format!("no version in {text:?}").into())
}

fn start_etcd(assets: &Path, folder: &Path, port: u16, peer_port: u16) -> Result<Ended, Failure> {
    let (client, peer) = (
        format!("http://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{peer_port}"),
    );
    let mut command = program(assets, "etcd");
    command.arg("--data-dir").arg(folder.join("etcd"));
    command.args([
        "--listen-client-urls",
        &client,
        "--advertise-client-urls",
        &client,
    ]);
    command.args([
        "--listen-peer-urls",
        &peer,
        "--initial-advertise-peer-urls",
        &peer,
    ]);
    command.args(["--initial-cluster", &format!("default={peer}")]);
    // As clusters have it, so that bookmarks advance while nothing changes.
    let experimental = if minor_version(assets, "etcd")? < 6 {
        "experimental-"
    } else {
        ""
    };
    command.arg(format!("--{experimental}watch-progress-notify-interval=1s"));
    spawn(command, &folder.join("etcd.log"))
}

fn start_server(
    assets: &Path,
    folder: &Path,
    port: u16,
    etcd_port: u16,
    gate: Option<String>,
) -> Result<Ended, Failure> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
    let mut command = program(assets, "kube-apiserver");
    command.args([
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        format!("--secure-port={port}"),
        file("cert-dir", "certificates"),
        file("tls-cert-file", "server.pem"),
        file("tls-private-key-file", "server.key"),
        file("client-ca-file", "ca.pem"),
        file("token-auth-file", "tokens.csv"),
        file("service-account-key-file", "server.key"),
        file("service-account-signing-key-file", "server.key"),
    ]);
    command.args([
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        "--anonymous-auth=false",
        "--authorization-mode=AlwaysAllow",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.96.0.0/16,fd96::/112",
        "--disable-admission-plugins=ServiceAccount",
    ]);
    command.args(gate);
    spawn(command, &folder.join("kube-apiserver.log"))
}

/// The gate of streaming lists: off by default at first, then on, and one day it is gone.
fn gate(minor: u32, served: bool) -> Option<String> {
    let needed = minor >= 27 && (!served || minor <= 33);
    needed.then(|| format!("--feature-gates=WatchList={served}"))
}
