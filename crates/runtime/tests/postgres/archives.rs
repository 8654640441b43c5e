//! The archive of a server's log: a server is made as it was at a moment, also one right before
//! a mistake; the archive goes on over a kill, and one that can't be written costs nothing.

use std::time::{Duration, Instant};

use runtime::postgres::{
    Archive, ArchiveSeen, Followed, PostgresError, Server, ServerHome, ServerSettings, Stop,
    Upstream, look_at_archive, snapshot_begin,
};
use tokio_postgres::Client;
use types::Timestamp;

use crate::rig::{Rig, eventually, master, number, rig, settings};

async fn kept(archive: &Archive) -> ArchiveSeen {
    match archive.follow().await.unwrap() {
        Followed::Kept(seen) => seen,
        other => panic!("{other:?}"),
    }
}

/// Commits that row, and says when, by the server's clock: not before its commit.
async fn commit(client: &Client, id: i64) -> Timestamp {
    let row = format!("INSERT INTO orders VALUES ({id})");
    client.batch_execute(&row).await.unwrap();
    let at = "SELECT ceil(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let at = Timestamp(u64::try_from(number(client, at).await).unwrap());
    // The next commit is in a later millisecond.
    tokio::time::sleep(Duration::from_millis(5)).await;
    at
}

async fn ids(client: &Client) -> Vec<i64> {
    let rows = client.query("SELECT id FROM orders ORDER BY id", &[]).await;
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}

/// The server as it was then.
async fn restored(rig: &Rig, name: &str, at: Timestamp) -> (ServerHome, Server) {
    let home = rig.home(name);
    let from = (rig.path().join("base"), rig.path().join("archive"));
    let begun = Instant::now();
    let made = rig.postgres.restore_to((&from.0, &from.1), at, &home).await;
    made.unwrap();
    let server = rig.postgres.start(&home, &ServerSettings::default()).await;
    eprintln!("restored {name} in {:?}", begun.elapsed());
    (home, server.unwrap())
}

/// A turn that can't write one of the files that are due keeps those before it, and lets the server
/// forget them; the next one goes on from there.
async fn cut_off_a_turn((archive, folder): (&Archive, &std::path::Path), client: &Client) {
    let files = || {
        let names = std::fs::read_dir(folder).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<String> = names.filter(|name| name.len() == 24).collect();
        files.sort();
        files
    };
    let first = files().pop().unwrap();
    let later = |count: u64| {
        let number = u64::from_str_radix(&first[16..], 16).unwrap() + count;
        folder.join(format!("{}{number:08X}", &first[..16]))
    };
    let before = look_at_archive(folder).unwrap().unwrap();
    std::fs::create_dir(later(2)).unwrap();
    let refused = archive.follow().await;
    assert!(
        matches!(refused, Err(PostgresError::Io { .. })),
        "{refused:?}"
    );
    let seen = look_at_archive(folder).unwrap().unwrap();
    assert_eq!(seen.latest, before.latest, "nothing more can be restored");
    let changed = |count| later(count).metadata().unwrap().modified().unwrap();
    let copied = [changed(0), changed(1)];
    let kept_from = "SELECT (restart_lsn - '0/0'::pg_lsn)::bigint / 4194304 \
                     FROM pg_replication_slots WHERE slot_name = 'causeway_archive'";
    let kept_from = number(client, kept_from).await;
    assert_eq!(
        format!("{kept_from:08X}"),
        later(2).file_name().unwrap().to_str().unwrap()[16..]
    );
    std::fs::remove_dir(later(2)).unwrap();
    let seen = kept(archive).await;
    assert!(seen.latest > before.latest && files().len() > 2);
    assert_eq!([changed(0), changed(1)], copied, "they are copied once");
}

