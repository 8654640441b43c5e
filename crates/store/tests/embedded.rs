//! The embedded engine as its callers see it: order, positions, reopening, a full disk, a
//! directory in use, of a newer format, or damaged.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use common::{batch_of, find, get, missing, open, wait, wait_for_table, whole_log};
use store::{
    Batch, CommitError, EmbeddedEngine, EmbeddedOptions, Engine, LogPosition, OpenError,
    PlantedBug, ReadError, Snapshot, Space, trim_log, verify,
};
use types::ByteSize;

#[test]
fn a_group_is_judged_and_logged_in_the_order_of_the_calls() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let commits: Vec<_> = (0..2_000_u64)
        .map(|n| {
            let mut batch = Batch::new();
            let before = n.checked_sub(1).map(|n| Bytes::from(n.to_string()));
            batch.require(Space::Meta, "counter", before);
            batch.put(Space::Meta, "counter", n.to_string());
            batch.announce(n.to_string());
            let commit = engine.commit(batch);
            let mut refused = Batch::new();
            refused.put(Space::Items, "never", "");
            refused.announce("never");
            refused.require(Space::Meta, "counter", Some(Bytes::from(n.to_string())));
            refused.require(Space::Meta, "counter", None);
            (commit, engine.commit(refused))
        })
        .collect();
    for (n, (commit, refused)) in (1..).zip(commits) {
        assert_eq!(wait(commit), Ok(LogPosition(n)));
        assert_eq!(wait(refused), Err(CommitError::Precondition(1)));
    }
    assert_eq!(get(&engine, Space::Items, b"never"), None);
    let log = whole_log(&engine);
    let expected = (1..=2_000).map(|n: u64| (LogPosition(n), Bytes::from((n - 1).to_string())));
    assert!(log.into_iter().eq(expected));
}

#[test]
fn a_commit_is_on_its_way_without_being_polled() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let grown = engine.log_grown(LogPosition(1));
    drop(engine.commit(batch_of(1)));
    drop(engine.commit(batch_of(2)));
    assert_eq!(wait(grown), LogPosition(2));
    drop(engine);
    let engine = open(directory.path());
    assert_eq!(missing(&engine, &[1, 2]), []);
    assert_eq!(engine.log_head(), LogPosition(2));
}

#[test]
fn a_snapshot_sees_no_later_commit() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    wait(engine.commit(batch_of(1))).unwrap();
    let snapshot = engine.snapshot();
    let mut batch = batch_of(2);
    batch.delete(Space::Items, 1_u64.to_be_bytes().to_vec());
    wait(engine.commit(batch)).unwrap();
    let read = |id: u64| wait(snapshot.get(Space::Items, &id.to_be_bytes())).unwrap();
    assert!(read(1).is_some() && read(2).is_none());
    assert_eq!(missing(&engine, &[1, 2]), [1]);
}

#[test]
fn the_log_head_survives_a_wholly_trimmed_log() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let commits: Vec<_> = (0..2_500).map(|id| engine.commit(batch_of(id))).collect();
    assert!(commits.into_iter().all(|commit| wait(commit).is_ok()));
    assert_eq!(wait(trim_log(&engine, LogPosition(1_200))), Ok(1_200));
    assert_eq!(whole_log(&engine)[0].0, LogPosition(1_201));
    assert_eq!(wait(trim_log(&engine, LogPosition(u64::MAX))), Ok(1_300));
    assert_eq!(wait(trim_log(&engine, LogPosition(u64::MAX))), Ok(0));
    assert!(whole_log(&engine).is_empty());
    drop(engine);
    let engine = open(directory.path());
    assert_eq!(engine.log_head(), LogPosition(2_500));
    assert_eq!(wait(engine.commit(batch_of(1))), Ok(LogPosition(2_501)));
    drop(engine);
    let report = verify(directory.path()).unwrap();
    assert_eq!(report.log_head, LogPosition(2_501));
    assert_eq!(
        (report.spaces[0].entries, report.spaces[2].entries),
        (2_500, 1)
    );
    assert!(!report.torn_tail);
}

