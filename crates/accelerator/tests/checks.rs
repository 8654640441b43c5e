//! The health checks that endpoints need: what is probed, and which endpoints share a check.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use accelerator::checks::{PREFIX, check_id, is_accelerators, of_accelerator};
use accelerator::model::{CheckProtocol, ClientAffinity, EndpointGroup, PortRange, Protocol};
use common::{accelerator, group, listener};
use types::{HealthCheck, HealthCheckId, HttpProbe, Probe, Span, Tls};

/// The check of the first endpoint of an accelerator with this listener and group.
fn check_of(amend: impl FnOnce(&mut EndpointGroup), ports: &[u16], udp: bool) -> HealthCheck {
    let mut group = group("us-east-1", 100, &[("10.0.1.1", 128)]);
    amend(&mut group);
    let mut listener = listener(ClientAffinity::None, vec![group]);
    let range = |port: &u16| PortRange {
        from: *port,
        to: *port + 9,
    };
    listener.ports = ports.iter().map(range).collect();
    if udp {
        listener.protocol = Protocol::Udp;
    }
    let accelerator = accelerator(1, vec![listener]);
    let mut checks = of_accelerator(&accelerator);
    checks.next().unwrap()
}

fn plain() -> HealthCheck {
    check_of(|_| {}, &[8_000, 80], false)
}

#[test]
fn an_endpoint_is_probed_by_tcp_at_the_listeners_first_port_unless_said() {
    let check = plain();
    assert!(is_accelerators(&check.id) && check.id.0.starts_with(PREFIX));
    assert!(check.id.0.len() <= 64, "as long as ids of checks may be");
    assert_eq!(check.probe, Probe::Tcp);
    assert_eq!(check.address, Some("10.0.1.1".parse().unwrap()));
    assert_eq!((check.port, check.name.as_deref()), (8_000, None));
    assert_eq!((check.interval, check.threshold), (Span::seconds(30), 3));
    assert!(!check.inverted && !check.disabled);
    let said = check_of(|group| group.check.port = Some(81), &[80], false);
    assert_eq!(said.port, 81);
}

/// "UDP listeners are checked by TCP."
#[test]
fn an_endpoint_of_a_udp_listener_is_probed_by_tcp() {
    assert_eq!(check_of(|_| {}, &[8_000, 80], true), plain());
}

#[test]
fn an_override_of_ports_does_not_move_the_check() {
    let moved = check_of(
        |group| group.overrides = [(8_000, 9)].into(),
        &[8_000],
        false,
    );
    assert_eq!(moved.port, 8_000);
}

#[test]
fn http_asks_for_the_path_and_https_verifies_no_name() {
    let http = |protocol, path: Option<&str>| {
        let check = check_of(
            |group| {
                group.check.protocol = protocol;
                group.check.path = path.map(str::to_owned);
            },
            &[80],
            false,
        );
        check.probe
    };
    let probe = |tls, path: &str| {
        Probe::Http(HttpProbe {
            tls,
            path: path.to_owned(),
            search: None,
        })
    };
    let tls = Some(Tls { server_name: false });
    assert_eq!(http(CheckProtocol::Http, None), probe(None, "/"));
    assert_eq!(http(CheckProtocol::Http, Some("/ok")), probe(None, "/ok"));
    assert_eq!(http(CheckProtocol::Https, Some("/ok")), probe(tls, "/ok"));
}

/// Statuses are kept on disk by these ids: another would forget them.
#[test]
fn the_golden_id() {
    assert_eq!(plain().id.0, GOLDEN);
}

const GOLDEN: &str = "accelerator/b6d2bc971522a37c7d0f0cabb80e9aa4";

#[test]
fn each_setting_makes_another_check_and_nothing_else_does() {
    let with = |amend: fn(&mut EndpointGroup)| check_of(amend, &[8_000, 80], false).id;
    let mut ids: Vec<HealthCheckId> = vec![
        plain().id,
        with(|group| group.endpoints = vec![common::endpoint(("10.0.1.2", 128))]),
        with(|group| group.check.port = Some(80)),
        with(|group| group.check.interval = 10),
        with(|group| group.check.threshold = 1),
        with(|group| group.check.protocol = CheckProtocol::Http),
        with(|group| group.check.protocol = CheckProtocol::Https),
        with(|group| {
            group.check.protocol = CheckProtocol::Http;
            group.check.path = Some("/a".to_owned());
        }),
    ];
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
    for same in [
        with(|group| group.check.port = Some(8_000)),
        with(|group| group.check.path = Some("/unused".to_owned())),
        with(|group| group.endpoints[0].weight = 0),
        with(|group| group.endpoints[0].preserves_client = true),
        with(|group| group.id.0.push('x')),
        with(|group| group.region = common::region("eu-west-1")),
    ] {
        assert_eq!(same, plain().id);
    }
    let accelerator = accelerator(
        1,
        vec![listener(
            ClientAffinity::None,
            vec![group("us-east-1", 100, &[("10.0.1.1", 128)])],
        )],
    );
    let listener = &accelerator.listeners[0];
    let group = &listener.groups[0];
    let id = check_id(listener, group, &group.endpoints[0].target);
    assert_eq!(of_accelerator(&accelerator).next().unwrap().id, id);
}
