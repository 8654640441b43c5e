//! The life of one server: made, started, stopped, told of settings, kept as a snapshot, killed.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use types::Timestamp;

use crate::rig::{
    MASTER, PASSWORD, WAIT, eventually, is_root, login, master, new, number, processes, rig,
    settings, sqlstate, user_of, verifier,
};
use runtime::postgres::{
    HomeState, Postgres, PostgresError, Role, ServerHome, ServerSettings, Stop,
};

const ROLE: &str = "CAUSEWAY_TEST_ROLE";
const DIRECTORY: &str = "CAUSEWAY_TEST_DIRECTORY";

#[tokio::test]
async fn a_server_is_made_stopped_and_started_and_finds_all_again() {
    let Some(rig) = rig() else { return };
    let home = rig.home("one");
    assert_eq!(home.state(), HomeState::Absent);
    rig.postgres.create(&home, &new()).await.unwrap();
    let HomeState::Whole {
        system_identifier,
        standby: false,
    } = home.state()
    else {
        panic!("{:?}", home.state());
    };
    let again = rig.postgres.create(&home, &new()).await;
    assert!(
        matches!(again, Err(PostgresError::State { .. })),
        "{again:?}"
    );

    let server = rig
        .postgres
        .start(&home, &ServerSettings::default())
        .await
        .unwrap();
    let seen = server.observe().await.unwrap();
    assert_eq!(
        (seen.role, seen.timeline, seen.replayed),
        (Role::Primary, 1, None)
    );
    assert_eq!(
        (seen.system_identifier, seen.heartbeat),
        (system_identifier, None)
    );
    assert!(!seen.receiving && seen.standbys.is_empty() && seen.slots.is_empty());
    let client = master(&home).await;
    client
        .batch_execute("CREATE TABLE t (n bigint); INSERT INTO t VALUES (7)")
        .await
        .unwrap();
    let own = login(home.socket_directory(), MASTER, PASSWORD, "Its own")
        .await
        .unwrap();
    own.batch_execute("CREATE TABLE u AS SELECT 9::bigint AS n")
        .await
        .unwrap();
    server.beat(Timestamp(1_764_417_600_123)).await.unwrap();
    server.beat(Timestamp(1_764_417_600_456)).await.unwrap();
    let later = server.observe().await.unwrap();
    assert_eq!(later.heartbeat, Some(Timestamp(1_764_417_600_456)));
    assert!(later.written > seen.written);
    for (setting, value) in [
        ("data_checksums", "on"),
        ("wal_log_hints", "on"),
        ("listen_addresses", ""),
        ("unix_socket_permissions", "0700"),
    ] {
        let shown = client
            .query_one(&format!("SHOW {setting}"), &[])
            .await
            .unwrap();
        assert_eq!(shown.get::<_, &str>(0), value, "{setting}");
    }
    let found = processes(&home);
    assert!(found.len() >= 5, "{found:?}");
    assert!(!is_root() || found.iter().all(|process| user_of(*process) != 0));
    server.stop(Stop::Fast).await.unwrap();
    assert_eq!(processes(&home), Vec::<i32>::new());

    let server = rig
        .postgres
        .start(&home, &ServerSettings::default())
        .await
        .unwrap();
    let client = master(&home).await;
    assert_eq!(number(&client, "SELECT n FROM t").await, 7);
    assert_eq!(server.observe().await.unwrap().heartbeat, later.heartbeat);
    server.stop(Stop::Immediate).await.unwrap();
    assert_eq!(processes(&home), Vec::<i32>::new());
    let server = rig
        .postgres
        .start(&home, &ServerSettings::default())
        .await
        .unwrap();
    let own = login(home.socket_directory(), MASTER, PASSWORD, "Its own")
        .await
        .unwrap();
    assert_eq!(number(&own, "SELECT n FROM u").await, 9);
    // Dropped, and at once started again.
    drop(server);
    let server = rig
        .postgres
        .start(&home, &ServerSettings::default())
        .await
        .unwrap();
    server.stop(Stop::Fast).await.unwrap();
    home.remove().await.unwrap();
    assert_eq!(home.state(), HomeState::Absent);
    assert!(!home.directory().exists());
    home.remove().await.unwrap();
}

