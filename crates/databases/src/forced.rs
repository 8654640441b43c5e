//! A failover without a majority of the sites. A Region that has heard none for a while makes its
//! own member a writer, if that is asked of it there with leave to lose data, and by nothing else;
//! it can't know whether the old writer goes on. Once a majority is heard it asks the council for
//! the failover that it was. If others have moved on meanwhile, or the old writer went on with the
//! majority, it has lost: what was acknowledged there is kept, and no writer that serves is
//! stopped.
//!
//! It changes no server: what follows of the rows, the heads' plans carry out (`plan::forced`).

use types::{ConfigurationView, Monotonic, Span};

use crate::arn::ClusterArn;
use crate::automatic::Hearing;
use crate::catalogue::{self, Row};
use crate::error::{DatabasesError, Refusal};
use crate::events::{self, Category, Telling};
use crate::lease::TAKEOVER_WAIT;
use crate::membership;
use crate::model::{
    Cluster, Forced, ForcedStanding, ForkPoint, GlobalCluster, Headship, Instance, MoveKind,
    ResourceId,
};
use crate::plan::Record;
use crate::progress::ProgressError;
use crate::public_words::public;
use crate::service::{Attempt, Service};
use crate::silence::LeaseRow;

/// For how long a Region must have heard no majority before anything is forced there: longer than
/// the council takes to elect a leader.
pub const UNHEARD: Span = Span::seconds(5);

/// After more renewals than these of its Region's lease since it was last heard, an old writer has
/// gone on: they are a second apart. Fewer are those that weren't heard yet, or that came between
/// the majority's return and this Region's.
pub const WENT_ON: u64 = 10;

/// What becomes of one that nothing has changed for.
enum Weighed {
    /// Nobody can tell yet.
    Wait,
    /// The council is asked for it.
    Ask,
    /// It loses, for that reason.
    GiveWay(String),
}

impl Service {
    /// Has this Region had nothing decided by the council for so long that only force is left?
    pub(crate) fn is_unheard(&self) -> bool {
        let since = self.config.servers.unheard_since();
        let now = self.environment().now().monotonic;
        since.is_some_and(|since| now - since >= UNHEARD)
    }

    /// Has this Region's own member of a global cluster take over by force, or, if the writer is
    /// named, takes that back. `row` is as it was last heard, in that configuration.
    pub(crate) async fn force(
        &self,
        (global, row): (&dyn ConfigurationView, &GlobalCluster),
        to: &ClusterArn,
        by: &str,
    ) -> Result<(), DatabasesError> {
        let asked = self.now();
        let made = self.change(|view: &dyn ConfigurationView| {
            let own = self.own_member(view, row)?;
            let Some((cluster_revision, mut cluster)) = own else {
                return Err(elsewhere(row, to));
            };
            let told = match cluster.arn == *to {
                true => {
                    let head = forceable(view, row, &cluster)?;
                    cluster.forcings += 1;
                    let from = writer_of(row)?;
                    let lease = LeaseRow::of(global, from.region);
                    let forced = Forced {
                        number: Forced::number(cluster.forcings),
                        head,
                        epoch: row.epoch,
                        moves: row.moves,
                        revision: global.revision(),
                        from,
                        asked,
                        by: by.to_owned(),
                        is_taken_back: false,
                        renewals: Some(lease.map_or(0, |row| row.renewals())),
                        gives_way: false,
                    };
                    let told = format!("Global failover by force started: {}", forced.words(to));
                    cluster.forced = Some(forced);
                    told
                }
                false => {
                    take_back(row, &mut cluster, to)?;
                    "Global failover by force is taken back: what was written here meanwhile is \
                     kept, and listed as lost."
                        .to_owned()
                }
            };
            let mut edits = vec![catalogue::replace_cluster(cluster_revision, &cluster)];
            edits.extend(told_of(view, &cluster.arn, asked, told));
            Ok((edits, cluster))
        });
        let cluster = made.await?;
        if let Some(head) = &cluster.head {
            self.look_at(head);
        }
        Ok(())
    }

    /// This Region's member of a global cluster, if it has one.
    pub(crate) fn own_member(
        &self,
        view: &dyn ConfigurationView,
        row: &GlobalCluster,
    ) -> Result<Option<Row<Cluster>>, DatabasesError> {
        let mut members = row.members.values();
        let own = members.find(|member| member.arn.region == self.config.region);
        let Some(own) = own else {
            return Ok(None);
        };
        Ok(catalogue::cluster(view, &own.resource_id)?)
    }

