//! From a listener's rules to a target: by example, as the guide has them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use balancer::headers::{HeaderFields, NoFields};
use balancer::health::{HealthChecks, HealthSettings};
use balancer::model::{
    Action, ActionKind, Condition, FixedResponse, QueryPattern, Redirect, RedirectStatus,
};
use balancer::{
    Decision, Forwarding, Head, Listening, NoTarget, Snapshot, Transport, Tried, WhyTarget,
};
use common::{
    Numbers, after, at, balancer, forward, group, listening, network, node, rule, sealer, snapshot,
    target, target_address, with, with_targets, zone,
};

fn source() -> SocketAddr {
    SocketAddr::from(([127, 64, 1, 1], 4000))
}

fn fixed(body: &str) -> Action {
    Action {
        order: None,
        kind: ActionKind::FixedResponse(FixedResponse {
            status: 200,
            content_type: Some("text/plain".to_owned()),
            body: Some(body.to_owned()),
        }),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Routes a GET.
fn routed(
    listening: &Listening,
    target: &str,
    headers: &dyn HeaderFields,
    seconds: u64,
) -> Decision {
    let (sealer, numbers) = (sealer(), Numbers::new(seconds + 1));
    let random = || numbers.draw();
    let head = Head::new("GET", "app.example.com", target, headers, source());
    listening
        .route(&head, &with(&sealer, &random, seconds))
        .decision
}

fn forwarding(listening: &Listening, headers: &dyn HeaderFields, seconds: u64) -> Forwarding {
    match routed(listening, "/", headers, seconds) {
        Decision::Forward(forwarding) => forwarding,
        other => panic!("{other:?}"),
    }
}

/// Picks at those seconds; what was picked is over at once.
fn pick(
    forwarding: &Forwarding,
    tried: &Tried,
    seconds: u64,
) -> Result<(SocketAddr, WhyTarget), NoTarget> {
    let (sealer, numbers) = (sealer(), Numbers::new(seconds + 9));
    let random = || numbers.draw();
    let picked = forwarding.pick(tried, &with(&sealer, &random, seconds))?;
    Ok((picked.address, picked.why))
}

/// Which of these targets are picked in so many requests, and how often.
fn counts(snapshot: &Snapshot, letter: char, requests: u64) -> BTreeMap<SocketAddr, u32> {
    let listening = listening(snapshot, letter);
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let forwarding = forwarding(&listening, &NoFields, 1);
        let (address, _) = pick(&forwarding, &Tried::NONE, 1).unwrap();
        *counts.entry(address).or_insert(0) += 1;
    }
    counts
}

fn heal(snapshot: &std::sync::Arc<Snapshot>, numbers: &[u8]) {
    common::set_health(snapshot, "g", numbers);
}

#[test]
fn the_first_rule_that_is_met_decides_and_the_default_of_the_rest() {
    let rules = vec![
        rule(
            20,
            vec![Condition::PathPattern(texts(&["/api/*"]))],
            fixed("second"),
        ),
        rule(
            10,
            vec![
                Condition::PathPattern(texts(&["/api/v2/*", "/v2/*"])),
                Condition::QueryString(vec![QueryPattern {
                    key: Some("beta".to_owned()),
                    value: "1".to_owned(),
                }]),
            ],
            fixed("first"),
        ),
        rule(
            30,
            vec![Condition::HttpHeader {
                name: "X-Kind".to_owned(),
                values: texts(&["*Bot*"]),
            }],
            fixed("bot"),
        ),
        rule(
            40,
            vec![
                Condition::SourceIp(vec!["127.64.1.0/24".parse().unwrap()]),
                Condition::RequestMethod(texts(&["GET"])),
                Condition::HostHeader(texts(&["*.EXAMPLE.com"])),
                Condition::PathPattern(texts(&["/all"])),
            ],
            fixed("all"),
        ),
    ];
    let snapshot = snapshot(&[balancer("a", fixed("default"), rules)], &[]);
    let listening = listening(&snapshot, 'a');
    let bot = [("x-kind", "none"), ("X-Kind", "a robot")];
    let cases: [(&str, &dyn HeaderFields, &str); 7] = [
        ("/api/v2/x?beta=1", &NoFields, "first"),
        ("/api/v2/x?BETA=1&c", &NoFields, "first"),
        ("/api/v2/x?beta=2", &NoFields, "second"),
        ("/API/v2/x", &NoFields, "default"),
        ("/", &bot, "bot"),
        ("/all", &NoFields, "all"),
        ("/", &NoFields, "default"),
    ];
    for (target, headers, expected) in cases {
        let Decision::Fixed(answer) = routed(&listening, target, headers, 1) else {
            panic!("{target}");
        };
        assert_eq!(answer.body.as_deref(), Some(expected), "{target}");
    }
    let (sealer, random) = (sealer(), || 0);
    let head = Head::new("GET", "app", "/api/", &NoFields, source());
    let routed = listening.route(&head, &with(&sealer, &random, 1));
    assert_eq!(routed.priority, Some(20));
    assert!(routed.rule.to_string().contains(":listener-rule/app/app/"));
}

#[test]
fn a_redirect_leads_to_the_same_place_elsewhere() {
    let action = Action {
        order: None,
        kind: ActionKind::Redirect(Redirect {
            protocol: "HTTPS".to_owned(),
            port: "443".to_owned(),
            host: "#{host}".to_owned(),
            path: "/#{path}".to_owned(),
            query: "#{query}".to_owned(),
            status: RedirectStatus::Permanent,
        }),
    };
    let snapshot = snapshot(&[balancer("a", action, Vec::new())], &[]);
    let decision = routed(&listening(&snapshot, 'a'), "/x?y", &NoFields, 1);
    let Decision::Redirect { status, location } = decision else {
        panic!("{decision:?}");
    };
    assert_eq!(status, 301);
    assert_eq!(location, "https://app.example.com:443/x?y");
}

#[test]
fn targets_that_are_not_known_to_be_healthy_serve_when_no_other_does() {
    let row = with_targets(group("g", &[]), &[target(1, 'a'), target(2, 'b')]);
    let rows = [balancer("ab", forward(&[("g", 1)], None), Vec::new())];
    let snapshot = snapshot(&rows, &[row]);
    let open = counts(&snapshot, 'a', 10);
    assert_eq!(open.values().copied().collect::<Vec<u32>>(), [5, 5]);
    let forwarding = forwarding(&listening(&snapshot, 'a'), &NoFields, 1);
    let picked = pick(&forwarding, &Tried::NONE, 1).unwrap();
    assert_eq!(picked.1, WhyTarget::FailOpen);
    heal(&snapshot, &[2]);
    assert_eq!(
        counts(&snapshot, 'a', 10),
        BTreeMap::from([(target_address(2), 10)])
    );
    // A healthy one that refuses is followed by whoever is left.
    let tried: Tried = [target_address(2)].into_iter().collect();
    let last = pick(&forwarding, &tried, 1).unwrap();
    assert_eq!(last, (target_address(1), WhyTarget::LastResort));
    let tried: Tried = [1, 2].map(target_address).into_iter().collect();
    assert_eq!(pick(&forwarding, &tried, 1), Err(NoTarget::AllTried));
}

#[test]
fn thresholds_decide_when_a_group_fails_open() {
    const COUNT: &str = "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count";
    const SHARE: &str =
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage";
    let targets: Vec<_> = (1..=4).map(|number| target(number, 'a')).collect();
    for (set, healthy, serve) in [
        (vec![], vec![1], vec![1]),
        (vec![(COUNT, "2")], vec![1], vec![1, 2, 3, 4]),
        (vec![(COUNT, "2")], vec![1, 3], vec![1, 3]),
        (vec![(SHARE, "50")], vec![1], vec![1, 2, 3, 4]),
        (vec![(SHARE, "50")], vec![1, 2], vec![1, 2]),
        (
            vec![(COUNT, "1"), (SHARE, "51")],
            vec![1, 2],
            vec![1, 2, 3, 4],
        ),
    ] {
        let row = with_targets(group("g", &set), &targets);
        let rows = [balancer("a", forward(&[("g", 1)], None), Vec::new())];
        let snapshot = snapshot(&rows, &[row]);
        heal(&snapshot, &healthy);
        let served: Vec<SocketAddr> = counts(&snapshot, 'a', 12).into_keys().collect();
        let expected: Vec<SocketAddr> = serve.into_iter().map(target_address).collect();
        assert_eq!(served, expected, "{set:?} {healthy:?}");
    }
}

#[test]
fn without_cross_zone_a_node_uses_its_own_zone() {
    let targets = [
        target(1, 'a'),
        target(2, 'b'),
        target(3, '*'),
        target(4, 'c'),
    ];
    let off = [("load_balancing.cross_zone.enabled", "false")];
    for (set, letter, serve) in [
        (&[][..], 'a', vec![1, 2, 3]),
        (&off[..], 'a', vec![1, 3]),
        (&off[..], 'b', vec![2, 3]),
    ] {
        let row = with_targets(group("g", set), &targets);
        let rows = [balancer("ab", forward(&[("g", 1)], None), Vec::new())];
        let snapshot = snapshot(&rows, &[row]);
        let served: Vec<SocketAddr> = counts(&snapshot, letter, 12).into_keys().collect();
        let expected: Vec<SocketAddr> = serve.into_iter().map(target_address).collect();
        assert_eq!(served, expected, "{set:?} {letter}");
    }
    let row = with_targets(group("g", &off), &[target(1, 'a')]);
    let rows = [balancer("ab", forward(&[("g", 1)], None), Vec::new())];
    let snapshot = snapshot(&rows, &[row]);
    let forwarding = forwarding(&listening(&snapshot, 'b'), &NoFields, 1);
    assert_eq!(pick(&forwarding, &Tried::NONE, 1), Err(NoTarget::NoTargets));
}

#[test]
fn a_client_stays_with_its_target_while_that_is_healthy_and_its_time_lasts() {
    let set = [
        ("stickiness.enabled", "true"),
        ("stickiness.lb_cookie.duration_seconds", "60"),
    ];
    let targets: Vec<_> = (1..=4).map(|number| target(number, 'a')).collect();
    let row = with_targets(group("g", &set), &targets);
    let rows = [balancer("a", forward(&[("g", 1)], None), Vec::new())];
    let snapshot = snapshot(&rows, &[row]);
    heal(&snapshot, &[1, 2, 3, 4]);
    let listening = listening(&snapshot, 'a');
    let (sealer, random) = (sealer(), || 7);
    let first = forwarding(&listening, &NoFields, 1);
    let picked = first
        .pick(&Tried::NONE, &with(&sealer, &random, 1))
        .unwrap();
    let fields = first.set_cookies(&picked, &NoFields, &with(&sealer, &random, 1));
    assert_eq!(fields.len(), 2);
    let pair = |field: &str| field.split(';').next().unwrap().to_owned();
    for cookie in fields.iter().map(|field| pair(field)) {
        let request = [("cookie", cookie.as_str())];
        for _ in 0..5 {
            let again = pick(&forwarding(&listening, &request, 30), &Tried::NONE, 30);
            assert_eq!(again, Ok((picked.address, WhyTarget::Sticky)));
        }
        // Another host's cookie, one that is over and one that is made up count as none.
        let over = pick(&forwarding(&listening, &request, 61), &Tried::NONE, 61);
        assert_eq!(over.unwrap().1, WhyTarget::Healthy);
        let tried: Tried = [picked.address].into_iter().collect();
        let other = pick(&forwarding(&listening, &request, 30), &tried, 30);
        assert_eq!(other.unwrap().1, WhyTarget::Healthy);
    }
    let cookie = pair(&fields[0]);
    let request = [("cookie", cookie.as_str())];
    let others: Vec<u8> = (1..=4)
        .filter(|at| target_address(*at) != picked.address)
        .collect();
    common::set_health(&snapshot, "g", &others);
    let moved = pick(&forwarding(&listening, &request, 30), &Tried::NONE, 30).unwrap();
    assert_ne!(moved.0, picked.address);
    let forged = [("cookie", "AWSALB=AQIDBA")];
    let fresh = pick(&forwarding(&listening, &forged, 1), &Tried::NONE, 1).unwrap();
    assert_eq!(fresh.1, WhyTarget::Healthy);
}

#[test]
fn an_applications_cookie_binds_as_long_as_the_client_has_it() {
    let set = [
        ("stickiness.enabled", "true"),
        ("stickiness.type", "app_cookie"),
        ("stickiness.app_cookie.cookie_name", "SESSION"),
    ];
    let row = with_targets(group("g", &set), &[target(1, 'a'), target(2, 'a')]);
    let rows = [balancer("a", forward(&[("g", 1)], None), Vec::new())];
    let snapshot = snapshot(&rows, &[row]);
    let listening = listening(&snapshot, 'a');
    let (sealer, random) = (sealer(), || 7);
    let with = with(&sealer, &random, 1);
    let first = forwarding(&listening, &NoFields, 1);
    let picked = first.pick(&Tried::NONE, &with).unwrap();
    assert_eq!(first.set_cookies(&picked, &NoFields, &with), [""; 0]);
    let response = [("Set-Cookie", "SESSION=abc; HttpOnly")];
    let fields = first.set_cookies(&picked, &response, &with);
    let own = fields[0].split(';').next().unwrap();
    assert!(own.starts_with("AWSALBAPP-0="), "{fields:?}");
    let both = format!("SESSION=abc; {own}; AWSALBAPP-1=_remove_");
    let request = [("cookie", both.as_str())];
    let again = pick(&forwarding(&listening, &request, 1), &Tried::NONE, 1);
    assert_eq!(again, Ok((picked.address, WhyTarget::Sticky)));
    let request = [("cookie", own)];
    let without = pick(&forwarding(&listening, &request, 1), &Tried::NONE, 1).unwrap();
    assert_eq!(without.1, WhyTarget::FailOpen);
}

#[test]
fn groups_share_by_weight_and_a_client_stays_with_its_group() {
    let rows = ["g", "h"].map(|name| with_targets(group(name, &[]), &[target(1, 'a')]));
    let action = forward(&[("g", 3), ("h", 1)], Some(60));
    let snapshot_1 = snapshot(&[balancer("a", action, Vec::new())], &rows);
    let listening_1 = listening(&snapshot_1, 'a');
    let mut shares: BTreeMap<String, u32> = BTreeMap::new();
    for seconds in 0..400 {
        let chosen = forwarding(&listening_1, &NoFields, seconds);
        *shares.entry(chosen.group().arn.name.clone()).or_default() += 1;
    }
    assert!((60..=140).contains(&shares["h"]), "{shares:?}");
    let (sealer, random) = (sealer(), || 7);
    let with = with(&sealer, &random, 1);
    let mut first = forwarding(&listening_1, &NoFields, 1);
    for seconds in 2.. {
        if first.group().arn.name == "h" {
            break;
        }
        first = forwarding(&listening_1, &NoFields, seconds);
    }
    let picked = first.pick(&Tried::NONE, &with).unwrap();
    let fields = first.set_cookies(&picked, &NoFields, &with);
    let cookie = fields[0].split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("AWSALBTG="), "{cookie}");
    let request = [("cookie", cookie.as_str())];
    // Its weight is gone: clients that have the group keep it, nobody else gets it.
    let action = forward(&[("g", 1), ("h", 0)], Some(60));
    let snapshot_2 = after(
        &[balancer("a", action, Vec::new())],
        &rows,
        Some(&snapshot_1),
    );
    let listening_2 = listening(&snapshot_2, 'a');
    for seconds in 1..20 {
        assert_eq!(
            forwarding(&listening_2, &request, seconds).group().arn.name,
            "h"
        );
        assert_eq!(
            forwarding(&listening_2, &NoFields, seconds)
                .group()
                .arn
                .name,
            "g"
        );
    }
    assert_eq!(forwarding(&listening_2, &request, 62).group().arn.name, "g");
    let none = snapshot(
        &[balancer("a", forward(&[("g", 0)], None), Vec::new())],
        &rows,
    );
    let nowhere = routed(&listening(&none, 'a'), "/", &NoFields, 1);
    assert!(matches!(nowhere, Decision::Nowhere));
}

