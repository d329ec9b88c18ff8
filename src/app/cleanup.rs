//! `kube-router cleanup`: removes what is ours, without a cluster and without a daemon.

use std::io::{self, Write};

use super::daemon::settings;
use super::run::exit_for;
use crate::cli::{CleanupArgs, Exit};
use crate::config::{self, Config};
use crate::model::NodeFacts;
use crate::net::ByFamily;
use crate::netpol::{self, Netpol};
use crate::proxy::{HostKernel, Proxy};
use crate::reconcile::with_causes;
use crate::routing::{self, Routing};
use crate::watch::{Host, NodeObject, node_facts};

/// Removes, or with `dry_run` only prints, everything of ours: each step goes to `out`, what did
/// not work to `err`.
///
/// # Errors
/// When nothing can be written.
pub fn cleanup(
    args: &CleanupArgs,
    environment: Vec<(String, String)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let config = match config::load(&args.sources(environment)) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            writeln!(err, "{problems}")?;
            return Ok(Exit::BadConfig);
        }
    };
    // Before the proxy's sets, which rules of policies read.
    let (steps, faults) = Netpol::cleanup(&mut netpol::HostKernel::new(), args.dry_run);
    for step in steps {
        writeln!(out, "{step}")?;
    }
    for (kind, fault) in &faults {
        writeln!(
            err,
            "kube-router: {}: {}",
            kind.name(),
            with_causes(&**fault)
        )?;
    }
    // Rules of pods, before the sets that they read.
    let removed = routing::HostKernel::open(None)
        .map_err(|error| with_causes(&error))
        .and_then(|kernel| {
            let mut routing = Routing::new(kernel, routing::Lost::default());
            let settings = routing::Settings::new(&config);
            let removed = routing.cleanup(&settings, &facts(&config)?, args.dry_run);
            removed.map_err(|error| with_causes(&error))
        });
    let mut failed = !faults.is_empty();
    match removed {
        Ok((steps, report)) => {
            for step in steps {
                writeln!(out, "{step}")?;
            }
            for failure in &report.failures {
                let reason = with_causes(&*failure.reason);
                writeln!(err, "kube-router: {}: {reason}", failure.change)?;
            }
            failed |= !report.failures.is_empty();
        }
        Err(reason) => {
            writeln!(err, "kube-router: {reason}")?;
            failed = true;
        }
    }
    let kernel = match HostKernel::open() {
        Ok(kernel) => kernel,
        Err(error) => {
            writeln!(err, "kube-router: {}", with_causes(&error))?;
            return Ok(exit_for(&error));
        }
    };
    let removed = facts(&config).and_then(|facts| {
        let removed = Proxy::new(kernel).cleanup(&settings(&config), &facts, args.dry_run);
        removed.map_err(|error| with_causes(&error))
    });
    let (steps, report) = match removed {
        Ok(removed) => removed,
        Err(reason) => {
            writeln!(err, "kube-router: {reason}")?;
            return Ok(Exit::Failure);
        }
    };
    for step in steps {
        writeln!(out, "{step}")?;
    }
    for failure in &report.failures {
        writeln!(
            err,
            "kube-router: {}: {}",
            failure.change,
            with_causes(&*failure.reason)
        )?;
    }
    Ok(if report.failures.is_empty() && !failed {
        Exit::Success
    } else {
        Exit::Failure
    })
}

/// This host's addresses: on them NodePorts are recognised.
fn facts(config: &Config) -> Result<NodeFacts, String> {
    let host = Host::read().map_err(|error| with_causes(&error))?;
    let name = config.node.name.as_deref().unwrap_or_default().into();
    let families = ByFamily { v4: true, v6: true };
    // A host without any address has no NodePorts either.
    let facts = node_facts(&name, families, &host, None, NodeObject::Optional);
    Ok(facts.map(|(facts, _)| facts).unwrap_or_default())
}
