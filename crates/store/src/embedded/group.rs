//! A group of commits on the way to one sync: judges each against the database and the commits
//! before it, and collects what they come to. Pure: it reads through a function and writes
//! nothing.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::completion::{Answer, Completion};
use crate::{Batch, CommitError, LogPosition, ReadError, Space, Write};

/// Which batches there is room for on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    /// All.
    Ample,
    /// Those that add no data (`Batch::adds_data`).
    Scarce,
    /// Those that free space, and add no data.
    None,
}

/// Commits that will be synced together.
#[derive(Debug)]
pub(super) struct Group {
    room: Room,
    head: LogPosition,
    /// What each key comes to: of two writes the later stands.
    changes: BTreeMap<(Space, Bytes), Option<Bytes>>,
    answers: Vec<(Completion, Answer)>,
}

impl Group {
    /// An empty group over a database whose log has that head.
    pub(super) fn new(head: LogPosition, room: Room) -> Group {
        Group {
            room,
            head,
            changes: BTreeMap::new(),
            answers: Vec::new(),
        }
    }

    /// Judges a batch, and takes it in if it may be committed. `read` reads the database as it
    /// was before the group.
    ///
    /// # Errors
    /// If a precondition can't be judged, because it can't be read.
    pub(super) fn add(
        &mut self,
        batch: Batch,
        completion: Completion,
        read: impl Fn(Space, &[u8]) -> Result<Option<Bytes>, ReadError>,
    ) -> Result<(), ReadError> {
        let answer = match self.judge(&batch, read)? {
            Some(refusal) => Err(refusal),
            None => Ok(self.take(batch)),
        };
        self.answers.push((completion, answer));
        Ok(())
    }

    /// The log's head after the group.
    pub(super) fn head(&self) -> LogPosition {
        self.head
    }

    /// Everything to be written.
    pub(super) fn changes(&self) -> &BTreeMap<(Space, Bytes), Option<Bytes>> {
        &self.changes
    }

    /// Answers every commit, in order; with `failure`, those fail that weren't refused.
    pub(super) fn answer(self, failure: Option<&CommitError>) {
        for (completion, answer) in self.answers {
            completion.resolve(match (answer, failure) {
                (Ok(_), Some(failure)) => Err(failure.clone()),
                (answer, _) => answer,
            });
        }
    }

    fn judge(
        &self,
        batch: &Batch,
        read: impl Fn(Space, &[u8]) -> Result<Option<Bytes>, ReadError>,
    ) -> Result<Option<CommitError>, ReadError> {
        for (index, precondition) in batch.preconditions.iter().enumerate() {
            let place = (precondition.space, precondition.key.clone());
            let found = match self.changes.get(&place) {
                Some(change) => change.clone(),
                None => read(precondition.space, &precondition.key)?,
            };
            if found != precondition.value {
                return Ok(Some(CommitError::Precondition(index)));
            }
        }
        let fits = match self.room {
            Room::Ample => true,
            Room::Scarce => !batch.adds_data(),
            Room::None => batch.frees_space(),
        };
        Ok((!fits).then_some(CommitError::DiskFull))
    }

    fn take(&mut self, batch: Batch) -> LogPosition {
        for write in batch.writes {
            match write {
                Write::Put { space, key, value } => self.changes.insert((space, key), Some(value)),
                Write::Delete { space, key } => self.changes.insert((space, key), None),
            };
        }
        for payload in batch.announcements {
            self.head.0 += 1;
            let place = (Space::Log, self.head.key());
            self.changes.insert(place, Some(payload));
        }
        self.head
    }
}
