//! What a lost tail holds, whatever was done in it; and servers that look like copies of one and
//! aren't any more.

use std::collections::BTreeMap;
use std::process::Command;

use runtime::postgres::{
    Fork, HomeState, LostList, LostTransaction, Lsn, Server, ServerHome, ServerSettings, Stop,
    Tail, Upstream,
};
use types::ByteSize;

use crate::rig::{MASTER, PASSWORD, Rig, eventually, login, master, number, rig, settings};

pub(crate) fn upstream(home: &ServerHome, slot: &str) -> Upstream {
    Upstream {
        socket_directory: home.socket_directory().to_owned(),
        slot: slot.into(),
        password: home.replication_password().unwrap(),
        application_name: slot.into(),
    }
}

pub(crate) fn following(upstream: &Upstream) -> ServerSettings {
    ServerSettings {
        parameters: BTreeMap::new(),
        upstream: Some(upstream.clone()),
        synchronous: None,
    }
}

pub(crate) async fn keep_slots(server: &Server, names: &[&str]) {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    server.keep_slots(&names).await.unwrap();
}

/// A copy of that server, following it.
pub(crate) async fn copy(rig: &Rig, of: &ServerHome, name: &str) -> (ServerHome, Server) {
    let (home, upstream) = (rig.home(name), upstream(of, name));
    rig.postgres.copy(&home, &upstream).await.unwrap();
    let server = rig.postgres.start(&home, &following(&upstream)).await;
    (home, server.unwrap())
}

pub(crate) async fn caught_up(primary: &Server, standby: &Server) {
    let written = primary.observe().await.unwrap().written;
    eventually("the standby has all", || async {
        standby.observe().await.unwrap().replayed >= Some(written)
    })
    .await;
}

pub(crate) async fn take_over(server: &Server) -> Fork {
    server.promote().await.unwrap();
    server.checkpoint().await.unwrap();
    server.fork().await.unwrap().unwrap()
}

/// More than any tail here takes.
pub(crate) const ROOM: ByteSize = ByteSize::mib(1024);

/// What a tail lists.
pub(crate) fn listed(tail: &Tail) -> Vec<LostTransaction> {
    let mut list = LostList::open(&tail.list_file, tail.list_bytes).unwrap();
    let mut all = Vec::new();
    loop {
        match list.page().unwrap() {
            page if page.is_empty() => break,
            page => all.extend(page),
        }
    }
    assert_eq!(all.len() as u64, tail.listed);
    all
}

/// What was done to each table of one transaction: rows put in, changed, taken away.
pub(crate) fn figures(lost: &LostTransaction) -> BTreeMap<&str, [u64; 3]> {
    let each = lost.tables.iter();
    each.map(|it| (&*it.table, [it.inserted, it.updated, it.deleted]))
        .collect()
}

/// Everything that is done beyond the fork.
async fn tail_of_all_kinds(home: &ServerHome) {
    let client = master(home).await;
    let odd = login(home.socket_directory(), MASTER, PASSWORD, "-cport=1 \"o'\"").await;
    let odd = odd.unwrap();
    for one in [
        "INSERT INTO plain VALUES (1, E'it''s \\\\ \\t\\n\u{e4}', NULL), (2, '', '{\"a\": 1}')",
        "UPDATE plain SET note = 'changed' WHERE id = 0",
        "DELETE FROM plain WHERE id = -1",
        "INSERT INTO \"odd ;\nta\"\"ble\" (v) VALUES (5), (6)",
        "BEGIN; INSERT INTO plain VALUES (10, 'kept'); SAVEPOINT a; INSERT INTO plain VALUES (11, \
         'kept'); RELEASE a; SAVEPOINT b; INSERT INTO plain VALUES (12, 'undone'); ROLLBACK TO b; \
         COMMIT",
        "BEGIN; INSERT INTO plain VALUES (13, 'undone'); ROLLBACK",
        "BEGIN; INSERT INTO plain VALUES (14, 'prepared'); PREPARE TRANSACTION 'one'",
        "COMMIT PREPARED 'one'",
        "CREATE TABLE late (id int)",
        "INSERT INTO plain VALUES (15, repeat(md5(random()::text), 20000))",
        // Where a backslash takes the quote behind it away, the rest would be a statement.
        "INSERT INTO plain VALUES (16, '\\''); CREATE TABLE breach (); --')",
    ] {
        client.batch_execute(one).await.unwrap();
    }
    odd.batch_execute("INSERT INTO there VALUES (7)")
        .await
        .unwrap();
    // Not committed when its server dies.
    client
        .batch_execute("BEGIN; INSERT INTO plain VALUES (99, 'open')")
        .await
        .unwrap();
    std::mem::forget(client);
}

