//! Snapshots: taken, described, restored and deleted.

use std::sync::Arc;

use databases::model::SnapshotState;
use databases::plan::{SnapshotSeen, Step, StepKind};
use types::Configuration;

use crate::support::{Api, block_on, with};

fn kinds(steps: &[Step]) -> Vec<StepKind> {
    steps.iter().map(Step::kind).collect()
}

fn taken(api: &Api, instance: &str, name: &str) {
    let body = [
        ("DBInstanceIdentifier", instance),
        ("DBSnapshotIdentifier", name),
    ];
    api.ok("CreateDBSnapshot", &body);
    api.carry_out(instance);
}

#[test]
fn a_snapshot_is_taken_while_its_instance_serves() {
    let api = Api::new();
    let id = api.available("shop").resource_id;
    let body = [
        ("DBInstanceIdentifier", "shop"),
        ("DBSnapshotIdentifier", "Before-Sale"),
        ("Tags.Tag.1.Key", "team"),
        ("Tags.Tag.1.Value", "blue"),
    ];
    let made = api.ok("CreateDBSnapshot", &body);
    let at = |member: &str| made.text(&format!("DBSnapshot/{member}"));
    assert_eq!((&*at("Status"), &*at("PercentProgress")), ("creating", "0"));
    assert!(made.find("DBSnapshot/SnapshotCreateTime").is_none());
    assert_eq!(api.status("shop"), "backing-up");
    assert_eq!(
        api.code("CreateDBSnapshot", &body),
        "InvalidDBInstanceState"
    );
    // One whose taking a crash cut off is begun again.
    let mut observed = api.observed(&id);
    let snapshot = api.snapshot_row("before-sale").id;
    observed
        .snapshots
        .insert(snapshot, SnapshotSeen::Unfinished);
    api.observe(&id, observed);
    let steps = api.carry_out("shop");
    let wanted = [
        StepKind::DiscardSnapshot,
        StepKind::TakeSnapshot,
        StepKind::Record,
    ];
    assert_eq!(kinds(&steps), wanted);
    assert_eq!(api.status("shop"), "available");
    let found = api.ok("DescribeDBSnapshots", &[("DBInstanceIdentifier", "shop")]);
    let at = |member: &str| found.text(&format!("DBSnapshots/0/{member}"));
    assert_eq!(
        (&*at("Status"), &*at("PercentProgress")),
        ("available", "100")
    );
    assert_eq!(at("SnapshotCreateTime"), "2026-11-18T11:06:40.500Z");
    assert_eq!(at("TagList/0/Value"), "blue");
    assert_eq!(
        api.code("CreateDBSnapshot", &body),
        "DBSnapshotAlreadyExists"
    );
}

#[test]
fn snapshots_are_found_by_what_they_are_of() {
    let api = Api::new();
    api.available("shop");
    taken(&api, "shop", "one");
    taken(&api, "shop", "two");
    let id = api.id("shop").0;
    for (parameters, count) in [
        (vec![], 2),
        (vec![("DBSnapshotIdentifier", "one")], 1),
        (vec![("DBInstanceIdentifier", "other")], 0),
        (vec![("SnapshotType", "manual")], 2),
        (vec![("SnapshotType", "automated")], 0),
        (vec![("DbiResourceId", &*id)], 2),
        (
            vec![
                ("Filters.Filter.1.Name", "db-snapshot-id"),
                ("Filters.Filter.1.Values.Value.1", "two"),
            ],
            1,
        ),
    ] {
        let found = api.ok("DescribeDBSnapshots", &parameters);
        assert_eq!(found.count("DBSnapshots"), count, "{parameters:?}");
    }
    let missing = [("DBSnapshotIdentifier", "three")];
    assert_eq!(
        api.code("DescribeDBSnapshots", &missing),
        "DBSnapshotNotFound"
    );
    let wrong = [("SnapshotType", "fast")];
    assert_eq!(
        api.code("DescribeDBSnapshots", &wrong),
        "InvalidParameterValue"
    );
}

#[test]
fn a_snapshot_is_shared_with_nobody() {
    let api = Api::new();
    api.available("shop");
    taken(&api, "shop", "one");
    let named = [("DBSnapshotIdentifier", "One")];
    let found = api.ok("DescribeDBSnapshotAttributes", &named);
    let at = |member: &str| found.text(&format!("DBSnapshotAttributesResult/{member}"));
    assert_eq!(at("DBSnapshotIdentifier"), "one");
    assert_eq!(at("DBSnapshotAttributes/0/AttributeName"), "restore");
    let values = "DBSnapshotAttributesResult/DBSnapshotAttributes/0/AttributeValues";
    assert_eq!(found.count(values), 0);
    let missing = [("DBSnapshotIdentifier", "two")];
    assert_eq!(
        api.code("DescribeDBSnapshotAttributes", &missing),
        "DBSnapshotNotFound"
    );
    let mut shared = named.to_vec();
    shared.extend([
        ("AttributeName", "restore"),
        ("ValuesToAdd.AttributeValue.1", "all"),
    ]);
    assert_eq!(
        api.code("ModifyDBSnapshotAttribute", &shared),
        "NotImplemented"
    );
}

