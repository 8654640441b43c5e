//! A standby that was away for longer than its slot may hold the log back for, and one that holds
//! more than whoever took over from its source.

use runtime::postgres::{Server, ServerHome, ServerSettings, Stop, Upstream};

use crate::rig::{Rig, eventually, master, number, rig, settings};

/// How that server is followed by that slot.
fn by_slot(source: &ServerHome, slot: &str) -> ServerSettings {
    ServerSettings {
        upstream: Some(Upstream {
            socket_directory: source.socket_directory().to_owned(),
            slot: slot.into(),
            password: source.replication_password().unwrap(),
            application_name: slot.into(),
        }),
        ..ServerSettings::default()
    }
}

/// A copy of that server that follows it.
async fn standby_of(rig: &Rig, source: &ServerHome, name: &str) -> (ServerHome, Server) {
    let home = rig.home(name);
    let following = by_slot(source, name);
    let upstream = following.upstream.as_ref().unwrap();
    rig.postgres.copy(&home, upstream).await.unwrap();
    let server = rig.postgres.start(&home, &following).await.unwrap();
    eventually("it receives", || async {
        server.observe().await.unwrap().receiving
    })
    .await;
    (home, server)
}

#[tokio::test]
async fn a_standby_that_was_away_for_too_long_is_told_apart_and_copied_anew_by_the_same_slot() {
    let Some(rig) = rig() else { return };
    let (first, primary) = rig.server("first").await;
    let little = [("max_slot_wal_keep_size", "8MB"), ("wal_keep_size", "0")];
    primary.reload(&settings(&little)).await.unwrap();
    let client = master(&first).await;
    client
        .batch_execute("CREATE TABLE t (n bigint, s text)")
        .await
        .unwrap();
    primary
        .keep_slots(&["second".to_owned()].into())
        .await
        .unwrap();
    let upstream = Upstream {
        socket_directory: first.socket_directory().to_owned(),
        slot: "second".into(),
        password: first.replication_password().unwrap(),
        application_name: "second".into(),
    };
    let following = ServerSettings {
        upstream: Some(upstream.clone()),
        ..ServerSettings::default()
    };
    let second = rig.home("second");
    rig.postgres.copy(&second, &upstream).await.unwrap();
    let standby = rig.postgres.start(&second, &following).await.unwrap();
    eventually("it receives", || async {
        standby.observe().await.unwrap().receiving
    })
    .await;
    assert_eq!(
        primary.observe().await.unwrap().oldest,
        None,
        "nobody is away"
    );
    standby.stop(Stop::Fast).await.unwrap();

    let fill = "INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 12000) n";
    for _ in 0..3 {
        client.batch_execute(fill).await.unwrap();
        primary.checkpoint().await.unwrap();
    }
    let seen = primary.observe().await.unwrap();
    assert!(seen.slots[0].lost, "{seen:?}");
    let oldest = seen.oldest.unwrap();

    // It is read as it was, and receives nothing more.
    let standby = rig.postgres.start(&second, &following).await.unwrap();
    eventually("it waits for more", || async {
        standby.observe().await.unwrap().starved
    })
    .await;
    let behind = standby.observe().await.unwrap();
    assert!(behind.written < oldest, "{behind:?} {oldest}");
    let reader = master(&second).await;
    assert_eq!(number(&reader, "SELECT count(*) FROM t").await, 0);
    standby.stop(Stop::Fast).await.unwrap();

    second.remove().await.unwrap();
    rig.postgres.copy(&second, &upstream).await.unwrap();
    let _standby = rig.postgres.start(&second, &following).await.unwrap();
    client
        .batch_execute("INSERT INTO t VALUES (0, '')")
        .await
        .unwrap();
    let reader = master(&second).await;
    eventually("it has all", || async {
        number(&reader, "SELECT count(*) FROM t").await == 36_001
    })
    .await;
    let seen = primary.observe().await.unwrap();
    assert!(
        !seen.slots[0].lost && seen.slots[0].restart.is_some(),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_standby_that_holds_more_than_its_source_s_successor_is_told_from_one_that_follows() {
    let Some(rig) = rig() else { return };
    let (first, primary) = rig.server("first").await;
    let slots = ["second", "ahead", "behind"].map(str::to_owned);
    primary.keep_slots(&slots.clone().into()).await.unwrap();
    let client = master(&first).await;
    let table = "CREATE TABLE t (n bigint); INSERT INTO t VALUES (1)";
    client.batch_execute(table).await.unwrap();
    let (second, successor) = standby_of(&rig, &first, "second").await;
    let (ahead, more) = standby_of(&rig, &first, "ahead").await;
    let (behind, less) = standby_of(&rig, &first, "behind").await;
    // Both are stopped, and miss what the third has received.
    successor.stop(Stop::Fast).await.unwrap();
    less.stop(Stop::Fast).await.unwrap();
    let row = "INSERT INTO t VALUES (2)";
    client.batch_execute(row).await.unwrap();
    let reader = master(&ahead).await;
    eventually("one has it", || async {
        number(&reader, "SELECT count(*) FROM t").await == 2
    })
    .await;
    primary.stop(Stop::Immediate).await.unwrap();
    let written = more.observe().await.unwrap().written;
    assert_eq!(ahead.parted(written).await.unwrap(), None, "nobody left it");

    let alone = ServerSettings::default();
    let successor = rig.postgres.start(&second, &alone).await.unwrap();
    successor.promote().await.unwrap();
    successor.keep_slots(&slots.into()).await.unwrap();
    more.reload(&by_slot(&second, "ahead")).await.unwrap();
    eventually("it can't follow", || async {
        let seen = more.observe().await.unwrap();
        seen.starved && ahead.parted(seen.written).await.unwrap().is_some()
    })
    .await;
    let seen = more.observe().await.unwrap();
    // It tries again and again, and gets what it has.
    assert_eq!((seen.timeline, seen.written), (1, written), "{seen:?}");
    let fork = successor.fork().await.unwrap();
    assert_eq!(ahead.parted(seen.written).await.unwrap(), fork);
    let count = number(&reader, "SELECT count(*) FROM t").await;
    assert_eq!(count, 2, "it is read as it is");

    // One that was not as far goes along, and is none, though its last checkpoint is from before.
    let following = by_slot(&second, "behind");
    let less = rig.postgres.start(&behind, &following).await.unwrap();
    let client = master(&second).await;
    client.batch_execute(row).await.unwrap();
    let reader = master(&behind).await;
    eventually("it goes along", || async {
        number(&reader, "SELECT count(*) FROM t").await == 2
    })
    .await;
    successor.stop(Stop::Immediate).await.unwrap();
    eventually("it sees that", || async {
        !less.observe().await.unwrap().receiving
    })
    .await;
    let written = less.observe().await.unwrap().written;
    assert!(written > fork.unwrap().lsn);
    assert_eq!(behind.parted(written).await.unwrap(), None);
}
