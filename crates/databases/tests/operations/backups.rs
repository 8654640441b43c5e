//! Automated backups and the return to a moment, as the API has them.

use std::sync::atomic::Ordering;

use databases::Archived;
use databases::backups::{BackupStep, Backups, next_backup};
use databases::model::Origin;
use databases::plan::{Step, StepKind};
use types::{Environment, Timestamp};

use crate::support::{Api, block_on, new_instance, with};

/// 2026-11-18T11:06:40.500Z: when the model's snapshots are whole.
const TAKEN: Timestamp = Timestamp(1_795_000_000_500);

/// An instance with one automated snapshot, and a log until a minute after it.
fn backed_up(api: &Api) {
    api.available("shop");
    let id = api.id("shop");
    let archive = |archived: Archived| {
        api.around
            .archives
            .lock()
            .unwrap()
            .insert(id.0.clone(), archived);
    };
    archive(Archived::default());
    let backups = Backups::of(&*api.memory_view(), &id).unwrap().unwrap();
    let now = api.environment.now().wall;
    let step = next_backup(&backups, Some(&Archived::default()), now).unwrap();
    block_on(api.service.back_up(&id, &step)).unwrap();
    // Told again, nothing more happens.
    block_on(api.service.back_up(&id, &step)).unwrap();
    assert_eq!(api.status("shop"), "available", "it hinders nobody");
    api.carry_out("shop");
    let found = api.ok("DescribeDBSnapshots", &[("SnapshotType", "automated")]);
    assert_eq!(found.count("DBSnapshots"), 1);
    let name = found.text("DBSnapshots/0/DBSnapshotIdentifier");
    assert_eq!(name, "rds:shop-2026-11-18-11-06");
    archive(Archived {
        latest: Some(Timestamp(TAKEN.0 + 60_000)),
        bases: vec![(api.snapshot_row(&name).id, TAKEN)],
        bytes: 4096,
    });
}

const RESTORE: [(&str, &str); 3] = [
    ("SourceDBInstanceIdentifier", "shop"),
    ("TargetDBInstanceIdentifier", "Again"),
    ("RestoreTime", "2026-11-18T11:07:00.250Z"),
];

#[test]
fn an_instance_is_restored_to_a_moment() {
    let api = Api::new();
    backed_up(&api);
    let found = api.ok("DescribeDBInstances", &[]);
    let latest = found.text("DBInstances/0/LatestRestorableTime");
    assert_eq!(latest, "2026-11-18T11:07:40.500Z");
    let made = api.ok("RestoreDBInstanceToPointInTime", &RESTORE);
    assert_eq!(made.text("DBInstance/DBInstanceStatus"), "creating");
    assert_eq!(made.text("DBInstance/MasterUsername"), "root");
    let Origin::PointInTime(moment) = api.row("again").origin else {
        panic!("{:?}", api.row("again").origin);
    };
    assert_eq!(moment.moment, Timestamp(1_795_000_020_250));
    assert_eq!(moment.source, api.id("shop"));
    // What it is made of stays until it is made.
    let name = "rds:shop-2026-11-18-11-06";
    let expire = BackupStep::Expire(api.snapshot_row(name).arn);
    let before = api.memory.view_now();
    block_on(api.service.back_up(&api.id("shop"), &expire)).unwrap();
    assert_eq!(api.memory.view_now(), before);
    let kinds: Vec<StepKind> = api.carry_out("again").iter().map(Step::kind).collect();
    assert_eq!(kinds[0], StepKind::RestoreTo);
    assert_eq!(api.status("again"), "available");
    let told = api.messages("db-instance");
    assert!(
        told.iter()
            .any(|text| text.starts_with("Restored to a point in time")),
        "{told:?}"
    );
    let id = api.id("shop").0;
    let latest = with(
        &RESTORE,
        &[
            ("RestoreTime", "-"),
            ("UseLatestRestorableTime", "true"),
            ("TargetDBInstanceIdentifier", "latest"),
            ("SourceDBInstanceIdentifier", "-"),
            ("SourceDbiResourceId", &id),
            ("MultiAZ", "true"),
        ],
    );
    api.ok("RestoreDBInstanceToPointInTime", &latest);
    assert!(api.row("latest").standby.is_some());
}

