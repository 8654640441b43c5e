//! Children and their groups: spoken to, paused, stopped, and gone whatever dies. The roles of
//! supervisor, child and guard are played by this test binary itself, started again.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::zombie_processes,
    reason = "a test starts processes, waits, reads its environment, and leaves a child behind"
)]

use std::ffi::OsString;
use std::fs::File;
use std::future::Future;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::{CallError, Child, ChildSpec, DirectoryLock, Exit, Guard, Handler, PipeServer};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

const ROLE: &str = "CAUSEWAY_TEST_ROLE";
const DIRECTORY: &str = "CAUSEWAY_TEST_DIRECTORY";
const WAIT: Duration = Duration::from_secs(10);

/// Not a test of its own: what the other processes run.
#[test]
fn role() {
    match std::env::var(ROLE).as_deref() {
        Ok("guard") => runtime::guard_main(),
        Ok("child") => child_main(),
        Ok("supervisor") => supervisor_main(),
        _ => {}
    }
}

/// Echoes requests; `farewell` ends it.
struct Echo;

impl Handler for Echo {
    fn handle(
        self: Arc<Self>,
        request: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, String>> + Send>> {
        Box::pin(async move {
            match request.as_str() {
                Some("farewell") => std::process::exit(7),
                Some("fail") => Err("it can't".into()),
                _ => Ok(request),
            }
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn child_main() {
    let grandchild = Command::new("sleep").arg("1000").spawn().unwrap();
    let server = PipeServer::start(Arc::new(Echo)).unwrap();
    server.event(json!({ "grandchild": grandchild.id() }));
    std::future::pending::<()>().await;
}

#[tokio::main(flavor = "current_thread")]
async fn supervisor_main() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    let lock = DirectoryLock::take(&directory).unwrap();
    let (child, grandchild, guard) = start(&directory, lock.as_fd()).await;
    let temporary = directory.join("temporary");
    std::fs::create_dir_all(temporary.join("deep")).unwrap();
    guard.remove_at_end(&temporary).unwrap();
    guard.remove_at_end(Path::new("relative")).unwrap_err();
    // One child is paused when the supervisor dies: it must go as well.
    let (paused, other, _guard) = start(&directory, lock.as_fd()).await;
    paused.pause();
    let pids = format!("{} {grandchild} {} {other}", child.id(), paused.id());
    std::fs::write(directory.join("pids.new"), pids).unwrap();
    std::fs::rename(directory.join("pids.new"), directory.join("pids")).unwrap();
    std::future::pending::<()>().await;
}

/// What `env` is to be given so that it runs this test binary in that role.
fn in_role(role: &str) -> Vec<OsString> {
    let binary = std::env::current_exe().unwrap();
    vec![
        format!("{ROLE}={role}").into(),
        binary.into(),
        "--exact".into(),
        "role".into(),
        "--nocapture".into(),
    ]
}

async fn start(directory: &Path, held: std::os::fd::BorrowedFd<'_>) -> (Child, i32, Guard) {
    let program = PathBuf::from("env");
    let guard = Guard::start(&program, &in_role("guard"), held).unwrap();
    let spec = ChildSpec {
        program,
        arguments: in_role("child"),
        log: directory.join("log"),
        withheld: Vec::new(),
    };
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let child = Child::spawn(&spec, &guard, move |event| sender.send(event).unwrap()).unwrap();
    let event = tokio::time::timeout(WAIT, events.recv()).await.unwrap();
    let grandchild = event.unwrap()["grandchild"].as_i64().unwrap();
    (child, i32::try_from(grandchild).unwrap(), guard)
}

fn is_alive(process: i32) -> bool {
    test_kill_process(Pid::from_raw(process).unwrap()).is_ok() && !is_zombie(process)
}

fn state(process: i32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    after_name.chars().take(1).collect()
}

/// A container may have no init that reaps: dead is dead.
fn is_zombie(process: i32) -> bool {
    state(process) == "Z"
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < WAIT, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn held() -> File {
    tempfile::tempfile().unwrap()
}

#[tokio::test]
async fn a_child_answers_and_stops_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let (child, grandchild, _guard) = start(directory.path(), held().as_fd()).await;
    let answer = child.call(json!({"ping": [1, 2]}), WAIT).await.unwrap();
    assert_eq!(answer, json!({"ping": [1, 2]}));
    let failed = child.call(json!("fail"), WAIT).await.unwrap_err();
    assert_eq!(failed.to_string(), "it can't");
    assert_eq!(child.stop(json!("farewell"), WAIT).await, Exit::Code(7));
    eventually("the grandchild ends", || !is_alive(grandchild));
    let gone = child.call(json!("ping"), WAIT).await.unwrap_err();
    assert!(matches!(gone, CallError::Gone), "{gone}");
}

#[tokio::test]
async fn a_paused_group_stands_still_and_can_be_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let (child, grandchild, _guard) = start(directory.path(), held().as_fd()).await;
    child.pause();
    eventually("both stand", || {
        state(child.id()) == "T" && state(grandchild) == "T"
    });
    let silent = child.call(json!("ping"), Duration::from_millis(100)).await;
    assert!(matches!(silent, Err(CallError::TimedOut(_))));
    child.resume();
    assert_eq!(child.call(json!(1), WAIT).await.unwrap(), json!(1));
    child.pause();
    assert_eq!(child.stop(json!("farewell"), WAIT).await, Exit::Code(7));
}

#[tokio::test]
async fn a_killed_child_takes_its_group_along() {
    let directory = tempfile::tempdir().unwrap();
    let (child, grandchild, _guard) = start(directory.path(), held().as_fd()).await;
    child.kill();
    assert_eq!(child.ended().await, Exit::Signal(9));
    eventually("the grandchild ends", || !is_alive(grandchild));

    // Also when someone else killed the leader alone.
    let (child, grandchild, _guard) = start(directory.path(), held().as_fd()).await;
    kill_process(Pid::from_raw(child.id()).unwrap(), Signal::KILL).unwrap();
    assert_eq!(child.ended().await, Exit::Signal(9));
    eventually("the grandchild ends", || !is_alive(grandchild));
}

#[test]
fn a_supervisor_killed_by_force_leaves_no_orphan() {
    let directory = tempfile::tempdir().unwrap();
    let mut supervisor = Command::new("env")
        .args(in_role("supervisor"))
        .env(DIRECTORY, directory.path())
        .spawn()
        .unwrap();
    let pids = directory.path().join("pids");
    eventually("the supervisor has its children", || pids.exists());
    let pids: Vec<i32> = std::fs::read_to_string(pids)
        .unwrap()
        .split(' ')
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert!(pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
    let temporary = directory.path().join("temporary");
    assert!(temporary.exists());
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    // The lock is the guard's until everything is gone.
    let lock = DirectoryLock::take(directory.path()).unwrap();
    eventually("all are gone", || pids.iter().all(|pid| !is_alive(*pid)));
    eventually("what was temporary is removed", || !temporary.exists());
    drop(lock);
}
