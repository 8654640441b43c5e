//! A cluster of three instances in one Region through whatever goes wrong: the plan and the service
//! that ship, against a model of PostgreSQL, over many seeds. Its head's role is handed over again
//! and again while zones die, the process dies and steps fail, and taken over from heads that are
//! dead; servers hang, and streams are held up. Whoever is the head has every acknowledged
//! transaction, at every moment, but for what a dead head's successor hadn't received; that is
//! listed in the end, and nothing else is. No successor lacks more than the head's last moments,
//! nor hangs. Nobody else takes writes; healed, all readers follow.
//! Planners with bugs, and whoever looks wrongly, are found.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../operations/support.rs"]
mod support;

#[path = "../global/home.rs"]
#[allow(dead_code, reason = "nobody here rewinds")]
mod home;

mod world;

use databases::plan::{Next, Observed, Record, Step, StepKind, Wanted, next_step};
use types::Now;

use crate::world::{Flaw, Planner, World};

/// Moments until a calm world must have settled: longer than any wait.
const CALM: usize = 1500;

/// Moments of a run in which things go wrong.
const WILD: usize = 400;

const SEEDS: u64 = 100;

/// Seeds over which a bug must be found: two are bugs of a moment.
const RARE: u64 = 500;

fn settle(world: &mut World) -> Result<(), String> {
    for _ in 0..CALM {
        world.tick()?;
        if world.is_settled() {
            return Ok(());
        }
    }
    Err(format!("it never settles:\n{}", world.told()))
}

fn run(seed: u64, planner: Planner) -> Result<World, String> {
    let mut world = World::new(seed, planner);
    run_in(&mut world)?;
    Ok(world)
}

fn run_in(world: &mut World) -> Result<(), String> {
    settle(world)?;
    world.is_wild = true;
    for moment in 0..WILD {
        world.tick()?;
        if moment % 10 == 0 {
            world.disturb();
        }
    }
    world.heal();
    settle(world)?;
    world.judge()
}

#[test]
fn a_head_that_hands_over_loses_nothing_and_all_follow_in_the_end() {
    let (mut handed, mut followed, mut copied, mut acknowledged) = (0, 0, 0, 0);
    let (mut claimed, mut lost) = (0, 0);
    for seed in 0..SEEDS {
        let world = run(seed, next_step).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        handed += world.handed;
        followed += world.steps.get(&StepKind::Follow).copied().unwrap_or(0);
        copied += world.steps.get(&StepKind::Copy).copied().unwrap_or(0);
        acknowledged += world.acknowledged.len();
        (claimed, lost) = (claimed + world.claimed, lost + world.lost.len());
    }
    println!(
        "{handed} handovers over {SEEDS} seeds, {acknowledged} transactions acknowledged; \
         {followed} old heads followed, {copied} copies were made; {claimed} took over from dead \
         heads, {lost} were lost"
    );
    assert!(claimed > 50 && lost > 20, "too few heads died");
    assert!(handed > 100 && followed > 50, "too little happened");
}

#[test]
fn a_seed_run_twice_is_one_run() {
    let [one, other] = [7, 7].map(|seed| run(seed, next_step).unwrap().acknowledged);
    assert_eq!(one, other);
}

/// Says that a reader has what it hasn't.
fn hasty(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut observed = observed.clone();
    if let Some(server) = &mut observed.server
        && server.log.replayed.is_some()
    {
        server.log.replayed = Some(databases::model::Lsn(u64::MAX));
    }
    next_step(wanted, &observed, now)
}

/// Hands over while its server still takes writes.
fn open_handed(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    match (next_step(wanted, observed, now), &wanted.duty) {
        (Next::Step(Step::Stop), databases::plan::Duty::HandOver(handover))
            if handover.drained.is_none() =>
        {
            let number = handover.number;
            let lsn = databases::model::Lsn(1);
            Next::Step(Step::Record(Record::Resigned { number, lsn }))
        }
        (next, _) => next,
    }
}

/// Starts what was a head as it is.
fn forgetful(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    match next_step(wanted, observed, now) {
        Next::Step(Step::Follow { .. } | Step::RemoveHome(_)) if observed.server.is_none() => {
            Next::Step(Step::Start {
                generation: wanted.instance.generation,
                settings: Default::default(),
            })
        }
        next => next,
    }
}

/// Takes over without a look whether its head's server was started again.
fn blind(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut observed = observed.clone();
    if let Some(chief) = &mut observed.head.chief {
        chief.runs = false;
    }
    next_step(wanted, &observed, now)
}

/// Has a dead head's home made anew, and keeps nothing of it.
fn wasteful(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut observed = observed.clone();
    let all = (0..1000).map(|base| (base, databases::model::Lsn(0)));
    observed.head.tails.extend(all);
    next_step(wanted, &observed, now)
}

#[test]
fn whoever_looks_wrongly_is_found() {
    for flaw in [Flaw::LooksNoMore, Flaw::Connected, Flaw::Stale] {
        let found = (0..RARE).find_map(|seed| {
            let mut world = World::new(seed, next_step);
            world.flaw = Some(flaw);
            run_in(&mut world).err()
        });
        let why = found.unwrap_or_else(|| panic!("nobody finds {flaw:?}"));
        println!("{flaw:?}: {}", why.lines().next().unwrap_or_default());
    }
}

#[test]
fn planners_with_bugs_are_found() {
    for (name, planner) in [
        ("hasty", hasty as Planner),
        ("open-handed", open_handed),
        ("forgetful", forgetful),
        ("blind", blind),
        ("wasteful", wasteful),
    ] {
        let found = (0..RARE).find_map(|seed| run(seed, planner).err());
        let why = found.unwrap_or_else(|| panic!("nobody finds the {name} planner"));
        println!("{name}: {}", why.lines().next().unwrap_or_default());
    }
}
