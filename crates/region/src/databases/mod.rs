//! A Region's databases: the RDS API over the Region's own configuration, the questions that
//! Regions ask each other about replicas, and what the Region's process is given to carry the
//! service's plans out. It starts no server and moves no byte.

mod heads;
mod question;
mod sources;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use council::{Change, Edit};
use databases::model::{Lsn, ResourceId, Snapshot, SnapshotId, SnapshotState};
use databases::{
    CopyRequest, EndpointPool, Engine as Installed, ServerView, SourceError, SourceView, catalogue,
};
use event_listener::Event;
use link::{Lane, Plain};
use store::Engine;
use types::{
    AccountId, Configuration, ConfigurationEdit, ConfigurationError, ConfigurationView,
    Environment, SiteId, Span,
};
use zeroize::Zeroizing;

pub use question::{
    DatabaseAnswer, DatabaseQuestion, Leave, LeaveRefusal, LeaveRequest, ReplicationPassword,
};
pub use sources::LeaveError;

pub(crate) use question::{put, take};
pub(crate) use sources::Sources;

use crate::message::{Answer, Message};
use crate::region::{DATABASES, Region};
use crate::regional::Regional;

/// The service's signing name.
pub(crate) const SERVICE: &str = "rds";

/// Questions of peers that wait for their answers, at most; one more is not answered, and is asked
/// again by whoever needs it.
const MAX_WAITING: usize = 256;

/// Between two looks for sources that are still to be told of a replica that is gone.
const FAREWELLS: Span = Span::seconds(2);

/// The Region's servers, as the process has them that runs them.
pub trait DatabaseServers: ServerView {
    /// The password of the replication user of that instance's server, once it keeps that slot;
    /// `None`: it has no server that does.
    fn replication_password(&self, instance: &ResourceId, slot: &str) -> Option<Zeroizing<String>>;

    /// Where the log begins that the server on that home still has; `None`: it is not known, or all
    /// who follow it do.
    fn oldest_log(&self, home: &ResourceId) -> Option<Lsn>;
}

/// What a Region's databases are given.
#[derive(Clone)]
pub struct DatabasesOptions {
    /// The installed PostgreSQL; or why there is none, in words for whoever makes an instance.
    pub engine: Result<Installed, String>,
    /// What the addresses of endpoints are drawn from; or why there can be none here, in words for
    /// whoever makes an instance.
    pub pool: Result<EndpointPool, String>,
    /// Bytes of memory that servers may come to take together.
    pub memory: u64,
    /// The servers.
    pub servers: Arc<dyn DatabaseServers>,
}

impl DatabasesOptions {
    /// For a Region that has none, in those words.
    pub fn none(why: &str) -> DatabasesOptions {
        DatabasesOptions {
            engine: Err(why.to_owned()),
            pool: Err(why.to_owned()),
            memory: 0,
            servers: Arc::new(Nobody),
        }
    }
}

/// No server runs.
struct Nobody;

impl ServerView for Nobody {
    fn standing(&self, _: &str) -> Option<databases::Standing> {
        None
    }

    fn changed(&self, _: &str) {}
}

impl DatabaseServers for Nobody {
    fn replication_password(&self, _: &ResourceId, _: &str) -> Option<Zeroizing<String>> {
        None
    }

    fn oldest_log(&self, _: &ResourceId) -> Option<Lsn> {
        None
    }
}

/// A Region's databases: the service, and its ways to other Regions.
pub(crate) struct Databases {
    pub(crate) service: databases::Service,
    sources: Arc<Sources>,
    servers: Arc<dyn DatabaseServers>,
    waiting: Waiting,
}