#[test]
fn requests_go_to_who_has_fewest_under_way() {
    let set = [(
        "load_balancing.algorithm.type",
        "least_outstanding_requests",
    )];
    let targets: Vec<_> = (1..=3).map(|number| target(number, 'a')).collect();
    let row = with_targets(group("g", &set), &targets);
    let rows = [balancer("a", forward(&[("g", 1)], None), Vec::new())];
    let snapshot = snapshot(&rows, &[row]);
    let forwarding = forwarding(&listening(&snapshot, 'a'), &NoFields, 1);
    let (sealer, random) = (sealer(), || 7);
    let with = with(&sealer, &random, 1);
    let mut under_way = Vec::new();
    for round in 1..=3 {
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            let picked = forwarding.pick(&Tried::NONE, &with).unwrap();
            seen.insert(picked.address);
            under_way.push(picked);
        }
        assert_eq!(seen.len(), 3, "round {round}");
    }
    under_way.retain(|picked| picked.address != target_address(2));
    for _ in 0..3 {
        let picked = forwarding.pick(&Tried::NONE, &with).unwrap();
        assert_eq!(picked.address, target_address(2));
        under_way.push(picked);
    }
}

/// A group with slow start, its targets 1 and 2 known from the start, target 3 registered later.
fn slow() -> (std::sync::Arc<Snapshot>, HealthChecks) {
    let set = [("slow_start.duration_seconds", "100")];
    let rows = [balancer("a", forward(&[("g", 1)], None), Vec::new())];
    let elders = [target(1, 'a'), target(2, 'a')];
    let before = snapshot(&rows, &[with_targets(group("g", &set), &elders)]);
    let mut checks = HealthChecks::new(HealthSettings::default());
    common::probe_all(&mut checks, &before, 0, &[1, 2]);
    let mut late = target(3, 'a');
    late.registered = at(20).wall;
    let targets = [elders.as_slice(), &[late]].concat();
    let row = with_targets(group("g", &set), &targets);
    (after(&rows, &[row], Some(&before)), checks)
}

