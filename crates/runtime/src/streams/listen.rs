//! A Unix socket that stands for a target at a peer.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use link::{MAXIMUM_TARGET, StreamExchange};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use types::SiteId;

use super::relay::relay;

/// The name of a socket of PostgreSQL's: `host` is its directory then, and `port` 5432.
const SOCKET: &str = ".s.PGSQL.5432";

/// The longest path of a Unix socket (`unix(7)`: 108 bytes with the NUL behind it).
const MAX_PATH: usize = 107;

/// How long accepting rests when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Whose a socket and its directory are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketOwner {
    /// The user.
    pub user: u32,
    /// The group.
    pub group: u32,
}

/// A socket can't be made.
#[derive(Debug, thiserror::Error)]
pub enum StreamPortError {
    /// There is no link to that peer.
    #[error("there is no link to site {}", .0.0)]
    Peer(SiteId),
    /// The target is empty or too long.
    #[error("a stream's target has 1 to {MAXIMUM_TARGET} bytes")]
    Target,
    /// A Unix socket's path can't be as long.
    #[error("{} is longer than a socket's path may be, {MAX_PATH} bytes", .0.display())]
    Path(PathBuf),
    /// There is something else where the socket would be.
    #[error("{} is there, and no socket", .0.display())]
    Taken(PathBuf),
    /// The operating system refused.
    #[error("can't listen at {}: {cause}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
}

/// A socket that stands for a target at a peer. When it is dropped, it is gone, and its connections
/// end.
#[derive(Debug)]
pub struct StreamPort {
    directory: PathBuf,
    path: PathBuf,
    _accepting: JoinSet<()>,
}

impl StreamPort {
    pub(super) fn listen(
        exchange: Arc<StreamExchange>,
        target: &str,
        directory: &Path,
        owner: Option<SocketOwner>,
    ) -> Result<StreamPort, StreamPortError> {
        if !(1..=MAXIMUM_TARGET).contains(&target.len()) {
            return Err(StreamPortError::Target);
        }
        let path = directory.join(SOCKET);
        if path.as_os_str().len() > MAX_PATH {
            return Err(StreamPortError::Path(path));
        }
        let failed = |cause| {
            let path = path.clone();
            match cause {
                None => StreamPortError::Taken(path),
                Some(cause) => StreamPortError::Io { path, cause },
            }
        };
        prepare(directory, &path, owner).map_err(failed)?;
        let listener = bind(&path, owner).map_err(|cause| failed(Some(cause)))?;
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, exchange, target.to_owned()));
        Ok(StreamPort {
            directory: directory.to_owned(),
            path,
            _accepting: accepting,
        })
    }

    /// The directory that the socket is in: a connection string's `host`.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for StreamPort {
    fn drop(&mut self) {
        if let Err(cause) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %cause, "a socket was gone already");
        }
        // Only if nothing else is in it.
        if let Err(cause) = fs::remove_dir(&self.directory) {
            let directory = self.directory.display();
            tracing::debug!(%directory, %cause, "a socket's directory is left");
        }
    }
}

/// The directory, its owner's alone, without what an earlier run left there. `None` as an error:
/// what is there is no socket.
fn prepare(
    directory: &Path,
    path: &Path,
    owner: Option<SocketOwner>,
) -> Result<(), Option<io::Error>> {
    let made = DirBuilder::new().mode(0o700).create(directory);
    match made {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            fs::set_permissions(directory, Permissions::from_mode(0o700))?;
        }
        made => made?,
    }
    give(directory, owner)?;
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => Ok(fs::remove_file(path)?),
        Ok(_) => Err(None),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(Some(cause)),
    }
}

fn bind(path: &Path, owner: Option<SocketOwner>) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    give(path, owner)?;
    Ok(listener)
}

fn give(path: &Path, owner: Option<SocketOwner>) -> io::Result<()> {
    match owner {
        Some(owner) => chown(path, Some(owner.user), Some(owner.group)),
        None => Ok(()),
    }
}

async fn accept(listener: UnixListener, exchange: Arc<StreamExchange>, target: String) {
    // Ends its connections with itself.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => open(&mut connections, stream, &exchange, &target),
            Err(cause) => {
                tracing::warn!(%cause, target, "a stream's connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn open(
    connections: &mut JoinSet<()>,
    stream: UnixStream,
    exchange: &Arc<StreamExchange>,
    target: &str,
) {
    match exchange.open(target) {
        Ok(end) => {
            connections.spawn(relay(stream, end));
        }
        // Its connection is closed at once: whoever made it tries again, as after any end.
        Err(cause) => tracing::debug!(peer = %exchange.peer(), target, %cause, "no stream"),
    }
}
