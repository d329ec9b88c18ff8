//! Annotations of Nodes that speak of BGP.

use std::net::{IpAddr, Ipv4Addr};

use super::notes::Notes;
use super::service::noted;
use super::{mark, peers, prefix};
use crate::bgp::wire::{Community, LargeCommunity};
use crate::model::{Communities, NodeBgp, PathPrepend, Reflector};
use crate::net::Prefix;
use crate::watch::wire::{self, Field, Marks};

const PATH: &str = "metadata.annotations";

/// Names of well-known communities that `Community` has under another name or not at all.
const MORE_COMMUNITIES: [(&str, Community); 7] = [
    ("internet", Community(0)),
    ("planned-shut", Community::GRACEFUL_SHUTDOWN),
    ("accept-own", Community(0xffff_0001)),
    ("route-filter-translated-v4", Community(0xffff_0002)),
    ("route-filter-v4", Community(0xffff_0003)),
    ("route-filter-translated-v6", Community(0xffff_0004)),
    ("route-filter-v6", Community(0xffff_0005)),
];

/// The annotations of one object, and where what is wrong with them is noted.
pub(super) struct Annotations<'a> {
    pub(super) marks: &'a Field<Marks>,
    pub(super) notes: &'a mut Notes,
}

pub(super) fn node_bgp(marks: &Field<Marks>, notes: &mut Notes) -> NodeBgp {
    let mut annotations = Annotations { marks, notes };
    NodeBgp {
        asn: annotations.parsed("kube-router.io/node.asn", asn),
        reflector: annotations.reflector(),
        peers: peers::peers(&mut annotations),
        local_addresses: annotations.local_addresses(),
        communities: annotations.communities("kube-router.io/node.bgp.communities"),
        import_reject: annotations.import_reject(),
        prepend: annotations.prepend(),
    }
}

/// The communities of one annotation; what is none is noted and left out.
pub(super) fn communities(marks: &Field<Marks>, key: &str, notes: &mut Notes) -> Communities {
    Annotations { marks, notes }.communities(key)
}

// === impl Annotations ===

impl<'a> Annotations<'a> {
    pub(super) fn text(&mut self, key: &str) -> Option<&'a str> {
        mark(self.marks, key, PATH, self.notes)
    }

    pub(super) fn note(&mut self, key: &str, reason: impl std::fmt::Display) {
        self.notes.add(format_args!("{PATH}[{key}]"), reason);
    }

    pub(super) fn note_entry(&mut self, key: &str, index: usize, reason: impl std::fmt::Display) {
        self.notes
            .add(format_args!("{PATH}[{key}][{index}]"), reason);
    }

    /// The value of an annotation that is one thing.
    fn parsed<T>(&mut self, key: &str, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(key)?;
        noted(parse(text), format_args!("{PATH}[{key}]"), self.notes)
    }

    /// A server first; one that cannot be read is none, and what a client says does not count then.
    fn reflector(&mut self) -> Option<Reflector> {
        let (server, client) = ("kube-router.io/rr.server", "kube-router.io/rr.client");
        if self.text(server).is_some() {
            return self.parsed(server, cluster_id).map(Reflector::Server);
        }
        self.parsed(client, cluster_id).map(Reflector::Client)
    }

    fn local_addresses(&mut self) -> Option<Vec<IpAddr>> {
        let key = "kube-router.io/bgp-local-addresses";
        let text = self.text(key)?;
        let mut found = Vec::new();
        for (index, text) in items(text) {
            match host_address(text) {
                Ok(address) if found.contains(&address) => {}
                Ok(address) => found.push(address),
                Err(reason) => self.note_entry(key, index, reason),
            }
        }
        Some(found)
    }

    fn communities(&mut self, key: &str) -> Communities {
        let mut found = Communities::default();
        let Some(text) = self.text(key) else {
            return found;
        };
        for (index, text) in items(text) {
            match (community(text), text.parse::<LargeCommunity>()) {
                (Some(one), _) if found.plain.contains(&one) => {}
                (Some(one), _) => found.plain.push(one),
                (None, Ok(one)) if found.large.contains(&one) => {}
                (None, Ok(one)) => found.large.push(one),
                (None, Err(_)) => {
                    let reason = format!(
                        "{} is no community: a number, AS:value, a well-known name, or three \
                         numbers",
                        wire::quoted(text)
                    );
                    self.note_entry(key, index, reason);
                }
            }
        }
        found
    }

    /// One that cannot be read is left out alone; the others are rejected all the same.
    fn import_reject(&mut self) -> Vec<Prefix> {
        let key = "kube-router.io/node.bgp.customimportreject";
        let Some(text) = self.text(key) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (index, text) in items(text) {
            match prefix(text) {
                Ok(prefix) if found.contains(&prefix) => {}
                Ok(prefix) => found.push(prefix),
                Err(reason) => self.note_entry(key, index, reason),
            }
        }
        found
    }

    fn prepend(&mut self) -> Option<PathPrepend> {
        let repeat = "kube-router.io/path-prepend.repeat-n";
        let asn = self.parsed("kube-router.io/path-prepend.as", asn)?;
        if self.text(repeat).is_none() {
            self.note(repeat, "missing, so that no path is prepended");
            return None;
        }
        let times = self.parsed(repeat, times)?;
        Some(PathPrepend { asn, times })
    }
}

