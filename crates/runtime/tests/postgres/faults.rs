//! Directories that aren't whole, data that aren't ours, paths that can't be, disks that are full.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use runtime::postgres::{HomeState, PostgresError, ServerHome, ServerSettings, Stop, Upstream};
use tokio::net::UnixListener;
use zeroize::Zeroizing;

use crate::rig::{eventually, is_root, master, new, number, processes, rig, sqlstate};

#[tokio::test]
async fn a_copy_that_was_cut_off_is_unfinished_and_is_made_anew() {
    let Some(rig) = rig() else { return };
    // An upstream that takes connections and says nothing.
    let silent = rig.path().join("silent");
    std::fs::create_dir(&silent).unwrap();
    std::fs::set_permissions(&silent, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = silent.join(".s.PGSQL.5432");
    let listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
    let home = rig.home("one");
    let upstream = Upstream {
        socket_directory: silent,
        slot: "s".into(),
        password: Zeroizing::new("p".into()),
        application_name: "a".into(),
    };
    {
        let copy = rig.postgres.copy(&home, &upstream);
        let caller = async {
            let (stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            stream
        };
        tokio::pin!(copy);
        tokio::select! {
            done = &mut copy => panic!("{done:?}"),
            _stream = caller => {}
        }
    }
    assert_eq!(home.state(), HomeState::Unfinished);
    let refused = rig.postgres.start(&home, &ServerSettings::default()).await;
    assert!(matches!(refused, Err(PostgresError::State { .. })));
    let refused = rig.postgres.copy(&home, &upstream).await;
    assert!(
        matches!(refused, Err(PostgresError::State { .. })),
        "{refused:?}"
    );
    home.remove().await.unwrap();
    drop(listener);
    let refused = rig.postgres.copy(&home, &upstream).await.unwrap_err();
    assert!(
        matches!(
            refused,
            PostgresError::Program {
                program: "pg_basebackup",
                ..
            }
        ),
        "{refused}"
    );
    assert!(
        refused.to_string().contains("Connection refused"),
        "{refused}"
    );
    home.remove().await.unwrap();
    rig.postgres.create(&home, &new()).await.unwrap();
}

#[tokio::test]
async fn a_making_that_was_cut_off_is_unfinished_and_leaves_no_process() {
    let Some(rig) = rig() else { return };
    let home = rig.home("one");
    let new = new();
    // As soon as each of these is there: before, amid and after what initdb makes.
    for sight in [
        "data",
        "data/PG_VERSION",
        "data/global/pg_control",
        "postgresql.conf",
    ] {
        let sight = home.directory().join(sight);
        tokio::select! {
            done = rig.postgres.create(&home, &new) => panic!("{done:?} before {sight:?}"),
            () = eventually("it is begun", || async { sight.exists() }) => {}
        }
        eventually("its programs are gone", || async {
            processes(&home).is_empty()
        })
        .await;
        assert_eq!(home.state(), HomeState::Unfinished, "cut off at {sight:?}");
        home.remove().await.unwrap();
        assert_eq!(home.state(), HomeState::Absent);
    }
    rig.postgres.create(&home, &new).await.unwrap();
}

#[tokio::test]
async fn data_of_another_version_and_damaged_data_are_refused_and_left_alone() {
    let Some(rig) = rig() else { return };
    let home = rig.home("one");
    rig.postgres.create(&home, &new()).await.unwrap();
    let version = home.directory().join("data/PG_VERSION");
    for found in ["14\n", "150\n", ""] {
        std::fs::write(&version, found).unwrap();
        let refused = rig.postgres.start(&home, &ServerSettings::default()).await;
        let error = refused.err().unwrap();
        assert!(matches!(error, PostgresError::Version { .. }), "{error}");
    }
    std::fs::write(&version, "15\n").unwrap();
    let control = home.directory().join("data/global/pg_control");
    let whole = std::fs::read(&control).unwrap();
    // Its checksum no longer fits: PostgreSQL itself refuses, and says so.
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    std::fs::write(&control, &flipped).unwrap();
    let refused = rig.postgres.start(&home, &ServerSettings::default()).await;
    let error = refused.err().unwrap();
    assert!(matches!(error, PostgresError::Program { .. }), "{error}");
    assert!(error.to_string().contains("checksum"), "{error}");
    std::fs::write(&control, b"").unwrap();
    assert_eq!(home.state(), HomeState::Damaged);
    let refused = rig.postgres.start(&home, &ServerSettings::default()).await;
    assert!(matches!(
        refused,
        Err(PostgresError::State {
            state: HomeState::Damaged,
            ..
        })
    ));
    std::fs::write(&control, &whole).unwrap();
    let server = rig
        .postgres
        .start(&home, &ServerSettings::default())
        .await
        .unwrap();
    server.stop(Stop::Fast).await.unwrap();
}

#[tokio::test]
async fn a_flipped_byte_of_a_table_is_told_to_who_reads_it_and_carried_on_by_no_copy() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    let tables = "CREATE TABLE damaged AS SELECT n, repeat('x', 500) AS s \
                  FROM generate_series(1, 100) n; CREATE TABLE other AS SELECT 7 AS n";
    let client = master(&home).await;
    client.batch_execute(tables).await.unwrap();
    let file = "SELECT pg_relation_filepath('damaged')";
    let file: String = client.query_one(file, &[]).await.unwrap().get(0);
    let file = home.directory().join("data").join(file);
    server.stop(Stop::Fast).await.unwrap();
    // In a row of the third page.
    let flip = || {
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[2 * 8192 + 8000] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    };
    flip();

    let alone = ServerSettings::default();
    let server = rig.postgres.start(&home, &alone).await.unwrap();
    let client = master(&home).await;
    let all = client.query("SELECT count(*) FROM damaged", &[]).await;
    let error = all.unwrap_err();
    assert_eq!(sqlstate(&error), "XX001", "{error:?}");
    let said = error.as_db_error().unwrap().message();
    assert!(said.contains("invalid page in block 2"), "{said}");
    // Everything else is read and written.
    let first = "SELECT n::bigint FROM damaged WHERE ctid = '(0,1)'";
    assert_eq!(number(&client, first).await, 1);
    let row = "INSERT INTO other VALUES (8)";
    client.batch_execute(row).await.unwrap();
    let rows = "SELECT count(*) FROM other";
    assert_eq!(number(&client, rows).await, 2);

    let refused = |result: Result<(), PostgresError>, by: &str| {
        let error = result.unwrap_err();
        let is_its = matches!(&error, PostgresError::Program { program, .. } if *program == by);
        assert!(is_its && error.to_string().contains("checksum"), "{error}");
    };
    let snapshot = async |server: Option<&runtime::postgres::Server>, name: &str| {
        let to = rig.path().join(name);
        rig.postgres.snapshot(&home, server, &to).await.map(drop)
    };
    refused(snapshot(Some(&server), "running").await, "pg_basebackup");
    server.keep_slots(&["two".to_owned()].into()).await.unwrap();
    let upstream = Upstream {
        socket_directory: home.socket_directory().to_owned(),
        slot: "two".into(),
        password: home.replication_password().unwrap(),
        application_name: "two".into(),
    };
    let copy = rig.home("two");
    refused(rig.postgres.copy(&copy, &upstream).await, "pg_basebackup");
    assert_eq!(copy.state(), HomeState::Unfinished);
    server.stop(Stop::Fast).await.unwrap();
    refused(snapshot(None, "stopped").await, "pg_checksums");
    // The disk is mended, and so are copies.
    flip();
    snapshot(None, "mended").await.unwrap();
}

#[tokio::test]
async fn what_the_server_s_user_puts_in_its_data_is_not_followed() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    server.stop(Stop::Fast).await.unwrap();
    // As if the server's user had been taken over: links where we write and remove.
    let victim = rig.path().join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    let data = home.directory().join("data");
    for name in ["postmaster.pid", "causeway.adopt", "link"] {
        std::os::unix::fs::symlink(&victim, data.join(name)).unwrap();
    }
    let refused = rig
        .postgres
        .snapshot(&home, None, &rig.path().join("snapshot"))
        .await;
    assert!(refused.unwrap_err().to_string().contains("link is no file"));
    // Removed by a thread of its own.
    while rig.path().join("snapshot").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused = rig.postgres.start(&home, &ServerSettings::default()).await;
    assert!(matches!(refused, Err(PostgresError::Io { .. })));
    std::fs::remove_file(data.join("postmaster.pid")).unwrap();
    let server = rig
        .postgres
        .start(&home, &ServerSettings::default())
        .await
        .unwrap();
    server.stop(Stop::Fast).await.unwrap();
    home.remove().await.unwrap();
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
}

