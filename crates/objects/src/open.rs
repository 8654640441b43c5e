//! The service is opened: what its database holds of buckets' settings and of the clock. Nothing
//! is started from rows that can't be read.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;
use store::{Batch, Direction, Engine, HybridClock, KeyLocks, KeyRange, Snapshot, Space};
use types::{Hlc, Timestamp};

use crate::content::Contents;
use crate::keys::{self, kind};
use crate::replication::Replication;
use crate::service::KeptSettings;
use crate::settings::SettingsRow;
use crate::{BucketId, ObjectError, Objects, ObjectsConfig, row};

/// The fact about the site that says how far its clock has come.
const CLOCK: &str = "clock";

/// How often the clock is put on record, in milliseconds: with the first batch after that.
const CLOCK_RECORD: u64 = 1_000;

/// Rows of settings that are read at a time.
const PAGE: usize = 1_000;

impl<E: Engine> Objects<E> {
    /// Opens what the engine holds.
    ///
    /// # Errors
    /// `Internal`: a row can't be read, or is of a newer binary.
    pub async fn open(engine: E, config: ObjectsConfig) -> Result<Objects<E>, ObjectError> {
        let snapshot = engine.snapshot();
        let recorded = recorded_clock(&snapshot).await?;
        let last = resumed(recorded, config.environment.now().wall);
        Ok(Objects {
            replication: Replication::load(&snapshot, &config).await?,
            settings: RwLock::new(settings(&snapshot).await?),
            clock: Mutex::new(HybridClock::new(config.site, last)),
            clock_kept: AtomicU64::new(recorded.wall().0),
            locks: KeyLocks::new(),
            settings_locks: KeyLocks::new(),
            announcing: Mutex::new(()),
            lifecycle_troubles: Mutex::default(),
            contents: Contents::new(
                config.blobs.clone(),
                config.key.clone(),
                config.environment.clone(),
            ),
            engine,
            config,
        })
    }

    /// Puts the clock on record with that batch, if it is time to. Returns what is to be told to
    /// [`Objects::clock_recorded`] when the batch is committed.
    pub(crate) fn record_clock(&self, batch: &mut Batch) -> u64 {
        let last = {
            let clock = self.clock.lock().expect("issuing does not panic");
            clock.last()
        };
        let kept = self.clock_kept.load(Ordering::Relaxed);
        if last.wall().0 < kept.saturating_add(CLOCK_RECORD) {
            return kept;
        }
        let value = Bytes::copy_from_slice(&last.0.to_be_bytes());
        batch.put(Space::Objects, keys::of_site(CLOCK), value);
        last.wall().0
    }

    /// The clock is on record as of then.
    pub(crate) fn clock_recorded(&self, kept: u64) {
        self.clock_kept.fetch_max(kept, Ordering::Relaxed);
    }
}

/// Where the clock goes on: a wall clock that stands before what is on record was set back, and
/// more was issued than is on record.
fn resumed(recorded: Hlc, wall: Timestamp) -> Hlc {
    match wall < recorded.wall() {
        true => Hlc::at(Timestamp(recorded.wall().0 + 2 * CLOCK_RECORD)),
        false => recorded,
    }
}

async fn recorded_clock<S: Snapshot>(snapshot: &S) -> Result<Hlc, ObjectError> {
    let Some(row) = snapshot.get(Space::Objects, &keys::of_site(CLOCK)).await? else {
        return Ok(Hlc::default());
    };
    let bytes = row.as_ref().try_into();
    let bytes = bytes
        .map_err(|_| ObjectError::Internal("the record of the clock can't be read".to_owned()))?;
    Ok(Hlc(u64::from_be_bytes(bytes)))
}

async fn settings<S: Snapshot>(
    snapshot: &S,
) -> Result<BTreeMap<BucketId, KeptSettings>, ObjectError> {
    let mut kept = BTreeMap::new();
    let mut range = KeyRange::prefix(&[kind::SETTINGS]);
    loop {
        let forward = Direction::Forward;
        let page = snapshot.scan(Space::Objects, range.clone(), forward, PAGE);
        let page = page.await?;
        for entry in &page.entries {
            let bucket = bucket_of(&entry.key)?;
            let read: SettingsRow = row::decode("a bucket's settings", &entry.value)?;
            let settings = KeptSettings {
                settings: Arc::new(read.settings),
                row: Some(entry.value.clone()),
                closing: read.closing,
            };
            kept.insert(bucket, settings);
        }
        match page.entries.last() {
            Some(last) if page.more => range.start = Bound::Excluded(last.key.clone()),
            _ => return Ok(kept),
        }
    }
}

fn bucket_of(key: &[u8]) -> Result<BucketId, ObjectError> {
    let id = key.get(1..).and_then(|id| id.try_into().ok());
    match id {
        Some(id) => Ok(BucketId(u64::from_be_bytes(id))),
        None => Err(ObjectError::Internal(
            "a row of settings is of no bucket".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_goes_on_after_all_that_was_issued() {
        let recorded = Hlc::at(Timestamp(10_000));
        assert_eq!(resumed(recorded, Timestamp(10_000)), recorded);
        assert_eq!(
            resumed(recorded, Timestamp(9_999)),
            Hlc::at(Timestamp(12_000))
        );
    }
}
