//! The Unix socket of the local services. Whoever may open it may act as the business system and as
//! the operator, so it is never open to others, not even for the moment between its making and a
//! change of mode.

use std::fs::{DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::both;
use crate::console::Failure;

const SOCKET_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// A listening socket. Dropping it removes the file.
#[derive(Debug)]
pub struct LocalSocket {
    /// Accepts connections.
    pub listener: UnixListener,
    /// Removes the file.
    pub guard: SocketFile,
}

/// The file of a socket that this process made.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be gone already; the next start removes what stays.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Makes the socket at `path`, readable and writable by this user alone. A socket that is there
/// already is replaced when nobody answers on it.
///
/// The socket is made in a new folder of mode 0700 beside its place, gets its mode there, and is moved
/// to its place by a rename: at no time can another user connect. A crash in between leaves the
/// folder, which the next start with the same process id removes.
///
/// # Errors
/// When somebody answers there, when something else than a socket is there, or the system refuses.
pub async fn listen(path: &Path) -> Result<LocalSocket, Failure> {
    let shown = path.display();
    refuse_unless_free(path).await?;
    let folder = path.with_file_name(format!(".s{:x}", std::process::id()));
    let made = folder.join("s");
    let attempt = || -> std::io::Result<LocalSocket> {
        let _ = std::fs::remove_file(&made);
        let _ = std::fs::remove_dir(&folder);
        DirBuilder::new().mode(FOLDER_MODE).create(&folder)?;
        let listener = UnixListener::bind(&made)?;
        std::fs::set_permissions(&made, Permissions::from_mode(SOCKET_MODE))?;
        std::fs::rename(&made, path)?;
        Ok(LocalSocket { listener, guard: SocketFile(path.to_owned()) })
    };
    let outcome = attempt();
    let _ = std::fs::remove_file(&made);
    let _ = std::fs::remove_dir(&folder);
    outcome.map_err(|error| {
        Failure::system(both!(
            "建不了本地套接字 {shown}:{error}；请核对 local.socket 的上级目录及其权限。",
            "cannot make the local socket {shown}: {error}; check the folder of local.socket and its permissions."
        ))
    })
}

async fn refuse_unless_free(path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    let is_socket = match std::fs::symlink_metadata(path) {
        Ok(found) => found.file_type().is_socket(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(Failure::system(both!("看不了 {shown}:{error}", "cannot look at {shown}: {error}")));
        }
    };
    if !is_socket {
        return Err(Failure::input(both!(
            "{shown} 已存在且不是套接字；请改 local.socket 或移走该文件。",
            "{shown} exists and is not a socket; change local.socket or move the file away."
        )));
    }
    match UnixStream::connect(path).await {
        // Left over by a process that is gone.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(Failure::input(both!(
            "已有节点在 {shown} 上应答；同一配置只能运行一个节点。",
            "a node answers at {shown} already; one configuration runs one node."
        ))),
        Err(error) => Err(Failure::system(both!(
            "无法确认 {shown} 是否有节点在用（{error}）。",
            "cannot tell whether a node uses {shown} ({error})."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_the_owners_alone_and_goes_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.sock");
        let socket = listen(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        UnixStream::connect(&path).await.unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else stays");
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_answers_is_not_taken_and_a_stale_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.sock");
        let LocalSocket { listener, guard } = listen(&path).await.unwrap();
        assert_eq!(listen(&path).await.unwrap_err().exit, 3);
        std::mem::forget(guard);
        drop(listener);
        assert!(path.exists(), "a crash leaves the file");
        listen(&path).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_in_the_place_of_the_socket_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.sock");
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(listen(&path).await.unwrap_err().exit, 3);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
