//! What a cluster's server shows of itself by SQL: in every database, by a file of its own.

use runtime::postgres::{Fork, NewServer, ServerSettings, Stop};
use types::Timestamp;

use crate::rig::{MASTER, PASSWORD};
use crate::rig::{Rig, eventually, login, master, new, number, rig, sqlstate};

const FUNCTIONS: [&str; 5] = [
    "aurora_version",
    "aurora_db_instance_identifier",
    "aurora_global_db_status",
    "aurora_global_db_instance_status",
    "aurora_replica_status",
];

fn facts(instance: &str) -> String {
    format!(
        r#"{{"instance":"{instance}","clusters":[{{"aws_region":"us-east-1",
        "highest_lsn_written":7,"durability_lag_in_msec":-1,"rpo_lag_in_msec":-1,
        "last_lag_calculation_time":"1970-01-01T00:00:00Z","feedback_epoch":0,
        "feedback_xmin":0}}],"instances":[{{"server_id":"{instance}","aws_region":"us-east-1"}}],
        "replicas":[{{"server_id":"{instance}","replica_lag_in_msec":3}}]}}"#
    )
}

/// The instance that a server shows, in that database.
async fn instance(home: &runtime::postgres::ServerHome, database: &str) -> Option<String> {
    let client = login(home.socket_directory(), MASTER, PASSWORD, database).await;
    let shown = "SELECT aurora_db_instance_identifier()";
    client.unwrap().query_one(shown, &[]).await.unwrap().get(0)
}

async fn cluster_s(
    rig: &Rig,
    name: &str,
) -> (runtime::postgres::ServerHome, runtime::postgres::Server) {
    let home = rig.home(name);
    let wanted = NewServer {
        aurora: true,
        ..new()
    };
    rig.postgres.create(&home, &wanted).await.unwrap();
    let server = rig.postgres.start(&home, &ServerSettings::default()).await;
    (home, server.unwrap())
}

