//! Who follows a global cluster's writer, and how far each is behind: measured with each of the
//! writer's heartbeats. What a lag is, and whether commits are to wait for it, `databases` says;
//! here it is kept for those who show it, and the gate of the writer's endpoints is set by it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use databases::lag::{Lag, Lags, Place, commits_wait};
use databases::model::Lsn;
use runtime::postgres::{FollowerPlace, Pulse, Server};
use runtime::{AnswerGate, SystemEnvironment};
use types::{Environment, Now, Span, Timestamp};

use super::servers::{Seen, lock};

/// Between two heartbeats of a primary that has replicas.
const HEARTBEAT: Span = Span::milliseconds(100);

/// The followers of one server.
#[derive(Default)]
pub(super) struct Followers {
    /// None: it is no writer of a global cluster.
    watched: Mutex<Option<Watched>>,
    /// What holds back the answers of its server.
    gate: AnswerGate,
}

#[derive(Default)]
struct Watched {
    lags: Lags,
    /// The slots of those that there are.
    slots: BTreeSet<String>,
    /// How far behind all of them may be before commits wait.
    rpo: Option<Span>,
}

/// The lags of a writer's followers, as they were measured last.
#[derive(Clone, Default)]
pub(super) struct Measured {
    /// By their slots.
    pub(super) lags: BTreeMap<String, Lag>,
    /// When, by the wall clock.
    pub(super) at: Option<Timestamp>,
    /// How far behind all of them may be before commits wait.
    pub(super) rpo: Option<Span>,
}

impl Followers {
    /// From now on these are watched, and commits wait if all of them are behind by more.
    pub(super) fn watch(&self, slots: &BTreeSet<String>, rpo: Option<Span>) {
        let mut held = lock(&self.watched);
        let watched = held.get_or_insert_default();
        if watched.slots != *slots {
            watched.slots.clone_from(slots);
        }
        watched.rpo = rpo;
        self.judge(watched);
    }

    /// It writes for nobody else: what was known is forgotten. A gate that is shut stays so: what
    /// waits there was committed by a writer that nobody follows any more, and ends with its
    /// sessions.
    pub(super) fn forget(&self) {
        *lock(&self.watched) = None;
    }

    /// It has no session, or is to wait for nobody: nothing is held back any more.
    pub(super) fn let_go(&self) {
        self.forget();
        self.gate.set(false);
    }

    /// It has no server, and so no session: nothing is held back until it has one.
    pub(super) fn rest(&self) {
        self.gate.set(false);
    }

    /// What holds back the answers of its server.
    pub(super) fn gate(&self) -> &AnswerGate {
        &self.gate
    }

    fn judge(&self, watched: &mut Watched) {
        let lags = watched.lags.of(&watched.slots);
        let wait = commits_wait(watched.rpo, &lags);
        if self.gate.set(wait) {
            let least = lags.values().map(|lag| lag.rpo).min();
            let (rpo, least) = (watched.rpo.unwrap_or_default(), least.unwrap_or_default());
            match wait {
                true => tracing::warn!(%rpo, %least, "commits wait: every secondary is too late"),
                false => tracing::info!(%rpo, %least, "commits wait no more"),
            }
        }
    }

    /// Are there any to be measured?
    pub(super) fn are_watched(&self) -> bool {
        let watched = lock(&self.watched);
        watched.as_ref().is_some_and(|it| !it.slots.is_empty())
    }

    /// The writer's heart has beaten.
    pub(super) fn beat(&self, now: Now, pulse: &Pulse) {
        if let Some(watched) = &mut *lock(&self.watched) {
            let place = |(slot, place): (&String, &FollowerPlace)| {
                let place = Place {
                    flushed: Lsn(place.flushed.0),
                    feedback: place.feedback,
                };
                (slot.clone(), place)
            };
            let places = pulse.followers.iter().map(place).collect();
            watched.lags.beat(now, Lsn(pulse.written.0), places);
            self.judge(watched);
        }
    }

    /// How far they are behind; `None`: it is no writer of a global cluster.
    pub(super) fn measured(&self) -> Option<Measured> {
        let mut watched = lock(&self.watched);
        let watched = watched.as_mut()?;
        Some(Measured {
            lags: watched.lags.of(&watched.slots),
            at: watched.lags.calculated(),
            rpo: watched.rpo,
        })
    }
}

