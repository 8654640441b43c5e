//! Invariant 5: the real engine runs in a child process over a layer that drops whatever was not
//! synced (`power_cut/drop_unsynced.c`), is killed, and is opened again on what the layer kept.
#![allow(
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "the test compiles the layer and starts the child"
)]

mod common;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::{Child, batch_of, draw, find, missing, wait, whole_log};
use store::{CommitError, EmbeddedEngine, EmbeddedOptions, Engine};
use types::ByteSize;

/// Not a test of its own: what the child processes run.
#[test]
fn child() {
    common::write_if_child();
}

#[test]
fn invariant_5_acknowledged_writes_survive_a_power_cut() {
    let mut seed = 5;
    for round in 0..5 {
        let cut = PowerCut::new();
        let life = Duration::from_millis(50 + draw(&mut seed, 600));
        // With a little memory it flushes and compacts all the time.
        let memory = [ByteSize::kib(256), ByteSize::mib(16)][round % 2];
        let acknowledged = cut.run(life, memory, false);
        let engine = EmbeddedEngine::open(&cut.survivor(), EmbeddedOptions::modest()).unwrap();
        assert_eq!(missing(&engine, &acknowledged), [], "round {round}");
        assert!(acknowledged.len() > 10, "round {round} wrote");
        if memory < ByteSize::mib(1) && acknowledged.len() > 600 {
            let tables = cut.survivor().join("data/keyspaces/1/tables");
            assert!(find(&tables, &|_| true).is_some(), "round {round} flushed");
        }
        assert_eq!(whole_log(&engine).len() as u64, engine.log_head().0);
        drop(engine);
        store::verify(&cut.survivor()).unwrap();
    }
}

/// The twin of the test above: with the sync removed it must lose acknowledged writes, or the
/// layer drops nothing and the test above proves nothing.
#[test]
fn without_the_sync_a_power_cut_loses_acknowledged_writes() {
    let cut = PowerCut::new();
    let acknowledged = cut.run(Duration::from_millis(300), ByteSize::mib(16), true);
    let engine = EmbeddedEngine::open(&cut.survivor(), EmbeddedOptions::modest()).unwrap();
    assert_ne!(missing(&engine, &acknowledged), []);
}

/// The rest of the test below, in the child over a disk whose syncs fail.
#[test]
fn failing_child() {
    let Some(database) = std::env::var_os("STORE_TEST_FAILING") else {
        return;
    };
    let engine = EmbeddedEngine::open(database.as_ref(), EmbeddedOptions::modest()).unwrap();
    let is_failure = |answer| matches!(answer, Err(CommitError::Failed(_)));
    let mut acknowledged = Vec::new();
    let failure = (1..100).find(|id| {
        let answer = wait(engine.commit(batch_of(*id)));
        if answer.is_ok() {
            acknowledged.push(*id);
        }
        answer.is_err_and(|error| is_failure(Err(error)))
    });
    assert_eq!(failure, Some(acknowledged.len() as u64 + 1));
    let queued: Vec<_> = (200..210).map(|id| engine.commit(batch_of(id))).collect();
    assert!(queued.into_iter().all(|commit| is_failure(wait(commit))));
    assert_eq!(engine.log_head().0, acknowledged.len() as u64);
    assert_eq!(missing(&engine, &acknowledged), []);
    println!("stopped after {} commits", acknowledged.len());
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_reads_go_on() {
    let cut = PowerCut::new();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "failing_child", "--nocapture"])
        .env("STORE_TEST_FAILING", cut.path("run/store"))
        .envs(cut.environment())
        .env("POWER_CUT_FAILING_SYNC", "7")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("stopped after 6 commits"), "{said}");
}

struct PowerCut {
    directory: tempfile::TempDir,
}

impl PowerCut {
    fn new() -> PowerCut {
        let directory = tempfile::tempdir().unwrap();
        for name in ["run", "shadow/files", "shadow/directories"] {
            std::fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        let cut = PowerCut { directory };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power_cut/drop_unsynced.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(cut.path("layer.so"))
            .arg(source)
            .args(["-ldl", "-lpthread"])
            .status();
        assert!(compiled.unwrap().success(), "a C compiler is needed");
        cut
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    fn run(&self, life: Duration, write_memory: ByteSize, skip_sync: bool) -> Vec<u64> {
        let child = Child {
            test: "child",
            database: &self.path("run/store"),
            skip_sync,
            write_memory,
            environment: self.environment(),
            life,
        };
        child.run_and_kill()
    }

    fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("LD_PRELOAD", self.path("layer.so")),
            ("POWER_CUT_ROOT", self.path("run")),
            ("POWER_CUT_SHADOW", self.path("shadow")),
        ]
    }

    /// The database as the power cut leaves it.
    fn survivor(&self) -> PathBuf {
        let survivor = self.path("survivor");
        if !survivor.exists() {
            let root = self.path("run").metadata().unwrap().ino();
            self.rebuild(&root.to_string(), &survivor);
        }
        survivor.join("store")
    }

    fn rebuild(&self, inode: &str, into: &Path) {
        std::fs::create_dir(into).unwrap();
        let names = self.path("shadow/directories").join(inode);
        // Never synced: its names are lost.
        let names = std::fs::read_to_string(names).unwrap_or_default();
        for line in names.lines() {
            let [id, kind, name] = *line.splitn(3, ' ').collect::<Vec<_>>() else {
                panic!("a line of the layer: {line:?}");
            };
            let content = self.path("shadow/files").join(id);
            let target = into.join(name);
            if kind == "d" {
                let (inode, _) = id.split_once('.').unwrap();
                self.rebuild(inode, &target);
            } else if content.exists() {
                std::fs::copy(content, target).unwrap();
            } else {
                std::fs::write(target, []).unwrap();
            }
        }
    }
}
