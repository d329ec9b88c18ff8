//! What is wrong with a configuration: every fault with its place, value and what is expected.

use std::fmt;
use std::path::PathBuf;

/// Longest piece of a value that a message repeats, in characters.
const SHOWN_VALUE: usize = 60;

/// Where a value was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// Line and column count from one; zero means the file as a whole.
    File {
        path: PathBuf,
        line: usize,
        column: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line, with its dashes.
    Flag(&'static str),
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    /// The key's path, such as `proxy.sync_period`; empty when the fault is not about a key.
    pub key: String,
    /// The value as it was written.
    pub value: Option<String>,
    /// What is wrong and what is expected.
    pub text: String,
}

/// All faults of a configuration, in the order of its layers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0, .. } => write!(f, "{}", path.display()),
            Self::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        match (self.key.as_str(), &self.value) {
            ("", _) => {}
            (key, None) => write!(f, "{key}: ")?,
            (key, Some(value)) => write!(f, "{key} = {}: ", shortened(value))?,
        }
        f.write_str(&self.text)
    }
}

// === impl Problems ===

impl fmt::Display for Problems {
    /// One line for each fault, without a final line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

// === free functions ===

/// A value on one line and not too long.
fn shortened(value: &str) -> String {
    let line: Vec<&str> = value.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(SHOWN_VALUE) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}
