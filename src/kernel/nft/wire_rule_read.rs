//! Rules read back: the kernel's expressions are run through registers of names, so that loads
//! and tests become one expression of ours again.
//!
//! What this room would not have written so stays in the rule as foreign, never left out: a rule
//! compares equal with ours only if it does the same.

use std::net::IpAddr;

use super::expr::{TCP, icmp_protocol};
use super::object::{
    AddressType, CtStates, Expr, Field, Label, Limit, Name, Reject, Rule, Side, Test, Unit, Verdict,
};
use super::observed::ObservedRule;
use super::wire;
use super::wire_rule::*;
use crate::kernel::netlink::{Attr, AttrReader, Message, NetlinkError};
use crate::net::Family;

/// Reads a rule of this table, and its chain's name; nothing for other tables' rules.
pub fn rule(
    message: &Message<'_>,
    table: &Name,
) -> Result<Option<(Name, ObservedRule)>, NetlinkError> {
    let Some(attributes) = wire::in_table(message, table)? else {
        return Ok(None);
    };
    let chain = wire::need(&attributes, RULE_CHAIN, "chain of a rule")?;
    let handle = wire::need(&attributes, RULE_HANDLE, "handle of a rule")?;
    let list = attributes.find_kind(RULE_EXPRESSIONS);
    let userdata = attributes.find_kind(RULE_USERDATA);
    let comment = userdata.and_then(|attr| wire::find_udata(attr.value, UDATA_RULE_COMMENT));
    let mut machine = Machine::default();
    for elem in list.iter().flat_map(|list| list.nested()) {
        machine.step(&elem)?;
    }
    let observed = ObservedRule {
        handle: handle.be64()?,
        rule: Rule::read(machine.finish(), comment.map(wire::label)),
    };
    Ok(Some((Name::from_kernel(&chain.text()), observed)))
}

/// What a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loaded {
    Nfproto,
    Field(Field),
    /// The first byte of the transport header, with which ICMP starts.
    FirstByte,
    TcpFlags,
    /// Those of the first packet of a connection, told from all others.
    MaskedTcpFlags,
    CtState,
    MaskedCtState(u32),
    AddressType(Side),
}

/// A load that nothing has used yet.
#[derive(Debug, Clone, Copy)]
struct Load {
    word: usize,
    loaded: Loaded,
}

/// Turns the kernel's expressions into ours, one by one.
#[derive(Debug, Default)]
struct Machine {
    exprs: Vec<Expr>,
    loads: Vec<Load>,
    /// A lower bound that waits for its upper one.
    low: Option<(Load, Vec<u8>)>,
    /// The transport protocol that an earlier test made sure of.
    protocol: Option<u8>,
}

impl Machine {
    fn step(&mut self, elem: &Attr<'_>) -> Result<(), NetlinkError> {
        let inside = elem.nested();
        let name = wire::need(&inside, EXPR_NAME, "name of an expression")?.text();
        let data = inside.find_kind(EXPR_DATA);
        let data = data.map_or(AttrReader::new(&[]), |data| data.nested());
        let step = match name.as_str() {
            "meta" | "payload" | "ct" | "fib" => self.load(&name, &data)?,
            "bitwise" => self.bitwise(&data)?,
            "cmp" => self.compare(&data)?,
            "range" => self.range(&data)?,
            "lookup" => self.lookup(&data)?,
            "byteorder" if is_idle_byteorder(&data)? => Some(()),
            other => {
                let expr = statement(other, &data)?;
                expr.map(|expr| self.push(expr))
            }
        };
        if step.is_none() {
            self.foreign(&name);
        }
        Ok(())
    }

    fn finish(mut self) -> Vec<Expr> {
        self.drop_unused();
        self.exprs
    }

    fn push(&mut self, expr: Expr) {
        self.drop_unused();
        if let Expr::L4proto(Test::Is(protocol)) = expr {
            self.protocol = Some(protocol);
        }
        self.exprs.push(expr);
    }

    fn foreign(&mut self, name: &str) {
        self.drop_unused();
        self.exprs.push(Expr::Foreign(name.to_owned()));
    }

    /// Loads that nothing used were not written by us.
    fn drop_unused(&mut self) {
        if !self.loads.is_empty() || self.low.is_some() {
            self.loads.clear();
            self.low = None;
            self.exprs.push(Expr::Foreign("unused load".to_owned()));
        }
    }

    fn load(&mut self, name: &str, data: &AttrReader<'_>) -> Result<Option<()>, NetlinkError> {
        let Some(loaded) = loaded(name, data)? else {
            return Ok(None);
        };
        let Some(word) = word(data, 1)? else {
            return Ok(None);
        };
        self.loads.push(Load { word, loaded });
        Ok(Some(()))
    }

