//! Global clusters through whatever goes wrong: three Regions with the plan and the service that
//! ship, against a model of PostgreSQL and of the council, over many seeds. Never are two writers
//! reached; a switchover loses nothing; what a failover loses is what the tails list, and nothing
//! else is in them; healed, all have the writer's history. Planners with bugs are found.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../operations/support.rs"]
mod support;

mod council;
mod home;
mod world;

use databases::plan::{Duty, Next, Observed, Record, Role, Step, StepKind, Wanted, next_step};
use types::Now;

use crate::world::{Flaw, Planner, World};

/// Moments until a calm world must have settled: 150 s, longer than any wait.
const CALM: usize = 1500;

/// Moments of a run in which things go wrong.
const WILD: usize = 500;

fn settle(world: &mut World) -> Result<(), String> {
    for _ in 0..CALM {
        world.tick()?;
        if world.is_settled() {
            return Ok(());
        }
    }
    Err(format!("it never settles:\n{}", world.told()))
}

/// A run in which homes are lost with their disks: nothing else may throw away what nobody else
/// has. All may be beyond what is carried out by itself in the end; whether it settled is told.
fn run_with_lost_disks(seed: u64, planner: Planner, flaw: Flaw) -> Result<(World, bool), String> {
    let mut world = World::new(seed, planner, flaw);
    settle(&mut world)?;
    (world.is_wild, world.loses_disks) = (true, true);
    for moment in 0..WILD {
        world.tick()?;
        if moment % 12 == 0 {
            world.disturb(true);
        }
    }
    world.heal();
    for moment in 0..CALM {
        world.tick()?;
        if world.is_settled() {
            world.judge()?;
            return Ok((world, true));
        }
        if moment % 50 == 0 {
            world.operate();
        }
    }
    Ok((world, false))
}

#[test]
fn what_one_alone_still_has_is_never_thrown_away_whatever_disk_is_lost() {
    let (mut disks, mut settled) = (0, 0);
    for seed in 5000..5016 {
        let (world, has_settled) = run_with_lost_disks(seed, next_step, Flaw::None)
            .unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        disks += world.disks;
        settled += usize::from(has_settled);
    }
    assert!(disks > 8 && settled > 3, "{disks} disks, {settled} settled");
}

/// A run of a seed: how many moves were asked for, and how many transactions were lost.
fn run(
    seed: u64,
    planner: Planner,
    flaw: Flaw,
    fails_over: bool,
) -> Result<(World, usize), String> {
    let mut world = World::new(seed, planner, flaw);
    let run = run_in(&mut world, fails_over);
    match run {
        Ok(lost) => Ok((world, lost)),
        Err(fault) if std::env::var_os("TRACE").is_some() => Err(format!(
            "{fault}\n{}\n{}",
            world.trace.join("\n"),
            world.told()
        )),
        Err(fault) => Err(fault),
    }
}

fn run_in(world: &mut World, fails_over: bool) -> Result<usize, String> {
    settle(world)?;
    world.is_wild = true;
    for moment in 0..WILD {
        world.tick()?;
        if moment % 12 == 0 {
            world.disturb(fails_over);
        }
    }
    world.heal();
    settle(world)?;
    let lost = world.judge()?.len();
    if !fails_over && lost > 0 {
        return Err(format!("{lost} were lost, though nobody gave leave"));
    }
    Ok(lost)
}

fn search(
    seeds: std::ops::Range<u64>,
    planner: Planner,
    flaw: Flaw,
    fails_over: bool,
) -> Option<String> {
    seeds.into_iter().find_map(|seed| {
        let found = run(seed, planner, flaw, fails_over).err();
        found.map(|fault| format!("seed {seed}: {fault}"))
    })
}

