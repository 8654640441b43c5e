//! What keeps one instance: it looks, asks the plan for the one step that comes next, has it
//! carried out, and looks again. Nothing is remembered that could be seen: a process that dies at
//! any moment goes on from what is on disk. A step that takes long holds up nobody else.

use std::collections::BTreeMap;
use std::sync::Arc;

use databases::catalogue;
use databases::model::{Instance, Power, ResourceId};
use databases::plan::{
    FailureKind, Home, Next, Observed, Role, ServerSeen, Step, StepFailure, StepKind, Upstream,
    Wanted, next_step,
};
use runtime::StreamPort;
use runtime::postgres::{HomeState, Server, Stop};
use types::{Environment, Monotonic, Now, Span};

use super::Around;
use super::door::Door;
use super::servers::{Look, Seen, away};
use super::steps::Failed;

/// Between two looks at a primary that nothing happens to.
const LOOK_AT_PRIMARY: Span = Span::seconds(1);

/// Between two looks at a standby: what its lag is measured by.
const LOOK_AT_STANDBY: Span = Span::milliseconds(200);

/// Between two looks at an instance without a server.
const LOOK_AT_NOTHING: Span = Span::seconds(5);

/// Between two heartbeats of a primary that has replicas.
const HEARTBEAT: Span = Span::milliseconds(100);

/// A server that ends by itself within this time counts as one that couldn't be started.
const SOON: Span = Span::seconds(60);

/// How long a server may take to say how it is.
const OBSERVE_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

/// How long a server may take to stop in order when its process ends: the supervisor gives a site
/// 10 s in all.
const FAREWELL_WAIT: std::time::Duration = std::time::Duration::from_secs(7);

/// A running server, and what it was told.
pub(super) struct Running {
    pub(super) server: Server,
    pub(super) generation: u64,
    pub(super) settings: databases::plan::Settings,
    pub(super) awaits_restart: std::collections::BTreeSet<String>,
    pub(super) master_set: Option<u64>,
    /// Of a standby: the link's end that its WAL comes through; none where its source is here.
    pub(super) port: Option<StreamPort>,
    /// Whom it was told to follow, as it is reached from here.
    pub(super) reached: Option<runtime::postgres::Upstream>,
    /// When it was started.
    pub(super) since: Monotonic,
}

/// Keeps one instance.
pub(super) struct Keeper {
    pub(super) around: Arc<Around>,
    pub(super) id: ResourceId,
    pub(super) seen: Arc<Seen>,
    pub(super) running: Option<Running>,
    /// The last failure of each kind of step.
    failures: BTreeMap<StepKind, StepFailure>,
    door: Door,
    /// Not before then is leave asked for again.
    ask_again: Monotonic,
}

/// Whom a standby that runs is to follow and doesn't yet.
pub(super) fn followed(wanted: &Wanted, running: Option<&Running>) -> Option<Upstream> {
    let running = running.filter(|running| running.reached.is_none())?;
    wanted.instance.follows()?;
    running.settings.upstream.clone()
}

/// Why a keeper stops what it is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Interruption {
    /// The Region's process ends.
    Closing,
    /// The instance's zone is down.
    ZoneDown,
    /// The instance is to be deleted, or gone.
    Deleted,
}

impl Keeper {
    /// Of that instance.
    pub(super) fn new(around: Arc<Around>, id: ResourceId, seen: Arc<Seen>) -> Keeper {
        Keeper {
            door: Door::new(seen.clone(), around.tls.clone()),
            around,
            id,
            seen,
            running: None,
            failures: BTreeMap::new(),
            ask_again: Monotonic::default(),
        }
    }

    /// Until the instance is gone or the process ends.
    pub(super) async fn run(mut self) {
        loop {
            if *self.around.closing.borrow() {
                return self.close().await;
            }
            let view = self.around.region.regional_view();
            let wanted = match catalogue::wanted(&*view, &self.id) {
                Ok(Some(wanted)) => wanted,
                Ok(None) => {
                    self.running = None;
                    return self.around.servers.forget(&self.id);
                }
                Err(cause) => {
                    self.trouble(&cause.to_string());
                    self.wait(self.now().monotonic + LOOK_AT_NOTHING, false)
                        .await;
                    continue;
                }
            };
            if !self.around.zones.is_up(wanted.instance.zone.letter) {
                self.fall();
                self.wait(self.now().monotonic + LOOK_AT_NOTHING, false)
                    .await;
                continue;
            }
            self.turn(&wanted).await;
        }
    }

    /// Looks, and carries out one step or waits.
    async fn turn(&mut self, wanted: &Wanted) {
        self.door.open(&wanted.instance);
        let observed = self.observe(wanted).await;
        self.show(wanted, &observed, None);
        self.attach(wanted, &observed).await;
        let now = self.now();
        let has_replicas = !wanted.instance.replicas.is_empty();
        let is_standby = wanted.instance.source.is_some();
        match next_step(wanted, &observed, now) {
            Next::Step(step) => {
                self.show(wanted, &observed, Some(step.kind()));
                self.carry_out(wanted, step).await;
            }
            Next::WaitUntil(at) => self.wait(at, has_replicas).await,
            Next::Settled => {
                let pause = match &observed.server {
                    Some(_) if is_standby => LOOK_AT_STANDBY,
                    Some(_) => LOOK_AT_PRIMARY,
                    None => LOOK_AT_NOTHING,
                };
                self.wait(now.monotonic + pause, has_replicas).await;
            }
        }
    }

