//! Standbys: copied over a socket, following, lagging, promoted when their upstream is gone.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use runtime::postgres::{
    HomeState, PostgresError, Role, Server, ServerHome, ServerSettings, Stop, Upstream,
};
use types::Timestamp;

use crate::rig::{
    MASTER, PASSWORD, eventually, master, number, processes, rig, settings, sqlstate,
};

pub(crate) fn upstream(home: &ServerHome, slot: &str) -> Upstream {
    Upstream {
        socket_directory: home.socket_directory().to_owned(),
        slot: slot.into(),
        password: home.replication_password().unwrap(),
        application_name: "second 'one'".into(),
    }
}

pub(crate) fn following(upstream: &Upstream) -> ServerSettings {
    ServerSettings {
        parameters: BTreeMap::new(),
        upstream: Some(upstream.clone()),
        synchronous: None,
    }
}

async fn caught_up(primary: &Server, standby: &Server) {
    let written = primary.observe().await.unwrap().written;
    eventually("the standby has all", || async {
        standby.observe().await.unwrap().replayed >= Some(written)
    })
    .await;
}

#[tokio::test]
async fn a_standby_is_copied_follows_and_is_promoted_when_its_upstream_is_gone() {
    let Some(rig) = rig() else { return };
    let (first, primary) = rig.server("first").await;
    let client = master(&first).await;
    client
        .batch_execute("CREATE TABLE t AS SELECT 1::bigint AS n")
        .await
        .unwrap();
    primary.beat(Timestamp(10)).await.unwrap();
    primary
        .keep_slots(&["second".to_owned()].into())
        .await
        .unwrap();

    let second = rig.home("second");
    let upstream = upstream(&first, "second");
    rig.postgres.copy(&second, &upstream).await.unwrap();
    assert!(matches!(
        second.state(),
        HomeState::Whole { standby: true, .. }
    ));
    let standby = rig
        .postgres
        .start(&second, &following(&upstream))
        .await
        .unwrap();
    eventually("it receives", || async {
        standby.observe().await.unwrap().receiving
    })
    .await;
    primary.beat(Timestamp(20)).await.unwrap();
    client
        .batch_execute("INSERT INTO t VALUES (2)")
        .await
        .unwrap();
    caught_up(&primary, &standby).await;
    let seen = standby.observe().await.unwrap();
    assert_eq!(
        (seen.role, seen.heartbeat, seen.paused),
        (Role::Standby, Some(Timestamp(20)), false)
    );
    assert_eq!(
        (seen.timeline, seen.written >= seen.replayed.unwrap()),
        (1, true)
    );
    let theirs = primary.observe().await.unwrap();
    assert_eq!(theirs.system_identifier, seen.system_identifier);
    let [one] = &theirs.standbys[..] else {
        panic!("{theirs:?}")
    };
    assert_eq!(
        (&*one.application_name, one.streaming),
        ("second 'one'", true)
    );
    let [slot] = &theirs.slots[..] else {
        panic!("{theirs:?}")
    };
    assert!(slot.name == "second" && slot.active && !slot.lost && slot.restart.is_some());

    // It is read, and not written.
    let reader = master(&second).await;
    assert_eq!(number(&reader, "SELECT count(*) FROM t").await, 2);
    let refused = reader
        .batch_execute("INSERT INTO t VALUES (3)")
        .await
        .unwrap_err();
    assert_eq!(sqlstate(&refused), "25006");
    let refused = standby.beat(Timestamp(1)).await;
    assert!(matches!(refused, Err(PostgresError::Sql { sqlstate, .. }) if sqlstate == "25006"));
    // Restarted it goes on, and a snapshot of it is one of the whole.
    standby.stop(Stop::Fast).await.unwrap();
    client
        .batch_execute("INSERT INTO t VALUES (3)")
        .await
        .unwrap();
    let standby = rig
        .postgres
        .start(&second, &following(&upstream))
        .await
        .unwrap();
    caught_up(&primary, &standby).await;
    let snapshot = rig.path().join("snapshot");
    rig.postgres
        .snapshot(&second, Some(&standby), &snapshot)
        .await
        .unwrap();

    // Its upstream dies, and with it nobody who knows the upstream's admin.
    drop(primary);
    eventually("the upstream is gone", || async {
        processes(&first).is_empty()
    })
    .await;
    first.remove().await.unwrap();
    eventually("it sees that", || async {
        !standby.observe().await.unwrap().receiving
    })
    .await;
    let before = standby.observe().await.unwrap().written;
    let begun = std::time::Instant::now();
    standby.promote().await.unwrap();
    eprintln!("promoted in {} ms", begun.elapsed().as_millis());
    let seen = standby.observe().await.unwrap();
    assert_eq!((seen.role, seen.timeline), (Role::Primary, 2));
    assert!(seen.written >= before);
    standby.promote().await.unwrap();
    standby.beat(Timestamp(30)).await.unwrap();
    standby
        .set_master(
            crate::rig::MASTER,
            &crate::rig::verifier(crate::rig::PASSWORD),
        )
        .await
        .unwrap();
    let writer = master(&second).await;
    writer
        .batch_execute("INSERT INTO t VALUES (4)")
        .await
        .unwrap();
    assert!(!second.directory().join("data/causeway.adopt").exists());
    // A standby of it, and it stays what it is after a restart.
    standby
        .keep_slots(&["third".to_owned()].into())
        .await
        .unwrap();
    let third = rig.home("third");
    let again = self::upstream(&second, "third");
    rig.postgres.copy(&third, &again).await.unwrap();
    standby.stop(Stop::Fast).await.unwrap();
    assert!(matches!(
        second.state(),
        HomeState::Whole { standby: false, .. }
    ));
    let server = rig
        .postgres
        .start(&second, &ServerSettings::default())
        .await
        .unwrap();
    let follower = rig
        .postgres
        .start(&third, &following(&again))
        .await
        .unwrap();
    caught_up(&server, &follower).await;
    assert_eq!(
        number(&master(&third).await, "SELECT count(*) FROM t").await,
        4
    );
    assert_eq!(follower.observe().await.unwrap().timeline, 2);
    follower.stop(Stop::Fast).await.unwrap();
    server.stop(Stop::Fast).await.unwrap();

    let restored = rig.home("restored");
    rig.postgres.restore(&snapshot, &restored).await.unwrap();
    let server = rig
        .postgres
        .start(&restored, &ServerSettings::default())
        .await
        .unwrap();
    assert_eq!(
        number(&master(&restored).await, "SELECT count(*) FROM t").await,
        3
    );
    server.stop(Stop::Fast).await.unwrap();
}

