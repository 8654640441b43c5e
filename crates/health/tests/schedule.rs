//! When what is probed, and what is not: intervals, first probes, limits, names, and targets that
//! aren't allowed.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use health::limits::{FIRST_PROBE_SPREAD, LOST_AFTER, MAX_CHECKS, MAX_CONCURRENT_PROBES};
use health::{Input, Monitor, MonitorConfig, Output, ProbeRequest, Settings, TargetPolicy, Ticket};
use types::{
    HealthCheck, HealthCheckId, Monotonic, Now, Probe, ProbeOrder, ProbeOutcome, ProbeStep, SiteId,
    Span, Timestamp,
};

fn check(name: &str) -> HealthCheck {
    HealthCheck {
        id: HealthCheckId(name.to_owned()),
        probe: Probe::Tcp,
        address: Some([127, 1, 1, 1].into()),
        name: None,
        port: 80,
        interval: Span::seconds(10),
        threshold: 1,
        inverted: false,
        disabled: false,
    }
}

/// One monitor and its time, in milliseconds.
struct Site {
    monitor: Monitor,
    now: u64,
}

impl Site {
    fn new(interval: Option<u64>, seed: u64) -> Site {
        let config = MonitorConfig {
            site: SiteId(1),
            instance: 1,
            seed,
            settings: Settings::new(interval.map(Span::milliseconds)).unwrap(),
            policy: TargetPolicy::lab(),
        };
        let monitor = Monitor::new(Site::at(0), config, None).unwrap();
        Site { monitor, now: 0 }
    }

    fn at(milliseconds: u64) -> Now {
        Now {
            wall: Timestamp(milliseconds),
            monotonic: Monotonic(milliseconds * 1_000),
        }
    }

    fn step(&mut self, input: Input) -> Vec<ProbeRequest> {
        let mut outputs = Vec::new();
        self.monitor
            .step(Site::at(self.now), input, &mut outputs)
            .unwrap();
        let requests = outputs.into_iter().filter_map(|output| match output {
            Output::Request(request) => Some(request),
            _ => None,
        });
        requests.collect()
    }

    fn configure(&mut self, checks: &[HealthCheck]) -> Vec<ProbeRequest> {
        self.step(Input::Configured(checks.to_vec()))
    }

    /// Time passes until something is requested, or up to that moment.
    fn next_until(&mut self, end: u64) -> Vec<ProbeRequest> {
        loop {
            let wake = self.monitor.wake().0.div_ceil(1_000);
            self.now = wake.min(end).max(self.now);
            let requests = self.step(Input::Tick);
            if !requests.is_empty() || wake >= end {
                return requests;
            }
        }
    }

    fn next(&mut self) -> (Ticket, ProbeOrder) {
        let requests = self.next_until(self.now + 60_000);
        match &requests[..] {
            [ProbeRequest::Probe(ticket, order)] => (*ticket, order.clone()),
            other => panic!("not one probe: {other:?}"),
        }
    }

    fn last_status(&self, name: &str) -> Option<String> {
        let id = HealthCheckId(name.to_owned());
        let seen = self.monitor.observations(Site::at(self.now).monotonic, &id);
        seen.first().map(|one| one.observation.status.clone())
    }
}

#[test]
fn the_interval_runs_from_the_response_and_without_one_from_the_start() {
    let mut site = Site::new(None, 1);
    site.configure(&[check("a")]);
    let (ticket, order) = site.next();
    assert!(site.now <= FIRST_PROBE_SPREAD.0 / 1_000);
    assert_eq!(order.endpoint, "127.1.1.1:80".parse().unwrap());
    assert_eq!(order.timeouts.connect, Span::seconds(10));
    site.now += 700;
    site.step(Input::Probed(ticket, ProbeOutcome::Refused));
    let responded = site.now;
    let (ticket, _) = site.next();
    assert_eq!(site.now, responded + 10_000);
    let began = site.now;
    let nothing = ProbeOutcome::TimedOut(ProbeStep::Connect);
    site.now += 4_000;
    site.step(Input::Probed(ticket, nothing.clone()));
    let (ticket, _) = site.next();
    assert_eq!(site.now, began + 10_000);
    // It took longer than the interval: the next is due at once.
    site.now += 11_000;
    let requests = site.step(Input::Probed(ticket, nothing));
    assert_eq!(requests.len(), 1);
}