/// How many of a thousand requests a target takes at those seconds.
fn share(snapshot: &Snapshot, number: u8, seconds: u64) -> u32 {
    let listening = listening(snapshot, 'a');
    let mut count = 0;
    for _ in 0..1000 {
        let forwarding = forwarding(&listening, &NoFields, seconds);
        let (address, _) = pick(&forwarding, &Tried::NONE, seconds).unwrap();
        count += u32::from(address == target_address(number));
    }
    count
}

#[test]
fn a_target_that_starts_slowly_takes_a_growing_share() {
    let (snapshot, mut checks) = slow();
    common::probe_all(&mut checks, &snapshot, 30, &[1, 2, 3]);
    // 10 of 210, 50 of 250, and a third.
    assert!((43..=53).contains(&share(&snapshot, 3, 40)));
    assert!((195..=205).contains(&share(&snapshot, 3, 80)));
    assert!((332..=335).contains(&share(&snapshot, 3, 130)));
}

#[test]
fn after_a_restart_nobody_starts_slowly_and_after_a_failure_who_failed_does() {
    let (snapshot, _) = slow();
    let mut restarted = HealthChecks::new(HealthSettings::default());
    common::probe_all(&mut restarted, &snapshot, 30, &[1, 2, 3]);
    assert!((332..=335).contains(&share(&snapshot, 3, 31)));
    for seconds in [60, 90] {
        common::probe_all(&mut restarted, &snapshot, seconds, &[1, 3]);
    }
    assert_eq!(share(&snapshot, 2, 91), 0);
    for seconds in [120, 150, 180] {
        common::probe_all(&mut restarted, &snapshot, seconds, &[1, 2, 3]);
    }
    assert!((43..=53).contains(&share(&snapshot, 2, 190)));
}

