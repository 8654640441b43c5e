//! Load balancers and target groups made in a line each, and what decisions are made with.
#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use balancer::health::{HealthChecks, HealthSettings, Input, Output};
use balancer::model::{
    Action, ActionKind, Attributes, Condition, Forward, GroupStickiness, HealthCheckPort,
    HealthCheckProtocol, HealthCheckSettings, Listener, ListenerId, LoadBalancer, LoadBalancerId,
    LoadBalancerKind, Matcher, Protocol, ProtocolVersion, Rule, RuleId, Scheme, Tags, Target,
    TargetGroup, TargetGroupId, TargetIpType, TargetKey, TargetType, WeightedGroup,
};
use balancer::{
    COOKIE_KEY_BYTES, Circumstances, CookieSealer, LoadBalancerArn, Snapshot, TargetGroupArn,
    Transport,
};
use types::{AvailabilityZone, Monotonic, Now, ProbeOutcome, Region, Timestamp};
use zeroize::Zeroizing;

/// The port of the listener of [`balancer`].
pub const PORT: u16 = 80;

pub fn zone(letter: char) -> AvailabilityZone {
    format!("us-east-1{letter}").parse().unwrap()
}

fn region() -> Region {
    zone('a').region
}

/// The node of [`balancer`] in that zone.
pub fn node(letter: char) -> Ipv4Addr {
    Ipv4Addr::new(127, 32 + zone(letter).letter.index(), 1, 1)
}

pub fn group_arn(name: &str) -> TargetGroupArn {
    TargetGroupArn {
        region: region(),
        account: types::LAB_ACCOUNT.parse().unwrap(),
        name: name.to_owned(),
        id: TargetGroupId(id(name)),
    }
}

fn id(name: &str) -> String {
    let hash = name
        .bytes()
        .fold(7_u64, |hash, byte| hash.wrapping_mul(131) + u64::from(byte));
    format!("{hash:016x}")
}

