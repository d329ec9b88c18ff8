//! `kube-router explain`: whether policies let a connection through, and which.

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;

use super::plan::{cluster, facts};
use super::slots::policy_settings;
use crate::cli::{Exit, ExplainArgs, Port};
use crate::config::{self, Config};
use crate::firewall::{IcmpType, Payload};
use crate::model::{NodeFacts, ObjectName, Pod, Snapshot};
use crate::net::Protocol;
use crate::netpol::{End, Question};

/// Answers to `out`; ends with [`Exit::Success`] where all of it is allowed and with
/// [`Exit::Failure`] where something is denied or the question makes no sense.
///
/// # Errors
/// When nothing can be written.
pub fn explain(
    args: &ExplainArgs,
    environment: Vec<(String, String)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let mut config = match config::load(&args.sources(environment)) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            writeln!(err, "{problems}")?;
            return Ok(Exit::BadConfig);
        }
    };
    // What is asked about is watched, whether this node enforces it or not.
    config.netpol.enabled = true;
    let answered = cluster(&config, "").and_then(|(snapshot, notes)| {
        let ends = ends(args, &snapshot)?;
        Ok((snapshot, notes, ends))
    });
    let (snapshot, notes, (from, targets)) = match answered {
        Ok(answered) => answered,
        Err(reason) => {
            writeln!(err, "kube-router: {reason}")?;
            return Ok(Exit::Usage);
        }
    };
    for note in notes {
        writeln!(err, "{note}")?;
    }
    let settings = Arc::new(policy_settings(&config));
    let mut is_allowed = true;
    let mut is_empty = true;
    for (to, payload) in &targets {
        let question = Question {
            snapshot: &snapshot,
            settings: &settings,
            from: &from,
            to,
            payload: *payload,
        };
        for answer in question.answers(&|node| facts_of(node, &config, &snapshot)) {
            is_allowed &= answer.is_allowed;
            is_empty = false;
            write!(out, "{answer}")?;
        }
    }
    if is_empty {
        writeln!(err, "kube-router: the two have no address of one family")?;
        return Ok(Exit::Usage);
    }
    Ok(if is_allowed {
        Exit::Success
    } else {
        Exit::Failure
    })
}

/// The node as its object describes it; one that is unknown has no addresses of its own.
fn facts_of(node: &str, config: &Config, snapshot: &Snapshot) -> NodeFacts {
    let name: Arc<str> = Arc::from(node);
    let known = facts(&name, config, snapshot);
    known.unwrap_or_else(|_| NodeFacts {
        name,
        ..NodeFacts::default()
    })
}

type Targets = Vec<(End, Payload)>;

/// The source, and every destination behind the one that was named.
fn ends(args: &ExplainArgs, snapshot: &Snapshot) -> Result<(End, Targets), String> {
    let from = end(&args.from, snapshot)
        .ok_or_else(|| format!("--from {}: no such pod, and no address", args.from))?;
    if let Some(to) = end(&args.to, snapshot) {
        return Ok((from, vec![(to, payload(args.port))]));
    }
    let targets = name(&args.to)
        .map(|name| behind(&name, args.port, snapshot))
        .ok_or_else(|| format!("--to {}: neither NAMESPACE/NAME nor an address", args.to))??;
    Ok((from, targets))
}

fn payload(port: Port) -> Payload {
    match port {
        Port::Number(protocol, number) => Payload::Ports(protocol, number),
        Port::Echo => Payload::Icmp(IcmpType::EchoRequest),
    }
}

fn name(text: &str) -> Option<ObjectName> {
    let (namespace, name) = text.split_once('/')?;
    Some(ObjectName::new(namespace, name))
}

fn end(text: &str, snapshot: &Snapshot) -> Option<End> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let owner = pod_at(address, snapshot);
        return Some(owner.map_or(End::Address(address), End::Pod));
    }
    let pod = snapshot.pods.get(&name(text)?)?;
    Some(End::Pod(Arc::clone(pod)))
}

/// The pod that has the address; of several the youngest.
fn pod_at(address: IpAddr, snapshot: &Snapshot) -> Option<Arc<Pod>> {
    let pods = snapshot.pods.iter().map(|(_, pod)| pod);
    let owners = pods.filter(|pod| pod.is_actionable() && pod.addresses.contains(&address));
    owners.max_by_key(|pod| pod.created).cloned()
}

/// The endpoints behind a Service's port.
fn behind(name: &ObjectName, port: Port, snapshot: &Snapshot) -> Result<Targets, String> {
    let service = snapshot
        .services
        .get(name)
        .ok_or_else(|| format!("--to {name}: no such pod and no such Service"))?;
    let Port::Number(protocol, number) = port else {
        return Err(format!("--to {name}: a Service answers no echo requests"));
    };
    let wanted = service
        .ports
        .iter()
        .find(|one| one.protocol == protocol && one.port == number)
        .ok_or_else(|| format!("--to {name}: the Service has no port {number}/{protocol}"))?;
    let slices = snapshot.slices.get(name);
    let mut targets = Vec::new();
    for slice in slices.iter().flat_map(|set| set.iter()) {
        let ports = slice
            .ports
            .iter()
            .filter(|one| one.name == wanted.name && one.protocol == protocol);
        for one in ports {
            let ready = slice.endpoints.iter().filter(|endpoint| endpoint.ready);
            targets.extend(ready.filter_map(|endpoint| {
                let to = end(&endpoint.address.to_string(), snapshot)?;
                Some((
                    narrowed(to, endpoint.address),
                    target(one.protocol, one.port),
                ))
            }));
        }
    }
    if targets.is_empty() {
        return Err(format!(
            "--to {name}: the Service has no endpoint that is ready"
        ));
    }
    Ok(targets)
}

fn target(protocol: Protocol, port: u16) -> Payload {
    Payload::Ports(protocol, port)
}

/// The pod by that address of its alone: a Service of one family leads to one.
fn narrowed(end: End, address: IpAddr) -> End {
    match end {
        End::Pod(pod) => {
            let mut pod = Pod::clone(&pod);
            pod.addresses = vec![address];
            End::Pod(Arc::new(pod))
        }
        other => other,
    }
}
