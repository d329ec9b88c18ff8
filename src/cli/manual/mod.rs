//! The manual pages, made from the command line's definition and the configuration's schema.

mod daemon;
mod settings;

use std::fs;
use std::io::{self, Write};

use super::args::{ManArgs, Page};
use super::exit::Exit;

/// `man`: one page to `out`, or all of them into a directory.
///
/// # Errors
/// When nothing can be written.
pub fn man(args: &ManArgs, out: &mut dyn Write) -> io::Result<Exit> {
    match &args.dir {
        None => out.write_all(text(args.page)?.as_bytes())?,
        Some(directory) => {
            for page in Page::ALL {
                fs::write(directory.join(page.file_name()), text(page)?)?;
            }
        }
    }
    Ok(Exit::Success)
}

fn text(page: Page) -> io::Result<String> {
    match page {
        Page::Daemon => daemon::page(),
        Page::Settings => Ok(settings::page()),
    }
}

/// Text as it stands, whatever roff would make of it.
fn literal(text: &str) -> String {
    let text = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    match text.starts_with('.') {
        true => format!("\\&{text}"),
        false => text,
    }
}
