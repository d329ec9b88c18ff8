//! The test API server as a program, for the lab's scripts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use test_apiserver::{
    AuthMode, Credentials, Failure, Options, TestApiServer, big_cluster, big_pods,
};

const USAGE: &str = "usage: test-apiserver [--listen ADDRESS:PORT]... [--control ADDRESS:PORT] [--tls]
       [--auth none|token|cert|any] [--token TOKEN] [--name NAME]... [--credentials token|cert|none]
       [--manifests DIR] [--big SERVICES ENDPOINTS_PER_SERVICE] [--pods COUNT]
       [--kubeconfig-out FILE]
       [--bookmarks SECONDS] [--history CHANGES] [--no-streaming-lists] [--gone-as-status]

Serves until SIGTERM or SIGINT. Without --listen on 127.0.0.1:6443; prints 'ready URL' when it serves.
";

struct Arguments {
    options: Options,
    manifests: Vec<PathBuf>,
    big: Option<(usize, usize)>,
    pods: usize,
    kubeconfig: Option<PathBuf>,
    credentials: Credentials,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)).and_then(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test-apiserver: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, Failure> {
    let options = Options {
        listen: Vec::new(),
        tls: false,
        ..Options::default()
    };
    let mut found = Arguments {
        options,
        manifests: Vec::new(),
        big: None,
        pods: 0,
        kubeconfig: None,
        credentials: Credentials::Token,
    };
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .ok_or_else(|| format!("{word} wants a value\n{USAGE}"))
        };
        match word.as_str() {
            "--listen" => found.options.listen.push(value()?.parse()?),
            "--control" => found.options.control = Some(value()?.parse()?),
            "--tls" => found.options.tls = true,
            "--auth" => found.options.auth = auth_mode(&value()?)?,
            "--token" => found.options.token = value()?,
            "--name" => found.options.names.push(value()?),
            "--credentials" => found.credentials = credentials(&value()?)?,
            "--manifests" => found.manifests.push(value()?.into()),
            "--big" => found.big = Some((value()?.parse()?, value()?.parse()?)),
            "--pods" => found.pods = value()?.parse()?,
            "--kubeconfig-out" => found.kubeconfig = Some(value()?.into()),
            "--bookmarks" => {
                found.options.bookmark_every =
                    std::time::Duration::try_from_secs_f64(value()?.parse()?)?;
            }
            "--history" => found.options.history = value()?.parse()?,
            "--no-streaming-lists" => found.options.streaming_lists = false,
            "--gone-as-status" => found.options.gone_as_status = true,
            _ => return Err(format!("unknown argument {word:?}\n{USAGE}").into()),
        }
    }
    if found.options.listen.is_empty() {
        found
            .options
            .listen
            .push(SocketAddr::from(([127, 0, 0, 1], 6443)));
    }
    Ok(found)
}

fn auth_mode(text: &str) -> Result<AuthMode, Failure> {
    match text {
        "none" => Ok(AuthMode::None),
        "token" => Ok(AuthMode::Token),
        "cert" => Ok(AuthMode::ClientCertificate),
        "any" => Ok(AuthMode::Any),
        _ => Err(format!("--auth {text:?} is none of none, token, cert, any").into()),
    }
}

fn credentials(text: &str) -> Result<Credentials, Failure> {
    match text {
        "token" => Ok(Credentials::Token),
        "cert" => Ok(Credentials::ClientCertificate),
        "none" => Ok(Credentials::Anonymous),
        _ => Err(format!("--credentials {text:?} is none of token, cert, none").into()),
    }
}

#[expect(clippy::print_stdout, reason = "the line that scripts wait for")]
fn serve(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Before anything is served, so that no signal is missed.
    let mut ended = runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        Ok::<_, std::io::Error>((
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        ))
    })?;
    let server = TestApiServer::try_start(arguments.options)?;
    for folder in &arguments.manifests {
        server.apply_folder(folder)?;
    }
    if let Some((services, endpoints)) = arguments.big {
        for object in big_cluster(services, endpoints) {
            server.try_apply(object)?;
        }
    }
    for object in big_pods(arguments.pods) {
        server.try_apply(object)?;
    }
    if arguments.big.is_some() || arguments.pods > 0 {
        server.compact();
    }
    server.make_namespaces();
    if let Some(path) = &arguments.kubeconfig {
        write_kubeconfig(path, &server.kubeconfig(arguments.credentials))?;
    }
    println!("ready {}", server.urls().join(" "));
    if let Some(control) = server.control_url() {
        println!("control {control}");
    }
    runtime.block_on(async {
        tokio::select! {
            _ = ended.0.recv() => {}
            _ = ended.1.recv() => {}
        }
    });
    Ok(())
}

/// Written beside and renamed over, so that nobody reads half of it.
fn write_kubeconfig(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&fresh, path)?;
    Ok(())
}
