//! Choices against an oracle: random listeners, states and flows. The oracle knows the developer
//! guide's words as shares of traffic and nothing of hashes; the engine is asked for many flows,
//! and each endpoint's share must be what the oracle says. Rules that are wrong on purpose must be
//! found out.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use accelerator::model::{ClientAffinity, EndpointGroup, EndpointTarget, TrafficDial};
use accelerator::{Flow, HealthState, NoChoice, Tried, Why};
use common::{PORT, Scene, flow, group};
use types::{Region, one_way_delay};

/// Listeners, and flows to each.
const CASES: u64 = 600;
const FLOWS: u32 = 1_500;

/// Standard deviations that a share may be off: one of some ten thousand shares is off by five
/// once in two hundred runs, and these runs are always the same.
const DEVIATIONS: f64 = 5.0;

/// What a table of rows can't divide more exactly.
const GRAIN: f64 = 0.004;

/// Where a flow goes, and by which rule.
type Outcome = Result<(SocketAddr, Why), NoChoice>;

/// Shares of outcomes, which sum to 1.
type Shares = BTreeMap<Outcome, f64>;

/// A rule that is wrong on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bug {
    None,
    FailoverHeedsDials,
    FailoverAsksFour,
    FailoverCountsTheFirst,
    FailsOpenWhereDirected,
    FailsOpenByWeight,
    FailsOpenToWeightsAlone,
    WeightsIgnored,
    ZeroWeightsServe,
    InitialServes,
    TriedServes,
    DialsAreOfEverything,
    TheRestGoesToTheNearest,
    TheRestIsShared,
    DialsHeedHealth,
    NearestIsFarthest,
}

const BUGS: [Bug; 15] = [
    Bug::FailoverHeedsDials,
    Bug::FailoverAsksFour,
    Bug::FailoverCountsTheFirst,
    Bug::FailsOpenWhereDirected,
    Bug::FailsOpenByWeight,
    Bug::FailsOpenToWeightsAlone,
    Bug::WeightsIgnored,
    Bug::ZeroWeightsServe,
    Bug::InitialServes,
    Bug::TriedServes,
    Bug::DialsAreOfEverything,
    Bug::TheRestGoesToTheNearest,
    Bug::TheRestIsShared,
    Bug::DialsHeedHealth,
    Bug::NearestIsFarthest,
];

/// A listener's groups, how its endpoints are, and what was tried.
struct Case {
    groups: Vec<EndpointGroup>,
    states: BTreeMap<IpAddr, HealthState>,
    tried: Tried,
    place: Region,
    affinity: ClientAffinity,
}

/// A source of numbers (xorshift: Marsaglia, 2003), the oracle's own.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % u64::from(end)) as u32
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    fn case(&mut self) -> Case {
        let regions: Vec<Region> = Region::all().collect();
        let mut names: Vec<&str> = Vec::new();
        for _ in 0..1 + self.below(6) {
            let name = regions[self.below(regions.len() as u32) as usize].name();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let sick = [0, 10, 50, 90, 100][self.below(5) as usize];
        let (mut groups, mut states) = (Vec::new(), BTreeMap::new());
        let mut tried = Tried::NONE;
        let tries = self.chance(40);
        for (number, name) in names.iter().enumerate() {
            let dial = [0, 0, 10, 30, 50, 100, 100][self.below(7) as usize];
            let mut made = group(name, dial, &[]);
            for endpoint in 0..self.below(5) {
                let text = format!("10.1.{number}.{endpoint}");
                let weight = [0, 1, 64, 128, 128, 255][self.below(6) as usize];
                made.endpoints.push(common::endpoint((&text, weight)));
                let address: IpAddr = text.parse().unwrap();
                let state = match (self.chance(sick), self.chance(50)) {
                    (false, _) => HealthState::Healthy,
                    (true, false) => HealthState::Unhealthy,
                    (true, true) => HealthState::Initial,
                };
                states.insert(address, state);
                if tries && self.chance(30) {
                    tried.add(SocketAddr::new(address, PORT));
                }
            }
            groups.push(made);
        }
        let affinity = match self.chance(50) {
            true => ClientAffinity::SourceIp,
            false => ClientAffinity::None,
        };
        let place = regions[self.below(regions.len() as u32) as usize];
        Case {
            groups,
            states,
            tried,
            place,
            affinity,
        }
    }

    fn flow(&mut self) -> Flow {
        let address = IpAddr::from((self.below(u32::MAX)).to_be_bytes());
        let port = self.below(60_000) as u16 + 1;
        Flow {
            from: SocketAddr::new(address, port),
            ..flow(0)
        }
    }
}

