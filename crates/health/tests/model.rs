//! Verdicts and statuses against models that are slow and plain: a verdict is read off the whole
//! history of probes, a status off everything that was ever heard, millisecond by millisecond.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use health::limits::FRESHNESS;
use health::{
    Basis, Input, Message, Monitor, MonitorConfig, Output, ProbeRequest, Report, Settings,
    TargetPolicy, Verdict, fingerprint, healthy_by,
};
use proptest::prelude::*;
use types::{
    HealthCheck, HealthCheckId, Monotonic, Now, Probe, ProbeOutcome, SiteId, Span, Timestamp,
};

fn check(threshold: u8, inverted: bool) -> HealthCheck {
    HealthCheck {
        id: HealthCheckId("app".to_owned()),
        probe: Probe::Tcp,
        address: Some([127, 1, 1, 1].into()),
        name: None,
        port: 80,
        interval: Span::seconds(10),
        threshold,
        inverted,
        disabled: false,
    }
}

fn monitor(policy: TargetPolicy) -> Monitor {
    let config = MonitorConfig {
        site: SiteId(1),
        instance: 1,
        seed: 5,
        settings: Settings::new(None).unwrap(),
        policy,
    };
    Monitor::new(at(0), config, None).unwrap()
}

fn at(milliseconds: u64) -> Now {
    Now {
        wall: Timestamp(milliseconds),
        monotonic: Monotonic(milliseconds * 1_000),
    }
}

fn step(monitor: &mut Monitor, now: Now, input: Input) -> Vec<Output> {
    let mut outputs = Vec::new();
    monitor.step(now, input, &mut outputs).unwrap();
    outputs
}

#[test]
fn more_than_18_percent_of_those_heard_make_a_check_healthy() {
    assert_eq!(healthy_by(0, 0), None);
    for counted in 1..=300 {
        let least = (0..=counted).find(|healthy| healthy_by(*healthy, counted).unwrap());
        // The least number above 9/50 of them.
        assert_eq!(least, Some(counted * 9 / 50 + 1), "of {counted}");
        for healthy in least.unwrap()..=counted {
            assert_eq!(healthy_by(healthy, counted), Some(true));
        }
    }
    for (counted, least) in [(1, 1), (4, 1), (5, 1), (6, 2), (8, 2), (16, 3), (24, 5)] {
        assert_eq!(healthy_by(least, counted), Some(true));
        assert_eq!(healthy_by(least - 1, counted), Some(false));
    }
}

/// The verdict as it is defined: what the last so many probes in a row that agreed have said.
/// `None` stands for a probe that couldn't be made.
fn verdict_of(history: &[Option<bool>], threshold: usize) -> Option<bool> {
    let runs = history.windows(threshold).rev();
    let agreed = |run: &&[Option<bool>]| run.iter().all(|found| *found == run[0]);
    runs.filter(agreed).map(|run| run[0]).next().flatten()
}

fn finding() -> impl Strategy<Value = Option<bool>> {
    prop_oneof![3 => Just(Some(true)), 3 => Just(Some(false)), 1 => Just(None)]
}

