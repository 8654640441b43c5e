//! Rows keep their bytes: what an older program wrote is read for good.

#[path = "tests/clusters.rs"]
mod clusters;

use std::collections::BTreeMap;

use types::{AccountId, Timestamp};

use super::*;
use crate::model::{
    Applied, Cause, ClusterId, CopyOf, Deletion, Deposed, EndpointId, EndpointKind, Forced,
    ForkPoint, GlobalClusterId, Handed, Handover, Headship, Joined, Leading, Lsn, Master, Origin,
    Pending, PointInTime, Power, Promotion, Replica, ResourceId, SnapshotId, SnapshotState, Source,
    SourceType, Standby, StorageType, Tags, Verifier,
};

fn tags() -> Tags {
    Tags::from([("team".to_owned(), "blue".to_owned())])
}

fn instance() -> Instance {
    let replica = "arn:aws:rds:eu-west-1:111122223333:db:far";
    Instance {
        resource_id: ResourceId("db-A".to_owned()),
        arn: "arn:aws:rds:us-east-1:111122223333:db:shop"
            .parse()
            .unwrap(),
        engine_version: "15.14".to_owned(),
        class: "db.t3.micro".to_owned(),
        allocated_storage: 20,
        storage_type: StorageType::Gp3,
        created: Timestamp(1),
        zone: "us-east-1a".parse().unwrap(),
        address: [127, 48, 1, 7].into(),
        port: 5432,
        master: master(),
        database: Some("app".to_owned()),
        subnet_group: "default".to_owned(),
        security_groups: vec!["sg-1".to_owned()],
        parameter_group: "default.postgres15".to_owned(),
        parameter_group_since: 0,
        option_group: "default:postgres-15".to_owned(),
        backup_retention: 1,
        backup_window: "05:00-05:30".to_owned(),
        maintenance_window: "mon:06:00-mon:06:30".to_owned(),
        auto_minor_version_upgrade: true,
        publicly_accessible: true,
        copy_tags_to_snapshot: false,
        deletion_protection: false,
        tags: tags(),
        origin: Origin::Snapshot(SnapshotId("snapshot-1".to_owned())),
        source: Some(Source {
            arn: "arn:aws:rds:eu-west-1:111122223333:db:old".parse().unwrap(),
            resource_id: ResourceId("db-B".to_owned()),
            slot: "causeway_db_a".to_owned(),
            floors: BTreeMap::from([("max_connections".to_owned(), 112)]),
        }),
        promotion: Some(Promotion {
            asked: Timestamp(3),
        }),
        replicas: BTreeMap::from([(
            "db-C".to_owned(),
            Replica {
                arn: replica.parse().unwrap(),
                resource_id: ResourceId("db-C".to_owned()),
                slot: "causeway_db_c".to_owned(),
            },
        )]),
        power: Power::Running,
        generation: 2,
        cause: Cause::Reboot,
        settled: 1,
        pending: Pending {
            class: Some("db.m5.large".to_owned()),
            backup_retention: Some(7),
            multi_az: Some(true),
        },
        deletion: Some(Deletion {
            asked: Timestamp(4),
            final_snapshot: Some(SnapshotId("snapshot-2".to_owned())),
            keeps_backups: false,
        }),
        failure: Some("why".to_owned()),
        headship: Some(headship()),
        home: Some(ResourceId("db-D".to_owned())),
        standby: Some(standby()),
    }
}

fn standby() -> Standby {
    Standby {
        is_in_step: true,
        is_ready: true,
        ..Standby::new(ResourceId("db-A".to_owned()), "us-east-1b".parse().unwrap())
    }
}

fn master() -> Master {
    Master {
        username: "root".to_owned(),
        verifier: Some(Verifier("V".to_owned())),
        asked: 2,
        applied: 1,
    }
}

fn headship() -> Headship {
    Headship {
        cluster: ClusterId("cluster-A".to_owned()),
        cluster_arn: cluster().arn,
        promotion_tier: 1,
        epoch: 1,
        leads: Some(Leading {
            epoch: 2,
            number: 3,
        }),
        forced: Some(ForkPoint {
            timeline: 2,
            lsn: Lsn(0x300_0000),
        }),
    }
}

/// What a head of an older format can't have been.
fn never_forced(mut instance: Instance) -> Instance {
    let headship = instance.headship.as_mut().unwrap();
    headship.forced = None;
    instance
}

