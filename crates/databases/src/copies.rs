//! Copies of snapshots: from what is wanted of one and what is on the disk of it to what comes
//! next, and what is written down of it. Pure but for the writing; it fetches nothing.
//!
//! A copy is fetched until it is whole, however often the link is cut or its copier dies: what is
//! here already is gone on from. It is given up when its source is gone, when the disk or what
//! came is not what it must be, three times in a row, or when the disk stays full for minutes: what
//! is here of it then takes the room that servers need.

use types::{ConfigurationView, Monotonic, Span, Timestamp};

use crate::arn::SnapshotArn;
use crate::catalogue;
use crate::events::{self, Category, Telling};
use crate::keys;
use crate::model::{Snapshot, SnapshotId, SnapshotState};
use crate::plan::FailureKind;
use crate::progress::ProgressError;
use crate::public_words::public;
use crate::service::Service;

/// The first wait after a copy was cut off.
const FIRST_WAIT: Span = Span::milliseconds(250);

/// The longest wait before it is gone on with.
const LONGEST_WAIT: Span = Span::seconds(15);

/// How often what can't be is tried.
const MOST_ATTEMPTS: u32 = 3;

/// How often it is tried on a disk that is full: for about five minutes.
const MOST_ON_FULL: u32 = 26;

/// How a copy was cut off last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopyFailure {
    /// Why.
    pub kind: FailureKind,
    /// Why, in words that a user reads.
    pub reason: String,
    /// How often in a row, nothing having come between.
    pub attempts: u32,
    /// When.
    pub at: Monotonic,
}

/// What is seen of a copy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CopySeen {
    /// Its bytes and since when it is whole, once it is.
    pub whole: Option<(u64, Timestamp)>,
    /// How it was cut off last, by this process.
    pub failure: Option<CopyFailure>,
}

/// What was reached of a copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CopyRecord {
    /// It is whole.
    Copied {
        /// Its bytes.
        bytes: u64,
        /// Since when.
        taken: Timestamp,
    },
    /// It can't be.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What comes next of a copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CopyNext {
    /// It is fetched, from where it stands.
    Fetch,
    /// That is written down ([`Service::copy_reached`]).
    Record(CopyRecord),
    /// Nothing before that time.
    WaitUntil(Monotonic),
    /// It isn't copied, or not any more.
    Settled,
}

/// What comes next of a copy.
pub fn next_copy(snapshot: &Snapshot, seen: &CopySeen, now: Monotonic) -> CopyNext {
    if snapshot.state != SnapshotState::Copying {
        return CopyNext::Settled;
    }
    if let Some((bytes, taken)) = seen.whole {
        return CopyNext::Record(CopyRecord::Copied { bytes, taken });
    }
    let Some(failure) = &seen.failure else {
        return CopyNext::Fetch;
    };
    let is_hopeless = match failure.kind {
        FailureKind::SourceGone => true,
        FailureKind::Damaged | FailureKind::Other => failure.attempts >= MOST_ATTEMPTS,
        FailureKind::DiskFull => failure.attempts >= MOST_ON_FULL,
        FailureKind::Source | FailureKind::Settings => false,
    };
    if is_hopeless {
        let reason = failure.reason.clone();
        return CopyNext::Record(CopyRecord::Failed { reason });
    }
    let doublings = failure.attempts.saturating_sub(1).min(16);
    let wait = Span(FIRST_WAIT.0.saturating_mul(1 << doublings)).min(LONGEST_WAIT);
    let due = failure.at + wait;
    match now < due {
        true => CopyNext::WaitUntil(due),
        false => CopyNext::Fetch,
    }
}

impl Service {
    /// Writes down what was reached of a copy. One that is none any more has reached nothing; told
    /// twice, nothing more happens.
    ///
    /// # Errors
    ///
    /// [`ProgressError`]: nothing was written.
    pub async fn copy_reached(
        &self,
        arn: &SnapshotArn,
        id: &SnapshotId,
        record: &CopyRecord,
    ) -> Result<(), ProgressError> {
        let now = self.now();
        let made = self.change(|view: &dyn ConfigurationView| {
            let found = catalogue::snapshot(view, arn)?;
            let is_it = |row: &catalogue::Row<Snapshot>| {
                row.1.id == *id && row.1.state == SnapshotState::Copying
            };
            let Some((revision, mut snapshot)) = found.filter(is_it) else {
                return Ok((Vec::new(), ()));
            };
            let told = match record {
                CopyRecord::Copied { bytes, taken } => {
                    snapshot.state = SnapshotState::Available;
                    snapshot.bytes = *bytes;
                    snapshot.taken = Some(*taken);
                    let text = "Finished copy of snapshot";
                    Telling::of_snapshot(&snapshot, Category::Notification, text)
                }
                CopyRecord::Failed { reason } => {
                    let reason = public(reason);
                    snapshot.state = SnapshotState::Failed;
                    snapshot.failure = Some(reason.clone());
                    let text = format!("Snapshot copy failed: {reason}");
                    Telling::of_snapshot(&snapshot, Category::Failure, text)
                }
            };
            let key = keys::snapshot(arn);
            let mut edits = vec![catalogue::replace(key, revision, &snapshot)];
            edits.extend(events::edits(view, now, vec![told]));
            Ok((edits, ()))
        });
        Ok(made.await?)
    }
}
