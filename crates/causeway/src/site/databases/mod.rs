//! Databases in a Region's process: a keeper for each instance, which has PostgreSQL's servers run
//! as the service's plans say; their endpoints; and the streams that replicas elsewhere get of
//! them. `databases` decides, `runtime` carries out, `region` knows what there is and asks other
//! Regions; this hands one to the other.

mod door;
mod figures;
mod keeper;
mod leases;
mod look;
mod peers;
mod servers;
mod snapshots;
mod steps;
mod tails;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use databases::model::{ResourceId, SnapshotState};
use databases::{EndpointPool, Engine, catalogue};
use region::{DatabasesOptions, Region};
use runtime::postgres::{Postgres, PostgresMissing};
use runtime::{EndpointTls, Streams, SystemEnvironment};
use store::EmbeddedEngine;
use tokio::sync::{Semaphore, watch};
use types::{ConfigurationView, Deployment, Environment, Span};
use zeroize::Zeroizing;

use super::Task;
use super::zones::Zones;
use crate::failure::Failure;
use crate::files;
use crate::protocol::{SiteConfig, TlsFiles};
use keeper::Keeper;
use leases::Leases;
use peers::Peers;
use servers::Servers;
use snapshots::Snapshots;
use tails::Tails;

/// Homes that are made at once: each keeps a core and the disk busy.
const MAKERS: usize = 2;

/// Homes that are copied from their sources at once: each keeps the link busier than a core.
const COPIERS: usize = 8;

/// Snapshots that are taken at once.
const TAKERS: usize = 2;

/// Between two looks for instances that nobody keeps, and snapshots that are to be removed; news
/// comes sooner.
const LOOK: Span = Span::seconds(5);

/// How long all servers may take to stop when the process ends: the supervisor gives it 10 s.
const STOP_WAIT: Duration = Duration::from_secs(9);

/// What every keeper works with.
struct Around {
    region: Arc<Region<EmbeddedEngine>>,
    environment: Arc<SystemEnvironment>,
    deployment: Deployment,
    postgres: Result<Postgres, PostgresMissing>,
    streams: Streams,
    servers: Arc<Servers>,
    leases: Leases,
    /// What endpoints prove themselves with.
    tls: Option<EndpointTls>,
    zones: Arc<Zones>,
    /// Where homes are.
    directory: PathBuf,
    snapshots: Snapshots,
    tails: Tails,
    makers: Semaphore,
    copiers: Semaphore,
    takers: Semaphore,
    closing: watch::Receiver<bool>,
}

/// What a Region is opened with for its databases, and what its servers are kept with.
pub(super) struct Prepared {
    pub(super) options: DatabasesOptions,
    postgres: Result<Postgres, PostgresMissing>,
    servers: Arc<Servers>,
    tls: Option<EndpointTls>,
    directory: PathBuf,
}

/// A Region's databases, as long as this is held.
pub(super) struct DatabasesSite {
    around: Arc<Around>,
    closing: watch::Sender<bool>,
    /// How many keepers there are.
    keepers: watch::Sender<usize>,
}

/// Looks for PostgreSQL, and for the addresses of endpoints.
///
/// # Errors
/// A setting that makes no sense.
pub(super) fn prepare(config: &SiteConfig) -> Result<Prepared, Failure> {
    let postgres = Postgres::find();
    let engine = match &postgres {
        Ok(found) => Engine::new(found.version()).map_err(|cause| cause.to_string()),
        Err(missing) => Err(missing.to_string()),
    };
    let servers = Arc::new(Servers::default());
    let options = DatabasesOptions {
        engine,
        pool: pool(config)?,
        servers: servers.clone(),
    };
    Ok(Prepared {
        options,
        postgres,
        servers,
        tls: config.tls.as_ref().map(endpoint_tls).transpose()?,
        directory: config
            .databases
            .clone()
            .unwrap_or_else(|| config.directory.join("databases")),
    })
}

/// What endpoints' addresses are drawn from; or why there are none.
fn pool(config: &SiteConfig) -> Result<Result<EndpointPool, String>, Failure> {
    let Some(network) = &config.database_pool else {
        return Ok(Err(
            "This Region has no addresses for databases: database_pool of its \
                       configuration names none"
                .to_owned(),
        ));
    };
    let wrong = |cause: &dyn std::fmt::Display| {
        Failure::wrong_use(format!("database_pool: {network}: {cause}"))
    };
    let (first, prefix) = network
        .split_once('/')
        .ok_or_else(|| wrong(&"it has no prefix"))?;
    let first = first.parse().map_err(|cause| wrong(&cause))?;
    let prefix = prefix.parse().map_err(|cause| wrong(&cause))?;
    let pool = EndpointPool::new(first, prefix).map_err(|cause| wrong(&cause))?;
    Ok(Ok(pool))
}

/// The lab's certificate, for endpoints.
fn endpoint_tls(tls: &TlsFiles) -> Result<EndpointTls, Failure> {
    let certificates = files::read(&tls.certificate).map_err(Failure::wrong_use)?;
    let key = Zeroizing::new(files::read(&tls.key).map_err(Failure::wrong_use)?);
    EndpointTls::from_pem(&certificates, &key).map_err(Failure::wrong_use)
}