#[test]
fn below_the_reserve_data_is_refused_and_removals_pass() {
    let directory = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(u64::MAX));
    let probe = Arc::clone(&free);
    let options = EmbeddedOptions {
        reserve: ByteSize(4_000),
        free_space: Arc::new(move |_: &Path| Ok(ByteSize(probe.load(Ordering::Relaxed)))),
        ..EmbeddedOptions::modest()
    };
    let engine = EmbeddedEngine::open(directory.path(), options).unwrap();
    let cursor = || {
        let mut cursor = Batch::new();
        cursor.put(Space::Meta, "cursor", "1");
        cursor
    };
    wait(engine.commit(batch_of(1))).unwrap();
    free.store(3_999, Ordering::Relaxed);
    assert_eq!(wait(engine.commit(batch_of(2))), Err(CommitError::DiskFull));
    wait(engine.commit(cursor())).unwrap();
    free.store(999, Ordering::Relaxed);
    assert_eq!(wait(engine.commit(cursor())), Err(CommitError::DiskFull));
    assert_eq!(missing(&engine, &[1, 2]), [2]);
    assert_eq!(wait(trim_log(&engine, LogPosition(1))), Ok(1));
    free.store(4_000, Ordering::Relaxed);
    assert_eq!(wait(engine.commit(batch_of(2))), Ok(LogPosition(2)));
}

#[test]
fn a_directory_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let error = EmbeddedEngine::open(directory.path(), EmbeddedOptions::modest()).unwrap_err();
    assert!(matches!(&error, OpenError::InUse(path) if path == directory.path()));
    assert!(error.to_string().contains("in use by another process"));
    assert!(matches!(verify(directory.path()), Err(OpenError::InUse(_))));
    drop(engine);
    open(directory.path());
}

#[test]
fn a_newer_or_missing_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let format = directory.path().join("FORMAT");
    assert_eq!(
        std::fs::read(&format).unwrap(),
        b"causeway-store 2 complete\n"
    );
    std::fs::write(&format, "causeway-store 3 complete and more\n").unwrap();
    match EmbeddedEngine::open(directory.path(), EmbeddedOptions::modest()) {
        Err(OpenError::Newer {
            file,
            found,
            understood,
        }) => {
            assert_eq!((file, found, understood), (format.clone(), 3, 2));
        }
        other => panic!("{other:?}"),
    }
    for text in [
        &b"something else"[..],
        b"causeway-store x",
        b"causeway-store 0 complete",
        b"causeway-store 2",
        b"\xff",
    ] {
        std::fs::write(&format, text).unwrap();
        assert_eq!(damaged_file(directory.path()), format);
    }
    std::fs::remove_file(&format).unwrap();
    assert_eq!(damaged_file(directory.path()), format);
}

/// A database as version 1 of the format made it, with these keyspaces and an item.
fn make_version_1(path: &Path, keyspaces: &[&str]) {
    let database = fjall::Database::builder(path.join("data")).open().unwrap();
    for name in keyspaces {
        let keyspace = database.keyspace(name, Default::default).unwrap();
        keyspace.insert("key", *name).unwrap();
    }
    database.persist(fjall::PersistMode::SyncAll).unwrap();
    let checksum = crc32c::crc32c(&[0; 8]).to_le_bytes();
    std::fs::write(path.join("synced"), [&[0; 8][..], &checksum].concat()).unwrap();
    std::fs::write(path.join("FORMAT"), "causeway-store 1 complete\n").unwrap();
}

const VERSION_1: [&str; 6] = ["items", "indexes", "log", "meta", "conflicts", "council"];

#[test]
fn a_database_from_before_objects_gets_their_keyspaces_once() {
    let directory = tempfile::tempdir().unwrap();
    make_version_1(directory.path(), &VERSION_1);
    let engine = open(directory.path());
    assert_eq!(
        get(&engine, Space::Items, b"key"),
        Some(Bytes::from("items"))
    );
    let mut batch = Batch::new();
    batch.put(Space::Objects, "a", "1");
    batch.put(Space::Content, "b", "2");
    wait(engine.commit(batch)).unwrap();
    drop(engine);
    let format = std::fs::read(directory.path().join("FORMAT")).unwrap();
    assert_eq!(format, b"causeway-store 2 complete\n");
    let engine = open(directory.path());
    assert_eq!(get(&engine, Space::Objects, b"a"), Some(Bytes::from("1")));
    assert_eq!(get(&engine, Space::Content, b"b"), Some(Bytes::from("2")));
    assert_eq!(
        get(&engine, Space::Council, b"key"),
        Some(Bytes::from("council"))
    );
}

