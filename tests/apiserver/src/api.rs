//! Requests on objects: from route, verb and body to a reply.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request};
use serde_json::{Value, json};

use crate::body::{check_kind, read_body};
use crate::discovery;
use crate::faults::{FaultKind, Taken, Verb};
use crate::kinds::Kind;
use crate::page;
use crate::reply::{self, Reply};
use crate::route::{Query, Route};
use crate::selector::Selector;
use crate::shared::{self, Shared};
use crate::status::Status;
use crate::store::Target;
use crate::watch::{Ask, Watch};
use crate::wire::Switch;
use crate::write::{Part, Patch};

/// A request with its URL read.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) route: Route,
    pub(crate) query: Query,
    pub(crate) verb: Verb,
    /// Content-Type without parameters.
    pub(crate) media: String,
    /// Whether writes are free of the rules for clients: the control address.
    pub(crate) unbound: bool,
}

impl Call {
    pub(crate) fn new(request: &Request<Incoming>, unbound: bool) -> Self {
        let route = Route::parse(request.uri().path());
        let query = Query::parse(request.uri().query().unwrap_or(""));
        let media = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let media = media
            .and_then(|text| text.split(';').next())
            .unwrap_or("")
            .trim()
            .to_owned();
        let method = request.method().clone();
        let verb = verb_of(&method, &route, &query);
        Self {
            method,
            route,
            query,
            verb,
            media,
            unbound,
        }
    }
}

fn verb_of(method: &Method, route: &Route, query: &Query) -> Verb {
    match (method, route) {
        (_, Route::Fixed(_) | Route::Unknown) => Verb::Other,
        (&Method::GET, Route::Collection { .. }) if query.flag("watch") == Some(true) => {
            Verb::Watch
        }
        (&Method::GET, Route::Collection { .. }) => Verb::List,
        (&Method::GET, Route::Item { .. }) => Verb::Get,
        (&Method::POST, Route::Collection { .. }) => Verb::Create,
        (&Method::PUT, Route::Item { .. }) => Verb::Update,
        (&Method::PATCH, Route::Item { .. }) => Verb::Patch,
        (&Method::DELETE, _) => Verb::Delete,
        _ => Verb::Other,
    }
}

/// Answers a client: log, credentials, faults, then the request itself.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    switch: &Arc<Switch>,
    known_certificate: bool,
    request: Request<Incoming>,
) -> Reply {
    let call = Call::new(&request, false);
    shared.log(shared::Request {
        method: call.method.to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or("").to_owned(),
        verb: call.verb.name(),
        resource: call.route.plural(),
    });
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let public = matches!(&call.route, Route::Fixed(path) if discovery::is_public(path));
    if !public && !shared.admits(header, known_certificate) {
        return reply::refusal(&Status::unauthorized());
    }
    let taken = shared
        .faults
        .take_for_request(call.verb, call.route.plural());
    if let Some(taken) = taken {
        switch.take(&taken);
        match taken.kind {
            FaultKind::Stall => shared.cleared(taken.epoch).await,
            FaultKind::Status(code) => {
                return reply::refusal(&Status::new(code, "InternalError", "fault on demand"));
            }
            FaultKind::Gone => return reply::refusal(&Status::too_old(1, shared.store.revision())),
            FaultKind::Garbage if call.verb != Verb::List => {
                return reply::bytes(200, "application/json", "{\"kind\":\"Ser");
            }
            _ => {}
        }
    }
    carry_out(shared, switch, call, taken, request)
        .await
        .unwrap_or_else(|status| reply::refusal(&status))
}

/// The request itself.
pub(crate) async fn carry_out(
    shared: &Arc<Shared>,
    switch: &Arc<Switch>,
    call: Call,
    taken: Option<Taken>,
    request: Request<Incoming>,
) -> Result<Reply, Status> {
    match &call.route {
        Route::Unknown => Err(Status::no_such_path()),
        Route::Fixed(path) => Ok(discovery::answer(path)),
        Route::Collection { kind, namespace } => {
            let namespace = namespace.as_deref();
            match call.verb {
                Verb::List => list(shared, kind, namespace, &call.query, taken),
                Verb::Watch => start_watch(shared, switch, kind, namespace, &call.query, taken),
                Verb::Create => create(shared, kind, namespace, &call, request).await,
                Verb::Delete => delete_all(shared, kind, namespace, &call.query),
                _ => Err(method_not_allowed()),
            }
        }
        Route::Item {
            kind,
            namespace,
            name,
            status,
        } => {
            let target = Target {
                kind,
                namespace,
                name,
            };
            let part = part_of(&call, *status);
            match call.verb {
                Verb::Get => Ok(reply::object(200, kind, &*shared.store.get(target)?)),
                Verb::Update => update(shared, target, part, &call, request).await,
                Verb::Patch => patch(shared, target, part, &call, request).await,
                Verb::Delete if !status => delete(shared, target),
                _ => Err(method_not_allowed()),
            }
        }
    }
}

fn part_of(call: &Call, status: bool) -> Part {
    match (status, call.unbound) {
        (true, _) => Part::Status,
        (false, true) => Part::Whole,
        (false, false) => Part::Main,
    }
}

fn method_not_allowed() -> Status {
    Status::new(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    )
}

fn selector(kind: &Kind, namespace: Option<&str>, query: &Query) -> Result<Selector, Status> {
    Selector::parse(
        kind,
        namespace,
        query.get("labelSelector"),
        query.get("fieldSelector"),
    )
}

