//! How each step is carried out: by `runtime` at the server and its directory, by `region` where
//! something is to be written down or asked of another Region. It decides on none.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use databases::model::{Lsn, SnapshotId};
use databases::plan::{FailureKind, Record, Removal, Settings, Step, Upstream as Followed, Wanted};
use region::{DatabaseServers, LeaveError, LeaveRequest};
use runtime::StreamPort;
use runtime::postgres::{
    NewServer, Postgres, PostgresError, Role, ServerSettings, Stop, Upstream as Reached,
};
use types::Environment;
use zeroize::Zeroizing;

use super::keeper::{Keeper, Running};
use super::keeping;
use super::pair::{Waits, stop_displaced};
use super::servers::Seen;
use super::tails::Kept;

/// How long a step that only asks the server something may take.
const ASK_WAIT: Duration = Duration::from_secs(90);

/// A step failed.
pub(super) struct Failed {
    pub(super) kind: FailureKind,
    pub(super) reason: String,
}

impl Failed {
    pub(super) fn new(kind: FailureKind, reason: impl ToString) -> Failed {
        let reason = reason.to_string();
        Failed { kind, reason }
    }
}

impl From<PostgresError> for Failed {
    fn from(error: PostgresError) -> Failed {
        let kind = match &error {
            error if error.is_disk_full() => FailureKind::DiskFull,
            PostgresError::Settings(_) => FailureKind::Settings,
            PostgresError::Damaged { .. } | PostgresError::Version { .. } => FailureKind::Damaged,
            _ => FailureKind::Other,
        };
        Failed::new(kind, error)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull => FailureKind::DiskFull,
            _ => FailureKind::Other,
        };
        Failed::new(kind, error)
    }
}

/// A source as it is reached from here, and what must be held for that.
struct Way {
    upstream: Reached,
    port: Option<StreamPort>,
}

/// Carries out a step.
pub(super) async fn carry_out(
    keeper: &mut Keeper,
    wanted: &Wanted,
    step: &Step,
) -> Result<(), Failed> {
    let late = || Failed::new(FailureKind::Other, "the server doesn't answer");
    match step {
        Step::Make { .. } | Step::Copy(_) | Step::Restore(_) | Step::RestoreTo(_) => {
            make(keeper, step, wanted.instance.headship.is_some()).await
        }
        Step::RemoveHome(Removal::Diverged(upstream)) => {
            super::behind::remove(keeper, step, upstream).await
        }
        Step::RemoveHome(Removal::Unfinished | Removal::Deleted) => {
            Ok(keeper.seen.home.remove().await?)
        }
        Step::Start {
            generation,
            settings,
        } => start(keeper, wanted, *generation, settings).await,
        Step::Stop if wanted.standby().is_some() => match keeper.running.take() {
            Some(running) => stop_displaced(running).await,
            None => Ok(()),
        },
        Step::Stop => {
            let server = keeper.running.take().map(|running| running.server);
            match server.and_then(Arc::into_inner) {
                Some(server) => Ok(server.stop(Stop::Fast).await?),
                None => Ok(()),
            }
        }
        Step::TakeSnapshot(id) => take_snapshot(keeper, id).await,
        Step::DiscardSnapshot(id) => Ok(keeper.around.snapshots.remove(id).await?),
        Step::Record(record) => write_down(keeper, record).await,
        Step::Synchronise(standby) => {
            let asked = keeper.synchronise(standby.as_ref());
            runtime::within(ASK_WAIT, asked).await.ok_or_else(late)?
        }
        Step::Reseed(upstream) => super::behind::reseed(keeper, upstream).await,
        Step::Follow { epoch } => follow(keeper, *epoch).await,
        Step::Rewind { upstream, epoch } => rewind(keeper, upstream, *epoch).await,
        Step::KeepTail { base, from } | Step::SetAside { base, from, .. } => {
            let kept = Kept {
                id: &keeper.id,
                base: *base,
                from: *from,
            };
            keeping::keep(keeper, wanted, step, &kept).await
        }
        Step::Reload(_)
        | Step::Promote
        | Step::Checkpoint
        | Step::KeepSlots(_)
        | Step::SetMaster { .. } => {
            if matches!(step, Step::KeepSlots(_)) {
                // Before its slot goes: whoever lost it would go on reading without one.
                keeper.around.streams.ask_again();
            }
            if matches!(step, Step::Promote) {
                // A standby's sessions would go on as a primary's, and what they read could hold
                // up the promotion for as long as they like. RDS's reboots.
                keeper.doors.end_sessions();
            }
            let asked = runtime::within(ASK_WAIT, ask_server(keeper, step)).await;
            asked.ok_or_else(late)?
        }
    }
}

