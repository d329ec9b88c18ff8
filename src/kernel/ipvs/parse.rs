//! Reading the text form: one line is one [`Command`], a saved table is many.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use super::object::{
    Command, ForwardMethod, Persistence, RealKey, RealServer, Scheduler, ServiceFlags,
    UnknownScheduler, VirtualKey, VirtualServer, VirtualTable,
};
use super::text::mask;
use crate::net::{Family, Protocol};

/// `ipvsadm -p` without a value (`IP_VS_TEMPLATE_TIMEOUT`).
const DEFAULT_PERSISTENCE: u32 = 360;

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("{0:?} is none of -A -E -D -a -e -d")]
    Verb(String),
    #[error("no virtual server (-t, -u, --sctp-service, -f)")]
    NoVirtual,
    #[error("no real server (-r)")]
    NoReal,
    #[error("{0} has no value")]
    NoValue(String),
    #[error("{option} {value:?} is not {expected}")]
    Value {
        option: String,
        value: String,
        expected: &'static str,
    },
    #[error("{0:?} is not an option here")]
    Option(String),
    #[error(transparent)]
    Scheduler(#[from] UnknownScheduler),
}

/// A line of a saved table that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    #[error("line {line}: {source}")]
    Line { line: usize, source: TextError },
    #[error("line {line}: a saved table consists of -A and -a only")]
    NotAnAddition { line: usize },
    #[error("line {line}: its virtual server does not stand before it")]
    NoSuchVirtual { line: usize },
}

/// Reads a saved table (`ipvsadm -S -n`); empty lines and lines that start with `#` are skipped.
/// Virtual servers come out in the order of their first appearance.
pub fn parse_table(text: &str) -> Result<Vec<VirtualTable>, TableError> {
    let mut tables: Vec<VirtualTable> = Vec::new();
    for (index, content) in text.lines().enumerate() {
        let line = index + 1;
        if content.trim().is_empty() || content.trim_start().starts_with('#') {
            continue;
        }
        match content
            .parse()
            .map_err(|source| TableError::Line { line, source })?
        {
            Command::AddVirtual(server) => tables.push(VirtualTable::new(server, Vec::new())),
            Command::AddReal(key, real) => {
                let table = tables
                    .iter_mut()
                    .rev()
                    .find(|table| table.server.key == key);
                table
                    .ok_or(TableError::NoSuchVirtual { line })?
                    .reals
                    .push(real);
            }
            _ => return Err(TableError::NotAnAddition { line }),
        }
    }
    Ok(tables
        .into_iter()
        .map(|table| VirtualTable::new(table.server, table.reals))
        .collect())
}

impl FromStr for Command {
    type Err = TextError;

    /// The arguments of `ipvsadm`, in any order after the first, long and short; defaults are
    /// `ipvsadm`'s (`-s wlc`, `-g`, `-w 1`, the virtual server's port).
    fn from_str(line: &str) -> Result<Self, TextError> {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap_or_default();
        let mut options = Options::default();
        while let Some(word) = words.next() {
            options.take(word, &mut words)?;
        }
        let key = options.key()?;
        match verb {
            "-A" | "--add-service" => Ok(Self::AddVirtual(options.server(key)?)),
            "-E" | "--edit-service" => Ok(Self::SetVirtual(options.server(key)?)),
            "-D" | "--delete-service" => Ok(Self::DelVirtual(key)),
            "-a" | "--add-server" => Ok(Self::AddReal(key, options.real(key)?)),
            "-e" | "--edit-server" => Ok(Self::SetReal(key, options.real(key)?)),
            "-d" | "--delete-server" => Ok(Self::DelReal(key, options.real(key)?.key)),
            _ => Err(TextError::Verb(verb.to_owned())),
        }
    }
}

enum Target {
    Address(Protocol, IpAddr, Option<u16>),
    Mark(u32),
}

#[derive(Default)]
struct Options {
    target: Option<Target>,
    v6: bool,
    scheduler: Option<Scheduler>,
    flags: ServiceFlags,
    persistence: Option<u32>,
    mask: Option<String>,
    real: Option<(IpAddr, Option<u16>)>,
    forward: Option<ForwardMethod>,
    weight: Option<u32>,
    upper_threshold: u32,
    lower_threshold: u32,
}

impl Options {
    fn take<'a>(
        &mut self,
        word: &'a str,
        words: &mut (impl Iterator<Item = &'a str> + Clone),
    ) -> Result<(), TextError> {
        let mut value = || {
            words
                .next()
                .ok_or_else(|| TextError::NoValue(word.to_owned()))
        };
        match word {
            "-t" | "--tcp-service" => self.target = Some(address(Protocol::Tcp, word, value()?)?),
            "-u" | "--udp-service" => self.target = Some(address(Protocol::Udp, word, value()?)?),
            "--sctp-service" => self.target = Some(address(Protocol::Sctp, word, value()?)?),
            "-f" | "--fwmark-service" => self.target = Some(Target::Mark(mark(word, value()?)?)),
            "-6" | "--ipv6" => self.v6 = true,
            "-s" | "--scheduler" => self.scheduler = Some(value()?.parse()?),
            "-b" | "--sched-flags" => self.flags = self.flags | sched_flags(word, value()?)?,
            "-o" | "--ops" => self.flags = self.flags | ServiceFlags::ONE_PACKET,
            "-M" | "--netmask" => self.mask = Some(value()?.to_owned()),
            "-r" | "--real-server" => self.real = Some(endpoint(word, value()?)?),
            "-m" | "--masquerading" => self.forward = Some(ForwardMethod::Masquerade),
            "-g" | "--gatewaying" => self.forward = Some(ForwardMethod::Direct),
            "-i" | "--ipip" => self.forward = Some(ForwardMethod::Tunnel),
            "--local" => self.forward = Some(ForwardMethod::Local),
            "--bypass" => self.forward = Some(ForwardMethod::Bypass),
            "-w" | "--weight" => self.weight = Some(number(word, value()?)?),
            "-x" | "--u-threshold" => self.upper_threshold = number(word, value()?)?,
            "-y" | "--l-threshold" => self.lower_threshold = number(word, value()?)?,
            "--tun-type" => match value()? {
                "ipip" => {}
                other => return Err(wrong(word, other, "ipip")),
            },
            "-p" | "--persistent" => {
                let next = words.clone().next().and_then(|next| next.parse().ok());
                if next.is_some() {
                    words.next();
                }
                self.persistence = Some(next.unwrap_or(DEFAULT_PERSISTENCE));
            }
            _ => return Err(TextError::Option(word.to_owned())),
        }
        Ok(())
    }

