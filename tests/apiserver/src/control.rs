//! The control address: the REST verbs without credentials, rules or faults, and switches for scripts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::body::Incoming;
use hyper::{Method, Request};
use serde_json::{Value, json};

use crate::api::{self, Call};
use crate::apply;
use crate::body;
use crate::faults::Fault;
use crate::manifests;
use crate::reply::{self, Reply};
use crate::route::{Query, Route};
use crate::shared::Shared;
use crate::status::Status;
use crate::wire::Switch;

pub(crate) async fn answer(
    shared: &Arc<Shared>,
    switch: &Arc<Switch>,
    request: Request<Incoming>,
) -> Reply {
    let done = match Route::parse(request.uri().path()) {
        Route::Fixed(path) => command(shared, &path, request).await,
        _ => {
            let call = Call::new(&request, true);
            api::carry_out(shared, switch, call, None, request).await
        }
    };
    done.unwrap_or_else(|status| reply::refusal(&status))
}

async fn command(shared: &Shared, path: &str, request: Request<Incoming>) -> Result<Reply, Status> {
    let query = Query::parse(request.uri().query().unwrap_or(""));
    match (request.method(), path) {
        (&Method::POST, "/faults") => {
            let body = body::read_bytes(request).await?;
            let text = manifests::one(&body).map_err(Status::bad_request)?;
            shared.set_fault(Fault::from_json(&text).map_err(Status::bad_request)?);
            Ok(reply::json(200, &json!(shared.faults.describe())))
        }
        (&Method::DELETE, "/faults") => {
            shared.clear_faults();
            Ok(reply::json(200, &json!([])))
        }
        (&Method::GET, "/faults") => Ok(reply::json(200, &json!(shared.faults.describe()))),
        (&Method::POST | &Method::PUT, "/apply") => {
            let body = body::read_bytes(request).await?;
            let objects = manifests::many(&body).map_err(Status::bad_request)?;
            let stored: Result<Vec<Value>, Status> = objects
                .into_iter()
                .map(|object| apply::apply(shared, object))
                .collect();
            let count = stored?.len();
            apply::make_namespaces(shared);
            Ok(reply::json(200, &json!({"applied": count})))
        }
        (&Method::POST, "/compact") => Ok(reply::json(
            200,
            &json!({"resourceVersion": shared.store.compact().to_string()}),
        )),
        (&Method::POST, "/bookmarks") => {
            shared.force_bookmarks();
            Ok(reply::json(200, &json!({})))
        }
        (&Method::POST, "/streaming-lists") => {
            let served = query.flag("enabled").unwrap_or(true);
            shared.streaming_lists.store(served, Ordering::Relaxed);
            Ok(reply::json(200, &json!({"enabled": served})))
        }
        (&Method::GET, "/requests") => Ok(reply::text(200, &requests(shared))),
        (&Method::DELETE, "/requests") => {
            shared.clear_requests();
            Ok(reply::text(200, ""))
        }
        (&Method::GET, "/stats") => {
            let sent = shared.sent.load(Ordering::Relaxed);
            let revision = shared.store.revision().to_string();
            Ok(reply::json(
                200,
                &json!({"bytesSent": sent, "requests": shared.requests().len(), "resourceVersion": revision}),
            ))
        }
        _ => Ok(crate::discovery::answer(path)),
    }
}

/// One request a line: verb, method, path, query.
fn requests(shared: &Shared) -> String {
    let line = |request: &crate::shared::Request| {
        format!(
            "{} {} {}?{}\n",
            request.verb, request.method, request.path, request.query
        )
    };
    shared.requests().iter().map(line).collect()
}
