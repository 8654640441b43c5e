//! Automated backups: which snapshots are taken by themselves, and which go, from what is
//! configured, what is on the disk, and the time. Pure but for the writing; it takes none and
//! removes none.
//!
//! An instance that keeps backups has its log archived at all times. It gets a snapshot as soon as
//! there is an archive, one a day in its window, and one whenever the archive has begun anew or has
//! grown too large. A snapshot goes once a later one is older than the retention, so that every
//! moment of the retention can be restored.

use std::collections::BTreeSet;

use types::calendar::{SECONDS_PER_DAY, date_of};
use types::{AccountId, ConfigurationEdit, ConfigurationView, Timestamp};

use crate::arn::SnapshotArn;
use crate::catalogue::{self, Row};
use crate::codec::CodecError;
use crate::error::DatabasesError;
use crate::events::{self, Category, Telling};
use crate::keys;
use crate::model::{
    Instance, Origin, Power, ResourceId, RetainedBackup, Snapshot, SnapshotId, SnapshotState,
};
use crate::operations::snapshots;
use crate::progress::ProgressError;
use crate::service::Service;
use crate::view::Archived;
use crate::window;

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// A snapshot that failed is tried again after so long: milliseconds.
const AGAIN: u64 = 300_000;

/// A snapshot that is taken since the archive is too large isn't younger than so long, when the
/// next is: milliseconds.
const APART: u64 = 600_000;

/// How far ahead of the archived log backups grow old, at most: milliseconds. A clock that jumps
/// ahead is not to remove what is needed still.
const AHEAD: u64 = 600_000;

/// Bytes of a GiB.
const GIB: u64 = 1 << 30;

/// The backups of an instance, or of one that is deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backups {
    /// The instance, as it is or was.
    pub instance: Instance,
    /// Of one that is deleted: when the last of them goes.
    pub until: Option<Timestamp>,
    /// The snapshots of it that were taken by themselves, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Those of which something is being restored.
    pub in_use: BTreeSet<SnapshotId>,
}

/// What comes next of backups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BackupStep {
    /// A snapshot is to be taken, of that name.
    Begin(SnapshotArn),
    /// That snapshot goes.
    Expire(SnapshotArn),
    /// Nothing is left of the backups of an instance that is deleted. Its archive is removed first.
    Forget,
}

/// Has an instance its log archived, and snapshots taken by themselves?
pub fn keeps_backups(instance: &Instance) -> bool {
    instance.backup_retention > 0
        && instance.source.is_none()
        && instance.headship.is_none()
        && instance.was_available()
        && instance.deletion.is_none()
        && instance.failure.is_none()
}

/// The automated backups of a deleted instance of that resource id.
///
/// # Errors
///
/// They can't be read.
pub fn retained_backup(
    view: &dyn ConfigurationView,
    id: &ResourceId,
) -> Result<Option<Row<RetainedBackup>>, CodecError> {
    catalogue::row(view, &keys::retained_backup(id))
}

/// The automated backups of all deleted instances, whosever they are.
///
/// # Errors
///
/// One can't be read.
pub fn retained_backups(
    view: &dyn ConfigurationView,
) -> Result<Vec<Row<RetainedBackup>>, CodecError> {
    catalogue::rows(view, keys::RETAINED_BACKUPS)
}

impl Backups {
    /// Those of that instance; `None`: there is none, and nothing is left of one.
    ///
    /// # Errors
    ///
    /// Something that belongs to them can't be read: nothing is done with them.
    pub fn of(
        view: &dyn ConfigurationView,
        id: &ResourceId,
    ) -> Result<Option<Backups>, CodecError> {
        let (instance, until) = match catalogue::instance(view, id)? {
            Some((_, instance)) => (instance, None),
            None => match retained_backup(view, id)? {
                Some((_, row)) => (row.instance, Some(row.until)),
                None => return Ok(None),
            },
        };
        let account = instance.arn.account;
        let mut snapshots: Vec<Snapshot> = catalogue::snapshots_of(view, account)?
            .into_iter()
            .map(|(_, row)| row)
            .filter(|row| row.automated && row.resource_id == *id)
            .collect();
        snapshots.sort_by_key(|row| (row.asked, row.id.clone()));
        Ok(Some(Backups {
            in_use: in_use(view, account)?,
            instance,
            until,
            snapshots,
        }))
    }

    fn of_state(&self, state: SnapshotState) -> impl Iterator<Item = &Snapshot> {
        self.snapshots.iter().filter(move |row| row.state == state)
    }

    /// Is there room for one more, with that many bytes free on the disk? Servers on the same disk
    /// are to be able to write their log meanwhile: a GiB stays theirs.
    pub fn has_room(&self, free: u64) -> bool {
        let last = self.of_state(SnapshotState::Available).last();
        free > last.map_or(0, |row| row.bytes).saturating_add(GIB)
    }

