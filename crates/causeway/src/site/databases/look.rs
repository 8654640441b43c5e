//! How a keeper looks at its instance: at the home on disk, at the server if one runs, at
//! snapshots, and of a cluster's head at where its log stands. It changes nothing but what is
//! known.

use std::collections::BTreeSet;
use std::time::Duration;

use databases::lease::MoveSeen;
use databases::model::{ForkPoint, Lsn, ResourceId};
use databases::plan::{Duty, HeadSeen, Home, LogSeen, Observed, Role, ServerSeen, Stopped, Wanted};
use databases::slot;
use runtime::postgres::{self, ControlState, HomeState, Observation, StandbySeen};
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
            failures: self.failures.known().clone(),
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
        let leases = &self.around.leases;
        let ends = wanted.duty.moving();
        let ends = ends.map(|moving| (moving.from.region, moving.to.region));
        let (master_at, readers_have) = self.look_at_password(wanted).unwrap_or_default();
        let readers_may_lack = self.may_lack_the_password(wanted, master_at);
        let held = self.around.tails.of(&self.id);
        let head = match &wanted.duty {
            Duty::Read(reading) if reading.is_member => Some(&reading.following.upstream),
            _ => None,
        };
        let heads = head.map(|head| self.around.tails.ever_of(&head.source_id));
        HeadSeen {
            master_at,
            readers_have,
            readers_may_lack,
            stopped,
            tails: held.tails,
            short: held.short,
            heads_tails: heads.unwrap_or_default(),
            confirmed: leases.confirmed(),
            moving: self.moving,
            lease: ends.and_then(|(from, _)| leases.seen(from)),
            silent_since: ends.and_then(|(_, to)| leases.silent_since(to, now)),
            handover: self.handover,
            chief: self.look_at_chief(wanted),
        }
    }

    /// Where the log of a head stood when its master user's new password was set, and up to where
    /// its readers have it; `None`: nobody waits for them to have a password.
    fn look_at_password(&self, wanted: &Wanted) -> Option<(Option<Lsn>, Option<Lsn>)> {
        let master = &wanted.instance.master;
        let running = self.running.as_ref();
        let running = running.filter(|_| master.applied < master.asked)?;
        let said = running.said.as_ref()?;
        let have = readers_have(&said.standbys, &wanted.readers);
        Some((running.master_at, have))
    }

    /// Could a reader that lacks the master user's new password take over unasked? It could as long
    /// as it isn't known where the log stood when that was set.
    fn may_lack_the_password(&self, wanted: &Wanted, master_at: Option<Lsn>) -> bool {
        let master = &wanted.instance.master;
        let before = master_at.map(|at| Lsn(at.0.saturating_sub(1)));
        master.applied < master.asked
            && before.is_none_or(|before| self.seen.state().life.is_followed_by(before))
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
            if running.master_set.is_some() {
                running.master_at.get_or_insert(Lsn(observation.written.0));
            }
            running.said = Some(observation.clone());
            let look = Look {
                observation: observation.clone(),
                at: now.monotonic,
                wall: now.wall,
            };
            let upstream = running.settings.upstream.as_ref();
            self.seen.state().answered(look, upstream);
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

/// Up to where each of those standbys has its log on disk that follow by one of those slots.
fn readers_have(standbys: &[StandbySeen], readers: &BTreeSet<String>) -> Option<Lsn> {
    let is_reader = |it: &&StandbySeen| {
        let id = ResourceId(it.application_name.clone());
        readers.contains(&slot(&id))
    };
    let readers = standbys.iter().filter(is_reader);
    // One that has just connected has said nothing yet.
    let places = readers.map(|it| it.flushed.map_or(Lsn(0), |lsn| Lsn(lsn.0)));
    places.min()
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
        written: (!is_standby).then(|| place(said.written)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_readers_have_is_what_the_last_of_those_that_follow_has() {
        let standby = |name: &str, flushed: Option<u64>| StandbySeen {
            application_name: name.to_owned(),
            streaming: true,
            sent: None,
            flushed: flushed.map(postgres::Lsn),
            replayed: None,
        };
        let readers: BTreeSet<String> = ["db-ONE", "db-TWO", "db-AWAY"]
            .map(|id| slot(&ResourceId(id.to_owned())))
            .into();
        let elsewhere = standby("db-ELSEWHERE", Some(3));
        let alone = std::slice::from_ref(&elsewhere);
        assert_eq!(readers_have(alone, &readers), None);
        let one = standby("db-ONE", Some(9));
        let both = [elsewhere, one.clone(), standby("db-TWO", Some(7))];
        assert_eq!(readers_have(&both, &readers), Some(Lsn(7)));
        let new = [one, standby("db-TWO", None)];
        assert_eq!(readers_have(&new, &readers), Some(Lsn(0)));
    }
}
