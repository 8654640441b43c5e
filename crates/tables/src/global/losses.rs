//! Members that lose their data: what any other member has of them comes back, and reaches all.

use std::collections::BTreeMap;

use store::HybridClock;
use types::{Hlc, SiteId, Version};

use super::model::Random;
use super::shuttle::{Key, NAMES, SITES, World, announcements, site};
use super::tests::{AGREED, SKEWED, global_table, step};
use crate::{Change, Phase};

const T: &str = "Orders";

/// The first Region writes `a`, which reaches the second and not the third.
fn a_write_that_one_member_has(seed: u64) -> World {
    let mut world = global_table(seed);
    world.write(1, T, "b", Some("blue"));
    world.settle();
    world.cut.extend([(0, 2), (2, 0)]);
    world.write(0, T, "a", Some("red"));
    world.settle();
    assert_eq!(world.values(1, T)["a"], "red");
    assert_eq!(world.values(2, T).get("a"), None);
    world
}

fn assert_all_have_it(world: &World) {
    world.check_convergence(T).unwrap();
    for (at, here) in NAMES.iter().enumerate() {
        assert_eq!(world.values(at, T)["a"], "red", "{here}");
    }
}

fn is_active(world: &World, at: usize) -> bool {
    let table = world.places[at]
        .tables
        .catalogue()
        .named(types::AccountId::LAB, T);
    table.is_some_and(|table| table.phase == Phase::Active)
}

#[test]
fn what_one_member_has_of_lost_data_reaches_the_others_again() {
    let mut world = a_write_that_one_member_has(1);
    world.wipe(0);
    world.settle();
    assert!(is_active(&world, 0), "a cut off member does not keep it");
    assert_eq!(world.values(0, T)["a"], "red");
    assert_eq!(world.values(2, T).get("a"), None);
    world.cut.clear();
    world.settle();
    assert_all_have_it(&world);
}

#[test]
fn lost_data_come_back_late_from_a_member_that_was_cut_off() {
    let mut world = a_write_that_one_member_has(2);
    world.cut = [(0, 1), (1, 0)].into();
    world.wipe(0);
    world.settle();
    assert!(is_active(&world, 0));
    assert_eq!(
        world.values(0, T).get("a"),
        None,
        "the source has no such item"
    );
    world.write(0, T, "c", Some("green"));
    world.cut.clear();
    world.settle();
    assert_all_have_it(&world);
    assert_eq!(world.values(1, T)["c"], "green");
}

#[test]
fn what_arrives_after_its_writer_lost_it_is_given_back() {
    let mut world = global_table(3);
    world.cut.extend([(0, 2), (2, 0)]);
    world.write(0, T, "a", Some("red"));
    assert!(world.send(0, 1));
    world.wipe(0);
    world.settle();
    assert!(is_active(&world, 0));
    for at in 0..SITES {
        assert!(world.values(at, T).is_empty(), "nobody has it yet");
    }
    assert!(world.deliver_stray());
    assert_eq!(world.values(1, T)["a"], "red");
    world.cut.clear();
    world.settle();
    assert_all_have_it(&world);
}

#[test]
fn what_came_back_is_announced_once_and_echoes_nowhere() {
    let mut world = a_write_that_one_member_has(4);
    world.wipe(0);
    world.cut.clear();
    world.settle();
    assert_all_have_it(&world);
    let lengths = |world: &World| {
        let logs = world
            .places
            .iter()
            .map(|place| announcements(&place.engine));
        logs.map(|log| log.len()).collect::<Vec<_>>()
    };
    let before = lengths(&world);
    let refilled = announcements(&world.places[0].engine);
    let items = refilled.iter().filter(|c| matches!(c, Change::Item { .. }));
    assert_eq!(
        items.count(),
        1,
        "one item of its own came back: {refilled:?}"
    );
    let mut random = Random(5);
    for _ in 0..200 {
        let (from, by) = (random.below(SITES), 1 + random.below(SITES - 1));
        world.repeat(from, (from + by) % SITES, &mut random);
        world.settle();
    }
    assert_eq!(lengths(&world), before);
    assert_all_have_it(&world);
}

