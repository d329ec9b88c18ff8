//! Single values: from text to what it means, with the reason when it means nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use figment::value::Value;

use super::checked::NodePortAddresses;
use super::checked_bgp::RouterId;
use super::schema::{Absent, Field, Integer, Kind, Text};
use super::suggest;
use crate::net::Prefix;

/// Seconds that every kernel takes as an IPVS timeout (`INT_MAX / HZ` at 1000 Hz,
/// `ip_vs_set_timeout`).
const MAX_TIMEOUT_SECONDS: u64 = 2_147_483;

/// Longest name of a link (`IFNAMSIZ` less the terminating zero).
const MAX_LINK_NAME: usize = 15;

/// Longest shutdown communication, in octets (RFC 9003 section 2).
const MAX_SHUTDOWN: usize = 255;

/// What is wrong with a value, and in which entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub entry: Option<usize>,
    /// Of an entry that is a table.
    pub field: Option<String>,
    /// What is expected instead.
    pub expected: String,
}

/// A text is not what it should be: `None` when the kind's own description says it all.
type Refusal = Option<String>;

// === impl Fault ===

impl Fault {
    #[must_use]
    pub fn whole(expected: String) -> Self {
        Self {
            entry: None,
            field: None,
            expected,
        }
    }

    fn of_entry(index: usize, expected: String) -> Self {
        Self {
            entry: Some(index),
            ..Self::whole(expected)
        }
    }
}

// === checks ===

/// Everything that is wrong with a value of a kind.
pub(super) fn faults(kind: Kind, value: &Value) -> Vec<Fault> {
    match (kind, value) {
        (Kind::Bool, Value::Bool(..)) => Vec::new(),
        (Kind::Text(text), Value::String(_, s)) => {
            check(text, s).err().map(Fault::whole).into_iter().collect()
        }
        (Kind::List(text), Value::Array(_, entries)) => list_faults(text, entries),
        (Kind::Tables(fields), Value::Array(_, entries)) => table_faults(fields, entries),
        (Kind::Integer(integer), Value::Num(_, number)) => {
            integer_faults(integer, number.to_i128().and_then(|n| n.try_into().ok()))
        }
        _ => vec![Fault::whole(format!("expected {}", kind.expected()))],
    }
}

fn list_faults(text: Text, entries: &[Value]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let verdict = match entry.as_str() {
            Some(s) => check(text, s),
            None => Err(format!("expected a string: {}", text.expected())),
        };
        let repeated = || entries.iter().take(index).any(|before| before == entry);
        let expected = match verdict {
            Err(expected) => expected,
            Ok(()) if repeated() => "the entry is in the list twice; remove one".to_owned(),
            Ok(()) => continue,
        };
        faults.push(Fault::of_entry(index, expected));
    }
    faults
}

fn table_faults(fields: &[Field], entries: &[Value]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let Value::Dict(_, said) = entry else {
            faults.push(Fault::of_entry(index, "expected a table".to_owned()));
            continue;
        };
        for (name, value) in said {
            let field = fields.iter().find(|field| field.name == name);
            let found = match field {
                Some(field) => self::faults(field.kind, value),
                None => vec![Fault::whole(suggest::field(fields, name))],
            };
            faults.extend(found.into_iter().map(|fault| Fault {
                field: Some(name.clone()),
                ..Fault::of_entry(index, fault.expected)
            }));
        }
        let is_missing = |f: &&Field| f.absent == Absent::Refused && !said.contains_key(f.name);
        for field in fields.iter().filter(is_missing) {
            let (name, expected) = (field.name, field.kind.expected());
            let text = format!("{name} is missing; expected {expected}");
            faults.push(Fault::of_entry(index, text));
        }
    }
    faults
}

fn integer_faults(integer: Integer, number: Option<i64>) -> Vec<Fault> {
    match number {
        Some(number) if integer.accepts(number) => Vec::new(),
        _ => vec![Fault::whole(format!("expected {}", integer.expected()))],
    }
}

