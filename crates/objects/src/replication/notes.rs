//! Notes of versions that were deleted for good here are let go of once no Region can bring them
//! back: a day after, when every Region has said twice, an hour apart, that it has the version in
//! no bucket (of this one: in no other bucket). Only who has a version can send it; what was on its
//! way when the first was said has arrived or been lost by the second. A Region that doesn't answer
//! may have it. A pass asks about a bounded number, and the next goes on there.

use std::ops::Bound;

use bytes::{BufMut, Bytes, BytesMut};
use store::{Batch, CommitError, Direction, Engine, KeyRange, Snapshot, Space};
use types::{SiteId, Span, Timestamp};

use super::SiteState;
use super::message::{Holds, MAX_ASKED, Message};
use crate::keys::{self, kind};
use crate::{BucketId, ObjectError, ObjectKey, Objects, Stamp};

/// How often.
const INTERVAL: Span = Span::seconds(3600);

/// Questions a pass, at most: so 1,024 notes.
const QUESTIONS: usize = 16;

/// A note isn't asked about before it is so old, in milliseconds: a day.
const YOUNG: u64 = 24 * 60 * 60 * 1000;

/// What is said twice is said so far apart, in milliseconds: an hour.
const APART: u64 = 60 * 60 * 1000;

/// A note.
struct Note {
    row: Bytes,
    value: Bytes,
    key: ObjectKey,
    stamp: Stamp,
    since: Timestamp,
    /// Since when nobody has the version, as far as it was said.
    lost: Option<Timestamp>,
}

impl<E: Engine> Objects<E> {
    /// Lets go of notes for as long as it is polled.
    pub(super) async fn trim_notes_on(&self) {
        let mut after = None;
        loop {
            if let Err(error) = self.trim_notes(&mut after).await {
                tracing::debug!(%error, "notes of deleted versions are kept for now");
            }
            let next = self.config.environment.now().monotonic + INTERVAL;
            self.config.environment.sleep_until(next).await;
        }
    }

    /// A pass, from the note after `after` on; how many it has let go of.
    ///
    /// # Errors
    /// A Region doesn't answer, or the disk fails: the next pass goes on there.
    pub(super) async fn trim_notes(&self, after: &mut Option<Bytes>) -> Result<usize, ObjectError> {
        let mut trimmed = 0;
        for _ in 0..QUESTIONS {
            let (bucket, notes, last) = self.next_notes(after.as_ref()).await?;
            if last.is_none() {
                *after = None;
                break;
            }
            trimmed += self.judge_notes(bucket, notes).await?;
            *after = last;
        }
        Ok(trimmed)
    }

    /// The next notes, all of one bucket, that are old enough; and the row up to which was looked.
    async fn next_notes(
        &self,
        after: Option<&Bytes>,
    ) -> Result<(BucketId, Vec<Note>, Option<Bytes>), ObjectError> {
        let mut range = KeyRange::prefix(&[kind::GONE]);
        if let Some(after) = after {
            range.start = Bound::Excluded(after.clone());
        }
        let snapshot = self.engine.snapshot();
        let page = snapshot.scan(Space::Objects, range, Direction::Forward, MAX_ASKED);
        let now = self.wall();
        let (mut of, mut notes, mut last) = (BucketId(0), Vec::new(), None);
        for entry in page.await?.entries {
            let (bucket, note) = read(&entry.key, &entry.value).ok_or_else(unreadable)?;
            if last.is_some() && bucket != of {
                break;
            }
            (of, last) = (bucket, Some(entry.key));
            if now.0 >= note.since.0.saturating_add(YOUNG) {
                notes.push(note);
            }
        }
        Ok((of, notes, last))
    }

