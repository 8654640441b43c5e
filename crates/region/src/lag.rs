//! How late a Region's peers are, measured: backlog, age of the oldest change not yet applied
//! over there, and how long applied changes took to get here.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use store::LogPosition;
use types::{Region, Timestamp};

/// Latencies kept per peer, the newest.
const SAMPLES: usize = 1_024;

/// Times of commits kept per peer while they are unacknowledged; beyond it every second is
/// dropped, so the age stays right to a factor that shrinks with the backlog's own length.
const COMMITS: usize = 4_096;

/// What was measured about one peer.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    /// When the log's head first reached a position, for positions the peer hasn't applied.
    commits: VecDeque<(LogPosition, Timestamp)>,
    /// Milliseconds from a write's version to its application here.
    latencies: VecDeque<u64>,
    /// Replication from the peer waits until then: its changes are from the local future.
    pub parked_until: Option<Timestamp>,
    /// Replication from the peer stands still, and why.
    pub trouble: Option<String>,
    /// The peer's wall clock less ours, in milliseconds, as its last heartbeat told.
    pub clock_offset: Option<i64>,
    /// Messages from it that made no sense.
    pub refused_messages: u64,
    /// Stretches of its log applied here.
    pub stretches_applied: u64,
    /// Records of its log applied here.
    pub records_applied: u64,
}

/// How late one direction of replication is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Lag {
    /// Where the changes were written.
    pub from: Region,
    /// Where they are going.
    pub to: Region,
    /// Is there a connection?
    pub connected: bool,
    /// Positions of the log that the peer hasn't applied; `None` until it has said where it
    /// stands.
    pub backlog: Option<u64>,
    /// Milliseconds since the oldest change was committed that the peer hasn't applied.
    pub oldest_milliseconds: Option<u64>,
    /// The log's newest position.
    pub head: u64,
    /// Applied at the peer up to here.
    pub applied: Option<u64>,
    /// The link's measured round trip in milliseconds.
    pub round_trip_milliseconds: Option<f64>,
}

/// How long changes from one Region took to arrive, over the last thousand or so.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Latency {
    /// Where the changes were written.
    pub from: Region,
    /// Where they were applied.
    pub to: Region,
    /// Milliseconds from write to application, by the two Regions' wall clocks: the median.
    pub median_milliseconds: Option<u64>,
    /// The 99th percentile.
    pub p99_milliseconds: Option<u64>,
    /// Records applied since the Region started.
    pub applied: u64,
    /// The local wall time until which changes wait because they are from the future.
    pub parked_until: Option<Timestamp>,
    /// Why application stands still, if it does.
    pub trouble: Option<String>,
    /// The peer's wall clock less ours in milliseconds.
    pub clock_offset_milliseconds: Option<i64>,
}

impl Measures {
    /// The log's head reached `position` at `wall`.
    pub fn committed(&mut self, position: LogPosition, wall: Timestamp) {
        if self
            .commits
            .back()
            .is_some_and(|(newest, _)| *newest >= position)
        {
            return;
        }
        if self.commits.len() >= COMMITS {
            let mut keep = false;
            self.commits.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.commits.push_back((position, wall));
    }

    /// The peer has applied everything up to `position`.
    pub fn acknowledged(&mut self, position: LogPosition) {
        while self
            .commits
            .front()
            .is_some_and(|(oldest, _)| *oldest <= position)
        {
            self.commits.pop_front();
        }
    }

    /// Milliseconds since the oldest unapplied change was committed.
    pub fn oldest_age(&self, wall: Timestamp) -> Option<u64> {
        self.commits
            .front()
            .map(|(_, committed)| wall.0.saturating_sub(committed.0))
    }

    /// A change that was written at `written` was applied at `applied`.
    pub fn applied(&mut self, written: Timestamp, applied: Timestamp) {
        if self.latencies.len() >= SAMPLES {
            self.latencies.pop_front();
        }
        self.latencies
            .push_back(applied.0.saturating_sub(written.0));
    }

    /// The latency below which `share` (0 to 1) of the samples lie.
    pub fn latency(&self, share: f64) -> Option<u64> {
        let mut sorted: Vec<u64> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        let index = (sorted.len() as f64 * share) as usize;
        sorted
            .get(index.min(sorted.len().saturating_sub(1)))
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_age_is_that_of_the_first_change_not_applied() {
        let mut measures = Measures::default();
        measures.committed(LogPosition(1), Timestamp(100));
        measures.committed(LogPosition(5), Timestamp(200));
        assert_eq!(measures.oldest_age(Timestamp(250)), Some(150));
        measures.acknowledged(LogPosition(1));
        assert_eq!(measures.oldest_age(Timestamp(250)), Some(50));
        measures.acknowledged(LogPosition(5));
        assert_eq!(measures.oldest_age(Timestamp(250)), None);
    }

    #[test]
    fn a_long_backlog_keeps_its_oldest_change() {
        let mut measures = Measures::default();
        for position in 1..=20_000 {
            measures.committed(LogPosition(position), Timestamp(position));
        }
        assert!(measures.commits.len() <= COMMITS);
        assert_eq!(measures.oldest_age(Timestamp(20_001)), Some(20_000));
    }

    #[test]
    fn percentiles() {
        let mut measures = Measures::default();
        assert_eq!(measures.latency(0.5), None);
        for latency in 0..100 {
            measures.applied(Timestamp(0), Timestamp(latency));
        }
        assert_eq!(measures.latency(0.5), Some(50));
        assert_eq!(measures.latency(0.99), Some(99));
    }
}
