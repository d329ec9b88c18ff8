//! The servers on which tests hold what they believe: ours, and the real one where there is one.

use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use serde_json::{Value, json};

use crate::ask::{Answer, Ask};
use crate::kinds::{self, Kind};
use crate::kubeconfig::Credentials;
use crate::real::RealApiServer;
use crate::server::{Options, TestApiServer};

/// What the tests of semantics need of a server, ours or the real one.
pub trait ApiServer: Send + Sync {
    /// Name for messages.
    fn name(&self) -> &'static str;
    /// YAML of a kubeconfig.
    fn kubeconfig(&self, credentials: Credentials) -> String;
    /// Makes everything before now unusable to watches and to later chunks of lists.
    fn forget_history(&self);
    /// Whether `sendInitialEvents` is served.
    fn has_streaming_lists(&self) -> bool;
    /// Serves streaming lists from now on, or refuses them; a server too old for them never does.
    fn serve_streaming_lists(&self, served: bool);
    /// Asks with good credentials and reads to the end, so a watch needs `timeoutSeconds`.
    ///
    /// # Panics
    /// When there is no answer.
    fn ask(&self, ask: Ask<'_>) -> Answer;

    /// Creates or changes an object as a client does, its status and its namespace too.
    ///
    /// # Panics
    /// When the server refuses it.
    fn put(&self, object: Value) {
        let place = Place::of(&object);
        let text = object.to_string();
        let mut answer = self.ask(Ask::json("POST", &place.collection(), &text));
        if answer.code == 404 {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace}});
            self.ask(Ask::json(
                "POST",
                "/api/v1/namespaces",
                &namespace.to_string(),
            ));
            answer = self.ask(Ask::json("POST", &place.collection(), &text));
        }
        if answer.code == 409 {
            answer = self.ask(merge(&place.item(), &text));
        }
        assert!(
            [200, 201].contains(&answer.code),
            "{}: {text}: {answer:?}",
            self.name()
        );
        if place.kind.status && object.get("status").is_some() {
            let answer = self.ask(merge(&format!("{}/status", place.item()), &text));
            assert_eq!(answer.code, 200, "{}: {text}: {answer:?}", self.name());
        }
    }

    /// Deletes an object at once.
    ///
    /// # Panics
    /// When there is none.
    fn remove(&self, kind: &str, namespace: &str, name: &str) {
        let place = Place::new(kind, namespace, name);
        // A Pod on a node would stay until its kubelet has ended it.
        let now = format!("{}?gracePeriodSeconds=0", place.item());
        let answer = self.ask(Ask::json("DELETE", &now, ""));
        assert_eq!(answer.code, 200, "{}: {answer:?}", self.name());
    }

    /// Every object of a kind, with its kind and version, so that each is a manifest.
    ///
    /// # Panics
    /// When the server doesn't list them.
    fn objects(&self, kind: &str) -> Vec<Value> {
        let place = Place::new(kind, "", "");
        let list = self.ask(Ask::get(&place.collection())).json();
        let items = list.get("items").and_then(Value::as_array);
        let mut items = items.unwrap_or_else(|| panic!("no list: {list}")).clone();
        for item in &mut items {
            item["kind"] = json!(place.kind.kind);
            item["apiVersion"] = json!(place.kind.api_version());
        }
        items
    }
}

impl ApiServer for TestApiServer {
    fn name(&self) -> &'static str {
        "test-apiserver"
    }

    fn kubeconfig(&self, credentials: Credentials) -> String {
        Self::kubeconfig(self, credentials)
    }

    fn forget_history(&self) {
        self.compact();
    }

    fn has_streaming_lists(&self) -> bool {
        true
    }

    fn serve_streaming_lists(&self, served: bool) {
        self.set_streaming_lists(served);
    }

    fn ask(&self, ask: Ask<'_>) -> Answer {
        Self::ask(self, ask).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Our server and, where `KUBEBUILDER_ASSETS` names it, the real one.
pub fn servers(options: Options) -> Vec<Arc<dyn ApiServer>> {
    let mut found: Vec<Arc<dyn ApiServer>> = vec![Arc::new(TestApiServer::start(options))];
    match real() {
        Some(server) => found.push(server),
        None => say_once(
            "NOTE: KUBEBUILDER_ASSETS is not set: semantics are tested on the test API server ALONE, not on a real kube-apiserver\n",
        ),
    }
    found
}

/// One real server for the tests that run at the same time; it ends with the last of them.
fn real() -> Option<Arc<RealApiServer>> {
    static REAL: Mutex<Weak<RealApiServer>> = Mutex::new(Weak::new());
    let mut shared = REAL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return Some(running);
    }
    let started = Arc::new(RealApiServer::start()?);
    *shared = Arc::downgrade(&started);
    Some(started)
}

/// Past the capture of the test harness, for everyone to see.
fn say_once(text: &str) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        use std::io::Write;
        let _ = std::io::stderr().write_all(text.as_bytes());
    });
}

/// Where an object is found.
struct Place {
    kind: &'static Kind,
    namespace: String,
    name: String,
}

impl Place {
    fn new(kind: &str, namespace: &str, name: &str) -> Self {
        let kind = kinds::by_kind(kind).unwrap_or_else(|| panic!("unknown kind {kind:?}"));
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    fn of(object: &Value) -> Self {
        let text = |path| object.pointer(path).and_then(Value::as_str).unwrap_or("");
        Self::new(
            text("/kind"),
            text("/metadata/namespace"),
            text("/metadata/name"),
        )
    }

    fn collection(&self) -> String {
        let root = if self.kind.group.is_empty() {
            "api"
        } else {
            "apis"
        };
        let (version, plural) = (self.kind.api_version(), self.kind.plural);
        if self.namespace.is_empty() || !self.kind.namespaced {
            return format!("/{root}/{version}/{plural}");
        }
        format!("/{root}/{version}/namespaces/{}/{plural}", self.namespace)
    }

    fn item(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }
}

fn merge<'a>(path: &'a str, body: &'a str) -> Ask<'a> {
    Ask {
        media: "application/merge-patch+json",
        ..Ask::json("PATCH", path, body)
    }
}
