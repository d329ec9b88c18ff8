//! `kube-router(8)`: what the command line's definition says, and the sections that it can't.

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;

use super::super::args::Cli;
use super::super::exit::Exit;
use super::literal;

const FILES_AND_SIGNALS: &str = include_str!("files.roff");
const CONTROL: &str = include_str!("control.roff");
const HEALTH_AND_OWNERSHIP: &str = include_str!("ownership.roff");

pub(super) fn page() -> io::Result<String> {
    let mut command = Cli::command();
    command.build();
    let man = Man::new(command.clone())
        .section("8")
        .manual("kube-router")
        .source(concat!("kube-router ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut page = String::from_utf8_lossy(&page).into_owned();
    page.push_str(SYNOPSIS);
    let mut description = Vec::new();
    man.render_description_section(&mut description)?;
    page.push_str(&String::from_utf8_lossy(&description));
    page.push_str(".SH COMMANDS\n");
    for command in command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        page.push_str(&subcommand(command)?);
    }
    page.push_str(CONTROL);
    page.push_str(&exit_status());
    page.push_str(FILES_AND_SIGNALS);
    page.push_str(HEALTH_AND_OWNERSHIP);
    Ok(page)
}

const SYNOPSIS: &str = r"
.SH SYNOPSIS
.nf
\fBkube\-router run\fR [\fB\-\-config\fR \fIFILE\fR] [\fB\-\-node\-name\fR \fINAME\fR] [\fB\-\-log\-level\fR \fILEVEL\fR]
\fBkube\-router check\-config\fR [\fB\-\-show\-origin\fR] [\fIFILE\fR]
\fBkube\-router plan\fR [\fB\-\-manifests\fR \fIDIR\fR] [\fB\-\-config\fR \fIFILE\fR] \fB\-\-node\fR \fINAME\fR
\fBkube\-router bgp neighbors\fR [\fB\-\-json\fR] [\fB\-\-socket\fR \fIPATH\fR] [\fIPEER\fR]
\fBkube\-router bgp rib\fR [\fB\-\-json\fR] [\fB\-\-socket\fR \fIPATH\fR] [\fBin\fR|\fBout\fR] [\fIPEER\fR] [\fIPREFIX\fR]
\fBkube\-router bgp explain\fR [\fB\-\-json\fR] [\fB\-\-socket\fR \fIPATH\fR] \fIPREFIX\fR|\fIADDRESS\fR
\fBkube\-router cleanup\fR [\fB\-\-config\fR \fIFILE\fR] [\fB\-\-dry\-run\fR]
\fBkube\-router version\fR
.fi
";

/// A command with its long help and its options, as a subsection.
fn subcommand(command: &clap::Command) -> io::Result<String> {
    let mut page = format!(".SS \"{}\"\n", literal(command.get_name()));
    let help = command.get_long_about().or_else(|| command.get_about());
    let help = help.map(ToString::to_string).unwrap_or_default();
    for (index, paragraph) in help.split("\n\n").enumerate() {
        let separator = if index == 0 { "" } else { ".PP\n" };
        page.push_str(&format!("{separator}{}\n", literal(paragraph)));
    }
    if command
        .get_arguments()
        .all(|argument| argument.get_id() == "help")
    {
        return Ok(page);
    }
    let mut options = Vec::new();
    Man::new(command.clone()).render_options_section(&mut options)?;
    let options = String::from_utf8_lossy(&options);
    let lines = options
        .lines()
        .filter(|line| !line.starts_with(".SH") && !line.starts_with(".ie"));
    for line in lines.filter(|line| !line.starts_with(".el")) {
        page.push_str(line);
        page.push('\n');
    }
    Ok(page)
}

fn exit_status() -> String {
    let mut out = String::from(".SH \"EXIT STATUS\"\n");
    for (exit, meaning) in Exit::ALL {
        out.push_str(&format!(".TP\n.B {}\n{}\n", exit.code(), literal(meaning)));
    }
    out
}
