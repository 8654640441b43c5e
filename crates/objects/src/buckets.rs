//! Buckets: names that are unique through the global configuration, and settings that the Region
//! keeps. A bucket that is deleted is closed first, so that nothing is written to it after it was
//! found empty.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::{Batch, CommitError, Direction, Engine, KeyRange, Snapshot, Space};
use types::{
    AccountId, ConfigurationEdit, ConfigurationError, ConfigurationExpected, ConfigurationView,
    Region,
};

use crate::keys::{self, kind};
use crate::service::KeptSettings;
use crate::{Bucket, BucketEntry, BucketId, BucketName, BucketSettings, ObjectError, Objects, row};

/// Where buckets' entries stand in the global configuration.
pub const BUCKET_PREFIX: &str = "objects/bucket/";

/// Buckets that an account may have (S3 User Guide, "Bucket quotas, limitations, and
/// restrictions").
pub const MOST_BUCKETS: usize = 10_000;

/// How often a change of settings is made anew on others' before it is given up.
const MAX_ATTEMPTS: usize = 8;

/// The Region where a bucket that one owns already is made again without an error (S3 API
/// Reference, "CreateBucket").
const FORGIVING_REGION: &str = "us-east-1";

/// A bucket's row of settings.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct SettingsRow {
    /// It is being deleted, or was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) closing: bool,
    /// What is set.
    pub(crate) settings: BucketSettings,
}

/// A bucket to be made in this Region.
#[derive(Clone, Debug)]
pub struct NewBucket {
    /// Its name.
    pub name: BucketName,
    /// Whose it will be.
    pub owner: AccountId,
    /// Its settings from the start: those of [`BucketSettings::new`] and what the request says.
    pub settings: BucketSettings,
}

/// A part of the list of buckets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BucketPage {
    /// In order of their names.
    pub buckets: Vec<(BucketName, BucketEntry)>,
    /// Are there more?
    pub more: bool,
}

impl<E: Engine> Objects<E> {
    /// The bucket of that name as of now.
    ///
    /// # Errors
    /// `NoSuchBucket`, or `Elsewhere` with the Region that it is in.
    pub fn bucket(&self, name: &BucketName) -> Result<Bucket, ObjectError> {
        let (_, entry) = self.entry(name)?.ok_or(ObjectError::NoSuchBucket)?;
        if entry.region != self.config.region {
            return Err(ObjectError::Elsewhere(entry.region));
        }
        let settings = self.kept(&entry).settings;
        Ok(Bucket {
            name: name.clone(),
            entry,
            settings,
        })
    }

    /// The entry of the bucket of that name, wherever it is, and the revision that set it.
    ///
    /// # Errors
    /// `Internal`: the entry can't be read.
    pub fn entry(&self, name: &BucketName) -> Result<Option<(u64, BucketEntry)>, ObjectError> {
        let view = self.config.configuration.view();
        let Some((revision, value)) = view.get(&setting(name)) else {
            return Ok(None);
        };
        Ok(Some((revision, parse(name.as_str(), &value)?)))
    }

