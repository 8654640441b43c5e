//! A process group: its leader started with a thread that keeps it, and the whole of it paused,
//! resumed, asked to end and killed. It speaks to nobody; a child with a pipe is `Child`.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, getppid, kill_process_group,
    set_parent_process_death_signal, waitid,
};
use tokio::sync::watch;

use super::guard::Guard;
use types::ByteSize;

/// A log larger than this is set aside when its process starts again.
const LOG_LIMIT: ByteSize = ByteSize::mib(16);

/// Who may read a log: its owner.
const LOG_MODE: u32 = 0o600;

/// How to start a program that nothing is said to over a pipe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgramSpec {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What is set in its environment, on top of this process's own; `None` takes a variable away.
    pub environment: Vec<(String, Option<OsString>)>,
    /// The file that what it writes to stdout and stderr is added to.
    pub log: PathBuf,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It exited with that code.
    Code(i32),
    /// That signal killed it.
    Signal(i32),
}

/// A running process that leads a group of its own.
///
/// The group is killed when this is dropped, when its leader ends, when the thread that keeps it
/// ends, and by the guard when this process is gone.
pub struct ProcessGroup {
    number: Pid,
    exit: watch::Receiver<Option<Exit>>,
}

/// The ends of the pipes to a process, of those that it was started with.
pub(crate) type Pipes = (Option<ChildStdin>, Option<ChildStdout>);

impl ProcessGroup {
    /// Starts a program in the current directory, with nothing to read on its stdin.
    pub fn spawn(spec: &ProgramSpec, guard: &Guard) -> io::Result<ProcessGroup> {
        let log = open_log(&spec.log)?;
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        for (name, value) in &spec.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let (group, _) = ProcessGroup::start(command, Some(guard))?;
        Ok(group)
    }

    /// Starts the command as the leader of a new group. Without a guard only the leader goes when
    /// this process is killed: whoever starts it so sees to what it starts.
    pub(crate) fn start(
        mut command: Command,
        guard: Option<&Guard>,
    ) -> io::Result<(ProcessGroup, Pipes)> {
        command.process_group(0);
        die_with_parent(&mut command);
        let (started, start) = mpsc::channel();
        let (ended, exit) = watch::channel(None);
        let guard = guard.cloned();
        // The parent-death signal is sent when the *thread* that started a process ends
        // (prctl(2)): this one stays until the leader is gone.
        std::thread::Builder::new()
            .name("keeper".into())
            .stack_size(128 * 1024)
            .spawn(move || match command.spawn() {
                Ok(mut process) => {
                    let pipes = (process.stdin.take(), process.stdout.take());
                    let group = group_of(&process);
                    let guarded = guard.as_ref().map_or(Ok(()), |guard| guard.add(group));
                    if started.send(guarded.map(|()| (group, pipes))).is_err() {
                        kill(group);
                    }
                    ended.send_replace(Some(keep(group, process, guard.as_ref())));
                }
                Err(cause) => drop(started.send(Err(cause))),
            })?;
        let (number, pipes) = start.recv().map_err(io::Error::other)??;
        Ok((ProcessGroup { number, exit }, pipes))
    }

    /// The number of its leader and of the group.
    pub fn id(&self) -> i32 {
        self.number.as_raw_nonzero().get()
    }

    /// Kills all of it at once, as a power cut would.
    pub fn kill(&self) {
        if !self.has_ended() {
            kill(self.number);
        }
    }

    /// Asks all of it to end (SIGTERM). What is paused hears it when it goes on.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Stops all of it where it stands, until [`ProcessGroup::resume`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets what is paused go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends the signal to all of it.
    pub(crate) fn signal(&self, signal: Signal) {
        if !self.has_ended()
            && let Err(cause) = kill_process_group(self.number, signal)
        {
            tracing::debug!(group = self.id(), %cause, "a group ended before its signal");
        }
    }

    /// Has its leader ended?
    pub(crate) fn has_ended(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// Waits until its leader is gone and the rest was killed, which the kernel may still be
    /// taking apart; gives how the leader ended.
    pub async fn ended(&self) -> Exit {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await;
        ended.map_or(Exit::Signal(Signal::KILL.as_raw()), |exit| {
            exit.expect("it was waited for")
        })
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Exit {
        match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or(0)),
        }
    }
}

/// The log of a process, to be added to. It is its owner's alone, also where it wasn't before: a
/// database server's quotes its users' rows.
pub(crate) fn open_log(path: &Path) -> io::Result<File> {
    let open = || {
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(LOG_MODE).open(path)
    };
    let log = open()?;
    let facts = log.metadata()?;
    if facts.is_file() && facts.permissions().mode() & 0o077 != 0 {
        log.set_permissions(Permissions::from_mode(LOG_MODE))?;
    }
    if facts.len() <= LOG_LIMIT.0 {
        return Ok(log);
    }
    std::fs::rename(path, path.with_extension("old"))?;
    open()
}

/// The kernel kills the leader when the thread that started it ends, also while it is paused.
#[expect(
    unsafe_code,
    reason = "std offers no other way to run code between fork and exec"
)]
fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the call above: then nobody would send the signal.
        if getppid() != Some(parent) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The closure makes
    // two system calls, allocates nothing and takes no lock; its error carries no allocation.
    unsafe {
        command.pre_exec(prepare);
    }
}

fn group_of(process: &std::process::Child) -> Pid {
    let number = i32::try_from(process.id()).expect("process numbers fit 22 bits on Linux");
    Pid::from_raw(number).expect("a child's number isn't 0")
}

/// Waits for the leader's end, then ends the rest of its group. The leader is reaped last: until
/// then the group's number can't be given to anyone else.
fn keep(group: Pid, mut process: std::process::Child, guard: Option<&Guard>) -> Exit {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(group), options) {}
    kill(group);
    if let Some(Err(cause)) = guard.map(|guard| guard.remove(group)) {
        tracing::warn!(%cause, "the guard can't be started again");
    }
    match process.wait() {
        Ok(status) => status.into(),
        Err(cause) => {
            tracing::warn!(%cause, "a child can't be waited for");
            Exit::Signal(0)
        }
    }
}

fn kill(group: Pid) {
    if let Err(cause) = kill_process_group(group, Signal::KILL) {
        tracing::debug!(%group, %cause, "a group was gone before it was killed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_its_owners_alone_also_one_that_was_not() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (
            directory.path().join("log"),
            directory.path().join("log.old"),
        );
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let log = open_log(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        log.set_permissions(Permissions::from_mode(0o644)).unwrap();
        open_log(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        log.set_permissions(Permissions::from_mode(0o644)).unwrap();
        log.set_len(LOG_LIMIT.0 + 1).unwrap();
        let fresh = open_log(&path).unwrap();
        assert_eq!((mode(&path), mode(&old)), (0o600, 0o600));
        assert_eq!(fresh.metadata().unwrap().len(), 0);
    }
}
