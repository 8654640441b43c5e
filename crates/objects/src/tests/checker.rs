//! Checks the rows of a Region against each other: what a listing finds, what a reader finds, and
//! that no byte is named by nothing.

use std::collections::{BTreeMap, BTreeSet};

use store::{Direction, Engine, KeyRange, MemoryEngine, Snapshot, Space};

use crate::blob::BlobId;
use crate::content::decode_extents;
use crate::keys::{self, kind};
use crate::testing::now;
use crate::{BucketId, Content, Extent, ObjectKey, ObjectVersion, Objects, Stamp};

/// A bucket's versions by key, oldest first.
pub(super) type Versions = BTreeMap<ObjectKey, BTreeMap<Stamp, ObjectVersion>>;

/// The rows of a kind, of a bucket.
pub(super) fn rows(
    engine: &MemoryEngine,
    rows: u8,
    bucket: BucketId,
) -> Vec<(ObjectKey, Vec<u8>, bytes::Bytes)> {
    let range = KeyRange::prefix(&keys::of_bucket(rows, bucket));
    let snapshot = engine.snapshot();
    let page = now(snapshot.scan(Space::Objects, range, Direction::Forward, 100_000)).unwrap();
    let split = |entry: store::Entry| {
        let (key, rest) = keys::split(&entry.key).expect("a row is of a key");
        (key, rest.to_vec(), entry.value)
    };
    page.entries.into_iter().map(split).collect()
}

/// The versions of a bucket, after checking that all rows agree on them.
pub(super) fn checked(objects: &Objects<MemoryEngine>, bucket: BucketId) -> Versions {
    let engine = &objects.engine;
    let mut versions = Versions::new();
    for (key, rest, value) in rows(engine, kind::VERSION, bucket) {
        let version = ObjectVersion::decode(&value).unwrap();
        let stamp: Vec<u8> = rest.iter().map(|byte| !byte).collect();
        assert_eq!(Stamp::from_bytes(&stamp), Some(version.stamp), "{key}");
        let known = versions.entry(key).or_default();
        known.insert(version.stamp, version);
    }
    let current = rows(engine, kind::CURRENT, bucket);
    let current: BTreeMap<ObjectKey, ObjectVersion> = current
        .into_iter()
        .map(|(key, _, value)| (key, ObjectVersion::decode(&value).unwrap()))
        .collect();
    let null = rows(engine, kind::NULL, bucket);
    let null: BTreeMap<ObjectKey, Stamp> = null
        .into_iter()
        .map(|(key, _, value)| (key, Stamp::from_bytes(&value).unwrap()))
        .collect();
    assert_eq!(
        current.keys().collect::<Vec<_>>(),
        versions.keys().collect::<Vec<_>>(),
        "every key has a current version"
    );
    for (key, known) in &versions {
        let (_, greatest) = known.last_key_value().unwrap();
        let mut of_current = current[key].clone();
        assert!(of_current.context.contains(of_current.stamp.version));
        for version in known.values() {
            let seen = of_current.context.contains(version.stamp.version);
            assert!(seen, "{key}: the current version's context has all");
        }
        of_current.context = greatest.context.clone();
        assert_eq!(of_current, *greatest, "{key}: the greatest is current");
        let nulls: Vec<Stamp> = known
            .values()
            .filter(|version| version.is_null)
            .map(|version| version.stamp)
            .collect();
        let pointer: Vec<Stamp> = null.get(key).copied().into_iter().collect();
        assert_eq!(nulls, pointer, "{key}: the null version is found");
    }
    assert!(null.keys().all(|key| versions.contains_key(key)));
    versions
}

/// That every piece that a version names is there, and every piece that is there is named by one
/// version or is garbage; after a crash files may be nobody's (`orphans`).
pub(super) fn check_content(
    objects: &Objects<MemoryEngine>,
    bucket: BucketId,
    versions: &Versions,
    orphans: bool,
) {
    let mut named = BTreeSet::new();
    for (key, version) in versions.iter().flat_map(|(key, known)| {
        let versions = known.values();
        versions.map(move |version| (key, version))
    }) {
        for extent in extents(objects, bucket, key, version) {
            assert!(
                named.insert(BlobId(extent.blob)),
                "{key}: a piece is one version's"
            );
        }
    }
    let there: BTreeSet<BlobId> = inline(objects).union(&files(objects)).copied().collect();
    for blob in &named {
        assert!(there.contains(blob), "a version's bytes are there");
    }
    let garbage = garbage(objects);
    for blob in &there {
        let orphan = orphans && files(objects).contains(blob);
        assert!(
            named.contains(blob) != garbage.contains(blob) || orphan,
            "bytes are named, or garbage: {blob}"
        );
    }
}

fn extents(
    objects: &Objects<MemoryEngine>,
    bucket: BucketId,
    key: &ObjectKey,
    version: &ObjectVersion,
) -> Vec<Extent> {
    match version.object().map(|data| &data.content) {
        None => Vec::new(),
        Some(Content::Whole(extent)) => vec![extent.clone()],
        Some(Content::Parts(count)) => {
            let row = keys::of_version(kind::EXTENTS, bucket, key, version.stamp);
            let row = now(objects.engine.snapshot().get(Space::Objects, &row)).unwrap();
            let extents = decode_extents(&row.expect("the parts are listed")).unwrap();
            assert_eq!(extents.len(), usize::try_from(*count).unwrap());
            extents
        }
    }
}

fn scan(objects: &Objects<MemoryEngine>, space: Space, prefix: &[u8]) -> Vec<store::Entry> {
    let snapshot = objects.engine.snapshot();
    let range = KeyRange::prefix(prefix);
    let page = now(snapshot.scan(space, range, Direction::Forward, 100_000)).unwrap();
    page.entries
}

fn inline(objects: &Objects<MemoryEngine>) -> BTreeSet<BlobId> {
    let rows = scan(objects, Space::Content, &[]);
    let blob = |entry: store::Entry| {
        let bytes = entry.key.as_ref().try_into().unwrap();
        BlobId(u128::from_be_bytes(bytes))
    };
    rows.into_iter().map(blob).collect()
}

fn files(objects: &Objects<MemoryEngine>) -> BTreeSet<BlobId> {
    let listed = now(objects.config.blobs.list(None, 100_000)).unwrap();
    listed.into_iter().collect()
}

/// The pieces that garbage rows name.
fn garbage(objects: &Objects<MemoryEngine>) -> BTreeSet<BlobId> {
    let mut found = BTreeSet::new();
    for entry in scan(objects, Space::Objects, &[kind::GARBAGE]) {
        let value: serde_json::Value = serde_json::from_slice(&entry.value).unwrap();
        if let Some(extent) = value.get("extent") {
            let blob: BlobId = serde_json::from_value(extent["blob"].clone()).unwrap();
            found.insert(blob);
        }
        if let Some(parts) = value.get("parts") {
            use base64::Engine as _;
            let row = parts["row"].as_str().unwrap();
            let row = base64::engine::general_purpose::STANDARD.decode(row);
            let row = now(objects.engine.snapshot().get(Space::Objects, &row.unwrap())).unwrap();
            let extents = decode_extents(&row.expect("garbage's list of parts is kept")).unwrap();
            found.extend(extents.into_iter().map(|extent| BlobId(extent.blob)));
        }
    }
    found
}
