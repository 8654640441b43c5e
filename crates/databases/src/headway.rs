//! What heads of clusters reach, written down: what only concerns a head's own data in its Region's
//! configuration, and what all members must know in the row of the global cluster. There each is
//! one edit that holds only of the very move, epoch and head it was seen in: what another change
//! overtook is left alone, so whoever comes late or tells twice changes nothing.

use types::ConfigurationView;

use crate::arn::ClusterArn;
use crate::catalogue::{self, Row};
use crate::error::DatabasesError;
use crate::model::{
    Forced, Fork, ForkPoint, GlobalCluster, Head, Headship, Instance, Leading, MAX_FORKS, Move,
    MoveKind, Phase, ResourceId,
};
use crate::plan::Record;
use crate::progress::ProgressError;
use crate::service::Service;

impl Service {
    /// Writes a record into the row of the global cluster.
    pub(crate) async fn record_globally(
        &self,
        id: &ResourceId,
        record: &Record,
    ) -> Result<(), ProgressError> {
        let view = self.view();
        let unreadable = DatabasesError::from;
        let found = catalogue::instance(&*view, id).map_err(unreadable)?;
        let Some((_, instance)) = found else {
            return Ok(());
        };
        let Some(headship) = &instance.headship else {
            return Ok(());
        };
        let made = self.change_global(|global: &dyn ConfigurationView| {
            let found = catalogue::global_of(global, &headship.cluster_arn, &headship.cluster)?;
            let Some((revision, mut row)) = found else {
                return Ok((Vec::new(), None));
            };
            let before = row.clone();
            reach(&mut row, &instance, headship, record);
            if row == before {
                return Ok((Vec::new(), None));
            }
            let edit = catalogue::replace(catalogue::global_key(&row), revision, &row);
            Ok((vec![edit], Some((before, row))))
        });
        let (changed, _) = made.await?;
        self.look_at(id);
        if let Some((before, after)) = &changed {
            let reason = match record {
                Record::Cancelled { reason, .. } => reason,
                _ => "",
            };
            self.tell_of_move((before, after), reason).await;
        }
        Ok(())
    }

    /// Has the global cluster know nothing more of a head that is to be removed.
    pub(crate) async fn forget_head(&self, id: &ResourceId) -> Result<(), ProgressError> {
        let view = self.view();
        let found = catalogue::instance(&*view, id).map_err(DatabasesError::from)?;
        let headship = found.and_then(|(_, instance)| instance.headship);
        let Some(headship) = headship else {
            return Ok(());
        };
        let made = self.change_global(|global: &dyn ConfigurationView| {
            let found = catalogue::global_of(global, &headship.cluster_arn, &headship.cluster)?;
            let changed = found.and_then(|row| Some((row.0, without_head(&row, id)?)));
            let edit = changed.map(|(revision, row)| {
                catalogue::replace(catalogue::global_key(&row), revision, &row)
            });
            Ok((edit.into_iter().collect(), ()))
        });
        made.await?;
        Ok(())
    }
}

/// Has the row say what was reached, if it is as it was when that was seen.
fn reach(row: &mut GlobalCluster, instance: &Instance, headship: &Headship, record: &Record) {
    let own = &headship.cluster_arn;
    match record {
        Record::Head(head) => {
            // A head is its Region's to name, but for the writer's: its data are the cluster's.
            let key = own.to_string();
            let is_writing = row.writer.as_ref() == Some(own);
            if let Some(member) = row.members.get_mut(&key) {
                let held = member.head.as_ref().map(|held| &held.resource_id);
                let is_its = held.is_none_or(|held| *held == instance.resource_id);
                if is_its || !is_writing {
                    member.head = Some(head.clone());
                }
            }
        }
        Record::Names { head } => {
            let is_writing = row.writer.as_ref() == Some(own);
            let is_still = !is_writing && row.moving.is_none() && is_head(row, own, instance);
            let member = row.members.get_mut(&own.to_string());
            if let Some(member) = member.filter(|_| is_still) {
                member.head = Some(head.clone());
            }
        }
        Record::Drained { number, lsn } => advance(row, *number, |moving| {
            let is_next = moving.phase == Phase::Draining && moving.from == *own;
            is_next.then_some(Phase::Drained { lsn: *lsn })
        }),
        Record::Fenced { number } => advance(row, *number, |moving| {
            let is_next = moving.phase == Phase::Fencing && moving.from == *own;
            is_next.then_some(Phase::Fenced)
        }),
        // What it has is said in a row that names it alone: of another nobody knows.
        Record::Promoting { .. } if !is_head(row, own, instance) => {}
        Record::Promoting { number } => advance(row, *number, |moving| {
            let is_next = match moving.kind {
                MoveKind::Switchover => matches!(moving.phase, Phase::Drained { .. }),
                MoveKind::Failover => matches!(moving.phase, Phase::Fencing | Phase::Fenced),
            };
            (is_next && moving.to == *own).then_some(Phase::Promoting)
        }),
        Record::Leads { number, point } => lead(row, headship, *number, *point),
        Record::Checkpointed { epoch } => {
            let is_it = |fork: &&mut Fork| fork.epoch == *epoch && fork.writer == *own;
            if let Some(fork) = row.forks.iter_mut().find(is_it) {
                fork.is_checkpointed = true;
            }
        }
        Record::Cancelled { number, .. } => {
            // One that is being promoted may have been, whatever the old writer thinks.
            let is_own = |moving: &Move| match moving.phase {
                Phase::Promoting => moving.to == *own,
                _ => moving.from == *own || moving.to == *own,
            };
            let is_it = |moving: &Move| moving.number == *number && is_own(moving);
            row.moving.take_if(|moving| is_it(moving));
        }
        _ => {}
    }
}

