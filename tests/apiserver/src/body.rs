//! Request bodies.

use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use serde_json::Value;

use crate::kinds::Kind;
use crate::manifests;
use crate::status::Status;

/// A body may leave its kind out, but not name another.
pub(crate) fn check_kind(kind: &Kind, body: &Value) -> Result<(), Status> {
    match body.get("kind").and_then(Value::as_str) {
        Some(named) if named != kind.kind => Err(Status::bad_request(format!(
            "a {named} cannot be handled as a {}",
            kind.kind
        ))),
        _ => Ok(()),
    }
}

/// The whole body.
pub(crate) async fn read_bytes(request: Request<Incoming>) -> Result<Vec<u8>, Status> {
    let body = request.into_body().collect().await;
    Ok(body
        .map_err(|error| Status::bad_request(error.to_string()))?
        .to_bytes()
        .to_vec())
}

/// JSON, or YAML where the media type says so or `lenient` lets it pass.
pub(crate) async fn read_body(
    media: &str,
    lenient: bool,
    request: Request<Incoming>,
) -> Result<Value, Status> {
    let bytes = read_bytes(request).await?;
    let yaml = media.ends_with("yaml");
    let known = ["", "application/json"].contains(&media) || media.contains("patch");
    if !known && !yaml && !lenient {
        return Err(Status::new(
            415,
            "UnsupportedMediaType",
            "this server speaks JSON and YAML",
        ));
    }
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(value),
        Err(_) if yaml || lenient => manifests::one(&bytes).map_err(Status::bad_request),
        Err(error) => Err(Status::bad_request(error.to_string())),
    }
}
