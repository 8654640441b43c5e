//! What the master user can do, and all the ways to more that were thought of. None may lead to a
//! superuser, to a file or a program of the host, or to our own database.

use runtime::postgres::{PostgresError, ServerSettings, Stop};
use types::Timestamp;

use crate::rig::{MASTER, PASSWORD, login, master, number, rig, sqlstate};

/// Each is tried by the master user in `postgres`; with the SQLSTATEs it may fail with.
const ATTEMPTS: &[(&str, &[&str])] = &[
    ("CREATE ROLE s SUPERUSER", &["42501"]),
    ("CREATE ROLE s REPLICATION", &["42501"]),
    ("CREATE ROLE s BYPASSRLS", &["42501"]),
    ("CREATE ROLE s IN ROLE causeway_admin", &["42501"]),
    (
        "CREATE ROLE s IN ROLE pg_execute_server_program",
        &["42501"],
    ),
    (
        "CREATE ROLE s IN ROLE pg_read_server_files, pg_write_server_files",
        &["42501"],
    ),
    ("ALTER ROLE CURRENT_USER SUPERUSER", &["42501"]),
    ("ALTER ROLE CURRENT_USER REPLICATION", &["42501"]),
    ("ALTER ROLE causeway_admin PASSWORD 'x'", &["42501"]),
    ("ALTER ROLE causeway_admin NOSUPERUSER", &["42501"]),
    ("ALTER ROLE causeway_admin RENAME TO x", &["42501"]),
    (
        "ALTER ROLE causeway_admin SET search_path = public",
        &["42501"],
    ),
    (
        "ALTER ROLE causeway_admin IN DATABASE causeway SET role = x",
        &["42501"],
    ),
    ("ALTER ROLE ALL SET search_path = public", &["42501"]),
    ("DROP ROLE causeway_admin", &["42501"]),
    ("ALTER ROLE causeway_replication PASSWORD 'x'", &["42501"]),
    ("ALTER ROLE causeway_replication NOREPLICATION", &["42501"]),
    ("ALTER ROLE causeway_replication NOLOGIN", &["42501"]),
    ("DROP ROLE causeway_replication", &["2BP01"]),
    ("ALTER ROLE pg_read_server_files LOGIN", &["42501", "42939"]),
    (
        "ALTER ROLE pg_execute_server_program PASSWORD 'x'",
        &["42501", "42939"],
    ),
    ("GRANT causeway_admin TO CURRENT_USER", &["42501"]),
    (
        "GRANT pg_execute_server_program TO CURRENT_USER",
        &["42501"],
    ),
    ("GRANT pg_read_server_files TO CURRENT_USER", &["42501"]),
    ("GRANT pg_write_server_files TO CURRENT_USER", &["42501"]),
    ("GRANT pg_write_server_files TO rds_superuser", &["42501"]),
    ("GRANT pg_database_owner TO CURRENT_USER", &["XX000"]),
    ("SET ROLE causeway_admin", &["42501"]),
    ("SET ROLE pg_execute_server_program", &["42501"]),
    ("SET SESSION AUTHORIZATION causeway_admin", &["42501"]),
    (
        "UPDATE pg_catalog.pg_authid SET rolsuper = true",
        &["42501"],
    ),
    (
        "INSERT INTO pg_catalog.pg_auth_members VALUES (10, 10, 10, true)",
        &["42501"],
    ),
    ("SET allow_system_table_mods = on", &["42501"]),
    ("COPY (SELECT 1) TO PROGRAM 'true'", &["42501"]),
    (
        "CREATE TABLE p (t text); COPY p FROM PROGRAM 'true'",
        &["42501"],
    ),
    (
        "CREATE TABLE p (t text); COPY p FROM '/etc/passwd'",
        &["42501"],
    ),
    ("COPY (SELECT 1) TO '/tmp/causeway-test'", &["42501"]),
    ("SELECT lo_import('/etc/passwd')", &["42501"]),
    ("SELECT lo_export(1, '/tmp/causeway-test')", &["42501"]),
    ("SELECT pg_read_file('/etc/passwd')", &["42501"]),
    ("SELECT pg_read_file('postgresql.auto.conf')", &["42501"]),
    ("SELECT pg_read_binary_file('/etc/passwd')", &["42501"]),
    ("SELECT pg_ls_dir('/')", &["42501"]),
    ("SELECT pg_stat_file('/etc/passwd')", &["42501"]),
    ("SELECT pg_file_write('x', 'y', false)", &["42883"]),
    ("ALTER SYSTEM SET work_mem = '1MB'", &["42501"]),
    ("ALTER SYSTEM SET archive_command = 'true'", &["42501"]),
    (
        "GRANT ALTER SYSTEM ON PARAMETER archive_command TO CURRENT_USER",
        &["42501"],
    ),
    (
        "GRANT SET ON PARAMETER log_statement TO CURRENT_USER",
        &["42501"],
    ),
    ("SET session_preload_libraries = '/tmp/x.so'", &["42501"]),
    ("SET dynamic_library_path = '/tmp'", &["42501", "55P02"]),
    (
        "ALTER DATABASE postgres SET session_preload_libraries = '/tmp/x'",
        &["42501"],
    ),
    ("SELECT pg_reload_conf()", &["42501"]),
    ("SELECT pg_rotate_logfile()", &["42501"]),
    ("SELECT pg_switch_wal()", &["42501"]),
    ("SELECT pg_promote()", &["42501"]),
    (
        "SELECT pg_create_physical_replication_slot('x')",
        &["42501"],
    ),
    ("SELECT pg_drop_replication_slot('kept')", &["42501"]),
    ("LOAD '/tmp/x.so'", &["42501"]),
    ("CREATE EXTENSION file_fdw", &["42501", "0A000"]),
    ("CREATE EXTENSION adminpack", &["42501", "0A000"]),
    ("CREATE EXTENSION dblink", &["42501", "0A000"]),
    ("CREATE EXTENSION postgres_fdw", &["42501", "0A000"]),
    ("CREATE EXTENSION plpython3u", &["42501", "0A000", "58P01"]),
    ("CREATE EXTENSION pageinspect", &["42501", "0A000"]),
    (
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS '/tmp/x', 'f'",
        &["42501"],
    ),
    (
        "CREATE FUNCTION f(text) RETURNS text LANGUAGE internal AS 'pg_read_file_all'",
        &["42501"],
    ),
    ("CREATE LANGUAGE l HANDLER plpgsql_call_handler", &["42501"]),
    (
        "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f()",
        &["42501", "42883"],
    ),
    ("CREATE TABLESPACE t LOCATION '/tmp'", &["42501"]),
    (
        "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1' PUBLICATION p",
        &["42501"],
    ),
    (
        "CREATE FUNCTION pg_catalog.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        &["42501"],
    ),
    (
        "CREATE OPERATOR CLASS o FOR TYPE int USING btree AS STORAGE int",
        &["42501"],
    ),
    (
        "ALTER FUNCTION pg_catalog.pg_read_file(text) OWNER TO CURRENT_USER",
        &["42501"],
    ),
    (
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO PUBLIC",
        &["42501", "01007"],
    ),
    (
        "REASSIGN OWNED BY causeway_admin TO CURRENT_USER",
        &["42501"],
    ),
    ("DROP OWNED BY causeway_admin", &["42501"]),
    ("ALTER DATABASE causeway OWNER TO CURRENT_USER", &["42501"]),
    (
        "ALTER DATABASE causeway SET search_path = public",
        &["42501"],
    ),
    (
        "ALTER DATABASE causeway ALLOW_CONNECTIONS false",
        &["42501"],
    ),
    ("ALTER DATABASE causeway RENAME TO x", &["42501"]),
    ("DROP DATABASE causeway", &["42501"]),
    ("CREATE DATABASE stolen TEMPLATE causeway", &["42501"]),
    (
        "GRANT CONNECT ON DATABASE causeway TO CURRENT_USER",
        &["42501", "01007"],
    ),
    (
        "ALTER DATABASE template1 SET search_path = public",
        &["42501"],
    ),
    (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'causeway_admin'",
        &["42501"],
    ),
];