proptest! {
    #[test]
    fn a_verdict_is_what_as_many_probes_in_a_row_as_the_threshold_have_said(
        history in prop::collection::vec(finding(), 0..60),
        threshold in prop_oneof![1u8..=3, 1u8..=10],
        inverted in any::<bool>(),
    ) {
        let mut monitor = monitor(TargetPolicy::lab());
        let check = check(threshold, inverted);
        step(&mut monitor, at(0), Input::Configured(vec![check.clone()]));
        let mut now = 0;
        let mut last = None;
        for probes in 0..=history.len() {
            let said = verdict_of(&history[..probes], usize::from(threshold));
            let tally = monitor.tally(at(now).monotonic, &check.id).unwrap();
            prop_assert_eq!(tally.counted, usize::from(said.is_some()));
            last = said.or(last);
            prop_assert_eq!(tally.status, last.unwrap_or(true) != inverted);
            prop_assert_eq!(monitor.status(&check.id), Some(tally.status));
            let Some(found) = history.get(probes) else { break };
            let ticket = loop {
                now = monitor.wake().0.div_ceil(1_000);
                let requested = step(&mut monitor, at(now), Input::Tick)
                    .into_iter()
                    .find_map(|output| match output {
                        Output::Request(ProbeRequest::Probe(ticket, _)) => Some(ticket),
                        _ => None,
                    });
                if let Some(ticket) = requested {
                    break ticket;
                }
            };
            let outcome = match found {
                Some(true) => ProbeOutcome::Connected,
                Some(false) => ProbeOutcome::Refused,
                None => ProbeOutcome::NotMade("no more files".to_owned()),
            };
            now += 3;
            step(&mut monitor, at(now), Input::Probed(ticket, outcome));
        }
    }
}

/// What happens to the board of the model.
#[derive(Clone, Debug)]
enum Happening {
    Connected(u16),
    Disconnected(u16),
    /// The site's checker says this, or only that it lives.
    Says(u16, Option<Option<bool>>),
    /// The site starts anew; what it says from then on is another life's.
    Restarts(u16),
    /// An older message of that site comes again.
    Repeats(u16, prop::sample::Index),
    Passes(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let site = 2u16..5;
    prop_oneof![
        1 => site.clone().prop_map(Happening::Connected),
        1 => site.clone().prop_map(Happening::Disconnected),
        4 => (site.clone(), any::<Option<Option<bool>>>())
            .prop_map(|(site, says)| Happening::Says(site, says)),
        1 => site.clone().prop_map(Happening::Restarts),
        1 => (site, any::<prop::sample::Index>())
            .prop_map(|(site, index)| Happening::Repeats(site, index)),
        4 => (1u64..700).prop_map(Happening::Passes),
    ]
}

/// Everything a site was heard to say, and when; forgotten is nothing but what was heard before
/// a disconnection, and that only as a sign of life.
#[derive(Default)]
struct Heard {
    connected: bool,
    alive: Option<u64>,
    says: Option<bool>,
    /// Which life is the site's.
    life: u64,
    /// Life and number of the message that was believed last.
    believed: (u64, u64),
    messages: Vec<Message>,
}

impl Heard {
    fn counts(&self, now: u64) -> bool {
        let lately = |alive: u64| now - alive <= FRESHNESS.0 / 1_000;
        self.connected && self.alive.is_some_and(lately)
    }