    /// What was forced of a global cluster in this Region and isn't settled: the member, and what
    /// it is.
    pub(crate) fn forced_of(
        &self,
        view: &dyn ConfigurationView,
        row: &GlobalCluster,
    ) -> Result<Option<(ClusterArn, Forced)>, DatabasesError> {
        let own = self.own_member(view, row)?;
        Ok(own.and_then(|(_, cluster)| Some((cluster.arn, cluster.forced?))))
    }

    /// Settles what was forced in this Region, as far as the council is heard: asks it for the
    /// failover that it was, has it give way, or forgets what is over. To be called whenever the
    /// council has decided something that this Region asked for. `now` is of the clock that
    /// `hearing` was told the times of.
    ///
    /// # Errors
    ///
    /// [`ProgressError`]: it is to be tried again.
    pub async fn settle_forced(
        &self,
        hearing: Hearing,
        now: Monotonic,
    ) -> Result<(), ProgressError> {
        if hearing.since(now).is_none() {
            return Ok(());
        }
        let clusters = catalogue::clusters(&*self.view()).map_err(DatabasesError::from)?;
        for (_, cluster) in clusters {
            if let Some(forced) = &cluster.forced {
                self.settle(&cluster, forced, (hearing, now)).await?;
            }
        }
        Ok(())
    }

    /// Settles one, as far as that can be done now.
    async fn settle(
        &self,
        cluster: &Cluster,
        forced: &Forced,
        heard: (Hearing, Monotonic),
    ) -> Result<(), DatabasesError> {
        let global = self.global_view();
        let found = catalogue::global_of(&*global, &cluster.arn, &cluster.resource_id)?;
        let row = found.as_ref().map(|(_, row)| row);
        let standing = row.map(|row| forced.standing(&cluster.arn, (global.revision(), row)));
        match standing {
            Some(ForcedStanding::Unknown | ForcedStanding::Settling(_)) => Ok(()),
            Some(ForcedStanding::Alone) => match self.weigh(&*global, forced, heard)? {
                Weighed::Wait => Ok(()),
                Weighed::Ask => self.ask_for(cluster, forced).await,
                Weighed::GiveWay(reason) => self.give_way(cluster, forced, &reason).await,
            },
            None if global.revision() < forced.revision => Ok(()),
            Some(ForcedStanding::Over) | None => self.forget_forced(cluster, row).await,
        }
    }

    /// Who is to write: an old writer whose Region went on with the majority, and goes on now. One
    /// that is silent, or that lost the majority too, is failed over from.
    fn weigh(
        &self,
        global: &dyn ConfigurationView,
        forced: &Forced,
        (hearing, now): (Hearing, Monotonic),
    ) -> Result<Weighed, DatabasesError> {
        let head = catalogue::instance(&*self.view(), &forced.head)?;
        if head.is_none_or(|(_, head)| head.failure.is_some()) {
            let reason = "its DB instance has failed".to_owned();
            return Ok(Weighed::GiveWay(reason));
        }
        let (Some(since), Some(heard)) = (hearing.since(now), hearing.from(now)) else {
            return Ok(Weighed::Wait);
        };
        // An older one doesn't say what others did while none was heard.
        if global.revision() < heard {
            return Ok(Weighed::Wait);
        }
        let lease = LeaseRow::of(global, forced.from.region);
        let went_on = |row: &LeaseRow| {
            let known = forced.renewals;
            known.is_some_and(|known| row.renewals() > known.saturating_add(WENT_ON))
        };
        Ok(match lease.filter(went_on) {
            None => Weighed::Ask,
            Some(row) if row.revision() > heard => Weighed::GiveWay(format!(
                "DB cluster {} in Region {} went on as the writer",
                forced.from.identifier, forced.from.region
            )),
            Some(_) if now < since + TAKEOVER_WAIT => Weighed::Wait,
            // It went on, and is silent since.
            Some(_) => Weighed::Ask,
        })
    }

