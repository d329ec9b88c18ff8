//! The server itself: its listeners, its runtime, and what tests do to it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;

use crate::apply::{apply, make_namespaces, target};
use crate::ask::{self, Answer, Ask};
use crate::faults::Fault;
use crate::kinds;
use crate::kubeconfig::{Credentials, kubeconfig};
use crate::listen::{Listener, Role};
use crate::manifests;
use crate::pki::{self, Identity, Pki, Tls};
use crate::selector::Selector;
use crate::shared::{AuthMode, Request, Shared};
use crate::status::Status;
use crate::store::Store;

/// What went wrong at start.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How the server shall be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where clients connect; port 0 takes any. Several are several endpoints of one cluster.
    pub listen: Vec<SocketAddr>,
    /// Where scripts connect, plain HTTP without credentials.
    pub control: Option<SocketAddr>,
    /// TLS with a certificate of the server's own authority.
    pub tls: bool,
    /// Who is let in.
    pub auth: AuthMode,
    /// The bearer token.
    pub token: String,
    /// Further names and addresses in the server's certificate.
    pub names: Vec<String>,
    /// How often a watch is told how far it is.
    pub bookmark_every: Duration,
    /// Whether `sendInitialEvents` is served; otherwise it is refused with 422.
    pub streaming_lists: bool,
    /// Whether a watch from a forgotten revision is refused with HTTP 410 instead of an ERROR event.
    pub gone_as_status: bool,
    /// Changes remembered per kind.
    pub history: usize,
    /// Adds managedFields of realistic size to every object.
    pub managed_fields: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
            control: None,
            tls: true,
            auth: AuthMode::Any,
            token: "test-token".to_owned(),
            names: Vec::new(),
            bookmark_every: Duration::from_secs(5),
            streaming_lists: true,
            gone_as_status: false,
            history: 10_000,
            managed_fields: false,
        }
    }
}

/// A running server. It ends when dropped.
///
/// It has a runtime and threads of its own, so it serves blocking tests too; no method here blocks for long.
#[derive(Debug)]
pub struct TestApiServer {
    shared: Arc<Shared>,
    pki: Option<Pki>,
    tls: Option<Tls>,
    endpoints: Vec<Mutex<Listener>>,
    control: Option<Mutex<Listener>>,
    runtime: Option<Runtime>,
}

impl TestApiServer {
    /// Starts a server.
    ///
    /// # Panics
    /// When an address can't be bound: a test has nothing better to do.
    pub fn start(options: Options) -> Self {
        Self::try_start(options).unwrap_or_else(|error| panic!("test API server: {error}"))
    }

    /// Starts a server.
    pub fn try_start(options: Options) -> Result<Self, Failure> {
        let names = pki::subject_names(options.listen.iter().map(SocketAddr::ip), &options.names);
        let pki = options.tls.then(|| Pki::new(&names)).transpose()?;
        let tls = pki.as_ref().map(Pki::tls).transpose()?;
        let store = Store::new(options.history, options.managed_fields);
        let shared = Shared::new(store, options.bookmark_every, options.auth, options.token);
        shared
            .streaming_lists
            .store(options.streaming_lists, Ordering::Relaxed);
        shared
            .gone_as_status
            .store(options.gone_as_status, Ordering::Relaxed);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("test-apiserver")
            .enable_all()
            .build()?;
        let mut server = Self {
            shared: Arc::new(shared),
            pki,
            tls,
            endpoints: Vec::new(),
            control: None,
            runtime: Some(runtime),
        };
        for address in options.listen {
            let listener = server.listen(
                address,
                Role::Clients {
                    tls: server.tls.clone(),
                },
            )?;
            server.endpoints.push(Mutex::new(listener));
        }
        if let Some(address) = options.control {
            server.control = Some(Mutex::new(server.listen(address, Role::Control)?));
        }
        Ok(server)
    }

    fn listen(&self, address: SocketAddr, role: Role) -> Result<Listener, Failure> {
        let socket = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
        let runtime = self.runtime.as_ref().ok_or("the server has ended")?;
        Ok(Listener::start(
            runtime,
            socket,
            role,
            Arc::clone(&self.shared),
        )?)
    }

    // === addresses and credentials ===

    /// `http(s)://address:port` of the first endpoint.
    pub fn url(&self) -> String {
        self.urls().into_iter().next().unwrap_or_default()
    }