    /// Buckets of an account, in all Regions or in one, whose names begin with `prefix` and come
    /// after `after`; at most `limit`.
    ///
    /// # Errors
    /// `Internal`: an entry can't be read.
    pub fn list_buckets(
        &self,
        owner: AccountId,
        region: Option<Region>,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BucketPage, ObjectError> {
        let mut page = BucketPage::default();
        let mut fault = None;
        let view = self.config.configuration.view();
        view.visit(&format!("{BUCKET_PREFIX}{prefix}"), &mut |key, _, value| {
            let name = key.strip_prefix(BUCKET_PREFIX).unwrap_or_default();
            if page.more || after.is_some_and(|after| name <= after) {
                return;
            }
            match parse(name, value).and_then(|entry| Ok((named(name)?, entry))) {
                Ok((_, entry)) if entry.owner != owner => {}
                Ok((_, entry)) if region.is_some_and(|region| region != entry.region) => {}
                Ok(_) if page.buckets.len() == limit => page.more = true,
                Ok(found) => page.buckets.push(found),
                Err(error) => fault = Some(error),
            }
        });
        fault.map_or(Ok(page), Err)
    }

    /// Makes a bucket in this Region.
    ///
    /// # Errors
    /// `BucketAlreadyExists`, `BucketAlreadyOwnedByYou` (where S3 says so), `TooManyBuckets`; the
    /// global configuration can't be changed now.
    pub async fn create_bucket(&self, new: NewBucket) -> Result<Bucket, ObjectError> {
        let entry = BucketEntry {
            id: BucketId(self.config.environment.random()),
            owner: new.owner,
            region: self.config.region,
            created: self.wall(),
            object_lock: new.settings.object_lock.is_some(),
        };
        may_create(&*self.config.configuration.view(), &new.name, &entry)?;
        let kept = self.write_settings(entry.id, None, false, new.settings);
        let kept = kept.await?;
        let kept = kept.ok_or_else(|| ObjectError::Internal("a bucket's id isn't new".into()))?;
        let proposed = types::propose(&*self.config.configuration, ObjectError::from, |view| {
            may_create(view, &new.name, &entry)?;
            if view.get(&setting(&new.name)).is_some() {
                return Ok((Vec::new(), ()));
            }
            let edit = ConfigurationEdit {
                key: setting(&new.name),
                expected: ConfigurationExpected::Absent,
                value: Some(json(&entry)),
            };
            Ok((vec![edit], ()))
        });
        if let Err(error) = proposed.await {
            tracing::debug!(bucket = %new.name, %error, "a bucket isn't made");
            return Err(error);
        }
        Ok(Bucket {
            name: new.name,
            entry,
            settings: kept.settings,
        })
    }

    /// Is a bucket that its owner makes again answered as if it were made, where it is?
    pub fn forgives(&self, name: &BucketName, owner: AccountId) -> bool {
        let here = self.config.region.name() == FORGIVING_REGION;
        here && self
            .bucket(name)
            .is_ok_and(|bucket| bucket.entry.owner == owner)
    }

    /// Deletes a bucket that holds nothing. Poll it to its end.
    ///
    /// # Errors
    /// `BucketNotEmpty`; `OperationAborted` if another changes it or it isn't known whether the
    /// deletion was decided: it is to be repeated then.
    pub async fn delete_bucket(&self, bucket: &Bucket) -> Result<(), ObjectError> {
        let id = bucket.entry.id;
        let _alone = self.settings_locks.lock(&settings_key(id)).await;
        self.close(bucket, true).await?;
        if let Err(error) = self.check_empty(bucket).await {
            self.close(bucket, false).await?;
            return Err(error);
        }
        match self.remove_entry(bucket).await {
            Ok(()) => Ok(()),
            // It may yet be decided, once: nothing may be written until that is known.
            Err(ConfigurationError::TimedOut | ConfigurationError::Stopped) => {
                Err(ConfigurationError::Conflict.into())
            }
            Err(error) => {
                self.close(bucket, false).await?;
                Err(error.into())
            }
        }
    }

    async fn remove_entry(&self, bucket: &Bucket) -> Result<(), ConfigurationError> {
        let key = setting(&bucket.name);
        let refuse = |error| error;
        let removed = types::propose(&*self.config.configuration, refuse, |view| {
            let Some((revision, value)) = view.get(&key) else {
                return Ok((Vec::new(), ()));
            };
            let held = parse(bucket.name.as_str(), &value);
            if held.is_ok_and(|held| held.id != bucket.entry.id) {
                return Ok((Vec::new(), ()));
            }
            let edit = ConfigurationEdit {
                key: key.clone(),
                expected: ConfigurationExpected::Revision(revision),
                value: None,
            };
            Ok((vec![edit], ()))
        });
        removed.await.map(|_| ())
    }

    async fn check_empty(&self, bucket: &Bucket) -> Result<(), ObjectError> {
        let snapshot = self.engine.snapshot();
        for (rows, text) in [
            (kind::CURRENT, "The bucket you tried to delete is not empty"),
            (
                kind::VERSION,
                "The bucket you tried to delete is not empty. You must delete all versions in the \
                 bucket.",
            ),
            (
                kind::UPLOAD,
                "The bucket you tried to delete is not empty. You must abort all multipart \
                 uploads in the bucket.",
            ),
        ] {
            let range = KeyRange::prefix(&keys::of_bucket(rows, bucket.entry.id));
            let page = snapshot.scan(Space::Objects, range, Direction::Forward, 1);
            let found = page.await?.entries.pop();
            // A bucket whose objects all are deleted by markers says that it holds versions.
            if found
                .is_some_and(|entry| rows != kind::CURRENT || !row::is_delete_marker(&entry.value))
            {
                return Err(ObjectError::refused_with(409, "BucketNotEmpty", text));
            }
        }
        Ok(())
    }

    /// Closes a bucket to writes, or opens it again. Its settings' lock is held.
    async fn close(&self, bucket: &Bucket, closing: bool) -> Result<(), ObjectError> {
        for _ in 0..MAX_ATTEMPTS {
            let kept = self.reread(&bucket.entry).await?;
            if kept.closing == closing {
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
            if kept.closing {
                return Err(ConfigurationError::Conflict.into());
            }
            let mut settings = (*kept.settings).clone();
            let outcome = change(&mut settings)?;
            if settings == *kept.settings {
                return Ok(outcome);
            }
            let written = self.write_settings(id, kept.row, false, settings).await?;
            if written.is_some() {
                return Ok(outcome);
            }
        }
        Err(ConfigurationError::Conflict.into())
    }

    /// Writes a bucket's row of settings over `held`, and keeps it in memory; none if the row was
    /// another.
    async fn write_settings(
        &self,
        id: BucketId,
        held: Option<Bytes>,
        closing: bool,
        settings: BucketSettings,
    ) -> Result<Option<KeptSettings>, ObjectError> {
        let written = SettingsRow { closing, settings };
        let bytes = row::encode(&written);
        let key = keys::of_bucket(kind::SETTINGS, id).freeze();
        let mut batch = Batch::new();
        batch.require(Space::Objects, key.clone(), held);
        batch.put(Space::Objects, key, bytes.clone());
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
                closing: false,
            })
    }

