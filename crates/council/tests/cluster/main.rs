//! The council's promises under a simulated network and disk.

mod hostile;
mod sim;
mod state;

use std::collections::BTreeMap;
use std::hash::Hasher;

use council::{
    Change, CouncilError, Expected, Outcome, RecoverError, Refusal, Role, Saved, recover,
};
use sim::Sim;
use types::SiteId;

/// Troubled runs of the main test.
const SEEDS: u64 = 60;

/// A minute of trouble, then peace; returns the sim, settled.
fn trouble(seed: u64, regions: usize, edges: u16) -> Sim {
    trouble_with(seed, regions, edges, 0)
}

/// The same with values of so many bytes.
fn trouble_with(seed: u64, regions: usize, edges: u16, value: usize) -> Sim {
    let mut sim = Sim::new(seed, regions, edges);
    sim.value = value;
    let sites = sim.nodes.len() as u64;
    sim.loss = sim.random.below(15);
    sim.repeats = sim.random.below(15);
    sim.slowest = 10 + sim.random.below(250);
    for _ in 0..120 {
        let site = sim.random.below(sites) as usize;
        let other = sim.random.below(sites) as usize;
        match sim.random.below(13) {
            0 => sim.crash(site),
            // One at a time: what is promised needs a majority that remembers.
            12 if sim.all_seated() => sim.lose_disk(site),
            1 => sim.cut_off(site),
            2 => {
                sim.cuts.insert((site, other));
            }
            3 | 4 => sim.cuts.clear(),
            5 if sim.nodes[site].council.is_none() => sim.start(site),
            _ => {
                // No majority is an honest answer here.
                let _ = sim.propose(site);
            }
        }
        let span = sim.random.below(1000);
        sim.run(span);
    }
    heal(&mut sim);
    sim
}

