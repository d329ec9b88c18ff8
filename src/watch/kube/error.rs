//! What can go wrong between us and an API server.

use std::error::Error;
use std::time::Duration;

/// Why a list or a watch ended before its time.
#[derive(Debug, thiserror::Error)]
pub(super) enum KubeError {
    /// No connection, no TLS, no credentials, or a connection that broke.
    #[error("{server}: {}", chain(.source.as_ref()))]
    Transport {
        server: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{server}: status {code}: {message}")]
    Status {
        server: String,
        code: u16,
        message: String,
    },
    /// 410: the server has forgotten where we are.
    #[error("{server}: the revision is too old")]
    Expired { server: String },
    /// 400 or 422 to a list as a stream.
    #[error("{server}: no streaming lists")]
    NoStreaming { server: String },
    #[error("{server}: {what}")]
    Garbage { server: String, what: String },
    #[error("{server}: an answer of more than {limit} bytes")]
    TooLarge { server: String, limit: usize },
    #[error("{server}: silent for {} s", .after.as_secs_f32())]
    Silent { server: String, after: Duration },
    /// Nobody takes the events any more.
    #[error("nobody listens")]
    Unheard,
}

/// An error with all its causes in one line; clients wrap the one that tells what happened.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
