//! What becomes of an item when a peer's state of it meets ours: the one place where the winner
//! is chosen and a conflict is told from an ordinary overwrite. Pure.
//!
//! The greater version wins. It is a conflict if neither context contains the other's dot. The
//! contexts are merged whatever the outcome, also into a state that stays: a context must never
//! forget what its Region has met, or a late duplicate would be called a conflict again.
//! Why that is exact, and why a merged context needn't be announced: docs/conflicts.md.

use crate::{PlantedBug, State};

/// What becomes of an item.
#[derive(Clone, PartialEq, Debug)]
pub struct Merge {
    /// What happened to the incoming state.
    pub outcome: Outcome,
    /// The state to store, with the merged context.
    pub state: State,
    /// Does `state` differ from what is stored, if only in its context?
    pub changed: bool,
    /// The conflict, if it was one.
    pub conflict: Option<Conflict>,
}

/// What happened to an incoming state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is the item's state now.
    Take,
    /// The item's state stayed.
    Keep,
    /// It was the item's state already.
    Duplicate,
}

/// Two states of which neither had seen the other.
#[derive(Clone, PartialEq, Debug)]
pub struct Conflict {
    /// The one with the greater version, as it was before the contexts were merged.
    pub winner: State,
    /// The one that was beaten.
    pub loser: State,
}

/// Merges a peer's state of an item into what is stored here.
pub fn merge(current: Option<State>, incoming: State, planted: Option<PlantedBug>) -> Merge {
    let Some(current) = current else {
        return Merge {
            outcome: Outcome::Take,
            state: incoming,
            changed: true,
            conflict: None,
        };
    };
    if current.dot == incoming.dot {
        return keep(current, &incoming, Outcome::Duplicate);
    }
    let concurrent = match planted {
        Some(PlantedBug::ConflictByTimestamp) => current.dot.site != incoming.dot.site,
        _ => !incoming.context.contains(current.dot) && !current.context.contains(incoming.dot),
    };
    let wins = match planted {
        Some(PlantedBug::TieBreakDropped) => incoming.dot.time > current.dot.time,
        _ => incoming.dot > current.dot,
    };
    if wins {
        let conflict = concurrent.then(|| Conflict {
            winner: incoming.clone(),
            loser: current.clone(),
        });
        let mut state = incoming;
        state.context.merge(&current.context);
        return Merge {
            outcome: Outcome::Take,
            state,
            changed: true,
            conflict,
        };
    }
    let conflict = concurrent.then(|| Conflict {
        winner: current.clone(),
        loser: incoming.clone(),
    });
    Merge {
        conflict,
        ..keep(current, &incoming, Outcome::Keep)
    }
}

/// The current state stays and learns what the incoming one had seen.
fn keep(mut current: State, incoming: &State, outcome: Outcome) -> Merge {
    let before = current.context.clone();
    current.context.merge(&incoming.context);
    Merge {
        outcome,
        changed: current.context != before,
        state: current,
        conflict: None,
    }
}

#[cfg(test)]
mod tests {
    use types::{Context, Hlc, SiteId, Version};

    use super::*;
    use crate::Content;

    fn dot(time: u64, site: u16) -> Version {
        Version {
            time: Hlc(time),
            site: SiteId(site),
        }
    }

    fn state(dot: Version, seen: &[Version]) -> State {
        let mut context = Context::EMPTY;
        for seen in seen.iter().chain([&dot]) {
            context.insert(*seen);
        }
        State {
            dot,
            context,
            content: Content::Tombstone,
        }
    }

    #[test]
    fn a_state_that_saw_ours_replaces_it_without_conflict() {
        let ours = state(dot(1, 1), &[]);
        let theirs = state(dot(2, 2), &[dot(1, 1)]);
        let merge = merge(Some(ours), theirs.clone(), None);
        assert_eq!(merge.outcome, Outcome::Take);
        assert_eq!(merge.state, theirs);
        assert_eq!(merge.conflict, None);
    }

    #[test]
    fn old_news_is_dropped() {
        let theirs = state(dot(1, 1), &[]);
        let ours = state(dot(2, 2), &[dot(1, 1)]);
        let merge = merge(Some(ours.clone()), theirs, None);
        assert_eq!((merge.outcome, merge.changed), (Outcome::Keep, false));
        assert_eq!(merge.state, ours);
        assert_eq!(merge.conflict, None);
    }

    #[test]
    fn concurrent_states_conflict_and_their_contexts_merge_whoever_stays() {
        let (low, high) = (state(dot(1, 1), &[]), state(dot(1, 2), &[]));
        for (ours, theirs, outcome) in [(&low, &high, Outcome::Take), (&high, &low, Outcome::Keep)]
        {
            let merge = merge(Some(ours.clone()), theirs.clone(), None);
            assert_eq!((merge.outcome, merge.changed), (outcome, true));
            assert_eq!(merge.state, state(dot(1, 2), &[dot(1, 1)]));
            let conflict = merge.conflict.expect("neither saw the other");
            assert_eq!((&conflict.winner, &conflict.loser), (&high, &low));
        }
    }

    #[test]
    fn a_duplicate_of_a_beaten_state_is_no_second_conflict() {
        let beaten = state(dot(1, 1), &[]);
        let first = merge(Some(state(dot(2, 2), &[])), beaten.clone(), None);
        assert!(first.conflict.is_some());
        let again = merge(Some(first.state), beaten, None);
        assert_eq!(again.conflict, None);
        assert!(!again.changed);
    }

    #[test]
    fn a_taken_state_does_not_forget_what_the_one_before_had_met() {
        // Ours beat `lost` here; the state that then replaces ours never heard of it.
        let lost = state(dot(1, 3), &[]);
        let ours = merge(Some(state(dot(2, 1), &[])), lost.clone(), None).state;
        let next = state(dot(3, 2), &[dot(2, 1)]);
        let taken = merge(Some(ours), next, None);
        assert_eq!(taken.conflict, None);
        assert_eq!(merge(Some(taken.state), lost, None).conflict, None);
    }

    #[test]
    fn whole_vectors_would_call_this_a_conflict_and_dots_do_not() {
        // B holds {A1, B1} after a conflict; A, which never got B1, writes A2 having seen A1.
        let (a1, b1) = (dot(1, 1), dot(1, 2));
        let at_b = merge(Some(state(b1, &[])), state(a1, &[]), None).state;
        let late_b1 = state(dot(2, 1), &[a1]);
        let merged = merge(Some(at_b), late_b1, None);
        // B1 (the winner there) was not seen by A2: that is a conflict. Had A1 won, it is none.
        assert!(merged.conflict.is_some());
        let (a1, b1) = (dot(2, 1), dot(1, 2));
        let at_b = merge(Some(state(b1, &[])), state(a1, &[]), None).state;
        let merged = merge(Some(at_b), state(dot(3, 1), &[a1]), None);
        assert_eq!(merged.conflict, None);
    }

    #[test]
    fn planted_bugs_show() {
        let (low, high) = (state(dot(1, 1), &[]), state(dot(1, 2), &[]));
        let tie = merge(Some(low.clone()), high, Some(PlantedBug::TieBreakDropped));
        assert_eq!(tie.outcome, Outcome::Keep);
        let seen = state(dot(2, 2), &[dot(1, 1)]);
        let false_row = merge(Some(low), seen, Some(PlantedBug::ConflictByTimestamp));
        assert!(false_row.conflict.is_some());
    }
}