    /// All that there is to see.
    async fn observe(&mut self, wanted: &Wanted) -> Observed {
        let gone = self.running.take_if(|running| !running.server.is_running());
        if let Some(gone) = gone {
            self.ended_by_itself(&gone);
        }
        let home = match self.seen.home.state() {
            HomeState::Absent => Home::Absent,
            // What is damaged is whole for nobody; the plan doesn't remove what was in use.
            HomeState::Unfinished | HomeState::Damaged => Home::Unfinished,
            HomeState::Whole { .. } => Home::Whole,
        };
        let server = match &self.running {
            Some(running) => Some(self.look(running).await),
            None => {
                self.seen.state().look = None;
                None
            }
        };
        let ids = wanted.snapshots.iter().map(|snapshot| &snapshot.id);
        Observed {
            home,
            server,
            snapshots: self.around.snapshots.seen(ids),
            failures: self.failures.clone(),
        }
    }

    /// Asks the server how it is.
    async fn look(&self, running: &Running) -> ServerSeen {
        let asked = runtime::within(OBSERVE_WAIT, running.server.observe()).await;
        let now = self.now();
        let observation = match asked {
            Some(Ok(observation)) => Some(observation),
            Some(Err(cause)) => {
                tracing::debug!(instance = %self.id, %cause, "a server says nothing of itself");
                None
            }
            None => None,
        };
        let role = observation.as_ref().map(|it| match it.role {
            runtime::postgres::Role::Primary => Role::Primary,
            runtime::postgres::Role::Standby => Role::Standby,
        });
        let slots = observation.iter().flat_map(|it| &it.slots);
        let slots = slots.map(|slot| slot.name.clone());
        let seen = ServerSeen {
            generation: running.generation,
            role,
            settings: running.settings.clone(),
            awaits_restart: running.awaits_restart.clone(),
            slots: slots.collect(),
            receives: observation.as_ref().is_some_and(|it| it.receiving),
            master_set: running.master_set,
        };
        if let Some(observation) = observation {
            self.seen.state().look = Some(Look {
                observation,
                at: now.monotonic,
                wall: now.wall,
            });
        }
        seen
    }

    /// Tells everybody else how it stands.
    fn show(&self, wanted: &Wanted, observed: &Observed, doing: Option<StepKind>) {
        let answers = observed.server.as_ref().is_some_and(|it| it.role.is_some());
        let mut state = self.seen.state();
        state.connections = self.door.connections();
        state.trouble = self.door.trouble().or_else(|| {
            let failure = self.failures.values().max_by_key(|failure| failure.at)?;
            let (kind, attempts) = (failure.step.kind(), failure.attempts);
            Some(format!(
                "{kind:?} failed {attempts} times: {}",
                failure.reason
            ))
        });
        state.standing.observed = observed.clone();
        state.standing.doing = doing;
        state.backend = match (answers, doing) {
            (_, Some(StepKind::Stop)) => away("the database system is shutting down"),
            (true, _) => runtime::Backend::Server {
                socket: self.seen.socket(),
            },
            (false, _) => away(match wanted.instance.power {
                Power::Stopped => "the DB instance is stopped",
                Power::Running => "the database system is starting up",
            }),
        };
    }

    fn trouble(&self, trouble: &str) {
        let mut state = self.seen.state();
        if state.trouble.as_deref() != Some(trouble) {
            tracing::error!(instance = %self.id, trouble, "a database can't be kept");
            state.trouble = Some(trouble.to_owned());
        }
    }

    /// As its zone does: the server ends at once, and nothing listens.
    fn fall(&mut self) {
        self.running = None;
        self.failures.clear();
        self.door.close();
        let mut state = self.seen.state();
        state.look = None;
        state.connections = 0;
        state.standing.observed.server = None;
        state.standing.doing = None;
        state.backend = away("the zone of this DB instance is down");
        state.trouble = Some("its zone is down".to_owned());
    }

    /// Carries out a step unless something comes between.
    async fn carry_out(&mut self, wanted: &Wanted, step: Step) {
        let around = self.around.clone();
        let (zone, id) = (wanted.instance.zone.letter, self.id.clone());
        let is_making = matches!(step, Step::Make { .. } | Step::Copy(_) | Step::Restore(_));
        let beats = wanted.instance.replicas.len();
        tracing::debug!(instance = %id, kind = ?step.kind(), "a step");
        let outcome = tokio::select! {
            outcome = super::steps::carry_out(self, wanted, &step) => outcome,
            why = interruption(&around, zone, &id, is_making && beats == 0) => {
                tracing::info!(instance = %id, kind = ?step.kind(), ?why, "a step was let go");
                return;
            }
        };
        match outcome {
            Ok(()) => {
                self.failures.remove(&step.kind());
            }
            Err(Failed { kind, reason }) => self.failed(step, kind, reason),
        }
    }

