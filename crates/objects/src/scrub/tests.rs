//! Bytes after the fact: garbage and orphans go, and nothing else does; damage is found, told, and
//! replaced by whole bytes. Over one Region's service in memory, whose time passes when it waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use store::MemoryEngine;
use types::{
    AccountId, Configuration, ConfigurationEdit, ConfigurationError, ConfigurationView, Deployment,
    Monotonic, Now, Proposal, Region, Site, SiteId, SiteName, Sleep, Timestamp,
};

use super::*;
use crate::blob::MemoryBlobs;
use crate::blob::tests::wait;
use crate::content::content_key;
use crate::content::{
    Collected, Expected, Ingest, IngestOptions, Orphans, SiteKey, multipart_etag,
};
use crate::row;
use crate::service::Asked;
use crate::{
    Bucket, BucketEntry, BucketFacts, BucketName, BucketSettings, Cause, Creation, DeleteOptions,
    Metadata, NewContent, NewObject, NewParts, ObjectsConfig, Peers, RoleRefusal, Roles,
    Unreachable, Versioning, WriteConditions,
};

/// Time that passes, in microseconds, when someone waits for it; numbers that follow.
struct Passing {
    now: AtomicU64,
    drawn: AtomicU64,
}

impl Environment for Passing {
    fn now(&self) -> Now {
        let now = self.now.load(Ordering::Relaxed);
        Now {
            wall: Timestamp(1_800_000_000_000 + now / 1000),
            monotonic: Monotonic(now),
        }
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        self.now.fetch_max(at.0, Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }

    fn random(&self) -> u64 {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
    }
}

/// Nobody: these tests change no configuration, act as no role and ask no peer.
struct Nobody;

impl Configuration for Nobody {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        unreachable!("the bucket is given")
    }

    fn propose(&self, _: Vec<ConfigurationEdit>) -> Proposal<'_> {
        Box::pin(std::future::ready(Err(ConfigurationError::Conflict)))
    }
}

impl Roles for Nobody {
    fn assume(&self, role: &str) -> Result<Box<dyn aws::access::Authorizer>, RoleRefusal> {
        Err(RoleRefusal(role.to_owned()))
    }
}

impl Peers for Nobody {
    fn bucket(&self, _: Region, _: &BucketName) -> Asked<'_, Option<BucketFacts>> {
        Box::pin(std::future::ready(Err(Unreachable)))
    }
}

struct Lab {
    objects: Objects<MemoryEngine>,
    blobs: MemoryBlobs,
    time: Arc<Passing>,
    bucket: Bucket,
}

fn lab() -> Lab {
    let time = Arc::new(Passing {
        now: AtomicU64::new(0),
        drawn: AtomicU64::new(1),
    });
    let blobs = MemoryBlobs::new();
    let region: Region = "us-east-1".parse().unwrap();
    let site = Site {
        id: SiteId(1),
        name: SiteName::Region(region),
        place: region,
    };
    let config = ObjectsConfig {
        deployment: Deployment { sites: vec![site] },
        site: SiteId(1),
        region,
        environment: time.clone(),
        configuration: Arc::new(Nobody),
        blobs: Arc::new(blobs.clone()),
        key: SiteKey::new([7; 32]),
        roles: Arc::new(Nobody),
        peers: Arc::new(Nobody),
        webhooks: Arc::new(crate::notify::NoWebhooks),
    };
    let bucket = Bucket {
        name: "a-bucket".parse().unwrap(),
        entry: BucketEntry {
            id: BucketId(5),
            owner: AccountId::LAB,
            region,
            created: Timestamp(0),
            object_lock: false,
        },
        settings: Arc::new(BucketSettings::new(false)),
    };
    assert_eq!(bucket.settings.versioning, Versioning::Unversioned);
    let objects = wait(Objects::open(MemoryEngine::new(), config)).unwrap();
    // As a bucket is made, but for its name.
    let settings = (*bucket.settings).clone();
    let made = wait(objects.write_settings(bucket.entry.id, None, None, settings)).unwrap();
    assert!(made.is_some());
    Lab {
        objects,
        blobs,
        time,
        bucket,
    }
}

fn bytes_of(length: usize) -> Bytes {
    (0..length).map(|n| (n ^ n >> 8) as u8).collect()
}

impl Lab {
    fn pass(&self, span: Span) {
        self.time.now.fetch_add(span.0, Ordering::Relaxed);
    }

