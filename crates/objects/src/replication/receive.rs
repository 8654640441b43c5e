//! What comes from a peer: versions and changes are judged, stored and acknowledged; answers to
//! what was sent go to their tasks. Whatever comes twice, late or in another order changes nothing
//! that it shouldn't.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use store::{Batch, Engine, Snapshot, Space};
use types::SiteId;

use super::message::{Message, MessageError, Offer, OfferKind, Result as Answer};
use super::offer::only_extent;
use super::outcome::Ended;
use super::transfer::{Progress, Turn};
use super::{FailureReason, SiteState};
use crate::content::Ingested;
use crate::keys::{self, kind};
use crate::{
    Aspect, Bucket, Cause, Content, Extent, Import, Imported, ObjectError, ObjectKey,
    ObjectOwnership, ObjectVersion, Objects, Stamp, State, Versioning,
};

/// What keeps an offer from being taken.
pub(super) enum Refusal {
    /// For good.
    Lasting(FailureReason),
    /// It isn't to be here, and that is no failure.
    Needless,
    /// It is here already.
    Here,
    /// For now.
    Trouble(ObjectError),
}

impl From<FailureReason> for Refusal {
    fn from(reason: FailureReason) -> Refusal {
        Refusal::Lasting(reason)
    }
}

impl From<ObjectError> for Refusal {
    fn from(error: ObjectError) -> Refusal {
        match error {
            ObjectError::NoSuchVersion => Refusal::Lasting(FailureReason::DstVersionNotFound),
            ObjectError::NoSuchBucket => Refusal::Lasting(FailureReason::DstBucketNotFound),
            other => Refusal::Trouble(other),
        }
    }
}

impl Refusal {
    fn answer(self) -> Answer {
        match self {
            Refusal::Lasting(reason) => Answer::Failed(reason.as_str().to_owned()),
            Refusal::Needless => Answer::Skipped,
            Refusal::Here => Answer::Done,
            Refusal::Trouble(error) => {
                tracing::warn!(%error, "a replica waits");
                Answer::Later(error.to_string())
            }
        }
    }
}