#[tokio::test]
async fn passwords_are_checked_changed_and_written_nowhere() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    let run = home.socket_directory();
    for (user, password) in [
        (MASTER, "wrong"),
        (MASTER, ""),
        ("causeway_admin", PASSWORD),
    ] {
        let refused = login(run, user, password, "postgres").await;
        let error = refused.err().unwrap_or_else(|| panic!("{user} is in"));
        assert!(
            error
                .as_db_error()
                .is_none_or(|said| said.code().code().starts_with("28"))
        );
    }
    let other = "another:one";
    server.set_master(MASTER, &verifier(other)).await.unwrap();
    login(run, MASTER, other, "postgres").await.unwrap();
    assert!(login(run, MASTER, PASSWORD, "postgres").await.is_err());
    // One that was renamed is made again, as RDS does, with all that it has by its making.
    let client = login(run, MASTER, other, "postgres").await.unwrap();
    let make = "CREATE ROLE r1 LOGIN CREATEROLE PASSWORD 'plain one'";
    client.batch_execute(make).await.unwrap();
    let renamer = login(run, "r1", "plain one", "postgres").await.unwrap();
    let quoted = MASTER.replace('"', "\"\"");
    let rename = format!("ALTER ROLE \"{quoted}\" RENAME TO gone");
    renamer.batch_execute(&rename).await.unwrap();
    renamer
        .batch_execute("DROP ROLE rds_superuser")
        .await
        .unwrap();
    server.set_master(MASTER, &verifier(other)).await.unwrap();
    let again = login(run, MASTER, other, "postgres").await.unwrap();
    let making = "CREATE ROLE r2; CREATE DATABASE d2";
    for statement in making.split("; ") {
        again.batch_execute(statement).await.unwrap();
    }
    let plain = server.set_master(MASTER, "plain").await;
    assert!(
        matches!(plain, Err(PostgresError::Refused { .. })),
        "{plain:?}"
    );
    let client = login(run, MASTER, other, "postgres").await.unwrap();
    let wrong = client
        .batch_execute("CREATE ROLE r PASSWORD 'geheim' NONSENSE")
        .await;
    assert_eq!(sqlstate(&wrong.unwrap_err()), "42601");
    let log = std::fs::read_to_string(home.log()).unwrap();
    assert!(log.contains("unrecognized role option"), "{log}");
    for secret in ["geheim", "SCRAM-SHA-256$", other, "plain"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let password = home.replication_password().unwrap();
    for process in processes(&home) {
        let words = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&words).contains(&**password));
    }
    for (name, mode) in [("secrets", 0o600), ("run", 0o700), ("data", 0o700)] {
        let found = std::fs::metadata(home.directory().join(name))
            .unwrap()
            .permissions();
        assert_eq!(found.mode() & 0o777, mode, "{name}");
    }
    server.stop(Stop::Fast).await.unwrap();
}

#[tokio::test]
async fn settings_are_taken_refused_or_wait_for_a_restart() {
    let Some(rig) = rig() else { return };
    let home = rig.home("one");
    rig.postgres.create(&home, &new()).await.unwrap();
    let told = settings(&[("work_mem", "9MB"), ("max_connections", "30")]);
    let server = rig.postgres.start(&home, &told).await.unwrap();
    let client = master(&home).await;
    let show = |name: &'static str| {
        let client = &client;
        async move {
            let row = client
                .query_one(&format!("SHOW {name}"), &[])
                .await
                .unwrap();
            row.get::<_, String>(0)
        }
    };
    assert_eq!(show("work_mem").await, "9MB");
    assert_eq!(show("max_connections").await, "30");
    let changed = settings(&[("work_mem", "10MB"), ("max_connections", "40")]);
    let pending = server.reload(&changed).await.unwrap();
    assert_eq!(pending.0, ["max_connections"]);
    eventually("the client's session has it", || async {
        show("work_mem").await == "10MB"
    })
    .await;
    for (name, value) in [
        ("work_mem", "much"),
        ("max_connections", "-1"),
        ("no_such_parameter", "1"),
        ("archive_command", "touch /tmp/x"),
        ("listen_addresses", "*"),
        ("work_mem", "1MB'\nfsync=off\n#'"),
    ] {
        let refused = server.reload(&settings(&[(name, value)])).await;
        let said = refused.expect_err(name).to_string();
        assert!(
            said.contains(name) || said.contains("control characters"),
            "{said}"
        );
    }
    assert_eq!(show("work_mem").await, "10MB");
    server.stop(Stop::Fast).await.unwrap();
    let refused = rig
        .postgres
        .start(&home, &settings(&[("work_mem", "much")]))
        .await;
    let said = refused.err().unwrap().to_string();
    assert!(said.contains("work_mem"), "{said}");
    for (name, value) in [
        ("timezone", "Nowhere"),
        ("search_path", "a,,b"),
        ("datestyle", "odd"),
    ] {
        let told = settings(&[(name, value)]);
        let refused = rig.postgres.start(&home, &told).await.err().unwrap();
        assert!(matches!(refused, PostgresError::Settings(_)), "{refused}");
    }
    // What PostgreSQL's check of the settings doesn't see, its log says.
    for (told, word) in [
        (
            settings(&[("max_connections", "3")]),
            "superuser_reserved_connections",
        ),
        (
            settings(&[("shared_buffers", "500000000")]),
            "shared memory",
        ),
    ] {
        let refused = rig.postgres.start(&home, &told).await.err().unwrap();
        assert!(matches!(refused, PostgresError::Settings(_)), "{refused}");
        assert!(refused.to_string().contains(word), "{refused}");
    }
    assert_eq!(processes(&home), Vec::<i32>::new());
    let server = rig.postgres.start(&home, &changed).await.unwrap();
    assert_eq!(
        server.observe().await.unwrap().pending_restart.0,
        Vec::<String>::new()
    );
    server.stop(Stop::Fast).await.unwrap();
}

