//! Sets and members as ipset knows them. Pure.

use crate::firewall::{Member, SetDef, SetKind};
use crate::kernel::ipset::object::{Definition, Entry, InvalidName, IpProtocol, SetName, SetType};
use crate::net::{Family, Protocol, host_prefix};

/// ipset's name of a kind.
#[must_use]
pub fn type_name(kind: SetKind) -> &'static str {
    match kind {
        SetKind::Address => "hash:ip",
        SetKind::AddressPort => "hash:ip,port",
        SetKind::Prefix => "hash:net",
        SetKind::AddressPortPrefix => "hash:ip,port,net",
        SetKind::PrefixPort => "hash:net,port",
        SetKind::AddressPair => "hash:net,net",
    }
}

/// ipset's type of a kind.
#[must_use]
pub fn set_type(kind: SetKind) -> SetType {
    match kind {
        SetKind::Address => SetType::HashIp,
        SetKind::AddressPort => SetType::HashIpPort,
        SetKind::Prefix => SetType::HashNet,
        SetKind::AddressPortPrefix => SetType::HashIpPortNet,
        SetKind::PrefixPort => SetType::HashNetPort,
        SetKind::AddressPair => SetType::HashNetNet,
    }
}

/// Our kind of a type of ipset's; `None` for one that we never make.
#[must_use]
pub(crate) fn kind_of(kind: SetType) -> Option<SetKind> {
    Some(match kind {
        SetType::HashIp => SetKind::Address,
        SetType::HashIpPort => SetKind::AddressPort,
        SetType::HashNet => SetKind::Prefix,
        SetType::HashIpPortNet => SetKind::AddressPortPrefix,
        SetType::HashNetPort => SetKind::PrefixPort,
        SetType::HashNetNet => SetKind::AddressPair,
        SetType::Foreign => return None,
    })
}

/// The set of one family, sized for its members.
///
/// # Errors
/// Where the name is longer than the kernel takes.
pub fn definition(set: SetDef, family: Family, members: usize) -> Result<Definition, InvalidName> {
    let name = SetName::new(set.kernel_name(family))?;
    Ok(Definition::sized_for(
        name,
        set_type(set.kind),
        family,
        members,
    ))
}

/// A member as the kernel stores it.
#[must_use]
pub fn entry(member: &Member) -> Entry {
    match *member {
        Member::Address(address) => Entry::Ip(address),
        Member::AddressPort(address, protocol, port) => Entry::ip_port(address, protocol, port),
        Member::Prefix(prefix) => Entry::Net(prefix),
        Member::AddressPortPrefix(address, protocol, port, prefix) => {
            Entry::ip_port_net(address, protocol, port, prefix)
        }
        Member::PrefixPort(prefix, protocol, port) => Entry::net_port(prefix, protocol, port),
        Member::AddressPair(one, other) => Entry::NetNet(host_prefix(one), host_prefix(other)),
    }
}

/// A member as we mean it; `None` for a protocol that no Service has.
#[must_use]
pub fn member(entry: &Entry) -> Option<Member> {
    let protocol = |number: &IpProtocol| Protocol::from_number(number.0);
    Some(match entry {
        Entry::Ip(address) => Member::Address(*address),
        Entry::IpPort(address, number, port) => {
            Member::AddressPort(*address, protocol(number)?, *port)
        }
        Entry::Net(prefix) => Member::Prefix(*prefix),
        Entry::IpPortNet(address, number, port, prefix) => {
            Member::AddressPortPrefix(*address, protocol(number)?, *port, *prefix)
        }
        Entry::NetPort(prefix, number, port) => {
            Member::PrefixPort(*prefix, protocol(number)?, *port)
        }
        Entry::NetNet(one, other) => Member::AddressPair(one.addr(), other.addr()),
    })
}
