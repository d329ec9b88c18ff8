//! External peers in the annotations of a Node: the list of mappings, and the older lists side by
//! side.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::bgp::{Annotations, host_address, items, number};
use crate::model::{AnnotatedBfd, AnnotatedPeer};
use crate::net::{Family, Secret};
use crate::watch::wire;

const PEERS: &str = "kube-router.io/peers";
const IPS: &str = "kube-router.io/peer.ips";
const ASNS: &str = "kube-router.io/peer.asns";
const PORTS: &str = "kube-router.io/peer.ports";
const PASSWORDS: &str = "kube-router.io/peer.passwords";
const LOCAL_IPS: &str = "kube-router.io/peer.localips";

/// Longest key of TCP MD5 (`TCP_MD5SIG_MAXKEYLEN` of `linux/tcp.h`).
const MAX_PASSWORD: usize = 80;
/// Milliseconds whose microseconds fit in 32 bits.
const LONGEST_INTERVAL: u64 = 4_294_967;

type Fields = Map<String, Value>;

/// The peers of a Node. A peer with a fault is left out whole: half of it could be somebody else.
pub(super) fn peers(annotations: &mut Annotations<'_>) -> Option<Vec<AnnotatedPeer>> {
    if let Some(text) = annotations.text(PEERS) {
        return Some(listed(annotations, text));
    }
    let ips = annotations.text(IPS)?;
    let Some(asns) = annotations.text(ASNS) else {
        annotations.note(ASNS, "missing, so that peer.ips names no peers");
        return None;
    };
    Some(side_by_side(annotations, ips, asns))
}

// === the list of mappings ===

fn listed(annotations: &mut Annotations<'_>, text: &str) -> Vec<AnnotatedPeer> {
    let options = serde_saphyr::options! { with_snippet: false };
    let entries = match serde_saphyr::from_str_with_options(text, options) {
        Ok(Value::Array(entries)) => entries,
        Ok(Value::Null) => Vec::new(),
        Ok(_) => {
            annotations.note(PEERS, "expected a list of peers");
            Vec::new()
        }
        Err(error) => {
            let line = error.location().map_or(1, |location| location.line());
            let reason = format!("not YAML in line {line}; the Node has no external peers");
            annotations.note(PEERS, reason);
            Vec::new()
        }
    };
    let mut found = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let peer = match entry {
            Value::Object(fields) => peer(fields),
            _ => Err("expected a mapping".to_owned()),
        };
        add(annotations, PEERS, index, peer, &mut found);
    }
    found
}

fn peer(fields: &Fields) -> Result<AnnotatedPeer, String> {
    let address = text(fields, "remoteip")?.ok_or("remoteip is missing")?;
    let address = host_address(address).map_err(|why| format!("remoteip: {why}"))?;
    let asn = integer(fields, "remoteasn", u32::MAX.into())?.ok_or("remoteasn is missing")?;
    let asn = peer_asn(asn).map_err(|why| format!("remoteasn: {why}"))?;
    let local_address = match text(fields, "localip")?.filter(|text| !text.is_empty()) {
        Some(text) => Some(own_address(text, address).map_err(|why| format!("localip: {why}"))?),
        None => None,
    };
    let password = match text(fields, "password")?.filter(|text| !text.is_empty()) {
        Some(text) => Some(secret(text).map_err(|why| format!("password: {why}"))?),
        None => None,
    };
    let bfd = match fields.get("bfd") {
        None | Some(Value::Null) => None,
        Some(Value::Object(fields)) => Some(bfd(fields).map_err(|why| format!("bfd: {why}"))?),
        Some(_) => return Err("bfd: expected a mapping".to_owned()),
    };
    Ok(AnnotatedPeer {
        address,
        asn,
        local_address,
        port: within(fields, "port", u16::MAX)?,
        password,
        bfd,
    })
}

/// Judged even if it is not enabled.
fn bfd(fields: &Fields) -> Result<AnnotatedBfd, String> {
    let default = AnnotatedBfd::default();
    let enabled = match fields.get("enabled") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(enabled)) => *enabled,
        Some(_) => return Err("enabled: expected true or false".to_owned()),
    };
    let interval = |key, default| match integer(fields, key, LONGEST_INTERVAL)? {
        None => Ok::<_, String>(default),
        Some(0) => Err(format!("{key}: 0 is not from 1 to {LONGEST_INTERVAL}")),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
    };
    Ok(AnnotatedBfd {
        enabled,
        port: within(fields, "port", u16::MAX)?.unwrap_or(default.port),
        multiplier: within(fields, "detection_multiplier", u8::MAX)?.unwrap_or(default.multiplier),
        required_min_rx: interval("required_min_rx_interval", default.required_min_rx)?,
        desired_min_tx: interval("desired_min_tx_interval", default.desired_min_tx)?,
    })
}

/// Never quotes what it finds: it could be a password.
fn text<'a>(fields: &'a Fields, key: &str) -> Result<Option<&'a str>, String> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{key}: expected a text")),
    }
}

fn integer(fields: &Fields, key: &str, max: u64) -> Result<Option<u64>, String> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) if number <= max => Ok(Some(number)),
            _ => Err(format!("{key}: expected a number of at most {max}")),
        },
    }
}

