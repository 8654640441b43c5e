//! What is said of why a request goes where it goes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::net::SocketAddr;

use balancer::Head;
use balancer::headers::NoFields;
use balancer::model::Condition;
use common::{
    at, balancer, forward, group, listening, rule, sealer, set_health, snapshot, target, with,
    with_targets,
};

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn every_rule_that_is_asked_and_every_target_is_named() {
    let mut drains = target(3, 'a');
    drains.draining_since = Some(at(0).wall);
    let g = with_targets(group("g", &[]), &[target(1, 'a'), target(2, 'b'), drains]);
    let rules = vec![
        rule(
            5,
            vec![
                Condition::PathPattern(texts(&["/x", "/y"])),
                Condition::RequestMethod(texts(&["GET"])),
            ],
            forward(&[("g", 0)], None),
        ),
        rule(
            7,
            vec![Condition::HostHeader(texts(&["*.test"]))],
            forward(&[("g", 1)], None),
        ),
        rule(
            9,
            vec![Condition::HostHeader(texts(&["*"]))],
            forward(&[("g", 0)], None),
        ),
    ];
    let rows = [balancer("a", forward(&[("g", 0)], None), rules)];
    let snapshot = snapshot(&rows, &[g]);
    set_health(&snapshot, "g", &[1]);
    let listening = listening(&snapshot, 'a');
    let (sealer, random) = (sealer(), || 0);
    let source = SocketAddr::from(([127, 64, 1, 1], 4000));
    let explain = |host: &str, path: &str| {
        let head = Head::new("GET", host, path, &NoFields, source);
        listening.explain(&head, &with(&sealer, &random, 1))
    };
    let explained = explain("app.test", "/");
    let expected = [
        "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/app/00000000000000aa",
        "HTTP at 127.32.1.1:80 in us-east-1a",
        "  rule 5; path is /x or /y: no; method is GET: yes",
        "  rule 7; host is *.test: yes (decides)",
        "  127.1.0.1:8080 in us-east-1a: healthy, 0 under way (chosen)",
        "  127.1.0.2:8080 in us-east-1b: initial, 0 under way, not asked",
        "  127.1.0.3:8080 in us-east-1a: draining, 0 under way, not asked",
        "forwards to 127.1.0.1:8080 of g: by the group's algorithm among the healthy ones",
    ];
    assert_eq!(explained.lines(), expected);
    assert_eq!(explain("app.test", "/x").rules.len(), 1);
    let nowhere = explain("app.example", "/x");
    assert_eq!(
        nowhere.decision,
        "answers 503: no target group has a weight"
    );
    assert!(nowhere.targets.is_empty());
    // Nothing of this counts as under way.
    assert_eq!(explain("app.test", "/").lines(), expected);
}