// === free functions ===

/// The items of a list with commas, with their places.
pub(super) fn items(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(',').map(str::trim).enumerate()
}

/// A number as Go reads it with base 0: `0x`, `0o` and `0b`, and octal behind a zero.
pub(super) fn number(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let parsed = match lower.as_bytes() {
        [b'0', b'x', rest @ ..] => digits(rest, 16),
        [b'0', b'o', rest @ ..] => digits(rest, 8),
        [b'0', b'b', rest @ ..] => digits(rest, 2),
        [b'0', rest @ ..] if !rest.is_empty() => digits(rest, 8),
        all => digits(all, 10),
    };
    parsed.ok_or_else(|| format!("{} is not a number", wire::quoted(text)))
}

fn digits(text: &[u8], base: u32) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    // A sign is no digit.
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric());
    u64::from_str_radix(text, base).ok().filter(|_| is_plain)
}

/// An AS number of a node: any that an OPEN can say.
fn asn(text: &str) -> Result<u32, String> {
    match number(text).map(u32::try_from)? {
        Ok(asn @ 1..=4_294_967_294) => Ok(asn),
        _ => Err(format!("{} is no AS number", wire::quoted(text))),
    }
}

fn times(text: &str) -> Result<u8, String> {
    match number(text).map(u8::try_from)? {
        Ok(times @ 1..) => Ok(times),
        _ => Err(format!("{} is not from 1 to 255", wire::quoted(text))),
    }
}

/// A number or a dotted one; both are the same four octets.
fn cluster_id(text: &str) -> Result<Ipv4Addr, String> {
    let dotted = text.parse::<Ipv4Addr>().ok();
    let numbered = || Some(Ipv4Addr::from(u32::try_from(number(text).ok()?).ok()?));
    match dotted.or_else(numbered) {
        Some(id) if !id.is_unspecified() => Ok(id),
        _ => Err(format!(
            "{} is no cluster ID: a number from 1 to 4294967295, or four with dots",
            wire::quoted(text)
        )),
    }
}

/// An address that one host has, perhaps this one alone.
pub(super) fn host_address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text
        .parse()
        .map_err(|_| format!("{} is not an IP address", wire::quoted(text)))?;
    let is_nobodys = match address {
        IpAddr::V4(it) => it.is_unspecified() || it.is_multicast() || it.is_broadcast(),
        IpAddr::V6(it) => {
            it.is_unspecified()
                || it.is_multicast()
                || it.is_unicast_link_local()
                || it.to_ipv4_mapped().is_some()
        }
    };
    match is_nobodys {
        true => Err(format!("{address} is no host's")),
        false => Ok(address),
    }
}

fn community(text: &str) -> Option<Community> {
    let more = MORE_COMMUNITIES.iter();
    let mut named = more.filter(|(name, _)| name.eq_ignore_ascii_case(text));
    match named.next() {
        Some((_, community)) => Some(*community),
        None => text.parse().ok(),
    }
}
