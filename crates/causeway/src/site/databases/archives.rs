//! Automated backups in a Region's process: a task an instance that has its log archived as long as
//! its server runs, looks at what can be restored, and has snapshots begun and removed as
//! `databases::backups` says. `runtime` archives. It takes no snapshot: that is the keeper's.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use databases::backups::{BackupStep, Backups, keeps_backups, next_backup, retained_backups};
use databases::model::{Instance, Power, ResourceId, Snapshot, SnapshotId, SnapshotState};
use databases::{Archived, catalogue};
use runtime::postgres::{
    Archive, Followed, ServerHome, SnapshotBegin, look_at_archive, remove_archive, snapshot_begin,
};
use types::{Environment, Monotonic, Span};

use super::Around;
use super::servers::lock;

/// Between two turns of an archive: what a restore loses at most, beside what a turn takes.
const TURN: Span = Span::seconds(10);

/// How long a turn may take. What it copied until then stays, and the next one goes on from there.
const TURN_WAIT: Duration = Duration::from_secs(120);

/// An archive that wasn't written for so long while its server ran is told of.
const LATE: Span = Span::seconds(60);

/// The archives that somebody is at.
#[derive(Default)]
pub(super) struct Archives(Mutex<BTreeSet<ResourceId>>);

/// Nobody is at that archive any more, however it ended.
struct Done(Arc<Around>, ResourceId);

impl Drop for Done {
    fn drop(&mut self) {
        lock(&self.0.archives.0).remove(&self.1);
        self.0.servers.show_archive(&self.1, None);
    }
}

/// What a task remembers between two turns.
struct Turns {
    archive: Archive,
    /// Whose log it is: after the standby in another zone took over, another's.
    home: ResourceId,
    folder: PathBuf,
    /// Where the log of snapshots begins, as far as that was read.
    begins: BTreeMap<SnapshotId, Option<SnapshotBegin>>,
    /// The last turn that succeeded, or the first that could have.
    kept: Monotonic,
    /// Was it told that the archive is late?
    is_late: bool,
    /// Was it told that the disk has no room for a snapshot?
    is_cramped: bool,
    /// Has its server given up the slot of an archive that isn't wanted?
    is_left: bool,
}

impl Around {
    /// Has the backups of every instance kept that nobody is at yet, deleted ones among them.
    pub(super) fn archive_new(self: &Arc<Around>) {
        if *self.closing.borrow() {
            return;
        }
        let view = self.region.regional_view();
        let mut ids = Vec::new();
        catalogue::visit_instances(&*view, &mut |_, instance| {
            // What can't be read is told by whoever keeps servers.
            ids.extend(instance.ok().map(|instance| instance.resource_id));
        });
        match retained_backups(&*view) {
            Ok(rows) => ids.extend(rows.into_iter().map(|(_, row)| row.instance.resource_id)),
            Err(cause) => tracing::error!(%cause, "retained backups can't be read"),
        }
        for id in ids {
            if !lock(&self.archives.0).insert(id.clone()) {
                continue;
            }
            let done = Done(self.clone(), id);
            runtime::spawn(async move {
                let mut closing = done.0.closing.clone();
                tokio::select! {
                    () = done.0.archive(&done.1) => {}
                    _ = closing.changed() => {}
                }
            });
        }
    }

    /// Where the log of an instance is archived.
    pub(super) fn archive_of(&self, id: &ResourceId) -> PathBuf {
        let home = self.home(id);
        let name = home.file_name().unwrap_or_default();
        self.directory.join("archives").join(name)
    }

    /// Until there is no instance, and nothing left of its backups.
    async fn archive(&self, id: &ResourceId) {
        let folder = self.archive_of(id);
        let home = self.source_home(id);
        let mut turns = Turns {
            archive: Archive::new(ServerHome::new(self.home(&home)), folder.clone()),
            home,
            folder,
            begins: BTreeMap::new(),
            kept: self.environment.now().monotonic,
            is_late: false,
            is_cramped: false,
            is_left: false,
        };
        loop {
            let view = self.region.regional_view();
            match Backups::of(&*view, id) {
                Ok(None) => return,
                Ok(Some(backups)) => {
                    if backups.until.is_none() {
                        self.turn(&backups.instance, &mut turns).await;
                    }
                    if let Err(cause) = self.back_up(&backups, &mut turns).await {
                        tracing::warn!(instance = %id, %cause, "backups can't be kept now");
                    }
                }
                Err(cause) => tracing::error!(instance = %id, %cause, "backups can't be read"),
            }
            let next = self.environment.now().monotonic + TURN;
            self.environment.sleep_until(next).await;
        }
    }