fn check(text: Text, s: &str) -> Result<(), String> {
    let verdict = match text {
        Text::NodeName => node_name(s).map(drop),
        Text::Path => path(s).map(drop),
        Text::Period => period(s).map(drop),
        Text::Seconds => seconds(s).map(drop),
        Text::Listen => listen(s).map(drop),
        Text::UrlPath => url_path(s).map(drop),
        Text::Server => server(s).map(drop),
        Text::PortRange => port_range(s).map(drop),
        Text::Prefix => prefix(s).map(drop),
        Text::NodePortAddress => node_port_addresses(s).map(drop),
        Text::Address => address(s).map(drop),
        Text::RouterId => router_id(s).map(drop),
        Text::Span(span) => duration(s).and_then(|it| span.check(it)),
        Text::Shutdown if s.len() <= MAX_SHUTDOWN => Ok(()),
        Text::Shutdown => Err(None),
        Text::Choice(words) if words.contains(&s) => Ok(()),
        Text::Choice(_) => Err(None),
    };
    verdict.map_err(|why| match why {
        Some(why) => format!("{why}; expected {}", text.expected()),
        None => format!("expected {}", text.expected()),
    })
}

// === readers ===

pub(super) fn node_name(s: &str) -> Result<Option<String>, Refusal> {
    let label = |l: &str| {
        !l.is_empty()
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match s {
        "" => Ok(None),
        _ if s.len() <= 253 && s.split('.').all(label) => Ok(Some(s.to_owned())),
        _ => Err(None),
    }
}

pub(super) fn path(s: &str) -> Result<Option<PathBuf>, Refusal> {
    match s {
        "" => Ok(None),
        _ if s.starts_with('/') && !s.contains('\0') => Ok(Some(PathBuf::from(s))),
        _ => Err(None),
    }
}

pub(super) fn period(s: &str) -> Result<Duration, Refusal> {
    match duration(s)? {
        Duration::ZERO => Err(None),
        period => Ok(period),
    }
}

pub(super) fn seconds(s: &str) -> Result<u32, Refusal> {
    let duration = duration(s)?;
    if duration.subsec_nanos() != 0 || duration.as_secs() > MAX_TIMEOUT_SECONDS {
        return Err(None);
    }
    u32::try_from(duration.as_secs()).map_err(|_| None)
}

/// A duration as Go writes it (`time.ParseDuration`), without a sign: `300ms`, `1.5h`, `1h30m`.
pub(super) fn duration(s: &str) -> Result<Duration, Refusal> {
    if s == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = s;
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let number_ends = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| {
                Some(format!(
                    "a unit is missing after {rest} (ns, us, ms, s, m or h)"
                ))
            })?;
        let (number, tail) = rest.split_at(number_ends);
        let unit_ends = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_ends);
        let scaled = scale(number, unit_nanos(unit).ok_or(None)?).ok_or(None)?;
        nanos = nanos.checked_add(scaled).ok_or(None)?;
        rest = tail;
    }
    match u64::try_from(nanos) {
        Ok(nanos) if !s.is_empty() => Ok(Duration::from_nanos(nanos)),
        _ => Err(None),
    }
}

fn unit_nanos(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `number` times `unit`; digits below one nanosecond are dropped, as Go does.
fn scale(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut sum = whole.checked_mul(unit)?;
    let mut step = unit;
    for digit in fraction.chars() {
        step /= 10;
        sum = sum.checked_add(u128::from(digit.to_digit(10)?) * step)?;
    }
    Some(sum)
}

/// `None` when there is nothing to listen on; all addresses of both families for `:PORT`.
pub(super) fn listen(s: &str) -> Result<Option<SocketAddr>, Refusal> {
    if s.is_empty() {
        return Ok(None);
    }
    let address = match s.strip_prefix(':') {
        Some(port) => SocketAddr::new(
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            port.parse()
                .map_err(|_| Some("a port is 1 to 65535".to_owned()))?,
        ),
        None => s.parse().map_err(|_| None)?,
    };
    match address.port() {
        0 => Err(Some("a port is 1 to 65535".to_owned())),
        _ => Ok(Some(address)),
    }
}

pub(super) fn url_path(s: &str) -> Result<String, Refusal> {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'%');
    match s.starts_with('/') && s.bytes().all(plain) {
        true => Ok(s.to_owned()),
        false => Err(None),
    }
}

