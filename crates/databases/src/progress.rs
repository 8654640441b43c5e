//! What whoever carries steps out tells the configuration: what was reached, what was removed, who
//! was told. Each is one atomic change, with its events; told twice, nothing more happens.

use types::{ConfigurationEdit, ConfigurationExpected, ConfigurationView, Environment, Timestamp};

use crate::arn::{InstanceArn, SnapshotArn};
use crate::backups;
use crate::catalogue::{self, Row};
use crate::error::DatabasesError;
use crate::events::{self, Category, Telling};
use crate::forced;
use crate::handover;
use crate::headway;
use crate::keys;
use crate::membership;
use crate::model::{
    Cause, Farewell, Instance, Origin, Promotion, ResourceId, Snapshot, SnapshotId, SnapshotState,
    Source,
};
use crate::pairing;
use crate::plan::{Record, reading};
use crate::public_words::public;
use crate::service::{Attempt, Service};

/// What was reached could not be written down; it is to be told again.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it could not be written down: {0}")]
pub struct ProgressError(String);

impl From<DatabasesError> for ProgressError {
    fn from(error: DatabasesError) -> ProgressError {
        ProgressError(error.to_string())
    }
}

impl Service {
    /// Writes down what was reached of an instance. One that isn't there any more has reached
    /// nothing; what isn't so any more (a generation that another one replaced) is left alone.
    ///
    /// # Errors
    ///
    /// [`ProgressError`]: nothing was written.
    pub async fn record(&self, id: &ResourceId, record: &Record) -> Result<(), ProgressError> {
        match record {
            Record::Head(_)
            | Record::Drained { .. }
            | Record::Fenced { .. }
            | Record::Promoting { .. }
            | Record::Leads { .. }
            | Record::Checkpointed { .. }
            | Record::Names { .. }
            | Record::Cancelled { .. } => return self.record_globally(id, record).await,
            // The others know it no more before its own Region forgets it.
            Record::Removed => self.forget_head(id).await?,
            _ => {}
        }
        let made = self.change(|view: &dyn ConfigurationView| {
            let Some(row) = catalogue::instance(view, id)? else {
                return Ok((Vec::new(), Vec::new()));
            };
            let (edits, ()) = written(view, self.environment(), &row, record)?;
            Ok((edits, concerned(&row.1, record)))
        });
        let others = made.await?;
        self.look_at(id);
        for other in others {
            self.look_at(&other);
        }
        Ok(())
    }

    /// Writes down that nothing is left of a snapshot that was to be removed
    /// ([`catalogue::snapshots`] in the state [`SnapshotState::Deleting`]).
    ///
    /// # Errors
    ///
    /// [`ProgressError`]: nothing was written.
    pub async fn snapshot_removed(
        &self,
        arn: &SnapshotArn,
        id: &SnapshotId,
    ) -> Result<(), ProgressError> {
        let now = self.now();
        let made = self.change(|view: &dyn ConfigurationView| {
            let found = catalogue::snapshot(view, arn)?;
            let is_it =
                |row: &Row<Snapshot>| row.1.id == *id && row.1.state == SnapshotState::Deleting;
            let Some((revision, snapshot)) = found.filter(is_it) else {
                return Ok((Vec::new(), ()));
            };
            let mut edits = vec![catalogue::remove(keys::snapshot(arn), revision)];
            let text = format!("Deleted {} snapshot", snapshot.kind());
            let told = Telling::of_snapshot(&snapshot, Category::Notification, text);
            edits.extend(events::edits(view, now, vec![told]));
            Ok((edits, ()))
        });
        Ok(made.await?)
    }

    /// Writes down that a source has heard of a replica that is none any more
    /// ([`catalogue::farewells`] whose time has come).
    ///
    /// # Errors
    ///
    /// [`ProgressError`]: nothing was written.
    pub async fn farewell_told(&self, replica: &ResourceId) -> Result<(), ProgressError> {
        let made = self.change(|view: &dyn ConfigurationView| {
            let key = keys::farewell(replica);
            let edits = match view.get(&key) {
                Some((revision, _)) => vec![catalogue::remove(key, revision)],
                None => Vec::new(),
            };
            Ok((edits, ()))
        });
        Ok(made.await?)
    }
}

