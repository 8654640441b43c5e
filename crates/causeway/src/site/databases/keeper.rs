//! What keeps one instance: it looks, asks the plan for the one step that comes next, has it
//! carried out, and looks again. Nothing is remembered that could be seen: a process that dies at
//! any moment goes on from what is on disk. A step that takes long holds up nobody else.

use std::collections::BTreeSet;
use std::sync::Arc;

use databases::catalogue;
use databases::lease::MoveSeen;
use databases::model::{Instance, Lsn, ResourceId};
use databases::plan::{
    Duty, FailureKind, Next, Observed, Role, ServerSeen, Step, StepKind, Wanted, next_step,
};
use runtime::StreamPort;
use runtime::postgres::{Fork, Observation, Server};
use tokio::sync::{oneshot, watch};
use types::{Environment, Monotonic, Now, Span, ZoneLetter};

use super::Around;
use super::asking::Asking;
use super::behind::Missing;
use super::door::Doors;
use super::failures::Failures;
use super::followers::beat;
use super::pair::{self, Pace, Waits};
use super::servers::{Planned, Seen};
use super::shown::Told;
use super::steps::Failed;
use super::trouble;

/// Between two looks at a primary that nothing happens to.
const LOOK_AT_PRIMARY: Span = Span::seconds(1);

/// Between two looks at a standby: what its lag is measured by.
const LOOK_AT_STANDBY: Span = Span::milliseconds(200);

/// Between two looks at a head whose role, or whose writer's, is on its way.
const LOOK_AT_MOVE: Span = Span::milliseconds(25);

/// Between two looks at an instance without a server.
const LOOK_AT_NOTHING: Span = Span::seconds(5);

/// No question to a standby's source takes longer, whatever becomes of the link.
const LONGEST_QUESTION: Span = Span::seconds(15);

/// Between two looks whether an instance that is being made is to be deleted.
const LOOK_FOR_DELETION: Span = Span::milliseconds(500);

/// A running server, and what it was told.
pub(super) struct Running {
    pub(super) server: Arc<Server>,
    pub(super) generation: u64,
    pub(super) settings: databases::plan::Settings,
    pub(super) awaits_restart: BTreeSet<String>,
    pub(super) master_set: Option<u64>,
    /// Where its log stood when it first spoke after that password was set.
    pub(super) master_at: Option<Lsn>,
    /// Of a standby: the link's end that its WAL comes through; none where its source is here.
    pub(super) port: Option<StreamPort>,
    /// Whom it was told to follow, as it is reached from here.
    pub(super) reached: Option<runtime::postgres::Upstream>,
    /// When it was started.
    pub(super) since: Monotonic,
    /// What it said last of itself; none before it first did.
    pub(super) said: Option<Observation>,
    /// Of a standby: since when it has said that it receives nothing and has replayed all it has.
    pub(super) starved_since: Option<Monotonic>,
    /// Of a cluster's head that was promoted: where its timeline began.
    pub(super) fork: Option<Fork>,
    /// Of a primary: whether its commits wait for its standby.
    pub(super) waits: Waits,
}

/// Keeps one home of an instance.
pub(super) struct Keeper {
    pub(super) around: Arc<Around>,
    pub(super) id: ResourceId,
    /// The home.
    pub(super) home: ResourceId,
    pub(super) seen: Arc<Seen>,
    pub(super) running: Option<Running>,
    pub(super) failures: Failures,
    pub(super) doors: Arc<Doors>,
    /// Of a cluster's head: the move that concerns it, and when it was first seen here.
    pub(super) moving: Option<MoveSeen>,
    /// Of a cluster's head: the handover that it makes room for, and when it was first seen here.
    pub(super) handover: Option<MoveSeen>,
    /// Of a primary: whether its standby keeps up.
    pub(super) pace: Option<Pace>,
    /// What its server was told to show last.
    pub(super) told: Told,
    /// Of a standby: is what it needs gone at its source?
    pub(super) missing: Missing,
    closing: watch::Receiver<bool>,
    zones: watch::Receiver<BTreeSet<ZoneLetter>>,
    /// When leave is asked for again.
    asking: Asking,
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
    /// Another home is the primary's now.
    Displaced,
}