    /// The only load there is, if the expression reads its register.
    fn take(&mut self, data: &AttrReader<'_>) -> Result<Option<Load>, NetlinkError> {
        let word = word(data, 1)?;
        let [load] = self.loads.as_slice() else {
            return Ok(None);
        };
        let load = Some(*load).filter(|load| Some(load.word) == word);
        if load.is_some() {
            self.loads.clear();
        }
        Ok(load)
    }

    fn bitwise(&mut self, data: &AttrReader<'_>) -> Result<Option<()>, NetlinkError> {
        let (mask, flip) = (value(data, 4)?, value(data, 5)?);
        let Some(load) = self.take(data)? else {
            return Ok(None);
        };
        let is_in_place = word(data, 2)? == Some(load.word);
        let loaded = match (load.loaded, mask, flip) {
            _ if !is_in_place => None,
            (Loaded::CtState, Some(mask), Some([0, 0, 0, 0])) => {
                let mask = mask.first_chunk().copied();
                mask.map(|mask| Loaded::MaskedCtState(u32::from_ne_bytes(mask)))
            }
            (Loaded::TcpFlags, Some([TCP_OPENS_AND_ENDS]), Some([0])) => {
                Some(Loaded::MaskedTcpFlags)
            }
            _ => None,
        };
        Ok(loaded.map(|loaded| self.loads.push(Load { loaded, ..load })))
    }

    fn compare(&mut self, data: &AttrReader<'_>) -> Result<Option<()>, NetlinkError> {
        let operator = wire::need(data, 2, "operator")?.be32()?;
        let Some(bytes) = value(data, 3)? else {
            return Ok(None);
        };
        if let Some((load, low)) = self.low.take() {
            let is_upper = operator == CMP_LTE && word(data, 1)? == Some(load.word);
            let test = Test::Within(low.as_slice(), bytes);
            let expr = self.tested(load.loaded, test).filter(|_| is_upper);
            return Ok(expr.map(|expr| self.push(expr)));
        }
        let Some(load) = self.take(data)? else {
            return Ok(None);
        };
        let expr = match operator {
            CMP_EQ => self.equal(load.loaded, bytes, false),
            CMP_NEQ => self.equal(load.loaded, bytes, true),
            CMP_GTE => {
                self.low = Some((load, bytes.to_vec()));
                return Ok(Some(()));
            }
            _ => None,
        };
        Ok(expr.map(|expr| self.push(expr)))
    }

    fn equal(&self, loaded: Loaded, bytes: &[u8], is_negated: bool) -> Option<Expr> {
        match loaded {
            Loaded::Nfproto if !is_negated => {
                let family = Family::ALL.into_iter();
                let family = family.into_iter().find(|f| bytes == [nfproto(*f)])?;
                Some(Expr::Nfproto(family))
            }
            Loaded::MaskedCtState(mask) if bytes == [0; 4] => Some(Expr::CtState {
                states: CtStates(mask),
                is_negated: !is_negated,
            }),
            Loaded::MaskedTcpFlags => {
                let is_syn = bytes == [TCP_SYN] && self.protocol == Some(TCP);
                is_syn.then_some(Expr::TcpSyn { is_negated })
            }
            Loaded::AddressType(side) => {
                let number = u32::from_ne_bytes(*bytes.first_chunk()?);
                Some(Expr::AddressType {
                    side,
                    kind: AddressType::from_number(number)?,
                    is_negated,
                })
            }
            _ if is_negated => self.tested(loaded, Test::Not(bytes)),
            _ => self.tested(loaded, Test::Is(bytes)),
        }
    }

    fn range(&mut self, data: &AttrReader<'_>) -> Result<Option<()>, NetlinkError> {
        let operator = wire::need(data, 2, "operator")?.be32()?;
        let (low, high) = (value(data, 3)?, value(data, 4)?);
        let load = self.take(data)?;
        let (Some(load), Some(low), Some(high)) = (load, low, high) else {
            return Ok(None);
        };
        let test = if operator == RANGE_NEQ {
            Test::Outside(low, high)
        } else {
            Test::Within(low, high)
        };
        let expr = self.tested(load.loaded, test);
        Ok(expr.map(|expr| self.push(expr)))
    }