/// A number from 1 to the most that its type holds.
fn within<T>(fields: &Fields, key: &str, max: T) -> Result<Option<T>, String>
where
    T: TryFrom<u64> + Into<u64> + Copy,
{
    match integer(fields, key, max.into())? {
        None => Ok(None),
        Some(0) => Err(format!("{key}: 0 is not from 1 to {}", max.into())),
        Some(number) => Ok(T::try_from(number).ok()),
    }
}

// === the lists side by side ===

/// Lists of different lengths name nobody: which port or password is whose can't be known then.
fn side_by_side(annotations: &mut Annotations<'_>, ips: &str, asns: &str) -> Vec<AnnotatedPeer> {
    let column = |text: &'_ str| items(text).map(|(_, item)| item.to_owned()).collect();
    let ips: Vec<String> = column(ips);
    let mut columns = [
        (ASNS, column(asns)),
        (PORTS, vec![]),
        (PASSWORDS, vec![]),
        (LOCAL_IPS, vec![]),
    ];
    for (key, items) in columns.iter_mut().skip(1) {
        if let Some(text) = annotations.text(key) {
            *items = column(text);
        }
    }
    for (key, items) in &columns {
        let is_said = *key == ASNS || !items.is_empty();
        if is_said && items.len() != ips.len() {
            let (had, wanted) = (items.len(), ips.len());
            let reason = format!("{had} items for {wanted} peers; the Node has no external peers");
            annotations.note(key, reason);
            return Vec::new();
        }
    }
    let [asns, ports, passwords, local_ips] = columns.map(|(_, items)| items);
    let mut found = Vec::new();
    for (index, ip) in ips.iter().enumerate() {
        let item = |column: &[String]| column.get(index).cloned().unwrap_or_default();
        let columns = Columns {
            asn: item(&asns),
            port: ports.get(index).cloned(),
            password: item(&passwords),
            local_ip: item(&local_ips),
        };
        let (key, peer) = match columns.peer(ip) {
            Ok(peer) => (IPS, Ok(peer)),
            Err((key, reason)) => (key, Err(reason)),
        };
        add(annotations, key, index, peer, &mut found);
    }
    found
}

/// What the lists say of one peer.
struct Columns {
    asn: String,
    port: Option<String>,
    password: String,
    local_ip: String,
}

// === impl Columns ===

impl Columns {
    fn peer(&self, ip: &str) -> Result<AnnotatedPeer, (&'static str, String)> {
        let address = host_address(ip).map_err(|why| (IPS, why))?;
        let asn = number(&self.asn).and_then(peer_asn);
        let port = match self.port.as_deref().map(port).transpose() {
            Ok(port) => port,
            Err(why) => return Err((PORTS, why)),
        };
        let password = match self.password.as_str() {
            "" => None,
            text => Some(secret(text).map_err(|why| (PASSWORDS, why))?),
        };
        let local_address = match self.local_ip.as_str() {
            "" => None,
            text => Some(own_address(text, address).map_err(|why| (LOCAL_IPS, why))?),
        };
        Ok(AnnotatedPeer {
            address,
            asn: asn.map_err(|why| (ASNS, why))?,
            local_address,
            port,
            password,
            bfd: None,
        })
    }
}

// === free functions ===

/// Takes up a peer unless it has a fault, or its address is taken.
fn add(
    annotations: &mut Annotations<'_>,
    key: &str,
    index: usize,
    peer: Result<AnnotatedPeer, String>,
    found: &mut Vec<AnnotatedPeer>,
) {
    match peer {
        Ok(peer) if found.iter().any(|other| other.address == peer.address) => {
            let reason = format!("there is a peer {} already", peer.address);
            annotations.note_entry(key, index, reason);
        }
        Ok(peer) => found.push(peer),
        Err(reason) => {
            annotations.note_entry(key, index, format!("{reason}; the peer is left out"))
        }
    }
}

fn own_address(text: &str, peer: IpAddr) -> Result<IpAddr, String> {
    let address = host_address(text)?;
    match Family::of(address) == Family::of(peer) {
        true => Ok(address),
        false => Err(format!("{address} is not of the family of {peer}")),
    }
}

/// The numbers that the configuration takes for peers, too.
fn peer_asn(number: u64) -> Result<u32, String> {
    match u32::try_from(number) {
        Ok(asn @ (1..=23_455 | 23_457..=63_999 | 64_512..=65_534 | 131_072..=4_294_967_294)) => {
            Ok(asn)
        }
        _ => Err(format!("{number} is reserved, or no AS number")),
    }
}

fn port(text: &str) -> Result<u16, String> {
    match number(text).map(u16::try_from)? {
        Ok(port @ 1..) => Ok(port),
        _ => Err(format!("{} is not a port: 1 to 65535", wire::quoted(text))),
    }
}

/// Base64 with line breaks anywhere; what is wrong with it is told without it.
fn secret(text: &str) -> Result<Secret, String> {
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let octets = STANDARD.decode(text).map_err(|_| "not base64")?;
    match octets.len() {
        1..=MAX_PASSWORD => Ok(Secret::new(&octets)),
        length => Err(format!("{length} octets, expected 1 to {MAX_PASSWORD}")),
    }
}
