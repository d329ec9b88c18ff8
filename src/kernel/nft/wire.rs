//! nf_tables messages as bytes: tables, chains, generations and the commands of a transaction
//! (`linux/netfilter/nf_tables.h`, `linux/netfilter/nfnetlink.h`).
//!
//! ```text
//! struct nfgenmsg { u8 family; u8 version; be16 res_id; }   4
//! BATCH_BEGIN { GENID }, command …, BATCH_END               one datagram
//! ```
//!
//! Numbers are big-endian.

use super::object::{Base, Chain, Hook, Label, Name, Policy, Rule, Table};
use super::observed::{Generation, ObservedChain, Ownership, TableHeader};
use super::transaction::{Command, Existing, Transaction};
use super::{wire_rule, wire_set};
use crate::kernel::netlink::{
    Attr, AttrReader, Message, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NetlinkError, Request,
};
use crate::net::Family;

const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFNL_BATCH_GENID: u16 = 1;
/// `NFPROTO_INET`
const INET: u8 = 1;
/// `sizeof(struct nfgenmsg)`
pub(super) const HEADER: usize = 4;

pub(super) const MSG_NEWTABLE: u16 = 0;
pub(super) const MSG_GETTABLE: u16 = 1;
pub(super) const MSG_DELTABLE: u16 = 2;
const MSG_NEWCHAIN: u16 = 3;
pub(super) const MSG_GETCHAIN: u16 = 4;
const MSG_DELCHAIN: u16 = 5;
const MSG_NEWRULE: u16 = 6;
pub(super) const MSG_GETRULE: u16 = 7;
const MSG_DELRULE: u16 = 8;
pub(super) const MSG_NEWSET: u16 = 9;
pub(super) const MSG_GETSET: u16 = 10;
const MSG_DELSET: u16 = 11;
pub(super) const MSG_NEWSETELEM: u16 = 12;
pub(super) const MSG_GETSETELEM: u16 = 13;
pub(super) const MSG_DELSETELEM: u16 = 14;
const MSG_GETGEN: u16 = 16;

/// The first attribute of every object but tables and generations is the table it stands in;
/// of tables it is their own name.
pub(super) const ATTR_TABLE: u16 = 1;

const TABLE_FLAGS: u16 = 2;
const TABLE_OWNER: u16 = 7;
const TABLE_F_OWNER: u32 = 1 << 1;
const TABLE_F_PERSIST: u32 = 1 << 2;

const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const CHAIN_USERDATA: u16 = 12;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
/// `NFTNL_UDATA_CHAIN_COMMENT`
const UDATA_CHAIN_COMMENT: u8 = 0;

const RULE_CHAIN: u16 = 2;
const GEN_ID: u16 = 1;

const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;

// === requests ===

/// A message about objects of family `inet`.
pub(super) fn request(message: u16, flags: u16) -> Request {
    request_of(INET, message, flags)
}

fn request_of(family: u8, message: u16, flags: u16) -> Request {
    Request::new(NFNL_SUBSYS_NFTABLES << 8 | message, flags).payload(&[family, 0, 0, 0])
}

/// `MSG_GETTABLE` or `MSG_DELTABLE` about a table of family `ip` or `ip6`.
pub(super) fn table_elsewhere(message: u16, family: Family, table: &Name) -> Request {
    let mut request = request_of(number(family), message, 0);
    request.attributes().strz(ATTR_TABLE, table.as_str());
    request
}

/// `NFPROTO_IPV4`, `NFPROTO_IPV6`
fn number(family: Family) -> u8 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

/// A message about something in this table.
pub(super) fn request_in(message: u16, flags: u16, table: &Name) -> Request {
    let mut request = request(message, flags);
    request.attributes().strz(ATTR_TABLE, table.as_str());
    request
}

pub(super) fn get_generation() -> Request {
    request(MSG_GETGEN, 0)
}

/// The messages around a transaction.
pub(super) fn envelope(since: Option<Generation>) -> (Request, Request) {
    let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
    let of = |kind| Request::new(kind, 0).payload(&[0, 0, high, low]);
    let mut open = of(NFNL_MSG_BATCH_BEGIN);
    if let Some(Generation(number)) = since {
        open.attributes().be32(NFNL_BATCH_GENID, number);
    }
    (open, of(NFNL_MSG_BATCH_END))
}

/// The messages of a transaction, without those around them.
#[must_use]
pub fn encode(transaction: &Transaction) -> Vec<Request> {
    let parts = commands(transaction).into_iter();
    parts.map(|part| part.request).collect()
}

/// One message of a transaction.
#[derive(Debug)]
pub(super) struct Part {
    /// The index of its command.
    pub(super) command: usize,
    /// The index in the command of the first element in this message.
    pub(super) first: usize,
    pub(super) request: Request,
}

/// The messages of a transaction.
pub(super) fn commands(transaction: &Transaction) -> Vec<Part> {
    let mut parts = Vec::with_capacity(transaction.commands.len());
    for (index, command) in transaction.commands.iter().enumerate() {
        write_command(&transaction.table, command, &mut |first, request| {
            parts.push(Part {
                command: index,
                first,
                request,
            });
        });
    }
    parts
}

