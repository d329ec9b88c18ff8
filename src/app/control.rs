//! The local socket of the running daemon.

use std::path::Path;
use std::sync::Arc;

use tracing::warn;

use crate::bfd;
use crate::bgp::speaker::Handle;
use crate::control::{Control, GROUP};
use crate::http::{self, Limits, Site, SocketError};
use crate::reconcile::with_causes;

/// Answers at `socket`, if there is to be one; `speaker` is `None` where routing is switched off,
/// `bfd` where BFD is.
/// A node does its work without the socket as well, so that only one thing is an error.
///
/// # Errors
/// Another daemon answers there: two would undo each other's work.
pub(super) async fn serve(
    socket: Option<&Path>,
    speaker: Option<Handle>,
    bfd: Option<bfd::Handle>,
) -> Result<(), SocketError> {
    let Some(socket) = socket else { return Ok(()) };
    let listener = match http::bind_local(socket, GROUP).await {
        Ok(listener) => listener,
        Err(error @ SocketError::Taken(_)) => return Err(error),
        Err(error) => {
            warn!(
                reason = with_causes(&error),
                "nobody can ask this daemon over its local socket"
            );
            return Ok(());
        }
    };
    let site = Site {
        control: Some(Control::new(speaker, bfd)),
        ..Site::default()
    };
    tokio::spawn(http::serve(listener, Arc::new(site), Limits::default()));
    Ok(())
}