#[tokio::test]
async fn a_server_is_restored_to_right_before_a_mistake() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("shop").await;
    let client = master(&home).await;
    client
        .batch_execute("CREATE TABLE orders (id bigint PRIMARY KEY)")
        .await
        .unwrap();
    let folder = rig.path().join("archive");
    let archive = Archive::new(home.clone(), folder.clone());
    let first = kept(&archive).await;
    commit(&client, 1).await;
    let base = rig.path().join("base");
    rig.postgres
        .snapshot(&home, Some(&server), &base)
        .await
        .unwrap();
    let begin = snapshot_begin(&base).unwrap().unwrap();
    assert!(first.continues(begin), "{first:?} {begin:?}");
    // The archive's slot is no standby's, and stays when those are looked after.
    server
        .keep_slots(&["of_another".to_owned()].into())
        .await
        .unwrap();
    let slots = server.observe().await.unwrap().slots;
    assert_eq!(slots.len(), 1);
    server.keep_slots(&Default::default()).await.unwrap();

    let second = commit(&client, 2).await;
    kept(&archive).await;
    commit(&client, 3).await;
    // Some files of the log, and a kill amid them.
    let filler = "CREATE TABLE filler AS SELECT n, repeat('x', 500) AS x \
                  FROM generate_series(1, 20000) AS n";
    client.batch_execute(filler).await.unwrap();
    cut_off_a_turn((&archive, &folder), &client).await;
    let fourth = commit(&client, 4).await;
    server.stop(Stop::Immediate).await.unwrap();
    let server = rig
        .postgres
        .start(&home, &ServerSettings::default())
        .await
        .unwrap();
    let client = master(&home).await;
    assert_eq!(ids(&client).await, [1, 2, 3, 4]);
    let before = commit(&client, 5).await;
    client.batch_execute("DROP TABLE orders").await.unwrap();
    let last = kept(&archive).await;
    assert!(last.latest > before && last.bytes.0 > 8 << 20, "{last:?}");

    for (name, at, expected) in [
        ("second", second, vec![1, 2]),
        ("fourth", fourth, vec![1, 2, 3, 4]),
        ("before", before, vec![1, 2, 3, 4, 5]),
    ] {
        let (copy, restored) = restored(&rig, name, at).await;
        assert_eq!(ids(&master(&copy).await).await, expected, "{name}");
        let seen = restored.observe().await.unwrap();
        assert_eq!(seen.timeline, 2, "a timeline of its own");
        assert_ne!(
            copy.replication_password().unwrap(),
            home.replication_password().unwrap()
        );
        restored.stop(Stop::Immediate).await.unwrap();
    }
    let (copy, _restored) = restored(&rig, "latest", last.latest).await;
    let gone = master(&copy).await.query("SELECT FROM orders", &[]).await;
    assert!(gone.is_err(), "it was dropped by then");
    // What is later than all that is there can't be known.
    let later = Timestamp(last.latest.0 + 1);
    let refused = rig
        .postgres
        .restore_to((&base, &folder), later, &rig.home("later"))
        .await;
    assert!(
        matches!(refused, Err(PostgresError::Damaged { .. })),
        "{refused:?}"
    );
    server.stop(Stop::Fast).await.unwrap();
}

#[tokio::test]
async fn an_archive_goes_on_with_the_standby_that_took_over_and_without_what_that_never_had() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("shop").await;
    let client = master(&home).await;
    client
        .batch_execute("CREATE TABLE orders (id bigint PRIMARY KEY)")
        .await
        .unwrap();
    let folder = rig.path().join("archive");
    let archive = Archive::new(home.clone(), folder.clone());
    kept(&archive).await;
    let base = rig.path().join("base");
    let taken = rig.postgres.snapshot(&home, Some(&server), &base);
    taken.await.unwrap();
    let first = commit(&client, 1).await;
    server
        .keep_slots(&["other".to_owned()].into())
        .await
        .unwrap();
    let upstream = Upstream {
        socket_directory: home.socket_directory().to_owned(),
        slot: "other".into(),
        password: home.replication_password().unwrap(),
        application_name: "other".into(),
    };
    let following = ServerSettings {
        upstream: Some(upstream.clone()),
        ..ServerSettings::default()
    };
    let other = rig.home("other");
    rig.postgres.copy(&other, &upstream).await.unwrap();
    let standby = rig.postgres.start(&other, &following).await.unwrap();
    // Not in the archive yet when its server is gone; and what is there and the standby never had.
    let second = commit(&client, 2).await;
    let reader = master(&other).await;
    eventually("it has all", || async { ids(&reader).await == [1, 2] }).await;
    standby.stop(Stop::Fast).await.unwrap();
    let never = commit(&client, 99).await;
    kept(&archive).await;
    server.stop(Stop::Immediate).await.unwrap();

    let standby = rig.postgres.start(&other, &ServerSettings::default()).await;
    let standby = standby.unwrap();
    standby.promote().await.unwrap();
    let client = master(&other).await;
    commit(&client, 3).await;
    let archive = archive.moved(other.clone());
    let seen = kept(&archive).await;
    assert_eq!(seen.timeline, 2, "{seen:?}");
    assert!(seen.continues(snapshot_begin(&base).unwrap().unwrap()));
    let fourth = commit(&client, 4).await;
    kept(&archive).await;
    commit(&client, 5).await;
    kept(&archive).await;
    for (name, at, expected) in [
        ("first", first, vec![1]),
        ("second", second, vec![1, 2]),
        ("never", never, vec![1, 2]),
        ("fourth", fourth, vec![1, 2, 3, 4]),
    ] {
        let (copy, restored) = restored(&rig, name, at).await;
        assert_eq!(ids(&master(&copy).await).await, expected, "{name}");
        let seen = restored.observe().await.unwrap();
        assert_eq!(seen.timeline, 3, "a timeline of its own");
        restored.stop(Stop::Immediate).await.unwrap();
    }
    standby.stop(Stop::Immediate).await.unwrap();
}

