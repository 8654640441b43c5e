//! Buckets over many seeds, and the proof that their checkers see a planted bug.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use world::{ObjectsReport, PlantedBug, simulate_objects};

/// Seeds of every run of the tests; `CAUSEWAY_SEEDS=n` runs the first n, `CAUSEWAY_SEED=n` only n.
const SEEDS: u64 = 100;

/// Within so many seeds a planted bug must be found.
const PLANTED_SEEDS: u64 = 100;

fn describe(report: &ObjectsReport) -> String {
    format!(
        "seed {} failed; run it alone with CAUSEWAY_SEED={} cargo test --release -p world objects\n\
         wrong: {:#?}\nstuck: {:?}\nfaults: {:#?}",
        report.seed, report.seed, report.wrong, report.stuck, report.faults
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "which seeds to run is said there"
)]
fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

#[test]
fn objects_arrive_once_and_in_order_whatever_is_cut_or_killed() {
    let seeds: Vec<u64> = match number("CAUSEWAY_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("CAUSEWAY_SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let (next, writes) = (AtomicU64::new(0), AtomicUsize::new(0));
    let tagged = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed) as usize;
                    let Some(seed) = seeds.get(index) else { return };
                    let report = simulate_objects(*seed, None);
                    assert!(report.is_sound(), "{}", describe(&report));
                    writes.fetch_add(report.acknowledged, Ordering::Relaxed);
                    tagged.fetch_add(report.tagged, Ordering::Relaxed);
                }
            });
        }
    });
    let writes = writes.into_inner();
    println!("{writes} objects and markers acknowledged");
    assert!(writes > 10 * seeds.len(), "only {writes} writes");
    let tagged = tagged.into_inner();
    assert!(tagged > seeds.len(), "only {tagged} tags arrived");
}

#[test]
fn one_seed_of_objects_run_twice_gives_one_trace() {
    for seed in 0..5 {
        let (first, second) = (simulate_objects(seed, None), simulate_objects(seed, None));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.acknowledged, second.acknowledged, "seed {seed}");
    }
}

#[test]
fn a_skipped_sync_loses_objects_and_is_found() {
    let bug = Some(PlantedBug::SyncSkipped);
    let found = (0..PLANTED_SEEDS).find(|seed| !simulate_objects(*seed, bug).is_sound());
    assert!(found.is_some());
}
