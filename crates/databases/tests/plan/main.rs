//! The plan against a small model of a machine: from every state that can be seen, and through
//! failures and crashes, it ends in what is wanted, and on its way there never does what it must
//! not. Planners with bugs planted in them are found.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../operations/support.rs"]
mod support;

mod backups;
mod machine;
mod states;

use databases::model::Origin;
use databases::plan::{
    Home, Next, Observed, Record, Removal, Role, Settings, SnapshotSeen, Step, Wanted, next_step,
};
use types::Now;

use crate::machine::{Chaos, Machine, Planner, Run};
use crate::states::{Server, State, Trouble, every_state};

/// Runs the planner from every state, without anything going wrong; what was found, if anything.
fn enumerate(planner: Planner) -> Option<String> {
    every_state().find_map(|state| {
        let mut machine = Machine::new(&state);
        let run = machine.run(planner, None);
        judged(&state, &machine, run).err()
    })
}

/// Runs the planner from states that a seed picks, with failures and crashes on the way.
fn shake(planner: Planner, seeds: std::ops::Range<u64>) -> Option<String> {
    let states: Vec<State> = every_state().collect();
    seeds.into_iter().find_map(|seed| {
        let mut chaos = Chaos::new(seed);
        let state = &states[chaos.below(states.len())];
        let mut machine = Machine::new(state);
        let run = machine.run(planner, Some(&mut chaos));
        let found = judged(state, &machine, run);
        found.err().map(|fault| format!("seed {seed}: {fault}"))
    })
}

/// Has every step fail for good, from every state.
fn obstruct(planner: Planner) -> Option<String> {
    every_state().find_map(|state| {
        let mut machine = Machine::new(&state);
        let run = machine.run_obstructed(planner);
        let told = |fault: String| Some(format!("{fault}\nfrom {state:?}"));
        match run {
            Run::Settled => None,
            Run::Fault(fault) => told(fault),
            Run::Endless => told("it never ends".to_owned()),
        }
    })
}

fn judged(state: &State, machine: &Machine, run: Run) -> Result<(), String> {
    let steps = machine
        .steps
        .iter()
        .map(|step| format!("{:?}", step.kind()));
    let steps: Vec<String> = steps.collect();
    let told = |fault: String| format!("{fault}\nfrom {state:?}\nby {steps:?}");
    match run {
        Run::Settled => machine.goal(state).map_err(told),
        Run::Fault(fault) => Err(told(fault)),
        Run::Endless => Err(told("it never ends".to_owned())),
    }
}

#[test]
fn from_every_state_the_plan_ends_in_what_is_wanted() {
    assert!(every_state().count() > 2000, "{}", every_state().count());
    if let Some(fault) = enumerate(next_step) {
        panic!("{fault}");
    }
}

#[test]
fn through_failures_and_crashes_the_plan_ends_in_what_is_wanted() {
    if let Some(fault) = shake(next_step, 0..3000) {
        panic!("{fault}");
    }
}

#[test]
fn what_can_t_be_done_is_tried_ever_more_rarely() {
    if let Some(fault) = obstruct(next_step) {
        panic!("{fault}");
    }
}

#[test]
fn one_seed_gives_one_run() {
    let states: Vec<State> = every_state().collect();
    for seed in 0..20 {
        let run = || {
            let mut chaos = Chaos::new(seed);
            let mut machine = Machine::new(&states[chaos.below(states.len())]);
            machine.run(next_step, Some(&mut chaos));
            machine.steps
        };
        assert_eq!(run(), run(), "{seed}");
    }
}

#[test]
fn what_no_copy_helps_is_copied_ever_more_rarely() {
    let is_kept = |state: &State| state.deletion == 0 && !state.is_promoted;
    let is_it = |state: &State| {
        state.trouble == Trouble::Behind && state.server == Server::Current && is_kept(state)
    };
    for state in every_state().filter(is_it) {
        let mut machine = Machine::new(&state);
        machine.is_ever_behind = true;
        let copies = machine.run_behind(next_step).unwrap();
        // A minute after the first, two after that, and an hour in the end.
        assert!((20..35).contains(&copies), "{copies} copies from {state:?}");
    }
}

