//! Links, addresses and routes by rtnetlink.

pub mod object;

pub use object::{Address, Change, Event, Link, LinkKind, Route, RouteKind, Scope, stray_routes};
