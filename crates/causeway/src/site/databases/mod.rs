//! Databases in a Region's process: a keeper for each instance, which has PostgreSQL's servers run
//! as the service's plans say; their endpoints; and the streams that replicas elsewhere get of
//! them. `databases` decides, `runtime` carries out, `region` knows what there is and asks other
//! Regions; this hands one to the other.

mod archives;
mod asking;
mod automatic;
mod behind;
mod copies;
mod door;
mod failures;
mod farewell;
mod figures;
mod followers;
mod forwarding;
mod keeper;
mod keeping;
mod leases;
mod look;
mod pair;
mod passing;
mod peers;
mod secondaries;
mod servers;
mod shown;
mod snapshots;
mod spreads;
mod steps;
mod succession;
mod tails;
mod trouble;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use databases::model::{ResourceId, SnapshotState};
use databases::plan::FailureKind;
use databases::{EndpointPool, Engine, catalogue};
use region::{DatabasesOptions, Region};
use runtime::postgres::{Postgres, PostgresMissing};
use runtime::{EndpointTls, Streams, SystemEnvironment};
use store::EmbeddedEngine;
use tokio::sync::{Semaphore, watch};
use types::{ByteSize, ConfigurationView, Deployment, Environment, Span};

use super::Task;
use super::zones::Zones;
use crate::failure::Failure;
use crate::files::{self, Readers};
use crate::lab::DatabaseCertificates;
use crate::protocol::SiteConfig;
use archives::Archives;
use copies::{Copies, Offers};
use keeper::Keeper;
use leases::Leases;
use peers::Peers;
use servers::Servers;
use snapshots::Snapshots;
use spreads::Spreads;
use steps::Failed;
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

/// What the tail of an old writer may take of the disk, unless the configuration says otherwise:
/// list, rows and log (docs/databases.md has how many transactions that is).
const TAIL_LIMIT: ByteSize = ByteSize::mib(16 * 1024);

/// How long all servers may take to stop when the process ends: the supervisor gives it 10 s.
const STOP_WAIT: Duration = Duration::from_secs(9);

/// The file that says that a directory is that of databases.
const MARK: &str = ".causeway-databases";

/// What every keeper works with.
struct Around {
    region: Arc<Region<EmbeddedEngine>>,
    environment: Arc<SystemEnvironment>,
    deployment: Deployment,
    postgres: Result<Postgres, PostgresMissing>,
    streams: Streams,
    servers: Arc<Servers>,
    leases: Arc<Leases>,
    /// The endpoints that lead to several instances.
    spreads: Spreads,
    /// What endpoints prove themselves with.
    tls: Option<DatabaseCertificates>,
    zones: Arc<Zones>,
    /// Where homes are.
    directory: PathBuf,
    snapshots: Snapshots,
    archives: Archives,
    copies: Copies,
    offers: Arc<Offers>,
    tails: Tails,
    /// What each of them may take of the disk.
    tail_limit: ByteSize,
    makers: Semaphore,
    copiers: Semaphore,
    snapshot_copiers: Semaphore,
    takers: Semaphore,
    /// Places for sessions at writers elsewhere.
    forwarded: Arc<Semaphore>,
    closing: watch::Receiver<bool>,
}

/// What a Region is opened with for its databases, and what its servers are kept with.
pub(super) struct Prepared {
    pub(super) options: DatabasesOptions,
    postgres: Result<Postgres, PostgresMissing>,
    servers: Arc<Servers>,
    tls: Option<DatabaseCertificates>,
    directory: PathBuf,
    tail_limit: ByteSize,
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
        memory: memory(),
        servers: servers.clone(),
    };
    Ok(Prepared {
        options,
        postgres,
        servers,
        tls: certificates(config)?,
        directory: config
            .databases
            .clone()
            .unwrap_or_else(|| config.directory.join("databases")),
        tail_limit: config
            .tail_limit_mib
            .map_or(TAIL_LIMIT, |mib| ByteSize(mib.saturating_mul(1024 * 1024))),
    })
}

/// What endpoints' addresses are drawn from; or why there are none.
/// The machine's memory. Where nobody can tell how much there is, none is refused for it.
fn memory() -> u64 {
    runtime::machine_memory().map_or_else(
        |cause| {
            tracing::warn!(%cause, "the machine's memory isn't known, and bounds no instances");
            u64::MAX
        },
        |memory| memory.0,
    )
}

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

