//! Health checks of targets, driven by hand: when who is probed, and what comes of it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use balancer::health::{HealthChecks, HealthSettings, Input, MAX_PROBES, Output, Ticket};
use balancer::model::{
    HealthCheckPort, HealthCheckProtocol, Matcher, ProtocolVersion, Target, TargetGroup,
};
use balancer::{Snapshot, TargetReason, TargetState};
use common::{
    after, at, balancer, forward, group, group_arn, snapshot, target, target_key, with_targets,
};
use types::{HealthCheckId, Now, Probe, ProbeOrder, ProbeOutcome, ProbeStep, Span, Timestamp};

/// A machine, the snapshot it serves, and the probes under way.
struct Lab {
    checks: HealthChecks,
    snapshot: Arc<Snapshot>,
    probes: BTreeMap<String, (Ticket, ProbeOrder)>,
    changes: Vec<(String, TargetState)>,
}

impl Lab {
    fn new(group: TargetGroup, settings: HealthSettings) -> Lab {
        let mut lab = Lab {
            checks: HealthChecks::new(settings),
            snapshot: Arc::default(),
            probes: BTreeMap::new(),
            changes: Vec::new(),
        };
        lab.serve(0, group);
        lab
    }

    fn serve(&mut self, seconds: u64, group: TargetGroup) {
        let row = balancer("ab", forward(&[("g", 1)], None), Vec::new());
        self.snapshot = after(&[row], &[group], Some(&self.snapshot));
        let input = Input::Serve(self.snapshot.clone());
        self.step(at(seconds), input);
    }

    fn step(&mut self, now: Now, input: Input) {
        for output in self.checks.step(now, input) {
            match output {
                Output::Probe(ticket, order) => {
                    self.probes.insert(order.id.0.clone(), (ticket, order));
                }
                Output::Changed(_, target, health) => {
                    self.changes.push((target.id, health.state));
                }
            }
        }
    }

    /// Probes that target at that time, with that outcome.
    fn probe(&mut self, seconds: u64, number: u8, outcome: ProbeOutcome) {
        self.step(at(seconds), Input::Tick);
        let key = target_key(number);
        let id = format!("{}:{}", key.id, key.port);
        let (ticket, _) = self.probes.remove(&id).expect("it is probed");
        self.step(at(seconds), Input::Finished(ticket, outcome));
    }

    /// State, reason and description of a target.
    fn health(&self, seconds: u64, number: u8) -> (TargetState, Option<TargetReason>, String) {
        let now = at(seconds).wall;
        let health = self
            .snapshot
            .target_health(&group_arn("g"), &target_key(number), now);
        (
            health.state,
            health.reason,
            health.description.unwrap_or_default(),
        )
    }
}

fn one(targets: &[Target]) -> TargetGroup {
    with_targets(group("g", &[]), targets)
}

fn own() -> HealthSettings {
    HealthSettings::default()
}

const OK: ProbeOutcome = ProbeOutcome::Status(200);

#[test]
fn one_success_makes_a_new_target_healthy_and_thresholds_count_from_then_on() {
    let mut lab = Lab::new(one(&[target(1, 'a')]), own());
    let initial = (
        TargetState::Initial,
        Some(TargetReason::InitialHealthChecking),
        "Initial health checks in progress".to_owned(),
    );
    assert_eq!(lab.health(0, 1), initial);
    lab.probe(0, 1, OK);
    let healthy = (TargetState::Healthy, None, String::new());
    assert_eq!(lab.health(0, 1), healthy);
    // Two failures in a row make it unhealthy, one and a success don't.
    lab.probe(30, 1, ProbeOutcome::Status(503));
    lab.probe(60, 1, OK);
    lab.probe(90, 1, ProbeOutcome::Status(503));
    assert_eq!(lab.health(90, 1), healthy);
    lab.probe(120, 1, ProbeOutcome::Status(500));
    let (state, reason, words) = lab.health(120, 1);
    assert_eq!(state, TargetState::Unhealthy);
    assert_eq!(reason, Some(TargetReason::ResponseCodeMismatch));
    assert_eq!(words, "Health checks failed with these codes: [503, 500]");
    // Three successes in a row make it healthy again.
    for (seconds, expected) in [
        (150, TargetState::Unhealthy),
        (180, TargetState::Unhealthy),
        (210, TargetState::Healthy),
    ] {
        lab.probe(seconds, 1, OK);
        assert_eq!(lab.health(seconds, 1).0, expected, "{seconds}");
    }
    let states: Vec<TargetState> = lab.changes.iter().map(|(_, state)| *state).collect();
    let healthy = TargetState::Healthy;
    assert_eq!(states[0], healthy);
    assert_eq!(states.last(), Some(&healthy));
}