    /// Has it lose, whatever the council says of it from here on.
    async fn give_way(
        &self,
        cluster: &Cluster,
        forced: &Forced,
        reason: &str,
    ) -> Result<(), DatabasesError> {
        let now = self.now();
        let made = self.change(|view: &dyn ConfigurationView| {
            let found = catalogue::cluster(view, &cluster.resource_id)?;
            let Some((revision, mut held)) = found else {
                return Ok((Vec::new(), ()));
            };
            match held.forced.as_mut().filter(|held| *held == forced) {
                Some(held) => held.gives_way = true,
                None => return Ok((Vec::new(), ())),
            }
            let told = format!(
                "Global failover by force gives way: {reason}. What was written here meanwhile, if \
                 anything, is kept, and listed as lost."
            );
            let mut edits = vec![catalogue::replace_cluster(revision, &held)];
            edits.extend(told_of(view, &held.arn, now, told));
            Ok((edits, ()))
        });
        made.await?;
        self.look_at(&forced.head);
        Ok(())
    }

    /// Asks the council for the failover that it was.
    async fn ask_for(&self, cluster: &Cluster, forced: &Forced) -> Result<(), DatabasesError> {
        let asked = self.now();
        let made = self.change_global(|global: &dyn ConfigurationView| {
            let found = catalogue::global_of(global, &cluster.arn, &cluster.resource_id)?;
            let Some((revision, mut row)) = found else {
                return Ok((Vec::new(), None));
            };
            let standing = forced.standing(&cluster.arn, (global.revision(), &row));
            if standing != ForcedStanding::Alone {
                return Ok((Vec::new(), None));
            }
            let before = row.clone();
            let (from, to) = (forced.from.clone(), cluster.arn.clone());
            row.begin_move(MoveKind::Failover, (from, to), asked);
            let edit = catalogue::replace(catalogue::global_key(&row), revision, &row);
            Ok((vec![edit], Some((before, row))))
        });
        let (changed, _) = made.await?;
        self.look_at(&forced.head);
        if let Some((before, after)) = &changed {
            self.tell_of_move((before, after), "").await;
        }
        Ok(())
    }

    /// Forgets one that is over, once nothing of it is left to be kept.
    async fn forget_forced(
        &self,
        cluster: &Cluster,
        row: Option<&GlobalCluster>,
    ) -> Result<(), DatabasesError> {
        let now = self.now();
        let made = self.change(|view: &dyn ConfigurationView| {
            let found = catalogue::cluster(view, &cluster.resource_id)?;
            let is_it = |held: &Row<Cluster>| held.1.forced == cluster.forced;
            let Some((revision, mut held)) = found.filter(is_it) else {
                return Ok((Vec::new(), ()));
            };
            let Some(forced) = held.forced.take() else {
                return Ok((Vec::new(), ()));
            };
            let head = catalogue::instance(view, &forced.head)?.map(|(_, head)| head);
            let leads = head.and_then(|head| head.headship?.leads);
            let holds = leads.is_some_and(|leads| leads.number == forced.number);
            let has_won = row.is_some_and(|row| has_won(row, &held.arn, &forced));
            let is_member = row.is_some();
            // What it holds is kept first: until then it is shown as what it is.
            if holds && is_member && !has_won {
                return Ok((Vec::new(), ()));
            }
            let told = match (has_won, is_member) {
                (true, _) => "is settled: this DB cluster writes for its global cluster.",
                (false, true) => {
                    "is settled: another DB cluster writes for the global cluster. What was \
                     written here alone, if anything, is kept, and listed as lost."
                }
                (false, false) => "is settled: this DB cluster stands on its own.",
            };
            let told = format!("Global failover by force {told}");
            let mut edits = vec![catalogue::replace_cluster(revision, &held)];
            edits.extend(told_of(view, &held.arn, now, told));
            Ok((edits, ()))
        });
        made.await
    }
}

/// Has the council made it an epoch?
fn has_won(row: &GlobalCluster, own: &ClusterArn, forced: &Forced) -> bool {
    let is_it = |fork: &crate::model::Fork| fork.epoch == forced.epoch + 1 && fork.writer == *own;
    row.forks.iter().any(is_it)
}

/// What a head reaches that takes over by force, written into its own row or its cluster's.
pub(crate) fn written(
    view: &dyn ConfigurationView,
    instance: &mut Instance,
    record: &Record,
    told: &mut Vec<Telling>,
) -> Attempt<()> {
    let nothing = Ok((Vec::new(), ()));
    let Some(headship) = &mut instance.headship else {
        return nothing;
    };
    match record {
        Record::Forced { number, point } => {
            if begins(headship, *number, *point) {
                let text = format!(
                    "New primary DB cluster {} in Region {} was promoted by force, and takes \
                     writes.",
                    headship.cluster_arn.identifier, headship.cluster_arn.region
                );
                let cluster = &headship.cluster_arn;
                told.push(Telling::of_cluster(cluster, Category::GlobalFailover, text));
            }
            nothing
        }
        Record::Unforced { number, reason } => {
            let found = catalogue::cluster(view, &headship.cluster)?;
            let Some((revision, mut cluster)) = found else {
                return nothing;
            };
            let is_it = |forced: &mut Forced| forced.number == *number;
            if cluster.forced.take_if(is_it).is_none() {
                return nothing;
            }
            let text = format!("Global failover by force is cancelled: {}.", public(reason));
            let category = Category::GlobalFailover;
            told.push(Telling::of_cluster(&cluster.arn, category, text));
            Ok((vec![catalogue::replace_cluster(revision, &cluster)], ()))
        }
        _ => nothing,
    }
}

