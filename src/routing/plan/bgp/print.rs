//! The plan as a speaker would show it: `kube-router plan`, and the golden files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::BgpPlan;
use crate::bfd::{Reach, SessionConfig, SessionKey};
use crate::bgp::fsm::{PeerAs, PeerConfig};
use crate::bgp::policy::{Action, Condition, Policy, PrefixSet, Source, Statement};
use crate::bgp::rib::{AttributeChanges, NextHopChange, RouteKind};
use crate::bgp::speaker::{Desired, Originated, PeerDesired, Ttl};
use crate::bgp::wire::PeerKind;
use crate::net::{Family, Prefix};

/// Identity, peers, routes of our own, policies by name, BFD, and what was left out. Passwords are
/// not shown.
#[must_use]
pub fn print(planned: &BgpPlan) -> String {
    let mut text = String::new();
    if let Some(speaker) = &planned.speaker {
        push_speaker(&mut text, speaker, planned);
        push_peers(&mut text, speaker);
        push_routes(&mut text, speaker);
        push_policies(&mut text, speaker);
    }
    if !planned.bfd.is_empty() {
        section(&mut text, "bfd");
        for (key, session) in &planned.bfd {
            line(&mut text, &bfd(key, session));
        }
    }
    if !planned.notes.is_empty() {
        section(&mut text, "left out");
        for note in &planned.notes {
            line(&mut text, &format!("# {note}"));
        }
    }
    text
}

fn section(text: &mut String, title: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    line(text, &format!("# {title}"));
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

fn push_speaker(text: &mut String, speaker: &Desired, planned: &BgpPlan) {
    section(text, "bgp speaker");
    let own = &speaker.speaker;
    line(text, &format!("as {} router-id {}", own.asn, own.router_id));
    if let Some(cluster) = own.cluster_id {
        line(text, &format!("reflector of cluster {cluster}"));
    }
    for address in &planned.listen {
        line(text, &format!("listen {address}"));
    }
}

fn push_peers(text: &mut String, speaker: &Desired) {
    if speaker.peers.is_empty() && speaker.ranges.is_empty() {
        return;
    }
    section(text, "bgp peers");
    for (address, peer) in &speaker.peers {
        line(text, &format!("peer {address} {}", described(peer)));
    }
    for range in &speaker.ranges {
        let (prefix, limit) = (range.prefix, range.limit);
        let peer = described(&range.peer);
        line(text, &format!("range {prefix} limit {limit} {peer}"));
    }
}

fn described(peer: &PeerDesired) -> String {
    let mut words = Vec::new();
    let (session, transport) = (&peer.session, &peer.transport);
    words.push(match session.peer_as {
        PeerAs::Exactly(asn) => format!("as {asn}"),
        PeerAs::External => "as any-other".to_owned(),
    });
    words.push(format!("port {}", transport.port));
    words.extend(transport.local_address.map(|it| format!("from {it}")));
    match transport.ttl {
        Ttl::Default => {}
        Ttl::Send(ttl) => words.push(format!("ttl {ttl}")),
        Ttl::Security { hops } => words.push(format!("ttl-security {hops}")),
    }
    words.extend(transport.password.is_some().then(|| "password".to_owned()));
    words.extend(peer.is_client.then(|| "client".to_owned()));
    words.extend(of_session(session));
    let shutdown = peer.shutdown.as_ref();
    words.extend(shutdown.map(|words| format!("shutdown {words:?}")));
    words.push(format!("import {:?}", peer.import.name));
    words.push(format!("export {:?}", peer.export.name));
    words.join(" ")
}

fn of_session(session: &PeerConfig) -> Vec<String> {
    let families = Family::ALL
        .into_iter()
        .filter(|f| *session.families.get(*f));
    let mut words: Vec<String> = families.map(|family| family.to_string()).collect();
    words.push(format!("hold {}s", session.hold_time.as_secs()));
    words.extend(session.keepalive.map(|it| format!("keepalive {it:?}")));
    words.extend(session.passive.then(|| "passive".to_owned()));
    if let Some(graceful) = &session.graceful {
        words.push(format!("graceful-restart {:?}", graceful.restart_time));
        let long_lived = graceful.long_lived.as_ref();
        words.extend(long_lived.map(|it| format!("long-lived {:?}", it.stale_time)));
    }
    let limit = session.max_prefixes.v4.or(session.max_prefixes.v6);
    words.extend(limit.map(|it| format!("max-prefixes {}", it.limit)));
    let takes_all = session.add_path_receive.v4 || session.add_path_receive.v6;
    words.extend(takes_all.then(|| "add-path".to_owned()));
    words.extend((!session.enforce_first_as).then(|| "any-first-as".to_owned()));
    words
}

fn push_routes(text: &mut String, speaker: &Desired) {
    if speaker.originate.is_empty() {
        return;
    }
    section(text, "bgp routes");
    for (prefix, originated) in &speaker.originate {
        line(text, &route(prefix, originated));
    }
}

fn route(prefix: &Prefix, originated: &Originated) -> String {
    let kind = kind(originated.kind);
    let mut route = format!("{prefix} {kind} next-hop {}", originated.next_hop.address());
    push_communities(
        &mut route,
        &originated.attributes.communities,
        &originated.attributes.large_communities,
    );
    route
}

fn kind(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::Learned => "learned",
        RouteKind::PodCidr => "pod-range",
        RouteKind::ServiceVip => "service",
        RouteKind::Other => "other",
    }
}

