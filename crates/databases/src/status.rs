//! What an instance's status is called, and whether its endpoint leads to its server: from its row
//! and from how it stands. Nothing is kept of it, so it can't be out of date.

use types::{ConfigurationView, Monotonic};

use crate::catalogue;
use crate::codec::CodecError;
use crate::lease::Lease;
use crate::model::{Cause, Cluster, Instance, Power, Snapshot, SnapshotState, Standby};
use crate::plan::{Duty, FailureKind, Home, Role, ServerSeen, StepFailure, StepKind, forced};
use crate::public_words::public;
use crate::view::Standing;
use crate::words::words;

words! {
    /// RDS's `DBInstanceStatus`.
    pub enum Status {
        /// It serves.
        Available = "available",
        /// A snapshot of it is taken. It serves.
        BackingUp = "backing-up",
        /// It is made.
        Creating = "creating",
        /// It is deleted.
        Deleting = "deleting",
        /// It can't be.
        Failed = "failed",
        /// Its server refuses its settings.
        IncompatibleParameters = "incompatible-parameters",
        /// A change of it is carried out.
        Modifying = "modifying",
        /// Its server is started anew.
        Rebooting = "rebooting",
        /// Its master user gets another password. It serves.
        ResettingMasterCredentials = "resetting-master-credentials",
        /// Its server is started.
        Starting = "starting",
        /// Its server doesn't run, as was asked.
        Stopped = "stopped",
        /// Its server is stopped.
        Stopping = "stopping",
        /// The disk is full.
        StorageFull = "storage-full",
    }
}

/// Where a connection to an instance's endpoint goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Serving {
    /// To its server.
    Open,
    /// Nowhere: it is answered with PostgreSQL's own error.
    Away {
        /// The error's code.
        sqlstate: [u8; 5],
        /// Its text.
        message: &'static str,
    },
}

/// PostgreSQL's `read_only_sql_transaction`.
const READ_ONLY: [u8; 5] = *b"25006";

/// PostgreSQL's `cannot_connect_now`.
const CANNOT_CONNECT_NOW: [u8; 5] = *b"57P03";

/// The status of an instance. `snapshots` are those of its account.
pub fn status<'a>(
    instance: &Instance,
    standing: Option<&Standing>,
    mut snapshots: impl Iterator<Item = &'a Snapshot>,
) -> Status {
    if instance.deletion.is_some() {
        return Status::Deleting;
    }
    if instance.failure.is_some() {
        return Status::Failed;
    }
    let server = standing.and_then(|standing| standing.observed.server.as_ref());
    let is_up = server.is_some_and(|server| is_current(instance, server));
    if let Some(status) = standing.filter(|_| !is_up).and_then(obstacle) {
        return status;
    }
    let is_forced = instance.standby.as_ref().is_some_and(|it| it.is_forced);
    if !is_up && is_forced && instance.power == Power::Running {
        return Status::Rebooting;
    }
    if instance.settled < instance.generation {
        return match instance.cause {
            Cause::Create => Status::Creating,
            Cause::Start => Status::Starting,
            Cause::Stop => Status::Stopping,
            Cause::Reboot => Status::Rebooting,
            Cause::Modify => Status::Modifying,
        };
    }
    if instance.power == Power::Stopped {
        return Status::Stopped;
    }
    // Also of one that runs: it reads, and refuses what it has no room for.
    if standing.is_some_and(|standing| standing.observed.is_full) {
        return Status::StorageFull;
    }
    if !is_up {
        return Status::Starting;
    }
    if let Some(status) = instance.standby.as_ref().and_then(of_standby) {
        return status;
    }
    if instance.promotion.is_some() {
        return Status::Modifying;
    }
    if instance.master.applied < instance.master.asked {
        return Status::ResettingMasterCredentials;
    }
    let is_backed_up = |snapshot: &Snapshot| {
        // One that is taken by itself hinders nobody: whoever waits for the instance goes on.
        let is_its = snapshot.resource_id == instance.resource_id && !snapshot.automated;
        is_its && snapshot.state == SnapshotState::Creating
    };
    match snapshots.any(is_backed_up) {
        true => Status::BackingUp,
        false => Status::Available,
    }
}

/// What its standby makes of the status of an instance that serves.
fn of_standby(standby: &Standby) -> Option<Status> {
    let is_changing = standby.is_leaving || !standby.is_ready;
    match (standby.is_forced, is_changing) {
        (true, _) => Some(Status::Rebooting),
        (false, true) => Some(Status::Modifying),
        (false, false) => None,
    }
}