/// What endpoints prove themselves with, in a deployment that speaks TLS.
fn certificates(config: &SiteConfig) -> Result<Option<DatabaseCertificates>, Failure> {
    let authority_key = config.authority_key.as_deref();
    let read = |tls| DatabaseCertificates::read(tls, authority_key).map_err(Failure::from);
    config.tls.as_ref().map(read).transpose()
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
        let snapshots = Snapshots::new(prepared.directory.join("snapshots"));
        let offers = Arc::new(Offers::new(
            snapshots.clone(),
            prepared.directory.clone(),
            environment.clone(),
        ));
        streams.serve(Arc::new(Peers {
            region: region.clone(),
            servers: servers.clone(),
            offers: offers.clone(),
        }));
        let around = Around {
            region: region.clone(),
            environment: environment.clone(),
            deployment,
            postgres: prepared.postgres,
            streams,
            leases: servers.leases.clone(),
            servers,
            spreads: Spreads::default(),
            tls: prepared.tls,
            zones,
            snapshots,
            archives: Archives::default(),
            copies: Copies::default(),
            offers,
            tails: Tails::new(prepared.directory.join("tails")),
            tail_limit: prepared.tail_limit,
            directory: prepared.directory,
            makers: Semaphore::new(MAKERS),
            copiers: Semaphore::new(COPIERS),
            snapshot_copiers: Semaphore::new(COPIERS),
            takers: Semaphore::new(TAKERS),
            forwarded: Arc::new(Semaphore::new(forwarding::SESSIONS)),
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
            around.tidy_tails();
            loop {
                around.keep_new(&keepers);
                // A replica elsewhere may be none any more.
                around.streams.ask_again();
                around.remove_snapshots().await;
                around.spreads.close_what_is_gone(&around);
                around.copy_new();
                around.archive_new();
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
            let renewed = leases::renew(around.clone());
            let followed = leases::follow(around.clone());
            let told = leases::tell(around.clone());
            let decided = automatic::decide(around);
            futures_util::future::join4(renewed, followed, told, decided).await;
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
    /// What an endpoint at that address proves itself with, if the deployment speaks TLS.
    fn tls_at(&self, address: SocketAddr) -> anyhow::Result<Option<EndpointTls>> {
        let certificates = self.tls.as_ref();
        certificates.map(|it| it.at(address.ip())).transpose()
    }

    /// Is the directory of databases the one that homes were made in, and not, say, the place where
    /// a disk with them would be mounted?
    fn is_there(&self) -> bool {
        self.directory.join(MARK).exists()
    }

    /// Makes the directory of databases, unless there is one or there should be.
    fn prepare(&self, postgres: &Postgres) -> Result<(), Failed> {
        if self.is_there() {
            return Ok(passable(postgres, &self.directory)?);
        }
        let mut are_some = false;
        let view = self.region.regional_view();
        catalogue::visit_instances(&*view, &mut |_, instance| {
            are_some |= instance.is_ok_and(|instance| instance.was_available());
        });
        if are_some {
            let directory = self.directory.display();
            let why = format!("the databases are not in {directory}: is its disk mounted?");
            return Err(Failed::new(FailureKind::Other, why));
        }
        passable(postgres, &self.directory)?;
        let mark = self.directory.join(MARK);
        let made = files::write(&mark, "databases 1\n", Readers::Owner);
        Ok(made.map_err(io::Error::other)?)
    }

    /// Both configurations as they are now.
    fn views(&self) -> Views {
        (self.region.regional_view(), self.region.global_view())
    }

    /// Carries on with the kept tails what the last process was cut off at.
    fn tidy_tails(&self) {
        let mut ids = Vec::new();
        let view = self.region.regional_view();
        catalogue::visit_instances(&*view, &mut |_, instance| {
            ids.extend(instance.map(|instance| instance.resource_id));
        });
        if let Err(cause) = self.tails.tidy(&ids) {
            tracing::warn!(%cause, "of the kept tails some are listed twice");
        }
    }

    /// Has every instance kept that nobody keeps yet.
    fn keep_new(self: &Arc<Around>, keepers: &watch::Sender<usize>) {
        if *self.closing.borrow() {
            return;
        }
        let view = self.region.regional_view();
        catalogue::visit_instances(&*view, &mut |_, instance| match instance {
            Ok(instance) => {
                let standby = instance.standby.as_ref().map(|standby| &standby.home);
                for home in [instance.home()].into_iter().chain(standby) {
                    if self.servers.find(home).is_none() {
                        self.keep_home(&instance.resource_id, home, keepers);
                    }
                }
            }
            Err(cause) => tracing::error!(%cause, "an instance can't be kept"),
        });
    }

    /// Has a home of an instance kept.
    fn keep_home(
        self: &Arc<Around>,
        id: &ResourceId,
        home: &ResourceId,
        keepers: &watch::Sender<usize>,
    ) {
        let seen = self.servers.of((id, home), || self.home(home));
        let keeper = Keeper::new(self.clone(), (id.clone(), home.clone()), seen);
        keepers.send_modify(|count| *count += 1);
        let done = Done(keepers.clone());
        runtime::spawn(async move {
            let _done = done;
            keeper.run().await;
        });
    }

    /// The directory of a home's server. Its name is short, since a socket's path is: 12 of
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
            if let Err(cause) = self.snapshots.remove(&snapshot.id).await {
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
