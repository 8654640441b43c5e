//! What a head that hands over and the reader that takes over have reached, written into the rows
//! of their cluster: each is one edit that holds only of the very handover it was seen in.

mod taking_back;

use types::{ConfigurationEdit, ConfigurationView, Timestamp};

use crate::catalogue;
use crate::error::DatabasesError;
use crate::events::{Category, Telling};
use crate::membership;
use crate::model::{
    Cluster, Deposed, ForkPoint, Handed, Handover, Instance, Leading, Lsn, Power, ResourceId,
};
use crate::plan::{Record, reading};

/// The edits that write that down of the cluster of an instance; `told` gets what is told of it.
pub(crate) fn written(
    view: &dyn ConfigurationView,
    now: Timestamp,
    instance: &Instance,
    record: &Record,
    told: &mut Vec<Telling>,
) -> Result<Vec<ConfigurationEdit>, DatabasesError> {
    let nothing = Ok(Vec::new());
    let Some(headship) = &instance.headship else {
        return nothing;
    };
    let Some((revision, mut cluster)) = catalogue::cluster(view, &headship.cluster)? else {
        return nothing;
    };
    let id = &instance.resource_id;
    let is_head = cluster.head.as_ref() == Some(id);
    match record {
        Record::Claims {
            head,
            is_unstartable,
        } => {
            let head = (head, *is_unstartable);
            return claim(view, (revision, cluster), instance, head, (now, told));
        }
        Record::Forked { point } if is_head => return Ok(fork((revision, cluster), *point)),
        _ => {}
    }
    let number = match record {
        Record::Resigned { number, .. }
        | Record::Succeeds { number }
        | Record::Yields { number }
        | Record::Kept { number, .. } => *number,
        _ => return nothing,
    };
    let Some(handover) = cluster.handover.as_mut().filter(|it| it.number == number) else {
        return nothing;
    };
    match record {
        Record::Resigned { lsn, .. } if is_head && handover.drained.is_none() => {
            handover.drained = Some(*lsn);
            Ok(vec![catalogue::replace_cluster(revision, &cluster)])
        }
        Record::Succeeds { .. } if handover.to == *id => {
            let lsn = handover.drained;
            if lsn.is_none() && !handover.is_claimed {
                return nothing;
            }
            told.push(completed(&cluster, instance));
            match cluster.has_new_head() {
                true => taking_back::edits(view, (revision, cluster), instance),
                false => take_over(view, (revision, cluster), instance, (number, lsn)),
            }
        }
        Record::Yields { .. } if is_head => yield_to(view, (revision, cluster), instance, told),
        Record::Kept { reason, .. } if is_head => {
            cluster.handover = None;
            let text = format!("Failover within the DB cluster is cancelled: {reason}.");
            told.push(Telling::of_cluster(&cluster.arn, Category::Failover, text));
            Ok(vec![catalogue::replace_cluster(revision, &cluster)])
        }
        _ => nothing,
    }
}

/// Where the history of a head begins that took over from a dead one: written down once.
fn fork(
    (revision, mut cluster): catalogue::Row<Cluster>,
    point: ForkPoint,
) -> Vec<ConfigurationEdit> {
    let handed = cluster.handed.as_mut().filter(|it| it.lsn.is_none());
    let Some(handed) = handed.filter(|it| it.fork.is_none()) else {
        return Vec::new();
    };
    handed.fork = Some(point);
    if let Some(deposed) = cluster.deposed.get_mut(&handed.from) {
        deposed.fork = Some(point);
    }
    vec![catalogue::replace_cluster(revision, &cluster)]
}

/// A reader is to take over from its head, which is dead.
fn claim(
    view: &dyn ConfigurationView,
    (revision, mut cluster): (u64, Cluster),
    reader: &Instance,
    (head, is_unstartable): (&ResourceId, bool),
    (now, told): (Timestamp, &mut Vec<Telling>),
) -> Result<Vec<ConfigurationEdit>, DatabasesError> {
    let id = &reader.resource_id;
    let is_its = cluster.has_reader(id) && cluster.head.as_ref() == Some(head);
    let handover = cluster.handover.as_ref();
    let is_free = handover.is_none_or(|it| it.drained.is_none() && it.to != *id);
    let is_free = is_free || handover.is_some_and(|it| it.drained.is_none() && !it.is_claimed);
    let old = catalogue::instance(view, head)?.map(|(_, old)| old);
    let old = old.filter(|old| old.deletion.is_none() && old.was_available());
    let old = old.filter(|old| old.power == Power::Running);
    let Some(old) = old.filter(|_| is_its && is_free) else {
        return Ok(Vec::new());
    };
    claimed(&mut cluster, reader, is_unstartable, now);
    let text = started(&old, reader);
    told.push(Telling::of_cluster(&cluster.arn, Category::Failover, text));
    Ok(vec![catalogue::replace_cluster(revision, &cluster)])
}

/// The role of a cluster's head is to go to that reader, in order.
pub(crate) fn asked(cluster: &mut Cluster, to: &Instance, now: Timestamp) {
    cluster.handovers += 1;
    cluster.handover = Some(Handover {
        number: cluster.handovers,
        to: to.resource_id.clone(),
        asked: now,
        drained: None,
        is_claimed: false,
        is_unstartable: false,
    });
}

