//! Rows keep their bytes: what an older program wrote is read for good.

use std::collections::BTreeMap;

use types::{AccountId, Timestamp};

use super::*;
use crate::model::{
    Applied, Cause, ClusterId, Deletion, Fork, ForkPoint, GlobalClusterId, Head, Headship, Joined,
    Leading, Lsn, Master, Member, Move, MoveKind, Origin, Pending, Phase, Power, Promotion,
    Replica, ResourceId, SnapshotId, SnapshotState, Source, SourceType, StorageType, Tags,
    Verifier,
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
        },
        deletion: Some(Deletion {
            asked: Timestamp(4),
            final_snapshot: Some(SnapshotId("snapshot-2".to_owned())),
        }),
        failure: Some("why".to_owned()),
        headship: Some(headship()),
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
    }
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
}

#[test]
fn an_instance_of_the_first_format_is_no_cluster_s() {
    let old = include_str!("golden/instance-1.json").trim_end();
    let expected = Instance {
        headship: None,
        ..instance()
    };
    assert_eq!(decode::<Instance>(old.as_bytes()).unwrap(), expected);
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
        head: Some(ResourceId("db-A".to_owned())),
    }
}

fn global_cluster() -> GlobalCluster {
    let arn = cluster().arn;
    let member = Member {
        arn: arn.clone(),
        resource_id: cluster().resource_id,
        head: Some(Head {
            arn: instance().arn,
            resource_id: instance().resource_id,
            class: "db.t3.micro".to_owned(),
            floors: BTreeMap::from([("max_connections".to_owned(), 112)]),
            epoch: 1,
        }),
    };
    let moved = Move {
        number: 3,
        kind: MoveKind::Switchover,
        from: arn.clone(),
        to: "arn:aws:rds:eu-west-1:111122223333:cluster:far"
            .parse()
            .unwrap(),
        asked: Timestamp(4),
        phase: Phase::Drained {
            lsn: Lsn(0x16_b374_d848),
        },
    };
    GlobalCluster {
        resource_id: GlobalClusterId("cluster-g".to_owned()),
        account: AccountId::LAB,
        identifier: "world".to_owned(),
        engine_version: "15.14".to_owned(),
        database: Some("app".to_owned()),
        deletion_protection: true,
        tags: tags(),
        created: Timestamp(1),
        master_username: Some("root".to_owned()),
        members: BTreeMap::from([(arn.to_string(), member)]),
        writer: Some(arn.clone()),
        epoch: 2,
        moves: 3,
        moving: Some(moved),
        forks: vec![Fork {
            epoch: 2,
            writer: arn,
            point: ForkPoint {
                timeline: 2,
                lsn: Lsn(0x300_0000),
            },
            is_checkpointed: true,
        }],
    }
}

#[test]
fn clusters_keep_their_bytes() {
    keeps(&cluster(), include_str!("golden/cluster.json").trim_end());
    let golden = include_str!("golden/global-cluster.json").trim_end();
    keeps(&global_cluster(), golden);
    // The other words of moves.
    for (phase, word) in [
        (Phase::Draining, r#""draining""#),
        (Phase::Fencing, r#""fencing""#),
        (Phase::Fenced, r#""fenced""#),
        (Phase::Promoting, r#""promoting""#),
    ] {
        assert_eq!(serde_json::to_string(&phase).unwrap(), word);
    }
    let kind = serde_json::to_string(&MoveKind::Failover).unwrap();
    assert_eq!(kind, r#""failover""#);
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
fn what_isn_t_a_row_of_this_program_is_refused() {
    let newer = br#"{"format":3,"row":{}}"#;
    let error = decode::<Instance>(newer).unwrap_err();
    assert_eq!(error, CodecError::Newer("DB instance", 3, 2));
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