#[test]
fn failures_have_the_services_reasons() {
    let cases = [
        (
            ProbeOutcome::Refused,
            TargetReason::FailedHealthChecks,
            "Health checks failed",
        ),
        (
            ProbeOutcome::TimedOut(ProbeStep::Response),
            TargetReason::Timeout,
            "Request timed out",
        ),
        (
            ProbeOutcome::Status(302),
            TargetReason::ResponseCodeMismatch,
            "Health checks failed with these codes: [302]",
        ),
    ];
    for (outcome, reason, words) in cases {
        let mut lab = Lab::new(one(&[target(1, 'a')]), own());
        lab.probe(0, 1, outcome.clone());
        assert_eq!(lab.health(0, 1).0, TargetState::Initial);
        lab.probe(30, 1, outcome);
        let expected = (TargetState::Unhealthy, Some(reason), words.to_owned());
        assert_eq!(lab.health(30, 1), expected);
    }
}

#[test]
fn a_checker_that_could_not_look_says_nothing() {
    let mut lab = Lab::new(one(&[target(1, 'a')]), own());
    lab.probe(0, 1, OK);
    for seconds in [30, 60, 90] {
        lab.probe(seconds, 1, ProbeOutcome::NotMade("no files".to_owned()));
    }
    assert_eq!(lab.health(90, 1).0, TargetState::Healthy);
}

#[test]
fn an_answer_that_comes_too_late_is_none() {
    let mut lab = Lab::new(one(&[target(1, 'a')]), own());
    for start in [0, 30] {
        lab.step(at(start), Input::Tick);
        let (ticket, _) = lab.probes.remove("127.1.0.1:8080").unwrap();
        lab.step(at(start + 6), Input::Finished(ticket, OK));
    }
    let (state, reason, _) = lab.health(36, 1);
    assert_eq!(state, TargetState::Unhealthy);
    assert_eq!(reason, Some(TargetReason::Timeout));
}

#[test]
fn a_probe_that_is_never_heard_of_is_given_up_and_made_again() {
    let mut lab = Lab::new(one(&[target(1, 'a')]), own());
    let (lost, _) = lab.probes.remove("127.1.0.1:8080").unwrap();
    assert_eq!(lab.checks.wake(), Some(at(15).monotonic));
    lab.step(at(15), Input::Tick);
    assert_eq!(lab.checks.wake(), Some(at(30).monotonic));
    lab.probe(30, 1, OK);
    lab.step(at(31), Input::Finished(lost, ProbeOutcome::Refused));
    assert_eq!(lab.health(31, 1).0, TargetState::Healthy);
}

#[test]
fn orders_say_what_the_group_says() {
    let mut row = one(&[target(1, 'a')]);
    let lab = Lab::new(row.clone(), own());
    let (_, order) = &lab.probes["127.1.0.1:8080"];
    assert_eq!(order.id, HealthCheckId("127.1.0.1:8080".to_owned()));
    assert_eq!(order.endpoint.to_string(), "127.1.0.1:8080");
    assert_eq!(order.timeouts.response, Span::seconds(5));
    let Probe::Http(http) = &order.probe else {
        panic!("{order:?}");
    };
    assert_eq!((http.path.as_str(), http.tls), ("/health", None));
    row.health_check.protocol = HealthCheckProtocol::Tcp;
    row.health_check.port = HealthCheckPort::Fixed(99);
    row.health_check.matcher = None;
    let settings = HealthSettings::new(Some(Span::milliseconds(200))).unwrap();
    let mut lab = Lab::new(row, settings);
    let (_, order) = &lab.probes["127.1.0.1:8080"];
    assert_eq!((order.endpoint.port(), &order.probe), (99, &Probe::Tcp));
    assert_eq!(order.timeouts.connect, Span::milliseconds(350));
    lab.probe(0, 1, ProbeOutcome::Connected);
    assert_eq!(lab.health(0, 1).0, TargetState::Healthy);
    let next = at(0).monotonic + Span::milliseconds(200);
    assert_eq!(lab.checks.wake(), Some(next));
    for wrong in [0, 199, 300_001] {
        assert!(HealthSettings::new(Some(Span::milliseconds(wrong))).is_err());
    }
}

#[test]
fn groups_of_grpc_are_called_and_judged_by_its_statuses() {
    let mut row = one(&[target(1, 'a')]);
    row.version = Some(ProtocolVersion::Grpc);
    row.health_check.path = Some("/AWS.ALB/healthcheck".to_owned());
    row.health_check.matcher = Some(Matcher::Grpc(Matcher::ranges("12").unwrap()));
    let mut lab = Lab::new(row.clone(), own());
    let (_, order) = &lab.probes["127.1.0.1:8080"];
    assert!(matches!(order.probe, Probe::Grpc(_)), "{order:?}");
    lab.probe(0, 1, ProbeOutcome::Grpc(12));
    assert_eq!(lab.health(0, 1).0, TargetState::Healthy);
    lab.probe(30, 1, ProbeOutcome::Grpc(14));
    lab.probe(60, 1, ProbeOutcome::Grpc(14));
    assert!(lab.health(60, 1).2.ends_with("[14]"));
    // Statuses of HTTP are none of gRPC's.
    row.health_check.matcher = Some(Matcher::Grpc(Matcher::ranges("0-999").unwrap()));
    let mut lab = Lab::new(row.clone(), own());
    lab.probe(0, 1, ProbeOutcome::Status(200));
    lab.probe(30, 1, ProbeOutcome::Status(200));
    assert_eq!(lab.health(30, 1).1, Some(TargetReason::FailedHealthChecks));
    row.version = Some(ProtocolVersion::Http2);
    let lab = Lab::new(row, own());
    let (_, order) = &lab.probes["127.1.0.1:8080"];
    assert!(matches!(order.probe, Probe::Http2(_)), "{order:?}");
}

