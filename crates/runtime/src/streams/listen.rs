//! A Unix socket that stands for a target at a peer.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use link::{MAXIMUM_TARGET, StreamExchange};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use types::SiteId;

use super::relay::relay;

/// The name of a socket of PostgreSQL's: `host` is its directory then, and `port` 5432.
const SOCKET: &str = ".s.PGSQL.5432";

/// The longest path of a Unix socket (`unix(7)`: 108 bytes with the NUL behind it).
const MAX_PATH: usize = 107;

/// How a directory is opened: itself, and no link to one.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

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
    /// There is something else where the socket or its directory would be.
    #[error("{} is there, or its directory holds something else than a socket", .0.display())]
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
        let listener = prepare(directory, &path, owner).map_err(failed)?;
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
        remove(&self.path, &self.directory);
    }
}

fn remove(path: &Path, directory: &Path) {
    if let Err(cause) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %cause, "a socket was gone already");
    }
    // Only if nothing else is in it.
    if let Err(cause) = fs::remove_dir(directory) {
        let directory = directory.display();
        tracing::debug!(%directory, %cause, "a socket's directory is left");
    }
}

/// A socket in a directory of its own that is this process's alone. When it is dropped, both are
/// gone.
pub(crate) struct SocketPlace {
    directory: PathBuf,
    path: PathBuf,
}

impl SocketPlace {
    /// Makes it, in the place of what an earlier run left.
    pub(crate) fn prepare(directory: &Path) -> io::Result<(SocketPlace, UnixListener)> {
        let path = directory.join(SOCKET);
        if path.as_os_str().len() > MAX_PATH {
            return Err(io::Error::other(StreamPortError::Path(path)));
        }
        let taken = || io::Error::other(StreamPortError::Taken(path.clone()));
        let listener = prepare(directory, &path, None);
        let listener = listener.map_err(|cause| cause.unwrap_or_else(taken))?;
        let directory = directory.to_owned();
        Ok((SocketPlace { directory, path }, listener))
    }

    /// The socket.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        remove(&self.path, &self.directory);
    }
}

/// The listener, in a directory made anew that is its owner's alone. The directory is handed over
/// last and by its descriptor: until then only this process's user writes to it, so that no path
/// in it leads elsewhere. `None` as an error: what is there is no socket's directory.
fn prepare(
    directory: &Path,
    path: &Path,
    owner: Option<SocketOwner>,
) -> Result<UnixListener, Option<io::Error>> {
    clear(directory)?;
    DirBuilder::new().mode(0o700).create(directory)?;
    let opened = rustix::fs::open(directory, DIRECTORY, Mode::empty()).map_err(io::Error::from)?;
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    if let Some(owner) = owner {
        lchown(path, Some(owner.user), Some(owner.group))?;
        let user = Uid::from_raw(owner.user);
        let group = Gid::from_raw(owner.group);
        rustix::fs::fchown(&opened, Some(user), Some(group)).map_err(io::Error::from)?;
    }
    Ok(listener)
}

/// Takes away what an earlier run left: a directory with a socket in it and nothing else.
fn clear(directory: &Path) -> Result<(), Option<io::Error>> {
    let opened = match rustix::fs::open(directory, DIRECTORY, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(()),
        // A link, or no directory.
        Err(Errno::NOTDIR | Errno::LOOP) => return Err(None),
        Err(cause) => return Err(Some(cause.into())),
    };
    match rustix::fs::statat(&opened, SOCKET, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) != FileType::Socket => {
            return Err(None);
        }
        Ok(_) => {
            let removed = rustix::fs::unlinkat(&opened, SOCKET, AtFlags::empty());
            removed.map_err(io::Error::from)?;
        }
        Err(Errno::NOENT) => {}
        Err(cause) => return Err(Some(cause.into())),
    }
    match fs::remove_dir(directory) {
        Err(cause) if cause.kind() == io::ErrorKind::DirectoryNotEmpty => Err(None),
        removed => Ok(removed?),
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
            connections.spawn(async move { relay(stream.into_split(), &end).await });
        }
        // Its connection is closed at once: whoever made it tries again, as after any end.
        Err(cause) => tracing::debug!(peer = %exchange.peer(), target, %cause, "no stream"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[tokio::test]
    async fn a_socket_stands_alone_in_a_directory_that_is_made_anew() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("it.up");
        let path = directory.join(SOCKET);
        let first = prepare(&directory, &path, None).unwrap();
        let made = fs::metadata(&directory).unwrap();
        // As a process that was killed leaves it.
        drop(first);
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        let _second = prepare(&directory, &path, None).unwrap();
        assert_eq!((mode(&directory), mode(&path)), (0o700, 0o600));
        let anew = fs::metadata(&directory).unwrap();
        let times = |it: &fs::Metadata| (it.ino(), it.ctime(), it.ctime_nsec());
        assert_ne!(times(&made), times(&anew));
    }

    #[tokio::test]
    async fn nothing_that_others_put_there_is_followed_or_used() {
        let parent = tempfile::tempdir().unwrap();
        let victim = parent.path().join("victim");
        fs::write(&victim, "").unwrap();
        fs::set_permissions(&victim, Permissions::from_mode(0o644)).unwrap();
        let elsewhere = parent.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::set_permissions(&elsewhere, Permissions::from_mode(0o755)).unwrap();
        let directory = parent.path().join("it.up");
        let path = directory.join(SOCKET);
        let refused = || {
            let prepared = prepare(&directory, &path, None);
            assert!(matches!(prepared, Err(None)), "{prepared:?}");
        };
        // A directory that is a link.
        symlink(&elsewhere, &directory).unwrap();
        refused();
        assert_eq!(mode(&elsewhere), 0o755);
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        fs::remove_file(&directory).unwrap();
        // A link where the socket is to be.
        fs::create_dir(&directory).unwrap();
        symlink(&victim, &path).unwrap();
        refused();
        assert_eq!(mode(&victim), 0o644);
        fs::remove_file(&path).unwrap();
        // Anything beside it.
        fs::write(directory.join("x"), "").unwrap();
        refused();
    }
}
