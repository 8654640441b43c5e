//! What every place for blobs does, in memory and in files; and what files do besides. What a
//! bucket elsewhere does besides, and can't, is tried beside it.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use bytes::Bytes;
use types::ByteSize;

use super::*;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

pub(crate) fn local(path: &Path) -> LocalBlobs {
    LocalBlobs::open(&path.join("blobs"), LocalOptions::modest()).unwrap()
}

pub(crate) fn write(blobs: &dyn Blobs, id: BlobId, pieces: &[&'static str]) {
    let mut writer = wait(blobs.create(id)).unwrap();
    for piece in pieces {
        wait(writer.write(Bytes::from_static(piece.as_bytes()))).unwrap();
    }
    wait(writer.finish()).unwrap();
}

/// A number whose first byte is `shard`.
pub(crate) fn id(shard: u8, rest: u128) -> BlobId {
    BlobId(u128::from(shard) << 120 | rest)
}

pub(crate) fn reads_back(blobs: &dyn Blobs) {
    write(blobs, id(1, 1), &["some ", "", "bytes"]);
    let read = |offset, length| wait(blobs.read(id(1, 1), offset, length)).unwrap();
    assert_eq!(read(0, 10), "some bytes");
    assert_eq!(read(5, 3), "byt");
    assert_eq!(read(8, 100), "es");
    assert_eq!(read(10, 1), "");
    assert_eq!(read(11, 1), "");
    let missing = wait(blobs.read(id(1, 2), 0, 1));
    assert_eq!(missing, Err(BlobError::Missing(id(1, 2))));
    write(blobs, id(1, 3), &[]);
    assert_eq!(wait(blobs.read(id(1, 3), 0, 9)).unwrap(), "");
}

fn shows_nothing_unfinished(blobs: &dyn Blobs) {
    let blob = id(2, 1);
    let mut writer = wait(blobs.create(blob)).unwrap();
    wait(writer.write(Bytes::from("half"))).unwrap();
    wait(writer.sync()).unwrap();
    assert_eq!(wait(blobs.read(blob, 0, 4)), Err(BlobError::Missing(blob)));
    assert_eq!(wait(blobs.read_unfinished(blob, 0, 9)).unwrap(), "half");
    assert!(wait(blobs.list(None, 100)).unwrap().contains(&blob));
    wait(writer.finish()).unwrap();
    assert_eq!(wait(blobs.read(blob, 0, 4)).unwrap(), "half");
    let gone = wait(blobs.read_unfinished(blob, 0, 4));
    assert_eq!(gone, Err(BlobError::Missing(blob)));
}

fn goes_on_where_it_was_synced(blobs: &dyn Blobs) {
    let blob = id(3, 1);
    let mut writer = wait(blobs.create(blob)).unwrap();
    wait(writer.write(Bytes::from("one two"))).unwrap();
    wait(writer.sync()).unwrap();
    drop(writer);
    let mut writer = wait(blobs.resume(blob, 4)).unwrap();
    wait(writer.write(Bytes::from("three"))).unwrap();
    wait(writer.finish()).unwrap();
    assert_eq!(wait(blobs.read(blob, 0, 99)).unwrap(), "one three");
    assert!(wait(blobs.resume(blob, 4)).is_err(), "it is finished");
    assert!(wait(blobs.resume(id(3, 2), 0)).is_err(), "there is none");
    let mut short = wait(blobs.create(id(3, 3))).unwrap();
    wait(short.write(Bytes::from("a"))).unwrap();
    wait(short.sync()).unwrap();
    assert!(wait(blobs.resume(id(3, 3), 2)).is_err(), "it is too short");
}

pub(crate) fn lists_in_order_and_removes(blobs: &dyn Blobs) {
    let mut ids: Vec<BlobId> = (0..40).map(|n| id((n * 13) as u8, n % 7)).collect();
    for blob in &ids {
        write(blobs, *blob, &["x"]);
    }
    ids.sort_unstable();
    let mut found = Vec::new();
    loop {
        let page = wait(blobs.list(found.last().copied(), 7)).unwrap();
        assert!(page.len() <= 7);
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found, ids);
    for blob in &ids {
        wait(blobs.remove(*blob)).unwrap();
        wait(blobs.remove(*blob)).unwrap();
    }
    assert_eq!(wait(blobs.list(None, 1)).unwrap(), []);
}

#[test]
fn both_places_do_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let places: [Box<dyn Fn() -> Box<dyn Blobs>>; 2] = [
        Box::new(|| Box::new(MemoryBlobs::new())),
        Box::new(|| Box::new(local(&tempfile::tempdir_in(&directory).unwrap().keep()))),
    ];
    for place in places {
        reads_back(&*place());
        shows_nothing_unfinished(&*place());
        goes_on_where_it_was_synced(&*place());
        lists_in_order_and_removes(&*place());
    }
}

