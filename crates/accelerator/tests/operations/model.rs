//! Histories of requests at two sites, against what must always hold of the configuration: quotas,
//! addresses that one accelerator has, ports that don't overlap, and one group a Region.

use std::collections::{BTreeMap, BTreeSet};

use accelerator::model::{Accelerator, IpAddressType};
use accelerator::{Pools, catalogue, keys};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Api, View, pools_with};

const REGIONS: [&str; 4] = ["us-east-1", "us-west-2", "eu-west-1", "ap-south-1"];

/// A request, its choices as numbers that are taken modulo what there is.
#[derive(Clone, Debug)]
struct Step {
    what: u8,
    which: u8,
    first: u8,
    second: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0u8..9, any::<u8>(), any::<u8>(), any::<u8>());
    let step = step.prop_map(|(what, which, first, second)| Step {
        what,
        which,
        first,
        second,
    });
    prop::collection::vec(step, 1..80)
}

fn all(view: &View) -> Vec<Accelerator> {
    let mut all = Vec::new();
    catalogue::visit(view, &mut |_, found| all.push(found.unwrap()));
    all
}

fn pick<T>(of: &[T], number: u8) -> Option<&T> {
    of.get(usize::from(number) % of.len().max(1))
}

/// The request that a step is, given what there is.
fn request(view: &View, step: &Step) -> (&'static str, Value) {
    let accelerators = all(view);
    let none = ("ListAccelerators", json!({}));
    let Some(accelerator) = pick(&accelerators, step.which) else {
        return made(step);
    };
    let arn = format!(
        "arn:aws:globalaccelerator::111122223333:accelerator/{}",
        accelerator.id.0
    );
    let listener = pick(&accelerator.listeners, step.first);
    let ports = u16::from(step.first) * 3 + 1;
    let ports = json!([{"FromPort": ports, "ToPort": ports + u16::from(step.second)}]);
    match step.what {
        0 => made(step),
        1 if step.second.is_multiple_of(2) => {
            let kind = pick(&["IPV4", "DUAL_STACK"], step.first);
            let body = json!({"AcceleratorArn": arn, "IpAddressType": kind});
            ("UpdateAccelerator", body)
        }
        1 => (
            "UpdateAccelerator",
            json!({"AcceleratorArn": arn, "Enabled": step.first.is_multiple_of(3)}),
        ),
        2 => ("DeleteAccelerator", json!({"AcceleratorArn": arn})),
        3 | 4 => {
            let protocol = if step.what == 3 { "TCP" } else { "UDP" };
            let body = json!({
                "AcceleratorArn": arn, "PortRanges": ports, "Protocol": protocol,
                "IdempotencyToken": format!("{}", step.second % 16),
            });
            ("CreateListener", body)
        }
        what => {
            let Some(listener) = listener else {
                return none;
            };
            let listener_arn = format!("{arn}/listener/{}", listener.id.0);
            match what {
                5 => {
                    let overrides = json!([{
                        "ListenerPort": listener.ports[0].from,
                        "EndpointPort": 1 + u16::from(step.second) * 5,
                    }]);
                    let body = json!({
                        "ListenerArn": listener_arn,
                        "EndpointGroupRegion": pick(&REGIONS, step.second),
                        "IdempotencyToken": format!("{}", step.second % 8),
                        "PortOverrides": if step.second.is_multiple_of(2) { overrides } else { json!([]) },
                    });
                    ("CreateEndpointGroup", body)
                }
                6 => {
                    let body = json!({"ListenerArn": listener_arn, "PortRanges": ports});
                    ("UpdateListener", body)
                }
                7 => ("DeleteListener", json!({"ListenerArn": listener_arn})),
                _ => {
                    let Some(group) = pick(&listener.groups, step.second) else {
                        return none;
                    };
                    let group = format!("{listener_arn}/endpoint-group/{}", group.id.0);
                    ("DeleteEndpointGroup", json!({"EndpointGroupArn": group}))
                }
            }
        }
    }
}

fn made(step: &Step) -> (&'static str, Value) {
    let token = format!("{}", step.first % 32);
    (
        "CreateAccelerator",
        json!({
            "Name": token, "IdempotencyToken": token,
            "IpAddressType": pick(&["IPV4", "DUAL_STACK"], step.first),
        }),
    )
}

/// Pools of 30 addresses each of IPv4, and of 15 in each half of IPv6.
fn small() -> Pools {
    pools_with("127.80.0.0/27", "127.81.0.0/27", Ok("fd00:80::/123"))
}

/// What must hold, said apart from the code that sees to it.
fn check(view: &View) {
    let accelerators = all(view);
    assert!(accelerators.len() <= 20);
    let mut addresses = BTreeMap::new();
    for accelerator in &accelerators {
        let of_ipv6 = accelerator.addresses.iter().filter(|it| it.is_ipv6());
        let expected = match accelerator.ip_address_type {
            IpAddressType::Ipv4 => (2, 0),
            IpAddressType::DualStack => (4, 2),
        };
        assert_eq!((accelerator.addresses.len(), of_ipv6.count()), expected);
        for address in &accelerator.addresses {
            assert_eq!(
                addresses.insert(keys::address(*address), &accelerator.id.0),
                None
            );
        }
    }
    let rows = view.entries.iter();
    let rows = rows.filter(|(key, _)| key.starts_with(keys::ADDRESSES));
    let rows: Vec<(&str, &[u8])> = rows
        .map(|(key, (_, value))| (key.as_str(), value.as_ref()))
        .collect();
    let held: Vec<(&str, &[u8])> = addresses
        .iter()
        .map(|(key, id)| (key.as_str(), id.as_bytes()))
        .collect();
    assert_eq!(rows, held);
    for accelerator in &accelerators {
        assert!(accelerator.listeners.len() <= 10);
        let (mut ports, mut targets) = (BTreeSet::new(), BTreeMap::new());
        for listener in &accelerator.listeners {
            for range in &listener.ports {
                for port in range.from..=range.to {
                    assert!(ports.insert((port, listener.protocol)), "{port} twice");
                }
            }
            let regions: BTreeSet<_> = listener.groups.iter().map(|it| it.region).collect();
            assert_eq!(regions.len(), listener.groups.len());
            for (from, to) in listener.groups.iter().flat_map(|group| &group.overrides) {
                assert!(listener.ports.iter().any(|range| range.contains(*from)));
                assert_eq!(*targets.entry(*to).or_insert(*from), *from);
            }
        }
        for to in targets.keys() {
            assert!(
                !ports.iter().any(|(port, _)| port == to),
                "{to} is a listener's too"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_asked_for_the_configuration_keeps_the_rules(steps in steps()) {
        let api = Api::with_pools(Ok(small()));
        for step in &steps {
            let (operation, body) = request(&api.memory.view_now(), step);
            let _ = api.call(operation, body);
            check(&api.memory.view_now());
        }
    }

    #[test]
    fn two_sites_that_change_at_once_keep_them_together(
        steps in steps(),
        others in steps(),
    ) {
        let api = Api::with_pools(Ok(small()));
        let mut others = others.into_iter();
        let mut site = 0;
        // Each of this site's proposals comes after a whole request at another site.
        api.memory.interfere(move |view| {
            let Some(step) = others.next() else { return };
            site += 1;
            let other = Api::at_site(site, Ok(small()));
            other.memory.set(view.clone());
            let (operation, body) = request(view, &step);
            let _ = other.call(operation, body);
            *view = other.memory.view_now();
        });
        for step in &steps {
            let (operation, body) = request(&api.memory.view_now(), step);
            let _ = api.call(operation, body);
            check(&api.memory.view_now());
        }
    }
}
