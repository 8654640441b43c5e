//! How each step is carried out: by `runtime` at the server and its directory, by `region` where
//! something is to be written down or asked of another Region. It decides on none.

use std::io;
use std::path::PathBuf;

use databases::model::SnapshotId;
use databases::plan::{FailureKind, Settings, Step, Upstream as Followed, Wanted};
use region::{LeaveError, LeaveRequest};
use runtime::StreamPort;
use runtime::postgres::{
    NewServer, Postgres, PostgresError, ServerSettings, Stop, Upstream as Reached,
};
use types::Environment;

use super::keeper::{Keeper, Running};

/// How long a step that only asks the server something may take.
const ASK_WAIT: std::time::Duration = std::time::Duration::from_secs(90);

/// A step failed.
pub(super) struct Failed {
    pub(super) kind: FailureKind,
    pub(super) reason: String,
}

impl Failed {
    fn new(kind: FailureKind, reason: impl ToString) -> Failed {
        let reason = reason.to_string();
        Failed { kind, reason }
    }
}

impl From<PostgresError> for Failed {
    fn from(error: PostgresError) -> Failed {
        let kind = match &error {
            error if error.is_disk_full() => FailureKind::DiskFull,
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
    match step {
        Step::Make { .. } | Step::Copy(_) | Step::Restore(_) => make(keeper, step).await,
        Step::RemoveHome(_) => Ok(keeper.seen.home.remove().await?),
        Step::Start {
            generation,
            settings,
        } => start(keeper, wanted, *generation, settings).await,
        Step::Stop => match keeper.running.take() {
            Some(running) => Ok(running.server.stop(Stop::Fast).await?),
            None => Ok(()),
        },
        Step::TakeSnapshot(id) => take_snapshot(keeper, id).await,
        Step::DiscardSnapshot(id) => Ok(keeper.around.snapshots.remove(id)?),
        Step::Record(record) => {
            let service = keeper.around.region.database_service();
            let written = service.record(&keeper.id, record).await;
            written.map_err(|cause| Failed::new(FailureKind::Other, cause))
        }
        Step::Reload(_) | Step::Promote | Step::KeepSlots(_) | Step::SetMaster { .. } => {
            let asked = runtime::within(ASK_WAIT, ask_server(keeper, step)).await;
            let late = || Failed::new(FailureKind::Other, "the server doesn't answer");
            asked.ok_or_else(late)?
        }
    }
}

fn postgres(keeper: &Keeper) -> Result<&Postgres, Failed> {
    let found = keeper.around.postgres.as_ref();
    found.map_err(|missing| Failed::new(FailureKind::Settings, missing))
}

/// Makes a home; not too many at once, since each keeps a core and the disk busy.
async fn make(keeper: &Keeper, step: &Step) -> Result<(), Failed> {
    let home = &keeper.seen.home;
    super::passable(&keeper.around.directory)?;
    let postgres = postgres(keeper)?;
    let _turn = keeper.around.makers.acquire().await;
    match step {
        Step::Make {
            master,
            verifier,
            database,
        } => {
            let new = NewServer {
                master: master.clone(),
                verifier: verifier.0.clone(),
                database: database.clone(),
            };
            Ok(postgres.create(home, &new).await?)
        }
        Step::Copy(followed) => {
            let way = way(keeper, followed).await?;
            match postgres.copy(home, &way.upstream).await {
                Ok(()) => Ok(()),
                // What pg_basebackup couldn't do is for the source to make possible.
                Err(error @ PostgresError::Program { .. }) if !error.is_disk_full() => {
                    remove_unfinished(keeper).await;
                    Err(Failed::new(FailureKind::Source, error))
                }
                Err(error) => Err(error.into()),
            }
        }
        Step::Restore(id) => {
            let from = keeper.around.snapshots.whole(id);
            Ok(postgres.restore(&from, home).await?)
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
    };
    let started = postgres(keeper)?.start(&keeper.seen.home, &told).await;
    let server = started.map_err(|error| match error {
        // It refuses what it is told before it looks at any data.
        error @ PostgresError::Refused { .. } => Failed::new(FailureKind::Settings, error),
        error => Failed::from(error),
    })?;
    let at = keeper.around.environment.now().monotonic;
    tracing::info!(instance = %wanted.instance.arn, generation, "a database server runs");
    keeper.running = Some(Running {
        server,
        generation,
        settings: settings.clone(),
        awaits_restart: Default::default(),
        master_set: None,
        port,
        reached: upstream,
        since: at,
    });
    Ok(())
}

/// Tells a standby that runs by itself whom to follow.
pub(super) async fn attach(keeper: &mut Keeper, wanted: &Wanted) -> Result<(), Failed> {
    let Some(followed) = super::keeper::followed(wanted, keeper.running.as_ref()) else {
        return Ok(());
    };
    let way = way(keeper, &followed).await?;
    let Some(running) = keeper.running.as_mut() else {
        return Ok(());
    };
    let told = ServerSettings {
        parameters: running.settings.parameters.clone(),
        upstream: Some(way.upstream),
    };
    running.server.reload(&told).await?;
    running.port = way.port;
    running.reached = told.upstream;
    Ok(())
}

/// How the source is reached: its own socket if it is here; else the link's end of a stream to it,
/// and a password for which its Region is asked.
async fn way(keeper: &Keeper, followed: &Followed) -> Result<Way, Failed> {
    let around = &keeper.around;
    let gone = |why: String| Failed::new(FailureKind::SourceGone, why);
    let not_now = |why: String| Failed::new(FailureKind::Source, why);
    let (slot, application_name) = (followed.slot.clone(), followed.application_name.clone());
    if followed.source.region == around.region.name() {
        let source = around.servers.find(&followed.source_id);
        let source = source.ok_or_else(|| gone("its source is gone".to_owned()))?;
        let password = region::DatabaseServers::replication_password(
            &*around.servers,
            &followed.source_id,
            &slot,
        );
        let password = password.ok_or_else(|| not_now("its source isn't ready".to_owned()))?;
        let upstream = Reached {
            socket_directory: source.home.socket_directory().to_owned(),
            slot,
            password,
            application_name,
        };
        let port = None;
        return Ok(Way { upstream, port });
    }
    let request = LeaveRequest {
        source: followed.source.clone(),
        source_id: followed.source_id.clone(),
        replica_id: keeper.id.clone(),
    };
    let leave = around.region.database_leave(request).await;
    let leave = leave.map_err(|cause| match cause {
        LeaveError::Gone(why) => gone(why),
        LeaveError::NotNow(why) => not_now(why),
    })?;
    let site = around.deployment.id_of(followed.source.region);
    let site = site.ok_or_else(|| gone(format!("{} is no Region here", followed.source.region)))?;
    let owner = postgres(keeper)?.socket_owner();
    let directory = stream_directory(keeper);
    let port = around
        .streams
        .listen(site, &followed.source_id.0, &directory, owner)
        .map_err(|cause| Failed::new(FailureKind::Other, cause))?;
    let upstream = Reached {
        socket_directory: directory,
        slot,
        password: leave.password.0,
        application_name,
    };
    let port = Some(port);
    Ok(Way { upstream, port })
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
            let told = ServerSettings {
                parameters: settings.parameters.clone(),
                upstream: running.reached.clone(),
            };
            let pending = running.server.reload(&told).await?;
            running.awaits_restart = pending.0.into_iter().collect();
            running.settings = settings.clone();
        }
        Step::Promote => {
            running.server.promote().await?;
            // Nothing comes from its source any more.
            running.port = None;
            running.reached = None;
        }
        Step::KeepSlots(slots) => running.server.keep_slots(slots).await?,
        Step::SetMaster {
            master,
            verifier,
            number,
        } => {
            running.server.set_master(master, &verifier.0).await?;
            running.master_set = Some(*number);
        }
        _ => {}
    }
    Ok(())
}

async fn take_snapshot(keeper: &Keeper, id: &SnapshotId) -> Result<(), Failed> {
    let around = &keeper.around;
    around.snapshots.prepare()?;
    let _turn = around.makers.acquire().await;
    let server = keeper.running.as_ref().map(|running| &running.server);
    let to = around.snapshots.unfinished(id);
    let size = postgres(keeper)?
        .snapshot(&keeper.seen.home, server, &to)
        .await?;
    let taken = around.environment.now().wall;
    Ok(around.snapshots.finish(id, size.bytes.0, taken)?)
}
