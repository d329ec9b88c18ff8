//! Finds the tools of a family and runs them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::object::{Table, TableEdits, restore_input};
use super::process::{self, Output};
use super::saved::{Saved, parse};
use super::{Error, RuleTables, Variant};
use crate::net::Family;

/// Where the tools are looked for, and what they find themselves.
pub(super) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Seconds that the tool itself waits for the lock of the legacy variant.
const LOCK_WAIT: &str = "5";
/// For the lock, and for a large table on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(30);
const VERSION_DEADLINE: Duration = Duration::from_secs(5);

/// What the tools say when a set of somebody's rule went between their reading the rule and their
/// asking for the set's name. Nothing has been changed then.
const SET_GONE: &str = "Set with index";

/// So often they are run then.
const TRIES: usize = 5;

/// Exit status of iptables for "try again" (`RESOURCE_PROBLEM`).
const RESOURCE_PROBLEM: i32 = 4;

/// The tools of one family.
#[derive(Debug, Clone)]
pub struct Iptables {
    family: Family,
    variant: Variant,
    restore: PathBuf,
    save: PathBuf,
    deadline: Duration,
}

// === impl Iptables ===

impl Iptables {
    /// The tools that the host's administrator has chosen (`iptables-restore`), else those of
    /// the nft variant, else of the legacy one.
    pub fn open(family: Family) -> Result<Self, Error> {
        let stem = stem(family);
        let names = [
            (format!("{stem}-restore"), format!("{stem}-save")),
            (format!("{stem}-nft-restore"), format!("{stem}-nft-save")),
            (
                format!("{stem}-legacy-restore"),
                format!("{stem}-legacy-save"),
            ),
        ];
        let mut found = names
            .iter()
            .filter_map(|(restore, save)| Some((find(restore)?, find(save)?)));
        let missing = || Error::NotFound {
            program: format!("{stem}-restore"),
            path: SEARCH_PATH,
        };
        let (restore, save) = found.next().ok_or_else(missing)?;
        Self::with_tools(family, restore, save)
    }

    /// The tools of one variant, whatever the administrator has chosen.
    pub fn open_variant(family: Family, variant: Variant) -> Result<Self, Error> {
        let tool = |what: &str| {
            let program = format!("{}-{variant}-{what}", stem(family));
            find(&program).ok_or(Error::NotFound {
                program,
                path: SEARCH_PATH,
            })
        };
        Self::with_tools(family, tool("restore")?, tool("save")?)
    }

    pub(super) fn with_tools(
        family: Family,
        restore: PathBuf,
        save: PathBuf,
    ) -> Result<Self, Error> {
        let version = run(&restore, &["--version"], "", VERSION_DEADLINE)?;
        Ok(Self {
            family,
            variant: Variant::from_version(&version.stdout),
            restore,
            save,
            deadline: DEADLINE,
        })
    }

    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    #[must_use]
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// Limits how long one run may take.
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    /// Input of `iptables-restore --noflush`: all of a table takes effect or nothing.
    pub fn restore_text(&mut self, input: &str) -> Result<(), Error> {
        let arguments = ["--noflush", "-w", LOCK_WAIT];
        self.run(&self.restore, &arguments, input).map(drop)
    }

    /// Runs a tool until it is not disturbed by others that destroy their sets meanwhile.
    fn run(&self, program: &Path, arguments: &[&str], input: &str) -> Result<Output, Error> {
        let mut left = TRIES;
        loop {
            left -= 1;
            let output = run(program, arguments, input, self.deadline)?;
            match judge(program, &output, input) {
                Err(Error::Refused { stderr, .. }) if left > 0 && stderr.contains(SET_GONE) => {}
                verdict => return verdict.map(|()| output),
            }
        }
    }
}

impl RuleTables for Iptables {
    fn restore(&mut self, tables: &[TableEdits]) -> Result<(), Error> {
        let input = restore_input(tables);
        if input.is_empty() {
            return Ok(());
        }
        self.restore_text(&input)
    }

    fn save(&mut self, table: Table) -> Result<Saved, Error> {
        let output = self.run(&self.save, &["-t", table.name()], "")?;
        let program = name_of(&self.save);
        let tables =
            parse(&output.stdout).map_err(|source| Error::Unreadable { program, source })?;
        Ok(table.of(tables))
    }
}