    fn ingest(&self, length: usize) -> Ingested {
        let options = IngestOptions {
            length: None,
            limit: u64::MAX,
            expected: Expected::default(),
            customer_key: None,
        };
        let mut ingest = Ingest::new(self.objects.contents(), options);
        wait(ingest.push(bytes_of(length))).unwrap();
        wait(ingest.finish(Vec::new())).unwrap()
    }

    fn put_content(&self, key: &str, content: NewContent) -> Arc<ObjectVersion> {
        let new = NewObject {
            owner: AccountId::LAB,
            content,
            metadata: Metadata::default(),
            storage_class: "STANDARD".to_owned(),
            tags: Default::default(),
            acl: None,
            retention: None,
            legal_hold: false,
            conditions: WriteConditions::default(),
            how: Creation::Put,
            cause: Cause::Lifecycle,
        };
        wait(self.objects.put(&self.bucket, &key.parse().unwrap(), new)).unwrap()
    }

    fn put(&self, key: &str, length: usize) -> Arc<ObjectVersion> {
        self.put_content(key, NewContent::Whole(self.ingest(length)))
    }

    /// An object of parts of these lengths.
    fn put_parts(&self, key: &str, lengths: &[usize]) -> Arc<ObjectVersion> {
        let mut batch = Batch::new();
        let extents: Vec<Extent> = (1..)
            .zip(lengths)
            .map(|(number, length)| self.ingest(*length).numbered(number).enter(&mut batch))
            .collect();
        wait(self.objects.engine.commit(batch)).unwrap();
        let parts = NewParts {
            size: extents.iter().map(|extent| extent.size).sum(),
            etag: multipart_etag(&extents).unwrap(),
            checksum: None,
            encryption: Encryption::Site,
            extents,
        };
        self.put_content(key, NewContent::Parts(parts))
    }

    fn delete(&self, key: &str) {
        let options = DeleteOptions {
            owner: AccountId::LAB,
            bypass_governance: false,
            if_match: None,
            cause: Cause::Lifecycle,
        };
        let key = key.parse().unwrap();
        wait(self.objects.delete(&self.bucket, &key, None, &options)).unwrap();
    }

    fn read(&self, key: &str, version: &ObjectVersion) -> Result<Bytes, ObjectError> {
        wait(async {
            let (bucket, size) = (self.bucket.entry.id, version.object().unwrap().size);
            let key = key.parse().unwrap();
            let reader = self.objects.read(bucket, &key, version, 0..size, None);
            let mut reader = reader.await?;
            let mut all = BytesMut::new();
            while let Some(step) = reader.next().await {
                all.extend_from_slice(&step?);
            }
            Ok(all.freeze())
        })
    }

    fn current(&self, key: &str) -> Arc<ObjectVersion> {
        wait(self.objects.find(&self.bucket, &key.parse().unwrap(), None)).unwrap()
    }

    fn collect(&self) -> Collected {
        wait(self.objects.collect_garbage()).unwrap()
    }

    /// How many blobs, rows of content and rows of garbage there are.
    fn kept(&self) -> (usize, usize, usize) {
        let count = |space, range| {
            let snapshot = self.objects.engine.snapshot();
            let page = wait(snapshot.scan(space, range, Direction::Forward, 10_000));
            page.unwrap().entries.len()
        };
        (
            self.blobs.all().len(),
            count(Space::Content, KeyRange::all()),
            count(Space::Objects, KeyRange::prefix(&[kind::GARBAGE])),
        )
    }

    fn scrub(&self, repair: &dyn Repair) -> Scrubbed {
        wait(self.objects.scrub_once(None, repair)).unwrap()
    }
}

#[test]
fn what_was_replaced_or_deleted_goes_after_a_while_and_nothing_else() {
    let lab = lab();
    lab.put("kept", 100_000);
    lab.put("kept/small", 10);
    lab.put_parts("kept/parts", &[200_000, 7]);
    let before = lab.kept();
    assert_eq!(before, (2, 2, 0));
    lab.put("large", 100_000);
    lab.put("large", 100_001);
    lab.put("small", 9);
    lab.put_parts("parts", &[50_000, 60_000, 5]);
    lab.put_parts("small", &[70_000, 6]);
    for key in ["large", "small", "parts"] {
        lab.delete(key);
    }
    assert_eq!(lab.kept(), (2 + 2 + 2 + 1, 2 + 1 + 1 + 1, 5));
    let early = lab.collect();
    assert_eq!(
        early,
        Collected::default(),
        "readers may have found them just before"
    );
    lab.pass(Span::seconds(61));
    assert_eq!(lab.collect().removed, 2 + 1 + 3 + 2);
    assert_eq!(lab.kept(), before);
    for key in ["kept", "kept/small", "kept/parts"] {
        let version = lab.current(key);
        assert!(lab.read(key, &version).is_ok(), "{key}");
    }
    assert_eq!(
        wait(lab.objects.engine.snapshot().scan(
            Space::Objects,
            KeyRange::prefix(&[kind::EXTENTS]),
            Direction::Forward,
            9
        ))
        .unwrap()
        .entries
        .len(),
        1
    );
}

