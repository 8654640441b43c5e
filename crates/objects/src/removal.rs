//! Buckets go. One that is deleted is closed to writes first, so that nothing comes after it was
//! found empty; and it stays closed until it is known whether the global configuration let go of
//! its name.

use std::ops::Bound;

use store::{Batch, Direction, Engine, KeyRange, Snapshot, Space};
use types::{ConfigurationEdit, ConfigurationError, ConfigurationExpected};

use crate::buckets::{BUCKET_PREFIX, json, parse, setting};
use crate::keys::{self, kind};
use crate::settings::settings_key;
use crate::{Bucket, BucketEntry, BucketId, BucketName, ObjectError, Objects, row};

/// Rows that are removed at a time of a bucket that is gone.
const PAGE: usize = 500;

impl<E: Engine> Objects<E> {
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
            Ok(()) => self.clear(id).await,
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

    /// Has the global configuration let go of the name. Fine if it has.
    pub(crate) async fn remove_entry(&self, bucket: &Bucket) -> Result<(), ConfigurationError> {
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

    /// Ends what deletions of buckets left half done, as after a crash: a bucket whose name is
    /// gone loses what is left of it, and one whose name stands is opened again. To be called now
    /// and then. Poll it to its end.
    ///
    /// # Errors
    /// The disk or the global configuration fails; the rest is done the next time.
    pub async fn tend_buckets(&self) -> Result<(), ObjectError> {
        for (id, since) in self.closing() {
            let _alone = self.settings_locks.lock(&settings_key(id)).await;
            match self.named(id)? {
                Some((name, entry)) => self.reopen(name, entry).await?,
                // When it was closed this site's view had its entry, and an older one may not yet.
                None if self.config.configuration.view().revision() < since => {}
                None => self.clear(id).await?,
            }
        }
        Ok(())
    }

    /// Buckets that are closed, and the revision of the configuration at which they were.
    pub(crate) fn closing(&self) -> Vec<(BucketId, u64)> {
        let settings = self.settings.read().expect("nothing panics inside");
        let closing = settings
            .iter()
            .filter_map(|(id, kept)| Some((*id, kept.closing?)));
        closing.collect()
    }

    /// The bucket of that id in the global configuration.
    fn named(&self, id: BucketId) -> Result<Option<(BucketName, BucketEntry)>, ObjectError> {
        let mut found = Ok(None);
        let view = self.config.configuration.view();
        view.visit(BUCKET_PREFIX, &mut |key, _, value| {
            let name = key.strip_prefix(BUCKET_PREFIX).unwrap_or_default();
            match (parse(name, value), name.parse()) {
                (Ok(entry), Ok(name)) if entry.id == id => found = Ok(Some((name, entry))),
                // It may be this one: nothing is removed for want of reading it.
                (Err(error), _) if found.is_ok() => found = Err(error),
                _ => {}
            }
        });
        found
    }

    /// Opens a bucket again whose deletion came to nothing. Its entry is set anew first: then a
    /// removal that was proposed before can't be decided any more.
    async fn reopen(&self, name: BucketName, entry: BucketEntry) -> Result<(), ObjectError> {
        if self.reread(&entry).await?.closing.is_none() {
            return Ok(());
        }
        let key = setting(&name);
        let renewed = types::propose(&*self.config.configuration, ObjectError::from, |view| {
            let Some((revision, value)) = view.get(&key) else {
                return Ok((Vec::new(), false));
            };
            if parse(name.as_str(), &value)?.id != entry.id {
                return Ok((Vec::new(), false));
            }
            let edit = ConfigurationEdit {
                key: key.clone(),
                expected: ConfigurationExpected::Revision(revision),
                value: Some(json(&entry)),
            };
            Ok((vec![edit], true))
        });
        let (stands, _) = renewed.await?;
        if !stands {
            return self.clear(entry.id).await;
        }
        let settings = self.kept(&entry).settings;
        let bucket = Bucket {
            name,
            entry,
            settings,
        };
        self.close(&bucket, false).await
    }

    /// Removes what is left of a bucket that is gone: it held no versions. The settings go last,
    /// so that this is done again until it is done.
    async fn clear(&self, id: BucketId) -> Result<(), ObjectError> {
        for rows in [kind::GONE, kind::CONFLICT] {
            let mut range = KeyRange::prefix(&keys::of_bucket(rows, id));
            loop {
                let snapshot = self.engine.snapshot();
                let page = snapshot.scan(Space::Objects, range.clone(), Direction::Forward, PAGE);
                let page = page.await?;
                let mut batch = Batch::new();
                for entry in &page.entries {
                    batch.delete(Space::Objects, entry.key.clone());
                }
                let Some(last) = page.entries.last() else {
                    break;
                };
                range.start = Bound::Excluded(last.key.clone());
                self.engine.commit(batch).await?;
            }
        }
        let key = keys::of_bucket(kind::SETTINGS, id);
        let row = self.engine.snapshot().get(Space::Objects, &key).await?;
        self.forget_settings(id, row).await
    }
}