    /// A bucket's settings as the database has them, kept in memory from now on. Its settings'
    /// lock is held.
    async fn reread(&self, entry: &BucketEntry) -> Result<KeptSettings, ObjectError> {
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
}

/// May a bucket of that name be made, as far as that view knows?
fn may_create(
    view: &dyn ConfigurationView,
    name: &BucketName,
    new: &BucketEntry,
) -> Result<(), ObjectError> {
    if let Some((_, value)) = view.get(&setting(name)) {
        let held = parse(name.as_str(), &value)?;
        // A proposal whose answer was lost was made after all.
        return match (held.id == new.id, held.owner == new.owner) {
            (true, _) => Ok(()),
            (false, true) => Err(ObjectError::refused_with(
                409,
                "BucketAlreadyOwnedByYou",
                "Your previous request to create the named bucket succeeded and you already own \
                 it.",
            )),
            (false, false) => Err(ObjectError::refused_with(
                409,
                "BucketAlreadyExists",
                "The requested bucket name is not available. The bucket namespace is shared by \
                 all users of the system. Please select a different name and try again.",
            )),
        };
    }
    let mut owned = 0;
    view.visit(BUCKET_PREFIX, &mut |_, _, value| {
        let entry = serde_json::from_slice::<BucketEntry>(value);
        owned += usize::from(entry.is_ok_and(|entry| entry.owner == new.owner));
    });
    match owned < MOST_BUCKETS {
        true => Ok(()),
        false => Err(ObjectError::refused(
            "TooManyBuckets",
            "You have attempted to create more buckets than allowed",
        )),
    }
}

/// What a change of a bucket's settings is locked by.
fn settings_key(id: BucketId) -> Vec<u8> {
    keys::of_bucket(kind::SETTINGS, id).to_vec()
}

fn setting(name: &BucketName) -> String {
    format!("{BUCKET_PREFIX}{name}")
}

fn named(name: &str) -> Result<BucketName, ObjectError> {
    let parsed = name.parse();
    parsed.map_err(|_| ObjectError::Internal(format!("the entry of bucket {name} has no name")))
}

fn parse(name: &str, value: &Bytes) -> Result<BucketEntry, ObjectError> {
    serde_json::from_slice(value).map_err(|error| {
        ObjectError::Internal(format!("the entry of bucket {name} can't be read: {error}"))
    })
}

fn json(entry: &BucketEntry) -> Bytes {
    Bytes::from(serde_json::to_vec(entry).expect("an entry has text for keys"))
}
