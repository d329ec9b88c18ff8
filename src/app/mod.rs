//! Builds the rooms, connects them, starts, reloads and ends in order.

mod daemon;
mod log;
mod privileges;
mod systemd;

#[cfg(test)]
mod tests;

use std::io;

use tokio::runtime::{Builder, Runtime};

pub use log::{Log, LogError};

/// The runtime of the network edges. Its threads have what the calling thread has left of its
/// capabilities.
fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .thread_name("kr-io")
        .enable_all()
        .build()
}