#[tokio::test]
async fn paths_that_a_server_can_t_have_are_refused_by_name() {
    let Some(rig) = rig() else { return };
    let deep = ServerHome::new(rig.path().join("d".repeat(100)));
    let refused = rig.postgres.create(&deep, &new()).await;
    assert!(
        matches!(refused, Err(PostgresError::PathTooLong(_))),
        "{refused:?}"
    );
    let relative = ServerHome::new("relative".into());
    let refused = rig.postgres.create(&relative, &new()).await;
    assert!(
        matches!(refused, Err(PostgresError::Refused { .. })),
        "{refused:?}"
    );
    if is_root() {
        let closed = rig.path().join("closed");
        std::fs::create_dir(&closed).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        let refused = rig
            .postgres
            .create(&ServerHome::new(closed.join("one")), &new())
            .await;
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("closed") && said.contains("0711"), "{said}");
    }
}

/// A small disk, unmounted at the end.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(path: std::path::PathBuf, size: &str) -> Option<SmallDisk> {
        std::fs::create_dir(&path).unwrap();
        let options = format!("size={size},mode=0711");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(SmallDisk(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_nothing_that_was_committed_is_lost() {
    let Some(rig) = rig() else { return };
    let Some(small) = SmallDisk::mount(rig.path().join("small"), "24m") else {
        eprintln!("skipped: no file system may be mounted here");
        return;
    };
    let home = ServerHome::new(small.0.join("one"));
    let full = rig.postgres.create(&home, &new()).await.unwrap_err();
    assert!(full.is_disk_full(), "{full}");
    assert_eq!(home.state(), HomeState::Unfinished);
    home.remove().await.unwrap();

    let Some(larger) = SmallDisk::mount(rig.path().join("larger"), "110m") else {
        panic!("the first could be mounted");
    };
    let home = ServerHome::new(larger.0.join("one"));
    rig.postgres.create(&home, &new()).await.unwrap();
    let server = rig
        .postgres
        .start(&home, &ServerSettings::default())
        .await
        .unwrap();
    let client = master(&home).await;
    client
        .batch_execute("CREATE TABLE t (n bigint, s text)")
        .await
        .unwrap();
    let mut committed = 0_i64;
    let error = loop {
        let fill = "INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 1000) n";
        match client.batch_execute(fill).await {
            Ok(()) => committed += 1000,
            Err(error) => break error,
        }
        assert!(committed < 200_000, "the disk never filled");
    };
    // The table couldn't grow, or the log couldn't, which ends the server.
    assert!(
        ["53100", "57P02", ""].contains(&sqlstate(&error)),
        "{error:?}"
    );
    drop(server);
    let grown = Command::new("mount")
        .args(["-o", "remount,size=400m"])
        .arg(&larger.0)
        .status();
    assert!(grown.unwrap().success());
    let server = rig
        .postgres
        .start(&home, &ServerSettings::default())
        .await
        .unwrap();
    assert_eq!(
        number(&master(&home).await, "SELECT count(*) FROM t").await,
        committed
    );
    server.stop(Stop::Fast).await.unwrap();
}
