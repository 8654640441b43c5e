//! Calls that run side by side over a disk that syncs when it is told to, some dropped half-way,
//! and a power cut: nothing acknowledged is lost, nothing is half there.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use store::{MemoryEngine, SimulatedDisk};
use types::Timestamp;

use super::checker::{check_content, checked};
use super::{Seeded, ingest, key, new_object, options, read};
use crate::testing::{Place, new_bucket, now};
use crate::{Bucket, NewContent, Objects, Stamp, VersionId, Versioning};

const KEYS: [&str; 2] = ["a", "b"];

type Call = Pin<Box<dyn Future<Output = ()>>>;

/// What callers were told, and what they asked for.
#[derive(Default)]
struct Told {
    /// Versions put: key and bytes.
    put: BTreeMap<Stamp, (&'static str, String)>,
    /// Delete markers made.
    marked: BTreeMap<Stamp, &'static str>,
    /// Deletions by id that were begun.
    doomed: BTreeSet<Stamp>,
    /// Those that were acknowledged.
    deleted: BTreeSet<Stamp>,
}

/// A Region that runs until its power is cut.
struct Run {
    objects: Arc<Objects<MemoryEngine>>,
    bucket: Bucket,
    told: Arc<Mutex<Told>>,
    calls: Vec<Call>,
}

#[test]
fn a_power_cut_loses_nothing_acknowledged_and_leaves_nothing_half() {
    let mut survived = 0;
    for seed in 0..60 {
        survived += one_seed(seed);
    }
    assert!(survived > 300, "there was something to lose: {survived}");
}

fn one_seed(seed: u64) -> usize {
    let mut seeded = Seeded::new(seed);
    let place = Place::new(1, Timestamp(1_000_000), Arc::default());
    let told: Arc<Mutex<Told>> = Arc::default();
    let mut disk = SimulatedDisk::new();
    let mut survived = 0;
    for life in 0..3 {
        let engine = MemoryEngine::simulated(disk).unwrap();
        let objects = Arc::new(place.open(engine.clone()));
        let bucket = match life {
            0 => made(&objects, &engine),
            _ => objects.bucket(&"cut".parse().unwrap()).unwrap(),
        };
        let mut run = Run {
            objects,
            bucket,
            told: told.clone(),
            calls: Vec::new(),
        };
        survived += run.check(life > 0, seed);
        for _ in 0..120 {
            run.step(&engine, &mut seeded);
        }
        disk = engine.crash(seeded.next());
        place.blobs.crash();
    }
    survived
}

/// The bucket, made with the disk at work.
fn made(objects: &Objects<MemoryEngine>, engine: &MemoryEngine) -> Bucket {
    let mut creation = Box::pin(objects.create_bucket(new_bucket("cut", Versioning::Enabled)));
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(bucket) = creation.as_mut().poll(&mut context) {
            return bucket.unwrap();
        }
        engine.sync();
    }
}

impl Run {
    fn step(&mut self, engine: &MemoryEngine, seeded: &mut Seeded) {
        match seeded.below(10) {
            0..=2 => self.begin_put(seeded),
            3 => self.begin_delete(seeded),
            4 => self.begin_removal(seeded),
            5 => {
                engine.sync();
            }
            6 if seeded.chance(30) && !self.calls.is_empty() => {
                // A caller that went away.
                let gone = seeded.below(self.calls.len());
                drop(self.calls.swap_remove(gone));
            }
            _ => self.poll(seeded),
        }
    }

    fn poll(&mut self, seeded: &mut Seeded) {
        if self.calls.is_empty() {
            return;
        }
        let at = seeded.below(self.calls.len());
        let mut context = Context::from_waker(Waker::noop());
        if self.calls[at].as_mut().poll(&mut context).is_ready() {
            drop(self.calls.swap_remove(at));
        }
    }

    fn begin_put(&mut self, seeded: &mut Seeded) {
        let (objects, bucket) = (self.objects.clone(), self.bucket.clone());
        let told = self.told.clone();
        let at = KEYS[seeded.below(KEYS.len())];
        let long = if seeded.chance(30) { 40_000 } else { 3 };
        let bytes = format!("{:0long$}", seeded.next());
        self.calls.push(Box::pin(async move {
            let Ok(ingested) = ingest(&objects, bytes.clone()).await else {
                return;
            };
            let new = new_object(NewContent::Whole(ingested));
            let put = objects.put(&bucket, &key(at), new).await.unwrap();
            told.lock().unwrap().put.insert(put.stamp, (at, bytes));
        }));
    }

    fn begin_delete(&mut self, seeded: &mut Seeded) {
        let (objects, bucket) = (self.objects.clone(), self.bucket.clone());
        let told = self.told.clone();
        let at = KEYS[seeded.below(KEYS.len())];
        self.calls.push(Box::pin(async move {
            let (name, options) = (key(at), options());
            let deleted = objects.delete(&bucket, &name, None, &options).await;
            if let Some(VersionId::Stamp(stamp)) = deleted.unwrap().version_id {
                told.lock().unwrap().marked.insert(stamp, at);
            }
        }));
    }

    fn begin_removal(&mut self, seeded: &mut Seeded) {
        let (objects, bucket) = (self.objects.clone(), self.bucket.clone());
        let told = self.told.clone();
        let (at, stamp) = {
            let mut told = told.lock().unwrap();
            let put: Vec<(Stamp, &'static str)> = told
                .put
                .iter()
                .map(|(stamp, (at, _))| (*stamp, *at))
                .collect();
            if put.is_empty() {
                return;
            }
            let (stamp, at) = put[seeded.below(put.len())];
            told.doomed.insert(stamp);
            (at, stamp)
        };
        self.calls.push(Box::pin(async move {
            let id = Some(VersionId::Stamp(stamp));
            let (name, options) = (key(at), options());
            let deleted = objects.delete(&bucket, &name, id, &options).await;
            deleted.unwrap();
            told.lock().unwrap().deleted.insert(stamp);
        }));
    }

    /// What callers were told is so; how many versions that was.
    fn check(&mut self, crashed: bool, seed: u64) -> usize {
        let versions = checked(&self.objects, self.bucket.entry.id);
        check_content(&self.objects, self.bucket.entry.id, &versions, crashed);
        let told = self.told.lock().unwrap();
        for (stamp, (at, bytes)) in &told.put {
            let version = versions.get(&key(at)).and_then(|known| known.get(stamp));
            if told.deleted.contains(stamp) {
                assert!(version.is_none(), "seed {seed}: a deleted version is back");
                continue;
            }
            let Some(version) = version else {
                assert!(
                    told.doomed.contains(stamp),
                    "seed {seed}: a version is lost"
                );
                continue;
            };
            let found = now(read(&self.objects, &self.bucket, &key(at), version)).unwrap();
            assert_eq!(found, bytes.as_bytes(), "seed {seed}");
        }
        for (stamp, at) in &told.marked {
            let known = versions.get(&key(at));
            let marker = known.and_then(|known| known.get(stamp));
            assert!(marker.is_some(), "seed {seed}: a marker is lost");
        }
        // What nobody was told of is there whole, or not at all.
        for (at, known) in &versions {
            for version in known.values().filter(|version| !version.is_delete_marker()) {
                now(read(&self.objects, &self.bucket, at, version)).unwrap();
            }
        }
        versions.values().map(BTreeMap::len).sum()
    }
}
