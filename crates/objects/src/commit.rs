//! The one way by which a key changes: new versions, versions gone for good, versions amended.
//! From what was read under the key's lock it makes one batch of all rows that follow, and demands
//! of the commit that what was read still stands. So a change is safe whatever became of the lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use store::{Batch, CommitError, Engine, Snapshot, Space};
use types::{Context, Timestamp};

use crate::cause::{Change, What};
use crate::content::{discard_version, encode_extents};
use crate::find::{Row, newest_but};
use crate::held::Held;
use crate::keys::{self, kind};
use crate::replication::{self, Announced};
use crate::{
    Aspect, Cause, Creation, Extent, ObjectError, ObjectKey, ObjectVersion, Objects, Stamp,
    Versioning, notify,
};

/// How often a change is made anew on what another made of the key in between. With the key's lock
/// held nobody does, unless a call was dropped before its end.
pub(crate) const MAX_ATTEMPTS: usize = 16;

/// A change of a key.
pub(crate) struct Plan {
    /// What is changed, in order.
    pub(crate) steps: Vec<Step>,
    /// Why.
    pub(crate) cause: Cause,
    /// Writes of the caller's own that belong to it, and what they demand.
    pub(crate) batch: Batch,
}

/// A part of a change.
pub(crate) enum Step {
    /// A version comes. A `null` one takes the place of the one there is.
    Insert(Insertion),
    /// A version goes for good, and its bytes.
    Remove(Row),
    /// A version is amended: its row as it was, and what it is now.
    Amend {
        before: Row,
        after: Box<ObjectVersion>,
        aspect: Aspect,
    },
}

/// A version that comes.
pub(crate) struct Insertion {
    pub(crate) version: ObjectVersion,
    /// Its pieces if it is made of parts.
    pub(crate) parts: Vec<Extent>,
    pub(crate) how: Creation,
}

/// What was read beyond [`Held`] to carry out a plan.
struct Reads {
    replaced: Option<Row>,
    successor: Option<Row>,
}

impl Plan {
    /// A change of these steps.
    pub(crate) fn new(cause: Cause, steps: Vec<Step>) -> Plan {
        Plan {
            steps,
            cause,
            batch: Batch::new(),
        }
    }

    fn removed(&self) -> impl Iterator<Item = &Row> {
        self.steps.iter().filter_map(|step| match step {
            Step::Remove(row) => Some(row),
            _ => None,
        })
    }

    fn inserts_null(&self) -> bool {
        let null = |step: &Step| matches!(step, Step::Insert(new) if new.version.is_null);
        self.steps.iter().any(null)
    }
}

