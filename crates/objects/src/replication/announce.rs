//! Changes are announced: for each rule that chooses one, a row of the outbox in the change's own
//! batch, and the outcome `PENDING` in the version. So `PENDING` is exact whatever is killed when.

use std::sync::{Arc, Mutex};

use store::{Batch, Engine, Space};
use types::{SiteId, Timestamp};

use super::figures::Figures;
use super::job::JobId;
use super::task::{Task, TaskKind, outbox_row};
use super::{Replication, SiteState};
use crate::cause::{Change, What};
use crate::rules::{Candidate, Chosen, Operation, ReplicationConfiguration, Rule, choose};
use crate::{
    Aspect, Bucket, BucketName, Cause, Grant, Grantee, ObjectKey, ObjectOwnership, ObjectVersion,
    Objects, Permission, ReplicationStatus, RuleOutcome, row,
};

/// What a batch announces. It is to live until the batch's commit has returned, and to be told if
/// that has succeeded.
#[derive(Default)]
#[must_use = "it is to live until the commit has returned"]
pub(crate) struct Announced {
    tasks: Vec<Numbered>,
}

struct Numbered {
    site: SiteId,
    state: Arc<SiteState>,
    figures: Arc<Mutex<Figures>>,
    number: u64,
    task: Task,
}

impl Announced {
    /// The batch is committed.
    pub(crate) fn committed(self) {
        for numbered in &self.tasks {
            let mut figures = numbered.figures.lock().expect("nothing panics inside");
            figures.announced(numbered.site, &numbered.task);
        }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        for numbered in &self.tasks {
            numbered.state.sending().queue.committed(numbered.number);
            numbered.state.ring();
        }
    }
}

/// Adds to a change's batch what replication must do about it, and sets the version's outcomes.
/// Called with `Objects::announcing` held, which isn't released before the batch is on its way: so
/// tasks are numbered in the order of their commits.
pub(crate) fn announce<E: Engine>(
    objects: &Objects<E>,
    change: &mut Change<'_>,
    batch: &mut Batch,
    announced: &mut Announced,
) {
    let Some(configuration) = &change.bucket.settings.replication else {
        return;
    };
    let mut announcing = Announcing {
        bucket: change.bucket,
        key: change.key,
        now: objects.wall(),
        batch,
        announced,
    };
    match &mut change.what {
        What::Created { version, .. } => {
            let operation = match change.cause {
                Cause::Request(_) => Operation::Write,
                Cause::Lifecycle => Operation::LifecycleMarker,
                Cause::Replication => return,
            };
            announcing.choose(objects, configuration, version, operation);
        }
        What::Amended {
            version, aspect, ..
        } => {
            if *aspect == Aspect::Outcomes || *change.cause == Cause::Replication {
                return;
            }
            match version.is_replica {
                true => announcing.choose(objects, configuration, version, Operation::Amend),
                false => announcing.amend(objects, configuration, version),
            }
        }
        What::Removed { .. } => {}
    }
}

/// Announcements of one change.
pub(super) struct Announcing<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) key: &'a ObjectKey,
    pub(super) now: Timestamp,
    pub(super) batch: &'a mut Batch,
    pub(super) announced: &'a mut Announced,
}

