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

use common::{Child, draw, missing, whole_log};
use store::{EmbeddedEngine, EmbeddedOptions, Engine};
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
            environment: vec![
                ("LD_PRELOAD", self.path("layer.so")),
                ("POWER_CUT_ROOT", self.path("run")),
                ("POWER_CUT_SHADOW", self.path("shadow")),
            ],
            life,
        };
        child.run_and_kill()
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
