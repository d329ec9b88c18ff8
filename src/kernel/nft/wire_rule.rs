//! Rules as bytes: one expression of ours is one or more of the kernel's little machine.
//!
//! ```text
//! EXPRESSIONS { ELEM { NAME "payload", DATA { DREG, BASE, OFFSET, LEN } }, ELEM { … } … }
//! ```
//!
//! Loads put a field into a register, tests and lookups take it from there. Registers are of four
//! bytes; the first of each sixteen has a number of its own.

use super::object::{
    AddressType, Expr, Field, Label, Limit, Name, Reject, Rule, Side, Test, Unit, Verdict,
};
use super::wire;
use crate::kernel::netlink::AttrWriter;
use crate::net::Family;

pub(super) const RULE_CHAIN: u16 = 2;
pub(super) const RULE_HANDLE: u16 = 3;
pub(super) const RULE_EXPRESSIONS: u16 = 4;
pub(super) const RULE_USERDATA: u16 = 7;
/// `NFTNL_UDATA_RULE_COMMENT`
pub(super) const UDATA_RULE_COMMENT: u8 = 0;

pub(super) const LIST_ELEM: u16 = 1;
pub(super) const EXPR_NAME: u16 = 1;
pub(super) const EXPR_DATA: u16 = 2;

pub(super) const DATA_VALUE: u16 = 1;
pub(super) const DATA_VERDICT: u16 = 2;
pub(super) const VERDICT_CODE: u16 = 1;
pub(super) const VERDICT_CHAIN: u16 = 2;

pub(super) const NF_DROP: i32 = 0;
pub(super) const NF_ACCEPT: i32 = 1;
pub(super) const NFT_CONTINUE: i32 = -1;
pub(super) const NFT_JUMP: i32 = -3;
pub(super) const NFT_GOTO: i32 = -4;
pub(super) const NFT_RETURN: i32 = -5;

pub(super) const META_NFPROTO: u32 = 15;
pub(super) const META_L4PROTO: u32 = 16;
pub(super) const CT_STATE: u32 = 0;
pub(super) const FIB_RESULT_ADDRTYPE: u32 = 3;
pub(super) const FIB_SADDR: u32 = 1;
pub(super) const FIB_DADDR: u32 = 2;
pub(super) const BASE_NETWORK: u32 = 1;
pub(super) const BASE_TRANSPORT: u32 = 2;
/// Where the flags of TCP are in its header (RFC 9293, 3.1); FIN, SYN, RST and ACK of them; SYN.
pub(super) const TCP_FLAGS: u32 = 13;
pub(super) const TCP_OPENS_AND_ENDS: u8 = 0x17;
pub(super) const TCP_SYN: u8 = 0x02;
pub(super) const CMP_EQ: u32 = 0;
pub(super) const CMP_NEQ: u32 = 1;
pub(super) const CMP_LTE: u32 = 3;
pub(super) const CMP_GTE: u32 = 5;
pub(super) const RANGE_NEQ: u32 = 1;
pub(super) const LOOKUP_INVERTED: u32 = 1;
pub(super) const LIMIT_OVER: u32 = 1;
pub(super) const REJECT_TCP_RST: u32 = 1;
pub(super) const REJECT_ICMPX: u32 = 2;
pub(super) const ICMPX_PORT_UNREACH: u8 = 1;

/// Bytes of a register.
pub(super) const WORD: usize = 4;

/// The rule's expressions and its comment.
pub(super) fn write(attributes: &mut AttrWriter<'_>, rule: &Rule) {
    attributes.nest(RULE_EXPRESSIONS, |list| {
        for expr in rule.exprs() {
            write_expr(list, expr);
        }
    });
    if let Some(comment) = rule.comment() {
        attributes.bytes(RULE_USERDATA, &wire::udata(UDATA_RULE_COMMENT, comment));
    }
}

