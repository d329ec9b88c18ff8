//! One listening socket and its connections.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::pki::Tls;
use crate::shared::Shared;
use crate::wire::{Switch, Wire};
use crate::{api, control};

/// Longest wait for the connections of a listener to end; they are only dropped, so this is never reached.
const END: Duration = Duration::from_secs(10);

/// Whom a listener serves.
#[derive(Debug, Clone)]
pub(crate) enum Role {
    /// Clients of the API.
    Clients { tls: Option<Tls> },
    /// Scripts: no credentials, no faults.
    Control,
}

/// A listener that runs until stopped.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: mpsc::Receiver<()>,
}

impl Listener {
    pub(crate) fn start(
        runtime: &Runtime,
        socket: std::net::TcpListener,
        role: Role,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let address = socket.local_addr()?;
        socket.set_nonblocking(true)?;
        let _context = runtime.enter();
        let socket = TcpListener::from_std(socket)?;
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        runtime.spawn(async move {
            accept(socket, role, shared, stopped).await;
            // Nobody may be waiting.
            let _ = end.send(());
        });
        Ok(Self {
            address,
            stop: Some(stop),
            ended,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the socket and all connections before it returns.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take()
            && stop.send(()).is_ok()
        {
            let _ = self.ended.recv_timeout(END);
        }
    }
}

async fn accept(
    socket: TcpListener,
    role: Role,
    shared: Arc<Shared>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => {
                    // Without it small writes of a watch wait for the client's acknowledgement.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(connection(stream, role.clone(), Arc::clone(&shared)));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(socket);
    connections.shutdown().await;
}

/// Serves one connection; its errors are the client's business.
async fn connection(stream: TcpStream, role: Role, shared: Arc<Shared>) {
    let switch = Switch::new();
    let Role::Clients { tls } = role else {
        serve(stream, shared, switch, Caller::Script).await;
        return;
    };
    if let Some(taken) = shared.faults.take_mute() {
        shared.cleared(taken.epoch).await;
    }
    let faults = Arc::clone(&shared.faults);
    let wire = Wire::new(
        stream,
        Arc::clone(&switch),
        faults,
        Arc::clone(&shared.sent),
    );
    let Some(tls) = tls else {
        serve(
            wire,
            shared,
            switch,
            Caller::Client {
                known_certificate: false,
            },
        )
        .await;
        return;
    };
    if let Ok(stream) = TlsAcceptor::from(Arc::clone(&tls.config))
        .accept(wire)
        .await
    {
        let known_certificate = stream
            .get_ref()
            .1
            .peer_certificates()
            .is_some_and(|chain| tls.knows(chain));
        serve(stream, shared, switch, Caller::Client { known_certificate }).await;
    }
}

#[derive(Debug, Clone, Copy)]
enum Caller {
    Script,
    Client { known_certificate: bool },
}

async fn serve<S>(stream: S, shared: Arc<Shared>, switch: Arc<Switch>, caller: Caller)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let (shared, switch) = (Arc::clone(&shared), Arc::clone(&switch));
        async move {
            Ok::<_, Infallible>(match caller {
                Caller::Script => control::answer(&shared, &switch, request).await,
                Caller::Client { known_certificate } => {
                    api::answer(&shared, &switch, known_certificate, request).await
                }
            })
        }
    });
    // A client that goes away mid-request is nothing to report.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
