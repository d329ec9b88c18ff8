//! The answers of the commands that only read and print.

use std::io::{self, Write};

use clap::CommandFactory;

use super::args::{CheckConfigArgs, Cli, CompletionArgs};
use super::exit::Exit;
use crate::config::{self, Effective};

/// `check-config`: faults to `err`, everything else to `out`.
///
/// # Errors
/// When nothing can be written.
pub fn check_config(
    args: &CheckConfigArgs,
    environment: Vec<(String, String)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    match config::load(&args.sources(environment)) {
        Ok(loaded) if args.show_origin => {
            write!(out, "{}", origins(&loaded.values))?;
            Ok(Exit::Success)
        }
        Ok(_) => {
            writeln!(out, "OK")?;
            Ok(Exit::Success)
        }
        Err(problems) => {
            writeln!(err, "{problems}")?;
            Ok(Exit::Failure)
        }
    }
}

/// `version`.
///
/// # Errors
/// When nothing can be written.
pub fn version(out: &mut dyn Write) -> io::Result<Exit> {
    writeln!(
        out,
        "{} {}",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION")
    )?;
    Ok(Exit::Success)
}

/// `completion`.
///
/// # Errors
/// When nothing can be written.
pub fn completion(args: &CompletionArgs, out: &mut dyn Write) -> io::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "kube-router", &mut script);
    out.write_all(&script)?;
    Ok(Exit::Success)
}

/// Every value as a line of TOML, its origin behind it as a comment.
fn origins(values: &[Effective]) -> String {
    let said: Vec<String> = values
        .iter()
        .map(|v| format!("{} = {}", v.key, v.value))
        .collect();
    let width = said
        .iter()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or_default()
        .min(60);
    let lines = said.iter().zip(values);
    lines
        .map(|(line, value)| format!("{line:width$}  # {}\n", value.origin))
        .collect()
}
