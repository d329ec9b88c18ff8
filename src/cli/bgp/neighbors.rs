//! Peers in a table, and one of them in full. Pure.

use super::text::{Align, Columns, count, duration};
use crate::control::{
    Bfd, Families, MessageCounts, Neighbor, NeighborFamily, Neighbors, Notification, PeerKind,
    Speaker,
};
use crate::net::Family;

/// All peers, a table for each family.
pub(super) fn summary(all: &Neighbors) -> String {
    let mut text = head(&all.speaker);
    for family in Family::ALL {
        let mut rows = vec![
            [
                "Neighbor",
                "AS",
                "MsgRcvd",
                "MsgSent",
                "OutQ",
                "Up/Down",
                "State/PfxRcd",
                "PfxAcc",
                "PfxSnt",
            ]
            .map(str::to_owned),
        ];
        let of_family = all.neighbors.iter();
        rows.extend(of_family.filter_map(|neighbor| {
            let of = neighbor.families.get(family).as_ref()?;
            Some(row(neighbor, of))
        }));
        if rows.len() == 1 {
            continue;
        }
        let mut align = [Align::Right; 9];
        align[0] = Align::Left;
        text.push_str(&format!("\n{family} unicast:\n"));
        text.push_str(&Columns::new(align).lines(&rows));
    }
    text.push_str(&format!("\n{}\n", count(all.neighbors.len(), "neighbor")));
    text
}

fn head(speaker: &Speaker) -> String {
    let Families { ipv4, ipv6 } = speaker.prefixes;
    let mut text = format!(
        "BGP router identifier {}, local AS {}\n{ipv4} IPv4 and {ipv6} IPv6 prefixes\n",
        speaker.router_id, speaker.asn
    );
    if let Some(asn) = speaker.confederation {
        text.push_str(&format!("Confederation AS {asn}\n"));
    }
    if let Some(cluster) = speaker.cluster_id {
        text.push_str(&format!("Route reflector with cluster id {cluster}\n"));
    }
    for family in Family::ALL {
        if *speaker.deferred.get(family) {
            text.push_str(&format!(
                "{family}: after our restart, nothing is told or used before all helpers have told theirs\n"
            ));
        }
    }
    text
}

fn row(neighbor: &Neighbor, family: &NeighborFamily) -> [String; 9] {
    let is_up = neighbor.uptime_seconds.is_some();
    let state = match (is_up, family.negotiated) {
        (true, true) => family.prefixes_received.to_string(),
        (true, false) => "NoNeg".to_owned(),
        (false, _) => state(neighbor),
    };
    let number = |number: usize| match is_up && family.negotiated {
        true => number.to_string(),
        false => "-".to_owned(),
    };
    let stale = match family.prefixes_stale {
        0 => String::new(),
        stale => format!(" ({stale} stale)"),
    };
    let is_new = !is_up && neighbor.sessions_established == 0;
    [
        neighbor.peer.to_string(),
        asn(neighbor),
        neighbor.messages.received.total.to_string(),
        neighbor.messages.sent.total.to_string(),
        neighbor.unwritten_octets.to_string(),
        match is_new {
            true => "never".to_owned(),
            false => duration(neighbor.state_seconds),
        },
        format!("{state}{stale}"),
        number(family.prefixes_accepted),
        number(family.prefixes_advertised),
    ]
}

fn asn(neighbor: &Neighbor) -> String {
    let asn = neighbor.asn.map(|asn| asn.to_string());
    asn.unwrap_or_else(|| "any".to_owned())
}

fn state(neighbor: &Neighbor) -> String {
    match neighbor.stopped {
        true => format!("{} (Admin)", neighbor.state),
        false => neighbor.state.clone(),
    }
}

