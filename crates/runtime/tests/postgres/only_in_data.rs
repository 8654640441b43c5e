//! What a tail's file of rows holds of tables and databases that were changed again after the loss,
//! and what stays in the server's data alone: then it says so, and whoever removes them is warned.

use runtime::postgres::{Fork, Server, ServerHome, ServerSettings, Stop, Tail};

use crate::rig::{MASTER, PASSWORD, Rig, login, master, rig};
use crate::tails::{ROOM, figures, listed};

async fn here(server: &Server) -> Fork {
    Fork {
        timeline: 2,
        lsn: server.observe().await.unwrap().written,
    }
}

/// The tail of a server that is killed, with its rows.
async fn killed(rig: &Rig, (home, server): (&ServerHome, Server), fork: Fork) -> (Tail, String) {
    server.stop(Stop::Immediate).await.unwrap();
    let to = rig.path().join(format!("tail{}", fork.lsn.0));
    let tail = rig.postgres.keep_tail(home, fork, (&to, ROOM));
    let tail = tail.await.unwrap();
    let file = tail.sql_file.as_ref();
    let rows = file.map_or(String::new(), |file| std::fs::read_to_string(file).unwrap());
    (tail, rows)
}

async fn run_in(home: &ServerHome, database: &str, statements: &[&str]) {
    let client = login(home.socket_directory(), MASTER, PASSWORD, database).await;
    let client = client.unwrap();
    for one in statements {
        client.batch_execute(one).await.unwrap();
    }
}

#[tokio::test]
async fn rows_of_tables_that_were_rewritten_are_exported_and_what_was_taken_away_is_not_missed() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    let tables = ["vacuumed", "clustered", "altered", "emptied", "dropped"];
    for table in tables {
        let make = format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, note text); \
             INSERT INTO {table} VALUES (1, '{table} before')"
        );
        run_in(&home, "postgres", &[&make]).await;
    }
    let view = "CREATE MATERIALIZED VIEW seen AS SELECT * FROM vacuumed";
    let databases = ["CREATE DATABASE shut", "CREATE DATABASE away"];
    run_in(&home, "postgres", &[view, databases[0], databases[1]]).await;
    for database in ["shut", "away"] {
        run_in(&home, database, &["CREATE TABLE there (note text)"]).await;
    }
    let fork = here(&server).await;
    for table in tables {
        let insert = format!("INSERT INTO {table} VALUES (2, '{table} after')");
        run_in(&home, "postgres", &[&insert]).await;
    }
    for database in ["shut", "away"] {
        let insert = format!("INSERT INTO there VALUES ('{database} after')");
        run_in(&home, database, &[&insert]).await;
    }
    run_in(
        &home,
        "postgres",
        &[
            "VACUUM (FULL, FREEZE) vacuumed",
            "CLUSTER clustered USING clustered_pkey",
            "ALTER TABLE altered ALTER id TYPE bigint",
            "TRUNCATE emptied",
            "DROP TABLE dropped",
            "REFRESH MATERIALIZED VIEW seen",
            "REFRESH MATERIALIZED VIEW seen",
            "CREATE TEMPORARY TABLE mine (id int)",
            "INSERT INTO mine VALUES (1)",
            "ALTER DATABASE shut ALLOW_CONNECTIONS false",
            "DROP DATABASE away",
        ],
    )
    .await;
    let (tail, rows) = killed(&rig, (&home, server), fork).await;
    assert!(!tail.is_short, "{tail:?}");
    for kept in ["vacuumed", "clustered", "altered", "shut"] {
        assert!(rows.contains(&format!("'{kept} after'")), "{kept}: {rows}");
    }
    for none in ["emptied after", "dropped after", "away after"] {
        assert!(!rows.contains(none), "{none}: {rows}");
    }
    // Only a table that was made anew is exported whole.
    for none in ["vacuumed before", "clustered before"] {
        assert!(!rows.contains(none), "{none}: {rows}");
    }
    let said = tail.unexported.unwrap();
    for words in ["were dropped later", "emptied or dropped"] {
        assert!(said.contains(words), "{said}");
    }
}

/// Does something at a server that is up again, and has its tail kept.
async fn tail_of(rig: &Rig, home: &ServerHome, database: &str, statements: &[&str]) -> Tail {
    let server = rig.postgres.start(home, &ServerSettings::default()).await;
    let server = server.unwrap();
    let fork = here(&server).await;
    run_in(home, database, statements).await;
    killed(rig, (home, server), fork).await.0
}

#[tokio::test]
async fn large_objects_are_in_the_server_s_data_alone() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    let make = [
        "SELECT lo_from_bytea(70000, 'before')",
        "CREATE TABLE t (id int)",
    ];
    run_in(&home, "postgres", &make).await;
    server.stop(Stop::Fast).await.unwrap();
    let write = ["SELECT lo_put(70000, 0, 'after')"];
    let tail = tail_of(&rig, &home, "postgres", &write).await;
    assert!(tail.is_short && tail.sql_file.is_none(), "{tail:?}");
    let lost = listed(&tail);
    assert_eq!(figures(&lost[0])["pg_largeobject"], [0, 1, 0]);
    let said = tail.unexported.unwrap();
    assert!(said.contains("large objects aren't exported"), "{said}");

    // Where they were written isn't known any more.
    let rewrite = [
        "SELECT lo_put(70000, 0, 'later')",
        "VACUUM FULL pg_largeobject",
    ];
    let tail = tail_of(&rig, &home, "postgres", &rewrite).await;
    assert!(tail.is_short, "{tail:?}");
    let said = tail.unexported.unwrap();
    assert!(said.contains("pg_largeobject was rewritten"), "{said}");

    // One that was taken away is no more missed than a row.
    let remove = ["SELECT lo_unlink(70000)", "INSERT INTO t VALUES (1)"];
    let tail = tail_of(&rig, &home, "postgres", &remove).await;
    assert!(!tail.is_short && tail.sql_file.is_some(), "{tail:?}");
    assert_eq!(figures(&listed(&tail)[0])["pg_largeobject"], [0, 0, 1]);
}

#[tokio::test]
async fn what_can_t_be_asked_for_is_in_the_server_s_data_alone() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    master(&home)
        .await
        .batch_execute("CREATE DATABASE \"two\nlines\"")
        .await
        .unwrap();
    let make = [
        "CREATE TABLE plain (note text)",
        "CREATE TABLE nothing ()",
        "CREATE TABLE \"a;\n\nb\" (note text)",
    ];
    for database in ["postgres", "two\nlines"] {
        run_in(&home, database, &make).await;
    }
    server.stop(Stop::Fast).await.unwrap();
    for (database, insert) in [
        ("postgres", "INSERT INTO nothing DEFAULT VALUES"),
        ("postgres", "INSERT INTO \"a;\n\nb\" VALUES ('odd')"),
        ("two\nlines", "INSERT INTO plain VALUES ('odd')"),
    ] {
        let tail = tail_of(&rig, &home, database, &[insert]).await;
        assert!(tail.is_short && tail.listed == 1, "{insert}: {tail:?}");
        let said = tail.unexported.unwrap();
        assert!(said.contains("can be asked for"), "{said}");
    }
    let insert = ["INSERT INTO plain VALUES ('plain')"];
    let tail = tail_of(&rig, &home, "postgres", &insert).await;
    assert_eq!((tail.is_short, tail.unexported), (false, None));
}
