//! ROUTE-REFRESH (RFC 2918) with the demarcation of RFC 7313.

use super::family::AddressFamily;

/// Asks for all routes of a family again, or marks where they begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RouteRefresh {
    pub family: AddressFamily,
    pub subtype: RefreshSubtype,
}

/// The former "reserved" octet (RFC 7313 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefreshSubtype {
    Request,
    /// BoRR: the routes of a refresh follow.
    Begin,
    /// EoRR: what was not told again is gone.
    End,
    /// To be ignored (RFC 7313 section 5).
    Unknown(u8),
}

// === impl RefreshSubtype ===

impl RefreshSubtype {
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::Begin => 1,
            Self::End => 2,
            Self::Unknown(number) => number,
        }
    }

    #[must_use]
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Request,
            1 => Self::Begin,
            2 => Self::End,
            other => Self::Unknown(other),
        }
    }
}
