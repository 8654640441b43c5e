//! The guard: a small process of its own that outlives the supervisor by the moment it takes to
//! kill every group the supervisor had, and to remove the directories it meant to be temporary. A
//! process that is killed can't clean up after itself, and the kernel's parent-death signal
//! reaches children but no grandchildren.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// How often a directory is removed that others may still write to while they are being killed ...
const REMOVALS: u32 = 50;

/// ... and how long after each other.
const BETWEEN_REMOVALS: Duration = Duration::from_millis(100);

/// The supervisor's end of the guard. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Guard(Arc<Mutex<Shared>>);

struct Shared {
    command: Command,
    held: std::os::fd::OwnedFd,
    groups: BTreeSet<i32>,
    directories: BTreeSet<PathBuf>,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Starts the guard: the program with these arguments must lead to [`guard_main`]. It keeps
    /// `held` open until its work is done: a lock in it is free only when every group is gone.
    pub fn start(
        program: &Path,
        arguments: &[OsString],
        held: BorrowedFd<'_>,
    ) -> io::Result<Guard> {
        let mut command = Command::new(program);
        command.args(arguments);
        let shared = Arc::new(Mutex::new(Shared {
            command,
            held: held.try_clone_to_owned()?,
            groups: BTreeSet::new(),
            directories: BTreeSet::new(),
            pipe: None,
        }));
        launch(&shared)?;
        Ok(Guard(shared))
    }

    /// From here on the directory is removed with all that is in it when this process ends,
    /// however it ends, after the groups were killed. The path must be absolute and one line.
    pub fn remove_at_end(&self, directory: &Path) -> io::Result<()> {
        let line = removal(directory).ok_or(io::ErrorKind::InvalidInput)?;
        let mut shared = lock(&self.0);
        shared.directories.insert(directory.to_owned());
        shared.tell(&line)
    }

    /// From here on the group is killed when this process ends, however it ends.
    pub(super) fn add(&self, group: Pid) -> io::Result<()> {
        let mut shared = lock(&self.0);
        shared.groups.insert(group.as_raw_nonzero().get());
        shared.tell(&format!("+{group}\n"))
    }

    /// The group is gone: its number may belong to others from here on.
    pub(super) fn remove(&self, group: Pid) -> io::Result<()> {
        let mut shared = lock(&self.0);
        shared.groups.remove(&group.as_raw_nonzero().get());
        shared.tell(&format!("-{group}\n"))
    }
}

impl Shared {
    /// A guard that was killed isn't told: the one that replaces it learns everything.
    fn tell(&mut self, line: &str) -> io::Result<()> {
        let pipe = self.pipe.as_mut().expect("a guard was started");
        match pipe.write_all(line.as_bytes()) {
            Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => Err(cause),
            _ => Ok(()),
        }
    }
}

fn launch(guard: &Arc<Mutex<Shared>>) -> io::Result<()> {
    let mut shared = lock(guard);
    let held = shared.held.try_clone()?;
    let mut process = shared
        .command
        .stdin(Stdio::piped())
        .stdout(Stdio::from(held))
        // Away from the terminal's signals: a Ctrl-C must not end it before its work.
        .process_group(0)
        .spawn()?;
    let mut pipe = process.stdin.take().expect("its stdin was asked for");
    for group in &shared.groups {
        writeln!(pipe, "+{group}")?;
    }
    for line in shared.directories.iter().filter_map(|path| removal(path)) {
        pipe.write_all(line.as_bytes())?;
    }
    shared.pipe = Some(pipe);
    let guard = Arc::downgrade(guard);
    std::thread::Builder::new()
        .name("guard".into())
        .stack_size(128 * 1024)
        .spawn(move || replace_when_ended(process, &guard))?;
    Ok(())
}

fn replace_when_ended(mut process: Child, guard: &Weak<Mutex<Shared>>) {
    if let Err(cause) = process.wait() {
        tracing::warn!(%cause, "the guard can't be waited for");
    }
    // With all its handles gone it ended because its work is done.
    let Some(guard) = guard.upgrade() else { return };
    tracing::warn!("the guard was killed: starting another");
    if let Err(cause) = launch(&guard) {
        tracing::error!(%cause, "the guard can't be started again");
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The line that tells the guard of a directory.
fn removal(directory: &Path) -> Option<String> {
    let path = directory.to_str()?;
    let fits = directory.is_absolute() && !path.contains('\n');
    fits.then(|| format!("/{path}\n"))
}

/// What the guard's process does: learns groups and directories from stdin, kills and removes all
/// that are left at its end.
pub fn guard_main() {
    let mut groups = BTreeSet::new();
    let mut directories = BTreeSet::new();
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Some((sign, number)) = line.split_at_checked(1) else {
            continue;
        };
        if sign == "/" {
            directories.insert(PathBuf::from(number));
            continue;
        }
        match (sign, number.parse::<i32>().ok().and_then(Pid::from_raw)) {
            ("+", Some(group)) => groups.insert(group.as_raw_nonzero().get()),
            ("-", Some(group)) => groups.remove(&group.as_raw_nonzero().get()),
            _ => continue,
        };
    }
    for group in groups.iter().filter_map(|number| Pid::from_raw(*number)) {
        // An error means that nobody is left in it, which is what is wanted.
        kill_process_group(group, Signal::KILL).ok();
    }
    directories.iter().for_each(|path| remove(path));
}

/// Again and again, since what was just killed may have been making files until now.
fn remove(directory: &Path) {
    for _ in 0..REMOVALS {
        std::fs::remove_dir_all(directory).ok();
        if !directory.exists() {
            return;
        }
        std::thread::sleep(BETWEEN_REMOVALS);
    }
}