fn snapshot() -> Snapshot {
    Snapshot {
        id: SnapshotId("snapshot-1".to_owned()),
        arn: "arn:aws:rds:us-east-1:111122223333:snapshot:before"
            .parse()
            .unwrap(),
        resource_id: ResourceId("db-A".to_owned()),
        instance: "shop".to_owned(),
        instance_created: Timestamp(1),
        asked: Timestamp(2),
        taken: Some(Timestamp(3)),
        state: SnapshotState::Available,
        failure: None,
        bytes: 7,
        engine_version: "15.14".to_owned(),
        class: "db.t3.micro".to_owned(),
        allocated_storage: 20,
        storage_type: StorageType::Gp2,
        zone: "us-east-1a".parse().unwrap(),
        port: 5432,
        master_username: "root".to_owned(),
        database: None,
        option_group: "default:postgres-15".to_owned(),
        parameter_group: "default.postgres15".to_owned(),
        tags: Tags::new(),
        copy_of: None,
        automated: false,
    }
}

#[track_caller]
fn keeps<T: Stored + PartialEq + std::fmt::Debug>(row: &T, golden: &str) {
    let bytes = encode(row);
    assert_eq!(std::str::from_utf8(&bytes).unwrap(), golden);
    assert_eq!(&decode::<T>(golden.as_bytes()).unwrap(), row);
}

#[test]
fn instances_and_snapshots_keep_their_bytes() {
    keeps(&instance(), include_str!("golden/instance.json").trim_end());
    keeps(&snapshot(), include_str!("golden/snapshot.json").trim_end());
    let copy = Snapshot {
        copy_of: Some(CopyOf {
            arn: "arn:aws:rds:eu-west-1:111122223333:snapshot:rds:shop-2026-11-29-03-04"
                .parse()
                .unwrap(),
            id: SnapshotId("snapshot-2".to_owned()),
            bytes: 7,
            original: Some(Timestamp(3)),
        }),
        automated: true,
        ..snapshot()
    };
    keeps(&copy, include_str!("golden/snapshot-copy.json").trim_end());
}

#[test]
fn retained_backups_and_custom_endpoints_keep_their_bytes() {
    let mut restored = Instance {
        origin: Origin::PointInTime(PointInTime {
            source: ResourceId("db-B".to_owned()),
            snapshot: SnapshotId("snapshot-1".to_owned()),
            moment: Timestamp(8),
        }),
        ..instance()
    };
    let deletion = restored.deletion.as_mut().unwrap();
    deletion.keeps_backups = true;
    let golden = include_str!("golden/instance-restored.json").trim_end();
    keeps(&restored, golden);
    // The instance in it has no format of its own: a newer one of instances is one of these too.
    assert_eq!((Instance::FORMAT, RetainedBackup::FORMAT), (4, 2));
    let retained = RetainedBackup {
        instance: restored,
        deleted: Timestamp(9),
        until: Timestamp(10),
    };
    let golden = include_str!("golden/retained-backup.json").trim_end();
    keeps(&retained, golden);
    let first = include_str!("golden/retained-backup-1.json").trim_end();
    let never_forced = RetainedBackup {
        instance: never_forced(retained.instance.clone()),
        ..retained
    };
    assert_eq!(
        decode::<RetainedBackup>(first.as_bytes()).unwrap(),
        never_forced
    );
    let endpoint = ClusterEndpoint {
        resource_id: EndpointId("cluster-endpoint-A".to_owned()),
        arn: "arn:aws:rds:us-east-1:111122223333:cluster-endpoint:reports"
            .parse()
            .unwrap(),
        cluster: cluster().resource_id,
        cluster_arn: cluster().arn,
        kind: EndpointKind::Reader,
        static_members: ["shop".to_owned()].into(),
        excluded_members: ["other".to_owned()].into(),
        address: [127, 48, 1, 9].into(),
        created: Timestamp(1),
        tags: tags(),
    };
    let golden = include_str!("golden/cluster-endpoint.json").trim_end();
    keeps(&endpoint, golden);
}

#[test]
fn a_snapshot_of_the_first_format_is_no_copy_and_was_asked_for() {
    let old = include_str!("golden/snapshot-1.json").trim_end();
    assert_eq!(decode::<Snapshot>(old.as_bytes()).unwrap(), snapshot());
}

#[test]
fn an_instance_of_an_older_format_has_no_standby_and_of_the_first_is_no_cluster_s() {
    let third = include_str!("golden/instance-3.json").trim_end();
    let expected = never_forced(instance());
    assert_eq!(decode::<Instance>(third.as_bytes()).unwrap(), expected);
    let second = include_str!("golden/instance-2.json").trim_end();
    let mut expected = Instance {
        home: None,
        standby: None,
        ..instance()
    };
    expected.pending.multi_az = None;
    let mut expected = never_forced(expected);
    assert_eq!(decode::<Instance>(second.as_bytes()).unwrap(), expected);
    let first = include_str!("golden/instance-1.json").trim_end();
    expected.headship = None;
    assert_eq!(decode::<Instance>(first.as_bytes()).unwrap(), expected);
}