impl<E: Engine> Objects<E> {
    /// Takes in a message of a peer, in the order of the calls. What is returned is to be polled
    /// to its end, beside others of its kind; when it ends, the message's bytes are done with:
    /// where it is slow, the peer should be slowed. Answers come by [`Objects::next_message`].
    ///
    /// # Errors
    /// The bytes are no message, or the peer is none of this deployment's Regions: nothing of it
    /// is taken.
    pub fn receive(
        self: &Arc<Self>,
        from: SiteId,
        payload: Bytes,
    ) -> Result<impl Future<Output = ()> + Send + 'static + use<E>, MessageError> {
        let message = Message::decode(payload)?;
        let state = self.replication.site(from).cloned();
        let state = state.ok_or(MessageError::Malformed)?;
        let now = self.config.environment.now().monotonic;
        let turn = match &message {
            Message::Want {
                task,
                index,
                offset,
            } => {
                state.sending().want(*task, *index, *offset, now);
                state.ring();
                None
            }
            Message::Outcome { .. } | Message::Fetch(_) | Message::Holds(_) => None,
            Message::Fetched {
                question,
                offset,
                bytes,
            } => {
                self.replication.fetched(*question, *offset, bytes.clone());
                None
            }
            _ => {
                let mut transfers = state.transfers();
                transfers.forget_silent(now);
                Some(transfers.turn(message.task(), now))
            }
        };
        let objects = self.clone();
        Ok(async move {
            match (message, turn) {
                (Message::Outcome { task, result }, _) => {
                    objects.answered(from, &state, task, result).await;
                }
                (Message::Fetch(fetch), _) => objects.answer_fetch(&state, *fetch).await,
                (Message::Holds(holds), _) => objects.answer_holds(&state, *holds).await,
                (message, Some(turn)) => {
                    turn.come().await;
                    objects.take_in(from, &state, &turn, message).await;
                }
                (_, None) => {}
            }
        })
    }

    /// A peer says how a task ended.
    async fn answered(&self, from: SiteId, state: &SiteState, number: u64, answer: Answer) {
        let task = {
            let sending = state.sending();
            match sending.flights.get(&number) {
                Some(flight) => flight.task.clone(),
                // It was ended before, or is about to be offered again.
                None => return,
            }
        };
        let now = self.config.environment.now().monotonic;
        let ended = match answer {
            Answer::Done => Ended::Done,
            Answer::Skipped => Ended::Skipped,
            Answer::Failed(name) => match FailureReason::named(&name) {
                Some(reason) => Ended::Failed(reason),
                None => {
                    tracing::error!(name, "a peer fails for a reason that nobody knows");
                    state.sending().again(number, now);
                    return;
                }
            },
            Answer::Later(reason) => {
                tracing::debug!(task = number, reason, "the destination can't take it now");
                state.sending().again(number, now);
                state.ring();
                return;
            }
        };
        self.end(from, state, number, &task, ended).await;
    }

    /// A message of a transfer, in its turn.
    async fn take_in(&self, from: SiteId, state: &SiteState, turn: &Turn, message: Message) {
        let task = message.task();
        let progress = turn.take();
        let taken = match message {
            Message::Offer(offer) => self.take_offer(from, *offer, progress).await,
            Message::Part { index, extent, .. } => {
                self.take_part(from, progress, index, &extent).await
            }
            Message::Content {
                index,
                offset,
                bytes,
                ..
            } => {
                self.take_content(from, progress, index, offset, bytes)
                    .await
            }
            Message::Abandon { .. } => {
                let discarded = self.discard_staged(from, task).await;
                discarded.map(|()| Taken::Forgotten).map_err(Refusal::from)
            }
            Message::Want { .. }
            | Message::Outcome { .. }
            | Message::Fetch(_)
            | Message::Holds(_)
            | Message::Fetched { .. } => Ok(Taken::Forgotten),
        };
        match taken {
            Ok(Taken::On(progress)) => turn.put(progress),
            Ok(Taken::Wants(mut progress)) => {
                let (index, offset) = progress.wanted();
                progress.asked = Some((index, offset));
                turn.put(progress);
                state.answer(Message::Want {
                    task,
                    index,
                    offset,
                });
            }
            Ok(Taken::Done) => self.answer(state, turn, task, Answer::Done),
            Ok(Taken::Forgotten) => state.transfers().ended(task, turn),
            Err(refusal) => self.answer(state, turn, task, refusal.answer()),
        }
    }

    fn answer(&self, state: &SiteState, turn: &Turn, task: u64, result: Answer) {
        state.transfers().ended(task, turn);
        state.answer(Message::Outcome { task, result });
    }

    async fn take_offer(
        &self,
        from: SiteId,
        offer: Offer,
        progress: Option<Box<Progress>>,
    ) -> Result<Taken, Refusal> {
        // The link was new, or the source impatient: it goes on where it was.
        if let Some(mut known) = progress.filter(|known| known.offer == offer) {
            known.asked = None;
            return Ok(Taken::Wants(known));
        }
        let mut taking = self.judge_offer(&offer)?;
        match offer.kind {
            OfferKind::ReplicaAmendment if !syncs_replicas(&taking.bucket, &offer.source) => {
                Err(Refusal::Needless)
            }
            OfferKind::Amendment | OfferKind::ReplicaAmendment => {
                self.take_amendment(&taking, &taking.key).await?;
                Ok(Taken::Done)
            }
            OfferKind::Version | OfferKind::Batch => {
                self.take_known(&taking, &offer).await?;
                if taking.version.is_delete_marker() {
                    return self.import(taking, &offer, Batch::new(), Vec::new()).await;
                }
                match (&offer.body, offer.parts) {
                    (Some(body), _) => {
                        let mut batch = Batch::new();
                        let extent = self.take_body(&taking.version, body.clone()).await?;
                        let extent = extent.enter(&mut batch);
                        place(&mut taking.version, extent);
                        self.import(taking, &offer, batch, Vec::new()).await
                    }
                    (None, 0) => Err(malformed("an object without content")),
                    (None, _) => self.begin(from, taking, offer).await,
                }
            }
        }
    }

    /// May it come here, and as what?
    fn judge_offer(&self, offer: &Offer) -> Result<Taking, Refusal> {
        let name = offer
            .destination
            .parse()
            .map_err(|_| FailureReason::DstBucketNotFound)?;
        let entry = self
            .entry_of(&name)
            .ok_or(FailureReason::DstBucketNotFound)?;
        if entry.region != self.config.region {
            return Err(FailureReason::DstBucketNotFound.into());
        }
        let bucket = Bucket {
            settings: self.kept(&entry).settings,
            name,
            entry,
        };
        if bucket.settings.versioning != Versioning::Enabled {
            return Err(FailureReason::DstBucketUnversioned.into());
        }
        let key: ObjectKey = offer.key.parse().map_err(|_| malformed("its key"))?;
        let version: ObjectVersion =
            serde_json::from_slice(&offer.version).map_err(|_| malformed("its version"))?;
        let locks = |version: &ObjectVersion| {
            version
                .object()
                .is_some_and(|object| object.retention.is_some() || object.legal_hold)
        };
        if bucket.settings.object_lock.is_none() && (offer.locked || locks(&version)) {
            return Err(FailureReason::DstBucketObjectLockConfigMissing.into());
        }
        let judge = self.assume(&offer.role, &bucket)?;
        judge.may_write(&key, &version, offer.owner_override)?;
        let version = self.as_replica(&bucket, version, offer);
        Ok(Taking {
            bucket,
            key,
            version,
        })
    }

    /// A version as it is to be in its destination's bucket.
    fn as_replica(
        &self,
        bucket: &Bucket,
        mut version: ObjectVersion,
        offer: &Offer,
    ) -> ObjectVersion {
        let enforced = bucket.settings.ownership == Some(ObjectOwnership::BucketOwnerEnforced);
        let owned = offer.owner_override || enforced;
        if owned {
            version.owner = bucket.entry.owner;
        }
        version.is_replica = true;
        version.outcomes.clear();
        let made = version.stamp.last_modified();
        if let State::Object(object) = &mut version.state {
            if let Some(class) = &offer.storage_class {
                object.storage_class = class.clone();
            }
            if owned {
                object.acl = None;
            }
            if let (None, Some(Some(default))) = (&object.retention, bucket.settings.object_lock) {
                object.retention = Some(default.retention(made));
            }
        }
        version
    }

    /// A version that is here already, or was, isn't transferred.
    async fn take_known(&self, taking: &Taking, offer: &Offer) -> Result<(), Refusal> {
        let (bucket, stamp) = (taking.bucket.entry.id, taking.version.stamp);
        let snapshot = self.engine.snapshot();
        let row = keys::version(bucket, &taking.key, stamp);
        let found = snapshot.get(Space::Objects, &row).await;
        if found.map_err(ObjectError::from)?.is_some() {
            return match self.take_amendment(taking, &taking.key).await {
                Ok(()) => Err(Refusal::Here),
                Err(refusal) => Err(refusal),
            };
        }
        let row = keys::of_version(kind::GONE, bucket, &taking.key, stamp);
        let gone = snapshot.get(Space::Objects, &row).await;
        match gone.map_err(ObjectError::from)? {
            Some(_) => Err(gone_for_good(offer)),
            None => Ok(()),
        }
    }

    /// Of two states of one version the later of each of their registers is kept.
    async fn take_amendment(&self, taking: &Taking, key: &ObjectKey) -> Result<(), Refusal> {
        let Some(incoming) = taking.version.object() else {
            return Ok(());
        };
        let found = self
            .version_at(&taking.bucket, key, taking.version.stamp)
            .await?;
        let held = found.ok_or(FailureReason::DstVersionNotFound)?;
        let now = self.wall();
        let changes = |object: &crate::ObjectData| object.clone().merge(incoming, now);
        if !held.object().is_some_and(changes) {
            return Ok(());
        }
        let change = |_: &crate::BucketSettings, version: &mut ObjectVersion| {
            if let State::Object(object) = &mut version.state {
                object.merge(incoming, now);
            }
            Ok(Batch::new())
        };
        let (id, cause) = (held.id(), Cause::Replication);
        let aspect = Aspect::Everything;
        let amended = self.amend_with(&taking.bucket, key, Some(id), aspect, &cause, change);
        amended.await?;
        Ok(())
    }

    /// The version of that stamp.
    pub(super) async fn version_at(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        stamp: Stamp,
    ) -> Result<Option<ObjectVersion>, ObjectError> {
        let row = keys::version(bucket.entry.id, key, stamp);
        let bytes = self.engine.snapshot().get(Space::Objects, &row).await?;
        bytes.map(|bytes| ObjectVersion::decode(&bytes)).transpose()
    }

    /// Bytes that came with their offer.
    async fn take_body(&self, version: &ObjectVersion, body: Bytes) -> Result<Ingested, Refusal> {
        let (Some(told), Some(object)) = (only_extent(version), version.object()) else {
            return Err(malformed("the body of what has none"));
        };
        let mut arriving = super::arrive::begin(&self.contents, &object.encryption, told);
        arriving.push(body).await?;
        Ok(arriving.finish().await?)
    }

    /// Stores a version whose content is here.
    pub(super) async fn import(
        &self,
        taking: Taking,
        offer: &Offer,
        batch: Batch,
        parts: Vec<Extent>,
    ) -> Result<Taken, Refusal> {
        let import = Import {
            version: taking.version,
            parts,
            batch,
        };
        let imported = self.import_version(&taking.bucket, &taking.key, &import);
        match imported.await? {
            Imported::Stored | Imported::Known => Ok(Taken::Done),
            Imported::Gone => Err(gone_for_good(offer)),
            Imported::Superseded => Err(Refusal::Needless),
        }
    }
}