#[test]
fn a_snapshot_that_nobody_asked_for_is_begun_where_there_is_room_for_it() {
    let api = Api::new();
    backed_up(&api);
    let backups = Backups::of(&*api.memory_view(), &api.id("shop"));
    let mut backups = backups.unwrap().unwrap();
    backups.snapshots[0].bytes = 5 << 30;
    assert!(!backups.has_room(6 << 30));
    assert!(backups.has_room((6 << 30) + 1));
    backups.snapshots.clear();
    assert!(!backups.has_room(1 << 30));
    assert!(backups.has_room((1 << 30) + 1));
}

#[test]
fn a_clock_that_jumps_ahead_of_the_log_removes_nothing() {
    let api = Api::new();
    backed_up(&api);
    let backups = Backups::of(&*api.memory_view(), &api.id("shop"));
    let mut backups = backups.unwrap().unwrap();
    let mut second = backups.snapshots[0].clone();
    second.id.0.push('2');
    second.arn.identifier.push('2');
    second.taken = Some(Timestamp(TAKEN.0 + 60_000));
    backups.snapshots.push(second);
    let day = 86_400_000;
    let until = |latest| Archived {
        latest: Some(Timestamp(latest)),
        ..Archived::default()
    };
    let now = Timestamp(TAKEN.0 + 3 * day);
    let next = |archived: &Archived| next_backup(&backups, Some(archived), now);
    let early = next(&until(TAKEN.0 + 120_000));
    assert!(!matches!(early, Some(BackupStep::Expire(_))), "{early:?}");
    let due = next(&until(now.0));
    assert!(matches!(due, Some(BackupStep::Expire(_))), "{due:?}");
}

#[test]
fn what_can_t_be_restored_is_refused_in_the_service_s_words() {
    let api = Api::new();
    backed_up(&api);
    api.ok(
        "CreateDBInstance",
        &with(&new_instance("plain"), &[("BackupRetentionPeriod", "0")]),
    );
    api.carry_out("plain");
    api.available("young");
    let refused = |more: &[(&str, &str)], code: &str| {
        let body = with(&RESTORE, more);
        assert_eq!(
            api.code("RestoreDBInstanceToPointInTime", &body),
            code,
            "{more:?}"
        );
    };
    refused(
        &[("RestoreTime", "2026-11-18T11:06:40Z")],
        "InvalidRestoreFault",
    );
    refused(
        &[("RestoreTime", "2026-11-18T11:07:41Z")],
        "InvalidRestoreFault",
    );
    refused(&[("RestoreTime", "tomorrow")], "InvalidParameterValue");
    refused(&[("RestoreTime", "-")], "InvalidParameterCombination");
    refused(
        &[("UseLatestRestorableTime", "true")],
        "InvalidParameterCombination",
    );
    refused(
        &[("SourceDbiResourceId", "db-A")],
        "InvalidParameterCombination",
    );
    refused(
        &[("SourceDBInstanceIdentifier", "-")],
        "InvalidParameterCombination",
    );
    refused(
        &[("SourceDBInstanceIdentifier", "none")],
        "DBInstanceNotFound",
    );
    refused(
        &[("SourceDBInstanceIdentifier", "plain")],
        "PointInTimeRestoreNotEnabled",
    );
    refused(
        &[("SourceDBInstanceIdentifier", "young")],
        "InvalidRestoreFault",
    );
    refused(&[("TargetDBInstanceIdentifier", "-")], "MissingParameter");
    refused(
        &[("TargetDBInstanceIdentifier", "shop")],
        "DBInstanceAlreadyExists",
    );
    refused(
        &[("MultiAZ", "true"), ("AvailabilityZone", "us-east-1a")],
        "InvalidParameterCombination",
    );
    let by_id = [
        ("SourceDBInstanceIdentifier", "-"),
        ("SourceDbiResourceId", "db-A"),
    ];
    refused(&by_id, "DBInstanceAutomatedBackupNotFound");
    let name = [("DBSnapshotIdentifier", "rds:shop-2026-11-18-11-06")];
    assert_eq!(
        api.code("DeleteDBSnapshot", &name),
        "InvalidDBSnapshotState"
    );
}