#[test]
fn an_upgrade_that_was_cut_short_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    make_version_1(directory.path(), &[&VERSION_1[..], &["objects"]].concat());
    drop(open(directory.path()));
    drop(open(directory.path()));
}

#[test]
fn a_lost_keyspace_is_damage_and_not_made_anew() {
    let lost = tempfile::tempdir().unwrap();
    make_version_1(lost.path(), &VERSION_1[1..]);
    assert_eq!(
        damaged_file(lost.path()),
        lost.path().join("data/keyspaces")
    );
    // What an upgrade may add to version 1 has to be in version 2.
    let newer = tempfile::tempdir().unwrap();
    make_version_1(newer.path(), &[&VERSION_1[..], &["objects"]].concat());
    let format = newer.path().join("FORMAT");
    std::fs::write(format, "causeway-store 2 complete\n").unwrap();
    assert_eq!(
        damaged_file(newer.path()),
        newer.path().join("data/keyspaces")
    );
}

#[test]
fn a_creation_that_was_cut_short_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let format = directory.path().join("FORMAT");
    std::fs::write(&format, "causeway-store 2 creating\n").unwrap();
    std::fs::remove_file(directory.path().join("data/version")).unwrap();
    wait(open(directory.path()).commit(batch_of(1))).unwrap();
    assert_eq!(missing(&open(directory.path()), &[1]), []);
}

#[test]
fn damage_to_an_acknowledged_commit_in_the_journal_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    for id in 0..20 {
        wait(engine.commit(batch_of(id))).unwrap();
    }
    drop(engine);
    let journal = journal_of(directory.path());
    let bytes = std::fs::read(&journal).unwrap();
    let length = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // The tag of the first batch, of its first item, a key, a length, the middle, the last batch.
    for place in [0, 13, 36, 30, length / 2, length - 600, length - 1] {
        let mut flipped = bytes.clone();
        flipped[place] ^= 0x41;
        std::fs::write(&journal, &flipped).unwrap();
        assert_eq!(damaged_file(directory.path()), journal, "byte {place}");
        assert!(std::fs::read(&journal).unwrap() == flipped, "byte {place}");
    }
    std::fs::write(&journal, &bytes[..length - 100]).unwrap();
    assert_eq!(damaged_file(directory.path()), journal);
    std::fs::remove_file(&journal).unwrap();
    assert_eq!(
        damaged_file(directory.path()),
        directory.path().join("data")
    );
}

#[test]
fn a_torn_tail_that_nobody_was_promised_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let ids: Vec<u64> = (0..20).collect();
    for id in &ids {
        wait(engine.commit(batch_of(*id))).unwrap();
    }
    drop(engine);
    let journal = journal_of(directory.path());
    let bytes = std::fs::read(&journal).unwrap();
    let length = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // A batch as it could have been written next, of which only a part arrived; holes included.
    let last = &bytes[length - 1_300..length];
    let start = last
        .windows(5)
        .position(|bytes| bytes == [1, 3, 0, 0, 0])
        .unwrap();
    let last = &last[start..];
    let with_hole = [&last[..100], &[0; 200], &last[300..]].concat();
    for tail in [
        &last[..1],
        &last[..500],
        &last[..last.len() - 1],
        &with_hole,
        &[7; 900],
    ] {
        std::fs::write(&journal, [&bytes[..length], tail, &[0; 4096]].concat()).unwrap();
        assert!(verify(directory.path()).unwrap().torn_tail);
        let engine = open(directory.path());
        assert_eq!(missing(&engine, &ids), []);
        assert_eq!(engine.log_head(), LogPosition(20));
    }
}

