//! Passwords of sessions, from files that nobody else may read.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::net::Secret;

/// Longest key of TCP MD5 (`TCP_MD5SIG_MAXKEYLEN` of `linux/tcp.h`).
const MAX_PASSWORD: usize = 80;

/// Reads a password; a line break at its end does not count.
///
/// # Errors
/// Why the file is not taken, with its name.
pub(super) fn read(path: &Path) -> Result<Secret, String> {
    let shown = path.display();
    let cannot = |error: io::Error| format!("{shown} cannot be read: {error}");
    // Asked before it is opened: to open a pipe would wait for its writer.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(format!("{shown} is not a file"));
    }
    let file = File::open(path).map_err(cannot)?;
    let mode = file.metadata().map_err(cannot)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(format!(
            "{shown} is open to others (mode {mode:04o}); expected a file of its owner alone \
             (chmod 600)"
        ));
    }
    // Two more than are allowed, so that a line break still fits.
    let mut octets = Vec::new();
    let most = MAX_PASSWORD as u64 + 3;
    file.take(most).read_to_end(&mut octets).map_err(cannot)?;
    let line = octets.strip_suffix(b"\n").unwrap_or(&octets);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line.len() {
        0 => Err(format!("{shown} is empty; expected a password")),
        1..=MAX_PASSWORD => Ok(Secret::new(line)),
        _ => Err(format!(
            "{shown} is too long; expected at most {MAX_PASSWORD} octets"
        )),
    }
}