pub fn attributes(set: &[(&str, &str)]) -> Attributes {
    let set = set.iter();
    Attributes(
        set.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

pub fn check() -> HealthCheckSettings {
    HealthCheckSettings {
        enabled: true,
        protocol: HealthCheckProtocol::Http,
        port: HealthCheckPort::Traffic,
        path: Some("/health".to_owned()),
        interval: 30,
        timeout: 5,
        healthy_threshold: 3,
        unhealthy_threshold: 2,
        matcher: Some(Matcher::Http(Matcher::ranges("200-299").unwrap())),
    }
}

/// A target group of HTTP with these attributes and no targets.
pub fn group(name: &str, set: &[(&str, &str)]) -> TargetGroup {
    TargetGroup {
        arn: group_arn(name),
        created: Timestamp(0),
        protocol: Protocol::Http,
        version: Some(ProtocolVersion::Http1),
        port: 8080,
        vpc: "vpc-1".to_owned(),
        target_type: TargetType::Ip,
        ip_type: TargetIpType::Ipv4,
        health_check: check(),
        attributes: attributes(set),
        tags: BTreeMap::new(),
        targets: BTreeMap::new(),
    }
}

/// What a target at 127.1.0.`number` is known by.
pub fn target_key(number: u8) -> TargetKey {
    TargetKey {
        id: target_address(number).ip().to_string(),
        port: 8080,
    }
}

pub fn target_address(number: u8) -> SocketAddr {
    SocketAddr::from(([127, 1, 0, number], 8080))
}

/// The target at 127.1.0.`number`, in that zone or (`*`) in all.
pub fn target(number: u8, letter: char) -> Target {
    Target {
        key: target_key(number),
        address: IpAddr::from([127, 1, 0, number]),
        zone: (letter != '*').then(|| zone(letter)),
        registered: Timestamp(0),
        draining_since: None,
    }
}

/// The group with these targets.
pub fn with_targets(mut group: TargetGroup, targets: &[Target]) -> TargetGroup {
    let keyed = targets.iter().cloned();
    group.targets = keyed.map(|target| (target.key.clone(), target)).collect();
    group
}

/// Forwards to these groups by these weights.
pub fn forward(groups: &[(&str, u16)], sticky_seconds: Option<u32>) -> Action {
    let groups = groups.iter().map(|(name, weight)| WeightedGroup {
        group: group_arn(name),
        weight: *weight,
    });
    Action {
        order: None,
        kind: ActionKind::Forward(Forward {
            groups: groups.collect(),
            stickiness: sticky_seconds.map(|seconds| GroupStickiness {
                enabled: true,
                duration: Some(seconds),
            }),
        }),
    }
}

pub fn rule(priority: u32, conditions: Vec<Condition>, action: Action) -> Rule {
    Rule {
        id: RuleId(format!("{priority:016x}")),
        priority,
        conditions,
        action,
        tags: BTreeMap::new(),
    }
}

/// An application load balancer in these zones, with one listener at [`PORT`].
pub fn balancer(letters: &str, default_action: Action, rules: Vec<Rule>) -> LoadBalancer {
    LoadBalancer {
        arn: LoadBalancerArn {
            region: region(),
            account: types::LAB_ACCOUNT.parse().unwrap(),
            kind: LoadBalancerKind::Application,
            name: "app".to_owned(),
            id: LoadBalancerId("00000000000000aa".to_owned()),
        },
        dns_number: 1234,
        scheme: Scheme::InternetFacing,
        created: Timestamp(0),
        zones: letters.chars().map(|at| (zone(at), node(at))).collect(),
        security_groups: Vec::new(),
        attributes: Attributes::default(),
        tags: BTreeMap::new(),
        listeners: vec![Listener {
            id: ListenerId("00000000000000bb".to_owned()),
            port: PORT,
            protocol: Protocol::Http,
            certificates: Vec::new(),
            ssl_policy: None,
            alpn_policy: None,
            default_rule: RuleId("00000000000000cc".to_owned()),
            default_rule_tags: Tags::new(),
            default_action,
            attributes: Attributes::default(),
            tags: BTreeMap::new(),
            rules,
        }],
    }
}

/// The same as a network load balancer by TCP.
pub fn network(letters: &str, default_action: Action) -> LoadBalancer {
    let mut row = balancer(letters, default_action, Vec::new());
    row.arn.kind = LoadBalancerKind::Network;
    row.listeners[0].protocol = Protocol::Tcp;
    row
}

pub fn snapshot(balancers: &[LoadBalancer], groups: &[TargetGroup]) -> Arc<Snapshot> {
    after(balancers, groups, None)
}

pub fn after(
    balancers: &[LoadBalancer],
    groups: &[TargetGroup],
    previous: Option<&Snapshot>,
) -> Arc<Snapshot> {
    let snapshot = Snapshot::of_rows(balancers.to_vec(), groups.to_vec(), previous);
    assert_eq!(snapshot.faults(), [""; 0]);
    Arc::new(snapshot)
}

/// The listener of the node in that zone.
pub fn listening(snapshot: &Snapshot, letter: char) -> balancer::Listening {
    let address = SocketAddr::from((node(letter), PORT));
    snapshot.at(address, Transport::Tcp).unwrap().clone()
}

/// Numbers that follow from a seed (SplitMix64).
pub struct Numbers(pub Cell<u64>);

impl Numbers {
    pub fn new(seed: u64) -> Numbers {
        Numbers(Cell::new(seed))
    }

    pub fn draw(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&self, end: usize) -> usize {
        (self.draw() % end as u64) as usize
    }

    pub fn one<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

pub fn sealer() -> CookieSealer {
    CookieSealer::new(&Zeroizing::new([7; COOKIE_KEY_BYTES]))
}

pub fn at(seconds: u64) -> Now {
    Now {
        wall: Timestamp(1_795_485_909_000 + seconds * 1000),
        monotonic: Monotonic(1_000_000_000 + seconds * 1_000_000),
    }
}

pub fn with<'a>(
    sealer: &'a CookieSealer,
    random: &'a dyn Fn() -> u64,
    seconds: u64,
) -> Circumstances<'a> {
    Circumstances {
        now: at(seconds),
        random,
        sealer,
    }
}

/// Probes every target that is due then; those of `healthy` pass, the others refuse.
pub fn probe_all(
    checks: &mut HealthChecks,
    snapshot: &Arc<Snapshot>,
    seconds: u64,
    healthy: &[u8],
) {
    let mut outputs = checks.step(at(seconds), Input::Serve(snapshot.clone()));
    while let Some(output) = outputs.pop() {
        let Output::Probe(ticket, order) = output else {
            continue;
        };
        let IpAddr::V4(address) = order.endpoint.ip() else {
            panic!("{order:?}");
        };
        let outcome = match healthy.contains(&address.octets()[3]) {
            true => ProbeOutcome::Status(200),
            false => ProbeOutcome::Refused,
        };
        outputs.extend(checks.step(at(seconds), Input::Finished(ticket, outcome)));
    }
}

/// Has these targets of the group judged healthy, and the others unhealthy.
pub fn set_health(snapshot: &Arc<Snapshot>, name: &str, healthy: &[u8]) {
    assert!(snapshot.group(&group_arn(name)).is_some());
    let mut checks = HealthChecks::new(HealthSettings::default());
    for round in 0..3 {
        probe_all(&mut checks, snapshot, round * 30, healthy);
    }
}
