//! Copies of snapshots over a socket: what is cut off goes on, what is changed on its way or on the
//! disk is found, and what isn't a snapshot is refused.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test opens sockets, starts tasks, and may panic"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use runtime::postgres::{FetchError, SnapshotOffer, fetch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

struct Rig {
    directory: tempfile::TempDir,
    bytes: u64,
}

impl Rig {
    /// With a snapshot of a few files, one of several pieces, one of none.
    fn new() -> Rig {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("snapshot/data");
        fs::create_dir_all(data.join("base/5")).unwrap();
        fs::create_dir_all(data.join("pg_notify")).unwrap();
        let large: Vec<u8> = (0..3_500_000_u32).map(|n| (n % 251) as u8).collect();
        fs::write(data.join("base/5/1259"), &large).unwrap();
        fs::write(data.join("base/5/1259_fsm"), b"").unwrap();
        fs::write(data.join("PG_VERSION"), b"15\n").unwrap();
        let bytes = large.len() as u64 + 3;
        Rig { directory, bytes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn offer(&self) -> SnapshotOffer {
        SnapshotOffer::new(&self.path("snapshot"), &self.path("offer")).unwrap()
    }

    async fn fetch(&self, socket: &Path) -> (Result<(), FetchError>, u64) {
        let seen = AtomicU64::new(0);
        let outcome = fetch(socket, &self.path("copy"), self.bytes, &seen).await;
        (outcome, seen.load(Ordering::Relaxed))
    }

    /// A socket that passes on so many bytes of what comes from the snapshot, then ends; and one
    /// of them turned, if that is asked for.
    fn bad_line(&self, name: &str, most: usize, turned: Option<usize>) -> PathBuf {
        let path = self.path(name);
        let listener = UnixListener::bind(&path).unwrap();
        let to = self.path("offer/.s.PGSQL.5432");
        tokio::spawn(async move {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = UnixStream::connect(to).await.unwrap();
            let mut greeting = [0; 65];
            near.read_exact(&mut greeting).await.unwrap();
            far.write_all(&greeting).await.unwrap();
            let mut passed = 0;
            let mut part = [0; 4096];
            while passed < most {
                let room = part.len().min(most - passed);
                let count = far.read(&mut part[..room]).await.unwrap();
                if let Some(turned) = turned.filter(|it| (passed..passed + count).contains(it)) {
                    part[turned - passed] ^= 1;
                }
                passed += count;
                if count == 0 || near.write_all(&part[..count]).await.is_err() {
                    return;
                }
            }
        });
        path
    }

    fn is_copied(&self) -> bool {
        let same = |name: &str| {
            let read = |which: &str| fs::read(self.path(which).join("data").join(name)).unwrap();
            read("snapshot") == read("copy")
        };
        self.path("copy/data/pg_notify").is_dir()
            && self.path("copy/snapshot").exists()
            && ["base/5/1259", "base/5/1259_fsm", "PG_VERSION"]
                .into_iter()
                .all(same)
    }
}

#[tokio::test]
async fn a_copy_that_is_cut_again_and_again_goes_on_until_it_is_whole() {
    let rig = Rig::new();
    let offer = rig.offer();
    let mut before = 0;
    for (number, most) in [1_200_000, 2_300_000, 90_000].into_iter().enumerate() {
        let line = rig.bad_line(&format!("line-{number}"), most, None);
        let (outcome, seen) = rig.fetch(&line).await;
        assert!(matches!(outcome, Err(FetchError::Cut(_))), "{outcome:?}");
        assert!(seen >= before && seen < rig.bytes, "{before} {seen}");
        before = seen;
        assert!(!rig.path("copy/snapshot").exists(), "it isn't whole");
    }
    assert!(before > 3_000_000, "it goes on: {before}");
    let (outcome, seen) = rig.fetch(offer.path()).await;
    outcome.unwrap();
    assert_eq!(seen, rig.bytes);
    assert!(rig.is_copied());
    let mode = fs::metadata(rig.path("copy")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "it is for nobody else's eyes");
}

#[tokio::test]
async fn a_byte_that_is_turned_on_its_way_or_on_the_disk_is_found() {
    let rig = Rig::new();
    let offer = rig.offer();
    let line = rig.bad_line("line", usize::MAX, Some(2_000_000));
    let (outcome, seen) = rig.fetch(&line).await;
    assert!(
        matches!(outcome, Err(FetchError::Damaged(_))),
        "{outcome:?}"
    );
    assert_eq!(seen, 0, "nothing of it is kept");
    // A power cut takes what was not on the disk, and leaves the line that says it was.
    let line = rig.bad_line("line-2", 3_000_000, None);
    assert!(rig.fetch(&line).await.0.is_err());
    let file = rig.path("copy/data/base/5/1259");
    let mut bytes = fs::read(&file).unwrap();
    bytes[77] = !bytes[77];
    fs::write(&file, bytes).unwrap();
    let (outcome, _) = rig.fetch(offer.path()).await;
    assert!(
        matches!(outcome, Err(FetchError::Damaged(_))),
        "{outcome:?}"
    );
    rig.fetch(offer.path()).await.0.unwrap();
    assert!(rig.is_copied());
}

#[tokio::test]
async fn what_is_of_another_snapshot_is_begun_anew_and_what_is_none_is_refused() {
    let rig = Rig::new();
    let offer = rig.offer();
    let line = rig.bad_line("line", 3_000_000, None);
    assert!(rig.fetch(&line).await.0.is_err());
    // A file that wasn't there before moves all pieces behind it.
    fs::write(rig.path("snapshot/data/AAA"), b"x").unwrap();
    let (outcome, _) = rig.fetch(offer.path()).await;
    let Err(FetchError::Damaged(why)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(why, "there is more of it than there was");
    fs::remove_file(rig.path("snapshot/data/AAA")).unwrap();
    rig.fetch(offer.path()).await.0.unwrap();
    assert!(rig.is_copied());
    fs::remove_dir_all(rig.path("copy")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", rig.path("snapshot/data/link")).unwrap();
    let (outcome, _) = rig.fetch(offer.path()).await;
    assert!(matches!(outcome, Err(FetchError::Cut(_))), "{outcome:?}");
    // Nobody is there.
    drop(offer);
    let (outcome, _) = rig.fetch(&rig.path("offer/.s.PGSQL.5432")).await;
    assert!(matches!(outcome, Err(FetchError::Cut(_))), "{outcome:?}");
    assert!(!rig.path("offer").exists(), "its socket goes with it");
}