    /// `http(s)://address:port` of every endpoint.
    pub fn urls(&self) -> Vec<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.endpoints
            .iter()
            .map(|one| format!("{scheme}://{}", reachable(lock(one).address())))
            .collect()
    }

    /// `http://address:port` of the control address.
    pub fn control_url(&self) -> Option<String> {
        self.control
            .as_ref()
            .map(|listener| format!("http://{}", reachable(lock(listener).address())))
    }

    /// Certificate of the server's authority; empty without TLS.
    pub fn ca_pem(&self) -> String {
        self.pki
            .as_ref()
            .map_or_else(String::new, |pki| pki.ca.clone())
    }

    /// The good client certificate; nothing without TLS.
    pub fn client_identity(&self) -> Option<Identity> {
        self.pki.as_ref().map(|pki| pki.client.clone())
    }

    /// The bearer token.
    pub fn token(&self) -> String {
        self.shared.token()
    }

    /// YAML of a kubeconfig for the first endpoint, with everything embedded.
    pub fn kubeconfig(&self, credentials: Credentials) -> String {
        self.kubeconfig_for(&self.url(), credentials)
    }

    /// YAML of a kubeconfig for this URL.
    pub fn kubeconfig_for(&self, url: &str, credentials: Credentials) -> String {
        kubeconfig(url, self.pki.as_ref(), &self.shared.token(), credentials)
    }

    /// Asks the first endpoint over TLS with the token.
    pub fn ask(&self, ask: Ask<'_>) -> Result<Answer, Failure> {
        let pki = self.pki.as_ref().ok_or("no TLS, no bare requests")?;
        let endpoint = self.endpoints.first().ok_or("no endpoint")?;
        let port = lock(endpoint).address().port();
        ask::ask(port, pki, &self.shared.token(), ask)
    }

    /// Changes who is let in, from the next request on; the token too when one is given.
    pub fn set_auth(&self, mode: AuthMode, token: Option<&str>) {
        self.shared.set_auth(mode, token);
    }

    // === objects ===

    /// Creates or replaces an object, status included, and returns it as stored.
    ///
    /// # Panics
    /// When the object has no known kind or no name: a mistake in the test.
    pub fn apply(&self, object: Value) -> Value {
        self.try_apply(object)
            .unwrap_or_else(|status| panic!("apply: {status}"))
    }

    /// Creates or replaces an object, status included, and returns it as stored.
    pub fn try_apply(&self, object: Value) -> Result<Value, Status> {
        apply(&self.shared, object)
    }

    /// Applies everything of a YAML or JSON text; returns how many objects that was.
    ///
    /// # Panics
    /// When the text can't be read or an object has no known kind or no name.
    pub fn apply_yaml(&self, text: &str) -> usize {
        let objects =
            manifests::many(text.as_bytes()).unwrap_or_else(|error| panic!("apply: {error}"));
        let count = objects.len();
        for object in objects {
            self.apply(object);
        }
        count
    }

    /// Applies every file of a folder; returns how many objects that was.
    pub fn apply_folder(&self, folder: &Path) -> Result<usize, Failure> {
        let objects = manifests::read_folder(folder)?;
        let count = objects.len();
        for object in objects {
            self.try_apply(object)?;
        }
        Ok(count)
    }

    /// Makes the namespaces that objects stand in, where they are missing, and `default` and `kube-system`.
    pub fn make_namespaces(&self) {
        make_namespaces(&self.shared);
    }

    /// Deletes an object; whether there was one. The namespace of cluster-wide kinds is ignored.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> bool {
        target(kind, namespace, name).is_some_and(|target| self.shared.store.delete(target).is_ok())
    }

    /// An object as stored. The namespace of cluster-wide kinds is ignored.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let target = target(kind, namespace, name)?;
        Some(
            self.shared
                .store
                .get(target)
                .ok()?
                .to_typed_json(target.kind),
        )
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: &str) -> usize {
        let all = Selector::default();
        kinds::by_kind(kind).map_or(0, |kind| self.shared.store.list(kind, &all).1.len())
    }

    /// The latest revision.
    pub fn revision(&self) -> u64 {
        self.shared.store.revision()
    }

    // === behaviour ===

    /// Forgets the history, so that watches from older revisions and later chunks of lists get 410.
    pub fn compact(&self) -> u64 {
        self.shared.store.compact()
    }

    /// Adds a fault.
    pub fn set_fault(&self, fault: Fault) {
        self.shared.set_fault(fault);
    }

    /// Ends all faults, and the stalls and trickles that they began.
    pub fn clear_faults(&self) {
        self.shared.clear_faults();
    }

    /// Sends every watch that takes bookmarks one now.
    pub fn send_bookmarks(&self) {
        self.shared.force_bookmarks();
    }

    /// Serves streaming lists, or refuses them with 422.
    pub fn set_streaming_lists(&self, served: bool) {
        self.shared.streaming_lists.store(served, Ordering::Relaxed);
    }

    /// The requests seen, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests()
    }

    /// Forgets the requests seen.
    pub fn clear_requests(&self) {
        self.shared.clear_requests();
    }

    /// Bytes written to clients, TLS included.
    pub fn bytes_sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Closes every endpoint and all their connections; objects stay. Connections are refused from then on.
    pub fn stop(&self) {
        (0..self.endpoints.len()).for_each(|at| self.stop_endpoint(at));
    }

    /// Opens every endpoint again on the same port.
    pub fn restart(&self) -> Result<(), Failure> {
        (0..self.endpoints.len()).try_for_each(|at| self.restart_endpoint(at))
    }

    /// Closes one endpoint and its connections.
    pub fn stop_endpoint(&self, at: usize) {
        if let Some(endpoint) = self.endpoints.get(at) {
            lock(endpoint).stop();
        }
    }

    /// Opens one endpoint again on the same port.
    pub fn restart_endpoint(&self, at: usize) -> Result<(), Failure> {
        let endpoint = self.endpoints.get(at).ok_or("no such endpoint")?;
        let mut listener = lock(endpoint);
        listener.stop();
        *listener = self.listen(
            listener.address(),
            Role::Clients {
                tls: self.tls.clone(),
            },
        )?;
        Ok(())
    }
}

impl Drop for TestApiServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A listener on all addresses is reached on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) if address.ip().is_unspecified() => address.set_ip([127, 0, 0, 1].into()),
        SocketAddr::V6(_) if address.ip().is_unspecified() => {
            address.set_ip(std::net::Ipv6Addr::LOCALHOST.into())
        }
        _ => {}
    }
    address
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
