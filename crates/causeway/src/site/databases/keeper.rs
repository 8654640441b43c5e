//! What keeps one instance: it looks, asks the plan for the one step that comes next, has it
//! carried out, and looks again. Nothing is remembered that could be seen: a process that dies at
//! any moment goes on from what is on disk. A step that takes long holds up nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use databases::catalogue;
use databases::lease::MoveSeen;
use databases::model::{Instance, ResourceId};
use databases::plan::{
    Duty, FailureKind, Home, Next, Observed, Role, ServerSeen, Step, StepFailure, StepKind, Wanted,
    next_step,
};
use runtime::postgres::{Fork, Observation, Server, Stop};
use runtime::{StreamPort, SystemEnvironment};
use tokio::sync::{oneshot, watch};
use types::{Environment, Monotonic, Now, Span, ZoneLetter};

use super::Around;
use super::door::Doors;
use super::servers::{Planned, Seen};
use super::steps::Failed;

/// Between two looks at a primary that nothing happens to.
const LOOK_AT_PRIMARY: Span = Span::seconds(1);

/// Between two looks at a standby: what its lag is measured by.
const LOOK_AT_STANDBY: Span = Span::milliseconds(200);

/// Between two looks at a head whose role, or whose writer's, is on its way.
const LOOK_AT_MOVE: Span = Span::milliseconds(25);

/// Between two looks at an instance without a server.
const LOOK_AT_NOTHING: Span = Span::seconds(5);

/// Between two heartbeats of a primary that has replicas.
const HEARTBEAT: Span = Span::milliseconds(100);

/// A server that ends by itself within this time counts as one that couldn't be started.
const SOON: Span = Span::seconds(60);

/// Between two questions to the source of a standby that receives nothing.
const ASK_SOURCE: Span = Span::seconds(2);

/// Between two looks whether an instance that is being made is to be deleted.
const LOOK_FOR_DELETION: Span = Span::milliseconds(500);

/// How long a server may take to stop in order when its process ends: the supervisor gives a site
/// 10 s in all.
const FAREWELL_WAIT: Duration = Duration::from_secs(7);

/// A running server, and what it was told.
pub(super) struct Running {
    pub(super) server: Arc<Server>,
    pub(super) generation: u64,
    pub(super) settings: databases::plan::Settings,
    pub(super) awaits_restart: BTreeSet<String>,
    pub(super) master_set: Option<u64>,
    /// Of a standby: the link's end that its WAL comes through; none where its source is here.
    pub(super) port: Option<StreamPort>,
    /// Whom it was told to follow, as it is reached from here.
    pub(super) reached: Option<runtime::postgres::Upstream>,
    /// When it was started.
    pub(super) since: Monotonic,
    /// What it said last of itself; none before it first did.
    pub(super) said: Option<Observation>,
    /// Of a cluster's head that was promoted: where its timeline began.
    pub(super) fork: Option<Fork>,
}

