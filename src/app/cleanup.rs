//! `kube-router cleanup`: removes what is ours, without a cluster and without a daemon.

use std::fmt;
use std::io::{self, Write};

use super::daemon::settings;
use super::run::exit_for;
use crate::cli::{CleanupArgs, Exit};
use crate::config::{self, Config};
use crate::model::NodeFacts;
use crate::net::ByFamily;
use crate::netpol::{self, Netpol};
use crate::proxy::{HostKernel, Proxy};
use crate::reconcile::{Failure, ObserveError, Report, with_causes};
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
    let mut told = Told {
        out,
        err,
        exit: Exit::Success,
    };
    // Before the proxy's sets, which rules of policies read.
    let (steps, faults) = Netpol::cleanup(&mut netpol::HostKernel::new(), args.dry_run);
    told.steps(steps)?;
    for (kind, fault) in &faults {
        told.fault(format_args!("{}: {}", kind.name(), with_causes(&**fault)))?;
    }
    let facts = match facts(&config) {
        Ok(facts) => facts,
        Err(reason) => {
            told.fault(format_args!("{reason}"))?;
            return Ok(told.exit);
        }
    };
    // Rules of pods, before the sets that they read.
    match routing::HostKernel::open(None) {
        Ok(kernel) => {
            let mut routing = Routing::new(kernel, routing::Lost::default());
            let settings = routing::Settings::new(&config);
            told.removed(routing.cleanup(&settings, &facts, args.dry_run))?;
        }
        Err(error) => told.fault(format_args!("{}", with_causes(&error)))?,
    }
    match HostKernel::open() {
        Ok(kernel) => {
            let removed = Proxy::new(kernel).cleanup(&settings(&config), &facts, args.dry_run);
            told.removed(removed)?;
        }
        Err(error) => {
            told.fault(format_args!("{}", with_causes(&error)))?;
            told.exit = exit_for(&error);
        }
    }
    Ok(told.exit)
}

/// What was done goes one way, what was not the other.
struct Told<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    exit: Exit,
}

// === impl Told ===

impl Told<'_> {
    fn steps(&mut self, steps: Vec<String>) -> io::Result<()> {
        for step in steps {
            writeln!(self.out, "{step}")?;
        }
        Ok(())
    }

    fn fault(&mut self, fault: fmt::Arguments<'_>) -> io::Result<()> {
        self.exit = Exit::Failure;
        writeln!(self.err, "kube-router: {fault}")
    }

    fn removed<C: fmt::Display>(
        &mut self,
        removed: Result<(Vec<String>, Report<C>), ObserveError>,
    ) -> io::Result<()> {
        match removed {
            Err(error) => self.fault(format_args!("{}", with_causes(&error))),
            Ok((steps, report)) => {
                self.steps(steps)?;
                for Failure { change, reason } in &report.failures {
                    self.fault(format_args!("{change}: {}", with_causes(&**reason)))?;
                }
                Ok(())
            }
        }
    }
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