#[test]
fn a_crash_takes_what_was_not_synced() {
    let blobs = MemoryBlobs::new();
    write(&blobs, BlobId(1), &["kept"]);
    let mut half = wait(blobs.create(BlobId(2))).unwrap();
    wait(half.write(Bytes::from("kept"))).unwrap();
    wait(half.sync()).unwrap();
    wait(half.write(Bytes::from(" lost"))).unwrap();
    let mut unsynced = wait(blobs.create(BlobId(3))).unwrap();
    wait(unsynced.write(Bytes::from("lost"))).unwrap();
    blobs.crash();
    assert!(wait(half.write(Bytes::from("never"))).is_err());
    assert!(wait(unsynced.finish()).is_err());
    assert_eq!(blobs.all(), [(BlobId(1), true), (BlobId(2), false)]);
    let kept = wait(blobs.read_unfinished(BlobId(2), 0, 99));
    assert_eq!(kept.unwrap(), "kept");
}

#[test]
fn files_are_found_again_and_strangers_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = local(directory.path());
    write(&blobs, id(0xab, 7), &["still here"]);
    drop(blobs);
    let stranger = directory.path().join("blobs/ab/notes.txt");
    std::fs::write(&stranger, "mine").unwrap();
    let blobs = local(directory.path());
    assert_eq!(wait(blobs.list(None, 9)).unwrap(), [id(0xab, 7)]);
    assert_eq!(wait(blobs.read(id(0xab, 7), 6, 4)).unwrap(), "here");
    assert_eq!(std::fs::read(stranger).unwrap(), b"mine");
    let name = format!("blobs/ab/{}", id(0xab, 7));
    assert!(directory.path().join(name).is_file());
}

#[test]
fn a_full_disk_takes_nothing_more_and_gives_and_removes_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(1 << 40));
    let options = LocalOptions {
        reserve: ByteSize::mib(1),
        free_space: Arc::new({
            let free = Arc::clone(&free);
            move |_| Ok(ByteSize(free.load(Ordering::Relaxed)))
        }),
    };
    let blobs = LocalBlobs::open(directory.path(), options).unwrap();
    write(&blobs, BlobId(1), &["kept"]);
    let mut growing = wait(blobs.create(BlobId(2))).unwrap();
    free.store(1000, Ordering::Relaxed);
    assert_eq!(
        wait(blobs.create(BlobId(3))).err(),
        Some(BlobError::DiskFull)
    );
    // While a blob grows, it is looked at now and then; a refusal is told at the end at the latest.
    let megabyte = Bytes::from(vec![0; 1 << 20]);
    let refused = (0..10).find_map(|_| wait(growing.write(megabyte.clone())).err());
    assert_eq!(refused, Some(BlobError::DiskFull));
    assert_eq!(wait(blobs.read(BlobId(1), 0, 9)).unwrap(), "kept");
    wait(blobs.remove(BlobId(1))).unwrap();
    wait(blobs.remove(BlobId(2))).unwrap();
    assert_eq!(wait(blobs.list(None, 9)).unwrap(), []);
}

#[test]
fn many_write_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = local(directory.path());
    let finishing: Vec<_> = (0..200_u128)
        .map(|n| {
            let blob = id(n as u8, n);
            let mut writer = wait(blobs.create(blob)).unwrap();
            wait(writer.write(Bytes::from(n.to_string()))).unwrap();
            (blob, n, writer.finish())
        })
        .collect();
    for (blob, n, finish) in finishing {
        wait(finish).unwrap();
        let read = wait(blobs.read(blob, 0, 9)).unwrap();
        assert_eq!(read, n.to_string());
    }
    assert_eq!(blobs.failure(), None);
}

#[test]
fn a_number_is_a_string_of_32_digits() {
    let blob = BlobId(0xab);
    let text = "000000000000000000000000000000ab";
    assert_eq!(serde_json::to_string(&blob).unwrap(), format!("\"{text}\""));
    assert_eq!(BlobId::from_hex(text), Some(blob));
    for wrong in ["", "ab", &text[1..], "+00000000000000000000000000000ab"] {
        assert_eq!(BlobId::from_hex(wrong), None, "{wrong:?}");
    }
}