/// Keeps one instance.
pub(super) struct Keeper {
    pub(super) around: Arc<Around>,
    pub(super) id: ResourceId,
    pub(super) seen: Arc<Seen>,
    pub(super) running: Option<Running>,
    /// The last failure of each kind of step.
    pub(super) failures: BTreeMap<StepKind, StepFailure>,
    pub(super) doors: Arc<Doors>,
    /// Of a cluster's head: the move that concerns it, and when it was first seen here.
    pub(super) moving: Option<MoveSeen>,
    closing: watch::Receiver<bool>,
    zones: watch::Receiver<BTreeSet<ZoneLetter>>,
    /// Not before then is leave asked for again.
    ask_again: Monotonic,
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
            doors: Doors::new(&around, &id, &seen),
            moving: None,
            closing: around.closing.clone(),
            zones: around.zones.subscribe(),
            around,
            id,
            seen,
            running: None,
            failures: BTreeMap::new(),
            ask_again: Monotonic::default(),
        }
    }

    /// Until the instance is gone or the process ends.
    pub(super) async fn run(self) {
        let guard = self.doors.clone().guard(self.seen.clone());
        let (_kept, gone) = oneshot::channel::<()>();
        // By itself: no step holds it up.
        runtime::spawn(async move {
            tokio::select! {
                _ = gone => {}
                () = guard => {}
            }
        });
        self.keep().await;
    }

    async fn keep(mut self) {
        loop {
            if *self.closing.borrow_and_update() {
                return self.close().await;
            }
            let (view, global) = self.around.views();
            let wanted = match catalogue::wanted(&*view, &*global, &self.id) {
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
            let zone = wanted.instance.zone.letter;
            if self.zones.borrow_and_update().contains(&zone) {
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
        self.doors.open(&wanted.instance);
        let observed = self.observe(wanted).await;
        self.show(&observed, None);
        self.attach(wanted, &observed).await;
        let now = self.now();
        let has_replicas = has_followers(wanted);
        let is_standby = wanted.instance.source.is_some() || wanted.duty.following().is_some();
        let is_moving = wanted.duty.moving().is_some();
        let next = next_step(wanted, &observed, now);
        self.seen.state().plan = planned(wanted, &next);
        match next {
            Next::Step(step) => {
                self.show(&observed, Some(step.kind()));
                self.carry_out(wanted, step).await;
            }
            Next::WaitUntil(at) => self.wait(at, has_replicas).await,
            Next::Settled => {
                // What was to be done and failed is not to be done any more. How soon a server
                // ended after its start counts until it has lived for a while.
                self.failures.retain(|kind, failure| {
                    *kind == StepKind::Start && now.monotonic - failure.at < SOON
                });
                let pause = match &observed.server {
                    Some(_) if is_moving => LOOK_AT_MOVE,
                    Some(_) if is_standby => LOOK_AT_STANDBY,
                    Some(_) => LOOK_AT_PRIMARY,
                    None => LOOK_AT_NOTHING,
                };
                self.wait(now.monotonic + pause, has_replicas).await;
            }
        }
    }

    /// Tells everybody else how it stands.
    fn show(&self, observed: &Observed, doing: Option<StepKind>) {
        let connections = self.doors.connections();
        let mut state = self.seen.state();
        state.connections = connections;
        let unreadable = (observed.home == Home::Unreadable)
            .then(|| "its data directory can't be read, or is of a newer version".to_owned());
        state.trouble = unreadable.or_else(|| self.doors.trouble()).or_else(|| {
            let failure = self.failures.values().max_by_key(|failure| failure.at)?;
            let (kind, attempts) = (failure.step.kind(), failure.attempts);
            Some(format!(
                "{kind:?} failed {attempts} times: {}",
                failure.reason
            ))
        });
        state.standing.doing = doing;
        let is_news = state.standing.observed != *observed;
        state.standing.observed = observed.clone();
        drop(state);
        if is_news {
            self.seen.shown.send_modify(|count| *count += 1);
        }
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
        self.doors.close();
        let mut state = self.seen.state();
        state.look = None;
        state.connections = 0;
        state.standing.observed.server = None;
        state.standing.doing = None;
        state.trouble = Some("its zone is down".to_owned());
    }

    /// Carries out a step unless something comes between.
    async fn carry_out(&mut self, wanted: &Wanted, step: Step) {
        let stops = Stops::of(self, wanted);
        let is_making = matches!(step, Step::Make { .. } | Step::Copy(_) | Step::Restore(_));
        let has_replicas = has_followers(wanted);
        let server = self.running.as_ref().map(|running| running.server.clone());
        // Whoever stops a server has it for himself.
        let server = server.filter(|_| has_replicas && step != Step::Stop);
        tracing::debug!(instance = %self.id, kind = ?step.kind(), "a step");
        let outcome = tokio::select! {
            outcome = super::steps::carry_out(self, wanted, &step) => outcome,
            () = beat(server, stops.around.environment.clone()) => unreachable!("it never ends"),
            why = stops.interruption(is_making) => {
                tracing::info!(instance = %stops.id, kind = ?step.kind(), ?why, "let go of a step");
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
    pub(super) fn ended_by_itself(&mut self, running: &Running) {
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

    /// Has a standby that runs and receives nothing follow its source, once that gives leave; and
    /// learns whether there still is one.
    async fn attach(&mut self, wanted: &Wanted, observed: &Observed) {
        let is_idle = |it: &ServerSeen| it.role == Some(Role::Standby) && !it.receives;
        let followed = self.running.as_ref().and_then(|running| {
            let follows = wanted.instance.follows().is_some();
            (follows || wanted.duty.following().is_some()).then_some(())?;
            running.settings.upstream.clone()
        });
        let now = self.now().monotonic;
        let (Some(followed), true) = (followed, observed.server.as_ref().is_some_and(is_idle))
        else {
            self.seen.state().standing.source_gone = false;
            return;
        };
        if now < self.ask_again {
            return;
        }
        self.ask_again = now + ASK_SOURCE;
        let stops = Stops::of(self, wanted);
        // An answer that a dead Region owes is not waited for when another is to take over.
        let mut changes = self.around.leases.changes();
        let outcome = tokio::select! {
            outcome = super::steps::attach(self, &followed) => outcome,
            _ = stops.interruption(true) => return,
            _ = changes.changed() => return,
        };
        let is_gone = matches!(&outcome, Err(failed) if failed.kind == FailureKind::SourceGone);
        if let Err(Failed { reason, .. }) = outcome {
            tracing::debug!(instance = %self.id, reason, "no leave to follow the source");
        }
        self.seen.state().standing.source_gone = is_gone;
    }

    /// Until that time, or until something changes; the server's heart beats meanwhile if it has
    /// replicas.
    async fn wait(&mut self, at: Monotonic, has_replicas: bool) {
        let environment = self.around.environment.clone();
        let (mut closing, mut zones) = (self.closing.clone(), self.zones.clone());
        let server = self.running.as_ref().map(|running| running.server.clone());
        let beats = beat(server.clone().filter(|_| has_replicas), environment.clone());
        let ended = async {
            match &server {
                Some(server) => server.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = environment.sleep_until(at) => {}
            () = self.seen.wake.notified() => {}
            () = ended => {}
            () = beats => {}
            _ = closing.changed() => {}
            _ = zones.changed() => {}
        }
    }

    /// Stops the server in order, if it can be done in time.
    async fn close(mut self) {
        self.seen.state().standing.observed.server = None;
        let server = self.running.take().map(|running| running.server);
        if let Some(server) = server.and_then(Arc::into_inner) {
            let stopped = server.stop(Stop::Fast);
            match runtime::within(FAREWELL_WAIT, stopped).await {
                Some(Ok(())) => {}
                Some(Err(cause)) => {
                    tracing::warn!(instance = %self.id, %cause, "a server didn't stop in order");
                }
                None => tracing::warn!(instance = %self.id, "a server didn't stop in time"),
            }
        }
        self.doors.close();
    }

    pub(super) fn now(&self) -> Now {
        self.around.environment.now()
    }
}

/// Does anyone follow it, or is to?
fn has_followers(wanted: &Wanted) -> bool {
    let has_heads = matches!(&wanted.duty, Duty::Lead { slots, .. } if !slots.is_empty());
    has_heads || !wanted.instance.replicas.is_empty()
}

/// What is planned, in words.
fn planned(wanted: &Wanted, next: &Next) -> Planned {
    let followed = wanted.duty.following().map(|it| &it.upstream.source);
    let source = wanted.instance.source.as_ref().map(|source| &source.arn);
    Planned {
        duty: match &wanted.duty {
            Duty::Alone => None,
            Duty::Left => Some("stand alone"),
            Duty::Await => Some("wait for the council"),
            Duty::Lead { .. } => Some("write"),
            Duty::Drain(_) => Some("make room"),
            Duty::Follow(_) => Some("follow"),
            Duty::TakeOver(_) => Some("take over"),
        },
        follows: followed.or(source).map(|arn| arn.to_string()),
        next: match next {
            Next::Step(Step::Record(record)) => format!("record {record:?}"),
            Next::Step(step) => format!("{:?}", step.kind()).to_lowercase(),
            Next::WaitUntil(_) => "wait".to_owned(),
            Next::Settled => "nothing".to_owned(),
        },
    }
}

/// Writes a server's heartbeats; without a server it does nothing. It never ends.
async fn beat(server: Option<Arc<Server>>, environment: Arc<SystemEnvironment>) {
    let Some(server) = server else {
        return std::future::pending().await;
    };
    loop {
        let now = environment.now();
        if let Err(cause) = server.beat(now.wall).await {
            tracing::debug!(%cause, "a heartbeat wasn't written");
        }
        environment.sleep_until(now.monotonic + HEARTBEAT).await;
    }
}

/// What a step of an instance is let go for.
struct Stops {
    around: Arc<Around>,
    id: ResourceId,
    zone: ZoneLetter,
    closing: watch::Receiver<bool>,
    zones: watch::Receiver<BTreeSet<ZoneLetter>>,
}

impl Stops {
    fn of(keeper: &Keeper, wanted: &Wanted) -> Stops {
        Stops {
            around: keeper.around.clone(),
            id: keeper.id.clone(),
            zone: wanted.instance.zone.letter,
            closing: keeper.closing.clone(),
            zones: keeper.zones.clone(),
        }
    }

    /// Ends when a step is to be let go; for the instance's deletion only where `is_making`.
    async fn interruption(&self, is_making: bool) -> Interruption {
        let (mut closing, mut zones) = (self.closing.clone(), self.zones.clone());
        loop {
            if *closing.borrow_and_update() {
                return Interruption::Closing;
            }
            if zones.borrow_and_update().contains(&self.zone) {
                return Interruption::ZoneDown;
            }
            if is_making && self.is_deleted() {
                return Interruption::Deleted;
            }
            let soon = self.around.environment.now().monotonic + LOOK_FOR_DELETION;
            tokio::select! {
                () = self.around.environment.sleep_until(soon) => {}
                _ = closing.changed() => {}
                _ = zones.changed() => {}
            }
        }
    }

    fn is_deleted(&self) -> bool {
        let view = self.around.region.regional_view();
        match catalogue::instance(&*view, &self.id) {
            Ok(Some((_, Instance { deletion, .. }))) => deletion.is_some(),
            Ok(None) => true,
            Err(_) => false,
        }
    }
}
