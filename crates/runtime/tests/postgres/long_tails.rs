//! A tail of more transactions than are held in memory: all of them are listed and have their rows;
//! and what has no room is counted, and said to be in the server's data alone.

use std::collections::BTreeSet;
use std::time::Instant;

use runtime::postgres::{Fork, LostList, Stop, Tail};
use types::ByteSize;

use crate::rig::{master, rig};
use crate::tails::ROOM;

/// Small commits: a page of a list has a few thousand.
const COMMITS: u64 = 120_000;

/// The ids in a tail's file of rows.
fn ids(tail: &Tail) -> BTreeSet<u64> {
    let Some(file) = &tail.sql_file else {
        return BTreeSet::new();
    };
    let text = std::fs::read_to_string(file).unwrap();
    let begin = "INSERT INTO \"public\".\"many\" (id) OVERRIDING SYSTEM VALUE VALUES ('";
    let rows = text.lines().filter_map(|line| line.strip_prefix(begin));
    rows.map(|row| row.split_once('\'').unwrap().0.parse().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_of_hours_is_listed_whole_and_what_has_no_room_is_counted() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    let client = master(&home).await;
    let make = "CREATE TABLE many (id int PRIMARY KEY); INSERT INTO many VALUES (0)";
    client.batch_execute(make).await.unwrap();
    let fork = Fork {
        timeline: 2,
        lsn: server.observe().await.unwrap().written,
    };
    let write = format!(
        "DO $$ BEGIN FOR i IN 1..{COMMITS} LOOP INSERT INTO many VALUES (i); COMMIT; END LOOP; END $$"
    );
    let quickly = "SET synchronous_commit = off";
    client.batch_execute(quickly).await.unwrap();
    client.batch_execute(&write).await.unwrap();
    // Ours, of which none is listed: as many as in a second.
    for milliseconds in 0..10 {
        server.beat(types::Timestamp(milliseconds)).await.unwrap();
    }
    drop(client);
    server.stop(Stop::Fast).await.unwrap();

    let begun = Instant::now();
    let to = rig.path().join("tail");
    let kept = rig.postgres.keep_tail(&home, fork, (&to, ROOM));
    let tail = kept.await.unwrap();
    let sql = std::fs::metadata(tail.sql_file.as_ref().unwrap()).unwrap();
    eprintln!(
        "{COMMITS} commits kept in {} ms; bytes a commit: {} of list, {} of rows, {} of log",
        begun.elapsed().as_millis(),
        tail.list_bytes.0 / COMMITS,
        sql.len() / COMMITS,
        tail.bytes.0 / COMMITS,
    );
    assert_eq!(
        (tail.listed, tail.unlisted, tail.is_short),
        (COMMITS, None, false)
    );
    assert_eq!(tail.unexported, None);
    assert_eq!(ids(&tail), (1..=COMMITS).collect());
    let mut list = LostList::open(&tail.list_file, tail.list_bytes).unwrap();
    let (mut pages, mut last) = (0, None);
    loop {
        let page = list.page().unwrap();
        let Some(end) = page.last() else { break };
        assert!(page.len() < 10_000, "a page is bounded");
        assert!(last < Some(page[0].lsn), "in the order of commits");
        (pages, last) = (pages + 1, Some(end.lsn));
    }
    assert!(pages > 10, "{pages}");
    std::fs::remove_dir_all(&to).unwrap();

    // A tenth of it.
    let to = rig.path().join("short");
    let limit = ByteSize(tail.list_bytes.0 / 10);
    let kept = rig.postgres.keep_tail(&home, fork, (&to, limit));
    let short = kept.await.unwrap();
    assert!(short.is_short && short.sql_file.is_none() && short.bytes.0 == 0);
    let unlisted = short.unlisted.unwrap();
    assert!(
        short.listed > COMMITS / 20 && short.list_bytes.0 <= limit.0 + 4096,
        "{short:?}"
    );
    assert_eq!(short.listed + unlisted.count, COMMITS);
    assert!(unlisted.first.0 < unlisted.last.0 && Some(unlisted.last.0) == last);
    let said = short.unexported.as_deref().unwrap();
    assert!(
        said.contains("no room for all rows") && said.contains("the log itself"),
        "{said}"
    );
    assert_eq!(Tail::read(&to).unwrap(), Some(short.clone()));

    // The data are put aside whole, and nothing stays in their place.
    let aside = to.join("home");
    home.set_aside(&aside).await.unwrap();
    assert!(!home.directory().exists() && aside.join("data/global/pg_control").is_file());
    home.set_aside(&aside).await.unwrap();
}