    /// The snapshots that can be restored from, and when each was whole.
    fn whole(&self) -> Vec<(&Snapshot, Timestamp)> {
        let rows = self.of_state(SnapshotState::Available);
        rows.filter_map(|row| Some((row, row.taken?))).collect()
    }
}

/// Snapshots of which an instance is being made.
pub(crate) fn in_use(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<BTreeSet<SnapshotId>, CodecError> {
    let instances = catalogue::instances_of(view, account)?;
    let made = |instance: &Instance| instance.was_available() || instance.failure.is_some();
    let unmade = instances
        .into_iter()
        .filter(|(_, instance)| !made(instance));
    let used = unmade.filter_map(|(_, instance)| match instance.origin {
        Origin::Snapshot(id) => Some(id),
        Origin::PointInTime(moment) => Some(moment.snapshot),
        Origin::New | Origin::Replica => None,
    });
    Ok(used.collect())
}

/// What comes next of backups; `None`: nothing before something changes or time passes.
/// `archived` is what is on the disk of them; `None`: nobody has looked, or there is no archive.
pub fn next_backup(
    backups: &Backups,
    archived: Option<&Archived>,
    now: Timestamp,
) -> Option<BackupStep> {
    if let Some(expired) = expired(backups, archived, now) {
        return Some(BackupStep::Expire(expired.arn.clone()));
    }
    if backups.until.is_some() {
        return backups.snapshots.is_empty().then_some(BackupStep::Forget);
    }
    let archived = archived?;
    let is_able = keeps_backups(&backups.instance)
        && backups.instance.power == Power::Running
        && backups.of_state(SnapshotState::Creating).next().is_none();
    let last = backups.snapshots.last().map(|row| row.asked);
    let rests = |least: u64| last.is_some_and(|asked| now.0 < asked.0.saturating_add(least));
    if !is_able || rests(AGAIN) {
        return None;
    }
    let newest = backups.whole().last().map(|(row, _)| row.asked);
    let opened = window::opened_at(&backups.instance.backup_window, now);
    let is_daily = opened.is_some_and(|opened| newest.is_none_or(|asked| asked < opened));
    let is_large = archived.bytes > limit(&backups.instance) && !rests(APART);
    let is_due = archived.bases.is_empty() || is_daily || is_large;
    is_due.then(|| BackupStep::Begin(name(&backups.instance, now)))
}

/// What an archive may take on the disk, in bytes: as much as the storage that was asked for, which
/// is what RDS keeps of backups without a charge.
pub fn limit(instance: &Instance) -> u64 {
    u64::from(instance.allocated_storage) * GIB
}

/// A snapshot whose time is over.
fn expired<'a>(
    backups: &'a Backups,
    archived: Option<&Archived>,
    now: Timestamp,
) -> Option<&'a Snapshot> {
    let ends = backups.until.is_some_and(|until| until <= now)
        || (backups.until.is_none() && backups.instance.backup_retention == 0);
    let kept = u64::from(backups.instance.backup_retention) * DAY;
    // Of a server that runs the log is as late as its clock: the Region's may be set off.
    let latest = archived.and_then(|it| it.latest);
    let aged = latest.map_or(now, |latest| now.min(Timestamp(latest.0 + AHEAD)));
    let oldest = Timestamp(aged.0.saturating_sub(kept));
    let whole = backups.whole();
    let mut free = backups
        .snapshots
        .iter()
        .filter(|row| !backups.in_use.contains(&row.id));
    let is_large = archived.is_some_and(|it| it.bytes > limit(&backups.instance));
    free.find(|row| match row.state {
        SnapshotState::Available => {
            // What can be restored from a later one, of all that is to be.
            let mut later = whole.iter().skip_while(|(it, _)| it.id != row.id).skip(1);
            let later = later.next();
            let is_old = later.is_some_and(|(_, taken)| *taken <= oldest);
            let is_base = |(id, _): &(SnapshotId, Timestamp)| *id == row.id;
            let is_first = archived.is_some_and(|it| it.bases.first().is_some_and(is_base));
            let makes_room = is_large && is_first && later.is_some();
            ends || is_old || makes_room
        }
        // One that failed is told of until the next is begun.
        SnapshotState::Failed => {
            ends || backups
                .snapshots
                .last()
                .is_some_and(|last| last.id != row.id)
        }
        _ => false,
    })
}