fn write_command(table: &Name, command: &Command, push: &mut dyn FnMut(usize, Request)) {
    let request = match command {
        Command::AddElements(set, elements, existing) => {
            let flags = match existing {
                Existing::Ignored => NLM_F_CREATE,
                Existing::Refused => NLM_F_CREATE | NLM_F_EXCL,
            };
            return wire_set::elements(MSG_NEWSETELEM, flags, table, set, elements, push);
        }
        Command::DeleteElements(set, elements) => {
            return wire_set::elements(MSG_DELSETELEM, 0, table, set, elements, push);
        }
        Command::AddTable(table) => new_table(table),
        Command::DeleteTable(name) => request_in(MSG_DELTABLE, 0, name),
        Command::AddChain(chain) => new_chain(table, chain),
        Command::DeleteChain(chain) => named(MSG_DELCHAIN, table, CHAIN_NAME, chain),
        Command::FlushChain(chain) => named(MSG_DELRULE, table, RULE_CHAIN, chain),
        Command::AddRule(chain, rule) => new_rule(table, chain, rule),
        Command::AddSet(set) => wire_set::new_set(table, set),
        Command::DeleteSet(set) => named(MSG_DELSET, table, wire_set::SET_NAME, &set.name),
        Command::FlushSet(set) => named(MSG_DELSETELEM, table, wire_set::SET_NAME, &set.name),
    };
    push(0, request);
}

fn new_rule(table: &Name, chain: &Name, rule: &Rule) -> Request {
    let mut request = request_in(MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, table);
    let mut attributes = request.attributes();
    attributes.strz(RULE_CHAIN, chain.as_str());
    wire_rule::write(&mut attributes, rule);
    request
}

fn new_table(table: &Table) -> Request {
    let flags = if table.is_owned {
        TABLE_F_OWNER | TABLE_F_PERSIST
    } else {
        0
    };
    let mut request = request_in(MSG_NEWTABLE, NLM_F_CREATE, &table.name);
    request.attributes().be32(TABLE_FLAGS, flags);
    request
}

fn new_chain(table: &Name, chain: &Chain) -> Request {
    let mut request = request_in(MSG_NEWCHAIN, NLM_F_CREATE, table);
    let mut attributes = request.attributes();
    attributes.strz(CHAIN_NAME, chain.name.as_str());
    if let Some(base) = &chain.base {
        let policy = match base.policy {
            Policy::Accept => NF_ACCEPT,
            Policy::Drop => NF_DROP,
        };
        attributes
            .nest(CHAIN_HOOK, |hook| {
                let priority = u32::from_ne_bytes(base.priority.to_ne_bytes());
                hook.be32(HOOK_NUMBER, base.hook.number())
                    .be32(HOOK_PRIORITY, priority);
            })
            .be32(CHAIN_POLICY, policy)
            .strz(CHAIN_TYPE, "filter");
    }
    if let Some(comment) = &chain.comment {
        attributes.bytes(CHAIN_USERDATA, &udata(UDATA_CHAIN_COMMENT, comment));
    }
    request
}

/// A message about an object by its name.
pub(super) fn named(message: u16, table: &Name, kind: u16, name: &Name) -> Request {
    let mut request = request_in(message, 0, table);
    request.attributes().strz(kind, name.as_str());
    request
}

/// One entry of user data, as libnftnl writes it: type, length, text with a closing zero.
pub(super) fn udata(kind: u8, text: &Label) -> Vec<u8> {
    let length = u8::try_from(text.as_str().len() + 1).unwrap_or(u8::MAX);
    let mut bytes = vec![kind, length];
    bytes.extend_from_slice(text.as_str().as_bytes());
    bytes.push(0);
    bytes
}

// === decoders ===

/// The value of the first entry of this type in user data.
pub(super) fn find_udata(bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = bytes;
    loop {
        let [kind, length, tail @ ..] = rest else {
            return None;
        };
        let (value, after) = tail.split_at_checked(usize::from(*length))?;
        if *kind == wanted {
            return Some(value);
        }
        rest = after;
    }
}

/// Text of user data, which ends with a zero byte.
pub(super) fn label(value: &[u8]) -> Label {
    let end = value.iter().position(|byte| *byte == 0);
    let text = value.get(..end.unwrap_or(value.len())).unwrap_or(value);
    Label::new(&String::from_utf8_lossy(text))
}

pub(super) fn need<'a>(
    attributes: &AttrReader<'a>,
    kind: u16,
    what: &'static str,
) -> Result<Attr<'a>, NetlinkError> {
    let found = attributes.find_kind(kind);
    found.ok_or(NetlinkError::Missing(what))
}

/// The attributes of an object of family `inet`; nothing for those of other families.
pub(super) fn inet<'a>(message: &Message<'a>) -> Result<Option<AttrReader<'a>>, NetlinkError> {
    let attributes = message.attributes(HEADER)?;
    Ok((message.payload.first() == Some(&INET)).then_some(attributes))
}