    async fn judge_notes(&self, bucket: BucketId, notes: Vec<Note>) -> Result<usize, ObjectError> {
        if notes.is_empty() {
            return Ok(0);
        }
        let mut held = vec![false; notes.len()];
        for (site, _) in self.config.deployment.regions() {
            let answer = match site == self.config.site {
                true => {
                    let versions = notes
                        .iter()
                        .map(|note| Some((note.key.clone(), note.stamp)));
                    self.held_here(Some(bucket), versions).await?
                }
                false => self.ask_about(site, &notes).await?,
            };
            for (held, there) in held.iter_mut().zip(&answer) {
                *held |= *there != 0;
            }
        }
        let now = self.wall();
        let mut batch = Batch::new();
        let mut trimmed = 0;
        for (note, held) in notes.into_iter().zip(held) {
            let value = match (held, note.lost) {
                (true, None) => continue,
                (true, Some(_)) => Some(value_of(note.since, None)),
                (false, None) => Some(value_of(note.since, Some(now))),
                (false, Some(lost)) if now.0 < lost.0.saturating_add(APART) => continue,
                (false, Some(_)) => None,
            };
            batch.require(Space::Objects, note.row.clone(), Some(note.value));
            match value {
                Some(value) => batch.put(Space::Objects, note.row, value),
                None => {
                    batch.delete(Space::Objects, note.row);
                    trimmed += 1;
                }
            }
        }
        if batch.is_empty() {
            return Ok(0);
        }
        match self.engine.commit(batch).await {
            Ok(_) => Ok(trimmed),
            // Its bucket is being deleted: the notes go with it.
            Err(CommitError::Precondition(_)) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// A byte for each note: does that Region have the version?
    async fn ask_about(&self, site: SiteId, notes: &[Note]) -> Result<Bytes, ObjectError> {
        let silent = || ObjectError::Unavailable("a Region doesn't say what it has".to_owned());
        let state = self.replication.site(site).ok_or_else(silent)?;
        let question = self.replication.questions.ask();
        let versions = notes.iter().map(|note| {
            let stamp = Bytes::copy_from_slice(&note.stamp.to_bytes());
            (note.key.as_str().to_owned(), stamp)
        });
        state.answer(Message::Holds(Box::new(Holds {
            question,
            versions: versions.collect(),
        })));
        let answer = self.next_answer(question, 0).await;
        self.replication.questions.close(question);
        answer
            .filter(|held| held.len() == notes.len())
            .ok_or_else(silent)
    }

    /// A peer asks about versions. What can't be read is no answer.
    pub(super) async fn answer_holds(&self, state: &SiteState, holds: Holds) {
        let versions = holds.versions.iter();
        let versions =
            versions.map(|(key, stamp)| Some((key.parse().ok()?, Stamp::from_bytes(stamp)?)));
        match self.held_here(None, versions).await {
            Ok(bytes) => state.answer(Message::Fetched {
                question: holds.question,
                offset: 0,
                bytes,
            }),
            Err(error) => tracing::warn!(%error, "a peer isn't told what is here"),
        }
    }

    /// A byte for each version: does a bucket of this Region but that one have it? One that isn't
    /// understood may be here.
    async fn held_here(
        &self,
        but: Option<BucketId>,
        versions: impl Iterator<Item = Option<(ObjectKey, Stamp)>>,
    ) -> Result<Bytes, ObjectError> {
        let snapshot = self.engine.snapshot();
        let buckets = self.names_of_buckets();
        let mut held = Vec::new();
        for version in versions {
            let Some((key, stamp)) = version else {
                held.push(1);
                continue;
            };
            let mut is_here = false;
            for bucket in buckets.keys().filter(|bucket| Some(**bucket) != but) {
                let row = keys::version(*bucket, &key, stamp);
                is_here = snapshot.get(Space::Objects, &row).await?.is_some();
                if is_here {
                    break;
                }
            }
            held.push(u8::from(is_here));
        }
        Ok(Bytes::from(held))
    }
}

fn read(row: &Bytes, value: &Bytes) -> Option<(BucketId, Note)> {
    let bucket = BucketId(u64::from_be_bytes(*row.get(1..)?.first_chunk::<8>()?));
    let (key, stamp) = keys::split(row)?;
    let millis = |at: usize| Some(u64::from_be_bytes(*value.get(at..)?.first_chunk::<8>()?));
    let note = Note {
        row: row.clone(),
        value: value.clone(),
        key,
        stamp: Stamp::from_bytes(stamp)?,
        since: Timestamp(millis(0)?),
        lost: millis(8).map(Timestamp),
    };
    Some((bucket, note))
}

fn value_of(since: Timestamp, lost: Option<Timestamp>) -> Bytes {
    let mut value = BytesMut::with_capacity(16);
    value.put_u64(since.0);
    if let Some(lost) = lost {
        value.put_u64(lost.0);
    }
    value.freeze()
}

fn unreadable() -> ObjectError {
    ObjectError::Internal("a note of a deleted version can't be read".to_owned())
}
