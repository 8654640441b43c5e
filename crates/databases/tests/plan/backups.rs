//! The plan of automated backups against a model of a disk: through days with failures, crashes,
//! gaps of the archive and restores, every moment of the retention can be restored that has to be,
//! nothing is removed that something is restored from, and nothing stays for ever.

use std::sync::atomic::Ordering;

use databases::backups::{BackupStep, Backups, next_backup};
use databases::model::{SnapshotId, SnapshotState};
use databases::plan::Step;
use databases::{Archived, catalogue};
use types::{Environment, Timestamp};

use crate::machine::Chaos;
use crate::support::{Api, block_on, new_instance, with};

/// Milliseconds.
const MINUTE: u64 = 60_000;
const DAY: u64 = 1440 * MINUTE;

/// A planner, the one that ships or one with a bug in it.
type Planner = fn(&Backups, Option<&Archived>, Timestamp) -> Option<BackupStep>;

struct Disk {
    api: Api,
    id: databases::model::ResourceId,
    planner: Planner,
    /// Whole snapshots, and when each was.
    whole: Vec<(SnapshotId, Timestamp)>,
    /// Since when the log has no gap.
    since: Timestamp,
    bytes: u64,
}

impl Disk {
    fn new(planner: Planner, days: &str) -> Disk {
        let api = Api::new();
        let body = with(
            &new_instance("shop"),
            &[
                ("BackupRetentionPeriod", days),
                ("PreferredBackupWindow", "03:00-03:30"),
                ("PreferredMaintenanceWindow", "mon:05:00-mon:06:00"),
            ],
        );
        api.ok("CreateDBInstance", &body);
        api.carry_out("shop");
        Disk {
            id: api.id("shop"),
            since: api.environment.now().wall,
            planner,
            api,
            whole: Vec::new(),
            bytes: 0,
        }
    }

    fn now(&self) -> Timestamp {
        self.api.environment.now().wall
    }

    fn archived(&self) -> Archived {
        let bases = self.whole.iter().filter(|(_, taken)| *taken >= self.since);
        Archived {
            latest: Some(self.now()),
            bases: bases.cloned().collect(),
            bytes: self.bytes,
        }
    }

    fn backups(&self) -> Option<Backups> {
        Backups::of(&*self.api.memory_view(), &self.id).unwrap()
    }

    /// One look: a step of backups, and what the keeper does. Dies anywhere if chaos says so.
    fn look(&mut self, chaos: &Chaos) -> Result<(), String> {
        let archived = self.archived();
        self.api
            .around
            .archives
            .lock()
            .unwrap()
            .insert(self.id.0.clone(), archived.clone());
        let Some(backups) = self.backups() else {
            return Ok(());
        };
        let step = (self.planner)(&backups, Some(&archived), self.now());
        let dies = chaos.below(4) == 0;
        if let Some(step) = step.filter(|_| !dies) {
            self.judge(&backups, &step)?;
            block_on(self.api.service.back_up(&self.id, &step)).unwrap();
            // Told again after a crash: nothing more happens.
            if chaos.below(3) == 0 {
                block_on(self.api.service.back_up(&self.id, &step)).unwrap();
            }
        }
        if chaos.below(4) > 0 {
            self.keep(chaos);
        }
        Ok(())
    }

    /// As the keeper does, and who removes snapshots.
    fn keep(&mut self, chaos: &Chaos) {
        let fails = chaos.below(5) == 0;
        while let Some(step) = self.api.step(&self.id) {
            let Step::TakeSnapshot(id) = step else {
                continue;
            };
            if fails {
                let reason = "why".to_owned();
                let record = databases::plan::Record::SnapshotFailed { id, reason };
                block_on(self.api.service.record(&self.id, &record)).unwrap();
                break;
            }
            self.whole.push((id.clone(), self.now()));
            let record = databases::plan::Record::SnapshotTaken {
                id,
                bytes: 7,
                taken: self.now(),
            };
            block_on(self.api.service.record(&self.id, &record)).unwrap();
        }
        for (_, row) in catalogue::snapshots(&*self.api.memory_view()).unwrap() {
            if row.state == SnapshotState::Deleting {
                self.whole.retain(|(id, _)| *id != row.id);
                block_on(self.api.service.snapshot_removed(&row.arn, &row.id)).unwrap();
            }
        }
    }

