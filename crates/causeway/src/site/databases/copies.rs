//! Copies of snapshots, which the Region's process fetches over the link and gives to others: a
//! task a copy, until it is whole or can't be. `databases` says what comes next of one, `runtime`
//! fetches it, `region` asks the other Region for leave; what is here already is seen on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use databases::copies::{CopyFailure, CopyNext, CopyRecord, CopySeen, next_copy};
use databases::model::{CopyOf, Snapshot, SnapshotId, SnapshotState};
use databases::plan::{FailureKind, SnapshotSeen};
use databases::{AttachRefusal, CopyRequest, SourceError, catalogue};
use runtime::SystemEnvironment;
use runtime::postgres::{FetchError, SnapshotOffer, fetch};
use types::{Environment, Monotonic, Span};

use super::Around;
use super::servers::lock;
use super::snapshots::Snapshots;
use super::steps::Failed;

/// How long a snapshot is offered that nobody fetches any more.
const IDLE: Span = Span::seconds(60);

/// Between two tries to write down what was reached of a copy.
const AGAIN: Span = Span::seconds(1);

/// The copies that somebody is at.
#[derive(Default)]
pub(super) struct Copies(Mutex<BTreeSet<SnapshotId>>);

/// The snapshots of this Region that are being fetched, each at a socket of its own.
pub(super) struct Offers {
    snapshots: Snapshots,
    directory: PathBuf,
    environment: Arc<SystemEnvironment>,
    held: Mutex<BTreeMap<SnapshotId, (SnapshotOffer, Monotonic)>>,
}

/// A short name for a socket's directory: the path of a socket is bounded.
fn place(directory: &std::path::Path, id: &SnapshotId, end: &str) -> PathBuf {
    let from = id.0.len().saturating_sub(12);
    directory.join(format!("{}.{end}", id.0.get(from..).unwrap_or(&id.0)))
}

impl Offers {
    pub(super) fn new(
        snapshots: Snapshots,
        directory: PathBuf,
        environment: Arc<SystemEnvironment>,
    ) -> Offers {
        Offers {
            snapshots,
            directory,
            environment,
            held: Mutex::default(),
        }
    }

    /// The socket at which that whole snapshot is offered from now on.
    pub(super) fn socket(&self, id: &SnapshotId) -> Option<PathBuf> {
        let now = self.environment.now().monotonic;
        let mut held = lock(&self.held);
        if let Some((offer, asked)) = held.get_mut(id) {
            *asked = now;
            return Some(offer.path().to_owned());
        }
        let directory = place(&self.directory, id, "of");
        match SnapshotOffer::new(&self.snapshots.whole(id), &directory) {
            Ok(offer) => {
                let path = offer.path().to_owned();
                held.insert(id.clone(), (offer, now));
                Some(path)
            }
            Err(cause) => {
                tracing::warn!(snapshot = %id, %cause, "a snapshot can't be offered");
                None
            }
        }
    }

    /// Offers no more what nobody fetches.
    pub(super) fn sweep(&self) {
        let now = self.environment.now().monotonic;
        let mut held = lock(&self.held);
        held.retain(|_, (offer, asked)| offer.is_in_use() || now - *asked < IDLE);
    }
}

/// What must be there before anything is fetched, a mounted disk say, is waited for.
fn waits(failed: Failed) -> Failed {
    match failed.kind {
        FailureKind::Other => Failed::new(FailureKind::Source, failed.reason),
        _ => failed,
    }
}

/// Nobody is at that copy any more, however it ended.
struct Done(Arc<Around>, SnapshotId);

impl Drop for Done {
    fn drop(&mut self) {
        lock(&self.0.copies.0).remove(&self.1);
        self.0.servers.copies().remove(&self.1.0);
    }
}

impl Around {
    /// Has every copy fetched that nobody is at yet.
    pub(super) fn copy_new(self: &Arc<Around>) {
        self.offers.sweep();
        let view = self.region.regional_view();
        // What can't be read is told by whoever removes snapshots.
        let rows = catalogue::snapshots(&*view).unwrap_or_default();
        for (_, row) in rows {
            let is_one = row.state == SnapshotState::Copying && !*self.closing.borrow();
            if is_one && lock(&self.copies.0).insert(row.id.clone()) {
                let done = Done(self.clone(), row.id);
                runtime::spawn(async move {
                    let mut closing = done.0.closing.clone();
                    tokio::select! {
                        () = done.0.copy(&done.1) => {}
                        _ = closing.changed() => {}
                    }
                });
            }
        }
    }