/// Makes a directory that the servers' user can pass through and nobody else can read, if it isn't
/// there.
fn passable(postgres: &Postgres, directory: &Path) -> io::Result<()> {
    files::create_directory(directory).map_err(io::Error::other)?;
    postgres.let_pass(directory)
}

impl DatabasesSite {
    /// With nobody kept yet: [`DatabasesSite::keep`] does.
    pub(super) fn start(
        region: &Arc<Region<EmbeddedEngine>>,
        environment: &Arc<SystemEnvironment>,
        deployment: Deployment,
        zones: Arc<Zones>,
        prepared: Prepared,
    ) -> DatabasesSite {
        let (closing, watched) = watch::channel(false);
        let streams = Streams::start(region.peer_streams());
        let servers = prepared.servers;
        streams.serve(Arc::new(Peers {
            region: region.clone(),
            servers: servers.clone(),
        }));
        let around = Around {
            region: region.clone(),
            environment: environment.clone(),
            deployment,
            postgres: prepared.postgres,
            streams,
            servers,
            leases: Leases::new(),
            tls: prepared.tls,
            zones,
            snapshots: Snapshots::new(prepared.directory.join("snapshots")),
            tails: Tails::new(prepared.directory.join("tails")),
            directory: prepared.directory,
            makers: Semaphore::new(MAKERS),
            copiers: Semaphore::new(COPIERS),
            takers: Semaphore::new(TAKERS),
            closing: watched,
        };
        DatabasesSite {
            around: Arc::new(around),
            closing,
            keepers: watch::Sender::new(0),
        }
    }

    /// Keeps every instance there is, until the process ends.
    pub(super) fn keep(&self) -> Task<'static, ()> {
        let (around, keepers) = (self.around.clone(), self.keepers.clone());
        Box::pin(async move {
            loop {
                around.keep_new(&keepers);
                // A replica elsewhere may be none any more.
                around.streams.ask_again();
                around.remove_snapshots().await;
                let soon = around.environment.now().monotonic + LOOK;
                tokio::select! {
                    () = around.environment.sleep_until(soon) => {}
                    () = around.servers.news.notified() => {}
                }
            }
        })
    }

    /// What the Region's writers of global clusters need of the council, until the process ends.
    pub(super) fn follow_council(&self) -> Task<'static, ()> {
        let around = self.around.clone();
        Box::pin(async move {
            futures_util::future::join(leases::renew(around.clone()), leases::follow(around)).await;
        })
    }

    /// Stops every server in order, as far as that can be done in time; those that are left end
    /// with the process.
    pub(super) async fn stop(&self) {
        self.closing.send_replace(true);
        self.around.servers.wake_all();
        let mut keepers = self.keepers.subscribe();
        let all = keepers.wait_for(|count| *count == 0);
        if runtime::within(STOP_WAIT, all).await.is_none() {
            tracing::warn!("database servers didn't stop in time");
        }
    }
}

/// The Region's own configuration, and the council's.
type Views = (Arc<dyn ConfigurationView>, Arc<dyn ConfigurationView>);

impl Around {
    /// Both configurations as they are now.
    fn views(&self) -> Views {
        (self.region.regional_view(), self.region.global_view())
    }

    /// Has every instance kept that nobody keeps yet.
    fn keep_new(self: &Arc<Around>, keepers: &watch::Sender<usize>) {
        if *self.closing.borrow() {
            return;
        }
        let view = self.region.regional_view();
        catalogue::visit_instances(&*view, &mut |_, instance| match instance {
            Ok(instance) if self.servers.find(&instance.resource_id).is_none() => {
                let id = instance.resource_id;
                let seen = self.servers.of(&id, || self.home(&id));
                let keeper = Keeper::new(self.clone(), id, seen);
                keepers.send_modify(|count| *count += 1);
                let done = Done(keepers.clone());
                runtime::spawn(async move {
                    let _done = done;
                    keeper.run().await;
                });
            }
            Ok(_) => {}
            Err(cause) => tracing::error!(%cause, "an instance can't be kept"),
        });
    }

    /// The directory of an instance's server. Its name is short, since a socket's path is: 12 of
    /// the 26 letters of the resource id.
    fn home(&self, id: &ResourceId) -> PathBuf {
        let name = id.0.trim_start_matches("db-");
        self.directory
            .join(name.get(..12).unwrap_or(name).to_ascii_lowercase())
    }

    /// Removes snapshots that are to be removed.
    async fn remove_snapshots(&self) {
        let view = self.region.regional_view();
        let rows = catalogue::snapshots(&*view);
        let rows = rows.unwrap_or_else(|cause| {
            tracing::error!(%cause, "snapshots can't be read");
            Vec::new()
        });
        for (_, snapshot) in rows {
            if snapshot.state != SnapshotState::Deleting {
                continue;
            }
            if let Err(cause) = self.snapshots.remove(&snapshot.id) {
                tracing::warn!(snapshot = %snapshot.arn, %cause, "a snapshot can't be removed yet");
                continue;
            }
            let service = self.region.database_service();
            let told = service.snapshot_removed(&snapshot.arn, &snapshot.id).await;
            if let Err(cause) = told {
                tracing::warn!(snapshot = %snapshot.arn, %cause, "its row stays for now");
            }
        }
    }
}

/// Counts a keeper that has ended, however it did.
struct Done(watch::Sender<usize>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
