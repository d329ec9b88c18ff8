//! The shipped file `etc/config.toml`: every key, commented out, at its default.

use super::schema::{self, Absent, Field, Key, Kind, Section, Status};

/// Width of a line of prose, its `# ` included.
const WIDTH: usize = 84;

const HEAD: &str = "\
Configuration of kube-router. Every key is listed here, commented out, at its default; remove \
the \"#\" to change one. Manual: kube-router.toml(5).

Files config.d/*.toml beside this one override it, in the order of their names; environment \
variables KUBE_ROUTER_SECTION__KEY override those, and command-line flags override everything. A \
list replaces the list of an earlier file. Check with \"kube-router check-config\", apply with \
\"systemctl reload kube-router\".";

const MISSING_SECTION: &str = "\
This version lacks this part: only \"enabled = false\" is accepted, any other key is an error.";

const MISSING_KEY: &str = "Not in this version: setting it is an error.";

/// The text of the shipped file.
#[must_use]
pub fn example() -> String {
    let mut out = String::new();
    for (index, paragraph) in HEAD.split("\n\n").enumerate() {
        if index > 0 {
            out.push_str("#\n");
        }
        push_prose(&mut out, paragraph);
    }
    for section in schema::sections() {
        push_section(&mut out, section);
    }
    out
}

fn push_section(out: &mut String, section: &Section) {
    out.push_str(&format!("\n[{}]\n", section.name));
    push_prose(out, section.prose);
    let is_missing = |key: &Key| key.status != Status::InForce;
    let is_whole = section.keys.iter().all(is_missing);
    if is_whole {
        push_prose(out, MISSING_SECTION);
    }
    for key in section.keys {
        out.push('\n');
        push_prose(out, key.prose);
        if is_missing(key) && !is_whole {
            push_prose(out, MISSING_KEY);
        }
        match key.kind {
            Kind::Tables(fields) => push_table(out, key, fields),
            _ => out.push_str(&format!("#{} = {}\n", key.name(), key.default)),
        }
    }
}

/// One table with all its fields, each at its example.
fn push_table(out: &mut String, key: &Key, fields: &[Field]) {
    out.push_str(&format!("#[[{}]]\n", key.path));
    for field in fields {
        out.push('\n');
        let absent = match field.absent {
            Absent::Refused => "Required.".to_owned(),
            Absent::Means(words) => format!("Left out: {words}."),
        };
        push_prose(out, &format!("{} {absent}", field.prose));
        out.push_str(&format!("#{} = {}\n", field.name, field.example));
    }
}

/// Prose as comment lines.
fn push_prose(out: &mut String, prose: &str) {
    let mut line = String::from("#");
    for word in prose.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}
