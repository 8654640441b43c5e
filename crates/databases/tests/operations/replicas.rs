//! Read replicas, in one Region and across two: made, followed, promoted, and forgotten.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use databases::model::Farewell;
use databases::plan::{Next, Record, Step, StepKind, next_step};
use databases::{AttachRefusal, AttachRequest, SourceFacts, catalogue};
use types::Environment;

use crate::support::{Api, arn, block_on, with};

fn kinds(steps: &[Step]) -> Vec<StepKind> {
    steps.iter().map(Step::kind).collect()
}

/// The parameters of a replica.
fn of<'a>(name: &'a str, source: &'a str) -> [(&'a str, &'a str); 2] {
    [
        ("DBInstanceIdentifier", name),
        ("SourceDBInstanceIdentifier", source),
    ]
}

fn named(name: &str) -> [(&str, &str); 1] {
    [("DBInstanceIdentifier", name)]
}

fn pair() -> (Arc<Api>, Arc<Api>) {
    let (here, there) = Api::pair();
    here.available("shop");
    (here, there)
}

#[test]
fn a_replica_in_the_same_region_is_both_rows_at_once() {
    let api = Api::new();
    let source = api.available("shop").resource_id;
    let made = api.ok("CreateDBInstanceReadReplica", &of("reader", "shop"));
    let at = |member: &str| made.text(&format!("DBInstance/{member}"));
    assert_eq!(at("DBInstanceStatus"), "creating");
    assert_eq!(at("ReadReplicaSourceDBInstanceIdentifier"), "shop");
    assert_eq!(at("MasterUsername"), "root");
    let replica = api.id("reader");
    let slot = api.row("reader").source.unwrap().slot;
    assert_eq!(
        slot,
        format!("causeway_{}", replica.0.to_lowercase().replace('-', "_"))
    );
    let steps = api.carry_out_id(&source);
    assert!(
        matches!(&steps[..], [Step::KeepSlots(slots)] if slots.contains(&slot)),
        "{steps:?}"
    );
    let steps = api.carry_out("reader");
    assert_eq!(
        kinds(&steps),
        [StepKind::Copy, StepKind::Start, StepKind::Record]
    );
    let Step::Start { settings, .. } = &steps[1] else {
        panic!("{steps:?}");
    };
    let upstream = settings.upstream.clone().unwrap();
    assert_eq!((upstream.source_id, upstream.slot), (source, slot));
    let found = api.ok("DescribeDBInstances", &named("reader"));
    let at = |member: &str| found.text(&format!("DBInstances/0/{member}"));
    assert_eq!(at("StatusInfos/0/Status"), "replicating");
    assert_eq!(at("StatusInfos/0/Normal"), "true");
    let found = api.ok("DescribeDBInstances", &named("shop"));
    assert_eq!(
        found.text("DBInstances/0/ReadReplicaDBInstanceIdentifiers/0"),
        "reader"
    );
}