    /// The expression that tests a field, with the field's values in bytes.
    fn tested(&self, loaded: Loaded, test: Test<&[u8]>) -> Option<Expr> {
        match loaded {
            Loaded::Field(Field::L4proto) => Some(Expr::L4proto(test.try_map(read_byte)?)),
            Loaded::Field(Field::Port(side)) => Some(Expr::Port(side, test.try_map(read_port)?)),
            Loaded::Field(Field::Address(family, side)) => {
                let test = test.try_map(|bytes| read_address(family, bytes))?;
                Some(Expr::Address(side, test))
            }
            Loaded::FirstByte => {
                let is_icmp = |family: &Family| self.protocol == Some(icmp_protocol(*family));
                let family = Family::ALL.into_iter().find(is_icmp)?;
                Some(Expr::IcmpType(family, test.try_map(read_byte)?))
            }
            _ => None,
        }
    }

    fn lookup(&mut self, data: &AttrReader<'_>) -> Result<Option<()>, NetlinkError> {
        let set = Name::from_kernel(&wire::need(data, 1, "set of a lookup")?.text());
        let flags = data.find_kind(5).map(|attr| attr.be32()).transpose()?;
        let is_map = data.find_kind(3).map(|attr| attr.be32()).transpose()?;
        let start = word(data, 2)?;
        let Some(key) = self.take_key(start) else {
            return Ok(None);
        };
        let is_negated = flags == Some(LOOKUP_INVERTED);
        let expr = match is_map {
            None => Expr::Lookup {
                key,
                set,
                is_negated,
            },
            Some(0) if !is_negated => Expr::VerdictMap { key, map: set },
            Some(_) => return Ok(None),
        };
        self.push(expr);
        Ok(Some(()))
    }

    /// All loads there are, if they stand one after the other from this register on.
    fn take_key(&mut self, start: Option<usize>) -> Option<Vec<Field>> {
        let mut next = start?;
        let mut key = Vec::with_capacity(self.loads.len());
        for load in &self.loads {
            match load.loaded {
                Loaded::Field(field) if load.word == next => {
                    next += field.key_type().width().div_ceil(WORD);
                    key.push(field);
                }
                _ => return None,
            }
        }
        self.loads.clear();
        (!key.is_empty()).then_some(key)
    }
}

/// Whether bytes of one are to be turned round in place, which `nft` has the kernel do to
/// protocols before it looks them up among ranges.
fn is_idle_byteorder(data: &AttrReader<'_>) -> Result<bool, NetlinkError> {
    let length = wire::need(data, 4, "length")?.be32()?;
    Ok(length == 1 && word(data, 1)? == word(data, 2)?)
}

/// What a loading expression loads.
fn loaded(name: &str, data: &AttrReader<'_>) -> Result<Option<Loaded>, NetlinkError> {
    let number = |kind| data.find_kind(kind).map(|attr| attr.be32()).transpose();
    Ok(match name {
        "meta" => match number(2)? {
            Some(META_NFPROTO) => Some(Loaded::Nfproto),
            Some(META_L4PROTO) => Some(Loaded::Field(Field::L4proto)),
            _ => None,
        },
        "payload" => match (number(2)?, number(3)?, number(4)?) {
            (Some(BASE_TRANSPORT), Some(0), Some(1)) => Some(Loaded::FirstByte),
            (Some(BASE_TRANSPORT), Some(TCP_FLAGS), Some(1)) => Some(Loaded::TcpFlags),
            (Some(base), Some(offset), Some(length)) => {
                field(base, offset, length).map(Loaded::Field)
            }
            _ => None,
        },
        // A direction would be another attribute.
        "ct" if number(2)? == Some(CT_STATE) && data.find_kind(3).is_none() => {
            Some(Loaded::CtState)
        }
        "fib" if number(2)? == Some(FIB_RESULT_ADDRTYPE) => match number(3)? {
            Some(FIB_SADDR) => Some(Loaded::AddressType(Side::Source)),
            Some(FIB_DADDR) => Some(Loaded::AddressType(Side::Destination)),
            _ => None,
        },
        _ => None,
    })
}

/// The field at this place of a header.
fn field(base: u32, offset: u32, length: u32) -> Option<Field> {
    let sides = [Side::Source, Side::Destination];
    if base == BASE_TRANSPORT {
        let side = sides.into_iter().find(|side| port_offset(*side) == offset);
        return side.filter(|_| length == 2).map(Field::Port);
    }
    let places = sides.map(|side| Family::ALL.map(|family| (family, side)));
    let mut places = places.into_iter().flatten();
    let place = places.find(|(family, side)| address_place(*family, *side) == (offset, length));
    let (family, side) = place.filter(|_| base == BASE_NETWORK)?;
    Some(Field::Address(family, side))
}

/// A register as a count of words.
fn word(data: &AttrReader<'_>, kind: u16) -> Result<Option<usize>, NetlinkError> {
    let number = data.find_kind(kind).map(|attr| attr.be32()).transpose()?;
    Ok(match number {
        Some(number @ 1..=4) => Some((number as usize - 1) * 4),
        Some(number @ 8..=23) => Some(number as usize - 8),
        _ => None,
    })
}

