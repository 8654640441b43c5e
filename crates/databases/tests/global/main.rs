//! Global clusters through whatever goes wrong: three Regions with the plan and the service that
//! ship, against a model of PostgreSQL and of the council, over many seeds. Never are two writers
//! reached; a switchover loses nothing; what a failover loses is what the tails list, and nothing
//! else is in them; healed, all have the writer's history. Planners with bugs are found.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../operations/support.rs"]
mod support;

mod aside;
mod council;
mod forced;
mod home;
mod starved;
mod world;

use databases::plan::{
    Duty, Next, Observed, Record, Removal, Role, Step, StepKind, Wanted, next_step,
};
use types::Now;

use crate::world::{Flaw, Planner, World};

/// Moments until a calm world must have settled: 150 s, longer than any wait.
const CALM: usize = 1500;

/// Moments of a run in which things go wrong.
const WILD: usize = 500;

/// That many seeds from there on, and many more where the optimiser makes them cheap.
fn seeds(first: u64, count: u64) -> std::ops::Range<u64> {
    let times = if cfg!(debug_assertions) { 1 } else { 16 };
    first..first + count * times
}

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
fn run_with_lost_disks(mut world: World) -> Result<(World, bool), String> {
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
    for seed in seeds(5000, 16) {
        let world = World::new(seed, next_step, Flaw::None);
        let (world, has_settled) =
            run_with_lost_disks(world).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        disks += world.disks;
        settled += usize::from(has_settled);
    }
    assert!(disks > 8 && settled > 3, "{disks} disks, {settled} settled");
}

/// A planner that brings back what holds the last copy of something, and keeps nothing of it.
fn wasteful(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let next = next_step(wanted, observed, now);
    match (&next, wanted.duty.following()) {
        (Next::Step(Step::KeepTail { .. }), Some(following)) => {
            let upstream = following.upstream.clone();
            Next::Step(Step::RemoveHome(Removal::Diverged(upstream)))
        }
        _ => next,
    }
}

#[test]
fn a_planted_bug_is_found_where_disks_are_lost() {
    let world = |seed| World::new(seed, wasteful, Flaw::None);
    let fault = (5000..5400).find_map(|seed| run_with_lost_disks(world(seed)).err());
    let fault = fault.expect("the planted bug isn't found");
    assert!(fault.contains("was thrown away"), "{fault}");
}

#[test]
fn what_a_reader_alone_still_has_is_kept_before_it_is_copied_anew() {
    let (mut disks, mut settled, mut reseeds) = (0, 0, 0);
    for seed in seeds(13_000, 24) {
        let (world, has_settled) = run_with_lost_disks(World::with_readers(seed, next_step))
            .unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        disks += world.disks;
        settled += usize::from(has_settled);
        reseeds += world.steps.get(&StepKind::Reseed).copied().unwrap_or(0);
    }
    println!("{disks} disks, {settled} settled, {reseeds} given up");
    assert!(disks > 12 && settled > 5 && reseeds > 5);
}

/// A planner that takes it that a reader's head has kept all that the reader ever received.
fn confiding(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut seen = observed.clone();
    let all = (0..1000).map(|base| (base, databases::model::Lsn(0)));
    seen.head.heads_tails.extend(all);
    next_step(wanted, &seen, now)
}

#[test]
fn a_planted_bug_is_found_where_a_reader_has_the_last_copy() {
    let world = |seed| World::with_readers(seed, confiding);
    let fault = (13_000..13_400).find_map(|seed| run_with_lost_disks(world(seed)).err());
    let fault = fault.expect("the planted bug isn't found");
    assert!(fault.contains("was thrown away"), "{fault}");
}

/// The planner that ships, and a watch over which servers it starts as a writer's.
fn watched(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let next = next_step(wanted, observed, now);
    let is_start = matches!(next, Next::Step(Step::Start { .. }));
    let leads = matches!(wanted.duty, Duty::Lead { .. });
    assert!(
        !is_start || !leads || observed.head.confirmed.is_some(),
        "started by what may be an old configuration"
    );
    next
}

#[test]
fn no_writer_is_started_after_a_restart_before_the_council_was_heard() {
    let mut starts = 0;
    for seed in seeds(9000, 10) {
        let (world, _) = run(seed, watched, Flaw::None, true)
            .unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        starts += world.steps[&StepKind::Start];
    }
    assert!(starts > 30, "{starts} starts");
}