/// Who else is to be looked at: a source that lost a replica keeps a slot less, and replicas whose
/// source is gone stand alone.
fn concerned(instance: &Instance, record: &Record) -> Vec<ResourceId> {
    let source = instance.source.iter().map(|it| it.resource_id.clone());
    let replicas = instance.replicas.values().map(|it| it.resource_id.clone());
    match record {
        Record::Promoted => source.collect(),
        Record::Removed => source.chain(replicas).collect(),
        _ => Vec::new(),
    }
}

/// The edits that write down what was reached.
fn written(
    view: &dyn ConfigurationView,
    environment: &dyn Environment,
    row: &Row<Instance>,
    record: &Record,
) -> Attempt<()> {
    let now = environment.now().wall;
    let mut instance = row.1.clone();
    let (mut told, mut others) = (Vec::new(), Vec::new());
    match record {
        Record::Settled { generation } => {
            if *generation == instance.generation && instance.settled < *generation {
                told.push(settled(&mut instance));
            }
        }
        Record::Promoted => others.extend(promoted(view, &mut instance, now, &mut told)?),
        Record::MasterSet { number } => told.extend(master_set(&mut instance, *number)),
        Record::SnapshotTaken { id, bytes, taken } => {
            let done = (*bytes, *taken);
            others.extend(snapshot_taken(view, &instance, id, done, &mut told)?);
        }
        Record::SnapshotFailed { id, reason } => {
            others.extend(snapshot_failed(view, &mut instance, id, reason, &mut told)?);
        }
        Record::Aligned { .. } | Record::Leading(_) | Record::Diverged | Record::Beyond { .. } => {
            others.extend(of_head(view, &mut instance, record)?);
        }
        Record::Head(_)
        | Record::Drained { .. }
        | Record::Fenced { .. }
        | Record::Promoting { .. }
        | Record::Leads { .. }
        | Record::Checkpointed { .. }
        | Record::Names { .. }
        | Record::Cancelled { .. } => {}
        Record::Claims { .. }
        | Record::Forked { .. }
        | Record::Resigned { .. }
        | Record::Succeeds { .. }
        | Record::Yields { .. }
        | Record::Kept { .. } => {
            others.extend(handover::written(view, now, &instance, record, &mut told)?);
        }
        Record::Forced { .. } | Record::Unforced { .. } => {
            let (edits, ()) = forced::written(view, &mut instance, record, &mut told)?;
            others.extend(edits);
        }
        Record::PendingApplied => told.extend(apply_pending(view, environment, &mut instance)?),
        Record::InStep { .. }
        | Record::OutOfStep { .. }
        | Record::TakeOver { .. }
        | Record::TookOver
        | Record::Parted { .. } => told.extend(pairing::reached(&mut instance, record)),
        Record::Removed => return removed(view, row, now),
        Record::Failed { reason } => told.extend(failed(&mut instance, reason)),
    }
    let mut edits = others;
    if instance != row.1 {
        edits.push(catalogue::replace_instance(row.0, &instance));
    }
    if !edits.is_empty() {
        edits.extend(events::edits(view, now, told));
    }
    Ok((edits, ()))
}

fn failed(instance: &mut Instance, reason: &str) -> Option<Telling> {
    if instance.failure.is_some() {
        return None;
    }
    instance.failure = Some(public(reason));
    let text = format!("DB instance failed: {}", public(reason));
    Some(Telling::of_instance(instance, Category::Failure, text))
}

fn snapshot_taken(
    view: &dyn ConfigurationView,
    instance: &Instance,
    id: &SnapshotId,
    (bytes, taken): (u64, Timestamp),
    told: &mut Vec<Telling>,
) -> Result<Option<ConfigurationEdit>, DatabasesError> {
    let done = |snapshot: &mut Snapshot| {
        snapshot.state = SnapshotState::Available;
        snapshot.bytes = bytes;
        snapshot.taken = Some(taken);
    };
    snapshot(view, instance, id, done, told, "snapshot created")
}

/// What a head's own row says once it has reached that; and the edits by which its readers, who
/// follow it over its promotion, are known to. One that missed an earlier move, and so holds
/// something else than its head, isn't: its row goes on saying what it holds, and it is copied
/// anew.
fn of_head(
    view: &dyn ConfigurationView,
    head: &mut Instance,
    record: &Record,
) -> Result<Vec<ConfigurationEdit>, DatabasesError> {
    let mut edits = Vec::new();
    let Some(headship) = &mut head.headship else {
        return Ok(edits);
    };
    let before = headship.clone();
    headway::reached(headship, record);
    let Record::Leading(leading) = record else {
        return Ok(edits);
    };
    for reader in membership::readers_of(view, head)? {
        let (revision, mut reader) = reader;
        if let Some(headship) = &mut reader.headship
            && reading::is_of(headship, &before)
        {
            headship.leads = Some(*leading);
            edits.push(catalogue::replace_instance(revision, &reader));
        }
    }
    Ok(edits)
}