/// `http` or `https`, a host and perhaps a port; nothing behind them.
pub(super) fn server(s: &str) -> Result<String, Refusal> {
    let rest = s
        .strip_prefix("https://")
        .or_else(|| s.strip_prefix("http://"))
        .ok_or(None)?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']').ok_or(None)?,
        None => match authority.find(':') {
            Some(at) => authority.split_at(at),
            None => (authority, ""),
        },
    };
    let host_is_good = if authority.starts_with('[') {
        host.parse::<Ipv6Addr>().is_ok()
    } else {
        !host.is_empty()
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    let port_is_good = match port.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok_and(|port| port > 0),
        None => port.is_empty(),
    };
    if host_is_good && port_is_good {
        Ok(s.to_owned())
    } else {
        Err(None)
    }
}

pub(super) fn port_range(s: &str) -> Result<RangeInclusive<u16>, Refusal> {
    let (first, last) = s.split_once(['-', ':']).ok_or(None)?;
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => Err(Some(format!("{text:?} is no port of 1 to 65535"))),
    };
    let (first, last) = (port(first)?, port(last)?);
    if first < last {
        Ok(first..=last)
    } else {
        Err(None)
    }
}

pub(super) fn prefix(s: &str) -> Result<Prefix, Refusal> {
    let prefix: Prefix = s.parse().map_err(|_| None)?;
    match prefix.trunc() {
        network if network == prefix => Ok(prefix),
        network => Err(Some(format!("the network of {s} is {network}"))),
    }
}

/// An address that one host has and that says by itself over which link it is reached.
pub(super) fn address(s: &str) -> Result<IpAddr, Refusal> {
    let address: IpAddr = s.parse().map_err(|_| None)?;
    let refusal = match address {
        IpAddr::V6(it) if it.is_unicast_link_local() => "is link-local",
        IpAddr::V6(it) if it.to_ipv4_mapped().is_some() => "is an IPv4 address in disguise",
        IpAddr::V4(it) if it.is_broadcast() => "is no host's",
        it if it.is_multicast() || it.is_unspecified() => "is no host's",
        it => return Ok(it),
    };
    Err(Some(format!("{s} {refusal}")))
}

pub(super) fn router_id(s: &str) -> Result<RouterId, Refusal> {
    match s {
        "" => Ok(RouterId::Auto),
        "generate" => Ok(RouterId::Generate),
        _ => match s.parse().map_err(|_| None)? {
            Ipv4Addr::UNSPECIFIED => Err(Some("0.0.0.0 is no BGP identifier".to_owned())),
            id => Ok(RouterId::Fixed(id)),
        },
    }
}

pub(super) fn node_port_addresses(s: &str) -> Result<NodePortAddresses, Refusal> {
    if let Some(link) = s.strip_prefix("link:") {
        let is_name = (1..=MAX_LINK_NAME).contains(&link.len())
            && !link.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control())
            && !matches!(link, "." | "..");
        return match is_name {
            true => Ok(NodePortAddresses::Link(link.to_owned())),
            false => Err(Some(format!("{link:?} is no name of a link"))),
        };
    }
    match s {
        "primary" => Ok(NodePortAddresses::Primary),
        "all" => Ok(NodePortAddresses::All),
        _ => prefix(s).map(NodePortAddresses::Within),
    }
}
