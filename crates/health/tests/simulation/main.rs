//! What health checking promises, in simulated labs of four sites: how soon a failed endpoint
//! and a dead Region are known everywhere, and who believes whom in a partition.
#![allow(clippy::unwrap_used, reason = "a test")]

mod lab;

use health::Basis;
use health::limits::DETECTION_BUDGET;
use lab::{Behaviour, Cut, Lab, MILLISECOND, SECOND, SETTLED, check, id};

const SEEDS: u64 = 50;
const SITES: usize = 4;

/// A lab in which every site has said of `app` that it is healthy.
fn settled(seed: u64) -> Lab {
    let mut lab = Lab::new(seed, SITES, vec![check("app")]);
    let extra = lab.below(SECOND);
    lab.run(SETTLED + extra);
    for site in 0..SITES {
        assert_eq!(lab.status(site, &id("app")), Some(true), "seed {seed}");
        let tally = lab.tally(site, &id("app")).unwrap();
        assert_eq!((tally.counted, tally.basis), (SITES, Basis::Verdicts));
    }
    lab
}

/// Every living site says so within the budget, and goes on saying so. The longest it took.
fn known_in_time(lab: &mut Lab, status: bool, from: u64, what: &str) -> u64 {
    lab.run_until(from + DETECTION_BUDGET.0);
    let until = lab.now;
    lab.run(4 * SECOND);
    let living: Vec<usize> = (0..SITES).filter(|site| lab.is_alive(*site)).collect();
    let took = living.into_iter().map(|site| {
        let flipped = lab.flipped(site, &id("app"), status, from);
        let flipped = flipped.unwrap_or_else(|| panic!("{what}: site {site} doesn't know"));
        assert!(
            flipped <= until,
            "{what}: site {site} after {} µs",
            flipped - from
        );
        flipped - from
    });
    took.max().unwrap()
}

#[test]
fn a_failed_endpoint_is_known_everywhere_within_the_budget() {
    let mut longest = [0, 0];
    for seed in 0..SEEDS {
        for (index, fault) in [Behaviour::Refuses, Behaviour::Hangs]
            .into_iter()
            .enumerate()
        {
            let mut lab = settled(seed);
            let what = format!("seed {seed}, {fault:?}");
            lab.behave(&id("app"), fault);
            lab.run(400 * MILLISECOND);
            let from = lab.first_failed[&id("app")];
            let took = known_in_time(&mut lab, false, from, &what);
            longest[index] = longest[index].max(took);
            let flips = lab.flips.iter().filter(|flip| flip.at >= from);
            assert_eq!(flips.count(), SITES, "{what}: each site changes once");
            let back = lab.now;
            lab.behave(&id("app"), Behaviour::Serves);
            known_in_time(&mut lab, true, back, &what);
        }
    }
    println!(
        "longest in µs: refused {}, hanging {}",
        longest[0], longest[1]
    );
}

#[test]
fn a_regions_death_is_known_everywhere_within_the_budget() {
    let mut longest = 0;
    for seed in 0..SEEDS {
        for fault in [Behaviour::Refuses, Behaviour::Hangs] {
            for cut in [Cut::Noticed, Cut::Silent] {
                let mut lab = settled(seed);
                lab.behave(&id("app"), fault);
                lab.kill(0, cut);
                lab.run(400 * MILLISECOND);
                let from = lab.first_failed[&id("app")];
                let what = format!("seed {seed}, {fault:?}, {cut:?}");
                longest = longest.max(known_in_time(&mut lab, false, from, &what));
            }
        }
    }
    println!("longest in µs: {longest}");
}

#[test]
fn a_checker_that_loses_probes_makes_nothing_flap() {
    for seed in 0..10 {
        let mut lab = settled(seed);
        let from = lab.now;
        lab.lossy.insert(2, 60);
        lab.run(60 * SECOND);
        let flips: Vec<_> = lab.flips.iter().filter(|flip| flip.at > from).collect();
        assert!(flips.is_empty(), "seed {seed}: {flips:?}");
        let alone = lab.monitor(2).tally(types::Monotonic(lab.now), &id("app"));
        assert!(alone.unwrap().healthy >= 3);
    }
}