fn write_expr(list: &mut AttrWriter<'_>, expr: &Expr) {
    match expr {
        Expr::Nfproto(family) => {
            meta(list, META_NFPROTO, 0);
            compare(list, CMP_EQ, &[nfproto(*family)]);
        }
        Expr::L4proto(test) => {
            meta(list, META_L4PROTO, 0);
            write_test(list, test, |value| [*value]);
        }
        Expr::Address(side, test) => {
            load_address(list, Family::of(*test.first()), *side, 0);
            write_test(list, test, |address| match address {
                std::net::IpAddr::V4(address) => address.octets().to_vec(),
                std::net::IpAddr::V6(address) => address.octets().to_vec(),
            });
        }
        Expr::Port(side, test) => {
            load_port(list, *side, 0);
            write_test(list, test, |port| port.to_be_bytes());
        }
        Expr::IcmpType(_, test) => {
            payload(list, BASE_TRANSPORT, 0, 1, 0);
            write_test(list, test, |value| [*value]);
        }
        Expr::TcpSyn { is_negated } => write_tcp_syn(list, *is_negated),
        Expr::CtState { states, is_negated } => write_ct_state(list, states.0, *is_negated),
        Expr::AddressType {
            side,
            kind,
            is_negated,
        } => write_address_type(list, *side, *kind, *is_negated),
        Expr::Lookup {
            key,
            set,
            is_negated,
        } => {
            load_key(list, key);
            lookup(list, set, *is_negated, false);
        }
        Expr::VerdictMap { key, map } => {
            load_key(list, key);
            lookup(list, map, false, true);
        }
        Expr::Counter => elem(list, "counter", |_| {}),
        Expr::Limit(limit) => write_limit(list, limit),
        Expr::Log {
            group,
            prefix,
            snaplen,
        } => write_log(list, *group, prefix, *snaplen),
        Expr::Reject(reject) => write_reject(list, *reject),
        Expr::Verdict(verdict) => elem(list, "immediate", |data| {
            data.be32(1, 0) // DREG: the verdict
                .nest(2, |data| write_verdict(data, verdict));
        }),
        // The kernel knows no such name and says so.
        Expr::Foreign(name) => elem(list, name, |_| {}),
    }
}

/// One expression of the kernel's.
fn elem(list: &mut AttrWriter<'_>, name: &str, fill: impl FnOnce(&mut AttrWriter<'_>)) {
    list.nest(LIST_ELEM, |expr| {
        expr.strz(EXPR_NAME, name).nest(EXPR_DATA, fill);
    });
}