fn list(
    shared: &Shared,
    kind: &Kind,
    namespace: Option<&str>,
    query: &Query,
    taken: Option<Taken>,
) -> Result<Reply, Status> {
    let selector = selector(kind, namespace, query)?;
    let limit = query.number("limit")?;
    let page = match query.get("continue") {
        Some(token) => page::next(&shared.store, token, limit)?,
        None => {
            let cached = page::is_cached(&shared.store, query)?;
            page::first(
                &shared.store,
                kind,
                &selector,
                if cached { 0 } else { limit },
            )
        }
    };
    let garbage = taken.is_some_and(|taken| taken.kind == FaultKind::Garbage);
    Ok(reply::list(kind, page, garbage))
}

fn start_watch(
    shared: &Arc<Shared>,
    switch: &Arc<Switch>,
    kind: &'static Kind,
    namespace: Option<&str>,
    query: &Query,
    taken: Option<Taken>,
) -> Result<Reply, Status> {
    let selector = selector(kind, namespace, query)?;
    let ask = Ask::parse(query, shared.streaming_lists.load(Ordering::Relaxed))?;
    let (shared, switch) = (Arc::clone(shared), Arc::clone(switch));
    let watch = Watch::start(shared, switch, kind, selector, &ask, taken)?;
    Ok(reply::stream(watch.into_stream()))
}

async fn create(
    shared: &Shared,
    kind: &'static Kind,
    namespace: Option<&str>,
    call: &Call,
    request: Request<Incoming>,
) -> Result<Reply, Status> {
    let body = read_body(&call.media, call.unbound, request).await?;
    check_kind(kind, &body)?;
    let named = |key: &str| {
        body.pointer(key)
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    };
    if !call.unbound && !named("/metadata/resourceVersion").is_empty() {
        let why = "resourceVersion should not be set on objects to be created";
        return Err(Status::new(500, "", why));
    }
    let own = named("/metadata/namespace");
    if kind.namespaced && namespace.is_some_and(|one| !own.is_empty() && own != one) {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let namespace = match namespace {
        _ if !kind.namespaced => String::new(),
        Some(namespace) => namespace.to_owned(),
        None if call.unbound => Some(own)
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "default".to_owned()),
        None => return Err(method_not_allowed()),
    };
    let mut name = named("/metadata/name");
    let prefix = named("/metadata/generateName");
    if name.is_empty() && !prefix.is_empty() {
        name = format!("{prefix}{:05x}", shared.store.revision() + 1);
    }
    if name.is_empty() {
        return Err(Status::invalid(format!(
            "{} \"\" is invalid: metadata.name: Required value",
            kind.kind
        )));
    }
    let target = Target {
        kind,
        namespace: &namespace,
        name: &name,
    };
    let made = shared.store.create(target, body, part_of(call, false))?;
    Ok(reply::object(201, kind, &made))
}

async fn update(
    shared: &Shared,
    target: Target<'_>,
    part: Part,
    call: &Call,
    request: Request<Incoming>,
) -> Result<Reply, Status> {
    let body = read_body(&call.media, call.unbound, request).await?;
    check_kind(target.kind, &body)?;
    let named = body.pointer("/metadata/name").and_then(Value::as_str);
    if named.is_some_and(|named| named != target.name) {
        return Err(Status::bad_request(
            "the name of the object does not match the name on the URL",
        ));
    }
    let (object, new) = shared.store.replace(target, body, part)?;
    Ok(reply::object(
        if new { 201 } else { 200 },
        target.kind,
        &object,
    ))
}

async fn patch(
    shared: &Shared,
    target: Target<'_>,
    part: Part,
    call: &Call,
    request: Request<Incoming>,
) -> Result<Reply, Status> {
    let media = call.media.as_str();
    let body = read_body(&call.media, call.unbound, request).await?;
    let (patch, create) = match (media, body) {
        ("application/json-patch+json", Value::Array(steps)) => (Patch::Json(steps), false),
        ("application/json-patch+json", _) => {
            return Err(Status::bad_request("a JSON patch is an array of steps"));
        }
        ("application/merge-patch+json" | "application/strategic-merge-patch+json", body) => {
            (Patch::Merge(body), false)
        }
        ("application/apply-patch+yaml", body) => (Patch::Merge(body), part != Part::Status),
        (_, body) if call.unbound => (Patch::Merge(body), false),
        (other, _) => {
            return Err(Status::new(
                415,
                "UnsupportedMediaType",
                format!("no patch of type {other:?}"),
            ));
        }
    };
    let object = shared.store.patch(target, &patch, part, create)?;
    Ok(reply::object(200, target.kind, &object))
}

fn delete(shared: &Shared, target: Target<'_>) -> Result<Reply, Status> {
    let gone = shared.store.delete(target)?;
    let uid = gone.to_json().pointer("/metadata/uid").cloned();
    let details = json!({"name": target.name, "group": target.kind.group, "kind": target.kind.plural, "uid": uid});
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    Ok(reply::json(200, &body))
}

fn delete_all(
    shared: &Shared,
    kind: &'static Kind,
    namespace: Option<&str>,
    query: &Query,
) -> Result<Reply, Status> {
    let (_, objects) = shared.store.list(kind, &selector(kind, namespace, query)?);
    for object in &objects {
        let target = Target {
            kind,
            namespace: &object.namespace,
            name: &object.name,
        };
        // Someone else may have been quicker.
        let _ = shared.store.delete(target);
    }
    let page = page::Page {
        revision: shared.store.revision(),
        objects,
        next: None,
        remaining: None,
    };
    Ok(reply::list(kind, page, false))
}
