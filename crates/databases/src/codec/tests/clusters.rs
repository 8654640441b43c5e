//! The bytes of clusters' rows and of global clusters'.

use std::collections::BTreeMap;

use types::{AccountId, Timestamp};

use super::{cluster, instance, keeps, tags};
use crate::codec::decode;
use crate::model::{
    Cluster, Fork, ForkPoint, GlobalCluster, GlobalClusterId, Head, Lsn, Member, Move, MoveKind,
    Phase,
};

#[test]
fn global_clusters_of_older_formats_have_forks_of_no_move_and_heads_without_addresses() {
    let old = include_str!("../golden/global-cluster-2.json").trim_end();
    let mut expected = global_cluster();
    expected.forks[0].number = None;
    assert_eq!(decode::<GlobalCluster>(old.as_bytes()).unwrap(), expected);
    let old = include_str!("../golden/global-cluster-1.json").trim_end();
    let heads = expected
        .members
        .values_mut()
        .filter_map(|it| it.head.as_mut());
    heads.for_each(|head| head.writer_address = None);
    assert_eq!(decode::<GlobalCluster>(old.as_bytes()).unwrap(), expected);
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
            writer_address: Some(cluster().writer_address),
        }),
        write_forwarding: false,
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
            number: Some(2),
        }],
    }
}

#[test]
fn clusters_keep_their_bytes() {
    keeps(
        &cluster(),
        include_str!("../golden/cluster.json").trim_end(),
    );
    // One that was given a parameter group has its name too.
    let careful = Cluster {
        parameter_group: Some("careful".to_owned()),
        ..cluster()
    };
    let golden = include_str!("../golden/cluster-careful.json").trim_end();
    keeps(&careful, golden);
    let golden = include_str!("../golden/global-cluster.json").trim_end();
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