async fn prepared(rig: &Rig) -> (ServerHome, Server) {
    let home = rig.home("one");
    rig.postgres
        .create(&home, &crate::rig::new())
        .await
        .unwrap();
    let told = settings(&[("max_prepared_transactions", "5")]);
    let server = rig.postgres.start(&home, &told).await.unwrap();
    let client = master(&home).await;
    client
        .batch_execute(
            "CREATE TABLE plain (id int PRIMARY KEY, note text, more json, \
             twice int GENERATED ALWAYS AS (id * 2) STORED); \
             CREATE TABLE \"odd ;\nta\"\"ble\" (n int GENERATED ALWAYS AS IDENTITY, v int); \
             INSERT INTO plain VALUES (0, 'zero'), (-1, 'gone')",
        )
        .await
        .unwrap();
    client
        .batch_execute("CREATE DATABASE \"-cport=1 \"\"o'\"\"\"")
        .await
        .unwrap();
    let odd = login(home.socket_directory(), MASTER, PASSWORD, "-cport=1 \"o'\"").await;
    let odd = odd.unwrap();
    odd.batch_execute("CREATE TABLE there (id int)")
        .await
        .unwrap();
    (home, server)
}

#[tokio::test]
async fn a_tail_lists_all_that_was_committed_and_its_rows_can_be_put_back() {
    let Some(rig) = rig() else { return };
    let (first, primary) = prepared(&rig).await;
    keep_slots(&primary, &["two"]).await;
    let (second, standby) = copy(&rig, &first, "two").await;
    caught_up(&primary, &standby).await;
    let fork = take_over(&standby).await;
    primary.beat(types::Timestamp(5)).await.unwrap();
    tail_of_all_kinds(&first).await;
    primary.stop(Stop::Immediate).await.unwrap();
    let to = rig.path().join("tail");
    // Cut off: what is there is nothing, and is begun anew.
    std::fs::create_dir(&to).unwrap();
    std::fs::write(to.join("lost.sql"), "half").unwrap();
    assert_eq!(Tail::read(&to).unwrap(), None);
    let tail = rig
        .postgres
        .keep_tail(&first, fork, (&to, ROOM))
        .await
        .unwrap();
    assert_eq!((tail.timeline, tail.is_short), (1, false));
    assert_eq!(tail.unexported, None);
    assert!(tail.begin == fork.lsn && tail.end > fork.lsn && tail.bytes.0 > 0);

    let lost = listed(&tail);
    let seen: Vec<_> = lost.iter().map(figures).collect();
    let of = |table, counts| BTreeMap::from([(table, counts)]);
    let expected = [
        of("plain", [2, 0, 0]),
        of("plain", [0, 1, 0]),
        of("plain", [0, 0, 1]),
        of("odd ;\nta\"ble", [2, 0, 0]),
        of("plain", [2, 0, 0]),
        of("plain", [1, 0, 0]),
        BTreeMap::new(),
        of("plain", [1, 0, 0]),
        of("plain", [1, 0, 0]),
        of("there", [1, 0, 0]),
    ];
    assert_eq!(seen, expected);
    let schema: Vec<bool> = lost.iter().map(|it| it.changed_schema).collect();
    assert_eq!(schema.iter().filter(|it| **it).count(), 1);
    assert!(schema[6]);
    let table = &lost[9].tables[0];
    assert_eq!(
        (&*table.database, &*table.schema),
        ("-cport=1 \"o'\"", "public")
    );
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_millis();
    let age = now - u128::from(lost[0].committed.0);
    assert!(age < 600_000, "{age} ms ago");
    // Asked again it says the same, and does nothing.
    let again = rig
        .postgres
        .keep_tail(&first, fork, (&to, ROOM))
        .await
        .unwrap();
    assert_eq!(again, tail);

    repair(&second, &tail).await;
    // The old one has all of it no more once it follows.
    keep_slots(&standby, &["one"]).await;
    let back = upstream(&second, "one");
    rig.postgres.rewind(&first, &back).await.unwrap();
    let follower = rig.postgres.start(&first, &following(&back)).await.unwrap();
    caught_up(&standby, &follower).await;
    let client = master(&first).await;
    assert_eq!(number(&client, "SELECT count(*) FROM plain").await, 9);
    follower.stop(Stop::Fast).await.unwrap();
    standby.stop(Stop::Fast).await.unwrap();
}