    fn key(&self) -> Result<VirtualKey, TextError> {
        match self.target.as_ref().ok_or(TextError::NoVirtual)? {
            Target::Address(protocol, address, port) => {
                Ok(VirtualKey::new(*address, *protocol, port.unwrap_or(0)))
            }
            Target::Mark(mark) => {
                let family = if self.v6 { Family::V6 } else { Family::V4 };
                Ok(VirtualKey::FwMark {
                    mark: *mark,
                    family,
                })
            }
        }
    }

    fn server(&self, key: VirtualKey) -> Result<VirtualServer, TextError> {
        let prefix_length = match &self.mask {
            Some(text) => prefix_length(key.family(), text)?,
            None => key.family().host_bits(),
        };
        Ok(VirtualServer {
            key,
            scheduler: self.scheduler.unwrap_or(Scheduler::Wlc),
            flags: self.flags,
            persistence: self.persistence.map(|timeout| Persistence {
                timeout,
                prefix_length,
            }),
        })
    }

    fn real(&self, key: VirtualKey) -> Result<RealServer, TextError> {
        let (address, port) = self.real.ok_or(TextError::NoReal)?;
        let default = match key {
            VirtualKey::Address { port, .. } => port,
            VirtualKey::FwMark { .. } => 0,
        };
        Ok(RealServer {
            key: RealKey {
                address,
                port: port.unwrap_or(default),
            },
            forward: self.forward.unwrap_or(ForwardMethod::Direct),
            weight: self.weight.unwrap_or(1),
            upper_threshold: self.upper_threshold,
            lower_threshold: self.lower_threshold,
        })
    }
}

fn wrong(option: &str, value: &str, expected: &'static str) -> TextError {
    TextError::Value {
        option: option.to_owned(),
        value: value.to_owned(),
        expected,
    }
}

fn number(option: &str, value: &str) -> Result<u32, TextError> {
    value.parse().map_err(|_| wrong(option, value, "a number"))
}

/// `ipvsadm` prints marks above 2³¹ as negative numbers.
fn mark(option: &str, value: &str) -> Result<u32, TextError> {
    let negative = || value.parse::<i32>().ok().map(i32::cast_unsigned);
    let mark = value.parse().ok().or_else(negative);
    mark.ok_or_else(|| wrong(option, value, "a mark"))
}

fn address(protocol: Protocol, option: &str, value: &str) -> Result<Target, TextError> {
    let (address, port) = endpoint(option, value)?;
    Ok(Target::Address(protocol, address, port))
}

fn endpoint(option: &str, value: &str) -> Result<(IpAddr, Option<u16>), TextError> {
    let error = || wrong(option, value, "an address and port");
    let bare = value
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(value);
    if let Ok(address) = bare.parse() {
        return Ok((address, None));
    }
    let (address, port) = value.rsplit_once(':').ok_or_else(error)?;
    let inner = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = match inner {
        Some(inner) => IpAddr::V6(inner.parse().map_err(|_| error())?),
        None => IpAddr::V4(address.parse().map_err(|_| error())?),
    };
    Ok((address, Some(port.parse().map_err(|_| error())?)))
}

fn prefix_length(family: Family, text: &str) -> Result<u8, TextError> {
    match family {
        Family::V4 => {
            let bits = text.parse().map(Ipv4Addr::to_bits);
            let bits = bits.map_err(|_| wrong("-M", text, "an address mask"))?;
            let length = bits.leading_ones() as u8;
            if mask(length) != bits {
                return Err(wrong("-M", text, "a mask of leading ones"));
            }
            Ok(length)
        }
        Family::V6 => match text.parse() {
            Ok(length @ 1..=128) => Ok(length),
            _ => Err(wrong("-M", text, "a prefix length from 1 to 128")),
        },
    }
}

fn sched_flags(option: &str, value: &str) -> Result<ServiceFlags, TextError> {
    value
        .split(',')
        .try_fold(ServiceFlags::default(), |flags, name| match name {
            "flag-1" | "sh-fallback" | "mh-fallback" => Ok(flags | ServiceFlags::SCHED_1),
            "flag-2" | "sh-port" | "mh-port" => Ok(flags | ServiceFlags::SCHED_2),
            "flag-3" => Ok(flags | ServiceFlags::SCHED_3),
            _ => Err(wrong(option, value, "flags of a scheduler")),
        })
}