/// That reader claims the role of its cluster's head, which is dead; perhaps since its server can't
/// be started.
pub(crate) fn claimed(cluster: &mut Cluster, by: &Instance, is_unstartable: bool, now: Timestamp) {
    asked(cluster, by, now);
    if let Some(handover) = &mut cluster.handover {
        (handover.is_claimed, handover.is_unstartable) = (true, is_unstartable);
    }
}

/// That a failover from that head to that reader began, in Aurora's words.
pub(crate) fn started(head: &Instance, reader: &Instance) -> String {
    let which = match head.zone == reader.zone {
        true => "same",
        false => "cross",
    };
    let name = &reader.arn.identifier;
    format!("Started {which} AZ failover to DB instance: {name}")
}

/// The reader of a member that doesn't write is the head from here on. The old head may have
/// received more of the writer's log: its row says so until it follows the new one.
fn yield_to(
    view: &dyn ConfigurationView,
    (revision, mut cluster): (u64, Cluster),
    head: &Instance,
    told: &mut Vec<Telling>,
) -> Result<Vec<ConfigurationEdit>, DatabasesError> {
    let to = cluster.handover.take().map(|handover| handover.to);
    let taker = match &to {
        Some(to) => catalogue::instance(view, to)?,
        None => None,
    };
    let Some((taker_revision, mut taker)) = taker else {
        return Ok(Vec::new());
    };
    let found = catalogue::instance(view, &head.resource_id)?;
    let Some((old_revision, mut old)) = found else {
        return Ok(Vec::new());
    };
    taker.master = old.master.clone();
    old.master.verifier = None;
    (old.master.asked, old.master.applied) = (0, 0);
    if let Some(headship) = &mut old.headship {
        headship.leads.get_or_insert(Leading::NOTHING);
    }
    cluster.readers.remove(&taker.resource_id);
    cluster.readers.insert(head.resource_id.clone());
    cluster.head = Some(taker.resource_id.clone());
    cluster.handed = None;
    told.push(completed(&cluster, &taker));
    Ok(vec![
        catalogue::replace_instance(taker_revision, &taker),
        catalogue::replace_instance(old_revision, &old),
        catalogue::replace_cluster(revision, &cluster),
    ])
}

fn completed(cluster: &Cluster, taker: &Instance) -> Telling {
    let name = &taker.arn.identifier;
    let text = format!("Completed failover to DB instance: {name}");
    Telling::of_cluster(&cluster.arn, Category::Failover, text)
}

/// The reader is the head from here on, and the head a reader; the others follow the new one.
fn take_over(
    view: &dyn ConfigurationView,
    (revision, mut cluster): (u64, Cluster),
    taker: &Instance,
    (number, lsn): (u64, Option<Lsn>),
) -> Result<Vec<ConfigurationEdit>, DatabasesError> {
    let nothing = Ok(Vec::new());
    let Some(old_id) = cluster.head.clone() else {
        return nothing;
    };
    let Some((old_revision, mut old)) = catalogue::instance(view, &old_id)? else {
        return nothing;
    };
    let Some(old_headship) = old.headship.clone() else {
        return nothing;
    };
    let epoch = reading::epoch_of(&old_headship);
    let leading = Leading {
        epoch: epoch + 1,
        number,
    };
    // Who wasn't there since a dead head was succeeded may be past where that was: it is copied
    // anew rather than have the place forgotten.
    let is_by_order = cluster.handed.as_ref().is_none_or(|it| it.fork.is_none());
    let mut edits = Vec::new();
    for (reader_revision, mut reader) in membership::readers_in(view, &cluster)? {
        let is_taker = reader.resource_id == taker.resource_id;
        let Some(headship) = &mut reader.headship else {
            continue;
        };
        // Who holds something else than its head did is still copied anew.
        let is_sure = is_by_order || headship.leads.is_none();
        if is_taker || (is_sure && reading::is_of(headship, &old_headship)) {
            (headship.epoch, headship.leads) = (epoch, Some(leading));
        }
        if is_taker {
            // A password that was asked for goes along.
            reader.master = old.master.clone();
        }
        edits.push(catalogue::replace_instance(reader_revision, &reader));
    }
    old.master.verifier = None;
    (old.master.asked, old.master.applied) = (0, 0);
    edits.push(catalogue::replace_instance(old_revision, &old));
    if lsn.is_none() {
        let deposed = Deposed { epoch, fork: None };
        cluster.deposed.insert(old_id.clone(), deposed);
    }
    become_head(&mut cluster, &taker.resource_id, old_id, lsn);
    edits.push(catalogue::replace_cluster(revision, &cluster));
    Ok(edits)
}

fn become_head(cluster: &mut Cluster, taker: &ResourceId, old: ResourceId, lsn: Option<Lsn>) {
    cluster.handover = None;
    cluster.readers.remove(taker);
    cluster.head = Some(taker.clone());
    cluster.handed = Some(Handed {
        from: old.clone(),
        lsn,
        fork: None,
    });
    cluster.readers.insert(old);
}