/// Writes down where the history begins that a head was forced to; false: it knows, or that is
/// none of its.
fn begins(headship: &mut Headship, number: u64, point: ForkPoint) -> bool {
    let is_its = headship.leads.is_some_and(|leads| leads.number == number);
    let is_new = is_its && headship.forced.is_none();
    if is_new {
        headship.forced = Some(point);
    }
    is_new
}

fn told_of(
    view: &dyn ConfigurationView,
    cluster: &ClusterArn,
    now: types::Timestamp,
    text: String,
) -> Vec<types::ConfigurationEdit> {
    let told = Telling::of_cluster(cluster, Category::GlobalFailover, text);
    events::edits(view, now, vec![told])
}

fn writer_of(row: &GlobalCluster) -> Result<ClusterArn, DatabasesError> {
    let missing = || state(format!("Global cluster {} has no writer", row.identifier));
    row.writer.clone().ok_or_else(missing)
}

fn state(text: impl Into<String>) -> DatabasesError {
    DatabasesError::refused(Refusal::InvalidGlobalClusterState, text)
}

fn cluster_state(text: impl Into<String>) -> DatabasesError {
    DatabasesError::refused(Refusal::InvalidDbClusterState, text)
}

/// What is refused of any cluster but this Region's.
fn elsewhere(row: &GlobalCluster, to: &ClusterArn) -> DatabasesError {
    state(format!(
        "This Region hears no majority of the sites, so nothing but a DB cluster of its own can \
         take over in global cluster {}: ask in Region {}.",
        row.identifier, to.region
    ))
}

/// The head of a cluster that may take over by force, as things were last heard.
fn forceable(
    view: &dyn ConfigurationView,
    row: &GlobalCluster,
    cluster: &Cluster,
) -> Result<ResourceId, DatabasesError> {
    let own = &cluster.arn;
    if cluster.forced.is_some() {
        return Err(state(format!("{own} takes over by force already")));
    }
    if cluster.handover.is_some() {
        return Err(cluster_state(format!("{own} is failing over to a reader")));
    }
    if row.moving.is_some() {
        return Err(state(format!(
            "A change of the writer of global cluster {} was under way when a majority of the \
             sites was last heard: until one is heard again nobody can tell what has become of it.",
            row.identifier
        )));
    }
    if row.writer.as_ref() == Some(own) {
        return Err(cluster_state(format!(
            "{own} is the primary cluster already: it writes again once its Region hears a \
             majority of the sites"
        )));
    }
    let head = membership::head_of(view, cluster)?;
    let head = head
        .ok_or_else(|| cluster_state(format!("{own} has no DB instance that could take over")))?;
    let is_known = row.member(own).is_some_and(|member| member.head.is_some());
    if !is_known || !is_copy(&head, row.epoch) {
        return Err(cluster_state(format!(
            "{own} is no copy of the primary cluster, or holds what that doesn't"
        )));
    }
    Ok(head.resource_id)
}

/// Are an instance's data those of that epoch, with nothing of its own?
fn is_copy(head: &Instance, epoch: u64) -> bool {
    let of_epoch = |headship: &Headship| headship.epoch == epoch && headship.leads.is_none();
    let is_well = head.deletion.is_none() && head.failure.is_none();
    is_well && head.headship.as_ref().is_some_and(of_epoch)
}

/// Has what was forced of a cluster be over, if the writer that it was to replace is named.
fn take_back(
    row: &GlobalCluster,
    cluster: &mut Cluster,
    to: &ClusterArn,
) -> Result<(), DatabasesError> {
    let forced = cluster.forced.as_mut();
    let forced = forced.filter(|forced| forced.can_be_taken_back(to));
    let forced = forced.ok_or_else(|| elsewhere(row, to))?;
    forced.is_taken_back = true;
    Ok(())
}
