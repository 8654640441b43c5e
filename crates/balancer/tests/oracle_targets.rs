//! Choices of targets against an oracle: random groups, zones, states and refusals. The oracle says
//! which targets may be chosen and by which rule, from the guide's words; the engine is asked often
//! enough that each must come, in equal shares. Rules that are wrong on purpose must be found out.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use balancer::headers::{HeaderFields, NoFields};
use balancer::model::{Target, TargetGroup};
use balancer::{Decision, Forwarding, Head, Listening, NoTarget, Snapshot, Tried, WhyTarget};
use common::{
    Numbers, after, balancer, forward, group, listening, sealer, set_health, snapshot, target,
    target_address, with, with_targets, zone,
};

const CASES: usize = 400;
/// Divisible by every number of targets that a case has.
const REQUESTS: u32 = 60;

const ROUTING_COUNT: &str =
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count";
const ROUTING_SHARE: &str =
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bug {
    None,
    DrainingServe,
    DisabledZonesServe,
    NodesUseAllZones,
    NodesUseTheirZoneAlone,
    NeverFailsOpen,
    FailsOpenOnAnyFailure,
    ThresholdIsExclusive,
    ShareIsOfAllRegistered,
    CountAloneDecides,
    TriedServeAgain,
    NoLastResort,
    StickyWhateverItsHealth,
    NeverSticky,
}

const BUGS: [Bug; 13] = [
    Bug::DrainingServe,
    Bug::DisabledZonesServe,
    Bug::NodesUseAllZones,
    Bug::NodesUseTheirZoneAlone,
    Bug::NeverFailsOpen,
    Bug::FailsOpenOnAnyFailure,
    Bug::ThresholdIsExclusive,
    Bug::ShareIsOfAllRegistered,
    Bug::CountAloneDecides,
    Bug::TriedServeAgain,
    Bug::NoLastResort,
    Bug::StickyWhateverItsHealth,
    Bug::NeverSticky,
];

#[derive(Clone, Debug)]
struct Case {
    /// The zones of the load balancer.
    zones: &'static str,
    node: char,
    cross_zone: bool,
    count: u32,
    share: Option<u32>,
    /// Numbers, zones, whether they drain, whether they are healthy.
    targets: Vec<(u8, char, bool, bool)>,
    tried: BTreeSet<u8>,
    sticky: Option<u8>,
}

impl Case {
    fn new(numbers: &Numbers) -> Case {
        let zones = *numbers.one(&["a", "ab", "abc"]);
        let count = 1 + numbers.below(5) as u8;
        let percent = |share| numbers.below(100) < share;
        let targets = (1..=count).map(|number| {
            let zone = *numbers.one(&['a', 'a', 'b', 'b', 'c', '*']);
            (number, zone, percent(15), percent(60))
        });
        let targets: Vec<_> = targets.collect();
        let tried = (1..=count).filter(|_| percent(20)).collect();
        Case {
            zones,
            node: *numbers.one(&zones.chars().collect::<Vec<char>>()),
            cross_zone: percent(60),
            count: *numbers.one(&[1, 1, 2, 3]),
            share: *numbers.one(&[None, None, Some(30), Some(50), Some(100)]),
            targets,
            tried,
            sticky: percent(40).then(|| 1 + numbers.below(usize::from(count)) as u8),
        }
    }

    fn rows(&self) -> TargetGroup {
        let count = self.count.to_string();
        let share = self
            .share
            .map_or("off".to_owned(), |share| share.to_string());
        let set = [
            ("stickiness.enabled", "true"),
            (
                "load_balancing.cross_zone.enabled",
                if self.cross_zone { "true" } else { "false" },
            ),
            (ROUTING_COUNT, count.as_str()),
            (ROUTING_SHARE, share.as_str()),
        ];
        let targets = self.targets.iter().map(|(number, zone, drains, _)| Target {
            draining_since: drains.then(|| common::at(0).wall),
            ..target(*number, *zone)
        });
        with_targets(group("g", &set), &targets.collect::<Vec<Target>>())
    }

    /// A cookie that binds to that target, from when all were healthy and everywhere.
    fn cookie(&self, number: u8) -> (String, std::sync::Arc<Snapshot>) {
        let targets: Vec<Target> = self
            .targets
            .iter()
            .map(|(number, ..)| target(*number, '*'))
            .collect();
        let row = with_targets(group("g", &[("stickiness.enabled", "true")]), &targets);
        let rows = [balancer("abc", forward(&[("g", 1)], None), Vec::new())];
        let before = snapshot(&rows, &[row]);
        let forwarding = forwarding(&listening(&before, 'a'), &NoFields);
        let others = self.targets.iter().filter(|(other, ..)| *other != number);
        let tried: Tried = others.map(|(other, ..)| target_address(*other)).collect();
        let (sealer, random) = (sealer(), || 7);
        let with = with(&sealer, &random, 1);
        let picked = forwarding.pick(&tried, &with).unwrap();
        assert_eq!(picked.address, target_address(number));
        let fields = forwarding.set_cookies(&picked, &NoFields, &with);
        let pair = fields[0].split(';').next().unwrap().to_owned();
        (pair, before)
    }