/// Does the row name that instance its cluster's head?
fn is_head(row: &GlobalCluster, own: &ClusterArn, instance: &Instance) -> bool {
    let head = row.member(own).and_then(|member| member.head.as_ref());
    head.is_some_and(|head| head.resource_id == instance.resource_id)
}

/// Has a move that is under way be in its next phase.
fn advance(row: &mut GlobalCluster, number: u64, next: impl FnOnce(&Move) -> Option<Phase>) {
    let moving = row.moving.as_mut().filter(|moving| moving.number == number);
    if let Some(moving) = moving
        && let Some(phase) = next(moving)
    {
        moving.phase = phase;
    }
}

/// Has the new writer write.
fn lead(row: &mut GlobalCluster, headship: &Headship, number: u64, point: ForkPoint) {
    let own = &headship.cluster_arn;
    let is_it = |moving: &Move| {
        moving.number == number && moving.phase == Phase::Promoting && moving.to == *own
    };
    let leading = Leading {
        epoch: row.epoch + 1,
        number,
    };
    // One that took over by force was promoted for that, and goes on.
    let was_forced = |leads: Leading| {
        leads.epoch == leading.epoch
            && Forced::is_number(leads.number)
            && headship.forced == Some(point)
    };
    let is_promoted = |leads: Leading| leads == leading || was_forced(leads);
    if !row.moving.as_ref().is_some_and(is_it) || !headship.leads.is_some_and(is_promoted) {
        return;
    }
    // One that was past where its history stands is none that others could tell theirs from.
    let until = row.stands_until(headship.epoch);
    if until.is_some_and(|until| point.lsn > until) {
        return;
    }
    row.moving = None;
    row.epoch += 1;
    row.writer = Some(own.clone());
    row.forks.push(Fork {
        epoch: row.epoch,
        writer: own.clone(),
        point,
        is_checkpointed: false,
        // Of one that took over by force not the move's.
        number: headship.leads.map(|leads| leads.number),
    });
    let too_many = row.forks.len().saturating_sub(MAX_FORKS);
    row.forks.drain(..too_many);
}

/// What a head's own row says once it has reached that.
pub(crate) fn reached(headship: &mut Headship, record: &Record) {
    match record {
        Record::Aligned { epoch } => {
            headship.epoch = *epoch;
            (headship.leads, headship.forced) = (None, None);
        }
        Record::Leading(leading) if headship.leads != Some(*leading) => {
            (headship.leads, headship.forced) = (Some(*leading), None);
        }
        Record::Diverged => {
            headship.leads.get_or_insert(Leading::NOTHING);
        }
        Record::Beyond { base } => {
            headship.epoch = *base;
            (headship.leads, headship.forced) = (Some(Leading::BEYOND), None);
        }
        _ => {}
    }
}

/// The global cluster without the head of that resource id, if it has it.
pub(crate) fn without_head(row: &Row<GlobalCluster>, id: &ResourceId) -> Option<GlobalCluster> {
    let mut changed = row.1.clone();
    let is_it = |head: &mut Head| head.resource_id == *id;
    let members = changed.members.values_mut();
    let taken = members.filter_map(|member| {
        let head = member.head.take_if(|head| is_it(head));
        head.map(|_| member.arn.clone())
    });
    let taken = taken.last()?;
    // What nobody can carry out is called off.
    let is_of = |moving: &mut Move| moving.from == taken || moving.to == taken;
    changed.moving.take_if(is_of);
    if changed.writer.as_ref() == Some(&taken) {
        // Its history ends with it: what its cluster is given next begins another.
        changed.epoch += 1;
        changed.forks.clear();
    }
    Some(changed)
}