#[test]
fn first_probes_are_spread_over_the_interval() {
    let mut first = BTreeSet::new();
    for seed in 0..40 {
        let mut site = Site::new(Some(200), seed);
        site.configure(&[check("a")]);
        site.next();
        assert!(site.now <= 200);
        first.insert(site.now / 20);
    }
    assert!(first.len() >= 8, "{first:?}");
}

#[test]
fn a_disabled_check_is_not_probed_and_a_changed_one_begins_anew() {
    let mut site = Site::new(None, 1);
    let disabled = HealthCheck {
        disabled: true,
        ..check("a")
    };
    site.configure(std::slice::from_ref(&disabled));
    assert_eq!(site.next_until(60_000), []);
    site.configure(&[check("a")]);
    let (old, _) = site.next();
    // The endpoint moves while it is probed: what comes of that is for nobody.
    let moved = HealthCheck {
        port: 81,
        ..check("a")
    };
    site.configure(std::slice::from_ref(&moved));
    site.step(Input::Probed(old, ProbeOutcome::Refused));
    assert_eq!(site.last_status("a"), None);
    let (ticket, order) = site.next();
    assert_eq!(order.endpoint.port(), 81);
    site.step(Input::Probed(ticket, ProbeOutcome::Refused));
    assert_eq!(site.monitor.status(&moved.id), Some(false));
    // Said twice, or never asked for: nothing comes of it.
    site.step(Input::Probed(ticket, ProbeOutcome::Connected));
    site.step(Input::Probed(Ticket(77), ProbeOutcome::Connected));
    assert_eq!(site.monitor.status(&moved.id), Some(false));
    // Only the threshold changes: the verdict stays.
    let patient = HealthCheck {
        threshold: 9,
        ..moved
    };
    site.configure(std::slice::from_ref(&patient));
    assert_eq!(site.monitor.status(&patient.id), Some(false));
}

#[test]
fn no_more_probes_than_the_limit_are_under_way_and_those_that_waited_longest_go_first() {
    let mut site = Site::new(Some(200), 1);
    let checks: Vec<HealthCheck> = (0..MAX_CONCURRENT_PROBES + 10)
        .map(|number| check(&format!("{number:04}")))
        .collect();
    site.configure(&checks);
    let mut under_way = Vec::new();
    while site.now < 1_000 {
        under_way.extend(site.next_until(1_000));
    }
    assert_eq!(under_way.len(), MAX_CONCURRENT_PROBES);
    let ProbeRequest::Probe(ticket, _) = under_way[0].clone() else {
        panic!("the checks have addresses");
    };
    let next = site.step(Input::Probed(ticket, ProbeOutcome::Connected));
    assert_eq!(next.len(), 1, "a place is free");
    // Nothing is ever heard of those under way: they are given up, and the rest has its turn.
    site.now += 1_400 + LOST_AFTER.0 / 1_000;
    let rest = site.step(Input::Tick);
    assert!(rest.len() >= 9, "{}", rest.len());
    let lost: Vec<_> = checks
        .iter()
        .filter_map(|check| site.last_status(&check.id.0))
        .filter(|status| status == "Failure: The health checker did not finish")
        .collect();
    assert_eq!(lost.len(), MAX_CONCURRENT_PROBES);
}

