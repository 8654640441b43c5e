//! Versions that travel between Regions in any order and more than once: all Regions come to the
//! same versions and the same current one, and each ledger has just the rows that a model with
//! whole sets in place of contexts finds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use store::{Batch, MemoryEngine};
use types::{AccountId, Timestamp};

use super::checker::{check_content, checked, rows};
use super::{Seeded, ingest, key, new_object, options, read};
use crate::keys::kind;
use crate::row::Conflict;
use crate::testing::{Place, new_bucket, now};
use crate::{
    Bucket, Content, Import, Imported, NewContent, ObjectKey, ObjectVersion, Objects, Stamp, State,
    Versioning,
};

const SITES: u16 = 3;

/// A Region, and what the model knows of its one key.
struct Region {
    place: Place,
    objects: Objects<MemoryEngine>,
    bucket: Bucket,
    /// What came from the others and wasn't taken in yet, in order of each.
    arriving: BTreeMap<u16, VecDeque<(ObjectVersion, Vec<u8>)>>,
    known: BTreeSet<Stamp>,
    conflicts: BTreeMap<Stamp, Stamp>,
}

#[test]
fn invariant_7_versions_converge_and_the_ledger_is_exact() {
    for seed in 0..50 {
        let mut seeded = Seeded::new(seed);
        let mut regions: Vec<Region> = (1..=SITES).map(Region::new).collect();
        // What each version's writer had seen, by hand.
        let mut seen: BTreeMap<Stamp, BTreeSet<Stamp>> = BTreeMap::new();
        let at = key("k");
        for _ in 0..20 {
            let site = seeded.below(regions.len());
            match seeded.chance(45) {
                true => write(&mut regions, site, &at, &mut seeded, &mut seen),
                false => take_in(&mut regions[site], &at, &mut seeded, &seen),
            }
        }
        for region in &mut regions {
            while region.arriving.values().any(|waiting| !waiting.is_empty()) {
                take_in(region, &at, &mut seeded, &seen);
            }
        }
        compare(&regions, seed);
    }
}

impl Region {
    fn new(site: u16) -> Region {
        let place = Place::new(site, Timestamp(1_000_000), Arc::default());
        let objects = place.open(MemoryEngine::new());
        let bucket = now(objects.create_bucket(new_bucket("pair", Versioning::Enabled)));
        Region {
            place,
            objects,
            bucket: bucket.unwrap(),
            arriving: BTreeMap::new(),
            known: BTreeSet::new(),
            conflicts: BTreeMap::new(),
        }
    }
}

fn write(
    regions: &mut [Region],
    site: usize,
    at: &ObjectKey,
    seeded: &mut Seeded,
    seen: &mut BTreeMap<Stamp, BTreeSet<Stamp>>,
) {
    let region = &mut regions[site];
    // Clocks that disagree by more than the link takes.
    let wall = 1_000_000 + seeded.next() % 50;
    region.place.clock.set(Timestamp(wall));
    let bytes = seeded.next().to_string();
    if seeded.chance(25) {
        now(region.objects.delete(&region.bucket, at, None, &options())).unwrap();
    } else {
        let ingested = now(ingest(&region.objects, bytes.clone())).unwrap();
        let new = new_object(NewContent::Whole(ingested));
        now(region.objects.put(&region.bucket, at, new)).unwrap();
    }
    let current = now(region.objects.find_any(&region.bucket, at, None));
    let stamp = current.unwrap().expect("it was just made").stamp;
    let made = checked(&region.objects, region.bucket.entry.id)[at][&stamp].clone();
    // Whoever sees a version has seen what that one's writer had.
    let through = region.known.iter().flat_map(|known| seen[known].iter());
    let had_seen = region.known.iter().chain(through).copied().collect();
    seen.insert(stamp, had_seen);
    region.known.insert(stamp);
    let from = region.place.site.0;
    for (other, region) in regions.iter_mut().enumerate() {
        if other != site {
            let waiting = region.arriving.entry(from).or_default();
            waiting.push_back((made.clone(), bytes.clone().into_bytes()));
        }
    }
}

/// Takes in the next of some Region's, or once more what came before.
fn take_in(
    region: &mut Region,
    at: &ObjectKey,
    seeded: &mut Seeded,
    seen: &BTreeMap<Stamp, BTreeSet<Stamp>>,
) {
    let from = 1 + u16::try_from(seeded.below(usize::from(SITES))).unwrap();
    let Some(waiting) = region.arriving.get_mut(&from) else {
        return;
    };
    let again = seeded.chance(30);
    let Some((version, bytes)) = (match again {
        true => waiting.front().cloned(),
        false => waiting.pop_front(),
    }) else {
        return;
    };
    let incoming = version.stamp;
    let import = import(region, version, bytes);
    let imported = now(region.objects.import_version(&region.bucket, at, &import)).unwrap();
    if !region.known.contains(&incoming) {
        assert_eq!(imported, Imported::Stored);
        let current = region.known.last().copied();
        let known = region
            .known
            .iter()
            .any(|known| seen[known].contains(&incoming));
        if let Some(current) = current
            && !known
            && !seen[&incoming].contains(&current)
        {
            let (loser, winner) = (current.min(incoming), current.max(incoming));
            region.conflicts.insert(loser, winner);
        }
        region.known.insert(incoming);
    } else {
        assert_eq!(imported, Imported::Known);
    }
}