    fn judge(&self, backups: &Backups, step: &BackupStep) -> Result<(), String> {
        let fault = |fault: &str| Err(format!("{fault}: {step:?}"));
        let taken = backups
            .snapshots
            .iter()
            .filter(|row| row.state == SnapshotState::Creating);
        match step {
            BackupStep::Begin(_) if taken.count() > 0 => fault("it takes two at once"),
            BackupStep::Expire(arn) => {
                let row = backups.snapshots.iter().find(|row| row.arn == *arn);
                match row.is_some_and(|row| backups.in_use.contains(&row.id)) {
                    true => fault("it removes what is restored from"),
                    false => Ok(()),
                }
            }
            BackupStep::Forget if !backups.snapshots.is_empty() => {
                fault("it forgets what is there")
            }
            _ => Ok(()),
        }
    }

    /// Can every moment be restored that has to be?
    fn check(&self, days: u64, first: Option<Timestamp>) -> Result<(), String> {
        let from = Timestamp(self.now().0.saturating_sub(days * DAY)).max(self.since);
        let bases = self.archived().bases;
        let earliest = bases.iter().map(|(_, taken)| *taken).min();
        // As of when there was one at all.
        let Some(first) = first.filter(|first| *first >= self.since) else {
            return Ok(());
        };
        let wanted = from.max(first);
        match earliest {
            Some(earliest) if earliest <= wanted => {}
            other => return Err(format!("{wanted:?} can't be restored: {other:?}")),
        }
        match self.whole.len() as u64 > days + 6 {
            true => Err(format!("{} snapshots stay", self.whole.len())),
            false => Ok(()),
        }
    }
}

/// Some weeks, from a seed.
fn weeks(planner: Planner, seed: u64) -> Result<(), String> {
    let chaos = Chaos::new(seed);
    let days = 1 + chaos.below(4) as u64;
    let mut disk = Disk::new(planner, &days.to_string());
    let mut first: Option<Timestamp> = None;
    for look in 0..20 * 144 {
        disk.look(&chaos)?;
        if disk.whole.is_empty() || disk.archived().bases.is_empty() {
            first = None;
        } else if first.is_none() {
            first = disk.archived().bases.first().map(|(_, taken)| *taken);
        }
        disk.check(days, first)?;
        if chaos.below(900) == 0 {
            disk.since = Timestamp(disk.now().0 + 1);
            first = None;
        }
        if look % 500 == 400 && disk.archived().window().is_some() {
            let name = format!("again-{look}");
            let body = [
                ("SourceDBInstanceIdentifier", "shop"),
                ("TargetDBInstanceIdentifier", &*name),
                ("UseLatestRestorableTime", "true"),
            ];
            disk.api.ok("RestoreDBInstanceToPointInTime", &body);
            // Made some looks later; until then its base stays.
            if look % 1000 == 400 {
                disk.api.carry_out(&name);
            }
        }
        disk.api
            .environment
            .now
            .fetch_add(10 * MINUTE, Ordering::Relaxed);
    }
    if disk.archived().bases.is_empty() && first.is_some() {
        return Err("nothing can be restored".to_owned());
    }
    ended(disk, &chaos, days)
}