/// `rds:NAME-YYYY-MM-DD-HH-MM`, in UTC.
fn name(instance: &Instance, now: Timestamp) -> SnapshotArn {
    let seconds = now.0 / 1000;
    let (year, month, day) = date_of(seconds / SECONDS_PER_DAY);
    let (hour, minute) = (seconds % SECONDS_PER_DAY / 3600, seconds / 60 % 60);
    let name = &instance.arn.identifier;
    SnapshotArn {
        region: instance.arn.region,
        account: instance.arn.account,
        identifier: format!(
            "{}{name}-{year:04}-{month:02}-{day:02}-{hour:02}-{minute:02}",
            snapshots::AUTOMATED
        ),
    }
}

/// The edits by which the backups of an instance that is gone stay, as long as they are to.
pub(crate) fn part(
    view: &dyn ConfigurationView,
    instance: &Instance,
    now: Timestamp,
) -> Option<ConfigurationEdit> {
    if instance.source.is_some() || instance.headship.is_some() || !instance.was_available() {
        return None;
    }
    let stay = instance
        .deletion
        .as_ref()
        .is_some_and(|it| it.keeps_backups);
    let kept = u64::from(instance.backup_retention) * DAY;
    let until = match stay {
        true => Timestamp(now.0.saturating_add(kept)),
        false => now,
    };
    let row = RetainedBackup {
        instance: instance.clone(),
        deleted: now,
        until,
    };
    let key = keys::retained_backup(&instance.resource_id);
    view.get(&key)
        .is_none()
        .then(|| catalogue::create(key, &row))
}

impl Service {
    /// Writes down a step of backups. What isn't so any more is left alone; told twice, nothing
    /// more happens.
    ///
    /// # Errors
    ///
    /// [`ProgressError`]: nothing was written.
    pub async fn back_up(&self, id: &ResourceId, step: &BackupStep) -> Result<(), ProgressError> {
        let now = self.now();
        let made = self.change(|view: &dyn ConfigurationView| {
            let edits = match step {
                BackupStep::Begin(arn) => self.begun(view, id, arn, now)?,
                BackupStep::Expire(arn) => {
                    let found = catalogue::snapshot(view, arn)?;
                    // Something may be restored from it since that was looked at.
                    let used = in_use(view, arn.account)?;
                    let is_one = |row: &Row<Snapshot>| {
                        let states = [SnapshotState::Available, SnapshotState::Failed];
                        let is_its = row.1.automated && row.1.resource_id == *id;
                        is_its && states.contains(&row.1.state) && !used.contains(&row.1.id)
                    };
                    let found = found.filter(is_one);
                    let edit = found.map(|(revision, mut row)| {
                        row.state = SnapshotState::Deleting;
                        catalogue::replace(keys::snapshot(arn), revision, &row)
                    });
                    edit.into_iter().collect()
                }
                BackupStep::Forget => {
                    let found = retained_backup(view, id)?;
                    let key = keys::retained_backup(id);
                    let edit = found.map(|(revision, _)| catalogue::remove(key, revision));
                    edit.into_iter().collect()
                }
            };
            Ok((edits, ()))
        });
        made.await?;
        self.look_at(id);
        Ok(())
    }

    /// A snapshot of an instance is to be taken, unless one is or its name is taken.
    fn begun(
        &self,
        view: &dyn ConfigurationView,
        id: &ResourceId,
        arn: &SnapshotArn,
        now: Timestamp,
    ) -> Result<Vec<ConfigurationEdit>, DatabasesError> {
        let Some((_, instance)) = catalogue::instance(view, id)? else {
            return Ok(Vec::new());
        };
        let mut snapshot = snapshots::of_instance(self, &instance, arn.clone());
        snapshot.automated = true;
        let is_free = view.get(&keys::snapshot(arn)).is_none();
        if !is_free || !keeps_backups(&instance) {
            return Ok(Vec::new());
        }
        let mut edits = vec![snapshots::made(&snapshot)];
        let text = "Creating automated snapshot";
        let told = Telling::of_snapshot(&snapshot, Category::Creation, text);
        let backup = Telling::of_instance(&instance, Category::Backup, "Backing up DB instance");
        edits.extend(events::edits(view, now, vec![told, backup]));
        Ok(edits)
    }

    /// Tells of an instance's archive: that it began anew, can't be written, or can again.
    ///
    /// # Errors
    ///
    /// [`ProgressError`]: nothing was written.
    pub async fn tell_of_archive(&self, id: &ResourceId, text: &str) -> Result<(), ProgressError> {
        let now = self.now();
        let made = self.change(|view: &dyn ConfigurationView| {
            let found = catalogue::instance(view, id)?;
            let edits = found.map(|(_, instance)| {
                let told = Telling::of_instance(&instance, Category::Backup, text);
                events::edits(view, now, vec![told])
            });
            Ok((edits.unwrap_or_default(), ()))
        });
        Ok(made.await?)
    }
}
