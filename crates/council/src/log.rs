//! What raft-rs reads: the log in memory, exactly as it is on disk or on its way there. Bounded
//! by compaction. Its snapshots are empty: they name a place in the log, and the state goes to
//! the peer in parts (`council/sending.rs`).

use std::collections::VecDeque;

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};
use types::SiteId;

use crate::Members;
use crate::limits::{KEPT_LOG_ENTRIES, LOG_BOUNDS_FOR_PEERS, MAX_LOG_ENTRIES, MAX_LOG_SIZE};
use crate::saved::Generation;
use crate::state::State;

/// The log after its base, the hard state, and the state the applied part of the log has made.
pub(crate) struct Log {
    pub(crate) hard: HardState,
    pub(crate) members: Members,
    /// Index and term of the entry before the first one held.
    pub(crate) base: (u64, u64),
    pub(crate) entries: VecDeque<Entry>,
    pub(crate) state: State,
    /// Where the state's settings are on disk.
    pub(crate) generation: Generation,
}

/// raft-rs takes 0 for "nobody", and a site may have number 0.
pub(crate) fn raft_id(site: SiteId) -> u64 {
    u64::from(site.0) + 1
}

/// The site of that raft id.
pub(crate) fn site_of(raft_id: u64) -> Option<SiteId> {
    let number = raft_id.checked_sub(1)?;
    u16::try_from(number).ok().map(SiteId)
}

/// The members as raft-rs words them.
pub(crate) fn conf_state(members: &Members) -> ConfState {
    let ids = |sites: &[SiteId]| {
        sites
            .iter()
            .map(|site| raft_id(*site))
            .collect::<Vec<u64>>()
    };
    let mut conf_state = ConfState::default();
    conf_state.set_voters(ids(&members.voters));
    conf_state.set_learners(ids(&members.listeners));
    conf_state
}

/// A snapshot as raft-rs is shown it: its place in the log, without the state.
pub(crate) fn snapshot(index: u64, term: u64, members: &Members) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let metadata = snapshot.mut_metadata();
    metadata.index = index;
    metadata.term = term;
    metadata.set_conf_state(conf_state(members));
    snapshot
}

impl Log {
    pub(crate) fn first(&self) -> u64 {
        self.base.0 + 1
    }

    pub(crate) fn last(&self) -> u64 {
        self.base.0 + self.entries.len() as u64
    }

    /// Replaces everything from the first of `entries` on. Returns the last index held before.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> u64 {
        let before = self.last();
        if let Some(first) = entries.first() {
            let kept = first.index.saturating_sub(self.first());
            self.entries
                .truncate(usize::try_from(kept).unwrap_or(usize::MAX));
            self.entries.extend(entries.iter().cloned());
        }
        before
    }

    /// Replaces everything by a leader's state. Returns the old one.
    pub(crate) fn restore(&mut self, state: State) -> State {
        self.base = (state.index, state.term);
        self.entries.clear();
        self.generation = self.generation.other();
        std::mem::replace(&mut self.state, state)
    }

    /// Drops old applied entries if the log is over its bound. Returns the indexes dropped.
    /// Those after `kept_after` stay for peers that are catching up, unless that takes the log far
    /// over its bound.
    pub(crate) fn compact(&mut self, kept_after: Option<u64>) -> std::ops::Range<u64> {
        let first = self.first();
        let size: usize = self.entries.iter().map(|entry| entry.data.len()).sum();
        let within = |times: usize| {
            self.entries.len() <= times * MAX_LOG_ENTRIES && size <= times * MAX_LOG_SIZE.as_usize()
        };
        if within(1) {
            return first..first;
        }
        let mut last = self.state.index.saturating_sub(self.kept() as u64);
        if within(LOG_BOUNDS_FOR_PEERS) {
            last = last.min(kept_after.unwrap_or(last));
        }
        let count = last.saturating_sub(self.base.0);
        for _ in 0..count {
            if let Some(entry) = self.entries.pop_front() {
                self.base = (entry.index, entry.term);
            }
        }
        first..self.first()
    }

    /// How many of the applied entries a compaction leaves: few, or fewer if they are large.
    fn kept(&self) -> usize {
        let applied = usize::try_from(self.state.index.saturating_sub(self.base.0));
        let latest = self
            .entries
            .iter()
            .take(applied.unwrap_or(usize::MAX))
            .rev();
        let mut size = 0;
        latest
            .take(KEPT_LOG_ENTRIES)
            .take_while(|entry| {
                size += entry.data.len();
                size <= MAX_LOG_SIZE.as_usize() / 2
            })
            .count()
    }

    fn at(&self, index: u64) -> Option<&Entry> {
        let offset = index.checked_sub(self.first())?;
        self.entries.get(usize::try_from(offset).ok()?)
    }
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard.clone(), conf_state(&self.members)))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low < self.first() {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        let mut entries: Vec<Entry> = (low..high).filter_map(|i| self.at(i).cloned()).collect();
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.base.0 {
            return Ok(self.base.1);
        }
        match self.at(index) {
            Some(entry) => Ok(entry.term),
            None if index < self.base.0 => Err(raft::Error::Store(StorageError::Compacted)),
            None => Err(raft::Error::Store(StorageError::Unavailable)),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.first())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, _: u64, _: u64) -> raft::Result<Snapshot> {
        Ok(snapshot(self.state.index, self.state.term, &self.members))
    }
}