/// Is what a keeper is at still what comes next, by what is wanted now? Leave takes a while over a
/// link; a member that was removed meanwhile, say, stands alone with what it has.
pub(super) fn is_still_next(keeper: &Keeper, step: &Step) -> Result<bool, Failed> {
    let observed = keeper.seen.state().standing.observed.clone();
    let wanted = keeper.wanted()?;
    let is_still = wanted.is_some_and(|it| step.is_next(&it, &observed, keeper.now()));
    if !is_still {
        tracing::info!(instance = %keeper.id, kind = ?step.kind(), "it is not to be done any more");
    }
    Ok(is_still)
}

pub(super) fn postgres(keeper: &Keeper) -> Result<&Postgres, Failed> {
    let found = keeper.around.postgres.as_ref();
    found.map_err(|missing| Failed::new(FailureKind::Settings, missing))
}

/// Makes a home; not too many at once, since each keeps a core and the disk busy. Copies, which may
/// take hours over a slow link, hold up no other kind.
async fn make(keeper: &Keeper, step: &Step, is_cluster_s: bool) -> Result<(), Failed> {
    let home = &keeper.seen.home;
    let postgres = postgres(keeper)?;
    keeper.around.prepare(postgres)?;
    match step {
        Step::Make {
            master,
            verifier,
            database,
        } => {
            let _turn = keeper.around.makers.acquire().await;
            let new = NewServer {
                master: master.clone(),
                verifier: verifier.0.clone(),
                database: database.clone(),
                aurora: is_cluster_s,
            };
            Ok(postgres.create(home, &new).await?)
        }
        Step::Copy(followed) => {
            let way = way(keeper, followed).await?;
            let _turn = keeper.around.copiers.acquire().await;
            // A copy has its source's log on its disk as well, and no commit is to wait for that.
            let upstream = Reached {
                application_name: format!("{}-copy", way.upstream.application_name),
                ..way.upstream.clone()
            };
            match postgres.copy(home, &upstream).await {
                Ok(()) => Ok(()),
                // What pg_basebackup couldn't do is for the source to make possible.
                Err(error @ (PostgresError::Program { .. } | PostgresError::Late { .. }))
                    if !error.is_disk_full() =>
                {
                    remove_unfinished(keeper).await;
                    Err(Failed::new(FailureKind::Source, error))
                }
                Err(error) => Err(error.into()),
            }
        }
        Step::Restore(id) => {
            let _turn = keeper.around.makers.acquire().await;
            let from = keeper.around.snapshots.whole(id);
            Ok(postgres.restore(&from, home).await?)
        }
        Step::RestoreTo(moment) => {
            let _turn = keeper.around.makers.acquire().await;
            let from = keeper.around.snapshots.whole(&moment.snapshot);
            let archive = keeper.around.archive_of(&moment.source);
            let restored = postgres.restore_to((&from, &archive), moment.moment, home);
            Ok(restored.await?)
        }
        _ => Ok(()),
    }
}

/// Takes away what a copy that failed has left, so that the next look finds nothing.
async fn remove_unfinished(keeper: &Keeper) {
    if let Err(cause) = keeper.seen.home.remove().await {
        tracing::warn!(instance = %keeper.id, %cause, "what is left of a copy stays");
    }
}

/// Starts the server. A standby whose source can't be reached starts all the same: it is read, and
/// follows once there is leave.
async fn start(
    keeper: &mut Keeper,
    wanted: &Wanted,
    generation: u64,
    settings: &Settings,
) -> Result<(), Failed> {
    if keeper.is_displaced(wanted) || keeper.is_succeeded(wanted, settings) {
        let reason = "another home is the primary's by now";
        return Err(Failed::new(FailureKind::Source, reason));
    }
    let mut way_there = None;
    if let Some(followed) = &settings.upstream {
        match way(keeper, followed).await {
            Ok(found) => way_there = Some(found),
            Err(Failed { reason, .. }) => {
                tracing::info!(instance = %keeper.id, reason, "a standby starts by itself");
            }
        }
    }
    let (upstream, port) = match way_there {
        Some(way) => (Some(way.upstream), way.port),
        None => (None, None),
    };
    let told = ServerSettings {
        parameters: settings.parameters.clone(),
        upstream: upstream.clone(),
        synchronous: synchronous(settings),
    };
    if settings.upstream.is_none() && wanted.instance.headship.is_some() {
        // All homes here have that folder in common: it is no reason to change to another one.
        let closed = keeper.around.tails.close(&keeper.id);
        closed.map_err(|cause| Failed::new(FailureKind::Source, cause))?;
    }
    let started = postgres(keeper)?.start(&keeper.seen.home, &told).await;
    let server = started.map_err(|error| match error {
        // It refuses what it is told before it looks at any data.
        error @ PostgresError::Refused { .. } => Failed::new(FailureKind::Settings, error),
        error => Failed::from(error),
    })?;
    let at = keeper.around.environment.now().monotonic;
    tracing::info!(instance = %wanted.instance.arn, generation, "a database server runs");
    let connections = settings.parameters.get("max_connections");
    if let Some(connections) = connections.and_then(|it| it.parse().ok()) {
        keeper.doors.admit(connections);
    }
    keeper.running = Some(Running {
        server: Arc::new(server),
        generation,
        settings: settings.clone(),
        awaits_restart: Default::default(),
        master_set: None,
        master_at: None,
        port,
        reached: upstream,
        since: at,
        said: None,
        starved_since: None,
        fork: None,
        waits: Waits::of(settings),
    });
    Ok(())
}