#[test]
fn a_site_that_lost_its_data_stamps_nothing_that_it_stamped_before() {
    let mut world = global_table(5);
    // Its clock was pushed ahead of the wall, as far as a clock may be: by a version of the
    // third Region, which is ahead by 600 ms and was parked until it was 500.
    world.write(2, T, "a", Some("red"));
    world.settle();
    world.write(0, T, "a", Some("green"));
    world.settle();
    let lost = newest_of(&world, 1, site(0));
    world.wipe(0);
    world.settle();
    let reached = |world: &World| {
        let clock = world.places[0].tables.clock.lock().unwrap();
        HybridClock::last(&clock)
    };
    assert!(reached(&world) > lost);
    world.restart(0);
    assert!(reached(&world) > lost, "also after a restart");
    world.write(0, T, "b", Some("blue"));
    assert!(newest_of(&world, 0, site(0)) > lost);
    // Set back, it learns from what comes back how far it had been.
    world.clock.set_back(5_000);
    world.wipe(0);
    while !is_active(&world, 0) {
        world.settle();
        world.advance(500);
    }
    assert!(reached(&world) > lost);
}

#[test]
fn data_lost_before_the_source_knew_that_they_were_there_come_back() {
    for hears_of_it_late in [false, true] {
        let mut world = World::new(7, None, AGREED);
        world.create_table(0, T);
        world.replica(0, T, "Create", 1).unwrap();
        world.settle();
        world.replica(0, T, "Create", 2).unwrap();
        // The third Region is in service and writes; the first, its source, is never told.
        world.cut.extend([(2, 0), (1, 0)]);
        world.settle();
        assert!(world.write(2, T, "a", Some("red")));
        world.settle();
        assert_eq!(
            world.shape(0, T),
            "UPDATING eu-west-1=ACTIVE ap-southeast-1=CREATING"
        );
        world.wipe(2);
        world.cut.clear();
        if hears_of_it_late {
            world.cut.extend([(1, 2), (1, 0)]);
            world.settle();
            assert!(is_active(&world, 2), "the source fills it once more");
            assert_eq!(world.values(2, T).get("a"), None);
        }
        world.cut.clear();
        world.settle();
        assert!((0..SITES).all(|at| is_active(&world, at)));
        assert_all_have_it(&world);
    }
}

/// The greatest version that a Region knows of a site.
fn newest_of(world: &World, at: usize, site: SiteId) -> Hlc {
    let items = world.items(at, T).into_values();
    let seen = items.flat_map(|state| state.context.entries().to_vec());
    let own = seen.filter(|version| version.site == site);
    own.map(|version| version.time).max().unwrap()
}