#[test]
fn members_that_are_removed_stand_alone_and_the_others_go_on() {
    let mut removed = 0;
    for seed in seeds(7000, 20) {
        let mut world = World::new(seed, next_step, Flaw::None);
        world.removes = true;
        let lost = run_in(&mut world, true);
        lost.unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        removed += world.removed.len();
    }
    assert!(removed > 10, "{removed} were removed");
}

#[test]
fn whoever_has_leave_to_remove_a_home_must_look_again_at_what_is_wanted() {
    let fault = (7000..8000).find_map(|seed| {
        let mut world = World::new(seed, next_step, Flaw::None);
        (world.removes, world.looks_again) = (true, false);
        run_in(&mut world, true).err()
    });
    let fault = fault.expect("nobody finds one that doesn't look again");
    assert!(fault.contains("to stand alone with"), "{fault}");
}

#[test]
fn a_silent_writer_is_failed_over_unasked_by_a_tag_alone() {
    let mut unasked = 0;
    for seed in seeds(8000, 20) {
        let mut world = World::new(seed, next_step, Flaw::None);
        settle(&mut world).unwrap();
        // Without the tag, and with one and a writer that renews, nothing happens.
        let writer = world.writer();
        world.kill(writer);
        for _ in 0..100 {
            world.tick().unwrap();
        }
        assert_eq!((world.writer(), world.unasked), (writer, 0));
        world.revive(writer);
        settle(&mut world).unwrap();
        world.tag("2s");
        for _ in 0..100 {
            world.tick().unwrap();
        }
        assert_eq!(world.unasked, 0, "seed {seed}");
        world.kill(writer);
        let moments = (0..200).find(|_| {
            world.tick().unwrap();
            world.writer() != writer
        });
        let moments = moments.unwrap_or_else(|| panic!("seed {seed}: nobody takes over"));
        assert!(moments < 60, "seed {seed}: {moments} moments");
        world.revive(writer);
        let lost = run_in(&mut world, true);
        lost.unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        unasked += world.unasked;
    }
    assert!(unasked > 30, "{unasked} failovers that nobody asked for");
}

/// A planner that waits for the old writer's lease by the wall clock of its Region, from when the
/// move was asked for.
fn by_wall_clock(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let next = next_step(wanted, observed, now);
    match (&wanted.duty, &next) {
        (Duty::TakeOver(takeover), Next::WaitUntil(_)) if !takeover.is_switchover() => {
            let number = takeover.moving.number;
            match now.wall.0 >= takeover.moving.asked.0 + 3130 {
                true => Next::Step(Step::Record(Record::Promoting { number })),
                false => next,
            }
        }
        _ => next,
    }
}

#[test]
fn wall_clocks_that_jump_by_an_hour_amid_moves_change_nothing() {
    let run = |seed, planner, fails_over| {
        let mut world = World::new(seed, planner, Flaw::None);
        world.jumps = true;
        run_in(&mut world, fails_over).map(|_| world)
    };
    let mut jumped = 0;
    for seed in seeds(9000, 8) {
        // Every other one is of switchovers alone, which lose nothing.
        let world = run(seed, next_step, seed % 2 == 0);
        let world = world.unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        jumped += world.jumped;
    }
    assert!(jumped > 20, "{jumped} jumps amid a move");
    // A planner that goes by them has two writers reached: the old one hears nothing of the move.
    let amid_a_failover = |planner| {
        let mut world = World::new(1, planner, Flaw::None);
        world.jumps = true;
        settle(&mut world)?;
        let (from, to) = (world.writer(), (world.writer() + 1) % 3);
        world.isolate(from);
        world.ask(to, to, true);
        world.set_off(to, 3_600_000);
        (0..100).try_for_each(|_| world.tick())?;
        Ok::<bool, String>(world.writer() == to)
    };
    assert_eq!(amid_a_failover(next_step), Ok(true));
    let fault = amid_a_failover(by_wall_clock).expect_err("the planted bug isn't found");
    assert!(fault.contains("two writers are reached"), "{fault}");
}

