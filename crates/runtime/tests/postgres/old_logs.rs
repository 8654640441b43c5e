//! Tails whose beginning is long before what they are asked for: transactions that began files
//! before, timelines that began after; and what of that is gone is said.

use std::collections::BTreeSet;

use runtime::postgres::{
    Fork, LostTransaction, Lsn, Server, ServerHome, ServerSettings, Stop, Tail,
};

use crate::rig::{master, number, rig};
use crate::tails::{
    ROOM, caught_up, copy, figures, following, keep_slots, listed, take_over, upstream,
};

/// Bytes of a file of the log.
const FILE: u64 = 4 * 1024 * 1024;

/// More than three files of the log.
const FILL: &str = "INSERT INTO filler SELECT \
     (SELECT string_agg(md5((random() + i)::text || n), '') FROM generate_series(1, 60) AS i) \
     FROM generate_series(1, 10000) AS n";

async fn prepare(home: &ServerHome) {
    let make = "CREATE TABLE plain (id int PRIMARY KEY, note text); CREATE TABLE filler (v text)";
    master(home).await.batch_execute(make).await.unwrap();
}

async fn written(server: &Server) -> Lsn {
    server.observe().await.unwrap().written
}

fn rows(tail: &Tail) -> String {
    std::fs::read_to_string(tail.sql_file.as_ref().unwrap()).unwrap()
}

/// What is done to tables, without what our own did.
fn of_table(tail: &Tail, table: &str) -> Vec<LostTransaction> {
    let all = listed(tail).into_iter();
    all.filter(|it| figures(it).contains_key(table)).collect()
}

/// Takes away every file of a log before that place's.
fn forget_before(home: &ServerHome, lsn: Lsn) {
    let first = format!("{:08X}{:08X}", lsn.0 >> 32, (lsn.0 & 0xFFFF_FFFF) / FILE);
    for entry in std::fs::read_dir(home.directory().join("data/pg_wal")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.len() == 24 && name[8..] < *first {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
}

#[tokio::test]
async fn a_transaction_that_began_files_before_the_fork_is_listed_with_its_rows() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    prepare(&home).await;
    let (long, other) = (master(&home).await, master(&home).await);
    let begun = written(&server).await;
    long.batch_execute("BEGIN; INSERT INTO plain VALUES (1, 'long')")
        .await
        .unwrap();
    other.batch_execute(FILL).await.unwrap();
    let fork = Fork {
        timeline: 2,
        lsn: written(&server).await,
    };
    assert!(fork.lsn.0 / FILE > begun.0 / FILE + 2, "{begun} {fork:?}");
    long.batch_execute("COMMIT").await.unwrap();
    server.stop(Stop::Immediate).await.unwrap();

    let to = rig.path().join("tail");
    let tail = rig
        .postgres
        .keep_tail(&home, fork, (&to, ROOM))
        .await
        .unwrap();
    assert_eq!((tail.is_short, tail.unexported.as_deref()), (false, None));
    let lost = listed(&tail);
    let [lost] = &lost[..] else {
        panic!("{tail:?}")
    };
    assert_eq!(figures(lost)["plain"], [1, 0, 0]);
    assert!(rows(&tail).contains("VALUES ('1', 'long')"));
    // The log is kept from where it began.
    assert!(tail.bytes.0 >= fork.lsn.0 - begun.0, "{tail:?}");
    let names = std::fs::read_dir(&to).unwrap();
    let names: BTreeSet<String> = names
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    let kept = ["lost.sql", "tail.json", "transactions", "wal"].map(String::from);
    assert_eq!(names, BTreeSet::from(kept));

    // Where its beginning is gone it is listed, and that not all is known of it is said.
    forget_before(&home, fork.lsn);
    let to = rig.path().join("short");
    let tail = rig
        .postgres
        .keep_tail(&home, fork, (&to, ROOM))
        .await
        .unwrap();
    let again = listed(&tail);
    let [again] = &again[..] else {
        panic!("{tail:?}")
    };
    assert_eq!((again.xid, again.lsn), (lost.xid, lost.lsn));
    let said = tail.unexported.unwrap();
    assert!(tail.is_short, "its rows may be in the server's data alone");
    assert!(said.contains(&format!("{} may have", lost.xid)), "{said}");
}

/// Writes to the log until less than a checkpoint's record takes is left of a file of it.
const FILL_FILE: &str = "DO $$
    DECLARE
      file bigint := pg_size_bytes(current_setting('wal_segment_size'));
      rest bigint;
    BEGIN
      LOOP
        rest := file - (pg_current_wal_insert_lsn() - '0/0')::bigint % file;
        EXIT WHEN rest BETWEEN 8 AND 104;
        PERFORM pg_logical_emit_message(false, '', repeat('x',
          CASE WHEN rest > 12000 THEN 8000 WHEN rest > 400 THEN 100 ELSE 0 END));
      END LOOP;
    END $$";

#[tokio::test]
async fn a_tail_whose_log_ends_with_a_record_over_two_files_is_kept() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    prepare(&home).await;
    let fork = Fork {
        timeline: 2,
        lsn: written(&server).await,
    };
    let insert = "INSERT INTO plain VALUES (1, 'lost')";
    master(&home).await.batch_execute(insert).await.unwrap();
    let mut running = Some(server);
    // Another record may come between.
    for _ in 0..10 {
        let server = match running.take() {
            Some(server) => server,
            None => {
                let alone = ServerSettings::default();
                rig.postgres.start(&home, &alone).await.unwrap()
            }
        };
        master(&home).await.batch_execute(FILL_FILE).await.unwrap();
        server.stop(Stop::Fast).await.unwrap();
        let control = rig.postgres.control(&home).await.unwrap();
        let file = control.checkpoint.0 / FILE;
        if control.end.unwrap().0 > (file + 1) * FILE {
            let to = rig.path().join("tail");
            let tail = rig.postgres.keep_tail(&home, fork, (&to, ROOM));
            let tail = tail.await.unwrap();
            assert_eq!((tail.listed, tail.is_short), (1, false));
            return;
        }
    }
    panic!("no checkpoint went over from one file to the next");
}