#[test]
fn a_change_of_replicas_that_a_lost_region_holds_up_ends_when_it_is_back_without_its_data() {
    for lost in [2, 0] {
        // The third Region is being filled by the first, and one of them goes.
        let mut world = World::new(8, None, AGREED);
        world.create_table(0, T);
        world.replica(0, T, "Create", 1).unwrap();
        world.settle();
        world.write(1, T, "a", Some("red"));
        world.settle();
        world.cut.extend([(2, 0), (2, 1)]);
        world.replica(0, T, "Create", 2).unwrap();
        for _ in 0..3 {
            world.background(0);
            world.send(0, 2);
            world.deliver(0, 2);
        }
        assert_eq!(
            world.shape(0, T),
            "UPDATING eu-west-1=ACTIVE ap-southeast-1=CREATING"
        );
        for action in ["Create", "Delete"] {
            let busy = world.replica(0, T, action, 2).unwrap_err();
            assert!(busy.starts_with("ResourceInUseException"), "{busy}");
        }
        world.wipe(lost);
        world.cut.clear();
        world.settle();
        assert_all_have_it(&world);
        let shape = world.shape(0, T);
        assert_eq!(
            shape, "ACTIVE eu-west-1=ACTIVE ap-southeast-1=ACTIVE",
            "{lost} was lost"
        );
    }
    // The third Region is leaving, and goes before its last writes have reached the others.
    let mut world = global_table(9);
    world.cut.extend([(2, 0), (2, 1)]);
    world.replica(0, T, "Delete", 2).unwrap();
    world.settle();
    assert_eq!(
        world.shape(0, T),
        "UPDATING eu-west-1=ACTIVE ap-southeast-1=DELETING"
    );
    let busy = world.replica(0, T, "Delete", 2).unwrap_err();
    assert!(busy.starts_with("ResourceInUseException"), "{busy}");
    world.wipe(2);
    world.cut.clear();
    world.settle();
    assert_eq!(world.shape(0, T), "ACTIVE eu-west-1=ACTIVE");
    world.replica(0, T, "Create", 2).unwrap();
    world.settle();
    assert_eq!(
        world.shape(2, T),
        "ACTIVE us-east-1=ACTIVE eu-west-1=ACTIVE"
    );
}

/// The greatest version of each item that the others hold when `at` loses its data.
fn held_elsewhere(world: &World, at: usize) -> BTreeMap<Key, Version> {
    let mut held = BTreeMap::new();
    for other in (0..SITES).filter(|other| *other != at) {
        for (key, state) in world.items(other, T) {
            let newest = held.entry(key).or_insert(state.dot);
            *newest = state.dot.max(*newest);
        }
    }
    held
}

/// Random writes, cuts, restarts and losses of data, of one Region after the other.
fn losses(seed: u64) -> Result<usize, String> {
    let mut random = Random(seed);
    let mut world = World::new(seed, None, [AGREED, SKEWED][random.below(2)]);
    world.create_table(0, T);
    for of in 1..SITES {
        world.replica(0, T, "Create", of).unwrap();
        world.settle();
    }
    let (mut held, mut lost) = (BTreeMap::new(), 0);
    for _ in 0..100 + random.below(200) {
        let at = random.below(SITES);
        match random.below(40) {
            0 if (0..SITES).any(|other| other != at && is_active(&world, other)) => {
                // A version that only this Region had goes with it.
                held = held_elsewhere(&world, at);
                world.wipe(at);
                lost += 1;
            }
            1 => drop(world.cut.insert((at, (at + 1) % SITES))),
            2 => drop(world.cut.insert((at, (at + 2) % SITES))),
            3 | 4 => world.cut.clear(),
            5 => drop(world.deliver_stray()),
            _ => step(&mut world, &mut random),
        }
    }
    world.cut.clear();
    while world.deliver_stray() {
        world.advance(100);
    }
    world.settle();
    world.check_convergence(T)?;
    for (at, here) in NAMES.iter().enumerate() {
        if !is_active(&world, at) {
            return Err(format!("{here} is {}", world.shape(at, T)));
        }
    }
    let items = world.items(0, T);
    for (key, version) in held {
        if items.get(&key).is_none_or(|state| state.dot < version) {
            return Err(format!("{version} was held by a member, and is gone"));
        }
    }
    Ok(lost)
}

#[test]
fn replicas_converge_whoever_loses_its_data_and_keep_what_any_member_had() {
    let mut lost = 0;
    for seed in 0..100 {
        lost += losses(seed).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    assert!(lost > 100, "only {lost} losses");
}

#[test]
fn an_item_that_came_back_is_indexed_and_shipped_as_any_other() {
    let mut world = a_write_that_one_member_has(6);
    world.wipe(0);
    world.cut.clear();
    world.settle();
    // The index is part of what convergence compares; a change of it goes on from there.
    assert!(world.write(0, T, "a", Some("grey")));
    world.settle();
    world.check_convergence(T).unwrap();
    for at in 0..SITES {
        assert_eq!(world.values(at, T)["a"], "grey");
    }
}
