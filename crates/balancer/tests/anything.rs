//! Whatever a client sends and whatever happens to health checks, nothing panics, bounds hold, and
//! states are what counting by hand makes of the outcomes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use balancer::health::{HealthChecks, HealthSettings, Input, MAX_PROBES, Output, Ticket};
use balancer::model::{
    Action, ActionKind, Condition, QueryPattern, Redirect, RedirectStatus, Target, TargetKey,
};
use balancer::{AccessLogEntry, Decision, Head, LogType, TargetState, Tried, WhyTarget};
use common::{
    Numbers, after, at, balancer, forward, group, group_arn, listening, rule, sealer, snapshot,
    target, target_address, with, with_targets,
};
use proptest::prelude::*;
use types::{Now, ProbeOutcome, ProbeStep, Span, Timestamp};

fn condition() -> impl Strategy<Value = Condition> {
    let texts = || prop::collection::vec(".{0,12}", 0..3);
    prop_oneof![
        texts().prop_map(Condition::HostHeader),
        texts().prop_map(Condition::PathPattern),
        texts().prop_map(Condition::RequestMethod),
        ("[a-z-]{1,8}", texts()).prop_map(|(name, values)| Condition::HttpHeader { name, values }),
        prop::collection::vec((prop::option::of(".{0,6}"), ".{0,6}"), 0..3).prop_map(|pairs| {
            let pairs = pairs.into_iter();
            let pairs = pairs.map(|(key, value)| QueryPattern { key, value });
            Condition::QueryString(pairs.collect())
        }),
    ]
}

