//! DB instances: made, described, modified, stopped, started, rebooted and deleted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use databases::plan::{FailureKind, Home, Next, Record, Step, StepFailure, StepKind, next_step};
use databases::{Serving, catalogue, serving};
use types::Environment;

use crate::support::{Answer, Api, Memory, Setting, new_instance, with};

/// The kinds of steps.
fn kinds(steps: &[Step]) -> Vec<StepKind> {
    steps.iter().map(Step::kind).collect()
}

fn named(name: &str) -> [(&str, &str); 1] {
    [("DBInstanceIdentifier", name)]
}

#[test]
fn an_instance_is_made_and_described() {
    let api = Api::new();
    let made = api.create("Shop");
    let at = |member: &str| made.text(&format!("DBInstance/{member}"));
    assert_eq!(at("DBInstanceIdentifier"), "shop");
    assert_eq!(at("DBInstanceStatus"), "creating");
    assert_eq!(
        at("DBInstanceArn"),
        "arn:aws:rds:us-east-1:111122223333:db:shop"
    );
    assert_eq!(at("EngineVersion"), "15.14");
    assert_eq!(at("BackupRetentionPeriod"), "1");
    assert_eq!(
        at("DBParameterGroups/0/DBParameterGroupName"),
        "default.postgres15"
    );
    assert_eq!(at("DBSubnetGroup/DBSubnetGroupName"), "default");
    assert!(at("DbiResourceId").starts_with("db-"));
    assert!(
        made.find("DBInstance/Endpoint").is_none(),
        "it is nowhere yet"
    );
    let row = api.row("shop");
    let verifier = row.master.verifier.clone().unwrap();
    assert!(
        verifier.0.starts_with("SCRAM-SHA-256$4096:"),
        "{verifier:?}"
    );
    let held = format!("{:?}", api.memory.view_now());
    assert!(!held.contains("correct-horse"), "no password is kept");

    let steps = api.carry_out("shop");
    let wanted = [StepKind::Make, StepKind::Start, StepKind::Record];
    assert_eq!(kinds(&steps), wanted);
    let described = api.ok("DescribeDBInstances", &named("SHOP"));
    let at = |member: &str| described.text(&format!("DBInstances/0/{member}"));
    assert_eq!(at("DBInstanceStatus"), "available");
    assert_eq!(at("Endpoint/Port"), "5432");
    assert_eq!(at("Endpoint/Address"), api.row("shop").address.to_string());
    assert_eq!(
        api.row("shop").master.verifier,
        None,
        "the server has it now"
    );
    let standing = api
        .around
        .standings
        .lock()
        .unwrap()
        .get(&row.resource_id.0)
        .cloned();
    assert_eq!(serving(&api.row("shop"), standing.as_ref()), Serving::Open);
    let events = api.ok(
        "DescribeEvents",
        &[("SourceType", "db-instance"), ("SourceIdentifier", "shop")],
    );
    assert_eq!(events.each("Events", "Message"), ["DB instance created"]);
}

#[test]
fn names_and_addresses_are_taken_once_and_given_back() {
    let (engine, pool) = (Ok("15.14"), Ok(30));
    let region = "us-east-1";
    let api = Setting {
        region,
        engine,
        pool,
        global: Arc::<Memory>::default(),
    }
    .make();
    api.create("one");
    assert_eq!(
        api.code("CreateDBInstance", &new_instance("ONE")),
        "DBInstanceAlreadyExists"
    );
    api.create("two");
    assert_ne!(api.row("one").address, api.row("two").address);
    let refused = api.code("CreateDBInstance", &new_instance("three"));
    assert_eq!(refused, "InsufficientDBInstanceCapacity");
    api.ok(
        "DeleteDBInstance",
        &with(&named("one"), &[("SkipFinalSnapshot", "true")]),
    );
    api.carry_out("one");
    assert!(!api.has("one"));
    api.create("three");
}

#[test]
fn what_there_is_not_is_told_when_an_instance_is_made() {
    let why = "PostgreSQL is not installed: apt-get install postgresql";
    for (engine, pool) in [(Err(why), Ok(24)), (Ok("15.14"), Err(why))] {
        let region = "us-east-1";
        let api = Setting {
            region,
            engine,
            pool,
            global: Arc::<Memory>::default(),
        }
        .make();
        let (code, text) = api.refused("CreateDBInstance", &new_instance("shop"));
        assert_eq!((&*code, &*text), ("InsufficientDBInstanceCapacity", why));
    }
}