#[test]
fn a_name_is_resolved_for_every_probe_and_its_addresses_are_judged() {
    let named = HealthCheck {
        address: None,
        name: Some("app.example.com".to_owned()),
        ..check("a")
    };
    let mut site = Site::new(Some(200), 1);
    site.configure(&[named]);
    let ask = |site: &mut Site| match &site.next_until(site.now + 10_000)[..] {
        [ProbeRequest::Resolve(ticket, name)] if name == "app.example.com" => *ticket,
        other => panic!("not one lookup: {other:?}"),
    };
    let outside = Ipv4Addr::new(169, 254, 169, 254);
    let inside = Ipv4Addr::new(127, 0, 0, 9);
    let ticket = ask(&mut site);
    assert_eq!(site.step(Input::Resolved(ticket, vec![])), []);
    assert_eq!(
        site.last_status("a").unwrap(),
        "Failure: DNS resolution failed"
    );
    let ticket = ask(&mut site);
    assert_eq!(site.step(Input::Resolved(ticket, vec![outside])), []);
    assert_eq!(
        site.last_status("a").unwrap(),
        "Failure: The endpoint's address is not an allowed target of health checks"
    );
    let ticket = ask(&mut site);
    let requests = site.step(Input::Resolved(ticket, vec![outside, inside]));
    let [ProbeRequest::Probe(same, order)] = &requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(*same, ticket);
    assert_eq!(order.endpoint, "127.0.0.9:80".parse().unwrap());
    assert_eq!(order.name.as_deref(), Some("app.example.com"));
    site.step(Input::Probed(ticket, ProbeOutcome::Connected));
    assert_eq!(
        site.last_status("a").unwrap(),
        "Success: TCP connection established"
    );
}

#[test]
fn an_address_that_is_not_allowed_is_never_connected_to() {
    let mut site = Site::new(Some(200), 1);
    let outside = ["10.0.0.1", "::ffff:10.0.0.1", "0.0.0.0", "::"];
    let checks: Vec<HealthCheck> = outside
        .iter()
        .map(|address| HealthCheck {
            address: Some(address.parse().unwrap()),
            ..check(address)
        })
        .collect();
    site.configure(&checks);
    assert_eq!(site.next_until(3_000), []);
    for check in checks {
        assert_eq!(site.monitor.status(&check.id), Some(false));
    }
}

#[test]
fn ids_that_cannot_be_and_checks_beyond_the_limit_are_left_out() {
    let mut site = Site::new(None, 1);
    let mut checks: Vec<HealthCheck> = (0..MAX_CHECKS + 5)
        .map(|number| check(&format!("{number:05}")))
        .collect();
    let bad = ["".to_owned(), "x".repeat(65), "a\nb".to_owned()];
    checks.extend(bad.iter().map(|id| check(id)));
    site.configure(&checks);
    let known = checks
        .iter()
        .filter(|check| site.monitor.status(&check.id).is_some());
    assert_eq!(known.count(), MAX_CHECKS);
    for id in bad {
        assert_eq!(site.monitor.status(&HealthCheckId(id)), None);
    }
}

#[test]
fn what_is_kept_of_a_check_goes_with_it() {
    let mut site = Site::new(Some(200), 1);
    site.configure(&[check("a"), check("b")]);
    for _ in 0..2 {
        let (ticket, _) = site.next();
        site.step(Input::Probed(ticket, ProbeOutcome::Refused));
    }
    let mut outputs = Vec::new();
    let checks = vec![check("b")];
    let now = Site::at(site.now);
    site.monitor
        .step(now, Input::Configured(checks), &mut outputs)
        .unwrap();
    let gone = HealthCheckId("a".to_owned());
    assert!(outputs.contains(&Output::Gone(gone.clone())));
    let Some(Output::Keep(kept)) = outputs.last() else {
        panic!("{outputs:?}");
    };
    let config = MonitorConfig {
        site: SiteId(1),
        instance: 2,
        seed: 1,
        settings: Settings::new(None).unwrap(),
        policy: TargetPolicy::lab(),
    };
    let mut monitor = Monitor::new(now, config, Some(kept)).unwrap();
    let checks = vec![check("a"), check("b")];
    monitor
        .step(now, Input::Configured(checks), &mut outputs)
        .unwrap();
    assert_eq!(monitor.status(&gone), Some(true));
    assert_eq!(monitor.status(&HealthCheckId("b".to_owned())), Some(false));
}

#[test]
fn what_was_kept_by_a_newer_version_is_refused() {
    let config = MonitorConfig {
        site: SiteId(1),
        instance: 1,
        seed: 1,
        settings: Settings::new(None).unwrap(),
        policy: TargetPolicy::lab(),
    };
    let refused = Monitor::new(Site::at(0), config, Some(&[9])).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "kept health statuses have format version 9; this binary understands up to 1"
    );
}
