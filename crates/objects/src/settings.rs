//! A bucket's settings: one row of the Region's database, in memory as well, changed whole. Every
//! commit that relies on them demands that they stand; what is in them is judged by who sets them.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::{Batch, CommitError, Engine, Snapshot, Space};
use types::ConfigurationError;

use crate::keys::{self, kind};
use crate::service::KeptSettings;
use crate::{Bucket, BucketEntry, BucketId, BucketSettings, ObjectError, Objects, row};

/// How often a change of settings is made anew on others' before it is given up.
const MAX_ATTEMPTS: usize = 8;

/// A bucket's row of settings.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct SettingsRow {
    /// It is being deleted, or was: since that revision of the global configuration, which had its
    /// entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) closing: Option<u64>,
    /// What is set.
    pub(crate) settings: BucketSettings,
}

impl<E: Engine> Objects<E> {
    /// Changes a bucket's settings, one change of a bucket at a time. `change` may be called again
    /// on settings that came in between. Poll it to its end.
    ///
    /// # Errors
    /// What `change` says; `OperationAborted` while the bucket is being deleted.
    pub async fn change_settings<T>(
        &self,
        bucket: &Bucket,
        mut change: impl FnMut(&mut BucketSettings) -> Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        let id = bucket.entry.id;
        let _alone = self.settings_locks.lock(&settings_key(id)).await;
        for _ in 0..MAX_ATTEMPTS {
            let kept = self.reread(&bucket.entry).await?;
            if kept.closing.is_some() {
                return Err(ConfigurationError::Conflict.into());
            }
            let mut settings = (*kept.settings).clone();
            let outcome = change(&mut settings)?;
            if settings == *kept.settings {
                return Ok(outcome);
            }
            let written = self.write_settings(id, kept.row, None, settings).await?;
            if written.is_some() {
                return Ok(outcome);
            }
        }
        Err(ConfigurationError::Conflict.into())
    }

    /// Writes a bucket's row of settings over `held`, and keeps it in memory; none if the row was
    /// another.
    pub(crate) async fn write_settings(
        &self,
        id: BucketId,
        held: Option<Bytes>,
        closing: Option<u64>,
        settings: BucketSettings,
    ) -> Result<Option<KeptSettings>, ObjectError> {
        let written = SettingsRow { closing, settings };
        let bytes = row::encode(&written);
        let key = keys::of_bucket(kind::SETTINGS, id).freeze();
        let mut batch = Batch::new();
        batch.require(Space::Objects, key.clone(), held);
        batch.put(Space::Objects, key, bytes.clone());
        // A bucket can be deleted on a full disk.
        batch.frees = closing.is_some();
        match self.engine.commit(batch).await {
            Ok(_) => {}
            Err(CommitError::Precondition(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let kept = KeptSettings {
            settings: Arc::new(written.settings),
            row: Some(bytes),
            closing,
        };
        self.keep(id, Some(kept.clone()));
        Ok(Some(kept))
    }

    /// A bucket's settings in memory.
    pub(crate) fn kept(&self, entry: &BucketEntry) -> KeptSettings {
        let settings = self.settings.read().expect("nothing panics inside");
        settings
            .get(&entry.id)
            .cloned()
            .unwrap_or_else(|| KeptSettings {
                settings: Arc::new(BucketSettings::new(entry.object_lock)),
                row: None,
                closing: None,
            })
    }

    /// A bucket's settings as the database has them, kept in memory from now on. Its settings'
    /// lock is held.
    pub(crate) async fn reread(&self, entry: &BucketEntry) -> Result<KeptSettings, ObjectError> {
        let snapshot = self.engine.snapshot();
        let key = keys::of_bucket(kind::SETTINGS, entry.id);
        let Some(bytes) = snapshot.get(Space::Objects, &key).await? else {
            self.keep(entry.id, None);
            return Ok(self.kept(entry));
        };
        let read: SettingsRow = row::decode("a bucket's settings", &bytes)?;
        let kept = KeptSettings {
            settings: Arc::new(read.settings),
            row: Some(bytes),
            closing: read.closing,
        };
        self.keep(entry.id, Some(kept.clone()));
        Ok(kept)
    }

    /// A commit relied on settings that aren't in effect: waits for who changes them, and reads.
    pub(crate) async fn refresh_settings(&self, bucket: &Bucket) -> Result<(), ObjectError> {
        let _alone = self
            .settings_locks
            .lock(&settings_key(bucket.entry.id))
            .await;
        self.reread(&bucket.entry).await.map(|_| ())
    }

    fn keep(&self, id: BucketId, kept: Option<KeptSettings>) {
        let mut settings = self.settings.write().expect("nothing panics inside");
        match kept {
            Some(kept) => settings.insert(id, kept),
            None => settings.remove(&id),
        };
    }

    /// Closes a bucket to writes, or opens it again. Its settings' lock is held.
    pub(crate) async fn close(&self, bucket: &Bucket, closed: bool) -> Result<(), ObjectError> {
        let closing = closed.then(|| self.config.configuration.view().revision());
        for _ in 0..MAX_ATTEMPTS {
            let kept = self.reread(&bucket.entry).await?;
            if kept.closing.is_some() == closed {
                return Ok(());
            }
            let settings = (*kept.settings).clone();
            let written = self.write_settings(bucket.entry.id, kept.row, closing, settings);
            if written.await?.is_some() {
                return Ok(());
            }
        }
        Err(ConfigurationError::Conflict.into())
    }

    /// Removes a bucket's row of settings, if it is that one.
    pub(crate) async fn forget_settings(
        &self,
        id: BucketId,
        held: Option<Bytes>,
    ) -> Result<(), ObjectError> {
        let key = keys::of_bucket(kind::SETTINGS, id).freeze();
        let mut batch = Batch::new();
        batch.require(Space::Objects, key.clone(), held);
        batch.delete(Space::Objects, key);
        match self.engine.commit(batch).await {
            Ok(_) => {
                self.keep(id, None);
                Ok(())
            }
            Err(CommitError::Precondition(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Has a batch of that bucket demand that its settings stand as they are now, and that it
    /// isn't being deleted.
    ///
    /// # Errors
    /// `OperationAborted`: it is being deleted; `NoSuchBucket`: it was.
    pub(crate) fn demand_settings(
        &self,
        bucket: &Bucket,
        batch: &mut Batch,
    ) -> Result<(), ObjectError> {
        let kept = self.open_settings(bucket)?;
        let key = keys::of_bucket(kind::SETTINGS, bucket.entry.id);
        batch.require(Space::Objects, key, kept.row);
        Ok(())
    }

    /// The settings of a bucket that is written to.
    ///
    /// # Errors
    /// As [`Objects::demand_settings`].
    pub(crate) fn open_settings(&self, bucket: &Bucket) -> Result<KeptSettings, ObjectError> {
        let kept = self.kept(&bucket.entry);
        match (&kept.row, kept.closing) {
            // Every bucket gets its row before its entry, and loses it after that.
            (None, _) => Err(ObjectError::NoSuchBucket),
            (Some(_), Some(_)) => Err(ConfigurationError::Conflict.into()),
            (Some(_), None) => Ok(kept),
        }
    }
}

/// What a change of a bucket's settings is locked by.
pub(crate) fn settings_key(id: BucketId) -> Vec<u8> {
    keys::of_bucket(kind::SETTINGS, id).to_vec()
}
