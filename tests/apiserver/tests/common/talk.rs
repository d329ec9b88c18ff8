//! Bare HTTP over TCP, as far as the tests need it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use test_apiserver::{AuthMode, Options, TestApiServer};

const LIMIT: Duration = Duration::from_secs(20);
/// Silence that proves that nothing comes.
const SILENCE: Duration = Duration::from_millis(300);

pub const SERVICES: &str = "/api/v1/services";
pub const WATCH: &str = "/api/v1/services?watch=true&resourceVersion=";

pub fn plain() -> Options {
    Options {
        tls: false,
        auth: AuthMode::None,
        ..Options::default()
    }
}

pub fn service(name: &str) -> Value {
    json!({"kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": {"clusterIP": "10.96.0.1"}})
}

pub fn filled(count: usize) -> TestApiServer {
    let server = TestApiServer::start(plain());
    for at in 0..count {
        server.apply(service(&format!("s{at}")));
    }
    server
}

pub fn address(url: &str) -> SocketAddr {
    url.rsplit('/').next().unwrap().parse().unwrap()
}

/// A connection with a request on its way.
pub struct Talk {
    pub stream: TcpStream,
    pub seen: Vec<u8>,
}

impl Talk {
    pub fn request(url: &str, method: &str, path: &str, headers: &str, body: &str) -> Self {
        let mut stream = TcpStream::connect_timeout(&address(url), LIMIT).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )
        .unwrap();
        Self {
            stream,
            seen: Vec::new(),
        }
    }

    pub fn get(server: &TestApiServer, path: &str) -> Self {
        Self::request(&server.url(), "GET", path, "", "")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads once; nothing is the end.
    pub fn read(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer)?;
        self.seen.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    pub fn until(&mut self, wanted: &str) -> &mut Self {
        while !self.text().contains(wanted) {
            let count = self
                .read()
                .unwrap_or_else(|error| panic!("{error} before {wanted:?} in {}", self.text()));
            assert!(count > 0, "the end before {wanted:?} in {}", self.text());
        }
        self
    }

    /// Reads to the end, whichever it is.
    pub fn end(&mut self) -> std::io::Result<()> {
        while self.read()? > 0 {}
        Ok(())
    }

    pub fn is_silent(&mut self) -> bool {
        self.stream.set_read_timeout(Some(SILENCE)).unwrap();
        let silent = matches!(self.read(), Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()));
        self.stream.set_read_timeout(Some(LIMIT)).unwrap();
        silent
    }
}

/// A whole exchange: status code and body, chunks put together.
pub fn exchange(url: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let mut talk = Talk::request(
        url,
        method,
        path,
        &format!("Connection: close\r\n{headers}"),
        body,
    );
    talk.end().unwrap();
    let text = talk.text();
    let (head, rest) = text.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    (
        code,
        if chunked {
            join_chunks(rest)
        } else {
            rest.to_owned()
        },
    )
}

pub fn join_chunks(mut rest: &str) -> String {
    let mut whole = String::new();
    loop {
        let (length, tail) = rest.split_once("\r\n").expect("a chunk without length");
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return whole;
        }
        whole.push_str(&tail[..length]);
        rest = &tail[length + 2..];
    }
}

pub fn get(server: &TestApiServer, path: &str) -> (u16, Value) {
    let (code, body) = exchange(&server.url(), "GET", path, "", "");
    (
        code,
        serde_json::from_str(&body).unwrap_or(Value::String(body)),
    )
}

pub fn join_chunks_lossy(seen: &[u8]) -> String {
    let start = seen
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    let first_line = seen[start..]
        .windows(2)
        .position(|two| two == b"\r\n")
        .unwrap();
    let length = std::str::from_utf8(&seen[start..start + first_line]).unwrap();
    let length = usize::from_str_radix(length, 16).unwrap();
    let body = start + first_line + 2;
    String::from_utf8_lossy(&seen[body..body + length]).into_owned()
}