    /// Messages are believed in their order; those of another life than the last also when that
    /// one is silent, whatever its number.
    fn hears(&mut self, now: u64, message: &Message) {
        let (life, number) = (message.instance, message.sequence);
        let other = life != self.believed.0;
        if (life, number) > self.believed || other && !self.counts(now) {
            if other {
                self.says = None;
            }
            if let Some(Report(verdicts)) = &message.report {
                self.says = verdicts[0].1.healthy;
            }
            self.believed = (life, number);
            self.alive = Some(now);
        }
    }
}

/// The status by all that was heard; the last that was known if nobody counts.
fn model(sites: &BTreeMap<u16, Heard>, now: u64, last: Option<bool>) -> (usize, Option<bool>) {
    let counting: Vec<bool> = sites
        .values()
        .filter(|heard| heard.counts(now))
        .filter_map(|heard| heard.says)
        .collect();
    let healthy = counting.iter().filter(|healthy| **healthy).count();
    match counting.len() {
        0 => (0, last),
        counted => (counted, Some(healthy * 50 > counted * 9)),
    }
}

proptest! {
    #[test]
    fn a_status_is_what_those_say_who_are_connected_and_were_heard_lately(
        happenings in prop::collection::vec(happening(), 0..60),
        inverted in any::<bool>(),
    ) {
        // Its own checker may look at nothing, and finds the check unhealthy after 90 s.
        let mut monitor = monitor(TargetPolicy::parse([]).unwrap());
        let check = check(10, inverted);
        step(&mut monitor, at(0), Input::Configured(vec![check.clone()]));
        let mut sites: BTreeMap<u16, Heard> = BTreeMap::new();
        let mut last = None;
        let mut now = 0;
        let mut sequence = 0;
        let mut outputs = Vec::new();
        for happening in happenings {
            match happening {
                Happening::Connected(site) => {
                    sites.entry(site).or_default().connected = true;
                    outputs.extend(step(&mut monitor, at(now), Input::Connected(SiteId(site))));
                }
                Happening::Disconnected(site) => {
                    let heard = sites.entry(site).or_default();
                    heard.connected = false;
                    heard.alive = None;
                    outputs.extend(step(&mut monitor, at(now), Input::Disconnected(SiteId(site))));
                }
                Happening::Says(site, says) => {
                    // Only what once was connected can still be heard when it isn't any more.
                    let Some(heard) = sites.get_mut(&site) else {
                        continue;
                    };
                    sequence += 1;
                    let verdict = |healthy| Verdict {
                        fingerprint: fingerprint(&check),
                        healthy,
                        since: Timestamp(now),
                        last: None,
                        failure: None,
                    };
                    let report = says.map(|says| Report(vec![(check.id.clone(), verdict(says))]));
                    let message = Message { instance: 9 + heard.life, sequence, report };
                    heard.hears(now, &message);
                    let input = Input::Received(SiteId(site), message.encode());
                    heard.messages.push(message);
                    outputs.extend(step(&mut monitor, at(now), input));
                }
                Happening::Restarts(site) => {
                    if let Some(heard) = sites.get_mut(&site) {
                        heard.life += 1;
                    }
                }
                Happening::Repeats(site, index) => {
                    let heard = sites.get_mut(&site);
                    let Some(heard) = heard.filter(|heard| !heard.messages.is_empty()) else {
                        continue;
                    };
                    let message = heard.messages[index.index(heard.messages.len())].clone();
                    heard.hears(now, &message);
                    let input = Input::Received(SiteId(site), message.encode());
                    outputs.extend(step(&mut monitor, at(now), input));
                }
                Happening::Passes(milliseconds) => {
                    for _ in 0..milliseconds {
                        now += 1;
                        while monitor.wake() <= at(now).monotonic {
                            let wake = Now { monotonic: monitor.wake(), ..at(now) };
                            outputs.extend(step(&mut monitor, wake, Input::Tick));
                        }
                        last = model(&sites, now, last).1;
                    }
                }
            }
            let (counted, status) = model(&sites, now, last);
            last = status;
            let expected = status.unwrap_or(true) != inverted;
            let tally = monitor.tally(at(now).monotonic, &check.id).unwrap();
            prop_assert_eq!((tally.counted, tally.status), (counted, expected));
            prop_assert_eq!(monitor.status(&check.id), Some(expected));
            let basis = match (counted, status) {
                (0, None) => Basis::NoData,
                (0, Some(_)) => Basis::LastKnown,
                _ => Basis::Verdicts,
            };
            prop_assert_eq!(tally.basis, basis);
        }
        // What was said of the changes leads to the same, and no change was said twice.
        let said = outputs.iter().filter_map(|output| match output {
            Output::Status(_, status) => Some(*status),
            _ => None,
        });
        let mut current = !inverted;
        for status in said {
            prop_assert_ne!(status, current);
            current = status;
        }
        prop_assert_eq!(monitor.status(&check.id), Some(current));
        // And what was kept is what is last known.
        let kept = outputs.iter().rev().find_map(|output| match output {
            Output::Keep(bytes) => Some(bytes.clone()),
            _ => None,
        });
        prop_assert_eq!(kept.is_some(), last.is_some());
    }
}
