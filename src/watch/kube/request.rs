//! Requests for lists and watches, and what their answers hold.

use std::time::Duration;

use kube::client::Body;
use tokio::time::timeout;

use super::error::KubeError;
use super::lines::Lines;
use super::servers::Server;
use crate::watch::wire;

/// The longest text of a server's refusal that is read, in bytes.
const LONGEST_REFUSAL: usize = 64 << 10;

/// What is listed and watched.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    /// Its name in the status.
    pub(super) part: &'static str,
    pub(super) path: &'static str,
    /// Encoded, with an ampersand in front.
    pub(super) selector: String,
}

/// What the outermost level of a list says.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) version: String,
    pub(super) next: Option<String>,
    pub(super) items: &'a [u8],
}

// === impl Resource ===

impl Resource {
    pub(super) fn page(&self, limit: u32, next: Option<&str>) -> String {
        let next = next.map(|next| format!("&continue={}", encode(next)));
        let next = next.unwrap_or_default();
        format!("{}?limit={limit}{next}{}", self.path, self.selector)
    }

    pub(super) fn watch(&self, version: &str, seconds: u64) -> String {
        let version = encode(version);
        format!(
            "{}?watch=1&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={seconds}{}",
            self.path, self.selector
        )
    }

    /// A list as a stream of events that goes on as a watch.
    pub(super) fn stream(&self, seconds: u64) -> String {
        format!(
            "{}?watch=1&allowWatchBookmarks=true&sendInitialEvents=true\
             &resourceVersionMatch=NotOlderThan&timeoutSeconds={seconds}{}",
            self.path, self.selector
        )
    }
}

/// Asks, and gives the body of a good answer.
pub(super) async fn get(
    server: &Server,
    uri: &str,
    patience: Duration,
) -> Result<Lines, KubeError> {
    let name = || server.name.to_string();
    let transport = |source: Box<dyn std::error::Error + Send + Sync>| KubeError::Transport {
        server: name(),
        source,
    };
    let request = hyper::Request::get(uri)
        .header("accept", "application/json")
        .body(Body::empty())
        .map_err(|error| transport(Box::new(error)))?;
    let answer = timeout(patience, server.client.send(request)).await;
    let answer = answer.map_err(|_| KubeError::Silent {
        server: name(),
        after: patience,
    })?;
    let answer = answer.map_err(|error| transport(Box::new(error)))?;
    let code = answer.status().as_u16();
    let body = Lines::new(name(), answer.into_body());
    if code == 200 {
        return Ok(body);
    }
    let text = body.all(patience, LONGEST_REFUSAL).await;
    Err(refusal(name(), code, &text.unwrap_or_default()))
}

/// What a `metav1.Status` says, or an answer's code where it says nothing.
pub(super) fn refusal(server: String, code: u16, status: &[u8]) -> KubeError {
    let status: serde_json::Value = serde_json::from_slice(status).unwrap_or_default();
    let said = status.get("code").and_then(serde_json::Value::as_u64);
    let code = said.and_then(|said| said.try_into().ok()).unwrap_or(code);
    let text = |key| status.get(key).and_then(serde_json::Value::as_str);
    if code == 410 || text("reason") == Some("Expired") {
        return KubeError::Expired { server };
    }
    let message = text("message").or(text("reason")).unwrap_or("no reason");
    KubeError::Status {
        server,
        code,
        message: wire::quoted(message),
    }
}

/// Reads the outermost level of a list. What looks like a list but has no revision is none:
/// an empty answer of somebody in between must not empty the cluster.
pub(super) fn head(list: &[u8]) -> Result<Head<'_>, String> {
    let (mut metadata, mut items) = (None, None);
    for member in wire::members(list) {
        match member.map_err(|error| error.to_string())? {
            (b"metadata", value) => metadata = Some(value),
            (b"items", value) => items = Some(value),
            _ => {}
        }
    }
    let metadata = metadata.ok_or("a list without metadata")?;
    let items = items.ok_or("a list without items")?;
    let metadata: serde_json::Value =
        serde_json::from_slice(metadata).map_err(|error| error.to_string())?;
    let text = |key| {
        let text = metadata.get(key).and_then(serde_json::Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    Ok(Head {
        version: text("resourceVersion").ok_or("a list without a revision")?,
        next: text("continue"),
        items: if items == b"null" { b"[]" } else { items },
    })
}

/// Text as it may stand in a query (RFC 3986, unreserved characters).
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}