/// What stands in the way of a server that is to run.
fn obstacle(standing: &Standing) -> Option<Status> {
    let matters = |failure: &&StepFailure| {
        let kinds = [
            StepKind::Make,
            StepKind::Copy,
            StepKind::Restore,
            StepKind::RestoreTo,
            StepKind::Start,
        ];
        kinds.contains(&failure.step.kind())
    };
    let mut failures = standing.observed.failures.values().filter(matters);
    failures.find_map(|failure| match failure.kind {
        FailureKind::DiskFull => Some(Status::StorageFull),
        FailureKind::Settings => Some(Status::IncompatibleParameters),
        FailureKind::Source
        | FailureKind::SourceGone
        | FailureKind::Damaged
        | FailureKind::Other => None,
    })
}

/// Does the server run that is wanted now, and answer?
fn is_current(instance: &Instance, server: &ServerSeen) -> bool {
    server.generation == instance.generation && server.role.is_some()
}

/// What the endpoints of a cluster's head are judged by.
#[derive(Clone, Copy)]
pub struct Fence<'a> {
    /// The council's configuration as of now.
    pub view: &'a dyn ConfigurationView,
    /// The Region's lease.
    pub lease: &'a Lease,
    /// Now.
    pub now: Monotonic,
}

/// Where connections to the endpoints of a cluster go: its own two, and its head's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterServing {
    /// To its writer endpoint.
    pub writer: Serving,
    /// To its reader endpoint, and to its head's own.
    pub reader: Serving,
    /// Does it write by force, and not by any lease?
    pub is_forced: bool,
}

fn away(message: &'static str) -> Serving {
    Serving::Away {
        sqlstate: CANNOT_CONNECT_NOW,
        message,
    }
}

/// Connections to both endpoints go the same way.
fn both(serving: Serving) -> ClusterServing {
    ClusterServing {
        writer: serving.clone(),
        reader: serving,
        is_forced: false,
    }
}

/// Where connections to a cluster's endpoints go. `head` is its instance, and how that stands; of
/// an instance that is a cluster's head this holds in the place of [`serving`].
///
/// As long as it says that its writer endpoint is open, the lease is held, or it writes by force
/// and needs none; whoever opens it closes it, and ends its sessions, when the lease runs out
/// ([`Lease::until`]) and whenever the council's configuration, the Region's own or what is seen of
/// the server changes.
///
/// # Errors
///
/// A global cluster can't be read: then nothing is served.
pub fn serving_cluster(
    cluster: &Cluster,
    head: Option<(&Instance, Option<&Standing>)>,
    fence: Fence<'_>,
) -> Result<ClusterServing, CodecError> {
    let Some((instance, standing)) = head else {
        return Ok(both(away("the cluster has no instance")));
    };
    if cluster.handover.is_some() {
        return Ok(both(away("the cluster's writer is changing")));
    }
    let found = catalogue::global_of(fence.view, &cluster.arn, &cluster.resource_id)?;
    let global = found.as_ref().map(|(_, row)| row);
    let joined = cluster.joined.as_ref().map(|joined| joined.revision);
    let known = (fence.view.revision(), global);
    let duty = Duty::of(instance, joined, known);
    let duty = forced::of(duty, (instance, Some(cluster)), known);
    let role = match (&duty, standing.and_then(|it| it.observed.server.as_ref())) {
        (Duty::Await, _) => None,
        (_, server) => server.and_then(|server| server.role),
    };
    let serves = serving_as(instance, standing, role);
    if serves != Serving::Open {
        return Ok(both(serves));
    }
    let is_held = fence.lease.is_held(fence.now, fence.view.revision());
    Ok(serving_by((&duty, role), instance, is_held))
}

/// Where connections go whose server takes some, by its duty and its role; `is_held`: its Region
/// holds its lease.
fn serving_by(
    (duty, role): (&Duty, Option<Role>),
    instance: &Instance,
    is_held: bool,
) -> ClusterServing {
    let follows = Serving::Away {
        sqlstate: READ_ONLY,
        message: "this cluster is read-only: its global cluster's writer is in another Region",
    };
    let leads = instance.headship.as_ref().and_then(|it| it.leads);
    match (duty, role) {
        (Duty::Alone | Duty::Left, Some(Role::Primary)) => both(Serving::Open),
        (Duty::Lead { epoch, .. }, Some(Role::Primary)) => {
            let is_its = leads.is_some_and(|leads| leads.epoch == *epoch);
            both(match is_held && is_its {
                true => Serving::Open,
                false => away("the lease of this Region's writer is not held"),
            })
        }
        // It waits for no lease: no majority is there to give one. Where what it writes begins is
        // written down.
        (Duty::Forced(forcing), Some(Role::Primary)) if forcing.is_written => {
            match instance.headship.as_ref().and_then(|it| it.forced) {
                Some(_) => ClusterServing {
                    is_forced: true,
                    ..both(Serving::Open)
                },
                None => both(away("the cluster's role is changing")),
            }
        }
        // Nobody writes until it has replayed the last, which what is read here may hold up for as
        // long as `max_standby_streaming_delay`.
        (Duty::TakeOver(takeover), _) if takeover.is_drained() => {
            both(away("the cluster's role is changing"))
        }
        // The sessions of a standby that is promoted go on as a primary's. One that was to lead may
        // be one by now, also if somebody else was chosen meanwhile.
        (duty, Some(Role::Standby)) if duty.following().is_some() && leads.is_none() => {
            ClusterServing {
                writer: follows,
                reader: Serving::Open,
                is_forced: false,
            }
        }
        _ => both(away("the cluster's role is changing")),
    }
}

