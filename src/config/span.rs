//! The bounds of durations, as the protocols have them.

use std::time::Duration;

/// What a duration may be.
#[derive(Debug, PartialEq, Eq)]
pub struct Span {
    pub min: Duration,
    pub max: Duration,
    /// It must be a multiple of this, in nanoseconds.
    step: u128,
    /// Zero is allowed as well.
    zero: bool,
    /// What is expected, with an example.
    pub expected: &'static str,
}

const SECOND: u128 = 1_000_000_000;
const MILLISECOND: u128 = 1_000_000;

/// RFC 4271 section 4.2: 16 bits of seconds, zero, or at least three.
pub(super) const HOLD_TIME: Span = Span {
    min: Duration::from_secs(3),
    max: Duration::from_secs(65_535),
    step: SECOND,
    zero: true,
    expected: "whole seconds from \"3s\" to \"65535s\", or \"0s\" for none",
};

/// At most a third of the longest hold time.
pub(super) const KEEPALIVE: Span = Span {
    min: Duration::from_secs(1),
    max: Duration::from_secs(21_845),
    step: SECOND,
    zero: false,
    expected: "whole seconds from \"1s\" to \"21845s\"",
};

/// RFC 4724 section 3: 12 bits of seconds.
pub(super) const RESTART_TIME: Span = Span {
    min: Duration::from_secs(1),
    max: Duration::from_secs(4095),
    step: SECOND,
    zero: false,
    expected: "whole seconds from \"1s\" to \"4095s\"",
};

/// What the original takes for it.
pub(super) const DEFERRAL_TIME: Span = Span {
    min: Duration::from_secs(1),
    max: Duration::from_secs(64_800),
    step: SECOND,
    zero: false,
    expected: "whole seconds from \"1s\" to \"18h\"",
};

/// RFC 9494 section 3.1: 24 bits of seconds.
pub(super) const LONG_LIVED_TIME: Span = Span {
    min: Duration::from_secs(1),
    max: Duration::from_secs(16_777_215),
    step: SECOND,
    zero: true,
    expected: "whole seconds from \"1s\" to \"16777215s\", or \"0s\" for none",
};

/// RFC 5880 section 4.1: 32 bits of microseconds, in the original's milliseconds.
pub(super) const BFD_INTERVAL: Span = Span {
    min: Duration::from_millis(1),
    max: Duration::from_millis(4_294_967),
    step: MILLISECOND,
    zero: false,
    expected: "whole milliseconds from \"1ms\" to \"4294967ms\"",
};

// === impl Span ===

impl Span {
    /// Refuses what is out of bounds; [`Span::expected`] says it all.
    pub(super) fn check(&self, duration: Duration) -> Result<(), Option<String>> {
        let is_within = (self.min..=self.max).contains(&duration)
            && duration.as_nanos().is_multiple_of(self.step);
        match is_within || (self.zero && duration.is_zero()) {
            true => Ok(()),
            false => Err(None),
        }
    }
}