/// One peer in full.
pub(super) fn detail(neighbor: &Neighbor, speaker: &Speaker) -> String {
    let link = match neighbor.kind {
        PeerKind::Internal => "internal",
        PeerKind::Confederation => "confederation",
        PeerKind::External => "external",
    };
    let mut text = format!(
        "BGP neighbor is {}, remote AS {}, local AS {}, {link} link\n",
        neighbor.peer,
        asn(neighbor),
        neighbor.local_asn
    );
    for line in first_lines(neighbor, speaker) {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str(&capabilities(neighbor));
    if let Some(session) = &neighbor.bfd {
        text.push_str(&bfd(session));
    }
    text.push_str(&messages(neighbor));
    for family in Family::ALL {
        if let Some(of) = neighbor.families.get(family) {
            text.push_str(&format!("  For {family} unicast:\n"));
            for line in family_lines(of) {
                text.push_str(&format!("    {line}\n"));
            }
        }
    }
    text.push_str(&format!(
        "  Import policy \"{}\", export policy \"{}\"\n",
        neighbor.import_policy, neighbor.export_policy
    ));
    for line in last_lines(neighbor) {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

fn first_lines(neighbor: &Neighbor, speaker: &Speaker) -> Vec<String> {
    let mut lines = Vec::new();
    let flags = [
        (neighbor.dynamic, "came by a listen range"),
        (neighbor.passive, "passive"),
        (neighbor.route_reflector_client, "route reflector client"),
        (neighbor.has_password, "MD5 password"),
    ];
    let flags = flags.iter().filter(|(is_so, _)| *is_so);
    let flags: Vec<&str> = flags.map(|(_, words)| *words).collect();
    if !flags.is_empty() {
        lines.push(flags.join(", "));
    }
    let remote = neighbor.router_id.map(|id| id.to_string());
    lines.push(format!(
        "Remote router id {}, local router id {}",
        remote.unwrap_or_else(|| "unknown".to_owned()),
        speaker.router_id
    ));
    let local = neighbor.local_address.map(|local| local.to_string());
    let local = local.unwrap_or_else(|| "chosen by the kernel".to_owned());
    lines.push(format!(
        "Remote port {}, local address {local}",
        neighbor.port
    ));
    let direction = match neighbor.uptime_seconds {
        Some(_) => "up",
        None => "so",
    };
    lines.push(format!(
        "BGP state {}, {direction} for {}",
        state(neighbor),
        duration(neighbor.state_seconds)
    ));
    if let Some(text) = &neighbor.shutdown_text {
        lines.push(format!("Shut down: {text:?}"));
    }
    let timers = &neighbor.timers;
    let timers = [
        ("idle hold", timers.idle_hold),
        ("connect retry", timers.connect_retry),
        ("delay open", timers.delay_open),
        ("hold", timers.hold),
        ("keepalive", timers.keepalive),
        ("send hold", timers.send_hold),
    ];
    let timers = timers.iter();
    let timers = timers.filter_map(|(name, left)| left.map(|left| format!("{name} {left} s")));
    let timers: Vec<String> = timers.collect();
    if !timers.is_empty() {
        lines.push(format!("Timers expire in: {}", timers.join(", ")));
    }
    lines
}

fn capabilities(neighbor: &Neighbor) -> String {
    let Some(session) = &neighbor.session else {
        return String::new();
    };
    let seconds = |wait: Option<u64>| wait.map_or("none".to_owned(), |wait| format!("{wait} s"));
    let mut text = format!(
        "  Hold time {} s, keepalive {}, send hold {}\n",
        session.hold_time_seconds,
        seconds(session.keepalive_seconds),
        seconds(session.send_hold_seconds)
    );
    let refresh = match (session.route_refresh, session.enhanced_route_refresh) {
        (_, true) => Some("enhanced route refresh"),
        (true, false) => Some("route refresh"),
        (false, false) => None,
    };
    let extended = match (
        session.extended_messages.sent,
        session.extended_messages.received,
    ) {
        (true, true) => Some("extended messages"),
        (true, false) => Some("extended messages sent"),
        (false, true) => Some("extended messages received"),
        (false, false) => None,
    };
    let four = session.four_octet_asn.then_some("4-octet AS");
    let all: Vec<&str> = [four, refresh, extended].into_iter().flatten().collect();
    if !all.is_empty() {
        text.push_str(&format!("  Negotiated: {}\n", all.join(", ")));
    }
    if let Some(ours) = &neighbor.graceful_restart {
        let theirs = match &ours.peer {
            None => "the peer does not know it".to_owned(),
            Some(peer) => {
                let marks = [
                    (peer.restarting, ", it has restarted"),
                    (peer.notification, ", also over NOTIFICATIONs"),
                ];
                let marks = marks.iter().filter(|(is_so, _)| *is_so);
                let marks: String = marks.map(|(_, words)| *words).collect();
                format!("the peer knows it{marks}")
            }
        };
        text.push_str(&format!(
            "  Graceful restart: we ask for {} s; {theirs}\n",
            ours.restart_seconds
        ));
    }
    text
}

fn bfd(session: &Bfd) -> String {
    let remote = session.remote_state.as_deref().unwrap_or("silent");
    let detection = session.detection_time_microseconds;
    let detection = detection.map_or_else(
        || "not heard yet".to_owned(),
        |time| format!("lost after {} ms", time / 1000),
    );
    format!(
        "  BFD {} for {}, the other end {remote}, {detection}, a packet each {} ms, up {} times, \
         down {} times ({})\n",
        session.state,
        duration(session.state_seconds),
        session.transmit_interval_microseconds / 1000,
        session.ups,
        session.downs,
        session.diagnostic
    )
}

fn messages(neighbor: &Neighbor) -> String {
    let row = |name: &str, of: fn(&MessageCounts) -> u64| {
        let messages = &neighbor.messages;
        [
            format!("    {name}"),
            of(&messages.sent).to_string(),
            of(&messages.received).to_string(),
        ]
    };
    let rows = [
        ["  Messages", "Sent", "Rcvd"].map(str::to_owned),
        row("OPEN", |counts| counts.opens),
        row("UPDATE", |counts| counts.updates),
        row("NOTIFICATION", |counts| counts.notifications),
        row("KEEPALIVE", |counts| counts.keepalives),
        row("ROUTE-REFRESH", |counts| counts.route_refreshes),
        row("all", |counts| counts.total),
    ];
    Columns::new([Align::Left, Align::Right, Align::Right]).lines(&rows)
}

fn family_lines(family: &NeighborFamily) -> Vec<String> {
    if !family.negotiated && family.prefixes_stale == 0 {
        return vec!["not negotiated".to_owned()];
    }
    let mut lines = vec![format!(
        "Prefixes: {} received, {} accepted, {} stale, {} advertised",
        family.prefixes_received,
        family.prefixes_accepted,
        family.prefixes_stale,
        family.prefixes_advertised
    )];
    if let Some(limit) = family.max_prefixes {
        lines.push(format!("At most {limit} prefixes"));
    }
    if family.paths_refused > 0 {
        let refused = family.paths_refused;
        lines.push(format!("{refused} paths refused: too many of one prefix"));
    }
    let marks = [
        (family.add_path_receive, "add-path received"),
        (family.extended_next_hop, "next hops of IPv6"),
    ];
    let marks = marks.iter().filter(|(is_so, _)| *is_so);
    lines.extend(marks.map(|(_, words)| (*words).to_owned()));
    if let Some(graceful) = &family.graceful_restart {
        let long = graceful.long_lived_seconds;
        let long = long.map_or_else(String::new, |long| format!(", long-lived {long} s"));
        let forwarding = match graceful.forwarding {
            true => "forwarding kept",
            false => "forwarding not kept",
        };
        lines.push(format!(
            "Graceful restart of the peer: {} s{long}, {forwarding}",
            graceful.restart_seconds
        ));
    }
    lines
}

fn last_lines(neighbor: &Neighbor) -> Vec<String> {
    let mut lines = vec![format!(
        "Sessions established {}, lost {}, attempts since the last OPEN {}",
        neighbor.sessions_established, neighbor.sessions_lost, neighbor.connect_retries
    )];
    if let Some(down) = &neighbor.last_down {
        let age = duration(down.age_seconds);
        lines.push(format!("Last session ended {age} ago: {}", down.reason));
    }
    let last = &neighbor.last_notification;
    lines.extend(last.sent.as_ref().map(|last| notification("sent", last)));
    let received = last.received.as_ref();
    lines.extend(received.map(|last| notification("received", last)));
    if neighbor.has_pending_updates {
        let waiting = neighbor.unwritten_octets;
        lines.push(format!(
            "Updates are under way, {waiting} octets wait for the wire"
        ));
    }
    lines
}

fn notification(direction: &str, last: &Notification) -> String {
    let age = duration(last.age_seconds);
    format!(
        "Last NOTIFICATION {direction} {age} ago: {}/{}, {}",
        last.code, last.subcode, last.text
    )
}
