//! Carrying out what is due: a pass over the buckets that have rules, page by page. What is due by
//! what a page told is looked at again under the demands of the commit, so that nothing goes that
//! changed meanwhile. What goes wrong with one version or one bucket ends nothing for the others.

use std::collections::BTreeMap;
use std::ops::Bound;

use futures_util::StreamExt;
use futures_util::stream;
use store::{Batch, Direction, Engine, KeyRange, Snapshot, Space};
use types::{Span, Timestamp};

use super::{Due, LifecycleConfiguration, due, is_abort_due};
use crate::buckets::BUCKET_PREFIX;
use crate::find::newest_but;
use crate::keys::{self, kind};
use crate::list::{After, ListQuery, ListedVersion, PAGE, UploadsAfter, VersionsAfter};
use crate::multipart::{Ended, UploadId};
use crate::{
    Bucket, BucketId, BucketName, Cause, DeleteOptions, ObjectError, ObjectKey, ObjectVersion,
    Objects, Stamp,
};

/// From the end of a pass to the next: what is due falls due at midnight UTC, so an hour is early
/// enough, and what was held is looked at again soon.
pub const LIFECYCLE_INTERVAL: Span = Span::seconds(3600);

/// How long the note of an upload that ended is kept, in milliseconds: a day.
const ENDED_KEPT: u64 = 24 * 3_600_000;

/// Deletions under way at once.
const AT_ONCE: usize = 16;

/// What a pass did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LifecycleReport {
    /// Versions, current or not, and delete markers that expired.
    pub expired: u64,
    /// Uploads that were aborted.
    pub aborted: u64,
    /// What was due and stayed: it is locked, or it changed meanwhile.
    pub left: u64,
    /// Buckets with which something went wrong ([`Objects::lifecycle_troubles`]).
    pub troubled: u64,
}

/// What went wrong with the lifecycle rules of a bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LifecycleTrouble {
    /// When it first did, of the passes in a row in which it does.
    pub since: Timestamp,
    /// The first error of the last pass.
    pub reason: String,
}

/// A pass through one bucket.
#[derive(Default)]
struct Pass {
    report: LifecycleReport,
    /// The first error.
    trouble: Option<ObjectError>,
}

impl Pass {
    /// Something went wrong with one version or upload: the others go on, unless it would be the
    /// same with them.
    fn note(&mut self, error: ObjectError) -> Result<(), ObjectError> {
        if matches!(error, ObjectError::Unavailable(_)) {
            return Err(error);
        }
        self.trouble.get_or_insert(error);
        Ok(())
    }
}

/// Something to go, and what it is among the versions of its key.
struct Doomed {
    listed: ListedVersion,
    superseded: Option<Timestamp>,
    newer_noncurrent: u64,
    alone: bool,
}

/// Where a walk through versions is: it looks one ahead, to know who is alone.
#[derive(Default)]
struct Position {
    key: Option<ObjectKey>,
    superseded: Option<Timestamp>,
    newer_noncurrent: u64,
    waiting: Option<Doomed>,
}

impl Position {
    /// The version before this one in the walk, of which all is known now.
    fn step(&mut self, listed: ListedVersion) -> Option<Doomed> {
        let same = self.key.as_ref() == Some(&listed.key) && !listed.is_latest;
        let mut before = self.waiting.take();
        match same {
            true => {
                if let Some(before) = &mut before {
                    before.alone = false;
                }
            }
            false => {
                self.key = Some(listed.key.clone());
                self.superseded = None;
                self.newer_noncurrent = 0;
            }
        }
        let made = listed.version.stamp.last_modified();
        self.waiting = Some(Doomed {
            superseded: self.superseded,
            newer_noncurrent: self.newer_noncurrent,
            alone: !same,
            listed,
        });
        self.newer_noncurrent += u64::from(self.superseded.is_some());
        self.superseded = Some(made);
        before
    }
}

impl<E: Engine> Objects<E> {
    /// Makes passes for as long as it is polled.
    pub async fn keep_lifecycle(&self) {
        loop {
            let report = self.lifecycle_pass().await;
            if report != LifecycleReport::default() {
                tracing::info!(?report, "lifecycle rules were carried out");
            }
            let now = self.config.environment.now().monotonic;
            let next = now + LIFECYCLE_INTERVAL;
            self.config.environment.sleep_until(next).await;
        }
    }