/// The replica is a primary: only what was asked for is promoted, whoever says that it was.
fn promoted(
    view: &dyn ConfigurationView,
    instance: &mut Instance,
    now: Timestamp,
    told: &mut Vec<Telling>,
) -> Result<Option<ConfigurationEdit>, DatabasesError> {
    let source = instance.source.take_if(|_| instance.promotion.is_some());
    let Some(source) = source else {
        return Ok(None);
    };
    instance.promotion = None;
    let edit = part(view, instance, &source, now)?;
    let text = "Promoted to a standalone DB instance";
    told.push(Telling::of_instance(instance, Category::ReadReplica, text));
    Ok(edit)
}

/// The latest generation is reached: what it was asked for by has happened.
fn settled(instance: &mut Instance) -> Telling {
    let is_first = !instance.was_available();
    instance.settled = instance.generation;
    if is_first && instance.master.asked == instance.master.applied {
        // The server has it from the start.
        instance.master.verifier = None;
    }
    let (category, text) = match (instance.cause, &instance.origin) {
        (_, Origin::Replica) if is_first => (Category::Creation, "Read replica created"),
        (_, Origin::Snapshot(_)) if is_first => {
            (Category::Restoration, "Restored from a DB snapshot")
        }
        (_, Origin::PointInTime(_)) if is_first => {
            let text = "Restored to a point in time from a DB instance's automated backups";
            (Category::Restoration, text)
        }
        (Cause::Create, _) => (Category::Creation, "DB instance created"),
        (Cause::Start, _) => (Category::Notification, "DB instance started"),
        (Cause::Stop, _) => (Category::Notification, "DB instance stopped"),
        (Cause::Reboot, _) => (Category::Availability, "DB instance restarted"),
        (Cause::Modify, _) => {
            let text = "Finished applying modification to DB instance";
            (Category::ConfigurationChange, text)
        }
    };
    Telling::of_instance(instance, category, text)
}

/// The server has that password of its master user.
fn master_set(instance: &mut Instance, number: u64) -> Option<Telling> {
    let master = &mut instance.master;
    if master.applied >= number {
        return None;
    }
    master.applied = number;
    master.verifier = master.verifier.take().filter(|_| master.asked > number);
    let text = "Reset master credentials";
    let category = Category::ConfigurationChange;
    Some(Telling::of_instance(instance, category, text))
}

/// Puts what waited in force.
pub(crate) fn apply_pending(
    view: &dyn ConfigurationView,
    environment: &dyn Environment,
    instance: &mut Instance,
) -> Result<Vec<Telling>, DatabasesError> {
    let pending = std::mem::take(&mut instance.pending);
    let mut told = Vec::new();
    told.extend(match pending.multi_az {
        Some(true) => pairing::begin(view, environment, instance)?,
        Some(false) => pairing::end(instance),
        None => None,
    });
    if let Some(days) = pending.backup_retention {
        instance.backup_retention = days;
    }
    if let Some(class) = pending.class {
        instance.class = class;
        instance.renew(Cause::Modify);
        let text = "Applying modification to DB instance class";
        let category = Category::ConfigurationChange;
        told.push(Telling::of_instance(instance, category, text));
    }
    Ok(told)
}

/// Changes a snapshot of an instance that is to be taken.
fn snapshot(
    view: &dyn ConfigurationView,
    instance: &Instance,
    id: &SnapshotId,
    amend: impl FnOnce(&mut Snapshot),
    told: &mut Vec<Telling>,
    text: &str,
) -> Result<Option<ConfigurationEdit>, DatabasesError> {
    let found = catalogue::snapshots_of(view, instance.arn.account)?;
    let mut found = found.into_iter();
    let is_it = |row: &Row<Snapshot>| row.1.id == *id && row.1.state == SnapshotState::Creating;
    let Some((revision, mut snapshot)) = found.find(is_it) else {
        return Ok(None);
    };
    amend(&mut snapshot);
    let category = match snapshot.state {
        SnapshotState::Failed => Category::Failure,
        _ => Category::Creation,
    };
    let kind = match snapshot.automated {
        true => "Automated",
        false => "Manual",
    };
    let text = format!("{kind} {text}");
    told.push(Telling::of_snapshot(&snapshot, category, text));
    let key = keys::snapshot(&snapshot.arn);
    Ok(Some(catalogue::replace(key, revision, &snapshot)))
}