/// An offer that was judged: where it goes, and as what.
pub(super) struct Taking {
    pub bucket: Bucket,
    pub key: ObjectKey,
    pub version: ObjectVersion,
}

/// What became of a message.
pub(super) enum Taken {
    /// More is to come.
    On(Box<Progress>),
    /// What follows is to be asked for.
    Wants(Box<Progress>),
    /// It is here.
    Done,
    /// It isn't wanted by its source any more.
    Forgotten,
}

/// Do changes travel both ways between this bucket and that one?
fn syncs_replicas(bucket: &Bucket, other: &str) -> bool {
    let configuration = bucket.settings.replication.iter();
    let mut rules = configuration.flat_map(|configuration| &configuration.rules);
    rules.any(|rule| {
        let destination = rule.destination.bucket_name();
        let there = destination.is_some_and(|name| name.as_str() == other);
        rule.is_enabled() && there && rule.syncs_replicas()
    })
}

/// What was deleted for good here isn't made again; a batch job's report says so.
fn gone_for_good(offer: &Offer) -> Refusal {
    match offer.kind {
        OfferKind::Batch => FailureReason::DstObjectHardDeleted.into(),
        _ => Refusal::Here,
    }
}

pub(super) fn malformed(what: &str) -> Refusal {
    Refusal::Trouble(ObjectError::Internal(format!(
        "what a peer offers can't be read: {what}"
    )))
}

/// Says where a version's one piece is.
pub(super) fn place(version: &mut ObjectVersion, extent: Extent) {
    if let State::Object(object) = &mut version.state {
        object.content = Content::Whole(extent);
    }
}