/// Writes a server's heartbeats, and measures who follows it by them if it writes for a global
/// cluster; without a server it does nothing. It never ends.
pub(super) async fn beat(
    server: Option<Arc<Server>>,
    seen: &Seen,
    environment: Arc<SystemEnvironment>,
) {
    let Some(server) = server else {
        return std::future::pending().await;
    };
    loop {
        let now = environment.now();
        let beaten = match seen.followers.are_watched() {
            false => server.beat(now.wall).await,
            true => {
                let pulse = server.pulse(now.wall).await;
                pulse.map(|pulse| seen.followers.beat(now, &pulse))
            }
        };
        if let Err(cause) = beaten {
            tracing::debug!(%cause, "a heartbeat wasn't written");
        }
        environment.sleep_until(now.monotonic + HEARTBEAT).await;
    }
}

#[cfg(test)]
mod tests {
    use runtime::postgres;
    use types::Monotonic;

    use super::*;

    const SECOND: u64 = 1_000_000;

    fn slots(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// A heartbeat in that second, by a wall clock that jumps about; where the log stands then is
    /// the second, and each follower has it up to one.
    fn beat(followers: &Followers, second: u64, places: &[(&str, u64)]) {
        let now = Now {
            wall: Timestamp(second.wrapping_mul(7_919) % 1000),
            monotonic: Monotonic(second * SECOND),
        };
        let place = |(slot, second): &(&str, u64)| {
            let place = FollowerPlace {
                flushed: postgres::Lsn(*second),
                feedback: None,
            };
            ((*slot).to_owned(), place)
        };
        let pulse = Pulse {
            written: postgres::Lsn(second),
            followers: places.iter().map(place).collect(),
        };
        followers.beat(now, &pulse);
    }

    #[test]
    fn the_gate_is_shut_while_every_secondary_is_further_behind_than_it_may_be() {
        let followers = Followers::default();
        let rpo = Some(Span::seconds(20));
        followers.watch(&slots(&["a", "b"]), rpo);
        assert!(!followers.gate().is_shut(), "nothing is known yet");
        for second in 1..=25 {
            beat(&followers, second, &[("a", second), ("b", 1)]);
            assert!(!followers.gate().is_shut(), "one of them is near");
        }
        // The link to the other is cut as well.
        for second in 26..=45 {
            beat(&followers, second, &[("a", 25), ("b", 1)]);
            assert!(!followers.gate().is_shut(), "{second}");
        }
        beat(&followers, 46, &[("a", 25), ("b", 1)]);
        assert!(followers.gate().is_shut(), "21 s behind");
        followers.watch(&slots(&["a", "b"]), rpo);
        assert!(followers.gate().is_shut(), "a look changes nothing");
        followers.rest();
        assert!(!followers.gate().is_shut(), "nobody waits without a server");
        followers.watch(&slots(&["a", "b"]), rpo);
        assert!(
            followers.gate().is_shut(),
            "its restart makes nobody less late"
        );
        // One is back, and goes again.
        beat(&followers, 47, &[("a", 25), ("b", 27)]);
        assert!(!followers.gate().is_shut());
        beat(&followers, 48, &[("a", 25), ("b", 27)]);
        assert!(followers.gate().is_shut());
        // A greater objective, none, or nobody to wait for.
        followers.watch(&slots(&["a", "b"]), Some(Span::seconds(30)));
        assert!(!followers.gate().is_shut());
        followers.watch(&slots(&["a", "b"]), rpo);
        assert!(followers.gate().is_shut());
        followers.watch(&slots(&["a", "b"]), None);
        assert!(!followers.gate().is_shut());
        followers.watch(&slots(&["a", "b"]), rpo);
        followers.watch(&slots(&[]), rpo);
        assert!(!followers.gate().is_shut());
    }

    #[test]
    fn a_gate_stays_shut_when_the_role_goes_and_opens_when_nothing_waits_there() {
        let followers = Followers::default();
        followers.watch(&slots(&["a"]), Some(Span::seconds(20)));
        beat(&followers, 1, &[]);
        beat(&followers, 22, &[]);
        assert!(followers.gate().is_shut());
        followers.forget();
        assert!(followers.gate().is_shut() && followers.measured().is_none());
        beat(&followers, 23, &[("a", 23)]);
        assert!(followers.gate().is_shut(), "it leads nobody any more");
        followers.let_go();
        assert!(!followers.gate().is_shut());
        // As a writer again it begins anew.
        followers.watch(&slots(&["a"]), Some(Span::seconds(20)));
        assert!(!followers.gate().is_shut());
    }
}
