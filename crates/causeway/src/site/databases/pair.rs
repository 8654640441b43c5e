//! An instance that has two homes, each with a keeper of its own: how each keeper sees the other's,
//! how a primary is told to wait for its standby, and how it is seen whether that keeps up. Both
//! keepers are of this process, so neither asks anybody else. It decides nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use databases::catalogue;
use databases::model::{Lsn, ResourceId, Standby};
use databases::plan::{
    FailureKind, MateSeen, MateSlot, PairSeen, STALL, Settings, StepKind, Wanted,
};
use databases::slot;
use runtime::postgres::{Observation, ServerHome, Stop, waits_since};
use types::{Environment, Monotonic, Span};

use super::Around;
use super::keeper::{Keeper, Running};
use super::servers::{Seen, State, lock};
use super::steps::{Failed, reload};

/// Between two looks at an instance that has a standby.
pub(super) const LOOK: Span = Span::milliseconds(200);

/// A standby that has said nothing for this long doesn't answer.
const ANSWER: Span = Span::seconds(1);

/// How long the server of an old primary may take to stop in order, before it is killed.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// Do commits of a running primary wait for its standby?
#[derive(Default)]
pub(super) enum Waits {
    /// They don't, or it isn't known since when.
    #[default]
    Unknown,
    /// They do since its start.
    FromStart,
    /// It was told to have them wait, and it is being found out.
    Proving(Arc<Mutex<Proof>>),
    /// All do that are behind that place of its log.
    Since(Lsn),
}

/// Whether a primary that was told to wait does.
#[derive(Clone, Copy)]
pub(super) enum Proof {
    /// Nobody knows yet.
    Pending,
    /// All commits behind that place do.
    Since(Lsn),
    /// It couldn't be found out.
    Failed,
}

impl Waits {
    /// Of a server that was started with those settings.
    pub(super) fn of(settings: &Settings) -> Waits {
        match settings.synchronous {
            Some(_) => Waits::FromStart,
            None => Waits::Unknown,
        }
    }

    /// Begins to find out since when the server there waits.
    fn prove(home: ServerHome) -> Waits {
        let proof = Arc::new(Mutex::new(Proof::Pending));
        let found = proof.clone();
        runtime::spawn(async move {
            let outcome = match waits_since(&home).await {
                Ok(since) => Proof::Since(Lsn(since.0)),
                Err(cause) => {
                    tracing::info!(%cause, "whether a primary waits isn't known yet");
                    Proof::Failed
                }
            };
            *lock(&found) = outcome;
        });
        Waits::Proving(proof)
    }

    /// As it is now, by what the server said last.
    fn look(&mut self, said: &Observation) {
        let next = match self {
            Waits::FromStart => Waits::Since(Lsn(said.written.0)),
            Waits::Proving(proof) => match *lock(proof) {
                Proof::Pending => return,
                Proof::Since(since) => Waits::Since(since),
                Proof::Failed => Waits::Unknown,
            },
            Waits::Unknown | Waits::Since(_) => return,
        };
        *self = next;
    }
}

/// Whether a standby keeps up with a primary: it is even whenever it has what the primary had at
/// the look before.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    target: Lsn,
    even_at: Monotonic,
}

impl Pace {
    fn next(held: Option<Pace>, seen: (Lsn, Option<Lsn>), now: Monotonic) -> Pace {
        let (written, flushed) = seen;
        let Some(held) = held else {
            return Pace {
                target: written,
                even_at: now,
            };
        };
        match flushed.is_some_and(|flushed| flushed >= held.target) {
            true => Pace {
                target: written,
                even_at: now,
            },
            false => held,
        }
    }
}

