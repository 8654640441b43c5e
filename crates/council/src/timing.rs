//! How fast the council's clock runs, and who stands for election when.
//!
//! raft-rs draws election timeouts from the thread's random generator whenever a site changes
//! its role. That draw never takes effect: before the timeout is next looked at, the council
//! replaces it by `Timing::election_timeout`, a pure function of the voter's rank and the term.
//! So one simulated seed gives one trace, and no two voters of a term stand at the same time:
//! their turns are a slot apart, and the order rotates with the term.

use types::{Deployment, Geography, Span};

/// The span of one tick: ten wake-ups a second for an idle site.
pub const TICK: Span = Span::milliseconds(100);

/// Round trips up to this are expected whatever the geography says: the longest between two
/// Regions in the shipped matrix, with room for a delay injected in a lab.
const EXPECTED_ROUND_TRIP: Span = Span::milliseconds(400);

/// An election timeout is at least so many round trips: heartbeats may be late several times
/// over before a living leader is doubted.
const ROUND_TRIPS_PER_ELECTION: u64 = 5;

/// The least election timeout in ticks.
const LEAST_ELECTION_TICKS: usize = 10;

/// Heartbeats per election timeout, roughly: losing several in a row is no reason to vote.
const HEARTBEATS_PER_ELECTION: usize = 6;

/// The council's timeouts, in ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// Between two heartbeats of a leader; at least 1.
    pub heartbeat_ticks: usize,
    /// Without word from a leader before an election, at the least; greater than
    /// `heartbeat_ticks`. Also how long a site believes in a majority it heard from.
    pub election_ticks: usize,
}

impl Timing {
    /// For a deployment whose largest round trip is this, delays injected by a lab included.
    pub fn for_round_trip(largest: Span) -> Timing {
        let span = largest.max(EXPECTED_ROUND_TRIP).0 * ROUND_TRIPS_PER_ELECTION;
        let ticks = usize::try_from(span.div_ceil(TICK.0)).unwrap_or(usize::MAX / 4);
        let election_ticks = ticks.clamp(LEAST_ELECTION_TICKS, usize::MAX / 4);
        Timing {
            heartbeat_ticks: (election_ticks / HEARTBEATS_PER_ELECTION).clamp(1, 10),
            election_ticks,
        }
    }

    /// When the voter of that rank (of so many) stands in a term: `election_ticks` plus its
    /// turn's slot; less than twice `election_ticks`.
    pub(crate) fn election_timeout(self, rank: usize, voters: usize, term: u64) -> usize {
        let voters = voters.max(1);
        let rotation = usize::try_from(term % voters as u64).unwrap_or(0);
        let turn = (rank + rotation) % voters;
        self.election_ticks + turn * self.election_ticks / voters
    }

    /// How long a proposal is repeated before its proposer is told that its time is up.
    pub(crate) fn proposal_ticks(self) -> u64 {
        4 * self.election_ticks as u64
    }

    /// After how long without an outcome a proposal is sent again.
    pub(crate) fn repeat_ticks(self) -> u64 {
        (self.election_ticks as u64 / 2).max(1)
    }
}

/// The largest round trip between two sites of a deployment.
pub fn largest_round_trip(deployment: &Deployment, geography: Geography) -> Span {
    let places = || deployment.sites.iter().map(|site| site.place);
    places()
        .flat_map(|from| places().map(move |to| (from, to)))
        .map(|(from, to)| {
            let there = geography.one_way_delay(from, to);
            Span(there.0.saturating_add(geography.one_way_delay(to, from).0))
        })
        .max()
        .unwrap_or(Span::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_election_waits_five_round_trips() {
        let near = Timing::for_round_trip(Span::ZERO);
        assert_eq!(near.election_ticks, 20);
        assert_eq!(near.heartbeat_ticks, 3);
        let far = Timing::for_round_trip(Span::seconds(1));
        assert_eq!(far.election_ticks, 50);
    }

    #[test]
    fn no_two_voters_stand_together_and_none_is_out_of_range() {
        let timing = Timing::for_round_trip(Span::ZERO);
        for voters in 1..=7 {
            for term in 0..20 {
                let mut turns: Vec<usize> = (0..voters)
                    .map(|rank| timing.election_timeout(rank, voters, term))
                    .collect();
                turns.sort_unstable();
                turns.dedup();
                assert_eq!(turns.len(), voters);
                assert!(turns.iter().all(|turn| (20..40).contains(turn)));
            }
        }
    }
}