/// It is deleted, and its backups stay for a while, or go.
fn ended(mut disk: Disk, chaos: &Chaos, days: u64) -> Result<(), String> {
    let keeps = chaos.below(2) == 0;
    for name in ["again-900", "again-1900"] {
        if disk.api.has(name) {
            disk.api.carry_out(name);
        }
    }
    let gone = match keeps {
        true => "false",
        false => "true",
    };
    let body = [
        ("DBInstanceIdentifier", "shop"),
        ("SkipFinalSnapshot", "true"),
        ("DeleteAutomatedBackups", gone),
    ];
    disk.api.ok("DeleteDBInstance", &body);
    let had = !disk.whole.is_empty();
    disk.api.carry_out_id(&disk.id.clone());
    let found = disk.api.ok("DescribeDBInstanceAutomatedBackups", &[]);
    let ids = found.each("DBInstanceAutomatedBackups", "DbiResourceId");
    if ids.contains(&disk.id.0) != keeps {
        return Err(format!("backups that {gone} are {ids:?}"));
    }
    for _ in 0..144 {
        disk.look(chaos)?;
        disk.keep(chaos);
        disk.api.environment.now.fetch_add(10, Ordering::Relaxed);
    }
    if keeps && had && disk.whole.is_empty() {
        return Err("what was to stay is gone".to_owned());
    }
    let later = match keeps {
        true => days * DAY + 1,
        false => 0,
    };
    disk.api.environment.now.fetch_add(later, Ordering::Relaxed);
    for _ in 0..144 {
        disk.look(chaos)?;
        disk.keep(chaos);
    }
    match (disk.whole.is_empty(), disk.backups()) {
        (true, None) => Ok(()),
        (_, left) => Err(format!("something stays: {:?} {left:?}", disk.whole)),
    }
}

fn run(planner: Planner, seeds: std::ops::Range<u64>) -> Option<String> {
    seeds.into_iter().find_map(|seed| {
        let found = weeks(planner, seed);
        found.err().map(|fault| format!("seed {seed}: {fault}"))
    })
}

#[test]
fn through_failures_crashes_and_gaps_every_moment_of_the_retention_can_be_restored() {
    if let Some(fault) = run(next_backup, 0..6) {
        panic!("{fault}");
    }
}

#[test]
fn planners_of_backups_with_bugs_in_them_are_found() {
    fn keeps_all(
        backups: &Backups,
        archived: Option<&Archived>,
        now: Timestamp,
    ) -> Option<BackupStep> {
        let step = next_backup(backups, archived, now);
        step.filter(|step| !matches!(step, BackupStep::Expire(_)))
    }
    fn never_daily(
        backups: &Backups,
        archived: Option<&Archived>,
        now: Timestamp,
    ) -> Option<BackupStep> {
        let step = next_backup(backups, archived, now);
        let oldest = backups
            .snapshots
            .iter()
            .find(|row| row.state == SnapshotState::Available);
        match (step, oldest) {
            // Removes one as soon as there is another.
            (None, Some(oldest)) if backups.snapshots.len() > 1 => {
                Some(BackupStep::Expire(oldest.arn.clone()))
            }
            (step, _) => step,
        }
    }
    fn forgets_early(
        backups: &Backups,
        archived: Option<&Archived>,
        now: Timestamp,
    ) -> Option<BackupStep> {
        match backups.until {
            Some(_) => Some(BackupStep::Forget),
            None => next_backup(backups, archived, now),
        }
    }
    for (planner, expected) in [
        (keeps_all as Planner, "stay"),
        (never_daily, "can't be restored"),
        (forgets_early, "forgets what is there"),
    ] {
        let fault = run(planner, 0..12).expect("the planted bug isn't found");
        assert!(
            fault.contains(expected) || fault.contains("restored from"),
            "{fault}"
        );
    }
}

#[test]
fn an_archive_that_is_too_large_gets_a_new_base_and_loses_its_oldest() {
    let chaos = Chaos::new(1);
    let mut disk = Disk::new(next_backup, "7");
    for _ in 0..20 {
        disk.look(&chaos).unwrap();
        disk.keep(&chaos);
        disk.api
            .environment
            .now
            .fetch_add(10 * MINUTE, Ordering::Relaxed);
    }
    let before = disk.whole.clone();
    assert_eq!(before.len(), 1, "one a day: {before:?}");
    disk.bytes = (20 << 30) + 1;
    for _ in 0..20 {
        disk.look(&chaos).unwrap();
        disk.keep(&chaos);
        disk.api
            .environment
            .now
            .fetch_add(10 * MINUTE, Ordering::Relaxed);
    }
    assert!(!disk.whole.contains(&before[0]), "{:?}", disk.whole);
    assert!((1..3).contains(&disk.whole.len()), "{:?}", disk.whole);
}
