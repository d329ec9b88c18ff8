//! `kube-router.toml(5)`: every key of the schema, and where the original's flags went.

use std::fmt::Write as _;

use super::literal;
use crate::config::{self, Absent, Field, Flag, Key, Kind, Place, Section, Status};

const INTRODUCTION: &str = include_str!("settings.roff");

pub(super) fn page() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!(
        ".TH kube\\-router.toml 5 \"\" \"kube\\-router {version}\" \"kube\\-router\"\n\
         {INTRODUCTION}"
    );
    for section in config::sections() {
        push_section(&mut page, section);
    }
    page.push_str(".SH \"FROM THE FLAGS OF THE ORIGINAL\"\n");
    page.push_str("Where each flag of the container version 2.11 is found here.\n");
    for flag in config::FLAGS {
        push_flag(&mut page, flag);
    }
    page.push_str(".SH SEE ALSO\n.BR kube\\-router (8)\n");
    page
}

fn push_section(page: &mut String, section: &Section) {
    let name = section.name;
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        ".SH \"SECTION [{name}]\"\n{}\n",
        literal(section.prose)
    );
    for key in section.keys.iter().filter(|key| key.is_read()) {
        push_key(page, key);
    }
    let later: Vec<&str> = section
        .keys
        .iter()
        .filter(|key| !key.is_read())
        .map(Key::name)
        .collect();
    if !later.is_empty() {
        let later = literal(&later.join(", "));
        let _ = write!(
            page,
            ".PP\nKnown, but not part of this version; setting one is an error: "
        );
        let _ = writeln!(page, "{later}.");
    }
}

fn push_key(page: &mut String, key: &Key) {
    let (name, default) = (key.name(), literal(key.default));
    if let Kind::Tables(fields) = key.kind {
        let _ = write!(page, ".TP\n.B [[{}]]\n{}\n", key.path, literal(key.prose));
        let _ = writeln!(page, ".RS");
        for field in fields {
            push_field(page, field);
        }
        let _ = writeln!(page, ".RE");
        return;
    }
    let _ = write!(
        page,
        ".TP\n.BR {name} \" = {}\"\n",
        default.replace('"', "\\(dq")
    );
    let _ = writeln!(page, "{}", literal(key.prose));
    let _ = match key.status {
        Status::Switch(part) => {
            writeln!(
                page,
                "Only false is accepted: {} is not part of this version.",
                literal(part)
            )
        }
        Status::InForce | Status::Later(_) => match key.kind {
            Kind::Bool => Ok(()),
            kind => writeln!(page, "Expected: {}.", literal(&kind.expected())),
        },
    };
}

fn push_field(page: &mut String, field: &Field) {
    let absent = match field.absent {
        Absent::Refused => "Required.".to_owned(),
        Absent::Means(words) => format!("Left out: {words}."),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        page,
        ".TP\n.B {}\n{} {}",
        field.name,
        literal(field.prose),
        literal(&absent)
    );
    if field.kind != Kind::Bool {
        let _ = writeln!(page, "Expected: {}.", literal(&field.kind.expected()));
    }
}

fn push_flag(page: &mut String, flag: &Flag) {
    let (place, colon) = match flag.place {
        Place::Key(key) => (format!("\\fB{}\\fR", literal(key)), "; "),
        Place::Command(command) => (literal(command), "; "),
        Place::Nowhere(why) => (format!("nothing: {}", literal(why)), "; "),
    };
    let note = match flag.note {
        "" => String::new(),
        note => format!("{colon}{}", literal(note)),
    };
    let _ = write!(
        page,
        ".TP\n.B \\-\\-{}\n{place}{note}\n",
        literal(flag.name)
    );
}
