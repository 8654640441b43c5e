//! Listings against a simple model: all keys sorted, filtered and grouped in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use proptest::prelude::*;
use store::{Batch, Direction, Engine, KeyRange, MemoryEngine, Page, ReadError, Snapshot, Space};
use types::{AccountId, Context, Hlc, SiteId, Version};

use super::*;
use crate::keys::{kind, of_key, version as version_row};
use crate::{
    BucketId, Content, Encryption, Extent, Metadata, ObjectData, ObjectKey, ObjectVersion, Stamp,
    State, VersionId,
};

const BUCKET: BucketId = BucketId(7);

fn stamp(time: u64) -> Stamp {
    Stamp {
        version: Version {
            time: Hlc(time),
            site: SiteId(1),
        },
        random: time,
    }
}

fn version(time: u64, marker: bool) -> ObjectVersion {
    let extent = Extent {
        number: 1,
        size: time,
        etag: "e".to_owned(),
        checksum: None,
        blob: 1,
        inline: true,
        sealed_key: bytes::Bytes::new(),
    };
    let object = ObjectData {
        size: time,
        etag: "e".to_owned(),
        checksum: None,
        content: Content::Whole(extent),
        encryption: Encryption::Site,
        metadata: Metadata::default(),
        storage_class: "STANDARD".to_owned(),
        tags: BTreeMap::new(),
        acl: None,
        retention: None,
        legal_hold: false,
        amended: Default::default(),
    };
    ObjectVersion {
        stamp: stamp(time),
        is_null: false,
        context: Context::EMPTY,
        owner: AccountId::LAB,
        state: match marker {
            true => State::DeleteMarker,
            false => State::Object(Box::new(object)),
        },
        outcomes: Vec::new(),
        is_replica: false,
    }
}

/// A version made then.
pub(crate) fn version_at(time: types::Timestamp, marker: bool) -> ObjectVersion {
    version(Hlc::at(time).0, marker)
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("memory answers at once")
}

/// Keys and their versions, oldest first: true is a delete marker.
type Keys = BTreeMap<String, Vec<bool>>;

fn engine(keys: &Keys) -> MemoryEngine {
    let engine = MemoryEngine::new();
    let mut batch = Batch::new();
    let mut time = 0;
    // Rows of other buckets and kinds on both sides, which no listing may reach.
    let stranger: ObjectKey = "a/stranger".parse().unwrap();
    for (kind, bucket) in [
        (kind::CURRENT, 6),
        (kind::CURRENT, 8),
        (kind::VERSION, 6),
        (kind::VERSION, 8),
        (kind::SETTINGS, 7),
        (kind::NULL, 7),
    ] {
        let row = of_key(kind, BucketId(bucket), &stranger);
        batch.put(Space::Objects, row.freeze(), &b"rubbish"[..]);
    }
    for (key, versions) in keys {
        let key: ObjectKey = key.parse().unwrap();
        for marker in versions {
            time += 1;
            let version = version(time, *marker);
            let value = version.encode();
            let current = of_key(kind::CURRENT, BUCKET, &key).freeze();
            batch.put(Space::Objects, current, value.clone());
            let row = version_row(BUCKET, &key, version.stamp);
            batch.put(Space::Objects, row, value);
        }
    }
    now(engine.commit(batch)).unwrap();
    engine
}

/// What a listing tells of those keys: keys and, with a slash before them, prefixes, in order.
fn model(keys: &[&str], query: &ListQuery<'_>, after: &After) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for key in keys {
        let passed = match after {
            After::Nothing => false,
            After::Key(after) => *key <= after.as_str(),
            After::Prefix(prefix) => *key < prefix.as_str() || key.starts_with(prefix.as_str()),
        };
        if passed || !key.starts_with(query.prefix) {
            continue;
        }
        let rest = &key[query.prefix.len()..];
        let cut = match query.delimiter {
            "" => None,
            delimiter => rest.split_once(delimiter),
        };
        let entry = match cut {
            Some((group, _)) => format!("/{}{group}{}", query.prefix, query.delimiter),
            None => (*key).to_owned(),
        };
        if told.last() != Some(&entry) {
            told.push(entry);
        }
    }
    told
}