#[tokio::test]
async fn a_writer_whose_successor_s_successor_was_behind_has_its_tail_kept_and_comes_back() {
    let Some(rig) = rig() else { return };
    let (first, primary) = rig.server("one").await;
    prepare(&first).await;
    keep_slots(&primary, &["two", "three"]).await;
    let (second, ahead) = copy(&rig, &first, "two").await;
    let (third, behind) = copy(&rig, &first, "three").await;
    caught_up(&primary, &behind).await;
    behind.stop(Stop::Fast).await.unwrap();
    let alone = ServerSettings::default();
    let behind = rig.postgres.start(&third, &alone).await.unwrap();
    let client = master(&first).await;
    client.batch_execute(FILL).await.unwrap();
    client
        .batch_execute("INSERT INTO plain VALUES (1, 'of the first')")
        .await
        .unwrap();
    caught_up(&primary, &ahead).await;
    primary.stop(Stop::Immediate).await.unwrap();
    let own = take_over(&ahead).await;
    master(&second)
        .await
        .batch_execute("INSERT INTO plain VALUES (2, 'of the second')")
        .await
        .unwrap();
    ahead.stop(Stop::Immediate).await.unwrap();
    let fork = take_over(&behind).await;
    assert!(own.lsn.0 / FILE > fork.lsn.0 / FILE + 1, "{own:?} {fork:?}");

    let to = rig.path().join("tail");
    let tail = rig
        .postgres
        .keep_tail(&second, fork, (&to, ROOM))
        .await
        .unwrap();
    assert_eq!((tail.timeline, tail.begin), (own.timeline, fork.lsn));
    assert_eq!((tail.is_short, tail.unexported.as_deref()), (false, None));
    assert_eq!(of_table(&tail, "plain").len(), 2);
    assert_eq!(
        figures(&of_table(&tail, "filler")[0])["filler"],
        [10000, 0, 0]
    );
    for row in ["('1', 'of the first')", "('2', 'of the second')"] {
        assert!(rows(&tail).contains(row), "{row}");
    }
    // Where the first's log is gone there is what its own timeline holds.
    forget_before(&second, own.lsn);
    let to = rig.path().join("short");
    let tail = rig
        .postgres
        .keep_tail(&second, fork, (&to, ROOM))
        .await
        .unwrap();
    assert!(rows(&tail).contains("('2', 'of the second')"));
    let said = tail.unexported.unwrap();
    assert!(
        tail.is_short,
        "what was committed there is in its data alone"
    );
    assert!(
        said.contains(&format!("its log from {} to", fork.lsn)),
        "{said}"
    );

    // Two were promoted alone from one timeline: it is copied anew.
    keep_slots(&behind, &["two"]).await;
    let back = upstream(&third, "two");
    rig.postgres.rewind(&second, &back).await.unwrap_err();
    second.remove().await.unwrap();
    rig.postgres.copy(&second, &back).await.unwrap();
    let returned = rig
        .postgres
        .start(&second, &following(&back))
        .await
        .unwrap();
    caught_up(&behind, &returned).await;
    let client = master(&second).await;
    assert_eq!(number(&client, "SELECT count(*) FROM plain").await, 0);
    returned.stop(Stop::Fast).await.unwrap();
    behind.stop(Stop::Fast).await.unwrap();
}

