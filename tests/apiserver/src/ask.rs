//! Bare requests over TLS, for tests that look at an answer as it is.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConnection, StreamOwned};

use crate::pki::Pki;
use crate::server::Failure;

/// Longest silence of a server that was asked something.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Method, such as `GET`.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Content-Type of the body.
    pub media: &'a str,
    /// The body; there is none where it is empty.
    pub body: &'a str,
}

impl<'a> Ask<'a> {
    /// A GET.
    pub fn get(path: &'a str) -> Self {
        Self {
            method: "GET",
            path,
            media: "application/json",
            body: "",
        }
    }

    /// A request with a JSON body.
    pub fn json(method: &'a str, path: &'a str, body: &'a str) -> Self {
        Self {
            method,
            body,
            ..Self::get(path)
        }
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status code.
    pub code: u16,
    /// The whole body.
    pub body: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The events of a watch.
    pub fn events(&self) -> Vec<Value> {
        let lines = self.body.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or(Value::Null))
            .collect()
    }

    /// The `reason` of a refusal; empty where there is none.
    pub fn reason(&self) -> String {
        let body = self.json();
        let reason = body.get("reason").and_then(Value::as_str);
        reason.unwrap_or("").to_owned()
    }
}

/// A connection over TLS on loopback.
pub(crate) fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream =
        TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SILENCE)?;
    stream.set_read_timeout(Some(SILENCE))?;
    Ok(stream)
}

/// Asks the server on this port, which the authority of `pki` vouches for.
pub(crate) fn ask(port: u16, pki: &Pki, token: &str, ask: Ask<'_>) -> Result<Answer, Failure> {
    let tls = ClientConnection::new(
        Arc::new(pki.client_tls()?),
        ServerName::try_from("localhost")?,
    )?;
    let mut stream = StreamOwned::new(tls, connect(port)?);
    let Ask {
        method,
        path,
        media,
        body,
    } = ask;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Accept: application/json\r\nContent-Type: {media}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    match parse(&text) {
        Some(answer) => Ok(answer),
        None => Err(format!(
            "{method} {path}: {read:?} after {:?}",
            String::from_utf8_lossy(&text)
        )
        .into()),
    }
}

/// Head and body; the server may close without close_notify, so a whole body is what counts.
fn parse(text: &[u8]) -> Option<Answer> {
    let end = text.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(text.get(..end)?).ok()?;
    let body = text.get(end + 4..)?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    let head = head.to_ascii_lowercase();
    let body = if head.contains("transfer-encoding: chunked") {
        join_chunks(body)?
    } else {
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))?;
        body.get(..length.trim().parse().ok()?)?.to_vec()
    };
    let body = String::from_utf8_lossy(&body).into_owned();
    Some(Answer { code, body })
}

fn join_chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let length = std::str::from_utf8(rest.get(..end)?).ok()?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(whole);
        }
        let start = end + 2;
        whole.extend_from_slice(rest.get(start..start + length)?);
        rest = rest.get(start + length + 2..)?;
    }
}