/// All pages of current objects, and how many there were.
fn pages(engine: &MemoryEngine, query: &ListQuery<'_>, after: After) -> (Vec<String>, usize) {
    let (mut told, mut count, mut after) = (Vec::new(), 0, after);
    loop {
        let page = now(list_current(&engine.snapshot(), BUCKET, query, &after)).unwrap();
        assert!(page.objects.len() + page.prefixes.len() <= query.limit);
        let keys = page.objects.iter().map(|(key, _)| key.as_str().to_owned());
        let prefixes = page.prefixes.iter().map(|prefix| format!("/{prefix}"));
        let mut both: Vec<String> = keys.chain(prefixes).collect();
        both.sort_by(|a, b| a.trim_start_matches('/').cmp(b.trim_start_matches('/')));
        told.extend(both);
        count += 1;
        match page.next {
            Some(next) => after = After::from_token(&next.token()).unwrap(),
            None => return (told, count),
        }
    }
}

fn keys() -> impl Strategy<Value = Keys> {
    let key = "[ab/\u{0}\u{1}ä\u{10ffff}]{1,6}"
        .prop_filter("no slash first", |key| !key.starts_with('/'));
    proptest::collection::btree_map(key, proptest::collection::vec(any::<bool>(), 1..4), 0..40)
}