#[test]
fn sites_that_hear_different_checkers_disagree_and_agree_again_after_the_heal() {
    for seed in 0..SEEDS {
        for cut in [Cut::Noticed, Cut::Silent] {
            let mut lab = settled(seed);
            for (one, other) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
                lab.cut(one, other, cut);
            }
            lab.unreachable.insert((2, id("app")));
            lab.unreachable.insert((3, id("app")));
            lab.run(5 * SECOND);
            let statuses = |lab: &Lab| {
                (0..SITES)
                    .map(|site| lab.status(site, &id("app")))
                    .collect()
            };
            let seen: Vec<Option<bool>> = statuses(&lab);
            assert_eq!(
                seen,
                [Some(true), Some(true), Some(false), Some(false)],
                "seed {seed}, {cut:?}"
            );
            assert_eq!(lab.tally(2, &id("app")).unwrap().counted, 2);
            for (one, other) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
                lab.heal(one, other);
            }
            // Two of four see it: more than 18 %.
            lab.run(121 * MILLISECOND);
            let seen: Vec<Option<bool>> = statuses(&lab);
            assert_eq!(seen, [Some(true); SITES], "seed {seed}, {cut:?}");
            for site in 0..SITES {
                let tally = lab.tally(site, &id("app")).unwrap();
                assert_eq!((tally.healthy, tally.counted), (2, 4), "seed {seed}");
            }
        }
    }
}

#[test]
fn a_site_that_was_stopped_does_not_take_its_sleep_for_the_others_silence() {
    for seed in 0..SEEDS {
        let mut lab = settled(seed);
        lab.unreachable.insert((0, id("app")));
        lab.run(3 * SECOND);
        let from = lab.now;
        assert_eq!(lab.tally(0, &id("app")).unwrap().healthy, 3);
        lab.pause(0, 700 * MILLISECOND + seed * 100 * MILLISECOND);
        lab.run(10 * SECOND);
        let flips: Vec<_> = lab.flips.iter().filter(|flip| flip.at > from).collect();
        assert!(flips.is_empty(), "seed {seed}: {flips:?}");
        assert_eq!(lab.tally(0, &id("app")).unwrap().healthy, 3);
    }
}

#[test]
fn a_site_alone_believes_itself() {
    let mut lab = settled(7);
    for other in 1..SITES {
        lab.cut(0, other, Cut::Silent);
    }
    lab.unreachable.insert((0, id("app")));
    lab.run(5 * SECOND);
    assert_eq!(lab.status(0, &id("app")), Some(false));
    assert_eq!(lab.status(1, &id("app")), Some(true));
}

#[test]
fn a_restarted_site_begins_with_what_it_last_knew() {
    for seed in 0..20 {
        let mut lab = settled(seed);
        lab.behave(&id("app"), Behaviour::Refuses);
        lab.run(3 * SECOND);
        for site in 0..SITES {
            lab.kill(site, Cut::Noticed);
        }
        let from = lab.now;
        lab.start(1);
        assert_eq!(
            lab.status(1, &id("app")),
            Some(false),
            "from the first moment"
        );
        assert_eq!(lab.tally(1, &id("app")).unwrap().basis, Basis::LastKnown);
        lab.run(5 * SECOND);
        assert_eq!(lab.flipped(1, &id("app"), true, from), None);
        assert_eq!(lab.tally(1, &id("app")).unwrap().basis, Basis::Verdicts);
    }
}

/// Cuts, deaths, restarts with clocks set back, and endpoints that come and go, at random; then
/// peace. The lab as it then is.
fn storm(seed: u64) -> Lab {
    let names = ["a", "b", "c"];
    let mut lab = Lab::new(seed, SITES, names.map(check).to_vec());
    lab.duplicates = seed.is_multiple_of(2);
    lab.run(SETTLED);
    for _ in 0..40 {
        let (one, other) = (lab.below(4) as usize, lab.below(4) as usize);
        let name = id(names[lab.below(3) as usize]);
        let cut = [Cut::Noticed, Cut::Silent][lab.below(2) as usize];
        match lab.below(7) {
            0 if one != other => lab.cut(one, other, cut),
            1 if one != other => lab.heal(one, other),
            2 if lab.is_alive(one) => lab.kill(one, cut),
            3 if !lab.is_alive(one) => {
                let behind = lab.below(20_000);
                lab.set_clock_behind(one, behind);
                lab.start(one);
            }
            4 => lab.behave(&name, Behaviour::Refuses),
            5 => lab.behave(&name, Behaviour::Hangs),
            6 => lab.behave(&name, Behaviour::Serves),
            _ => {}
        }
        let span = lab.below(800 * MILLISECOND);
        lab.run(span);
    }
    for one in 0..SITES {
        if !lab.is_alive(one) {
            lab.start(one);
        }
        for other in one + 1..SITES {
            lab.heal(one, other);
        }
    }
    for name in names {
        let ends = [Behaviour::Serves, Behaviour::Refuses, Behaviour::Hangs];
        let end = ends[lab.below(3) as usize];
        lab.behave(&id(name), end);
    }
    lab
}

