//! One question to the daemon and its answer: HTTP/1.1 over the local socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::control::{GROUP, Query, Refusal};

/// How long the daemon may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read, in octets; pages are far shorter.
const LONGEST: u64 = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(
        "{}: nobody answers; is the daemon running (systemctl status kube-router), and is this its \
         control.socket?", .0.display()
    )]
    Absent(PathBuf),
    #[error("{}: permission denied; ask as root or as a member of the group {GROUP}", .0.display())]
    Denied(PathBuf),
    #[error("{}: the daemon has not answered for {} s", .0.display(), PATIENCE.as_secs())]
    Silent(PathBuf),
    #[error("{}: {source}", path.display())]
    Broken { path: PathBuf, source: io::Error },
    #[error("{}: the answer is none of kube-router's: {what}", path.display())]
    Garbled { path: PathBuf, what: String },
    /// The daemon's own words.
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Unavailable(String),
    #[error("the daemon refuses: {0}")]
    Refused(String),
}

/// Status and body of an answer.
pub(super) type Parts<'a> = (u16, &'a [u8]);

/// Asks at `socket`.
///
/// # Errors
/// Why there is no answer, or what it says instead.
pub(super) fn ask<T: DeserializeOwned>(socket: &Path, query: &Query) -> Result<T, AskError> {
    let octets = exchange(socket, &query.target())
        .map_err(|source| AskError::new(socket.to_owned(), source))?;
    let garbled = |what: String| AskError::Garbled {
        path: socket.to_owned(),
        what,
    };
    let (status, body) = parts(&octets).map_err(|what| garbled(what.to_owned()))?;
    if status == 200 {
        return serde_json::from_slice(body).map_err(|error| garbled(error.to_string()));
    }
    let refusal: Refusal =
        serde_json::from_slice(body).map_err(|_| garbled(format!("status {status}")))?;
    Err(match status {
        404 => AskError::NotFound(refusal.error),
        503 => AskError::Unavailable(refusal.error),
        _ => AskError::Refused(refusal.error),
    })
}

// === impl AskError ===

impl AskError {
    pub(super) fn new(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Self::Absent(path),
            io::ErrorKind::PermissionDenied => Self::Denied(path),
            io::ErrorKind::WouldBlock => Self::Silent(path),
            _ => Self::Broken { path, source },
        }
    }
}

fn exchange(socket: &Path, target: &str) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: kube-router\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(answer)
}

/// Takes an answer apart that ends with its connection.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parts(answer: &[u8]) -> Result<Parts<'_>, &'static str> {
    const END: &[u8] = b"\r\n\r\n";
    let end = answer.windows(END.len()).position(|four| four == END);
    let end = end.ok_or("it has no end of headers")?;
    let (head, rest) = answer.split_at(end);
    let body = rest.get(END.len()..).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| "its headers are no text")?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1."))
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .ok_or("it has no status")?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse().ok())
        .ok_or("it does not tell its length")?;
    match body.get(..length) {
        Some(body) => Ok((status, body)),
        None => Err("it ends too early"),
    }
}