#[test]
fn instances_that_the_machine_has_no_memory_for_are_refused() {
    // Of the smallest class each may take 16 MiB of buffers and 48 MiB beside.
    let room = 3 * (64 << 20);
    let (engine, pool) = (Ok("15.14"), Ok(24));
    let region = "us-east-1";
    let global = Arc::<Memory>::default();
    let setting = Setting {
        region,
        engine,
        pool,
        global,
    };
    let api = setting.on_a_machine(room);
    api.available("one");
    let refused = |action: &str, parameters: &[(&str, &str)]| {
        let (code, text) = api.refused(action, parameters);
        assert_eq!(code, "InsufficientDBInstanceCapacity", "{text}");
        text
    };
    let pair = with(&new_instance("pair"), &[("MultiAZ", "true")]);
    api.ok("CreateDBInstance", &pair);
    let text = refused("CreateDBInstance", &new_instance("three"));
    assert!(
        text.contains(
            "may take 64 MiB, those of the other DB instances 192 MiB, and there are 192"
        ),
        "{text}"
    );
    assert!(!api.has("three"));
    // Nor is one changed into what doesn't fit, at once or later.
    for when in ["true", "false"] {
        for (name, value) in [("DBInstanceClass", "db.t3.small"), ("MultiAZ", "true")] {
            let change = with(&named("one"), &[(name, value), ("ApplyImmediately", when)]);
            refused("ModifyDBInstance", &change);
        }
    }
    assert_eq!(api.row("one").pending, Default::default());
    let other = with(&named("one"), &[("CopyTagsToSnapshot", "true")]);
    api.ok("ModifyDBInstance", &other);
    // It keeps its place until nothing is left of it.
    let delete = with(&named("one"), &[("SkipFinalSnapshot", "true")]);
    api.ok("DeleteDBInstance", &delete);
    refused("CreateDBInstance", &new_instance("three"));
    api.carry_out("one");
    api.ok("CreateDBInstance", &new_instance("three"));
}

#[test]
fn pages_and_filters_find_instances() {
    let api = Api::new();
    for number in 0..25 {
        api.create(&format!("shop-{number:02}"));
    }
    let first = api.ok("DescribeDBInstances", &[("MaxRecords", "20")]);
    assert_eq!(first.count("DBInstances"), 20);
    let marker = first.text("Marker");
    let next = api.ok(
        "DescribeDBInstances",
        &[("MaxRecords", "20"), ("Marker", &marker)],
    );
    assert_eq!(next.count("DBInstances"), 5);
    assert!(next.find("Marker").is_none());
    let id = api.id("shop-07").0;
    for (name, value, count) in [
        ("db-instance-id", "shop-07", 1),
        (
            "db-instance-id",
            "arn:aws:rds:us-east-1:111122223333:db:shop-07",
            1,
        ),
        ("dbi-resource-id", &*id, 1),
        ("engine", "postgres", 25),
        ("engine", "mysql", 0),
    ] {
        let filter = [
            ("Filters.Filter.1.Name", name),
            ("Filters.Filter.1.Values.Value.1", value),
        ];
        let found = api.ok("DescribeDBInstances", &filter);
        assert_eq!(found.count("DBInstances"), count, "{name}={value}");
    }
    for bad in [
        [("MaxRecords", "5")],
        [("MaxRecords", "x")],
        [("Filters.Filter.1.Name", "color")],
    ] {
        assert_eq!(
            api.code("DescribeDBInstances", &bad),
            "InvalidParameterValue"
        );
    }
    let missing = api.code("DescribeDBInstances", &named("nothing"));
    assert_eq!(missing, "DBInstanceNotFound");
    let there = api.ok(
        "DescribeDBInstances",
        &named("arn:aws:rds:us-east-1:111122223333:db:shop-07"),
    );
    assert_eq!(there.count("DBInstances"), 1);
}