#[tokio::test]
async fn a_promotion_that_was_cut_off_is_finished_at_the_next_start() {
    let Some(rig) = rig() else { return };
    let (first, primary) = rig.server("first").await;
    primary
        .keep_slots(&["second".to_owned()].into())
        .await
        .unwrap();
    let second = rig.home("second");
    let upstream = upstream(&first, "second");
    rig.postgres.copy(&second, &upstream).await.unwrap();
    let standby = rig
        .postgres
        .start(&second, &following(&upstream))
        .await
        .unwrap();
    // PostgreSQL's own way, as far as ours goes before it is cut off.
    let password = second.replication_password().unwrap();
    let run = second.socket_directory();
    let own = crate::rig::login(run, "causeway_replication", &password, "causeway")
        .await
        .unwrap();
    own.batch_execute("SELECT pg_catalog.pg_promote(true, 60)")
        .await
        .unwrap();
    assert_eq!(standby.observe().await.unwrap().role, Role::Primary);
    drop(standby);
    let server = rig
        .postgres
        .start(&second, &ServerSettings::default())
        .await
        .unwrap();
    server.beat(Timestamp(1)).await.unwrap();
    assert_eq!(
        server.observe().await.unwrap().heartbeat,
        Some(Timestamp(1))
    );
    server.stop(Stop::Fast).await.unwrap();
    // Nobody at the upstream became another.
    primary.beat(Timestamp(2)).await.unwrap();
    primary.stop(Stop::Fast).await.unwrap();
}

