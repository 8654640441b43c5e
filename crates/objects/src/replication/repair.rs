//! Bytes that are damaged in one Region are got from another that has the version: where it was
//! replicated to, or where it came from. What comes is taken in as any content is, against the
//! size and the digests that this Region knows: what isn't the same is not taken.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use event_listener::Event;
use futures_util::future::{Either, select};
use store::Engine;
use types::{SiteId, Span};

use super::arrive::begin;
use super::message::{Fetch, MAX_CONTENT, Message};
use super::stream::{Reader, open};
use super::{Replication, SiteState};
use crate::content::Ingested;
use crate::scrub::{DamagedPiece, Repair, Repairing};
use crate::{Bucket, BucketName, Encryption, Extent, ObjectError, ObjectVersion, Objects, Stamp};

/// Messages that answer one question, at most.
const ANSWERS: usize = 8;

/// An answer is waited for so long.
const PATIENCE: Span = Span::seconds(30);

/// Repairs from replicas.
pub struct ReplicaRepair<E: Engine>(pub Arc<Objects<E>>);

/// Questions that are open.
pub(super) struct Questions {
    open: Mutex<Open>,
    answered: Event,
}

struct Open {
    next: u64,
    answers: BTreeMap<u64, VecDeque<(u64, Bytes)>>,
}

impl Replication {
    /// A peer has answered; an answer that nobody waits for is dropped.
    pub(super) fn fetched(&self, question: u64, offset: u64, bytes: Bytes) {
        let mut open = self.questions.lock();
        if let Some(answers) = open.answers.get_mut(&question)
            && answers.len() < 2 * ANSWERS
        {
            answers.push_back((offset, bytes));
            self.questions.answered.notify(usize::MAX);
        }
    }
}