#[test]
fn what_is_being_read_stays_until_its_reader_is_done() {
    let lab = lab();
    for (key, version) in [
        ("whole", lab.put("whole", 900_000)),
        ("parts", lab.put_parts("parts", &[500_000, 400_000])),
    ] {
        let (bucket, name) = (lab.bucket.entry.id, key.parse().unwrap());
        let reader = lab.objects.read(bucket, &name, &version, 0..900_000, None);
        let mut reader = wait(reader).unwrap();
        let first = wait(reader.next()).unwrap().unwrap();
        lab.delete(key);
        lab.pass(Span::seconds(1_000));
        assert_eq!(lab.collect().removed, 0);
        let mut length = first.len();
        while let Some(step) = wait(reader.next()) {
            length += step.unwrap().len();
        }
        assert_eq!(length, 900_000);
        drop(reader);
        assert!(lab.collect().removed > 0);
    }
    assert_eq!(lab.kept(), (0, 0, 0));
}

#[test]
fn parts_of_a_version_that_came_back_stay() {
    let lab = lab();
    let version = lab.put_parts("parts", &[50_000, 60_000]);
    let rows = |kind| {
        let snapshot = lab.objects.engine.snapshot();
        let range = KeyRange::prefix(&[kind]);
        let page = wait(snapshot.scan(Space::Objects, range, Direction::Forward, 9));
        page.unwrap().entries
    };
    let kept = rows(kind::VERSION);
    lab.delete("parts");
    let mut batch = Batch::new();
    for entry in kept {
        batch.put(Space::Objects, entry.key, entry.value);
    }
    wait(lab.objects.engine.commit(batch)).unwrap();
    lab.pass(Span::seconds(61));
    assert_eq!(lab.collect().removed, 0);
    assert!(rows(kind::GARBAGE).is_empty());
    assert!(lab.read("parts", &version).is_ok());
}

#[test]
fn orphans_go_after_an_hour_and_what_rows_or_writers_have_stays() {
    let lab = lab();
    lab.put("whole", 100_000);
    lab.put_parts("parts", &[100_000, 100_000]);
    let mut batch = Batch::new();
    let part = lab.ingest(100_000).enter(&mut batch);
    let row = row::encode(&serde_json::json!({ "any": { "extent": part } }));
    batch.put(Space::Objects, vec![kind::STAGED, 1], row);
    wait(lab.objects.engine.commit(batch)).unwrap();
    let waiting = lab.ingest(100_000);
    let named = lab.blobs.all().len();
    // As a crash between the bytes and the commit leaves it.
    let orphan = lab.ingest(100_000).enter(&mut Batch::new());
    let mut orphans = Orphans::default();
    let mut collect = || wait(lab.objects.collect_orphans(&mut orphans)).unwrap();
    let seen = Collected {
        removed: 0,
        left: 1,
    };
    assert_eq!(collect(), seen);
    lab.pass(Span::seconds(3_599));
    assert_eq!(collect(), seen);
    lab.pass(Span::seconds(1));
    assert_eq!(
        collect(),
        Collected {
            removed: 1,
            left: 0
        }
    );
    assert_eq!(lab.blobs.all().len(), named);
    assert!(!lab.blobs.all().contains(&(BlobId(orphan.blob), true)));
    lab.pass(Span::seconds(10_000));
    assert_eq!(collect(), Collected::default());
    drop(waiting);
    assert_eq!(lab.blobs.all().len(), named - 1);
}

#[test]
fn orphans_are_told_from_many_named_ones() {
    let lab = lab();
    for n in 0..600 {
        lab.put(&format!("key-{n:03}"), 17_000);
    }
    lab.ingest(17_000).enter(&mut Batch::new());
    let mut orphans = Orphans::default();
    for _ in 0..2 {
        wait(lab.objects.collect_orphans(&mut orphans)).unwrap();
        lab.pass(Span::seconds(3_600));
    }
    assert_eq!(lab.blobs.all().len(), 600);
}

#[test]
fn a_full_disk_lets_garbage_go() {
    let lab = lab();
    lab.put("a", 100_000);
    lab.put("a", 100_000);
    lab.objects.engine.fail_with_full_disk(true);
    lab.pass(Span::seconds(61));
    assert_eq!(lab.collect().removed, 1);
    assert_eq!(lab.kept(), (1, 0, 0));
}