/// `NFT_REG_1` for the first register and each fourth after it, `NFT_REG32_00` + n for others.
fn register(word: usize) -> u32 {
    let number = if word.is_multiple_of(4) {
        1 + word / 4
    } else {
        8 + word
    };
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn value(data: &mut AttrWriter<'_>, kind: u16, bytes: &[u8]) {
    data.nest(kind, |data| {
        data.bytes(DATA_VALUE, bytes);
    });
}

fn meta(list: &mut AttrWriter<'_>, key: u32, word: usize) {
    elem(list, "meta", |data| {
        data.be32(2, key).be32(1, register(word));
    });
}

fn payload(list: &mut AttrWriter<'_>, base: u32, offset: u32, length: u32, word: usize) {
    elem(list, "payload", |data| {
        data.be32(1, register(word))
            .be32(2, base)
            .be32(3, offset)
            .be32(4, length);
    });
}

/// Where an address is in the network header: offset and length.
pub(super) fn address_place(family: Family, side: Side) -> (u32, u32) {
    match (family, side) {
        (Family::V4, Side::Source) => (12, 4),
        (Family::V4, Side::Destination) => (16, 4),
        (Family::V6, Side::Source) => (8, 16),
        (Family::V6, Side::Destination) => (24, 16),
    }
}

/// Where a port is in the transport header.
pub(super) fn port_offset(side: Side) -> u32 {
    match side {
        Side::Source => 0,
        Side::Destination => 2,
    }
}

fn load_address(list: &mut AttrWriter<'_>, family: Family, side: Side, word: usize) {
    let (offset, length) = address_place(family, side);
    payload(list, BASE_NETWORK, offset, length, word);
}

fn load_port(list: &mut AttrWriter<'_>, side: Side, word: usize) {
    payload(list, BASE_TRANSPORT, port_offset(side), 2, word);
}

/// The fields one after the other, each from a register's start on.
fn load_key(list: &mut AttrWriter<'_>, key: &[Field]) {
    let mut word = 0;
    for field in key {
        match field {
            Field::Address(family, side) => load_address(list, *family, *side, word),
            Field::L4proto => meta(list, META_L4PROTO, word),
            Field::Port(side) => load_port(list, *side, word),
        }
        word += field.key_type().width().div_ceil(WORD);
    }
}

fn write_test<T, B: AsRef<[u8]>>(
    list: &mut AttrWriter<'_>,
    test: &Test<T>,
    bytes: impl Fn(&T) -> B,
) {
    match test {
        Test::Is(value) => compare(list, CMP_EQ, bytes(value).as_ref()),
        Test::Not(value) => compare(list, CMP_NEQ, bytes(value).as_ref()),
        Test::Within(low, high) => {
            compare(list, CMP_GTE, bytes(low).as_ref());
            compare(list, CMP_LTE, bytes(high).as_ref());
        }
        Test::Outside(low, high) => elem(list, "range", |data| {
            data.be32(1, register(0)).be32(2, RANGE_NEQ);
            value(data, 3, bytes(low).as_ref());
            value(data, 4, bytes(high).as_ref());
        }),
    }
}

fn compare(list: &mut AttrWriter<'_>, operator: u32, wanted: &[u8]) {
    elem(list, "cmp", |data| {
        data.be32(1, register(0)).be32(2, operator);
        value(data, 3, wanted);
    });
}

/// `(state & mask) != 0`; numbers in registers are in the machine's byte order.
fn write_tcp_syn(list: &mut AttrWriter<'_>, is_negated: bool) {
    payload(list, BASE_TRANSPORT, TCP_FLAGS, 1, 0);
    mask(list, &[TCP_OPENS_AND_ENDS]);
    let operator = if is_negated { CMP_NEQ } else { CMP_EQ };
    compare(list, operator, &[TCP_SYN]);
}

/// Keeps these bits of the first register.
fn mask(list: &mut AttrWriter<'_>, bits: &[u8]) {
    let length = u32::try_from(bits.len()).unwrap_or(u32::MAX);
    elem(list, "bitwise", |data| {
        data.be32(1, register(0))
            .be32(2, register(0))
            .be32(3, length);
        value(data, 4, bits);
        value(data, 5, &vec![0; bits.len()]);
    });
}

fn write_ct_state(list: &mut AttrWriter<'_>, states: u32, is_negated: bool) {
    elem(list, "ct", |data| {
        data.be32(2, CT_STATE).be32(1, register(0));
    });
    mask(list, &states.to_ne_bytes());
    let operator = if is_negated { CMP_EQ } else { CMP_NEQ };
    compare(list, operator, &[0; 4]);
}

fn write_address_type(list: &mut AttrWriter<'_>, side: Side, kind: AddressType, not: bool) {
    let flags = match side {
        Side::Source => FIB_SADDR,
        Side::Destination => FIB_DADDR,
    };
    elem(list, "fib", |data| {
        data.be32(1, register(0))
            .be32(2, FIB_RESULT_ADDRTYPE)
            .be32(3, flags);
    });
    let operator = if not { CMP_NEQ } else { CMP_EQ };
    compare(list, operator, &kind.number().to_ne_bytes());
}

fn lookup(list: &mut AttrWriter<'_>, set: &Name, is_negated: bool, is_map: bool) {
    elem(list, "lookup", |data| {
        data.strz(1, set.as_str()).be32(2, register(0));
        if is_map {
            data.be32(3, 0); // DREG: the verdict
        }
        if is_negated {
            data.be32(5, LOOKUP_INVERTED);
        }
    });
}

pub(super) fn unit_seconds(unit: Unit) -> u64 {
    match unit {
        Unit::Second => 1,
        Unit::Minute => 60,
        Unit::Hour => 3600,
        Unit::Day => 86_400,
    }
}

fn write_limit(list: &mut AttrWriter<'_>, limit: &Limit) {
    elem(list, "limit", |data| {
        data.bytes(1, &u64::from(limit.rate).to_be_bytes())
            .bytes(2, &unit_seconds(limit.unit).to_be_bytes())
            .be32(3, limit.burst)
            .be32(4, 0) // TYPE: packets
            .be32(5, if limit.is_over { LIMIT_OVER } else { 0 });
    });
}

fn write_log(list: &mut AttrWriter<'_>, group: u16, prefix: &Label, snaplen: u32) {
    elem(list, "log", |data| {
        data.be16(1, group);
        if !prefix.as_str().is_empty() {
            data.strz(2, prefix.as_str());
        }
        if snaplen > 0 {
            data.be32(3, snaplen);
        }
    });
}

fn write_reject(list: &mut AttrWriter<'_>, reject: Reject) {
    let (kind, code) = match reject {
        Reject::PortUnreachable => (REJECT_ICMPX, ICMPX_PORT_UNREACH),
        Reject::TcpReset => (REJECT_TCP_RST, 0),
    };
    elem(list, "reject", |data| {
        data.be32(1, kind).u8(2, code);
    });
}

/// The value of a verdict, in an immediate expression or a map.
pub(super) fn write_verdict(data: &mut AttrWriter<'_>, verdict: &Verdict) {
    let (code, chain) = match verdict {
        Verdict::Accept => (NF_ACCEPT, None),
        Verdict::Drop => (NF_DROP, None),
        Verdict::Return => (NFT_RETURN, None),
        Verdict::Continue => (NFT_CONTINUE, None),
        Verdict::Jump(chain) => (NFT_JUMP, Some(chain)),
        Verdict::Goto(chain) => (NFT_GOTO, Some(chain)),
    };
    data.nest(DATA_VERDICT, |data| {
        data.be32(VERDICT_CODE, u32::from_ne_bytes(code.to_ne_bytes()));
        if let Some(chain) = chain {
            data.strz(VERDICT_CHAIN, chain.as_str());
        }
    });
}

/// `NFPROTO_IPV4` and `NFPROTO_IPV6` are the address families.
pub(super) fn nfproto(family: Family) -> u8 {
    let [low, _] = family.af().to_le_bytes();
    low
}