#[tokio::test]
async fn a_snapshot_of_a_running_and_of_a_stopped_server_is_restored() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    let client = master(&home).await;
    client
        .batch_execute("CREATE TABLE t AS SELECT 1::bigint AS n")
        .await
        .unwrap();
    server.keep_slots(&["s".to_owned()].into()).await.unwrap();
    let running = rig.path().join("running");
    let size = rig
        .postgres
        .snapshot(&home, Some(&server), &running)
        .await
        .unwrap();
    assert!(size.bytes.0 > 20 << 20 && size.files > 500, "{size:?}");
    let again = rig.postgres.snapshot(&home, Some(&server), &running).await;
    assert!(matches!(again, Err(PostgresError::Io { .. })), "{again:?}");
    client
        .batch_execute("INSERT INTO t VALUES (2)")
        .await
        .unwrap();
    server.stop(Stop::Fast).await.unwrap();
    let stopped = rig.path().join("stopped");
    rig.postgres.snapshot(&home, None, &stopped).await.unwrap();
    let old = home.replication_password().unwrap();
    home.remove().await.unwrap();

    for (snapshot, rows) in [(&running, 1), (&stopped, 2)] {
        let name = snapshot.file_name().unwrap().to_str().unwrap();
        let copy = rig.home(&format!("of-{name}"));
        rig.postgres.restore(snapshot, &copy).await.unwrap();
        assert_ne!(copy.replication_password().unwrap(), old);
        let server = rig
            .postgres
            .start(&copy, &ServerSettings::default())
            .await
            .unwrap();
        let client = master(&copy).await;
        assert_eq!(
            number(&client, "SELECT count(*) FROM t").await,
            rows,
            "{name}"
        );
        let seen = server.observe().await.unwrap();
        assert_eq!((seen.role, seen.slots.len()), (Role::Primary, 0));
        server.beat(Timestamp(1)).await.unwrap();
        server.stop(Stop::Fast).await.unwrap();
    }
    let missing = rig
        .postgres
        .restore(&rig.path().join("none"), &rig.home("x"))
        .await;
    assert!(
        matches!(missing, Err(PostgresError::Damaged { .. })),
        "{missing:?}"
    );
    std::fs::write(running.join("snapshot"), "causeway postgres snapshot 2\n").unwrap();
    let newer = rig.postgres.restore(&running, &rig.home("x")).await;
    assert!(
        matches!(newer, Err(PostgresError::Damaged { .. })),
        "{newer:?}"
    );
}

