//! How a keeper looks at its instance: at the home on disk, at the server if one runs, at
//! snapshots, and of a cluster's head at where its log stands. It changes nothing but what is
//! known.

use std::time::Duration;

use databases::lease::MoveSeen;
use databases::model::{ForkPoint, Lsn};
use databases::plan::{Duty, HeadSeen, Home, LogSeen, Observed, Role, ServerSeen, Stopped, Wanted};
use runtime::postgres::{self, ControlState, HomeState, Observation};
use types::ByteSize;

use super::keeper::{Keeper, Running};
use super::servers::Look;

/// How long a server may take to say how it is.
const OBSERVE_WAIT: Duration = Duration::from_secs(5);

/// With less room than this a disk is full: a few files of the write-ahead log.
const LEAST_ROOM: ByteSize = ByteSize::mib(16);

impl Keeper {
    /// All that there is to see.
    pub(super) async fn observe(&mut self, wanted: &Wanted) -> Observed {
        let gone = self.running.take_if(|running| !running.server.is_running());
        if let Some(gone) = gone {
            self.ended_by_itself(&gone);
        }
        let state = self.seen.home.state();
        let is_primary_data = matches!(state, HomeState::Whole { standby: false, .. });
        let home = match state {
            // What was there may be again, once its disk is.
            HomeState::Absent if wanted.instance.was_available() && !self.around.is_there() => {
                Home::Unreadable
            }
            HomeState::Absent => Home::Absent,
            HomeState::Unfinished => Home::Unfinished,
            HomeState::Damaged => Home::Unreadable,
            HomeState::Whole { .. } => Home::Whole,
        };
        let is_head = wanted.instance.headship.is_some();
        let mut running = self.running.take();
        let server = match &mut running {
            Some(running) => Some(self.look(running, is_head).await),
            None => {
                self.seen.state().look = None;
                None
            }
        };
        self.running = running;
        let head = match is_head {
            true => self.look_at_head(wanted, home, server.is_some()).await,
            false => HeadSeen::default(),
        };
        let pair = self.look_at_pair(wanted, is_primary_data);
        let ids = wanted.snapshots.iter().map(|snapshot| &snapshot.id);
        let written = self
            .running
            .as_ref()
            .and_then(|it| Some(it.said.as_ref()?.written));
        Observed {
            is_full: home != Home::Absent && self.is_full(),
            behind: self.missing.seen(written),
            home,
            server,
            snapshots: self.around.snapshots.seen(ids),
            failures: self.failures.clone(),
            head,
            pair,
        }
    }

    /// Is there less room on its disk than servers are to have?
    fn is_full(&self) -> bool {
        match store::free_space(self.seen.home.directory()) {
            Ok(free) => free < LEAST_ROOM,
            Err(cause) => {
                tracing::debug!(instance = %self.id, %cause, "nobody can tell what room there is");
                false
            }
        }
    }

    /// What there is to see of a cluster's head beside that.
    async fn look_at_head(&mut self, wanted: &Wanted, home: Home, runs: bool) -> HeadSeen {
        let now = self.now().monotonic;
        let number = wanted.duty.move_number();
        self.moving = MoveSeen::next(self.moving, number, now);
        let number = wanted.duty.handover().map(|handover| handover.number);
        self.handover = MoveSeen::next(self.handover, number, now);
        let stopped = match home == Home::Whole && !runs {
            true => self.look_at_stopped().await,
            false => None,
        };
        let from = wanted.duty.moving().map(|moving| moving.from.region);
        let held = self.around.tails.of(&self.id);
        let head = match &wanted.duty {
            Duty::Read(reading) if reading.is_member => Some(&reading.following.upstream),
            _ => None,
        };
        let heads = head.map(|head| self.around.tails.of(&head.source_id).tails);
        HeadSeen {
            stopped,
            tails: held.tails,
            short: held.short,
            heads_tails: heads.unwrap_or_default(),
            confirmed: self.around.leases.confirmed(),
            moving: self.moving,
            lease: from.and_then(|region| self.around.leases.seen(region)),
            handover: self.handover,
            chief: self.look_at_chief(wanted),
        }
    }

    /// Where the log of a home ends on which no server runs.
    async fn look_at_stopped(&self) -> Option<Stopped> {
        let postgres = self.around.postgres.as_ref().ok()?;
        match postgres.control(&self.seen.home).await {
            Ok(said) => Some(Stopped {
                end: Lsn(said.end.unwrap_or(said.checkpoint).0),
                is_clean: said.state == ControlState::Stopped && said.end.is_some(),
            }),
            Err(cause) => {
                tracing::warn!(instance = %self.id, %cause, "a control file can't be read");
                None
            }
        }
    }

    /// Asks the server how it is. One that runs and says nothing now is as it was: it is busy, and
    /// its role changes by a promotion alone.
    async fn look(&self, running: &mut Running, is_head: bool) -> ServerSeen {
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
        // One that doesn't answer may get on meanwhile.
        let starved = observation
            .as_ref()
            .filter(|it| it.starved && !it.receiving);
        running.starved_since = starved.map(|_| running.starved_since.unwrap_or(now.monotonic));
        if let Some(observation) = &observation {
            running.said = Some(observation.clone());
            self.seen.state().look = Some(Look {
                observation: observation.clone(),
                at: now.monotonic,
                wall: now.wall,
            });
        }
        if is_head {
            self.look_for_fork(running).await;
        }
        let said = running.said.as_ref();
        let role = said.map(|it| match it.role {
            runtime::postgres::Role::Primary => Role::Primary,
            runtime::postgres::Role::Standby => Role::Standby,
        });
        let slots = said.into_iter().flat_map(|it| &it.slots);
        let slots = slots.map(|slot| slot.name.clone());
        ServerSeen {
            generation: running.generation,
            role,
            settings: running.settings.clone(),
            awaits_restart: running.awaits_restart.clone(),
            slots: slots.collect(),
            receives: said.is_some_and(|it| it.receiving),
            is_paused: said.is_some_and(|it| it.paused),
            master_set: running.master_set,
            log: match said {
                Some(said) if is_head => log(said, running),
                _ => LogSeen::default(),
            },
        }
    }

    /// Learns where the timeline of one that was promoted began.
    async fn look_for_fork(&self, running: &mut Running) {
        let Some(said) = &running.said else { return };
        let is_known = running
            .fork
            .is_some_and(|fork| fork.timeline == said.timeline);
        if said.role == postgres::Role::Standby || said.timeline == 1 || is_known {
            return;
        }
        match runtime::within(OBSERVE_WAIT, running.server.fork()).await {
            Some(Ok(fork)) => running.fork = fork,
            Some(Err(cause)) => {
                tracing::warn!(instance = %self.id, %cause, "nobody can tell where it began");
            }
            None => {}
        }
    }
}

/// How a running server's log stands.
fn log(said: &Observation, running: &Running) -> LogSeen {
    let is_standby = said.role == postgres::Role::Standby;
    let place = |lsn: postgres::Lsn| Lsn(lsn.0);
    let fork = running
        .fork
        .filter(|fork| fork.timeline == said.timeline && !is_standby);
    LogSeen {
        timeline: Some(said.timeline),
        received: is_standby.then(|| place(said.written)),
        replayed: said.replayed.map(place),
        starved_since: running.starved_since,
        fork: fork.map(|fork| ForkPoint {
            timeline: fork.timeline,
            lsn: place(fork.lsn),
        }),
        checkpoint_timeline: said.checkpointed.then_some(said.timeline),
    }
}