#[test]
fn after_any_storm_all_sites_agree_with_the_truth() {
    for seed in 0..SEEDS {
        let mut lab = storm(seed);
        let truth = lab.truth();
        lab.run(8 * SECOND);
        for (name, serves) in truth {
            for site in 0..SITES {
                let tally = lab.tally(site, &name).unwrap();
                assert_eq!(tally.counted, SITES, "seed {seed}, site {site}");
                assert_eq!(tally.healthy, if serves { SITES } else { 0 }, "seed {seed}");
                assert_eq!(
                    lab.status(site, &name),
                    Some(serves),
                    "seed {seed}, site {site}"
                );
            }
        }
    }
}

#[test]
fn one_seed_is_one_run() {
    let (mut one, mut other) = (storm(3), storm(3));
    one.run(SECOND);
    other.run(SECOND);
    assert_eq!(one.flips, other.flips);
    assert!(!one.flips.is_empty());
}

#[test]
fn checks_that_come_change_and_go_are_told_of() {
    let mut lab = Lab::new(1, 2, vec![check("a"), check("b")]);
    lab.behave(&id("a"), Behaviour::Refuses);
    lab.run(SETTLED);
    assert_eq!(lab.status(0, &id("a")), Some(false));
    // Another threshold and an inversion: the same endpoint, whose verdicts stay.
    let mut changed = vec![check("a")];
    changed[0].threshold = 5;
    changed[0].inverted = true;
    lab.configure(0, changed.clone());
    assert_eq!(lab.status(0, &id("a")), Some(true));
    assert_eq!(lab.tally(0, &id("a")).unwrap().counted, 2);
    assert_eq!(lab.status(0, &id("b")), None);
    // Another port: nobody has looked at it yet, so the status is the last that was known.
    changed[0].port = 9090;
    lab.configure(0, changed.clone());
    let tally = lab.tally(0, &id("a")).unwrap();
    assert_eq!((tally.counted, tally.basis), (0, Basis::LastKnown));
    assert_eq!(lab.status(0, &id("a")), Some(true));
    // The other site still speaks of the old port: that doesn't count.
    lab.behave(&id("a"), Behaviour::Serves);
    lab.run(2 * SECOND);
    assert_eq!(lab.tally(0, &id("a")).unwrap().counted, 1);
    assert_eq!(
        lab.status(0, &id("a")),
        Some(false),
        "healthy, and inverted"
    );
    lab.configure(1, changed.clone());
    lab.run(2 * SECOND);
    assert_eq!(lab.tally(1, &id("a")).unwrap().healthy, 2);
    // Disabled: healthy whatever is known, then turned round; and nobody probes it.
    changed[0].disabled = true;
    lab.configure(0, changed.clone());
    let tally = lab.tally(0, &id("a")).unwrap();
    assert_eq!((tally.basis, tally.status), (Basis::Disabled, false));
    assert_eq!(
        lab.monitor(0)
            .observations(types::Monotonic(lab.now), &id("a")),
        []
    );
}

#[test]
fn what_each_checker_saw_is_known_everywhere() {
    let mut lab = settled(5);
    lab.behave(&id("app"), Behaviour::Refuses);
    lab.run(2 * SECOND);
    lab.behave(&id("app"), Behaviour::Serves);
    lab.run(8 * SECOND);
    for site in 0..SITES {
        let now = types::Monotonic(lab.now);
        let last = lab.monitor(site).observations(now, &id("app"));
        let sites: Vec<u16> = last.iter().map(|one| one.site.0).collect();
        assert_eq!(sites, [1, 2, 3, 4]);
        for one in last {
            assert_eq!(one.observation.status, "Success: HTTP Status Code 200, OK");
            // Repeated every 5 s.
            let age = 1_000_000 + lab.now / MILLISECOND - one.observation.checked.0;
            assert!(age < 6_000, "{age}");
        }
        let failures = lab.monitor(site).last_failures(now, &id("app"));
        assert_eq!(failures.len(), SITES);
        for one in failures {
            assert_eq!(one.observation.status, "Failure: Connection refused");
        }
    }
}