#[test]
fn flows_go_by_their_hash_and_only_those_of_a_dead_target_move() {
    let targets: Vec<_> = (1..=5).map(|number| target(number, 'a')).collect();
    let row = with_targets(group("g", &[]), &targets);
    let rows = [network("a", forward(&[("g", 1)], None))];
    let snapshot = snapshot(&rows, &[row]);
    heal(&snapshot, &[1, 2, 3, 4, 5]);
    let listening = listening(&snapshot, 'a');
    let place = |port: u16| {
        let from = SocketAddr::from(([127, 64, 1, 1], port));
        let flow = listening.flow(from).unwrap();
        flow.pick(&Tried::NONE).unwrap().address
    };
    let before: Vec<SocketAddr> = (1000..6000).map(place).collect();
    assert_eq!(before, (1000..6000).map(place).collect::<Vec<_>>());
    for number in 1..=5 {
        let share = before.iter().filter(|at| **at == target_address(number));
        assert!((850..1150).contains(&share.count()), "{number}");
    }
    heal(&snapshot, &[1, 2, 4, 5]);
    let now: Vec<SocketAddr> = (1000..6000).map(place).collect();
    for (before, now) in before.iter().zip(&now) {
        assert_ne!(*now, target_address(3));
        assert!(*before == target_address(3) || before == now);
    }
    let udp = SocketAddr::from((node('a'), common::PORT));
    assert!(snapshot.at(udp, Transport::Udp).is_none());
}

#[test]
fn a_clients_flows_stay_together_where_the_group_is_sticky() {
    let targets: Vec<_> = (1..=5).map(|number| target(number, 'a')).collect();
    let mut row = with_targets(group("g", &[("stickiness.enabled", "true")]), &targets);
    row.protocol = balancer::model::Protocol::Tcp;
    let rows = [network("a", forward(&[("g", 1)], None))];
    let snapshot = snapshot(&rows, &[row]);
    let listening = listening(&snapshot, 'a');
    let mut all = BTreeSet::new();
    for client in 1..=50 {
        let mut own = BTreeSet::new();
        for port in 1..20 {
            let from = SocketAddr::from(([127, 64, 1, client], port));
            let picked = listening.flow(from).unwrap().pick(&Tried::NONE).unwrap();
            own.insert(picked.address);
        }
        assert_eq!(own.len(), 1);
        all.append(&mut own);
    }
    // Of a network load balancer, without cross-zone, in one zone: all five.
    assert_eq!(all.len(), 5);
    assert_eq!(zone('a').to_string(), "us-east-1a");
}