#[test]
fn never_are_two_writers_reached_and_failovers_lose_what_the_tails_list() {
    let (mut moves, mut lost, mut rewinds, mut copies) = (0, 0, 0, 0);
    for seed in 0..60 {
        let (world, of_seed) = run(seed, next_step, Flaw::None, true)
            .unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        let steps = |kind| world.steps.get(&kind).copied().unwrap_or_default();
        (moves, lost) = (moves + world.moves, lost + of_seed);
        rewinds += steps(StepKind::Rewind);
        copies += steps(StepKind::Copy);
    }
    // Else nothing was tried.
    assert!(moves > 100, "{moves} moves");
    assert!(lost > 50, "{lost} lost");
    assert!(
        rewinds > 30 && copies > 120,
        "{rewinds} rewinds, {copies} copies"
    );
}

#[test]
fn switchovers_lose_nothing_whatever_goes_wrong() {
    if let Some(fault) = search(1000..1040, next_step, Flaw::None, false) {
        panic!("{fault}");
    }
}

/// A planner that doesn't wait for the old writer's lease to run out.
fn impatient(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let next = next_step(wanted, observed, now);
    match (&wanted.duty, &next) {
        (Duty::TakeOver(takeover), Next::WaitUntil(_)) if !takeover.is_switchover() => {
            let number = takeover.moving.number;
            Next::Step(Step::Record(Record::Promoting { number }))
        }
        _ => next,
    }
}

/// A planner that brings an old writer back and keeps nothing of what it alone held.
fn careless(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut seen = observed.clone();
    let all = (0..1000).map(|base| (base, databases::model::Lsn(0)));
    seen.head.tails.extend(all);
    next_step(wanted, &seen, now)
}

/// A planner that rewinds to a writer that hasn't completed a checkpoint since its promotion.
fn hasty(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut wanted = wanted.clone();
    if let Duty::Follow(following) = &mut wanted.duty {
        following.is_checkpointed = true;
    }
    let next = next_step(&wanted, observed, now);
    match next {
        Next::Step(Step::Checkpoint) => Next::Settled,
        next => next,
    }
}

/// A planner that takes a timeline's number for what tells histories apart.
fn trusting(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut wanted = wanted.clone();
    if let Duty::Follow(following) = &mut wanted.duty {
        following.is_told_apart = true;
        following.is_unled = false;
    }
    next_step(&wanted, observed, now)
}

/// A planner that has a switchover not wait for what the target still lacks.
fn eager(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let is_standby = |it: &databases::plan::ServerSeen| it.role == Some(Role::Standby);
    match &wanted.duty {
        Duty::TakeOver(takeover)
            if matches!(
                takeover.moving.phase,
                databases::model::Phase::Drained { .. }
            ) && observed.server.as_ref().is_some_and(is_standby) =>
        {
            let number = takeover.moving.number;
            Next::Step(Step::Record(Record::Promoting { number }))
        }
        _ => next_step(wanted, observed, now),
    }
}

/// A planner that lets what was a writer follow as it is.
fn forgetful(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut seen = observed.clone();
    if let Some(stopped) = &mut seen.head.stopped {
        (stopped.end, stopped.is_clean) = (databases::model::Lsn(0), true);
    }
    next_step(wanted, &seen, now)
}

#[test]
fn planted_bugs_are_found() {
    let bugs: [(&str, Planner, Flaw, bool); 7] = [
        ("impatient", impatient, Flaw::None, true),
        ("careless", careless, Flaw::None, true),
        ("hasty", hasty, Flaw::None, true),
        ("trusting", trusting, Flaw::None, true),
        ("eager", eager, Flaw::None, false),
        ("forgetful", forgetful, Flaw::None, true),
        ("without a lease", next_step, Flaw::NoLease, true),
    ];
    let missed: Vec<&str> = bugs
        .into_iter()
        .filter(|(_, planner, flaw, loses)| search(0..600, *planner, *flaw, *loses).is_none())
        .map(|(name, ..)| name)
        .collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn one_seed_gives_one_run() {
    let traces = [7, 7].map(|seed| run(seed, next_step, Flaw::None, true).unwrap().0.trace);
    assert_eq!(traces[0], traces[1]);
}
