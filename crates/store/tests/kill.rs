//! `kill -9` under load: what was acknowledged is there when the database is opened again.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::time::Duration;

use common::{Child, draw, missing, open, wait, whole_log};
use store::Engine;
use types::ByteSize;

/// Not a test of its own: what the child processes run.
#[test]
fn child() {
    common::write_if_child();
}

#[test]
fn acknowledged_writes_survive_being_killed() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("store");
    let mut seed = 7;
    let mut acknowledged = Vec::new();
    for round in 0..8 {
        let child = Child {
            test: "child",
            database: &database,
            skip_sync: false,
            write_memory: ByteSize::kib(512),
            environment: Vec::new(),
            life: Duration::from_millis(20 + draw(&mut seed, 250)),
        };
        acknowledged.extend(child.run_and_kill());
        let engine = open(&database);
        assert_eq!(missing(&engine, &acknowledged), [], "round {round}");
        let log = whole_log(&engine);
        let gapless = log
            .iter()
            .zip(1..)
            .all(|((position, _), n)| position.0 == n);
        assert!(gapless, "round {round}");
        assert_eq!(log.len() as u64, engine.log_head().0, "round {round}");
        wait(engine.commit(common::batch_of(round))).unwrap();
    }
    let report = store::verify(&database).unwrap();
    assert!(report.spaces[0].entries >= acknowledged.len() as u64);
}