impl Databases {
    /// Over the Region's own configuration and the council's.
    pub(crate) fn new<E: Engine>(
        environment: Arc<dyn Environment>,
        (regional, global): (Arc<Regional<E>>, Arc<dyn Configuration>),
        (region, account): (types::Region, AccountId),
        sources: Sources,
        options: &DatabasesOptions,
    ) -> Databases {
        let sources = Arc::new(sources);
        Databases {
            service: databases::Service::new(databases::ServiceConfig {
                environment,
                configuration: regional.clone(),
                global,
                region,
                engine: options.engine.clone(),
                servers: options.servers.clone(),
                sources: sources.clone(),
                surroundings: Arc::new(Around {
                    region,
                    account,
                    regional,
                }),
                pool: options.pool.clone(),
                memory: options.memory,
            }),
            sources,
            servers: options.servers.clone(),
            waiting: Waiting::default(),
        }
    }
}

/// What else is in the Region, as its databases see it.
struct Around {
    region: types::Region,
    /// Whose security groups there are: those of other accounts aren't found.
    account: AccountId,
    regional: Arc<dyn Configuration>,
}

impl databases::Surroundings for Around {
    fn has_security_group(&self, id: &str) -> bool {
        ec2::is_security_group(&*self.regional.view(), self.account, self.region, id)
    }
}

/// A question of a peer.
type Asked = (SiteId, u64, DatabaseQuestion);

/// Questions of peers, in the order in which they came.
#[derive(Default)]
struct Waiting {
    questions: Mutex<VecDeque<Asked>>,
    came: Event,
}

impl Waiting {
    /// Takes one in; false: there are too many.
    fn push(&self, asked: Asked) -> bool {
        let mut questions = self.questions();
        if questions.len() >= MAX_WAITING {
            return false;
        }
        questions.push_back(asked);
        drop(questions);
        self.came.notify(usize::MAX);
        true
    }

    /// The next one.
    async fn next(&self) -> Asked {
        loop {
            let came = self.came.listen();
            let next = self.questions().pop_front();
            if let Some(next) = next {
                return next;
            }
            came.await;
        }
    }