    /// Has the archive hold what was committed since.
    async fn turn(&self, instance: &Instance, turns: &mut Turns) {
        let id = &instance.resource_id;
        if turns.home != *instance.home() {
            turns.home = instance.home().clone();
            let home = ServerHome::new(self.home(&turns.home));
            turns.archive = turns.archive.moved(home);
        }
        let primary = self.servers.find(&turns.home);
        let runs = primary.is_some_and(|it| it.state().look.is_some());
        let now = self.environment.now().monotonic;
        if !keeps_backups(instance) || instance.power == Power::Stopped {
            turns.kept = now;
            if instance.backup_retention == 0 && runs && !turns.is_left {
                turns.is_left = turns.archive.leave().await.is_ok();
            }
            return;
        }
        if !runs {
            turns.kept = now;
            return;
        }
        turns.is_left = false;
        let followed = runtime::within(TURN_WAIT, turns.archive.follow()).await;
        let told = match followed {
            Some(Ok(Followed::Kept(_) | Followed::Standby)) => {
                turns.kept = now;
                turns
                    .is_late
                    .then_some("The archive of the log is written again")
            }
            Some(Ok(Followed::Broken)) => {
                turns.kept = now;
                Some(
                    "The archive of the log has a gap and begins anew: no moment before the next \
                     automated snapshot can be restored",
                )
            }
            Some(Err(cause)) => {
                tracing::warn!(instance = %instance.arn, %cause, "an archive isn't written now");
                self.late(turns, now)
            }
            None => self.late(turns, now),
        };
        if turns.kept == now {
            turns.is_late = false;
        }
        if let Some(text) = told {
            let service = self.region.database_service();
            if let Err(cause) = service.tell_of_archive(id, text).await {
                tracing::warn!(instance = %instance.arn, text, %cause, "an event is lost");
            }
        }
    }

    fn late(&self, turns: &mut Turns, now: Monotonic) -> Option<&'static str> {
        if turns.is_late || now - turns.kept < LATE {
            return None;
        }
        turns.is_late = true;
        Some("The archive of the log can't be written")
    }

    /// Looks at what can be restored, and carries out what comes next of it.
    async fn back_up(&self, backups: &Backups, turns: &mut Turns) -> io::Result<()> {
        let id = &backups.instance.resource_id;
        // What something is being restored from needs its log as well.
        let mut snapshots = backups.snapshots.iter();
        let is_used = snapshots.any(|row| backups.in_use.contains(&row.id));
        let is_kept = backups.until.is_some() || backups.instance.backup_retention > 0;
        let is_wanted = is_kept || is_used;
        let archived = match is_wanted {
            true => self.look_at_backups(backups, turns).await?,
            false => {
                let folder = turns.folder.clone();
                on_disk(move || remove_archive(&folder)).await?;
                None
            }
        };
        let is_late = turns.is_late;
        self.servers
            .show_archive(id, archived.clone().map(|it| (it, is_late)));
        let now = self.environment.now().wall;
        let Some(step) = next_backup(backups, archived.as_ref(), now) else {
            return Ok(());
        };
        if matches!(step, BackupStep::Begin(_)) && !self.has_room(backups, turns).await? {
            return Ok(());
        }
        if step == BackupStep::Forget {
            let folder = turns.folder.clone();
            on_disk(move || remove_archive(&folder)).await?;
        }
        let service = self.region.database_service();
        service.back_up(id, &step).await.map_err(io::Error::other)?;
        self.servers.news.notify_one();
        Ok(())
    }

    /// Is there room for one more snapshot? That there is none is told once.
    async fn has_room(&self, backups: &Backups, turns: &mut Turns) -> io::Result<bool> {
        let has_room = backups.has_room(store::free_space(&self.directory)?.0);
        if !has_room && !turns.is_cramped {
            let text = "No automated snapshot is taken: the disk has too little room for it";
            let service = self.region.database_service();
            let id = &backups.instance.resource_id;
            let told = service.tell_of_archive(id, text).await;
            told.map_err(io::Error::other)?;
        }
        turns.is_cramped = !has_room;
        Ok(has_room)
    }

    /// What is on the disk; the log that no snapshot needs any more goes.
    async fn look_at_backups(
        &self,
        backups: &Backups,
        turns: &mut Turns,
    ) -> io::Result<Option<Archived>> {
        let folder = turns.folder.clone();
        let Some(seen) = on_disk(move || look_at_archive(&folder)).await? else {
            return Ok(None);
        };
        let whole = |row: &&Snapshot| row.state == SnapshotState::Available;
        let mut bases = Vec::new();
        let mut first = None;
        for row in backups.snapshots.iter().filter(whole) {
            let begin = match turns.begins.get(&row.id) {
                Some(begin) => *begin,
                None => {
                    let folder = self.snapshots.whole(&row.id);
                    let begin = on_disk(move || snapshot_begin(&folder)).await?;
                    turns.begins.insert(row.id.clone(), begin);
                    begin
                }
            };
            let begin = begin.filter(|begin| seen.continues(*begin));
            if let (Some(begin), Some(taken)) = (begin, row.taken) {
                first = Some(first.map_or(begin.segment, |it: u64| it.min(begin.segment)));
                bases.push((row.id.clone(), taken));
            }
        }
        turns
            .begins
            .retain(|id, _| backups.snapshots.iter().any(|row| row.id == *id));
        // One that is being taken needs the log from later on than any that is there.
        if let Some(first) = first {
            let trimmed = turns.archive.trim(first).await;
            trimmed.map_err(io::Error::other)?;
        }
        Ok(Some(Archived {
            latest: Some(seen.latest),
            bases,
            bytes: seen.bytes.0,
        }))
    }
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)?
}