#[tokio::test]
async fn an_idle_server_is_restored_as_of_now_and_its_archive_takes_no_more() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("shop").await;
    let client = master(&home).await;
    client
        .batch_execute("CREATE TABLE orders (id bigint PRIMARY KEY)")
        .await
        .unwrap();
    let archive = Archive::new(home.clone(), rig.path().join("archive"));
    kept(&archive).await;
    rig.postgres
        .snapshot(&home, Some(&server), &rig.path().join("base"))
        .await
        .unwrap();
    // One that began before and is committed after the others is no reason to miss it.
    let slow = master(&home).await;
    slow.batch_execute("BEGIN; INSERT INTO orders VALUES (1)")
        .await
        .unwrap();
    commit(&client, 2).await;
    let mut before = kept(&archive).await;
    slow.batch_execute("COMMIT").await.unwrap();
    let mut written = server.observe().await.unwrap().written;
    let mut still = 0;
    // The server writes a little of its own for a while.
    for _ in 0..100 {
        let seen = kept(&archive).await;
        assert!(seen.latest >= before.latest, "{seen:?} {before:?}");
        let now = server.observe().await.unwrap().written;
        still = match now == written && seen.bytes == before.bytes {
            true => still + 1,
            false => 0,
        };
        (before, written) = (seen, now);
        if still > 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(still > 3, "an archive of an idle server makes it write");
    let (copy, _restored) = restored(&rig, "now", before.latest).await;
    assert_eq!(ids(&master(&copy).await).await, [1, 2]);
}

#[tokio::test]
async fn an_archive_that_can_t_be_written_fills_nothing_and_begins_anew() {
    let Some(rig) = rig() else { return };
    let home = rig.home("shop");
    rig.postgres
        .create(&home, &crate::rig::new())
        .await
        .unwrap();
    let told = settings(&[
        ("max_slot_wal_keep_size", "8MB"),
        ("max_wal_size", "8MB"),
        ("wal_keep_size", "0"),
    ]);
    let server = rig.postgres.start(&home, &told).await.unwrap();
    let client = master(&home).await;
    let folder = rig.path().join("archive");
    // Something else is in its place.
    std::fs::write(&folder, "").unwrap();
    let archive = Archive::new(home.clone(), folder.clone());
    let refused = archive.follow().await;
    assert!(
        matches!(refused, Err(PostgresError::Io { .. })),
        "{refused:?}"
    );
    std::fs::remove_file(&folder).unwrap();
    kept(&archive).await;
    std::fs::rename(&folder, rig.path().join("away")).unwrap();
    std::fs::write(&folder, "").unwrap();
    for round in 0..12 {
        let filler = format!(
            "CREATE TABLE filler_{round} AS SELECT n, repeat('x', 500) AS x \
             FROM generate_series(1, 12000) AS n"
        );
        client.batch_execute(&filler).await.unwrap();
        assert!(archive.follow().await.is_err());
        server.checkpoint().await.unwrap();
    }
    let log = std::fs::read_dir(home.directory().join("data/pg_wal")).unwrap();
    let files = log.count();
    eprintln!("{files} files of the log are kept");
    assert!(
        files < 16,
        "the server keeps {files} files for an archive that can't be written"
    );
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(rig.path().join("away"), &folder).unwrap();
    assert_eq!(archive.follow().await.unwrap(), Followed::Broken);
    assert_eq!(look_at_archive(&folder).unwrap(), None);
    let anew = kept(&archive).await;
    archive.trim(anew.first).await.unwrap();
    assert_eq!(look_at_archive(&folder).unwrap().unwrap().first, anew.first);
    archive.leave().await.unwrap();
    server.stop(Stop::Fast).await.unwrap();
    assert!(archive.follow().await.is_err(), "nobody answers");
}
