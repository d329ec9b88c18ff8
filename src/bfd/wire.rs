//! The control packet: 24 octets, and text for people.
//!
//! - [`ControlPacket::decode`] makes the checks of RFC 5880 section 6.8.6 that need no session, in
//!   their order; what it accepts can be encoded again.
//! - Authentication is not spoken: a packet with a section for it is refused.

use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};

use super::error::Malformed;

/// The version of the protocol (RFC 5880 section 4.1).
pub const VERSION: u8 = 1;
/// Octets of a packet without authentication.
pub const LENGTH: usize = 24;

/// The least that a packet with authentication may say that it has.
const LENGTH_AUTHENTICATED: usize = 26;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// The state of one end of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Taken down by its operator; says nothing about the way between the two.
    AdminDown,
    #[default]
    Down,
    /// The other end is heard, but is not known to hear us.
    Init,
    Up,
}

/// Why an end left its state Up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Diagnostic {
    #[default]
    None,
    DetectionTimeExpired,
    EchoFailed,
    NeighborSignaledDown,
    ForwardingPlaneReset,
    PathDown,
    ConcatenatedPathDown,
    AdministrativelyDown,
    ReverseConcatenatedPathDown,
    /// Reserved; 9 to 31.
    Reserved(u8),
}

/// A BFD control packet without authentication (RFC 5880 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ControlPacket {
    pub diagnostic: Diagnostic,
    pub state: State,
    /// Wants an answer with [`Self::is_final`] at once.
    pub poll: bool,
    /// Answers a poll.
    pub is_final: bool,
    /// The sender's BFD goes on without its control plane (the C bit).
    pub control_plane_independent: bool,
    /// The sender wants no periodic packets while both ends are Up.
    pub demand: bool,
    /// Intervals without a packet after which the sender is lost.
    pub detect_multiplier: NonZeroU8,
    /// The sender's name for the session.
    pub my_discriminator: NonZeroU32,
    /// The receiver's name for it, once the sender knows it.
    pub your_discriminator: Option<NonZeroU32>,
    /// Microseconds between the packets that the sender would like to send.
    pub desired_min_tx: u32,
    /// Microseconds between the packets that the sender can receive; 0: it wants none.
    pub required_min_rx: u32,
    /// Microseconds between echo packets that the sender can receive; 0: it reflects none.
    pub required_min_echo_rx: u32,
}

// === impl State ===

impl State {
    fn code(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }

    /// Of the two highest bits of the second octet.
    fn of_octet(octet: u8) -> Self {
        match octet >> 6 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        })
    }
}

// === impl Diagnostic ===

impl Diagnostic {
    /// The code in the packet, 0 to 31.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::DetectionTimeExpired => 1,
            Self::EchoFailed => 2,
            Self::NeighborSignaledDown => 3,
            Self::ForwardingPlaneReset => 4,
            Self::PathDown => 5,
            Self::ConcatenatedPathDown => 6,
            Self::AdministrativelyDown => 7,
            Self::ReverseConcatenatedPathDown => 8,
            Self::Reserved(code) => code & 0x1f,
        }
    }

    /// Of the five lowest bits.
    #[must_use]
    pub fn of_code(code: u8) -> Self {
        match code & 0x1f {
            0 => Self::None,
            1 => Self::DetectionTimeExpired,
            2 => Self::EchoFailed,
            3 => Self::NeighborSignaledDown,
            4 => Self::ForwardingPlaneReset,
            5 => Self::PathDown,
            6 => Self::ConcatenatedPathDown,
            7 => Self::AdministrativelyDown,
            8 => Self::ReverseConcatenatedPathDown,
            code => Self::Reserved(code),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no diagnostic",
            Self::DetectionTimeExpired => "control detection time expired",
            Self::EchoFailed => "echo function failed",
            Self::NeighborSignaledDown => "neighbor signaled session down",
            Self::ForwardingPlaneReset => "forwarding plane reset",
            Self::PathDown => "path down",
            Self::ConcatenatedPathDown => "concatenated path down",
            Self::AdministrativelyDown => "administratively down",
            Self::ReverseConcatenatedPathDown => "reverse concatenated path down",
            Self::Reserved(code) => return write!(f, "reserved diagnostic {code}"),
        })
    }
}