#[test]
fn a_password_is_changed_once_and_only_its_verifier_kept() {
    let api = Api::new();
    api.available("shop");
    let modified = api.ok(
        "ModifyDBInstance",
        &with(&named("shop"), &[("MasterUserPassword", "battery-staple")]),
    );
    assert_eq!(
        modified.text("DBInstance/DBInstanceStatus"),
        "resetting-master-credentials"
    );
    assert_eq!(
        modified.text("DBInstance/PendingModifiedValues/MasterUserPassword"),
        "****"
    );
    let steps = api.carry_out("shop");
    assert_eq!(kinds(&steps), [StepKind::SetMaster, StepKind::Record]);
    assert_eq!(api.status("shop"), "available");
    let row = api.row("shop");
    assert_eq!((row.master.verifier, row.master.applied), (None, 1));
    // A server that starts anew isn't given it again: its user may have set another since.
    api.ok("RebootDBInstance", &named("shop"));
    let steps = api.carry_out("shop");
    assert_eq!(
        kinds(&steps),
        [StepKind::Stop, StepKind::Start, StepKind::Record]
    );
}

#[test]
fn a_class_changes_at_once_or_in_the_window_or_at_a_reboot() {
    let api = Api::new();
    let windows = [
        ("PreferredBackupWindow", "01:00-01:30"),
        ("PreferredMaintenanceWindow", "mon:05:00-mon:06:00"),
    ];
    api.ok("CreateDBInstance", &with(&new_instance("shop"), &windows));
    api.carry_out("shop");
    let class = |class| with(&named("shop"), &[("DBInstanceClass", class)]);
    let waits = api.ok("ModifyDBInstance", &class("db.t3.small"));
    assert_eq!(waits.text("DBInstance/DBInstanceClass"), "db.t3.micro");
    assert_eq!(
        waits.text("DBInstance/PendingModifiedValues/DBInstanceClass"),
        "db.t3.small"
    );
    // 2026-11-18T11:06:40Z, a Wednesday: the window is shut.
    assert_eq!(api.carry_out("shop"), []);
    // Monday, 05:06:40.
    let to_monday = (4 * 24 * 60 + 18 * 60) * 60_000;
    api.environment.now.fetch_add(to_monday, Ordering::Relaxed);
    let steps = api.carry_out("shop");
    assert_eq!(steps[0], Step::Record(Record::PendingApplied));
    assert_eq!(
        kinds(&steps[1..]),
        [StepKind::Stop, StepKind::Start, StepKind::Record]
    );
    assert_eq!(api.row("shop").class, "db.t3.small");

    api.ok("ModifyDBInstance", &class("db.t3.medium"));
    api.ok("ModifyDBInstance", &class("db.t3.small"));
    assert!(
        api.row("shop").pending.is_empty(),
        "it is that class already"
    );
    api.environment.now.fetch_add(to_monday, Ordering::Relaxed);
    api.ok("ModifyDBInstance", &class("db.t3.medium"));
    api.ok("RebootDBInstance", &named("shop"));
    assert_eq!(api.status("shop"), "rebooting");
    api.carry_out("shop");
    assert_eq!(api.row("shop").class, "db.t3.medium");

    let now = with(&class("db.m5.large"), &[("ApplyImmediately", "true")]);
    let modified = api.ok("ModifyDBInstance", &now);
    assert_eq!(modified.text("DBInstance/DBInstanceStatus"), "modifying");
    api.carry_out("shop");
    let wanted = catalogue::wanted(&*api.memory_view(), &*api.global.view(), &api.id("shop"))
        .unwrap()
        .unwrap();
    assert_eq!(wanted.parameters["max_connections"], "901");
    let seen = api.observed(&api.id("shop")).server.unwrap();
    assert_eq!(seen.settings.parameters["max_connections"], "901");
}