#[test]
fn who_drains_or_is_not_used_is_not_probed_and_says_so() {
    let mut draining = target(1, 'a');
    draining.draining_since = Some(at(0).wall);
    let lab = Lab::new(one(&[draining, target(2, 'c'), target(3, '*')]), own());
    assert_eq!(lab.checks.count(), 1);
    let (state, reason, words) = lab.health(299, 1);
    assert_eq!(state, TargetState::Draining);
    assert_eq!(reason, Some(TargetReason::DeregistrationInProgress));
    assert_eq!(words, "Target deregistration is in progress");
    let (state, reason, _) = lab.health(300, 1);
    assert_eq!(state, TargetState::Unused);
    assert_eq!(reason, Some(TargetReason::NotRegistered));
    let (state, reason, words) = lab.health(0, 2);
    assert_eq!(state, TargetState::Unused);
    assert_eq!(reason, Some(TargetReason::NotInUse));
    assert!(words.contains("Availability Zone"), "{words}");
    assert_eq!(lab.health(0, 9).1, Some(TargetReason::NotRegistered));
    // A group that no listener names.
    let alone = snapshot(&[], &[one(&[target(1, 'a')])]);
    let health = alone.target_health(&group_arn("g"), &target_key(1), Timestamp(0));
    assert_eq!(health.reason, Some(TargetReason::NotInUse));
    let mut checks = HealthChecks::new(own());
    assert_eq!(checks.step(at(0), Input::Serve(alone)), []);
}

#[test]
fn a_change_of_another_row_forgets_nothing_and_a_new_registration_everything() {
    let mut lab = Lab::new(one(&[target(1, 'a')]), own());
    lab.probe(0, 1, OK);
    lab.serve(10, one(&[target(1, 'a'), target(2, 'b')]));
    assert_eq!(lab.health(10, 1).0, TargetState::Healthy);
    assert_eq!(lab.health(10, 2).0, TargetState::Initial);
    let mut again = target(1, 'a');
    again.registered = at(20).wall;
    lab.serve(20, one(&[again, target(2, 'b')]));
    assert_eq!(lab.health(20, 1).0, TargetState::Initial);
    // An instance that is elsewhere is another target.
    lab.probe(20, 1, OK);
    let mut moved = target(1, 'a');
    moved.registered = at(20).wall;
    moved.address = [127, 1, 0, 77].into();
    lab.serve(20, one(&[moved, target(2, 'b')]));
    assert_eq!(lab.health(20, 1).0, TargetState::Initial);
    lab.step(at(20), Input::Tick);
    let (_, order) = &lab.probes["127.1.0.1:8080"];
    assert_eq!(order.endpoint.to_string(), "127.1.0.77:8080");
    let mut back = target(1, 'a');
    back.registered = at(20).wall;
    lab.serve(20, one(&[back, target(2, 'b')]));
    // Another way of checking keeps what is known, and looks at once.
    lab.probe(20, 1, OK);
    let mut other = one(&[target(1, 'a'), target(2, 'b')]);
    for target in other.targets.values_mut() {
        target.registered = lab
            .snapshot
            .group(&group_arn("g"))
            .map_or(at(0).wall, |set| {
                set.member(&target.key).unwrap().registered
            });
    }
    other.health_check.path = Some("/other".to_owned());
    lab.serve(21, other);
    assert_eq!(lab.health(21, 1).0, TargetState::Healthy);
    lab.probe(21, 1, OK);
}

#[test]
fn no_more_probes_are_under_way_than_may_be() {
    let mut row = group("g", &[]);
    for high in 0..3u8 {
        for low in 1..=250u8 {
            let mut target = target(low, 'a');
            target.key.port = 1000 + u16::from(high);
            row.targets.insert(target.key.clone(), target);
        }
    }
    let mut lab = Lab::new(row, own());
    assert_eq!(lab.checks.count(), 750);
    lab.step(at(1), Input::Tick);
    assert_eq!(lab.probes.len(), MAX_PROBES);
    let mut probed = 0;
    while let Some((_, (ticket, _))) = lab.probes.pop_first() {
        probed += 1;
        lab.step(at(2), Input::Finished(ticket, OK));
    }
    assert_eq!(probed, 750);
    assert_eq!(lab.changes.len(), 750);
}