/// Tells a standby that runs by itself whom to follow; of one that was told, whether its source is
/// still there, and where the log begins that it still has.
pub(super) async fn attach(
    keeper: &mut Keeper,
    followed: &Followed,
) -> Result<Option<Lsn>, Failed> {
    let told = keeper.running.as_ref().and_then(|it| it.reached.as_ref());
    if told.is_some_and(|told| !has_moved(keeper, followed, told)) {
        return Ok(leave(keeper, followed).await?.oldest_log);
    }
    let way = way(keeper, followed).await?;
    let Some(running) = keeper.running.as_mut() else {
        return Ok(None);
    };
    let told = ServerSettings {
        parameters: running.settings.parameters.clone(),
        upstream: Some(way.upstream),
        synchronous: synchronous(&running.settings),
    };
    running.server.reload(&told).await?;
    running.port = way.port;
    running.reached = told.upstream;
    Ok(None)
}

/// Has a source of this Region its primary in another home than it had?
fn has_moved(keeper: &Keeper, followed: &Followed, told: &Reached) -> bool {
    let is_here = followed.source.region == keeper.around.region.name();
    let source = keeper.around.source(&followed.source_id);
    let has_moved = |source: Arc<Seen>| source.home.socket_directory() != told.socket_directory;
    is_here && source.is_some_and(has_moved)
}

/// How the source is reached: its own socket if it is here, else the link's end of a stream to it.
async fn way(keeper: &Keeper, followed: &Followed) -> Result<Way, Failed> {
    let around = &keeper.around;
    let password = leave(keeper, followed).await?.password;
    let reached = |socket_directory| Reached {
        socket_directory,
        slot: followed.slot.clone(),
        password,
        application_name: followed.application_name.clone(),
    };
    let region = followed.source.region;
    if region == around.region.name() {
        let source = around.source(&followed.source_id).ok_or_else(gone)?;
        return Ok(Way {
            upstream: reached(source.home.socket_directory().to_owned()),
            port: None,
        });
    }
    let site = around.deployment.id_of(region).ok_or_else(gone)?;
    let owner = postgres(keeper)?.socket_owner();
    let directory = stream_directory(keeper);
    let target = &followed.source_id.0;
    let port = around.streams.listen(site, target, &directory, owner);
    let port = port.map_err(|cause| Failed::new(FailureKind::Other, cause))?;
    Ok(Way {
        upstream: reached(directory),
        port: Some(port),
    })
}

/// What a source gives its replica.
pub(super) struct Given {
    /// What it logs in with.
    password: Zeroizing<String>,
    /// Where the log begins that the source still has, if that is known.
    oldest_log: Option<Lsn>,
}

/// What a replica's source gives it: read if the source is here, else its Region is asked.
pub(super) async fn leave(keeper: &Keeper, followed: &Followed) -> Result<Given, Failed> {
    let around = &keeper.around;
    if followed.source.region == around.region.name() {
        around.source(&followed.source_id).ok_or_else(gone)?;
        super::behind::stays(around, &followed.source_id)?;
        let source = around.source_home(&followed.source_id);
        let password = (around.servers).replication_password(&source, &followed.slot);
        let not_ready = || Failed::new(FailureKind::Source, "its source isn't ready");
        return Ok(Given {
            password: password.ok_or_else(not_ready)?,
            oldest_log: around.servers.oldest_log(&source),
        });
    }
    let request = LeaveRequest {
        source: followed.source.clone(),
        source_id: followed.source_id.clone(),
        replica_id: keeper.id.clone(),
    };
    let leave = around.region.database_leave(request).await;
    let leave = leave.map_err(|cause| match cause {
        LeaveError::Gone(why) => Failed::new(FailureKind::SourceGone, why),
        LeaveError::NotNow(why) => Failed::new(FailureKind::Source, why),
    })?;
    Ok(Given {
        password: leave.password.0,
        oldest_log: leave.oldest_log,
    })
}

