//! NOTIFICATION (RFC 4271 section 4.5): why a session ends; unknown codes are kept as they came.
//!
//! References: RFC 4486 and 9384 (Cease), RFC 6608 (FSM), RFC 7313 (ROUTE-REFRESH), RFC 8538 (hard
//! reset), RFC 9003 (shutdown text), RFC 9687 (send hold timer).

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::codec::cut;

/// The last message of a session. `code` and `subcode` are as on the wire; the typed view is
/// [`Notification::error`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Notification {
    pub code: u8,
    pub subcode: u8,
    pub data: Bytes,
}

/// A code with its subcode; `None` inside where the subcode is unknown or 0 ("unspecific").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    Header(Option<HeaderSubcode>),
    Open(Option<OpenSubcode>),
    Update(Option<UpdateSubcode>),
    HoldTimerExpired,
    Fsm(Option<FsmSubcode>),
    Cease(Option<CeaseSubcode>),
    RouteRefresh(Option<RouteRefreshSubcode>),
    SendHoldTimerExpired,
    Unknown,
}

/// Declares the subcodes of one code: `(code) Type { Name = number "words" }`.
macro_rules! subcodes {
    ($(#[$meta:meta])* $code:literal $name:ident { $($variant:ident = $number:literal $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($variant,)* }

        impl $name {
            /// The error code all of these belong to.
            pub const CODE: u8 = $code;
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            #[must_use]
            pub fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)* }
            }

            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|subcode| subcode.number() == number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)* })
            }
        }

        impl From<$name> for Notification {
            fn from(subcode: $name) -> Self {
                Self { code: $name::CODE, subcode: subcode.number(), data: Bytes::new() }
            }
        }
    };
}

subcodes! {
    /// Message header errors (RFC 4271 section 6.1).
    1 HeaderSubcode {
        ConnectionNotSynchronized = 1 "connection not synchronized",
        BadMessageLength = 2 "bad message length",
        BadMessageType = 3 "bad message type",
    }
}

subcodes! {
    /// OPEN errors (RFC 4271 section 6.2, RFC 5492).
    2 OpenSubcode {
        Unspecific = 0 "unspecific",
        UnsupportedVersionNumber = 1 "unsupported version number",
        BadPeerAs = 2 "bad peer AS",
        BadBgpIdentifier = 3 "bad BGP identifier",
        UnsupportedOptionalParameter = 4 "unsupported optional parameter",
        UnacceptableHoldTime = 6 "unacceptable hold time",
        UnsupportedCapability = 7 "unsupported capability",
    }
}

subcodes! {
    /// UPDATE errors (RFC 4271 section 6.3).
    3 UpdateSubcode {
        MalformedAttributeList = 1 "malformed attribute list",
        UnrecognizedWellKnownAttribute = 2 "unrecognized well-known attribute",
        MissingWellKnownAttribute = 3 "missing well-known attribute",
        AttributeFlagsError = 4 "attribute flags error",
        AttributeLengthError = 5 "attribute length error",
        InvalidOriginAttribute = 6 "invalid ORIGIN attribute",
        InvalidNextHopAttribute = 8 "invalid NEXT_HOP attribute",
        OptionalAttributeError = 9 "optional attribute error",
        InvalidNetworkField = 10 "invalid network field",
        MalformedAsPath = 11 "malformed AS_PATH",
    }
}

subcodes! {
    /// A message that its state does not allow (RFC 6608).
    5 FsmSubcode {
        UnexpectedInOpenSent = 1 "unexpected message in OpenSent",
        UnexpectedInOpenConfirm = 2 "unexpected message in OpenConfirm",
        UnexpectedInEstablished = 3 "unexpected message in Established",
    }
}

subcodes! {
    /// Reasons to end a session that is in order (RFC 4486, 8538, 9384).
    6 CeaseSubcode {
        MaximumPrefixesReached = 1 "maximum number of prefixes reached",
        AdministrativeShutdown = 2 "administrative shutdown",
        PeerDeconfigured = 3 "peer deconfigured",
        AdministrativeReset = 4 "administrative reset",
        ConnectionRejected = 5 "connection rejected",
        OtherConfigurationChange = 6 "other configuration change",
        ConnectionCollisionResolution = 7 "connection collision resolution",
        OutOfResources = 8 "out of resources",
        HardReset = 9 "hard reset",
        BfdDown = 10 "BFD down",
    }
}

subcodes! {
    /// ROUTE-REFRESH errors (RFC 7313 section 5).
    7 RouteRefreshSubcode {
        InvalidMessageLength = 1 "invalid message length",
    }
}

/// The longest text of a shutdown, in octets (RFC 9003 section 2).
const MAX_TEXT: usize = 255;

// === impl Notification ===

impl Notification {
    /// RFC 4271 section 6.5.
    pub const HOLD_TIMER_EXPIRED: Self = Self::plain(4);
    /// RFC 9687 section 3: nothing could be sent for a whole send hold time.
    pub const SEND_HOLD_TIMER_EXPIRED: Self = Self::plain(8);