#[test]
fn an_instance_is_restored_from_a_snapshot_that_outlived_its_own() {
    let api = Api::new();
    api.available("shop");
    taken(&api, "shop", "before");
    let skip = [
        ("DBInstanceIdentifier", "shop"),
        ("SkipFinalSnapshot", "true"),
    ];
    api.ok("DeleteDBInstance", &skip);
    api.carry_out("shop");
    let body = [
        ("DBInstanceIdentifier", "again"),
        ("DBSnapshotIdentifier", "before"),
    ];
    let made = api.ok("RestoreDBInstanceFromDBSnapshot", &body);
    assert_eq!(made.text("DBInstance/MasterUsername"), "root");
    let delete = [("DBSnapshotIdentifier", "before")];
    assert_eq!(
        api.code("DeleteDBSnapshot", &delete),
        "InvalidDBSnapshotState"
    );
    let steps = api.carry_out("again");
    assert_eq!(
        kinds(&steps),
        [StepKind::Restore, StepKind::Start, StepKind::Record]
    );
    assert_eq!(api.status("again"), "available");
    let deleted = api.ok("DeleteDBSnapshot", &delete);
    assert_eq!(deleted.text("DBSnapshot/Status"), "deleting");
    assert_eq!(
        api.code("DeleteDBSnapshot", &delete),
        "InvalidDBSnapshotState"
    );
    let third = with(&body, &[("DBInstanceIdentifier", "third")]);
    let refused = api.code("RestoreDBInstanceFromDBSnapshot", &third);
    assert_eq!(refused, "InvalidDBSnapshotState");
    let snapshot = api.snapshot_row("before");
    assert_eq!(snapshot.state, SnapshotState::Deleting);
    let other = databases::model::SnapshotId("snapshot-other".to_owned());
    block_on(api.service.snapshot_removed(&snapshot.arn, &other)).unwrap();
    assert_eq!(api.snapshot_row("before").state, SnapshotState::Deleting);
    for _ in 0..2 {
        block_on(api.service.snapshot_removed(&snapshot.arn, &snapshot.id)).unwrap();
        assert_eq!(api.code("DeleteDBSnapshot", &delete), "DBSnapshotNotFound");
    }
}

#[test]
fn a_snapshot_that_was_asked_for_comes_before_a_stop() {
    let api = Api::new();
    api.available("shop");
    let body = [
        ("DBInstanceIdentifier", "shop"),
        ("DBSnapshotIdentifier", "s"),
    ];
    api.ok("StopDBInstance", &body);
    let steps = api.carry_out("shop");
    let wanted = [
        StepKind::TakeSnapshot,
        StepKind::Record,
        StepKind::Stop,
        StepKind::Record,
    ];
    assert_eq!(kinds(&steps), wanted);
    assert_eq!(api.status("shop"), "stopped");
}

#[test]
fn what_was_reached_is_written_down_once_and_only_of_what_is() {
    let api = Api::new();
    let row = api.available("shop");
    let before = api.memory.view_now();
    let view: Arc<_> = api.memory.view();
    use databases::plan::Record;
    for record in [
        Record::Settled { generation: 1 },
        Record::Settled { generation: 7 },
        Record::Promoted,
        Record::MasterSet { number: 0 },
        Record::Removed,
        Record::SnapshotTaken {
            id: databases::model::SnapshotId("snapshot-no".to_owned()),
            bytes: 1,
            taken: types::Timestamp(1),
        },
    ] {
        block_on(api.service.record(&row.resource_id, &record)).unwrap();
        assert_eq!(api.memory.view_now(), before, "{record:?}");
    }
    let nobody = databases::model::ResourceId("db-NOBODY".to_owned());
    block_on(api.service.record(&nobody, &Record::Removed)).unwrap();
    assert_eq!(view.revision(), api.memory.view_now().revision);
    api.memory.fail(Some(types::ConfigurationError::Full));
    let failed = Record::Failed {
        reason: "why".to_owned(),
    };
    let error = block_on(api.service.record(&row.resource_id, &failed)).unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
}
