//! Errors as one line.

use std::error::Error;

/// An error with all its causes: `read back: IPVS services: no such file or directory`.
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
