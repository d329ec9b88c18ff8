//! The local socket: its file, who may open it, and the one before it.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::{fs, process};

use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tracing::debug;

/// For the owner and the group.
const MODE: u32 = 0o660;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;
/// Where groups are listed.
const GROUPS: &str = "/etc/group";

/// The local socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("{}: another kube-router answers there", .0.display())]
    Taken(PathBuf),
    #[error("{}: in the way, and no socket; remove it or set control.socket", .0.display())]
    NoSocket(PathBuf),
    #[error("{}: cannot {what}", path.display())]
    System {
        path: PathBuf,
        what: &'static str,
        source: io::Error,
    },
}

/// Opens the socket at `path` for its owner and the members of `group`. Nobody finds it before mode
/// and group are set. What a dead daemon left there is replaced; a group that does not exist, or
/// that may not be given away, is left out.
///
/// # Errors
/// Where somebody answers at `path`, where something else lies there, or where the system refuses.
pub async fn bind_local(path: &Path, group: &str) -> Result<UnixListener, SocketError> {
    make_room(path).await?;
    let mut name = OsString::from(path);
    name.push(format!(".{}", process::id()));
    let new = PathBuf::from(name);
    // Of an earlier process with the same number.
    let _ = fs::remove_file(&new);
    let listener = open(&new, group).and_then(|listener| {
        fs::rename(&new, path).map_err(failed(path, "be put there"))?;
        Ok(listener)
    });
    if listener.is_err() {
        let _ = fs::remove_file(&new);
    }
    listener
}

fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> SocketError {
    let path = path.to_owned();
    move |source| SocketError::System { path, what, source }
}

/// Sees that nobody lives at `path`.
async fn make_room(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NoSocket(path.to_owned()));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(path, "be looked at")(error)),
    }
    match UnixStream::connect(path).await {
        // A full queue belongs to somebody, too.
        Ok(_) => Err(SocketError::Taken(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(SocketError::Taken(path.to_owned()))
        }
        Err(error)
            if [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound]
                .contains(&error.kind()) =>
        {
            Ok(())
        }
        Err(error) => Err(failed(path, "be asked whether somebody answers")(error)),
    }
}

fn open(path: &Path, group: &str) -> Result<UnixListener, SocketError> {
    let socket = UnixSocket::new_stream().map_err(failed(path, "be made"))?;
    socket.bind(path).map_err(failed(path, "be made"))?;
    let mode = fs::Permissions::from_mode(MODE);
    fs::set_permissions(path, mode).map_err(failed(path, "get its mode"))?;
    if let Some(gid) = gid_of(&fs::read_to_string(GROUPS).unwrap_or_default(), group)
        && let Err(error) = chown(path, None, Some(gid))
    {
        debug!(%error, group, "the local socket stays with its owner's group");
    }
    socket
        .listen(BACKLOG)
        .map_err(failed(path, "be listened at"))
}

/// The number of a group in the text of `/etc/group` (`group(5)`).
fn gid_of(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(name);
        is_it.then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::gid_of;

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let groups =
            "root:x:0:\nkube-router-old:x:7:\nkube-router:x:990:ann,bob\nbad\nworse:x:y:\n";
        assert_eq!(gid_of(groups, "kube-router"), Some(990));
        assert_eq!(gid_of(groups, "root"), Some(0));
        for none in ["kube", "bad", "worse", "router", ""] {
            assert_eq!(gid_of(groups, none), None, "{none}");
        }
    }
}