#[test]
fn an_old_writer_that_was_away_for_more_changes_than_are_remembered_comes_back() {
    let mut world = World::new(11_000, next_step, Flaw::None);
    settle(&mut world).unwrap();
    // What it acknowledges now is nobody else's.
    let away = world.writer();
    world.part(away);
    for _ in 0..10 {
        world.tick().unwrap();
    }
    world.kill(away);
    let others: Vec<usize> = (0..3).filter(|at| *at != away).collect();
    for change in 0..66 {
        let to = others[change % 2];
        let arrived = (0..CALM).any(|_| {
            // Who lives has to follow before the role can go on.
            let row = world.row();
            let heads = row.members.values().filter_map(|it| it.head.as_ref());
            let follow = heads.filter(|head| head.epoch == row.epoch).count();
            if row.moving.is_none() && (change == 0 || follow == 2) {
                world.ask(to, to, change == 0);
            }
            world.tick().unwrap();
            world.writer() == to
        });
        assert!(arrived, "change {change}: {}", world.told());
    }
    world.heal();
    settle(&mut world).unwrap();
    let lost = world.judge().unwrap();
    assert!(!lost.is_empty() && world.has_kept_all(away), "{lost:?}");
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
    ended(world, run)
}

/// What a run came to; of one that failed all that happened, if `TRACE` is set.
fn ended(world: World, run: Result<usize, String>) -> Result<(World, usize), String> {
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
    let (mut moves, mut lost, mut rewinds, mut copies, mut reseeds) = (0, 0, 0, 0, 0);
    for seed in seeds(0, 60) {
        let (world, of_seed) = run(seed, next_step, Flaw::None, true)
            .unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        let steps = |kind| world.steps.get(&kind).copied().unwrap_or_default();
        (moves, lost) = (moves + world.moves, lost + of_seed);
        rewinds += steps(StepKind::Rewind);
        copies += steps(StepKind::Copy);
        reseeds += steps(StepKind::Reseed);
    }
    // Else nothing was tried.
    assert!(moves > 100, "{moves} moves");
    assert!(lost > 50, "{lost} lost");
    assert!(
        rewinds > 30 && copies > 120,
        "{rewinds} rewinds, {copies} copies"
    );
    assert!(reseeds > 10, "{reseeds} members copied anew");
}

#[test]
fn switchovers_lose_nothing_whatever_goes_wrong() {
    if let Some(fault) = search(seeds(1000, 40), next_step, Flaw::None, false) {
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

/// A planner that counts from any renewal that was seen, be it that others came after it.
fn by_old_renewal(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut wanted = wanted.clone();
    let seen = observed.head.lease.as_ref();
    wanted.lease = seen.map(|seen| seen.row.clone());
    next_step(&wanted, observed, now)
}

#[test]
fn planted_bugs_are_found() {
    let bugs: [(&str, Planner, Flaw, bool); 8] = [
        ("impatient", impatient, Flaw::None, true),
        ("careless", careless, Flaw::None, true),
        ("hasty", hasty, Flaw::None, true),
        ("trusting", trusting, Flaw::None, true),
        ("eager", eager, Flaw::None, false),
        ("forgetful", forgetful, Flaw::None, true),
        ("without a lease", next_step, Flaw::NoLease, true),
        ("by an old renewal", by_old_renewal, Flaw::OldRenewal, true),
    ];
    let missed: Vec<&str> = bugs
        .into_iter()
        .filter(|(_, planner, flaw, loses)| search(0..600, *planner, *flaw, *loses).is_none())
        .map(|(name, ..)| name)
        .collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn readers_follow_through_moves_and_kills_and_take_a_member_s_role_over() {
    let (mut moves, mut handed, mut lost, mut reseeds) = (0, 0, 0, 0);
    for seed in seeds(9000, 30) {
        let mut world = World::with_readers(seed, next_step);
        let of_seed = run_in(&mut world, true);
        lost += of_seed.unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        (moves, handed) = (moves + world.moves, handed + world.handed);
        reseeds += world.steps.get(&StepKind::Reseed).copied().unwrap_or(0);
    }
    println!("{moves} moves, {handed} handed over, {lost} lost, {reseeds} given up");
    assert!(moves > 40 && handed > 20 && lost > 20 && reseeds > 5);
}

#[test]
fn one_seed_gives_one_run() {
    let traces = [7, 7].map(|seed| run(seed, next_step, Flaw::None, true).unwrap().0.trace);
    assert_eq!(traces[0], traces[1]);
}