#[tokio::test]
async fn slots_are_made_dropped_and_bounded() {
    let Some(rig) = rig() else { return };
    let home = rig.home("first");
    rig.postgres
        .create(&home, &crate::rig::new())
        .await
        .unwrap();
    let small = settings(&[
        ("max_slot_wal_keep_size", "1MB"),
        ("wal_keep_size", "0"),
        ("max_wal_size", "32MB"),
        ("max_replication_slots", "2"),
    ]);
    let primary = rig.postgres.start(&home, &small).await.unwrap();
    primary
        .keep_slots(&["one".to_owned(), "two".to_owned()].into())
        .await
        .unwrap();
    let second = rig.home("second");
    let upstream = upstream(&home, "two");
    rig.postgres.copy(&second, &upstream).await.unwrap();
    let standby = rig
        .postgres
        .start(&second, &following(&upstream))
        .await
        .unwrap();
    eventually("it receives", || async {
        standby.observe().await.unwrap().receiving
    })
    .await;
    // What its standby uses is dropped as well.
    primary
        .keep_slots(&["one".to_owned()].into())
        .await
        .unwrap();
    let names = |slots: &[runtime::postgres::SlotSeen]| {
        slots
            .iter()
            .map(|slot| slot.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&primary.observe().await.unwrap().slots), ["one"]);
    let wrong = primary.keep_slots(&["no slot".to_owned()].into()).await;
    assert!(
        matches!(wrong, Err(PostgresError::Refused { .. })),
        "{wrong:?}"
    );
    let many = ["a", "b", "c"].map(str::to_owned).into();
    let many = primary.keep_slots(&many).await;
    assert!(matches!(many, Err(PostgresError::Sql { sqlstate, .. }) if sqlstate == "53400"));
    primary
        .keep_slots(&["one".to_owned()].into())
        .await
        .unwrap();
    standby.stop(Stop::Fast).await.unwrap();
    // Nobody fetches what the slot keeps: it is lost, rather than the disk full.
    let client = master(&home).await;
    client
        .batch_execute("CREATE TABLE t (n int, s text)")
        .await
        .unwrap();
    eventually("the slot is lost", || async {
        let fill = "INSERT INTO t SELECT n, repeat('x', 500) FROM generate_series(1, 30000) n; \
                    TRUNCATE t; CHECKPOINT";
        client.batch_execute(fill).await.unwrap();
        primary
            .observe()
            .await
            .unwrap()
            .slots
            .iter()
            .any(|slot| slot.lost)
    })
    .await;
    primary.keep_slots(&[].into()).await.unwrap();
    assert!(primary.observe().await.unwrap().slots.is_empty());
    primary.stop(Stop::Fast).await.unwrap();
}

#[tokio::test]
async fn a_standby_takes_over_what_its_upstream_was_allowed_more_of() {
    let Some(rig) = rig() else { return };
    let home = rig.home("first");
    rig.postgres
        .create(&home, &crate::rig::new())
        .await
        .unwrap();
    let primary = rig
        .postgres
        .start(&home, &settings(&[("max_connections", "40")]))
        .await
        .unwrap();
    primary
        .keep_slots(&["second".to_owned()].into())
        .await
        .unwrap();
    let second = rig.home("second");
    let upstream = upstream(&home, "second");
    rig.postgres.copy(&second, &upstream).await.unwrap();
    let mut smaller = following(&upstream);
    smaller
        .parameters
        .insert("max_connections".into(), "20".into());
    let standby = rig.postgres.start(&second, &smaller).await.unwrap();
    caught_up(&primary, &standby).await;
    primary.stop(Stop::Fast).await.unwrap();
    let primary = rig
        .postgres
        .start(&home, &settings(&[("max_connections", "60")]))
        .await
        .unwrap();
    eventually("it stands still", || async {
        standby.observe().await.unwrap().paused
    })
    .await;
    standby.stop(Stop::Fast).await.unwrap();
    let standby = rig.postgres.start(&second, &smaller).await.unwrap();
    caught_up(&primary, &standby).await;
    assert!(!standby.observe().await.unwrap().paused);
    standby.stop(Stop::Fast).await.unwrap();
    primary.stop(Stop::Fast).await.unwrap();
}

#[tokio::test]
async fn what_a_client_that_is_gone_still_reads_holds_up_no_replay() {
    let Some(rig) = rig() else { return };
    let (first, primary) = rig.server("first").await;
    let client = master(&first).await;
    client
        .batch_execute("CREATE TABLE t (n int)")
        .await
        .unwrap();
    let slots = ["second".to_owned()].into();
    primary.keep_slots(&slots).await.unwrap();
    let second = rig.home("second");
    let upstream = upstream(&first, "second");
    rig.postgres.copy(&second, &upstream).await.unwrap();
    let mut told = following(&upstream);
    // Readers are waited for as long as they are there.
    let delay = "max_standby_streaming_delay".to_owned();
    told.parameters.insert(delay, "-1".to_owned());
    let standby = rig.postgres.start(&second, &told).await.unwrap();
    caught_up(&primary, &standby).await;
    let mut reader = Command::new("/usr/lib/postgresql/15/bin/psql")
        .args(["-X", "-d", "postgres", "-U", MASTER, "-h"])
        .arg(second.socket_directory())
        .args(["-c", "SELECT n FROM t; SELECT pg_sleep(600)"])
        .env("PGPASSWORD", PASSWORD)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let looks = master(&second).await;
    eventually("it reads", || async {
        let held = "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass";
        number(&looks, held).await > 0
    })
    .await;
    let change = "ALTER TABLE t ADD COLUMN m int";
    client.batch_execute(change).await.unwrap();
    reader.kill().unwrap();
    reader.wait().unwrap();
    caught_up(&primary, &standby).await;
    standby.stop(Stop::Fast).await.unwrap();
    primary.stop(Stop::Fast).await.unwrap();
}