#[test]
fn settings_change_without_a_word_to_the_server_and_a_port_with_one() {
    let api = Api::new();
    api.available("shop");
    let changes = [
        ("BackupRetentionPeriod", "7"),
        ("DeletionProtection", "true"),
        ("CopyTagsToSnapshot", "true"),
        ("PreferredBackupWindow", "02:00-03:00"),
        ("PreferredMaintenanceWindow", "tue:04:00-tue:05:00"),
        (
            "VpcSecurityGroupIds.VpcSecurityGroupId.1",
            "sg-0123456789abcdef0",
        ),
    ];
    let modified = api.ok("ModifyDBInstance", &with(&named("shop"), &changes));
    let at = |member: &str| modified.text(&format!("DBInstance/{member}"));
    assert_eq!(at("BackupRetentionPeriod"), "7");
    assert_eq!(at("DeletionProtection"), "true");
    assert_eq!(at("PreferredBackupWindow"), "02:00-03:00");
    assert_eq!(
        at("VpcSecurityGroups/0/VpcSecurityGroupId"),
        "sg-0123456789abcdef0"
    );
    assert_eq!(api.carry_out("shop"), []);
    let ends = with(&named("shop"), &[("BackupRetentionPeriod", "0")]);
    let waits = api.ok("ModifyDBInstance", &ends);
    let pending = waits.text("DBInstance/PendingModifiedValues/BackupRetentionPeriod");
    assert_eq!(
        (&*pending, &*waits.text("DBInstance/BackupRetentionPeriod")),
        ("0", "7")
    );
    api.ok(
        "ModifyDBInstance",
        &with(&named("shop"), &[("DBPortNumber", "6000")]),
    );
    assert_eq!(api.status("shop"), "modifying");
    let steps = api.carry_out("shop");
    assert_eq!(
        kinds(&steps),
        [StepKind::Stop, StepKind::Start, StepKind::Record]
    );
    let found = api.ok("DescribeDBInstances", &named("shop"));
    assert_eq!(found.text("DBInstances/0/Endpoint/Port"), "6000");
}

#[test]
fn what_can_t_be_modified_is_refused_by_name() {
    let api = Api::new();
    api.available("shop");
    for (parameter, value) in [
        ("NewDBInstanceIdentifier", "store"),
        ("AllocatedStorage", "40"),
        ("EngineVersion", "16.1"),
        ("EnableIAMDatabaseAuthentication", "true"),
        ("EnablePerformanceInsights", "true"),
        ("ManageMasterUserPassword", "true"),
        (
            "CloudwatchLogsExportConfiguration.EnableLogTypes.member.1",
            "postgresql",
        ),
        ("MonitoringInterval", "60"),
    ] {
        let body = with(&named("shop"), &[(parameter, value)]);
        let (code, text) = api.refused("ModifyDBInstance", &body);
        assert_eq!(code, "InvalidParameterCombination", "{parameter}");
        let name = parameter.split('.').next().unwrap();
        assert!(text.contains(name) && text.contains("not built"), "{text}");
    }
    let same = [
        ("AllocatedStorage", "20"),
        ("EngineVersion", "15.14"),
        ("MultiAZ", "false"),
        ("MonitoringInterval", "0"),
    ];
    let before = api.memory.view_now();
    api.ok("ModifyDBInstance", &with(&named("shop"), &same));
    assert_eq!(api.memory.view_now(), before, "nothing changed");
}

#[test]
fn an_instance_is_stopped_started_and_rebooted() {
    let api = Api::new();
    api.available("shop");
    let stopped = api.ok("StopDBInstance", &named("shop"));
    assert_eq!(stopped.text("DBInstance/DBInstanceStatus"), "stopping");
    assert_eq!(
        kinds(&api.carry_out("shop")),
        [StepKind::Stop, StepKind::Record]
    );
    assert_eq!(api.status("shop"), "stopped");
    for operation in ["StopDBInstance", "RebootDBInstance", "ModifyDBInstance"] {
        let (code, text) = api.refused(operation, &named("shop"));
        assert_eq!(code, "InvalidDBInstanceState", "{operation}: {text}");
    }
    let row = api.row("shop");
    assert!(matches!(serving(&row, None), Serving::Away { sqlstate, .. } if &sqlstate == b"57P03"));
    let started = api.ok("StartDBInstance", &named("shop"));
    assert_eq!(started.text("DBInstance/DBInstanceStatus"), "starting");
    api.carry_out("shop");
    assert_eq!(api.status("shop"), "available");
    assert_eq!(
        api.code("StartDBInstance", &named("shop")),
        "InvalidDBInstanceState"
    );
    let failover = with(&named("shop"), &[("ForceFailover", "true")]);
    assert_eq!(
        api.code("RebootDBInstance", &failover),
        "InvalidParameterCombination"
    );
}

