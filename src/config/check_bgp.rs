//! The rules of `[routing]` and `[bgp]`: families, addresses, hops, passwords.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::check::{IPV4, IPV6, Rules, switch};
use super::checked_bgp::{
    BfdConfig, BgpConfig, BgpHops, BgpListen, BgpPeer, BgpSession, RoutingConfig,
};
use super::password;
use super::raw_bgp::{Bgp, Listen, Peer, Routing, Session};
use crate::net::{ByFamily, Family, Secret};

const CNI_CONF_FILE: &str = "routing.cni_conf_file";
const LOCAL_ADDRESSES: &str = "bgp.local_addresses";
const MESH_PASSWORD_FILE: &str = "bgp.mesh_password_file";
const HOLDTIME: &str = "bgp.holdtime";
const PEER: &str = "bgp.peer";
const LISTEN: &str = "bgp.listen";

/// How many unlisted peers there may be at a time if nothing is said.
const LISTEN_LIMIT: u16 = 100;
const BGP_PORT: u16 = 179;

/// The table that is judged.
#[derive(Clone, Copy)]
struct Entry {
    key: &'static str,
    index: usize,
    family: Family,
}

pub(super) fn routing(rules: &mut Rules<'_>, raw: &Routing) -> RoutingConfig {
    if raw.enable_cni && raw.cni_conf_file.is_none() {
        rules.problem(
            CNI_CONF_FILE,
            "expected a path, or routing.enable_cni turned off",
        );
    }
    RoutingConfig {
        enabled: raw.enabled,
        sync_period: raw.sync_period,
        injected_routes_sync_period: raw.injected_routes_sync_period,
        enable_cni: raw.enable_cni,
        cni_conf_file: raw.cni_conf_file.clone().unwrap_or_default(),
        auto_mtu: raw.auto_mtu,
        enable_pod_egress: raw.enable_pod_egress,
        enable_overlay: raw.enable_overlay,
        overlay_type: raw.overlay_type,
        overlay_encap: raw.overlay_encap,
        overlay_encap_port: raw.overlay_encap_port,
    }
}

pub(super) fn bgp(rules: &mut Rules<'_>, raw: &Bgp, families: ByFamily<bool>) -> BgpConfig {
    let is_judged = !rules.is_refused(&[IPV4, IPV6]);
    let is_off = |it: &&IpAddr| is_judged && !families.get(Family::of(**it));
    for address in raw.local_addresses.iter().filter(is_off) {
        let (family, switch) = switch(Family::of(*address));
        let text = format!("{address} is {family}, which {switch} turns off");
        rules.problem(LOCAL_ADDRESSES, text);
    }
    let mesh_password = raw.mesh_password_file.as_deref().map(password::read);
    if let Some(Err(text)) = &mesh_password {
        rules.problem(MESH_PASSWORD_FILE, text);
    }
    let mut config = without_peers(raw);
    config.mesh_password = mesh_password.and_then(Result::ok);
    config.peers = peers(rules, &raw.peer, &config, families);
    config.listen = listen(rules, &raw.listen, &config, families);
    config
}

fn without_peers(raw: &Bgp) -> BgpConfig {
    let long_lived = raw.long_lived_stale_time;
    BgpConfig {
        port: raw.port,
        cluster_asn: raw.cluster_asn,
        router_id: raw.router_id,
        local_addresses: raw.local_addresses.clone(),
        enable_ibgp: raw.enable_ibgp,
        nodes_full_mesh: raw.nodes_full_mesh,
        mesh_password: None,
        enable_mesh_bfd: raw.enable_mesh_bfd,
        holdtime: seconds(raw.holdtime),
        override_nexthop: raw.override_nexthop,
        graceful_restart: raw.graceful_restart,
        graceful_restart_time: raw.graceful_restart_time,
        graceful_restart_deferral_time: raw.graceful_restart_deferral_time,
        long_lived_stale_time: (!long_lived.is_zero()).then_some(long_lived),
        advertise_cluster_ip: raw.advertise_cluster_ip,
        advertise_external_ip: raw.advertise_external_ip,
        advertise_loadbalancer_ip: raw.advertise_loadbalancer_ip,
        advertise_pod_cidr: raw.advertise_pod_cidr,
        bfd: BfdConfig {
            enabled: raw.enable_bfd,
            port: raw.bfd_port,
            desired_min_tx: raw.bfd_desired_min_tx_interval,
            required_min_rx: raw.bfd_required_min_rx_interval,
            multiplier: raw.bfd_detection_multiplier,
        },
        peers: Vec::new(),
        listen: Vec::new(),
    }
}

fn peers(
    rules: &mut Rules<'_>,
    raw: &[Peer],
    config: &BgpConfig,
    families: ByFamily<bool>,
) -> Vec<BgpPeer> {
    let mut seen = BTreeSet::new();
    let mut peers = Vec::new();
    for (index, peer) in raw.iter().enumerate() {
        let entry = Entry {
            key: PEER,
            index,
            family: Family::of(peer.address),
        };
        if !seen.insert(peer.address) {
            entry.problem(rules, "address", "there is a peer of this address already");
        }
        entry.family_is_on(rules, "address", families);
        peers.push(BgpPeer {
            address: peer.address,
            asn: peer.asn,
            port: peer.port.unwrap_or(BGP_PORT),
            passive: peer.passive,
            shutdown: peer.shutdown.clone(),
            session: session(rules, entry, &peer.session, config),
        });
    }
    peers
}