/// Not a test of its own: a process that has a server, until it is killed.
#[tokio::test]
async fn owner() {
    if std::env::var(ROLE).as_deref() != Ok("owner") {
        return;
    }
    let home = ServerHome::new(std::env::var_os(DIRECTORY).unwrap().into());
    let postgres = Postgres::find().unwrap();
    let _server = postgres
        .start(&home, &ServerSettings::default())
        .await
        .unwrap();
    std::fs::write(home.directory().join("started"), "").unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_killed_owner_leaves_no_server_and_the_next_starts_it() {
    let Some(rig) = rig() else { return };
    let home = rig.home("one");
    rig.postgres.create(&home, &new()).await.unwrap();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lives::owner", "--nocapture"])
        .env(ROLE, "owner")
        .env(DIRECTORY, home.directory())
        .spawn()
        .unwrap();
    let started = home.directory().join("started");
    eventually("the owner has its server", || async { started.exists() }).await;
    let client = master(&home).await;
    client
        .batch_execute("CREATE TABLE t AS SELECT 1::bigint AS n")
        .await
        .unwrap();
    // One that computes and would not notice for hours that its postmaster is gone.
    let busy = master(&home).await;
    tokio::spawn(async move {
        let sum = "SELECT count(*) FROM generate_series(1, 1000000000000) n WHERE n % 7 = 8";
        busy.batch_execute(sum).await.ok();
    });
    let computing = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%generate_series(1%' \
                     AND state = 'active' AND pid <> pg_backend_pid()";
    eventually("it computes", || async {
        number(&client, computing).await == 1
    })
    .await;
    let in_use = {
        let begun = Instant::now();
        let refused = rig.postgres.start(&home, &ServerSettings::default()).await;
        assert!(begun.elapsed() < WAIT);
        refused.err().unwrap().to_string()
    };
    assert!(in_use.contains("in use"), "{in_use}");
    let there = processes(&home);
    assert!(there.len() >= 7, "{there:?}");
    let segments = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let segment = segment_of(there[0], &home);

    let pid = Pid::from_raw(i32::try_from(owner.id()).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    owner.wait().unwrap();
    let begun = Instant::now();
    eventually("all of it is gone", || async {
        processes(&home).is_empty()
    })
    .await;
    eprintln!(
        "nothing was left {} ms after the owner",
        begun.elapsed().as_millis()
    );
    assert!(
        home.directory().join("data/postmaster.pid").exists(),
        "it was no kill"
    );
    if let Some(segment) = segment.filter(|segment| segments.contains(&**segment)) {
        eventually("its shared memory is gone", || async {
            let segments = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
            !segments.contains(&*segment)
        })
        .await;
    }
    // The number in the lock file may be anybody's by now.
    let path = home.directory().join("data/postmaster.pid");
    let text = std::fs::read_to_string(&path).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    std::fs::write(&path, format!("{}\n{rest}", std::process::id())).unwrap();
    let server = rig
        .postgres
        .start(&home, &ServerSettings::default())
        .await
        .unwrap();
    assert_eq!(number(&master(&home).await, "SELECT n FROM t").await, 1);
    server.stop(Stop::Fast).await.unwrap();
}

/// The number of a server's shared memory as /proc/sysvipc/shm has it, between spaces.
fn segment_of(_process: i32, home: &ServerHome) -> Option<String> {
    let text = std::fs::read_to_string(home.directory().join("data/postmaster.pid")).ok()?;
    let number = text.lines().nth(6)?.split_whitespace().nth(1)?;
    Some(format!(" {number} "))
}

#[tokio::test]
async fn a_server_that_is_killed_from_outside_is_seen_and_leaves_nothing() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    assert!(server.is_running());
    let postmaster = std::fs::read_to_string(home.directory().join("data/postmaster.pid"));
    let number = postmaster.unwrap().lines().next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(number).unwrap(), Signal::KILL).unwrap();
    tokio::time::timeout(WAIT, server.ended()).await.unwrap();
    assert!(!server.is_running());
    let gone = server.observe().await.unwrap_err();
    assert!(matches!(gone, PostgresError::Gone(_)), "{gone}");
    drop(server);
    eventually("all of it is gone", || async {
        processes(&home).is_empty()
    })
    .await;
    let server = rig
        .postgres
        .start(&home, &ServerSettings::default())
        .await
        .unwrap();
    server.stop(Stop::Fast).await.unwrap();
}

#[tokio::test]
async fn an_idle_server_is_small() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    server.observe().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut total = 0;
    for process in processes(&home) {
        let facts = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"));
        let Ok(facts) = facts else { continue };
        let line = facts
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))
            .unwrap();
        total += line.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
    }
    eprintln!("an idle server has {total} KiB (PSS)");
    assert!(total > 5 * 1024, "nothing was measured");
    assert!(total <= 60 * 1024, "{total} KiB");
    server.stop(Stop::Fast).await.unwrap();
}