fn gone() -> Failed {
    Failed::new(FailureKind::SourceGone, "its source is gone")
}

/// Where the link's end is that a standby's WAL comes through: beside its home.
fn stream_directory(keeper: &Keeper) -> PathBuf {
    let home = keeper.seen.home.directory();
    let name = home.file_name().unwrap_or_default().to_string_lossy();
    home.with_file_name(format!("{name}.up"))
}

/// What is only asked of a server that runs.
async fn ask_server(keeper: &mut Keeper, step: &Step) -> Result<(), Failed> {
    let Some(running) = keeper.running.as_mut() else {
        return Err(Failed::new(FailureKind::Other, "no server runs"));
    };
    match step {
        Step::Reload(settings) => {
            return reload(running, settings).await;
        }
        Step::Promote => {
            running.server.promote().await?;
            if let Some(said) = &mut running.said {
                said.role = Role::Primary;
            }
            // Nothing comes from its source any more.
            running.port = None;
            running.reached = None;
        }
        Step::Checkpoint => running.server.checkpoint().await?,
        Step::KeepSlots(slots) => running.server.keep_slots(slots).await?,
        Step::SetMaster {
            master,
            verifier,
            number,
        } => {
            running.server.set_master(master, &verifier.0).await?;
            (running.master_set, running.master_at) = (Some(*number), None);
        }
        _ => {}
    }
    Ok(())
}

/// Has a running server load settings.
pub(super) async fn reload(running: &mut Running, settings: &Settings) -> Result<(), Failed> {
    let told = ServerSettings {
        parameters: settings.parameters.clone(),
        upstream: running.reached.clone(),
        synchronous: synchronous(settings),
    };
    let pending = running.server.reload(&told).await?;
    running.awaits_restart = pending.0.into_iter().collect();
    running.settings = settings.clone();
    Ok(())
}

/// What the standby calls itself that commits wait for: by its home.
fn synchronous(settings: &Settings) -> Option<String> {
    settings.synchronous.as_ref().map(|home| home.0.clone())
}

/// Makes a standby's home of an old writer's that has nothing of its own.
async fn follow(keeper: &Keeper, epoch: u64) -> Result<(), Failed> {
    let home = &keeper.seen.home;
    // It is the same at all copies of one server.
    let password = home.replication_password()?;
    postgres(keeper)?.follow(home, &password).await?;
    aligned(keeper, epoch).await
}

/// Takes back what an old writer's home has beyond the writer's, as that is reached over the link.
async fn rewind(keeper: &Keeper, upstream: &Followed, epoch: u64) -> Result<(), Failed> {
    let way = way(keeper, upstream).await?;
    let _turn = keeper.around.copiers.acquire().await;
    let rewound = postgres(keeper)?.rewind(&keeper.seen.home, &way.upstream);
    rewound.await.map_err(|error| match error {
        error @ PostgresError::Upstream(_) => Failed::new(FailureKind::Source, error),
        error => Failed::from(error),
    })?;
    aligned(keeper, epoch).await
}

/// Writes down that a home's data are a part of that epoch's history.
async fn aligned(keeper: &Keeper, epoch: u64) -> Result<(), Failed> {
    let service = keeper.around.region.database_service();
    let written = service.record(&keeper.id, &Record::Aligned { epoch }).await;
    written.map_err(|cause| Failed::new(FailureKind::Other, cause))
}

async fn write_down(keeper: &Keeper, record: &Record) -> Result<(), Failed> {
    let service = keeper.around.region.database_service();
    let written = service.record(&keeper.id, record).await;
    written.map_err(|cause| Failed::new(FailureKind::Other, cause))
}

async fn take_snapshot(keeper: &Keeper, id: &SnapshotId) -> Result<(), Failed> {
    let around = &keeper.around;
    around.snapshots.prepare(postgres(keeper)?)?;
    // Its keeper isn't to stand still for others' gigabytes: it does what else there is meanwhile.
    let others = |_| Failed::new(FailureKind::Source, "snapshots of others are being taken");
    let _turn = around.takers.try_acquire().map_err(others)?;
    let server = keeper.running.as_ref().map(|running| &*running.server);
    let to = around.snapshots.unfinished(id);
    let size = postgres(keeper)?
        .snapshot(&keeper.seen.home, server, &to)
        .await?;
    let taken = around.environment.now().wall;
    Ok(around.snapshots.finish(id, size.bytes.0, taken)?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_parameter_that_a_group_may_set_is_one_that_a_server_takes() {
        let settable = databases::parameters::all().filter(|it| it.is_modifiable);
        for parameter in settable {
            let name = &parameter.name;
            assert!(runtime::postgres::is_settable(name), "{name}");
        }
    }
}