/// A snapshot can't be taken. An instance that was to be deleted after it stays.
fn snapshot_failed(
    view: &dyn ConfigurationView,
    instance: &mut Instance,
    id: &SnapshotId,
    reason: &str,
    told: &mut Vec<Telling>,
) -> Result<Option<ConfigurationEdit>, DatabasesError> {
    let reason = &public(reason);
    let failed = |snapshot: &mut Snapshot| {
        snapshot.state = SnapshotState::Failed;
        snapshot.failure = Some(reason.clone());
    };
    let text = format!("snapshot failed: {reason}");
    let edit = snapshot(view, instance, id, failed, told, &text)?;
    let last = instance.deletion.as_ref();
    if last.is_some_and(|last| last.final_snapshot.as_ref() == Some(id)) {
        instance.deletion = None;
        let text = format!("Not deleted, since its final snapshot failed: {reason}");
        told.push(Telling::of_instance(instance, Category::Failure, text));
    }
    Ok(edit)
}

/// Nothing is left of an instance that was to be deleted.
fn removed(view: &dyn ConfigurationView, row: &Row<Instance>, now: Timestamp) -> Attempt<()> {
    let instance = &row.1;
    if instance.deletion.is_none() {
        return Ok((Vec::new(), ()));
    }
    let mut edits = catalogue::remove_instance(row);
    if let Some(headship) = &instance.headship
        && let Some((revision, mut cluster)) = catalogue::cluster(view, &headship.cluster)?
    {
        let id = &instance.resource_id;
        let had_head = cluster.head.take_if(|head| head == id).is_some();
        if cluster.readers.remove(id) || had_head {
            cluster.deposed.remove(id);
            edits.push(catalogue::replace_cluster(revision, &cluster));
        }
    }
    if let Some(source) = &instance.source {
        edits.extend(part(view, instance, source, now)?);
    }
    // Not before: a deletion whose last snapshot fails is none.
    edits.extend(stand_alone(view, instance, Promotion { asked: now })?);
    edits.extend(backups::part(view, instance, now));
    let told = Telling::of_instance(instance, Category::Deletion, "DB instance deleted");
    edits.extend(events::edits(view, now, vec![told]));
    Ok((edits, ()))
}

/// The edits by which the replicas of this Region are promoted, since their source is gone.
fn stand_alone(
    view: &dyn ConfigurationView,
    source: &Instance,
    promotion: Promotion,
) -> Result<Vec<ConfigurationEdit>, DatabasesError> {
    let mut edits = Vec::new();
    let local = |arn: &InstanceArn| arn.region == source.arn.region;
    for replica in source
        .replicas
        .values()
        .filter(|replica| local(&replica.arn))
    {
        let found = catalogue::instance(view, &replica.resource_id)?;
        let Some((revision, mut row)) = found else {
            continue;
        };
        let is_whole = row.was_available() && row.deletion.is_none() && row.promotion.is_none();
        if row.source.is_some() && is_whole {
            row.promotion = Some(promotion.clone());
            edits.push(catalogue::replace_instance(revision, &row));
        }
    }
    Ok(edits)
}

/// The edits by which a source forgets a replica; one in another Region is to be told.
fn part(
    view: &dyn ConfigurationView,
    replica: &Instance,
    source: &Source,
    now: Timestamp,
) -> Result<Option<ConfigurationEdit>, DatabasesError> {
    if source.arn.region == replica.arn.region {
        let found = catalogue::instance(view, &source.resource_id)?;
        return Ok(found.and_then(|(revision, mut row)| {
            let had = row.replicas.remove(&replica.resource_id.0);
            had.map(|_| catalogue::replace_instance(revision, &row))
        }));
    }
    let farewell = Farewell {
        source: source.arn.clone(),
        source_id: Some(source.resource_id.clone()),
        replica: replica.arn.clone(),
        replica_id: replica.resource_id.clone(),
        after: now,
    };
    let key = keys::farewell(&replica.resource_id);
    let value = Some(crate::codec::encode(&farewell));
    Ok(Some(catalogue::edit(
        key,
        ConfigurationExpected::Any,
        value,
    )))
}
