//! Bodies of answers, as a whole or line by line, never longer than they may be and never
//! waited for without an end.

use std::time::Duration;

use http_body_util::BodyExt;
use kube::client::Body;
use tokio::time::timeout;

use super::error::KubeError;

/// The longest watch event, in bytes; etcd takes objects of 1.5 MB.
const LONGEST_LINE: usize = 32 << 20;
/// A buffer is not kept above this size once it is empty.
const KEPT: usize = 256 << 10;

/// The body of one answer.
pub(super) struct Lines {
    server: String,
    body: Body,
    buffer: Vec<u8>,
    /// Start of what was not returned yet.
    start: usize,
    /// Up to here there is no line break.
    searched: usize,
}

// === impl Lines ===

impl Lines {
    pub(super) fn new(server: String, body: Body) -> Self {
        Self {
            server,
            body,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
        }
    }

    /// The next line that is not empty, without its break; `None` when the server ended the body.
    pub(super) async fn next(&mut self, silence: Duration) -> Result<Option<&[u8]>, KubeError> {
        let line = loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(length) = unsearched.iter().position(|byte| *byte == b'\n') {
                let line = self.start..self.searched + length;
                self.start = line.end + 1;
                self.searched = self.start;
                if !line.is_empty() {
                    break line;
                }
                continue;
            }
            self.searched = self.buffer.len();
            self.make_room();
            if self.buffer.len() > LONGEST_LINE {
                return Err(KubeError::TooLarge {
                    server: self.server.clone(),
                    limit: LONGEST_LINE,
                });
            }
            if !self.read(silence).await? {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(self.garbage("the answer ends within a line")),
                };
            }
        };
        Ok(self.buffer.get(line))
    }

    /// The whole body.
    pub(super) async fn all(
        mut self,
        silence: Duration,
        limit: usize,
    ) -> Result<Vec<u8>, KubeError> {
        while self.read(silence).await? {
            if self.buffer.len() > limit {
                return Err(KubeError::TooLarge {
                    server: self.server,
                    limit,
                });
            }
        }
        Ok(self.buffer)
    }

    pub(super) fn garbage(&self, what: impl Into<String>) -> KubeError {
        KubeError::Garbage {
            server: self.server.clone(),
            what: what.into(),
        }
    }

    /// Forgets what was returned.
    fn make_room(&mut self) {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        if self.buffer.is_empty() {
            self.buffer.shrink_to(KEPT);
        }
    }

    /// One more piece; false at the end.
    async fn read(&mut self, silence: Duration) -> Result<bool, KubeError> {
        let server = || self.server.clone();
        match timeout(silence, self.body.frame()).await {
            Err(_) => Err(KubeError::Silent {
                server: server(),
                after: silence,
            }),
            Ok(None) => Ok(false),
            Ok(Some(Err(error))) => Err(KubeError::Transport {
                server: server(),
                source: Box::new(error),
            }),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    self.buffer.extend_from_slice(&data);
                }
                Ok(true)
            }
        }
    }
}