#[test]
fn a_replica_across_regions_is_taken_there_before_it_is_made_here() {
    let (here, there) = pair();
    let source = arn("shop");
    let asked = with(&of("far", &source), &[("SourceRegion", "us-east-1")]);
    let made = there.ok("CreateDBInstanceReadReplica", &asked);
    assert_eq!(
        made.text("DBInstance/ReadReplicaSourceDBInstanceIdentifier"),
        source
    );
    let row = there.row("far");
    assert_eq!(row.class, "db.t3.micro");
    assert_eq!(row.source.as_ref().unwrap().floors["max_connections"], 112);
    assert!(
        catalogue::farewells(&*there.memory_view())
            .unwrap()
            .is_empty()
    );
    let replicas = here.row("shop").replicas;
    let far = "arn:aws:rds:ap-southeast-2:111122223333:db:far";
    assert_eq!(replicas[&row.resource_id.0].arn.to_string(), far);
    assert!(
        here.around
            .looked_at
            .lock()
            .unwrap()
            .contains(&here.id("shop").0)
    );
    there.carry_out("far");
    let found = here.ok("DescribeDBInstances", &named("shop"));
    assert_eq!(
        found.text("DBInstances/0/ReadReplicaDBInstanceIdentifiers/0"),
        far
    );

    // The source has more connections than the replica's own class would give.
    let small = with(&of("small", &source), &[("DBInstanceClass", "db.t3.micro")]);
    let grown = [
        ("DBInstanceClass", "db.m5.large"),
        ("ApplyImmediately", "true"),
    ];
    here.ok("ModifyDBInstance", &with(&named("shop"), &grown));
    here.carry_out("shop");
    there.ok("CreateDBInstanceReadReplica", &small);
    let wanted = catalogue::wanted(
        &*there.memory_view(),
        &*there.global.view(),
        &there.id("small"),
    )
    .unwrap()
    .unwrap();
    assert_eq!(wanted.parameters["max_connections"], "901");
}

#[test]
fn a_source_that_can_t_be_is_refused_and_leaves_nothing_behind() {
    let (here, there) = pair();
    let source = arn("shop");
    for (name, code) in [
        ("nothing", "DBInstanceNotFound"),
        ("bare", "InvalidDBInstanceState"),
    ] {
        if name == "bare" {
            let bare = [("BackupRetentionPeriod", "0")];
            here.ok(
                "CreateDBInstance",
                &with(&crate::support::new_instance(name), &bare),
            );
            here.carry_out(name);
        }
        let source = arn(name);
        let refused = there.call("CreateDBInstanceReadReplica", &of("far", &source));
        assert_eq!(refused.unwrap_err().0, code);
        assert!(!there.has("far"));
        assert!(
            catalogue::farewells(&*there.memory_view())
                .unwrap()
                .is_empty()
        );
    }
    let own = of("far", "nothing");
    assert_eq!(
        there.code("CreateDBInstanceReadReplica", &own),
        "DBInstanceNotFound"
    );
    for (source, code) in [
        ("arn:aws:rds:us-east-1:444455556666:db:shop", "AccessDenied"),
        (
            "arn:aws:rds:us-east-1:111122223333:snapshot:shop",
            "DBInstanceNotFound",
        ),
        (
            "arn:aws:rds:us-east-1:111122223333:ri:shop",
            "InvalidParameterValue",
        ),
        ("-", "MissingParameter"),
    ] {
        let body = with(
            &of("far", source),
            &[("SourceDBInstanceIdentifier", source)],
        );
        assert_eq!(
            there.code("CreateDBInstanceReadReplica", &body),
            code,
            "{source}"
        );
    }
    for (parameter, value) in [
        ("MultiAZ", "true"),
        ("KmsKeyId", "key"),
        ("DBInstanceClass", "db.x"),
    ] {
        let body = with(&of("far", &source), &[(parameter, value)]);
        let refused = there
            .call("CreateDBInstanceReadReplica", &body)
            .unwrap_err();
        assert!(!there.has("far"), "{parameter}: {refused:?}");
    }
}