#[test]
fn damage_is_found_wherever_it_is_and_told() {
    let lab = lab();
    let whole = lab.put("a/whole", 200_000);
    lab.put("b/small", 300);
    let parts = lab.put_parts("c/parts", &[100_000, 90_000, 400]);
    lab.put_parts("d/parts", &[70_000, 400]);
    let found = lab.scrub(&NoRepair);
    assert_eq!((found.versions, found.pieces, found.damaged), (4, 7, 0));
    assert!(found.bytes > ByteSize(460_000));
    let extents = |version: &ObjectVersion, key: &str| {
        let (bucket, data) = (lab.bucket.entry.id, version.object().unwrap());
        let key = key.parse().unwrap();
        wait(lab.objects.extents(bucket, &key, version.stamp, data)).unwrap()
    };
    let blob = extents(&whole, "a/whole")[0].blob;
    assert!(lab.blobs.flip(BlobId(blob), 150_000));
    let second = extents(&parts, "c/parts")[1].blob;
    wait(lab.objects.contents().blobs().remove(BlobId(second))).unwrap();
    let found = lab.scrub(&NoRepair);
    let named: Vec<(&str, u32)> = found
        .named
        .iter()
        .map(|piece| (piece.key.as_str(), piece.number))
        .collect();
    assert_eq!(named, [("a/whole", 1), ("c/parts", 2)]);
    assert_eq!(found.damaged, 2);
    let damaged = lab.objects.contents().damaged();
    assert!(
        damaged.keys().eq([BlobId(blob), BlobId(second)]
            .iter()
            .collect::<std::collections::BTreeSet<_>>())
    );
    assert!(lab.read("a/whole", &whole).is_err());
    // Healed by itself (a loose cable): it is no longer told.
    assert!(lab.blobs.flip(BlobId(blob), 150_000));
    lab.scrub(&NoRepair);
    assert!(!lab.objects.contents().damaged().contains_key(&BlobId(blob)));
}

#[test]
fn a_store_that_is_away_is_no_damage_and_nothing_is_replaced() {
    let lab = lab();
    let whole = lab.put("whole", 200_000);
    let small = lab.put("small", 300);
    lab.blobs.set_away(true);
    let cut_short = wait(lab.objects.scrub_once(None, &NoRepair));
    assert_eq!(cut_short.unwrap_err().code().0, "ServiceUnavailable");
    let refused = lab.read("whole", &whole).unwrap_err();
    assert_eq!(refused.code(), ("ServiceUnavailable", 503));
    assert_eq!(lab.read("small", &small).unwrap(), bytes_of(300));
    assert!(lab.objects.damaged_blobs().is_empty());
    lab.blobs.set_away(false);
    assert_eq!(lab.scrub(&NoRepair).damaged, 0);
    assert_eq!(lab.read("whole", &whole).unwrap(), bytes_of(200_000));
}

#[test]
fn pieces_of_what_is_under_way_are_checked_too() {
    let lab = lab();
    for kind in [kind::PART, kind::STAGED] {
        let mut batch = Batch::new();
        let extent = lab.ingest(100_000).enter(&mut batch);
        let row = row::encode(&serde_json::json!({ "extent": extent, "since": 5 }));
        let key = [&[kind][..], &7_u64.to_be_bytes(), b"any"].concat();
        batch.put(Space::Objects, key, row);
        wait(lab.objects.engine.commit(batch)).unwrap();
        assert_eq!(lab.scrub(&NoRepair).damaged, 0);
        assert!(lab.blobs.flip(BlobId(extent.blob), 50_000));
        let found = lab.scrub(&NoRepair);
        assert_eq!((found.versions, found.damaged), (0, 1));
        assert_eq!(found.named[0].blob, BlobId(extent.blob));
        assert!(lab.blobs.flip(BlobId(extent.blob), 50_000));
    }
}

#[test]
fn rows_that_are_missing_are_damage() {
    let lab = lab();
    let small = lab.put("small", 300);
    lab.put_parts("parts", &[100_000, 400]);
    let mut batch = Batch::new();
    for (space, range) in [
        (Space::Content, KeyRange::all()),
        (Space::Objects, KeyRange::prefix(&[kind::EXTENTS])),
    ] {
        let snapshot = lab.objects.engine.snapshot();
        let page = wait(snapshot.scan(space, range, Direction::Forward, 9)).unwrap();
        for entry in page.entries {
            batch.delete(space, entry.key);
        }
    }
    wait(lab.objects.engine.commit(batch)).unwrap();
    let found = lab.scrub(&NoRepair);
    assert_eq!((found.versions, found.damaged), (2, 2));
    assert!(matches!(
        lab.read("small", &small),
        Err(ObjectError::Damaged(_))
    ));
}

