//! Whole states on their way to a site far behind, under everything that can come between.

use crate::sim::{Node, Sim};
use crate::{heal, trouble_with};

/// A council of three sites and an edge with some megabytes of settings, and a site that was away
/// while they came; it is still.
fn far_behind(seed: u64) -> (Sim, usize, usize) {
    let mut sim = Sim::new(seed, 3, 1);
    sim.run(5_000);
    sim.propose(0).expect("a majority");
    sim.run(1_000);
    let leader = sim.leader().expect("a leader");
    let away = (leader + 1) % 3;
    sim.crash(away);
    sim.value = 300_000;
    for _ in 0..28 {
        sim.propose(leader).expect("a majority");
        sim.run(500);
    }
    (sim, leader, away)
}

/// Settings records of both generations.
fn records(node: &Node) -> (usize, usize) {
    let counts = (node.disk.count(b's'), node.disk.count(b't'));
    (counts.0.min(counts.1), counts.0.max(counts.1))
}

/// Runs until the site has more than so many settings of a state that does not hold yet.
fn run_into(sim: &mut Sim, site: usize, settings: usize) {
    for _ in 0..60_000 {
        sim.run(1);
        let (held, arriving) = records(&sim.nodes[site]);
        if held > 0 && arriving > settings {
            return;
        }
    }
    panic!("no state arrives");
}

#[test]
fn a_state_larger_than_a_message_comes_in_small_ones() {
    let (mut sim, _, away) = far_behind(1);
    sim.largest = 0;
    sim.start(away);
    sim.run(20_000);
    sim.check();
    assert_eq!(sim.restored[away], 1);
    assert!(sim.largest < 512 * 1024, "{}", sim.largest);
    let council = sim.nodes[away].council.as_ref().expect("running");
    assert!(council.settings().size() > council::MAX_MESSAGE);
}

#[test]
fn parts_may_be_lost_repeated_and_out_of_order() {
    for seed in 2..6 {
        let (mut sim, _, away) = far_behind(seed);
        (sim.loss, sim.repeats, sim.slowest) = (20, 30, 400);
        sim.start(away);
        sim.run(60_000);
        heal(&mut sim);
        sim.check();
        assert!(sim.restored[away] >= 1);
    }
}

#[test]
fn what_is_decided_meanwhile_needs_no_second_state() {
    let (mut sim, leader, away) = far_behind(6);
    sim.slowest = 600;
    sim.start(away);
    run_into(&mut sim, away, 2);
    // More than the log holds otherwise.
    let mut most = 0;
    for _ in 0..40 {
        while sim.propose(leader).is_err() {
            sim.run(1);
        }
        sim.run(300);
        most = most.max(sim.nodes[leader].disk.count(b'l'));
    }
    assert!(most > 16, "at most {most} entries");
    sim.run(60_000);
    assert_eq!(sim.restored[away], 1);
    sim.check();
    assert!(sim.nodes[leader].disk.count(b'l') <= council::MAX_LOG_ENTRIES);
}

#[test]
fn a_leader_that_goes_in_the_middle_is_followed_by_one_that_begins_anew() {
    let (mut sim, leader, away) = far_behind(7);
    sim.start(away);
    run_into(&mut sim, away, 8);
    sim.crash(leader);
    sim.run(30_000);
    sim.start(leader);
    sim.run(10_000);
    sim.check();
    assert_eq!(sim.restored[away], 1);
}

#[test]
fn a_receiver_that_dies_in_the_middle_has_what_it_had_and_begins_anew() {
    for (seed, settings) in [(8, 1), (9, 12), (10, 26)] {
        let (mut sim, _, away) = far_behind(seed);
        sim.start(away);
        run_into(&mut sim, away, settings);
        sim.crash(away);
        let saved = sim.nodes[away].disk.load().expect("readable");
        assert_eq!(saved.settings().revision(), 2);
        assert_eq!(saved.settings().count(), 2);
        sim.start(away);
        sim.run(30_000);
        sim.check();
        assert_eq!(sim.restored[away], 1);
    }
}

#[test]
fn a_receiver_may_die_at_any_moment() {
    let (mut sim, _, away) = far_behind(11);
    for _ in 0..40 {
        sim.start(away);
        let span = sim.random.below(1_500);
        sim.run(span);
        sim.crash(away);
        assert!(sim.nodes[away].disk.load().is_ok());
    }
    heal(&mut sim);
    sim.check();
    assert_eq!(sim.restored[away], 1);
}

#[test]
fn a_site_that_lost_its_disk_takes_the_state_before_its_seat() {
    let (mut sim, _, away) = far_behind(12);
    sim.lose_disk(away);
    sim.run(40_000);
    assert!(sim.all_seated());
    sim.check();
    assert_eq!(sim.restored[away], 1);
}

#[test]
fn trouble_with_large_settings_loses_nothing() {
    let mut restored = 0;
    for seed in 2_000..2_006 {
        let sim = trouble_with(seed, 3, 1, 200_000);
        assert!(sim.leader().is_some(), "no leader, seed {seed}");
        sim.check();
        restored += sim.restored.iter().sum::<u64>();
    }
    assert!(restored > 3, "only {restored} states were sent");
}