/// What a planted bug must be found by, and what finding it says.
#[track_caller]
fn found(planner: Planner, expected: &str) {
    let fault = enumerate(planner).or_else(|| obstruct(planner));
    let fault = fault.or_else(|| shake(planner, 0..500));
    let fault = fault.expect("the planted bug isn't found");
    assert!(fault.contains(expected), "{fault}");
}

fn promotes_what_nobody_asked_for(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let role = observed.server.as_ref().and_then(|server| server.role);
    let is_done = next_step(wanted, observed, now) == Next::Settled;
    match is_done && role == Some(Role::Standby) && wanted.instance.failure.is_none() {
        true => Next::Step(Step::Promote),
        false => next_step(wanted, observed, now),
    }
}

fn starts_what_isn_t_whole(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    match next_step(wanted, observed, now) {
        Next::Step(Step::RemoveHome(Removal::Unfinished)) => Next::Step(Step::Start {
            generation: wanted.instance.generation,
            settings: Settings::default(),
        }),
        other => other,
    }
}

fn makes_a_home_over_one_that_was_lost(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    match next_step(wanted, observed, now) {
        Next::Step(Step::Record(Record::Failed { .. })) if observed.home == Home::Unfinished => {
            Next::Step(Step::RemoveHome(Removal::Unfinished))
        }
        other => other,
    }
}

fn deletes_before_the_last_snapshot(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut hasty = wanted.clone();
    hasty.snapshots.clear();
    match wanted.instance.deletion.is_some() {
        true => next_step(&hasty, observed, now),
        false => next_step(wanted, observed, now),
    }
}

fn takes_the_last_snapshot_of_what_runs(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let next = next_step(wanted, observed, now);
    let last = wanted.instance.deletion.as_ref();
    let last = last.and_then(|deletion| deletion.final_snapshot.clone());
    match (next, last) {
        (Next::Step(Step::Stop), Some(last))
            if observed.home == Home::Whole && observed.snapshots.is_empty() =>
        {
            Next::Step(Step::TakeSnapshot(last))
        }
        (other, _) => other,
    }
}

/// As if whatever can't be read had been cut off in its making.
fn takes_what_can_t_be_read_for_torn(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut blind = observed.clone();
    if blind.home == Home::Unreadable {
        blind.home = Home::Unfinished;
    }
    next_step(wanted, &blind, now)
}

fn stops_what_can_t_be_read(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    match observed.home == Home::Unreadable && observed.server.is_some() {
        true => Next::Step(Step::Stop),
        false => next_step(wanted, observed, now),
    }
}

fn deletes_what_is_stopped(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let next = next_step(wanted, observed, now);
    let is_stopped = wanted.instance.power == databases::model::Power::Stopped;
    match next == Next::Settled && is_stopped && observed.home == Home::Whole {
        true => Next::Step(Step::RemoveHome(Removal::Deleted)),
        false => next,
    }
}

fn discards_what_is_whole(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    match next_step(wanted, observed, now) {
        Next::Step(Step::Record(Record::SnapshotTaken { id, .. })) => {
            Next::Step(Step::DiscardSnapshot(id))
        }
        other => other,
    }
}

fn never_waits(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut forgetful = observed.clone();
    forgetful.failures.clear();
    next_step(wanted, &forgetful, now)
}

fn gives_up_at_once(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut hasty = observed.clone();
    if let Some(behind) = &mut hasty.behind {
        behind.since = types::Monotonic(0);
    }
    let later = Now {
        monotonic: now.monotonic + types::Span::seconds(5),
        ..now
    };
    next_step(wanted, &hasty, later)
}

fn gives_up_what_follows(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let next = next_step(wanted, observed, now);
    let upstream = observed
        .server
        .as_ref()
        .and_then(|it| it.settings.upstream.clone());
    match (next, upstream) {
        (Next::Settled, Some(upstream)) => Next::Step(Step::Reseed(upstream)),
        (next, _) => next,
    }
}

