//! A model of PostgreSQL as far as histories go: logs of entries, timelines with forks, and what
//! servers, streams, promotions and rewinds do to them, the pitfalls among it: timelines may be
//! given twice, servers of the same one are not told apart, and a rewind goes by checkpoints.

use databases::model::{ForkPoint, Lsn};
use databases::plan::{Home as State, LogSeen, Role, Stopped};

/// An entry of a log; nobody else's has its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    pub number: u64,
    /// A transaction that was acknowledged has one.
    pub commit: bool,
}

/// A home on disk.
#[derive(Clone, Debug)]
pub struct Home {
    pub state: State,
    pub log: Vec<Entry>,
    pub timeline: u32,
    /// Where each timeline but the first began, oldest first.
    pub history: Vec<ForkPoint>,
    pub is_primary: bool,
    pub is_clean: bool,
    pub checkpoint_timeline: u32,
    /// The newest timeline that it has heard of: the next one is greater.
    pub newest: u32,
    /// Up to there its log is on its disk no more: who needs any of that can't follow it.
    pub kept_from: Lsn,
}

impl Home {
    pub fn absent() -> Home {
        Home {
            state: State::Absent,
            log: Vec::new(),
            timeline: 1,
            history: Vec::new(),
            is_primary: false,
            is_clean: true,
            checkpoint_timeline: 1,
            newest: 1,
            kept_from: Lsn(0),
        }
    }

    pub fn end(&self) -> Lsn {
        Lsn(self.log.len() as u64)
    }

    /// Where this history leaves a timeline; `None`: it doesn't.
    fn leaves(&self, timeline: u32) -> Option<Lsn> {
        let next = self.history.iter().find(|fork| fork.timeline > timeline);
        next.map(|fork| fork.lsn)
    }

    fn knows(&self, timeline: u32) -> bool {
        timeline == 1 || self.history.iter().any(|fork| fork.timeline == timeline)
    }

    /// Would PostgreSQL let that one follow this one?
    pub fn is_followed_by(&self, other: &Home) -> bool {
        if other.end() < self.kept_from {
            return false;
        }
        if other.timeline == self.timeline {
            return other.end() <= self.end();
        }
        let leaves = self.leaves(other.timeline);
        self.knows(other.timeline) && leaves.is_some_and(|leaves| other.end() <= leaves)
    }

    /// Did this history leave the timeline that a standby is on before there where that ends?
    pub fn has_left(&self, other: &Home) -> bool {
        let leaves = self.leaves(other.timeline);
        self.knows(other.timeline) && leaves.is_some_and(|leaves| other.end() > leaves)
    }

    /// What a server on it is.
    pub fn role(&self) -> Role {
        match self.is_primary {
            true => Role::Primary,
            false => Role::Standby,
        }
    }

    /// What a server on it says of its log, that receives or not, and has replayed so far.
    pub fn log_seen(&self, receives: bool, replayed: usize) -> LogSeen {
        let is_standby = !self.is_primary;
        LogSeen {
            timeline: (self.is_primary || receives).then_some(self.timeline),
            written: self.is_primary.then(|| self.end()),
            // Before it receives it says nothing of what it had received.
            received: (is_standby && receives).then(|| self.end()),
            replayed: is_standby.then_some(Lsn(replayed as u64)),
            starved_since: None,
            fork: self.history.last().copied().filter(|_| self.is_primary),
            checkpoint_timeline: Some(self.checkpoint_timeline),
        }
    }

    /// What is seen of it while no server runs on it, if it can be read.
    pub fn stopped(&self) -> Option<Stopped> {
        (self.state == State::Whole).then(|| Stopped {
            end: self.end(),
            is_clean: self.is_clean && self.is_primary,
        })
    }

    /// Takes up to `count` entries from one that it follows.
    pub fn receive(&mut self, from: &Home, count: usize) {
        // A history that a bug let go wrong may be longer.
        let first = self.log.len().min(from.log.len());
        let last = from.log.len().min(first + count);
        self.log.extend_from_slice(&from.log[first..last]);
        // It is on a timeline only from where that begins.
        let end = self.end();
        let reached = from.history.iter().filter(|fork| fork.lsn <= end);
        self.history = reached.copied().collect();
        self.timeline = self.history.last().map_or(1, |fork| fork.timeline);
        self.newest = self.newest.max(from.timeline);
    }

    pub fn promote(&mut self, number: u64) {
        self.newest += 1;
        self.timeline = self.newest;
        self.history.push(ForkPoint {
            timeline: self.timeline,
            lsn: self.end(),
        });
        self.is_primary = true;
        self.is_clean = false;
        self.log.push(Entry {
            number,
            commit: false,
        });
    }

    /// `pg_rewind` to that one: by histories alone, and by where its last checkpoint was.
    pub fn rewind(&mut self, to: &Home) {
        self.is_primary = false;
        self.is_clean = true;
        if self.timeline == to.checkpoint_timeline {
            // It takes them for one history, and does nothing.
            return;
        }
        let shared = |fork: &&ForkPoint| !to.history.contains(fork);
        let own = self.history.iter().find(shared).map(|fork| fork.lsn);
        let last = self.history.iter().rfind(|fork| to.history.contains(fork));
        let ancestor = last.map_or(1, |fork| fork.timeline);
        let theirs = to.leaves(ancestor);
        let until = own.into_iter().chain(theirs).min().unwrap_or(self.end());
        self.log.truncate(until.0 as usize);
        self.history.retain(|fork| to.history.contains(fork));
        self.timeline = ancestor;
    }
}
