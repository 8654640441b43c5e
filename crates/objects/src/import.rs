//! Versions come from other buckets as they are there: stamp, times, context. One that is here
//! already changes nothing, however often it comes; the greatest stamp is current, whatever came
//! first.

use store::{Batch, Engine, Snapshot, Space};
use types::Timestamp;

use crate::commit::{Insertion, MAX_ATTEMPTS, Plan, Step};
use crate::content::discard_extent;
use crate::find::{Row, stamp};
use crate::held::Held;
use crate::keys::{self, kind};
use crate::row::Conflict;
use crate::write::contended;
use crate::{
    Aspect, Bucket, Cause, Content, Creation, Extent, ObjectError, ObjectKey, ObjectVersion,
    Objects, State,
};

/// A version that comes from another bucket.
#[derive(Clone, Debug)]
pub struct Import {
    /// The version as it is to be here: the source's stamp and context, a replica, its content's
    /// place here.
    pub version: ObjectVersion,
    /// Its pieces, if it is made of parts.
    pub parts: Vec<Extent>,
    /// Writes that belong to it: bytes that are rows (`Ingested::enter`), the receipt. Committed
    /// whatever becomes of the version.
    pub batch: Batch,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Imported {
    /// It is here now.
    Stored,
    /// It was here; its tags, list and lock are the later of both states now.
    Known,
    /// It was here, deleted for good: it doesn't come again.
    Gone,
    /// A later `null` version is here: that one stays.
    Superseded,
}

impl<E: Engine> Objects<E> {
    /// Takes in a version. Bytes of one that isn't stored become garbage. Poll it to its end.
    ///
    /// # Errors
    /// The disk is full or has failed; `Locked`: a `null` version in its place is locked.
    pub async fn import_version(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        import: &Import,
    ) -> Result<Imported, ObjectError> {
        let _alone = self.locks.lock(&Self::lock_key(bucket.entry.id, key)).await;
        for _ in 0..MAX_ATTEMPTS {
            let held = self.hold(bucket, key).await?;
            let (imported, plan) = self.plan_import(&held, key, import).await?;
            if plan.steps.is_empty() && plan.batch.is_empty() {
                return Ok(imported);
            }
            if self.commit(key, &held, plan).await?.is_some() {
                return Ok(imported);
            }
        }
        Err(contended())
    }

    async fn plan_import(
        &self,
        held: &Held<E::Snapshot>,
        key: &ObjectKey,
        import: &Import,
    ) -> Result<(Imported, Plan), ObjectError> {
        let mut plan = Plan {
            batch: import.batch.clone(),
            ..Plan::new(Cause::Replication, Vec::new())
        };
        let imported = match self.find_import(held, key, &import.version).await? {
            Standing::Here(before) => {
                self.discard_copy(held, key, import, &before, &mut plan)
                    .await?;
                let amended = amended(before, &import.version, self.wall());
                plan.steps.extend(amended);
                return Ok((Imported::Known, plan));
            }
            Standing::Gone => Imported::Gone,
            Standing::Superseded => Imported::Superseded,
            Standing::New => Imported::Stored,
        };
        if imported != Imported::Stored {
            for extent in pieces(import) {
                discard_extent(&mut plan.batch, self.wall(), extent);
            }
            return Ok((imported, plan));
        }
        self.note_conflict(held, key, &import.version, &mut plan.batch);
        plan.steps.push(Step::Insert(Insertion {
            version: import.version.clone(),
            parts: import.parts.clone(),
            how: Creation::Replica,
        }));
        Ok((imported, plan))
    }

    async fn find_import(
        &self,
        held: &Held<E::Snapshot>,
        key: &ObjectKey,
        version: &ObjectVersion,
    ) -> Result<Standing, ObjectError> {
        let bucket = held.bucket.entry.id;
        let row = keys::version(bucket, key, version.stamp);
        if let Some(bytes) = held.snapshot.get(Space::Objects, &row).await? {
            let version = ObjectVersion::decode(&bytes)?.into();
            return Ok(Standing::Here(Row { bytes, version }));
        }
        let gone = keys::of_version(kind::GONE, bucket, key, version.stamp);
        if held.snapshot.get(Space::Objects, &gone).await?.is_some() {
            return Ok(Standing::Gone);
        }
        if version.is_null {
            let row = keys::of_key(kind::NULL, bucket, key);
            let pointer = held.snapshot.get(Space::Objects, &row).await?;
            let there = pointer.as_deref().map(stamp).transpose()?;
            if there.is_some_and(|there| there > version.stamp) {
                return Ok(Standing::Superseded);
            }
        }
        Ok(Standing::New)
    }

    /// The bytes of a version that is here already are garbage, unless it is these.
    async fn discard_copy(
        &self,
        held: &Held<E::Snapshot>,
        key: &ObjectKey,
        import: &Import,
        before: &Row,
        plan: &mut Plan,
    ) -> Result<(), ObjectError> {
        let kept = match before.version.object() {
            Some(data) => {
                let (bucket, stamp) = (held.bucket.entry.id, before.version.stamp);
                self.extents(bucket, key, stamp, data).await?
            }
            None => Vec::new(),
        };
        for extent in pieces(import) {
            if kept.iter().all(|kept| kept.blob != extent.blob) {
                discard_extent(&mut plan.batch, self.wall(), extent);
            }
        }
        Ok(())
    }

    /// Puts the lesser of the current version and this one into the ledger, if neither's writer
    /// had seen the other.
    fn note_conflict(
        &self,
        held: &Held<E::Snapshot>,
        key: &ObjectKey,
        version: &ObjectVersion,
        batch: &mut Batch,
    ) {
        let Some(current) = held.current.as_ref().map(|row| &*row.version) else {
            return;
        };
        if saw(current, version) || saw(version, current) {
            return;
        }
        let (loser, winner) = match current.stamp < version.stamp {
            true => (current.stamp, version.stamp),
            false => (version.stamp, current.stamp),
        };
        let conflict = Conflict {
            winner,
            found: self.wall(),
        };
        let row = keys::of_version(kind::CONFLICT, held.bucket.entry.id, key, loser);
        batch.put(Space::Objects, row, conflict.encode());
    }
}

/// How a version that comes stands to what is here.
enum Standing {
    New,
    Here(Row),
    Gone,
    Superseded,
}

/// Had the writer of one version seen another? A Region sees all that it makes itself.
fn saw(version: &ObjectVersion, other: &ObjectVersion) -> bool {
    let (own, dot) = (version.stamp.version, other.stamp.version);
    (own.site == dot.site && own >= dot) || version.context.contains(dot)
}

/// The pieces of what comes.
fn pieces(import: &Import) -> impl Iterator<Item = &Extent> {
    let whole = match import.version.object().map(|object| &object.content) {
        Some(Content::Whole(extent)) => Some(extent),
        _ => None,
    };
    whole.into_iter().chain(&import.parts)
}

/// The change of a version that is here to what two states of it come to.
fn amended(before: Row, incoming: &ObjectVersion, now: Timestamp) -> Option<Step> {
    let mut after = (*before.version).clone();
    let (State::Object(held), State::Object(new)) = (&mut after.state, &incoming.state) else {
        return None;
    };
    if !held.merge(new, now) {
        return None;
    }
    Some(Step::Amend {
        before,
        after: Box::new(after),
        aspect: Aspect::Everything,
    })
}