fn forced() -> Forced {
    Forced {
        number: Forced::number(1),
        head: ResourceId("db-A".to_owned()),
        epoch: 2,
        moves: 3,
        revision: 9,
        from: "arn:aws:rds:eu-west-1:111122223333:cluster:shop"
            .parse()
            .unwrap(),
        asked: Timestamp(6),
        by: "arn:aws:iam::111122223333:root".to_owned(),
        is_taken_back: true,
        renewals: Some(7),
        gives_way: true,
    }
}

fn cluster() -> Cluster {
    Cluster {
        resource_id: ClusterId("cluster-A".to_owned()),
        arn: "arn:aws:rds:us-east-1:111122223333:cluster:shop"
            .parse()
            .unwrap(),
        engine_version: "15.14".to_owned(),
        created: Timestamp(1),
        master: master(),
        database: Some("app".to_owned()),
        port: 5432,
        writer_address: [127, 48, 1, 7].into(),
        reader_address: [127, 48, 1, 8].into(),
        subnet_group: "default".to_owned(),
        security_groups: vec!["sg-1".to_owned()],
        backup_retention: 1,
        backup_window: "05:00-05:30".to_owned(),
        maintenance_window: "mon:06:00-mon:06:30".to_owned(),
        copy_tags_to_snapshot: false,
        deletion_protection: false,
        tags: tags(),
        joined: Some(Joined {
            id: GlobalClusterId("cluster-g".to_owned()),
            revision: 9,
        }),
        parameter_group: None,
        write_forwarding: false,
        head: Some(ResourceId("db-A".to_owned())),
        readers: [ResourceId("db-B".to_owned())].into(),
        handovers: 2,
        handover: Some(Handover {
            number: 2,
            to: ResourceId("db-B".to_owned()),
            asked: Timestamp(5),
            drained: Some(Lsn(0x1_0000_00a0)),
            is_claimed: true,
            is_unstartable: true,
        }),
        handed: Some(Handed {
            from: ResourceId("db-B".to_owned()),
            lsn: Some(Lsn(160)),
            fork: Some(ForkPoint {
                timeline: 2,
                lsn: Lsn(0x300_0000),
            }),
        }),
        forcings: 1,
        forced: Some(forced()),
        deposed: BTreeMap::from([(
            ResourceId("db-C".to_owned()),
            Deposed {
                epoch: 1,
                fork: None,
            },
        )]),
    }
}

#[test]
fn clusters_of_older_formats_have_no_dead_heads_and_of_the_first_no_readers() {
    let mut third = cluster();
    let handover = third.handover.as_mut().unwrap();
    (handover.is_claimed, handover.is_unstartable) = (false, false);
    third.handed.as_mut().unwrap().fork = None;
    third.deposed.clear();
    let second = Cluster {
        forcings: 0,
        forced: None,
        ..third.clone()
    };
    let first = Cluster {
        readers: Default::default(),
        handovers: 0,
        handover: None,
        handed: None,
        ..second.clone()
    };
    for (old, expected) in [
        (include_str!("golden/cluster-1.json"), first),
        (include_str!("golden/cluster-2.json"), second),
        (include_str!("golden/cluster-3.json"), third),
    ] {
        assert_eq!(
            decode::<Cluster>(old.trim_end().as_bytes()).unwrap(),
            expected
        );
    }
}