fn push_communities<A: ToString, B: ToString>(text: &mut String, plain: &[A], large: &[B]) {
    let plain = plain.iter().map(ToString::to_string);
    for community in plain.chain(large.iter().map(ToString::to_string)) {
        let _ = write!(text, " community {community}");
    }
}

/// Each name once; policies of one name are the same.
fn push_policies(text: &mut String, speaker: &Desired) {
    let ranges = speaker.ranges.iter().map(|range| &range.peer);
    let peers = speaker.peers.values().chain(ranges);
    let policies: BTreeMap<&str, &Arc<Policy>> = peers
        .flat_map(|peer| [&peer.import, &peer.export])
        .map(|policy| (&*policy.name, policy))
        .collect();
    if policies.is_empty() {
        return;
    }
    section(text, "bgp policies");
    for (name, policy) in policies {
        line(text, &format!("policy {name:?}"));
        for statement in &policy.statements {
            line(text, &self::statement(statement));
        }
        line(text, &format!("  otherwise {}", action(policy.otherwise)));
    }
}

fn statement(statement: &Statement) -> String {
    let conditions: Vec<String> = statement.conditions.iter().map(condition).collect();
    let conditions = match conditions.is_empty() {
        true => "all".to_owned(),
        false => conditions.join(" and "),
    };
    let mut text = format!(
        "  {:?} {conditions}: {}",
        statement.name,
        action(statement.action)
    );
    push_changes(&mut text, &statement.changes);
    text
}

fn push_changes(text: &mut String, changes: &AttributeChanges) {
    if let Some(med) = changes.multi_exit_disc {
        let _ = write!(text, " med {med}");
    }
    if let Some(preference) = changes.local_pref {
        let _ = write!(text, " local-preference {preference}");
    }
    push_communities(
        text,
        &changes.add_communities,
        &changes.add_large_communities,
    );
    if let Some(prepend) = changes.prepend {
        let _ = write!(text, " prepend {} x {}", prepend.asn, prepend.times);
    }
    match changes.next_hop {
        Some(NextHopChange::Own) => text.push_str(" next-hop self"),
        Some(NextHopChange::To(hop)) => {
            let _ = write!(text, " next-hop {}", hop.address());
        }
        None => {}
    }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Accept => "accept",
        Action::Reject => "reject",
        Action::Next => "next",
    }
}

fn condition(condition: &Condition) -> String {
    match condition {
        Condition::Prefix(set) => format!("prefix {}", prefixes(set)),
        Condition::NextHop(set) => format!("next-hop {}", prefixes(set)),
        Condition::Kind(kinds) => {
            let kinds: Vec<&str> = kinds.iter().copied().map(kind).collect();
            format!("kind {}", kinds.join("|"))
        }
        Condition::Source(Source::Local) => "from this node".to_owned(),
        Condition::Source(Source::Peer(PeerKind::Internal)) => "from an internal peer".to_owned(),
        Condition::Not(not) => format!("not {}", self::condition(not)),
        // The plan has none of these.
        other => format!("{other:?}"),
    }
}

fn prefixes(set: &PrefixSet) -> String {
    let mut ranges: Vec<_> = set.iter().collect();
    ranges.sort_unstable();
    let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    format!("{{ {} }}", ranges.join(", "))
}

fn bfd(key: &SessionKey, session: &SessionConfig) -> String {
    let from = key
        .local
        .map(|it| format!(" from {it}"))
        .unwrap_or_default();
    let reach = match session.reach {
        Reach::SingleHop => "single-hop".to_owned(),
        Reach::Multihop { min_ttl } => format!("multihop min-ttl {min_ttl}"),
    };
    let (port, timers) = (session.port, &session.timers);
    format!(
        "bfd {}{from} {reach} port {port} tx {:?} rx {:?} x {}",
        key.remote, timers.desired_min_tx, timers.required_min_rx, timers.multiplier
    )
}