#[test]
fn a_source_is_told_of_a_replica_that_never_came_to_be() {
    let (here, there) = pair();
    let source = arn("shop");
    // The name is taken between the question and the making.
    let peer = there.peer.clone();
    peer.is_cut.store(true, Ordering::Relaxed);
    let refused = there.call("CreateDBInstanceReadReplica", &of("far", &source));
    assert_eq!(refused.unwrap_err().0, "ServiceUnavailable");
    assert!(!there.has("far"));
    // The source may have heard it all the same.
    let (_, farewell) = catalogue::farewells(&*there.memory_view())
        .unwrap()
        .remove(0);
    let request = AttachRequest {
        source: farewell.source.clone(),
        replica: farewell.replica.clone(),
        replica_id: farewell.replica_id.clone(),
    };
    block_on(here.service.attach(&request)).unwrap();
    assert_eq!(here.row("shop").replicas.len(), 1);
    peer.is_cut.store(false, Ordering::Relaxed);
    there.say_farewells();
    assert_eq!(
        here.row("shop").replicas.len(),
        1,
        "it may still be in the making"
    );
    there.environment.now.fetch_add(120_000, Ordering::Relaxed);
    there.say_farewells();
    assert_eq!(here.row("shop").replicas.len(), 0);
    assert!(
        catalogue::farewells(&*there.memory_view())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn two_that_are_asked_for_by_one_name_are_two_until_one_is_refused_its_name() {
    let (here, _) = pair();
    let request = |id: &str| AttachRequest {
        source: arn("shop").parse().unwrap(),
        replica: "arn:aws:rds:eu-west-1:111122223333:db:far".parse().unwrap(),
        replica_id: databases::model::ResourceId(id.to_owned()),
    };
    let (kept, refused) = (request("db-KEPT"), request("db-REFUSED"));
    let slot = block_on(here.service.attach(&kept)).unwrap().slot;
    block_on(here.service.attach(&refused)).unwrap();
    // Nobody takes another Region's place by its id, nor has it forgotten.
    let foreign = "arn:aws:rds:ap-southeast-2:111122223333:db:far";
    let mut thief = request("db-KEPT");
    thief.replica = foreign.parse().unwrap();
    assert!(block_on(here.service.attach(&thief)).is_err());
    let foreign_farewell = Farewell {
        source: kept.source.clone(),
        source_id: None,
        replica: thief.replica.clone(),
        replica_id: kept.replica_id.clone(),
        after: types::Timestamp(0),
    };
    block_on(here.service.detach(&foreign_farewell)).unwrap();
    block_on(here.service.attach(&kept)).unwrap();
    assert_eq!(here.row("shop").replicas.len(), 2);
    let farewell = Farewell {
        source: refused.source.clone(),
        source_id: None,
        replica: refused.replica.clone(),
        replica_id: refused.replica_id.clone(),
        after: types::Timestamp(0),
    };
    block_on(here.service.detach(&farewell)).unwrap();
    let replicas = here.row("shop").replicas;
    let slots: Vec<&String> = replicas.values().map(|replica| &replica.slot).collect();
    assert_eq!(slots, [&slot]);
    // The link may say again what it said before the farewell: nobody would take it back.
    let again = block_on(here.service.attach(&refused)).unwrap_err();
    assert!(matches!(again, AttachRefusal::State(_)), "{again:?}");
    assert_eq!(here.row("shop").replicas.len(), 1);
    here.environment.now.fetch_add(600_000, Ordering::Relaxed);
    block_on(here.service.attach(&refused)).unwrap();
}

#[test]
fn attaching_and_detaching_twice_is_as_once_and_another_s_farewell_is_nothing() {
    let (here, _) = pair();
    let request = AttachRequest {
        source: arn("shop").parse().unwrap(),
        replica: "arn:aws:rds:ap-southeast-2:111122223333:db:far"
            .parse()
            .unwrap(),
        replica_id: databases::model::ResourceId("db-FAR".to_owned()),
    };
    let first = block_on(here.service.attach(&request)).unwrap();
    assert_eq!(block_on(here.service.attach(&request)).unwrap(), first);
    assert_eq!(here.row("shop").replicas.len(), 1);
    let farewell = |id: &str| Farewell {
        source: request.source.clone(),
        source_id: None,
        replica: request.replica.clone(),
        replica_id: databases::model::ResourceId(id.to_owned()),
        after: types::Timestamp(0),
    };
    block_on(here.service.detach(&farewell("db-ANOTHER"))).unwrap();
    assert_eq!(here.row("shop").replicas.len(), 1);
    for _ in 0..2 {
        block_on(here.service.detach(&farewell("db-FAR"))).unwrap();
        assert_eq!(here.row("shop").replicas.len(), 0);
    }
}

#[test]
fn a_replica_is_promoted_with_its_source_s_region_dead() {
    let (here, there) = pair();
    let source = arn("shop");
    there.ok("CreateDBInstanceReadReplica", &of("far", &source));
    assert_eq!(
        there.code("PromoteReadReplica", &named("far")),
        "InvalidDBInstanceState"
    );
    let steps = there.carry_out("far");
    let Step::Copy(upstream) = steps[0].clone() else {
        panic!("{steps:?}");
    };
    let is_a_copy = || {
        let id = there.id("far");
        let wanted = catalogue::wanted(&*there.memory_view(), &*there.global.view(), &id);
        databases::plan::is_a_copy(&wanted.unwrap().unwrap(), &upstream)
    };
    assert!(is_a_copy());
    there.peer.is_cut.store(true, Ordering::Relaxed);
    let promoted = there.ok("PromoteReadReplica", &named("far"));
    assert_eq!(promoted.text("DBInstance/DBInstanceStatus"), "modifying");
    assert_eq!(promoted.text("DBInstance/BackupRetentionPeriod"), "1");
    assert_eq!(
        there.code("PromoteReadReplica", &named("far")),
        "InvalidDBInstanceState"
    );
    assert!(!is_a_copy(), "what it has is all there is of it");
    let steps = there.carry_out("far");
    assert_eq!(kinds(&steps), [StepKind::Promote, StepKind::Record]);
    assert!(!is_a_copy());
    let found = there.ok("DescribeDBInstances", &named("far"));
    assert_eq!(found.text("DBInstances/0/DBInstanceStatus"), "available");
    assert!(found.find("DBInstances/0/StatusInfos").is_none());
    assert!(
        found
            .find("DBInstances/0/ReadReplicaSourceDBInstanceIdentifier")
            .is_none()
    );
    there.say_farewells();
    assert_eq!(here.row("shop").replicas.len(), 1, "nobody could tell it");
    there.peer.is_cut.store(false, Ordering::Relaxed);
    there.say_farewells();
    assert_eq!(here.row("shop").replicas.len(), 0);
    let steps = here.carry_out("shop");
    assert!(
        steps.is_empty() || kinds(&steps) == [StepKind::KeepSlots],
        "{steps:?}"
    );
    assert_eq!(
        there.code("PromoteReadReplica", &named("far")),
        "InvalidDBInstanceState"
    );
    // What stands alone can be a source itself.
    let own = of("near", "far");
    there.ok("CreateDBInstanceReadReplica", &own);
}

#[test]
fn a_replica_is_no_source_has_no_password_of_its_own_and_isn_t_stopped() {
    let api = Api::new();
    api.available("shop");
    api.ok("CreateDBInstanceReadReplica", &of("reader", "shop"));
    api.carry_out("reader");
    let chained = of("third", "reader");
    let (code, text) = api.refused("CreateDBInstanceReadReplica", &chained);
    assert_eq!(code, "InvalidDBInstanceState");
    assert!(text.contains("not built"), "{text}");
    let password = with(
        &named("reader"),
        &[("MasterUserPassword", "battery-staple")],
    );
    assert_eq!(
        api.code("ModifyDBInstance", &password),
        "InvalidParameterCombination"
    );
    for name in ["reader", "shop"] {
        assert_eq!(
            api.code("StopDBInstance", &named(name)),
            "InvalidDBInstanceState"
        );
    }
    let ends = with(&named("shop"), &[("BackupRetentionPeriod", "0")]);
    assert_eq!(
        api.code("ModifyDBInstance", &ends),
        "InvalidParameterCombination"
    );
    let snapshot = with(&named("reader"), &[("DBSnapshotIdentifier", "s")]);
    assert_eq!(
        api.code("CreateDBSnapshot", &snapshot),
        "InvalidParameterCombination"
    );
}

#[test]
fn a_deleted_replica_is_forgotten_and_a_deleted_source_leaves_its_replicas_alone() {
    let api = Api::new();
    let source = api.available("shop").resource_id;
    for name in ["one", "two"] {
        api.ok("CreateDBInstanceReadReplica", &of(name, "shop"));
        api.carry_out(name);
    }
    let last = with(&named("one"), &[("FinalDBSnapshotIdentifier", "s")]);
    assert_eq!(
        api.code("DeleteDBInstance", &last),
        "InvalidParameterCombination"
    );
    api.ok(
        "DeleteDBInstance",
        &with(&named("one"), &[("SkipFinalSnapshot", "true")]),
    );
    api.carry_out("one");
    assert_eq!(api.row("shop").replicas.len(), 1);
    api.ok(
        "DeleteDBInstance",
        &with(&named("shop"), &[("SkipFinalSnapshot", "true")]),
    );
    api.carry_out_id(&source);
    assert!(!api.has("shop"));
    let steps = api.carry_out("two");
    assert_eq!(kinds(&steps), [StepKind::Promote, StepKind::Record]);
    assert!(api.row("two").source.is_none());

    let (here, there) = pair();
    let source = arn("shop");
    there.ok("CreateDBInstanceReadReplica", &of("far", &source));
    there.carry_out("far");
    here.ok(
        "DeleteDBInstance",
        &with(&named("shop"), &[("SkipFinalSnapshot", "true")]),
    );
    here.carry_out("shop");
    assert_eq!(there.carry_out("far"), [], "nobody asked for its promotion");
    let id = there.id("far");
    there
        .around
        .standings
        .lock()
        .unwrap()
        .get_mut(&id.0)
        .unwrap()
        .source_gone = true;
    let found = there.ok("DescribeDBInstances", &named("far"));
    assert_eq!(
        found.text("DBInstances/0/StatusInfos/0/Status"),
        "terminated"
    );
}

#[test]
fn a_deletion_that_comes_to_nothing_promotes_nobody() {
    let api = Api::new();
    let source = api.available("shop").resource_id;
    api.ok("CreateDBInstanceReadReplica", &of("reader", "shop"));
    api.carry_out("reader");
    api.carry_out("shop");
    let last = with(&named("shop"), &[("FinalDBSnapshotIdentifier", "last")]);
    api.ok("DeleteDBInstance", &last);
    assert_eq!(api.carry_out("reader"), []);
    let id = api.snapshot_row("last").id;
    let reason = "the disk is full".to_owned();
    let record = Record::SnapshotFailed { id, reason };
    block_on(api.service.record(&source, &record)).unwrap();
    assert!(api.row("shop").deletion.is_none());
    assert_eq!(api.carry_out("reader"), []);
    let reader = api.row("reader");
    assert!(reader.source.is_some() && reader.promotion.is_none());
    assert_eq!(api.row("shop").replicas.len(), 1);
    // One that comes to its end does.
    let last = with(
        &named("shop"),
        &[("FinalDBSnapshotIdentifier", "very-last")],
    );
    api.ok("DeleteDBInstance", &last);
    api.around.looked_at.lock().unwrap().clear();
    api.carry_out_id(&source);
    let reader = reader.resource_id;
    assert!(api.around.looked_at.lock().unwrap().contains(&reader.0));
    let steps = api.carry_out("reader");
    assert_eq!(kinds(&steps), [StepKind::Promote, StepKind::Record]);
}

#[test]
fn a_source_tells_nothing_to_another_account_and_sets_nothing_but_floors() {
    let (here, there) = pair();
    let far = "arn:aws:rds:ap-southeast-2:444455556666:db:far";
    let request = AttachRequest {
        source: arn("shop").parse().unwrap(),
        replica: far.parse().unwrap(),
        replica_id: databases::model::ResourceId("db-FAR".to_owned()),
    };
    let refused = block_on(here.service.attach(&request)).unwrap_err();
    assert!(matches!(refused, AttachRefusal::NotFound(_)), "{refused:?}");
    assert_eq!(here.row("shop").replicas.len(), 0);

    let told = |facts: &mut SourceFacts| {
        for (name, value) in [
            ("synchronous_commit", 0),
            ("fsync", 1),
            ("max_worker_processes", u64::MAX),
            ("max_locks_per_transaction", 128),
        ] {
            facts.floors.insert(name.to_owned(), value);
        }
    };
    *there.peer.amend.lock().unwrap() = Some(told);
    there.ok("CreateDBInstanceReadReplica", &of("far", &arn("shop")));
    let floors = there.row("far").source.unwrap().floors;
    assert_eq!(floors["max_locks_per_transaction"], 128);
    for name in ["synchronous_commit", "fsync", "max_worker_processes"] {
        assert!(!floors.contains_key(name), "{name}");
    }
    // What is said of another replica is no answer.
    *there.peer.amend.lock().unwrap() = Some(|facts| facts.slot = "causeway_db_other".to_owned());
    let source = arn("shop");
    let other = of("other", &source);
    let refused = there.call("CreateDBInstanceReadReplica", &other);
    assert_eq!(refused.unwrap_err().0, "ServiceUnavailable");
    assert!(!there.has("other"));
}

#[test]
fn a_replica_that_replays_no_more_is_started_anew_also_before_its_promotion() {
    let (_here, there) = pair();
    there.ok("CreateDBInstanceReadReplica", &of("far", &arn("shop")));
    there.carry_out("far");
    let id = there.id("far");
    let pause = || {
        let mut observed = there.observed(&id);
        observed.server.as_mut().unwrap().is_paused = true;
        there.observe(&id, observed);
    };
    pause();
    let found = there.ok("DescribeDBInstances", &named("far"));
    let at = |member: &str| found.text(&format!("DBInstances/0/StatusInfos/0/{member}"));
    assert_eq!(
        (at("Status"), at("Normal")),
        ("error".into(), "false".into())
    );
    assert_eq!(
        kinds(&there.carry_out("far")),
        [StepKind::Stop, StepKind::Start]
    );
    there.ok("PromoteReadReplica", &named("far"));
    pause();
    let wanted = catalogue::wanted(&*there.memory_view(), &*there.global.view(), &id)
        .unwrap()
        .unwrap();
    let next = next_step(&wanted, &there.observed(&id), there.environment.now());
    assert_eq!(next, Next::Step(Step::Stop));
}

#[test]
fn a_source_has_fifteen_replicas_at_most() {
    let api = Api::new();
    api.available("shop");
    for number in 0..15 {
        api.ok(
            "CreateDBInstanceReadReplica",
            &of(&format!("reader-{number}"), "shop"),
        );
    }
    let more = of("reader-15", "shop");
    assert_eq!(
        api.code("CreateDBInstanceReadReplica", &more),
        "InstanceQuotaExceeded"
    );
}

#[test]
fn a_switchover_is_oracle_s_and_is_refused_by_name() {
    let (here, there) = pair();
    there.ok("CreateDBInstanceReadReplica", &of("far", &arn("shop")));
    there.carry_out("far");
    let before = there.memory.view_now();
    let (code, text) = there.refused("SwitchoverReadReplica", &named("far"));
    assert_eq!(code, "InvalidDBInstanceState");
    assert!(text.contains("far runs the engine postgres"), "{text}");
    assert_eq!(there.memory.view_now(), before);
    assert_eq!(
        here.code("SwitchoverReadReplica", &named("shop")),
        "InvalidDBInstanceState"
    );
    assert_eq!(
        here.code("SwitchoverReadReplica", &named("none")),
        "DBInstanceNotFound"
    );
    assert_eq!(here.code("SwitchoverReadReplica", &[]), "MissingParameter");
}