#[tokio::test]
async fn a_cluster_s_server_shows_its_own_facts_in_every_database_whatever_is_copied_or_promoted() {
    let Some(rig) = rig() else { return };
    let begun = std::time::Instant::now();
    let (first, primary) = cluster_s(&rig, "first").await;
    println!("made in {:.2} s", begun.elapsed().as_secs_f64());
    let client = master(&first).await;
    for template in ["template0", "template1"] {
        let make = format!("CREATE DATABASE of_{template} TEMPLATE {template} ENCODING 'UTF8'");
        client.batch_execute(&make).await.unwrap();
    }
    // Nothing is known yet: nothing is shown, and nothing fails.
    assert_eq!(instance(&first, "postgres").await, None);
    let rows = "SELECT count(*) FROM aurora_global_db_status()";
    assert_eq!(number(&client, rows).await, 0);
    primary.show(&facts("one")).await.unwrap();
    for database in ["postgres", "Its own", "of_template0", "of_template1"] {
        assert_eq!(
            instance(&first, database).await.as_deref(),
            Some("one"),
            "{database}"
        );
    }
    let version: String = client
        .query_one("SELECT aurora_version()", &[])
        .await
        .unwrap()
        .get(0);
    assert!(
        version.starts_with("15.") && version.ends_with(".0"),
        "{version}"
    );
    let shown = "SELECT highest_lsn_written FROM aurora_global_db_status() WHERE \
                 rpo_lag_in_msec = -1 AND last_lag_calculation_time = to_timestamp(0)";
    assert_eq!(number(&client, shown).await, 7);
    let shown = "SELECT replica_lag_in_msec FROM aurora_replica_status()";
    assert_eq!(number(&client, shown).await, 3);
    let shown = "SELECT count(*) FROM aurora_global_db_instance_status() WHERE session_id IS NULL";
    assert_eq!(number(&client, shown).await, 1);
    // A user can neither change them nor have others stand in their place.
    for function in FUNCTIONS {
        for statement in [
            "DROP FUNCTION {}()",
            "ALTER FUNCTION {}() SET search_path = public",
        ] {
            let statement = statement.replace("{}", &format!("pg_catalog.{function}"));
            let refused = client.batch_execute(&statement).await.unwrap_err();
            assert_eq!(sqlstate(&refused), "42501", "{statement}");
        }
    }
    client
        .batch_execute(
            "CREATE SCHEMA theirs; SET search_path = theirs; CREATE FUNCTION \
             theirs.pg_read_file(text, int, int, boolean) RETURNS text LANGUAGE sql AS 'SELECT 1'; \
             CREATE FUNCTION theirs.aurora_db_instance_identifier() RETURNS text LANGUAGE sql AS \
             'SELECT ''theirs''::text'",
        )
        .await
        .unwrap();
    let mine: String = client
        .query_one("SELECT aurora_db_instance_identifier()", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(mine, "one");
    for long in ["ä".to_owned(), "a".repeat(1024 * 1024 + 1)] {
        assert!(primary.show(&long).await.is_err());
    }

    // A copy has the functions, and not the file.
    primary
        .keep_slots(&["second".to_owned()].into())
        .await
        .unwrap();
    let second = rig.home("second");
    let upstream = crate::standbys::upstream(&first, "second");
    rig.postgres.copy(&second, &upstream).await.unwrap();
    let standby = rig
        .postgres
        .start(&second, &crate::standbys::following(&upstream))
        .await;
    let standby = standby.unwrap();
    assert_eq!(instance(&second, "of_template0").await, None);
    standby.show(&facts("two")).await.unwrap();
    assert_eq!(instance(&second, "Its own").await.as_deref(), Some("two"));
    assert_eq!(instance(&first, "Its own").await.as_deref(), Some("one"));

    // What the writer hands on arrives, and where the standby is comes back.
    assert_eq!(primary.handed_on().await.unwrap(), None);
    primary.hand_on("an 'old' \\ one").await.unwrap();
    primary.hand_on("it's \\ so").await.unwrap();
    assert!(standby.hand_on("no").await.is_err());
    eventually("it was handed on", || async {
        standby.handed_on().await.unwrap().as_deref() == Some("it's \\ so")
    })
    .await;
    let pulse = primary.pulse(Timestamp(10)).await.unwrap();
    assert_eq!(pulse.followers.keys().collect::<Vec<_>>(), ["second"]);
    eventually("its slot follows", || async {
        let later = primary.pulse(Timestamp(11)).await.unwrap();
        later.written > pulse.written && later.followers["second"].flushed >= pulse.written
    })
    .await;
    assert!(standby.pulse(Timestamp(12)).await.is_err());

    // A promotion, and a return by rewind, change no file.
    primary.stop(Stop::Immediate).await.unwrap();
    standby.promote().await.unwrap();
    standby.checkpoint().await.unwrap();
    assert_eq!(
        instance(&second, "of_template1").await.as_deref(),
        Some("two")
    );
    let Fork { timeline, .. } = standby.fork().await.unwrap().unwrap();
    assert_eq!(timeline, 2);
    standby
        .keep_slots(&["first".to_owned()].into())
        .await
        .unwrap();
    let upstream = crate::standbys::upstream(&second, "first");
    rig.postgres.rewind(&first, &upstream).await.unwrap();
    let back = rig
        .postgres
        .start(&first, &crate::standbys::following(&upstream))
        .await;
    let back = back.unwrap();
    assert_eq!(instance(&first, "Its own").await.as_deref(), Some("one"));
    for server in [back, standby] {
        server.stop(Stop::Fast).await.unwrap();
    }
    // A server of no cluster has none of it.
    let (third, _server) = rig.server("third").await;
    let missing = master(&third)
        .await
        .batch_execute("SELECT aurora_version()")
        .await;
    assert_eq!(sqlstate(&missing.unwrap_err()), "42883");
    println!("all of it took {:.2} s", begun.elapsed().as_secs_f64());
}
