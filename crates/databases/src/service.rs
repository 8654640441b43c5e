//! The API of RDS of one Region: takes a request whose signature was verified, asks whether its
//! caller may, and carries its operation out on the Region's own configuration. It owns no socket,
//! no clock and no thread, and starts no server: whoever does looks at what stands there.
//!
//! A change is optimistic: it reads a view, judges the request against it, and proposes edits that
//! hold only of what it read. Every change writes one key beside its own
//! ([`crate::keys::CHANGES`]), so no two are made that each were judged without the other; in one
//! process they wait for each other instead.

use std::sync::{Arc, Mutex as SyncMutex};

use async_lock::{Mutex, MutexGuard};
use aws::ServiceError;
use aws::access::Authorizer;
use aws::query::{self, Form, RDS, Reply};
use bytes::Bytes;
use http::Response;
use http::request::Parts;
use types::{Configuration, ConfigurationEdit, ConfigurationView, Environment, Region, Timestamp};

use crate::attach::Departed;
use crate::catalogue;
use crate::engine::Engine;
use crate::error::DatabasesError;
use crate::model::ResourceId;
use crate::operation_table::OPERATIONS;
use crate::pool::EndpointPool;
use crate::request::DatabasesRequest;
use crate::source::SourceView;
use crate::view::{ServerView, Surroundings};

/// What the service is told when it is made.
#[derive(Clone)]
pub struct ServiceConfig {
    /// The clocks and the randomness of the place it runs in.
    pub environment: Arc<dyn Environment>,
    /// The Region's own configuration.
    pub configuration: Arc<dyn Configuration>,
    /// The council's configuration, in which global clusters stand.
    pub global: Arc<dyn Configuration>,
    /// The Region.
    pub region: Region,
    /// The installed PostgreSQL; or why there is none, as whoever makes an instance is told.
    pub engine: Result<Engine, String>,
    /// How servers stand.
    pub servers: Arc<dyn ServerView>,
    /// The way to sources in other Regions.
    pub sources: Arc<dyn SourceView>,
    /// What else is in the Region.
    pub surroundings: Arc<dyn Surroundings>,
    /// What endpoints' addresses are drawn from; or why this deployment has none, as whoever makes
    /// an instance is told.
    pub pool: Result<EndpointPool, String>,
    /// Bytes of memory that the servers of this Region's instances may come to take together.
    pub memory: u64,
}

/// The API of one Region.
pub struct Service {
    pub(crate) config: ServiceConfig,
    changes: Mutex<()>,
    /// Held while a cluster joins a global cluster and is made: of two of one name the second would
    /// take the first one's place there, and be taken away again with it. Held too while a
    /// cluster's instance is made or its deletion begins: each is judged without the other else.
    pub(crate) joins: Mutex<()>,
    pub(crate) departed: SyncMutex<Departed>,
}

/// What a change asks for on a view: edits, and what it says beside them.
pub(crate) type Attempt<T> = Result<(Vec<ConfigurationEdit>, T), DatabasesError>;

impl Service {
    /// The service with that configuration.
    pub fn new(config: ServiceConfig) -> Service {
        Service {
            config,
            changes: Mutex::new(()),
            joins: Mutex::new(()),
            departed: SyncMutex::default(),
        }
    }

    /// Every operation of the service's model, and whether it is built.
    pub fn operations() -> impl Iterator<Item = (&'static str, bool)> {
        let rows = OPERATIONS.iter();
        rows.map(|row| (row.name, row.handler.is_some()))
    }

    /// Carries out the operation that a request asks for, if its caller may. Must be polled to its
    /// end: a change that was proposed may be made.
    pub async fn execute(
        &self,
        caller: &dyn Authorizer,
        parts: &Parts,
        body: &Bytes,
        request_id: &str,
    ) -> Response<Bytes> {
        match self.serve(caller, parts, body).await {
            Ok(reply) => reply.finish(request_id),
            Err(error) => query::failure(request_id, &error),
        }
    }