impl Keeper {
    /// What there is to see of a pair beside the home and its server.
    pub(super) fn look_at_pair(&mut self, wanted: &Wanted, is_primary_data: bool) -> PairSeen {
        let Some(standby) = &wanted.instance.standby else {
            self.pace = None;
            return PairSeen::default();
        };
        let mut pair = PairSeen {
            mate: self.look_at_mate(wanted, standby),
            is_primary_data,
            ..PairSeen::default()
        };
        let now = self.now().monotonic;
        let Some(running) = &mut self.running else {
            self.pace = None;
            return pair;
        };
        let Some(said) = &running.said else {
            return pair;
        };
        running.waits.look(said);
        pair.is_checkpointed = said.checkpointed;
        if wanted.standby().is_some() {
            self.pace = None;
            return pair;
        }
        let written = Lsn(said.written.0);
        // What is copied now has nothing on its disk that counts.
        let runs = pair.mate.is_some_and(|mate| mate.runs);
        let flushed = flushed(said, standby).filter(|_| runs);
        let pace = Pace::next(self.pace, (written, flushed), now);
        self.pace = Some(pace);
        pair.written = Some(written);
        pair.flushed = flushed;
        pair.even_at = Some(pace.even_at);
        match &running.waits {
            Waits::Since(since) => pair.synchronous_since = Some(*since),
            Waits::Proving(_) => pair.is_proving = true,
            Waits::Unknown | Waits::FromStart => {}
        }
        pair
    }

    /// The other home, unless nobody has looked at it yet.
    fn look_at_mate(&self, wanted: &Wanted, standby: &Standby) -> Option<MateSeen> {
        let (home, zone) = match wanted.standby() {
            Some(_) => (wanted.instance.home(), wanted.instance.zone),
            None => (&standby.home, standby.zone),
        };
        let Some(seen) = self.around.servers.find(home) else {
            // Nobody keeps it yet.
            self.around.servers.news.notify_one();
            return None;
        };
        let is_zone_up = self.around.zones.is_up(zone.letter);
        let state = seen.state();
        let observed = &state.standing.observed;
        let start = observed.failures.get(&StepKind::Start);
        // What both homes have in common is no reason to change to the other.
        let is_own = |kind| matches!(kind, FailureKind::Damaged | FailureKind::Other);
        let start = start.filter(|failure| is_own(failure.kind));
        let slot = match wanted.standby() {
            Some(_) => slot_of(state.look.as_ref().map(|look| &look.observation), standby),
            None => slot_of(
                self.running.as_ref().and_then(|it| it.said.as_ref()),
                standby,
            ),
        };
        // Of a zone that is down more needn't be known.
        let is_known = state.is_looked_at || !is_zone_up;
        is_known.then(|| MateSeen {
            is_zone_up,
            home: observed.home,
            runs: observed.server.is_some() || state.standing.doing == Some(StepKind::Start),
            failed_starts: start.map_or(0, |failure| failure.attempts),
            is_primary_data: observed.pair.is_primary_data,
            is_checkpointed: observed.pair.is_checkpointed,
            slot,
        })
    }

    /// Tells the server whom its commits are to wait for.
    pub(super) async fn synchronise(&mut self, standby: Option<&ResourceId>) -> Result<(), Failed> {
        let Some(running) = self.running.as_mut() else {
            return Err(Failed::new(FailureKind::Other, "no server runs"));
        };
        let settings = Settings {
            synchronous: standby.cloned(),
            ..running.settings.clone()
        };
        // If this is cut off, it may have loaded them or not.
        running.waits = Waits::Unknown;
        if standby.is_some() {
            // What may be in force is to be taken back, or proved anew.
            running.settings.synchronous = standby.cloned();
        }
        reload(running, &settings).await?;
        if standby.is_some() {
            running.waits = Waits::prove(running.server.home().clone());
        }
        Ok(())
    }

    /// Was the role of the home that this is wanted of changed since? A server that is started is
    /// seen as one that runs before this is asked, and whoever takes over looks for such a one
    /// after the row says so: one of the two sees the other.
    pub(super) fn is_displaced(&self, wanted: &Wanted) -> bool {
        is_displaced(&self.around, &self.id, wanted.instance.home())
    }
}