impl Questions {
    /// None is open; the next has that number. One that is drawn: an answer to a question of
    /// before a restart is to be no answer to one of after it.
    pub(super) fn numbered_from(next: u64) -> Questions {
        Questions {
            open: Mutex::new(Open {
                next,
                answers: BTreeMap::new(),
            }),
            answered: Event::new(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().expect("nothing panics inside")
    }

    pub(super) fn ask(&self) -> u64 {
        let mut open = self.lock();
        open.next = open.next.wrapping_add(1);
        let question = open.next;
        open.answers.insert(question, VecDeque::new());
        question
    }

    pub(super) fn close(&self, question: u64) {
        self.lock().answers.remove(&question);
    }
}

impl<E: Engine> Repair for ReplicaRepair<E> {
    fn repair<'a>(&'a self, piece: &'a DamagedPiece) -> Repairing<'a> {
        Box::pin(self.0.fetch_piece(piece))
    }
}

/// A piece that is damaged here, and what is known of it.
struct Wanted {
    bucket: BucketName,
    version: ObjectVersion,
    encryption: Encryption,
    extent: Extent,
}

impl<E: Engine> Objects<E> {
    /// Asks one Region after the other.
    async fn fetch_piece(&self, piece: &DamagedPiece) -> Result<Option<Ingested>, ObjectError> {
        let Some(wanted) = self.wanted(piece).await? else {
            return Ok(None);
        };
        let version = &wanted.version;
        let mut places: Vec<(SiteId, String)> = version
            .outcomes
            .iter()
            .map(|outcome| (outcome.site, outcome.bucket.clone()))
            .collect();
        if version.is_replica {
            let origin = version.stamp.version.site;
            places.push((origin, String::new()));
            let mut others = self.config.deployment.regions();
            places.extend(
                others
                    .by_ref()
                    .filter(|(site, _)| *site != origin)
                    .map(|(site, _)| (site, String::new())),
            );
        }
        for (site, replica) in places {
            match self.fetch_from(site, &replica, piece, &wanted).await {
                Ok(Some(ingested)) => return Ok(Some(ingested)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(site = site.0, %error, "a replica doesn't mend what is damaged");
                }
            }
        }
        Ok(None)
    }

    async fn wanted(&self, piece: &DamagedPiece) -> Result<Option<Wanted>, ObjectError> {
        let names = self.names_of_buckets();
        let Some(name) = names.get(&piece.bucket) else {
            return Ok(None);
        };
        let bucket = self.bucket(name)?;
        let Some(version) = self.version_at(&bucket, &piece.key, piece.stamp).await? else {
            return Ok(None);
        };
        let Some(object) = version.object() else {
            return Ok(None);
        };
        let key = &piece.key;
        let extents = self.extents(piece.bucket, key, piece.stamp, object).await?;
        let mut extents = extents.into_iter();
        let extent = extents.find(|extent| extent.blob == piece.blob.0);
        let encryption = object.encryption.clone();
        Ok(extent.map(|extent| Wanted {
            bucket: name.clone(),
            encryption,
            extent,
            version,
        }))
    }

    async fn fetch_from(
        &self,
        site: SiteId,
        replica: &str,
        piece: &DamagedPiece,
        wanted: &Wanted,
    ) -> Result<Option<Ingested>, ObjectError> {
        let Some(state) = self.replication.site(site) else {
            return Ok(None);
        };
        let mut arriving = begin(&self.contents, &wanted.encryption, &wanted.extent);
        while !arriving.is_whole() {
            let question = self.replication.questions.ask();
            let from = arriving.length();
            state.answer(Message::Fetch(Box::new(Fetch {
                question,
                bucket: wanted.bucket.as_str().to_owned(),
                replica: replica.to_owned(),
                key: piece.key.as_str().to_owned(),
                stamp: Bytes::copy_from_slice(&piece.stamp.to_bytes()),
                number: wanted.extent.number,
                offset: from,
            })));
            let until = from + (ANSWERS * MAX_CONTENT) as u64;
            let mut came = true;
            while came && !arriving.is_whole() && arriving.length() < until {
                let next = self.next_answer(question, arriving.length()).await;
                came = next.is_some();
                if let Some(bytes) = next {
                    arriving.push(bytes).await?;
                }
            }
            self.replication.questions.close(question);
            if arriving.length() == from {
                return Ok(None);
            }
        }
        arriving.finish().await.map(Some)
    }

    /// The answer that goes on at that offset; none if there is nothing, or nothing comes.
    pub(super) async fn next_answer(&self, question: u64, offset: u64) -> Option<Bytes> {
        let environment = &self.config.environment;
        let mut alarm = environment.sleep_until(environment.now().monotonic + PATIENCE);
        loop {
            let bell = self.replication.questions.answered.listen();
            let answer = {
                let mut open = self.replication.questions.lock();
                open.answers.get_mut(&question)?.pop_front()
            };
            match answer {
                Some((at, bytes)) if at == offset => return Some(bytes).filter(|b| !b.is_empty()),
                Some(_) => continue,
                None => {}
            }
            match select(bell, alarm).await {
                Either::Left(((), rest)) => alarm = rest,
                Either::Right(_) => return None,
            }
        }
    }

    /// A peer asks for bytes of a version that this Region may have.
    pub(super) async fn answer_fetch(&self, state: &SiteState, fetch: Fetch) {
        let (question, mut offset) = (fetch.question, fetch.offset);
        let none = |offset| Message::Fetched {
            question,
            offset,
            bytes: Bytes::new(),
        };
        let mut reader = match self.find_fetched(&fetch).await {
            Ok(Some(reader)) => reader,
            Ok(None) => return state.answer(none(offset)),
            Err(error) => {
                tracing::warn!(%error, "a peer's damaged bytes can't be read here either");
                return state.answer(none(offset));
            }
        };
        let mut left = ANSWERS;
        while left > 0 {
            let mut read = match reader.next().await {
                Ok(Some(read)) => read,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "a peer's damaged bytes are damaged here too");
                    return state.answer(none(offset));
                }
            };
            while !read.is_empty() && left > 0 {
                let bytes = read.split_to(MAX_CONTENT.min(read.len()));
                let length = bytes.len() as u64;
                state.answer(Message::Fetched {
                    question,
                    offset,
                    bytes,
                });
                offset += length;
                left -= 1;
            }
        }
    }

    async fn find_fetched(&self, fetch: &Fetch) -> Result<Option<Reader>, ObjectError> {
        let Some(stamp) = Stamp::from_bytes(&fetch.stamp) else {
            return Ok(None);
        };
        let Ok(key) = fetch.key.parse() else {
            return Ok(None);
        };
        for bucket in self.related(&fetch.bucket, &fetch.replica) {
            let found = self.version_at(&bucket, &key, stamp).await?;
            let Some(object) = found.as_ref().and_then(ObjectVersion::object) else {
                continue;
            };
            let id = bucket.entry.id;
            let extents = self.extents(id, &key, stamp, object).await?;
            let mut extents = extents.iter();
            if let Some(extent) = extents.find(|extent| extent.number == fetch.number) {
                let reader = open(self, &object.encryption, extent, fetch.offset);
                return reader.await.map(Some);
            }
        }
        Ok(None)
    }

    /// The buckets here that replicate to that one of a peer, and the one that it names.
    fn related(&self, other: &str, named: &str) -> Vec<Bucket> {
        let names = self.names_of_buckets();
        let buckets = names.values().filter_map(|name| self.bucket(name).ok());
        let replicates = |bucket: &Bucket| {
            let rules = bucket.settings.replication.iter();
            let mut rules = rules.flat_map(|configuration| &configuration.rules);
            rules.any(|rule| {
                let destination = rule.destination.bucket_name();
                destination.is_some_and(|name| name.as_str() == other)
            })
        };
        buckets
            .filter(|bucket| bucket.name.as_str() == named || replicates(bucket))
            .collect()
    }
}