impl Keeper {
    /// Of that home of that instance.
    pub(super) fn new(
        around: Arc<Around>,
        (id, home): (ResourceId, ResourceId),
        seen: Arc<Seen>,
    ) -> Keeper {
        Keeper {
            doors: Doors::new(&around, (&id, &home), &seen),
            moving: None,
            handover: None,
            pace: None,
            told: Told::default(),
            missing: Missing::default(),
            closing: around.closing.clone(),
            zones: around.zones.subscribe(),
            around,
            id,
            home,
            seen,
            running: None,
            failures: Failures::default(),
            asking: Asking::new(),
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
        self.around.spreads.add(&self.id, &self.doors);
        self.keep().await;
    }

    async fn keep(mut self) {
        loop {
            if *self.closing.borrow_and_update() {
                return self.close().await;
            }
            let wanted = match self.wanted() {
                Ok(Some(wanted)) => wanted,
                Ok(None) => {
                    self.running = None;
                    self.doors.close();
                    return self.around.servers.forget(&self.home);
                }
                Err(Failed { reason, .. }) => {
                    self.trouble(&reason);
                    self.wait(self.now().monotonic + LOOK_AT_NOTHING, false)
                        .await;
                    continue;
                }
            };
            let zone = wanted.zone().letter;
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
        self.doors.keep(wanted);
        let observed = self.observe(wanted).await;
        self.show(&observed, None);
        self.tell(wanted).await;
        let now = self.now();
        let has_replicas = has_followers(wanted);
        let is_paired = wanted.instance.standby.is_some();
        let is_follower = wanted.instance.source.is_some() || wanted.duty.following().is_some();
        let is_moving = wanted.duty.move_number().is_some();
        let next = next_step(wanted, &observed, now);
        self.seen.state().plan = Planned::of(wanted, &next);
        match next {
            Next::Step(step) => {
                self.show(&observed, Some(step.kind()));
                self.carry_out(wanted, step).await;
            }
            Next::WaitUntil(at) => {
                // Others judge by what is seen of it (a head's end, say), also while it waits.
                let at = match &observed.server {
                    _ if is_paired => at.min(now.monotonic + pair::LOOK),
                    Some(_) => at.min(now.monotonic + LOOK_AT_PRIMARY),
                    None => at,
                };
                self.failures.forget_old(now.monotonic);
                let takes_over = matches!(wanted.duty, Duty::TakeOver(_) | Duty::Forced(_));
                let until = now.monotonic + LONGEST_QUESTION;
                let until = if takes_over { at } else { until };
                self.attach(wanted, &observed, until).await;
                self.wait(at, has_replicas).await;
            }
            Next::Settled => {
                self.failures.settle();
                let pause = match &observed.server {
                    Some(_) if is_moving => LOOK_AT_MOVE,
                    _ if is_paired => pair::LOOK,
                    Some(_) if is_follower => LOOK_AT_STANDBY,
                    Some(_) => LOOK_AT_PRIMARY,
                    None => LOOK_AT_NOTHING,
                };
                let until = now.monotonic + LONGEST_QUESTION;
                self.attach(wanted, &observed, until).await;
                self.wait(now.monotonic + pause, has_replicas).await;
            }
        }
    }

    /// Tells everybody else how it stands.
    fn show(&self, observed: &Observed, doing: Option<StepKind>) {
        let connections = self.doors.connections();
        let mut state = self.seen.state();
        state.connections = connections;
        let known = trouble::of(observed).map(str::to_owned);
        let known = known.or_else(|| self.doors.trouble());
        state.trouble = known.or_else(|| trouble::of_steps(self.failures.known().values()));
        state.standing.doing = doing;
        state.is_looked_at = true;
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
        (self.running, self.pace) = (None, None);
        self.failures.clear();
        self.doors.close();
        let mut state = self.seen.state();
        state.look = None;
        state.connections = 0;
        state.standing.observed.server = None;
        state.standing.observed.head.chief = None;
        state.standing.doing = None;
        state.is_looked_at = false;
        state.trouble = Some("its zone is down".to_owned());
    }

    /// Carries out a step unless something comes between.
    async fn carry_out(&mut self, wanted: &Wanted, step: Step) {
        let stops = Stops::of(self, wanted);
        let is_making = matches!(
            step,
            Step::Make { .. } | Step::Copy(_) | Step::Restore(_) | Step::RestoreTo(_)
        );
        let has_replicas = has_followers(wanted);
        let server = self.running.as_ref().map(|running| running.server.clone());
        // Whoever stops a server has it for himself.
        let server = server.filter(|_| has_replicas && step != Step::Stop);
        let seen = self.seen.clone();
        tracing::debug!(instance = %self.id, kind = ?step.kind(), "a step");
        let alone = pair::left_alone(self.around.clone(), wanted.clone(), step.kind());
        let outcome = tokio::select! {
            outcome = super::steps::carry_out(self, wanted, &step) => outcome,
            () = alone => return,
            () = beat(server, &seen, stops.around.environment.clone()) => {
                unreachable!("it never ends")
            }
            why = stops.interruption(is_making) => {
                tracing::info!(instance = %stops.id, kind = ?step.kind(), ?why, "let go of a step");
                return;
            }
        };
        match outcome {
            Ok(()) => self.failures.succeeded(step.kind()),
            Err(Failed { kind, reason }) => self.failed(step, kind, reason),
        }
    }

    fn failed(&mut self, step: Step, kind: FailureKind, reason: String) {
        let what = step.kind();
        let now = self.now().monotonic;
        let attempts = self.failures.failed(step, (kind, reason.clone()), now);
        tracing::warn!(instance = %self.id, kind = ?what, attempts, reason, "a step failed");
    }

    /// A server that ends soon after its start can't live: the next start waits longer.
    pub(super) fn ended_by_itself(&mut self, running: &Running) {
        let step = Step::Start {
            generation: running.generation,
            settings: running.settings.clone(),
        };
        let now = self.now().monotonic;
        let attempts = self.failures.ended(step, running.since, now);
        tracing::warn!(instance = %self.id, ?attempts, "a database server has ended by itself");
    }

    /// Has a standby that runs and receives nothing follow its source, once that gives leave; and
    /// learns whether there still is one. Only while nothing else is to be done: a Region that is
    /// dead owes its answer for a second, and who takes over from it has better to do by `until`.
    async fn attach(&mut self, wanted: &Wanted, observed: &Observed, until: Monotonic) {
        let is_idle = |it: &ServerSeen| it.role == Some(Role::Standby) && !it.receives;
        let followed = self.running.as_ref().and_then(|running| {
            let follows = wanted.instance.follows().is_some();
            let is_paired = wanted.standby().is_some();
            (follows || is_paired || wanted.duty.following().is_some()).then_some(())?;
            running.settings.upstream.clone()
        });
        let now = self.now().monotonic;
        let (Some(followed), true) = (followed, observed.server.as_ref().is_some_and(is_idle))
        else {
            self.seen.state().standing.source_gone = false;
            if observed.server.as_ref().is_some_and(|it| it.receives) {
                self.asking.receives();
                self.follows_again().await;
            }
            return;
        };
        if !self.asking.asks(now, wanted.standby().is_some()) {
            return;
        }
        let stops = Stops::of(self, wanted);
        // An answer that a dead Region owes is not waited for when another is to take over.
        let mut changes = self.around.leases.changes();
        let seen = self.seen.clone();
        let environment = self.around.environment.clone();
        let outcome = tokio::select! {
            outcome = super::steps::attach(self, &followed) => outcome,
            () = environment.sleep_until(until) => return,
            _ = stops.interruption(true) => return,
            _ = changes.changed() => return,
            // Something is asked for: a promotion, say, for which nobody waits for a dead Region.
            () = seen.wake.notified() => return seen.wake.notify_one(),
        };
        let is_gone = matches!(&outcome, Err(failed) if failed.kind == FailureKind::SourceGone);
        self.seen.state().standing.source_gone = is_gone;
        match outcome {
            Ok(oldest) => self.told_of_log(wanted, oldest).await,
            Err(Failed { reason, .. }) => {
                tracing::debug!(instance = %self.id, reason, "no leave to follow the source");
            }
        }
    }

    /// Until that time, or until something changes; the server's heart beats meanwhile if it has
    /// replicas.
    async fn wait(&mut self, at: Monotonic, has_replicas: bool) {
        let environment = self.around.environment.clone();
        let (mut closing, mut zones) = (self.closing.clone(), self.zones.clone());
        let server = self.running.as_ref().map(|running| running.server.clone());
        let beating = server.clone().filter(|_| has_replicas);
        let beats = beat(beating, &self.seen, environment.clone());
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

    /// What is wanted of its home now; `None`: the instance is gone.
    pub(super) fn wanted(&self) -> Result<Option<Wanted>, Failed> {
        let (view, global) = self.around.views();
        let wanted = catalogue::wanted_at(&*view, &*global, (&self.id, &self.home));
        wanted.map_err(|cause| Failed::new(FailureKind::Other, cause))
    }

    pub(super) fn now(&self) -> Now {
        self.around.environment.now()
    }
}

/// Does anyone follow it, or is to?
fn has_followers(wanted: &Wanted) -> bool {
    let has_heads = wanted.duty.slots().is_some_and(|slots| !slots.is_empty());
    // Only what takes writes has a heart that beats.
    let has_readers = !wanted.readers.is_empty()
        && (wanted.duty.slots().is_some() || matches!(wanted.duty, Duty::Alone | Duty::Left));
    has_heads || has_readers || !wanted.instance.replicas.is_empty()
}

/// What a step of an instance is let go for.
struct Stops {
    around: Arc<Around>,
    id: ResourceId,
    /// The home that the instance's primary was in.
    primary: ResourceId,
    zone: ZoneLetter,
    closing: watch::Receiver<bool>,
    zones: watch::Receiver<BTreeSet<ZoneLetter>>,
}

impl Stops {
    fn of(keeper: &Keeper, wanted: &Wanted) -> Stops {
        Stops {
            around: keeper.around.clone(),
            id: keeper.id.clone(),
            primary: wanted.instance.home().clone(),
            zone: wanted.zone().letter,
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
            if pair::is_displaced(&self.around, &self.id, &self.primary) {
                return Interruption::Displaced;
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