impl<E: Engine> Objects<E> {
    /// Commits a change of a key. Returns the versions that came or were amended; none if what
    /// was read stands no more: it is to be read, and planned, anew.
    ///
    /// # Errors
    /// The disk is full or has failed; `Locked`: a `null` version to be replaced is locked.
    pub(crate) async fn commit(
        &self,
        key: &ObjectKey,
        held: &Held<E::Snapshot>,
        plan: Plan,
    ) -> Result<Option<Vec<Arc<ObjectVersion>>>, ObjectError> {
        let reads = self.read_for(key, held, &plan).await?;
        let mut draft = Draft::new(held, key, self.wall());
        draft.demand(&plan, &reads);
        // `announced` lives until the commit has returned, or was given up.
        let (commit, made, clock, announced) = {
            let announcing = self.announcing.lock().expect("announcing does not panic");
            let made = draft.carry_out(self, plan, &reads);
            let clock = self.record_clock(&mut draft.batch);
            let commit = self.engine.commit(draft.batch);
            drop(announcing);
            (commit, made, clock, draft.announced)
        };
        match commit.await {
            Ok(_) => {
                announced.committed();
                self.clock_recorded(clock);
                Ok(Some(made))
            }
            Err(CommitError::Precondition(SETTINGS_DEMAND)) => {
                self.refresh_settings(&held.bucket).await?;
                Ok(None)
            }
            Err(CommitError::Precondition(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn read_for(
        &self,
        key: &ObjectKey,
        held: &Held<E::Snapshot>,
        plan: &Plan,
    ) -> Result<Reads, ObjectError> {
        let replaced = match plan.inserts_null() {
            true => held.null(key).await?,
            false => None,
        };
        if let Some(object) = replaced.as_ref().and_then(|row| row.version.object()) {
            object.check_unlocked(self.wall(), false)?;
        }
        let gone = plan.removed().chain(&replaced);
        let gone: Vec<Stamp> = gone.map(|row| row.version.stamp).collect();
        let current = held.current.as_ref().map(|row| row.version.stamp);
        let successor = match current.is_some_and(|stamp| gone.contains(&stamp)) {
            // What follows an unversioned bucket's only version is known.
            true if held.bucket.settings.versioning == Versioning::Unversioned => None,
            true => newest_but(&held.snapshot, &held.bucket, key, &gone).await?,
            false => None,
        };
        Ok(Reads {
            replaced,
            successor,
        })
    }
}

/// The place of the demand on the bucket's settings.
const SETTINGS_DEMAND: usize = 0;

/// A batch on its way to be committed.
struct Draft<'a, S> {
    held: &'a Held<S>,
    key: &'a ObjectKey,
    now: Timestamp,
    batch: Batch,
    /// What will be current, as its own row has it.
    current: Option<Arc<ObjectVersion>>,
    /// All that the key has seen.
    seen: Context,
    announced: Announced,
}

impl<'a, S: Snapshot> Draft<'a, S> {
    fn new(held: &'a Held<S>, key: &'a ObjectKey, now: Timestamp) -> Draft<'a, S> {
        Draft {
            held,
            key,
            now,
            batch: Batch::new(),
            current: held.current.as_ref().map(|row| row.version.clone()),
            seen: held.context(),
            announced: Announced::default(),
        }
    }

    fn row(&self, kind: u8) -> Bytes {
        keys::of_key(kind, self.held.bucket.entry.id, self.key).freeze()
    }

    fn of_version(&self, kind: u8, stamp: Stamp) -> Bytes {
        keys::of_version(kind, self.held.bucket.entry.id, self.key, stamp)
    }

    fn version_row(&self, stamp: Stamp) -> Bytes {
        keys::version(self.held.bucket.entry.id, self.key, stamp)
    }

    /// Demands that everything stands that was read.
    fn demand(&mut self, plan: &Plan, reads: &Reads) {
        let settings = keys::of_bucket(kind::SETTINGS, self.held.bucket.entry.id);
        let row = self.held.settings_row.clone();
        self.batch.require(Space::Objects, settings, row);
        let current = self.held.current.as_ref().map(|row| row.bytes.clone());
        self.batch
            .require(Space::Objects, self.row(kind::CURRENT), current);
        let amended = plan.steps.iter().filter_map(|step| match step {
            Step::Amend { before, .. } => Some(before),
            _ => None,
        });
        let rows: Vec<Row> = plan
            .removed()
            .chain(amended)
            .chain(&reads.successor)
            .cloned()
            .collect();
        for row in rows {
            self.demand_row(&row);
        }
        if plan.inserts_null() {
            let stamp = reads.replaced.as_ref().map(|row| row.version.stamp);
            let pointer = stamp.map(|stamp| Bytes::copy_from_slice(&stamp.to_bytes()));
            self.batch
                .require(Space::Objects, self.row(kind::NULL), pointer);
            if let Some(row) = &reads.replaced {
                self.demand_row(row);
            }
        }
    }

    fn demand_row(&mut self, row: &Row) {
        let current = self.held.current.as_ref();
        // The current version's row was read as such, and is demanded so.
        if current.is_some_and(|current| current.bytes == row.bytes) {
            return;
        }
        let key = self.version_row(row.version.stamp);
        self.batch
            .require(Space::Objects, key, Some(row.bytes.clone()));
    }

    /// Makes the writes of all steps, and the announcements.
    fn carry_out<E: Engine>(
        &mut self,
        objects: &Objects<E>,
        plan: Plan,
        reads: &Reads,
    ) -> Vec<Arc<ObjectVersion>> {
        // What only removes is let through when the disk is full.
        let frees = plan
            .steps
            .iter()
            .all(|step| matches!(step, Step::Remove(_)));
        let held = self.current.as_ref().map(|version| version.stamp);
        let mut made = BTreeMap::new();
        if let Some(row) = &reads.replaced {
            self.remove(objects, &row.version, true, &plan.cause);
        }
        let replaced = reads.replaced.as_ref().map(|row| row.version.stamp);
        let gone: Vec<Stamp> = plan.removed().map(|row| row.version.stamp).collect();
        if held.is_some_and(|held| gone.contains(&held) || replaced == Some(held)) {
            let successor = reads.successor.as_ref();
            self.current = successor.map(|row| row.version.clone());
        }
        for step in plan.steps {
            let version = match step {
                Step::Remove(row) => {
                    self.remove(objects, &row.version, false, &plan.cause);
                    continue;
                }
                Step::Insert(new) => self.insert(objects, new, &plan.cause),
                Step::Amend { after, aspect, .. } => {
                    self.amend(objects, *after, aspect, &plan.cause)
                }
            };
            made.insert(version.stamp, version);
        }
        self.settle_current();
        self.batch.append(plan.batch);
        self.batch.frees |= frees;
        made.into_values().collect()
    }

    fn announce<E: Engine>(&mut self, objects: &Objects<E>, mut change: Change<'_>) {
        let (batch, announced) = (&mut self.batch, &mut self.announced);
        replication::announce(objects, &mut change, batch, announced);
        notify::announce(objects, &change, &mut self.batch);
    }

    fn insert<E: Engine>(
        &mut self,
        objects: &Objects<E>,
        new: Insertion,
        cause: &Cause,
    ) -> Arc<ObjectVersion> {
        let mut version = new.version;
        let what = What::Created {
            version: &mut version,
            how: new.how,
        };
        let (bucket, key) = (&self.held.bucket, self.key);
        let change = Change {
            bucket,
            key,
            cause,
            what,
        };
        self.announce(objects, change);
        let stamp = version.stamp;
        let row = self.version_row(stamp);
        self.batch.put(Space::Objects, row, version.encode());
        if !new.parts.is_empty() {
            let row = self.of_version(kind::EXTENTS, stamp);
            let parts = encode_extents(&new.parts);
            self.batch.put(Space::Objects, row, parts);
        }
        if version.is_null {
            let row = self.row(kind::NULL);
            let pointer = Bytes::copy_from_slice(&stamp.to_bytes());
            self.batch.put(Space::Objects, row, pointer);
        }
        self.seen.merge(&version.context);
        self.seen.insert(stamp.version);
        let version = Arc::new(version);
        if self
            .current
            .as_ref()
            .is_none_or(|current| current.stamp < stamp)
        {
            self.current = Some(version.clone());
        }
        version
    }

    fn amend<E: Engine>(
        &mut self,
        objects: &Objects<E>,
        mut after: ObjectVersion,
        aspect: Aspect,
        cause: &Cause,
    ) -> Arc<ObjectVersion> {
        let what = What::Amended {
            version: &mut after,
            aspect,
        };
        let (bucket, key) = (&self.held.bucket, self.key);
        let change = Change {
            bucket,
            key,
            cause,
            what,
        };
        self.announce(objects, change);
        let row = self.version_row(after.stamp);
        self.batch.put(Space::Objects, row, after.encode());
        let after = Arc::new(after);
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.stamp == after.stamp)
        {
            self.current = Some(after.clone());
        }
        after
    }

    fn remove<E: Engine>(
        &mut self,
        objects: &Objects<E>,
        version: &ObjectVersion,
        replaced: bool,
        cause: &Cause,
    ) {
        let what = What::Removed { version, replaced };
        let (bucket, key) = (&self.held.bucket, self.key);
        let change = Change {
            bucket,
            key,
            cause,
            what,
        };
        self.announce(objects, change);
        let stamp = version.stamp;
        let row = self.version_row(stamp);
        self.batch.delete(Space::Objects, row);
        discard_version(&mut self.batch, self.now, bucket.entry.id, key, version);
        if version.is_null && !replaced {
            let row = self.row(kind::NULL);
            self.batch.delete(Space::Objects, row);
        }
        // What came by replication, or went by it and may come back by a job, and is deleted on
        // purpose isn't to come again.
        let travelled = version.is_replica || !version.outcomes.is_empty();
        if travelled && !replaced {
            let row = self.of_version(kind::GONE, stamp);
            let since = Bytes::copy_from_slice(&self.now.0.to_be_bytes());
            self.batch.put(Space::Objects, row, since);
        }
    }

    /// Writes the current version's row, if it is another than it was. Its context is all that
    /// the key has seen: so a version that came by replication and lost is seen by the next.
    fn settle_current(&mut self) {
        let row = self.row(kind::CURRENT);
        let Some(version) = &self.current else {
            if self.held.current.is_some() {
                self.batch.delete(Space::Objects, row);
            }
            return;
        };
        let version = ObjectVersion {
            context: self.seen.clone(),
            ..(**version).clone()
        };
        let bytes = version.encode();
        let held = self.held.current.as_ref();
        if held.is_none_or(|held| held.bytes != bytes) {
            self.batch.put(Space::Objects, row, bytes);
        }
    }
}