fn heal(sim: &mut Sim) {
    sim.cuts.clear();
    sim.loss = 0;
    for site in 0..sim.nodes.len() {
        if sim.nodes[site].council.is_none() {
            sim.start(site);
        }
    }
    sim.run(30_000);
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_applied_twice() {
    let mut acknowledged = 0;
    for seed in 0..SEEDS {
        let (regions, edges) = [(3, 0), (3, 2), (2, 1)][seed as usize % 3];
        let sim = trouble(seed, regions, edges);
        assert!(
            sim.leader().is_some(),
            "no leader after the heal, seed {seed}"
        );
        sim.check();
        acknowledged += sim
            .outcomes
            .values()
            .filter(|result| result.is_ok())
            .count();
    }
    assert!(acknowledged > 500, "only {acknowledged} changes were made");
}

#[test]
fn five_voters_too() {
    for seed in 1000..1020 {
        let sim = trouble(seed, 5, 0);
        assert!(
            sim.leader().is_some(),
            "no leader after the heal, seed {seed}"
        );
        sim.check();
    }
}

#[test]
fn one_seed_gives_one_trace() {
    let trace = |seed| trouble(seed, 3, 1).trace.finish();
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}

#[test]
fn a_region_alone_is_its_own_majority() {
    let mut sim = Sim::new(1, 1, 0);
    sim.run(2_000);
    let id = sim.propose(0).expect("a majority");
    sim.run(1_000);
    assert!(matches!(sim.outcomes[&id], Ok(Outcome::Made { .. })));
    sim.crash(0);
    sim.start(0);
    sim.run(2_000);
    sim.check();
    let settings = sim.nodes[0].council.as_ref().expect("running").settings();
    assert_eq!(settings.deployment(), Some(sim.deployment.clone()));
}

#[test]
fn a_minority_changes_nothing_and_says_so() {
    let mut sim = Sim::new(2, 3, 0);
    sim.run(5_000);
    let leader = sim.leader().expect("a leader");
    sim.cut_off(leader);
    // It still believes in its majority and takes a proposal it can't have decided.
    let id = sim.propose(leader).expect("it doesn't know yet");
    sim.run(10_000);
    assert!(matches!(
        sim.outcomes.get(&id),
        None | Some(Err(CouncilError::TimedOut))
    ));
    assert_eq!(sim.propose(leader), Err(CouncilError::NoMajority));
    let other = (leader + 1) % 3;
    let decided = sim.propose(other).expect("two are a majority");
    sim.run(3_000);
    assert!(matches!(sim.outcomes[&decided], Ok(Outcome::Made { .. })));
    let cut = sim.nodes[leader].council.as_ref().expect("running");
    assert!(!cut.has_majority());
    assert_eq!(cut.settings().get(&sim.keys[&decided]), None);
    heal(&mut sim);
    sim.check();
}

#[test]
fn a_proposal_of_any_site_reaches_the_leader_and_its_outcome_comes_back() {
    let mut sim = Sim::new(3, 3, 1);
    sim.run(5_000);
    for site in 0..4 {
        let change = Change::new().put("test/one", Expected::Absent, "x");
        let id = sim.propose_change(site, &change).expect("a majority");
        sim.run(2_000);
        match &sim.outcomes[&id] {
            Ok(Outcome::Made { .. }) => assert_eq!(site, 0),
            Ok(Outcome::Refused(Refusal::Conflict { key, found })) => {
                assert_eq!((key.as_str(), found.is_some()), ("test/one", true));
                assert_ne!(site, 0);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_site_left_far_behind_is_sent_the_state() {
    let mut sim = Sim::new(4, 3, 1);
    sim.run(5_000);
    let away = (sim.leader().expect("a leader") + 1) % 4;
    sim.crash(away);
    let writer = sim.leader().expect("a leader");
    for _ in 0..1500 {
        sim.propose(writer).expect("a majority");
        sim.run(300);
    }
    let entries = |sim: &Sim, node: usize| sim.nodes[node].disk.count(b'l');
    assert!(entries(&sim, writer) <= council::MAX_LOG_ENTRIES);
    sim.start(away);
    // The first copies of the snapshot are lost: it is sent again.
    sim.cuts.insert((writer, away));
    sim.run(100);
    sim.cuts.clear();
    sim.run(20_000);
    sim.check();
    assert!(
        entries(&sim, away) < 1000,
        "it came as a state, not as entries"
    );
    sim.crash(away);
    sim.start(away);
    sim.run(5_000);
    sim.check();
}

#[test]
fn an_untroubled_council_holds_no_needless_election() {
    let mut sim = Sim::new(5, 3, 2);
    sim.slowest = 200;
    sim.run(5_000);
    let term = |sim: &Sim| {
        let council = sim.nodes[0].council.as_ref().expect("running");
        council.status().term
    };
    let before = term(&sim);
    sim.run(600_000);
    assert_eq!(term(&sim), before);
}

#[test]
fn other_sites_than_recorded_are_refused() {
    let mut sim = Sim::new(6, 3, 0);
    sim.run(5_000);
    let saved = sim.nodes[0].disk.load().expect("readable");
    let config = sim::config(&sim::deployment(4, 0), SiteId(0));
    let refused = council::Council::open(config, saved, 1).err();
    assert_eq!(refused, Some(CouncilError::SitesChanged));
}

fn role(sim: &Sim, node: usize) -> Role {
    let council = sim.nodes[node].council.as_ref().expect("running");
    council.status().role
}

#[test]
fn a_site_that_lost_its_disk_is_sent_the_log_by_the_leader_that_thinks_it_has_it() {
    for lost in 0..4 {
        let mut sim = Sim::new(7, 3, 1);
        sim.run(5_000);
        let term = |sim: &Sim| {
            let running = |node: &sim::Node| Some(node.council.as_ref()?.status().term);
            sim.nodes.iter().filter_map(running).max()
        };
        for _ in 0..3 {
            sim.propose(lost).expect("a majority");
            sim.run(1_000);
        }
        let (leader, before) = (sim.leader(), term(&sim));
        sim.lose_disk(lost);
        assert_eq!(role(&sim, lost), Role::Recovering);
        sim.run(20_000);
        assert_ne!(role(&sim, lost), Role::Recovering);
        if leader != Some(lost) {
            assert_eq!(term(&sim), before, "no election was needed");
        }
        sim.check();
        // Its new proposals are not taken for those it made before.
        for _ in 0..3 {
            let id = sim.propose(lost).expect("a majority");
            sim.run(2_000);
            assert!(matches!(sim.outcomes[&id], Ok(Outcome::Made { .. })));
        }
        sim.check();
    }
}

#[test]
fn a_site_without_memory_elects_nobody() {
    let mut sim = Sim::new(8, 3, 0);
    sim.run(5_000);
    let leader = sim.leader().expect("a leader");
    let (behind, lost) = ((leader + 1) % 3, (leader + 2) % 3);
    sim.crash(behind);
    let id = sim.propose(leader).expect("a majority");
    sim.run(2_000);
    assert!(sim.outcomes[&id].is_ok(), "decided by two");
    // The only one left who knows of it goes away: the other two may decide nothing without it.
    sim.crash(leader);
    sim.lose_disk(lost);
    sim.start(behind);
    sim.run(60_000);
    assert_eq!(role(&sim, lost), Role::Recovering);
    assert_eq!(sim.propose(behind).err(), Some(CouncilError::NoMajority));
    sim.start(leader);
    sim.run(30_000);
    assert!(sim.all_seated() && sim.leader().is_some());
    sim.check();
}

#[test]
fn a_new_deployment_waits_until_every_site_was_heard() {
    let mut sim = Sim::new(9, 3, 1);
    sim.cut_off(3);
    sim.run(30_000);
    assert_eq!(role(&sim, 0), Role::Recovering);
    sim.cuts.clear();
    sim.run(10_000);
    assert!(sim.all_seated() && sim.leader().is_some());
    sim.check();
}

#[test]
fn a_lost_majority_is_recovered_from_the_furthest_log() {
    let mut sim = Sim::new(7, 3, 1);
    sim.run(5_000);
    let id = sim.propose(0).expect("a majority");
    sim.run(2_000);
    assert!(sim.outcomes[&id].is_ok());
    let records = |sim: &Sim| -> BTreeMap<SiteId, Saved> {
        let disks = sim.nodes.iter().zip(0..);
        disks
            .map(|(node, site)| (SiteId(site), node.disk.load().expect("readable")))
            .collect()
    };
    assert_eq!(recover(&records(&sim)).err(), Some(RecoverError::NotLost));
    sim.lose_disk(0);
    sim.lose_disk(1);
    sim.run(30_000);
    assert_eq!(sim.leader(), None, "one memory of three decides nothing");
    (0..4).for_each(|site| sim.crash(site));
    let old = records(&sim);
    let recovered = recover(&old).expect("one site remembers");
    assert_eq!(recovered.source, SiteId(2));
    for (site, new) in &recovered.records {
        let disk = &mut sim.nodes[usize::from(site.0)].disk;
        // The old records hold until the new ones do.
        for batch in new.replacing(&old[site]) {
            let before = disk.load().expect("readable");
            assert!(
                before.settings() == old[site].settings() || before.settings() == new.settings()
            );
            disk.write(batch);
        }
        assert_eq!(disk.load().expect("readable"), *new);
    }
    (0..4).for_each(|site| sim.start(site));
    sim.run(10_000);
    for site in 0..4 {
        let again = sim.propose(site).expect("a majority");
        sim.run(2_000);
        assert!(matches!(sim.outcomes[&again], Ok(Outcome::Made { .. })));
    }
    sim.check();
    let empty = BTreeMap::from([(SiteId(0), Saved::empty())]);
    assert_eq!(recover(&empty).err(), Some(RecoverError::Empty));
}