/// Puts the rows back with psql, as the master user, where sessions begin with settings by which
/// the file can't be read.
async fn repair(home: &ServerHome, tail: &Tail) {
    let client = master(home).await;
    let differently = "ALTER ROLE CURRENT_USER SET standard_conforming_strings = off";
    client.batch_execute(differently).await.unwrap();
    let psql = Command::new("/usr/lib/postgresql/15/bin/psql")
        .args(["-X", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-h"])
        .arg(home.socket_directory())
        .args(["-U", MASTER, "-f"])
        .arg(tail.sql_file.as_ref().unwrap())
        .env("PGPASSWORD", PASSWORD)
        .env("PGCLIENTENCODING", "LATIN1")
        .output();
    let psql = psql.unwrap();
    let said = String::from_utf8_lossy(&psql.stderr);
    assert!(psql.status.success(), "{said}");
    let breach = "SELECT count(*) FROM pg_class WHERE relname = 'breach'";
    assert_eq!(number(&client, breach).await, 0, "a value was run");
    let rows = "SELECT string_agg(id || ' ' || coalesce(left(note, 20), '-'), '|' ORDER BY id) \
                FROM plain WHERE id < 15";
    let rows: String = client.query_one(rows, &[]).await.unwrap().get(0);
    assert_eq!(
        rows,
        "-1 gone|0 zero|1 it's \\ \t\n\u{e4}|2 |10 kept|11 kept|14 prepared"
    );
    let large = "SELECT length(note)::bigint FROM plain WHERE id = 15";
    assert_eq!(number(&client, large).await, 640_000);
    let quote =
        "SELECT count(*) FROM plain WHERE id = 16 AND note = '\\''); CREATE TABLE breach (); --'";
    assert_eq!(number(&client, quote).await, 1);
    let null = "SELECT count(*) FROM plain WHERE id = 1 AND more IS NULL AND twice = 2";
    assert_eq!(number(&client, null).await, 1);
    let odd = "SELECT count(*) FROM \"odd ;\nta\"\"ble\" WHERE v IN (5, 6) AND n IN (1, 2)";
    assert_eq!(number(&client, odd).await, 2);
    let there = login(home.socket_directory(), MASTER, PASSWORD, "-cport=1 \"o'\"").await;
    assert_eq!(
        number(&there.unwrap(), "SELECT count(*) FROM there").await,
        1
    );
}

#[tokio::test]
async fn a_transaction_that_was_prepared_and_never_decided_is_in_the_server_s_data_alone() {
    let Some(rig) = rig() else { return };
    let (home, server) = prepared(&rig).await;
    let client = master(&home).await;
    let before = "BEGIN; INSERT INTO plain VALUES (1, 'before'); PREPARE TRANSACTION 'before'";
    client.batch_execute(before).await.unwrap();
    let fork = Fork {
        timeline: 2,
        lsn: server.observe().await.unwrap().written,
    };
    client
        .batch_execute(
            "BEGIN; INSERT INTO plain VALUES (2, 'rolled back'); PREPARE TRANSACTION 'none'",
        )
        .await
        .unwrap();
    let decide = "ROLLBACK PREPARED 'none'";
    client.batch_execute(decide).await.unwrap();
    server.stop(Stop::Immediate).await.unwrap();
    let keep = async |name: &str| {
        let to = rig.path().join(name);
        let tail = rig.postgres.keep_tail(&home, fork, (&to, ROOM));
        tail.await.unwrap()
    };
    // What was prepared before the fork the successor has too.
    let tail = keep("decided").await;
    assert_eq!((tail.is_short, tail.unexported.as_deref()), (false, None));

    let told = settings(&[("max_prepared_transactions", "5")]);
    let server = rig.postgres.start(&home, &told).await.unwrap();
    let client = master(&home).await;
    client
        .batch_execute(
            "BEGIN; INSERT INTO plain VALUES (3, 'undecided'); PREPARE TRANSACTION E'un\ndecided'",
        )
        .await
        .unwrap();
    server.stop(Stop::Immediate).await.unwrap();
    let tail = keep("undecided").await;
    assert!(tail.is_short && tail.listed == 0 && tail.end > fork.lsn);
    let said = tail.unexported.unwrap();
    assert!(said.contains("neither committed nor rolled back"), "{said}");
    // Whoever has the home can still decide.
    let server = rig.postgres.start(&home, &told).await.unwrap();
    let client = master(&home).await;
    let decide = "COMMIT PREPARED E'un\ndecided'";
    client.batch_execute(decide).await.unwrap();
    let rows = "SELECT count(*) FROM plain WHERE note = 'undecided'";
    assert_eq!(number(&client, rows).await, 1);
    server.stop(Stop::Fast).await.unwrap();
}

#[tokio::test]
async fn a_follower_that_went_beyond_the_fork_has_a_tail_and_is_rewound() {
    let Some(rig) = rig() else { return };
    let (first, primary) = prepared(&rig).await;
    keep_slots(&primary, &["two", "three"]).await;
    let (second, behind) = copy(&rig, &first, "two").await;
    let (third, ahead) = copy(&rig, &first, "three").await;
    caught_up(&primary, &behind).await;
    // It is told of no upstream: it hears no more.
    behind.stop(Stop::Fast).await.unwrap();
    let behind = rig
        .postgres
        .start(&second, &ServerSettings::default())
        .await
        .unwrap();
    let client = master(&first).await;
    client
        .batch_execute("INSERT INTO plain VALUES (1, 'lost')")
        .await
        .unwrap();
    caught_up(&primary, &ahead).await;
    primary.stop(Stop::Immediate).await.unwrap();
    let fork = take_over(&behind).await;
    let seen = ahead.observe().await.unwrap();
    assert!(seen.timeline < fork.timeline && seen.written > fork.lsn);
    keep_slots(&behind, &["three"]).await;
    ahead.stop(Stop::Immediate).await.unwrap();
    let tail = rig
        .postgres
        .keep_tail(&third, fork, (&rig.path().join("tail"), ROOM))
        .await
        .unwrap();
    let lost = listed(&tail);
    let [lost] = &lost[..] else {
        panic!("{tail:?}")
    };
    assert_eq!(figures(lost), BTreeMap::from([("plain", [1, 0, 0])]));
    let back = upstream(&second, "three");
    rig.postgres.rewind(&third, &back).await.unwrap();
    let follower = rig.postgres.start(&third, &following(&back)).await.unwrap();
    caught_up(&behind, &follower).await;
    assert_eq!(
        number(&master(&third).await, "SELECT count(*) FROM plain").await,
        2
    );
    follower.stop(Stop::Fast).await.unwrap();

    // One that stayed behind the fork has none, and follows as it is.
    let nothing = Fork {
        lsn: Lsn(tail.end.0 + 64 * 1024 * 1024),
        ..fork
    };
    let kept = rig
        .postgres
        .keep_tail(&first, nothing, (&rig.path().join("none"), ROOM))
        .await
        .unwrap();
    assert!(kept.listed == 0 && kept.sql_file.is_none() && kept.bytes.0 == 0);
    assert_eq!(kept.end, kept.begin);
    behind.stop(Stop::Fast).await.unwrap();
}

#[tokio::test]
async fn two_that_were_promoted_alone_are_told_apart_though_their_timelines_have_one_number() {
    let Some(rig) = rig() else { return };
    let (first, primary) = prepared(&rig).await;
    keep_slots(&primary, &["two", "three", "four"]).await;
    let (second, one) = copy(&rig, &first, "two").await;
    let (third, other) = copy(&rig, &first, "three").await;
    let (fourth, follower) = copy(&rig, &first, "four").await;
    for standby in [&one, &other, &follower] {
        caught_up(&primary, standby).await;
    }
    primary.stop(Stop::Fast).await.unwrap();
    let (fork, twin) = (take_over(&one).await, take_over(&other).await);
    assert_eq!(fork, twin);
    let client = master(&second).await;
    client
        .batch_execute("INSERT INTO plain VALUES (1, 'here')")
        .await
        .unwrap();
    one.stop(Stop::Fast).await.unwrap();
    let whole = HomeState::Whole {
        system_identifier: match second.state() {
            HomeState::Whole {
                system_identifier, ..
            } => system_identifier,
            state => panic!("{state:?}"),
        },
        standby: false,
    };
    keep_slots(&other, &["two", "four"]).await;
    let refused = rig
        .postgres
        .rewind(&second, &upstream(&third, "two"))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("of the same number"),
        "{refused}"
    );
    assert_eq!(second.state(), whole);

    // Their successor came from the other one, and has a timeline of that number before its own.
    let on = upstream(&third, "four");
    follower.reload(&following(&on)).await.unwrap();
    let client = master(&third).await;
    for id in 1..200 {
        let insert = format!("INSERT INTO plain VALUES ({id}, 'there')");
        client.batch_execute(&insert).await.unwrap();
    }
    caught_up(&other, &follower).await;
    other.stop(Stop::Fast).await.unwrap();
    assert_eq!(take_over(&follower).await.timeline, 3);
    keep_slots(&follower, &["two", "three"]).await;
    let refused = rig
        .postgres
        .rewind(&second, &upstream(&fourth, "two"))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("where they part"), "{refused}");
    assert_eq!(second.state(), whole);
    // The one that it came from is rewound to it, or needs not even that.
    let back = upstream(&fourth, "three");
    rig.postgres.rewind(&third, &back).await.unwrap();
    let returned = rig.postgres.start(&third, &following(&back)).await.unwrap();
    caught_up(&follower, &returned).await;
    returned.stop(Stop::Fast).await.unwrap();
    follower.stop(Stop::Fast).await.unwrap();
}