fn gives_up_what_is_promoted(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut blind = wanted.clone();
    blind.instance.promotion = None;
    match observed.behind.is_some() {
        true => next_step(&blind, observed, now),
        false => next_step(wanted, observed, now),
    }
}

fn never_gives_up(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut blind = observed.clone();
    blind.behind = None;
    next_step(wanted, &blind, now)
}

fn leaves_it_paused(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut blind = observed.clone();
    if let Some(server) = &mut blind.server {
        server.is_paused = false;
    }
    next_step(wanted, &blind, now)
}

fn never_reloads(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut blind = observed.clone();
    if let Some(server) = &mut blind.server {
        server.settings.parameters = wanted.parameters.clone();
    }
    next_step(wanted, &blind, now)
}

fn restarts_for_settings(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    match next_step(wanted, observed, now) {
        Next::Step(Step::Reload(_)) => Next::Step(Step::Stop),
        next => next,
    }
}

fn keeps_every_slot(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut blind = observed.clone();
    if let Some(server) = &mut blind.server {
        server.slots.clear();
    }
    next_step(wanted, &blind, now)
}

fn takes_a_password_for_set(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut blind = observed.clone();
    if let Some(server) = &mut blind.server {
        server.master_set = Some(wanted.instance.master.asked);
    }
    next_step(wanted, &blind, now)
}

fn gives_snapshots_up(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    match next_step(wanted, observed, now) {
        Next::Step(Step::TakeSnapshot(id)) => Next::Step(Step::Record(Record::SnapshotFailed {
            id,
            reason: "why".to_owned(),
        })),
        next => next,
    }
}

fn forgets_to_settle(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    match next_step(wanted, observed, now) {
        Next::Step(Step::Record(Record::Settled { .. })) => Next::Settled,
        other => other,
    }
}

fn settles_what_never_ran(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let generation = wanted.instance.generation;
    let is_new = !wanted.instance.was_available() && wanted.instance.origin == Origin::New;
    match is_new && wanted.instance.deletion.is_none() && observed.home == Home::Absent {
        true => Next::Step(Step::Record(Record::Settled { generation })),
        false => next_step(wanted, observed, now),
    }
}

fn takes_a_torn_snapshot_for_whole(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut blind = observed.clone();
    for seen in blind.snapshots.values_mut() {
        let taken = types::Timestamp(1);
        *seen = SnapshotSeen::Whole { bytes: 1, taken };
    }
    next_step(wanted, &blind, now)
}

#[test]
fn planted_bugs_are_found() {
    found(
        promotes_what_nobody_asked_for,
        "nobody asked for its promotion",
    );
    found(starts_what_isn_t_whole, "it starts a home that isn't whole");
    found(
        makes_a_home_over_one_that_was_lost,
        "it removes what isn't to be removed",
    );
    found(deletes_before_the_last_snapshot, "before its last snapshot");
    found(
        takes_the_last_snapshot_of_what_runs,
        "it takes the last one of what runs",
    );
    found(
        takes_what_can_t_be_read_for_torn,
        "it removes what isn't to be removed",
    );
    found(stops_what_can_t_be_read, "it stops what serves");
    found(
        deletes_what_is_stopped,
        "it removes what isn't to be removed",
    );
    found(
        discards_what_is_whole,
        "it discards a snapshot that is whole",
    );
    found(never_waits, "it spins");
    found(gives_up_at_once, "it gives up what may yet follow");
    found(gives_up_what_follows, "it gives up what may yet follow");
    found(gives_up_what_is_promoted, "it gives up what follows nobody");
    found(never_gives_up, "it doesn't follow");
    found(leaves_it_paused, "it doesn't follow");
    found(never_reloads, "it runs with old settings");
    found(restarts_for_settings, "it stops what nobody wants stopped");
    found(keeps_every_slot, "it keeps a slot for nobody");
    found(takes_a_password_for_set, "its server hasn't that password");
    found(gives_snapshots_up, "it gives a snapshot up at once");
    found(forgets_to_settle, "its generation hasn't settled");
    found(settles_what_never_ran, "it settles what doesn't run");
    found(
        takes_a_torn_snapshot_for_whole,
        "it takes a torn snapshot for whole",
    );
}
