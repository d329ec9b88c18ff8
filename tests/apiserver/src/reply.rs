//! Response bodies: JSON at once, lists frame by frame.

use std::io;
use std::sync::Arc;

use futures_util::stream::{self, Stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Response;
use hyper::body::{Bytes, Frame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::object::Object;
use crate::page::Page;
use crate::status::Status;

/// Frames of a list are filled up to about this size.
const FRAME: usize = 64 * 1024;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
pub(crate) type Reply = Response<Body>;

fn reply(code: u16, media: &'static str, body: Body) -> Reply {
    let mut response = Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(code).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(media));
    headers.insert(
        CACHE_CONTROL,
        hyper::header::HeaderValue::from_static("no-cache, private"),
    );
    response
}

pub(crate) fn bytes(code: u16, media: &'static str, body: impl Into<Bytes>) -> Reply {
    reply(
        code,
        media,
        Full::new(body.into())
            .map_err(|never| match never {})
            .boxed_unsync(),
    )
}

pub(crate) fn text(code: u16, body: &str) -> Reply {
    bytes(code, "text/plain; charset=utf-8", body.to_owned())
}

pub(crate) fn json(code: u16, body: &Value) -> Reply {
    bytes(code, "application/json", body.to_string())
}

pub(crate) fn refusal(status: &Status) -> Reply {
    json(status.code, &status.to_json())
}

pub(crate) fn object(code: u16, kind: &Kind, object: &Object) -> Reply {
    bytes(code, "application/json", object.to_typed_bytes(kind))
}

pub(crate) fn stream(
    frames: impl Stream<Item = io::Result<Frame<Bytes>>> + Send + 'static,
) -> Reply {
    reply(
        200,
        "application/json",
        BodyExt::boxed_unsync(StreamBody::new(frames)),
    )
}

/// A list; `garbage` spoils it in the middle.
pub(crate) fn list(kind: &Kind, page: Page, garbage: bool) -> Reply {
    let mut meta = json!({"resourceVersion": page.revision.to_string()});
    if let Some(next) = page.next {
        meta["continue"] = json!(next);
    }
    if let Some(remaining) = page.remaining {
        meta["remainingItemCount"] = json!(remaining);
    }
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{meta},\"items\":[",
        kind.kind,
        kind.api_version()
    );
    let spoilt_at = garbage.then_some(page.objects.len() / 2);
    let writer = ListWriter {
        buffer: head.into_bytes(),
        objects: page.objects.into_iter(),
        written: 0,
        spoilt_at,
        ended: false,
    };
    stream(stream::iter(
        writer.map(|frame| Ok(Frame::data(Bytes::from(frame)))),
    ))
}

#[derive(Debug)]
struct ListWriter {
    buffer: Vec<u8>,
    objects: std::vec::IntoIter<Arc<Object>>,
    written: usize,
    spoilt_at: Option<usize>,
    ended: bool,
}

impl Iterator for ListWriter {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.ended {
            return None;
        }
        while self.buffer.len() < FRAME {
            if self.spoilt_at == Some(self.written) {
                self.buffer
                    .extend_from_slice(b"{\"metadata\":{\"name\":}}\x00\xff,");
            }
            let Some(object) = self.objects.next() else {
                self.buffer.extend_from_slice(b"]}\n");
                self.ended = true;
                break;
            };
            if self.written > 0 {
                self.buffer.push(b',');
            }
            self.written += 1;
            self.buffer.extend_from_slice(&object.body);
        }
        Some(std::mem::take(&mut self.buffer))
    }
}