#[test]
fn a_damaged_sorted_file_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let little = || EmbeddedOptions {
        write_memory: ByteSize::kib(512),
        ..EmbeddedOptions::modest()
    };
    let engine = EmbeddedEngine::open(directory.path(), little()).unwrap();
    let commits: Vec<_> = (0..3_000).map(|id| engine.commit(batch_of(id))).collect();
    assert!(commits.into_iter().all(|commit| wait(commit).is_ok()));
    wait_for_table(directory.path());
    drop(engine);
    // Compaction may have replaced the first.
    let table = wait_for_table(directory.path());
    let bytes = std::fs::read(&table).unwrap();
    for place in [10, bytes.len() / 2, bytes.len() - 3] {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1;
        std::fs::write(&table, flipped).unwrap();
        assert_eq!(damaged_file(directory.path()), table);
        assert!(matches!(
            verify(directory.path()),
            Err(OpenError::Corrupt { file, .. }) if file == table
        ));
    }
    // Not looked at in advance, it is noticed when it is read.
    let mut flipped = bytes.clone();
    flipped[2_000] ^= 1;
    std::fs::write(&table, flipped).unwrap();
    let blind = EmbeddedOptions {
        checked_at_open: ByteSize(0),
        ..little()
    };
    let engine = EmbeddedEngine::open(directory.path(), blind).unwrap();
    let snapshot = engine.snapshot();
    let errors =
        (0..3_000_u64).filter_map(|id| wait(snapshot.get(Space::Items, &id.to_be_bytes())).err());
    let errors: Vec<_> = errors.collect();
    let named = table.display().to_string();
    assert!(!errors.is_empty());
    for error in errors {
        assert!(matches!(error, ReadError::Corrupt(detail) if detail.contains(&named)));
    }
    drop((snapshot, engine));
    std::fs::remove_file(&table).unwrap();
    assert_eq!(damaged_file(directory.path()), table);
}

#[test]
fn a_damaged_manifest_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    drop(open(directory.path())); // Tidies the manifests away that making it left behind.
    let data = directory.path().join("data");
    let is_manifest = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy();
        path.parent() != Some(&data) && name.starts_with('v')
    };
    let is_current = |path: &Path| path.ends_with("current");
    for is_meant in [&is_manifest as &dyn Fn(&Path) -> bool, &is_current] {
        let file = find(&data, is_meant).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        for place in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[place] ^= 0x10;
            std::fs::write(&file, flipped).unwrap();
            let named = damaged_file(directory.path());
            assert_eq!(named.parent(), file.parent(), "byte {place}: {named:?}");
        }
        std::fs::write(&file, bytes).unwrap();
    }
    open(directory.path());
}

#[test]
fn a_directory_without_a_database_is_not_verified() {
    let directory = tempfile::tempdir().unwrap();
    let error = verify(directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

fn journal_of(database: &Path) -> std::path::PathBuf {
    database.join("data/0.jnl")
}

/// The file that an open names as corrupt.
fn damaged_file(database: &Path) -> std::path::PathBuf {
    match EmbeddedEngine::open(database, EmbeddedOptions::modest()) {
        Err(OpenError::Corrupt { file, .. }) => file,
        other => panic!("not refused as corrupt: {other:?}"),
    }
}

/// A reader that sees one row of a commit sees all of it, also while other keyspaces' rows are
/// being written out, which moves what fjall lets be seen.
#[test]
fn a_snapshot_sees_all_of_a_commit_or_nothing() {
    const COMMITS: u64 = 1_500;
    let directory = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions {
        write_memory: ByteSize::kib(64),
        // Only for speed: what is on the disk isn't asked here.
        planted_bug: Some(PlantedBug::SyncSkipped),
        ..EmbeddedOptions::modest()
    };
    let engine = EmbeddedEngine::open(directory.path(), options).unwrap();
    let commit = |number: u64| {
        let mut batch = Batch::new();
        // Written between the two, so that seeing the first alone is likely.
        for filler in 0..40_u64 {
            let key = format!("filler-{}", filler + 40 * (number % 50));
            batch.put(Space::Indexes, key, vec![number as u8; 500]);
        }
        batch.put(Space::Items, "first", number.to_string());
        batch.put(Space::Content, "last", number.to_string());
        wait(engine.commit(batch)).unwrap();
    };
    commit(0);
    let done = AtomicU64::new(0);
    let looks = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0_u64;
            while done.load(Ordering::Relaxed) == 0 {
                let snapshot = engine.snapshot();
                let see = |space, key: &[u8]| wait(snapshot.get(space, key)).unwrap();
                let first = see(Space::Items, b"first");
                let last = see(Space::Content, b"last");
                assert_eq!(first, last, "after {looks} looks");
                assert_eq!(
                    first,
                    see(Space::Items, b"first"),
                    "the same snapshot, again"
                );
                looks += 1;
            }
            looks
        });
        for number in 1..=COMMITS {
            commit(number);
        }
        done.store(1, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(looks > COMMITS, "{looks} looks are few");
}
