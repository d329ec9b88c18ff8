mod fake;
mod order;
mod restart;
mod speech;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use self::fake::FakeHost;
use super::plan::overlay::{Overlay, TunnelName};
use super::plan::tests::{FOU, FULL, SUBNET, input, ip, settings, snapshot};
use super::*;
use crate::reconcile::{Controller, Report, Scope};

type Host = Routing<FakeHost>;

fn started(host: FakeHost) -> Host {
    Routing::new(host, Lost::default())
}

/// One pass after a look at everything: what was done, as it is printed.
fn pass(routing: &mut Host, input: &Input) -> Vec<String> {
    routing.plan(input);
    let mut seen = routing.observe().unwrap();
    step(routing, &mut seen, Scope::Everything).0
}

/// What is done without another look.
fn step(
    routing: &mut Host,
    seen: &mut change::Observed,
    scope: Scope,
) -> (Vec<String>, Report<change::Change>) {
    let steps = routing.changes(seen, scope);
    let printed = steps.iter().map(ToString::to_string).collect();
    (printed, routing.apply(steps, seen, &|| {}))
}

/// The input of a node whose patience is over at once.
fn at_once(overlay: Option<Overlay>, paths: &str) -> Input {
    let mut input = input(overlay, paths);
    let mut settings = settings(overlay);
    settings.patience = Duration::ZERO;
    input.settings = Arc::new(settings);
    input
}
