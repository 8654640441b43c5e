//! One child process and its group.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, getppid, kill_process_group,
    set_parent_process_death_signal, waitid,
};
use serde_json::Value;
use tokio::sync::watch;

use super::guard::Guard;
use super::pipe::{CallError, Caller};
use types::ByteSize;

/// A log larger than this is set aside when its process starts again.
const LOG_LIMIT: ByteSize = ByteSize::mib(16);

/// How to start a child.
#[derive(Clone, Debug)]
pub struct ChildSpec {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The file that what it writes to stderr is added to.
    pub log: PathBuf,
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It exited with that code.
    Code(i32),
    /// That signal killed it.
    Signal(i32),
}

/// A running child, the leader of a process group of its own.
///
/// It is killed with its whole group when it is dropped, when the thread that keeps it ends, and
/// by the guard when this process is gone.
pub struct Child {
    group: Pid,
    caller: Caller,
    exit: watch::Receiver<Option<Exit>>,
}

impl Child {
    /// Starts it. Its stdin and stdout are the pipe; `on_event` gets each event it sends.
    /// Must be called within a tokio runtime.
    pub fn spawn(
        spec: &ChildSpec,
        guard: &Guard,
        on_event: impl Fn(Value) + Send + 'static,
    ) -> io::Result<Child> {
        let mut command = command(spec)?;
        let (started, start) = mpsc::channel();
        let (ended, exit) = watch::channel(None);
        let guard = guard.clone();
        // The parent-death signal is sent when the *thread* that started a process ends
        // (prctl(2)): this one stays until the child is gone.
        std::thread::Builder::new()
            .name("keeper".into())
            .stack_size(128 * 1024)
            .spawn(move || match command.spawn() {
                Ok(mut process) => {
                    let pipes = process.stdin.take().zip(process.stdout.take());
                    let group = group_of(&process);
                    let guarded = guard.add(group);
                    if started.send(guarded.map(|()| (group, pipes))).is_err() {
                        kill(group);
                    }
                    ended.send_replace(Some(keep(group, process, &guard)));
                }
                Err(cause) => drop(started.send(Err(cause))),
            })?;
        let begun = start.recv().map_err(io::Error::other)??;
        let (group, pipes) = begun;
        let (stdin, stdout) = pipes.expect("both were asked for");
        let caller = Caller::start(stdin, stdout, on_event)?;
        Ok(Child {
            group,
            caller,
            exit,
        })
    }

    /// The number of its process and of its group.
    pub fn id(&self) -> i32 {
        self.group.as_raw_nonzero().get()
    }

    /// Asks it over the pipe and waits for its answer.
    pub async fn call(&self, request: Value, wait: Duration) -> Result<Value, CallError> {
        self.caller.call(request, wait).await
    }

    /// Kills its whole group at once, as a power cut would.
    pub fn kill(&self) {
        if !self.has_ended() {
            kill(self.group);
        }
    }

    /// Stops its whole group where it stands, until [`Child::resume`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused group go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if !self.has_ended()
            && let Err(cause) = kill_process_group(self.group, signal)
        {
            tracing::debug!(group = self.id(), %cause, "a group ended before its signal");
        }
    }

    fn has_ended(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// Asks it to end (by `farewell`, over the pipe) and kills it if it hasn't within `grace`.
    pub async fn stop(&self, farewell: Value, grace: Duration) -> Exit {
        self.resume();
        let asked = self.call(farewell, grace);
        let both = async {
            // It may end before it has answered: then its end is the answer.
            let ended = self.ended();
            tokio::pin!(ended);
            tokio::select! {
                exit = &mut ended => exit,
                _ = asked => ended.await,
            }
        };
        match tokio::time::timeout(grace, both).await {
            Ok(exit) => exit,
            Err(_) => {
                tracing::warn!(group = self.id(), "a child did not end in time: killed");
                self.kill();
                self.ended().await
            }
        }
    }

    /// Waits until it and its group are gone.
    pub async fn ended(&self) -> Exit {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await;
        ended.map_or(Exit::Signal(Signal::KILL.as_raw()), |exit| {
            exit.expect("it was waited for")
        })
    }
}

impl Drop for Child {
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

fn command(spec: &ChildSpec) -> io::Result<Command> {
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(open_log(&spec.log)?)
        .process_group(0);
    die_with_parent(&mut command);
    Ok(command)
}

/// The kernel kills the child when the thread that started it ends, also while it is paused.
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

fn open_log(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path).is_ok_and(|log| log.len() > LOG_LIMIT.0) {
        std::fs::rename(path, path.with_extension("old"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

fn group_of(process: &std::process::Child) -> Pid {
    let number = i32::try_from(process.id()).expect("process numbers fit 22 bits on Linux");
    Pid::from_raw(number).expect("a child's number isn't 0")
}

/// Waits for the leader's end, then ends the rest of its group. The leader is reaped last: until
/// then the group's number can't be given to anyone else.
fn keep(group: Pid, mut process: std::process::Child, guard: &Guard) -> Exit {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(group), options) {}
    kill(group);
    if let Err(cause) = guard.remove(group) {
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