#[tokio::test]
async fn what_a_standby_received_right_before_it_was_killed_on_a_newer_timeline_is_kept() {
    let Some(rig) = rig() else { return };
    let (first, primary) = rig.server("one").await;
    prepare(&first).await;
    keep_slots(&primary, &["two", "three"]).await;
    let (second, successor) = copy(&rig, &first, "two").await;
    let (third, standby) = copy(&rig, &first, "three").await;
    caught_up(&primary, &successor).await;
    caught_up(&primary, &standby).await;
    // Both have all of it then.
    primary.stop(Stop::Fast).await.unwrap();
    let fork = take_over(&successor).await;
    keep_slots(&successor, &["three"]).await;
    let on = following(&upstream(&second, "three"));
    standby.reload(&on).await.unwrap();
    let insert = "INSERT INTO plain VALUES (1, 'received')";
    master(&second).await.batch_execute(insert).await.unwrap();
    caught_up(&successor, &standby).await;
    standby.stop(Stop::Immediate).await.unwrap();
    let known = rig.postgres.control(&third).await.unwrap().timeline;
    eprintln!("its control file knows timeline {known}");
    successor.stop(Stop::Immediate).await.unwrap();

    let to = rig.path().join("tail");
    let tail = rig.postgres.keep_tail(&third, fork, (&to, ROOM));
    let tail = tail.await.unwrap();
    assert_eq!((tail.timeline, tail.is_short), (fork.timeline, false));
    assert_eq!(of_table(&tail, "plain").len(), 1);
    assert!(rows(&tail).contains("('1', 'received')"));

    // Files of a timeline that it can't come to may hold what nobody else has.
    let log = third.directory().join("data/pg_wal");
    let name = format!("{:08X}{:08X}{:08X}", 9, 0, fork.lsn.0 / FILE);
    std::fs::write(log.join(name), "").unwrap();
    let to = rig.path().join("short");
    let tail = rig.postgres.keep_tail(&third, fork, (&to, ROOM));
    let tail = tail.await.unwrap();
    assert!(tail.is_short, "{tail:?}");
    let said = tail.unexported.unwrap();
    assert!(said.contains("files of timeline 9"), "{said}");
}
