//! What operators see of a session.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::config::Timers;
use super::error::Refusal;
use super::wire::{ControlPacket, Diagnostic, State};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub state: State,
    /// Why it left Up; [`Diagnostic::None`] once it is Up again.
    pub diagnostic: Diagnostic,
    pub discriminator: NonZeroU32,
    /// What we propose.
    pub timers: Timers,
    /// The last packet of the other end: its state, diagnostic, discriminator and timers; `None` if
    /// it has been silent for the detection time.
    pub remote: Option<ControlPacket>,
    /// Between our packets, before jitter.
    pub transmit_interval: Duration,
    /// After which a silent other end is lost; `None` while it is not heard at all.
    pub detection_time: Option<Duration>,
    /// The other end has not yet confirmed our timers.
    pub is_polling: bool,
    /// The last change of [`Self::state`].
    pub since: Instant,
    /// How often it came Up.
    pub ups: u64,
    /// How often it left Up.
    pub downs: u64,
    pub last_down: Option<(Instant, Diagnostic)>,
    /// Why a packet that seemed to be for this session was last dropped.
    pub last_refusal: Option<Refusal>,
}