/// The developer guide's words.
struct Oracle<'a> {
    case: &'a Case,
    bug: Bug,
    /// Nearest first.
    groups: Vec<&'a EndpointGroup>,
}

impl<'a> Oracle<'a> {
    fn new(case: &'a Case, bug: Bug) -> Oracle<'a> {
        let mut groups: Vec<&EndpointGroup> = case.groups.iter().collect();
        groups.sort_by_key(|group| (one_way_delay(case.place, group.region), group.region));
        if bug == Bug::NearestIsFarthest {
            groups.reverse();
        }
        Oracle { case, bug, groups }
    }

    fn shares(&self) -> Shares {
        let mut shares = Shares::new();
        if self.groups.is_empty() {
            shares.insert(Err(NoChoice::NoEndpoint), 1.0);
        }
        for (number, share) in self.directed() {
            match number {
                None => *shares.entry(Err(NoChoice::DialedDown)).or_default() += share,
                Some(number) => self.within(number, share, &mut shares),
            }
        }
        shares.retain(|_, share| *share > 0.0);
        shares
    }

    /// "The percentage is applied only to traffic that is already directed to the group": which
    /// group is directed which share.
    fn directed(&self) -> Vec<(Option<usize>, f64)> {
        let dial = |number: usize| {
            let TrafficDial(thousandths) = self.groups[number].dial;
            f64::from(thousandths) / 100_000.0
        };
        let healthy = |number: &usize| {
            self.bug != Bug::DialsHeedHealth || !self.serving(self.groups[*number]).is_empty()
        };
        let numbers: Vec<usize> = (0..self.groups.len()).filter(healthy).collect();
        let mut left = 1.0;
        let mut shares = Vec::new();
        for number in &numbers {
            let taken = match self.bug {
                Bug::DialsAreOfEverything => dial(*number).min(left),
                _ => dial(*number) * left,
            };
            left -= taken;
            shares.push((Some(*number), taken));
        }
        let open = numbers.iter().filter(|number| dial(**number) > 0.0);
        let last = match self.bug {
            Bug::TheRestGoesToTheNearest => open.min(),
            _ => open.max(),
        };
        if self.bug == Bug::TheRestIsShared && left < 1.0 {
            return shares
                .into_iter()
                .map(|(number, share)| (number, share / (1.0 - left)))
                .collect();
        }
        if !self.groups.is_empty() {
            shares.push((last.copied(), left));
        }
        shares
    }

    /// What the endpoints of the group that a share is directed to get of it.
    fn within(&self, directed: usize, share: f64, shares: &mut Shares) {
        let why = match directed {
            0 => Why::Nearest,
            _ => Why::Dialed,
        };
        if self.give(self.serving(self.groups[directed]), why, share, shares) {
            return;
        }
        let asked = match self.bug {
            Bug::FailoverAsksFour => 4,
            Bug::FailoverCountsTheFirst => 2,
            _ => 3,
        };
        let others = (0..self.groups.len()).filter(|number| *number != directed);
        for number in others.take(asked) {
            let heeded = self.bug == Bug::FailoverHeedsDials;
            if heeded && self.groups[number].dial == TrafficDial(0) {
                continue;
            }
            let serving = self.serving(self.groups[number]);
            if self.give(serving, Why::Failover, share, shares) {
                return;
            }
        }
        let mut open: Vec<usize> = (0..self.groups.len()).collect();
        if self.bug == Bug::FailsOpenWhereDirected {
            open.retain(|number| *number != directed);
            open.insert(0, directed);
        }
        for number in open {
            let mut any = self.untried(self.groups[number]);
            match self.bug {
                Bug::FailsOpenByWeight => any.iter_mut().for_each(|(_, weight)| *weight += 1),
                Bug::FailsOpenToWeightsAlone => {
                    any.retain(|(_, weight)| *weight > 0);
                    any.iter_mut().for_each(|(_, weight)| *weight = 1);
                }
                _ => any.iter_mut().for_each(|(_, weight)| *weight = 1),
            }
            if self.give(any, Why::FailOpen, share, shares) {
                return;
            }
        }
        let refused = match self.case.tried.is_empty() {
            true => NoChoice::NoEndpoint,
            false => NoChoice::AllTried,
        };
        *shares.entry(Err(refused)).or_default() += share;
    }

    /// Shares a share by weight. False if nobody is there to take it.
    fn give(
        &self,
        among: Vec<(SocketAddr, u32)>,
        why: Why,
        share: f64,
        shares: &mut Shares,
    ) -> bool {
        let total: u32 = among.iter().map(|(_, weight)| weight).sum();
        for (address, weight) in &among {
            let part = f64::from(*weight) / f64::from(total);
            *shares.entry(Ok((*address, why))).or_default() += share * part;
        }
        total > 0
    }

    /// The healthy endpoints with a weight, and their weights.
    fn serving(&self, group: &EndpointGroup) -> Vec<(SocketAddr, u32)> {
        let mut serving = self.untried(group);
        let initial_serves = self.bug == Bug::InitialServes;
        serving.retain(|(address, _)| match self.case.states[&address.ip()] {
            HealthState::Healthy => true,
            HealthState::Initial => initial_serves,
            HealthState::Unhealthy => false,
        });
        match self.bug {
            Bug::ZeroWeightsServe => {
                serving
                    .iter_mut()
                    .for_each(|(_, weight)| *weight = (*weight).max(1));
            }
            Bug::WeightsIgnored => {
                serving
                    .iter_mut()
                    .for_each(|(_, weight)| *weight = (*weight).min(1));
            }
            _ => {}
        }
        serving.retain(|(_, weight)| *weight > 0);
        serving
    }

    fn untried(&self, group: &EndpointGroup) -> Vec<(SocketAddr, u32)> {
        let endpoints = group.endpoints.iter().map(|endpoint| {
            let EndpointTarget::Address(address) = endpoint.target else {
                panic!("the cases have addresses alone");
            };
            (SocketAddr::new(address, PORT), u32::from(endpoint.weight))
        });
        let forgets = self.bug == Bug::TriedServes;
        endpoints
            .filter(|(address, _)| forgets || !self.case.tried.contains(*address))
            .collect()
    }
}

/// What the engine does with the flows of a case.
fn observed(case: &Case, numbers: &mut Numbers) -> BTreeMap<Outcome, u32> {
    let scene = Scene::new(case.affinity, case.groups.clone());
    for (address, state) in &case.states {
        scene.set(&address.to_string(), *state);
    }
    let mut counts = BTreeMap::new();
    for _ in 0..FLOWS {
        let flow = numbers.flow();
        let choice = scene.choose(case.place.name(), &flow, &case.tried);
        let outcome = choice.map(|choice| (choice.address, choice.why));
        *counts.entry(outcome).or_default() += 1;
    }
    counts
}

/// Do the counts fit the shares?
fn fit(counts: &BTreeMap<Outcome, u32>, shares: &Shares) -> bool {
    let none = counts.keys().all(|outcome| shares.contains_key(outcome));
    none && shares.iter().all(|(outcome, share)| {
        let count = counts.get(outcome).copied().unwrap_or(0);
        let seen = f64::from(count) / f64::from(FLOWS);
        let deviation = (share * (1.0 - share) / f64::from(FLOWS)).sqrt();
        (seen - share).abs() <= DEVIATIONS * deviation + GRAIN
    })
}

#[test]
fn choices_are_the_oracles_and_rules_that_are_wrong_are_found_out() {
    let mut found: BTreeMap<usize, u32> = BTreeMap::new();
    let mut numbers = Numbers(0x0a11_ce5e_ed00_0001);
    for number in 0..CASES {
        let case = numbers.case();
        let counts = observed(&case, &mut numbers);
        let shares = Oracle::new(&case, Bug::None).shares();
        let total: f64 = shares.values().sum();
        assert!(
            (total - 1.0).abs() < 1e-9,
            "case {number}: the oracle's shares sum to {total}"
        );
        assert!(
            fit(&counts, &shares),
            "case {number} at {}: {counts:?} against {shares:?} of {:?}, {:?}",
            case.place,
            case.groups,
            case.states
        );
        for (bug, planted) in BUGS.iter().enumerate() {
            if !fit(&counts, &Oracle::new(&case, *planted).shares()) {
                *found.entry(bug).or_default() += 1;
            }
        }
    }
    for (bug, planted) in BUGS.iter().enumerate() {
        assert!(
            found.contains_key(&bug),
            "{planted:?} isn't found out in {CASES} cases"
        );
    }
}
