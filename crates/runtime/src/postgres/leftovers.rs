//! What servers leave when they are killed: processes that have yet to notice, and a piece of
//! shared memory. Only processes named `postgres` whose working directory is the data directory
//! are touched: every process of a server stands there, and nobody else may enter it but root.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::files;

/// How long the kernel may take to end what was killed.
const WAIT: Duration = Duration::from_secs(10);

/// The file of the data directory that names its postmaster.
const PID_FILE: &str = "postmaster.pid";

/// Kills every process of the server with that data directory, and waits until none is left.
pub(super) fn kill(data: &OwnedFd) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        let found = processes(data)?;
        if found.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > WAIT {
            let message = format!("processes of a server don't end: {found:?}");
            return Err(io::Error::other(message));
        }
        for process in found.into_iter().filter_map(Pid::from_raw) {
            // It may have ended just now.
            kill_process(process, Signal::KILL).ok();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes of the server with that data directory.
fn processes(data: &OwnedFd) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let is_postgres = || {
            let name = std::fs::read(format!("/proc/{number}/comm"));
            name.is_ok_and(|name| name == b"postgres\n")
        };
        if files::is_same(data, &format!("/proc/{number}/cwd")) && is_postgres() {
            found.push(number);
        }
    }
    Ok(found)
}

/// Removes the lock file of a postmaster that is gone: the number in it may be another process's
/// by now, and then PostgreSQL would refuse to start. Only after [`kill`].
pub(super) fn forget_postmaster(data: &OwnedFd) -> io::Result<()> {
    release_memory(data)?;
    files::remove_in(data, PID_FILE)
}

/// Removes the shared memory that the lock file of a killed postmaster names, which the kernel
/// keeps until someone does. Only after [`kill`].
pub(super) fn release_memory(data: &OwnedFd) -> io::Result<()> {
    let Some(text) = files::read_in(data, PID_FILE, 4096)? else {
        return Ok(());
    };
    let Some(segment) = segment_of(&String::from_utf8_lossy(&text)) else {
        return Ok(());
    };
    // It may be gone: after a restart of the machine there is none.
    let status = Command::new("ipcrm")
        .args(["-m", &segment.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if let Err(cause) = status {
        tracing::warn!(%cause, "the shared memory of a killed server can't be removed");
    }
    Ok(())
}

/// The seventh line of `postmaster.pid` is the segment's key and number (utils/pidfile.h).
fn segment_of(text: &str) -> Option<u32> {
    let line = text.lines().nth(6)?;
    let mut words = line.split_whitespace();
    words.next()?.parse::<u32>().ok()?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segment_is_found_in_a_lock_file_that_is_whole() {
        let text = "4711\n/data\n1764417600\n5432\n/run\n\n  6041234   32769\nready   \n";
        assert_eq!(segment_of(text), Some(32769));
        assert_eq!(segment_of("4711\n/data\n"), None);
        assert_eq!(segment_of("1\n2\n3\n4\n5\n6\nx y\n"), None);
    }

    #[test]
    fn nobody_else_is_taken_for_a_server() {
        let directory = tempfile::tempdir().unwrap();
        let mut sleeper = Command::new("sleep")
            .arg("100")
            .current_dir(directory.path())
            .spawn()
            .unwrap();
        let data = files::open_directory(directory.path()).unwrap();
        assert_eq!(processes(&data).unwrap(), Vec::<i32>::new());
        kill(&data).unwrap();
        assert!(sleeper.try_wait().unwrap().is_none());
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
}