    /// Carries out what is due now in all buckets of this Region. What goes wrong is logged, is in
    /// [`Objects::lifecycle_troubles`], and is tried again by the next pass.
    pub async fn lifecycle_pass(&self) -> LifecycleReport {
        let mut report = LifecycleReport::default();
        let mut troubles = BTreeMap::new();
        for bucket in self.buckets_here() {
            let Some(rules) = bucket.settings.lifecycle.clone() else {
                continue;
            };
            let mut pass = Pass::default();
            for ended in [
                self.expire(&bucket, &rules, &mut pass).await,
                self.abort_due_uploads(&bucket, &rules, &mut pass).await,
            ] {
                if let Err(error) = ended {
                    pass.trouble.get_or_insert(error);
                }
            }
            report.expired += pass.report.expired;
            report.aborted += pass.report.aborted;
            report.left += pass.report.left;
            if let Some(error) = pass.trouble {
                report.troubled += 1;
                let reason = error.reason();
                tracing::warn!(bucket = %bucket.name, reason, "lifecycle rules wait");
                troubles.insert(bucket.name, reason);
            }
        }
        self.remember_troubles(troubles);
        if let Err(error) = self.forget_ended_uploads().await {
            let reason = error.reason();
            tracing::warn!(reason, "what was left of ended uploads waits");
        }
        report
    }

    /// What went wrong with lifecycle rules in the last pass, by bucket.
    pub fn lifecycle_troubles(&self) -> BTreeMap<BucketName, LifecycleTrouble> {
        let troubles = self.lifecycle_troubles.lock();
        troubles.expect("nothing panics under this lock").clone()
    }

    fn remember_troubles(&self, troubles: BTreeMap<BucketName, String>) {
        let now = self.wall();
        let held = self.lifecycle_troubles.lock();
        let mut held = held.expect("nothing panics under this lock");
        let known = std::mem::take(&mut *held);
        held.extend(troubles.into_iter().map(|(bucket, reason)| {
            let since = known.get(&bucket).map_or(now, |trouble| trouble.since);
            (bucket, LifecycleTrouble { since, reason })
        }));
    }

    /// The buckets of this Region.
    pub(crate) fn buckets_here(&self) -> Vec<Bucket> {
        let mut buckets = Vec::new();
        let view = self.config.configuration.view();
        view.visit(BUCKET_PREFIX, &mut |key, _, _| {
            let name = key.strip_prefix(BUCKET_PREFIX).map(str::parse);
            if let Some(Ok(name)) = name {
                buckets.extend(self.bucket(&name).ok());
            }
        });
        buckets
    }

    async fn expire(
        &self,
        bucket: &Bucket,
        rules: &LifecycleConfiguration,
        pass: &mut Pass,
    ) -> Result<(), ObjectError> {
        for prefix in prefixes(rules) {
            let query = ListQuery {
                prefix: &prefix,
                delimiter: "",
                limit: PAGE,
            };
            let mut after = VersionsAfter::Keys(After::Nothing);
            let mut position = Position::default();
            loop {
                let page = match self.list_versions(bucket, &query, &after).await {
                    Ok(page) => page,
                    Err(error) => {
                        pass.note(error)?;
                        break;
                    }
                };
                let mut doomed = Vec::new();
                for listed in page.versions {
                    doomed.extend(position.step(listed));
                }
                if page.next.is_none() {
                    doomed.extend(position.waiting.take());
                }
                let now = self.wall();
                doomed.retain(|this| due(rules, this.as_due(), now));
                self.delete_all(bucket, rules, doomed, pass).await?;
                match page.next {
                    Some(next) => after = next,
                    None => break,
                }
            }
        }
        Ok(())
    }

    async fn delete_all(
        &self,
        bucket: &Bucket,
        rules: &LifecycleConfiguration,
        doomed: Vec<Doomed>,
        pass: &mut Pass,
    ) -> Result<(), ObjectError> {
        let deletions = stream::iter(doomed)
            .map(|this| async move { self.delete_due(bucket, rules, &this).await })
            .buffer_unordered(AT_ONCE);
        let mut deletions = std::pin::pin!(deletions);
        while let Some(deleted) = deletions.next().await {
            match deleted {
                Ok(true) => pass.report.expired += 1,
                Ok(false) | Err(ObjectError::Locked) => pass.report.left += 1,
                Err(error) if error.code().0 == "OperationAborted" => pass.report.left += 1,
                Err(error) => pass.note(error)?,
            }
        }
        Ok(())
    }