/// The bytes of a value attribute inside an attribute.
fn value<'a>(data: &AttrReader<'a>, kind: u16) -> Result<Option<&'a [u8]>, NetlinkError> {
    let attr = wire::need(data, kind, "value")?;
    Ok(attr.nested().find_kind(DATA_VALUE).map(|attr| attr.value))
}

fn read_byte(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [byte] => Some(*byte),
        _ => None,
    }
}

fn read_port(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

fn read_address(family: Family, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        Family::V4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        Family::V6 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    }
}

/// Expressions that use no register.
fn statement(name: &str, data: &AttrReader<'_>) -> Result<Option<Expr>, NetlinkError> {
    match name {
        "counter" => Ok(Some(Expr::Counter)),
        "limit" => limit(data),
        "log" => log(data),
        "reject" => reject(data),
        "immediate" => {
            let target = data.find_kind(1).map(|attr| attr.be32()).transpose()?;
            if target != Some(0) {
                return Ok(None);
            }
            let value = wire::need(data, 2, "verdict")?;
            Ok(verdict(&value.nested())?.map(Expr::Verdict))
        }
        _ => Ok(None),
    }
}

fn limit(data: &AttrReader<'_>) -> Result<Option<Expr>, NetlinkError> {
    const UNITS: [Unit; 4] = [Unit::Second, Unit::Minute, Unit::Hour, Unit::Day];
    let rate = wire::need(data, 1, "rate")?.be64()?;
    let seconds = wire::need(data, 2, "unit")?.be64()?;
    let number = |kind| data.find_kind(kind).map(|attr| attr.be32()).transpose();
    let unit = UNITS
        .into_iter()
        .find(|unit| unit_seconds(*unit) == seconds);
    let (Ok(rate), Some(unit), Some(0), Some(flags @ (0 | LIMIT_OVER))) =
        (u32::try_from(rate), unit, number(4)?, number(5)?)
    else {
        return Ok(None);
    };
    Ok(Some(Expr::Limit(Limit {
        rate,
        unit,
        burst: number(3)?.unwrap_or(0),
        is_over: flags == LIMIT_OVER,
    })))
}

fn log(data: &AttrReader<'_>) -> Result<Option<Expr>, NetlinkError> {
    let group = data.find_kind(1).map(|attr| attr.be16()).transpose()?;
    let queue = data.find_kind(4).map(|attr| attr.be16()).transpose()?;
    let prefix = data.find_kind(2).map(|attr| attr.text());
    let snaplen = data.find_kind(3).map(|attr| attr.be32()).transpose()?;
    Ok(match (group, queue.unwrap_or(0)) {
        (Some(group), 0) => Some(Expr::Log {
            group,
            prefix: Label::new(&prefix.unwrap_or_default()),
            snaplen: snaplen.unwrap_or(0),
        }),
        _ => None,
    })
}

fn reject(data: &AttrReader<'_>) -> Result<Option<Expr>, NetlinkError> {
    let kind = wire::need(data, 1, "type of a rejection")?.be32()?;
    let code = data.find_kind(2).map(|attr| attr.u8()).transpose()?;
    Ok(match (kind, code) {
        (REJECT_ICMPX, Some(ICMPX_PORT_UNREACH)) => Some(Expr::Reject(Reject::PortUnreachable)),
        (REJECT_TCP_RST, _) => Some(Expr::Reject(Reject::TcpReset)),
        _ => None,
    })
}

/// A verdict's value; nothing if it is data of another kind or a verdict we never use.
pub(super) fn verdict(value: &AttrReader<'_>) -> Result<Option<Verdict>, NetlinkError> {
    let Some(data) = value.find_kind(DATA_VERDICT) else {
        return Ok(None);
    };
    let inside = data.nested();
    let code = wire::need(&inside, VERDICT_CODE, "code of a verdict")?.be32()?;
    let chain = inside.find_kind(VERDICT_CHAIN);
    let chain = chain.map(|chain| Name::from_kernel(&chain.text()));
    Ok(match (i32::from_ne_bytes(code.to_ne_bytes()), chain) {
        (NF_DROP, _) => Some(Verdict::Drop),
        (NF_ACCEPT, _) => Some(Verdict::Accept),
        (NFT_CONTINUE, _) => Some(Verdict::Continue),
        (NFT_RETURN, _) => Some(Verdict::Return),
        (NFT_JUMP, Some(chain)) => Some(Verdict::Jump(chain)),
        (NFT_GOTO, Some(chain)) => Some(Verdict::Goto(chain)),
        _ => None,
    })
}