    fn questions(&self) -> MutexGuard<'_, VecDeque<Asked>> {
        let questions = self.questions.lock();
        questions.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Engine> Region<E> {
    /// RDS's API: what was reached of its plans is told it.
    pub fn database_service(&self) -> &databases::Service {
        &self.own.databases.service
    }

    /// The Region's own configuration as it is now.
    pub fn regional_view(&self) -> Arc<dyn ConfigurationView> {
        self.own.regional.view()
    }

    /// The council's configuration as this Region knows it now: global clusters stand there.
    pub fn global_view(&self) -> Arc<dyn ConfigurationView> {
        Configuration::view(&*self.council)
    }

    /// Waits for a view of the council's configuration of a later revision than that.
    pub async fn global_view_after(&self, revision: u64) -> Arc<dyn ConfigurationView> {
        self.council.settings_after(revision).await
    }

    /// Has the council make these edits, before others of this Region if there are too many: the
    /// lease's renewals. [`council::CouncilDriver::propose_first`].
    ///
    /// # Errors
    /// They were refused, or nothing was decided in time.
    pub async fn propose_globally_first(
        &self,
        edits: Vec<ConfigurationEdit>,
    ) -> Result<u64, ConfigurationError> {
        let edits = edits.into_iter().map(Edit::from).collect();
        let proposed = self.council.propose_first(Change { edits });
        Ok(proposed.await?)
    }

    /// Asks the source's Region for what a replica's server logs in with.
    ///
    /// # Errors
    /// The source is gone, or there is no answer now.
    pub async fn database_leave(&self, request: LeaveRequest) -> Result<Leave, LeaveError> {
        self.own.databases.sources.leave(request).await
    }

    /// Asks the Region of a snapshot, which may be this one, for leave to copy it.
    ///
    /// # Errors
    /// It is gone or isn't whole, or there is no answer now.
    pub async fn snapshot_leave(&self, request: &CopyRequest) -> Result<Snapshot, SourceError> {
        if request.source.region == self.name {
            let given = self.own.databases.service.given(request);
            return given.map_err(SourceError::Refused);
        }
        Ok(*self.own.databases.sources.snapshot(request).await?)
    }

    /// May the Region of that site have a copy of that snapshot of this one? Any Region may: that
    /// its caller may is judged at its front door, as for replicas.
    pub fn offers_snapshot(&self, peer: SiteId, id: &SnapshotId) -> bool {
        if self.config.deployment.region_of(peer).is_none() {
            return false;
        }
        let all = catalogue::snapshots(&*self.regional_view()).unwrap_or_default();
        let mut rows = all.iter().map(|(_, row)| row);
        rows.any(|row| row.id == *id && row.state == SnapshotState::Available)
    }

    /// Asks another Region how far a head of its own has received its writer's log; `None`: it
    /// doesn't say.
    pub async fn database_received(&self, region: types::Region, head: &ResourceId) -> Option<Lsn> {
        self.own.databases.sources.received(region, head).await
    }

    /// Has the Region of that site a replica of that instance of this one, or a head that follows
    /// it in a global cluster?
    pub fn has_replica_at(&self, peer: SiteId, source: &ResourceId) -> bool {
        let Some(region) = self.config.deployment.region_of(peer) else {
            return false;
        };
        if heads::follows_at(&*self.global_view(), source, region) {
            return true;
        }
        let found = catalogue::instance(&*self.regional_view(), source);
        let Ok(Some((_, instance))) = found else {
            return false;
        };
        let mut replicas = instance.replicas.values();
        replicas.any(|replica| replica.arn.region == region)
    }

    /// Where the Region of that site may have writes carried out that its secondary of a global
    /// cluster forwards to that instance of this one, which writes; `None`: nowhere.
    pub fn forwarded_to(&self, peer: SiteId, writer: &ResourceId) -> Option<SocketAddr> {
        let region = self.config.deployment.region_of(peer)?;
        let (view, global) = (self.regional_view(), self.global_view());
        let found = databases::forwarded_to(&*view, &*global, writer, region);
        found.unwrap_or_else(|cause| {
            tracing::error!(%cause, "nobody can tell whether writes may be forwarded");
            None
        })
    }

    /// A question of a peer is answered once those before it are.
    pub(crate) fn take_database_question(
        &self,
        peer: SiteId,
        number: u64,
        question: &DatabaseQuestion,
    ) {
        let asked = (peer, number, question.clone());
        if !self.own.databases.waiting.push(asked) {
            tracing::warn!(peer = peer.0, "too many questions about databases wait");
        }
    }

    /// Answers peers' questions, until the process ends.
    pub(crate) async fn answer_databases(self: Arc<Self>) {
        loop {
            let (peer, number, question) = self.own.databases.waiting.next().await;
            let (Some(peer), Some(region)) = (
                self.peers.get(&peer),
                self.config.deployment.region_of(peer),
            ) else {
                continue;
            };
            let answer = match sources::may_ask(region, self.name, &question) {
                true => self.database_answer(region, &question).await,
                false => sources::refusal(&question),
            };
            let answer = Answer::Database(answer);
            let payload = Message::Answer { number, answer }.encode();
            let service = link::Service(DATABASES);
            let plain = Plain::new(peer.site.name, Lane::Request, service, "", payload)
                .expect("an answer is short");
            let now = self.environment.now().monotonic;
            if let Err(error) = peer.port.send(now, &self.admission, plain) {
                tracing::debug!(peer = %peer.site.name, %error, "an answer was not sent");
            }
        }
    }

    async fn database_answer(
        &self,
        peer: types::Region,
        question: &DatabaseQuestion,
    ) -> DatabaseAnswer {
        let service = &self.own.databases.service;
        match question {
            DatabaseQuestion::Attach { request } => DatabaseAnswer::Attach {
                answer: service.attach(request).await,
            },
            DatabaseQuestion::Detach { farewell } => DatabaseAnswer::Detach {
                answer: service.detach(farewell).await,
            },
            DatabaseQuestion::Received { head } => DatabaseAnswer::Received {
                received: self.received(peer, head),
            },
            DatabaseQuestion::Leave { request } => DatabaseAnswer::Leave {
                answer: self.give_leave(peer, request),
            },
            DatabaseQuestion::Copy { request } => DatabaseAnswer::Copy {
                answer: service.given(request).map(Box::new),
            },
        }
    }

    /// How far a head of this Region has received, as a Region may know that has a member of the
    /// same global cluster.
    fn received(&self, peer: types::Region, head: &ResourceId) -> Option<Lsn> {
        if !heads::are_of_one(&*self.global_view(), head, peer) {
            return None;
        }
        let standing = self.own.databases.servers.standing(&head.0)?;
        let server = standing.observed.server?;
        let is_standby = server.role == Some(databases::plan::Role::Standby);
        let log = server.log;
        is_standby.then(|| log.received.max(log.replayed)).flatten()
    }

    /// What a replica that was taken logs in with.
    fn give_leave(
        &self,
        peer: types::Region,
        request: &LeaveRequest,
    ) -> Result<Leave, LeaveRefusal> {
        let name = &request.source.identifier;
        let gone = |why: String| Err(LeaveRefusal::Gone(why));
        let instance = match catalogue::instance(&*self.regional_view(), &request.source_id) {
            Ok(Some((_, instance))) => instance,
            Ok(None) => return gone(format!("the source {name} is gone")),
            Err(cause) => return Err(LeaveRefusal::NotReady(cause.to_string())),
        };
        let deletion = instance.deletion.as_ref();
        if deletion.is_some_and(|deletion| deletion.final_snapshot.is_some()) {
            // If that fails, the deletion is given up.
            let why = format!("the source {name} takes its last snapshot");
            return Err(LeaveRefusal::NotReady(why));
        }
        if deletion.is_some() {
            return gone(format!("the source {name} is being deleted"));
        }
        let not_ready = || LeaveRefusal::NotReady(format!("the source {name} isn't ready"));
        let slot = match instance.headship {
            // Who follows whom may be news that hasn't come here, or not there.
            Some(_) => heads::slot_of(&*self.global_view(), request, peer).ok_or_else(not_ready)?,
            None => {
                let mut replicas = instance.replicas.values();
                let is_it = |replica: &&databases::model::Replica| {
                    replica.resource_id == request.replica_id && replica.arn.region == peer
                };
                let Some(replica) = replicas.find(is_it) else {
                    return gone(format!("the source {name} keeps nothing for this replica"));
                };
                replica.slot.clone()
            }
        };
        let servers = &self.own.databases.servers;
        let password = servers.replication_password(instance.home(), &slot);
        Ok(Leave {
            password: ReplicationPassword(password.ok_or_else(not_ready)?),
            engine_version: instance.engine_version.clone(),
            oldest_log: servers.oldest_log(instance.home()),
        })
    }

    /// Tells sources of replicas that are gone or stand alone, until each has heard it; until the
    /// process ends.
    pub(crate) async fn say_farewells(self: Arc<Self>) {
        loop {
            let view = self.regional_view();
            let rows = match catalogue::farewells(&*view) {
                // There is nobody to tell until something changes.
                Ok(rows) if rows.is_empty() => {
                    self.own.regional.after(view.revision()).await;
                    continue;
                }
                Ok(rows) => rows,
                Err(cause) => {
                    tracing::error!(%cause, "farewells to sources can't be read");
                    Vec::new()
                }
            };
            let due = rows.into_iter().map(|(_, row)| row);
            // One that is away would hold up what is to be told to the others.
            let mut away = BTreeSet::new();
            for farewell in due.filter(|row| row.after <= self.environment.now().wall) {
                if away.contains(&farewell.source.region) {
                    continue;
                }
                if let Err(cause) = self.own.databases.sources.detach(&farewell).await {
                    tracing::debug!(source = %farewell.source, %cause, "a farewell waits");
                    away.insert(farewell.source.region);
                    continue;
                }
                let service = &self.own.databases.service;
                if let Err(cause) = service.farewell_told(&farewell.replica_id).await {
                    tracing::warn!(source = %farewell.source, %cause, "a farewell is told again");
                }
            }
            let now = self.environment.now().monotonic;
            self.environment.sleep_until(now + FAREWELLS).await;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
