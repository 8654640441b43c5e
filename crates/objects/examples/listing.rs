//! Measures listings of a bucket of a million objects: all keys, keys far down, groups of keys, and
//! all versions, a thousand entries a page as clients ask for them. It holds nothing but rows.
//!
//! `cargo run --release -p objects --example listing -- [DIRECTORY [OBJECTS]]`
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a measuring program reads the clock, and may stop at the first error"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::time::Instant;

use bytes::Bytes;
use objects::keys::{kind, of_key, version};
use objects::list::{After, ListQuery, PAGE, VersionsAfter, list_current, list_versions};
use objects::{
    BucketId, Checksum, ChecksumAlgorithm, ChecksumKind, Content, Encryption, Extent, Metadata,
    ObjectData, ObjectKey, ObjectVersion, Stamp, State,
};
use store::{Batch, EmbeddedEngine, EmbeddedOptions, Engine, Space};
use types::{AccountId, Context, Hlc, SiteId, Timestamp, Version};

const BUCKET: BucketId = BucketId(7);

/// Objects written in one batch.
const BATCH: u64 = 5_000;

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = TaskContext::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let root = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let objects = arguments
        .next()
        .map_or(1_000_000, |count| count.parse().unwrap());
    let directory = tempfile::tempdir_in(root).unwrap();
    let engine = EmbeddedEngine::open(directory.path(), EmbeddedOptions::modest()).unwrap();
    let start = Instant::now();
    for first in (0..objects).step_by(BATCH as usize) {
        fill(&engine, first, (first + BATCH).min(objects));
    }
    println!("{objects} objects written in {:.1?}", start.elapsed());
    pages(&engine, "every key", "", "");
    pages(&engine, "groups at the top", "", "/");
    pages(&engine, "groups two down", "top/000/", "/");
    pages(&engine, "keys three down", "top/000/00/", "/");
    pages(&engine, "every key of a part", "top/001/", "");
    versions(&engine);
}

/// `top/AAA/BB/CCCCCC`: a thousand objects in each of ten groups of a hundred.
fn key(number: u64) -> ObjectKey {
    let (group, within) = (number / 10_000, number / 1_000 % 10);
    format!("top/{group:03}/{within:02}/{number:08}.parquet")
        .parse()
        .unwrap()
}

fn fill(engine: &EmbeddedEngine, from: u64, to: u64) {
    let mut batch = Batch::new();
    for number in from..to {
        let key = key(number);
        let object = object(number);
        let row = object.encode();
        let current = of_key(kind::CURRENT, BUCKET, &key).freeze();
        batch.put(Space::Objects, current, row.clone());
        batch.put(Space::Objects, version(BUCKET, &key, object.stamp), row);
    }
    wait(engine.commit(batch)).unwrap();
}

fn object(number: u64) -> ObjectVersion {
    let checksum = Some(Checksum {
        algorithm: ChecksumAlgorithm::Crc64nvme,
        kind: ChecksumKind::FullObject,
        value: "NVNZ9bk3CkI=".to_owned(),
    });
    let etag = format!("{number:032x}");
    let extent = Extent {
        number: 1,
        size: number,
        etag: etag.clone(),
        checksum: checksum.clone(),
        blob: u128::from(number) << 64,
        inline: false,
        sealed_key: Bytes::from(vec![7; 60]),
    };
    let user = [("origin".to_owned(), "a camera in the field".to_owned())];
    ObjectVersion {
        stamp: Stamp {
            version: Version {
                time: Hlc::at(Timestamp(1_700_000_000_000 + number)),
                site: SiteId(1),
            },
            random: number,
        },
        is_null: false,
        context: Context::EMPTY,
        owner: AccountId::LAB,
        state: State::Object(Box::new(ObjectData {
            size: number,
            etag,
            checksum,
            content: Content::Whole(extent),
            encryption: Encryption::Site,
            metadata: Metadata {
                content_type: Some("application/octet-stream".to_owned()),
                user: BTreeMap::from(user),
                ..Metadata::default()
            },
            storage_class: "STANDARD".to_owned(),
            tags: BTreeMap::new(),
            acl: None,
            retention: None,
            legal_hold: false,
            amended: Default::default(),
        })),
        outcomes: Vec::new(),
        is_replica: false,
    }
}

fn pages(engine: &EmbeddedEngine, what: &str, prefix: &str, delimiter: &str) {
    let query = ListQuery {
        prefix,
        delimiter,
        limit: PAGE,
    };
    let (start, mut after) = (Instant::now(), After::Nothing);
    let (mut keys, mut groups, mut slowest) = (0, 0, 0.0_f64);
    loop {
        let asked = Instant::now();
        let page = wait(list_current(&engine.snapshot(), BUCKET, &query, &after)).unwrap();
        slowest = slowest.max(asked.elapsed().as_secs_f64());
        keys += page.objects.len();
        groups += page.prefixes.len();
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    report(what, keys + groups, start, slowest);
}

fn versions(engine: &EmbeddedEngine) {
    let query = ListQuery {
        prefix: "",
        delimiter: "",
        limit: PAGE,
    };
    let (start, mut after) = (Instant::now(), VersionsAfter::Keys(After::Nothing));
    let (mut told, mut slowest) = (0, 0.0_f64);
    loop {
        let asked = Instant::now();
        let page = wait(list_versions(&engine.snapshot(), BUCKET, &query, &after)).unwrap();
        slowest = slowest.max(asked.elapsed().as_secs_f64());
        told += page.versions.len();
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    report("every version", told, start, slowest);
}

fn report(what: &str, entries: usize, start: Instant, slowest: f64) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what}: {entries} in {seconds:.3} s, {:.0} a second, slowest page {:.1} ms",
        entries as f64 / seconds,
        slowest * 1000.0
    );
}