#[tokio::test]
async fn the_master_user_is_what_rds_makes_it_and_no_attempt_makes_it_more() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    server
        .keep_slots(&["kept".to_owned()].into())
        .await
        .unwrap();
    let client = master(&home).await;
    // What it may do.
    client
        .batch_execute("CREATE ROLE app LOGIN PASSWORD 'app'; GRANT app TO CURRENT_USER")
        .await
        .unwrap();
    client
        .batch_execute("CREATE DATABASE app OWNER app")
        .await
        .unwrap();
    client
        .batch_execute("CREATE TABLE public.mine (n int); CHECKPOINT")
        .await
        .unwrap();
    client
        .batch_execute("GRANT pg_monitor, pg_signal_backend TO app")
        .await
        .unwrap();
    for extension in ["pgcrypto", "hstore"] {
        // Those that PostgreSQL trusts; they may not be installed.
        let made = client
            .batch_execute(&format!("CREATE EXTENSION {extension}"))
            .await;
        assert!(made.is_ok() || matches!(sqlstate(&made.unwrap_err()), "0A000" | "58P01"));
    }
    let mut got = Vec::new();
    for (attempt, states) in ATTEMPTS {
        let begun = client.batch_execute("BEGIN").await;
        begun.unwrap();
        let tried = client.batch_execute(attempt).await;
        client.batch_execute("ROLLBACK").await.unwrap();
        let alone = match &tried {
            // Not within a transaction: tried without one.
            Err(error) if sqlstate(error) == "25001" => client.batch_execute(attempt).await,
            _ => tried,
        };
        match alone {
            Ok(()) => got.push(format!("{attempt}: done")),
            Err(error) if states.contains(&sqlstate(&error)) => {}
            Err(error) => got.push(format!("{attempt}: {error:?}")),
        }
    }
    assert!(got.is_empty(), "{got:#?}");
    assert!(!std::path::Path::new("/tmp/causeway-test").exists());
    let supers = "SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname NOT IN \
                  ('causeway_admin', 'pg_execute_server_program', 'pg_read_server_files', \
                   'pg_write_server_files')";
    assert_eq!(number(&client, supers).await, 0);
    server.stop(Stop::Fast).await.unwrap();
}