/// Is another home that instance's primary's by now?
pub(super) fn is_displaced(around: &Around, id: &ResourceId, primary: &ResourceId) -> bool {
    let view = around.region.regional_view();
    match catalogue::instance(&*view, id) {
        Ok(Some((_, instance))) => instance.home() != primary,
        Ok(None) | Err(_) => false,
    }
}

/// Ends when a step of a primary is to be let go, since its commits wait for a standby that is gone
/// and only its keeper can have them go on; for others it never ends.
pub(super) async fn left_alone(around: Arc<Around>, wanted: Wanted, step: StepKind) {
    let standby = wanted.instance.standby.as_ref();
    let is_waited_for = standby.filter(|it| it.is_in_step && wanted.standby().is_none());
    let is_short = matches!(step, StepKind::Record | StepKind::Stop | StepKind::Start);
    let Some(standby) = is_waited_for.filter(|_| !is_short) else {
        return std::future::pending().await;
    };
    let mut gone_since = None;
    loop {
        let now = around.environment.now().monotonic;
        let seen = around.servers.find(&standby.home);
        let follows = seen.is_some_and(|seen| follows(&seen.state(), now));
        let since = gone_since.get_or_insert(now);
        let is_late = now - *since >= STALL;
        if !around.zones.is_up(standby.zone.letter) || (!follows && is_late) {
            tracing::info!(instance = %wanted.instance.arn, ?step, "let go of a step: \
                the standby that commits wait for is gone");
            return;
        }
        if follows {
            gone_since = None;
        }
        around.environment.sleep_until(now + LOOK).await;
    }
}

/// Does a standby's server run, answer, and receive? One in step is looked at at every [`LOOK`],
/// and its keeper is at nothing that takes long.
fn follows(state: &State, now: Monotonic) -> bool {
    let runs = state.standing.observed.server.is_some();
    let look = state.look.as_ref().filter(|_| runs);
    look.is_some_and(|look| look.observation.receiving && now - look.at < ANSWER)
}

/// The slot that a primary keeps for that standby, by what it said last.
fn slot_of(said: Option<&Observation>, standby: &Standby) -> MateSlot {
    let name = slot(&standby.home);
    let mut slots = said.into_iter().flat_map(|said| &said.slots);
    match slots.find(|slot| slot.name == name) {
        None => MateSlot::None,
        Some(slot) if slot.lost => MateSlot::Lost,
        Some(_) => MateSlot::Kept,
    }
}

/// Up to where the standby has the primary's log on its disk, if it receives.
fn flushed(said: &Observation, standby: &Standby) -> Option<Lsn> {
    let own = said
        .standbys
        .iter()
        .filter(|seen| seen.streaming && seen.application_name == standby.home.0);
    let flushed = own.filter_map(|seen| seen.flushed);
    flushed.map(|lsn| Lsn(lsn.0)).max()
}

/// Stops a server of a home that isn't the primary's any more: in order, so that the standby gets
/// all that it has, but nobody waits for that for long.
pub(super) async fn stop_displaced(running: Running) -> Result<(), Failed> {
    let Some(server) = Arc::into_inner(running.server) else {
        return Ok(());
    };
    match runtime::within(STOP_WAIT, server.stop(Stop::Fast)).await {
        Some(stopped) => Ok(stopped?),
        // It was killed when it was let go of.
        None => Ok(()),
    }
}

impl Around {
    /// The server that stands for a source: of an instance the one that is its primary now; else
    /// that of a home.
    pub(super) fn source(&self, id: &ResourceId) -> Option<Arc<Seen>> {
        self.servers.find(&self.source_home(id))
    }

    /// The home of such a server.
    pub(super) fn source_home(&self, id: &ResourceId) -> ResourceId {
        primary_home(&*self.region.regional_view(), id)
    }
}

/// The home that an instance's primary is in, by its row; what is no instance is a home.
pub(super) fn primary_home(view: &dyn types::ConfigurationView, id: &ResourceId) -> ResourceId {
    match catalogue::instance(view, id) {
        Ok(Some((_, instance))) => instance.home().clone(),
        Ok(None) | Err(_) => id.clone(),
    }
}