    async fn serve(
        &self,
        caller: &dyn Authorizer,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Reply, ServiceError> {
        let form = Form::of(&RDS, parts, body)?;
        let name = form.action()?;
        let row = aws::find(OPERATIONS, name);
        let row = row.filter(|_| form.version() == Some(RDS.version));
        let row = row.ok_or_else(|| query::unknown_operation(&form))?;
        let handler = row.handler.ok_or_else(|| aws::rest::not_built(row.name))?;
        let request = DatabasesRequest::new(row, &form, caller, self.config.region);
        request.authorize(&*self.view())?;
        Ok(handler(self, &request).await?)
    }

    /// The configuration as of now.
    pub(crate) fn view(&self) -> Arc<dyn ConfigurationView> {
        self.config.configuration.view()
    }

    /// The council's configuration as of now.
    pub(crate) fn global_view(&self) -> Arc<dyn ConfigurationView> {
        self.config.global.view()
    }

    /// Has the edits of the council's configuration made that `attempt` asks for; on a fresh view
    /// when others' changes came first. Returns what it said, and the revision that made them, if
    /// there were any. What it refuses may be refused by an old view.
    pub(crate) async fn change_global<T>(
        &self,
        attempt: impl FnMut(&dyn ConfigurationView) -> Attempt<T>,
    ) -> Result<(T, Option<u64>), DatabasesError> {
        let made = types::propose(&*self.config.global, DatabasesError::from, attempt);
        made.await
    }

    /// As [`Service::change_global`]; but what is refused is refused by what was decided before the
    /// call: [`types::propose_confirmed`]. Not for who holds [`Service::joins`], for which others
    /// would wait meanwhile: [`Service::alone`].
    pub(crate) async fn change_global_confirmed<T>(
        &self,
        attempt: impl FnMut(&dyn ConfigurationView) -> Attempt<T>,
    ) -> Result<(T, Option<u64>), DatabasesError> {
        let global = &*self.config.global;
        types::propose_confirmed(global, DatabasesError::from, attempt).await
    }

    /// Returns when this site has all that the council had decided before the call.
    pub(crate) async fn catch_up(&self) -> Result<(), DatabasesError> {
        Ok(self.config.global.catch_up().await?)
    }

    /// Does `act` with what `check` gives, and holds `joins` from before both until the guard is
    /// dropped. What `act` refuses by the council's configuration, which may be old, it does once
    /// more when this site has all that was decided before; nobody waits for `joins` meanwhile.
    pub(crate) async fn alone<C, T, F: Future<Output = Result<T, DatabasesError>>>(
        &self,
        check: impl Fn() -> Result<C, DatabasesError>,
        act: impl Fn(C) -> F,
    ) -> Result<(MutexGuard<'_, ()>, T), DatabasesError> {
        let alone = self.joins.lock().await;
        match act(check()?).await {
            Err(DatabasesError::Refused(..)) => drop(alone),
            done => return Ok((alone, done?)),
        }
        self.catch_up().await?;
        let alone = self.joins.lock().await;
        let done = act(check()?).await?;
        Ok((alone, done))
    }

    /// The wall clock, now.
    pub(crate) fn now(&self) -> Timestamp {
        self.config.environment.now().wall
    }

    /// The clocks and the randomness.
    pub(crate) fn environment(&self) -> &dyn Environment {
        &*self.config.environment
    }

    /// Tells whoever looks after servers that an instance was changed.
    pub(crate) fn look_at(&self, id: &ResourceId) {
        self.config.servers.changed(&id.0);
    }

    /// Has the edits made that `attempt` asks for on a view; on a fresh one when others' changes
    /// came first. Returns what it said beside them; no edits: nothing is proposed.
    pub(crate) async fn change<T>(
        &self,
        mut attempt: impl FnMut(&dyn ConfigurationView) -> Attempt<T>,
    ) -> Result<T, DatabasesError> {
        let _alone = self.changes.lock().await;
        let counted = |view: &dyn ConfigurationView| {
            let (mut edits, outcome) = attempt(view)?;
            if !edits.is_empty() {
                edits.push(catalogue::count_change(view));
            }
            Ok((edits, outcome))
        };
        let configuration = &*self.config.configuration;
        let made = types::propose(configuration, DatabasesError::from, counted);
        Ok(made.await?.0)
    }
}
