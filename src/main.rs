//! argv to command, command to exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use kube_router::app;
use kube_router::cli::{self, Cli, Command, Exit};

fn main() -> ExitCode {
    let environment = cli::environment(std::env::vars_os());
    let (out, err) = (&mut io::stdout(), &mut io::stderr());
    let done = match Cli::parse().command {
        Command::CheckConfig(args) => cli::check_config(&args, environment, out, err),
        Command::Version => cli::version(out),
        Command::Man(args) => cli::man(&args, out),
        Command::Completion(args) => cli::completion(&args, out),
        Command::Run(args) => app::run(&args, environment, err),
        Command::Plan(args) => app::plan(&args, environment, out, err),
        Command::Explain(args) => app::explain(&args, environment, out, err),
        Command::Bgp(args) => cli::bgp(&args, out, err),
        Command::Cleanup(args) => app::cleanup(&args, environment, out, err),
    };
    done.unwrap_or_else(|error| not_written(&error)).into()
}

/// A reader that has seen enough, such as `head`, is no failure.
fn not_written(error: &io::Error) -> Exit {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Exit::Success;
    }
    // Standard error may be gone as well; the exit code then says it alone.
    let _ = writeln!(io::stderr(), "kube-router: {error}");
    Exit::Failure
}
