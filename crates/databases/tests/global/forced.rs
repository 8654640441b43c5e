//! Failovers by force, without a majority: two writers may be reached then, and only then. Healed,
//! one of them is the writer, and what the other acknowledged alone is listed.

use databases::plan::{Duty, Next, Observed, Record, Step, Wanted, next_step};
use types::Now;

use crate::world::{Flaw, Planner, World};
use crate::{WILD, ended, run_in, seeds, settle};

/// A run in which Regions are cut off, and asked to take over by force there; and whatever else
/// goes wrong.
fn run(seed: u64, planner: Planner) -> Result<(World, usize), String> {
    let mut world = World::new(seed, planner, Flaw::None);
    let run = run_forced(&mut world);
    ended(world, run)
}

fn run_forced(world: &mut World) -> Result<usize, String> {
    settle(world)?;
    world.is_wild = true;
    for moment in 0..WILD {
        world.tick()?;
        // Long enough that a Region notices, is asked, and waits for whoever may have a lease.
        let at = world.below(3) as usize;
        match world.below(200) {
            0 => world.join(),
            1..=6 if moment < WILD / 2 => world.isolate(at),
            7..=60 if !world.hears(at) => world.force(at),
            _ => {}
        }
        if moment % 40 == 0 {
            world.disturb(true);
        }
    }
    world.heal();
    settle(world)?;
    Ok(world.judge()?.len())
}

#[test]
fn only_by_force_are_two_writers_reached_and_what_one_of_them_loses_is_listed() {
    let (mut forced, mut both, mut lost) = (0, 0, 0);
    for seed in seeds(9000, 24) {
        let (world, of_seed) =
            run(seed, next_step).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        (forced, both) = (forced + world.forced.len(), both + world.both);
        lost += of_seed;
    }
    // Else nothing was tried.
    println!("{forced} forced, {both} moments with two writers, {lost} lost");
    assert!(
        forced > 12 && both > 100 && lost > 50,
        "{forced} forced, {both} moments, {lost} lost"
    );
}

/// What the others do while one is cut off, and forced.
#[derive(Clone, Copy, PartialEq)]
enum Meanwhile {
    /// The old writer goes on.
    GoOn,
    /// The old writer goes on, and ends before all are joined again.
    End,
    /// They have another write.
    MoveOn,
    /// The old writer is cut off as well.
    Wait,
}

/// One is cut off, and forced.
fn cut_off(seed: u64, meanwhile: Meanwhile) -> World {
    let mut world = World::new(seed, next_step, Flaw::None);
    settle(&mut world).unwrap();
    let (writer, cut) = (0, 2);
    world.isolate(cut);
    if meanwhile == Meanwhile::Wait {
        world.isolate(writer);
    }
    for _ in 0..70 {
        world.tick().unwrap();
    }
    assert!(!world.is_forced(cut), "nobody asked");
    world.ask(cut, cut, true);
    assert!(world.is_forced(cut), "seed {seed}");
    let moments = (0..200).find(|_| {
        world.tick().unwrap();
        world.writes_by_force(cut)
    });
    // Not before any lease that was held has run out.
    assert!(moments.is_some_and(|it| it > 30), "{moments:?}");
    if meanwhile == Meanwhile::MoveOn {
        world.ask(writer, 1, true);
    }
    for _ in 0..200 {
        world.tick().unwrap();
    }
    match meanwhile {
        Meanwhile::Wait => assert_eq!(world.both, 0, "seed {seed}"),
        _ => assert!(world.both > 50, "seed {seed}: {} moments", world.both),
    }
    if meanwhile == Meanwhile::End {
        world.kill(writer);
    }
    world
}

#[test]
fn what_was_forced_gives_way_to_an_old_writer_that_went_on() {
    for seed in seeds(9500, 4) {
        let mut world = cut_off(seed, Meanwhile::GoOn);
        world.heal();
        settle(&mut world).unwrap();
        assert_eq!((world.writer(), world.row().epoch), (0, 1));
        let lost = world.judge().unwrap();
        assert!(!lost.is_empty(), "what was written by force");
    }
}

#[test]
fn what_was_forced_becomes_the_writer_if_the_old_one_wrote_no_more() {
    for seed in seeds(9550, 4) {
        let mut world = cut_off(seed, Meanwhile::Wait);
        world.heal();
        settle(&mut world).unwrap();
        assert_eq!((world.writer(), world.row().epoch), (2, 2));
        world.judge().unwrap();
    }
}

#[test]
fn what_was_forced_becomes_the_writer_if_the_old_one_went_on_and_is_dead() {
    for seed in seeds(9580, 4) {
        let mut world = cut_off(seed, Meanwhile::End);
        world.join();
        let settled = (0..2_000).any(|_| {
            world.tick().unwrap();
            world.row().epoch == 2
        });
        assert!(settled && world.writer() == 2, "seed {seed}");
        world.heal();
        settle(&mut world).unwrap();
        let lost = world.judge().unwrap();
        assert!(!lost.is_empty(), "what the old writer took meanwhile");
    }
}

#[test]
fn what_was_forced_gives_way_if_the_others_have_moved_on() {
    for seed in seeds(9600, 4) {
        let mut world = cut_off(seed, Meanwhile::MoveOn);
        world.heal();
        settle(&mut world).unwrap();
        assert_eq!((world.writer(), world.row().epoch), (1, 2));
        let lost = world.judge().unwrap();
        assert!(!lost.is_empty(), "what was written by force");
    }
}

#[test]
fn what_was_forced_and_taken_back_gives_way_twice_from_one_epoch() {
    for seed in seeds(9700, 4) {
        let mut world = World::new(seed, next_step, Flaw::None);
        settle(&mut world).unwrap();
        for _ in 0..2 {
            let before = world.both;
            world.isolate(2);
            for _ in 0..70 {
                world.tick().unwrap();
            }
            world.ask(2, 2, true);
            for _ in 0..100 {
                world.tick().unwrap();
            }
            assert!(world.both > before + 20, "seed {seed}");
            world.ask(2, 0, true);
            world.heal();
            settle(&mut world).unwrap();
            assert_eq!((world.writer(), world.row().epoch), (0, 1));
        }
        assert!(!world.judge().unwrap().is_empty());
    }
}

#[test]
fn failovers_with_a_majority_are_forced_by_nobody() {
    let mut world = World::new(9800, next_step, Flaw::None);
    run_in(&mut world, false).unwrap();
    assert!(world.forced.is_empty() && world.both == 0);
}

/// A planner that takes what was written by force for what nobody was served, and throws it away.
fn wasteful(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut wanted = wanted.clone();
    if let Duty::Follow(following) = &mut wanted.duty {
        following.forced = None;
    }
    next_step(&wanted, observed, now)
}

/// A planner that doesn't wait for the old writer when the council carries out what was forced.
fn impatient(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let next = next_step(wanted, observed, now);
    match (&wanted.duty, &next) {
        (Duty::Forced(forcing), Next::WaitUntil(_)) => match &forcing.settling {
            Some(moving) => {
                let number = moving.number;
                Next::Step(Step::Record(Record::Promoting { number }))
            }
            None => next,
        },
        _ => next,
    }
}

#[test]
fn planted_bugs_of_force_are_found() {
    let bugs: [(&str, Planner); 2] = [("wasteful", wasteful), ("impatient", impatient)];
    for (name, planner) in bugs {
        let fault = (9000..9200).find_map(|seed| run(seed, planner).err());
        let fault = fault.unwrap_or_else(|| panic!("not found: {name}"));
        println!("{name}: {}", fault.lines().next().unwrap_or_default());
    }
}
