//! One child process and its group, spoken to over a pipe.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::group::{Exit, ProcessGroup, open_log};
use super::guard::Guard;
use super::hand;
use super::pipe::{CallError, Caller};

/// How to start a child.
#[derive(Clone, Debug)]
pub struct ChildSpec {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The file that what it writes to stderr is added to.
    pub log: PathBuf,
    /// Variables of this process's environment that are not for it.
    pub withheld: Vec<&'static str>,
}

/// A running child, the leader of a process group of its own.
///
/// It is killed with its whole group when it is dropped, when the thread that keeps it ends, and
/// by the guard when this process is gone.
pub struct Child {
    group: ProcessGroup,
    caller: Caller,
}

impl Child {
    /// Starts it. Its stdin and stdout are the pipe; `on_event` gets each event it sends.
    /// Must be called within a tokio runtime.
    pub fn spawn(
        spec: &ChildSpec,
        guard: &Guard,
        on_event: impl Fn(Value) + Send + 'static,
    ) -> io::Result<Child> {
        Child::spawn_with(spec, Vec::new(), guard, on_event)
    }

    /// As [`Child::spawn`]; the child finds these with [`handed_over`](super::handed_over), and
    /// this process keeps none of them. At most 8.
    pub fn spawn_with(
        spec: &ChildSpec,
        handed: Vec<OwnedFd>,
        guard: &Guard,
        on_event: impl Fn(Value) + Send + 'static,
    ) -> io::Result<Child> {
        let (ours, theirs) = match handed.is_empty() {
            true => (None, Stdio::piped()),
            false => {
                let (ours, theirs) = hand::pair(&handed)?;
                (Some(ChildStdin::from(ours)), Stdio::from(theirs))
            }
        };
        drop(handed);
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.arguments)
            .stdin(theirs)
            .stdout(Stdio::piped())
            .stderr(open_log(&spec.log)?);
        for name in &spec.withheld {
            command.env_remove(name);
        }
        let (group, (stdin, stdout)) = ProcessGroup::start(command, Some(guard))?;
        let stdin = ours.or(stdin).expect("it was asked for or made");
        let stdout = stdout.expect("it was asked for");
        let caller = Caller::start(stdin, stdout, on_event)?;
        Ok(Child { group, caller })
    }

    /// The number of its process and of its group.
    pub fn id(&self) -> i32 {
        self.group.id()
    }

    /// Asks it over the pipe and waits for its answer.
    pub async fn call(&self, request: Value, wait: Duration) -> Result<Value, CallError> {
        self.caller.call(request, wait).await
    }

    /// Kills its whole group at once, as a power cut would.
    pub fn kill(&self) {
        self.group.kill();
    }

    /// Stops its whole group where it stands, until [`Child::resume`].
    pub fn pause(&self) {
        self.group.pause();
    }

    /// Lets a paused group go on.
    pub fn resume(&self) {
        self.group.resume();
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
        self.group.ended().await
    }
}