#[test]
fn a_claim_that_says_nothing_of_why_says_that_the_head_can_start() {
    let golden = include_str!("golden/cluster.json").trim_end();
    let before = golden.replace(r#","is_unstartable":true"#, "");
    assert_ne!(before, golden);
    let mut expected = cluster();
    expected.handover.as_mut().unwrap().is_unstartable = false;
    assert_eq!(decode::<Cluster>(before.as_bytes()).unwrap(), expected);
}

#[test]
fn groups_events_and_farewells_keep_their_bytes() {
    let zones = ["us-east-1a", "us-east-1b"].map(|zone| zone.parse().unwrap());
    let group = SubnetGroup {
        arn: "arn:aws:rds:us-east-1:111122223333:subgrp:both"
            .parse()
            .unwrap(),
        description: "d".to_owned(),
        zones: zones.into(),
        tags: tags(),
    };
    keeps(
        &group,
        r#"{"format":1,"row":{"arn":"arn:aws:rds:us-east-1:111122223333:subgrp:both","description":"d","zones":["us-east-1a","us-east-1b"],"tags":{"team":"blue"}}}"#,
    );
    let set = ("64".to_owned(), Applied::PendingReboot);
    let group = ParameterGroup {
        arn: "arn:aws:rds:us-east-1:111122223333:pg:tuned"
            .parse()
            .unwrap(),
        family: "postgres15".to_owned(),
        description: "d".to_owned(),
        parameters: BTreeMap::from([("work_mem".to_owned(), set)]),
        tags: Tags::new(),
    };
    keeps(
        &group,
        r#"{"format":1,"row":{"arn":"arn:aws:rds:us-east-1:111122223333:pg:tuned","family":"postgres15","description":"d","parameters":{"work_mem":["64","pending-reboot"]},"tags":{}}}"#,
    );
    let group = OptionGroup {
        arn: "arn:aws:rds:us-east-1:111122223333:og:none"
            .parse()
            .unwrap(),
        description: "d".to_owned(),
        major_version: "15".to_owned(),
        tags: Tags::new(),
    };
    keeps(
        &group,
        r#"{"format":1,"row":{"arn":"arn:aws:rds:us-east-1:111122223333:og:none","description":"d","major_version":"15","tags":{}}}"#,
    );
    let event = Event {
        account: AccountId::LAB,
        date: Timestamp(5),
        source_type: SourceType::Instance,
        source: "shop".to_owned(),
        source_arn: "arn:aws:rds:us-east-1:111122223333:db:shop".to_owned(),
        message: "DB instance created".to_owned(),
        categories: vec!["creation".to_owned()],
    };
    keeps(
        &event,
        r#"{"format":1,"row":{"account":"111122223333","date":5,"source_type":"db-instance","source":"shop","source_arn":"arn:aws:rds:us-east-1:111122223333:db:shop","message":"DB instance created","categories":["creation"]}}"#,
    );
    let farewell = Farewell {
        source: "arn:aws:rds:eu-west-1:111122223333:db:old".parse().unwrap(),
        source_id: None,
        replica: "arn:aws:rds:us-east-1:111122223333:db:shop"
            .parse()
            .unwrap(),
        replica_id: ResourceId("db-A".to_owned()),
        after: Timestamp(6),
    };
    keeps(
        &farewell,
        r#"{"format":1,"row":{"source":"arn:aws:rds:eu-west-1:111122223333:db:old","source_id":null,"replica":"arn:aws:rds:us-east-1:111122223333:db:shop","replica_id":"db-A","after":6}}"#,
    );
}

#[test]
fn decisions_keep_their_bytes() {
    let decision = crate::model::Decision {
        number: 3,
        from: cluster().arn,
        to: "arn:aws:rds:eu-west-1:111122223333:cluster:far"
            .parse()
            .unwrap(),
        decided: Timestamp(4),
        silent_milliseconds: 2150,
        renewal: 9,
        tried: vec![cluster().arn],
    };
    keeps(
        &decision,
        r#"{"format":1,"row":{"number":3,"from":"arn:aws:rds:us-east-1:111122223333:cluster:shop","to":"arn:aws:rds:eu-west-1:111122223333:cluster:far","decided":4,"silent_milliseconds":2150,"renewal":9,"tried":["arn:aws:rds:us-east-1:111122223333:cluster:shop"]}}"#,
    );
    let words = decision.words();
    assert!(words.contains("was seen for 2.1 s (move 3)"), "{words}");
}

#[test]
fn what_isn_t_a_row_of_this_program_is_refused() {
    let newer = br#"{"format":5,"row":{}}"#;
    let error = decode::<Instance>(newer).unwrap_err();
    assert_eq!(error, CodecError::Newer("DB instance", 5, 4));
    assert!(error.to_string().contains("too old"), "{error}");
    for bytes in [
        "",
        "{}",
        "[]",
        r#"{"format":0,"row":{}}"#,
        r#"{"format":1,"row":{}}"#,
    ] {
        let error = decode::<Instance>(bytes.as_bytes()).unwrap_err();
        assert!(matches!(error, CodecError::Malformed(..)), "{bytes}");
    }
}

#[test]
fn a_verifier_is_never_printed() {
    let printed = format!("{:?}", instance());
    assert!(printed.contains("Verifier(..)"), "{printed}");
    assert!(!printed.contains("\"V\""), "{printed}");
}