/// A Region that has whole bytes, or other ones.
struct Replica<'a>(&'a Lab, usize);

impl Repair for Replica<'_> {
    fn repair<'a>(&'a self, piece: &'a DamagedPiece) -> Repairing<'a> {
        let length = match piece.number {
            2 => 90_000,
            _ => self.1,
        };
        Box::pin(std::future::ready(Ok(Some(self.0.ingest(length)))))
    }
}

#[test]
fn damaged_pieces_are_replaced_by_a_replicas() {
    let lab = lab();
    for (key, length) in [("whole", 200_000), ("small", 5_000)] {
        let version = lab.put(key, length);
        lab.put_parts("parts", &[length, 90_000]);
        let Content::Whole(extent) = &version.object().unwrap().content else {
            panic!("it was put whole");
        };
        if extent.inline {
            let mut batch = Batch::new();
            batch.put(Space::Content, content_key(extent.blob), "damaged");
            wait(lab.objects.engine.commit(batch)).unwrap();
        } else {
            assert!(lab.blobs.flip(BlobId(extent.blob), 70_000));
        }
        // What isn't the same bytes isn't taken.
        let blobs = lab.blobs.all();
        let found = lab.scrub(&Replica(&lab, length + 1));
        assert_eq!((found.repaired, found.damaged), (0, 1));
        assert_eq!(lab.blobs.all(), blobs);
        let found = lab.scrub(&Replica(&lab, length));
        assert_eq!((found.repaired, found.damaged), (1, 0));
        let current = lab.current(key);
        assert_eq!(current.stamp, version.stamp);
        assert!(lab.read(key, &current).unwrap() == bytes_of(length));
        assert!(lab.objects.contents().damaged().is_empty());
        assert_eq!(lab.scrub(&NoRepair).damaged, 0);
    }
    let parts = lab.current("parts");
    let (bucket, key) = (lab.bucket.entry.id, "parts".parse().unwrap());
    let data = parts.object().unwrap();
    let extents = wait(lab.objects.extents(bucket, &key, parts.stamp, data)).unwrap();
    assert!(lab.blobs.flip(BlobId(extents[1].blob), 1_000));
    let found = lab.scrub(&Replica(&lab, 0));
    assert_eq!((found.repaired, found.damaged), (1, 0));
    assert!(lab.read("parts", &parts).is_ok());
    // What was damaged goes, and only that.
    lab.pass(Span::seconds(61));
    lab.collect();
    assert_eq!(lab.scrub(&NoRepair).damaged, 0);
    assert_eq!(lab.kept().2, 0);
}

#[test]
fn a_piece_in_the_place_of_another_is_damage_though_it_is_whole() {
    let lab = lab();
    let versions = [lab.put("a", 5_000), lab.put("b", 5_000)];
    let [a, b] = versions.each_ref().map(|version| {
        let Content::Whole(extent) = &version.object().unwrap().content else {
            panic!("it was put whole");
        };
        content_key(extent.blob)
    });
    let snapshot = lab.objects.engine.snapshot();
    let row = |key: &[u8]| wait(snapshot.get(Space::Content, key)).unwrap().unwrap();
    let mut batch = Batch::new();
    batch.put(Space::Content, a.clone(), row(&b));
    batch.put(Space::Content, b.clone(), row(&a));
    wait(lab.objects.engine.commit(batch)).unwrap();
    let found = lab.scrub(&NoRepair);
    assert_eq!((found.pieces, found.damaged), (2, 2));
    assert!(found.named[0].detail.contains("tag"), "{:?}", found.named);
    let found = lab.scrub(&Replica(&lab, 5_000));
    assert_eq!((found.repaired, found.damaged), (2, 0));
    assert!(lab.read("a", &lab.current("a")).unwrap() == bytes_of(5_000));
    assert_eq!(lab.scrub(&NoRepair).damaged, 0);
}

#[test]
fn a_pass_keeps_to_its_pace() {
    let lab = lab();
    lab.put("a", 1 << 20);
    let before = lab.time.now.load(Ordering::Relaxed);
    wait(lab.objects.scrub_once(Some(ByteSize::kib(512)), &NoRepair)).unwrap();
    let took = lab.time.now.load(Ordering::Relaxed) - before;
    assert!(
        (2_000_000..2_100_000).contains(&took),
        "{took} microseconds"
    );
}