fn import(region: &Region, mut version: ObjectVersion, bytes: Vec<u8>) -> Import {
    let mut batch = Batch::new();
    version.is_replica = true;
    if let State::Object(data) = &mut version.state {
        let ingested = now(ingest(&region.objects, bytes)).unwrap();
        data.content = Content::Whole(ingested.enter(&mut batch));
    }
    Import {
        version,
        parts: Vec::new(),
        batch,
    }
}

fn compare(regions: &[Region], seed: u64) {
    let at = key("k");
    let mut told = BTreeSet::new();
    for region in regions {
        let versions = checked(&region.objects, region.bucket.entry.id);
        check_content(&region.objects, region.bucket.entry.id, &versions, false);
        let stamps: Vec<Stamp> = versions
            .get(&at)
            .map(|known| known.keys().copied().collect())
            .unwrap_or_default();
        let known: Vec<Stamp> = region.known.iter().copied().collect();
        assert_eq!(stamps, known, "seed {seed}");
        let current = now(region.objects.find_any(&region.bucket, &at, None)).unwrap();
        let bytes = current.as_ref().map(|current| {
            now(read(&region.objects, &region.bucket, &at, current)).unwrap_or_default()
        });
        told.insert((stamps, current.map(|current| current.stamp), bytes));
        let ledger = rows(
            &region.objects.engine,
            kind::CONFLICT,
            region.bucket.entry.id,
        );
        let ledger: BTreeMap<Stamp, Stamp> = ledger
            .iter()
            .map(|(_, rest, value)| {
                let conflict = Conflict::decode(value).unwrap();
                (Stamp::from_bytes(rest).unwrap(), conflict.winner)
            })
            .collect();
        assert_eq!(ledger, region.conflicts, "seed {seed}");
    }
    assert_eq!(told.len(), 1, "seed {seed}: all Regions have the same");
}

#[test]
fn what_was_deleted_for_good_does_not_come_again() {
    let region = Region::new(1);
    let other = Region::new(2);
    let at = key("k");
    let made = super::put(&other.objects, &other.bucket, &at, "x").unwrap();
    let first = import(&region, (*made).clone(), b"x".to_vec());
    let take =
        |import: &Import| now(region.objects.import_version(&region.bucket, &at, import)).unwrap();
    assert_eq!(take(&first), Imported::Stored);
    assert_eq!(take(&first), Imported::Known, "the very same bytes stay");
    let id = Some(made.id());
    now(region.objects.delete(&region.bucket, &at, id, &options())).unwrap();
    let again = import(&region, (*made).clone(), b"x".to_vec());
    assert_eq!(take(&again), Imported::Gone);
    let versions = checked(&region.objects, region.bucket.entry.id);
    assert!(versions.is_empty());
    check_content(&region.objects, region.bucket.entry.id, &versions, false);
}

#[test]
fn what_was_deleted_for_good_was_seen() {
    let (here, there) = (Region::new(1), Region::new(2));
    let at = key("k");
    let theirs = super::put(&there.objects, &there.bucket, &at, "theirs").unwrap();
    let replicated = here.objects.change_settings(&here.bucket, |settings| {
        settings.replication = Some(crate::rules::ReplicationConfiguration {
            role: "arn:aws:iam::111122223333:role/r".to_owned(),
            rules: Vec::new(),
        });
        Ok(())
    });
    now(replicated).unwrap();
    let came = import(&here, (*theirs).clone(), b"theirs".to_vec());
    now(here.objects.import_version(&here.bucket, &at, &came)).unwrap();
    let id = Some(theirs.id());
    now(here.objects.delete(&here.bucket, &at, id, &options())).unwrap();
    here.place.clock.set(Timestamp(2_000_000));
    let ours = super::put(&here.objects, &here.bucket, &at, "ours").unwrap();
    assert!(ours.context.contains(theirs.stamp.version));
    let goes = import(&there, (*ours).clone(), b"ours".to_vec());
    now(there.objects.import_version(&there.bucket, &at, &goes)).unwrap();
    let ledger = rows(&there.objects.engine, kind::CONFLICT, there.bucket.entry.id);
    assert!(ledger.is_empty(), "nobody lost to a write that had seen it");
}

#[test]
fn of_two_null_versions_the_later_stays() {
    let at = key("k");
    for later in [false, true] {
        let region = Region::new(1);
        let other = Region::new(2);
        let mut made = (*super::put(&other.objects, &other.bucket, &at, "theirs").unwrap()).clone();
        made.is_null = true;
        let suspended = region.objects.change_settings(&region.bucket, |settings| {
            settings.versioning = Versioning::Suspended;
            Ok(())
        });
        now(suspended).unwrap();
        let wall = if later { 1_000 } else { 2_000_000 };
        region.place.clock.set(Timestamp(wall));
        super::put(&region.objects, &region.bucket, &at, "ours").unwrap();
        let import = import(&region, made, b"theirs".to_vec());
        let imported = now(region.objects.import_version(&region.bucket, &at, &import)).unwrap();
        let versions = checked(&region.objects, region.bucket.entry.id);
        check_content(&region.objects, region.bucket.entry.id, &versions, false);
        let current = now(region.objects.find(&region.bucket, &at, None)).unwrap();
        let bytes = now(read(&region.objects, &region.bucket, &at, &current)).unwrap();
        match later {
            true => assert_eq!((imported, &bytes[..]), (Imported::Stored, &b"theirs"[..])),
            false => assert_eq!((imported, &bytes[..]), (Imported::Superseded, &b"ours"[..])),
        }
        assert_eq!(versions[&at].len(), 1);
        assert_eq!(current.owner, AccountId::LAB);
    }
}