/// Where connections to the endpoint of a cluster's reader go. It never becomes a primary while it
/// is one, so no lease and no move ends its sessions.
pub fn serving_reader(instance: &Instance, standing: Option<&Standing>) -> Serving {
    let server = standing.and_then(|it| it.observed.server.as_ref());
    let role = server.and_then(|server| server.role);
    match role {
        Some(Role::Primary) => Serving::Away {
            sqlstate: CANNOT_CONNECT_NOW,
            message: "the instance's role is changing",
        },
        role => serving_as(instance, standing, role),
    }
}

/// Where a connection goes that may go to a server of any role.
fn serving_as(instance: &Instance, standing: Option<&Standing>, role: Option<Role>) -> Serving {
    let mut alone = instance.clone();
    // Which role it is to have is judged by its cluster.
    alone.source = None;
    let mut standing = standing.cloned();
    let server = standing
        .as_mut()
        .and_then(|standing| standing.observed.server.as_mut());
    if let Some(server) = server {
        server.role = role.map(|_| Role::Primary);
    }
    serving(&alone, standing.as_ref())
}

/// Where a connection to its endpoint goes.
pub fn serving(instance: &Instance, standing: Option<&Standing>) -> Serving {
    let away = |message| Serving::Away {
        sqlstate: CANNOT_CONNECT_NOW,
        message,
    };
    if instance.deletion.is_some() || instance.power == Power::Stopped {
        return away("the database system is shutting down");
    }
    let server = standing.and_then(|standing| standing.observed.server.as_ref());
    let Some(server) = server.filter(|server| is_current(instance, server)) else {
        return away("the database system is starting up");
    };
    // A primary that is to be a standby, or the other way round, is served to nobody.
    let is_right = match (instance.source.is_some(), instance.promotion.is_some()) {
        (true, false) => server.role == Some(Role::Standby),
        (true, true) => true,
        (false, _) => server.role == Some(Role::Primary),
    };
    if !instance.was_available() || !is_right || instance.failure.is_some() {
        return away("the database system is not yet accepting connections");
    }
    Serving::Open
}

/// A replica's `StatusInfos`.
pub(crate) struct ReplicationStatus {
    /// Is all well?
    pub(crate) is_normal: bool,
    /// RDS's word.
    pub(crate) word: &'static str,
    /// What went wrong.
    pub(crate) message: Option<String>,
}

/// Is it behind what its source still has, or copied anew for that?
fn is_reseeded(instance: &Instance, standing: &Standing) -> bool {
    let observed = &standing.observed;
    let is_gone = matches!(observed.home, Home::Absent | Home::Unfinished);
    let is_copied = instance.was_available() && is_gone && observed.server.is_none();
    observed.behind.is_some() || is_copied
}

/// How a replica's replication stands, by what its server says; `None`: it is none.
pub(crate) fn replication(
    instance: &Instance,
    standing: Option<&Standing>,
) -> Option<ReplicationStatus> {
    instance.source.as_ref()?;
    let told = |is_normal, word, message: Option<String>| {
        Some(ReplicationStatus {
            is_normal,
            word,
            message,
        })
    };
    let Some(standing) = standing else {
        return told(
            false,
            "stopped",
            Some("Nothing is known of its server yet.".to_owned()),
        );
    };
    if standing.source_gone {
        let text = "Its source is gone. Promote it to use it on its own.".to_owned();
        return told(false, "terminated", Some(text));
    }
    match &standing.observed.server {
        Some(server) if server.is_paused => {
            let text = "It has less of a setting than its source has, and is started anew.";
            told(false, "error", Some(text.to_owned()))
        }
        _ if is_reseeded(instance, standing) => {
            let text = "Streaming replication has stopped: its source has no more of the \
                        write-ahead log that it needs. It is copied anew.";
            told(false, "error", Some(text.to_owned()))
        }
        Some(server) if server.role == Some(Role::Standby) && server.receives => {
            told(true, "replicating", None)
        }
        Some(_) => {
            let text = "It receives nothing from its source.".to_owned();
            told(false, "error", Some(text))
        }
        None => {
            let mut failures = standing.observed.failures.values();
            let reason = failures.next().map(|failure| public(&failure.reason));
            match reason {
                Some(reason) => told(false, "error", Some(reason)),
                None => told(false, "stopped", None),
            }
        }
    }
}
