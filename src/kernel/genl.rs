//! Generic netlink: a family by its name (`include/uapi/linux/genetlink.h`).
//!
//! Asking for a family makes the kernel load the module that has it (`net-pf-16-proto-16-family-*`);
//! `CAP_NET_ADMIN` is enough for that.

use super::netlink::{NetlinkError, Request, Socket};

/// `sizeof(struct genlmsghdr)`.
pub const HEADER: usize = 4;

const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// `GENL_NAMSIZ` with its zero byte.
const NAME_BYTES: usize = 16;

/// Why a family could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenlError {
    /// The kernel has none of this name and no module that brings it.
    #[error("the kernel has no generic netlink family {0:?}")]
    UnknownFamily(String),
    #[error("looking up generic netlink family {name:?}")]
    Netlink { name: String, source: NetlinkError },
}

/// A family's number, which the kernel chooses when the family is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyId(pub u16);

impl FamilyId {
    /// Looks a family up; `socket` is of protocol `NETLINK_GENERIC`.
    pub fn resolve(socket: &mut Socket, name: &str) -> Result<Self, GenlError> {
        let unknown = || GenlError::UnknownFamily(name.to_owned());
        if name.len() >= NAME_BYTES {
            return Err(unknown());
        }
        let mut request = Self(GENL_ID_CTRL).request(CTRL_CMD_GETFAMILY, 1, 0);
        request.attributes().strz(CTRL_ATTR_FAMILY_NAME, name);
        match socket.request(&request).and_then(|replies| {
            let attributes = replies.first()?.attributes(HEADER)?;
            let id = attributes.find_kind(CTRL_ATTR_FAMILY_ID);
            id.ok_or(NetlinkError::Missing("family id"))?.u16()
        }) {
            Ok(id) => Ok(Self(id)),
            Err(error) if error.is(libc::ENOENT) => Err(unknown()),
            Err(source) => Err(GenlError::Netlink {
                name: name.to_owned(),
                source,
            }),
        }
    }

    /// A message to this family; attributes are to follow.
    #[must_use]
    pub fn request(self, command: u8, version: u8, flags: u16) -> Request {
        Request::new(self.0, flags).payload(&[command, version, 0, 0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_finds_itself() {
        let mut socket = Socket::open(libc::NETLINK_GENERIC).unwrap();
        assert_eq!(
            FamilyId::resolve(&mut socket, "nlctrl"),
            Ok(FamilyId(GENL_ID_CTRL))
        );
    }

    #[test]
    fn a_missing_family_is_named() {
        let mut socket = Socket::open(libc::NETLINK_GENERIC).unwrap();
        for name in ["no-such-family", "a-name-that-cannot-be-one"] {
            let error = FamilyId::resolve(&mut socket, name).unwrap_err();
            assert_eq!(error, GenlError::UnknownFamily(name.into()));
            assert_eq!(
                error.to_string(),
                format!("the kernel has no generic netlink family {name:?}")
            );
        }
    }
}
