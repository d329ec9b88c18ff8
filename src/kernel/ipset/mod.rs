//! IP sets by nfnetlink, many entries per message.

pub mod object;

pub use object::{
    Command, Definition, Entry, InvalidName, IpProtocol, Listed, Selector, SetName, SetType,
};