// === impl ControlPacket ===

impl ControlPacket {
    /// Reads the payload of a datagram; what is behind the packet is of no meaning.
    ///
    /// # Errors
    /// The first check of RFC 5880 section 6.8.6 that fails, and before all of them a payload that
    /// is shorter than any packet.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let Some(octets) = payload.first_chunk::<LENGTH>() else {
            return Err(Malformed::Truncated(payload.len()));
        };
        let [head, flags, multiplier, length, fields @ ..] = *octets;
        check_head(head, flags, length, payload.len())?;
        let detect_multiplier = NonZeroU8::new(multiplier).ok_or(Malformed::DetectMultiplier)?;
        if flags & MULTIPOINT != 0 {
            return Err(Malformed::Multipoint);
        }
        let [mine, yours, tx, rx, echo] = words(&fields);
        let my_discriminator = NonZeroU32::new(mine).ok_or(Malformed::MyDiscriminator)?;
        let (state, your_discriminator) = (State::of_octet(flags), NonZeroU32::new(yours));
        if your_discriminator.is_none() && !matches!(state, State::Down | State::AdminDown) {
            return Err(Malformed::YourDiscriminator(state));
        }
        if flags & AUTHENTICATION != 0 {
            let kind = payload.get(LENGTH).copied().unwrap_or_default();
            return Err(Malformed::Authentication(kind));
        }
        Ok(Self {
            diagnostic: Diagnostic::of_code(head),
            state,
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            control_plane_independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
            demand: flags & DEMAND != 0,
            detect_multiplier,
            my_discriminator,
            your_discriminator,
            desired_min_tx: tx,
            required_min_rx: rx,
            required_min_echo_rx: echo,
        })
    }

    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let flags = self.state.code() << 6
            | flag(self.poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.control_plane_independent, CONTROL_PLANE_INDEPENDENT)
            | flag(self.demand, DEMAND);
        let [m0, m1, m2, m3] = self.my_discriminator.get().to_be_bytes();
        let yours = self.your_discriminator.map_or(0, NonZeroU32::get);
        let [y0, y1, y2, y3] = yours.to_be_bytes();
        let [t0, t1, t2, t3] = self.desired_min_tx.to_be_bytes();
        let [r0, r1, r2, r3] = self.required_min_rx.to_be_bytes();
        let [e0, e1, e2, e3] = self.required_min_echo_rx.to_be_bytes();
        let head = VERSION << 5 | self.diagnostic.code();
        #[rustfmt::skip]
        let octets = [
            head, flags, self.detect_multiplier.get(), 24,
            m0, m1, m2, m3, y0, y1, y2, y3,
            t0, t1, t2, t3, r0, r1, r2, r3, e0, e1, e2, e3,
        ];
        octets
    }
}

impl fmt::Display for ControlPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.state, self.diagnostic)?;
        for (is_set, name) in [
            (self.poll, "poll"),
            (self.is_final, "final"),
            (self.control_plane_independent, "independent"),
            (self.demand, "demand"),
        ] {
            if is_set {
                write!(f, " {name}")?;
            }
        }
        let yours = self.your_discriminator.map_or(0, NonZeroU32::get);
        write!(
            f,
            " my {:#010x} your {yours:#010x} tx {} us rx {} us echo {} us x{}",
            self.my_discriminator,
            self.desired_min_tx,
            self.required_min_rx,
            self.required_min_echo_rx,
            self.detect_multiplier
        )
    }
}

fn check_head(head: u8, flags: u8, length: u8, payload: usize) -> Result<(), Malformed> {
    let version = head >> 5;
    if version != VERSION {
        return Err(Malformed::Version(version));
    }
    let least = match flags & AUTHENTICATION {
        0 => LENGTH,
        _ => LENGTH_AUTHENTICATED,
    };
    if usize::from(length) < least {
        return Err(Malformed::TooShort { length, least });
    }
    if usize::from(length) > payload {
        return Err(Malformed::TooLong { length, payload });
    }
    Ok(())
}

fn words(fields: &[u8; 20]) -> [u32; 5] {
    let mut words = [0; 5];
    for (word, octets) in words.iter_mut().zip(fields.as_chunks().0) {
        *word = u32::from_be_bytes(*octets);
    }
    words
}