#[test]
fn a_region_that_starts_again_starts_its_servers_and_nothing_else() {
    let api = Api::new();
    let id = api.available("shop").resource_id;
    api.around.standings.lock().unwrap().clear();
    assert_eq!(api.status("shop"), "starting", "nobody has looked yet");
    let mut observed = databases::plan::Observed::nothing();
    observed.home = Home::Whole;
    api.observe(&id, observed);
    assert_eq!(kinds(&api.carry_out("shop")), [StepKind::Start]);
    assert_eq!(api.status("shop"), "available");
}

#[test]
fn an_instance_is_deleted_by_leave_or_with_a_last_snapshot() {
    let api = Api::new();
    api.ok(
        "CreateDBInstance",
        &with(&new_instance("shop"), &[("DeletionProtection", "true")]),
    );
    api.carry_out("shop");
    let skip = with(&named("shop"), &[("SkipFinalSnapshot", "true")]);
    let (code, text) = api.refused("DeleteDBInstance", &skip);
    assert_eq!(code, "InvalidParameterCombination");
    assert!(text.contains("disable deletion protection"), "{text}");
    api.ok(
        "ModifyDBInstance",
        &with(&named("shop"), &[("DeletionProtection", "false")]),
    );
    let (code, text) = api.refused("DeleteDBInstance", &named("shop"));
    assert_eq!(code, "InvalidParameterCombination");
    assert!(
        text.contains("FinalDBSnapshotIdentifier is required"),
        "{text}"
    );
    let both = with(&skip, &[("FinalDBSnapshotIdentifier", "last")]);
    assert_eq!(
        api.code("DeleteDBInstance", &both),
        "InvalidParameterCombination"
    );
    let last = with(&named("shop"), &[("FinalDBSnapshotIdentifier", "last")]);
    let deleted = api.ok("DeleteDBInstance", &last);
    assert_eq!(deleted.text("DBInstance/DBInstanceStatus"), "deleting");
    assert_eq!(
        api.code("DeleteDBInstance", &skip),
        "InvalidDBInstanceState"
    );
    assert_eq!(
        api.code("CreateDBInstance", &new_instance("shop")),
        "DBInstanceAlreadyExists"
    );
    let steps = api.carry_out("shop");
    // What is still open would commit after its snapshot.
    let wanted = [
        StepKind::Stop,
        StepKind::TakeSnapshot,
        StepKind::Record,
        StepKind::RemoveHome,
        StepKind::Record,
    ];
    assert_eq!(kinds(&steps), wanted);
    assert!(!api.has("shop"));
    let found = api.ok("DescribeDBSnapshots", &[("DBSnapshotIdentifier", "last")]);
    assert_eq!(found.text("DBSnapshots/0/Status"), "available");
    api.create("shop");
}

#[test]
fn nothing_is_deleted_if_its_last_snapshot_fails() {
    let api = Api::new();
    let id = api.available("shop").resource_id;
    let last = with(&named("shop"), &[("FinalDBSnapshotIdentifier", "last")]);
    api.ok("DeleteDBInstance", &last);
    assert_eq!(api.step(&id), Some(Step::Stop));
    fail(&api, &id, FailureKind::Other, 3);
    let steps = api.carry_out("shop");
    let failed = |step: &Step| matches!(step, Step::Record(Record::SnapshotFailed { .. }));
    assert!(failed(&steps[0]), "{steps:?}");
    assert_eq!(kinds(&steps[1..]), [StepKind::Start], "it serves again");
    assert_eq!(api.status("shop"), "available");
    let snapshot = api.ok("DescribeDBSnapshots", &[("DBSnapshotIdentifier", "last")]);
    assert_eq!(snapshot.text("DBSnapshots/0/Status"), "failed");
    let events = api.ok("DescribeEvents", &[]);
    let messages = events.each("Events", "Message").join("; ");
    assert!(
        messages.contains("Not deleted, since its final snapshot failed: why"),
        "{messages}"
    );
}

/// Has the step that comes next of an instance fail.
fn fail(api: &Api, id: &databases::model::ResourceId, kind: FailureKind, attempts: u32) {
    let wanted = catalogue::wanted(&*api.memory_view(), &*api.global.view(), id)
        .unwrap()
        .unwrap();
    let mut observed = api.observed(id);
    let now = api.environment.now();
    let Next::Step(step) = next_step(&wanted, &observed, now) else {
        panic!("nothing is to be done");
    };
    let failure = StepFailure {
        step: step.clone(),
        attempts,
        at: now.monotonic,
        kind,
        reason: "why".to_owned(),
    };
    observed.failures.insert(step.kind(), failure);
    api.observe(id, observed);
}

