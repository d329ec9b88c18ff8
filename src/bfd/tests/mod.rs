//! Tables of the codec and the selection, and two ends over a simulated wire.

mod session;
mod simulation;
mod table;
mod wire;

use std::num::{NonZeroU8, NonZeroU32};
use std::time::{Duration, Instant};

use super::config::Timers;
use super::wire::{ControlPacket, Diagnostic, State};

/// The start of a test's time.
#[expect(
    clippy::disallowed_methods,
    reason = "there is no other way to an Instant"
)]
fn start() -> Instant {
    Instant::now()
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn timers(tx: u64, rx: u64, multiplier: u8) -> Timers {
    Timers {
        desired_min_tx: ms(tx),
        required_min_rx: ms(rx),
        multiplier: NonZeroU8::new(multiplier).unwrap(),
    }
}

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// What the other end says in this state: 3 x 100 ms, knowing us as 1.
fn said(state: State) -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::None,
        state,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        detect_multiplier: NonZeroU8::new(3).unwrap(),
        my_discriminator: number(7),
        your_discriminator: NonZeroU32::new(1),
        desired_min_tx: 100_000,
        required_min_rx: 100_000,
        required_min_echo_rx: 0,
    }
}
