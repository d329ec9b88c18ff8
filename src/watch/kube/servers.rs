//! The API servers of a kubeconfig, and the file itself, read again when it changes.
//!
//! The kubeconfig and the files that it names are compared every few seconds. What replaces a
//! good one must be readable and let us in before it is used; until then the running clients
//! stay. Tokens in files and of plugins are kept fresh by the client.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::watch;

use super::error::chain;
use super::{KubeSource, Timing, request};

pub(super) const PART: &str = "kubeconfig";

/// One API server with its credentials.
pub(super) struct Server {
    /// Its URL.
    pub(super) name: Arc<str>,
    /// A number that changes with the URL and with the authorities that vouch for it.
    pub(super) id: u64,
    pub(super) client: Client,
}

/// All of them, in the order in which they are tried; never empty.
pub(super) type Servers = Arc<Vec<Server>>;

/// Why a kubeconfig cannot be used.
#[derive(Debug, thiserror::Error)]
enum KubeconfigError {
    #[error("{}: {}", .path.display(), chain(.source))]
    File {
        path: PathBuf,
        source: kube::config::KubeconfigError,
    },
    #[error("server {0:?} is not a URL")]
    Url(String),
    #[error("no client can be made: {}", chain(.0))]
    Client(kube::Error),
    #[error("the new kubeconfig is not used: {0}")]
    Refused(String),
}

/// Builds clients now and whenever the files change, until nobody uses them.
pub(super) async fn follow(source: KubeSource, publish: watch::Sender<Option<Servers>>) {
    let mut used = None;
    loop {
        let path = source.kubeconfig.clone();
        let seen = tokio::task::spawn_blocking(move || fingerprint(&path)).await;
        let seen = seen.unwrap_or_default();
        let current = publish.borrow().clone();
        let expired = current.as_ref().is_some_and(|servers| is_expired(servers));
        if used != Some(seen) || expired {
            match renew(&source, current.is_some()).await {
                Ok(servers) => {
                    used = Some(seen);
                    source.status.connected(PART, None);
                    source.status.synced(PART);
                    tracing::info!(servers = servers.len(), "kubeconfig in use");
                    publish.send_replace(Some(servers));
                }
                Err(error) => report(&source, &error),
            }
        } else {
            // A file that was broken for a while and is what it was.
            source.status.connected(PART, None);
        }
        tokio::select! {
            () = tokio::time::sleep(source.timing.reload) => {}
            () = publish.closed() => return,
        }
    }
}

fn report(source: &KubeSource, error: &KubeconfigError) {
    if source.status.failed(PART, error.to_string()) {
        tracing::warn!(%error, "the kubeconfig cannot be used");
    }
}

/// Clients for the file as it is now; one of the servers must let in who replaces others.
async fn renew(source: &KubeSource, is_replacement: bool) -> Result<Servers, KubeconfigError> {
    let servers = build(&source.kubeconfig, &source.servers, source.timing).await?;
    if !is_replacement {
        return Ok(servers);
    }
    let mut refused = String::new();
    for server in servers.iter() {
        match request::get(server, "/api/v1/services?limit=1", source.timing.answer).await {
            Ok(_) => return Ok(servers),
            Err(error) => refused = error.to_string(),
        }
    }
    Err(KubeconfigError::Refused(refused))
}

async fn build(path: &Path, urls: &[String], timing: Timing) -> Result<Servers, KubeconfigError> {
    let file_error = |source| KubeconfigError::File {
        path: path.to_owned(),
        source,
    };
    let kubeconfig = Kubeconfig::read_from(path).map_err(file_error)?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(file_error)?;
    config.connect_timeout = Some(timing.connect);
    // Our own back-off moves on to the next server; the client's would stay with this one.
    config.default_retry = false;
    let mut configs = Vec::new();
    for url in urls {
        let mut config = config.clone();
        let parsed = url.parse().map_err(|_| KubeconfigError::Url(url.clone()))?;
        config.cluster_url = parsed;
        configs.push(config);
    }
    if configs.is_empty() {
        configs.push(config);
    }
    let mut servers = Vec::new();
    for config in configs {
        let name = Arc::from(config.cluster_url.to_string().trim_end_matches('/'));
        let mut id = DefaultHasher::new();
        (&name, &config.root_cert).hash(&mut id);
        // May run a credential plugin.
        let client = tokio::task::spawn_blocking(move || Client::try_from(config)).await;
        let gone = |_| KubeconfigError::Refused("interrupted".to_owned());
        let client = client.map_err(gone)?.map_err(KubeconfigError::Client)?;
        servers.push(Server {
            name,
            id: id.finish(),
            client,
        });
    }
    Ok(Arc::new(servers))
}

/// A client certificate of a credential plugin has run out.
fn is_expired(servers: &[Server]) -> bool {
    let until = servers
        .iter()
        .filter_map(|server| *server.client.valid_until());
    until.min().is_some_and(|until| until <= Timestamp::now())
}

/// A number that changes with the kubeconfig and with the certificates and keys that it names.
fn fingerprint(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::fs::read(path).ok().hash(&mut hasher);
    for path in named_files(path) {
        std::fs::read(path).ok().hash(&mut hasher);
    }
    hasher.finish()
}

fn named_files(path: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let Ok(kubeconfig) = Kubeconfig::read_from(path) else {
        return files;
    };
    for cluster in kubeconfig.clusters.into_iter().filter_map(|c| c.cluster) {
        files.extend(cluster.certificate_authority);
    }
    for user in kubeconfig
        .auth_infos
        .into_iter()
        .filter_map(|u| u.auth_info)
    {
        files.extend(user.client_certificate);
        files.extend(user.client_key);
    }
    files
}
