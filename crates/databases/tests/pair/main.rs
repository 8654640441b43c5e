//! The plan of an instance with a standby in another zone, against a small model of two homes:
//! zones and servers die, steps fail, keepers act by what they saw a while ago, and no acknowledged
//! commit is lost, never two writers can be reached, and all ends as it is wanted. Planners with
//! bugs planted in them are found.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../operations/support.rs"]
mod support;

mod states;
mod world;

use databases::plan::{MateSeen, Next, Observed, Record, Role, Step, Wanted, next_step};
use types::Now;

use crate::world::{Planner, World};

/// Moves of a run in which things go wrong.
const MOVES: usize = 400;

/// Runs the planner with those seeds; what was found, if anything, and how often a standby took
/// over.
fn shake(planner: Planner, seeds: std::ops::Range<u64>) -> Result<u64, String> {
    let mut takeovers = 0;
    for seed in seeds {
        let mut world = World::new(seed);
        if let Err(fault) = world.run(planner, MOVES) {
            let story = world.story.iter().rev().take(40).rev();
            let story: Vec<&str> = story.map(String::as_str).collect();
            return Err(format!("seed {seed}: {fault}\n{}", story.join("\n")));
        }
        takeovers += world.takeovers;
    }
    Ok(takeovers)
}

#[test]
fn no_acknowledged_commit_is_lost_and_never_two_writers_are_reached() {
    let takeovers = shake(next_step, 0..300).unwrap_or_else(|fault| panic!("{fault}"));
    // Else nothing was tried.
    assert!(takeovers > 150, "{takeovers}");
}

#[test]
fn one_seed_gives_one_run() {
    for seed in 0..5 {
        let run = || {
            let mut world = World::new(seed);
            world.run(next_step, MOVES).unwrap();
            world.story
        };
        assert_eq!(run(), run(), "{seed}");
    }
}

/// What a planted bug must be found by, and what finding it says.
#[track_caller]
fn found(planner: Planner, expected: &str) {
    let Err(fault) = shake(planner, 0..400) else {
        panic!("the planted bug isn't found");
    };
    assert!(fault.contains(expected), "{fault}");
}

/// As if commits need not wait from when the standby is late, whatever the row says by then.
fn acknowledges_alone_before_it_is_written(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    match next_step(wanted, observed, now) {
        Next::Step(Step::Record(Record::OutOfStep { .. }))
            if observed
                .server
                .as_ref()
                .is_some_and(|it| it.settings.synchronous.is_some()) =>
        {
            Next::Step(Step::Synchronise(None))
        }
        next => next,
    }
}

/// As if the standby were in step once it has what the primary has now.
fn is_in_step_before_commits_wait(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut hasty = observed.clone();
    if hasty.pair.is_proving {
        hasty.pair.synchronous_since = hasty.pair.written;
        hasty.pair.is_proving = false;
    }
    next_step(wanted, &hasty, now)
}

/// As if whatever is in step had all from the beginning.
fn is_in_step_before_it_has_all(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut hasty = observed.clone();
    if hasty.pair.synchronous_since.is_some() && hasty.pair.flushed.is_some() {
        hasty.pair.flushed = hasty.pair.flushed.max(hasty.pair.synchronous_since);
    }
    next_step(wanted, &hasty, now)
}

/// As if the row said that the standby is in step.
fn takes_over_out_of_step(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let next = next_step(wanted, observed, now);
    let is_down = observed.pair.mate.is_some_and(|mate| !mate.is_zone_up);
    let role = observed.server.as_ref().and_then(|it| it.role);
    match wanted.standby() {
        Some(standby) if is_down && role == Some(Role::Standby) && !standby.is_in_step => {
            Next::Step(Step::Promote)
        }
        _ => next,
    }
}

/// As if nothing ran on the other home.
fn promotes_beside_the_old_primary(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut blind = observed.clone();
    let is_primary = wanted.standby().is_none();
    blind.pair.mate = blind.pair.mate.map(|mate| MateSeen {
        runs: mate.runs && !is_primary,
        ..mate
    });
    next_step(wanted, &blind, now)
}

/// As if every home were one that was made to follow.
fn starts_an_old_primary(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut blind = observed.clone();
    blind.pair.is_primary_data = false;
    next_step(wanted, &blind, now)
}

fn never_says_out_of_step(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    match next_step(wanted, observed, now) {
        Next::Step(Step::Record(Record::OutOfStep { .. })) => Next::Settled,
        next => next,
    }
}

#[test]
fn planted_bugs_are_found() {
    let lacks = "a standby lacks what was acknowledged";
    found(acknowledges_alone_before_it_is_written, lacks);
    found(is_in_step_before_commits_wait, lacks);
    found(is_in_step_before_it_has_all, lacks);
    found(takes_over_out_of_step, "it promotes what the row doesn't");
    found(promotes_beside_the_old_primary, "beside another server");
    found(starts_an_old_primary, "it starts an old primary as it is");
    found(never_says_out_of_step, "it never settles");
}