impl Announcing<'_> {
    /// To the destinations of the rules that choose it.
    fn choose<E: Engine>(
        &mut self,
        objects: &Objects<E>,
        configuration: &ReplicationConfiguration,
        version: &mut ObjectVersion,
        operation: Operation,
    ) {
        if !owner_reads(self.bucket, version) {
            return;
        }
        let candidate = Candidate {
            key: self.key.as_str(),
            version,
            operation,
        };
        let chosen = choose(configuration, candidate);
        let kind = match operation {
            Operation::Amend => TaskKind::Amendment,
            _ => TaskKind::Version,
        };
        for chosen in &chosen {
            self.add(objects, Place::of(chosen), version, kind, None);
        }
    }

    /// To where the version went or is going. Tags that a filter wants are judged when an object
    /// is made, and never again; what has failed isn't tried again.
    fn amend<E: Engine>(
        &mut self,
        objects: &Objects<E>,
        configuration: &ReplicationConfiguration,
        version: &mut ObjectVersion,
    ) {
        for outcome in version.outcomes.clone() {
            let rule = configuration.rule(&outcome.rule);
            let rule = rule.filter(|rule| {
                let destination = rule.destination.bucket_name();
                let same = destination.is_some_and(|name| name.as_str() == outcome.bucket);
                rule.is_enabled() && same
            });
            // What is pending waits for every change that was made of it, also without its rule:
            // then it fails for that.
            let follows = match outcome.status {
                ReplicationStatus::Pending => true,
                ReplicationStatus::Completed => rule.is_some(),
                ReplicationStatus::Failed | ReplicationStatus::Replica => false,
            };
            if follows && let Ok(destination) = outcome.bucket.parse() {
                let place = Place {
                    rule: &outcome.rule,
                    timed: rule.is_some_and(Rule::has_time_control),
                    destination: &destination,
                };
                self.add(objects, place, version, TaskKind::Amendment, None);
            }
        }
    }

    /// Adds one task, and its outcome.
    pub(super) fn add<E: Engine>(
        &mut self,
        objects: &Objects<E>,
        place: Place<'_>,
        version: &mut ObjectVersion,
        kind: TaskKind,
        job: Option<JobId>,
    ) {
        let own = objects.config.site;
        let entry = objects.entry_of(place.destination);
        let site = entry.and_then(|entry| objects.config.deployment.id_of(entry.region));
        // Of a bucket that is gone this Region itself finds that it is.
        let (site, state) = destination_of(&objects.replication, site.unwrap_or(own), own);
        let bytes = match kind {
            TaskKind::Amendment => 0,
            TaskKind::Version | TaskKind::Batch => version.object().map_or(0, |data| data.size),
        };
        let task = Task {
            bucket: self.bucket.entry.id,
            name: self.bucket.name.clone(),
            key: self.key.clone(),
            stamp: version.stamp,
            rule: place.rule.to_owned(),
            destination: place.destination.clone(),
            kind,
            bytes,
            since: self.now,
            job,
            timed: place.timed && version.object().is_some() && job.is_none(),
            missed: false,
        };
        pend(version, &task, site);
        let number = state.sending().queue.number();
        let row = outbox_row(site, number);
        self.batch.put(Space::Objects, row, row::encode(&task));
        self.announced.tasks.push(Numbered {
            site,
            state: state.clone(),
            figures: objects.replication.figures.clone(),
            number,
            task,
        });
    }
}

/// May the bucket's owner read an object? One that it can't isn't replicated (S3 User Guide, "What
/// isn't replicated").
pub(super) fn owner_reads(bucket: &Bucket, version: &ObjectVersion) -> bool {
    let owner = bucket.entry.owner;
    let enforced = bucket.settings.ownership == Some(ObjectOwnership::BucketOwnerEnforced);
    let Some(object) = version.object() else {
        return true;
    };
    let granted = |grant: &Grant| {
        let reads = matches!(grant.permission, Permission::Read | Permission::FullControl);
        let to_it = match &grant.grantee {
            Grantee::Account(account) => *account == owner,
            Grantee::AllUsers | Grantee::AuthenticatedUsers => true,
            Grantee::LogDelivery => false,
        };
        reads && to_it
    };
    let grants = object.acl.iter().flat_map(|acl| &acl.grants);
    enforced || version.owner == owner || grants.into_iter().any(granted)
}

/// By which rule, and where to.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) rule: &'a str,
    /// Under replication time control.
    pub(super) timed: bool,
    pub(super) destination: &'a BucketName,
}

impl<'a> Place<'a> {
    /// That of a rule that chose.
    pub(super) fn of(chosen: &'a Chosen<'a>) -> Place<'a> {
        Place {
            rule: chosen.rule.id(),
            timed: chosen.rule.has_time_control(),
            destination: &chosen.destination,
        }
    }
}

fn destination_of(
    replication: &Replication,
    site: SiteId,
    own: SiteId,
) -> (SiteId, &Arc<SiteState>) {
    let found = replication.site(site).map(|state| (site, state));
    let own_state = || replication.site(own).map(|state| (own, state));
    found
        .or_else(own_state)
        .expect("this Region is one of the deployment's")
}

/// A task's version is pending by its rule.
fn pend(version: &mut ObjectVersion, task: &Task, site: SiteId) {
    match outcome_of(version, task) {
        Some(outcome) => {
            outcome.status = ReplicationStatus::Pending;
            outcome.tasks += 1;
        }
        None => version.outcomes.push(RuleOutcome {
            rule: task.rule.clone(),
            bucket: task.destination.as_str().to_owned(),
            site,
            status: ReplicationStatus::Pending,
            tasks: 1,
        }),
    }
}

/// How a task's version stands by its rule.
pub(super) fn outcome_of<'a>(
    version: &'a mut ObjectVersion,
    task: &Task,
) -> Option<&'a mut RuleOutcome> {
    let destination = task.destination.as_str();
    let mut outcomes = version.outcomes.iter_mut();
    outcomes.find(|outcome| outcome.rule == task.rule && outcome.bucket == destination)
}