proptest! {
    #[test]
    fn current_objects_are_listed_as_the_model_says(
        keys in keys(),
        prefix in "[ab/\u{0}]{0,2}",
        delimiter in prop_oneof![Just(""), Just("/"), Just("a"), Just("/a"), Just("\u{0}")],
        start in "[ab/ä\u{0}]{0,3}",
        limit in 1_usize..6,
    ) {
        prop_assume!(!prefix.starts_with('/'));
        let engine = engine(&keys);
        let there: Vec<&str> = keys
            .iter()
            .filter(|(_, versions)| versions.last() == Some(&false))
            .map(|(key, _)| key.as_str())
            .collect();
        let query = ListQuery { prefix: &prefix, delimiter, limit };
        for after in [After::Nothing, After::Key(start.clone()), After::marker(&query, &start)] {
            let expected = model(&there, &query, &after);
            let (told, count) = pages(&engine, &query, after);
            prop_assert_eq!(&told, &expected);
            prop_assert_eq!(count, expected.len().div_ceil(limit).max(1));
        }
    }

    #[test]
    fn versions_are_listed_newest_first_and_one_of_each_key_is_the_latest(
        keys in keys(),
        delimiter in prop_oneof![Just(""), Just("/")],
        limit in 1_usize..5,
    ) {
        let engine = engine(&keys);
        let query = ListQuery { prefix: "", delimiter, limit };
        let mut after = VersionsAfter::Keys(After::Nothing);
        let (mut told, mut groups) = (Vec::new(), Vec::new());
        loop {
            let page = now(list_versions(&engine.snapshot(), BUCKET, &query, &after)).unwrap();
            prop_assert!(page.versions.len() + page.prefixes.len() <= limit);
            groups.extend(page.prefixes);
            told.extend(page.versions.into_iter().map(|listed| {
                let marker = listed.version.is_delete_marker();
                (listed.key.as_str().to_owned(), listed.version.stamp, marker, listed.is_latest)
            }));
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        let (mut expected, mut expected_groups, mut time) = (Vec::new(), Vec::<String>::new(), 0);
        for (key, versions) in &keys {
            let first = time;
            time += versions.len() as u64;
            if let Some(group) = query.group(key) {
                if expected_groups.last().map(String::as_str) != Some(group) {
                    expected_groups.push(group.to_owned());
                }
                continue;
            }
            for (at, marker) in versions.iter().enumerate().rev() {
                let stamp = stamp(first + at as u64 + 1);
                expected.push((key.clone(), stamp, *marker, at + 1 == versions.len()));
            }
        }
        prop_assert_eq!(told, expected);
        prop_assert_eq!(groups, expected_groups);
    }
}

#[test]
fn a_listing_goes_on_where_a_version_was_that_is_gone() {
    let keys = Keys::from([("k".to_owned(), vec![false, false, false])]);
    let engine = engine(&keys);
    let key: ObjectKey = "k".parse().unwrap();
    let query = ListQuery {
        prefix: "",
        delimiter: "",
        limit: 10,
    };
    let list = |id| {
        let after = VersionsAfter::Version(key.clone(), id);
        let page = now(list_versions(&engine.snapshot(), BUCKET, &query, &after)).unwrap();
        let told = page.versions.into_iter();
        told.map(|listed| (listed.version.stamp, listed.is_latest))
            .collect::<Vec<_>>()
    };
    // Between 2 and 3, and newer than all: the one after it is the latest only in the latter case.
    let mut gone = stamp(2);
    gone.random += 1;
    assert_eq!(
        list(VersionId::Stamp(gone)),
        [(stamp(2), false), (stamp(1), false)]
    );
    let all = [(stamp(3), true), (stamp(2), false), (stamp(1), false)];
    assert_eq!(list(VersionId::Stamp(stamp(9))), all);
    // A `null` version that is gone leaves nothing to go by: the key is told anew.
    assert_eq!(list(VersionId::Null), all);
}

#[test]
fn a_row_that_is_no_version_is_an_error_and_no_end() {
    let engine = engine(&Keys::from([("a".to_owned(), vec![false])]));
    let mut batch = Batch::new();
    let row = of_key(kind::CURRENT, BUCKET, &"b".parse().unwrap());
    batch.put(Space::Objects, row.freeze(), &b"rubbish"[..]);
    now(engine.commit(batch)).unwrap();
    let query = ListQuery {
        prefix: "",
        delimiter: "",
        limit: 10,
    };
    let listed = now(list_current(
        &engine.snapshot(),
        BUCKET,
        &query,
        &After::Nothing,
    ));
    assert!(matches!(listed, Err(crate::ObjectError::Internal(_))));
}

#[test]
fn a_group_is_passed_over_without_reading_it() {
    let mut keys = Keys::new();
    for group in 0..50 {
        for object in 0..40 {
            keys.insert(format!("deep/{group:02}/{object:02}"), vec![false]);
        }
    }
    let engine = engine(&keys);
    let query = ListQuery {
        prefix: "deep/",
        delimiter: "/",
        limit: 1000,
    };
    let snapshot = Counted {
        snapshot: engine.snapshot(),
        read: AtomicUsize::new(0),
    };
    let page = now(list_current(&snapshot, BUCKET, &query, &After::Nothing)).unwrap();
    assert_eq!(page.prefixes.len(), 50);
    assert_eq!(page.prefixes[49], "deep/49/");
    // Of 2,000 objects, a few of each group.
    assert!(snapshot.read.into_inner() <= 50 * 5);
}

/// Counts the rows that are read.
struct Counted<S> {
    snapshot: S,
    read: AtomicUsize,
}

impl<S: Snapshot> Snapshot for Counted<S> {
    async fn get(&self, space: Space, key: &[u8]) -> Result<Option<bytes::Bytes>, ReadError> {
        self.snapshot.get(space, key).await
    }

    async fn scan(
        &self,
        space: Space,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let page = self.snapshot.scan(space, range, direction, limit).await?;
        self.read.fetch_add(page.entries.len(), Ordering::Relaxed);
        Ok(page)
    }
}

#[test]
fn a_page_of_nothing_but_delete_markers_ends_and_says_where_to_go_on() {
    let keys = (0..range::LOOKED_AT + 10)
        .map(|number| (format!("{number:06}"), vec![true]))
        .collect::<Keys>();
    let mut keys = keys;
    keys.insert("z".to_owned(), vec![false]);
    let engine = engine(&keys);
    let query = ListQuery {
        prefix: "",
        delimiter: "",
        limit: 5,
    };
    let (told, count) = pages(&engine, &query, After::Nothing);
    assert_eq!((told, count), (vec!["z".to_owned()], 2));
}

#[test]
fn tokens_are_read_back_and_others_refused() {
    for after in [
        After::Nothing,
        After::Key("ä/\u{0}".to_owned()),
        After::Prefix("p/".to_owned()),
    ] {
        assert_eq!(After::from_token(&after.token()), Ok(after));
    }
    for token in ["", "!", "eA", "w6Q", "MHg"] {
        assert!(After::from_token(token).is_err(), "{token}");
    }
}
