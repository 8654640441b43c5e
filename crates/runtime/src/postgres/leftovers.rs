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

/// The kernel's table of shared memory.
const SEGMENTS: &str = "/proc/sysvipc/shm";

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
/// keeps until someone does. Only after [`kill`]. After a restart of the machine its number may be
/// another program's: only what has the same key as well, is the server's user's and is used by
/// nobody goes.
pub(super) fn release_memory(data: &OwnedFd) -> io::Result<()> {
    let Some(text) = files::read_in(data, PID_FILE, 4096)? else {
        return Ok(());
    };
    let Some(segment) = segment_of(&String::from_utf8_lossy(&text)) else {
        return Ok(());
    };
    let table = match std::fs::read_to_string(SEGMENTS) {
        Ok(table) => table,
        // A kernel without such memory.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause),
    };
    if !is_orphan(&table, segment, rustix::fs::fstat(data)?.st_uid) {
        return Ok(());
    }
    let status = Command::new("ipcrm")
        .args(["-m", &segment.number.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if let Err(cause) = status {
        tracing::warn!(%cause, "the shared memory of a killed server can't be removed");
    }
    Ok(())
}

/// A piece of shared memory, as its server made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Segment {
    key: i32,
    number: i32,
}

/// The seventh line of `postmaster.pid` is the segment's key and number (utils/pidfile.h), each an
/// `int` that is printed as an `unsigned long`.
fn segment_of(text: &str) -> Option<Segment> {
    let line = text.lines().nth(6)?;
    let mut words = line.split_whitespace();
    let mut word = || {
        let printed: u64 = words.next()?.parse().ok()?;
        i32::try_from(printed.cast_signed()).ok()
    };
    Some(Segment {
        key: word()?,
        number: word()?,
    })
}

/// Is it in the kernel's table (proc_sysvipc(5)), of that user, and used by nobody?
fn is_orphan(table: &str, segment: Segment, user: u32) -> bool {
    let mut lines = table.lines();
    let Some(header) = lines.next() else {
        return false;
    };
    let headings: Vec<&str> = header.split_whitespace().collect();
    lines.any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let has = |heading: &str, value: i64| {
            let place = headings.iter().position(|it| *it == heading);
            let word = place.and_then(|place| words.get(place));
            word.and_then(|word| word.parse().ok()) == Some(value)
        };
        has("key", segment.key.into())
            && has("shmid", segment.number.into())
            && has("nattch", 0)
            && has("uid", user.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segment_is_found_in_a_lock_file_that_is_whole() {
        let text = "4711\n/data\n1764417600\n5432\n/run\n\n  6041234   32769\nready   \n";
        let segment = |key, number| Some(Segment { key, number });
        assert_eq!(segment_of(text), segment(6041234, 32769));
        // An inode's number, of which a key is made, may be one that is negative as an `int`.
        let negative = text.replace("  6041234", "18446744073709551614");
        assert_eq!(segment_of(&negative), segment(-2, 32769));
        assert_eq!(segment_of("4711\n/data\n"), None);
        assert_eq!(segment_of("1\n2\n3\n4\n5\n6\nx y\n"), None);
    }

    #[test]
    fn only_memory_that_is_the_server_s_and_nobody_uses_is_removed() {
        let table = "       key      shmid perms                  size  cpid  lpid nattch   uid   \
                     gid  cuid  cgid      atime      dtime      ctime                   rss      \
                     swap\n   6041234          1   600    56  77  77  0  104  110  104  110  1  2  \
                     1   4096   0\n        -2          0   600    56  77  77  2  104  110  104  \
                     110  1  2  1   4096   0\n";
        let held = |key, number, user| is_orphan(table, Segment { key, number }, user);
        assert!(held(6041234, 1, 104));
        // The number is another's by now, as after a restart of the machine.
        assert!(!held(6041235, 1, 104));
        assert!(!held(6041234, 0, 104));
        assert!(!held(6041234, 1, 0), "another user's");
        assert!(!held(-2, 0, 104), "it is in use");
        assert!(!is_orphan("", Segment { key: 0, number: 0 }, 0));
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
