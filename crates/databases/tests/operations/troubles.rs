//! What is described of instances that something is in the way of: copies that are behind what
//! their source still has, full disks, servers that say more than callers may read.

use std::sync::atomic::Ordering;

use databases::ReplicationNews;
use databases::plan::{Behind, Record, StepKind};
use types::Environment;

use crate::support::{Api, block_on, with};

fn named(name: &str) -> [(&str, &str); 1] {
    [("DBInstanceIdentifier", name)]
}

/// The messages of all events, oldest first.
fn told(api: &Api) -> Vec<String> {
    let found = api.ok("DescribeEvents", &[("Duration", "60")]);
    let message = |at: usize| Some(found.find(&format!("Events/{at}/Message"))?.text_of());
    (0..).map_while(message).collect()
}

#[test]
fn a_replica_whose_source_has_no_more_of_its_log_says_so_and_is_copied_anew() {
    let api = Api::new();
    api.available("shop");
    let replica = with(&named("reader"), &[("SourceDBInstanceIdentifier", "shop")]);
    api.ok("CreateDBInstanceReadReplica", &replica);
    api.carry_out("reader");
    let id = api.id("reader");
    let status = || {
        let found = api.ok("DescribeDBInstances", &named("reader"));
        found.text("DBInstances/0/StatusInfos/0/Status")
    };
    assert_eq!(status(), "replicating");
    let mut observed = api.observed(&id);
    observed.server.as_mut().unwrap().receives = false;
    observed.behind = Some(Behind {
        since: api.environment.now().monotonic,
        reseeds: 0,
        last: None,
    });
    api.observe(&id, observed);
    block_on(
        api.service
            .tell_of_replication(&id, ReplicationNews::Behind),
    );
    assert!(
        told(&api)
            .last()
            .unwrap()
            .contains("has already been removed")
    );
    let found = api.ok("DescribeDBInstances", &named("reader"));
    assert_eq!(status(), "error");
    assert!(
        found
            .text("DBInstances/0/StatusInfos/0/Message")
            .contains("copied anew")
    );
    assert_eq!(found.text("DBInstances/0/DBInstanceStatus"), "available");
    // Not before its source has said so for a while.
    assert_eq!(api.carry_out("reader"), []);
    api.environment.now.fetch_add(5000, Ordering::Relaxed);
    let expected = [
        ("error", StepKind::Reseed),
        ("error", StepKind::Copy),
        ("stopped", StepKind::Start),
    ];
    for (word, kind) in expected {
        assert_eq!(status(), word);
        assert_eq!(api.step(&id).map(|step| step.kind()), Some(kind));
    }
    assert_eq!((status(), api.step(&id)), ("replicating".to_owned(), None));
}

#[test]
fn a_full_disk_is_a_status_and_what_is_on_it_can_be_deleted() {
    let api = Api::new();
    api.available("shop");
    let id = api.id("shop");
    let mut observed = api.observed(&id);
    observed.is_full = true;
    api.observe(&id, observed);
    assert_eq!(api.status("shop"), "storage-full");
    let deletion = with(&named("shop"), &[("SkipFinalSnapshot", "true")]);
    api.ok("DeleteDBInstance", &deletion);
    assert_eq!(api.status("shop"), "deleting");
}

#[test]
fn what_servers_say_is_told_without_the_hosts_directories() {
    let api = Api::new();
    api.create("shop");
    let reason = "postgres ended with code 1: could not open \"/srv/lab/db/ab/data/pg_wal\": \
                  No space left on device";
    let reason = reason.to_owned();
    let record = Record::Failed { reason };
    block_on(api.service.record(&api.id("shop"), &record)).unwrap();
    let told = told(&api).pop().unwrap();
    assert!(
        told.contains("could not open \"pg_wal\": No space left"),
        "{told}"
    );
    assert!(!told.contains("/srv"), "{told}");
}