#[test]
fn backups_outlive_their_instance_if_they_are_to() {
    let api = Api::new();
    backed_up(&api);
    let id = api.id("shop");
    let described = || api.ok("DescribeDBInstanceAutomatedBackups", &[]);
    assert_eq!(
        described().text("DBInstanceAutomatedBackups/0/Status"),
        "active"
    );
    let arn = described().text("DBInstanceAutomatedBackups/0/DBInstanceAutomatedBackupsArn");
    let by_arn = [("DBInstanceAutomatedBackupsArn", &*arn)];
    let live = api.code("DeleteDBInstanceAutomatedBackup", &by_arn);
    assert_eq!(live, "InvalidDBInstanceAutomatedBackupState");
    let by_id = [("DbiResourceId", &*id.0)];
    for named in [&by_arn, &by_id] {
        let asked = crate::access::asked(&api, "DeleteDBInstanceAutomatedBackup", named);
        assert_eq!(
            asked,
            [(
                "rds:DeleteDBInstanceAutomatedBackup".to_owned(),
                arn.clone()
            )]
        );
    }
    let body = [
        ("DBInstanceIdentifier", "shop"),
        ("SkipFinalSnapshot", "true"),
        ("DeleteAutomatedBackups", "false"),
    ];
    api.ok("DeleteDBInstance", &body);
    api.carry_out("shop");
    assert!(!api.has("shop"));
    let window = "DBInstanceAutomatedBackups/0/RestoreWindow";
    assert_eq!(
        described().text("DBInstanceAutomatedBackups/0/Status"),
        "retained"
    );
    let earliest = described().text(&format!("{window}/EarliestTime"));
    assert_eq!(earliest, "2026-11-18T11:06:40.500Z");
    let restore = with(
        &RESTORE,
        &[
            ("SourceDBInstanceIdentifier", "-"),
            ("SourceDBInstanceAutomatedBackupsArn", &arn),
        ],
    );
    api.ok("RestoreDBInstanceToPointInTime", &restore);
    let next = || {
        let backups = Backups::of(&*api.memory_view(), &id).unwrap()?;
        next_backup(&backups, None, api.environment.now().wall)
    };
    api.ok("DeleteDBInstanceAutomatedBackup", &by_arn);
    assert_eq!(described().count("DBInstanceAutomatedBackups"), 0);
    assert_eq!(next(), None, "one is being restored from them");
    api.carry_out("again");
    let expired = next().unwrap();
    assert!(matches!(expired, BackupStep::Expire(_)), "{expired:?}");
    block_on(api.service.back_up(&id, &expired)).unwrap();
    let row = api.snapshot_row("rds:shop-2026-11-18-11-06");
    assert_eq!(next(), None, "it is being removed");
    block_on(api.service.snapshot_removed(&row.arn, &row.id)).unwrap();
    assert_eq!(next(), Some(BackupStep::Forget));
    block_on(api.service.back_up(&id, &BackupStep::Forget)).unwrap();
    assert_eq!(Backups::of(&*api.memory_view(), &id).unwrap(), None);
    let gone = api.code("DescribeDBInstanceAutomatedBackups", &by_arn);
    assert_eq!(gone, "DBInstanceAutomatedBackupNotFound");
}

#[test]
fn backups_end_with_a_retention_of_none_and_with_their_instance() {
    let api = Api::new();
    backed_up(&api);
    let id = api.id("shop");
    let next = || {
        let backups = Backups::of(&*api.memory_view(), &id).unwrap()?;
        next_backup(&backups, None, api.environment.now().wall)
    };
    assert_eq!(next(), None);
    let body = [
        ("DBInstanceIdentifier", "shop"),
        ("BackupRetentionPeriod", "0"),
        ("ApplyImmediately", "true"),
    ];
    api.ok("ModifyDBInstance", &body);
    assert!(matches!(next(), Some(BackupStep::Expire(_))));
    let other = Api::new();
    backed_up(&other);
    let skip = [
        ("DBInstanceIdentifier", "shop"),
        ("SkipFinalSnapshot", "true"),
    ];
    other.ok("DeleteDBInstance", &skip);
    let id = other.id("shop");
    other.carry_out("shop");
    other.environment.now.fetch_add(1, Ordering::Relaxed);
    let backups = Backups::of(&*other.memory_view(), &id).unwrap().unwrap();
    let next = next_backup(&backups, None, other.environment.now().wall);
    assert!(matches!(next, Some(BackupStep::Expire(_))), "{next:?}");
}
