//! What a decision costs: nanoseconds of one thread to route a request and to choose its target.
//! Run with `--release`.
#![allow(clippy::unwrap_used, reason = "a program to measure with")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balancer::headers::{HeaderFields, NoFields};
use balancer::model::{Condition, Rule, Target};
use balancer::{Decision, Head, Snapshot, Tried};
use common::{
    Numbers, balancer, forward, group, listening, rule, sealer, set_health, snapshot, target, with,
    with_targets,
};

/// A round is short, so that some rounds are left alone by whatever else the machine does.
const ROUND: Duration = Duration::from_millis(10);
const ROUNDS: usize = 100;

/// Requests between two looks at the clock.
const BATCH: u32 = 256;

/// A group of so many targets, all healthy, behind these rules.
fn scene(targets: u16, set: &[(&str, &str)], rules: Vec<Rule>) -> Arc<Snapshot> {
    let targets: Vec<Target> = (0..targets)
        .map(|number| {
            let mut target = target(1 + (number % 250) as u8, 'a');
            target.key.port = 8080 + number / 250;
            target
        })
        .collect();
    let rows = [balancer("ab", forward(&[("g", 1)], None), rules)];
    let snapshot = snapshot(&rows, &[with_targets(group("g", set), &targets)]);
    let healthy: Vec<u8> = (1..=250).collect();
    set_health(&snapshot, "g", &healthy);
    snapshot
}

/// Measures requests: the least and the median of the rounds.
fn measure(name: &str, snapshot: &Snapshot, headers: &dyn HeaderFields, sets_cookies: bool) {
    let listening = listening(snapshot, 'a');
    let (sealer, numbers) = (sealer(), Numbers::new(1));
    let random = || numbers.draw();
    let with = with(&sealer, &random, 1);
    let source = SocketAddr::from(([127, 64, 1, 1], 4000));
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (start, mut requests) = (Instant::now(), 0);
        while start.elapsed() < ROUND {
            for _ in 0..BATCH {
                let head = Head::new("GET", "app.example.com", "/orders/7", headers, source);
                let routed = listening.route(black_box(&head), &with);
                let Decision::Forward(forwarding) = routed.decision else {
                    panic!("every rule forwards");
                };
                let picked = forwarding.pick(&Tried::NONE, &with).unwrap();
                if sets_cookies {
                    black_box(forwarding.set_cookies(&picked, &NoFields, &with));
                }
                black_box(picked.address);
            }
            requests += BATCH;
        }
        rounds.push(start.elapsed().as_nanos() as f64 / f64::from(requests));
    }
    rounds.sort_by(f64::total_cmp);
    println!(
        "{name}: {:.0} ns, median {:.0} ns",
        rounds[0],
        rounds[ROUNDS / 2]
    );
}

fn main() {
    measure(
        "no rules, 2 targets",
        &scene(2, &[], Vec::new()),
        &NoFields,
        false,
    );
    let rules = (1..=100).map(|number| {
        let pattern = match number {
            100 => "/orders/*".to_owned(),
            _ => format!("/other/{number}/*"),
        };
        let condition = Condition::PathPattern(vec![pattern]);
        rule(number, vec![condition], forward(&[("g", 1)], None))
    });
    let rules: Vec<Rule> = rules.collect();
    measure(
        "the last of 100 rules",
        &scene(2, &[], rules),
        &NoFields,
        false,
    );
    measure(
        "1,000 targets in turn",
        &scene(1000, &[], Vec::new()),
        &NoFields,
        false,
    );
    let least = [(
        "load_balancing.algorithm.type",
        "least_outstanding_requests",
    )];
    measure(
        "20 targets by requests under way",
        &scene(20, &least, Vec::new()),
        &NoFields,
        false,
    );
    let sticky = scene(2, &[("stickiness.enabled", "true")], Vec::new());
    measure("2 targets, cookies set", &sticky, &NoFields, true);
}