#[tokio::test]
async fn our_own_database_is_closed_and_our_roles_can_t_be_taken() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    let run = home.socket_directory();
    let client = master(&home).await;
    for database in ["causeway", "template0"] {
        let refused = login(run, MASTER, PASSWORD, database).await.err().unwrap();
        assert!(
            ["28000", "55000"].contains(&sqlstate(&refused)),
            "{refused:?}"
        );
    }
    // PostgreSQL 15 lets CREATEROLE do this much.
    let dances = [
        "GRANT causeway_replication TO CURRENT_USER",
        "ALTER ROLE causeway_replication SET search_path = public",
        "ALTER ROLE causeway_replication RENAME TO elsewhere",
        "CREATE ROLE causeway_replication LOGIN PASSWORD 'mine'",
    ];
    for dance in dances {
        client.batch_execute(dance).await.unwrap();
    }
    client
        .batch_execute("GRANT causeway_replication TO CURRENT_USER")
        .await
        .unwrap();
    // Neither as oneself nor as the impostor.
    for (user, password) in [(MASTER, PASSWORD), ("causeway_replication", "mine")] {
        let refused = login(run, user, password, "causeway").await.err().unwrap();
        assert!(
            ["28000", "42501"].contains(&sqlstate(&refused)),
            "{refused:?}"
        );
    }
    assert!(
        login(run, "causeway_replication", "mine", "postgres")
            .await
            .is_err()
    );
    client
        .batch_execute("DROP OWNED BY elsewhere")
        .await
        .unwrap();
    let dropped = client
        .batch_execute("DROP ROLE elsewhere")
        .await
        .unwrap_err();
    assert_eq!(sqlstate(&dropped), "2BP01");

    // Settings may be of one database only.
    for statement in [
        "ALTER ROLE elsewhere IN DATABASE causeway SET role = 'pg_monitor'",
        "ALTER ROLE elsewhere IN DATABASE causeway SET local_preload_libraries = 'x'",
    ] {
        client.batch_execute(statement).await.unwrap();
    }
    // Nor does membership alone give rights.
    client
        .batch_execute(
            "CREATE ROLE between NOINHERIT IN ROLE pg_monitor; GRANT between TO elsewhere; \
             REVOKE pg_monitor FROM elsewhere; REVOKE pg_read_all_stats FROM pg_monitor",
        )
        .await
        .unwrap();
    // As every look at a primary does.
    server.observe().await.unwrap();
    let password = home.replication_password().unwrap();
    let own = login(run, "causeway_replication", &password, "causeway")
        .await
        .unwrap();
    assert_eq!(
        number(&own, "SELECT count(*) FROM causeway.heartbeat").await,
        0
    );
    // What a standby is observed by.
    for seen in [
        "SELECT count(*) FROM pg_ls_waldir()",
        "SELECT count(wait_event) FROM pg_stat_activity WHERE backend_type = 'checkpointer'",
    ] {
        assert!(number(&own, seen).await > 0, "{seen}");
    }
    let members = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid \
                   WHERE r.rolname = 'causeway_replication'";
    assert_eq!(number(&client, members).await, 0);
    let set = "SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole \
               WHERE r.rolname = 'causeway_replication'";
    assert_eq!(number(&client, set).await, 0);
    // Who has the replication password has no more than that.
    let verifier = crate::rig::verifier("mine");
    for (attempt, state) in [
        (format!("SELECT causeway.adopt('', '{verifier}')"), "42501"),
        (
            format!("SELECT causeway.adopt(NULL, '{verifier}')"),
            "42501",
        ),
        ("SELECT causeway.mend()".into(), "42501"),
        (
            "INSERT INTO causeway.heartbeat (milliseconds) VALUES (1)".into(),
            "42501",
        ),
        ("CREATE TABLE causeway.t (n int)".into(), "42501"),
        ("SELECT pg_read_file('/etc/passwd')".into(), "42501"),
        ("COPY (SELECT 1) TO PROGRAM 'true'".into(), "42501"),
    ] {
        let refused = own.batch_execute(&attempt).await.expect_err(&attempt);
        assert_eq!(sqlstate(&refused), state, "{attempt}");
    }
    // The master user owns its database, and that changes nothing for us.
    client
        .batch_execute("ALTER DATABASE postgres SET search_path = nowhere")
        .await
        .unwrap();
    let other = login(run, MASTER, PASSWORD, "Its own").await.unwrap();
    drop(client);
    other
        .batch_execute("DROP DATABASE postgres WITH (FORCE)")
        .await
        .unwrap();
    server.beat(Timestamp(5)).await.unwrap();
    assert_eq!(
        server.observe().await.unwrap().heartbeat,
        Some(Timestamp(5))
    );
    server.stop(Stop::Fast).await.unwrap();
    let server = rig
        .postgres
        .start(&home, &ServerSettings::default())
        .await
        .unwrap();
    server.stop(Stop::Fast).await.unwrap();
}

#[tokio::test]
async fn names_of_our_own_and_what_is_no_verifier_are_refused_before_anything_is_made() {
    let Some(rig) = rig() else { return };
    for (master, database) in [
        ("causeway_admin", None),
        ("rds_superuser", None),
        ("", None),
        ("m", Some("causeway")),
        ("m", Some("a\nb")),
    ] {
        let mut new = crate::rig::new();
        new.master = master.into();
        new.database = database.map(str::to_owned);
        let home = rig.home("one");
        let refused = rig.postgres.create(&home, &new).await;
        assert!(
            matches!(refused, Err(PostgresError::Refused { .. })),
            "{refused:?}"
        );
        assert!(!home.directory().exists());
    }
}