/// The attributes of an object in this table; nothing for those elsewhere.
pub(super) fn in_table<'a>(
    message: &Message<'a>,
    table: &Name,
) -> Result<Option<AttrReader<'a>>, NetlinkError> {
    let is_in = |attributes: &AttrReader<'a>| {
        let found = attributes.find_kind(ATTR_TABLE);
        found.is_some_and(|attr| attr.text() == table.as_str())
    };
    Ok(inet(message)?.filter(is_in))
}

pub(super) fn generation(message: &Message<'_>) -> Result<Generation, NetlinkError> {
    let attributes = message.attributes(HEADER)?;
    Ok(Generation(need(&attributes, GEN_ID, "generation")?.be32()?))
}

/// Reads a table as the socket of this port sees it; nothing for tables of other families.
pub fn table(message: &Message<'_>, port: u32) -> Result<Option<TableHeader>, NetlinkError> {
    let Some(attributes) = inet(message)? else {
        return Ok(None);
    };
    let name = need(&attributes, ATTR_TABLE, "table name")?;
    let flags = attributes.find_kind(TABLE_FLAGS);
    let flags = flags.map(|attr| attr.be32()).transpose()?.unwrap_or(0);
    let owner = attributes.find_kind(TABLE_OWNER);
    let owner = owner.map(|attr| attr.be32()).transpose()?;
    let ownership = match owner.filter(|_| flags & TABLE_F_OWNER != 0) {
        Some(owner) if owner == port => Ownership::Mine,
        Some(owner) => Ownership::Other(owner),
        None if flags & TABLE_F_PERSIST != 0 => Ownership::Orphan,
        None => Ownership::Nobody,
    };
    Ok(Some(TableHeader {
        name: Name::from_kernel(&name.text()),
        ownership,
    }))
}

/// Reads a chain of this table, without its rules; nothing for other tables' chains.
pub fn chain(message: &Message<'_>, table: &Name) -> Result<Option<ObservedChain>, NetlinkError> {
    let Some(attributes) = in_table(message, table)? else {
        return Ok(None);
    };
    let name = Name::from_kernel(&need(&attributes, CHAIN_NAME, "chain name")?.text());
    let hook = attributes.find_kind(CHAIN_HOOK);
    let base = hook.map(|hook| base(&attributes, &hook)).transpose()?;
    let userdata = attributes.find_kind(CHAIN_USERDATA);
    let comment = userdata.and_then(|attr| find_udata(attr.value, UDATA_CHAIN_COMMENT));
    Ok(Some(ObservedChain {
        chain: Chain {
            name,
            base: base.flatten(),
            comment: comment.map(label),
        },
        is_foreign: base == Some(None),
        rules: Vec::new(),
    }))
}

/// Nothing inside if the chain is of a type or at a hook that we do not speak.
fn base(attributes: &AttrReader<'_>, hook: &Attr<'_>) -> Result<Option<Base>, NetlinkError> {
    let inside = hook.nested();
    let number = need(&inside, HOOK_NUMBER, "hook number")?.be32()?;
    let priority = need(&inside, HOOK_PRIORITY, "hook priority")?.be32()?;
    let policy = attributes.find_kind(CHAIN_POLICY);
    let policy = policy.map(|attr| attr.be32()).transpose()?;
    let kind = attributes.find_kind(CHAIN_TYPE).map(|attr| attr.text());
    let hook = Hook::ALL.into_iter().find(|hook| hook.number() == number);
    let Some(hook) = hook.filter(|_| kind.as_deref() == Some("filter")) else {
        return Ok(None);
    };
    Ok(Some(Base {
        hook,
        priority: i32::from_ne_bytes(priority.to_ne_bytes()),
        policy: if policy == Some(NF_DROP) {
            Policy::Drop
        } else {
            Policy::Accept
        },
    }))
}

/// What a notification about a table of `ip` or `ip6` is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Touched {
    /// Another table, or what has no bearing on rules: policies of base chains, sets.
    Nothing,
    /// A chain or one of its rules.
    Chain(String),
    /// The table is gone.
    Table,
}

pub(super) fn touched_elsewhere(
    message: &Message<'_>,
    table: &Name,
) -> Result<Touched, NetlinkError> {
    let attributes = message.attributes(HEADER)?;
    let family = message.payload.first().copied();
    let is_elsewhere = Family::ALL.map(|one| Some(number(one))).contains(&family);
    let named = attributes.find_kind(ATTR_TABLE);
    if !is_elsewhere || named.is_none_or(|name| name.text() != table.as_str()) {
        return Ok(Touched::Nothing);
    }
    let chain = |kind| -> Result<Touched, NetlinkError> {
        let name = need(&attributes, kind, "chain name")?;
        Ok(Touched::Chain(name.text()))
    };
    match message.kind & 0xff {
        MSG_DELTABLE => Ok(Touched::Table),
        MSG_NEWRULE | MSG_DELRULE => chain(RULE_CHAIN),
        MSG_NEWCHAIN if attributes.find_kind(CHAIN_HOOK).is_some() => Ok(Touched::Nothing),
        MSG_NEWCHAIN | MSG_DELCHAIN => chain(CHAIN_NAME),
        _ => Ok(Touched::Nothing),
    }
}
