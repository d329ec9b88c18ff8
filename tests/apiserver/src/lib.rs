//! A small Kubernetes API server for tests: real HTTP/1.1 and TLS, list and watch as clients need them, faults on demand.
//!
//! ```text
//! client ──► wire (slow, cut, reset) ──► TLS ──► HTTP ──► api (log, credentials, faults) ──► store ◄── control, library
//!                                                          │    ▲                            │
//!                                                          └► list, watch ◄──── history ◄────┘
//! ```
//!
//! Objects are not validated, so that tests can store nonsense; every version is serialised once.
//! Semantics follow the [API concepts](https://kubernetes.io/docs/reference/using-api/api-concepts/) and
//! [KEP-3157](https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/3157-watch-list).

mod api;
mod apply;
mod ask;
mod big;
mod body;
mod control;
mod discovery;
mod everywhere;
mod faults;
mod kinds;
mod kubeconfig;
mod listen;
mod manifests;
mod object;
mod page;
mod pki;
mod real;
mod reply;
mod route;
mod selector;
mod server;
mod shared;
mod status;
mod store;
mod time;
mod watch;
mod wire;
mod write;

pub use ask::{Answer, Ask};
pub use big::{big_cluster, big_pods};
pub use everywhere::{ApiServer, servers};
pub use faults::{Fault, FaultKind};
pub use kinds::{KINDS, Kind};
pub use kubeconfig::Credentials;
pub use manifests::read_folder;
pub use pki::Identity;
pub use real::RealApiServer;
pub use server::{Failure, Options, TestApiServer};
pub use shared::{AuthMode, Request};
pub use status::Status;
