//! Tables of the families `ip` and `ip6`, of which this room speaks no more than the names.

use super::object::Name;
use super::{Error, Nft, wire};
use crate::net::Family;

// === impl Nft ===

impl Nft {
    /// Whether there is a table of this name in `ip` or `ip6`.
    pub fn has_table(&mut self, family: Family, name: &Name) -> Result<bool, Error> {
        let request = wire::table_elsewhere(wire::MSG_GETTABLE, family, name);
        match self.socket.request(&request) {
            Ok(_) => Ok(true),
            Err(error) if error.is(libc::ENOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a table of `ip` or `ip6` with all that is in it, at once; done where there is none.
    pub fn delete_table(&mut self, family: Family, name: &Name) -> Result<(), Error> {
        let (open, close) = wire::envelope(None);
        let request = wire::table_elsewhere(wire::MSG_DELTABLE, family, name);
        let refused = self.socket.transact(&open, [&request], &close)?;
        match refused.into_iter().next() {
            Some((_, error)) if !error.is(libc::ENOENT) => Err(error.into()),
            _ => Ok(()),
        }
    }
}
