//! Listening, and answering with pages.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::Page;
use crate::control::Control;
use crate::metrics::Registry;
use crate::reconcile::HealthBoard;

/// What one client may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long the headers of a request may take, and how long a connection may idle.
    pub header: Duration,
    /// How long a connection may last.
    pub connection: Duration,
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
}

/// What a listener shows.
#[derive(Debug, Default)]
pub struct Site {
    pub health: Option<Arc<HealthBoard>>,
    /// The path of the page and who writes it.
    pub metrics: Option<(String, Arc<Registry>)>,
    /// The kernel is read by one scrape at a time.
    pub scraping: Mutex<()>,
    /// What the daemon tells over its local socket, and nowhere else.
    pub control: Option<Control>,
}

/// Where connections come in.
pub trait Listener: Send + Sync + 'static {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection.
    ///
    /// # Errors
    /// As the system says; others may come later.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{key} = \"{address}\": cannot listen there")]
pub struct BindError {
    /// The configuration's key: `health.listen`.
    pub key: &'static str,
    pub address: SocketAddr,
    pub source: io::Error,
}

// === impl Listener ===

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        let header = Duration::from_secs(5);
        Self {
            header,
            connection: Duration::from_secs(60),
            connections: 64,
        }
    }
}

/// Opens a listener. On a host without IPv6, `[::]` means all of IPv4.
///
/// # Errors
/// Where the address is taken or is not this host's.
pub async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    let result = match TcpListener::bind(address).await {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && has_no_ipv6(&error) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        result => result,
    };
    result.map_err(|source| BindError {
        key,
        address,
        source,
    })
}

fn has_no_ipv6(error: &io::Error) -> bool {
    [libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL]
        .map(Some)
        .contains(&error.raw_os_error())
}

/// Answers until it is dropped; open connections end with it.
pub async fn serve(listener: impl Listener, site: Arc<Site>, limits: Limits) {
    let free = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        match listener.next().await {
            Ok(stream) => {
                let site = Arc::clone(&site);
                connections.spawn(async move {
                    connection(stream, site, limits).await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "accepting a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection<S>(stream: S, site: Arc<Site>, limits: Limits)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(answer(&request, &site).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(limits.connection, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "connection"),
        Err(_) => debug!("connection lasted too long"),
    }
}

async fn answer(request: &Request<Incoming>, site: &Arc<Site>) -> Response<Full<Bytes>> {
    let page = if [Method::GET, Method::HEAD].contains(request.method()) {
        page(request.uri().path(), request.uri().query(), site).await
    } else {
        Page::plain(405, "GET only\n")
    };
    let mut response = Response::new(Full::from(page.body));
    *response.status_mut() =
        StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if page.status == 405 {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

async fn page(path: &str, query: Option<&str>, site: &Arc<Site>) -> Page {
    if let Some((_, registry)) = site.metrics.as_ref().filter(|(at, _)| at == path) {
        return metrics(Arc::clone(registry), &site.scraping).await;
    }
    if let Some(control) = &site.control {
        return control.answer(path, query, now()).await.into();
    }
    let report = site.health.as_ref().map(|board| board.report(now()));
    let verbose = || query.is_some_and(|query| query.split('&').any(|word| word == "verbose"));
    match (path, report) {
        ("/healthz", Some(report)) => Page::healthz(&report),
        ("/readyz", Some(report)) => Page::readyz(&report, verbose()),
        ("/statez", Some(report)) => Page::statez(&report),
        _ => Page::plain(404, "no such page\n"),
    }
}

async fn metrics(registry: Arc<Registry>, scraping: &Mutex<()>) -> Page {
    let _turn = scraping.lock().await;
    match tokio::task::spawn_blocking(move || registry.encode(now())).await {
        Ok(body) => Page {
            status: 200,
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body,
        },
        Err(error) => Page::plain(500, format!("{error}\n")),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a page tells ages as of its request"
)]
fn now() -> Instant {
    Instant::now()
}