fn listen(
    rules: &mut Rules<'_>,
    raw: &[Listen],
    config: &BgpConfig,
    families: ByFamily<bool>,
) -> Vec<BgpListen> {
    let mut seen = BTreeSet::new();
    let mut ranges = Vec::new();
    for (index, range) in raw.iter().enumerate() {
        let entry = Entry {
            key: LISTEN,
            index,
            family: Family::of_prefix(&range.prefix),
        };
        if !seen.insert(range.prefix) {
            entry.problem(rules, "prefix", "there is this prefix already");
        }
        entry.family_is_on(rules, "prefix", families);
        ranges.push(BgpListen {
            prefix: range.prefix,
            asn: range.asn,
            limit: range.limit.unwrap_or(LISTEN_LIMIT),
            session: session(rules, entry, &range.session, config),
        });
    }
    ranges
}

fn session(rules: &mut Rules<'_>, entry: Entry, raw: &Session, config: &BgpConfig) -> BgpSession {
    let defaults = config.session();
    if let Some(local) = raw.local_address
        && Family::of(local) != entry.family
    {
        let text = format!("expected an {} address, as the peer has", entry.family);
        entry.problem(rules, "local_address", text);
    }
    let holdtime = raw.holdtime.map_or(defaults.holdtime, seconds);
    if let Some(keepalive) = raw.keepalive
        && !rules.is_refused(&[HOLDTIME])
        && keepalive > Duration::from_secs(u64::from(holdtime)) / 3
    {
        let text = format!("expected at most a third of the hold time of {holdtime}s");
        entry.problem(rules, "keepalive", text);
    }
    let hops = hops(rules, entry, raw);
    BgpSession {
        local_address: raw.local_address,
        password: secret(rules, entry, raw.password_file.as_deref()),
        hops,
        holdtime,
        keepalive: raw.keepalive,
        max_prefixes: raw.max_prefixes,
        max_prefixes_restart: raw.max_prefixes_restart,
        import_default_route: raw.import_default_route,
        import_martians: raw.import_martians,
        local_preference: raw.local_preference,
        med: raw.med,
        override_nexthop: raw.override_nexthop.unwrap_or(defaults.override_nexthop),
        graceful_restart: raw.graceful_restart.unwrap_or(defaults.graceful_restart),
        add_path: raw.add_path,
        enforce_first_as: raw.enforce_first_as.unwrap_or(defaults.enforce_first_as),
        bfd: bfd(raw, defaults.bfd, hops),
    }
}

fn hops(rules: &mut Rules<'_>, entry: Entry, raw: &Session) -> BgpHops {
    match (raw.multihop_ttl, raw.ttl_security) {
        (Some(_), Some(_)) => {
            let text = "expected one of this and multihop_ttl";
            entry.problem(rules, "ttl_security", text);
            BgpHops::Link
        }
        (None, Some(hops)) => BgpHops::Security(hops),
        (Some(2..), None) => BgpHops::Multihop(raw.multihop_ttl.unwrap_or_default()),
        (Some(..=1) | None, None) => BgpHops::Link,
    }
}

fn bfd(raw: &Session, defaults: BfdConfig, hops: BgpHops) -> BfdConfig {
    let is_far = matches!(hops, BgpHops::Multihop(_) | BgpHops::Security(2..));
    let port = match defaults.port {
        BfdConfig::PORT if is_far => BfdConfig::MULTIHOP_PORT,
        port => port,
    };
    BfdConfig {
        enabled: raw.enable_bfd.unwrap_or(defaults.enabled),
        port: raw.bfd_port.unwrap_or(port),
        desired_min_tx: raw
            .bfd_desired_min_tx_interval
            .unwrap_or(defaults.desired_min_tx),
        required_min_rx: raw
            .bfd_required_min_rx_interval
            .unwrap_or(defaults.required_min_rx),
        multiplier: raw.bfd_detection_multiplier.unwrap_or(defaults.multiplier),
    }
}

fn secret(rules: &mut Rules<'_>, entry: Entry, file: Option<&str>) -> Option<Secret> {
    match password::read(Path::new(file.filter(|file| !file.is_empty())?)) {
        Ok(secret) => Some(secret),
        Err(text) => {
            entry.problem(rules, "password_file", text);
            None
        }
    }
}

/// Whole seconds of 16 bits, as the key's own check has seen.
fn seconds(duration: Duration) -> u16 {
    u16::try_from(duration.as_secs()).unwrap_or(u16::MAX)
}

// === impl Entry ===

impl Entry {
    fn problem(self, rules: &mut Rules<'_>, field: &str, text: impl Into<String>) {
        rules.entry_problem(self.key, self.index, field, text);
    }

    fn family_is_on(self, rules: &mut Rules<'_>, field: &str, families: ByFamily<bool>) {
        if !families.get(self.family) && !rules.is_refused(&[IPV4, IPV6]) {
            let (family, switch) = switch(self.family);
            self.problem(rules, field, format!("{family} is turned off by {switch}"));
        }
    }
}