    fn failed(&mut self, step: Step, kind: FailureKind, reason: String) {
        let before = self.failures.remove(&step.kind());
        let before = before.filter(|failure| failure.step == step);
        let attempts = before.map_or(0, |failure| failure.attempts) + 1;
        tracing::warn!(instance = %self.id, kind = ?step.kind(), attempts, reason, "a step failed");
        let failure = StepFailure {
            step,
            attempts,
            at: self.now().monotonic,
            kind,
            reason,
        };
        self.failures.insert(failure.step.kind(), failure);
    }

    /// A server that ends soon after its start can't live: the next start waits longer.
    fn ended_by_itself(&mut self, running: &Running) {
        tracing::warn!(instance = %self.id, "a database server has ended by itself");
        if self.now().monotonic - running.since < SOON {
            let step = Step::Start {
                generation: running.generation,
                settings: running.settings.clone(),
            };
            let reason = "the server ended by itself soon after its start".to_owned();
            self.failed(step, FailureKind::Other, reason);
        }
    }

    /// Has a standby that runs follow its source, once that gives leave.
    async fn attach(&mut self, wanted: &Wanted, observed: &Observed) {
        let is_standby = observed
            .server
            .as_ref()
            .is_some_and(|it| it.role == Some(Role::Standby));
        let is_alone = followed(wanted, self.running.as_ref()).is_some();
        let now = self.now().monotonic;
        if !is_standby || !is_alone || now < self.ask_again {
            return;
        }
        self.ask_again = now + LOOK_AT_PRIMARY;
        let outcome = super::steps::attach(self, wanted).await;
        if let Err(Failed { kind, reason }) = outcome {
            tracing::debug!(instance = %self.id, reason, "no leave to follow the source");
            let is_gone = kind == FailureKind::SourceGone;
            if is_gone {
                self.ask_again = now + Span::seconds(30);
            }
            self.seen.state().standing.source_gone = is_gone;
        }
    }

    /// Until that time, or until something changes; the server's heart beats meanwhile if it has
    /// replicas.
    async fn wait(&mut self, at: Monotonic, has_replicas: bool) {
        let environment = self.around.environment.clone();
        let mut closing = self.around.closing.clone();
        let mut zones = self.around.zones.subscribe();
        zones.mark_unchanged();
        let seen = self.seen.clone();
        let beats = async {
            if let (Some(running), true) = (&self.running, has_replicas) {
                beat(&running.server, &*environment).await;
            }
            std::future::pending::<()>().await;
        };
        let ended = async {
            match &self.running {
                Some(running) => running.server.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = environment.sleep_until(at) => {}
            () = seen.wake.notified() => {}
            () = ended => {}
            () = beats => {}
            _ = closing.changed() => {}
            _ = zones.changed() => {}
        }
    }

    /// Stops the server in order, if it can be done in time.
    async fn close(mut self) {
        self.seen.state().backend = away("the database system is shutting down");
        if let Some(running) = self.running.take() {
            let stopped = running.server.stop(Stop::Fast);
            match runtime::within(FAREWELL_WAIT, stopped).await {
                Some(Ok(())) => {}
                Some(Err(cause)) => {
                    tracing::warn!(instance = %self.id, %cause, "a server didn't stop in order");
                }
                None => tracing::warn!(instance = %self.id, "a server didn't stop in time"),
            }
        }
        self.door.close();
    }

    pub(super) fn now(&self) -> Now {
        self.around.environment.now()
    }
}

/// Writes heartbeats until one fails: then the server is looked at anyway.
async fn beat(server: &Server, environment: &dyn Environment) {
    loop {
        let now = environment.now();
        if let Err(cause) = server.beat(now.wall).await {
            tracing::debug!(%cause, "a heartbeat wasn't written");
            return;
        }
        environment.sleep_until(now.monotonic + HEARTBEAT).await;
    }
}

/// Ends when a step of that instance is to be let go.
async fn interruption(
    around: &Around,
    zone: types::ZoneLetter,
    id: &ResourceId,
    is_making: bool,
) -> Interruption {
    let mut closing = around.closing.clone();
    let mut zones = around.zones.subscribe();
    loop {
        if *closing.borrow_and_update() {
            return Interruption::Closing;
        }
        if zones.borrow_and_update().contains(&zone) {
            return Interruption::ZoneDown;
        }
        if is_making && is_deleted(around, id) {
            return Interruption::Deleted;
        }
        let soon = around.environment.now().monotonic + Span::milliseconds(500);
        tokio::select! {
            () = around.environment.sleep_until(soon) => {}
            _ = closing.changed() => {}
            _ = zones.changed() => {}
        }
    }
}

fn is_deleted(around: &Around, id: &ResourceId) -> bool {
    let view = around.region.regional_view();
    let found = catalogue::instance(&*view, id);
    match found {
        Ok(Some((_, Instance { deletion, .. }))) => deletion.is_some(),
        Ok(None) => true,
        Err(_) => false,
    }
}
