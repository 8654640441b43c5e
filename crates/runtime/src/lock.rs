//! A directory that one process at a time may use.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// The lock's file within the directory. It holds the number of the process that has it.
const FILE: &str = "lock";

/// How long a lock is waited for whose holder is gone while what it started is still ending.
const DEAD_HOLDER_WAIT: Duration = Duration::from_secs(5);

/// The right to use a directory, until dropped; and until every process that inherited its file
/// has ended.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
}

/// A directory couldn't be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{directory} is in use{}", holder.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The process that has it, if it said so.
        holder: Option<i32>,
    },
    /// The operating system refused.
    #[error("can't lock {directory}: {cause}")]
    Io {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        cause: io::Error,
    },
}

impl DirectoryLock {
    /// Takes the lock of that directory, which must exist. Waits a few seconds only when the
    /// process that had it is gone.
    pub fn take(directory: &Path) -> Result<DirectoryLock, LockError> {
        let failed = |cause| LockError::Io {
            directory: directory.to_owned(),
            cause,
        };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let mut writable = options.open(directory.join(FILE)).map_err(failed)?;
        // Whoever inherits the lock can't write to its file.
        let mut file = File::open(directory.join(FILE)).map_err(failed)?;
        let begun = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(cause) => return Err(failed(cause.into())),
            }
            let holder = read_holder(&mut file).map_err(failed)?;
            if begun.elapsed() > DEAD_HOLDER_WAIT || holder.is_none_or(is_alive) {
                return Err(LockError::InUse {
                    directory: directory.to_owned(),
                    holder,
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        write_holder(&mut writable).map_err(failed)?;
        Ok(DirectoryLock { file })
    }

    /// The process that has the directory now, if one does.
    pub fn holder(directory: &Path) -> Option<i32> {
        let mut file = File::open(directory.join(FILE)).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(rustix::io::Errno::WOULDBLOCK) => read_holder(&mut file).ok()?,
            _ => None,
        }
    }
}

impl AsFd for DirectoryLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn read_holder(file: &mut File) -> io::Result<Option<i32>> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text.trim().parse().ok())
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.rewind()?;
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn is_alive(process: i32) -> bool {
    let Some(process) = rustix::process::Pid::from_raw(process) else {
        return false;
    };
    let gone = rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH);
    !gone && !is_zombie(process)
}

/// Has it ended, and only its parent hasn't noticed? (proc_pid_stat(5): the state follows the
/// name, which is in parentheses.)
fn is_zombie(process: rustix::process::Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ");
    after_name.is_some_and(|(_, rest)| rest.starts_with('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_directory_names_its_holder_and_is_free_after() {
        let directory = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::take(directory.path()).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(DirectoryLock::holder(directory.path()), Some(own));
        let error = DirectoryLock::take(directory.path()).unwrap_err();
        assert!(error.to_string().contains(&own.to_string()), "{error}");
        drop(lock);
        assert_eq!(DirectoryLock::holder(directory.path()), None);
        DirectoryLock::take(directory.path()).unwrap();
    }
}
