//! What a task is about, made ready to be offered: the version as it is now, if its rule still
//! stands and its role may read it. It sends nothing.

use bytes::Bytes;
use store::{Engine, Snapshot, Space};
use types::SiteId;

use super::message::{Message, Offer, OfferKind};
use super::outcome::{Ended, decode_task, rule_of};
use super::stream::{Stream, read_whole, told};
use super::task::{Task, TaskKind, outbox_row};
use super::{FailureReason, Flight};
use crate::rules::Rule;
use crate::{
    Bucket, Content, Encryption, Extent, ObjectError, ObjectVersion, Objects, ReplicationStatus,
    State,
};

/// Objects up to this many bytes go with their offer: one way, no question. More in one message
/// would hold up what shares the connection.
pub(super) const WITH_OFFER: u64 = 64 * 1024;

/// A task made ready.
pub(super) enum Ready {
    /// To be offered.
    Offer(Box<Offered>),
    /// To be ended without.
    End(Task, Ended),
    /// It has ended already.
    Gone,
}

/// What is offered.
pub(super) struct Offered {
    pub message: Message,
    pub flight: Flight,
    /// Content that is sent in pieces.
    pub stream: Option<Stream>,
}

impl<E: Engine> Objects<E> {
    /// Makes a task ready.
    ///
    /// # Errors
    /// What is stored can't be read.
    pub(super) async fn make_ready(&self, site: SiteId, number: u64) -> Result<Ready, ObjectError> {
        let Some(task) = self.task(site, number).await? else {
            return Ok(Ready::Gone);
        };
        let Some(bucket) = self.source_of(&task) else {
            return Ok(Ready::End(
                task,
                Ended::Failed(FailureReason::SrcBucketNotFound),
            ));
        };
        let Some(version) = self.version_of(&bucket, &task).await? else {
            let gone = match task.job {
                Some(_) => Ended::Failed(FailureReason::SrcVersionNotFound),
                None => Ended::Dropped,
            };
            return Ok(Ready::End(task, gone));
        };
        if !is_pending(&task, &version) {
            return Ok(Ready::End(task, Ended::Dropped));
        }
        let Some(rule) = rule_of(&bucket, &task) else {
            let reason = FailureReason::SrcBucketReplicationConfigMissing;
            return Ok(Ready::End(task, Ended::Failed(reason)));
        };
        if let Err(reason) = self.judge_source(&bucket, &task, &version) {
            return Ok(Ready::End(task, Ended::Failed(reason)));
        }
        let offered = self.offer(number, &task, &bucket, rule, &version).await;
        match offered {
            // Deleted for good while it was read.
            Err(_) if self.version_of(&bucket, &task).await?.is_none() => {
                Ok(Ready::End(task, Ended::Dropped))
            }
            offered => Ok(Ready::Offer(Box::new(offered?))),
        }
    }

    /// The task of that number; none if it has ended.
    pub(super) async fn task(
        &self,
        site: SiteId,
        number: u64,
    ) -> Result<Option<Task>, ObjectError> {
        let row = outbox_row(site, number);
        let bytes = self.engine.snapshot().get(Space::Objects, &row).await?;
        bytes.map(|bytes| decode_task(&bytes)).transpose()
    }

    fn judge_source(
        &self,
        bucket: &Bucket,
        task: &Task,
        version: &ObjectVersion,
    ) -> Result<(), FailureReason> {
        let judge = self.assume(&role_of(bucket), bucket)?;
        judge.may_read(&task.key, version)
    }

    async fn offer(
        &self,
        number: u64,
        task: &Task,
        bucket: &Bucket,
        rule: &Rule,
        version: &ObjectVersion,
    ) -> Result<Offered, ObjectError> {
        let object = version.object();
        let whole = task.kind != TaskKind::Amendment;
        let mut offer = Offer {
            task: number,
            kind: match task.kind {
                TaskKind::Version => OfferKind::Version,
                TaskKind::Batch => OfferKind::Batch,
                TaskKind::Amendment if version.is_replica => OfferKind::ReplicaAmendment,
                TaskKind::Amendment => OfferKind::Amendment,
            },
            destination: task.destination.as_str().to_owned(),
            source: bucket.name.as_str().to_owned(),
            role: role_of(bucket),
            key: task.key.as_str().to_owned(),
            storage_class: rule.destination.storage_class.clone(),
            owner_override: rule.destination.owner_override,
            locked: bucket.settings.object_lock.is_some(),
            version: stripped(version),
            parts: 0,
            body: None,
        };
        let mut stream = None;
        if let Some(object) = object.filter(|_| whole) {
            let stamp = version.stamp;
            let extents = self
                .extents(bucket.entry.id, &task.key, stamp, object)
                .await?;
            match &extents[..] {
                [extent] if goes_with_offer(object.size, &object.content) => {
                    offer.body = Some(read_whole(self, &object.encryption, extent).await?);
                }
                _ => {
                    offer.parts = extents.len() as u32;
                    let encryption = object.encryption.clone();
                    let destination = task.destination.clone();
                    stream = Some(Stream::new(number, destination, extents, encryption));
                }
            }
        }
        let offered = offer.body.as_ref().map_or(0, Bytes::len) as u64;
        Ok(Offered {
            message: Message::Offer(Box::new(offer)),
            flight: Flight {
                task: task.clone(),
                offered,
            },
            stream,
        })
    }
}

fn goes_with_offer(size: u64, content: &Content) -> bool {
    size <= WITH_OFFER && matches!(content, Content::Whole(_))
}

/// The role that replication of that bucket acts as.
fn role_of(bucket: &Bucket) -> String {
    let configuration = bucket.settings.replication.as_ref();
    configuration.map_or_else(String::new, |configuration| configuration.role.clone())
}

/// Does the version still wait for that task? One that has failed isn't tried again.
fn is_pending(task: &Task, version: &ObjectVersion) -> bool {
    let destination = task.destination.as_str();
    let mut outcomes = version.outcomes.iter();
    outcomes.any(|outcome| {
        outcome.rule == task.rule
            && outcome.bucket == destination
            && outcome.status == ReplicationStatus::Pending
    })
}

/// A version as JSON as another Region is told of it: without how its replication stands, and
/// without where it is stored.
fn stripped(version: &ObjectVersion) -> Bytes {
    let mut version = version.clone();
    version.outcomes.clear();
    version.is_replica = true;
    if let State::Object(object) = &mut version.state {
        let encryption: &Encryption = &object.encryption;
        let content = match &object.content {
            Content::Whole(extent) => Content::Whole(told(encryption, extent)),
            Content::Parts(count) => Content::Parts(*count),
        };
        object.content = content;
    }
    let json = serde_json::to_vec(&version).expect("a version has text for keys");
    Bytes::from(json)
}

/// The extent of a version that is one piece.
pub(super) fn only_extent(version: &ObjectVersion) -> Option<&Extent> {
    match &version.object()?.content {
        Content::Whole(extent) => Some(extent),
        Content::Parts(_) => None,
    }
}
