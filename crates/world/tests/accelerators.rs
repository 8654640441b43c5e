//! Accelerators over many seeds, and the proof that a wrong rule is seen.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use world::{AcceleratorsReport, WrongRule, simulate_accelerators};

/// Seeds of every run of the tests; `CAUSEWAY_SEEDS=n` runs the first n, `CAUSEWAY_SEED=n` only n.
const SEEDS: u64 = 40;

/// Within so many seeds a wrong rule must be found.
const PLANTED_SEEDS: u64 = 40;

fn describe(report: &AcceleratorsReport) -> String {
    format!(
        "seed {} failed; run it alone with CAUSEWAY_SEED={} cargo test --release -p world \
         accelerators\nwrong: {:#?}\nstuck: {:?}\nfaults: {:#?}",
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
fn flows_go_as_the_guide_says_whatever_is_cut_or_killed() {
    let seeds: Vec<u64> = match number("CAUSEWAY_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("CAUSEWAY_SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let next = AtomicU64::new(0);
    let sums: [AtomicUsize; 3] = Default::default();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed) as usize;
                    let Some(seed) = seeds.get(index) else { return };
                    let report = simulate_accelerators(*seed, None);
                    assert!(report.is_sound(), "{}", describe(&report));
                    let counts = [report.opened, report.retried, report.judged];
                    for (sum, count) in sums.iter().zip(counts) {
                        sum.fetch_add(count, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let [opened, retried, judged] = sums.map(AtomicUsize::into_inner);
    println!("{opened} flows opened, {retried} after a refusal; {judged} shares judged");
    assert!(opened > 200 * seeds.len(), "only {opened} flows");
    assert!(retried > seeds.len(), "only {retried} were refused first");
    assert!(judged > 10 * seeds.len(), "only {judged} shares");
}

#[test]
fn one_seed_of_accelerators_run_twice_gives_one_trace() {
    for seed in 0..2 {
        let run = || simulate_accelerators(seed, None);
        let (first, second) = (run(), run());
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.opened, second.opened, "seed {seed}");
    }
}

#[test]
fn every_wrong_rule_is_found_out() {
    for rule in WrongRule::ALL {
        let mut seeds = 0..PLANTED_SEEDS;
        let found = seeds.any(|seed| !simulate_accelerators(seed, Some(rule)).is_sound());
        assert!(found, "{rule:?} isn't found out in {PLANTED_SEEDS} seeds");
    }
}
