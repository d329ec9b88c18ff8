use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::registry::Registry;

use super::*;

/// A stream that two sides can hold; writing waits while nobody reads.
#[derive(Clone)]
struct Pipe(Arc<Mutex<UnixStream>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log into a stream, with the stream's reading end.
fn piped() -> (Queue, queue::QueueLayer, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let pipe = Pipe(Arc::new(Mutex::new(ours)));
    let (queue, layer) = Queue::start(Sink::text(move || pipe.clone(), false, false)).unwrap();
    (queue, layer, theirs)
}

#[test]
fn text_names_level_message_and_fields() {
    let (queue, layer, theirs) = piped();
    let (filter, handle) = reload::Layer::<_, Registry>::new(targets(LogLevel::Info));
    let subscriber = Registry::default().with(layer.with_filter(filter));
    tracing::subscriber::with_default(subscriber, || {
        tracing::debug!("too detailed");
        tracing::info!(object = %"default/web", key = "spec", n = 3u64, ok = true, "seen");
        tracing::warn!(target: "hyper::client", reason = ?Some(1), "library");
        tracing::info!(target: "hyper::client", "library chatter");
        handle.reload(targets(LogLevel::Debug)).unwrap();
        tracing::debug!("detailed enough");
    });
    drop(queue);
    let lines: Vec<String> = BufReader::new(theirs)
        .lines()
        .take(3)
        .map(Result::unwrap)
        .collect();
    let end = |line: &str| line.trim_start().to_owned();
    assert_eq!(
        lines.iter().map(|line| end(line)).collect::<Vec<_>>(),
        [
            "INFO kube_router::app::log::tests: seen object=default/web key=\"spec\" n=3 ok=true",
            "WARN hyper::client: library reason=Some(1)",
            "DEBUG kube_router::app::log::tests: detailed enough",
        ]
    );
}

#[test]
fn a_stalled_reader_stalls_nobody_and_what_is_dropped_is_counted_and_reported() {
    let (queue, layer, theirs) = piped();
    let subscriber = Registry::default().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        // Far more than the queue and the socket's buffer hold. It would wait for ever here if
        // the caller ever waited: nobody reads yet.
        let padding = "x".repeat(1000);
        for number in 0..20_000u32 {
            tracing::info!(number, padding, "line");
        }
    });
    let dropped = queue.dropped();
    assert!(dropped > 10_000, "{dropped}");
    // Once somebody reads, what had been queued comes out in order.
    let mut lines = BufReader::new(theirs).lines();
    for number in 0..3000 {
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(&format!("number={number} ")), "{line}");
    }
    drop(lines);
    drop(queue);
}

#[test]
fn the_journal_stream_is_recognised_by_device_and_inode() {
    assert!(names(OsStr::new("8:1234"), 8, 1234));
    for other in ["", "8", "8:1235", "9:1234", "8:1234:5", ":", "x:y"] {
        assert!(!names(OsStr::new(other), 8, 1234), "{other}");
    }
}