    /// Deletes what a page told to be due, if it still is. False: it isn't.
    async fn delete_due(
        &self,
        bucket: &Bucket,
        rules: &LifecycleConfiguration,
        this: &Doomed,
    ) -> Result<bool, ObjectError> {
        let (id, key) = (bucket.entry.id, &this.listed.key);
        let stamp = this.listed.version.stamp;
        let snapshot = self.engine.snapshot();
        let current_row = keys::of_key(kind::CURRENT, id, key).freeze();
        let current = snapshot.get(Space::Objects, &current_row).await?;
        let version_row = keys::version(id, key, stamp);
        let held = snapshot.get(Space::Objects, &version_row).await?;
        let (Some(current), Some(held)) = (current, held) else {
            return Ok(false);
        };
        let version = ObjectVersion::decode(&held)?;
        let is_current = ObjectVersion::decode(&current)?.stamp == stamp;
        let again = Due {
            version: &version,
            ..this.as_due()
        };
        if is_current != this.superseded.is_none() || !due(rules, again, self.wall()) {
            return Ok(false);
        }
        // One that came by replication may lie beneath a marker that was alone.
        if version.is_delete_marker()
            && newest_but(&snapshot, bucket, key, &[stamp])
                .await?
                .is_some()
        {
            return Ok(false);
        }
        let mut demands = Batch::new();
        demands.require(Space::Objects, current_row, Some(current));
        demands.require(Space::Objects, version_row, Some(held));
        let options = DeleteOptions {
            owner: bucket.entry.owner,
            bypass_governance: false,
            if_match: None,
            cause: Cause::Lifecycle,
        };
        // An object that is current gets a delete marker, where versions are kept.
        let by_id = !is_current || version.is_delete_marker();
        let named = by_id.then(|| version.id());
        self.delete_with(bucket, key, named, &options, demands)
            .await?;
        Ok(true)
    }

    async fn abort_due_uploads(
        &self,
        bucket: &Bucket,
        rules: &LifecycleConfiguration,
        pass: &mut Pass,
    ) -> Result<(), ObjectError> {
        if rules.enabled().all(|rule| rule.abort_after_days.is_none()) {
            return Ok(());
        }
        let query = ListQuery {
            prefix: "",
            delimiter: "",
            limit: PAGE,
        };
        let mut after = UploadsAfter::Keys(After::Nothing);
        loop {
            let page = self.list_uploads(bucket, &query, &after).await?;
            for listed in page.uploads {
                let (key, id) = (&listed.key, listed.id);
                if !is_abort_due(rules, key, id.initiated(), self.wall()) {
                    continue;
                }
                match self.abort_upload(bucket, key, id).await {
                    Ok(()) => pass.report.aborted += 1,
                    Err(ObjectError::NoSuchUpload) => {}
                    Err(error) => pass.note(error)?,
                }
            }
            match page.next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }

    /// Forgets uploads that ended long ago, and removes what was left of them; the first error.
    async fn forget_ended_uploads(&self) -> Result<(), ObjectError> {
        let mut trouble = None;
        let mut range = KeyRange::prefix(&[kind::ENDED]);
        loop {
            let snapshot = self.engine.snapshot();
            let forward = Direction::Forward;
            let page = snapshot
                .scan(Space::Objects, range.clone(), forward, PAGE)
                .await?;
            for entry in &page.entries {
                if let Err(error) = self.forget_ended(&entry.key, &entry.value).await {
                    trouble.get_or_insert(error);
                }
            }
            match page.entries.last() {
                Some(last) if page.more => range.start = Bound::Excluded(last.key.clone()),
                _ => return trouble.map_or(Ok(()), Err),
            }
        }
    }

    async fn forget_ended(&self, key: &[u8], value: &[u8]) -> Result<(), ObjectError> {
        let Some((bucket, id)) = ended_of(key) else {
            return Err(ObjectError::Internal("a row's key is malformed".to_owned()));
        };
        let ended = Ended::decode(value)?;
        match self.wall().0.saturating_sub(ended.at.0) >= ENDED_KEPT {
            true => self.forget_upload(bucket, id).await,
            false => Ok(()),
        }
    }
}

impl Doomed {
    fn as_due(&self) -> Due<'_> {
        Due {
            key: &self.listed.key,
            version: &self.listed.version,
            superseded: self.superseded,
            newer_noncurrent: self.newer_noncurrent,
            alone: self.alone,
        }
    }
}

/// The prefixes of keys that rules about versions are about, none of which begins with another.
fn prefixes(rules: &LifecycleConfiguration) -> Vec<String> {
    let about_versions = rules
        .enabled()
        .filter(|rule| rule.expiration.is_some() || rule.noncurrent_expiration.is_some());
    let mut all: Vec<&str> = about_versions.map(|rule| rule.key_prefix()).collect();
    all.sort_unstable();
    let mut least: Vec<String> = Vec::new();
    for prefix in all {
        if !least
            .last()
            .is_some_and(|last| prefix.starts_with(last.as_str()))
        {
            least.push(prefix.to_owned());
        }
    }
    least
}

fn ended_of(row: &[u8]) -> Option<(BucketId, UploadId)> {
    let rest = row.get(1..)?;
    let (bucket, stamp) = rest.split_first_chunk::<8>()?;
    let bucket = BucketId(u64::from_be_bytes(*bucket));
    Some((bucket, UploadId(Stamp::from_bytes(stamp)?)))
}
