//! The CNI configuration on disk.
//!
//! Runtimes read files of a directory whose names end in `.conf`, `.conflist` or `.json`, at any
//! moment: a file is replaced by renaming, and put aside under a name that none of them reads.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::routing::change::CniFile;

/// What a name ends in that no runtime reads.
const WITHHELD: &str = ".withheld";
const PARTIAL: &str = ".partial";

/// The file and the one that was put aside.
///
/// # Errors
/// Where one that is there can't be read.
pub(super) fn read(file: &Path) -> io::Result<CniFile> {
    Ok(CniFile {
        text: read_one(file)?,
        withheld: read_one(&named(file, WITHHELD))?,
    })
}

/// Puts the file aside.
///
/// # Errors
/// As the file system has them.
pub(super) fn withhold(file: &Path) -> io::Result<()> {
    fs::rename(file, named(file, WITHHELD))?;
    sync_directory(file)
}

/// Replaces the file in one step, readable for all, and forgets the one that was put aside.
///
/// # Errors
/// As the file system has them; the old file stays whole.
pub(super) fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let partial = named(file, PARTIAL);
    // One that an earlier run was stopped in the midst of.
    forget(&partial)?;
    let written = write_new(&partial, text).and_then(|()| fs::rename(&partial, file));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written?;
    sync_directory(file)?;
    forget(&named(file, WITHHELD))
}

fn write_new(file: &Path, text: &str) -> io::Result<()> {
    let mut opened = OpenOptions::new().write(true).create_new(true).open(file)?;
    opened.set_permissions(Permissions::from_mode(0o644))?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()
}

/// A rename lasts when its directory does.
fn sync_directory(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn read_one(file: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn forget(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn named(file: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_put_aside_and_brought_back() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("net.d/10-kuberouter.conflist");
        assert_eq!(read(&file).unwrap(), CniFile::default());
        write(&file, "{1}").unwrap();
        // Whoever has it open goes on reading the old one.
        let mut old = File::open(&file).unwrap();
        fs::write(named(&file, PARTIAL), "{half").unwrap();
        write(&file, "{2}").unwrap();
        assert_eq!(io::read_to_string(&mut old).unwrap(), "{1}");
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o644
        );
        withhold(&file).unwrap();
        let aside = CniFile {
            text: None,
            withheld: Some("{2}".to_owned()),
        };
        assert_eq!(read(&file).unwrap(), aside);
        let names = || {
            let entries = fs::read_dir(file.parent().unwrap()).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(), ["10-kuberouter.conflist.withheld"]);
        write(&file, "{3}").unwrap();
        assert_eq!(names(), ["10-kuberouter.conflist"]);
        assert_eq!(read(&file).unwrap().text.as_deref(), Some("{3}"));
        assert!(withhold(&directory.path().join("none")).is_err());
    }
}