fn redirect() -> impl Strategy<Value = Action> {
    let part = || ".{0,8}(#\\{(host|path|port|query|protocol|.)\\}?)?.{0,8}";
    (part(), part(), part(), part()).prop_map(|(host, path, port, query)| Action {
        order: None,
        kind: ActionKind::Redirect(Redirect {
            protocol: "#{protocol}".to_owned(),
            port,
            host,
            path,
            query,
            status: RedirectStatus::Temporary,
        }),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_asked_something_becomes_of_it(
        conditions in prop::collection::vec(condition(), 0..4),
        redirect in redirect(),
        method in ".{0,8}",
        host in ".{0,24}",
        path in "/.{0,24}",
        query in prop::option::of(".{0,24}"),
        cookies in prop::collection::vec(
            ("(AWSALB|AWSALBCORS|AWSALBTG|AWSALBAPP-0|x)", ".{0,80}"), 0..3),
        random: u64,
    ) {
        let set = [("stickiness.enabled", "true")];
        let g = with_targets(group("g", &set), &[target(1, 'a'), target(2, 'a')]);
        let rules = vec![rule(1, conditions, redirect)];
        let rows = [balancer("a", forward(&[("g", 1)], Some(60)), rules)];
        let snapshot = snapshot(&rows, &[g]);
        let cookies: Vec<String> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let fields: Vec<(&str, &str)> =
            cookies.iter().map(|cookie| ("Cookie", cookie.as_str())).collect();
        let headers = fields;
        let head = Head {
            method: &method,
            host: &host,
            path: &path,
            query: query.as_deref(),
            headers: &headers,
            source: SocketAddr::from(([127, 64, 1, 1], 4000)),
        };
        let (sealer, draw) = (sealer(), || random);
        let with = with(&sealer, &draw, 1);
        let listening = listening(&snapshot, 'a');
        match listening.route(&head, &with).decision {
            Decision::Redirect { location, .. } => {
                prop_assert!(location.bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
                prop_assert!(location.starts_with("http://"));
            }
            Decision::Forward(forwarding) => {
                let picked = forwarding.pick(&Tried::NONE, &with).unwrap();
                // Nobody can make a cookie.
                prop_assert_eq!(picked.why, WhyTarget::FailOpen);
                for field in forwarding.set_cookies(&picked, &headers, &with) {
                    prop_assert!(field.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
                    prop_assert!(field.len() < 512);
                }
            }
            other => prop_assert!(false, "{:?}", other),
        }
        listening.explain(&head, &with);
        let entry = AccessLogEntry {
            kind: LogType::Http,
            ended: Timestamp(random),
            created: Timestamp(random),
            balancer: &listening.balancer.row.arn,
            client: head.source,
            target: None,
            request_time: None,
            target_time: Some(Span(random)),
            response_time: None,
            status: None,
            target_status: None,
            received: random,
            sent: random,
            method: Some(&method),
            host: &host,
            port: 80,
            path_and_query: &path,
            version: "HTTP/1.1",
            user_agent: Some(&host),
            tls: None,
            group: None,
            trace_id: query.as_deref(),
            server_name: query.as_deref(),
            certificate: None,
            rule_priority: None,
            action: None,
            redirect: Some(&path),
            error_reason: None,
            targets: &[],
            target_statuses: &[],
            classification: None,
            connection_id: None,
        };
        let line = entry.line();
        prop_assert!(line.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
        prop_assert_eq!(line.matches('"').count(), 24);
    }
}

/// What counting by hand says of a target.
#[derive(Clone, Copy)]
struct Counted {
    state: TargetState,
    passed: bool,
    run: u32,
}

impl Counted {
    fn new() -> Counted {
        Counted {
            state: TargetState::Initial,
            passed: false,
            run: 0,
        }
    }

    /// By the thresholds of `common::check`: 3 and 2.
    fn count(&mut self, passed: bool) {
        self.run = if self.passed == passed {
            self.run + 1
        } else {
            1
        };
        self.passed = passed;
        self.state = match (passed, self.state, self.run) {
            (true, TargetState::Initial, _) | (true, TargetState::Unhealthy, 3) => {
                TargetState::Healthy
            }
            (false, TargetState::Initial | TargetState::Healthy, 2..) => TargetState::Unhealthy,
            (_, state, _) => state,
        };
    }
}

fn outcome(numbers: &Numbers) -> (ProbeOutcome, Option<bool>) {
    match numbers.below(8) {
        0 => (ProbeOutcome::Refused, Some(false)),
        1 => (ProbeOutcome::Status(500), Some(false)),
        2 => (ProbeOutcome::TimedOut(ProbeStep::Connect), Some(false)),
        3 => (ProbeOutcome::NotMade("no files".to_owned()), None),
        _ => (ProbeOutcome::Status(200), Some(true)),
    }
}

#[test]
fn health_checks_count_right_and_keep_their_bounds_whatever_happens() {
    for seed in 0..40 {
        let numbers = Numbers::new(seed);
        let rows = [balancer("ab", forward(&[("g", 1)], None), Vec::new())];
        let mut served = snapshot(&rows, &[group("g", &[])]);
        let mut checks = HealthChecks::new(HealthSettings::default());
        let mut probes: Vec<(Ticket, TargetKey, Timestamp)> = Vec::new();
        let mut counted: BTreeMap<(TargetKey, Timestamp), Counted> = BTreeMap::new();
        let mut registered: BTreeMap<TargetKey, Target> = BTreeMap::new();
        let mut now = at(0);
        for _ in 0..300 {
            let input = match numbers.below(6) {
                0 => {
                    change(&numbers, &mut registered, now);
                    let targets: Vec<Target> = registered.values().cloned().collect();
                    served = after(
                        &rows,
                        &[with_targets(group("g", &[]), &targets)],
                        Some(&served),
                    );
                    counted.retain(|(key, time), _| {
                        registered
                            .get(key)
                            .is_some_and(|known| known.registered == *time)
                    });
                    Input::Serve(served.clone())
                }
                1..4 if !probes.is_empty() => {
                    let (ticket, key, time) = probes.swap_remove(numbers.below(probes.len()));
                    let (outcome, finding) = outcome(&numbers);
                    if let (Some(known), Some(passed)) = (counted.get_mut(&(key, time)), finding) {
                        known.count(passed);
                    }
                    Input::Finished(ticket, outcome)
                }
                _ => {
                    let wake = checks.wake().filter(|_| probes.is_empty());
                    let passed = Span::milliseconds(1 + numbers.below(100) as u64);
                    let next = wake.map_or(now.monotonic + passed, |at| at.max(now.monotonic));
                    let passed = next - now.monotonic;
                    now = Now {
                        wall: Timestamp(now.wall.0 + passed.0 / 1000),
                        monotonic: next,
                    };
                    Input::Tick
                }
            };
            for output in checks.step(now, input) {
                if let Output::Probe(ticket, order) = output {
                    let known = registered.values().find(|target| {
                        format!("{}:{}", target.key.id, target.key.port) == order.id.0
                    });
                    let known = known.expect("only who is registered is probed");
                    let place = (known.key.clone(), known.registered);
                    counted.entry(place.clone()).or_insert_with(Counted::new);
                    probes.push((ticket, place.0, place.1));
                }
            }
            assert!(
                checks.wake().is_none_or(|at| at > now.monotonic),
                "it never spins"
            );
            assert!(probes.len() <= MAX_PROBES);
            for ((key, _), known) in &counted {
                let health = served.target_health(&group_arn("g"), key, now.wall);
                assert_eq!(health.state, known.state, "seed {seed}: {key:?}");
            }
        }
        assert!(
            counted
                .values()
                .any(|known| known.state != TargetState::Initial)
        );
    }
    assert_eq!(target_address(1).port(), 8080);
}

/// Registers a target, anew or for the first time, or takes one away.
fn change(numbers: &Numbers, registered: &mut BTreeMap<TargetKey, Target>, now: Now) {
    let number = 1 + numbers.below(4) as u8;
    let mut target = target(number, 'a');
    target.registered = Timestamp(now.wall.0 + numbers.draw() % 1000);
    match numbers.below(4) {
        0 => {
            registered.remove(&target.key);
        }
        1 => {
            registered.insert(target.key.clone(), target);
        }
        _ => {
            registered.entry(target.key.clone()).or_insert(target);
        }
    }
}