#[test]
fn what_can_t_be_is_the_instance_s_status() {
    let api = Api::new();
    api.create("shop");
    let id = api.id("shop");
    fail(&api, &id, FailureKind::DiskFull, 9);
    assert_eq!(api.status("shop"), "storage-full");
    assert_eq!(api.carry_out("shop"), [], "it waits");
    fail_anew(&api, &id, FailureKind::Other, 3);
    let steps = api.carry_out("shop");
    assert!(
        matches!(&steps[..], [Step::Record(Record::Failed { .. })]),
        "{steps:?}"
    );
    assert_eq!(api.status("shop"), "failed");
    assert_eq!(
        api.code("ModifyDBInstance", &named("shop")),
        "InvalidDBInstanceState"
    );
    api.ok(
        "DeleteDBInstance",
        &with(&named("shop"), &[("SkipFinalSnapshot", "true")]),
    );
    api.carry_out("shop");
    assert!(!api.has("shop"));

    let id = api.available("store").resource_id;
    let mut observed = api.observed(&id);
    observed.server = None;
    api.observe(&id, observed);
    fail(&api, &id, FailureKind::Settings, 4);
    assert_eq!(api.status("store"), "incompatible-parameters");
    api.ok(
        "ModifyDBInstance",
        &with(&named("store"), &[("DeletionProtection", "true")]),
    );
}

fn fail_anew(api: &Api, id: &databases::model::ResourceId, kind: FailureKind, attempts: u32) {
    let mut observed = api.observed(id);
    observed.failures.clear();
    api.observe(id, observed);
    fail(api, id, kind, attempts);
}

#[test]
fn a_parameter_group_is_in_force_after_a_reboot_and_its_changes_at_once() {
    let api = Api::new();
    api.available("shop");
    api.ok(
        "CreateDBParameterGroup",
        &[
            ("DBParameterGroupName", "tuned"),
            ("DBParameterGroupFamily", "postgres15"),
            ("Description", "d"),
        ],
    );
    set(&api, "work_mem", "8192", "immediate");
    let given = with(&named("shop"), &[("DBParameterGroupName", "tuned")]);
    let modified = api.ok("ModifyDBInstance", &given);
    let apply = |answer: &Answer, list: &str| {
        answer.text(&format!("{list}/DBParameterGroups/0/ParameterApplyStatus"))
    };
    assert_eq!(apply(&modified, "DBInstance"), "pending-reboot");
    assert_eq!(api.carry_out("shop"), [], "not before a reboot");
    api.ok("RebootDBInstance", &named("shop"));
    api.carry_out("shop");
    let seen = || {
        api.observed(&api.id("shop"))
            .server
            .unwrap()
            .settings
            .parameters
    };
    assert_eq!(seen()["work_mem"], "8192");
    let status = || {
        let found = api.ok("DescribeDBInstances", &named("shop"));
        apply(&found, "DBInstances/0")
    };
    assert_eq!(status(), "in-sync");
    set(&api, "work_mem", "4096", "immediate");
    assert_eq!(status(), "applying");
    assert_eq!(kinds(&api.carry_out("shop")), [StepKind::Reload]);
    assert_eq!((&*seen()["work_mem"], &*status()), ("4096", "in-sync"));
    for (name, value) in [("max_connections", "50"), ("work_mem", "2048")] {
        set(&api, name, value, "pending-reboot");
        assert_eq!(api.carry_out("shop"), [], "{name}");
        assert_eq!(status(), "pending-reboot");
        api.ok("RebootDBInstance", &named("shop"));
        api.carry_out("shop");
        assert_eq!((&*seen()[name], &*status()), (value, "in-sync"));
    }
}

fn set(api: &Api, name: &str, value: &str, method: &str) {
    api.ok(
        "ModifyDBParameterGroup",
        &[
            ("DBParameterGroupName", "tuned"),
            ("Parameters.Parameter.1.ParameterName", name),
            ("Parameters.Parameter.1.ParameterValue", value),
            ("Parameters.Parameter.1.ApplyMethod", method),
        ],
    );
}