    const fn plain(code: u8) -> Self {
        Self {
            code,
            subcode: 0,
            data: Bytes::new(),
        }
    }

    #[must_use]
    pub fn with_data(self, data: Bytes) -> Self {
        Self { data, ..self }
    }

    /// A Cease with words for the operator at the other end (RFC 9003); text beyond 255 octets is
    /// cut at a character. Only shutdown and reset may carry text, other subcodes go without.
    #[must_use]
    pub fn cease(subcode: CeaseSubcode, text: &str) -> Self {
        let cease = Self::from(subcode);
        if text.is_empty() || !cease.may_have_text() {
            return cease;
        }
        let text = cut(text, MAX_TEXT);
        let mut data = BytesMut::with_capacity(1 + text.len());
        data.put_u8(u8::try_from(text.len()).unwrap_or(0));
        data.put_slice(text.as_bytes());
        cease.with_data(data.freeze())
    }

    /// This reason as a hard reset: the peer may not keep our routes by graceful restart (RFC 8538
    /// section 3.1).
    #[must_use]
    pub fn into_hard_reset(self) -> Self {
        let mut data = BytesMut::with_capacity(2 + self.data.len());
        data.put_u8(self.code);
        data.put_u8(self.subcode);
        data.put_slice(&self.data);
        Self::from(CeaseSubcode::HardReset).with_data(data.freeze())
    }

    /// The reason inside a hard reset; `None` for others and for a hard reset that names none.
    #[must_use]
    pub fn hard_reset_cause(&self) -> Option<Self> {
        if !self.is_hard_reset() {
            return None;
        }
        match *self.data {
            [code, subcode, ..] => Some(Self {
                code,
                subcode,
                data: self.data.slice(2..),
            }),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_hard_reset(&self) -> bool {
        self.error() == ErrorCode::Cease(Some(CeaseSubcode::HardReset))
    }

    /// The words of a shutdown or reset (RFC 9003), also inside a hard reset; octets that are no
    /// UTF-8 are replaced, text that does not fit its length is none.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        if let Some(cause) = self.hard_reset_cause() {
            // One step only: a hard reset within another is no reason with text.
            return (!cause.is_hard_reset()).then(|| cause.text())?;
        }
        let (length, rest) = self.data.split_first()?;
        let text = rest.get(..usize::from(*length))?;
        (self.may_have_text() && !text.is_empty())
            .then(|| String::from_utf8_lossy(text).into_owned())
    }

    fn may_have_text(&self) -> bool {
        use CeaseSubcode::{AdministrativeReset, AdministrativeShutdown};
        matches!(
            self.error(),
            ErrorCode::Cease(Some(AdministrativeShutdown | AdministrativeReset))
        )
    }

    #[must_use]
    pub fn error(&self) -> ErrorCode {
        match self.code {
            1 => ErrorCode::Header(HeaderSubcode::from_number(self.subcode)),
            2 => ErrorCode::Open(OpenSubcode::from_number(self.subcode)),
            3 => ErrorCode::Update(UpdateSubcode::from_number(self.subcode)),
            4 => ErrorCode::HoldTimerExpired,
            5 => ErrorCode::Fsm(FsmSubcode::from_number(self.subcode)),
            6 => ErrorCode::Cease(CeaseSubcode::from_number(self.subcode)),
            7 => ErrorCode::RouteRefresh(RouteRefreshSubcode::from_number(self.subcode)),
            8 => ErrorCode::SendHoldTimerExpired,
            _ => ErrorCode::Unknown,
        }
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn words<T: fmt::Display>(
            f: &mut fmt::Formatter<'_>,
            code: &str,
            subcode: Option<T>,
            number: u8,
        ) -> fmt::Result {
            match subcode {
                Some(subcode) => write!(f, "{code}: {subcode}"),
                None => write!(f, "{code}: subcode {number}"),
            }
        }
        match self.error() {
            ErrorCode::Header(subcode) => words(f, "message header error", subcode, self.subcode),
            ErrorCode::Open(subcode) => words(f, "OPEN error", subcode, self.subcode),
            ErrorCode::Update(subcode) => words(f, "UPDATE error", subcode, self.subcode),
            ErrorCode::HoldTimerExpired => f.write_str("hold timer expired"),
            ErrorCode::Fsm(subcode) => words(f, "FSM error", subcode, self.subcode),
            ErrorCode::Cease(subcode) => words(f, "cease", subcode, self.subcode),
            ErrorCode::RouteRefresh(subcode) => {
                words(f, "ROUTE-REFRESH error", subcode, self.subcode)
            }
            ErrorCode::SendHoldTimerExpired => f.write_str("send hold timer expired"),
            ErrorCode::Unknown => write!(f, "error {}, subcode {}", self.code, self.subcode),
        }?;
        match self.hard_reset_cause() {
            Some(cause) if cause.is_hard_reset() => Ok(()),
            Some(cause) => write!(f, " ({cause})"),
            None => self.text().map_or(Ok(()), |text| write!(f, " ({text:?})")),
        }
    }
}