/// `iptables` or `ip6tables`.
fn stem(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let candidates = SEARCH_PATH
        .split(':')
        .map(|folder| Path::new(folder).join(program));
    candidates.into_iter().find(|path| path.is_file())
}

fn name_of(program: &Path) -> String {
    let name = program.file_name().unwrap_or(program.as_os_str());
    name.to_string_lossy().into_owned()
}

fn run(
    program: &Path,
    arguments: &[&str],
    input: &str,
    deadline: Duration,
) -> Result<Output, Error> {
    let output = process::run(program, arguments, input, deadline);
    let output = output.map_err(|error: io::Error| Error::Start {
        program: name_of(program),
        error: error.to_string(),
    })?;
    if output.status.is_none() {
        return Err(Error::TimedOut {
            program: name_of(program),
            after: deadline,
        });
    }
    Ok(output)
}

fn judge(program: &Path, output: &Output, input: &str) -> Result<(), Error> {
    let status = output.status.unwrap_or_default();
    if status.success() {
        return Ok(());
    }
    let program = name_of(program);
    let stderr = complaint(&output.stderr);
    if stderr.contains("xtables lock") {
        return Err(Error::Locked { program });
    }
    let line = named_line(&output.stderr);
    Err(Error::Refused {
        program,
        is_transient: status.code() == Some(RESOURCE_PROBLEM) || stderr.contains(SET_GONE),
        status: status.to_string(),
        line,
        text: line.and_then(|line| line_of(input, line)),
        stderr,
    })
}

/// What the tool said, without its advice to read the manual.
fn complaint(stderr: &str) -> String {
    let is_telling = |line: &&str| {
        !line.is_empty()
            && !line.starts_with("Try `")
            && !line.starts_with("Error occurred at line")
            && !line.starts_with("# Warning:")
    };
    stderr
        .lines()
        .map(str::trim)
        .filter(is_telling)
        .collect::<Vec<_>>()
        .join("; ")
}

/// The line of the input that the tool names: `Error occurred at line: 3`, `line 3 failed`.
fn named_line(stderr: &str) -> Option<usize> {
    stderr.lines().find_map(|line| {
        let (_, rest) = line
            .split_once("line: ")
            .or_else(|| line.split_once("line "))?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    })
}

/// The text of that line; at the end of the table no single line is at fault.
fn line_of(input: &str, line: usize) -> Option<String> {
    let text = input.lines().nth(line.checked_sub(1)?)?;
    (text != "COMMIT").then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_line_that_the_tool_names() {
        for (stderr, expected) in [
            (
                "iptables-restore v1.8.9 (nf_tables): unknown option \"--foo\"\nError occurred at line: 3\n",
                Some(3),
            ),
            ("iptables-restore: line 12 failed\n", Some(12)),
            (
                "iptables-restore v1.8.9 (nf_tables): \nline 4: CHAIN_USER_DEL failed (Device or resource busy): chain X\n",
                Some(4),
            ),
            ("Permission denied (you must be root)\n", None),
        ] {
            assert_eq!(named_line(stderr), expected, "{stderr}");
        }
        assert_eq!(
            line_of("*filter\n:X - [0:0]\n-A X --foo\nCOMMIT\n", 3).as_deref(),
            Some("-A X --foo")
        );
        assert_eq!(line_of("*filter\nCOMMIT\n", 2), None);
        assert_eq!(line_of("*filter\n", 0), None);
    }

    #[test]
    fn a_program_that_hangs_is_killed_at_the_deadline() {
        let deadline = Duration::from_millis(50);
        let error = run(Path::new("/bin/sleep"), &["600"], "", deadline).unwrap_err();
        assert_eq!(
            error,
            Error::TimedOut {
                program: "sleep".to_owned(),
                after: deadline
            }
        );
    }

    #[test]
    fn large_input_and_output_pass_without_blocking() {
        let input = "0123456789abcdef\n".repeat(100_000);
        let output = run(Path::new("/bin/cat"), &[], &input, DEADLINE).unwrap();
        assert_eq!(output.stdout, input);
        let missing = run(Path::new("/nonexistent/tool"), &[], "", DEADLINE).unwrap_err();
        assert!(
            matches!(&missing, Error::Start { program, .. } if program == "tool"),
            "{missing}"
        );
    }
}