    fn observed(&self) -> Observed {
        let cookie = self.sticky.map(|number| self.cookie(number));
        let rows = [balancer(self.zones, forward(&[("g", 1)], None), Vec::new())];
        let before = cookie.as_ref().map(|(_, before)| before.as_ref());
        let snapshot = after(&rows, &[self.rows()], before);
        let healthy: Vec<u8> = self
            .targets
            .iter()
            .filter(|(.., healthy)| *healthy)
            .map(|(number, ..)| *number)
            .collect();
        set_health(&snapshot, "g", &healthy);
        let listening = listening(&snapshot, self.node);
        let cookie = cookie.map_or(String::new(), |(cookie, _)| cookie);
        let request = [("cookie", cookie.as_str())];
        let tried: Tried = self
            .tried
            .iter()
            .map(|number| target_address(*number))
            .collect();
        let (sealer, numbers) = (sealer(), Numbers::new(1));
        let random = || numbers.draw();
        let mut counts: BTreeMap<SocketAddr, u32> = BTreeMap::new();
        let mut why = None;
        for _ in 0..REQUESTS {
            let forwarding = forwarding(&listening, &request);
            match forwarding.pick(&tried, &with(&sealer, &random, 2)) {
                Ok(picked) => {
                    *counts.entry(picked.address).or_default() += 1;
                    assert!(why.is_none_or(|why| why == picked.why));
                    why = Some(picked.why);
                }
                Err(no) => return Observed::No(no),
            }
        }
        let shares: BTreeSet<u32> = counts.values().copied().collect();
        assert_eq!(shares.len(), 1, "shares are equal: {counts:?} of {self:?}");
        Observed::These(counts.into_keys().collect(), why.unwrap())
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Observed {
    These(BTreeSet<SocketAddr>, WhyTarget),
    No(NoTarget),
}

/// What the guide's words allow.
fn oracle(case: &Case, bug: Bug) -> Observed {
    let has = |wanted| bug == wanted;
    let enabled = |zone: char| zone == '*' || case.zones.contains(zone);
    let near = |zone: char| zone == '*' || zone == case.node;
    let mut asked: Vec<(u8, bool)> = Vec::new();
    for (number, zone, drains, healthy) in &case.targets {
        let in_zone = match case.cross_zone {
            true => !has(Bug::NodesUseTheirZoneAlone) || near(*zone),
            false => has(Bug::NodesUseAllZones) || near(*zone),
        };
        let serves = !drains || has(Bug::DrainingServe);
        if serves && in_zone && (enabled(*zone) || has(Bug::DisabledZonesServe)) {
            asked.push((*number, *healthy && !drains && enabled(*zone)));
        }
    }
    if asked.is_empty() {
        return Observed::No(NoTarget::NoTargets);
    }
    let healthy = asked.iter().filter(|(_, healthy)| *healthy).count() as u32;
    let all = match has(Bug::ShareIsOfAllRegistered) {
        true => case.targets.len() as u32,
        false => asked.len() as u32,
    };
    let too_few = match has(Bug::ThresholdIsExclusive) {
        true => healthy <= case.count,
        false => healthy < case.count,
    };
    let small_share = case
        .share
        .is_some_and(|share| healthy * 100 < share * all && !has(Bug::CountAloneDecides));
    let open = (too_few || small_share || (has(Bug::FailsOpenOnAnyFailure) && healthy < all))
        && !has(Bug::NeverFailsOpen);
    let untried = |number: &u8| !case.tried.contains(number) || has(Bug::TriedServeAgain);
    let left: Vec<(u8, bool)> = asked
        .iter()
        .copied()
        .filter(|(number, _)| untried(number))
        .collect();
    let good = |(_, healthy): &&(u8, bool)| open || *healthy;
    if let Some(sticky) = case.sticky.filter(|_| !has(Bug::NeverSticky)) {
        let bound = left.iter().find(|(number, _)| *number == sticky);
        if bound.is_some_and(|bound| good(&bound) || has(Bug::StickyWhateverItsHealth)) {
            let only = BTreeSet::from([target_address(sticky)]);
            return Observed::These(only, WhyTarget::Sticky);
        }
    }
    let set = |of: &mut dyn Iterator<Item = &(u8, bool)>| -> BTreeSet<SocketAddr> {
        of.map(|(number, _)| target_address(*number)).collect()
    };
    let first = set(&mut left.iter().filter(good));
    if !first.is_empty() {
        let why = if open {
            WhyTarget::FailOpen
        } else {
            WhyTarget::Healthy
        };
        return Observed::These(first, why);
    }
    if left.is_empty() || has(Bug::NoLastResort) {
        return Observed::No(NoTarget::AllTried);
    }
    Observed::These(set(&mut left.iter()), WhyTarget::LastResort)
}

fn forwarding(listening: &Listening, headers: &dyn HeaderFields) -> Forwarding {
    let source = SocketAddr::from(([127, 64, 1, 1], 4000));
    let head = Head::new("GET", "app", "/", headers, source);
    let (sealer, random) = (sealer(), || 0);
    match listening.route(&head, &with(&sealer, &random, 1)).decision {
        Decision::Forward(forwarding) => forwarding,
        other => panic!("{other:?}"),
    }
}

#[test]
fn targets_are_chosen_as_the_oracle_says_and_oracles_that_are_wrong_are_found_out() {
    let numbers = Numbers::new(0x7a26_e700_0000_0002);
    let mut found = [0; BUGS.len()];
    for number in 0..CASES {
        let case = Case::new(&numbers);
        let observed = case.observed();
        let expected = oracle(&case, Bug::None);
        assert_eq!(observed, expected, "case {number}: {case:?}");
        for (place, bug) in BUGS.into_iter().enumerate() {
            found[place] += usize::from(oracle(&case, bug) != expected);
        }
    }
    for (bug, found) in BUGS.iter().zip(found) {
        assert!(found > 0, "{bug:?} isn't found out in {CASES} cases");
    }
    assert_eq!(zone('c').letter.index(), 2);
}