    /// Until that copy is whole, or can't be.
    async fn copy(&self, id: &SnapshotId) {
        let mut failure: Option<(CopyFailure, u64)> = None;
        loop {
            let view = self.region.regional_view();
            let rows = catalogue::snapshots(&*view).unwrap_or_default();
            let row = rows.into_iter().find(|(_, row)| row.id == *id);
            let Some((_, row)) = row else { return };
            let whole = match self.snapshots.seen([id].into_iter()).remove(id) {
                Some(SnapshotSeen::Whole { bytes, taken }) => Some((bytes, taken)),
                _ => None,
            };
            let seen = CopySeen {
                whole,
                failure: failure.as_ref().map(|(failure, _)| failure.clone()),
            };
            match next_copy(&row, &seen, self.environment.now().monotonic) {
                CopyNext::Settled => return,
                CopyNext::WaitUntil(at) => self.environment.sleep_until(at).await,
                CopyNext::Record(record) => {
                    if matches!(record, CopyRecord::Failed { .. }) {
                        self.discard(&row).await;
                    }
                    let service = self.region.database_service();
                    if let Err(cause) = service.copy_reached(&row.arn, id, &record).await {
                        tracing::warn!(snapshot = %row.arn, %cause, "a copy is told of again");
                        let soon = self.environment.now().monotonic + AGAIN;
                        self.environment.sleep_until(soon).await;
                    }
                }
                CopyNext::Fetch => failure = self.fetched(&row, failure.take()).await,
            }
        }
    }

    /// Removes what is here of a copy that can't be: its gigabytes are of no use to anybody.
    async fn discard(&self, row: &Snapshot) {
        if let Err(cause) = self.snapshots.remove(&row.id).await {
            tracing::warn!(snapshot = %row.arn, %cause, "what is here of a failed copy stays");
        }
    }

    /// Fetches what there is to fetch; how it was cut off, and with how many bytes here.
    async fn fetched(
        &self,
        row: &Snapshot,
        before: Option<(CopyFailure, u64)>,
    ) -> Option<(CopyFailure, u64)> {
        let progress = self.servers.copies().of(&row.id.0);
        let failed = match &row.copy_of {
            Some(of) => self.fetch(row, of).await.err()?,
            None => Failed::new(FailureKind::Other, "nothing is known of its source"),
        };
        let here = progress.load(Ordering::Relaxed);
        // One that came further counts from the beginning.
        let before = before.filter(|(it, bytes)| it.kind == failed.kind && *bytes == here);
        let attempts = before.map_or(0, |(failure, _)| failure.attempts) + 1;
        tracing::info!(snapshot = %row.arn, here, attempts, reason = failed.reason,
            "a copy was cut off");
        let failure = CopyFailure {
            kind: failed.kind,
            reason: failed.reason,
            attempts,
            at: self.environment.now().monotonic,
        };
        Some((failure, here))
    }

    async fn fetch(&self, row: &Snapshot, of: &CopyOf) -> Result<(), Failed> {
        let postgres = self.postgres.as_ref();
        let postgres = postgres.map_err(|why| Failed::new(FailureKind::Settings, why))?;
        self.prepare(postgres).map_err(waits)?;
        let prepared = self.snapshots.prepare(postgres);
        prepared.map_err(|cause| waits(Failed::from(cause)))?;
        self.leave_to_copy(row, of).await?;
        // No standby waits for what takes hours over a slow link.
        let _turn = self.snapshot_copiers.acquire().await;
        let gone = || Failed::new(FailureKind::SourceGone, "its source is gone");
        let mut _port = None;
        let socket = if of.arn.region == row.arn.region {
            self.offers.socket(&of.id).ok_or_else(gone)?
        } else {
            let site = self.deployment.id_of(of.arn.region).ok_or_else(gone)?;
            let directory = place(&self.directory, &row.id, "cp");
            let port = self.streams.listen(site, &of.id.0, &directory, None);
            let port = port.map_err(|cause| Failed::new(FailureKind::Source, cause))?;
            let path = port.path().to_owned();
            _port = Some(port);
            path
        };
        let progress = self.servers.copies().of(&row.id.0);
        let folder = self.snapshots.unfinished(&row.id);
        let fetched = fetch(&socket, &folder, of.bytes, &progress).await;
        fetched.map_err(|error| match error {
            error @ FetchError::Cut(_) => Failed::new(FailureKind::Source, error),
            FetchError::Disk(cause) => Failed::from(cause),
            error @ FetchError::Damaged(_) => Failed::new(FailureKind::Damaged, error),
        })?;
        let taken = self.environment.now().wall;
        Ok(self.snapshots.finish(&row.id, of.bytes, taken)?)
    }

    /// Asks whether it may be copied still.
    async fn leave_to_copy(&self, row: &Snapshot, of: &CopyOf) -> Result<(), Failed> {
        let request = CopyRequest {
            source: of.arn.clone(),
            copy: row.arn.clone(),
        };
        let gone = |why: String| Failed::new(FailureKind::SourceGone, why);
        match self.region.snapshot_leave(&request).await {
            Ok(source) if source.id == of.id => Ok(()),
            Ok(_) => Err(gone(format!("{} is another snapshot by now", of.arn))),
            Err(SourceError::Refused(AttachRefusal::NotFound(_))) => {
                Err(gone(format!("{} is gone", of.arn)))
            }
            Err(SourceError::Refused(AttachRefusal::State(why))) => Err(gone(why)),
            Err(error @ SourceError::NoSuchRegion(_)) => Err(gone(error.to_string())),
            Err(error) => Err(Failed::new(FailureKind::Source, error)),
        }
    }
}
